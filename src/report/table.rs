//! Tables: a symbol, a name that may be cut, and numbers that never are.

use std::borrow::Cow;
use std::io;
use std::io::Write;

use crate::report::screen::{Screen, Symbol};
use crate::report::text::{NAME_MIN, columns, fit};

/// Blanks between columns.
const GAP: usize = 2;

/// Which way a column is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// One column after the name.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) align: Align,
    pub(super) width_min: usize,
}

impl Column {
    pub(super) const fn number(title: &'static str, width_min: usize) -> Self {
        Self { title, align: Align::Right, width_min }
    }

    pub(super) const fn text(title: &'static str, width_min: usize) -> Self {
        Self { title, align: Align::Left, width_min }
    }
}

/// One line: a symbol, the name, and one cell for each column.
pub(super) struct Row {
    pub(super) symbol: Symbol,
    pub(super) name: String,
    pub(super) cells: Vec<String>,
    /// Lines below it, as they are.
    pub(super) below: Vec<String>,
}

/// A table. The first column holds names and takes what the others leave.
pub(super) struct Table {
    pub(super) name_title: &'static str,
    pub(super) name_width_min: usize,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

impl Table {
    pub(super) fn write(&self, out: &mut dyn Write, screen: &Screen) -> io::Result<()> {
        let widths: Vec<usize> =
            (0..self.columns.len()).map(|position| self.width_of(position)).collect();
        let taken: usize = widths.iter().map(|width| width + GAP).sum();
        let room = screen.columns().saturating_sub(taken + GAP).max(NAME_MIN);
        let names = self.rows.iter().map(|row| columns(&row.name)).max().unwrap_or(0);
        let name_width = names.max(self.name_width_min).min(room);

        let titles = self.columns.iter().map(|column| Cow::Borrowed(column.title));
        write!(out, "  ")?;
        self.line(out, self.name_title, name_width, titles, &widths)?;
        for row in &self.rows {
            screen.symbol(out, row.symbol)?;
            let cells = row.cells.iter().map(|cell| Cow::Borrowed(cell.as_str()));
            self.line(out, &fit(&row.name, name_width), name_width, cells, &widths)?;
            for line in &row.below {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    fn width_of(&self, position: usize) -> usize {
        let column = &self.columns[position];
        let cells = self.rows.iter().filter_map(|row| row.cells.get(position));
        let widest = cells.map(|cell| columns(cell)).max().unwrap_or(0);
        widest.max(columns(column.title)).max(column.width_min)
    }

    fn line<'a>(
        &self,
        out: &mut dyn Write,
        name: &str,
        name_width: usize,
        cells: impl Iterator<Item = Cow<'a, str>>,
        widths: &[usize],
    ) -> io::Result<()> {
        let mut line = padded(name, name_width, Align::Left);
        for ((cell, column), width) in cells.zip(&self.columns).zip(widths) {
            line.push_str("  ");
            line.push_str(&padded(&cell, *width, column.align));
        }
        writeln!(out, "{}", line.trim_end())
    }
}

/// A text filled with blanks to a width in columns, which `format!` would count in characters.
pub(super) fn padded(text: &str, width: usize, align: Align) -> String {
    let blanks = " ".repeat(width.saturating_sub(columns(text)));
    match align {
        Align::Left => format!("{text}{blanks}"),
        Align::Right => format!("{blanks}{text}"),
    }
}

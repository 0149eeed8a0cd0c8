//! The list of what was not done, with reasons and remedies.

use std::io;
use std::io::Write;

use crate::report::problem::hanging;
use crate::report::screen::{Screen, Symbol};
use crate::report::table::{Column, Row, Table};
use crate::report::text::{count, counted, escape, size};
use crate::state::Item;

/// How many items of one folder and reason are shown; documents have them all.
const SHOWN: usize = 20;

/// Writes items: first those that need a decision, then those worth knowing or left out by rule. Of
/// each folder and reason the first are shown and the rest is counted; what was said stands below an
/// item where it differs from what was said of the one before, a remedy below the last one.
///
/// # Errors
///
/// Those of `out`.
pub fn items(out: &mut dyn Write, screen: &Screen, items: &[Item]) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&Item> = items.iter().collect();
    sorted.sort_by_key(|item| (Symbol::of_item(item.reason), &item.folder, item.reason, item.uid));
    let mut rows = Vec::new();
    for run in sorted.chunk_by(|one, next| (one.reason, &one.folder) == (next.reason, &next.folder))
    {
        run_rows(&mut rows, screen, run)?;
    }
    let columns = vec![
        Column::text("UID", 7),
        Column::text("Date", 10),
        Column::number("Size", 9),
        Column::text("Reason", 6),
    ];
    Table { name_title: "Folder", name_width_min: 6, columns, rows }.write(out, screen)?;
    writeln!(out)?;
    let of = |symbols: &[Symbol]| {
        let found = sorted.iter().filter(|item| symbols.contains(&Symbol::of_item(item.reason)));
        u64::try_from(found.count()).unwrap_or(u64::MAX)
    };
    let open = of(&[Symbol::Wrong]);
    let closed = of(&[Symbol::LeftOut, Symbol::Note]);
    let open = counted(open, "needs a decision", "need a decision");
    writeln!(out, "{open}, {}.", counted(closed, "does not", "do not"))
}

/// The rows of items that share folder and reason.
fn run_rows(rows: &mut Vec<Row>, screen: &Screen, run: &[&Item]) -> io::Result<()> {
    let shown = &run[..run.len().min(SHOWN)];
    let mut said_before = None;
    for (position, item) in shown.iter().enumerate() {
        let mut below = Vec::new();
        if let Some(said) = &item.said
            && said_before != Some(said)
        {
            hanging(&mut below, "    said     ", said, screen.columns())?;
        }
        said_before = item.said.as_ref();
        if position + 1 == shown.len() {
            let more = u64::try_from(run.len() - shown.len()).unwrap_or(u64::MAX);
            if more > 0 {
                let text = format!("{} more like this; --json has them all", count(more));
                hanging(&mut below, "    and      ", &text, screen.columns())?;
            }
            if !item.reason.remedy().is_empty() {
                hanging(&mut below, "    remedy   ", item.reason.remedy(), screen.columns())?;
            }
        }
        let below = String::from_utf8_lossy(&below).lines().map(str::to_owned).collect();
        rows.push(Row {
            symbol: Symbol::of_item(item.reason),
            name: escape(item.folder.as_str()).into_owned(),
            cells: vec![
                item.uid.map_or_else(|| "-".to_owned(), |uid| uid.to_string()),
                item.date.map_or_else(|| "-".to_owned(), |date| screen.date(date)),
                item.octets.map_or_else(|| "-".to_owned(), size),
                item.reason.to_string(),
            ],
            below,
        });
    }
    Ok(())
}

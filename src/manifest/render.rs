//! Faults and the good news, as text for a terminal.

use std::fmt::Write as _;

use anstyle::AnsiColor;
use anstyle::Style;

use crate::manifest::document::plain;
use crate::manifest::fault::Fault;
use crate::manifest::fault::Faults;
use crate::manifest::fault::Place;
use crate::manifest::load::Loaded;

/// Whether colour is used; it repeats what the text says and adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Escape sequences are written.
    Always,
    /// Plain text.
    Never,
}

impl Colour {
    fn paint(self, style: Style, text: &str) -> String {
        match self {
            Self::Always => format!("{style}{text}{style:#}"),
            Self::Never => text.to_owned(),
        }
    }
}

/// Columns of a terminal that text for people stays in.
const COLUMNS: usize = 80;

/// Columns of `hint:`.
const LABEL: usize = 5;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const GUTTER: Style = AnsiColor::Blue.on_default();
const HINT: Style = AnsiColor::Cyan.on_default();

/// All faults, and the line that counts them. Ends with a line end.
#[must_use]
pub fn faults(faults: &Faults, colour: Colour) -> String {
    let mut text = String::new();
    let mut names: Vec<String> = Vec::new();
    for fault in &faults.faults {
        write_fault(&mut text, fault, colour);
        text.push('\n');
        let name = fault.place.name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let count = faults.faults.len();
    let word = if count == 1 { "fault" } else { "faults" };
    let _ = writeln!(text, "{}: {count} {word}. Nothing was contacted.", names.join(", "));
    text
}

fn write_fault(text: &mut String, fault: &Fault, colour: Colour) {
    let mut hints: Vec<&str> = Vec::new();
    let _ = writeln!(text, "{} {}", colour.paint(ERROR, "error:"), fault.message);
    let arrow = colour.paint(GUTTER, "-->");
    match &fault.place {
        Place::File { file, spot: Some(spot) } => {
            let _ = writeln!(text, " {arrow} {file}:{}:{}", spot.line, spot.column);
            let number = spot.line.to_string();
            let gutter = colour.paint(GUTTER, &format!("{} |", " ".repeat(number.len())));
            let numbered = colour.paint(GUTTER, &format!("{number} |"));
            let _ = writeln!(text, "{gutter}");
            let _ = writeln!(text, "{numbered} {}", spot.excerpt.line);
            let carets = colour.paint(ERROR, &"^".repeat(spot.excerpt.width));
            let label = fault.label.as_deref().map(|label| format!(" {label}")).unwrap_or_default();
            let _ = writeln!(text, "{gutter} {}{carets}{label}", " ".repeat(spot.excerpt.indent));
        }
        Place::File { file, spot: None } => {
            let _ = writeln!(text, " {arrow} {file}");
            hints.extend(fault.label.as_deref());
        }
        Place::Variable(name) => {
            let _ = writeln!(text, " {arrow} {name}, from the environment");
            hints.extend(fault.label.as_deref());
        }
        Place::Set(key) => {
            let _ = writeln!(text, " {arrow} --set {key}");
            hints.extend(fault.label.as_deref());
        }
    }
    hints.extend(fault.hints.iter().map(String::as_str));
    for hint in hints {
        write_hint(text, hint, colour);
    }
}

/// A hint, with its further lines below its beginning.
fn write_hint(text: &mut String, hint: &str, colour: Colour) {
    text.push_str(&colour.paint(HINT, "hint:"));
    let mut column = LABEL;
    for word in hint.split(' ') {
        let width = word.chars().count() + 1;
        if column + width > COLUMNS && column > LABEL {
            text.push('\n');
            text.push_str(&" ".repeat(LABEL));
            column = LABEL;
        }
        text.push(' ');
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

/// What `validate` says of a manifest without faults. Ends with a line end.
#[must_use]
pub fn valid(loaded: &Loaded, colour: Colour) -> String {
    let mut text = String::new();
    let count = loaded.migrations.len();
    let word = if count == 1 { "account" } else { "accounts" };
    let pairs: Vec<String> = loaded
        .migrations
        .iter()
        .map(|migration| {
            format!("{} -> {}", plain(&migration.source.user), plain(&migration.destination.user))
        })
        .collect();
    let mode = loaded.migrations.first().map(|migration| migration.mode).unwrap_or_default();
    let mode = serde_json::to_value(mode).ok();
    let mode = mode.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let _ = writeln!(
        text,
        "{} is valid: {count} {word}, {}, mode {mode}.",
        loaded.name,
        pairs.join(", ")
    );
    for value in &loaded.foreign_values {
        let _ = match &value.value {
            Some(shown) => writeln!(text, "{} = {shown}, from {}", value.key, value.from),
            None => writeln!(text, "{} is set, from {}", value.key, value.from),
        };
    }
    for hint in &loaded.hints {
        write_hint(&mut text, hint, colour);
    }
    let manifest =
        if loaded.name == "mailferry.toml" { String::new() } else { format!("{} ", loaded.name) };
    let _ = writeln!(text, "Deletes nothing. Next: mailferry plan {manifest}-o FILE");
    text
}

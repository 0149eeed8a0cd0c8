//! From a text to a tree that has passed the walk: faults of TOML first, then those of the schema.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;

use crate::manifest::document::Document;
use crate::manifest::document::plain;
use crate::manifest::fault::Draft;
use crate::manifest::layer::Origin;
use crate::manifest::layer::Table;
use crate::manifest::scan::Finding;
use crate::manifest::scan::scan;
use crate::manifest::schema::TableShape;
use crate::manifest::walk::Walk;
use crate::manifest::walk::sounds_secret;
use crate::manifest::walk::telling_word;

/// What became of a text.
pub(crate) struct Parsed {
    pub(crate) table: Table,
    pub(crate) faults: Vec<Draft>,
    /// Keys that were written and are not in the table, by the name of their table.
    pub(crate) dropped: BTreeSet<(String, String)>,
    /// Where the text is not TOML: what seems wrong there may only be unreadable.
    pub(crate) broken: Vec<Range<usize>>,
    /// Keys may be there that could not be read.
    pub(crate) hides_keys: bool,
}

/// Reads a document, and marks in it what must not be shown.
pub(crate) fn parse(document: &mut Document, origin: &Origin, shape: &TableShape) -> Parsed {
    let text = document.text.clone();
    let findings = scan(&text);
    let mut faults = Vec::new();
    if let Some(Finding::Deep(span)) = findings.last() {
        let fault = Draft::new(origin.at(span), "more levels than a manifest has");
        mask_lines(document, true);
        let whole = 0..text.len();
        return Parsed {
            table: Table::new(),
            faults: vec![fault.label("nothing from here on was looked at")],
            dropped: BTreeSet::new(),
            broken: Vec::from([whole]),
            hides_keys: true,
        };
    }
    let (tree, errors) = DeTable::parse_recoverable(&text);
    let mut broken = Vec::new();
    let mut hides_keys = false;
    for finding in &findings {
        faults.extend(of_finding(finding, &errors, &text, origin));
    }
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let string = findings.iter().find_map(|finding| match finding {
            Finding::Escape { string, .. } if string.contains(&span.start) => Some(string.clone()),
            _ => None,
        });
        if let Some(string) = string {
            broken.push(string);
        } else {
            faults.push(of_error(error, &text, origin));
            broken.push(unreadable(&text, span.start));
            hides_keys = true;
        }
    }
    let mut walk = Walk::new(origin, Some(&text));
    let table = walk.root(tree.get_ref(), shape);
    document.masks.append(&mut walk.masks);
    mask_lines(document, !errors.is_empty());
    // What follows from a text that is no TOML was said once.
    faults.extend(walk.faults.into_iter().filter(|draft| !draft.at.is_within(&broken)));
    Parsed { table, faults, dropped: walk.dropped, broken, hides_keys }
}

/// How far a fault of TOML reaches: its line, and below a broken header all that it would have held.
fn unreadable(text: &str, offset: usize) -> Range<usize> {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let (before, after) = text.split_at(offset);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let is_header = text.get(start..).is_some_and(|line| line.trim_start().starts_with('['));
    let next = if is_header { after.find("\n[") } else { after.find('\n') };
    start..offset + next.unwrap_or(after.len())
}

fn of_finding(
    finding: &Finding,
    errors: &[toml::de::Error],
    text: &str,
    origin: &Origin,
) -> Option<Draft> {
    match finding {
        Finding::Escape { span, string } => {
            let is_newer = matches!(text.as_bytes().get(span.start + 1), Some(b'e' | b'x'));
            let refused = errors
                .iter()
                .filter_map(toml::de::Error::span)
                .any(|error| string.start <= error.start && error.start <= string.end);
            // A letter that the parser takes as TOML 1.1 is still no TOML 1.0.
            if !refused && !is_newer {
                return None;
            }
            let fault = Draft::new(origin.at(span), "a backslash needs single quotes")
                .label("no such escape in TOML");
            let inner =
                text.get(string.start + 1..string.end.saturating_sub(1)).unwrap_or_default();
            let key = text.get(..string.start).and_then(|before| before.lines().last());
            if is_newer || inner.contains(['\'', '"', '\n']) || key.is_some_and(sounds_secret) {
                return Some(fault);
            }
            Some(fault.hint(format!("write '{}'", plain(inner))))
        }
        Finding::LineEnd(span) if errors.is_empty() => {
            let end = span.start + 1;
            let fault = Draft::new(
                origin.at(&(span.start..end)),
                "a table in braces must stand in one line",
            );
            Some(fault.label("a line ends here").hint("write a [table] of its own"))
        }
        Finding::LastComma(span) if errors.is_empty() => {
            let fault =
                Draft::new(origin.at(span), "no comma before the closing brace in TOML 1.0");
            Some(fault.label("take it away"))
        }
        Finding::LineEnd(_) | Finding::LastComma(_) | Finding::Deep(_) => None,
    }
}

fn of_error(error: &toml::de::Error, text: &str, origin: &Origin) -> Draft {
    let span = error.span().unwrap_or(0..0);
    let at_end = span.start >= text.trim_end().len();
    let message = error.message();
    let (what, rest) = match message.split_once(", expected ") {
        Some((what, expected)) => (what, Some(format!("expected {expected}"))),
        None => (message, None),
    };
    let value = text.get(span.clone()).unwrap_or_default();
    let before = text.get(..span.start).unwrap_or_default().trim_end_matches([' ', '\t']);
    if before.ends_with('=') && value.starts_with(|c: char| c.is_alphabetic() || c == '/') {
        return Draft::new(origin.at(&span), "not TOML: a text needs quotes")
            .label("write it in quotes");
    }
    let what = match what {
        "invalid basic string" | "invalid literal string" => "a string has no end",
        other => other,
    };
    let fault = Draft::new(origin.at(&span), format!("not TOML: {}", plain(what)));
    match rest {
        Some(expected) => fault.label(plain(&expected)),
        None if at_end => fault.label("the file ends here"),
        None => fault,
    }
}

/// Hides what may be a secret and is not in the tree: anywhere in a text that is no TOML, else in
/// comments.
fn mask_lines(document: &mut Document, is_broken: bool) {
    let mut start = 0;
    for line in document.text.split('\n') {
        let from = if is_broken { Some(0) } else { line.find('#') };
        let secret = from.and_then(|from| secret_in(line, from));
        if let Some(secret) = secret {
            document.masks.push(start + secret..start + line.len());
        }
        start += line.len() + 1;
    }
}

/// Where in a line the value of a telling key begins.
fn secret_in(line: &str, from: usize) -> Option<usize> {
    let word = telling_word(line)?;
    let rest = line.get(word.max(from)..)?;
    let after = word.max(from) + rest.find('=')? + 1;
    let value = line.get(after..)?;
    Some(after + value.len() - value.trim_start().len())
}

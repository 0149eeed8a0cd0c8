//! What `verify` found.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use crate::mail::{Uid, UidSet};
use crate::plan::Reason;
use crate::report::model::{Difference, VerifiedFolder, VerifyLevel, VerifyReport};
use crate::report::next::Next;
use crate::report::problem::hanging;
use crate::report::screen::{Screen, Symbol};
use crate::report::table::{Column, Row, Table};
use crate::report::text::{cell, columns, count, counted, escape, fit_names, wrap};

/// How many missing messages of one folder have a line each; documents have them all.
const SHOWN: usize = 20;

/// Writes the screen of a verification.
///
/// # Errors
///
/// Those of `out`.
pub fn verify_screen(
    out: &mut dyn Write,
    screen: &Screen,
    report: &VerifyReport,
    next: &Next<'_>,
) -> io::Result<()> {
    table(report).write(out, screen)?;
    writeln!(out)?;
    for run in report.differences.chunk_by(are_alike) {
        let many = if run[0].known_item { run.len() > 1 } else { run.len() > SHOWN };
        if many {
            run_line(out, screen, run)?;
            continue;
        }
        for difference in run {
            difference_line(out, screen, difference)?;
        }
    }
    for note in &report.notes {
        symbol_line(out, screen, Symbol::Note, note)?;
    }
    if !report.differences.is_empty() || !report.notes.is_empty() {
        writeln!(out)?;
    }
    hanging(out, "", &summary(report), screen.columns())?;
    hanging(out, "", &closing(report), screen.columns())?;
    if report.exit == 0 { Ok(()) } else { writeln!(out, "Next: {}", next.plan()) }
}

fn table(report: &VerifyReport) -> Table {
    let rows = report.folders.iter().map(|folder| {
        let wrong = folder.missing > 0 || folder.differ > 0;
        let (source, destination) = (folder.source.as_str(), folder.destination.as_str());
        let name = if source == destination {
            escape(source).into_owned()
        } else {
            format!("{} -> {}", escape(source), escape(destination))
        };
        let cells = vec![
            cell(folder.selected),
            cell(folder.found),
            cell(folder.read),
            cell(folder.missing),
            cell(folder.differ),
        ];
        let symbol = if wrong { Symbol::Wrong } else { Symbol::Equal };
        Row { symbol, name, cells, below: Vec::new() }
    });
    Table {
        name_title: "Folder",
        name_width_min: 22,
        columns: vec![
            Column::number("Selected", 8),
            Column::number("Found", 7),
            Column::number("Read", 7),
            Column::number("Missing", 7),
            Column::number("Differ", 6),
        ],
        rows: rows.collect(),
    }
}

/// Tells whether two differences may stand in one line: messages of one folder that are not at the
/// destination at all.
fn are_alike(one: &Difference, next: &Difference) -> bool {
    let key = |difference: &Difference| (difference.reason, difference.known_item);
    let alone = |difference: &Difference| {
        difference.uid.is_some() && difference.destination_folder.is_none()
    };
    one.folder == next.folder && key(one) == key(next) && alone(one) && alone(next)
}

/// Many messages in one line, as a set of UIDs.
fn run_line(out: &mut dyn Write, screen: &Screen, run: &[Difference]) -> io::Result<()> {
    let mut uids = UidSet::new();
    for uid in run.iter().filter_map(|difference| difference.uid) {
        uids.insert(uid);
    }
    let number = u64::try_from(run.len()).unwrap_or(u64::MAX);
    let known = if run[0].known_item { ", known as open items" } else { "" };
    let text = format!(
        "{} {}   {}, {}{known}",
        run[0].folder,
        // Blanks let a long set be wrapped.
        uids.to_string().replace(',', ", "),
        run[0].reason,
        counted(number, "message", "messages"),
    );
    let symbol = if run[0].known_item { Symbol::LeftOut } else { Symbol::Wrong };
    symbol_line(out, screen, symbol, &text)
}

fn difference_line(
    out: &mut dyn Write,
    screen: &Screen,
    difference: &Difference,
) -> io::Result<()> {
    let number = |uid: Option<Uid>| uid.map_or_else(String::new, |uid| format!(" {uid}"));
    let (uid, there) = (number(difference.uid), number(difference.destination_uid));
    let mut rest = format!("   {}", difference.reason);
    if let Some(octets) = difference.octets {
        let _ = write!(rest, "   {}", counted(octets, "octet", "octets"));
    }
    if let Some(octet) = difference.first_octet {
        let _ = write!(rest, ", from octet {} on", count(octet));
    }
    if difference.known_item {
        rest.push_str(", known as an open item");
    }
    let source = difference.folder.as_str();
    let taken = 2 + columns(&uid) + columns(&rest);
    let names = match &difference.destination_folder {
        None => fit_names(&[source], taken, screen.columns()).concat() + &uid,
        Some(destination) => {
            let both = [source, destination.as_str()];
            let both = fit_names(&both, taken + 4 + columns(&there), screen.columns());
            format!("{}{uid} -> {}{there}", both[0], both[1])
        }
    };
    let symbol = if difference.known_item { Symbol::LeftOut } else { Symbol::Wrong };
    screen.symbol(out, symbol)?;
    writeln!(out, "{names}{rest}")
}

fn symbol_line(out: &mut dyn Write, screen: &Screen, symbol: Symbol, text: &str) -> io::Result<()> {
    screen.symbol(out, symbol)?;
    for (position, line) in wrap(&escape(text), screen.columns() - 2).iter().enumerate() {
        let indent = if position > 0 { "  " } else { "" };
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}

fn sum(report: &VerifyReport, of: fn(&VerifiedFolder) -> u64) -> u64 {
    report.folders.iter().map(of).fold(0, u64::saturating_add)
}

fn summary(report: &VerifyReport) -> String {
    let selected = sum(report, |folder| folder.selected);
    let found = sum(report, |folder| folder.found);
    let messages = counted(selected, "message", "messages");
    match report.level {
        VerifyLevel::Counts => {
            format!("{} of {messages} found by count. Nothing was changed.", count(found))
        }
        VerifyLevel::Content => {
            let read = sum(report, |folder| folder.read);
            let equal = read.saturating_sub(sum(report, |folder| folder.differ));
            let mut text = format!(
                "{} of {messages} found by identity; {} read on both sides, {} equal octet for octet.",
                count(found),
                count(read),
                count(equal),
            );
            if read < found {
                let _ = write!(text, " Not read: {}.", count(found - read));
            }
            text + " Nothing was changed."
        }
    }
}

fn closing(report: &VerifyReport) -> String {
    let (known, unknown): (Vec<&Difference>, Vec<&Difference>) =
        report.differences.iter().partition(|difference| difference.known_item);
    let number = |differences: &[&Difference]| u64::try_from(differences.len()).unwrap_or(u64::MAX);
    let exit = report.exit;
    match exit {
        0 => "Equal (exit 0).".to_owned(),
        3 => format!(
            "No difference but the {} (exit 3).",
            counted(number(&known), "open item", "open items")
        ),
        4 => format!(
            "{} that no item explains (exit 4).",
            counted(number(&unknown), "difference", "differences")
        ),
        _ => {
            let unreadable =
                report.differences.iter().any(|one| one.reason == Reason::FolderUnreadable);
            let why = if unreadable { ": a folder cannot be read" } else { "" };
            format!("Not verified to the end{why} (exit {exit}).")
        }
    }
}

//! The summary of an `apply`.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use crate::report::model::{ApplyReport, Compressed, CompressedWhy, CompressionDone};
use crate::report::next::Next;
use crate::report::problem::hanging;
use crate::report::screen::{Screen, Symbol};
use crate::report::text::{count, counted, duration, escape, rate, size};

/// A blank at which no line is broken while text is laid out.
const TIED: char = '\u{a0}';

/// Writes the summary. `next` names what the reader can apply again.
///
/// # Errors
///
/// Those of `out`.
pub fn apply_summary(
    out: &mut dyn Write,
    screen: &Screen,
    report: &ApplyReport,
    next: &Next<'_>,
) -> io::Result<()> {
    let plan = escape(&report.plan.0);
    let only = report.only.map_or_else(String::new, |only| format!(", only {only},"));
    writeln!(out, "Applied {plan}{only} in {}.", duration(report.seconds))?;
    let mut line = |label: &str, text: &str| {
        let mut lines = Vec::new();
        hanging(&mut lines, &format!("  {label:<11}  "), text, screen.columns())?;
        write!(out, "{}", String::from_utf8_lossy(&lines).replace(TIED, " "))
    };
    let copied = &report.copied;
    let mut text = format!(
        "{} of {}, {}",
        count(copied.messages),
        counted(copied.of, "message", "messages"),
        size(copied.octets)
    );
    if let Some(measured) = copied.octets.checked_div(report.seconds)
        && measured > 0
    {
        let _ = write!(text, ", {}", rate(measured));
    }
    line("Copied", &text)?;
    let (created, subscribed) = (report.folders.created, report.folders.subscribed);
    line("Folders", &format!("{} created, {} subscribed", count(created), count(subscribed)))?;
    line("Flags", &format!("{} changed", count(report.flags.changed)))?;
    line("Deleted", &deleted(report))?;
    if let Some(text) = compression(&report.compression) {
        line("Compression", &text)?;
    }
    let left_out: u64 = report.left_out.values().sum();
    if left_out > 0 {
        let reasons: Vec<String> = report
            .left_out
            .iter()
            .map(|(reason, number)| format!("{reason}{TIED}{}", count(*number)))
            .collect();
        let text = format!("{}: {}", counted(left_out, "message", "messages"), reasons.join(", "));
        line("Left out", &text)?;
    }
    if report.retried > 0 {
        line("Retried", &counted(report.retried, "request", "requests"))?;
    }
    if let Some(text) = waited(report) {
        line("Waited", &text)?;
    }
    for note in &report.notes {
        line("Note", note)?;
    }
    writeln!(out)?;
    closing(out, screen, report, next)
}

/// What was decided of each connection, and why.
fn compression(done: &CompressionDone) -> Option<String> {
    let sides = [("source", done.source), ("destination", done.destination)];
    let told: Vec<String> = sides
        .into_iter()
        .filter_map(|(side, compressed)| Some(format!("{side} {}", compressed_text(compressed?))))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn compressed_text(compressed: Compressed) -> String {
    let measured = rate(compressed.octets_per_second.unwrap_or_default());
    match (compressed.why, compressed.on) {
        (CompressedWhy::Line, true) => format!("on (the line gives {measured})"),
        (CompressedWhy::Line, false) => format!("off (not worth it at {measured})"),
        (CompressedWhy::Manifest, true) => "on by manifest".to_owned(),
        (CompressedWhy::Manifest, false) => "off by manifest".to_owned(),
        (CompressedWhy::NotOffered, _) => "not offered".to_owned(),
        (CompressedWhy::Near, _) => "off (the server is near)".to_owned(),
        (CompressedWhy::Refused, _) => "refused by the server".to_owned(),
        (CompressedWhy::Undecided, _) => "undecided (too little was moved)".to_owned(),
    }
}

/// How long was waited, and for whom where that is known.
fn waited(report: &ApplyReport) -> Option<String> {
    let waited = &report.waited_for;
    let late = report.waited_seconds.saturating_sub(waited.servers());
    let parts = [
        (late, ""),
        (waited.source_seconds, " at the source's request"),
        (waited.destination_seconds, " at the destination's request"),
        (waited.limits_seconds, " at limits of the manifest"),
    ];
    let told = parts.iter().filter(|(seconds, _)| *seconds > 0);
    let told: Vec<String> =
        told.map(|(seconds, whose)| format!("{}{whose}", duration(*seconds))).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn deleted(report: &ApplyReport) -> String {
    let side = |number, name| match number {
        0 => format!("nothing at the {name}"),
        number => format!("{} at the {name}", count(number)),
    };
    let deleted = &report.deleted;
    format!("{}, {}", side(deleted.destination, "destination"), side(deleted.source, "source"))
}

fn stopped_at_a_limit(report: &ApplyReport) -> String {
    let left = match report.copied.of.saturating_sub(report.copied.messages) {
        0 => String::new(),
        left => format!(", {} left", counted(left, "message is", "messages are")),
    };
    format!("Stopped at a limit{left}; the same plan goes on later")
}

/// How it ended, and what to do next.
fn closing(
    out: &mut dyn Write,
    screen: &Screen,
    report: &ApplyReport,
    next: &Next<'_>,
) -> io::Result<()> {
    let again = next.apply();
    let open = || report.items.iter().filter(|item| Symbol::of_item(item.reason) == Symbol::Wrong);
    let decisions = u64::try_from(open().count()).unwrap_or(u64::MAX);
    let (one, many) = if open().all(|item| item.uid.is_some()) {
        ("message needs", "messages need")
    } else {
        ("message or folder needs", "messages or folders need")
    };
    let (plan_anew, verify) = (next.plan(), next.verify());
    let (sentence, next) = match report.exit {
        0 => ("Done: source and destination are equal under the manifest".to_owned(), verify),
        2 if report.only.is_some() => {
            ("Done what was asked for; the plan has more to do".to_owned(), again)
        }
        2 => (
            "Done, and the source has moved on: the rest is for the next plan".to_owned(),
            plan_anew,
        ),
        3 => (format!("Partial: {} a decision", counted(decisions, one, many)), verify),
        5 => ("A guard stopped deletions".to_owned(), plan_anew),
        6 => ("Stale: a folder or account is not as the plan knows it".to_owned(), plan_anew),
        7 => ("Stopped: somebody else is copying there".to_owned(), again),
        8 => ("Stopped: a login was refused".to_owned(), again),
        9 => ("Stopped: a server or mailbox cannot be used".to_owned(), again),
        10 => ("Stopped: the destination is full".to_owned(), again),
        11 => (stopped_at_a_limit(report), again),
        12 => ("Stopped: a login leads to another account than planned".to_owned(), plan_anew),
        130 | 143 => ("Stopped by a signal; the same plan goes on later".to_owned(), again),
        _ => ("Stopped by a fault of the program".to_owned(), again),
    };
    hanging(out, "", &format!("{sentence} (exit {}).", report.exit), screen.columns())?;
    writeln!(out, "Next: {next}")
}

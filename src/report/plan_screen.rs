//! The plan for people.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use crate::mail::{Side, UidOrder};
use crate::plan::{Account, FolderPair, LeftOut, Reason};
use crate::report::next::Next;
use crate::report::overview::Overview;
use crate::report::problem::hanging;
use crate::report::screen::{Screen, Symbol};
use crate::report::table::{Align, Column, Row, Table, padded};
use crate::report::text::{cell, columns, count, counted, escape, fit_names, size, wrap};

/// How many blocked messages the plan lists; `show` lists all.
const BLOCKED_LISTED: usize = 20;

/// How many folders one sentence names.
const FOLDERS_NAMED: usize = 10;

/// What becomes of a plan that is shown.
#[derive(Clone, Copy, Debug)]
pub enum Saved<'a> {
    /// This file holds it.
    In(&'a str),
    /// Nothing: it was made to be looked at.
    Nowhere,
    /// It is applied next, and the reader may be asked first.
    ToApply,
}

/// What the screen of a plan is made from.
pub struct PlanView<'a> {
    /// The plan.
    pub overview: &'a Overview,
    /// What becomes of it.
    pub saved: Saved<'a>,
    /// Sentences that a reader should know, such as that state is empty.
    pub notes: &'a [String],
}

/// Writes the screen of a plan that was just made.
///
/// # Errors
///
/// Those of `out`.
pub fn plan_screen(out: &mut dyn Write, screen: &Screen, view: &PlanView<'_>) -> io::Result<()> {
    let overview = view.overview;
    let width = screen.columns();
    if overview.totals.changes_nothing() {
        notes(out, screen, view)?;
        return nothing_to_do(out, screen, view);
    }
    heading(out, screen, overview)?;
    writeln!(out)?;
    table(overview).write(out, screen)?;
    writeln!(out)?;
    notes(out, screen, view)?;
    sentence(out, screen, overview)?;
    let manifest = overview.header.manifest.as_str();
    match view.saved {
        Saved::In(path) => {
            let plan = &overview.header.plan;
            hanging(out, "", &format!("Saved {path} ({plan}). Nothing was changed."), width)?;
            writeln!(out, "Next: {}", Next { manifest, plan: Some(path) }.apply())
        }
        Saved::Nowhere => {
            writeln!(out, "Nothing was saved, nothing was changed.")?;
            writeln!(out, "Next: {}", Next { manifest, plan: None }.plan())
        }
        Saved::ToApply => writeln!(out),
    }
}

fn nothing_to_do(out: &mut dyn Write, screen: &Screen, view: &PlanView<'_>) -> io::Result<()> {
    let totals = view.overview.totals;
    let open = match totals.blocked {
        0 => String::new(),
        1 => "; 1 item stays open".to_owned(),
        more => format!("; {} items stay open", count(more)),
    };
    let equal = format!(
        "Nothing to do: {}, {} {} equal{open}.",
        counted(totals.pairs, "folder", "folders"),
        counted(totals.equal, "message", "messages"),
        if totals.equal == 1 { "is" } else { "are" },
    );
    hanging(out, "", &equal, screen.columns())?;
    if let Saved::In(path) = view.saved {
        let plan = &view.overview.header.plan;
        hanging(out, "", &format!("Saved {path} ({plan})."), screen.columns())?;
    }
    let next = Next { manifest: &view.overview.header.manifest, plan: None };
    writeln!(out, "Nothing was changed. Next: {}", next.verify())
}

/// Who, where, and from which manifest.
pub(super) fn heading(out: &mut dyn Write, screen: &Screen, overview: &Overview) -> io::Result<()> {
    let width = screen.columns();
    let header = &overview.header;
    for pair in &header.accounts {
        if header.accounts.len() > 1 {
            hanging(out, "Account      ", &pair.name, width)?;
        }
        let source = format!("{}, opened read-only", account(&pair.source));
        hanging(out, "Source       ", &source, width)?;
        hanging(out, "Destination  ", &account(&pair.destination), width)?;
    }
    let digest: String = header.digest.chars().take(8).collect();
    let elsewhere = if header.foreign_values.is_empty() {
        "nothing from environment or --set".to_owned()
    } else {
        let values = counted(
            u64::try_from(header.foreign_values.len()).unwrap_or(u64::MAX),
            "value",
            "values",
        );
        format!("{values} from elsewhere:")
    };
    let manifest = format!("{}, digest {digest}; {elsewhere}", header.manifest);
    hanging(out, "Manifest     ", &manifest, width)?;
    for value in &header.foreign_values {
        let shown = value.value.as_deref().unwrap_or("(not shown)");
        let line = format!("{} = {shown} from {}", value.key, value.from);
        hanging(out, "             ", &line, width)?;
    }
    Ok(())
}

fn account(account: &Account) -> String {
    let mut text = format!("{} at {}", account.witness.user, account.host);
    if account.port != 993 {
        let _ = write!(text, ":{}", account.port);
    }
    if let Some(root) = &account.root {
        let _ = write!(text, ", below {root}");
    }
    if account.tls == "none" {
        text.push_str(", WITHOUT TLS");
    }
    text
}

/// `INBOX`, or `Sent -> Sent Items`; for a table, which cuts names by itself.
fn pair_name(pair: &FolderPair) -> String {
    let (source, destination) = (pair.source.name.as_str(), pair.destination.name.as_str());
    if source == destination {
        escape(source).into_owned()
    } else {
        format!("{} -> {}", escape(source), escape(destination))
    }
}

/// The table of folders: pairs in the order of work, then source folders that are left out.
pub(super) fn table(overview: &Overview) -> Table {
    let mut rows: Vec<Row> = overview
        .pairs
        .iter()
        .map(|pair| {
            let (counts, created) = (&pair.counts, overview.created(pair).is_some());
            let symbol = if counts.copies > 0 || created {
                Symbol::Added
            } else if counts.flags > 0 {
                Symbol::Changed
            } else if counts.blocked > 0 {
                Symbol::Wrong
            } else {
                Symbol::Equal
            };
            let new = if created { " (new)" } else { "" };
            let octets = if counts.copies > 0 { size(counts.octets) } else { "-".to_owned() };
            let cells = vec![
                cell(counts.copies),
                octets,
                cell(counts.flags),
                "-".to_owned(),
                cell(counts.skipped),
                cell(counts.blocked),
            ];
            Row { symbol, name: pair_name(pair) + new, cells, below: Vec::new() }
        })
        .collect();
    let left_out = overview.left_out.iter().filter(|folder| folder.side == Side::Source);
    rows.extend(left_out.map(|folder| Row {
        symbol: Symbol::of_item(folder.reason),
        name: escape(folder.name.as_str()).into_owned(),
        cells: vec!["-".to_owned(); 6],
        below: Vec::new(),
    }));
    Table {
        name_title: "Folder",
        name_width_min: 28,
        columns: vec![
            Column::number("Copy", 6),
            Column::number("Size", 8),
            Column::number("Flags", 5),
            Column::number("Delete", 6),
            Column::number("Skip", 4),
            Column::number("Blocked", 7),
        ],
        rows,
    }
}

/// `Plan: create 2 folders, ...`.
pub(super) fn sentence(
    out: &mut dyn Write,
    screen: &Screen,
    overview: &Overview,
) -> io::Result<()> {
    let totals = &overview.totals;
    let mut parts = Vec::new();
    if totals.creates > 0 {
        parts.push(format!("create {}", counted(totals.creates, "folder", "folders")));
    }
    if totals.copies > 0 {
        let messages = counted(totals.copies, "message", "messages");
        parts.push(format!("copy {messages} ({})", size(totals.octets)));
    }
    if totals.flags > 0 {
        parts.push(format!("change {}", counted(totals.flags, "flag", "flags")));
    }
    if totals.subscriptions > 0 {
        let folders = counted(totals.subscriptions, "folder", "folders");
        parts.push(format!("subscribe to {folders}"));
    }
    parts.push("delete nothing".to_owned());
    for line in wrap(&format!("Plan: {}.", parts.join(", ")), screen.columns()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What is blocked, left out, or worth knowing; an empty line after it.
pub(super) fn notes(out: &mut dyn Write, screen: &Screen, view: &PlanView<'_>) -> io::Result<()> {
    let overview = view.overview;
    let mut any = blocked(out, screen, overview)?;
    let mut note = |symbol: Symbol, text: &str| {
        any = true;
        sentence_below(out, screen, symbol, text)
    };
    for (&reason, &messages) in &overview.skipped {
        note(Symbol::of_item(reason), &skipped(reason, messages))?;
    }
    // A folder without mail that is only at the destination concerns nobody.
    let told = |folder: &&LeftOut| {
        folder.reason != Reason::OnlyAtDestination || folder.messages.unwrap_or(0) > 0
    };
    let mut reasons: Vec<(Side, Reason)> =
        overview.left_out.iter().filter(told).map(|folder| (folder.side, folder.reason)).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for (side, reason) in reasons {
        let folders: Vec<&LeftOut> = overview
            .left_out
            .iter()
            .filter(told)
            .filter(|folder| (folder.side, folder.reason) == (side, reason))
            .collect();
        note(Symbol::of_item(reason), &left_out(reason, &folders))?;
    }
    let (extra, lossy) = overview.pairs.iter().fold((0_u64, 0_u64), |(extra, lossy), pair| {
        (extra.saturating_add(pair.counts.extra), lossy.saturating_add(pair.counts.lossy_flags))
    });
    if extra > 0 {
        let messages = counted(extra, "message", "messages");
        note(
            Symbol::Note,
            &format!(
                "{messages} in destination folders of the plan match nothing at the source and are left alone"
            ),
        )?;
    }
    if lossy > 0 {
        let messages = counted(lossy, "message", "messages");
        note(
            Symbol::Note,
            &format!("{messages} will lose flags that the destination cannot keep"),
        )?;
    }
    let turned = |pair: &&FolderPair| pair.order == UidOrder::NewestFirst && pair.counts.copies > 1;
    let turned = overview.pairs.iter().filter(turned).count();
    if turned > 0 {
        let turned = u64::try_from(turned).unwrap_or(u64::MAX);
        let folders = counted(turned, "folder", "folders");
        note(
            Symbol::Note,
            &format!(
                "the newest messages of {folders} go first: the order of UIDs is turned round at the destination"
            ),
        )?;
    }
    for text in view.notes {
        note(Symbol::Note, text)?;
    }
    if any {
        writeln!(out)?;
    }
    Ok(())
}

fn sentence_below(
    out: &mut dyn Write,
    screen: &Screen,
    symbol: Symbol,
    text: &str,
) -> io::Result<()> {
    screen.symbol(out, symbol)?;
    for (position, line) in wrap(&escape(text), screen.columns() - 2).iter().enumerate() {
        let indent = if position > 0 { "  " } else { "" };
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}

fn blocked(out: &mut dyn Write, screen: &Screen, overview: &Overview) -> io::Result<bool> {
    let number = overview.totals.blocked;
    if number == 0 {
        return Ok(false);
    }
    let whole_folders = overview.blocked.iter().any(|line| line.uid.is_none());
    let what = if whole_folders {
        counted(number, "message or folder", "messages and folders")
    } else {
        counted(number, "message", "messages")
    };
    sentence_below(out, screen, Symbol::Wrong, &format!("{what} cannot be copied"))?;
    for line in overview.blocked.iter().take(BLOCKED_LISTED) {
        let uid = line.uid.map_or_else(String::new, |uid| format!(" {uid}"));
        let octets = line.octets.map_or_else(|| "-".to_owned(), size);
        let limit = line
            .limit
            .map_or_else(String::new, |limit| format!("   destination takes {}", size(limit)));
        let octets = padded(&octets, 8, Align::Right);
        let rest = format!("{uid}   {octets}   {}{limit}", line.reason);
        let names = [line.folder.as_str()];
        let name = fit_names(&names, columns(&rest) + 4, screen.columns()).concat();
        writeln!(out, "    {name}{rest}")?;
    }
    let listed = u64::try_from(overview.blocked.len().min(BLOCKED_LISTED)).unwrap_or(u64::MAX);
    if number > listed {
        writeln!(out, "    and {} more: show --detail messages", count(number - listed))?;
    }
    Ok(true)
}

fn skipped(reason: Reason, number: u64) -> String {
    let messages = counted(number, "message", "messages");
    let verb = if number == 1 { "is" } else { "are" };
    match reason {
        Reason::MarkedDeleted => {
            let stay = if number == 1 { "stays" } else { "stay" };
            format!("{messages} {verb} marked deleted at the source and {stay} there")
        }
        Reason::OutsideDates => format!("{messages} {verb} outside of the manifest's dates"),
        Reason::OutsideSizes => format!("{messages} {verb} outside of the manifest's sizes"),
        Reason::NotInSearch => format!("{messages} {verb} not found by the manifest's search"),
        Reason::DuplicateInFolder => {
            format!("{messages} {verb} there already in the same folder: duplicates")
        }
        other => format!("{messages} {verb} left out: {other}"),
    }
}

fn left_out(reason: Reason, folders: &[&LeftOut]) -> String {
    let number = u64::try_from(folders.len()).unwrap_or(u64::MAX);
    let names = || folders.iter().take(FOLDERS_NAMED);
    let more = match folders.len().saturating_sub(FOLDERS_NAMED) {
        0 => String::new(),
        more => format!(" and {} more", count(u64::try_from(more).unwrap_or(u64::MAX))),
    };
    if reason == Reason::OnlyAtDestination {
        let messages = folders.iter().filter_map(|folder| folder.messages).sum();
        let names: Vec<&str> = names().map(|folder| folder.name.as_str()).collect();
        let verb = if messages == 1 { "is" } else { "are" };
        return format!(
            "{} in {}{more} {verb} not ours and {verb} left alone",
            counted(messages, "message", "messages"),
            names.join(", "),
        );
    }
    let listed: Vec<String> = names()
        .map(|folder| {
            let mut text = folder.name.to_string();
            if let Some(messages) = folder.messages {
                let _ = write!(text, ", {}", counted(messages, "message", "messages"));
            }
            if let Some(rule) = &folder.rule {
                let _ = write!(text, " ({rule})");
            }
            text
        })
        .collect();
    let folders = counted(number, "folder", "folders");
    let verb = if number == 1 { "is" } else { "are" };
    let what = match reason {
        Reason::ExcludedFolder => format!("{folders} {verb} excluded"),
        Reason::NotIncluded => format!("{folders} {verb} not included"),
        Reason::NotSubscribed => format!("{folders} {verb} not subscribed"),
        Reason::NotSelectable => format!("{folders} cannot hold messages"),
        Reason::EmptyFolder => format!("{folders} {verb} empty"),
        Reason::OutsideRoot => format!("{folders} {verb} outside of root"),
        other => format!("{folders} {verb} left out, {other}"),
    };
    let remedy = match reason.remedy() {
        "" => String::new(),
        remedy => format!("; {remedy}"),
    };
    format!("{what}: {}{more}{remedy}", listed.join("; "))
}

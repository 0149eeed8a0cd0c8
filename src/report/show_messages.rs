//! Every action of a plan, by folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::io::BufRead;
use std::io::Write;

use crate::mail::{FlagSet, UidSet};
use crate::plan::{Action, FolderPair, Line, PlanLines, Section};
use crate::report::overview::{CreatedFolder, Overview};
use crate::report::screen::{Screen, Symbol};
use crate::report::show::ShowFault;
use crate::report::table::{Align, padded};
use crate::report::text::{columns, counted, escape, fit_names, size};

/// Columns of a UID, or of a set of UIDs that fits.
const UIDS: usize = 10;

/// Columns of a date or a count of messages.
const MIDDLE: usize = 18;

/// Columns of a size.
const SIZE: usize = 11;

/// Lines above the actions of a folder pair, and those of folders without a pair.
pub(super) struct Headings<'a> {
    overview: &'a Overview,
    /// Folders to create of which nothing was shown yet, in the order of the plan.
    creates: std::iter::Peekable<std::slice::Iter<'a, CreatedFolder>>,
}

impl<'a> Headings<'a> {
    pub(super) fn new(overview: &'a Overview) -> Self {
        Self { overview, creates: overview.creates.iter().peekable() }
    }

    /// Writes the heading of a pair; above it folders that are created before and have no pair.
    pub(super) fn of(
        &mut self,
        out: &mut dyn Write,
        screen: &Screen,
        pair: &FolderPair,
    ) -> io::Result<()> {
        let created = self.overview.created(pair);
        if created.is_some() {
            while let Some(next) = self.creates.next_if(|next| Some(*next) != created) {
                self.without_pair(out, next)?;
            }
            self.creates.next();
        }
        let subscribe = self.overview.subscriptions.iter().find(|folder| {
            (folder.account, &folder.name) == (pair.account, &pair.destination.name)
        });
        let mut line = String::new();
        match (&pair.destination.seen, created) {
            (_, Some(created)) => {
                let _ = write!(line, "   create-folder   {}", created.reason);
                if subscribe.is_some() {
                    line.push_str(", subscribe");
                }
            }
            (Some(seen), None) => {
                let (from, to) = (pair.source.seen.uid_validity, seen.uid_validity);
                let _ = write!(line, "   UIDVALIDITY {from} -> {to}");
            }
            (None, None) => {}
        }
        let name = heading_name(screen, pair, columns(&line));
        writeln!(out, "{name}{line}")?;
        if let (Some(subscribe), None) = (subscribe, created) {
            write!(out, "  ")?;
            screen.symbol(out, Symbol::Changed)?;
            writeln!(out, "subscribe   {}", subscribe.reason)?;
        }
        Ok(())
    }

    /// A folder that is created for the sake of others, and is no pair's.
    fn without_pair(&self, out: &mut dyn Write, created: &CreatedFolder) -> io::Result<()> {
        let has_pair =
            self.overview.pairs.iter().any(|pair| {
                (pair.account, &pair.destination.name) == (created.account, &created.name)
            });
        if has_pair {
            return Ok(());
        }
        let name = escape(created.name.as_str());
        writeln!(out, "{name}   create-folder   {}", created.reason)
    }

    /// Writes folders that no pair holds: created, subscribed, left out.
    pub(super) fn rest(mut self, out: &mut dyn Write, screen: &Screen) -> io::Result<()> {
        while let Some(next) = self.creates.next() {
            self.without_pair(out, next)?;
        }
        for folder in &self.overview.subscriptions {
            let has_pair = self.overview.pairs.iter().any(|pair| {
                (pair.account, &pair.destination.name) == (folder.account, &folder.name)
            });
            if !has_pair {
                let name = escape(folder.name.as_str());
                writeln!(out, "{name}   subscribe   {}", folder.reason)?;
            }
        }
        for folder in &self.overview.left_out {
            screen.symbol(out, Symbol::of_item(folder.reason))?;
            let messages = folder.messages.map_or_else(String::new, |messages| {
                format!("   {}", counted(messages, "message", "messages"))
            });
            let rule =
                folder.rule.as_ref().map_or_else(String::new, |rule| format!(", {}", escape(rule)));
            let name = escape(folder.name.as_str());
            writeln!(out, "{name}   {}{messages}   {}{rule}", folder.side, folder.reason)?;
        }
        if !self.overview.left_out.is_empty() {
            writeln!(out)?;
        }
        Ok(())
    }
}

/// `Sent -> Sent Items`; one name alone for a folder that is created under its own.
fn heading_name(screen: &Screen, pair: &FolderPair, rest: usize) -> String {
    let (source, destination) = (pair.source.name.as_str(), pair.destination.name.as_str());
    if source == destination && pair.destination.seen.is_none() {
        return fit_names(&[source], rest, screen.columns()).concat();
    }
    fit_names(&[source, destination], rest + 4, screen.columns()).join(" -> ")
}

/// Writes every action below the heading of its folder pair. Copies are read as they stand in the
/// file; changes of flags, which stand behind all copies there, are read before and kept as sets.
pub(super) fn messages<R: BufRead>(
    out: &mut dyn Write,
    screen: &Screen,
    overview: &Overview,
    open: &mut dyn FnMut() -> Result<PlanLines<R>, ShowFault>,
) -> Result<(), ShowFault> {
    let mut flags: BTreeMap<u32, Vec<Action>> = BTreeMap::new();
    let mut lines = open()?;
    while let Some(line) = lines.next_line()? {
        if let Line::Action(action @ Action::Flags { pair, .. }) = line {
            flags.entry(pair).or_default().push(action);
        }
    }
    let mut lines = open()?;
    let mut next_copy = next_of_copies(&mut lines)?;
    let mut headings = Headings::new(overview);
    for pair in &overview.pairs {
        headings.of(out, screen, pair)?;
        while let Some((_, action)) = next_copy.take_if(|(number, _)| *number == pair.pair) {
            action_lines(out, screen, &action)?;
            next_copy = next_of_copies(&mut lines)?;
        }
        for action in flags.remove(&pair.pair).unwrap_or_default() {
            action_lines(out, screen, &action)?;
        }
        if pair.counts.equal > 0 {
            write!(out, "  ")?;
            screen.symbol(out, Symbol::Equal)?;
            writeln!(out, "{}", counted(pair.counts.equal, "message", "messages"))?;
        }
        writeln!(out)?;
    }
    // Lines whose pairs do not follow the order of pairs: allowed by the format, and shown.
    let mut shown = None;
    while let Some((number, action)) = next_copy {
        if shown != Some(number)
            && let Some(pair) = overview.pair(number)
        {
            writeln!(out, "{}", heading_name(screen, pair, 0))?;
            shown = Some(number);
        }
        action_lines(out, screen, &action)?;
        next_copy = next_of_copies(&mut lines)?;
    }
    headings.rest(out, screen)?;
    Ok(())
}

/// The next action of the section of copies, with the number of its pair.
fn next_of_copies<R: BufRead>(
    lines: &mut PlanLines<R>,
) -> Result<Option<(u32, Action)>, ShowFault> {
    while let Some(line) = lines.next_line()? {
        if let Line::Action(action) = line
            && action.section() == Section::Copies
            && let Action::Copy { pair, .. }
            | Action::Skip { pair, .. }
            | Action::Blocked { pair, .. } = &action
        {
            return Ok(Some((*pair, action)));
        }
    }
    Ok(None)
}

fn action_lines(out: &mut dyn Write, screen: &Screen, action: &Action) -> io::Result<()> {
    let reason = action.reason();
    match action {
        Action::Copy { uids, messages, octets, .. } => {
            let middle = counted(*messages, "message", "messages");
            let line = Parts { symbol: Symbol::Added, middle, size: size(*octets) };
            line.write_set(out, screen, uids, reason.as_str())
        }
        Action::Skip { uids, messages, octets, date, .. } => {
            let middle = match date {
                Some(date) if *messages == 1 => screen.date_time(*date),
                _ => counted(*messages, "message", "messages"),
            };
            let line = Parts { symbol: Symbol::of_item(reason), middle, size: size(*octets) };
            line.write_set(out, screen, uids, reason.as_str())
        }
        Action::Blocked { uid, octets, date, limit, .. } => {
            let limit = limit.map_or_else(String::new, |limit| format!(", limit {}", size(limit)));
            let middle = date.map_or_else(|| "-".to_owned(), |date| screen.date_time(date));
            let size = octets.map_or_else(|| "-".to_owned(), size);
            let line = Parts { symbol: Symbol::of_item(reason), middle, size };
            let uids = uid.map_or_else(|| "folder".to_owned(), |uid| uid.to_string());
            line.write(out, screen, &uids, &format!("{reason}{limit}"))
        }
        Action::Flags { uids, messages, add, remove, .. } => {
            let middle = counted(*messages, "message", "messages");
            let line = Parts { symbol: Symbol::Changed, middle, size: String::new() };
            line.write_set(out, screen, uids, &format!("{}   {reason}", change(add, remove)))
        }
        Action::CreateFolder { .. } | Action::Subscribe { .. } => Ok(()),
    }
}

fn change(add: &FlagSet, remove: &FlagSet) -> String {
    let parts = [("add", add), ("remove", remove)];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, flags)| !flags.is_empty())
        .map(|(verb, flags)| format!("{verb} {flags}"))
        .collect();
    parts.join(", ")
}

struct Parts {
    symbol: Symbol,
    middle: String,
    size: String,
}

impl Parts {
    fn write(&self, out: &mut dyn Write, screen: &Screen, uids: &str, end: &str) -> io::Result<()> {
        write!(out, "  ")?;
        screen.symbol(out, self.symbol)?;
        self.after(out, uids, end)
    }

    fn after(&self, out: &mut dyn Write, uids: &str, end: &str) -> io::Result<()> {
        let middle = if columns(&self.middle) > MIDDLE { " " } else { "" };
        let size = if self.size.is_empty() { 0 } else { SIZE };
        writeln!(
            out,
            "{}{middle}{}{}   {end}",
            padded(uids, UIDS, Align::Left),
            padded(&self.middle, MIDDLE, Align::Right),
            padded(&self.size, size, Align::Right),
        )
    }

    /// A set that does not fit has lines of its own, broken behind commas.
    fn write_set(
        &self,
        out: &mut dyn Write,
        screen: &Screen,
        uids: &UidSet,
        end: &str,
    ) -> io::Result<()> {
        let written = uids.to_string();
        if written.len() < UIDS {
            return self.write(out, screen, &written, end);
        }
        write!(out, "  ")?;
        screen.symbol(out, self.symbol)?;
        let room = screen.columns() - 4;
        for (position, part) in uids.split_at_octets(room).iter().enumerate() {
            match position {
                0 => write!(out, "{part}")?,
                _ => write!(out, ",\n    {part}")?,
            }
        }
        write!(out, "\n    ")?;
        self.after(out, "", end)
    }
}

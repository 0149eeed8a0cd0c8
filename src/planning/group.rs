//! One folder group: read, matched, planned, written, forgotten.

use crate::identity::Basis;
use crate::inspect;
use crate::inspect::{FolderRows, HeaderUse, Opened, SideSeen, Wires};
use crate::mail::{FlagSet, Side, Uid, UidSet, WireName};
use crate::matching::{Fate, KnownLink, Matched, Matcher};
use crate::plan::{
    Action, Counts, DestinationFolder, FolderPair, PlanWriter, Reason, SourceFolder,
};
use crate::planner;
use crate::planner::{Agreed, Group, GroupFacts};
use crate::planning::ended::ended;
use crate::planning::make::{Making, PlanningFault, inspected, unreadable};
use crate::rule::policy::{Duplicates, Empty};
use crate::session::{Trouble, at, persist};
use crate::snapshot::{Entry, FlagTable, Rows};
use crate::state::{FolderId, Link};
use crate::store::StoreError;

/// How many links are written at once.
const LINKS_AT_ONCE: usize = 10_000;

/// What was read of a group.
struct Seen {
    source: Vec<(Opened, FolderRows)>,
    destination: Option<(Opened, FolderRows)>,
    tables: (FlagTable, FlagTable),
    agreed: Agreed,
    append_limit: Option<u64>,
}

impl Making<'_> {
    /// Plans one group. Tells whether it is left out because no message of it is selected.
    pub(super) fn group(
        &mut self,
        group: &Group,
        here: &SideSeen,
        there: &SideSeen,
        writer: &mut PlanWriter,
    ) -> Result<bool, PlanningFault> {
        let mut group = group.clone();
        group.first_pair = self.next_pair;
        let (seen, matched) = loop {
            // A lost connection loses what was read of the group: it is read again, but for the
            // headers, which state keeps.
            let read = match persist(
                self,
                |making| &mut making.reading,
                |making| making.read_and_match(&group, here, there),
            ) {
                Err(PlanningFault::Store(side, error)) if error.connection_is_good() => {
                    return self.leave_out(&group, side, &error, writer);
                }
                read => read?,
            };
            match read {
                Ok(done) => break done,
                Err(place) => {
                    let folder = group.sources.remove(place);
                    // Without it no plan could ever mean that all is well.
                    if folder.wire.is_inbox() {
                        return Err(PlanningFault::NoInbox(Side::Source));
                    }
                    let reason = Reason::FolderUnreadable;
                    writer.left_out(&unreadable(folder.name, folder.messages, reason))?;
                    if group.sources.is_empty() {
                        return Ok(true);
                    }
                }
            }
        };
        let Seen { source, destination, tables, agreed, append_limit } = seen;
        let permanent =
            destination.as_ref().map(|(opened, _)| opened.state.permanent_flags.clone());
        let facts = GroupFacts {
            source_flags: &tables.0,
            destination_flags: &tables.1,
            agreed: &agreed,
            permanent_flags: permanent.as_ref(),
            append_limit,
        };
        self.keep_links(&source, destination.as_ref(), &matched, &facts)?;
        self.write(&group, &source, destination.as_ref(), &matched, &facts, writer)
    }

    /// Leaves out a group of which a server refuses to show a folder: the rest goes on.
    fn leave_out(
        &mut self,
        group: &Group,
        side: Side,
        error: &StoreError,
        writer: &mut PlanWriter,
    ) -> Result<bool, PlanningFault> {
        let inbox = group.sources.iter().any(|folder| folder.wire.is_inbox());
        match side {
            // Without it no plan could ever mean that all is well.
            Side::Source if inbox => return Err(PlanningFault::NoInbox(side)),
            Side::Destination if group.wire.is_inbox() => {
                return Err(PlanningFault::NoInbox(side));
            }
            _ => {}
        }
        self.notes.push(format!("{}: cannot be read at the {side}: {error}", group.name));
        for folder in &group.sources {
            let reason = Reason::FolderUnreadable;
            writer.left_out(&unreadable(folder.name.clone(), folder.messages, reason))?;
        }
        Ok(true)
    }

    /// Reads both sides of a group and matches them, or names the source folder that cannot be
    /// opened.
    fn read_and_match(
        &mut self,
        group: &Group,
        here: &SideSeen,
        there: &SideSeen,
    ) -> Result<Result<(Seen, Matched), usize>, Trouble<PlanningFault>> {
        let first_only = self.rules.messages.duplicates == Duplicates::First;
        let (source, destination) = self.reading.both()?;
        let append_limit = destination.abilities().append_limit;
        let opened_there = if group.exists {
            let opened = inspect::open(destination, there, &group.wire, Some(self.state))
                .map_err(inspected(Side::Destination))?;
            Some(opened)
        } else {
            None
        };
        let holds_mail = opened_there.as_ref().is_some_and(|opened| opened.state.messages > 0);
        let mut rows = (Rows::default(), Rows::default());
        let (mut folders, mut places) = (Vec::new(), Vec::new());
        let (mut known, mut agreed) = (Vec::new(), Agreed::new());
        let mut linked_there = UidSet::new();
        for (place, folder) in group.sources.iter().enumerate() {
            let number = u16::try_from(place).unwrap_or(u16::MAX);
            let opened = match inspect::open(source, here, &folder.wire, Some(self.state)) {
                Err(inspect::InspectError::Store(StoreError::Refused(_))) => return Ok(Err(place)),
                other => other.map_err(inspected(Side::Source))?,
            };
            let mut linked = UidSet::new();
            if let Some(opened_there) = &opened_there {
                let mut take = |link: Link| {
                    let Link { source, destination, flags, .. } = link;
                    linked.insert(source);
                    linked_there.extend(destination);
                    known.push(KnownLink { folder: number, source, destination });
                    if let Some(flags) = flags {
                        agreed.insert(number, source, &flags);
                    }
                };
                let relinked = inspect::links(
                    self.state,
                    source,
                    &opened,
                    destination,
                    opened_there,
                    &mut take,
                )
                .map_err(inspected(Side::Source))?;
                if relinked.is_some() {
                    let name = &folder.name;
                    self.notes.push(format!(
                        "{name}: matched anew, it may be another folder than last time"
                    ));
                }
            }
            let begin = rows.0.entries.len();
            let headers = match (first_only, holds_mail) {
                (true, _) => HeaderUse::Key,
                (false, true) => HeaderUse::KeyExcept(&linked),
                (false, false) => HeaderUse::None,
            };
            let read =
                inspect::rows(source, &opened, number, headers, Some(self.state), &mut rows.0)
                    .map_err(inspected(Side::Source))?;
            if let Some(keys) = &self.rules.messages.search {
                let found = source.search(&folder.wire, keys).map_err(at(Side::Source))?;
                for entry in &mut rows.0.entries[begin..] {
                    if !found.contains(entry.uid()) {
                        entry.set_not_found();
                    }
                }
            }
            places.push(begin..rows.0.entries.len());
            folders.push((opened, read));
        }
        let mut destination_seen = match opened_there {
            Some(opened) => {
                // Equal flags have equal numbers on both sides.
                rows.1.flags.clone_from(&rows.0.flags);
                let headers =
                    if first_only { HeaderUse::Key } else { HeaderUse::KeyExcept(&linked_there) };
                let read =
                    inspect::rows(destination, &opened, 0, headers, Some(self.state), &mut rows.1)
                        .map_err(inspected(Side::Destination))?;
                Some((opened, read))
            }
            None => None,
        };
        let ended = ended(&known, &rows.0.entries, &rows.1.entries);
        for ((number, place), (opened, read)) in (0_u16..).zip(places).zip(&mut folders) {
            let Some(uids) = ended.source.get(&number) else { continue };
            let entries = &mut rows.0.entries[place];
            inspect::keys(source, opened, uids, Some(self.state), entries, read)
                .map_err(inspected(Side::Source))?;
        }
        if let Some((opened, read)) = &mut destination_seen {
            let (uids, entries) = (&ended.destination, &mut rows.1.entries);
            inspect::keys(destination, opened, uids, Some(self.state), entries, read)
                .map_err(inspected(Side::Destination))?;
        }
        planner::mark_left_out(self.rules, &mut rows.0);
        let tables = (rows.0.flags, rows.1.flags);
        let matched = self.match_up(group, (rows.0.entries, rows.1.entries), &known)?;
        let seen =
            Seen { source: folders, destination: destination_seen, tables, agreed, append_limit };
        Ok(Ok((seen, matched)))
    }

    fn match_up(
        &mut self,
        group: &Group,
        entries: (Vec<Entry>, Vec<Entry>),
        known: &[KnownLink],
    ) -> Result<Matched, Trouble<PlanningFault>> {
        let options = planner::matching_options(self.rules, group, self.sizes);
        let wires: Vec<WireName> = group.sources.iter().map(|folder| folder.wire.clone()).collect();
        let wires = Wires { source: &wires, destination: &group.wire };
        let matcher = Matcher::new(entries.0, entries.1, known, options);
        let (source, destination) = self.reading.both()?;
        let matched = inspect::decide(matcher, source, destination, &wires)
            .map_err(|(side, error)| Trouble::Store(side, error))?;
        self.sizes = self.sizes.and(matched.sizes());
        Ok(matched)
    }

    /// Keeps what was found, so that it is not looked for again. A link is no ownership.
    fn keep_links(
        &mut self,
        source: &[(Opened, FolderRows)],
        destination: Option<&(Opened, FolderRows)>,
        matched: &Matched,
        facts: &GroupFacts<'_>,
    ) -> Result<(), PlanningFault> {
        let there = destination.and_then(|(opened, _)| opened.id);
        self.keep_digests(source, there, matched)?;
        let Some(there) = there else { return Ok(()) };
        let mut links: Vec<Link> = Vec::new();
        let mut folder = 0;
        for (entry, fate) in matched.fates() {
            if entry.folder() != folder || links.len() >= LINKS_AT_ONCE {
                self.put_links(source, folder, there, &mut links)?;
                folder = entry.folder();
            }
            let Fate::Found(uid) = fate else { continue };
            links.push(Link {
                source: entry.uid(),
                destination: Some(uid),
                digest: entry.fingerprint().digest,
                basis: entry.fingerprint().basis,
                octets: entry.size().unwrap_or_default(),
                flags: None,
                copied_by: None,
            });
        }
        self.put_links(source, folder, there, &mut links)?;
        let mut agreed: Vec<(Uid, FlagSet)> = Vec::new();
        let mut fault = None;
        planner::newly_agreed(self.rules, matched, facts, &mut |_, _, copy, flags| {
            agreed.push((copy, flags.clone()));
            if agreed.len() >= LINKS_AT_ONCE {
                fault = fault.take().or(self.state.agree_flags(there, &agreed).err());
                agreed.clear();
            }
        });
        fault.map_or(Ok(()), Err)?;
        self.state.agree_flags(there, &agreed)?;
        Ok(())
    }

    /// Keeps what was read of messages that have no key, so that it is not read again.
    fn keep_digests(
        &mut self,
        source: &[(Opened, FolderRows)],
        there: Option<FolderId>,
        matched: &Matched,
    ) -> Result<(), PlanningFault> {
        let dear =
            |entry: &&Entry| matches!(entry.fingerprint().basis, Basis::Headers | Basis::Content);
        let row = |entry: &Entry| {
            let fingerprint = entry.fingerprint();
            (entry.uid(), fingerprint.digest, fingerprint.basis)
        };
        for (number, (opened, _)) in (0_u16..).zip(source) {
            let of_folder = |entry: &&Entry| entry.folder() == number;
            let entries = matched.fates().map(|(entry, _)| entry).filter(of_folder).filter(dear);
            let digests: Vec<_> = entries.map(row).collect();
            if let (Some(here), false) = (opened.id, digests.is_empty()) {
                self.state.put_digests(here, &digests)?;
            }
        }
        let digests: Vec<_> = matched.destination().iter().filter(dear).map(row).collect();
        if let (Some(there), false) = (there, digests.is_empty()) {
            self.state.put_digests(there, &digests)?;
        }
        Ok(())
    }

    fn put_links(
        &mut self,
        source: &[(Opened, FolderRows)],
        folder: u16,
        there: FolderId,
        links: &mut Vec<Link>,
    ) -> Result<(), PlanningFault> {
        let here = source.get(usize::from(folder)).and_then(|(opened, _)| opened.id);
        if let (Some(here), false) = (here, links.is_empty()) {
            self.state.put_links(here, there, links)?;
        }
        links.clear();
        Ok(())
    }

    fn write(
        &mut self,
        group: &Group,
        source: &[(Opened, FolderRows)],
        destination: Option<&(Opened, FolderRows)>,
        matched: &Matched,
        facts: &GroupFacts<'_>,
        writer: &mut PlanWriter,
    ) -> Result<bool, PlanningFault> {
        // What is to be left out if it turns out empty holds no copies: its lines are few.
        let hold = self.rules.folders.empty == Empty::Skip;
        // Without the whole of the destination folder nothing is sure to be missing there; and where a
        // server changes what tells messages apart, each run would copy them again.
        let kept = match destination.and_then(|(opened, _)| opened.id) {
            Some(there) => self.state.identity_kept(there)?,
            None => None,
        };
        let stopped = match destination {
            Some((_, rows)) if !rows.complete => Some(Reason::ListingIncomplete),
            _ if kept == Some(false) => Some(Reason::IdentityNotKept),
            _ => None,
        };
        let is_stopped = |action: &Action| {
            stopped.is_some() && matches!(action, Action::Copy { .. } | Action::Flags { .. })
        };
        let (mut held, mut fault) = (Vec::new(), None);
        let mut counts = planner::plan_group(
            self.rules,
            group,
            matched,
            facts,
            &mut self.recipes,
            &mut |action| {
                if hold {
                    held.push(action);
                } else if !is_stopped(&action) && fault.is_none() {
                    fault = writer.action(&action).err();
                }
            },
        );
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        if planner::is_empty_and_left_out(self.rules, &counts) {
            for (folder, (_, rows)) in group.sources.iter().zip(source) {
                let messages = Some(rows.observed.messages);
                writer.left_out(&unreadable(folder.name.clone(), messages, Reason::EmptyFolder))?;
            }
            return Ok(true);
        }
        for action in held {
            if !is_stopped(&action) {
                writer.action(&action)?;
            }
        }
        if stopped.is_some() {
            for count in &mut counts {
                *count = Counts { copies: 0, octets: 0, flags: 0, lossy_flags: 0, ..*count };
            }
        }
        self.messages.1 += destination.map_or(0, |(_, rows)| rows.observed.messages);
        for ((folder, (_, rows)), counts) in group.sources.iter().zip(source).zip(&mut counts) {
            let pair = self.next_pair;
            self.next_pair += 1;
            self.messages.0 += rows.observed.messages;
            let blocked = stopped.or((!rows.complete).then_some(Reason::ListingIncomplete));
            if let Some(reason) = blocked {
                counts.blocked += 1;
                writer.action(&Action::Blocked {
                    pair,
                    uid: None,
                    octets: None,
                    date: None,
                    limit: None,
                    reason,
                })?;
            }
            writer.folder(&FolderPair {
                pair,
                account: 0,
                source: SourceFolder {
                    name: folder.name.clone(),
                    wire: folder.wire.clone(),
                    seen: rows.observed.clone(),
                },
                destination: DestinationFolder {
                    name: group.name.clone(),
                    wire: group.wire.clone(),
                    seen: destination.map(|(_, rows)| rows.observed.clone()),
                },
                counts: *counts,
            })?;
        }
        Ok(false)
    }
}

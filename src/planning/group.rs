//! One folder group: read, matched, planned, written, forgotten.

use std::ops::Range;

use crate::identity::Fingerprint;
use crate::inspect;
use crate::inspect::{FolderRows, HeaderUse, Opened, SideSeen, Wires};
use crate::mail::{Side, UidSet, WireName};
use crate::matching::{KnownLink, Matched, Matcher};
use crate::plan::{PlanWriter, Reason};
use crate::planner;
use crate::planner::{Agreed, Group};
use crate::planning::draft::Seen;
use crate::planning::ended::ended;
use crate::planning::make::{Making, PlanningFault, inspected, unreadable};
use crate::rule::policy::Duplicates;
use crate::session::{Trouble, at, persist};
use crate::snapshot::{Entry, Rows};
use crate::state::{Link, State};
use crate::store::{Source, StoreError};

/// Both sides of a group while they are read.
struct Sides {
    /// Where the messages of each source folder stand among those of the group.
    places: Vec<Range<usize>>,
    folders: Vec<(Opened, FolderRows)>,
    there: Option<(Opened, FolderRows)>,
    rows: (Rows, Rows),
}

impl Sides {
    /// Reads the keys of messages of which only a link told what they are that has ended since.
    fn read_ended(
        &mut self,
        state: &mut dyn State,
        (source, destination): (&mut (dyn Source + 'static), &mut (dyn Source + 'static)),
        known: &[KnownLink],
    ) -> Result<(), Trouble<PlanningFault>> {
        let (here, there) = (&mut self.rows.0.entries, &mut self.rows.1.entries);
        let ended = ended(known, here, there);
        let folders = (0_u16..).zip(&self.places).zip(&mut self.folders);
        for ((number, place), (opened, read)) in folders {
            let Some(uids) = ended.source.get(&number) else { continue };
            let entries = &mut here[place.clone()];
            inspect::keys(source, opened, uids, Some(state), entries, read)
                .map_err(inspected(Side::Source))?;
        }
        if let Some((opened, read)) = &mut self.there {
            let uids = &ended.destination;
            inspect::keys(destination, opened, uids, Some(state), there, read)
                .map_err(inspected(Side::Destination))?;
        }
        Ok(())
    }
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
        self.draft.put(&group, seen, &matched, writer)
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
        self.draft.notes.push(format!("{}: cannot be read at the {side}: {error}", group.name));
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
        let first_only = self.draft.rules.messages.duplicates == Duplicates::First;
        let (source, destination) = self.reading.both()?;
        let append_limit = destination.abilities().append_limit;
        let opened_there = if group.exists {
            let opened = inspect::open(destination, there, &group.wire, Some(self.draft.state))
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
            let opened = match inspect::open(source, here, &folder.wire, Some(self.draft.state)) {
                Err(inspect::InspectError::Store(StoreError::Refused(_))) => return Ok(Err(place)),
                other => other.map_err(inspected(Side::Source))?,
            };
            let mut linked = UidSet::new();
            if let Some(opened_there) = &opened_there {
                let mut take = |link: Link| {
                    let Link { source, destination, digest, basis, flags, .. } = link;
                    linked.insert(source);
                    linked_there.extend(destination);
                    let seen = Fingerprint { digest, basis };
                    known.push(KnownLink { folder: number, source, destination, seen });
                    if let Some(flags) = flags {
                        agreed.insert(number, source, &flags);
                    }
                };
                let relinked = inspect::links(
                    self.draft.state,
                    source,
                    &opened,
                    destination,
                    opened_there,
                    &mut take,
                )
                .map_err(inspected(Side::Source))?;
                if relinked.is_some() {
                    let name = &folder.name;
                    self.draft.notes.push(format!(
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
            let read = inspect::rows(
                source,
                &opened,
                number,
                headers,
                Some(self.draft.state),
                &mut rows.0,
            )
            .map_err(inspected(Side::Source))?;
            if let Some(keys) = &self.draft.rules.messages.search {
                let found = source.search(&folder.wire, keys).map_err(at(Side::Source))?;
                let entries = rows.0.entries[begin..].iter_mut();
                entries.filter(|entry| !found.contains(entry.uid())).for_each(Entry::set_not_found);
            }
            places.push(begin..rows.0.entries.len());
            folders.push((opened, read));
        }
        let destination_seen = match opened_there {
            Some(opened) => {
                // Equal flags have equal numbers on both sides.
                rows.1.flags.clone_from(&rows.0.flags);
                let headers =
                    if first_only { HeaderUse::Key } else { HeaderUse::KeyExcept(&linked_there) };
                let read = inspect::rows(
                    destination,
                    &opened,
                    0,
                    headers,
                    Some(self.draft.state),
                    &mut rows.1,
                )
                .map_err(inspected(Side::Destination))?;
                Some((opened, read))
            }
            None => None,
        };
        let mut sides = Sides { places, folders, there: destination_seen, rows };
        let looks = (source, destination);
        sides.read_ended(self.draft.state, looks, &known)?;
        let Sides { folders, there: destination_seen, mut rows, .. } = sides;
        planner::mark_left_out(self.draft.rules, &mut rows.0);
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
        let options = planner::matching_options(self.draft.rules, group, self.draft.sizes);
        let wires: Vec<WireName> = group.sources.iter().map(|folder| folder.wire.clone()).collect();
        let wires = Wires { source: &wires, destination: &group.wire };
        let matcher = Matcher::new(entries.0, entries.1, known, options);
        let (source, destination) = self.reading.both()?;
        let matched = inspect::decide(matcher, source, destination, &wires)
            .map_err(|(side, error)| Trouble::Store(side, error))?;
        self.draft.sizes = self.draft.sizes.and(matched.sizes());
        Ok(matched)
    }
}

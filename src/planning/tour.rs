//! Many groups of folders read in passing, both sides at the same time.
//!
//! What is usual needs one look: a folder that has no copy yet, or one whose every copy is known. Such
//! groups are planned as they come. A group that would need more, such as headers to match by, and any
//! in which something is not as state has it, is read again by itself.

use std::panic::resume_unwind;
use std::thread;

use crate::identity::Fingerprint;
use crate::inspect::{Expected, FolderRows, Glimpse, Glimpses, KnownBy, Opened, Outline, SideSeen};
use crate::mail::{Side, UidSet, WireName};
use crate::matching::{Fate, KnownLink, Matched, Matcher, Step};
use crate::plan::PlanWriter;
use crate::planner;
use crate::planner::{Agreed, Group};
use crate::planning::dates::{MESSAGES_MAX, Waiting};
use crate::planning::draft::{Draft, Seen};
use crate::planning::make::{Making, PlanningFault};
use crate::planning::queue::Queue;
use crate::rule::MessageRules;
use crate::rule::policy::Duplicates;
use crate::snapshot::Rows;
use crate::state::{FolderId, Link, State, StateError};
use crate::store::{Source, StoreError, Survey};

/// Groups of one tour: what is known of them beforehand is held.
const GROUPS_MAX: usize = 200;

/// Links of one tour.
const LINKS_MAX: usize = 50_000;

/// So many messages are worth a round trip more, in which the dates of those are asked for that a plan
/// names one by one.
const UNDATED_WORTH: u64 = 20_000;

/// What came of a tour.
#[derive(Default)]
pub(super) struct Toured {
    /// The groups that were planned, from the first on: whether each is left out because no message
    /// of it is selected.
    pub skipped: Vec<bool>,
    /// It ended before its time.
    pub surprised: bool,
}

/// A group before it is read.
struct Sketch {
    sources: Vec<Outline>,
    destination: Option<Outline>,
    /// Dates of its messages are asked for later, of those that the plan names.
    is_undated: bool,
}

/// A folder that was read.
type Read = (Opened, FolderRows);

/// Both sides as they were listed.
type Sides<'a> = (&'a SideSeen, &'a SideSeen);

impl Making<'_> {
    /// Plans groups from the first on, until one is met for which a look in passing does not suffice.
    pub(super) fn tour(
        &mut self,
        groups: &[Group],
        sides: Sides<'_>,
        writer: &mut PlanWriter,
    ) -> Result<Toured, PlanningFault> {
        let stop = self.reading.stop();
        let (source, destination) = self.reading.both()?;
        let known_by = (
            known_by(source.abilities().object_id, sides.0),
            known_by(destination.abilities().object_id, sides.1),
        );
        let append_limit = destination.abilities().append_limit;
        let is_undated = (source.is_near() || messages_of(groups) >= UNDATED_WORTH)
            && groups.first().is_some_and(may_wait);
        let (sketches, known) = self.draft.sketches(groups, sides, known_by, is_undated)?;
        let mut toured = Toured::default();
        if sketches.is_empty() {
            return Ok(toured);
        }
        let is_undated = sketches.iter().any(|sketch| sketch.is_undated);
        self.draft.waiting = is_undated.then(Waiting::default);
        let (from_source, from_destination) = (Queue::new(), Queue::new());
        let here = folders(groups, &sketches, Side::Source);
        let there = folders(groups, &sketches, Side::Destination);
        let (planned, read) = thread::scope(|scope| {
            let here = scope.spawn(|| read(source, &here, &from_source));
            let there = scope.spawn(|| read(destination, &there, &from_destination));
            let refusing = (from_source.refusing(), from_destination.refusing());
            let mut planned = Ok(());
            for ((group, sketch), known) in groups.iter().zip(&sketches).zip(known) {
                let Some(glimpsed) = glimpses(sketch, &from_source, &from_destination) else {
                    break;
                };
                if stop.requested() {
                    planned = Err(PlanningFault::Stopped);
                    break;
                }
                let seen = (glimpsed, known, append_limit);
                match self.draft.take((group, sketch), sides, seen, writer) {
                    Ok(Some(is_left_out)) => toured.skipped.push(is_left_out),
                    Ok(None) => break,
                    Err(fault) => {
                        planned = Err(fault);
                        break;
                    }
                }
            }
            drop(refusing);
            (planned, [(Side::Source, here.join()), (Side::Destination, there.join())])
        });
        let waiting = self.draft.waiting.take();
        planned?;
        for (side, read) in read {
            if let Err(error) = read.unwrap_or_else(|panic| resume_unwind(panic)) {
                // Whoever reads next connects anew, with the patience of the settings.
                self.reading.lose(side, error)?;
            }
        }
        if let Some(waiting) = waiting {
            self.put_dated(waiting, writer)?;
        }
        toured.surprised = toured.skipped.len() < sketches.len();
        Ok(toured)
    }
}

/// Tells whether the lines of a group are few enough to wait.
fn may_wait(group: &Group) -> bool {
    messages_of(std::slice::from_ref(group)) <= MESSAGES_MAX
}

/// How many messages the source folders of these groups hold, as far as the server told.
fn messages_of(groups: &[Group]) -> u64 {
    let sources = groups.iter().flat_map(|group| &group.sources);
    sources.filter_map(|source| source.messages).sum()
}

/// How many messages a folder holds, as far as it was listed.
fn messages_in(seen: &SideSeen, wire: &WireName) -> Option<u64> {
    let row = seen.listing.rows.iter().find(|row| row.name == *wire)?;
    row.status.as_ref()?.messages
}

/// What tells folders of a side apart that may have changed their names, as far as the listing shows.
fn known_by(has_mailbox_ids: bool, seen: &SideSeen) -> KnownBy {
    match (has_mailbox_ids, seen.alone.is_empty()) {
        (true, _) => KnownBy::MailboxId,
        (false, false) => KnownBy::UidValidity,
        (false, true) => KnownBy::Headers,
    }
}

/// The folders of one side, in the order in which they are read: name, number in the group, and what
/// is asked.
fn folders<'a>(
    groups: &'a [Group],
    sketches: &'a [Sketch],
    side: Side,
) -> Vec<(&'a WireName, u16, &'a Outline)> {
    let mut folders = Vec::new();
    for (group, sketch) in groups.iter().zip(sketches) {
        match side {
            Side::Source => {
                let wires = group.sources.iter().map(|folder| &folder.wire);
                let numbered = wires.zip(0_u16..).zip(&sketch.sources);
                folders.extend(numbered.map(|((wire, number), outline)| (wire, number, outline)));
            }
            Side::Destination => {
                folders.extend(sketch.destination.iter().map(|outline| (&group.wire, 0, outline)));
            }
        }
    }
    folders
}

/// Reads the folders of one side into its queue.
fn read(
    look: &mut dyn Source,
    folders: &[(&WireName, u16, &Outline)],
    queue: &Queue<Glimpse>,
) -> Result<(), StoreError> {
    let _ending = queue.ending();
    let surveys =
        folders.iter().map(|(folder, _, outline)| Survey { folder, parts: outline.parts() });
    let surveys: Vec<_> = surveys.collect();
    let numbered = folders.iter().map(|(_, number, outline)| (*number, outline.parts()));
    let mut make_room = || queue.wait_for_room();
    let mut take = |glimpse: Glimpse| {
        let messages = glimpse.messages();
        queue.push(glimpse, messages)
    };
    let mut sink = Glimpses::new(numbered.collect(), &mut make_room, &mut take);
    look.survey(&surveys, &mut sink)
}

/// What came of a group: its source folders, and the destination folder where there is one.
type Glimpsed = (Vec<Glimpse>, Option<Glimpse>);

/// Waits for all folders of a group; nothing if one does not come.
fn glimpses(
    sketch: &Sketch,
    source: &Queue<Glimpse>,
    destination: &Queue<Glimpse>,
) -> Option<Glimpsed> {
    let sources: Option<Vec<_>> = sketch.sources.iter().map(|_| source.pop()).collect();
    let there = match sketch.destination {
        Some(_) => Some(destination.pop()?),
        None => None,
    };
    Some((sources?, there))
}

impl Draft<'_> {
    /// Sketches groups from the first on, as many as can be read in passing.
    fn sketches(
        &mut self,
        groups: &[Group],
        sides: Sides<'_>,
        known_by: (KnownBy, KnownBy),
        is_undated: bool,
    ) -> Result<(Vec<Sketch>, Vec<Known>), PlanningFault> {
        let rules = &self.rules.messages;
        let mut sketches = (Vec::new(), Vec::new());
        if rules.search.is_some() || rules.duplicates == Duplicates::First {
            return Ok(sketches);
        }
        let (mut links, mut undated) = (0, 0);
        for group in groups.iter().take(GROUPS_MAX) {
            let Some((sketch, known)) = self.sketch(group, sides, known_by, is_undated)? else {
                break;
            };
            if sketch.is_undated {
                undated += messages_of(std::slice::from_ref(group));
                if undated > MESSAGES_MAX {
                    break;
                }
            }
            links += known.links.len();
            sketches.0.push(sketch);
            sketches.1.push(known);
            if links > LINKS_MAX {
                break;
            }
        }
        Ok(sketches)
    }

    /// Sketches a group; nothing where it is clear beforehand that headers are needed to match it.
    fn sketch(
        &mut self,
        group: &Group,
        (here, there): Sides<'_>,
        known_by: (KnownBy, KnownBy),
        is_undated: bool,
    ) -> Result<Option<(Sketch, Known)>, PlanningFault> {
        let destination = if group.exists {
            self.state.last_folder(Side::Destination, &group.wire)?
        } else {
            None
        };
        let mut known = Known::default();
        let mut copies = Expected { guess: destination, ..Expected::default() };
        let mut sources = Vec::new();
        for (folder, number) in group.sources.iter().zip(0_u16..) {
            let guess = self.state.last_folder(Side::Source, &folder.wire)?;
            let mut expected = Expected { guess, ..Expected::default() };
            if let (Some(here), Some(there)) = (guess, destination) {
                known.links(self.state, (number, here, there), &mut expected, &mut copies)?;
            }
            sources.push(expected);
        }
        let unlinked = |seen: &SideSeen, wire: &WireName, expected: &Expected| {
            Some(messages_in(seen, wire)? > expected.linked.len())
        };
        let mut new = group.sources.iter().zip(&sources);
        let new =
            new.any(|(folder, expected)| unlinked(here, &folder.wire, expected) == Some(true));
        let is_foreign = group.exists && unlinked(there, &group.wire, &copies) == Some(true);
        if new && is_foreign {
            return Ok(None);
        }
        let is_told_by_flags = is_told_by_flags(&self.rules.messages);
        if !is_told_by_flags {
            for expected in sources.iter_mut().chain([&mut copies]) {
                expected.linked = UidSet::new();
            }
        }
        // A message that goes to a folder without mail is compared with none.
        let is_fresh = !group.exists || messages_in(there, &group.wire) == Some(0);
        let is_undated = is_undated && is_fresh && is_told_by_flags;
        for expected in &mut sources {
            expected.is_undated = is_undated;
        }
        let sources: Result<_, _> =
            sources.into_iter().map(|expected| self.outline(expected, known_by.0)).collect();
        let destination = if group.exists { Some(self.outline(copies, known_by.1)?) } else { None };
        Ok(Some((Sketch { sources: sources?, destination, is_undated }, known)))
    }

    fn outline(&mut self, expected: Expected, known_by: KnownBy) -> Result<Outline, PlanningFault> {
        let known_by = match (known_by, expected.guess) {
            (KnownBy::UidValidity, Some(id)) if self.state.is_alone(id)? => KnownBy::UidValidity,
            (KnownBy::MailboxId, _) => KnownBy::MailboxId,
            _ => KnownBy::Headers,
        };
        Ok(Outline::new(expected, known_by, self.state)?)
    }

    /// Plans a group by what came of it; nothing where that does not suffice. Tells whether it is left
    /// out because no message of it is selected.
    fn take(
        &mut self,
        (group, sketch): (&Group, &Sketch),
        (here, there): Sides<'_>,
        ((glimpses, copies), known, append_limit): (Glimpsed, Known, Option<u64>),
        writer: &mut PlanWriter,
    ) -> Result<Option<bool>, PlanningFault> {
        let mut rows = Rows::default();
        let mut source = Vec::new();
        for ((folder, outline), glimpse) in group.sources.iter().zip(&sketch.sources).zip(glimpses)
        {
            let found = outline.conclude(glimpse, here, &folder.wire, self.state)?;
            let Some((opened, read, found)) = found else { return Ok(None) };
            rows.add(found);
            source.push((opened, read));
        }
        let (mut destination, mut copied) = (None, Rows::default());
        if let Some((outline, glimpse)) = sketch.destination.as_ref().zip(copies) {
            let found = outline.conclude(glimpse, there, &group.wire, self.state)?;
            let Some((opened, read, found)) = found else { return Ok(None) };
            copied = found;
            destination = Some((opened, read));
        }
        if self.has_links_that_were_not_read(sketch, &source, destination.as_ref())? {
            return Ok(None);
        }
        planner::mark_left_out(self.rules, &mut rows);
        let options = planner::matching_options(self.rules, group, self.sizes);
        let mut matcher = Matcher::new(rows.entries, copied.entries, &known.links, options);
        let Step::Done(matched) = matcher.step() else { return Ok(None) };
        if has_lost_a_copy(sketch, &matched) {
            return Ok(None);
        }
        self.sizes = self.sizes.and(matched.sizes());
        let tables = (rows.flags, copied.flags);
        let Known { agreed, links } = known;
        drop(links);
        let seen = Seen { source, destination, tables, agreed, append_limit };
        self.put(group, seen, &matched, writer).map(Some)
    }

    /// Tells whether there are links of a folder that state was not known to have: renamed, it is found
    /// by its MAILBOXID.
    fn has_links_that_were_not_read(
        &mut self,
        sketch: &Sketch,
        source: &[Read],
        destination: Option<&Read>,
    ) -> Result<bool, PlanningFault> {
        let Some((opened, _)) = destination else { return Ok(false) };
        let is_guessed = sketch.destination.as_ref().is_some_and(Outline::has_guess);
        let mut any = false;
        for ((here, _), outline) in source.iter().zip(&sketch.sources) {
            if let (Some(here), Some(there)) = (here.id, opened.id)
                && !(is_guessed && outline.has_guess())
            {
                self.state.each_link(here, there, &mut |_| any = true)?;
            }
        }
        Ok(any)
    }
}

/// Tells whether a message of which only the flags were read turns out to need more.
fn has_lost_a_copy(sketch: &Sketch, matched: &Matched) -> bool {
    matched.fates().any(|(entry, fate)| {
        let outline = sketch.sources.get(usize::from(entry.folder()));
        !matches!(fate, Fate::Linked(_)) && outline.is_some_and(|one| one.is_thin(entry.uid()))
    })
}

/// Tells whether the flags of a message that has a copy tell all that rules ask.
const fn is_told_by_flags(rules: &MessageRules) -> bool {
    rules.newer_than.is_none()
        && rules.older_than.is_none()
        && rules.since.is_none()
        && rules.before.is_none()
        && rules.larger_than.is_none()
        && rules.smaller_than.is_none()
}

/// What state knows of a group.
#[derive(Default)]
struct Known {
    links: Vec<KnownLink>,
    agreed: Agreed,
}

impl Known {
    /// Reads the links of a pair of folders, and what they say of either.
    fn links(
        &mut self,
        state: &mut dyn State,
        (number, here, there): (u16, FolderId, FolderId),
        source: &mut Expected,
        copies: &mut Expected,
    ) -> Result<(), StateError> {
        let (mut of_source, mut of_copies) = (Vec::new(), Vec::new());
        state.each_link(here, there, &mut |link| {
            let print = Fingerprint { digest: link.digest, basis: link.basis };
            of_source.push((link.source, print));
            of_copies.extend(link.destination.map(|uid| (uid, print)));
            let Link { source: uid, destination, flags, .. } = link;
            self.links.push(KnownLink { folder: number, source: uid, destination, seen: print });
            if let Some(flags) = flags {
                self.agreed.insert(number, uid, &flags);
            }
        })?;
        source.linked.extend(of_source.iter().map(|(uid, _)| *uid));
        of_copies.sort_unstable_by_key(|(uid, _)| *uid);
        copies.linked.extend(of_copies.iter().map(|(uid, _)| *uid));
        source.links.push(of_source);
        copies.links.push(of_copies);
        Ok(())
    }
}

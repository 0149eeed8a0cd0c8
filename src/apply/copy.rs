//! The copies section: folder by folder, pass by pass, until nothing is left that can be done.

use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use crate::apply::event::Event;
use crate::apply::fatal::Fatal;
use crate::apply::folders::{Absent, Later};
use crate::apply::group::{Group, PairTodo, Place};
use crate::apply::pass;
use crate::apply::pass::{Leg, Pass, Reading};
use crate::apply::run::Run;
use crate::apply::spelling::Spellings;
use crate::mail::{FlagSet, Side, UidOrder, UidSet, WireName};
use crate::plan::{FolderPair, Reason, Recipe};
use crate::session;
use crate::state::{FolderId, FolderKey};
use crate::store::{FolderState, Refusal, StoreError};

/// How many messages the first batch to a folder holds: they are read back before more goes in, so
/// that a server that changes what tells messages apart is noticed early.
pub(super) const FIRST_BATCH: u64 = 10;

/// How many messages a pass holds to a server that does not tell their UIDs.
const UNPLACED_AT_ONCE: u64 = 2_000;

/// A message that ends every connection is tried as often as any other, and first in company.
const STUCK_SLACK: u32 = 2;

/// After so many messages of somebody else that equal what we still had to copy the folder stops.
const FOREIGN_COPIES: u32 = 3;

/// What to do with a folder after one round.
enum Round {
    Again,
    /// Nothing but waiting is left, which other folders need not do, too.
    PutOff,
    Done,
}

/// How far a folder has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// All was done that can be done.
    Done,
    /// An append without a reply may still arrive: it goes on when the others of its lane are done.
    PutOff,
}

impl Run<'_> {
    /// The destination folders into which something is to be copied, or in which something is open, in
    /// the order of work.
    pub(super) fn groups(
        &mut self,
        spellings: &Spellings,
        later: &Later,
    ) -> Result<Vec<Group>, Fatal> {
        let mut groups = Vec::new();
        let wires = self.work.destination_wires();
        for (planned, pairs) in self.work.groups() {
            let Some(first) = pairs.first().and_then(|&pair| self.work.pair(pair)).cloned() else {
                continue;
            };
            let copies = pairs.iter().any(|pair| self.work.copies.contains_key(pair));
            if !copies && !self.is_unfinished(&first)? {
                continue;
            }
            let (wire, absent) = match (spellings.among(&planned, &wires), later.get(&planned)) {
                (Some(wire), _) => (wire, Absent::No),
                (None, Some(path)) => (planned, Absent::ToCreate(path.clone())),
                (None, None) => {
                    self.block_missing(&first, &pairs);
                    continue;
                }
            };
            let todo = self.todo(&pairs)?;
            let mut group = Group::new(wire, first.destination.name, todo);
            group.listed_empty = spellings.is_empty(&group.wire);
            group.absent = absent;
            groups.push(group);
        }
        Ok(groups)
    }

    /// Tells whether an earlier run left something open in a folder into which nothing is to be copied
    /// any more.
    fn is_unfinished(&mut self, pair: &FolderPair) -> Result<bool, Fatal> {
        let Some(seen) = &pair.destination.seen else { return Ok(false) };
        let folder = self.state.folder(&FolderKey {
            side: Side::Destination,
            wire: pair.destination.wire.clone(),
            uid_validity: seen.uid_validity,
            mailbox_id: seen.mailbox_id.clone(),
        })?;
        Ok(!self.state.open_intents(folder)?.is_empty() || !self.state.resent(folder)?.is_empty())
    }

    /// The destination folder is not there: it was deleted since the plan saw it, or could not be made.
    fn block_missing(&mut self, first: &FolderPair, pairs: &[u32]) {
        let (reason, said) = if first.destination.seen.is_some() {
            self.done.stale = true;
            (Reason::FolderStale, Some("the destination folder is gone".to_owned()))
        } else {
            (Reason::FolderRefused, self.said_of_folder(&first.destination.wire))
        };
        for &pair in pairs {
            self.block_pair(pair, reason, said.clone());
        }
    }

    fn todo(&mut self, pairs: &[u32]) -> Result<Vec<PairTodo>, Fatal> {
        let mut todo = Vec::new();
        for &number in pairs {
            let Some(pair) = self.work.pair(number).cloned() else { continue };
            let source_folder = self.state.folder(&FolderKey {
                side: Side::Source,
                wire: pair.source.wire.clone(),
                uid_validity: pair.source.seen.uid_validity,
                mailbox_id: pair.source.seen.mailbox_id.clone(),
            })?;
            todo.push(PairTodo {
                sets: self.work.copies.get(&number).cloned().unwrap_or_default(),
                pair,
                source_folder,
                waiting: BTreeMap::new(),
                released: UidSet::new(),
                strikes: BTreeMap::new(),
                company: BTreeMap::new(),
                dates: BTreeMap::new(),
                undated: UidSet::new(),
                furthest: None,
                copied: 0,
                items: 0,
                announced: false,
            });
        }
        Ok(todo)
    }

    /// Copies into one folder with care: whatever happens is looked at before anything is done about
    /// it. A folder in which there is nothing to do but to wait is put off once.
    pub(super) fn copy_group(&mut self, group: &mut Group) -> Result<Course, Fatal> {
        loop {
            if self.is_to_stop() {
                return Err(Fatal::Stopped);
            }
            self.mind_the_items()?;
            match self.round(group) {
                Ok(Round::Done) => break,
                Ok(Round::Again) => {}
                Ok(Round::PutOff) => return Ok(Course::PutOff),
                Err(Trouble::Fatal(fatal)) => return Err(fatal),
                Err(Trouble::Store(side, error)) => {
                    let dead = match side {
                        Side::Source => self.source.note(&error),
                        Side::Destination => self.destination.note(&error),
                    };
                    group.stuck += 1;
                    // A replaced folder is told apart when it is opened again; a server that asks for
                    // patience is given it.
                    let patience = error.backoff().filter(|_| !dead);
                    let again = dead || matches!(error, StoreError::Replaced) || patience.is_some();
                    if let Some(time) = patience {
                        session::sleep(&self.patience(), time);
                    }
                    if !again || group.stuck > self.settings.retries + STUCK_SLACK {
                        self.give_up(group, side, &error);
                        break;
                    }
                }
            }
        }
        self.tell_what_is_not_visible(group);
        self.look_for_surplus(group).map(|()| Course::Done)
    }

    /// Opens both ends, looks, and moves the next messages.
    fn round(&mut self, group: &mut Group) -> Result<Round, Trouble> {
        self.create_absent(slice::from_mut(group))?;
        if matches!(group.absent, Absent::Refused) {
            return Ok(Round::Done);
        }
        let wire = group.wire.clone();
        let opened = match self.destination()?.open(&wire) {
            Err(StoreError::Refused(refusal)) if self.is_gone(&wire, &refusal)? => {
                self.stale(group, "the destination folder is gone");
                return Ok(Round::Done);
            }
            opened => opened.map_err(at(Side::Destination))?,
        };
        let opened = if opened.messages == 0 && group.place.is_none() && group.has_work() {
            self.destination()?.prepare(&wire).map_err(at(Side::Destination))?
        } else {
            opened
        };
        if !group.is_same(&opened) {
            self.stale(group, "the destination folder is another one than the plan saw");
            return Ok(Round::Done);
        }
        if !self.place(group, &opened)? {
            self.stale(group, "the destination folder was put back to an earlier state");
            return Ok(Round::Done);
        }
        if !self.knows_identity_is_kept(group)? {
            self.identity_is_not_kept(group);
            return Ok(Round::Done);
        }
        self.settle(group, &opened)?;
        self.note_height(group, &opened)?;
        if group.foreign >= FOREIGN_COPIES {
            self.done.somebody_else = true;
            self.block_rest(group, Reason::SomebodyElseCopies, None);
            return Ok(Round::Done);
        }
        if !self.read_back(group)? {
            self.identity_is_not_kept(group);
            return Ok(Round::Done);
        }
        if self.quota.is_full() {
            self.done.quota = true;
            self.block_rest(group, Reason::Quota, None);
            return Ok(Round::Done);
        }
        self.date_the_undated(group)?;
        let Some((index, uids, recipe)) = group.next_set() else {
            return self.wait_for_late_ones(group);
        };
        if !self.source_is_same(group, index)? {
            return Ok(Round::Again);
        }
        self.announce(group, index);
        self.pass(group, index, uids, recipe)?;
        Ok(Round::Again)
    }

    /// Asks state whether the folder keeps what tells messages apart; false where it is known not to.
    pub(super) fn knows_identity_is_kept(&mut self, group: &mut Group) -> Result<bool, Trouble> {
        let (Some(place), false) = (&group.place, group.proved) else { return Ok(true) };
        let kept = self.state.identity_kept(place.folder)?;
        // It was read back once, and need not be again.
        group.proved = kept == Some(true);
        Ok(kept != Some(false))
    }

    /// Tells whether a folder that was not opened is there no more. Not every server says so with a code.
    fn is_gone(&mut self, wire: &WireName, refusal: &Refusal) -> Result<bool, Trouble> {
        if refusal.folder_is_gone() || refusal.asks_for_patience() || wire.is_inbox() {
            return Ok(refusal.folder_is_gone());
        }
        let listing = self.destination()?.list().map_err(at(Side::Destination))?;
        Ok(listing.rows.iter().all(|row| row.name != *wire))
    }

    /// Books what the folder is, the first time it is opened. Tells whether it is in the state that it
    /// was left in, or a later one.
    pub(super) fn place(
        &mut self,
        group: &mut Group,
        opened: &FolderState,
    ) -> Result<bool, Trouble> {
        if group.place.is_some() {
            return Ok(true);
        }
        let folder = self.state.folder(&FolderKey {
            side: Side::Destination,
            wire: group.wire.clone(),
            uid_validity: opened.uid_validity,
            mailbox_id: opened.mailbox_id.clone(),
        })?;
        if self.was_put_back(group, folder, opened)? {
            return Ok(false);
        }
        self.note_alone(group, folder, opened)?;
        group.place = Some(Place {
            folder,
            uid_validity: opened.uid_validity,
            mailbox_id: opened.mailbox_id.clone(),
            permanent: opened.permanent_flags.clone(),
            from: group.planned_from(),
            told_uid_next: opened.uid_next,
            expected_messages: group.planned_messages(),
        });
        let known = self.take_off_what_is_linked(group);
        if known.is_err() {
            // Nothing is known of the folder unless all is.
            group.place = None;
        }
        known.map(|()| true)
    }

    /// Notes that a folder that this run made has its UIDVALIDITY alone, if it has, so that the next plan
    /// need not read headers to know it again.
    fn note_alone(
        &mut self,
        group: &Group,
        folder: FolderId,
        opened: &FolderState,
    ) -> Result<(), Trouble> {
        let is_new = group.is_made() && opened.messages == 0 && opened.mailbox_id.is_none();
        if is_new && self.state.highest_stored(folder)?.is_none() {
            // Held, so that no lane that makes another folder comes in between.
            let folders = self.tallies.folders();
            if folders.alone.contains(&opened.uid_validity) {
                self.state.set_alone(folder, true)?;
            }
        }
        Ok(())
    }

    fn source_is_same(&mut self, group: &mut Group, index: usize) -> Result<bool, Trouble> {
        let pair = &group.pairs[index].pair;
        let (wire, seen) = (pair.source.wire.clone(), pair.source.seen.clone());
        let opened = match self.source()?.open(&wire) {
            Ok(opened) => opened,
            Err(error @ StoreError::Refused(_)) => {
                let said = crate::apply::said(&error);
                self.block_one_pair(group, index, Reason::FolderUnreadable, Some(said));
                return Ok(false);
            }
            Err(error) => return Err(Trouble::Store(Side::Source, error)),
        };
        let same_id = match (&seen.mailbox_id, &opened.mailbox_id) {
            (Some(planned), Some(now)) => planned == now,
            _ => true,
        };
        if seen.uid_validity == opened.uid_validity && same_id {
            return Ok(true);
        }
        self.done.stale = true;
        let said = Some("the source folder is another one than the plan saw".to_owned());
        self.block_one_pair(group, index, Reason::FolderStale, said);
        Ok(false)
    }

    pub(super) fn announce(&mut self, group: &mut Group, index: usize) {
        let todo = &mut group.pairs[index];
        if !todo.announced {
            todo.announced = true;
            let messages = todo.sets.iter().map(|set| set.uids.len()).sum();
            let octets = todo.sets.iter().map(|set| set.octets).sum();
            let source = &todo.pair.source.name;
            self.watch.event(&Event::Folder { source, messages, octets });
        }
    }

    /// Nothing can be sent now: waits for appends that may still arrive, at the end of the queue (safety
    /// law R2), or ends the folder.
    fn wait_for_late_ones(&mut self, group: &mut Group) -> Result<Round, Trouble> {
        if group.must_look {
            return Ok(Round::Again);
        }
        if group.look_a_last_time() {
            return Ok(Round::Again);
        }
        if group.next_settled(self.settings.settle).is_none() {
            return Ok(Round::Done);
        }
        if !std::mem::replace(&mut group.was_put_off, true) {
            return Ok(Round::PutOff);
        }
        self.wait_for(group)?;
        Ok(Round::Again)
    }

    /// Waits until the first append to a folder that may still arrive is taken for lost.
    pub(super) fn wait_for(&mut self, group: &Group) -> Result<(), Fatal> {
        let settled = group.next_settled(self.settings.settle).unwrap_or_default();
        let left = settled.saturating_sub(self.clock.elapsed());
        if left.is_zero() {
            return Ok(());
        }
        let time = left + Duration::from_millis(20);
        let why = "an append without a reply may still arrive";
        self.watch.event(&Event::Waiting { why, time });
        let began = self.clock.elapsed();
        session::sleep(&self.patience(), time);
        self.done.waited += self.clock.elapsed().saturating_sub(began);
        if self.is_to_stop() { Err(Fatal::Stopped) } else { Ok(()) }
    }

    fn pass(
        &mut self,
        group: &mut Group,
        index: usize,
        uids: UidSet,
        recipe: u32,
    ) -> Result<(), Trouble> {
        let Some(recipe) = self.work.recipe(recipe) else { return Ok(()) };
        let Some(target) = group.target() else { return Ok(()) };
        let first = !group.proved && group.first.is_empty();
        // Where the server tells no UIDs they are looked up after the pass, all in memory.
        let tells_uids = self.destination()?.abilities().uid_plus;
        let order = group.pairs[index].pair.order;
        let uids = match (first, tells_uids) {
            (true, _) => first_of(order, &uids, FIRST_BATCH),
            (false, false) => first_of(order, &uids, UNPLACED_AT_ONCE),
            (false, true) => uids,
        };
        let keep = if first { usize::try_from(FIRST_BATCH).unwrap_or(10) } else { 0 };
        let todo = &group.pairs[index];
        let planned = todo.sets.iter().flat_map(|set| set.flags.iter().cloned());
        let flags = planned.collect::<FlagSet>().difference(&recipe.drop_flags);
        let legs = [Leg { uids, flags, keep, ..leg((0, index), todo, recipe) }];
        let pass = self.pass_of(&legs, Reading::Insisting);
        let memory = self.settings.memory;
        let (source, destination, with) = self.parts()?;
        let ended = pass::read_beside(slice::from_ref(&pass), memory, source, |pipe, reads| {
            let written = pass.write(pipe, vec![Some(target)], destination, None, with);
            // What is still on its way is of no use: the reader need not wait.
            pipe.abandon();
            Ok::<_, Trouble>(pass::ended(&legs, reads.of(&pass), written?))
        })?;
        self.book(group, index, ended)
    }

    /// A pass over these legs, in this run.
    pub(super) fn pass_of<'a>(&self, legs: &'a [Leg<'a>], reading: Reading) -> Pass<'a> {
        Pass { legs, reading, run: self.id, now: self.clock.now() }
    }

    pub(super) fn tell_done(&mut self, group: &Group) {
        for todo in group.pairs.iter().filter(|todo| todo.announced) {
            let (source, copied, items) = (&todo.pair.source.name, todo.copied, todo.items);
            self.watch.event(&Event::FolderDone { source, copied, items });
        }
    }
}

/// What goes wrong within a folder.
pub(super) enum Trouble {
    /// One side's call failed.
    Store(Side, StoreError),
    /// The run ends.
    Fatal(Fatal),
}

impl From<Fatal> for Trouble {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<crate::state::StateError> for Trouble {
    fn from(fault: crate::state::StateError) -> Self {
        Self::Fatal(Fatal::State(fault))
    }
}

/// Marks a fault with its side.
pub(super) fn at(side: Side) -> impl Fn(StoreError) -> Trouble {
    move |error| Trouble::Store(side, error)
}

/// A leg of a pass, without messages.
pub(super) fn leg<'a>(place: (usize, usize), todo: &PairTodo, recipe: &'a Recipe) -> Leg<'a> {
    let source = &todo.pair.source;
    Leg {
        place,
        source_wire: source.wire.clone(),
        source_folder: todo.source_folder,
        source_identity: (source.seen.uid_validity, source.seen.mailbox_id.clone()),
        uids: UidSet::new(),
        order: todo.pair.order,
        recipe,
        flags: FlagSet::new(),
        dates: todo.dates.clone(),
        company: todo.company.clone(),
        keep: 0,
    }
}

pub(super) fn first_of(order: UidOrder, uids: &UidSet, count: u64) -> UidSet {
    order.iter(uids).take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
}

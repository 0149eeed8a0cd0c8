//! The copies section: folder by folder, pass by pass, until nothing is left that can be done.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::apply::event::Event;
use crate::apply::fatal::Fatal;
use crate::apply::group::{Group, PairTodo, Place};
use crate::apply::pass::Pass;
use crate::apply::run::Run;
use crate::apply::spelling::Spellings;
use crate::mail::{Side, UidSet};
use crate::plan::{FolderPair, Reason};
use crate::session;
use crate::state::FolderKey;
use crate::store::{FolderState, StoreError};

/// How many messages the first batch to a folder holds: they are read back before more goes in, so
/// that a server that changes what tells messages apart is noticed early.
const FIRST_BATCH: u64 = 10;

/// How many messages a pass holds to a server that does not tell their UIDs.
const UNPLACED_AT_ONCE: u64 = 2_000;

/// A message that ends every connection is tried as often as any other, and first in company.
const STUCK_SLACK: u32 = 2;

/// After so many messages of somebody else that equal what we still had to copy the folder stops.
const FOREIGN_COPIES: u32 = 3;

/// What to do with a folder after one round.
enum Round {
    Again,
    Done,
}

impl Run<'_> {
    /// Copies everything.
    pub(super) fn copy_all(&mut self, spellings: &Spellings) -> Result<(), Fatal> {
        let mut resent = Vec::new();
        let groups = self.work.groups();
        let wires = self.work.destination_wires();
        for (planned, pairs) in groups {
            let Some(first) = pairs.first().and_then(|&pair| self.work.pair(pair)).cloned() else {
                continue;
            };
            let copies = pairs.iter().any(|pair| self.work.copies.contains_key(pair));
            if !copies && !self.is_unfinished(&first)? {
                continue;
            }
            let Some(wire) = spellings.among(&planned, &wires) else {
                self.block_missing(&first, &pairs);
                continue;
            };
            let todo = self.todo(&pairs)?;
            let mut group = Group::new(wire, first.destination.name, todo);
            let done = self.copy_group(&mut group);
            self.tell_done(&group);
            done?;
            if !group.resent.is_empty() {
                resent.push(group);
            }
        }
        // Once more when all is done: an append that was thought lost may have arrived by now.
        for group in &mut resent {
            self.look_for_surplus(group)?;
            self.forget_what_never_came(group)?;
        }
        Ok(())
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
        let (reason, said) = match first.destination.seen {
            Some(_) => {
                self.done.stale = true;
                (Reason::FolderStale, Some("the destination folder is gone".to_owned()))
            }
            None => (Reason::FolderRefused, self.refused.get(&first.destination.wire).cloned()),
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
                sets: self.work.copies.remove(&number).unwrap_or_default(),
                pair,
                source_folder,
                waiting: BTreeMap::new(),
                released: UidSet::new(),
                strikes: BTreeMap::new(),
                dates: BTreeMap::new(),
                undated: UidSet::new(),
                copied: 0,
                items: 0,
                announced: false,
            });
        }
        Ok(todo)
    }

    fn copy_group(&mut self, group: &mut Group) -> Result<(), Fatal> {
        loop {
            if self.stop.requested() {
                return Err(Fatal::Stopped);
            }
            self.mind_the_items()?;
            match self.round(group) {
                Ok(Round::Done) => break,
                Ok(Round::Again) => {}
                Err(Trouble::Fatal(fatal)) => return Err(fatal),
                Err(Trouble::Store(side, error)) => {
                    let dead = match side {
                        Side::Source => self.source.note(&error),
                        Side::Destination => self.destination.note(&error),
                    };
                    group.stuck += 1;
                    // A replaced folder is told apart when it is opened again.
                    let again = dead || matches!(error, StoreError::Replaced);
                    if !again || group.stuck > self.settings.retries + STUCK_SLACK {
                        self.give_up(group, side, &error);
                        break;
                    }
                }
            }
        }
        self.tell_what_is_not_visible(group);
        self.look_for_surplus(group)
    }

    /// Opens both ends, looks, and moves the next messages.
    fn round(&mut self, group: &mut Group) -> Result<Round, Trouble> {
        let wire = group.wire.clone();
        let opened = match self.destination()?.open(&wire) {
            Err(StoreError::Refused(refusal)) if refusal.folder_is_gone() => {
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
        if let (Some(place), false) = (&group.place, group.proved) {
            match self.state.identity_kept(place.folder)? {
                // It was read back once, and need not be again.
                Some(true) => group.proved = true,
                Some(false) => {
                    self.identity_is_not_kept(group);
                    return Ok(Round::Done);
                }
                None => {}
            }
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

    /// Books what the folder is, the first time it is opened. Tells whether it is in the state that it
    /// was left in, or a later one.
    fn place(&mut self, group: &mut Group, opened: &FolderState) -> Result<bool, Trouble> {
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

    fn announce(&mut self, group: &mut Group, index: usize) {
        let todo = &mut group.pairs[index];
        if !todo.announced {
            todo.announced = true;
            let messages = todo.sets.iter().map(|set| set.uids.len()).sum();
            let octets = todo.sets.iter().map(|set| set.octets).sum();
            let source = &todo.pair.source.name;
            self.watch.event(&Event::Folder { source, messages, octets });
        }
    }

    /// Nothing can be sent now: waits for appends that may still arrive, or ends the folder.
    fn wait_for_late_ones(&mut self, group: &mut Group) -> Result<Round, Trouble> {
        if group.must_look {
            return Ok(Round::Again);
        }
        if group.look_a_last_time() {
            return Ok(Round::Again);
        }
        let Some(settled) = group.next_settled(self.settings.settle) else {
            return Ok(Round::Done);
        };
        let time = settled.saturating_sub(self.clock.elapsed()) + Duration::from_millis(20);
        let why = "an append without a reply may still arrive";
        self.watch.event(&Event::Waiting { why, time });
        let began = self.clock.elapsed();
        session::sleep(&self.patience(), time);
        self.done.waited += self.clock.elapsed().saturating_sub(began);
        if self.stop.requested() {
            return Err(Trouble::Fatal(Fatal::Stopped));
        }
        Ok(Round::Again)
    }

    fn pass(
        &mut self,
        group: &mut Group,
        index: usize,
        uids: UidSet,
        recipe: u32,
    ) -> Result<(), Trouble> {
        let Some(recipe) = self.work.recipe(recipe).cloned() else { return Ok(()) };
        let (Some(target), Some(place)) = (group.target(index, self.id), group.place.clone())
        else {
            return Ok(());
        };
        let first = !group.proved && group.first.is_empty();
        // Where the server tells no UIDs they are looked up after the pass, all in memory.
        let tells_uids = self.destination()?.abilities().uid_plus;
        let uids = match (first, tells_uids) {
            (true, _) => first_of(&uids, FIRST_BATCH),
            (false, false) => first_of(&uids, UNPLACED_AT_ONCE),
            (false, true) => uids,
        };
        let now = self.clock.now();
        let memory = self.settings.memory;
        let both = self.both()?;
        let todo = &group.pairs[index];
        let pass = Pass {
            source_wire: &todo.pair.source.wire,
            uids: &uids,
            recipe: &recipe,
            permanent: &place.permanent,
            dates: &todo.dates,
            target,
            keep: if first { usize::try_from(FIRST_BATCH).unwrap_or(10) } else { 0 },
            memory,
            now,
        };
        let ended = pass.run(both)?;
        self.book(group, index, ended)
    }

    fn tell_done(&mut self, group: &Group) {
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

fn first_of(uids: &UidSet, count: u64) -> UidSet {
    uids.iter().take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
}

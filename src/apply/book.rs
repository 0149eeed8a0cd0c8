//! Booking: what a pass did, what it left, and what needs a reader.

use std::time::Duration;

use crate::apply::copy::{Trouble, at};
use crate::apply::group::{Group, Resent, Unplaced, Waiting};
use crate::apply::outlet::{Passed, Refused, Sent};
use crate::apply::pass::{Ended, LegEnded};
use crate::apply::placing::Placing;
use crate::apply::run::{Run, folder_item};
use crate::apply::tally::Note;
use crate::mail::{Side, Uid, UidSet};
use crate::plan::Reason;
use crate::session;
use crate::state::Item;
use crate::store::{MissingWhy, Refusal, ResponseCode, StoreError};

/// How long a server that asks for patience is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What booking a leg has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Booked {
    /// Less is left to do than before.
    pub moved: bool,
    /// Something was heard that explains why not.
    pub told: bool,
}

impl Run<'_> {
    /// Books a pass of one folder pair by itself.
    pub(super) fn book(
        &mut self,
        group: &mut Group,
        index: usize,
        ended: Ended,
    ) -> Result<(), Trouble> {
        let Ended { legs, cut_short, fetched, appended } = ended;
        let (mut moved, mut told) = (false, cut_short);
        for leg in legs {
            told |= leg.fetched.as_ref().is_none_or(|outcome| !outcome.missing.is_empty());
            let booked = self.book_leg(group, index, leg, fetched.is_err());
            moved |= booked.moved;
            told |= booked.told;
        }
        group.stuck = if moved { 0 } else { group.stuck };
        appended.map_err(at(Side::Destination))?;
        fetched.map_err(at(Side::Source))?;
        if moved || told || group.must_look {
            return Ok(());
        }
        // Asking the same for ever would be the answer to a server that never answers it.
        let nothing = "it neither gave nor refused what was asked for".to_owned();
        Err(Trouble::Store(Side::Source, StoreError::Protocol(nothing)))
    }

    /// Books what became of one leg of a pass.
    pub(super) fn book_leg(
        &mut self,
        group: &mut Group,
        index: usize,
        ended: LegEnded,
        is_cut: bool,
    ) -> Booked {
        let LegEnded { fed, fetched, mut passed, placing } = ended;
        let stored = !passed.stored.is_empty();
        let moved =
            stored || !fed.left.is_empty() || !fed.blocked.is_empty() || !fed.undated.is_empty();
        self.done.copied += passed.stored.len();
        self.done.octets += passed.stored_octets;
        self.note(group, Reason::FlagsNotKept, passed.lossy, None);
        self.note(group, Reason::DatesNotKept, fed.redated, Some("no date that can be sent"));
        let todo = &mut group.pairs[index];
        todo.copied += passed.stored.len();
        self.done.out_of_order += todo.came_late(&passed.stored, &passed.late);
        todo.take_off(&passed.stored);
        todo.take_off(&fed.left);
        self.done.leave_out(Reason::MarkedDeleted, fed.left.len());
        todo.undated = fed.undated;
        let refused = std::mem::take(&mut passed.refused);
        let together = std::mem::take(&mut passed.refused_together);
        for (uid, company) in std::mem::take(&mut passed.company) {
            todo.released.remove(uid);
            todo.company.insert(uid, company);
        }
        let told = !refused.is_empty() || !together.is_empty();
        if let Some(placing) = &placing {
            self.book_what_is_to_be_looked_at(group, index, passed, placing);
        }
        for blocked in fed.blocked {
            let item = Item {
                folder: group.pairs[index].pair.source.name.clone(),
                side: Side::Source,
                uid: Some(blocked.uid),
                date: blocked.date,
                octets: Some(blocked.octets),
                reason: blocked.reason,
                said: None,
            };
            self.item_of(group, index, blocked.uid, item);
        }
        self.book_refused_together(group, &together);
        for refused in refused {
            group.pairs[index].released.remove(refused.passenger.uid);
            group.must_look |= !refused.refusal.proves_not_stored();
            self.book_refusal(group, index, &refused);
        }
        if let (Some(broken), true) = (fed.broken, is_cut) {
            self.strike(group, index, broken, Reason::WithheldBySource, None);
        }
        for missing in fetched.iter().flat_map(|outcome| &outcome.missing) {
            self.book_missing(group, index, missing.uid, missing.why);
        }
        Booked { moved, told }
    }

    /// Books what the next look has to settle: appends without an outcome, messages without a UID, UIDs
    /// that are not ours or cannot be believed.
    fn book_what_is_to_be_looked_at(
        &mut self,
        group: &mut Group,
        index: usize,
        passed: Passed,
        placing: &Placing,
    ) {
        let now = self.clock.elapsed();
        let todo = &mut group.pairs[index];
        for lost in &passed.lost {
            todo.released.remove(lost.uid);
            todo.strike(lost.uid, None);
            if lost.may_arrive {
                todo.waiting.insert(lost.uid, Waiting { since: now });
            }
        }
        group.must_look |=
            !passed.lost.is_empty() || !passed.unplaced.is_empty() || placing.is_over();
        group.gap = group.gap.into_iter().chain(placing.gap).min();
        if let Some(from) = placing.gap {
            let recent = passed.recent.into_iter();
            group.resent.extend(recent.map(|source| Resent {
                pair: index,
                source,
                from,
                earlier: false,
                named: false,
            }));
        }
        group.distrusted_from = group.distrusted_from.or(placing.disorder);
        for (link, from) in passed.unplaced {
            group.unplaced.push(Unplaced { pair: index, link, from, looked: 0 });
        }
        let believed = placing.disorder.is_none();
        group.first.extend(passed.first.into_iter().map(|stored| {
            let at = stored.at.filter(|_| believed);
            Sent { at, ..stored }
        }));
        if let Some(place) = &mut group.place {
            place.expected_messages += passed.stored.len();
            if let (Some(highest), None) = (placing.highest, placing.gap) {
                place.from = place.from.max(highest.next());
            }
        }
    }

    fn note(&mut self, group: &Group, reason: Reason, messages: u64, detail: Option<&str>) {
        let detail = detail.map(str::to_owned);
        self.done.note(Note { folder: group.name.clone(), reason, messages, detail });
    }

    fn book_missing(&mut self, group: &mut Group, index: usize, uid: Uid, why: MissingWhy) {
        match why {
            MissingWhy::NotAsked => {}
            MissingWhy::Gone => {
                group.pairs[index].take_off(&one(uid));
                self.done.leave_out(Reason::GoneAtSource, 1);
            }
            MissingWhy::Withheld => {
                self.strike(group, index, uid, Reason::WithheldBySource, None);
            }
            MissingWhy::NoContent => self.strike(group, index, uid, Reason::NoContent, None),
        }
    }

    fn book_refusal(&mut self, group: &mut Group, index: usize, refused: &Refused) {
        let Refused { passenger, refusal } = refused;
        let said = Some(crate::apply::escape(&refusal.to_string()));
        if refusal.folder_is_gone() {
            self.stale(group, "the destination folder is gone");
            return;
        }
        let reason = match refusal.code {
            Some(ResponseCode::TooBig) => Reason::TooLarge,
            _ if refusal.is_quota() => Reason::Quota,
            _ => Reason::RefusedByDestination,
        };
        if refusal.proves_not_stored() {
            self.quota_or_item(group, index, passenger.uid, reason, said);
        } else if refusal.asks_for_patience() {
            session::sleep(&self.patience(), refusal.backoff().unwrap_or(PATIENCE));
            self.strike(group, index, passenger.uid, reason, said);
        } else {
            self.strike(group, index, passenger.uid, reason, said);
        }
    }

    /// Batches that were refused as one: nothing is said of a single message yet.
    fn book_refused_together(&mut self, group: &mut Group, refusals: &[Refusal]) {
        group.must_look |= refusals.iter().any(|refusal| !refusal.proves_not_stored());
        if refusals.iter().any(Refusal::folder_is_gone) {
            self.stale(group, "the destination folder is gone");
        } else if refusals.iter().any(Refusal::asks_for_patience) {
            session::sleep(&self.patience(), PATIENCE);
        }
    }

    fn quota_or_item(
        &mut self,
        group: &mut Group,
        index: usize,
        uid: Uid,
        reason: Reason,
        said: Option<String>,
    ) {
        self.done.quota |= reason == Reason::Quota;
        let item = message_item(group, index, uid, reason, said);
        self.item_of(group, index, uid, item);
    }

    /// Books a failure of one message; after the allowed number of tries it is an item.
    pub(super) fn strike(
        &mut self,
        group: &mut Group,
        index: usize,
        uid: Uid,
        reason: Reason,
        said: Option<String>,
    ) {
        let times = group.pairs[index].strike(uid, said);
        if times > self.settings.retries {
            let said = group.pairs[index].strikes.get(&uid).and_then(|strike| strike.said.clone());
            let item = message_item(group, index, uid, reason, said);
            self.item_of(group, index, uid, item);
        }
    }

    /// Takes a message off the list and makes it an item.
    pub(super) fn item_of(&mut self, group: &mut Group, index: usize, uid: Uid, item: Item) {
        let todo = &mut group.pairs[index];
        todo.take_off(&one(uid));
        todo.items += 1;
        group.stuck = 0;
        self.done.leave_out(item.reason, 1);
        self.item(item);
    }

    /// Messages that the server took and that it does not show: never sent again by themselves.
    pub(super) fn tell_what_is_not_visible(&mut self, group: &mut Group) {
        for unplaced in std::mem::take(&mut group.unplaced) {
            let uid = unplaced.link.source;
            let item = message_item(group, unplaced.pair, uid, Reason::AcceptedNotVisible, None);
            group.pairs[unplaced.pair].items += 1;
            self.item(item);
        }
    }

    /// The server changes what tells messages apart: nothing more goes there, and it is told even if
    /// nothing is left.
    pub(super) fn identity_is_not_kept(&mut self, group: &mut Group) {
        group.unplaced.clear();
        let reason = Reason::IdentityNotKept;
        if group.pairs.iter().all(|todo| todo.left() == 0) {
            let item = folder_item(group.name.clone(), Side::Destination, reason, None);
            self.item(item);
        }
        self.block_rest(group, reason, None);
    }

    /// The folder was replaced or renamed: nothing more goes there in this run.
    pub(super) fn stale(&mut self, group: &mut Group, said: &str) {
        self.done.stale = true;
        self.block_rest(group, Reason::FolderStale, Some(said));
    }

    /// Ends a folder: what is left of it is one item a pair.
    pub(super) fn block_rest(&mut self, group: &mut Group, reason: Reason, said: Option<&str>) {
        for index in 0..group.pairs.len() {
            self.block_one_pair(group, index, reason, said.map(str::to_owned));
        }
    }

    pub(super) fn block_one_pair(
        &mut self,
        group: &mut Group,
        index: usize,
        reason: Reason,
        said: Option<String>,
    ) {
        let todo = &mut group.pairs[index];
        let left = todo.pending();
        if left.is_empty() {
            return;
        }
        todo.take_off(&left);
        todo.items += 1;
        self.done.leave_out(reason, left.len());
        let detail = format!("{} messages are left", left.len());
        let said = said.map_or_else(|| detail.clone(), |said| format!("{said}; {detail}"));
        let item = folder_item(todo.pair.source.name.clone(), Side::Source, reason, Some(said));
        self.item(item);
    }

    pub(super) fn block_pair(&mut self, number: u32, reason: Reason, said: Option<String>) {
        let Some(pair) = self.work.pair(number) else { return };
        let item = folder_item(pair.source.name.clone(), Side::Source, reason, said);
        let sets = self.work.copies.get(&number);
        let messages = sets.map_or(0, |sets| sets.iter().map(|set| set.uids.len()).sum());
        self.done.leave_out(reason, messages);
        self.item(item);
    }

    pub(super) fn give_up(&mut self, group: &mut Group, side: Side, error: &StoreError) {
        let reason = match side {
            Side::Source => Reason::FolderUnreadable,
            Side::Destination => Reason::UnknownOutcome,
        };
        self.block_rest(group, reason, Some(&crate::apply::said(error)));
    }
}

/// An item for one source message.
pub(super) fn message_item(
    group: &Group,
    index: usize,
    uid: Uid,
    reason: Reason,
    said: Option<String>,
) -> Item {
    Item {
        folder: group.pairs[index].pair.source.name.clone(),
        side: Side::Source,
        uid: Some(uid),
        date: None,
        octets: None,
        reason,
        said,
    }
}

fn one(uid: Uid) -> UidSet {
    UidSet::range(uid, uid)
}

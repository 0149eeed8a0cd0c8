//! One destination folder: everything that the plan copies into it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::apply::folders::Absent;
use crate::apply::outlet::Sent;
use crate::apply::placing::Target;
use crate::apply::work::CopySet;
use crate::mail::{FlagSet, FolderName, MailboxId};
use crate::mail::{InternalDate, PermanentFlags, Uid, UidSet, UidValidity, WireName};
use crate::plan::{FolderPair, Observed};
use crate::state::{FolderId, IntentId, Link};
use crate::store::FolderState;

/// Everything that goes into one destination folder, and how far it has come.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Group {
    /// The name in the server's octets, in the server's own spelling.
    pub wire: WireName,
    pub name: FolderName,
    pub pairs: Vec<PairTodo>,
    /// What the folder is; known once it was opened.
    pub place: Option<Place>,
    /// Whether it has to be made first.
    pub absent: Absent,
    /// The listing of this run told that it is empty.
    pub listed_empty: bool,
    /// Its first messages were read back in this run and are as they were sent.
    pub proved: bool,
    /// The first messages that were stored, to be read back.
    pub first: Vec<Sent>,
    /// Messages that may be there twice: sent again, or sent while somebody else was appending.
    pub resent: Vec<Resent>,
    /// Messages that are stored under a UID that is not known.
    pub unplaced: Vec<Unplaced>,
    /// UIDs came in disorder: what was placed from here on is looked for anew.
    pub distrusted_from: Option<Uid>,
    /// Somebody else's messages got between ours from here on.
    pub gap: Option<Uid>,
    /// It was looked at in this run.
    pub looked: bool,
    /// What the last look found and nothing explains.
    pub strangers: usize,
    /// The last look for unplaced messages has been asked for.
    pub looked_last: bool,
    /// Open intents of messages that nobody wants to send any more, and since when they are known.
    pub orphans: BTreeMap<IntentId, Duration>,
    /// Foreign messages that turned up between ours and equal what we still had to copy.
    pub foreign: u32,
    /// Something was found that must be looked at before the next message.
    pub must_look: bool,
    /// Tries in a row that moved nothing.
    pub stuck: u32,
    /// Other folders went first, since there was nothing to do here but to wait.
    pub was_put_off: bool,
}

/// A destination folder as it was found when it was opened first.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub folder: FolderId,
    pub uid_validity: UidValidity,
    pub mailbox_id: Option<MailboxId>,
    pub permanent: PermanentFlags,
    /// Nothing that we send from now on gets a UID below this.
    pub from: Uid,
    /// UIDNEXT as told at the last opening.
    pub told_uid_next: Option<Uid>,
    /// How many messages it holds, if nobody else adds or removes any.
    pub expected_messages: u64,
}

/// A message that may be there more than once.
#[derive(Clone, Debug)]
pub(super) struct Resent {
    pub pair: usize,
    pub source: Uid,
    /// No surplus copy of it is below.
    pub from: Uid,
    /// It was sent again by an earlier run.
    pub earlier: bool,
    /// Its surplus copy was found.
    pub named: bool,
}

/// A message that the server took without telling where.
#[derive(Clone, Debug)]
pub(super) struct Unplaced {
    pub pair: usize,
    /// Its link, without a destination.
    pub link: Link,
    /// It is not below.
    pub from: Uid,
    /// How often it was looked for in vain.
    pub looked: u32,
}

/// One folder pair, and how far it has come.
pub(super) struct PairTodo {
    pub pair: FolderPair,
    pub source_folder: FolderId,
    /// What is still to be copied.
    pub sets: Vec<CopySet>,
    /// What has been sent, and may still arrive.
    pub waiting: BTreeMap<Uid, Waiting>,
    /// What has been sent, was looked for long enough, and may be sent again.
    pub released: UidSet,
    /// How often reading or writing of one message failed.
    pub strikes: BTreeMap<Uid, Strike>,
    /// In what company messages go that were refused in a larger one.
    pub company: BTreeMap<Uid, u32>,
    /// Dates for messages that have none of their own: those of their neighbours.
    pub dates: BTreeMap<Uid, InternalDate>,
    /// Messages without any date, for which one is still to be found.
    pub undated: UidSet,
    /// The source UID of the message copied in this run that goes after all others of them.
    pub furthest: Option<Uid>,
    pub copied: u64,
    pub items: u64,
    pub announced: bool,
}

/// A message whose fate is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// On the run's clock: when it was sent, or after a restart first looked for.
    pub since: Duration,
}

/// How often a message failed, and what was said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Strike {
    pub times: u32,
    pub said: Option<String>,
}

impl Group {
    pub(super) fn new(wire: WireName, name: FolderName, pairs: Vec<PairTodo>) -> Self {
        Self {
            wire,
            name,
            pairs,
            place: None,
            absent: Absent::No,
            listed_empty: false,
            proved: false,
            first: Vec::new(),
            resent: Vec::new(),
            unplaced: Vec::new(),
            distrusted_from: None,
            looked: false,
            strangers: 0,
            looked_last: false,
            orphans: BTreeMap::new(),
            foreign: 0,
            must_look: false,
            gap: None,
            stuck: 0,
            was_put_off: false,
        }
    }

    /// These flags, as far as the destination folder keeps them.
    pub(super) fn kept(&self, flags: FlagSet) -> FlagSet {
        match &self.place {
            Some(place) => place.permanent.storable(&flags).0,
            None => flags,
        }
    }

    /// How many messages went into it in this run.
    pub(super) fn copied(&self) -> u64 {
        self.pairs.iter().map(|todo| todo.copied).sum()
    }

    /// The UIDNEXT that the plan saw, or 1 for a folder that it creates.
    pub(super) fn planned_uid_next(&self) -> Uid {
        self.planned().map(|seen| seen.uid_next).max().unwrap_or(Uid::MIN)
    }

    /// Nothing that came after the plan is below this, whatever the server says of UIDNEXT.
    pub(super) fn planned_from(&self) -> Uid {
        self.planned().map(|seen| seen.uids_from).max().unwrap_or(Uid::MIN)
    }

    /// Tells whether the plan saw no such folder: it is one that this run, or another one, made.
    pub(super) fn is_made(&self) -> bool {
        self.planned().next().is_none()
    }

    /// How many messages the plan saw.
    pub(super) fn planned_messages(&self) -> u64 {
        self.planned().map(|seen| seen.messages).max().unwrap_or_default()
    }

    fn planned(&self) -> impl Iterator<Item = &Observed> {
        self.pairs.iter().filter_map(|todo| todo.pair.destination.seen.as_ref())
    }

    /// Tells whether the folder that was opened is the one that the plan means and that this run
    /// worked in so far. One that was empty when it was planned has no identity yet: whatever is in it
    /// by now lies above what the plan saw, and is looked at before anything is sent.
    pub(super) fn is_same(&self, state: &FolderState) -> bool {
        let planned = self.planned().filter(|seen| seen.messages > 0 || seen.mailbox_id.is_some());
        let mut known = planned
            .map(|seen| (seen.uid_validity, seen.mailbox_id.as_ref()))
            .chain(self.place.iter().map(|place| (place.uid_validity, place.mailbox_id.as_ref())));
        known.all(|(uid_validity, mailbox_id)| {
            uid_validity == state.uid_validity
                && match (mailbox_id, &state.mailbox_id) {
                    (Some(known), Some(now)) => known == now,
                    _ => true,
                }
        })
    }

    /// What copying it costs, in octets, with so many for each message on top.
    pub(super) fn cost(&self, message: u64) -> u64 {
        let sets = self.pairs.iter().flat_map(|todo| &todo.sets);
        sets.map(|set| set.octets.saturating_add(set.uids.len().saturating_mul(message))).sum()
    }

    /// Tells whether it was not opened yet, and is empty or still to be made.
    pub(super) const fn is_fresh(&self) -> bool {
        self.place.is_none() && (self.listed_empty || matches!(self.absent, Absent::ToCreate(_)))
    }

    /// Tells whether anything is still to be copied here.
    pub(super) fn has_work(&self) -> bool {
        self.pairs.iter().any(|todo| todo.left() > 0)
    }

    /// The position of the pair with this source folder.
    pub(super) fn pair_of(&self, source_folder: FolderId) -> Option<usize> {
        self.pairs.iter().position(|todo| todo.source_folder == source_folder)
    }

    /// A listing may lag: what was not found at once is looked for once more when the folder is done.
    /// Tells whether there is anything to look for.
    pub(super) fn look_a_last_time(&mut self) -> bool {
        if self.looked_last || self.unplaced.is_empty() {
            return false;
        }
        self.looked_last = true;
        self.must_look = true;
        for unplaced in &mut self.unplaced {
            unplaced.looked = 0;
        }
        true
    }

    /// Tells whether nothing happened that calls for a closer look.
    pub(super) fn is_calm(&self) -> bool {
        let calm = |todo: &PairTodo| {
            todo.waiting.is_empty()
                && todo.released.is_empty()
                && todo.strikes.is_empty()
                && todo.undated.is_empty()
        };
        !self.must_look
            && self.gap.is_none()
            && self.distrusted_from.is_none()
            && self.unplaced.is_empty()
            && self.orphans.is_empty()
            && self.foreign == 0
            && self.stuck == 0
            && self.pairs.iter().all(calm)
    }

    /// Tells whether everything was copied, and nothing is left to be looked at.
    pub(super) fn is_done(&self) -> bool {
        self.place.is_some()
            && self.is_calm()
            && !self.has_work()
            && self.resent.is_empty()
            && (self.proved || self.first.is_empty())
    }

    /// Every set of messages that is to be sent, with the position of its pair.
    pub(super) fn all_sets(&self) -> impl Iterator<Item = (usize, &CopySet)> {
        self.pairs.iter().enumerate().flat_map(|(index, todo)| {
            todo.sets.iter().filter(|set| !set.uids.is_empty()).map(move |set| (index, set))
        })
    }

    /// The pair to work on next, and the set of its messages that share a recipe.
    pub(super) fn next_set(&self) -> Option<(usize, UidSet, u32)> {
        self.pairs.iter().enumerate().find_map(|(index, todo)| {
            let (uids, recipe) = todo.next_set()?;
            Some((index, uids, recipe))
        })
    }

    /// When the first of the waiting messages may be sent again, on the run's clock.
    pub(super) fn next_settled(&self, settle: Duration) -> Option<Duration> {
        let waiting = self.pairs.iter().flat_map(|todo| todo.waiting.values());
        let since = waiting.map(|waiting| waiting.since);
        since.chain(self.orphans.values().copied()).map(|since| since + settle).min()
    }

    /// Where its messages go, as far as it was opened.
    pub(super) fn target(&self) -> Option<Target> {
        let place = self.place.as_ref()?;
        Some(Target {
            folder: Arc::new(self.wire.clone()),
            destination_folder: place.folder,
            uid_validity: place.uid_validity,
            permanent: place.permanent.clone(),
            from: place.from,
            // A UIDNEXT below what is known to be there is stale.
            expected: place.told_uid_next.map(|told| told.max(place.from)),
        })
    }
}

impl PairTodo {
    /// The recipe by which a message is copied; of one that is done already that of the first set.
    pub(super) fn recipe_of(&self, uid: Uid) -> Option<u32> {
        let set = self.sets.iter().find(|set| set.uids.contains(uid)).or(self.sets.first());
        set.map(|set| set.recipe)
    }

    /// Messages that can be sent now: not done, and not waiting.
    fn next_set(&self) -> Option<(UidSet, u32)> {
        let waiting: UidSet = self.waiting.keys().copied().collect();
        self.sets.iter().find_map(|set| {
            let uids = set.uids.difference(&waiting).difference(&self.undated);
            let uids = self.without_company_for_suspects(uids);
            (!uids.is_empty()).then_some((uids, set.recipe))
        })
    }

    /// A message that failed twice goes alone: it may be the one that ends connections, and others in
    /// flight with it would be blamed too.
    fn without_company_for_suspects(&self, uids: UidSet) -> UidSet {
        let suspect = |uid: &Uid| {
            self.strikes.get(uid).is_some_and(|strike| strike.times >= 2) && uids.contains(*uid)
        };
        let order = self.pair.order;
        let strikes: UidSet = self.strikes.keys().copied().collect();
        let Some(first) = order.iter(&strikes).find(suspect) else { return uids };
        let before = order.before(&uids, first);
        if before.is_empty() { UidSet::range(first, first) } else { before }
    }

    /// Notes what was copied; returns how many of them went after ones that go behind them, in this pass
    /// (`late`) or an earlier one.
    pub(super) fn came_late(&mut self, copied: &UidSet, late: &UidSet) -> u64 {
        let order = self.pair.order;
        let mut all = self.furthest.map_or_else(UidSet::new, |uid| order.before(copied, uid));
        all.extend(late.iter().filter(|uid| copied.contains(*uid)));
        let mut ends: UidSet = order.last(copied).into_iter().collect();
        ends.extend(self.furthest);
        self.furthest = order.last(&ends);
        all.len()
    }

    /// How many messages are still to be copied.
    pub(super) fn left(&self) -> u64 {
        self.sets.iter().map(|set| set.uids.len()).sum()
    }

    /// Everything that is still to be copied, waiting messages included.
    pub(super) fn pending(&self) -> UidSet {
        let mut uids = UidSet::new();
        for set in &self.sets {
            uids.extend(set.uids.iter());
        }
        uids
    }

    /// Tells whether a message is still to be copied.
    pub(super) fn is_pending(&self, uid: Uid) -> bool {
        self.sets.iter().any(|set| set.uids.contains(uid))
    }

    /// Takes messages off the list.
    pub(super) fn take_off(&mut self, uids: &UidSet) {
        for set in &mut self.sets {
            let before = u128::from(set.uids.len().max(1));
            set.uids = set.uids.difference(uids);
            // The plan has no size of each message: as if all were of one. It is told, and decides
            // nothing.
            let left = u128::from(set.octets) * u128::from(set.uids.len()) / before;
            set.octets = u64::try_from(left).unwrap_or(set.octets);
        }
        self.waiting.retain(|uid, _| !uids.contains(*uid));
    }

    /// Books a failure of one message; tells how often it failed.
    pub(super) fn strike(&mut self, uid: Uid, said: Option<String>) -> u32 {
        let strike = self.strikes.entry(uid).or_default();
        strike.times += 1;
        if said.is_some() {
            strike.said = said;
        }
        strike.times
    }
}

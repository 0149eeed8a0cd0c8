//! The writing end of the pipe: intents before, outcomes after.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::apply::event::{Event, Watch};
use crate::apply::pass::Leg;
use crate::apply::pipe::{Passenger, Pipe};
use crate::apply::placing::{Placing, Target};
use crate::apply::quota::Quota;
use crate::identity::Fingerprint;
use crate::mail::{FlagSet, Uid, UidSet, WireName};
use crate::session::Stop;
use crate::state::{Intent, IntentId, Link, Outcome, Owned, RunId, State, StateError, StoredCopy};
use crate::store::{
    AppendMessage, AppendQueue, AppendResult, Batch, Chunk, Refusal, Stored, Ticket, Wait,
};

/// How many messages one commit of intents covers. After a crash so many may have to wait until it is
/// sure that none of them still arrives; each commit waits for the disk.
const INTENTS_AT_ONCE: usize = 256;

/// How many outcomes wait for the next commit at most. Those that a crash takes are found again by
/// looking.
const OUTCOMES_AT_ONCE: usize = 512;

/// Octets that may be read for nobody before a pass is given up for them: the folders that take theirs
/// are better off in another one.
const UNWANTED_MAX: u64 = 8 << 20;

/// After so many refusals a pass ends, so that they are booked, and counted against the limit of items.
const REFUSALS_AT_ONCE: usize = 100;

/// How many of the messages stored last may be there twice when somebody else copies at the same time.
const RECENT: usize = 4_096;

/// A message that was stored, as far as this connection saw.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub at: Option<Uid>,
    pub seen: Fingerprint,
    pub passenger: Passenger,
}

/// A message that was refused.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub passenger: Passenger,
    pub refusal: Refusal,
}

/// A message of which nobody knows.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub uid: Uid,
    pub may_arrive: bool,
}

/// What a pass left of one leg.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Source UIDs that were stored.
    pub stored: UidSet,
    pub stored_octets: u64,
    /// How many copies lose a flag that the destination cannot keep.
    pub lossy: u64,
    /// The first messages stored, for reading back.
    pub first: Vec<Sent>,
    /// Messages that are stored under a UID that is not known: their links without a destination, and
    /// a UID that they are not below.
    pub unplaced: Vec<(Link, Uid)>,
    pub refused: Vec<Refused>,
    /// What was said to batches that were refused as one, once each.
    pub refused_together: Vec<Refusal>,
    /// In what company their messages are to go next.
    pub company: BTreeMap<Uid, u32>,
    pub lost: Vec<Lost>,
    /// Messages that came after ones that go behind them.
    pub late: UidSet,
    /// The messages that were stored last: whoever came in between may have copied them too.
    pub recent: VecDeque<Uid>,
}

/// What a pass left in all.
#[derive(Debug, Default)]
pub(super) struct Poured {
    /// By leg.
    pub legs: Vec<Passed>,
    /// By destination folder, numbered as the legs number them; nothing for one that takes no messages.
    pub placings: Vec<Option<Placing>>,
    /// The pass ended before its messages did: at a gap, for the first reading back, or by wish.
    pub cut_short: bool,
    /// It ended since much came that had nowhere to go.
    pub is_for_nobody: bool,
}

/// What an outlet needs of the run.
pub(super) struct Company<'a> {
    pub state: &'a mut dyn State,
    pub watch: &'a mut dyn Watch,
    pub stop: &'a Stop,
    pub quota: &'a Quota,
}

/// Hands passengers to an append, with their intents on disk, and books what becomes of them.
pub(super) struct Outlet<'a> {
    pipe: &'a Pipe,
    legs: &'a [Leg<'a>],
    with: Company<'a>,
    run: RunId,
    /// Messages that this pass may still hand out.
    room: u64,
    tickets: u64,
    /// Intents that are on disk, of messages that were not handed out yet.
    intended: BTreeMap<(usize, Uid), IntentId>,
    /// All that was ever intended in this pass, by leg.
    begun: Vec<UidSet>,
    /// The message of each leg that goes behind all others of it that came.
    furthest: Vec<Option<Uid>>,
    current: Option<(Ticket, Passenger, IntentId)>,
    flying: BTreeMap<Ticket, Flying>,
    outcomes: Vec<(IntentId, Outcome)>,
    poured: Poured,
    refusals: usize,
    /// Octets of messages that came and have nowhere to go.
    unwanted: u64,
    over: bool,
    fault: Option<StateError>,
}

struct Flying {
    passenger: Passenger,
    intent: IntentId,
    seen: Option<Fingerprint>,
}

impl<'a> Outlet<'a> {
    /// An outlet for the messages of these legs.
    pub(super) fn new(
        pipe: &'a Pipe,
        legs: &'a [Leg<'a>],
        targets: Vec<Option<Target>>,
        run: RunId,
        with: Company<'a>,
    ) -> Self {
        let poured = Poured {
            legs: legs.iter().map(|_| Passed::default()).collect(),
            placings: targets.into_iter().map(|target| target.map(Placing::new)).collect(),
            cut_short: false,
            is_for_nobody: false,
        };
        Self {
            pipe,
            legs,
            with,
            run,
            room: legs.iter().map(|leg| leg.uids.len()).sum(),
            tickets: 0,
            intended: BTreeMap::new(),
            begun: vec![UidSet::new(); legs.len()],
            furthest: vec![None; legs.len()],
            current: None,
            flying: BTreeMap::new(),
            outcomes: Vec::new(),
            poured,
            refusals: 0,
            unwanted: 0,
            over: false,
            fault: None,
        }
    }

    /// Ends the pass: what was never handed out was surely not sent, what has no result is unknown.
    ///
    /// # Errors
    ///
    /// The journal's own: nothing may be sent any more.
    pub(super) fn finish(mut self) -> Result<Poured, StateError> {
        for (_, intent) in std::mem::take(&mut self.intended) {
            self.outcomes.push((intent, Outcome::NotStored));
        }
        for (_, flying) in std::mem::take(&mut self.flying) {
            self.unknown(&flying, true);
        }
        if let Some((_, _, intent)) = self.current.take() {
            self.outcomes.push((intent, Outcome::NotStored));
        }
        self.commit(&[]);
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.poured),
        }
    }

    /// Puts what became of messages, and what is about to be sent, on disk.
    fn commit(&mut self, intents: &[Intent]) -> Vec<IntentId> {
        if (self.outcomes.is_empty() && intents.is_empty()) || self.fault.is_some() {
            return Vec::new();
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        match self.with.state.journal(&outcomes, intents) {
            Ok(ids) => ids,
            Err(fault) => {
                self.fault = Some(fault);
                self.over = true;
                Vec::new()
            }
        }
    }

    /// Puts the intents of this passenger and of those that are to come after it on disk.
    fn intend(&mut self, passenger: &Passenger) -> Option<IntentId> {
        let key = (passenger.leg, passenger.uid);
        if let Some(intent) = self.intended.remove(&key) {
            return Some(intent);
        }
        let next = self.next_from(passenger);
        let intents: Vec<Intent> = next
            .iter()
            .filter_map(|&(leg, source)| {
                let placing = self.placing(leg)?;
                Some(Intent {
                    source_folder: self.legs[leg].source_folder,
                    source,
                    destination_folder: placing.target.destination_folder,
                    uid_next: placing.lower_bound(),
                })
            })
            .collect();
        let ids = self.commit(&intents);
        for (&(leg, uid), id) in next.iter().zip(ids) {
            self.begun[leg].insert(uid);
            self.intended.insert((leg, uid), id);
        }
        self.intended.remove(&key)
    }

    fn placing(&self, leg: usize) -> Option<&Placing> {
        self.poured.placings.get(self.legs[leg].place.0)?.as_ref()
    }

    /// The next message that has somewhere to go.
    fn take(&mut self, wait: Wait) -> Option<Passenger> {
        loop {
            let passenger = self.pipe.next(wait)?;
            self.room = self.room.saturating_sub(1);
            if self.placing(passenger.leg).is_some() {
                return Some(passenger);
            }
            // Nobody knew yet that the folder takes nothing when its messages were asked for.
            self.unwanted = self.unwanted.saturating_add(passenger.octets);
            if self.unwanted > UNWANTED_MAX && self.is_bulk() {
                self.over = true;
                self.poured.is_for_nobody = true;
                return None;
            }
            // That the source is lost in a message that nobody wants is found by who reads.
            let _ = self.pipe.pour(&mut |_| Ok(()));
        }
    }

    /// Servers may answer in any order.
    fn mind_the_order(&mut self, passenger: &Passenger) {
        let Passenger { leg, uid, .. } = *passenger;
        let order = self.legs[leg].order;
        match self.furthest[leg] {
            Some(furthest) if order.is_before(uid, furthest) => {
                self.poured.legs[leg].late.insert(uid);
            }
            _ => self.furthest[leg] = Some(uid),
        }
    }

    /// What of the flags of a message the destination keeps.
    fn keep_flags(&mut self, passenger: &mut Passenger) {
        let recipe = self.legs[passenger.leg].recipe;
        let Some(placing) = self.placing(passenger.leg) else { return };
        let permanent = &placing.target.permanent;
        let (flags, _) =
            recipe.permanent_flags.as_ref().unwrap_or(permanent).storable(&passenger.flags);
        let (flags, _) = permanent.storable(&flags);
        if flags.len() < passenger.flags.len() {
            self.poured.legs[passenger.leg].lossy += 1;
        }
        passenger.flags = flags;
    }

    /// This message, and those that are asked for after it.
    fn next_from(&self, passenger: &Passenger) -> Vec<(usize, Uid)> {
        let this = (passenger.leg, passenger.uid);
        let legs = passenger.leg..self.legs.len();
        let after = legs.filter(|leg| self.placing(*leg).is_some()).flat_map(|number| {
            let Leg { uids, order, .. } = &self.legs[number];
            let is_this = number == passenger.leg;
            let uids = if is_this { order.after(uids, passenger.uid) } else { order.iter(uids) };
            uids.map(move |uid| (number, uid))
        });
        let is_new =
            |&(leg, uid): &(usize, Uid)| !self.begun[leg].contains(uid) && (leg, uid) != this;
        std::iter::once(this).chain(after.filter(is_new)).take(INTENTS_AT_ONCE).collect()
    }

    fn stored(&mut self, flying: Flying, stored: Stored) {
        let Flying { passenger, intent, seen } = flying;
        let leg = &self.legs[passenger.leg];
        let Some(placing) = &mut self.poured.placings[leg.place.0] else { return };
        let floor = placing.lower_bound();
        let at = placing.place(stored);
        self.over |= placing.is_over();
        let seen = seen.unwrap_or_default();
        self.with.quota.accepted(passenger.octets);
        let copy = StoredCopy {
            link: Link {
                source: passenger.uid,
                destination: at,
                digest: seen.digest,
                basis: seen.basis,
                octets: passenger.octets,
                flags: Some(passenger.flags.clone()),
                copied_by: Some(self.run),
            },
            owned: at.map(|uid| Owned {
                uid,
                octets: passenger.octets,
                digest: seen.digest,
                date: Some(passenger.date.instant()),
                flags: passenger.flags.clone(),
            }),
        };
        let passed = &mut self.poured.legs[passenger.leg];
        if at.is_none() {
            passed.unplaced.push((copy.link.clone(), floor));
        }
        self.outcomes.push((intent, Outcome::Stored(copy)));
        passed.stored.insert(passenger.uid);
        passed.recent.push_back(passenger.uid);
        if passed.recent.len() > RECENT {
            passed.recent.pop_front();
        }
        passed.stored_octets += passenger.octets;
        self.with.watch.event(&Event::Copied { octets: passenger.octets });
        if passed.first.len() < leg.keep {
            passed.first.push(Sent { at, seen, passenger });
        }
    }

    fn unknown(&mut self, flying: &Flying, may_arrive: bool) {
        self.outcomes.push((flying.intent, Outcome::Unknown { may_arrive }));
        let Passenger { leg, uid, .. } = flying.passenger;
        self.poured.legs[leg].lost.push(Lost { uid, may_arrive });
    }

    fn book_refusal(&mut self, intent: IntentId, refusal: &Refusal) {
        if refusal.proves_not_stored() {
            self.outcomes.push((intent, Outcome::NotStored));
        } else {
            // Any other refusal may hide a stored message: it is looked at before anything is sent
            // again. The answer has come, so nothing is in flight.
            self.outcomes.push((intent, Outcome::Unknown { may_arrive: false }));
        }
        self.over |= refusal.folder_is_gone();
    }

    /// One of several messages, which go again in smaller company. For want of room each goes alone:
    /// what still fits is to get in, and only a single message counts as refused for that.
    fn refused_together(&mut self, flying: &Flying, is_first: bool, batch: Batch, no: Refusal) {
        self.book_refusal(flying.intent, &no);
        let company = if no.is_quota() { 1 } else { batch.half() };
        let passed = &mut self.poured.legs[flying.passenger.leg];
        passed.company.insert(flying.passenger.uid, company);
        if is_first {
            passed.refused_together.push(no);
        }
    }

    fn refused(&mut self, flying: Flying, refusal: Refusal) {
        self.book_refusal(flying.intent, &refusal);
        self.with.quota.refused(&refusal, flying.passenger.octets);
        self.refusals += 1;
        self.over |= self.with.quota.is_full() || self.refusals >= REFUSALS_AT_ONCE;
        let passed = &mut self.poured.legs[flying.passenger.leg];
        passed.refused.push(Refused { passenger: flying.passenger, refusal });
    }
}

impl AppendQueue for Outlet<'_> {
    fn next(&mut self, wait: Wait) -> Option<AppendMessage> {
        if self.room == 0 || self.with.stop.requested() {
            self.over = true;
        }
        if self.over {
            self.poured.cut_short = true;
            return None;
        }
        let mut passenger = self.take(wait)?;
        self.mind_the_order(&passenger);
        self.keep_flags(&mut passenger);
        let intent = self.intend(&passenger)?;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let leg = &self.legs[passenger.leg];
        let placing = self.placing(passenger.leg)?;
        // Nobody else asks for it.
        let date = std::mem::take(&mut passenger.date_text);
        let message = AppendMessage {
            ticket,
            folder: Arc::clone(&placing.target.folder),
            flags: passenger.flags.clone(),
            date: Some(date),
            octets: passenger.octets,
            company: *leg.company.get(&passenger.uid).unwrap_or(&AppendMessage::ANY_COMPANY),
        };
        self.current = Some((ticket, passenger, intent));
        Some(message)
    }

    fn coming(&self, each: &mut dyn FnMut(&WireName, &FlagSet)) {
        let mut tell = |leg: usize, flags: &FlagSet| {
            if let Some(placing) = self.placing(leg) {
                let (flags, _) = placing.target.permanent.storable(flags);
                each(&placing.target.folder, &flags);
            }
        };
        self.pipe.waiting(&mut |passenger| tell(passenger.leg, &passenger.flags));
        for (number, leg) in self.legs.iter().enumerate() {
            leg.each_flag().for_each(|flags| tell(number, &flags));
        }
    }

    fn is_bulk(&self) -> bool {
        self.legs.iter().all(|leg| leg.keep == 0)
    }

    fn ended(&self) -> bool {
        self.over || self.room == 0 || self.pipe.is_over()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        let Some((ticket, passenger, intent)) = self.current.take() else {
            return Err(io::Error::other("a body was asked for before its message"));
        };
        let mut octets = 0_u64;
        let poured = self.pipe.pour(&mut |piece| {
            octets += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            sink(piece)
        });
        let announced = passenger.octets;
        let seen = poured.as_ref().ok().copied();
        self.flying.insert(ticket, Flying { passenger, intent, seen });
        poured?;
        if octets == announced { Ok(()) } else { Err(io::Error::other(crate::store::BodyLost)) }
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        let flying = match self.flying.remove(&ticket) {
            Some(flying) => flying,
            // Its body was never asked for.
            None => match self.current.take() {
                Some((current, passenger, intent)) if current == ticket => {
                    Flying { passenger, intent, seen: None }
                }
                other => {
                    self.current = other;
                    return;
                }
            },
        };
        match result {
            AppendResult::Stored(stored) => self.stored(flying, stored),
            AppendResult::Refused(refusal) => self.refused(flying, refusal),
            AppendResult::RefusedTogether(refusal, batch) => {
                self.refused_together(&flying, ticket == batch.first, batch, refusal);
            }
            AppendResult::Unknown(unknown) => self.unknown(&flying, unknown.handed_over),
        }
        if self.outcomes.len() >= OUTCOMES_AT_ONCE {
            self.commit(&[]);
        }
    }
}

//! The writing end of the pipe: intents before, outcomes after.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::apply::event::{Event, Watch};
use crate::apply::pipe::{Passenger, Pipe, Seen};
use crate::apply::quota::Quota;
use crate::mail::{Uid, UidSet, UidValidity, WireName};
use crate::session::Stop;
use crate::state::{
    FolderId, Intent, IntentId, Link, Outcome, Owned, RunId, State, StateError, StoredCopy,
};
use crate::store::{AppendMessage, AppendQueue, AppendResult, Refusal, Stored, Ticket, Wait};

/// How many messages one commit of intents covers at most. After a crash so many may have to wait
/// until it is sure that none of them still arrives.
const INTENTS_AT_ONCE: usize = 32;

/// How many outcomes are committed together at most.
const OUTCOMES_AT_ONCE: usize = 64;

/// After so many refusals a pass ends, so that they are booked, and counted against the limit of items.
const REFUSALS_AT_ONCE: usize = 100;

/// How many of the messages stored last may be there twice when somebody else copies at the same time.
const RECENT: usize = 4_096;

/// Where messages go, and what is known of that place.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub folder: Arc<WireName>,
    pub source_folder: FolderId,
    pub destination_folder: FolderId,
    pub uid_validity: UidValidity,
    /// What we store is at or above this.
    pub from: Uid,
    /// UIDNEXT as told when the folder was opened: what our first message is expected to get.
    pub expected: Option<Uid>,
    pub run: RunId,
}

/// A message that was stored, as far as this connection saw.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub at: Option<Uid>,
    pub seen: Seen,
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

/// What one pass left.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// Source UIDs that were stored.
    pub stored: UidSet,
    pub stored_octets: u64,
    /// The first messages stored, for reading back.
    pub first: Vec<Sent>,
    /// Messages that are stored under a UID that is not known: their links without a destination, and
    /// a UID that they are not below.
    pub unplaced: Vec<(Link, Uid)>,
    /// UIDs came in disorder from this one on: none of them is to be believed.
    pub disorder: Option<Uid>,
    pub refused: Vec<Refused>,
    pub lost: Vec<Lost>,
    /// The lowest UID that somebody else's message got in between.
    pub gap: Option<Uid>,
    /// The messages that were stored last: whoever came in between may have copied them too.
    pub recent: VecDeque<Uid>,
    /// The highest UID that our messages got.
    pub highest: Option<Uid>,
    /// The pass ended before its messages did: at a gap, for the first reading back, or by wish.
    pub cut_short: bool,
}

/// Hands passengers to an append, with their intents on disk, and books what becomes of them.
pub(super) struct Outlet<'a> {
    pipe: &'a Pipe,
    state: &'a mut dyn State,
    watch: &'a mut dyn Watch,
    stop: &'a Stop,
    target: Target,
    /// Messages that this pass may still hand out.
    room: u64,
    /// How many of the first messages are kept for reading back.
    keep: usize,
    tickets: u64,
    intended: BTreeMap<Uid, IntentId>,
    current: Option<(Ticket, Passenger, IntentId)>,
    flying: BTreeMap<Ticket, Flying>,
    outcomes: Vec<(IntentId, Outcome)>,
    passed: Passed,
    expected: Option<Uid>,
    quota: &'a mut Quota,
    over: bool,
    fault: Option<StateError>,
}

struct Flying {
    passenger: Passenger,
    intent: IntentId,
    seen: Option<Seen>,
}

impl<'a> Outlet<'a> {
    /// An outlet that hands out at most `room` messages, and keeps the first `keep` for reading back.
    pub(super) fn new(
        pipe: &'a Pipe,
        state: &'a mut dyn State,
        watch: &'a mut dyn Watch,
        stop: &'a Stop,
        target: Target,
        quota: &'a mut Quota,
        (room, keep): (u64, usize),
    ) -> Self {
        Self {
            pipe,
            state,
            watch,
            stop,
            target,
            room,
            keep,
            tickets: 0,
            intended: BTreeMap::new(),
            current: None,
            flying: BTreeMap::new(),
            outcomes: Vec::new(),
            passed: Passed::default(),
            expected: None,
            quota,
            over: false,
            fault: None,
        }
    }

    /// Ends the pass: what was never handed out was surely not sent, what has no result is unknown.
    ///
    /// # Errors
    ///
    /// The journal's own: nothing may be sent any more.
    pub(super) fn finish(mut self) -> Result<Passed, StateError> {
        for (_, intent) in std::mem::take(&mut self.intended) {
            self.outcomes.push((intent, Outcome::NotStored));
        }
        for (_, flying) in std::mem::take(&mut self.flying) {
            self.unknown(&flying, true);
        }
        if let Some((_, _, intent)) = self.current.take() {
            self.outcomes.push((intent, Outcome::NotStored));
        }
        self.commit();
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.passed),
        }
    }

    fn commit(&mut self) {
        if self.outcomes.is_empty() || self.fault.is_some() {
            return;
        }
        if let Err(fault) = self.state.settle(&self.outcomes) {
            self.fault = Some(fault);
            self.over = true;
        }
        self.outcomes.clear();
    }

    /// Puts the intents of this passenger and of those that wait behind it on disk.
    fn intend(&mut self, passenger: &Passenger) -> Option<IntentId> {
        if let Some(intent) = self.intended.remove(&passenger.uid) {
            return Some(intent);
        }
        let room = usize::try_from(self.room).unwrap_or(INTENTS_AT_ONCE).min(INTENTS_AT_ONCE);
        let mut uids = vec![(passenger.uid, passenger.octets)];
        self.pipe.waiting(&mut |waiting| {
            if uids.len() < room {
                uids.push((waiting.uid, waiting.octets));
            }
        });
        let uid_next = self.lower_bound();
        let intents: Vec<Intent> = uids
            .iter()
            .map(|&(source, octets)| Intent {
                source_folder: self.target.source_folder,
                source,
                destination_folder: self.target.destination_folder,
                uid_next,
                octets,
            })
            .collect();
        match self.state.intend(&intents) {
            Ok(ids) => {
                self.intended.extend(uids.iter().map(|&(uid, _)| uid).zip(ids));
                self.intended.remove(&passenger.uid)
            }
            Err(fault) => {
                self.fault = Some(fault);
                self.over = true;
                None
            }
        }
    }

    /// A UID that nothing we send from now on can be below.
    fn lower_bound(&self) -> Uid {
        let above = self.passed.highest.map_or(self.target.from, Uid::next);
        above.max(self.target.from)
    }

    /// Judges an APPENDUID: nothing where it cannot be believed.
    fn place(&mut self, stored: Stored) -> Option<Uid> {
        let (validity, uid) = stored.at?;
        if validity != self.target.uid_validity {
            // Nothing more goes into a folder that may be another one now, until it was opened again.
            self.over = true;
            return None;
        }
        if uid < self.lower_bound() {
            if uid >= self.target.from {
                self.passed.disorder = Some(self.target.from);
                self.over = true;
            }
            return None;
        }
        if let Some(expected) = self.expected.or(self.target.expected)
            && uid > expected
        {
            self.passed.gap = self.passed.gap.or(Some(expected));
        }
        self.expected = Some(uid.next());
        self.passed.highest = Some(uid);
        Some(uid)
    }

    fn stored(&mut self, flying: Flying, stored: Stored) {
        let Flying { passenger, intent, seen } = flying;
        let floor = self.lower_bound();
        let at = self.place(stored);
        let seen = seen.unwrap_or_default();
        self.quota.accepted(passenger.octets);
        let copy = StoredCopy {
            link: Link {
                source: passenger.uid,
                destination: at,
                digest: seen.digest,
                basis: seen.basis,
                octets: passenger.octets,
                flags: Some(passenger.flags.clone()),
                copied_by: Some(self.target.run),
            },
            owned: at.map(|uid| Owned {
                uid,
                octets: passenger.octets,
                digest: seen.digest,
                date: Some(passenger.date.instant()),
                flags: passenger.flags.clone(),
            }),
        };
        if at.is_none() {
            self.passed.unplaced.push((copy.link.clone(), floor));
        }
        self.outcomes.push((intent, Outcome::Stored(copy)));
        self.passed.stored.insert(passenger.uid);
        self.passed.recent.push_back(passenger.uid);
        if self.passed.recent.len() > RECENT {
            self.passed.recent.pop_front();
        }
        self.passed.stored_octets += passenger.octets;
        self.watch.event(&Event::Copied { octets: passenger.octets });
        if self.passed.first.len() < self.keep {
            self.passed.first.push(Sent { at, seen, passenger });
        }
        if self.passed.gap.is_some() {
            self.over = true;
        }
    }

    fn unknown(&mut self, flying: &Flying, may_arrive: bool) {
        self.outcomes.push((flying.intent, Outcome::Unknown { may_arrive }));
        self.passed.lost.push(Lost { uid: flying.passenger.uid, may_arrive });
    }

    fn refused(&mut self, flying: Flying, refusal: Refusal) {
        if refusal.proves_not_stored() {
            self.outcomes.push((flying.intent, Outcome::NotStored));
        } else {
            // Any other refusal may hide a stored message: it is looked at before anything is sent
            // again. The answer has come, so nothing is in flight.
            self.outcomes.push((flying.intent, Outcome::Unknown { may_arrive: false }));
        }
        self.quota.refused(&refusal, flying.passenger.octets);
        let many = self.passed.refused.len() + 1 >= REFUSALS_AT_ONCE;
        self.over |= refusal.folder_is_gone() || self.quota.is_full() || many;
        self.passed.refused.push(Refused { passenger: flying.passenger, refusal });
    }
}

impl AppendQueue for Outlet<'_> {
    fn next(&mut self, wait: Wait) -> Option<AppendMessage> {
        if self.room == 0 || self.stop.requested() {
            self.passed.cut_short = true;
            self.over = true;
        }
        if self.over {
            self.passed.cut_short = true;
            return None;
        }
        let passenger = self.pipe.next(wait)?;
        let intent = self.intend(&passenger)?;
        self.room -= 1;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let message = AppendMessage {
            ticket,
            folder: Arc::clone(&self.target.folder),
            flags: passenger.flags.clone(),
            date: Some(passenger.date_text.clone()),
            octets: passenger.octets,
        };
        self.current = Some((ticket, passenger, intent));
        Some(message)
    }

    fn ended(&self) -> bool {
        self.over || self.room == 0 || self.pipe.is_over()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
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
            AppendResult::Unknown(unknown) => self.unknown(&flying, unknown.handed_over),
        }
        if self.outcomes.len() >= OUTCOMES_AT_ONCE {
            self.commit();
        }
    }
}

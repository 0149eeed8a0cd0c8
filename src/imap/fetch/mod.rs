//! UID FETCH, pipelined: bodies and scans.
//!
//! # In, out
//!
//! In: a wire whose folder is open, UIDs, a sink. Out: rows in the sink, and an account of every UID.
//!
//! # Never
//!
//! * Never holds a body: what is known of it before its first octet is asked for first, and a server
//!   that orders its answer otherwise gets a bounded buffer.
//! * Never takes content by position: only a row's own UID says whose it is.
//! * Never expands a range: a range of more UIDs than the folder holds is sent as one.

mod pass;
mod row;
mod tour;

use crate::imap::command::set_lines;
use crate::imap::fetch::pass::Pass;
use crate::imap::fetch::row::Wanted;
pub(super) use crate::imap::fetch::tour::Begun;
pub(super) use crate::imap::fetch::tour::Lines;
pub(super) use crate::imap::fetch::tour::Stop;
pub(super) use crate::imap::fetch::tour::count_ahead;
pub(super) use crate::imap::fetch::tour::go;
pub(super) use crate::imap::fetch::tour::lines;
pub(super) use crate::imap::fetch::tour::to_look;
pub(super) use crate::imap::fetch::tour::to_read;
use crate::imap::reader::Data;
use crate::imap::wire::Wire;
use crate::mail::Uid;
use crate::mail::UidOrder;
use crate::mail::UidSet;
use crate::store::Chunk;
use crate::store::FetchOutcome;
use crate::store::FetchSink;
use crate::store::Flow;
use crate::store::FolderState;
use crate::store::Items;
use crate::store::Missing;
use crate::store::MissingWhy;
use crate::store::RowHead;
use crate::store::StoreError;
use crate::store::Visit;

/// Bodies asked for in one command. The next one leaves when the last body begins, so that a round
/// trip is paid at most once for so many.
const BODIES_PER_COMMAND: u32 = 500;

/// What a fetch left of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It can be used.
    Idle,
    /// It stands inside an answer that is not worth reading to its end.
    Inside,
}

/// How many messages the open folder holds, kept up while rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// UIDNEXT when it was opened.
    uid_next: Option<Uid>,
    /// Messages that were there when it was opened and are not expunged.
    messages: u64,
    /// Messages that arrived since, which have the highest sequence numbers.
    arrived: u64,
}

impl Opened {
    /// Begins with what EXAMINE or SELECT told.
    pub(super) fn new(state: &FolderState) -> Self {
        Self { uid_next: state.uid_next, messages: state.messages, arrived: 0 }
    }

    /// Notes EXISTS and EXPUNGE.
    pub(super) fn note(&mut self, data: &Data) {
        match data {
            Data::Exists(count) => {
                self.messages = self.messages.min(*count);
                self.arrived = count - self.messages;
            }
            Data::Expunge(sequence) if u64::from(*sequence) <= self.messages => self.messages -= 1,
            Data::Expunge(_) => self.arrived = self.arrived.saturating_sub(1),
            _ => {}
        }
    }

    /// Tells whether there can be a message for each of so many UIDs, so that one without a row is
    /// missing. Of a wider range nobody said that each exists.
    fn may_hold_each(&self, uids: u64) -> bool {
        uids <= self.messages.saturating_add(self.arrived)
    }

    /// Tells whether nothing speaks against what came as a listing of these UIDs.
    fn is_listed_by<'a>(&self, uids: impl IntoIterator<Item = &'a UidSet>, came: &UidSet) -> bool {
        !self.is_covered_by(uids) || self.has_as_many_as(came)
    }

    /// Tells whether these UIDs cover all messages that were there when the folder was opened.
    fn is_covered_by<'a>(&self, uids: impl IntoIterator<Item = &'a UidSet>) -> bool {
        let highest = match self.uid_next {
            None => Uid::MAX,
            Some(next) => match Uid::new(next.get() - 1) {
                None => return true,
                Some(highest) => highest,
            },
        };
        let all = UidSet::range(Uid::MIN, highest);
        uids.into_iter().fold(all, |left, uids| left.difference(uids)).is_empty()
    }

    /// Tells whether the UIDs that came are as many as the folder holds. Arrivals since it was opened
    /// lie at UIDNEXT and above and do not count.
    fn has_as_many_as(&self, came: &UidSet) -> bool {
        match self.uid_next {
            None => came.len() == self.messages.saturating_add(self.arrived),
            Some(next) => {
                let above = UidSet::range(next, Uid::MAX);
                came.difference(&above).len() == self.messages
            }
        }
    }
}

/// Reads whole messages of a visit, whose folder is open, in its order from a server that answers in
/// order. After a stop it tells whether the connection can still be used.
///
/// # Errors
///
/// [`StoreError::Refused`] when the server asks for patience; any other when the connection is dead.
pub(super) fn fetch(
    wire: &mut Wire,
    opened: &mut Opened,
    visit: &Visit<'_>,
    sink: &mut dyn FetchSink,
) -> Result<(FetchOutcome, Line), StoreError> {
    let &Visit { uids, order, .. } = visit;
    let mut pass = Pass::new(wire, opened, sink, Wanted::Body);
    let ask = |pass: &mut Pass<'_>, uids: &UidSet| match order {
        UidOrder::OldestFirst => pass.ask(body_lines(uids)),
        // A server answers the UIDs of one command in ascending order.
        UidOrder::NewestFirst => pass.ask_newest_first(uids),
    };
    ask(&mut pass, uids)?;
    pass.ask_alone()?;
    account(pass, uids, &ask)
}

/// Reads rows of the open folder without bodies.
///
/// # Errors
///
/// [`StoreError::Refused`] when the server refuses, or asks for patience; any other when the
/// connection is dead.
pub(super) fn scan(
    wire: &mut Wire,
    opened: &mut Opened,
    uids: &UidSet,
    items: Items,
    sink: &mut dyn FetchSink,
) -> Result<FetchOutcome, StoreError> {
    let known_each = opened.may_hold_each(uids.len());
    let mut pass = Pass::new(wire, opened, sink, Wanted::Scan(items));
    pass.ask(set_lines(uids))?;
    let mut outcome = if known_each {
        account(pass, uids, &|pass, uids| pass.ask(set_lines(uids)))?.0
    } else {
        let (came, complete) = pass.into_listing();
        FetchOutcome { missing: Vec::new(), came, complete }
    };
    outcome.complete &= opened.is_listed_by([uids], &outcome.came);
    Ok(outcome)
}

fn body_lines(uids: &UidSet) -> Vec<UidSet> {
    uids.split_at_count(BODIES_PER_COMMAND).iter().flat_map(set_lines).collect()
}

/// Accounts for every UID: those without a row, or with nothing for content, are asked for once more
/// after NOOP; what then still lacks is told apart by whether the folder has it (UID FETCH FLAGS).
/// Servers give NIL for the content of a message that somebody expunged meanwhile.
fn account(
    mut pass: Pass<'_>,
    uids: &UidSet,
    ask: &dyn Fn(&mut Pass<'_>, &UidSet) -> Result<(), StoreError>,
) -> Result<(FetchOutcome, Line), StoreError> {
    let again = pass.take_doubtful(uids);
    if !again.is_empty() && !pass.is_stopped() {
        pass.noop()?;
        ask(&mut pass, &again)?;
        pass.ask_alone()?;
    }
    let withheld = pass.withheld().clone();
    let empty = pass.empty().clone();
    let doubtful = pass.take_doubtful(uids);
    let present = if doubtful.is_empty() || pass.is_stopped() {
        doubtful.clone()
    } else {
        pass.present(&doubtful)?
    };
    let stopped = pass.is_stopped();
    let why = |uid| match (present.contains(uid), empty.contains(uid)) {
        (false, _) => MissingWhy::Gone,
        (true, true) => MissingWhy::NoContent,
        (true, false) if stopped => MissingWhy::NotAsked,
        (true, false) => MissingWhy::Withheld,
    };
    let mut missing: Vec<Missing> =
        doubtful.iter().map(|uid| Missing { uid, why: why(uid) }).collect();
    missing.extend(withheld.iter().map(|uid| Missing { uid, why: MissingWhy::Withheld }));
    missing.sort_unstable_by_key(|missing| missing.uid);
    let line = pass.left();
    let (came, complete) = pass.into_listing();
    Ok((FetchOutcome { missing, came, complete }, line))
}

/// Takes rows and keeps nothing of them.
struct Nobody;

impl FetchSink for Nobody {
    fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
        Flow::Go
    }

    fn piece(&mut self, _: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tour_tests;

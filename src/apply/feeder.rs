//! The reading end of the pipe: treats each message by its recipe and puts it in.

use crate::apply::dating;
use crate::apply::pass::Leg;
use crate::apply::pipe::{Passenger, Pipe};
use crate::identity;
use crate::identity::{Basis, Fingerprint};
use crate::mail::{InternalDate, Timestamp, Uid, UidSet};
use crate::plan::{DateFrom, Reason};
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, FolderState, RowHead, StoreError, VisitSink,
};

/// Longest header that is kept for fingerprints and dates, in octets.
const HEADER_OCTETS_MAX: usize = 1 << 20;

/// Most room that is kept for the next header, in octets.
const ROOM_OCTETS_MAX: usize = 64 << 10;

/// What reading left over.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Messages that have come to carry a flag which the recipe leaves, such as `\Deleted`.
    pub left: UidSet,
    /// Messages that cannot go, and why.
    pub blocked: Vec<Blocked>,
    /// The message without any date of its own at which reading stopped: it goes on there once a
    /// neighbour's is known.
    pub undated: UidSet,
    /// How many copies got another date than their INTERNALDATE.
    pub redated: u64,
    /// The message that had begun and not ended when reading stopped.
    pub broken: Option<Uid>,
}

/// A message that cannot go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocked {
    /// Which.
    pub uid: Uid,
    /// Why.
    pub reason: Reason,
    /// Its octets.
    pub octets: u64,
    /// Its INTERNALDATE.
    pub date: Option<Timestamp>,
}

/// Takes rows of a fetch and puts passengers into the pipe.
pub(super) struct Feeder<'a> {
    pipe: &'a Pipe,
    legs: &'a [Leg<'a>],
    now: Timestamp,
    /// The leg whose rows come.
    leg: usize,
    current: Option<Current>,
    /// Room for the next header, which the one before has left.
    room: Vec<u8>,
    fed: Vec<(Fed, Option<FetchOutcome>)>,
    /// Reading was asked to stop.
    stopped: bool,
}

struct Current {
    uid: Uid,
    head: RowHead,
    octets: u64,
    header: Vec<u8>,
    header_ended: bool,
    /// The body so far, held back until the date is known from the header.
    held: Option<Vec<u8>>,
    skipped: bool,
}

impl Current {
    /// Keeps what is of the header.
    fn take_header(&mut self, octets: &[u8]) {
        let room = HEADER_OCTETS_MAX - self.header.len();
        let octets = &octets[..octets.len().min(room)];
        let end = if self.header.is_empty() {
            // Most come at one go, with much of the body that need not be copied.
            let end = header_end(octets, octets.len());
            self.header.extend_from_slice(&octets[..end.unwrap_or(octets.len())]);
            end
        } else {
            self.header.extend_from_slice(octets);
            let end = header_end(&self.header, octets.len());
            self.header.truncate(end.unwrap_or(self.header.len()));
            end
        };
        self.header_ended = end.is_some() || octets.len() == room;
    }
}

impl<'a> Feeder<'a> {
    pub(super) fn new(pipe: &'a Pipe, legs: &'a [Leg<'a>], now: Timestamp) -> Self {
        let fed = legs.iter().map(|_| (Fed::default(), None)).collect();
        Self { pipe, legs, now, leg: 0, current: None, room: Vec::new(), fed, stopped: false }
    }

    /// Ends the reading; tells the pipe if a message was cut. Returns what is left of each leg, and
    /// what came of it, if it was visited to its end.
    pub(super) fn finish(mut self) -> Vec<(Fed, Option<FetchOutcome>)> {
        if let Some(current) = self.current.take() {
            self.fed().broken = Some(current.uid);
            self.pipe.lost();
        }
        self.fed
    }

    /// Takes what came of the leg whose rows came.
    pub(super) fn came(&mut self, outcome: FetchOutcome) {
        self.fed[self.leg].1 = Some(outcome);
    }

    /// Tells whether reading was asked to stop: then nothing more is to be read.
    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    const fn flow(&mut self, goes_on: bool) -> Flow {
        self.stopped |= !goes_on;
        if goes_on { Flow::Go } else { Flow::Stop }
    }

    fn fed(&mut self) -> &mut Fed {
        &mut self.fed[self.leg].0
    }

    fn leg(&self) -> &'a Leg<'a> {
        &self.legs[self.leg]
    }

    fn start(&mut self, uid: Uid, head: &RowHead) -> Current {
        let recipe = self.leg().recipe;
        let octets = head.body_octets.or(head.size).unwrap_or_default();
        let mut current = Current {
            uid,
            head: head.clone(),
            octets,
            header: std::mem::take(&mut self.room),
            header_ended: false,
            held: None,
            skipped: true,
        };
        let date = head.internal_date.map(InternalDate::instant);
        if !head.flags.intersection(&recipe.leave_flagged).is_empty() {
            self.fed().left.insert(uid);
        } else if recipe.ceiling.is_some_and(|ceiling| octets > ceiling) {
            self.fed().blocked.push(Blocked { uid, reason: Reason::TooLarge, octets, date });
        } else {
            current.skipped = false;
        }
        current
    }

    /// Puts the beginning of the message in, now that its date is known.
    fn announce(&self, current: &Current, date: InternalDate, date_text: String) -> bool {
        self.pipe.begin(Passenger {
            leg: self.leg,
            uid: current.uid,
            flags: current.head.flags.difference(&self.leg().recipe.drop_flags),
            date,
            date_text,
            octets: current.octets,
        })
    }

    /// The first date of the recipe's chain that can be sent and needs no header.
    fn date_of_head(&self, head: &RowHead) -> Option<(InternalDate, String)> {
        match self.leg().recipe.dates.first() {
            Some(DateFrom::Internaldate) => {
                let date = head.internal_date?;
                Some((date, date.to_append(self.now)?))
            }
            _ => None,
        }
    }

    fn date_of_header(&self, current: &Current) -> Option<(InternalDate, String)> {
        let Leg { recipe, dates: neighbours, .. } = self.leg();
        let (internal_date, header) = (current.head.internal_date, &current.header[..]);
        let own = dating::date_of_its_own(recipe, internal_date, header, self.now);
        own.or_else(|| {
            let neighbour = neighbours.get(&current.uid).copied()?;
            Some((neighbour, neighbour.to_append(self.now)?))
        })
    }

    /// The header has ended: settles the date of a message that was held back for it.
    fn release(&mut self, current: &mut Current) -> bool {
        let Some(held) = current.held.take() else { return true };
        let Some((date, text)) = self.date_of_header(current) else {
            // What follows must not overtake it: reading goes on here once its date is found.
            self.fed().undated.insert(current.uid);
            current.skipped = true;
            return false;
        };
        if current.head.internal_date != Some(date) {
            self.fed().redated += 1;
        }
        self.announce(current, date, text)
            && held.chunks(64 * 1024).all(|piece| self.pipe.octets(&Chunk::from(piece)))
    }

    fn take(&mut self, current: &mut Current, octets: &Chunk) -> bool {
        if current.skipped {
            return true;
        }
        if let Some(held) = &mut current.held {
            held.extend_from_slice(octets);
        }
        let was_held = current.held.is_some();
        if !current.header_ended {
            current.take_header(octets);
            if current.header_ended && was_held {
                return self.release(current);
            }
        }
        was_held || self.pipe.octets(octets)
    }
}

/// Where the header ends: after the first empty line. Only what came with the last `fresh` octets,
/// and the line end before them, is looked at.
fn header_end(header: &[u8], fresh: usize) -> Option<usize> {
    let from = header.len().saturating_sub(fresh.saturating_add(4));
    if from == 0 && (header.starts_with(b"\r\n") || header.starts_with(b"\n")) {
        return Some(0);
    }
    memchr::memchr_iter(b'\n', &header[from..])
        .map(|at| from + at + 1)
        .find(|&next| header[next..].starts_with(b"\n") || header[next..].starts_with(b"\r\n"))
}

/// The fingerprint of a message by its header: by its key, or else by the longer list of headers.
pub(super) fn seen(header: &[u8]) -> Fingerprint {
    let key = identity::fingerprint(header);
    if key.basis != Basis::Nothing {
        return key;
    }
    let headers = identity::full(header);
    headers.map_or(key, |digest| Fingerprint { digest, basis: Basis::Headers })
}

impl FetchSink for Feeder<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        let mut current = self.start(uid, head);
        let mut goes_on = true;
        if !current.skipped {
            match self.date_of_head(head) {
                Some((date, text)) => goes_on = self.announce(&current, date, text),
                None => current.held = Some(Vec::new()),
            }
        }
        self.current = Some(current);
        self.flow(goes_on)
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        let Some(mut current) = self.current.take() else { return Flow::Go };
        let goes_on = self.take(&mut current, octets);
        self.current = Some(current);
        self.flow(goes_on)
    }

    fn end(&mut self, _: Uid) -> Flow {
        let Some(mut current) = self.current.take() else { return Flow::Go };
        let mut goes_on = self.release(&mut current);
        if !current.skipped {
            goes_on = goes_on && self.pipe.end(seen(&current.header));
        }
        if current.header.capacity() <= ROOM_OCTETS_MAX {
            self.room = current.header;
            self.room.clear();
        }
        self.flow(goes_on)
    }
}

impl VisitSink for Feeder<'_> {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.leg = visit;
        let (uid_validity, mailbox_id) = &self.leg().source_identity;
        // A folder that is another one by now is told apart when it is opened with care.
        state.is_ok_and(|state| {
            state.uid_validity == *uid_validity
                && match (mailbox_id, &state.mailbox_id) {
                    (Some(planned), Some(now)) => planned == now,
                    _ => true,
                }
        })
    }

    fn left(&mut self, visit: usize, outcome: FetchOutcome) {
        self.fed[visit].1 = Some(outcome);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<u8>, bool) {
        let mut current = Current {
            uid: Uid::MIN,
            head: RowHead::default(),
            octets: 0,
            header: Vec::new(),
            header_ended: false,
            held: None,
            skipped: false,
        };
        for piece in pieces {
            if !current.header_ended {
                current.take_header(piece);
            }
        }
        (current.header, current.header_ended)
    }

    proptest! {
        #[test]
        fn the_header_that_is_kept_is_the_same_wherever_pieces_are_cut(
            message in "[a\r\n]{0,30}",
            size in 1_usize..9,
        ) {
            let octets = message.as_bytes();
            prop_assert_eq!(taken([octets]), taken(octets.chunks(size)));
            let (header, ended) = taken([octets]);
            prop_assert!(octets.starts_with(&header) && (ended || header.len() == octets.len()));
        }
    }

    #[test]
    fn a_header_without_end_is_kept_up_to_the_limit() {
        let octets = vec![b'a'; 3 * HEADER_OCTETS_MAX / 2];
        for size in [octets.len(), 64 * 1024, 70_001] {
            let (header, ended) = taken(octets.chunks(size));
            assert!(ended && header.len() == HEADER_OCTETS_MAX, "in pieces of {size}");
        }
    }

    #[track_caller]
    fn check(pieces: &[&[u8]], expected: Option<usize>) {
        let mut header = Vec::new();
        let mut found = None;
        for piece in pieces {
            header.extend_from_slice(piece);
            found = header_end(&header, piece.len());
            if found.is_some() {
                break;
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn the_header_ends_at_the_first_empty_line_wherever_pieces_are_cut() {
        check(&[b"A: b\r\n\r\nbody"], Some(6));
        check(&[b"A: b\r", b"\n\r", b"\nbody"], Some(6));
        check(&[b"A: b\n\nbody"], Some(5));
        check(&[b"A: b\r\n", b"\r", b"\n"], Some(6));
        check(&[b"\r\nbody"], Some(0));
        check(&[b"A: b\r\n", b" folded\r\n"], None);
    }
}

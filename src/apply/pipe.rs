//! The pipe between reading and writing: messages in order, bounded in octets.
//!
//! One thread reads from the source and fills it, another appends and empties it. A message is never
//! held whole: a large one passes in pieces while both ends wait for each other.
//!
//! To wake the other end costs more than to hand over a small message. So nobody is woken who does not
//! wait, the writer not before a message is whole or much of it is there, and the reader not before half
//! of the pipe is empty.

use std::collections::VecDeque;
use std::io;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::identity::Fingerprint;
use crate::mail::{FlagSet, InternalDate, Uid};
use crate::store::{Chunk, Wait};

/// One message that is on its way.
#[derive(Clone, Debug)]
pub(super) struct Passenger {
    /// The leg that it belongs to.
    pub leg: usize,
    /// The source message.
    pub uid: Uid,
    /// Flags that the copy is to get, as far as the destination keeps them.
    pub flags: FlagSet,
    /// The date that the copy gets.
    pub date: InternalDate,
    /// The same, as the command line wants it; empty once the message was handed out.
    pub date_text: String,
    /// Exact octets of the body.
    pub octets: u64,
}

enum Piece {
    Begin(Passenger),
    /// Octets of the body, and what they count for.
    Octets(Chunk, usize),
    /// The message is complete; its fingerprints were taken on the way.
    End(Fingerprint),
    /// The source was lost inside the message.
    Lost,
    /// All messages of a part have come.
    PartEnd,
}

impl Piece {
    /// What it counts for in the pipe: for what it holds in memory, unless what was put in before it holds
    /// that already.
    fn octets(&self) -> usize {
        match self {
            Self::Octets(_, octets) => *octets,
            Self::Begin(_) => BEGIN_OCTETS,
            Self::End(_) | Self::Lost | Self::PartEnd => 0,
        }
    }
}

/// What the beginning of a message counts for, in octets.
const BEGIN_OCTETS: usize = 200;

/// What a piece counts for besides its block, in octets.
const PIECE_OCTETS: usize = 100;

/// So many octets wake the writer before their message is whole: more than one block.
const MUCH: usize = 80 << 10;

/// A bounded queue of messages in pieces. What it holds in memory is at most its capacity and two blocks
/// of chunks.
pub(super) struct Pipe {
    inner: Mutex<Inner>,
    changed: Condvar,
    capacity: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Inner {
    pieces: VecDeque<Piece>,
    /// What waits in `pieces` counts for, in octets.
    octets: usize,
    /// The block of the chunk that was put in last, by its address: it is counted.
    counted: Option<usize>,
    /// Nothing more will be put in.
    closed: bool,
    /// Nothing more will be taken out.
    abandoned: bool,
    /// The writer waits for a piece, and was not woken yet.
    taker_waits: bool,
    /// The reader waits for room, and was not woken yet.
    putter_waits: bool,
}

impl Pipe {
    /// Makes a pipe of this capacity, in octets.
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner {
            pieces: VecDeque::new(),
            octets: 0,
            counted: None,
            closed: false,
            abandoned: false,
            taker_waits: false,
            putter_waits: false,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic on the other side is told by the thread's own end; the pieces are sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut piece: Piece) -> bool {
        let is_whole = matches!(piece, Piece::End(_) | Piece::Lost | Piece::PartEnd);
        let mut inner = self.lock();
        while inner.octets >= self.capacity && !inner.abandoned && !is_whole {
            inner.putter_waits = true;
            if std::mem::take(&mut inner.taker_waits) {
                self.changed.notify_all();
            }
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.putter_waits = false;
        }
        if inner.abandoned {
            return false;
        }
        if let Piece::Octets(chunk, octets) = &mut piece {
            let block = Some(chunk.block_address());
            let is_new = inner.counted != block;
            *octets = PIECE_OCTETS + if is_new { chunk.block_octets() } else { 0 };
            inner.counted = block;
        }
        inner.octets += piece.octets();
        inner.pieces.push_back(piece);
        // Once, however long it takes to get up.
        let is_due = is_whole || inner.octets >= MUCH;
        let wakes = is_due && std::mem::take(&mut inner.taker_waits);
        drop(inner);
        if wakes {
            self.changed.notify_all();
        }
        true
    }

    /// Takes the first piece; wakes the reader where it waits and there is room again.
    fn pop(&self, inner: &mut Inner) -> Option<Piece> {
        let piece = inner.pieces.pop_front()?;
        inner.octets -= piece.octets();
        if inner.octets <= self.capacity / 2 && std::mem::take(&mut inner.putter_waits) {
            self.changed.notify_all();
        }
        Some(piece)
    }

    /// Waits for a piece, at most so long, or until there may be one.
    fn wait<'p>(
        &'p self,
        mut inner: MutexGuard<'p, Inner>,
        left: Option<Duration>,
    ) -> MutexGuard<'p, Inner> {
        inner.taker_waits = true;
        let mut inner = match left {
            None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let woken = self.changed.wait_timeout(inner, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        inner.taker_waits = false;
        inner
    }

    /// Puts in the beginning of a message; tells whether anybody still takes.
    pub(super) fn begin(&self, passenger: Passenger) -> bool {
        self.put(Piece::Begin(passenger))
    }

    /// Puts in a piece of its body.
    pub(super) fn octets(&self, octets: &Chunk) -> bool {
        octets.is_empty() || self.put(Piece::Octets(octets.clone(), 0))
    }

    /// Puts in the end of the message.
    pub(super) fn end(&self, seen: Fingerprint) -> bool {
        self.put(Piece::End(seen))
    }

    /// Says that the rest of the message will not come.
    pub(super) fn lost(&self) {
        self.put(Piece::Lost);
    }

    /// Says that all messages of a part have come; tells whether anybody still takes.
    pub(super) fn end_part(&self) -> bool {
        self.put(Piece::PartEnd)
    }

    /// Goes on with the next part, and leaves what is still to come of this one.
    pub(super) fn next_part(&self) {
        let mut inner = self.lock();
        loop {
            match self.pop(&mut inner) {
                Some(Piece::PartEnd) => return,
                Some(_) => {}
                None if inner.closed || inner.abandoned => return,
                None => inner = self.wait(inner, None),
            }
        }
    }

    /// Says that nothing more will be put in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Says that nothing more will be taken out.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.pieces.clear();
        inner.octets = 0;
        drop(inner);
        self.changed.notify_all();
    }

    /// Tells whether nothing is left of this part and nothing will come.
    pub(super) fn is_over(&self) -> bool {
        let inner = self.lock();
        match inner.pieces.front() {
            Some(piece) => matches!(piece, Piece::PartEnd),
            None => inner.closed,
        }
    }

    /// Takes the beginning of the next message of this part, waited for as `wait` says.
    pub(super) fn next(&self, wait: Wait) -> Option<Passenger> {
        let until = match wait {
            Wait::For(time) => Some(Instant::now() + time),
            Wait::No | Wait::UntilEnd => None,
        };
        let mut inner = self.lock();
        loop {
            if let Some(Piece::PartEnd) = inner.pieces.front() {
                return None;
            }
            match self.pop(&mut inner) {
                Some(Piece::Begin(passenger)) => return Some(passenger),
                // Left over of a message that was not taken to its end.
                Some(Piece::Octets(..) | Piece::End(_) | Piece::Lost | Piece::PartEnd) => {}
                None if inner.closed || wait == Wait::No => return None,
                None => {
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    if left == Some(Duration::ZERO) {
                        return None;
                    }
                    inner = self.wait(inner, left);
                }
            }
        }
    }

    /// The messages of this part that wait behind the one that was taken last, without taking them.
    pub(super) fn waiting(&self, each: &mut dyn FnMut(&Passenger)) {
        for piece in &self.lock().pieces {
            match piece {
                Piece::Begin(passenger) => each(passenger),
                Piece::PartEnd => break,
                Piece::Octets(..) | Piece::End(_) | Piece::Lost => {}
            }
        }
    }

    /// Pours the body of the message that was taken last into `sink`.
    ///
    /// # Errors
    ///
    /// The sink's own, or [`BodyLost`](crate::store::BodyLost) where the source was lost.
    pub(super) fn pour(
        &self,
        sink: &mut dyn FnMut(&Chunk) -> io::Result<()>,
    ) -> io::Result<Fingerprint> {
        loop {
            let mut inner = self.lock();
            let piece = loop {
                match self.pop(&mut inner) {
                    Some(piece) => break piece,
                    None if inner.closed => break Piece::Lost,
                    None => inner = self.wait(inner, None),
                }
            };
            drop(inner);
            match piece {
                Piece::Octets(octets, _) => sink(&octets)?,
                Piece::End(seen) => return Ok(seen),
                Piece::Begin(_) | Piece::Lost | Piece::PartEnd => {
                    return Err(io::Error::other(crate::store::BodyLost));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::mail::Timestamp;

    fn passenger(uid: u32, octets: u64) -> Passenger {
        let date = InternalDate::new(Timestamp::from_seconds(1_000_000_000), 0);
        Passenger {
            leg: 0,
            uid: Uid::new(uid).unwrap(),
            flags: FlagSet::new(),
            date,
            date_text: String::new(),
            octets,
        }
    }

    #[test]
    fn a_message_larger_than_the_pipe_passes_in_pieces() {
        let pipe = Pipe::new(1_000);
        thread::scope(|scope| {
            scope.spawn(|| {
                pipe.begin(passenger(1, 100_000));
                for _ in 0..100 {
                    pipe.octets(&Chunk::from(&[7; 1_000][..]));
                    assert!(pipe.lock().octets <= 2_000);
                }
                pipe.end(Fingerprint::default());
                pipe.close();
            });
            assert_eq!(pipe.next(Wait::UntilEnd).unwrap().uid.get(), 1);
            let mut octets = 0;
            pipe.pour(&mut |piece| {
                octets += piece.len();
                Ok(())
            })
            .unwrap();
            assert_eq!(octets, 100_000);
            assert!(pipe.next(Wait::UntilEnd).is_none());
            assert!(pipe.is_over());
        });
    }

    #[test]
    fn parts_are_taken_one_after_the_other_though_more_has_come() {
        let pipe = Pipe::new(1_000_000);
        let message = |uid| {
            pipe.begin(passenger(uid, 1));
            pipe.octets(&Chunk::from(&[7][..]));
            pipe.end(Fingerprint::default());
        };
        (1..=3).for_each(message);
        assert!(pipe.end_part() && !pipe.is_over());
        message(4);
        pipe.close();
        let waiting = || {
            let mut uids = Vec::new();
            pipe.waiting(&mut |passenger| uids.push(passenger.uid.get()));
            uids
        };
        assert_eq!(waiting(), [1, 2, 3]);
        assert_eq!(pipe.next(Wait::UntilEnd).unwrap().uid.get(), 1);
        pipe.pour(&mut |_| Ok(())).unwrap();
        // The second is begun and left, and the third is not wanted.
        assert_eq!(pipe.next(Wait::UntilEnd).unwrap().uid.get(), 2);
        pipe.next_part();
        assert_eq!(waiting(), [4]);
        assert_eq!(pipe.next(Wait::UntilEnd).unwrap().uid.get(), 4);
        assert_eq!(pipe.next(Wait::UntilEnd).map(|passenger| passenger.uid), None);
        assert!(pipe.is_over());
        pipe.next_part();
    }

    #[test]
    fn part_that_has_ended_hands_nothing_out_until_the_next_one_is_begun() {
        let pipe = Pipe::new(1_000_000);
        pipe.end_part();
        pipe.begin(passenger(1, 1));
        for wait in [Wait::No, Wait::UntilEnd, Wait::For(Duration::from_mins(1))] {
            assert!(pipe.next(wait).is_none() && pipe.is_over());
        }
        pipe.next_part();
        assert!(!pipe.is_over() && pipe.next(Wait::No).is_some());
    }

    #[test]
    fn a_block_counts_once_and_as_a_whole() {
        let pipe = Pipe::new(1_000_000);
        let block = |octet| Chunk::from(&[octet; 1_000][..]);
        let (mut first, mut second) = (block(1), block(2));
        pipe.begin(passenger(1, 30));
        for rest in [&mut first, &mut second] {
            (0..3).for_each(|_| assert!(pipe.octets(&rest.split_to(5))));
        }
        assert_eq!(pipe.lock().octets, BEGIN_OCTETS + 2_000 + 6 * PIECE_OCTETS);
        pipe.end(Fingerprint::default());
        pipe.next(Wait::No).unwrap();
        pipe.pour(&mut |_| Ok(())).unwrap();
        assert_eq!(pipe.lock().octets, 0);
    }

    /// Many small messages through a pipe of this capacity, whichever end is the slower one.
    fn pass(capacity: usize, pause: impl Fn(u32, bool) + Sync) {
        const MESSAGES: u32 = 300;
        let pipe = Pipe::new(capacity);
        thread::scope(|scope| {
            scope.spawn(|| {
                for uid in 1..=MESSAGES {
                    pipe.begin(passenger(uid, 90));
                    (0..3).for_each(|_| assert!(pipe.octets(&Chunk::from(&[7; 30][..]))));
                    pause(uid, true);
                    pipe.end(Fingerprint::default());
                }
                pipe.close();
            });
            for uid in 1..=MESSAGES {
                assert_eq!(pipe.next(Wait::UntilEnd).unwrap().uid.get(), uid);
                pause(uid, false);
                let mut octets = 0;
                let mut count = |piece: &Chunk| {
                    octets += piece.len();
                    Ok(())
                };
                pipe.pour(&mut count).unwrap();
                assert_eq!(octets, 90);
            }
            assert!(pipe.next(Wait::UntilEnd).is_none());
        });
    }

    #[test]
    fn nobody_waits_for_ever_however_small_the_pipe_is_and_whoever_is_slow() {
        for capacity in [1, 100, 250, 1_000, 100_000] {
            for slow in [None, Some(true), Some(false)] {
                pass(capacity, |uid, puts| {
                    if slow == Some(puts) && uid % 40 == 0 {
                        thread::sleep(Duration::from_millis(2));
                    }
                });
            }
        }
    }

    #[test]
    fn whoever_waits_is_woken_once_and_only_when_it_pays() {
        let pipe = Pipe::new(1_000);
        pipe.lock().taker_waits = true;
        pipe.begin(passenger(1, 900));
        pipe.octets(&Chunk::from(&[7; 900][..]));
        assert!(pipe.lock().taker_waits, "little came, and the message is not whole");
        pipe.end(Fingerprint::default());
        assert!(!pipe.lock().taker_waits);
        pipe.lock().putter_waits = true;
        pipe.next(Wait::No).unwrap();
        assert!(pipe.lock().putter_waits, "it is still more than half full");
        pipe.pour(&mut |_| Ok(())).unwrap();
        assert!(!pipe.lock().putter_waits);
    }

    #[test]
    fn much_of_a_message_is_handed_on_before_it_is_whole() {
        let pipe = Pipe::new(1 << 20);
        let poured = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                pipe.begin(passenger(1, 100_001));
                pipe.octets(&Chunk::from(&*vec![7; 100_000]));
                // The rest comes only when the writer has taken that.
                poured.wait();
                pipe.octets(&Chunk::from(&[7][..]));
                pipe.end(Fingerprint::default());
            });
            pipe.next(Wait::UntilEnd).unwrap();
            let mut octets = 0;
            pipe.pour(&mut |piece| {
                octets += piece.len();
                if octets == 100_000 {
                    poured.wait();
                }
                Ok(())
            })
            .unwrap();
            assert_eq!(octets, 100_001);
        });
    }

    #[test]
    fn a_source_lost_inside_a_message_is_told_to_the_writer() {
        let pipe = Pipe::new(1_000);
        pipe.begin(passenger(1, 100));
        pipe.octets(&Chunk::from(&[1; 50][..]));
        pipe.close();
        pipe.next(Wait::UntilEnd).unwrap();
        assert!(pipe.pour(&mut |_| Ok(())).is_err());
    }

    #[test]
    fn a_writer_that_gives_up_sets_the_reader_free() {
        let pipe = Pipe::new(100);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                pipe.begin(passenger(1, 1_000));
                while pipe.octets(&Chunk::from(&[1; 100][..])) {}
            });
            pipe.abandon();
            reader.join().unwrap();
        });
    }
}

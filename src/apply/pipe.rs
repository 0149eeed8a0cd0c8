//! The pipe between reading and writing: messages in order, bounded in octets.
//!
//! One thread reads from the source and fills it, another appends and empties it. A message is never
//! held whole: a large one passes in pieces while both ends wait for each other.

use std::collections::VecDeque;
use std::io;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::identity::Digest;
use crate::mail::{FlagSet, InternalDate, Uid};
use crate::store::Wait;

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
    /// The same, as the command line wants it.
    pub date_text: String,
    /// Exact octets of the body.
    pub octets: u64,
}

enum Piece {
    Begin(Passenger),
    Octets(Box<[u8]>),
    /// The message is complete; its fingerprints were taken on the way.
    End(Seen),
    /// The source was lost inside the message.
    Lost,
}

/// What was seen of a message while it passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The fingerprint of its header and what it stands on.
    pub digest: Digest,
    /// What the digest stands on.
    pub basis: crate::identity::Basis,
    /// The digest of the longer list of headers, where it has any.
    pub headers: Option<Digest>,
}

/// A bounded queue of messages in pieces.
pub(super) struct Pipe {
    inner: Mutex<Inner>,
    changed: Condvar,
    capacity: usize,
}

struct Inner {
    pieces: VecDeque<Piece>,
    /// Octets that wait in `pieces`.
    octets: usize,
    /// Nothing more will be put in.
    closed: bool,
    /// Nothing more will be taken out.
    abandoned: bool,
}

impl Pipe {
    /// Makes a pipe that holds at most `capacity` octets, and one piece more.
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner { pieces: VecDeque::new(), octets: 0, closed: false, abandoned: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic on the other side is told by the thread's own end; the pieces are sound.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, piece: Piece) -> bool {
        let octets = match &piece {
            Piece::Octets(octets) => octets.len(),
            Piece::Begin(_) => 200,
            Piece::End(_) | Piece::Lost => 0,
        };
        let mut inner = self.lock();
        while inner.octets >= self.capacity && !inner.abandoned && octets > 0 {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if inner.abandoned {
            return false;
        }
        inner.octets += octets;
        inner.pieces.push_back(piece);
        drop(inner);
        self.changed.notify_all();
        true
    }

    /// Puts in the beginning of a message; tells whether anybody still takes.
    pub(super) fn begin(&self, passenger: Passenger) -> bool {
        self.put(Piece::Begin(passenger))
    }

    /// Puts in a piece of its body.
    pub(super) fn octets(&self, octets: &[u8]) -> bool {
        octets.is_empty() || self.put(Piece::Octets(octets.into()))
    }

    /// Puts in the end of the message.
    pub(super) fn end(&self, seen: Seen) -> bool {
        self.put(Piece::End(seen))
    }

    /// Says that the rest of the message will not come.
    pub(super) fn lost(&self) {
        self.put(Piece::Lost);
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

    /// Tells whether nothing is left and nothing will come.
    pub(super) fn is_over(&self) -> bool {
        let inner = self.lock();
        inner.closed && inner.pieces.is_empty()
    }

    /// Takes the next message's beginning, waited for as `wait` says.
    pub(super) fn next(&self, wait: Wait) -> Option<Passenger> {
        let until = match wait {
            Wait::For(time) => Some(Instant::now() + time),
            Wait::No | Wait::UntilEnd => None,
        };
        let mut inner = self.lock();
        loop {
            match inner.pieces.pop_front() {
                Some(Piece::Begin(passenger)) => {
                    inner.octets = inner.octets.saturating_sub(200);
                    drop(inner);
                    self.changed.notify_all();
                    return Some(passenger);
                }
                // Left over of a message that was not taken to its end.
                Some(Piece::Octets(octets)) => inner.octets -= octets.len(),
                Some(Piece::End(_) | Piece::Lost) => {}
                None if inner.closed || wait == Wait::No => return None,
                None => {
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    inner = match left {
                        None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                        Some(Duration::ZERO) => return None,
                        Some(left) => {
                            let woken = self.changed.wait_timeout(inner, left);
                            woken.unwrap_or_else(PoisonError::into_inner).0
                        }
                    };
                }
            }
        }
    }

    /// The messages that wait behind the one that was taken last, without taking them.
    pub(super) fn waiting(&self, each: &mut dyn FnMut(&Passenger)) {
        for piece in &self.lock().pieces {
            if let Piece::Begin(passenger) = piece {
                each(passenger);
            }
        }
    }

    /// Pours the body of the message that was taken last into `sink`.
    ///
    /// # Errors
    ///
    /// The sink's own, or [`BodyLost`](crate::store::BodyLost) where the source was lost.
    pub(super) fn pour(&self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<Seen> {
        loop {
            let mut inner = self.lock();
            let piece = loop {
                match inner.pieces.pop_front() {
                    Some(piece) => break piece,
                    None if inner.closed => break Piece::Lost,
                    None => {
                        inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            match piece {
                Piece::Octets(octets) => {
                    inner.octets -= octets.len();
                    drop(inner);
                    self.changed.notify_all();
                    sink(&octets)?;
                }
                Piece::End(seen) => return Ok(seen),
                Piece::Begin(_) | Piece::Lost => {
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
                    pipe.octets(&[7; 1_000]);
                    assert!(pipe.lock().octets <= 2_000);
                }
                pipe.end(Seen::default());
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
    fn a_source_lost_inside_a_message_is_told_to_the_writer() {
        let pipe = Pipe::new(1_000);
        pipe.begin(passenger(1, 100));
        pipe.octets(&[1; 50]);
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
                while pipe.octets(&[1; 100]) {}
            });
            pipe.abandon();
            reader.join().unwrap();
        });
    }
}

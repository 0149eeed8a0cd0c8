//! Blocks that a connection receives into, used again once nobody holds what came in them.

use std::collections::VecDeque;
use std::io;
use std::iter;
use std::sync::Arc;

use crate::imap::wire::BUFFER_OCTETS;
use crate::store::Chunk;

/// What came at one go is handed on in its block from this size on, in octets; of less a copy is made, so
/// that a block that is held is half full at least.
const SHARED_OCTETS_MIN: usize = BUFFER_OCTETS / 2;

/// Most blocks that are kept for another use: what a lane's pipe may hold, and some.
const BLOCKS_MAX: usize = 72;

/// How many blocks are asked whether they are free before another one is made.
const TRIES: usize = 8;

/// The blocks of one connection.
#[derive(Default)]
pub(super) struct Blocks {
    /// Those that were handed on, the oldest first, which is the order in which most come free.
    used: VecDeque<Arc<[u8]>>,
    /// One that nobody else holds.
    spare: Option<Arc<[u8]>>,
}

impl Blocks {
    /// Has a block filled from its beginning by `read`, which tells how many octets came.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub(super) fn receive(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Chunk> {
        let mut block = self.take();
        let Some(room) = Arc::get_mut(&mut block) else {
            return Err(io::Error::other("a block has two owners"));
        };
        match read(room) {
            Ok(count) if count >= SHARED_OCTETS_MIN => {
                self.used.push_back(Arc::clone(&block));
                Ok(Chunk::of(block, 0..count))
            }
            other => {
                let chunk = other.map(|count| Chunk::from(&room[..count]));
                self.spare = Some(block);
                // While little comes at a time, others lie idle.
                drop(self.free());
                chunk
            }
        }
    }

    /// A block that nobody else holds.
    fn take(&mut self) -> Arc<[u8]> {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        if self.used.len() > BLOCKS_MAX {
            self.used.pop_front();
        }
        // At one go: a vector first would be one more copy.
        self.free().unwrap_or_else(|| iter::repeat_n(0, BUFFER_OCTETS).collect())
    }

    /// One that was handed on and that nobody holds any more. One that is held long stands in nobody's way.
    fn free(&mut self) -> Option<Arc<[u8]>> {
        for _ in 0..self.used.len().min(TRIES) {
            let mut block = self.used.pop_front()?;
            if Arc::get_mut(&mut block).is_some() {
                return Some(block);
            }
            self.used.push_back(block);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(octet: u8) -> impl FnOnce(&mut [u8]) -> io::Result<usize> {
        move |room| {
            room.fill(octet);
            Ok(room.len())
        }
    }

    #[test]
    fn a_block_is_used_again_once_nobody_holds_it() {
        let mut blocks = Blocks::default();
        let first = blocks.receive(full(1)).unwrap();
        let second = blocks.receive(full(2)).unwrap();
        assert!(first.iter().all(|octet| *octet == 1) && second.iter().all(|octet| *octet == 2));
        let place = first.as_ptr();
        drop(first);
        let third = blocks.receive(full(3)).unwrap();
        assert_eq!((third.as_ptr(), second[0], blocks.used.len()), (place, 2, 2));
    }

    #[test]
    fn little_is_copied_so_that_no_block_is_held_for_it() {
        let mut blocks = Blocks::default();
        let little = blocks.receive(|room| {
            room[..5].fill(7);
            Ok(5)
        });
        let little = little.unwrap();
        assert_eq!((&*little, little.block_octets()), (&[7; 5][..], 5));
        assert!(blocks.receive(|_| Err(io::ErrorKind::WouldBlock.into())).is_err());
        assert!(blocks.used.is_empty() && blocks.spare.is_some());
    }

    #[test]
    fn one_that_is_held_long_does_not_keep_others_from_being_used_again() {
        let mut blocks = Blocks::default();
        let held = blocks.receive(full(1)).unwrap();
        for _ in 0..100 {
            blocks.receive(full(2)).unwrap();
        }
        assert_eq!((blocks.used.len(), held[0]), (2, 1));
        // What lies idle is let go while little comes.
        for _ in 0..3 {
            blocks.receive(|_| Ok(1)).unwrap();
        }
        assert_eq!(blocks.used.len(), 1);
    }

    #[test]
    fn blocks_that_stay_held_are_forgotten() {
        let mut blocks = Blocks::default();
        let held: Vec<Chunk> = (0..400).map(|_| blocks.receive(full(9)).unwrap()).collect();
        assert!(blocks.used.len() <= BLOCKS_MAX + 1);
        assert!(held.iter().all(|chunk| chunk[0] == 9));
    }
}

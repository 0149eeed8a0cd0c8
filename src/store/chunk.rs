//! Octets that go from a socket to a socket without being copied.

use std::fmt;
use std::ops::Deref;
use std::ops::Range;
use std::sync::Arc;

/// A run of octets in a block that other chunks may share. A clone is no copy.
///
/// As long as one chunk of a block is there, the whole block is held in memory
/// ([`block_octets`](Self::block_octets)): who keeps chunks counts blocks.
#[derive(Clone, Default)]
pub struct Chunk {
    block: Arc<[u8]>,
    from: usize,
    to: usize,
}

impl Chunk {
    /// The octets of a block within a range, as far as it has them.
    #[must_use]
    pub fn of(block: Arc<[u8]>, range: Range<usize>) -> Self {
        let to = range.end.min(block.len());
        Self { from: range.start.min(to), to, block }
    }

    /// Takes the first octets off, as many as there are but at most so many.
    #[must_use]
    pub fn split_to(&mut self, octets: usize) -> Self {
        let mut first = self.clone();
        first.to = self.from + octets.min(self.len());
        self.from = first.to;
        first
    }

    /// How many octets the block has that this chunk holds in memory.
    #[must_use]
    pub fn block_octets(&self) -> usize {
        self.block.len()
    }

    /// Where that block lies: chunks of one block have the same.
    #[must_use]
    pub fn block_address(&self) -> usize {
        self.block.as_ptr().addr()
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block[self.from..self.to]
    }
}

impl fmt::Debug for Chunk {
    /// Never the rest of the block, which is of other messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} octets)", self.len())
    }
}

impl From<&[u8]> for Chunk {
    /// Copies into a block of its own.
    fn from(octets: &[u8]) -> Self {
        Self { block: octets.into(), from: 0, to: octets.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_falls_into_parts_that_share_its_block() {
        let mut rest = Chunk::of(b"_abcdef_"[..].into(), 1..7);
        let first = rest.split_to(2);
        assert_eq!((&*first, &*rest), (&b"ab"[..], &b"cdef"[..]));
        assert_eq!((first.block_address(), first.block_octets()), (rest.block_address(), 8));
        assert_eq!(&*rest.split_to(99), b"cdef");
        assert!(rest.is_empty() && rest.split_to(1).is_empty());
    }

    #[test]
    fn a_range_beyond_the_block_is_cut() {
        assert_eq!(&*Chunk::of(b"abc"[..].into(), 2..9), b"c");
        assert!(Chunk::of(b"abc"[..].into(), 5..9).is_empty());
        assert_eq!(&*Chunk::from(&b"abc"[..]), b"abc");
    }
}

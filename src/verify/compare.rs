//! Comparing content: digests first, octets only where they differ.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::thread;

use crate::identity::{Content, Digest};
use crate::inspect;
use crate::mail::{Side, Uid, UidSet, WireName};
use crate::store::{Chunk, FetchSink, Flow, RowHead, Source, StoreError, Visit};

/// How many pairs are read at once.
const PAIRS_AT_ONCE: usize = 500;

/// One message on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub source: Uid,
    pub destination: Uid,
}

/// What reading one pair showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Equal octet for octet.
    Equal,
    /// They differ.
    Differs(Difference),
    /// One side did not give the content.
    Unread(Side),
}

/// How two messages differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Octets of the source message.
    pub octets: u64,
    /// The first octet that differs, counted from 1.
    pub first_octet: u64,
    /// Line ends and 8-bit octets in the header apart they are equal: the destination altered it.
    pub altered: bool,
}

/// Both sessions and the folders that are compared.
pub(super) struct Sides<'a> {
    pub source: &'a mut (dyn Source + 'static),
    pub source_wire: &'a WireName,
    pub destination: &'a mut (dyn Source + 'static),
    pub destination_wire: &'a WireName,
}

/// Reads pairs on both sides at the same time and tells what each shows, in order of the pairs; first
/// those that are sure to be one message, then the doubtful ones.
pub(super) fn compare(
    mut sides: Sides<'_>,
    pairs: &[Pair],
    doubtful: &[Pair],
    each: &mut dyn FnMut(Pair, Comparison, bool),
) -> Result<(), (Side, StoreError)> {
    for (pairs, are_doubtful) in [(pairs, false), (doubtful, true)] {
        for pairs in pairs.chunks(PAIRS_AT_ONCE) {
            sides.chunk(pairs, &mut |pair, read| each(pair, read, are_doubtful))?;
        }
    }
    Ok(())
}

impl Sides<'_> {
    fn chunk(
        &mut self,
        pairs: &[Pair],
        each: &mut dyn FnMut(Pair, Comparison),
    ) -> Result<(), (Side, StoreError)> {
        let here: UidSet = pairs.iter().map(|pair| pair.source).collect();
        let there: UidSet = pairs.iter().map(|pair| pair.destination).collect();
        let Self { source, source_wire, destination, destination_wire } = self;
        let (here, there) = thread::scope(|scope| {
            let here = scope.spawn(|| digests(*source, source_wire, &here));
            let there = digests(*destination, destination_wire, &there);
            let here = match here.join() {
                Ok(here) => here,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            (here, there)
        });
        let here = here.map_err(|error| (Side::Source, error))?;
        let there = there.map_err(|error| (Side::Destination, error))?;
        for &pair in pairs {
            let read = match (here.get(&pair.source), there.get(&pair.destination)) {
                (Some(one), Some(other)) if one == other => Comparison::Equal,
                (None, _) => Comparison::Unread(Side::Source),
                (_, None) => Comparison::Unread(Side::Destination),
                (Some(_), Some(_)) => self.differ(pair)?,
            };
            each(pair, read);
        }
        Ok(())
    }

    /// Finds where two messages differ. Both pass through a file each, since neither fits into memory
    /// for sure.
    fn differ(&mut self, pair: Pair) -> Result<Comparison, (Side, StoreError)> {
        let here = body(self.source, self.source_wire, pair.source)
            .map_err(|error| (Side::Source, error))?;
        let there = body(self.destination, self.destination_wire, pair.destination)
            .map_err(|error| (Side::Destination, error))?;
        let (Some(mut here), Some(mut there)) = (here, there) else {
            return Ok(Comparison::Unread(Side::Source));
        };
        let difference = first_difference(&mut here, &mut there).unwrap_or_default();
        Ok(Comparison::Differs(difference))
    }
}

fn digests(
    store: &mut dyn Source,
    wire: &WireName,
    uids: &UidSet,
) -> Result<BTreeMap<Uid, Digest>, StoreError> {
    let mut digests = BTreeMap::new();
    inspect::content(store, wire, uids, &mut |uid, digest| {
        digests.extend(digest.map(|digest| (uid, digest)));
    })?;
    Ok(digests)
}

struct Body {
    file: Option<io::BufWriter<std::fs::File>>,
    failed: bool,
    came: bool,
}

impl FetchSink for Body {
    fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.failed |= self.file.as_mut().is_none_or(|file| file.write_all(octets).is_err());
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        self.came = true;
        Flow::Go
    }
}

fn body(
    store: &mut dyn Source,
    wire: &WireName,
    uid: Uid,
) -> Result<Option<std::fs::File>, StoreError> {
    let file = tempfile::tempfile().ok().map(io::BufWriter::new);
    let mut sink = Body { file, failed: false, came: false };
    store.fetch(&Visit::new(wire, &UidSet::range(uid, uid)), &mut sink)?;
    let file = sink.file.and_then(|file| file.into_inner().ok());
    let file = file.filter(|_| sink.came && !sink.failed);
    Ok(file.and_then(|mut file| file.rewind().ok().map(|()| file)))
}

fn first_difference(here: &mut std::fs::File, there: &mut std::fs::File) -> io::Result<Difference> {
    let octets = here.metadata()?.len();
    let mut first_octet = 1;
    {
        let mut one = io::BufReader::new(&*here).bytes();
        let mut other = io::BufReader::new(&*there).bytes();
        loop {
            match (one.next().transpose()?, other.next().transpose()?) {
                (Some(one), Some(other)) if one == other => first_octet += 1,
                _ => break,
            }
        }
    }
    here.rewind()?;
    there.rewind()?;
    let altered = plain(here)? == plain(there)?;
    Ok(Difference { octets, first_octet, altered })
}

/// A digest that does not see what servers are known to change in storing: the kind of line ends, those
/// at the very end, NUL, and what stands for 8-bit octets of a header.
fn plain(file: &mut std::fs::File) -> io::Result<Digest> {
    let mut content = Content::new();
    let mut in_header = true;
    let mut line_is_empty = true;
    let mut line_ends = 0_u64;
    let mut kept = Vec::with_capacity(64 * 1024);
    for octet in io::BufReader::new(file).bytes() {
        let octet = octet?;
        match octet {
            b'\r' | 0 => {}
            b'\n' => {
                in_header &= !line_is_empty;
                line_is_empty = true;
                line_ends += 1;
            }
            _ => {
                // Line ends count only once something follows them.
                for _ in 0..std::mem::take(&mut line_ends) {
                    keep(b'\n', &mut kept, &mut content);
                }
                line_is_empty = false;
                let octet = if in_header && !octet.is_ascii() { b'X' } else { octet };
                keep(octet, &mut kept, &mut content);
            }
        }
    }
    content.update(&kept);
    Ok(content.digest())
}

fn keep(octet: u8, kept: &mut Vec<u8>, content: &mut Content) {
    kept.push(octet);
    if kept.len() >= 64 * 1024 {
        content.update(kept);
        kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(here: &[u8], there: &[u8], first_octet: u64, altered: bool) {
        let file = |octets: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(octets).unwrap();
            file.rewind().unwrap();
            file
        };
        let found = first_difference(&mut file(here), &mut file(there)).unwrap();
        let octets = u64::try_from(here.len()).unwrap();
        assert_eq!(found, Difference { octets, first_octet, altered });
    }

    #[test]
    fn the_first_octet_that_differs_is_told() {
        check(b"A: b\r\n\r\nbody", b"A: b\r\n\r\nbudy", 10, false);
        check(b"A: b\r\n\r\nbody", b"A: b\r\n\r\nbod", 12, false);
    }

    #[test]
    fn line_ends_and_octets_that_a_server_replaced_count_as_altered() {
        check(b"A: b\n\nbody\n", b"A: b\r\n\r\nbody\r\n", 5, true);
        check(b"A: b\r\n\r\nbody", b"A: b\r\n\r\nbody\r\n", 13, true);
        check(b"A: \xe9\r\n\r\nbody", b"A: X\r\n\r\nbody", 4, true);
        check(b"A: b\r\n\r\nbo\xe9y", b"A: b\r\n\r\nboXy", 11, false);
    }
}

//! Reading headers: one sink for all, and the sample that tells whether a folder is still the same.

use std::collections::BTreeMap;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::Fingerprint;
use crate::identity::fingerprint;
use crate::identity::full;
use crate::mail::{Uid, UidSet, WireName};
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, HeaderFields, Items, Look, RowHead, StoreError,
};

/// More of a header is not kept: what lies beyond is no part of its digest.
const HEADER_OCTETS_MAX: usize = 1 << 20;

/// How many messages prove a folder to be the same: the first, the last, and the rest at random.
const SAMPLES: usize = 16;

/// How often a message is chosen at random: some are chosen twice.
const TRIES: usize = 16 * SAMPLES;

/// Joins the pieces of each header and hands it to `each` when it is complete.
pub(super) struct HeaderSink<F> {
    header: Vec<u8>,
    each: F,
}

impl<F: FnMut(Uid, &[u8]) -> Flow> FetchSink for HeaderSink<F> {
    fn begin(&mut self, _uid: Uid, _head: &RowHead) -> Flow {
        self.header.clear();
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        keep(&mut self.header, octets);
        Flow::Go
    }

    fn end(&mut self, uid: Uid) -> Flow {
        (self.each)(uid, &self.header)
    }
}

/// Adds a piece to a header, up to what is kept of one.
pub(super) fn keep(header: &mut Vec<u8>, octets: &[u8]) {
    let room = HEADER_OCTETS_MAX.saturating_sub(header.len()).min(octets.len());
    header.extend_from_slice(&octets[..room]);
}

/// Reads header fields of messages and hands them to `each`.
pub(super) fn scan_headers(
    look: &mut dyn Look,
    folder: &WireName,
    uids: &UidSet,
    header: HeaderFields,
    each: impl FnMut(Uid, &[u8]) -> Flow,
) -> Result<FetchOutcome, StoreError> {
    if uids.is_empty() {
        return Ok(FetchOutcome { complete: true, ..FetchOutcome::default() });
    }
    let items = Items { header, ..Items::default() };
    look.scan(folder, uids, items, &mut HeaderSink { header: Vec::new(), each })
}

/// What became of the messages of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampled {
    /// There was nothing to compare.
    Nothing,
    /// At least one is as it was, and none is another one.
    Same,
    /// One is another message than it was, or all are gone from a folder that is not empty.
    Other,
}

/// A header that was read again.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Of which message.
    pub(super) uid: Uid,
    /// Which fields were asked for: those of a key, or the longer list.
    pub(super) basis: Basis,
    /// What they stand for; nothing where the longer list tells nothing.
    pub(super) now: Option<Fingerprint>,
}

/// What header fields stand for that were asked for on this basis.
pub(super) fn print(basis: Basis, header: &[u8]) -> Option<Fingerprint> {
    match basis {
        Basis::Key => Some(fingerprint(header)),
        _ => full(header).map(|digest| Fingerprint { digest, basis }),
    }
}

/// Reads the headers of some messages again and compares them with what they were. `known` ascends by
/// UID; what stands on content or on nothing cannot be compared by headers.
pub(super) fn sample(
    look: &mut dyn Look,
    folder: &WireName,
    messages: u64,
    known: Vec<(Uid, Fingerprint)>,
) -> Result<Sampled, StoreError> {
    let chosen = choose(known);
    if chosen.is_empty() {
        return Ok(Sampled::Nothing);
    }
    let mut headers = Vec::new();
    for (basis, fields) in [(Basis::Key, HeaderFields::Key), (Basis::Headers, HeaderFields::Full)] {
        let of_basis = chosen.iter().filter(|(_, known)| known.basis == basis);
        let uids: UidSet = of_basis.map(|(uid, _)| *uid).collect();
        scan_headers(look, folder, &uids, fields, |uid, header| {
            headers.push(Header { uid, basis, now: print(basis, header) });
            Flow::Go
        })?;
    }
    Ok(judge(&chosen, &headers, messages))
}

/// What became of a sample, in a folder of so many messages. Headers of other messages do not count.
pub(super) fn judge(
    chosen: &BTreeMap<Uid, Fingerprint>,
    headers: &[Header],
    messages: u64,
) -> Sampled {
    let is_asked =
        |header: &&Header| chosen.get(&header.uid).is_some_and(|known| known.basis == header.basis);
    let (same, other): (Vec<_>, Vec<_>) = headers
        .iter()
        .filter(is_asked)
        .partition(|header| header.now.as_ref() == chosen.get(&header.uid));
    match (same.is_empty(), other.is_empty()) {
        (true, true) if messages == 0 => Sampled::Nothing,
        (false, true) => Sampled::Same,
        _ => Sampled::Other,
    }
}

/// The first, the last, and others of which nobody knows beforehand which: the choice depends on what
/// they are, so that it is the same in every run over the same folder. `known` ascends by UID; what
/// stands on content or on nothing is passed over.
pub(super) fn choose(mut known: Vec<(Uid, Fingerprint)>) -> BTreeMap<Uid, Fingerprint> {
    known.retain(|(_, known)| matches!(known.basis, Basis::Key | Basis::Headers));
    // Two links may name one message.
    known.dedup_by_key(|(uid, _)| *uid);
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return BTreeMap::new() };
    if known.len() <= SAMPLES {
        return known.into_iter().collect();
    }
    let count = u64::try_from(known.len()).unwrap_or(u64::MAX);
    let mut seed = first.1.digest;
    let mut chosen = BTreeMap::from([*first, *last].map(|(uid, known)| (uid, known)));
    for _ in 0..TRIES {
        if chosen.len() == SAMPLES {
            break;
        }
        let at = usize::try_from(next(&mut seed) % count).unwrap_or_default();
        chosen.extend(known.get(at).copied());
    }
    chosen
}

/// A number that depends on the seed only; changes the seed.
fn next(seed: &mut Digest) -> u64 {
    let hash = blake3::hash(&seed.0);
    seed.0.iter_mut().zip(hash.as_bytes()).for_each(|(octet, new)| *octet = *new);
    seed.0.iter().take(8).fold(0, |number, octet| number << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(count: u32) -> Vec<(Uid, Fingerprint)> {
        let print = Fingerprint { digest: Digest([7; 16]), basis: Basis::Key };
        (1..=count).filter_map(Uid::new).map(|uid| (uid, print)).collect()
    }

    #[test]
    fn sample_holds_first_and_last_and_is_the_same_each_time() {
        for (count, expected) in [(0, 0), (1, 1), (2, 2), (16, 16), (17, 16), (1_000, 16)] {
            let known = known(count);
            let chosen = choose(known.clone());
            assert_eq!(chosen.len(), expected);
            let uid = |one: &(Uid, Fingerprint)| one.0;
            assert_eq!(chosen.keys().next().copied(), known.first().map(uid));
            assert_eq!(chosen.keys().last().copied(), known.last().map(uid));
            assert_eq!(chosen, choose(known));
        }
    }
}

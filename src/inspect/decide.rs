//! Drives a matcher: reads what it asks for.

use crate::identity::Digest;
use crate::inspect::evidence::{content, headers, received};
use crate::mail::{Side, Uid, WireName};
use crate::matching::{Evidence, Matched, Matcher, Step};
use crate::store::{Source, StoreError};

/// The folders of a group in the octets of their servers.
#[derive(Clone, Copy, Debug)]
pub struct Wires<'a> {
    /// Source folders, by the numbers that entries have.
    pub source: &'a [WireName],
    /// The destination folder.
    pub destination: &'a WireName,
}

/// Reads evidence on both sides until a matcher has decided on every message.
///
/// # Errors
///
/// A [`StoreError`] with its side. The matcher is lost then; matching begins anew.
pub fn decide(
    mut matcher: Matcher,
    source: &mut dyn Source,
    destination: &mut dyn Source,
    wires: &Wires<'_>,
) -> Result<Matched, (Side, StoreError)> {
    loop {
        let need = match matcher.step() {
            Step::Done(matched) => return Ok(matched),
            Step::Need(need) => need,
        };
        let (side, folder) = (need.side, need.folder);
        let wire = match side {
            Side::Source => wires.source.get(usize::from(folder)),
            Side::Destination => Some(wires.destination),
        };
        let mut answer = |uid: Uid, digest: Option<Digest>| match digest {
            Some(digest) => matcher.answer(side, folder, uid, digest),
            None => matcher.cannot_answer(side, folder, uid),
        };
        // Entries of a folder that nobody named are answered by nothing: they count as not found.
        let Some(wire) = wire else { continue };
        let store: &mut dyn Source = match side {
            Side::Source => &mut *source,
            Side::Destination => &mut *destination,
        };
        let read = match need.evidence {
            Evidence::Headers => headers(store, wire, &need.uids, &mut answer),
            Evidence::Received => received(store, wire, &need.uids, &mut answer),
            Evidence::Content => content(store, wire, &need.uids, &mut answer),
        };
        read.map_err(|error| (side, error))?;
    }
}

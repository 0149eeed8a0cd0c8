//! Which of the messages that are looked for are among those that were found.

use std::collections::BTreeMap;

use crate::apply::copy::{Trouble, at};
use crate::apply::look::Candidate;
use crate::identity::Fingerprint;
use crate::inspect;
use crate::mail::{FlagSet, Timestamp, Uid, WireName};
use crate::matching::{Fate, Matcher, Options, Proof};
use crate::snapshot::{Entry, FlagTable, Row};
use crate::store::Source;

/// A source message that may be at the destination.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The position of its folder pair in its group.
    pub pair: usize,
    pub uid: Uid,
    pub size: Option<u64>,
    /// With the flags it only orders the choice among messages that are equal otherwise: each copy
    /// keeps its own date and marks.
    pub date: Option<Timestamp>,
    pub flags: FlagSet,
    pub seen: Fingerprint,
}

/// A message that was looked for, and the one that is it, by their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paired {
    pub wanted: usize,
    pub candidate: usize,
}

/// Pairs one to one: by identity and size, and by content where that does not decide.
pub(super) fn pair_up(
    source: &mut dyn Source,
    destination: &mut dyn Source,
    source_wires: &[WireName],
    destination_wire: &WireName,
    wanted: &[Wanted],
    found: &[Candidate],
) -> Result<Vec<Paired>, Trouble> {
    if wanted.is_empty() || found.is_empty() {
        return Ok(Vec::new());
    }
    // One table for both sides, so that equal flags have equal numbers.
    let mut table = FlagTable::default();
    let mut sources = Vec::with_capacity(wanted.len());
    for want in wanted {
        let folder = u16::try_from(want.pair).unwrap_or(u16::MAX);
        let (uid, size, date, flags) = (want.uid, want.size, want.date, &want.flags);
        sources.push(entry(folder, Row { uid, size, date, flags }, want.seen, &mut table));
    }
    let mut candidates = Vec::with_capacity(found.len());
    for found in found {
        let (uid, size, date, flags) = (found.uid, found.size, found.date, &found.flags);
        candidates.push(entry(0, Row { uid, size, date, flags }, found.seen, &mut table));
    }
    let options = Options { proof: Proof::KeyAndSize, ..Options::default() };
    let matcher = Matcher::new(sources, candidates, &[], options);
    let wires = inspect::Wires { source: source_wires, destination: destination_wire };
    let matched = inspect::decide(matcher, source, destination, &wires)
        .map_err(|(side, error)| at(side)(error))?;
    let places: BTreeMap<(usize, Uid), usize> =
        wanted.iter().enumerate().map(|(place, want)| ((want.pair, want.uid), place)).collect();
    let mut pairs = Vec::new();
    for (entry, fate) in matched.fates() {
        let Fate::Found(uid) = fate else { continue };
        let candidate = found.binary_search_by_key(&uid, |candidate| candidate.uid);
        let wanted = places.get(&(usize::from(entry.folder()), entry.uid())).copied();
        if let (Ok(candidate), Some(wanted)) = (candidate, wanted) {
            pairs.push(Paired { wanted, candidate });
        }
    }
    Ok(pairs)
}

fn entry(folder: u16, row: Row<'_>, seen: Fingerprint, table: &mut FlagTable) -> Entry {
    let mut entry = Entry::new(folder, row, table.id(row.flags));
    entry.set_fingerprint(seen);
    entry
}

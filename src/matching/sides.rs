//! The entries of both sides and the marks that a matcher leaves on them.

use std::collections::BTreeSet;

use crate::identity::{Basis, Digest};
use crate::mail::Side;
use crate::mail::Uid;
use crate::matching::matched::Fate;
use crate::snapshot::Entry;

/// The bits that hold the state.
const STATE: u8 = 0x07;
const LINKED: u8 = 1;
const FOUND: u8 = 2;
const TWIN: u8 = 3;
/// Open, and state has a link without a UID.
const NOT_VISIBLE: u8 = 4;
/// Open, and the copy that state knows is gone.
const REMOVED: u8 = 5;

/// The longer headers were asked for in vain.
pub(super) const NO_HEADERS: u8 = 0x08;
/// Evidence was asked for in vain.
pub(super) const AMBIGUOUS: u8 = 0x10;
/// A message with equal key and other content was met.
pub(super) const DIFFERS: u8 = 0x20;

pub(super) fn fate(entry: &Entry) -> Fate {
    match (entry.marks & STATE, Uid::new(entry.partner)) {
        (LINKED, Some(uid)) => Fate::Linked(uid),
        (FOUND, Some(uid)) => Fate::Found(uid),
        (TWIN, _) => Fate::Twin,
        (NOT_VISIBLE, _) => Fate::NotVisible,
        _ if entry.marks & AMBIGUOUS != 0 => Fate::Ambiguous,
        (REMOVED, _) => Fate::Removed,
        _ if entry.marks & DIFFERS != 0 => Fate::Differs,
        _ => Fate::New,
    }
}

/// Tells whether the message has no partner yet.
pub(super) fn is_open(entry: &Entry) -> bool {
    !matches!(entry.marks & STATE, LINKED | FOUND | TWIN)
}

/// Tells whether the message has a partner of its own.
pub(super) fn is_paired(entry: &Entry) -> bool {
    matches!(entry.marks & STATE, LINKED | FOUND)
}

/// Both sides. A message of a side is named by its place.
#[derive(Debug, Default)]
pub(super) struct Sides {
    pub(super) source: Vec<Entry>,
    pub(super) destination: Vec<Entry>,
}

impl Sides {
    pub(super) fn of(&self, side: Side) -> &[Entry] {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    pub(super) fn of_mut(&mut self, side: Side) -> &mut Vec<Entry> {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    pub(super) fn sort_by_uid(&mut self) {
        for side in [&mut self.source, &mut self.destination] {
            side.sort_unstable_by_key(|entry| (entry.folder(), entry.uid()));
        }
    }

    pub(super) fn sort_by_digest(&mut self) {
        for side in [&mut self.source, &mut self.destination] {
            side.sort_unstable_by_key(|entry| (identity(entry), entry.folder(), entry.uid()));
        }
    }

    /// Drops rows that repeat a UID, which a server must not send.
    pub(super) fn drop_repeated(&mut self) {
        for side in [&mut self.source, &mut self.destination] {
            side.dedup_by_key(|entry| (entry.folder(), entry.uid()));
        }
    }

    fn pair(&mut self, source: usize, destination: usize, state: u8) {
        let (Some(from), Some(to)) =
            (self.source.get_mut(source), self.destination.get_mut(destination))
        else {
            return;
        };
        from.partner = to.uid().get();
        to.partner = from.uid().get();
        for entry in [from, to] {
            entry.marks = entry.marks & !STATE | state;
        }
    }

    /// The sizes of messages of this identity that have a partner, while entries are sorted by digest.
    pub(super) fn sizes_of_paired(&self, of: (Basis, Digest)) -> BTreeSet<Option<u64>> {
        let mut sizes = BTreeSet::new();
        for side in [&self.source, &self.destination] {
            let from = side.partition_point(|entry| identity(entry) < of);
            let same = side.iter().skip(from).take_while(|entry| identity(entry) == of);
            sizes.extend(same.filter(|entry| is_paired(entry)).map(Entry::size));
        }
        sizes
    }

    pub(super) fn pair_found(&mut self, source: usize, destination: usize) {
        self.pair(source, destination, FOUND);
    }

    pub(super) fn pair_linked(&mut self, source: usize, destination: usize) {
        self.pair(source, destination, LINKED);
    }

    /// Says that a link of this source message has no copy: it is gone, or was never seen.
    pub(super) fn end_link(&mut self, source: usize, known: Option<Uid>) {
        let state = if known.is_some() { REMOVED } else { NOT_VISIBLE };
        if let Some(entry) = self.source.get_mut(source) {
            entry.marks = entry.marks & !STATE | state;
        }
    }

    pub(super) fn set_twin(&mut self, source: usize) {
        if let Some(entry) = self.source.get_mut(source) {
            entry.marks = entry.marks & !STATE | TWIN;
        }
    }

    pub(super) fn mark(&mut self, side: Side, at: usize, mark: u8) {
        if let Some(entry) = self.of_mut(side).get_mut(at) {
            entry.marks |= mark;
        }
    }

    /// Pairs messages that are the same as far as can be told, as many as there are on both sides.
    /// Messages that rules take come first; then equal INTERNALDATEs and flags, then equal flags of what
    /// has no INTERNALDATE, then equal INTERNALDATEs, then equal flags, then the order of dates and UIDs.
    /// Returns the source messages that are left over. Flags compare by number: both sides share a table.
    pub(super) fn pair_equals(
        &mut self,
        sources: Vec<usize>,
        mut destinations: Vec<usize>,
    ) -> Vec<usize> {
        let (taken, left_out): (Vec<usize>, Vec<usize>) = sources
            .into_iter()
            .partition(|&at| self.source.get(at).is_some_and(|entry| !entry.left_out()));
        let mut unpaired = Vec::new();
        for mut wanting in [taken, left_out] {
            let both = |entry: &Entry| (entry.date(), entry.flags());
            let date = |entry: &Entry| entry.date();
            self.pair_same(&mut wanting, &mut destinations, both);
            let undated = |at: &usize| self.source.get(*at).is_some_and(|one| one.date().is_none());
            let (mut undated, dated): (Vec<usize>, Vec<usize>) =
                wanting.into_iter().partition(undated);
            self.pair_same(&mut undated, &mut destinations, Entry::flags);
            wanting = [undated, dated].concat();
            self.pair_same(&mut wanting, &mut destinations, date);
            // A date that no server takes is another one at the destination.
            self.pair_same(&mut wanting, &mut destinations, Entry::flags);
            self.pair_same(&mut wanting, &mut destinations, |_| ());
            unpaired.append(&mut wanting);
        }
        unpaired
    }

    /// Pairs those of equal `key`, in the order of date, folder and UID, and takes them out.
    fn pair_same<K: Ord>(
        &mut self,
        sources: &mut Vec<usize>,
        destinations: &mut Vec<usize>,
        key: impl Fn(&Entry) -> K,
    ) {
        let order = |entry: &Entry| (key(entry), entry.date(), entry.folder(), entry.uid());
        sources.sort_unstable_by_key(|&at| self.source.get(at).map(order));
        destinations.sort_unstable_by_key(|&at| self.destination.get(at).map(order));
        let mut free = std::mem::take(destinations).into_iter().peekable();
        for source in std::mem::take(sources) {
            let own = self.source.get(source).map(&key);
            while let Some(passed) =
                free.next_if(|&other| self.destination.get(other).map(&key) < own)
            {
                destinations.push(passed);
            }
            match free.next_if(|&other| self.destination.get(other).map(&key) == own) {
                Some(destination) => self.pair_found(source, destination),
                None => sources.push(source),
            }
        }
        destinations.extend(free);
    }
}

/// What makes two messages one group.
pub(super) fn identity(entry: &Entry) -> (Basis, Digest) {
    let fingerprint = entry.fingerprint();
    (fingerprint.basis, fingerprint.digest)
}

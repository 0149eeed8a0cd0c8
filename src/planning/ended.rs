//! Links that have ended: the message of one side is gone.

use std::collections::BTreeMap;

use crate::identity::Basis;
use crate::mail::UidSet;
use crate::matching::KnownLink;
use crate::snapshot::Entry;

/// Messages of which only a link told what they are, and whose link tells nothing any more. A message
/// that was moved away and back has another UID: what is left of its link has to be compared with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// By the number of their source folder.
    pub source: BTreeMap<u16, UidSet>,
    pub destination: UidSet,
}

/// Finds them; none where the other side has nothing to compare them with.
pub(super) fn ended(known: &[KnownLink], source: &[Entry], destination: &[Entry]) -> Ended {
    let mut here: BTreeMap<u16, UidSet> = BTreeMap::new();
    for entry in source {
        here.entry(entry.folder()).or_default().insert(entry.uid());
    }
    let there: UidSet = destination.iter().map(Entry::uid).collect();
    let mut linked: BTreeMap<u16, UidSet> = BTreeMap::new();
    let mut linked_there = UidSet::new();
    for link in known {
        let Some(copy) = link.destination.filter(|copy| there.contains(*copy)) else { continue };
        if here.get(&link.folder).is_some_and(|folder| folder.contains(link.source)) {
            linked.entry(link.folder).or_default().insert(link.source);
            linked_there.insert(copy);
        }
    }
    let is_linked = |entry: &Entry| {
        linked.get(&entry.folder()).is_some_and(|folder| folder.contains(entry.uid()))
    };
    let alone = source.iter().filter(|entry| !is_linked(entry));
    let alone_there = destination.iter().filter(|entry| !linked_there.contains(entry.uid()));
    let unread = |entry: &&Entry| entry.fingerprint().basis == Basis::Nothing;
    let mut ended = Ended::default();
    if alone_there.clone().next().is_some() {
        for entry in alone.clone().filter(unread) {
            ended.source.entry(entry.folder()).or_default().insert(entry.uid());
        }
    }
    if alone.clone().next().is_some() {
        ended.destination = alone_there.filter(unread).map(Entry::uid).collect();
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Fingerprint;
    use crate::mail::{FlagSet, Uid};
    use crate::snapshot::{Row, Rows};

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    /// Rows of the folder; those in `read` have a key.
    fn rows(folder: u16, uids: &[u32], read: &[u32]) -> Vec<Entry> {
        let mut rows = Rows::default();
        let flags = FlagSet::new();
        for &number in uids {
            rows.push(folder, Row { uid: uid(number), size: None, date: None, flags: &flags });
            if read.contains(&number) {
                rows.fingerprint_last(Fingerprint { basis: Basis::Key, ..Fingerprint::default() });
            }
        }
        rows.entries
    }

    fn link(source: u32, destination: Option<u32>) -> KnownLink {
        let (source, destination) = (uid(source), destination.map(uid));
        KnownLink { folder: 0, source, destination, seen: Fingerprint::default() }
    }

    fn of(links: &[KnownLink], source: &[Entry], destination: &[Entry]) -> (Vec<u32>, Vec<u32>) {
        let ended = ended(links, source, destination);
        let numbers = |uids: &UidSet| uids.iter().map(Uid::get).collect::<Vec<_>>();
        (ended.source.values().flat_map(numbers).collect(), numbers(&ended.destination))
    }

    #[test]
    fn what_is_left_of_a_link_is_read_where_something_may_equal_it() {
        let links = [link(1, Some(7)), link(2, Some(8))];
        let all = rows(0, &[1, 2], &[]);
        // The copy has another UID now, or the original has.
        assert_eq!(of(&links, &all, &rows(0, &[7, 9], &[9])), (vec![2], vec![]));
        assert_eq!(of(&links, &rows(0, &[1, 3], &[3]), &rows(0, &[7, 8], &[])), (vec![], vec![8]));
        // It is gone, and nothing could be taken for it.
        assert_eq!(of(&links, &all, &rows(0, &[7], &[])), (vec![], vec![]));
        assert_eq!(of(&links, &rows(0, &[1], &[]), &rows(0, &[7, 8], &[])), (vec![], vec![]));
        // A copy without a known UID may be any of them.
        let links = [link(1, None)];
        assert_eq!(of(&links, &rows(0, &[1], &[]), &rows(0, &[7], &[7])), (vec![1], vec![]));
        assert_eq!(of(&[], &all, &rows(0, &[7], &[7])), (vec![1, 2], vec![]));
    }
}

//! The dates that copies get: the message's own, or that of the nearest message of its folder.

use std::collections::BTreeMap;

use crate::apply::copy::{Trouble, at};
use crate::apply::group::Group;
use crate::apply::look::{Candidate, look};
use crate::apply::pairing::Wanted;
use crate::apply::run::Run;
use crate::identity;
use crate::identity::{Basis, Digest, Fingerprint};
use crate::mail::{InternalDate, Side, Timestamp, Uid, UidSet};
use crate::plan::{DateFrom, Recipe};
use crate::store::{HeaderFields, StoreError};

/// The oldest date that is sent: for a message in a folder in which no message has a date.
const DATE_OF_LAST_RESORT: i64 = 31_536_000;

/// The first date of a recipe's chain that can be sent, and how it is written: what a message has of its
/// own.
pub(super) fn date_of_its_own(
    recipe: &Recipe,
    internal_date: Option<InternalDate>,
    header: &[u8],
    now: Timestamp,
) -> Option<(InternalDate, String)> {
    let mut dates = recipe.dates.iter().filter_map(|from| match from {
        DateFrom::Internaldate => internal_date,
        DateFrom::DateHeader => identity::date_header(header).map(in_utc),
        DateFrom::ReceivedHeader => identity::first_received_date(header).map(in_utc),
    });
    dates.find_map(|date| Some((date, date.to_append(now)?)))
}

pub(super) fn in_utc(instant: Timestamp) -> InternalDate {
    InternalDate::new(instant, 0)
}

impl Run<'_> {
    /// Dates those that have no date of their own as their copies are dated, where more than one may be the
    /// same message.
    pub(super) fn date_twins(
        &mut self,
        group: &mut Group,
        wanted: &mut [Wanted],
        found: &[Candidate],
    ) -> Result<(), Trouble> {
        if wanted.iter().all(|want| want.date.is_some()) {
            return Ok(());
        }
        let twins = Twins::among(wanted, found);
        let is_meant = |want: &Wanted| want.date.is_none() && twins.has(&want.seen);
        for want in wanted.iter().filter(|want| is_meant(want)) {
            let todo = &mut group.pairs[want.pair];
            if !todo.dates.contains_key(&want.uid) {
                todo.undated.insert(want.uid);
            }
        }
        self.date_the_undated(group)?;
        for want in wanted.iter_mut().filter(|want| is_meant(want)) {
            let date = group.pairs[want.pair].dates.get(&want.uid);
            want.date = date.map(|date| date.instant());
        }
        Ok(())
    }

    /// Dates messages of which no more is known than their links, where more than one may be the same
    /// message: they are read once more.
    pub(super) fn date_unplaced(
        &mut self,
        group: &mut Group,
        unplaced: &mut [Wanted],
        found: &[Candidate],
    ) -> Result<(), Trouble> {
        if unplaced.is_empty() {
            return Ok(());
        }
        let twins = Twins::among(unplaced, found);
        let uids = |_: &Group, pair: usize| {
            let of_pair = unplaced.iter().filter(|want| want.pair == pair && twins.has(&want.seen));
            of_pair.map(|want| want.uid).collect()
        };
        let read = match self.wanted(group, &uids, found) {
            // It only orders the choice.
            Err(Trouble::Store(Side::Source, StoreError::Refused(_))) => Vec::new(),
            read => read?,
        };
        let dates: BTreeMap<_, _> =
            read.into_iter().map(|want| ((want.pair, want.uid), want.date)).collect();
        for want in unplaced {
            want.date = dates.get(&(want.pair, want.uid)).copied().flatten();
        }
        Ok(())
    }

    /// Finds a date for every message of a folder that the server does not date, once one has turned up
    /// that its own header does not date either: each of them would stop the reading.
    pub(super) fn date_the_undated(&mut self, group: &mut Group) -> Result<(), Trouble> {
        let now = self.clock.now();
        for todo in group.pairs.iter_mut().filter(|todo| !todo.undated.is_empty()) {
            let wire = todo.pair.source.wire.clone();
            let source = self.source()?;
            let all = UidSet::range(Uid::MIN, Uid::MAX);
            let rows = look(source, &wire, &all, HeaderFields::None).map_err(at(Side::Source))?;
            let undated = rows.iter().filter(|row| sendable(row, now).is_none());
            let mut undated: UidSet = undated.map(|row| row.uid).collect();
            undated.extend(todo.undated.iter());
            let last_resort = in_utc(Timestamp::from_seconds(DATE_OF_LAST_RESORT));
            todo.dates.extend(undated.iter().map(|uid| (uid, last_resort)));
            todo.dates.extend(nearest(&undated, &rows, now));
            todo.undated = UidSet::new();
        }
        Ok(())
    }
}

/// Which messages may be the same as others, on one side at least. Those of which no header tells may all be.
struct Twins(BTreeMap<Option<Digest>, u32>);

impl Twins {
    fn among(wanted: &[Wanted], found: &[Candidate]) -> Self {
        let mut most = BTreeMap::new();
        let wanted = wanted.iter().map(|want| &want.seen);
        let found = found.iter().map(|candidate| &candidate.seen);
        for (key, times) in times(wanted).into_iter().chain(times(found)) {
            let most = most.entry(key).or_default();
            *most = times.max(*most);
        }
        Self(most)
    }

    fn has(&self, seen: &Fingerprint) -> bool {
        self.0.get(&key(seen)).is_some_and(|&most| most > 1)
    }
}

fn times<'a>(all: impl Iterator<Item = &'a Fingerprint>) -> BTreeMap<Option<Digest>, u32> {
    let mut times = BTreeMap::new();
    for seen in all {
        *times.entry(key(seen)).or_default() += 1;
    }
    times
}

fn key(seen: &Fingerprint) -> Option<Digest> {
    matches!(seen.basis, Basis::Key | Basis::Headers).then_some(seen.digest)
}

/// The date of a row, where it can be sent.
fn sendable(row: &Candidate, now: Timestamp) -> Option<InternalDate> {
    row.date.map(in_utc).filter(|date| date.to_append(now).is_some())
}

/// The date of the nearest row by UID that can be sent, the lower of two that are as near.
fn nearest(uids: &UidSet, rows: &[Candidate], now: Timestamp) -> BTreeMap<Uid, InternalDate> {
    let dated: Vec<(Uid, InternalDate)> =
        rows.iter().filter_map(|row| Some((row.uid, sendable(row, now)?))).collect();
    let date = |uid: Uid| {
        let above = dated.partition_point(|(other, _)| *other < uid);
        let below = above.checked_sub(1).and_then(|below| dated.get(below));
        let near = below.into_iter().chain(dated.get(above));
        near.min_by_key(|(other, _)| other.get().abs_diff(uid.get())).map(|(_, date)| (uid, *date))
    };
    uids.iter().filter_map(date).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Fingerprint;
    use crate::mail::FlagSet;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn the_nearest_date_that_can_be_sent_counts_and_of_two_the_lower_one() {
        let rows = [(1, 1_500_000_000), (4, -7), (6, 1_600_000_000), (10, 1_700_000_000)];
        let rows = rows.map(|(number, date)| Candidate {
            uid: uid(number),
            size: None,
            date: Some(Timestamp::from_seconds(date)),
            flags: FlagSet::new(),
            seen: Fingerprint::default(),
        });
        let asked: UidSet = [2, 4, 8, 9, 900].map(uid).into_iter().collect();
        let found = nearest(&asked, &rows, Timestamp::from_seconds(1_800_000_000));
        let found: Vec<_> = found.values().map(|date| date.instant().seconds()).collect();
        let (one, six, ten) = (1_500_000_000, 1_600_000_000, 1_700_000_000);
        assert_eq!(found, [one, six, six, ten, ten]);
        assert!(nearest(&asked, &[], Timestamp::from_seconds(1_800_000_000)).is_empty());
    }
}

//! Sets of UIDs, written as IMAP writes them: `1:3,5,9:12`.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::mail::uid::Uid;

/// A set of UIDs, held as ascending ranges that neither touch nor overlap.
///
/// Written and read as `sequence-set` of RFC 9051 §9, without `*`: a set in a plan or a command
/// names exactly the messages that are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// All UIDs from `first` to `last`, both included; empty if `last` is below `first`.
    #[must_use]
    pub fn range(first: Uid, last: Uid) -> Self {
        let mut set = Self::new();
        if first <= last {
            set.ranges.push((first.get(), last.get()));
        }
        set
    }

    /// Adds a UID. Ascending order costs nothing; another order costs a search.
    pub fn insert(&mut self, uid: Uid) {
        let uid = uid.get();
        match self.ranges.last_mut() {
            Some((_, last)) if uid == last.wrapping_add(1) && uid != 0 => *last = uid,
            Some((_, last)) if uid > *last => self.ranges.push((uid, uid)),
            None => self.ranges.push((uid, uid)),
            Some(_) => self.insert_anywhere(uid),
        }
    }

    fn insert_anywhere(&mut self, uid: u32) {
        let at = self.ranges.partition_point(|&(first, _)| first <= uid);
        if at > 0 && self.ranges[at - 1].1 >= uid {
            return;
        }
        let joins_left = at > 0 && self.ranges[at - 1].1 + 1 == uid;
        let joins_right =
            self.ranges.get(at).is_some_and(|&(first, _)| uid.checked_add(1) == Some(first));
        match (joins_left, joins_right) {
            (true, true) => {
                self.ranges[at - 1].1 = self.ranges[at].1;
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at - 1].1 = uid,
            (false, true) => self.ranges[at].0 = uid,
            (false, false) => self.ranges.insert(at, (uid, uid)),
        }
    }

    /// Takes a UID out; tells whether it was there.
    pub fn remove(&mut self, uid: Uid) -> bool {
        let uid = uid.get();
        let at = self.ranges.partition_point(|&(_, last)| last < uid);
        let Some(&(first, last)) = self.ranges.get(at) else { return false };
        if first > uid {
            return false;
        }
        match (first == uid, last == uid) {
            (true, true) => {
                self.ranges.remove(at);
            }
            (true, false) => self.ranges[at].0 = uid + 1,
            (false, true) => self.ranges[at].1 = uid - 1,
            (false, false) => {
                self.ranges[at].1 = uid - 1;
                self.ranges.insert(at + 1, (uid + 1, last));
            }
        }
        true
    }

    /// Takes the highest UID out.
    pub fn pop_last(&mut self) -> Option<Uid> {
        let (first, last) = self.ranges.last_mut()?;
        let uid = *last;
        if first == last {
            self.ranges.pop();
        } else {
            *last -= 1;
        }
        Uid::new(uid)
    }

    /// Tells whether the UID is in the set.
    #[must_use]
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < uid.get());
        self.ranges.get(at).is_some_and(|&(first, _)| first <= uid.get())
    }

    /// How many UIDs are in the set.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The lowest UID.
    #[must_use]
    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().and_then(|&(first, _)| Uid::new(first))
    }

    /// The highest UID.
    #[must_use]
    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().and_then(|&(_, last)| Uid::new(last))
    }

    /// The UIDs in ascending order.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Uid> + '_ {
        self.iter_in(..)
    }

    /// The UIDs within these bounds, in ascending order.
    pub fn iter_in(
        &self,
        bounds: impl RangeBounds<Uid>,
    ) -> impl DoubleEndedIterator<Item = Uid> + '_ {
        let (from, end) = (bounds.start_bound().cloned(), bounds.end_bound().cloned());
        let low = match from {
            Bound::Included(uid) => u64::from(uid.get()),
            Bound::Excluded(uid) => u64::from(uid.get()) + 1,
            Bound::Unbounded => 0,
        };
        let high = match end {
            Bound::Included(uid) => uid.get(),
            Bound::Excluded(uid) => uid.get() - 1,
            Bound::Unbounded => u32::MAX,
        };
        let at = self.ranges.partition_point(|&(_, last)| u64::from(last) < low);
        let to = self.ranges.partition_point(|&(first, _)| first <= high);
        let low = u32::try_from(low).unwrap_or(u32::MAX);
        let ranges = self.ranges.get(at..to).unwrap_or_default().iter();
        ranges.flat_map(move |&(first, last)| first.max(low)..=last.min(high)).filter_map(Uid::new)
    }

    /// The ranges, ascending, both ends included.
    pub fn ranges(&self) -> impl Iterator<Item = (Uid, Uid)> + '_ {
        self.ranges.iter().filter_map(|&(first, last)| Some((Uid::new(first)?, Uid::new(last)?)))
    }

    /// The UIDs that are in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Self::new();
        let mut gaps = other.ranges.iter().copied().peekable();
        for &(first, last) in &self.ranges {
            let mut from = u64::from(first);
            while gaps.next_if(|&(_, end)| end < first).is_some() {}
            let mut ahead = gaps.clone();
            while let Some((start, end)) = ahead.next_if(|&(start, _)| start <= last) {
                left.push_range(from, u64::from(start));
                from = from.max(u64::from(end) + 1);
            }
            left.push_range(from, u64::from(last) + 1);
        }
        left
    }

    /// Adds `from..end`, which lies above everything that is already in the set.
    fn push_range(&mut self, from: u64, end: u64) {
        if from < end
            && let (Ok(first), Ok(last)) = (u32::try_from(from), u32::try_from(end - 1))
        {
            self.ranges.push((first, last));
        }
    }

    /// Cuts the set into sets whose written form has at most `octets` octets each.
    #[must_use]
    pub fn split_at_octets(&self, octets: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut part = Self::new();
        let mut written = 0;
        for &range in &self.ranges {
            let cost = Range(range).to_string().len() + 1;
            if written + cost > octets && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
                written = 0;
            }
            part.ranges.push(range);
            written += cost;
        }
        if !part.is_empty() {
            parts.push(part);
        }
        parts
    }

    /// Cuts the set into sets of at most `count` UIDs each.
    #[must_use]
    pub fn split_at_count(&self, count: u32) -> Vec<Self> {
        let count = count.max(1);
        let mut parts = Vec::new();
        let mut part = Self::new();
        let mut room = count;
        for &(first, last) in &self.ranges {
            let mut first = first;
            loop {
                let end = last.min(first.saturating_add(room - 1));
                part.ranges.push((first, end));
                room -= end - first + 1;
                if room == 0 {
                    parts.push(std::mem::take(&mut part));
                    room = count;
                }
                if end == last {
                    break;
                }
                first = end + 1;
            }
        }
        if !part.is_empty() {
            parts.push(part);
        }
        parts
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<T: IntoIterator<Item = Uid>>(uids: T) -> Self {
        let mut set = Self::new();
        set.extend(uids);
        set
    }
}

impl Extend<Uid> for UidSet {
    fn extend<T: IntoIterator<Item = Uid>>(&mut self, uids: T) {
        for uid in uids {
            self.insert(uid);
        }
    }
}

struct Range((u32, u32));

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.0;
        if first == last {
            write!(formatter, "{first}")
        } else {
            write!(formatter, "{first}:{last}")
        }
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, &range) in self.ranges.iter().enumerate() {
            if position > 0 {
                formatter.write_str(",")?;
            }
            Range(range).fmt(formatter)?;
        }
        Ok(())
    }
}

/// A text that is not a set of UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of UIDs such as 1:3,5")]
pub struct NotUidSet;

impl FromStr for UidSet {
    type Err = NotUidSet;

    fn from_str(text: &str) -> Result<Self, NotUidSet> {
        let mut ranges = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once(':').unwrap_or((part, part));
            let first: u32 = first.parse().map_err(|_| NotUidSet)?;
            let last: u32 = last.parse().map_err(|_| NotUidSet)?;
            if first == 0 || last == 0 {
                return Err(NotUidSet);
            }
            ranges.push((first.min(last), first.max(last)));
        }
        ranges.sort_unstable();
        let mut set = Self::new();
        for (first, last) in ranges {
            match set.ranges.last_mut() {
                Some((_, end)) if u64::from(first) <= u64::from(*end) + 1 => *end = last.max(*end),
                _ => set.ranges.push((first, last)),
            }
        }
        Ok(set)
    }
}

impl Serialize for UidSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UidSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for UidSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UidSet".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "UIDs as IMAP writes them: ascending numbers and ranges, such as 1:3,5",
            "type": "string",
            "pattern": "^([1-9][0-9]*(:[1-9][0-9]*)?(,[1-9][0-9]*(:[1-9][0-9]*)?)*)?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> UidSet {
        text.parse().unwrap()
    }

    #[test]
    fn neighbours_are_written_as_one_range() {
        let uids: UidSet = [3, 1, 2, 5, 7, 6, 5].into_iter().filter_map(Uid::new).collect();
        assert_eq!(uids.to_string(), "1:3,5:7");
    }

    #[test]
    fn zero_and_star_are_not_in_a_set() {
        for text in ["0", "1:0", "1:*", "*", "1,,2", "a", "1:2:3", "4294967296"] {
            assert_eq!(text.parse::<UidSet>(), Err(NotUidSet), "{text}");
        }
    }

    #[test]
    fn highest_uid_is_held() {
        let uids = set("4294967294:4294967295");
        assert_eq!(uids.len(), 2);
        assert_eq!(uids.last(), Some(Uid::MAX));
        assert_eq!(uids.split_at_count(1).len(), 2);
    }

    #[test]
    fn splitting_keeps_the_written_form_short() {
        let uids = set("1,3,5,7,9:1000000,1000002");
        for part in uids.split_at_octets(10) {
            assert!(part.to_string().len() <= 10, "{part}");
        }
    }

    fn model(uids: &BTreeSet<u32>) -> UidSet {
        uids.iter().copied().filter_map(Uid::new).collect()
    }

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_reads_back_as_written(
            inserted in proptest::collection::vec(1_u32..60, 0..60),
            removed in proptest::collection::vec(1_u32..60, 0..30),
            other in proptest::collection::btree_set(1_u32..60, 0..40),
            count in 1_u32..20,
        ) {
            let mut expected: BTreeSet<u32> = inserted.iter().copied().collect();
            let mut uids: UidSet = inserted.into_iter().filter_map(Uid::new).collect();
            for uid in removed {
                prop_assert_eq!(uids.remove(Uid::new(uid).unwrap()), expected.remove(&uid));
            }
            prop_assert_eq!(&uids, &model(&expected));
            prop_assert_eq!(set(&uids.to_string()), uids.clone());
            prop_assert_eq!(uids.len(), expected.len() as u64);
            prop_assert_eq!(uids.difference(&model(&other)), model(&(&expected - &other)));
            let parts = uids.split_at_count(count);
            prop_assert!(parts.iter().all(|part| part.len() <= u64::from(count)));
            prop_assert_eq!(parts.iter().flat_map(UidSet::iter).collect::<UidSet>(), uids.clone());
            let (low, high) = (Bound::Excluded(count), Bound::Included(3 * count));
            let within: Vec<u32> = expected.range((low, high)).copied().collect();
            let bounds = (low.map(|uid| Uid::new(uid).unwrap()), high.map(|uid| Uid::new(uid).unwrap()));
            let found: Vec<u32> = uids.iter_in(bounds).map(Uid::get).collect();
            prop_assert_eq!(found, within);
            let mut left = uids.clone();
            let popped: Vec<u32> = std::iter::from_fn(|| left.pop_last()).map(Uid::get).collect();
            prop_assert!(popped.iter().eq(expected.iter().rev()));
            for uid in 1..60 {
                prop_assert_eq!(uids.contains(Uid::new(uid).unwrap()), expected.contains(&uid));
            }
        }
    }
}

//! The order in which messages of a folder go.

use std::ops::Bound;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::{Uid, UidSet};

/// The order in which the messages of a folder are read and appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UidOrder {
    /// In ascending order of UIDs.
    #[default]
    OldestFirst,
    /// In descending order of UIDs. What came last gets the lowest UID at the destination.
    NewestFirst,
}

impl UidOrder {
    /// The UIDs in this order.
    #[must_use]
    pub fn iter(self, uids: &UidSet) -> Box<dyn Iterator<Item = Uid> + '_> {
        match self {
            Self::OldestFirst => Box::new(uids.iter()),
            Self::NewestFirst => Box::new(uids.iter().rev()),
        }
    }

    /// The UIDs that go after this one, in this order.
    #[must_use]
    pub fn after(self, uids: &UidSet, uid: Uid) -> Box<dyn Iterator<Item = Uid> + '_> {
        match self {
            Self::OldestFirst => Box::new(uids.iter_in((Bound::Excluded(uid), Bound::Unbounded))),
            Self::NewestFirst => Box::new(uids.iter_in(..uid).rev()),
        }
    }

    /// The UIDs that go before this one.
    #[must_use]
    pub fn before(self, uids: &UidSet, uid: Uid) -> UidSet {
        uids.difference(&match self {
            Self::OldestFirst => UidSet::range(uid, Uid::MAX),
            Self::NewestFirst => UidSet::range(Uid::MIN, uid),
        })
    }

    /// Tells whether one goes before the other.
    #[must_use]
    pub fn is_before(self, one: Uid, other: Uid) -> bool {
        match self {
            Self::OldestFirst => one < other,
            Self::NewestFirst => one > other,
        }
    }

    /// The UID that goes last.
    #[must_use]
    pub fn last(self, uids: &UidSet) -> Option<Uid> {
        match self {
            Self::OldestFirst => uids.last(),
            Self::NewestFirst => uids.first(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(order: UidOrder, all: &[u32], after_5: &[u32], before_5: &str, last: u32) {
        let uids: UidSet = "1:2,5,9".parse().unwrap();
        let uid = |uid| Uid::new(uid).unwrap();
        let numbers =
            |uids: Box<dyn Iterator<Item = Uid> + '_>| uids.map(Uid::get).collect::<Vec<_>>();
        assert_eq!(numbers(order.iter(&uids)), all);
        assert_eq!(numbers(order.after(&uids, uid(5))), after_5);
        assert_eq!(order.before(&uids, uid(5)).to_string(), before_5);
        assert_eq!(order.last(&uids), Some(uid(last)));
        assert!(order.after(&uids, uid(last)).next().is_none());
        assert!(order.is_before(uid(all[0]), uid(all[1])));
        assert!(!order.is_before(uid(5), uid(5)) && !order.is_before(uid(all[1]), uid(all[0])));
    }

    #[test]
    fn messages_go_by_ascending_uids_or_by_descending_ones() {
        check(UidOrder::OldestFirst, &[1, 2, 5, 9], &[9], "1:2", 9);
        check(UidOrder::NewestFirst, &[9, 5, 2, 1], &[2, 1], "9", 1);
    }

    #[test]
    fn nothing_goes_after_the_highest_uid_or_the_lowest_one() {
        let ends: UidSet = "1,4294967295".parse().unwrap();
        assert!(UidOrder::OldestFirst.after(&ends, Uid::MAX).next().is_none());
        assert!(UidOrder::NewestFirst.after(&ends, Uid::MIN).next().is_none());
    }
}

//! Where messages go, and whether what the server says of their places can be believed.

use std::sync::Arc;

use crate::mail::{PermanentFlags, Uid, UidValidity, WireName};
use crate::state::FolderId;
use crate::store::Stored;

/// A destination folder, and what is known of it before the first message goes there.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub folder: Arc<WireName>,
    pub destination_folder: FolderId,
    pub uid_validity: UidValidity,
    /// What the folder keeps, as it said when it was opened in this run.
    pub permanent: PermanentFlags,
    /// What we store is at or above this.
    pub from: Uid,
    /// UIDNEXT as told when the folder was opened: what our first message is expected to get.
    pub expected: Option<Uid>,
}

/// The UIDs that messages of one pass got in one folder.
#[derive(Clone, Debug)]
pub(super) struct Placing {
    pub target: Target,
    expected: Option<Uid>,
    /// The highest UID that our messages got.
    pub highest: Option<Uid>,
    /// The lowest UID that somebody else's message got in between.
    pub gap: Option<Uid>,
    /// UIDs came in disorder from this one on: none of them is to be believed.
    pub disorder: Option<Uid>,
    replaced: bool,
}

impl Placing {
    pub(super) const fn new(target: Target) -> Self {
        Self { target, expected: None, highest: None, gap: None, disorder: None, replaced: false }
    }

    /// A UID that nothing we send from now on can be below.
    pub(super) fn lower_bound(&self) -> Uid {
        let above = self.highest.map_or(self.target.from, Uid::next);
        above.max(self.target.from)
    }

    /// Tells whether nothing more may go there before it was opened again.
    pub(super) const fn is_over(&self) -> bool {
        self.replaced || self.gap.is_some() || self.disorder.is_some()
    }

    /// Judges an APPENDUID (safety laws R11, R12): nothing where it cannot be believed.
    pub(super) fn place(&mut self, stored: Stored) -> Option<Uid> {
        let (validity, uid) = stored.at?;
        if validity != self.target.uid_validity {
            // It may be another folder by now.
            self.replaced = true;
            return None;
        }
        if uid < self.lower_bound() {
            if uid >= self.target.from {
                self.disorder = Some(self.target.from);
            }
            return None;
        }
        if let Some(expected) = self.expected.or(self.target.expected)
            && uid > expected
        {
            self.gap = self.gap.or(Some(expected));
        }
        self.expected = Some(uid.next());
        self.highest = Some(uid);
        Some(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placing() -> Placing {
        Placing::new(Target {
            folder: Arc::new(WireName::new(*b"INBOX")),
            destination_folder: FolderId(1),
            uid_validity: UidValidity::new(7).unwrap(),
            permanent: PermanentFlags::all(),
            from: Uid::new(10).unwrap(),
            expected: Uid::new(10),
        })
    }

    #[track_caller]
    fn check(told: &[(u32, u32)], placed: &[u32], gap: Option<u32>, disorder: bool, over: bool) {
        let mut placing = placing();
        let at = |&(validity, uid): &(u32, u32)| Stored {
            at: UidValidity::new(validity).zip(Uid::new(uid)),
        };
        let placed_at: Vec<u32> =
            told.iter().filter_map(|told| placing.place(at(told))).map(Uid::get).collect();
        assert_eq!(placed_at, placed);
        assert_eq!(placing.gap, gap.and_then(Uid::new));
        assert_eq!((placing.disorder.is_some(), placing.is_over()), (disorder, over));
    }

    #[test]
    fn uids_that_follow_each_other_are_believed_and_others_are_not() {
        check(&[(7, 10), (7, 11), (7, 12)], &[10, 11, 12], None, false, false);
        check(&[(7, 10), (7, 12), (7, 13)], &[10, 12, 13], Some(11), false, true);
        check(&[(7, 11), (7, 10)], &[11], Some(10), true, true);
        check(&[(7, 10), (7, 10)], &[10], None, true, true);
        check(&[(7, 9), (7, 10)], &[10], None, false, false);
        check(&[(8, 10)], &[], None, false, true);
        check(&[(7, 0), (7, 10)], &[10], None, false, false);
    }
}

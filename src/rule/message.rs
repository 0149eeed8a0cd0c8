//! Which messages are taken.

use crate::mail::{Flag, FlagSet, Timestamp, UidOrder};
use crate::rule::policy::{Deleted, Duplicates};

/// The `[messages]` table with ages as instants. A message is taken when all hold.
#[derive(Clone, Debug, Default)]
pub struct MessageRules {
    /// Taken if later than this (`newer-than`).
    pub newer_than: Option<Timestamp>,
    /// Taken if this or earlier (`older-than`).
    pub older_than: Option<Timestamp>,
    /// Taken from the beginning of this day on (`since`).
    pub since: Option<Timestamp>,
    /// Taken up to, not with, this day (`before`).
    pub before: Option<Timestamp>,
    /// Taken if strictly larger, in octets.
    pub larger_than: Option<u64>,
    /// Taken if strictly smaller, in octets.
    pub smaller_than: Option<u64>,
    /// The author's own IMAP SEARCH on the source.
    pub search: Option<String>,
    /// Messages marked `\Deleted`.
    pub deleted: Deleted,
    /// Equal messages in one source folder.
    pub duplicates: Duplicates,
    /// The order in which the messages of a folder are copied.
    pub order: UidOrder,
}

/// What the rules look at in one message.
#[derive(Clone, Copy, Debug)]
pub struct MessageFacts<'a> {
    /// INTERNALDATE, where it is known.
    pub date: Option<Timestamp>,
    /// RFC822.SIZE, where it is known.
    pub size: Option<u64>,
    /// Its flags.
    pub flags: &'a FlagSet,
    /// The author's search found it, or there is none.
    pub found: bool,
}

/// Whether a message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Taken.
    Take,
    /// Marked `\Deleted`, and such mail is left.
    MarkedDeleted,
    /// Its date is outside of the four date keys.
    OutsideDates,
    /// Its size is outside of the two size keys.
    OutsideSizes,
    /// The author's search does not find it.
    NotInSearch,
}

impl MessageRules {
    /// Decides on one message. A date or size that is not known never leaves a message out: better
    /// one too many than one lost.
    #[must_use]
    pub fn verdict(&self, facts: MessageFacts<'_>) -> Verdict {
        if self.deleted == Deleted::Skip && facts.flags.contains(&Flag::Deleted) {
            return Verdict::MarkedDeleted;
        }
        if !facts.found {
            return Verdict::NotInSearch;
        }
        if facts.date.is_some_and(|date| !self.takes_date(date)) {
            return Verdict::OutsideDates;
        }
        if facts.size.is_some_and(|size| !self.takes_size(size)) {
            return Verdict::OutsideSizes;
        }
        Verdict::Take
    }

    fn takes_date(&self, date: Timestamp) -> bool {
        self.newer_than.is_none_or(|limit| date > limit)
            && self.older_than.is_none_or(|limit| date <= limit)
            && self.since.is_none_or(|day| date >= day)
            && self.before.is_none_or(|day| date < day)
    }

    fn takes_size(&self, size: u64) -> bool {
        self.larger_than.is_none_or(|limit| size > limit)
            && self.smaller_than.is_none_or(|limit| size < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: &MessageRules, date: i64, size: u64, flags: &str, expected: Verdict) {
        let flags = flags.split_whitespace().map(|flag| Flag::from_wire(flag.as_bytes()).unwrap());
        let facts = MessageFacts {
            date: Some(Timestamp::from_seconds(date)),
            size: Some(size),
            flags: &flags.collect(),
            found: true,
        };
        assert_eq!(rules.verdict(facts), expected);
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn newer_is_strict_and_older_takes_the_age_itself() {
        let newer = MessageRules { newer_than: Some(at(100)), ..MessageRules::default() };
        check(&newer, 100, 1, "", Verdict::OutsideDates);
        check(&newer, 101, 1, "", Verdict::Take);
        let older = MessageRules { older_than: Some(at(100)), ..MessageRules::default() };
        check(&older, 100, 1, "", Verdict::Take);
        check(&older, 101, 1, "", Verdict::OutsideDates);
    }

    #[test]
    fn since_takes_its_first_second_and_before_does_not() {
        let rules =
            MessageRules { since: Some(at(100)), before: Some(at(200)), ..MessageRules::default() };
        check(&rules, 99, 1, "", Verdict::OutsideDates);
        check(&rules, 100, 1, "", Verdict::Take);
        check(&rules, 199, 1, "", Verdict::Take);
        check(&rules, 200, 1, "", Verdict::OutsideDates);
    }

    #[test]
    fn sizes_are_strict() {
        let rules = MessageRules {
            larger_than: Some(10),
            smaller_than: Some(20),
            ..MessageRules::default()
        };
        for (size, expected) in
            [(10, Verdict::OutsideSizes), (11, Verdict::Take), (20, Verdict::OutsideSizes)]
        {
            check(&rules, 0, size, "", expected);
        }
    }

    #[test]
    fn deleted_mail_is_left_only_by_skip() {
        check(&MessageRules::default(), 0, 1, "\\Deleted", Verdict::MarkedDeleted);
        let keep = MessageRules { deleted: Deleted::Keep, ..MessageRules::default() };
        check(&keep, 0, 1, "\\Deleted", Verdict::Take);
    }

    #[test]
    fn what_is_not_known_never_leaves_a_message_out() {
        let rules =
            MessageRules { since: Some(at(100)), larger_than: Some(10), ..MessageRules::default() };
        let facts = MessageFacts { date: None, size: None, flags: &FlagSet::new(), found: true };
        assert_eq!(rules.verdict(facts), Verdict::Take);
    }
}

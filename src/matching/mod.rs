//! Which messages of two sides are the same, by stages between multisets.
//!
//! Each stage looks only at what the earlier ones left over: (a) links of state; (b) keys, and (d) the
//! longer list of headers where there is no Message-ID; (c) inside a group of equal keys sizes where
//! they are comparable, Received lines, the content; (e) the content where there is no usable header.
//! Counts are kept: three equal messages match three, and one of them matches one. In doubt a message
//! counts as not found: better twice than lost.
//!
//! # In, out
//!
//! A [`Matcher`] takes packed entries of both sides. It asks for further evidence in steps, and ends in
//! a [`Matched`] that says of every source message what became of it. Used when planning, when an
//! interrupted append is settled, and when a migration is verified.
//!
//! # Never
//!
//! * Never reads anything itself: evidence is asked for, a set of UIDs at a time.
//! * Never pairs two messages whose evidence differs, and never one message twice.
//! * Never lets INTERNALDATE decide whether two messages are the same; it only orders the choice.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod batch;
mod matched;
mod matcher;
mod sides;
#[cfg(test)]
mod tests;

pub use matched::{Fate, Matched};
pub use matcher::{Evidence, Matcher, Need, Step};

use crate::identity::Fingerprint;
use crate::mail::Uid;

/// How many of 100 pairs must agree in size before sizes count as comparable (safety law R8 c).
const COMPARABLE_PERCENT: u64 = 99;

/// What state knows of a source message. Whether its folders are still those that the link was made
/// for is for the caller to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownLink {
    /// The number of the source folder.
    pub folder: u16,
    /// The source message.
    pub source: Uid,
    /// Its copy; nothing where the server said OK and told no UID.
    pub destination: Option<Uid>,
    /// How both were recognised.
    pub seen: Fingerprint,
}

/// How a matcher decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What proves that one message is another.
    pub proof: Proof,
    /// What becomes of equal messages in one source folder.
    pub twins: Twins,
    /// What is known of the sizes that the two servers tell.
    pub sizes: Sizes,
}

/// What proves that the only message with a key is the only one of the other side with that key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// The key, unless comparable sizes differ.
    #[default]
    Key,
    /// The key and the size, else the content: for settling what an interrupted append left.
    KeyAndSize,
    /// Only the content: for drafts, which are edited in place under one key.
    Content,
}

/// What becomes of equal messages in one source folder. Equal is what has equal content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Twins {
    /// Each counts.
    #[default]
    Keep,
    /// Only the first of those that rules take counts; the others are [`Fate::Twin`]. Needs the
    /// fingerprints of the whole source folder.
    FirstOnly,
}

/// What is known of the sizes that the two servers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// How often they agreed so far, in other folders of these accounts.
    Judged(SizeRecord),
    /// A server's sizes are not to be believed (a fact of its profile).
    Lie,
}

impl Default for Sizes {
    fn default() -> Self {
        Self::Judged(SizeRecord::default())
    }
}

/// How often the two servers told the same size of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeRecord {
    /// Pairs of equal size.
    pub agree: u64,
    /// All pairs.
    pub all: u64,
}

impl SizeRecord {
    /// Both records together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            agree: self.agree.saturating_add(other.agree),
            all: self.all.saturating_add(other.all),
        }
    }

    /// Tells whether sizes have proved comparable: 99 of 100 pairs agree.
    #[must_use]
    pub const fn comparable(self) -> bool {
        self.all > 0
            && self.agree.saturating_mul(100) >= self.all.saturating_mul(COMPARABLE_PERCENT)
    }

    /// Without one pair that differs: a pair is not judged by itself.
    const fn without_one_that_differs(self) -> Self {
        Self { agree: self.agree, all: self.all.saturating_sub(1) }
    }

    const fn count(&mut self, agrees: bool) {
        self.all = self.all.saturating_add(1);
        if agrees {
            self.agree = self.agree.saturating_add(1);
        }
    }
}

//! Numbers that are not numbers: UID, UIDVALIDITY, MODSEQ.

use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message's unique identifier inside one mailbox.
///
/// Means nothing without the [`UidValidity`] it was read under: a server may hand the same number
/// to another message once the validity changes. Zero is not a UID (RFC 9051 §9, `nz-number`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Uid(NonZeroU32);

impl Uid {
    /// The lowest UID there is.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// The highest UID there is.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// Returns the UID of that number, or nothing for zero.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number itself, never zero.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The UID after this one; the highest UID is its own successor.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The generation of a mailbox's UIDs (RFC 9051 §2.3.1.1).
///
/// Never unique by itself: servers give the same value to folders made within one second.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct UidValidity(NonZeroU32);

impl UidValidity {
    /// Returns the UIDVALIDITY of that number, or nothing for zero.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number itself, never zero.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A modification sequence (RFC 7162 §3.1.1), 63 bits.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ModSeq(pub u64);

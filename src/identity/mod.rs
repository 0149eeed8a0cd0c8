//! When two messages are the same: fingerprint, version 1.
//!
//! A fingerprint recognises one message on the other side of one migration. It says nothing about
//! whether two messages with equal keys have equal content; [`crate::matching`] asks further where
//! that matters.
//!
//! # In, out
//!
//! Octets of headers and bodies go in, digests come out. Each header is bounded; octets that no RFC
//! knows of make another digest, never a fault.
//!
//! # Never
//!
//! * Never looks at a field that servers add or change: no X- header, no Return-Path, no size.
//! * Never compares: two digests are equal or not, and only with the same [`Basis`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod address;
mod date;
mod fingerprint;
mod header;
mod text;

pub use fingerprint::{
    Content, Fingerprint, date_header, fingerprint, first_received_date, full, received,
};

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Version of the rule that makes a [`Digest`]. Stored beside every digest; another version never
/// compares equal.
pub const VERSION: u8 = 1;

/// The first 16 octets of a BLAKE3 hash. In files: 32 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(formatter, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

impl Digest {
    /// Reads 32 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut octets = [0; 16];
        for (octet, pair) in octets.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(octets))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not 32 hexadecimal digits"))
    }
}

/// What a digest stands on, from the strongest to the weakest.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Message-ID, Date, From, Subject (stage b).
    Key,
    /// The longer list of headers, where there is no Message-ID (stage d).
    Headers,
    /// The whole content (stage e).
    Content,
    /// Nothing was read: the message is known by its UID only.
    #[default]
    Nothing,
}

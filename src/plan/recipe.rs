//! How messages are treated on the way: closed data, numbered, shared by actions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::{FlagSet, PermanentFlags};

/// A recipe. `apply` reads the flags and the date of a message at the moment it copies it and treats
/// them by this; it never sees a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The number that actions use.
    pub recipe: u32,
    /// Flags that a copy never gets.
    pub drop_flags: FlagSet,
    /// Messages with one of these are not copied if they have it by then.
    pub leave_flagged: FlagSet,
    /// What the destination folder keeps; nothing where it does not exist yet, and `apply` asks.
    pub permanent_flags: Option<PermanentFlags>,
    /// Where the copy's INTERNALDATE comes from: the first that can be sent. After the last one the
    /// nearest neighbour's by UID, never now.
    pub dates: Vec<DateFrom>,
    /// Largest message that is sent, in octets.
    pub ceiling: Option<u64>,
}

/// Where an INTERNALDATE may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DateFrom {
    /// The message's INTERNALDATE.
    Internaldate,
    /// Its Date header.
    DateHeader,
    /// The date in its first Received header.
    ReceivedHeader,
}

//! The vocabulary of mail: names, UIDs, flags, dates, roles.
//!
//! # In, out
//!
//! Values only. Every other module speaks in these words, which are those of RFC 9051.
//!
//! # Never
//!
//! * Never knows of rules, servers, plans or files.
//! * Never panics on what a server sent: each constructor checks and returns an `Option` or a
//!   `Result`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod date;
mod flag;
mod name;
mod role;
mod uid;
mod uid_order;
mod uid_set;
mod utf7;

pub(crate) use date::two_digits;
pub use date::{InternalDate, Timestamp};
pub use flag::{Flag, FlagSet, PermanentFlags};
pub use name::{FolderName, MailboxId, WireName};
pub use role::Role;
pub use uid::{ModSeq, Uid, UidValidity};
pub use uid_order::UidOrder;
pub use uid_set::UidSet;

/// One of the two ends of a migration.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Where mail is read. Nothing here is ever changed by a copy.
    Source,
    /// Where mail is written.
    Destination,
}

impl Side {
    /// The word for people and for rows of state: `source` or `destination`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

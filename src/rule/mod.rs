//! Compiled rules: which folders and messages are taken, and where they go.
//!
//! # In, out
//!
//! [`Rules`] is what the author asked for with every default filled in; `resolve` makes it, the
//! planner is the only one who asks it. Nothing after the planner ever sees a rule.
//!
//! # Never
//!
//! * Never reads a manifest, a file or the clock; relative ages have become instants.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod folder;
mod message;
mod pattern;
pub mod policy;

pub use folder::{FolderRules, MapFrom, Mapping, Ruled};
pub use message::{MessageFacts, MessageRules, Verdict};
pub use pattern::{FolderPattern, PatternFault};

use crate::mail::FolderName;
use crate::rule::policy::{OnExisting, Quirk};

/// Everything that decides actions, for one account pair.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How names are read and written at the source.
    pub source: NameRules,
    /// How names are read and written at the destination.
    pub destination: NameRules,
    /// Which folders, and where they go.
    pub folders: FolderRules,
    /// Which messages.
    pub messages: MessageRules,
    /// What happens to flags of messages that are there already.
    pub on_existing_flags: OnExisting,
    /// The ceiling that the author or a profile set for one message, in octets.
    pub message_ceiling: Option<u64>,
    /// No folder selected is no fault.
    pub allow_empty_source: bool,
}

/// How folder names of one side are read and written.
#[derive(Clone, Debug, Default)]
pub struct NameRules {
    /// The subtree that stands for the whole mailbox.
    pub root: Option<FolderName>,
    /// The personal namespace prefix as the server writes it, if the author stated it.
    pub prefix: Option<String>,
    /// The hierarchy delimiter, if the author stated it.
    pub delimiter: Option<char>,
    /// Departures from the RFCs that the profile knows of.
    pub quirks: Vec<Quirk>,
}

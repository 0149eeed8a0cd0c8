//! One thing to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::{FlagSet, FolderName, Role, Timestamp, Uid, UidSet, WireName};
use crate::plan::reason::Reason;

/// One step of a plan, or one thing that is not done and why.
///
/// Holds everything needed to carry it out: `apply` never looks at the manifest again. Each variant
/// says what makes doing it twice the same as doing it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Creates a destination folder. Twice is once: `[ALREADYEXISTS]` (RFC 5530 §3) counts as done.
    CreateFolder {
        /// The account pair in the header.
        account: u32,
        /// Its canonical name.
        name: FolderName,
        /// Its name in the server's octets.
        wire: WireName,
        /// The special use to give it, where the server can.
        role: Option<Role>,
        /// Why.
        reason: Reason,
    },
    /// Copies messages. Twice is *not* once: the watermark of the destination folder and the journal
    /// tell what is there already.
    Copy {
        /// The folder pair.
        pair: u32,
        /// Source UIDs, appended in the order of the folder pair.
        uids: UidSet,
        /// How many.
        messages: u64,
        /// Their octets, as the source tells sizes.
        octets: u64,
        /// Flags that they had when the plan was made: the destination is asked about these before the first
        /// message goes. Each message gets those that it has when it is copied.
        #[serde(default, skip_serializing_if = "FlagSet::is_empty")]
        flags: FlagSet,
        /// How they are treated.
        recipe: u32,
        /// Why.
        reason: Reason,
    },
    /// Messages that a rule leaves out.
    Skip {
        /// The folder pair.
        pair: u32,
        /// Source UIDs; one, where the message is an exception.
        uids: UidSet,
        /// How many.
        messages: u64,
        /// Their octets.
        octets: u64,
        /// INTERNALDATE, of one message.
        date: Option<Timestamp>,
        /// Why.
        reason: Reason,
    },
    /// One message, or with no UID the whole folder pair, that cannot be copied.
    Blocked {
        /// The folder pair.
        pair: u32,
        /// The source UID; nothing for the whole folder.
        uid: Option<Uid>,
        /// Its octets.
        octets: Option<u64>,
        /// Its INTERNALDATE.
        date: Option<Timestamp>,
        /// The limit that it exceeds, in octets.
        limit: Option<u64>,
        /// Why.
        reason: Reason,
    },
    /// Changes flags of messages that are at the destination, by difference. Twice is once.
    Flags {
        /// The folder pair.
        pair: u32,
        /// Destination UIDs.
        uids: UidSet,
        /// How many.
        messages: u64,
        /// Flags to set.
        add: FlagSet,
        /// Flags to take away, only where the message still has exactly `from`.
        remove: FlagSet,
        /// The flags that these messages had when the plan was made.
        from: FlagSet,
        /// Why.
        reason: Reason,
    },
    /// Subscribes to a destination folder. Twice is once.
    Subscribe {
        /// The account pair in the header.
        account: u32,
        /// Its canonical name.
        name: FolderName,
        /// Its name in the server's octets.
        wire: WireName,
        /// Why.
        reason: Reason,
    },
}

/// The sections of a plan, which are also the order of work.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Folders to create.
    Folders,
    /// Messages to copy, and those that are not copied.
    Copies,
    /// Flags to change.
    Flags,
    /// Folders to subscribe to.
    Subscriptions,
}

impl Section {
    /// All sections, in order.
    pub const ALL: [Self; 4] = [Self::Folders, Self::Copies, Self::Flags, Self::Subscriptions];
}

impl Action {
    /// The section that it stands in.
    #[must_use]
    pub const fn section(&self) -> Section {
        match self {
            Self::CreateFolder { .. } => Section::Folders,
            Self::Copy { .. } | Self::Skip { .. } | Self::Blocked { .. } => Section::Copies,
            Self::Flags { .. } => Section::Flags,
            Self::Subscribe { .. } => Section::Subscriptions,
        }
    }

    /// Why it was chosen. For people; `apply` never branches on it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::CreateFolder { reason, .. }
            | Self::Copy { reason, .. }
            | Self::Skip { reason, .. }
            | Self::Blocked { reason, .. }
            | Self::Flags { reason, .. }
            | Self::Subscribe { reason, .. } => *reason,
        }
    }
}

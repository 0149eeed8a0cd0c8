//! What sessions asked of the server.

use crate::mail::{FlagSet, Role, UidSet, WireName};
use crate::store::fetch::Items;
use crate::store::look::FlagChange;

/// One operation that reached the server, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A session began.
    Connect,
    /// Folders were listed.
    List,
    /// Counts of a folder were asked for.
    Status(WireName),
    /// A folder was opened for reading.
    Open(WireName),
    /// An empty folder was opened to be written to.
    Prepare(WireName),
    /// Rows were read.
    Scan {
        /// Where.
        folder: WireName,
        /// Which.
        uids: UidSet,
        /// What of them.
        items: Items,
    },
    /// Bodies were read.
    Fetch {
        /// Where.
        folder: WireName,
        /// Which.
        uids: UidSet,
    },
    /// A search.
    Search {
        /// Where.
        folder: WireName,
        /// The search program.
        keys: String,
    },
    /// A folder was to be created.
    Create {
        /// Its name.
        folder: WireName,
        /// Its special use.
        role: Option<Role>,
    },
    /// A folder was to be subscribed to.
    Subscribe(WireName),
    /// A message was to be appended.
    Append {
        /// Where to.
        folder: WireName,
        /// Its flags.
        flags: FlagSet,
        /// Its date, as in the command.
        date: Option<String>,
        /// Its length.
        octets: u64,
    },
    /// Flags were to be changed.
    ChangeFlags {
        /// Where.
        folder: WireName,
        /// Of which messages.
        uids: UidSet,
        /// How.
        change: FlagChange,
    },
}

impl Operation {
    /// Tells whether it changes anything.
    #[must_use]
    pub const fn is_effect(&self) -> bool {
        matches!(
            self,
            Self::Create { .. }
                | Self::Subscribe(_)
                | Self::Append { .. }
                | Self::ChangeFlags { .. }
        )
    }

    /// The folder that it looks at, where it tells counts.
    pub(super) const fn looks_at(&self) -> Option<&WireName> {
        match self {
            Self::Status(folder) | Self::Open(folder) => Some(folder),
            _ => None,
        }
    }
}

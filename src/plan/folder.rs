//! Folders in a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::{FolderName, MailboxId, ModSeq, Side, Uid, UidOrder, UidValidity, WireName};
use crate::plan::reason::Reason;

/// One source folder and the destination folder that it goes to. Several pairs may share a
/// destination; together they are one group, and their lines follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FolderPair {
    /// The number that actions use; counts from 0 in the order of work.
    pub pair: u32,
    /// The account pair in the header.
    pub account: u32,
    /// Read from.
    pub source: SourceFolder,
    /// Written to.
    pub destination: DestinationFolder,
    /// The order in which its messages are appended.
    pub order: UidOrder,
    /// What was found and is planned.
    pub counts: Counts,
}

/// A source folder as it was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceFolder {
    /// Its canonical name.
    pub name: FolderName,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// Its state.
    pub seen: Observed,
}

/// A destination folder as it was observed, or is to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DestinationFolder {
    /// Its canonical name.
    pub name: FolderName,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// Its state; nothing where the plan creates it.
    pub seen: Option<Observed>,
}

/// A folder's state when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Observed {
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT, or one above the highest UID that was seen, whichever is higher.
    pub uid_next: Uid,
    /// One above the highest UID that was seen; 1 for an empty folder. Whatever a server says of
    /// UIDNEXT, what is appended later is at or above it.
    pub uids_from: Uid,
    /// HIGHESTMODSEQ, where the folder keeps one.
    pub highest_mod_seq: Option<ModSeq>,
    /// MAILBOXID, where offered.
    pub mailbox_id: Option<MailboxId>,
    /// How many messages it held.
    pub messages: u64,
}

/// What was found and is planned for one folder pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Counts {
    /// Messages of the source folder that are at the destination already.
    pub equal: u64,
    /// Messages to copy.
    pub copies: u64,
    /// Their octets, as the source tells sizes.
    pub octets: u64,
    /// Messages whose flags change.
    pub flags: u64,
    /// Messages left out by a rule.
    pub skipped: u64,
    /// Messages that cannot be copied.
    pub blocked: u64,
    /// Messages of the destination folder that no source message matches; told with the first pair
    /// of a group.
    pub extra: u64,
    /// Messages that will lose a flag or keyword which the destination cannot keep.
    pub lossy_flags: u64,
}

/// A folder that no pair holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LeftOut {
    /// The account pair in the header.
    pub account: u32,
    /// Which side has it.
    pub side: Side,
    /// Its canonical name.
    pub name: FolderName,
    /// How many messages it holds, where the server told.
    pub messages: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// The rule that left it out, for people: `exclude, line 14`.
    pub rule: Option<String>,
}

//! What looking at a server yields.

use serde::{Deserialize, Serialize};

use crate::mail::{
    FlagSet, MailboxId, ModSeq, PermanentFlags, Role, Uid, UidSet, UidValidity, WireName,
};

/// What the server said of itself and of the login. Untrusted text: escape it for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSeen {
    /// The greeting's text.
    pub greeting: String,
    /// The ID reply (RFC 2971) as `name version`, where given.
    pub id: Option<String>,
    /// The user name as the server knows it, case kept.
    pub user: String,
    /// Host and port, as they were given.
    pub server: String,
    /// SHA-256 of the server's public key (`SubjectPublicKeyInfo`) in hex, with TLS.
    pub tls_key: Option<String>,
    /// `TLS 1.3`, `TLS 1.2`, or `none`.
    pub tls: String,
    /// The mechanism that logged in: `PLAIN`, `LOGIN`, `LOGIN command`.
    pub mechanism: String,
}

/// One namespace (RFC 2342).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its prefix as the server writes it, such as `INBOX.`; may be empty.
    pub prefix: WireName,
    /// Its hierarchy delimiter; nothing for a flat namespace.
    pub delimiter: Option<u8>,
}

/// All that LIST told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The personal namespaces, the first one first; empty where the server does not say.
    pub personal: Vec<Namespace>,
    /// Prefixes of other users' and shared namespaces.
    pub others: Vec<Namespace>,
    /// One row a folder, in the server's order, INBOX included, no folder twice.
    pub rows: Vec<ListRow>,
}

/// One folder as LIST told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRow {
    /// The name, in the server's octets.
    pub name: WireName,
    /// The hierarchy delimiter; nothing where the name is flat.
    pub delimiter: Option<u8>,
    /// Can be opened: neither `\Noselect` nor `\NonExistent`.
    pub selectable: bool,
    /// Can have folders below it: no `\Noinferiors`.
    pub may_have_children: bool,
    /// Subscribed.
    pub subscribed: bool,
    /// Special uses (RFC 6154), in the server's order.
    pub roles: Vec<Role>,
    /// Counts, where the server gave them along (LIST-STATUS).
    pub status: Option<FolderStatus>,
}

/// Counts of a folder as STATUS told them. Any of them may lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStatus {
    /// How many messages.
    pub messages: Option<u64>,
    /// UIDVALIDITY.
    pub uid_validity: Option<UidValidity>,
    /// UIDNEXT.
    pub uid_next: Option<Uid>,
    /// HIGHESTMODSEQ.
    pub highest_mod_seq: Option<ModSeq>,
    /// MAILBOXID.
    pub mailbox_id: Option<MailboxId>,
    /// Sum of all sizes, in octets.
    pub octets: Option<u64>,
}

/// A folder as it was when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderState {
    /// How many messages (`EXISTS`).
    pub messages: u64,
    /// UIDVALIDITY. A server without one cannot be worked with safely: opening fails.
    pub uid_validity: UidValidity,
    /// UIDNEXT as told; servers leave it out, or tell it wrong.
    pub uid_next: Option<Uid>,
    /// HIGHESTMODSEQ, where the folder keeps one.
    pub highest_mod_seq: Option<ModSeq>,
    /// MAILBOXID, where offered.
    pub mailbox_id: Option<MailboxId>,
    /// What can be kept; all where the server does not say.
    pub permanent_flags: PermanentFlags,
    /// Flags and keywords that are in use (`FLAGS`).
    pub flags: FlagSet,
}

/// One change of flags, by difference. Never a replacement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagChange {
    /// Flags to set.
    pub add: FlagSet,
    /// Flags to take away.
    pub remove: FlagSet,
    /// Only messages unchanged since this MODSEQ (`UNCHANGEDSINCE`, RFC 7162 §3.1.3), where the
    /// folder keeps one.
    pub unchanged_since: Option<ModSeq>,
}

/// What became of a change of flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagOutcome {
    /// Flags as the server reported them afterwards, as far as it did.
    pub reported: Vec<(Uid, FlagSet)>,
    /// Messages that somebody else changed meanwhile (`MODIFIED`).
    pub modified: UidSet,
}

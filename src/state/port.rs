//! The port: what may be asked of state. Two implementations: `SQLite`, and memory for tests.

use std::io;

use serde::{Deserialize, Serialize};

use crate::identity::Basis;
use crate::identity::Digest;
use crate::mail::{
    FlagSet, FolderName, MailboxId, ModSeq, Side, Timestamp, Uid, UidSet, UidValidity, WireName,
};
use crate::plan::{Reason, Witness};

/// A row of a folder in state: one folder of one side under one identity. Another UIDVALIDITY or
/// MAILBOXID is another folder, with another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderId(pub i64);

/// One run of `plan` or `apply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

/// One recorded intent, by a number that it has as long as state is open: found again it may have another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub i64);

/// What identifies a folder: MAILBOXID where offered, else name and UIDVALIDITY, which alone is
/// never unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderKey {
    /// Which account.
    pub side: Side,
    /// The name in the server's octets.
    pub wire: WireName,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// MAILBOXID, where offered.
    pub mailbox_id: Option<MailboxId>,
}

impl FolderKey {
    /// The name as it identifies: INBOX has no case (RFC 9051 §5.1), other names are their octets.
    pub(crate) fn identity_octets(&self) -> &[u8] {
        identity_octets(&self.wire)
    }
}

/// A name as it identifies.
pub(crate) fn identity_octets(wire: &WireName) -> &[u8] {
    if wire.is_inbox() { b"INBOX" } else { wire.as_octets() }
}

/// One message on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// At the source.
    pub source: Uid,
    /// At the destination; nothing where the server said OK and told no UID, until it is found.
    pub destination: Option<Uid>,
    /// Its fingerprint; what it stands on is in `basis`.
    pub digest: Digest,
    /// What the digest stands on.
    pub basis: Basis,
    /// Octets, as sent or as the source tells.
    pub octets: u64,
    /// The flags that both sides had when they last agreed; nothing where they never did.
    pub flags: Option<FlagSet>,
    /// The run that copied it; nothing where it was only found.
    pub copied_by: Option<RunId>,
}

/// A destination message that is provably ours: written only for a UID that our own append reported,
/// at or above the UIDNEXT recorded before it, or that settlement found as the only candidate with
/// equal content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Its UID.
    pub uid: Uid,
    /// Octets as sent.
    pub octets: u64,
    /// Its fingerprint.
    pub digest: Digest,
    /// The INTERNALDATE that we gave it.
    pub date: Option<Timestamp>,
    /// The flags that we left.
    pub flags: FlagSet,
}

/// About to send. Durable before the first octet of it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The source folder.
    pub source_folder: FolderId,
    /// The source message.
    pub source: Uid,
    /// The destination folder.
    pub destination_folder: FolderId,
    /// UIDNEXT of the destination folder just before sending. After a crash the message can only be
    /// at this UID or above, so that an older twin of it is not mistaken for it.
    pub uid_next: Uid,
}

/// An intent without an outcome, as it is found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its number.
    pub id: IntentId,
    /// What was about to be sent.
    pub intent: Intent,
    /// How often this message was sent so far, this time included.
    pub times: u32,
    /// Every octet was handed over, as far as is known: it may still arrive. A run that died did not
    /// say, so this is true after a crash.
    pub may_arrive: bool,
}

/// What became of an intent. Closes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored, by our own append or found by looking.
    Stored(StoredCopy),
    /// Surely not stored.
    NotStored,
    /// The connection ended: what is known of it now. Keeps the intent open.
    Unknown {
        /// Every octet was handed over: it may still arrive.
        may_arrive: bool,
    },
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCopy {
    /// The link to write.
    pub link: Link,
    /// The ownership to write; nothing where it is not proved.
    pub owned: Option<Owned>,
}

impl StoredCopy {
    /// The highest destination UID in it.
    pub(crate) fn highest(&self) -> Option<Uid> {
        self.link.destination.max(self.owned.as_ref().map(|owned| owned.uid))
    }
}

/// A message, folder or flag that needs a reader: kept until a later run settles it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The source folder, or the destination folder for what is only there.
    pub folder: FolderName,
    /// Which side `folder` and `uid` belong to.
    pub side: Side,
    /// The message; nothing for the whole folder.
    pub uid: Option<Uid>,
    /// INTERNALDATE.
    pub date: Option<Timestamp>,
    /// Octets.
    pub octets: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// What the server said, escaped and without secrets; or a detail.
    pub said: Option<String>,
}

/// The order in which items are told.
pub(crate) fn sort_items(items: &mut [Item]) {
    items.sort_by(|one, other| {
        (&one.folder, one.side, one.uid).cmp(&(&other.folder, other.side, other.uid))
    });
}

/// The fault of settling what is settled: links and ownership would be written twice over.
pub(crate) fn not_open(id: IntentId) -> StateError {
    StateError::Database(format!("intent {} is not open", id.0))
}

/// A fault of state. A journal that cannot be written stops every effect at once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another run holds the lock.
    #[error("another run is using {0}")]
    Locked(String),
    /// Another process of this host writes to the same destination account.
    #[error("another run is writing to the same destination account ({0})")]
    DestinationLocked(String),
    /// A newer program made it.
    #[error("state of format {found} was made by a newer program; this one knows up to {known}")]
    Newer {
        /// The format found.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// It cannot be read or written.
    #[error("state cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The database says so.
    #[error("state cannot be used: {0}")]
    Database(String),
}

/// State of one account pair. Folder numbers are of this pair only.
pub trait State: Send {
    /// Begins a run; its number marks what it copies.
    ///
    /// # Errors
    ///
    /// [`StateError`], as for every call here.
    fn begin_run(&mut self, command: &str, now: Timestamp) -> Result<RunId, StateError>;

    /// Tells whether state knew of no message when it was opened, neither by a link nor by ownership
    /// nor by an intent: made anew, lost, or of another account.
    fn was_empty(&self) -> bool;

    /// Begins to gather writes, or ends it, which puts all of them on disk. While they are gathered
    /// they reach the disk with later ones, and only what [`intend`](Self::intend) and
    /// [`settle`](Self::settle) write is there at once, with all that was gathered before. For those
    /// who write down much that can be found out again.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn gather(&mut self, gather: bool) -> Result<(), StateError>;

    /// What was last seen of an account; nothing before the first run.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn witness(&mut self, side: Side) -> Result<Option<Witness>, StateError>;

    /// Records what is seen of an account now.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn set_witness(&mut self, side: Side, witness: &Witness) -> Result<(), StateError>;

    /// Returns the number of a folder under this identity, making a row where there is none. A
    /// folder with a MAILBOXID is found by it even if it was renamed. A row without MAILBOXID never
    /// stands for a folder with one, nor the other way round: they cannot be proved to be the same.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn folder(&mut self, key: &FolderKey) -> Result<FolderId, StateError>;

    /// The number of the folder that came last to this name; nothing where none had it. What else
    /// identifies a folder is not looked at: it is a guess before the folder is opened.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn last_folder(&mut self, side: Side, wire: &WireName) -> Result<Option<FolderId>, StateError>;

    /// Tells whether the folder alone had its UIDVALIDITY when all folders of its account were looked at
    /// last. One that shared it, or was not seen in such company, may be another one that was renamed
    /// onto its name without a trace.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn is_alone(&mut self, folder: FolderId) -> Result<bool, StateError>;

    /// Records what [`is_alone`](Self::is_alone) tells.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn set_alone(&mut self, folder: FolderId, alone: bool) -> Result<(), StateError>;

    /// The highest UIDNEXT and HIGHESTMODSEQ ever recorded for a folder. Lower ones now mean that
    /// the server was put back: links and ownership are void.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn high_water(&mut self, folder: FolderId)
    -> Result<(Option<Uid>, Option<ModSeq>), StateError>;

    /// Raises what [`high_water`](Self::high_water) tells; never lowers it.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn raise_high_water(
        &mut self,
        folder: FolderId,
        uid_next: Uid,
        mod_seq: Option<ModSeq>,
    ) -> Result<(), StateError>;

    /// Whether a destination folder keeps what tells messages apart, as reading back the first messages
    /// that we put there has shown; nothing where that was not tried.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn identity_kept(&mut self, folder: FolderId) -> Result<Option<bool>, StateError>;

    /// Records what reading back showed. It outlives [`forget_folder`](Self::forget_folder): it is a
    /// fact of the server.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn set_identity_kept(&mut self, folder: FolderId, kept: bool) -> Result<(), StateError>;

    /// Forgets every link, ownership and cached digest of a folder, and what is recorded of its
    /// heights: it is matched anew. Open intents stay.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn forget_folder(&mut self, folder: FolderId) -> Result<(), StateError>;

    /// The links of a pair of folders, ascending by source UID, handed to `each` one by one: whoever
    /// packs them holds no second copy.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn each_link(
        &mut self,
        source: FolderId,
        destination: FolderId,
        each: &mut dyn FnMut(Link),
    ) -> Result<(), StateError>;

    /// The links of a pair of folders, ascending by source UID.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn links(&mut self, source: FolderId, destination: FolderId) -> Result<Vec<Link>, StateError> {
        let mut links = Vec::new();
        self.each_link(source, destination, &mut |link| links.push(link))?;
        Ok(links)
    }

    /// The links into a destination folder whose copy has this UID, a higher one, or one that is not
    /// known, by source folder and source UID, handed to `each` with their source folders. What was
    /// copied long ago is not read.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn each_link_from(
        &mut self,
        destination: FolderId,
        from: Uid,
        each: &mut dyn FnMut(FolderId, Link),
    ) -> Result<(), StateError>;

    /// Writes links that were found; a link of the same source message is replaced, but keeps who
    /// copied it.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn put_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        links: &[Link],
    ) -> Result<(), StateError>;

    /// Ends links whose message is gone on a side.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn drop_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError>;

    /// Records the flags that both sides now agree on, by destination UID; UIDs without a link are
    /// passed over.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn agree_flags(
        &mut self,
        destination: FolderId,
        flags: &[(Uid, FlagSet)],
    ) -> Result<(), StateError>;

    /// What is owned in a destination folder, ascending by UID.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn owned(&mut self, destination: FolderId) -> Result<Vec<Owned>, StateError>;

    /// Digests of headers read before, ascending by UID, handed to `each`.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn digests(
        &mut self,
        folder: FolderId,
        each: &mut dyn FnMut(Uid, Digest, Basis),
    ) -> Result<(), StateError>;

    /// Keeps digests, so that a header read once is never read again.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn put_digests(
        &mut self,
        folder: FolderId,
        digests: &[(Uid, Digest, Basis)],
    ) -> Result<(), StateError>;

    /// Records intents; returns when they are on disk, in the order given. An open intent of the
    /// same message to the same folder is closed by it, and its count of sendings goes on.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run). Nothing may be sent after one.
    fn intend(&mut self, intents: &[Intent]) -> Result<Vec<IntentId>, StateError>;

    /// Records outcomes, in one commit.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run); also where an intent is not open (any more), and then
    /// nothing of this call is recorded.
    fn settle(&mut self, outcomes: &[(IntentId, Outcome)]) -> Result<(), StateError>;

    /// Records outcomes and then intents, as [`settle`](Self::settle) and [`intend`](Self::intend) do;
    /// where it can, in one commit, so that the disk is waited for once.
    ///
    /// # Errors
    ///
    /// As [`intend`](Self::intend).
    fn journal(
        &mut self,
        outcomes: &[(IntentId, Outcome)],
        intents: &[Intent],
    ) -> Result<Vec<IntentId>, StateError> {
        if !outcomes.is_empty() {
            self.settle(outcomes)?;
        }
        if intents.is_empty() {
            return Ok(Vec::new());
        }
        self.intend(intents)
    }

    /// Intents without an outcome for a destination folder, ascending by source UID. Those of
    /// another UIDVALIDITY of the same name are not among them.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn open_intents(&mut self, destination: FolderId) -> Result<Vec<OpenIntent>, StateError>;

    /// Messages whose append was sent more than once to a destination folder: source folder, source
    /// UID, and the UID below which no copy of it is. A first copy that arrives late is a surplus.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn resent(&mut self, destination: FolderId) -> Result<Vec<(FolderId, Uid, Uid)>, StateError>;

    /// Forgets that messages of a source folder were sent more than once: no copy of them is surplus.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn forget_resent(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError>;

    /// The highest destination UID that a link, ownership or outcome of this folder holds.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn highest_stored(&mut self, destination: FolderId) -> Result<Option<Uid>, StateError>;

    /// Forgets what was told to be stored above this UID: there is nothing. Links stay.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn forget_stored_above(
        &mut self,
        destination: FolderId,
        top: Option<Uid>,
    ) -> Result<(), StateError>;

    /// Puts the items of a command in place of those that the same command left before.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn replace_items(&mut self, command: &str, items: &[Item]) -> Result<(), StateError>;

    /// All open items, by folder and UID.
    ///
    /// # Errors
    ///
    /// As [`begin_run`](Self::begin_run).
    fn items(&mut self) -> Result<Vec<Item>, StateError>;
}

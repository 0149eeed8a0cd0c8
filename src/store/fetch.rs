//! Reading messages: the sink that rows and bodies are poured into.

use crate::mail::{FlagSet, InternalDate, ModSeq, Uid, UidSet};
use crate::store::chunk::Chunk;

/// What a scan asks for besides the UID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an item of the command")]
pub struct Items {
    /// FLAGS, INTERNALDATE and RFC822.SIZE.
    pub facts: bool,
    /// FLAGS alone, which costs a server much less: for messages of which the rest is known. A part of
    /// `facts`.
    pub flags: bool,
    /// RFC822.SIZE alone. A part of `facts`.
    pub size: bool,
    /// INTERNALDATE alone, which costs some servers more than all else. A part of `facts`.
    pub date: bool,
    /// MODSEQ, where the folder keeps one.
    pub mod_seq: bool,
    /// Header fields, as pieces of the row.
    pub header: HeaderFields,
}

/// Which header fields a scan asks for. Always by the same FETCH item on both sides
/// (`BODY.PEEK[HEADER.FIELDS (…)]`), since servers decode and trim others differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderFields {
    /// None.
    #[default]
    None,
    /// Message-ID, Date, From, Subject: at most about 400 octets a message.
    Key,
    /// Date, From, To, Cc, Subject, Sender, Reply-To, In-Reply-To, References, Message-ID, Received.
    Full,
    /// Received only.
    Received,
}

/// What is known of a message before its first octet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowHead {
    /// Flags; `\Recent` and what no client may set is left out.
    pub flags: FlagSet,
    /// INTERNALDATE; nothing where the server told none, or one that the calendar lacks.
    pub internal_date: Option<InternalDate>,
    /// RFC822.SIZE in octets, where told. May be a lie: the announced length of a body is in
    /// `body_octets`.
    pub size: Option<u64>,
    /// MODSEQ.
    pub mod_seq: Option<ModSeq>,
    /// The exact length of the body that follows in pieces; nothing in a scan.
    pub body_octets: Option<u64>,
}

/// Whether reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Go,
    /// Send no further command; discard what still comes of those that were sent. Where that is very
    /// much, the connection is closed instead: the fetch ends well, and the next call on the session
    /// fails with [`StoreError::Connection`](crate::store::StoreError::Connection).
    Stop,
}

/// Takes rows as they come, in any order of UIDs, each between its `begin` and its `end`.
///
/// Only UIDs that were asked for come here, each at most once. A row that the server gave without a
/// UID, with a foreign one, twice, or with a body of NIL, never does.
pub trait FetchSink {
    /// A row begins.
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow;

    /// A piece of the body or of the header fields, at most 64 KiB.
    fn piece(&mut self, octets: &Chunk) -> Flow;

    /// The row is complete.
    fn end(&mut self, uid: Uid) -> Flow;
}

/// Why a UID that was asked for did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingWhy {
    /// Not in the folder any more: it came neither again after NOOP nor in UID FETCH FLAGS.
    Gone,
    /// The folder has it, but the server did not give its content.
    Withheld,
    /// The content was NIL or empty although RFC822.SIZE is above 0.
    NoContent,
    /// The sink asked to stop before it was asked for.
    NotAsked,
}

/// A UID that did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub uid: Uid,
    /// Why.
    pub why: MissingWhy,
}

/// How a fetch or scan ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchOutcome {
    /// Every UID that was asked for and did not come, ascending. A scan of a range that was not
    /// known message by message lists none.
    pub missing: Vec<Missing>,
    /// UIDs that came through the sink.
    pub came: UidSet,
    /// The listing is complete: the command ended OK, no row lacked a UID or came twice, and a scan
    /// of all messages gave as many rows as the folder holds after the EXPUNGEs seen.
    pub complete: bool,
}

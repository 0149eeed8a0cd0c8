//! The ports: what the rest of the program may ask of a server.
//!
//! Three ports differ by what they can do, so that the compiler keeps the promises: [`Look`] and
//! [`Source`] only read; [`Destination`] adds messages, folders, subscriptions and changes flags;
//! [`Remove`] is apart, for either side, and nothing implements it yet. Commands that promise to
//! change nothing hold a [`Source`] for both ends.
//!
//! Shapes are made for pipelines: sets go in, rows come out in any order through a sink, and an
//! append pulls its messages from a queue, so that an adapter may batch, overlap and choose its
//! commands without a change here.
//!
//! # Never
//!
//! * Never knows IMAP's syntax, a plan or a rule.
//! * Never fails in silence: every UID asked for comes through the sink or is listed as missing.

mod ability;
mod append;
mod chunk;
mod compression;
mod error;
mod fetch;
mod look;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod patience;
mod visit;

pub use ability::{Abilities, AppendWays};
pub use append::{
    AppendMessage, AppendOutcome, AppendQueue, AppendResult, Batch, BodyLost, Stored, Ticket,
    Unknown, Wait,
};
pub use chunk::Chunk;
pub use compression::Compression;
pub use error::{Connect, Refusal, ResponseCode, Retry, StoreError};
pub use fetch::{FetchOutcome, FetchSink, Flow, HeaderFields, Items, Missing, MissingWhy, RowHead};
pub use look::{
    FlagChange, FlagOutcome, FolderState, FolderStatus, ListRow, Listing, Namespace, ServerSeen,
};
pub use visit::{Part, Survey, Visit, VisitSink, fetch_visit, survey_alone};

use crate::mail::{FlagSet, Role, Uid, UidSet, WireName};

/// What can be seen of either side without reading mail. Folders are opened with EXAMINE and
/// headers fetched with `BODY.PEEK` (RFC 9051 §6.3.3, §6.4.5), so that looking leaves no mark.
pub trait Look: Send {
    /// What the server said of itself and of the login.
    fn seen(&self) -> &ServerSeen;

    /// What the server offers. Asked, never guessed from the server's name.
    fn abilities(&self) -> &Abilities;

    /// Whether this session compresses by now, and why.
    fn compression(&self) -> Compression;

    /// Tells whether it is open if this session is to compress, and stays so for want of anything that
    /// was measured.
    fn wants_measuring(&self) -> bool;

    /// Tells whether the server answers so soon that it must be in the same house.
    fn is_near(&self) -> bool;

    /// Lists namespaces and all folders of the personal namespace, with attributes, subscriptions
    /// and, where the server gives them along, counts.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]; none of them leaves a partial listing behind.
    fn list(&mut self) -> Result<Listing, StoreError>;

    /// Reads counts of a folder without opening it (STATUS, RFC 9051 §6.3.11).
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the folder cannot be looked at.
    fn status(&mut self, folder: &WireName) -> Result<FolderStatus, StoreError>;

    /// Opens a folder anew with EXAMINE, also if it is open already, and tells its state as of now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the folder cannot be opened.
    fn open(&mut self, folder: &WireName) -> Result<FolderState, StoreError>;

    /// Reads rows without bodies, in any order of UIDs. Header fields that `items` asks for come as
    /// pieces of the row. Opens `folder` if it is not the open one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the connection is lost or the folder cannot be opened; the sink may then
    /// hold a part.
    fn scan(
        &mut self,
        folder: &WireName,
        uids: &UidSet,
        items: Items,
        sink: &mut dyn FetchSink,
    ) -> Result<FetchOutcome, StoreError>;

    /// Opens folders one after the other and reads rows of each, without waiting for one before the
    /// next is asked for, where the adapter can. What the parts of a folder bring comes mixed.
    ///
    /// # Errors
    ///
    /// Those that end a connection; the sink may then hold a part. What concerns one folder goes to
    /// the sink.
    fn survey(
        &mut self,
        folders: &[Survey<'_>],
        sink: &mut dyn VisitSink,
    ) -> Result<(), StoreError> {
        (0..).zip(folders).try_for_each(|(number, folder)| survey_alone(self, number, folder, sink))
    }

    /// Returns the UIDs that an IMAP SEARCH finds in `folder`; `keys` is the author's own search
    /// program (RFC 9051 §6.4.4), checked by the adapter to be one line.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the server does not take the search.
    fn search(&mut self, folder: &WireName, keys: &str) -> Result<UidSet, StoreError>;

    /// Is done with the session in good order. Dropping it without this is safe.
    fn close(self: Box<Self>);
}

/// Reads mail. There is no method that changes anything.
pub trait Source: Look {
    /// Reads whole messages of one folder in pieces; no message is ever held whole. They come in the
    /// order that is asked for wherever the server answers in the order of commands, and of UIDs
    /// within a command, which no server has to.
    ///
    /// Every UID of the visit either comes through the sink (`begin`, pieces, `end`) or is listed in
    /// the outcome. A sink that needs a pause blocks in its calls; [`Flow::Stop`] ends the fetch
    /// early, and what was not begun is listed as [`MissingWhy::NotAsked`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the connection is lost or the folder cannot be opened; a message that
    /// was begun and not ended is then incomplete.
    fn fetch(
        &mut self,
        visit: &Visit<'_>,
        sink: &mut dyn FetchSink,
    ) -> Result<FetchOutcome, StoreError>;

    /// Opens folders one after the other and reads whole messages of each, as [`fetch`](Self::fetch)
    /// does, without waiting for one before the next is asked for, where the adapter can. After
    /// [`Flow::Stop`] no further folder is visited.
    ///
    /// # Errors
    ///
    /// As [`Look::survey`].
    fn fetch_visits(
        &mut self,
        visits: &[Visit<'_>],
        sink: &mut dyn VisitSink,
    ) -> Result<(), StoreError> {
        for (number, visit) in visits.iter().enumerate() {
            if fetch_visit(self, number, visit, sink)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

/// What became of folders that were to be created.
#[derive(Debug, Default)]
pub struct Created {
    /// Of each.
    pub ends: Vec<Result<(), StoreError>>,
    /// All folders that there are since then, where that came along: all of them were made, and each
    /// is listed as it was asked for.
    pub listing: Option<Listing>,
}

/// Flags of messages that are to go to a folder, which was listed as empty when the run began or it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    /// The folder.
    pub folder: WireName,
    /// It was made a moment ago.
    pub is_made: bool,
    /// The flags.
    pub flags: FlagSet,
}

/// Adds mail, folders and subscriptions, and changes flags. Reading back comes with it.
pub trait Destination: Source {
    /// Creates one folder, with a special use where the server can (RFC 6154 §3). Parents are not
    /// made; `[ALREADYEXISTS]` counts as done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the server does not make it.
    fn create(&mut self, folder: &WireName, role: Option<Role>) -> Result<(), StoreError>;

    /// Creates folders in this order, as [`create`](Self::create) does, without waiting for one before
    /// the next is asked for, where the adapter can. Returns what became of each. The folder `acquaint` is
    /// there, and messages are to go there: an adapter may do along with this what
    /// [`acquaint`](Self::acquaint) does.
    ///
    /// # Errors
    ///
    /// Those that end a connection; then nobody knows which of them were made.
    fn create_all(
        &mut self,
        folders: &[(WireName, Option<Role>)],
        acquaint: Option<&WireName>,
    ) -> Result<Created, StoreError> {
        let _ = acquaint;
        let mut ends = Vec::new();
        for (folder, role) in folders {
            match self.create(folder, *role) {
                Err(fault) if !fault.connection_is_good() => return Err(fault),
                end => ends.push(end),
            }
        }
        Ok(Created { ends, listing: None })
    }

    /// Finds out what the server understands of appends, to be called while something else is waited for.
    /// The folder is there, and messages are to go there. Nothing is stored, unless the server stores what
    /// its profile says that it refuses.
    ///
    /// # Errors
    ///
    /// Those that end a connection.
    fn acquaint(&mut self, folder: &WireName) -> Result<(), StoreError> {
        let _ = folder;
        Ok(())
    }

    /// Subscribes to a folder. Twice is once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the server does not.
    fn subscribe(&mut self, folder: &WireName) -> Result<(), StoreError>;

    /// Subscribes to folders, as [`subscribe`](Self::subscribe) does, without waiting for one before
    /// the next is asked for, where the adapter can. Returns what became of each.
    ///
    /// # Errors
    ///
    /// Those that end a connection.
    fn subscribe_all(
        &mut self,
        folders: &[WireName],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut done = Vec::new();
        for folder in folders {
            match self.subscribe(folder) {
                Err(fault) if !fault.connection_is_good() => return Err(fault),
                end => done.push(end),
            }
        }
        Ok(done)
    }

    /// Opens an empty folder as one that is about to be written to (SELECT), tells its state, and leaves
    /// it again. Some servers make up a UIDVALIDITY for an empty folder each time they are asked, until
    /// somebody opens it so.
    ///
    /// # Errors
    ///
    /// As [`Look::open`].
    fn prepare(&mut self, folder: &WireName) -> Result<FolderState, StoreError>;

    /// Opens empty folders as [`prepare`](Self::prepare) does, without waiting for one before the next
    /// is asked for, where the adapter can. Returns the state of each. `coming` are flags of
    /// messages that are to go there: an adapter may find out about them.
    ///
    /// # Errors
    ///
    /// Those that end a connection.
    fn prepare_all(
        &mut self,
        folders: &[WireName],
        coming: &[Coming],
    ) -> Result<Vec<Result<FolderState, StoreError>>, StoreError> {
        let _ = coming;
        let mut prepared = Vec::new();
        for folder in folders {
            match self.prepare(folder) {
                Err(fault) if !fault.connection_is_good() => return Err(fault),
                done => prepared.push(done),
            }
        }
        Ok(prepared)
    }

    /// Appends the messages that `queue` hands out, in that order, each to its folder, by whatever
    /// means the server offers, and reports each to the queue. Returns when the queue has ended, or as
    /// soon as the connection can no longer be used; then every message handed out has had its result.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the connection is dead. Messages whose fate is not known have been
    /// reported as [`AppendResult::Unknown`] before this returns.
    fn append(&mut self, queue: &mut dyn AppendQueue) -> Result<AppendOutcome, StoreError>;

    /// Appends as [`append`](Self::append) does, and surveys folders behind the last message as
    /// [`survey`](Look::survey) does, without waiting for what became of that message where the adapter can.
    /// Whoever lacks a folder in the end asks for it again: it may not have been asked for, and a
    /// fault of the survey alone is told by whatever is done next.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    fn append_and_survey(
        &mut self,
        queue: &mut dyn AppendQueue,
        folders: &[Survey<'_>],
        sink: &mut dyn VisitSink,
    ) -> Result<AppendOutcome, StoreError> {
        let appended = self.append(queue)?;
        if let Err(fault) = self.survey(folders, sink) {
            tracing::debug!(%fault, "behind an append");
        }
        Ok(appended)
    }

    /// Adds or takes away flags of messages, by difference only (`+FLAGS`, `-FLAGS`). UIDs that do
    /// not exist are listed in the outcome. The flags that the server then reports are in it too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the server does not change them.
    fn change_flags(
        &mut self,
        folder: &WireName,
        uids: &UidSet,
        change: &FlagChange,
    ) -> Result<FlagOutcome, StoreError>;
}

/// Takes mail away. Only a plan that names what is to go is ever given one; nothing implements this
/// port yet.
pub trait Remove: Look {
    /// Removes exactly these messages (UID EXPUNGE, RFC 4315 §2.1).
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the server cannot remove exactly these.
    fn expunge(&mut self, folder: &WireName, uids: &UidSet) -> Result<UidSet, StoreError>;
}

/// The flags of rows that a command reported: UID and flags.
pub type FlagRows = Vec<(Uid, FlagSet)>;

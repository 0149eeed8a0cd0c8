//! Writing messages: the queue that an append pulls from, and what becomes of each message.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::mail::{FlagSet, Uid, UidValidity, WireName};
use crate::store::chunk::Chunk;
use crate::store::error::Refusal;

/// Names one message of a queue until its result is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One message that is ready to be appended. Its intent is durable before the queue hands it out.
#[derive(Clone, Debug)]
pub struct AppendMessage {
    /// Names it in its result.
    pub ticket: Ticket,
    /// The folder that it goes to. Messages of one folder come together, as far as may be.
    pub folder: Arc<WireName>,
    /// Flags to store it with, each one whitelisted by its type.
    pub flags: FlagSet,
    /// INTERNALDATE as the command line wants it, quoted
    /// ([`InternalDate::to_append`](crate::mail::InternalDate::to_append)); nothing where the server
    /// is to choose, which only a plan that says so does.
    pub date: Option<String>,
    /// The exact number of octets of the body.
    pub octets: u64,
    /// How many messages at most may be stored or refused as one with this one among them, itself
    /// counted: 1 lets it go alone, and 0 is read as 1. Neighbours of another number never share its
    /// batch, so that a run of messages that was refused together is cut where its numbers say.
    pub company: u32,
}

impl AppendMessage {
    /// The company of a message that was never refused in company.
    pub const ANY_COMPANY: u32 = u32::MAX;
}

/// The rest of a body will not come: the source was lost inside it. An announced literal cannot be
/// cancelled, so the destination's connection must be dropped, never padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source was lost inside a message")]
pub struct BodyLost;

/// How long the next message is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    For(Duration),
    /// Until there is one, or none will come.
    UntilEnd,
}

/// Hands out messages in order and takes their results.
///
/// The calls for one message are `next`, then `body` exactly once, then, at any later time, `done`.
/// An adapter may have any number of messages between `body` and `done`. Messages that go as one batch
/// get their results one right after the other, in their order.
pub trait AppendQueue {
    /// The next message, waited for as `wait` says. After the end it always returns nothing;
    /// [`ended`](Self::ended) tells the two apart.
    fn next(&mut self, wait: Wait) -> Option<AppendMessage>;

    /// Folders and flags of messages that wait behind the one that was handed out last, as far as they
    /// are known: an adapter may find out about them in one go.
    fn coming(&self, each: &mut dyn FnMut(&WireName, &FlagSet)) {
        let _ = each;
    }

    /// Tells whether these are the many that follow the first few of their folders. How long a server
    /// takes over the first ones says more of what it does to begin a folder than of its line.
    fn is_bulk(&self) -> bool {
        true
    }

    /// Tells whether no message will come any more.
    fn ended(&self) -> bool;

    /// Pours the body of the message that `next` returned last into `sink`, in pieces of at most
    /// 64 KiB, exactly as many octets as announced.
    ///
    /// # Errors
    ///
    /// The sink's own error, or [`BodyLost`] within an [`io::Error`].
    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()>;

    /// Takes the result of a message, in the order of the server's answers.
    fn done(&mut self, ticket: Ticket, result: AppendResult);
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendResult {
    /// The server said OK, which is final. Where it gave no usable APPENDUID, the UID is not known.
    Stored(Stored),
    /// The server said NO or BAD, in words that may or may not prove that nothing was stored: see
    /// [`Refusal::proves_not_stored`].
    Refused(Refusal),
    /// The server said NO or BAD to a batch that it takes or refuses as one, of which this message was
    /// one of several. Which of them it minded is not known. As with [`Refused`](Self::Refused), only a
    /// refusal that proves it says that none of them was stored; after any other one the folder is
    /// looked at first. The adapter holds no bodies, so the one who fills the queue sends them again,
    /// each with the [smaller company](Batch::half) that leads to the one that is minded.
    RefusedTogether(Refusal, Batch),
    /// Nobody knows: the connection ended, or said BYE, before the answer.
    Unknown(Unknown),
}

/// A batch of messages that was refused as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its first message, whose result comes first: the same in the results of all its messages, so
    /// that one refusal is counted once.
    pub first: Ticket,
    /// How many messages it had: at least 2.
    pub messages: u32,
}

impl Batch {
    /// The company in which its messages go next: half of it, rounded up, so that the run that it was
    /// becomes two. It is smaller than the batch, and in the end 1.
    #[must_use]
    pub const fn half(self) -> u32 {
        self.messages.div_ceil(2)
    }
}

/// Where a message was stored, as APPENDUID told (RFC 4315 §3). Not yet checked against the folder:
/// who asked does that (it may be foreign, short or swapped).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// UIDVALIDITY and UID, where the answer held them.
    pub at: Option<(UidValidity, Uid)>,
}

/// What is known of a message whose fate is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Every octet of the literal was handed to the socket: the append may still complete. If not,
    /// it cannot.
    pub handed_over: bool,
}

/// How an append of a queue ended, when the connection is still good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendOutcome {
    /// How many messages went out in non-synchronising windows or batches.
    pub pipelined: u64,
    /// How many waited for a continuation each.
    pub synchronised: u64,
    /// A BAD came inside a non-synchronising window: it was stopped for this server for good.
    pub window_stopped: bool,
}

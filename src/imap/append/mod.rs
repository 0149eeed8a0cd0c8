//! APPEND, by whatever means the server offers.
//!
//! # In, out
//!
//! In: a wire, a queue of messages. Out: a result for every message that was taken from the queue, in
//! the order of the server's answers.
//!
//! # The ways
//!
//! Transactions cost a server more than octets, and round trips cost more than both. So, by what the
//! server offers:
//!
//! * LITERAL+ and MULTIAPPEND: batches of messages of one folder (RFC 3502), several of them unanswered.
//! * LITERAL+, or LITERAL- for small bodies (RFC 7888): one command a message, many of them unanswered.
//! * Neither: a round trip a message, body and next command in one write. A batch would save nothing
//!   there, since each of its literals waits too.
//!
//! # The law
//!
//! A server that does not understand an APPEND with a non-synchronising literal may read the body of
//! the mail as commands. So a line is written from typed values only, and only what this server has
//! accepted on this connection goes without waiting for its continuation: the spelling of the mailbox,
//! each flag, and the kind of date ([`Proof`]).
//!
//! # Never
//!
//! * Never uses the connection after a BAD while a non-synchronising literal is unanswered.
//! * Never pads or cuts a body: what was announced is sent, or the connection is given up.
//! * Never has more unanswered than what fits into socket buffers, so that one thread suffices.

mod answers;
mod probe;
mod proof;
mod sent;
mod trial;
mod window;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::imap::append::window::Window;
use crate::imap::compress::Compressor;
use crate::imap::wire::Wire;
use crate::limit::Gate;
use crate::store::AppendOutcome;
use crate::store::AppendQueue;
use crate::store::AppendWays;
use crate::store::StoreError;

pub(super) use crate::imap::append::probe::Asked;
pub(super) use crate::imap::append::probe::commands as probes;
pub(super) use crate::imap::append::probe::take as take_probes;
pub(super) use crate::imap::append::proof::Proof;
pub(super) use crate::imap::append::trial::Trials;

/// Largest body that goes with a non-synchronising literal, in octets: a larger one is worth asking
/// first whether it is wanted.
const WINDOW_BODY_MAX: u64 = 25 << 20;

/// Largest literal that LITERAL- lets go without a continuation, in octets (RFC 7888 §5).
const LITERAL_MINUS_MAX: u64 = 4_096;

/// What is known of the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// Ways to append that it announces.
    pub(super) ways: AppendWays,
    /// Largest message that it says it takes.
    pub(super) limit: Option<u64>,
    /// Words of refusals that prove that nothing was stored.
    pub(super) refusals: &'a [String],
    /// Set for good, for all connections to this server, once a window was answered with BAD.
    pub(super) windows_stopped: &'a AtomicBool,
    /// What all connections of the account pass.
    pub(super) gate: Option<&'a Gate>,
}

/// Whether a literal waits for its continuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Literal {
    /// `{n}`: the server is asked first.
    Synchronising,
    /// `{n+}`.
    NonSynchronising,
}

/// What is found out of the server on this connection.
pub(super) struct Knowledge<'a> {
    /// What goes without waiting.
    pub(super) proof: &'a mut Proof,
    /// Whether to compress.
    pub(super) compressor: &'a mut Compressor,
}

impl Terms<'_> {
    /// Connections of the account that are open now, this one with them.
    fn connections(&self) -> usize {
        self.gate.map_or(1, |gate| usize::from(gate.open()))
    }

    fn windows_are_stopped(&self) -> bool {
        self.windows_stopped.load(Ordering::Relaxed)
    }

    fn stop_windows(&self) {
        self.windows_stopped.store(true, Ordering::Relaxed);
    }

    /// Which literal is open to a body of this size, once the rest of the line is proved.
    fn literal_for(&self, octets: u64) -> Literal {
        let too_large =
            octets > WINDOW_BODY_MAX || self.limit.is_some_and(|limit| octets > limit / 2);
        let offered =
            self.ways.literal_plus || (self.ways.literal_minus && octets <= LITERAL_MINUS_MAX);
        if offered && !too_large && !self.windows_are_stopped() {
            Literal::NonSynchronising
        } else {
            Literal::Synchronising
        }
    }
}

/// Sends commands behind the last message, before it is answered, and returns the tag of the first. Their
/// answers are left to whoever sent them, unless [`Appended::followers_are_lost`] tells otherwise.
pub(super) type Behind<'a> = &'a mut dyn FnMut(&mut Wire) -> Result<Option<String>, StoreError>;

/// How an append ended, when the connection is still good.
pub(super) struct Appended {
    pub(super) outcome: AppendOutcome,
    /// Answers of commands that were sent behind the messages were read for other reasons: what is still to
    /// come of them is of no use, and the connection neither.
    pub(super) followers_are_lost: bool,
}

/// Appends what the queue hands out, until it ends. `before` is a command that is sent first and whose
/// answer is of no interest, such as one that leaves the open folder.
///
/// # Errors
///
/// Any means that the connection is to be dropped; every message that was taken has its result.
pub(super) fn append(
    wire: &mut Wire,
    terms: &Terms<'_>,
    knowledge: Knowledge<'_>,
    (before, behind): (Option<&str>, Option<Behind<'_>>),
    queue: &mut dyn AppendQueue,
) -> Result<Appended, StoreError> {
    wire.flush()?;
    Window::new(wire, terms, knowledge, queue).run(before, behind)
}

#[cfg(test)]
mod tests;

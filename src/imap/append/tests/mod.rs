use std::sync::Arc;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::imap::script::Line;
use crate::imap::script::Peer;
use crate::imap::script::connect;
use crate::imap::script::text_of;
use crate::mail::Flag;
use crate::mail::WireName;
use crate::store::AppendResult;
use crate::store::Unknown;
use crate::store::Wait;

mod batches;
mod queue;
mod server;
mod windows;

use queue::Messages;
use server::Log;
use server::Nature;
use server::Server;

const PLUS: AppendWays =
    AppendWays { multi: false, literal_plus: true, literal_minus: false, refuses_empty: false };
const MINUS: AppendWays = AppendWays { literal_plus: false, literal_minus: true, ..PLUS };
const PROBED: AppendWays = AppendWays { refuses_empty: true, ..PLUS };
const MULTI: AppendWays = AppendWays { multi: true, ..PLUS };
const PLAIN: AppendWays = AppendWays { literal_plus: false, ..PLUS };

/// Appends on a connection of which no more is known than what goes without waiting.
fn append(
    wire: &mut Wire,
    terms: &Terms<'_>,
    proof: &mut Proof,
    before: Option<&str>,
    queue: &mut dyn AppendQueue,
) -> Result<AppendOutcome, StoreError> {
    let knowledge = Knowledge { proof, compressor: &mut Compressor::default() };
    super::append(wire, terms, knowledge, (before, None), queue).map(|appended| appended.outcome)
}

struct Ran {
    outcome: Result<AppendOutcome, StoreError>,
    messages: Messages,
    sent: String,
    stored: Vec<String>,
    executed: Vec<String>,
    stopped: bool,
    /// Folders that got an empty message.
    emptied: Vec<WireName>,
}

impl Ran {
    /// How each APPEND announced its literal.
    fn literals(&self) -> Vec<&str> {
        let lines = self.sent.lines().filter(|line| line.contains("APPEND"));
        lines.filter_map(|line| line.rsplit(' ').next()).collect()
    }

    fn counts(&self) -> (u64, u64) {
        let outcome = self.outcome.as_ref().unwrap();
        (outcome.pipelined, outcome.synchronised)
    }
}

fn run(nature: Nature, ways: AppendWays, messages: Messages) -> Ran {
    run_over(Line::default(), nature, ways, None, messages)
}

/// Appends everything, to this folder if it is not to go where it says.
fn run_over(
    line: Line,
    nature: Nature,
    ways: AppendWays,
    folder: Option<&str>,
    mut messages: Messages,
) -> Ran {
    if let Some(folder) = folder {
        let folder = Arc::new(WireName::new(folder.as_bytes()));
        messages.waiting.iter_mut().for_each(|(message, _)| message.folder = Arc::clone(&folder));
    }
    let log = Arc::new(Mutex::new(Log::default()));
    run_with(Server::new(nature, &log), &log, line, ways, messages)
}

fn run_with(
    server: impl Peer + 'static,
    log: &Mutex<Log>,
    line: Line,
    ways: AppendWays,
    mut messages: Messages,
) -> Ran {
    let (mut wire, sent) = connect(server, line);
    let stopped = AtomicBool::new(false);
    let refusals = ["over quota".to_owned()];
    let terms = Terms {
        ways,
        limit: Some(20 << 20),
        refusals: &refusals,
        windows_stopped: &stopped,
        gate: None,
    };
    let mut proof = Proof::default();
    let outcome = append(&mut wire, &terms, &mut proof, None, &mut messages);
    let mut log = log.lock().unwrap();
    Ran {
        outcome,
        messages,
        sent: text_of(&sent),
        stored: std::mem::take(&mut log.stored),
        executed: std::mem::take(&mut log.executed),
        stopped: stopped.load(Ordering::Relaxed),
        emptied: proof.kept().take(),
    }
}

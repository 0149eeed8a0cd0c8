//! Messages that pass the gate of their server, on their way out of a queue or into a sink.

use std::io;

use crate::limit::Gate;
use crate::limit::Halt;
use crate::limit::Turn;
use crate::mail::Uid;
use crate::store::AppendMessage;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::FetchOutcome;
use crate::store::FetchSink;
use crate::store::Flow;
use crate::store::FolderState;
use crate::store::Refusal;
use crate::store::RowHead;
use crate::store::StoreError;
use crate::store::Ticket;
use crate::store::VisitSink;
use crate::store::Wait;

/// Waits before a command.
///
/// # Errors
///
/// [`StoreError::Stopped`], or [`StoreError::Connection`] where the day is used up: nothing more is to
/// be sent here.
pub(super) fn before_command(gate: Option<&Gate>) -> Result<(), StoreError> {
    gate.map_or(Ok(()), Gate::before_command).map_err(halted)
}

/// The fault of somebody who was not let through.
pub(super) fn halted(halt: Halt) -> StoreError {
    match halt {
        Halt::Stopped => StoreError::Stopped,
        Halt::Day(why) => StoreError::Connection(why),
    }
}

/// Holds back all connections to a server whose fault asks for patience.
pub(super) fn heed(gate: Option<&Gate>, fault: &StoreError) {
    let (Some(gate), Some(time)) = (gate, fault.backoff()) else { return };
    let said = match fault {
        StoreError::Refused(refusal) | StoreError::Login(refusal) => refusal.patience_words(),
        _ => "too many connections".to_owned(),
    };
    gate.pause(time, &said);
}

fn heed_refusal(gate: &Gate, refusal: &Refusal) {
    if refusal.asks_for_patience()
        && let Some(time) = refusal.backoff()
    {
        gate.pause(time, &refusal.patience_words());
    }
}

/// A queue whose messages take their turns.
pub(super) struct GatedQueue<'a> {
    queue: &'a mut dyn AppendQueue,
    gate: Option<&'a Gate>,
    over: bool,
}

impl<'a> GatedQueue<'a> {
    pub(super) fn new(queue: &'a mut dyn AppendQueue, gate: Option<&'a Gate>) -> Self {
        Self { queue, gate, over: false }
    }
}

impl AppendQueue for GatedQueue<'_> {
    fn next(&mut self, wait: Wait) -> Option<AppendMessage> {
        let Some(gate) = self.gate else { return self.queue.next(wait) };
        match gate.turn(wait == Wait::UntilEnd) {
            Turn::Go => {}
            // Answers are due meanwhile, and are read while nothing may be sent.
            Turn::NotYet => return None,
            // Whoever fills the queue hears the wish as well, and books what is left.
            Turn::Stopped => return self.queue.next(wait),
            Turn::Over => {
                self.over = true;
                return None;
            }
        }
        let message = self.queue.next(wait);
        match &message {
            Some(message) => gate.body(message.octets),
            None => gate.turn_back(),
        }
        message
    }

    fn ended(&self) -> bool {
        self.over || self.queue.ended()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.queue.body(sink)
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        if let (Some(gate), AppendResult::Refused(refusal)) = (self.gate, &result) {
            heed_refusal(gate, refusal);
        }
        self.queue.done(ticket, result);
    }
}

/// A sink whose messages take their turns.
pub(super) struct GatedSink<'a> {
    sink: &'a mut dyn FetchSink,
    gate: Option<&'a Gate>,
}

impl<'a> GatedSink<'a> {
    pub(super) fn new(sink: &'a mut dyn FetchSink, gate: Option<&'a Gate>) -> Self {
        Self { sink, gate }
    }
}

/// Waits for the turn of one message that comes; tells whether it may.
fn may_come(gate: Option<&Gate>) -> bool {
    match gate.map_or(Turn::Go, |gate| gate.turn(true)) {
        Turn::Go => true,
        Turn::NotYet | Turn::Stopped | Turn::Over => false,
    }
}

impl FetchSink for GatedSink<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        if may_come(self.gate) { self.sink.begin(uid, head) } else { Flow::Stop }
    }

    fn piece(&mut self, octets: &[u8]) -> Flow {
        self.sink.piece(octets)
    }

    fn end(&mut self, uid: Uid) -> Flow {
        self.sink.end(uid)
    }
}
/// The same for messages of many folders.
pub(super) struct GatedVisits<'a> {
    sink: &'a mut dyn VisitSink,
    gate: Option<&'a Gate>,
}

impl<'a> GatedVisits<'a> {
    pub(super) fn new(sink: &'a mut dyn VisitSink, gate: Option<&'a Gate>) -> Self {
        Self { sink, gate }
    }
}

impl FetchSink for GatedVisits<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        if may_come(self.gate) { self.sink.begin(uid, head) } else { Flow::Stop }
    }

    fn piece(&mut self, octets: &[u8]) -> Flow {
        self.sink.piece(octets)
    }

    fn end(&mut self, uid: Uid) -> Flow {
        self.sink.end(uid)
    }
}

impl VisitSink for GatedVisits<'_> {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.sink.opened(visit, state)
    }

    fn left(&mut self, visit: usize, outcome: FetchOutcome) {
        self.sink.left(visit, outcome);
    }
}

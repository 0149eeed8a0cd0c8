//! Messages that pass the gate of their server, on their way out of a queue or into a sink.

use std::io;

use crate::limit::Gate;
use crate::limit::Halt;
use crate::limit::Turn;
use crate::mail::FlagSet;
use crate::mail::Uid;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::Chunk;
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

    fn coming(&self, each: &mut dyn FnMut(&WireName, &FlagSet)) {
        self.queue.coming(each);
    }

    fn is_bulk(&self) -> bool {
        self.queue.is_bulk()
    }

    fn ended(&self) -> bool {
        self.over || self.queue.ended()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        self.queue.body(sink)
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        match (self.gate, &result) {
            (Some(gate), AppendResult::Refused(refusal)) => heed_refusal(gate, refusal),
            (Some(gate), AppendResult::RefusedTogether(refusal, batch))
                if batch.first == ticket =>
            {
                heed_refusal(gate, refusal);
            }
            _ => {}
        }
        self.queue.done(ticket, result);
    }
}

/// A sink whose messages take their turns.
pub(super) struct GatedSink<'a, S: ?Sized> {
    sink: &'a mut S,
    gate: Option<&'a Gate>,
}

impl<'a, S: ?Sized> GatedSink<'a, S> {
    pub(super) fn new(sink: &'a mut S, gate: Option<&'a Gate>) -> Self {
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

impl<S: FetchSink + ?Sized> FetchSink for GatedSink<'_, S> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        if may_come(self.gate) { self.sink.begin(uid, head) } else { Flow::Stop }
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.sink.piece(octets)
    }

    fn end(&mut self, uid: Uid) -> Flow {
        self.sink.end(uid)
    }
}

impl VisitSink for GatedSink<'_, dyn VisitSink + '_> {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.sink.opened(visit, state)
    }

    fn left(&mut self, visit: usize, outcome: FetchOutcome) {
        self.sink.left(visit, outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::limit::Bounds;
    use crate::limit::Limits;
    use crate::limit::Rate;
    use crate::limit::RunBounds;
    use crate::limit::simulated::Simulated;
    use crate::mail::FlagSet;
    use crate::mail::Side;
    use crate::session::Clock as _;
    use crate::session::Stop;
    use crate::session::Wish;
    use crate::store::ResponseCode;

    /// A queue of messages of ten octets that hears the wish to stop, as the one of a run does.
    struct Queue {
        left: u64,
        stop: Stop,
    }

    impl AppendQueue for Queue {
        fn next(&mut self, _: Wait) -> Option<AppendMessage> {
            if self.left == 0 || self.stop.requested() {
                return None;
            }
            self.left -= 1;
            let ticket = Ticket(self.left);
            let folder = Arc::new(crate::mail::WireName::new(*b"INBOX"));
            let (flags, company) = (FlagSet::new(), AppendMessage::ANY_COMPANY);
            Some(AppendMessage { ticket, folder, flags, date: None, octets: 10, company })
        }

        fn ended(&self) -> bool {
            self.left == 0
        }

        fn body(&mut self, _: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
            Ok(())
        }

        fn done(&mut self, _: Ticket, _: AppendResult) {}
    }

    struct Count(u32);

    impl FetchSink for Count {
        fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
            self.0 += 1;
            Flow::Go
        }

        fn piece(&mut self, _: &Chunk) -> Flow {
            Flow::Go
        }

        fn end(&mut self, _: Uid) -> Flow {
            Flow::Go
        }
    }

    /// A gate that lets one message pass a second, with all that belongs to it.
    fn ground(stop_after_octets: Option<u64>) -> (Arc<Simulated>, Stop, Gate) {
        let (clock, stop) = (Arc::new(Simulated::default()), Stop::default());
        let bounds = RunBounds { stop_after_octets, ..RunBounds::default() };
        let limits = Limits::new(bounds, clock.clone(), stop.clone(), Box::new(|_| ()));
        let rate = Some(Rate::per_second(1));
        let bounds = Bounds { messages_per_second: rate, ..Bounds::default() };
        (clock, stop, limits.gate(Side::Destination, ("new.example", "ann"), &bounds, None))
    }

    #[test]
    fn messages_of_a_queue_take_turns_and_answers_are_read_meanwhile() {
        let (clock, stop, gate) = ground(None);
        let mut queue = Queue { left: 3, stop };
        let mut queue = GatedQueue::new(&mut queue, Some(&gate));
        assert!(queue.next(Wait::No).is_some());
        assert!(queue.next(Wait::No).is_none() && !queue.ended(), "its answer may be read first");
        assert!(queue.next(Wait::UntilEnd).is_some() && queue.next(Wait::UntilEnd).is_some());
        assert_eq!(clock.elapsed(), Duration::from_secs(2));
        assert!(queue.next(Wait::UntilEnd).is_none() && queue.ended());
        // Nobody took the last turn.
        assert_eq!(gate.turn(false), Turn::Go);
    }

    #[test]
    fn refused_message_holds_back_the_next_one_and_other_refusals_do_not() {
        let (clock, stop, gate) = ground(None);
        let mut queue = Queue { left: 9, stop };
        let mut queue = GatedQueue::new(&mut queue, Some(&gate));
        let refusal = |code, text: &str| {
            let text = text.to_owned();
            AppendResult::Refused(Refusal { bad: false, code, text, known_words: false })
        };
        queue.done(Ticket(1), refusal(Some(ResponseCode::Limit), "message too large"));
        assert!(queue.next(Wait::No).is_some());
        queue.done(Ticket(2), refusal(None, "Suggested Backoff Time: 40000 milliseconds"));
        assert!(queue.next(Wait::UntilEnd).is_some());
        assert_eq!(clock.elapsed(), Duration::from_secs(40));
    }

    #[test]
    fn queue_ends_with_the_message_that_reaches_the_octets_of_the_run() {
        let (_, stop, gate) = ground(Some(15));
        let mut queue = Queue { left: 9, stop: stop.clone() };
        let mut queue = GatedQueue::new(&mut queue, Some(&gate));
        assert!(queue.next(Wait::UntilEnd).is_some() && queue.next(Wait::UntilEnd).is_some());
        assert_eq!(stop.wish(), Some(Wish::Bytes));
        assert!(queue.next(Wait::UntilEnd).is_none());
    }

    #[test]
    fn messages_that_are_fetched_take_turns_until_the_run_is_to_stop() {
        let (clock, stop, gate) = ground(None);
        let mut count = Count(0);
        let mut sink = GatedSink::new(&mut count, Some(&gate));
        for _ in 0..3 {
            assert_eq!(sink.begin(Uid::MIN, &RowHead::default()), Flow::Go);
        }
        assert_eq!(clock.elapsed(), Duration::from_secs(2));
        stop.request();
        assert_eq!(sink.begin(Uid::MIN, &RowHead::default()), Flow::Stop);
        assert_eq!(count.0, 3);
    }

    #[test]
    fn wish_to_stop_ends_a_pause_without_a_command() {
        let (clock, stop, gate) = ground(None);
        let text = "Request is throttled. Suggested Backoff Time: 60000 milliseconds".to_owned();
        let refusal = Refusal { bad: false, code: None, text, known_words: false };
        heed(Some(&gate), &StoreError::Refused(refusal));
        stop.request();
        assert!(matches!(before_command(Some(&gate)), Err(StoreError::Stopped)));
        assert_eq!(clock.elapsed(), Duration::ZERO);
        assert!(before_command(None).is_ok());
    }
}

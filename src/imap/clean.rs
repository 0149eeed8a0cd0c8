//! A queue that is freed of secrets on the way to whoever owns it.

use std::io;

use crate::imap::login::Redactor;
use crate::mail::FlagSet;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::Chunk;
use crate::store::Ticket;
use crate::store::Wait;

/// A queue whose results are freed of secrets.
pub(super) struct CleanQueue<'a> {
    pub(super) queue: &'a mut dyn AppendQueue,
    pub(super) redactor: &'a Redactor,
}

impl AppendQueue for CleanQueue<'_> {
    fn next(&mut self, wait: Wait) -> Option<AppendMessage> {
        self.queue.next(wait)
    }

    fn coming(&self, each: &mut dyn FnMut(&WireName, &FlagSet)) {
        self.queue.coming(each);
    }

    fn is_bulk(&self) -> bool {
        self.queue.is_bulk()
    }

    fn ended(&self) -> bool {
        self.queue.ended()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        self.queue.body(sink)
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        let result = match result {
            AppendResult::Refused(refusal) => {
                AppendResult::Refused(self.redactor.clean_refusal(refusal))
            }
            AppendResult::RefusedTogether(refusal, batch) => {
                AppendResult::RefusedTogether(self.redactor.clean_refusal(refusal), batch)
            }
            other => other,
        };
        self.queue.done(ticket, result);
    }
}

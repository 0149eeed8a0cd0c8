//! Answers: which command each belongs to, and what becomes of its messages.

use crate::imap::append::Literal;
use crate::imap::append::sent::Sent;
use crate::imap::append::window::Window;
use crate::imap::command::Ended;
use crate::imap::command::answer;
use crate::imap::command::foreign_tag;
use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::reader::StatusKind;
use crate::imap::reader::refusal;
use crate::store::AppendResult;
use crate::store::Refusal;
use crate::store::StoreError;
use crate::store::Stored;

/// What one response was.
enum Event {
    /// The server waits.
    Continue,
    /// The command without a complete body ended.
    Ended(Ended),
    /// Messages got their results, or news.
    Other,
}

impl Window<'_> {
    /// Waits for the continuation. False: the command was refused, and its message has its result.
    pub(super) fn is_continued(&mut self, tag: &str) -> Result<bool, StoreError> {
        self.asking = Some(tag.to_owned());
        self.wire.pace_mut().turns();
        let event = loop {
            match self.answer()? {
                Event::Other => {}
                event => break event,
            }
        };
        self.wire.pace_mut().turned();
        if let Event::Ended(Ended { status: Status::Ok, .. }) = event {
            return Err(half_a_command());
        }
        self.asking = None;
        if let Event::Ended(ended) = event {
            let refusal = self.refusal_of(ended);
            self.refuse_current(refusal);
            return Ok(false);
        }
        Ok(true)
    }

    /// Waits for one response, and reads all that are there already, but none of commands that follow.
    pub(super) fn answers(&mut self) -> Result<(), StoreError> {
        self.answer()?;
        while memchr::memchr(b'\n', self.wire.unread()).is_some()
            && !(self.has_followers && self.sent.is_empty())
        {
            self.answer()?;
        }
        Ok(())
    }

    /// Reads on until every command that is complete is answered.
    pub(super) fn all_answers(&mut self) -> Result<(), StoreError> {
        while !self.sent.is_empty() {
            self.answers()?;
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<Event, StoreError> {
        match answer(self.wire, &mut self.line)? {
            // No literal that is unanswered asked for it, and it cannot be told from the one that the
            // next command waits for: a body that is refused would be sent, and read as commands.
            Parsed::Continue if self.window_is_open() => Err(self.broken("a continuation")),
            Parsed::Continue => Ok(Event::Continue),
            Parsed::Untagged(Data::Status { kind: StatusKind::Bad, text, .. })
                if self.window_is_open() =>
            {
                Err(self.broken(&format!("BAD {text}")))
            }
            Parsed::Tagged { tag, status, code, text } => {
                self.ended(&tag, Ended { status, code, text })
            }
            Parsed::Untagged(_) | Parsed::Unknown => Ok(Event::Other),
        }
    }

    /// Reads one response while it is unsure whether the server reads a body as commands. Tells whether it
    /// ended the command with this tag.
    pub(super) fn is_answer_to(&mut self, first: &str) -> Result<bool, StoreError> {
        match answer(self.wire, &mut self.line)? {
            Parsed::Tagged { tag, status, .. } if tag == first && status != Status::Bad => Ok(true),
            Parsed::Tagged { text, .. } => {
                Err(self.broken(&format!("an answer to a command that was not sent, {text}")))
            }
            Parsed::Continue => Err(self.broken("a continuation")),
            Parsed::Untagged(Data::Status { kind: StatusKind::Bad, text, .. }) => {
                Err(self.broken(&format!("BAD {text}")))
            }
            Parsed::Untagged(_) | Parsed::Unknown => Ok(false),
        }
    }

    fn ended(&mut self, tag: &str, ended: Ended) -> Result<Event, StoreError> {
        if ended.status == Status::Bad && self.window_is_open() {
            return Err(self.broken(&format!("BAD {}", ended.text)));
        }
        if self.asking.as_deref() == Some(tag) {
            return Ok(Event::Ended(ended));
        }
        if let Some(sent) = self.sent.take(tag) {
            self.sent.give_back(self.open_messages());
            // What comes next was read as commands of their own.
            self.is_unread &= !sent.is_seeing_through();
            self.wire.pace_mut().answered(sent.octets);
            if ended.status == Status::Ok {
                self.stored(sent, ended.code);
            } else {
                let refusal = self.refusal_of(ended);
                self.refused(&sent, &refusal);
            }
            return Ok(Event::Other);
        }
        if self.open.as_ref().is_some_and(|open| open.tag == tag && open.refused.is_none()) {
            return self.open_ended(ended);
        }
        if self.outcome.pipelined > 0 {
            return Err(self.broken("an answer to a command that was not sent"));
        }
        Err(foreign_tag(tag))
    }

    /// The batch that is being written was answered. Some servers refuse as soon as they see a message
    /// that they mind, and read the rest to its end, without a further word.
    fn open_ended(&mut self, ended: Ended) -> Result<Event, StoreError> {
        if ended.status == Status::Ok {
            return Err(half_a_command());
        }
        let refusal = self.refusal_of(ended);
        if let Some(open) = &mut self.open {
            open.refused = Some(refusal);
        }
        Ok(Event::Other)
    }

    fn stored(&mut self, sent: Sent, code: Option<Code>) {
        let places = sent.places(code);
        if let Some(line) = &sent.proves {
            self.proof.accept(&sent.folder, line);
        }
        self.pace = self.pace.saturating_add(sent.tickets.len());
        for (ticket, at) in sent.tickets.into_iter().zip(places) {
            self.queue.done(ticket, AppendResult::Stored(Stored { at }));
        }
    }

    /// Tells the messages of a command that it was refused.
    pub(super) fn refused(&mut self, sent: &Sent, refusal: &Refusal) {
        self.slow_down(refusal);
        self.is_unread |= sent.batch().is_some() && sent.literal == Literal::NonSynchronising;
        for &ticket in &sent.tickets {
            let refusal = refusal.clone();
            let result = match sent.batch() {
                Some(batch) => AppendResult::RefusedTogether(refusal, batch),
                None => AppendResult::Refused(refusal),
            };
            self.queue.done(ticket, result);
        }
    }

    /// Goes on one by one where the account is full.
    pub(super) fn slow_down(&mut self, refusal: &Refusal) {
        if refusal.is_quota() {
            self.pace = 1;
        }
    }

    fn refusal_of(&self, ended: Ended) -> Refusal {
        refusal(ended.status == Status::Bad, ended.code, ended.text, self.terms.refusals)
    }

    /// Tells whether a body may still be read as commands.
    fn window_is_open(&self) -> bool {
        let mut commands = self.sent.iter().chain(&self.open);
        self.is_unread || commands.any(|sent| sent.literal == Literal::NonSynchronising)
    }

    /// Ends the windows of this server for good.
    fn broken(&self, what: &str) -> StoreError {
        self.terms.stop_windows();
        // The text is the server's own, and may hold what it was told: it goes where secrets are cut out.
        tracing::warn!("non-synchronising appends are stopped for this server");
        StoreError::Protocol(format!("{what}, while non-synchronising literals were unanswered"))
    }
}

fn half_a_command() -> StoreError {
    StoreError::Protocol("OK to half a command".to_owned())
}

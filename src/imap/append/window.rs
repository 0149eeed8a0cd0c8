//! The window: what was sent and is not answered, and what becomes of it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::imap::append::Literal;
use crate::imap::append::Terms;
use crate::imap::append::probe;
use crate::imap::append::proof::DateKind;
use crate::imap::append::proof::Line;
use crate::imap::append::proof::Proof;
use crate::imap::command::Ended;
use crate::imap::command::Mailbox;
use crate::imap::command::answer;
use crate::imap::command::flag_list;
use crate::imap::command::foreign_tag;
use crate::imap::command::mailbox;
use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::reader::StatusKind;
use crate::imap::reader::refusal;
use crate::imap::wire::Wire;
use crate::mail::Uid;
use crate::mail::UidValidity;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendOutcome;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::BodyLost;
use crate::store::Refusal;
use crate::store::ResponseCode;
use crate::store::StoreError;
use crate::store::Stored;
use crate::store::Ticket;
use crate::store::Unknown;
use crate::store::Wait;

/// Most unanswered commands. Their answers, some 30 KB, fit into socket buffers, so that the server
/// never stops reading because nobody reads its answers.
const COMMANDS_MAX: usize = 256;

/// Most octets of unanswered bodies.
const OCTETS_MAX: u64 = 8 << 20;

/// A message whose every octet was put to the wire, and that is not answered.
struct Sent {
    tag: String,
    folder: Arc<WireName>,
    ticket: Ticket,
    octets: u64,
    literal: Literal,
    line: Line,
    /// How much was put to the wire when it was complete.
    end: u64,
}

/// The message that was taken from the queue and is not complete.
#[derive(Clone, Copy)]
struct Current {
    ticket: Ticket,
    body_is_due: bool,
}

/// What one response was.
enum Event {
    /// The server waits.
    Continue,
    /// The command without a complete body ended.
    Ended(Ended),
    /// A message got its result, or news.
    Other,
}

pub(super) struct Window<'a> {
    wire: &'a mut Wire,
    /// The folder of the message that was taken last, and its name as an argument.
    folder: Arc<WireName>,
    mailbox: Mailbox,
    terms: &'a Terms<'a>,
    proof: &'a mut Proof,
    queue: &'a mut dyn AppendQueue,
    sent: VecDeque<Sent>,
    sent_octets: u64,
    current: Option<Current>,
    /// Tag of the command that waits for a continuation.
    asking: Option<String>,
    /// Octets put to the wire, and how many it had handed over before.
    put: u64,
    before: u64,
    outcome: AppendOutcome,
    line: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(
        wire: &'a mut Wire,
        terms: &'a Terms<'a>,
        proof: &'a mut Proof,
        queue: &'a mut dyn AppendQueue,
    ) -> Self {
        let before = wire.sent_octets();
        Self {
            wire,
            folder: Arc::new(WireName::new(*b"")),
            mailbox: Mailbox::Quoted(b"\"\"".to_vec()),
            terms,
            proof,
            queue,
            sent: VecDeque::new(),
            sent_octets: 0,
            current: None,
            asking: None,
            put: 0,
            before,
            outcome: AppendOutcome::default(),
            line: Vec::new(),
        }
    }

    /// Appends until the queue has ended and all is answered.
    pub(super) fn run(mut self) -> Result<AppendOutcome, StoreError> {
        let ran = self.run_queue();
        if ran.is_err() {
            self.abandon();
        }
        self.outcome.window_stopped = self.terms.windows_are_stopped();
        ran.map(|()| self.outcome)
    }

    fn run_queue(&mut self) -> Result<(), StoreError> {
        loop {
            // While answers are due, what is not ready yet is not waited for.
            let wait = if self.sent.is_empty() { Wait::UntilEnd } else { Wait::No };
            match self.queue.next(wait) {
                Some(message) => {
                    self.current = Some(Current { ticket: message.ticket, body_is_due: true });
                    self.send(&message)?;
                    self.current = None;
                }
                None if self.sent.is_empty() => return Ok(()),
                None => self.answers()?,
            }
        }
    }

    /// Every message that was taken and not answered: nobody knows. The connection is dead.
    fn abandon(&mut self) {
        let handed_over = self.wire.sent_octets().saturating_sub(self.before);
        for sent in std::mem::take(&mut self.sent) {
            let unknown = Unknown { handed_over: sent.end <= handed_over };
            self.queue.done(sent.ticket, AppendResult::Unknown(unknown));
        }
        if let Some(current) = self.current.take() {
            if current.body_is_due {
                // The body has to be asked for once; a sink that takes nothing ends it.
                let refused = self.queue.body(&mut |_| Err(io::ErrorKind::BrokenPipe.into()));
                drop(refused);
            }
            let unknown = Unknown { handed_over: false };
            self.queue.done(current.ticket, AppendResult::Unknown(unknown));
        }
    }

    fn send(&mut self, message: &AppendMessage) -> Result<(), StoreError> {
        if let Err(fault) = self.address(&message.folder) {
            self.refuse_current(Refusal {
                bad: false,
                code: Some(ResponseCode::Cannot),
                text: fault.to_string(),
                known_words: false,
            });
            return Ok(());
        }
        let Some(date) = DateKind::of(message.date.as_deref()) else {
            return Err(StoreError::Protocol("a date that is none was to be sent".to_owned()));
        };
        let line = Line::new(&message.flags, date);
        let literal = self.literal_for(message.octets, &line)?;
        self.make_room(message.octets)?;
        let tag = self.wire.tag();
        let arguments = arguments(message);
        match literal {
            Literal::NonSynchronising => {
                let announced = format!("{arguments}{{{}+}}\r\n", message.octets);
                self.begin(&tag, &announced)?;
                self.outcome.pipelined += 1;
            }
            Literal::Synchronising => {
                let announced = format!("{arguments}{{{}}}\r\n", message.octets);
                if !self.ask(&tag, &announced)? {
                    return Ok(());
                }
                self.outcome.synchronised += 1;
            }
        }
        self.pour(message.octets)?;
        self.put(b"\r\n")?;
        self.sent_octets += message.octets;
        let (ticket, octets, end) = (message.ticket, message.octets, self.put);
        let folder = Arc::clone(&self.folder);
        self.sent.push_back(Sent { tag, folder, ticket, octets, literal, line, end });
        Ok(())
    }

    /// Writes messages to this folder from now on.
    fn address(&mut self, folder: &Arc<WireName>) -> Result<(), StoreError> {
        if self.folder != *folder {
            self.mailbox = mailbox(folder)?;
            self.folder = Arc::clone(folder);
        }
        Ok(())
    }

    /// Chooses the literal for a line; lets the server prove the line first where that pays.
    fn literal_for(&mut self, octets: u64, line: &Line) -> Result<Literal, StoreError> {
        if self.terms.literal_for(octets) == Literal::Synchronising
            || matches!(self.mailbox, Mailbox::Literal(_))
        {
            return Ok(Literal::Synchronising);
        }
        // An answer that is due may be the proof, and is no further away than a continuation.
        while !self.proof.covers(&self.folder, line)
            && self.sent.iter().any(|sent| sent.literal == Literal::Synchronising)
        {
            self.answers()?;
        }
        if !self.proof.covers(&self.folder, line) {
            self.probe()?;
        }
        let is_proved = self.proof.covers(&self.folder, line);
        Ok(if is_proved { Literal::NonSynchronising } else { Literal::Synchronising })
    }

    /// Waits for answers until one more body fits.
    fn make_room(&mut self, octets: u64) -> Result<(), StoreError> {
        while !self.sent.is_empty()
            && (self.sent.len() >= COMMANDS_MAX
                || self.sent_octets.saturating_add(octets) > OCTETS_MAX)
        {
            self.answers()?;
        }
        Ok(())
    }

    /// Puts the beginning of a line whose mailbox stands in quotes, and the rest.
    fn begin(&mut self, tag: &str, rest: &str) -> Result<(), StoreError> {
        let quoted = match &self.mailbox {
            Mailbox::Quoted(quoted) => quoted.clone(),
            Mailbox::Literal(_) => Vec::new(),
        };
        self.put(format!("{tag} APPEND ").as_bytes())?;
        self.put(&quoted)?;
        self.put(rest.as_bytes())
    }

    /// Sends a line and waits for the continuation. The body before it, which may still be in the
    /// buffer, leaves in the same write. False: it was refused, and the message has its result.
    fn ask(&mut self, tag: &str, rest: &str) -> Result<bool, StoreError> {
        if let Mailbox::Literal(octets) = &self.mailbox {
            let octets = octets.clone();
            self.put(format!("{tag} APPEND {{{}}}\r\n", octets.len()).as_bytes())?;
            if !self.is_continued(tag)? {
                return Ok(false);
            }
            self.put(&octets)?;
            self.put(rest.as_bytes())?;
        } else {
            self.begin(tag, rest)?;
        }
        self.is_continued(tag)
    }

    fn is_continued(&mut self, tag: &str) -> Result<bool, StoreError> {
        self.asking = Some(tag.to_owned());
        loop {
            match self.answer()? {
                Event::Other => {}
                Event::Continue => {
                    self.asking = None;
                    return Ok(true);
                }
                Event::Ended(Ended { status: Status::Ok, .. }) => {
                    return Err(StoreError::Protocol("OK to half a command".to_owned()));
                }
                Event::Ended(ended) => {
                    self.asking = None;
                    let refusal = self.refused(ended);
                    self.refuse_current(refusal);
                    return Ok(false);
                }
            }
        }
    }

    /// The server does not want the message: its body is read off the queue, and goes nowhere.
    fn refuse_current(&mut self, refusal: Refusal) {
        if let Some(current) = self.current.take() {
            if current.body_is_due {
                // That the source is lost in a body that nobody wants changes nothing here.
                drop(self.queue.body(&mut |_| Ok(())));
            }
            self.queue.done(current.ticket, AppendResult::Refused(refusal));
        }
    }

    /// Pours the body into the wire, exactly as long as it was announced.
    fn pour(&mut self, announced: u64) -> Result<(), StoreError> {
        if let Some(current) = &mut self.current {
            current.body_is_due = false;
        }
        let (mut fault, mut left) = (None, announced);
        let wire = &mut *self.wire;
        let poured = self.queue.body(&mut |piece| {
            let octets = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            left = left.checked_sub(octets).ok_or(io::ErrorKind::InvalidData)?;
            wire.put(piece).map_err(|lost| {
                fault = Some(lost);
                io::Error::from(io::ErrorKind::BrokenPipe)
            })
        });
        self.put += announced - left;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if poured.is_ok() && left == 0 {
            return Ok(());
        }
        // The literal cannot be cancelled: the connection goes. What was complete before it is still
        // answered, and its answers are worth more than not knowing.
        self.wire.flush()?;
        while !self.sent.is_empty() {
            self.answers()?;
        }
        Err(StoreError::Connection(BodyLost.to_string()))
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        self.wire.put(octets)?;
        self.put += u64::try_from(octets.len()).unwrap_or(0);
        Ok(())
    }

    /// Waits for one response, and reads all that are there already.
    fn answers(&mut self) -> Result<(), StoreError> {
        self.answer()?;
        while memchr::memchr(b'\n', self.wire.unread()).is_some() {
            self.answer()?;
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

    fn ended(&mut self, tag: &str, ended: Ended) -> Result<Event, StoreError> {
        if ended.status == Status::Bad && self.window_is_open() {
            return Err(self.broken(&format!("BAD {}", ended.text)));
        }
        if self.asking.as_deref() == Some(tag) {
            return Ok(Event::Ended(ended));
        }
        let Some(at) = self.sent.iter().position(|sent| sent.tag == tag) else {
            if self.window_is_open() {
                return Err(self.broken("an answer to a command that was not sent"));
            }
            return Err(foreign_tag(tag));
        };
        let Some(sent) = self.sent.remove(at) else { return Ok(Event::Other) };
        self.sent_octets = self.sent_octets.saturating_sub(sent.octets);
        let result = if ended.status == Status::Ok {
            self.proof.accept(&sent.folder, &sent.line);
            AppendResult::Stored(Stored { at: stored_at(ended.code) })
        } else {
            AppendResult::Refused(self.refused(ended))
        };
        self.queue.done(sent.ticket, result);
        Ok(Event::Other)
    }

    fn refused(&self, ended: Ended) -> Refusal {
        refusal(ended.status == Status::Bad, ended.code, ended.text, self.terms.refusals)
    }

    /// Tells whether a body may still be read as commands.
    fn window_is_open(&self) -> bool {
        self.sent.iter().any(|sent| sent.literal == Literal::NonSynchronising)
    }

    /// Ends the windows of this server for good.
    fn broken(&self, what: &str) -> StoreError {
        self.terms.stop_windows();
        // The text is the server's own, and may hold what it was told: it goes where secrets are cut out.
        tracing::warn!("non-synchronising appends are stopped for this server");
        StoreError::Protocol(format!("{what}, while non-synchronising literals were unanswered"))
    }

    /// Lets the server prove what it understands, once in a connection.
    fn probe(&mut self) -> Result<(), StoreError> {
        let Mailbox::Quoted(quoted) = &self.mailbox else { return Ok(()) };
        if !self.terms.ways.refuses_empty || !self.proof.begin_probing() {
            return Ok(());
        }
        let quoted = quoted.clone();
        while !self.sent.is_empty() {
            self.answers()?;
        }
        let empty_stored = probe::probe(self.wire, &quoted, &self.folder, self.proof)?;
        self.outcome.empty_stored += empty_stored;
        // All of it was answered, so all of it was handed over.
        self.put = self.wire.sent_octets().saturating_sub(self.before);
        Ok(())
    }
}

/// What follows the mailbox, up to the literal: flags and date.
fn arguments(message: &AppendMessage) -> String {
    let flags = flag_list(&message.flags);
    match &message.date {
        Some(date) => format!(" {flags} {date} "),
        None => format!(" {flags} "),
    }
}

fn stored_at(code: Option<Code>) -> Option<(UidValidity, Uid)> {
    match code {
        Some(Code::AppendUid { uid_validity, uids }) => match uids.as_slice() {
            [uid] => Some((UidValidity::new(uid_validity)?, Uid::new(*uid)?)),
            _ => None,
        },
        _ => None,
    }
}

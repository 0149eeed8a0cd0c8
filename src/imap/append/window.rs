//! The window: what is written, what was sent and is not answered, and when to wait.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::imap::append::Appended;
use crate::imap::append::Behind;
use crate::imap::append::Knowledge;
use crate::imap::append::Literal;
use crate::imap::append::Terms;
use crate::imap::append::probe;
use crate::imap::append::proof::DateKind;
use crate::imap::append::proof::Line;
use crate::imap::append::proof::Proof;
use crate::imap::append::sent::Sent;
use crate::imap::append::sent::Unanswered;
use crate::imap::command::Mailbox;
use crate::imap::command::mailbox;
use crate::imap::command::push_flag_list;
use crate::imap::compress::Compressor;
use crate::imap::wire::Wire;
use crate::mail::FlagSet;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendOutcome;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::BodyLost;
use crate::store::Refusal;
use crate::store::ResponseCode;
use crate::store::StoreError;
use crate::store::Ticket;
use crate::store::Unknown;
use crate::store::Wait;

/// How long an open batch waits for one more message: longer than a source pauses between two that
/// it has ready, shorter than anybody notices.
const LULL: Duration = Duration::from_millis(50);

/// Octets that flags, date and size of most messages take.
const ARGUMENTS_OCTETS: usize = 128;

/// Most sets of flags that are asked about at once.
const PROBES_MAX: usize = 32;

/// The message that was taken from the queue and is not complete.
#[derive(Clone, Copy)]
struct Current {
    ticket: Ticket,
    body_is_due: bool,
}

pub(super) struct Window<'a> {
    pub(super) wire: &'a mut Wire,
    /// The folder of the message that was taken last, and its name as an argument.
    folder: Arc<WireName>,
    mailbox: Mailbox,
    pub(super) terms: &'a Terms<'a>,
    pub(super) proof: &'a mut Proof,
    compressor: &'a mut Compressor,
    pub(super) queue: &'a mut dyn AppendQueue,
    /// Commands that are complete.
    pub(super) sent: Unanswered<'a>,
    /// The command that is being written; between two messages of a batch nothing of it is due.
    pub(super) open: Option<Sent>,
    current: Option<Current>,
    /// Tag of the command that waits for a continuation.
    pub(super) asking: Option<String>,
    /// How many messages may be unanswered. One after a refusal for want of room, so that not much is
    /// sent in vain to an account that is full; it grows again with what is stored.
    pub(super) pace: usize,
    /// A batch was refused, or may be, before the server has read it to its end.
    pub(super) is_unread: bool,
    /// Commands of somebody else are sent behind what is unanswered, and nothing more is.
    pub(super) has_followers: bool,
    /// Octets put to the wire, and how many it had handed over before.
    put: u64,
    before: u64,
    pub(super) outcome: AppendOutcome,
    pub(super) line: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(
        wire: &'a mut Wire,
        terms: &'a Terms<'a>,
        knowledge: Knowledge<'a>,
        queue: &'a mut dyn AppendQueue,
    ) -> Self {
        let Knowledge { proof, compressor } = knowledge;
        let before = wire.sent_octets();
        Self {
            wire,
            folder: Arc::new(WireName::new(*b"")),
            mailbox: Mailbox::Quoted(b"\"\"".to_vec()),
            terms,
            proof,
            compressor,
            queue,
            sent: Unanswered::new(terms.gate),
            open: None,
            current: None,
            asking: None,
            pace: usize::MAX,
            is_unread: false,
            has_followers: false,
            put: 0,
            before,
            outcome: AppendOutcome::default(),
            line: Vec::new(),
        }
    }

    /// Appends until the queue has ended and all is answered; `before` is sent first, and `behind` with
    /// the last message.
    pub(super) fn run(
        mut self,
        before: Option<&str>,
        behind: Option<Behind<'_>>,
    ) -> Result<Appended, StoreError> {
        let begun = before.map_or(Ok(()), |word| self.command(word, Literal::Synchronising));
        let ran = begun.and_then(|()| self.run_queue(behind));
        if ran.is_err() {
            self.abandon();
        }
        self.outcome.window_stopped = self.terms.windows_are_stopped();
        let followers_are_lost = self.has_followers && self.is_unread;
        ran.map(|()| Appended { outcome: self.outcome, followers_are_lost })
    }

    fn run_queue(&mut self, mut behind: Option<Behind<'_>>) -> Result<(), StoreError> {
        loop {
            self.see_through()?;
            if self.sent.messages() + self.open_messages() >= self.pace {
                self.close()?;
                self.all_answers()?;
            }
            // While answers are due, what is not ready yet is not waited for.
            let wait = match &self.open {
                Some(_) => Wait::For(LULL),
                None if self.sent.is_empty() => Wait::UntilEnd,
                None => Wait::No,
            };
            match self.queue.next(wait) {
                Some(message) => {
                    self.current = Some(Current { ticket: message.ticket, body_is_due: true });
                    self.send(&message)?;
                }
                None if self.open.is_some() => self.close()?,
                None if self.sent.is_empty() => return Ok(()),
                None if self.queue.ended()
                    && let Some(behind) = behind.take() =>
                {
                    let first = behind(self.wire)?;
                    self.has_followers = true;
                    self.all_answers()?;
                    return self.see_followers_through(first);
                }
                None => self.answers()?,
            }
        }
    }

    /// Has the rest compressed, once the line has proved slow. Only where no command is being written:
    /// what is under way is seen through, which costs a slow line a few round trips once.
    fn consider_compression(&mut self) -> Result<(), StoreError> {
        let connections = self.terms.connections();
        if self.compressor.decide(self.wire, connections).is_none() {
            return Ok(());
        }
        self.all_answers()?;
        self.see_through()?;
        self.all_answers()?;
        self.compressor.consider(self.wire, connections, &mut |_| {})?;
        self.all_was_handed_over();
        Ok(())
    }

    /// Counts anew: all that was put there was answered.
    fn all_was_handed_over(&mut self) {
        self.put = self.wire.sent_octets().saturating_sub(self.before);
    }

    /// Every message that was taken and not answered: nobody knows. The connection is dead.
    fn abandon(&mut self) {
        let handed_over = self.wire.sent_octets().saturating_sub(self.before);
        let unknown = |handed_over| AppendResult::Unknown(Unknown { handed_over });
        for sent in self.sent.take_all() {
            for ticket in sent.tickets {
                self.queue.done(ticket, unknown(sent.end <= handed_over));
            }
        }
        // Without its end no message of a command is stored.
        for ticket in self.open.take().into_iter().flat_map(|open| open.tickets) {
            self.queue.done(ticket, unknown(false));
        }
        if let Some(current) = self.current.take() {
            if current.body_is_due {
                // The body has to be asked for once; a sink that takes nothing ends it.
                let refused = self.queue.body(&mut |_| Err(io::ErrorKind::BrokenPipe.into()));
                drop(refused);
            }
            self.queue.done(current.ticket, unknown(false));
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
        let began = self.join(message, &line)? || self.begin(message, line)?;
        if !began {
            return Ok(());
        }
        self.pour(message.octets)?;
        self.current = None;
        if let Some(open) = &mut self.open {
            open.add(message.ticket, message.octets);
            if open.literal == Literal::Synchronising || !self.terms.ways.multi {
                self.close()?;
            }
        }
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

    /// Goes on with the batch that is being written, if the message may be of it.
    fn join(&mut self, message: &AppendMessage, line: &Line) -> Result<bool, StoreError> {
        if !self.is_joined_by(message, line) {
            return Ok(false);
        }
        // An answer that is read meanwhile may be the batch's own; and where nothing else is unanswered, a
        // batch that is full is not waited for.
        if !self.has_room(message.octets) {
            self.make_room(message.octets)?;
            if !self.is_joined_by(message, line) || !self.has_room(message.octets) {
                return Ok(false);
            }
        }
        self.put(arguments(message, Literal::NonSynchronising).as_bytes())?;
        self.outcome.pipelined += 1;
        Ok(true)
    }

    fn is_joined_by(&self, message: &AppendMessage, line: &Line) -> bool {
        self.open.as_ref().is_some_and(|open| open.takes(message, Instant::now()))
            && self.terms.literal_for(message.octets) == Literal::NonSynchronising
            && self.proof.covers(&self.folder, line)
    }

    /// Begins a command with this message. False: it was refused, and has its result.
    fn begin(&mut self, message: &AppendMessage, line: Line) -> Result<bool, StoreError> {
        self.close()?;
        self.consider_compression()?;
        let literal = self.literal_for(message, &line)?;
        self.make_room(message.octets)?;
        let tag = self.wire.tag();
        let announced = arguments(message, literal);
        let mut open = Sent::new(tag, Arc::clone(&message.folder), literal, message.company);
        match literal {
            Literal::NonSynchronising => {
                self.put_line(&open.tag, &announced)?;
                self.outcome.pipelined += 1;
            }
            Literal::Synchronising => {
                // A continuation that a batch before it asked for is not to be taken for its own.
                self.is_unread |= self.sent.iter().any(|sent| sent.batch().is_some());
                self.see_through()?;
                if !self.ask(&open.tag, &announced)? {
                    return Ok(false);
                }
                self.outcome.synchronised += 1;
                open.proves = Some(line);
            }
        }
        self.open = Some(open);
        Ok(true)
    }

    /// Ends the command that is being written, if there is one; its answer is due from now on.
    fn close(&mut self) -> Result<(), StoreError> {
        if self.open.is_none() {
            return Ok(());
        }
        self.put(b"\r\n")?;
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.end = self.put;
        match open.refused.take() {
            None => self.sent.push(open),
            Some(refusal) => {
                self.refused(&open, &refusal);
                self.is_unread = true;
            }
        }
        Ok(())
    }

    /// Sees a batch through: it may be answered while the server still reads it. Only where no command
    /// is being written.
    fn see_through(&mut self) -> Result<(), StoreError> {
        if self.is_unread && self.open.is_none() {
            self.is_unread = false;
            self.command("NOOP", Literal::NonSynchronising)?;
        }
        Ok(())
    }

    /// Sees a batch that was refused through up to the first of the commands that follow it. Their answers
    /// are then of no use any more.
    fn see_followers_through(&mut self, first: Option<String>) -> Result<(), StoreError> {
        let Some(first) = first.filter(|_| self.is_unread) else { return Ok(()) };
        while !self.is_answer_to(&first)? {}
        Ok(())
    }

    /// Sends a command of one word that appends nothing. What is said while it is unanswered is judged
    /// as if it had a literal of this kind.
    fn command(&mut self, word: &str, literal: Literal) -> Result<(), StoreError> {
        let tag = self.wire.tag();
        self.put(format!("{tag} {word}\r\n").as_bytes())?;
        let mut sent = Sent::new(tag, Arc::clone(&self.folder), literal, 0);
        sent.end = self.put;
        self.sent.push(sent);
        Ok(())
    }

    /// Chooses the literal for a line; lets the server prove the line first where that pays.
    fn literal_for(&mut self, message: &AppendMessage, line: &Line) -> Result<Literal, StoreError> {
        if self.terms.literal_for(message.octets) == Literal::Synchronising
            || matches!(self.mailbox, Mailbox::Literal(_))
        {
            return Ok(Literal::Synchronising);
        }
        // Answers that are due may be the proof, and are no further away than a continuation.
        if !self.proof.covers(&self.folder, line) && self.is_being_proved(line) {
            self.wire.pace_mut().turns();
            while !self.proof.covers(&self.folder, line) && self.is_being_proved(line) {
                self.answers()?;
            }
            self.wire.pace_mut().moves_on();
        }
        if !self.proof.covers(&self.folder, line) {
            self.probe(message)?;
        }
        let is_proved = self.proof.covers(&self.folder, line);
        Ok(if is_proved { Literal::NonSynchronising } else { Literal::Synchronising })
    }

    /// Tells whether the line is proved once all that is unanswered is stored.
    fn is_being_proved(&self, line: &Line) -> bool {
        let due = self.sent.iter().filter_map(|sent| Some((&*sent.folder, sent.proves.as_ref()?)));
        let due: Vec<_> = due.collect();
        !due.is_empty() && self.proof.covers_with(&due, &self.folder, line)
    }

    pub(super) fn open_messages(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.tickets.len())
    }

    /// Waits for answers until one more body fits.
    fn make_room(&mut self, octets: u64) -> Result<(), StoreError> {
        while !self.sent.is_empty() && !self.has_room(octets) {
            self.answers()?;
        }
        Ok(())
    }

    fn has_room(&mut self, octets: u64) -> bool {
        self.sent.has_room(self.open.as_ref(), octets)
    }

    /// Puts the beginning of a line whose mailbox stands in quotes, and the rest.
    fn put_line(&mut self, tag: &str, rest: &str) -> Result<(), StoreError> {
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
            self.put_line(tag, rest)?;
        }
        self.is_continued(tag)
    }

    /// The server does not want the message: its body is read off the queue, and goes nowhere.
    pub(super) fn refuse_current(&mut self, refusal: Refusal) {
        self.slow_down(&refusal);
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
            wire.put_chunk(piece).map_err(|lost| {
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
        self.all_answers()?;
        Err(StoreError::Connection(BodyLost.to_string()))
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), StoreError> {
        self.wire.put(octets)?;
        self.put += u64::try_from(octets.len()).unwrap_or(0);
        Ok(())
    }

    /// Lets the server prove what it understands: what every message may need, once in a connection,
    /// and the flags of this one and of those that wait behind it, as often as new ones turn up.
    fn probe(&mut self, message: &AppendMessage) -> Result<(), StoreError> {
        let Mailbox::Quoted(quoted) = &self.mailbox else { return Ok(()) };
        let is_first = self.terms.ways.refuses_empty && self.proof.begin_probing();
        let has_new = self.proof.trusts_probes()
            && (self.proof.is_to_be_asked(&message.flags) || self.proof.lacks_dates());
        if !is_first && !has_new {
            return Ok(());
        }
        let quoted = quoted.clone();
        self.all_answers()?;
        self.see_through()?;
        self.all_answers()?;
        if is_first {
            probe::begin(self.wire, &quoted, &self.folder, self.proof)?;
        }
        if self.proof.trusts_probes() {
            let coming = self.new_flags(message);
            let place = (quoted.as_slice(), &*self.folder);
            probe::go_on(self.wire, place, self.proof, &coming)?;
        }
        self.all_was_handed_over();
        Ok(())
    }

    /// Sets of flags that are not proved, of this message and of those behind it, each with the folder
    /// of its message.
    fn new_flags(&self, message: &AppendMessage) -> Vec<(WireName, FlagSet)> {
        let mut known = FlagSet::new();
        let mut coming = Vec::new();
        let mut take = |folder: &WireName, flags: &FlagSet| {
            let is_new = !flags.difference(&known).is_empty();
            if is_new && coming.len() < PROBES_MAX && self.proof.is_to_be_asked(flags) {
                known = known.union(flags);
                coming.push((folder.clone(), flags.clone()));
            }
        };
        take(&message.folder, &message.flags);
        self.queue.coming(&mut take);
        coming
    }
}

/// What follows the mailbox or the message before: flags, date, and the literal's announcement.
fn arguments(message: &AppendMessage, literal: Literal) -> String {
    let mut words = String::with_capacity(ARGUMENTS_OCTETS);
    words.push(' ');
    push_flag_list(&mut words, &message.flags);
    words.push(' ');
    if let Some(date) = &message.date {
        words.push_str(date);
        words.push(' ');
    }
    let end = match literal {
        Literal::Synchronising => "}\r\n",
        Literal::NonSynchronising => "+}\r\n",
    };
    // To a string that cannot fail.
    let _ = write!(words, "{{{}{end}", message.octets);
    words
}

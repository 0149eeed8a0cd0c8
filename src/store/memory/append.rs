//! Appending: batches of messages, and a window of them whose replies have not been read yet.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::mail::{FlagSet, InternalDate, Uid, UidValidity, WireName};
use crate::store::append::{
    AppendMessage, AppendOutcome, AppendQueue, AppendResult, Batch, Stored, Ticket, Unknown, Wait,
};
use crate::store::error::{Refusal, ResponseCode, StoreError};
use crate::store::memory::account::{Options, octets_of};
use crate::store::memory::fault::{
    AppendUidLie, Arrival, Incoming, LateMail, LateUntil, Loss, RefusedMessage,
};
use crate::store::memory::log::Operation;
use crate::store::memory::server::{Admitted, Inner, MemoryServer, lost, refused};
use crate::store::memory::session::MemorySession;

const GONE: Unknown = Unknown { handed_over: true };
const NEVER_SENT: Unknown = Unknown { handed_over: false };

/// How long an open batch waits for one more message.
const LULL: Duration = Duration::from_millis(50);

/// A reply that the server has given and the session has not read: the results of one batch.
type Reply = Vec<(Ticket, AppendResult)>;

/// Messages that are stored or refused as one: a single one, unless the server takes several.
#[derive(Default)]
struct Open {
    folder: Option<Arc<WireName>>,
    company: u32,
    mails: Vec<Mail>,
    /// What the server does once it has them all.
    then: Then,
}

struct Mail {
    message: AppendMessage,
    octets: Vec<u8>,
}

#[derive(Default)]
enum Then {
    #[default]
    Store,
    /// Refuses them.
    Refuse(Refusal),
    /// Stores them, and the reply is lost.
    StoreAndLose,
    /// Loses them in this way.
    Lose(Loss),
}

impl Open {
    /// Tells whether nothing more can be known of it: it is carried out before the next message.
    fn is_decided(&self) -> bool {
        !matches!(self.then, Then::Store)
    }

    fn takes(&self, message: &AppendMessage, options: &Options) -> bool {
        let most = if options.abilities.append.multi { options.batch } else { 1 };
        let company = usize::try_from(self.company).unwrap_or(usize::MAX);
        self.folder.as_ref() == Some(&message.folder)
            && self.company == message.company
            && self.mails.len() < most.min(company)
            && !self.is_decided()
    }

    fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.mails.iter().map(|mail| mail.message.ticket)
    }

    /// The result of each where all were refused.
    fn refused(&self, refusal: &Refusal) -> Reply {
        let messages = u32::try_from(self.mails.len()).unwrap_or(u32::MAX);
        let Some(first) = self.tickets().next() else { return Reply::new() };
        let batch = Batch { first, messages };
        let result = |ticket| match messages {
            1 => (ticket, AppendResult::Refused(refusal.clone())),
            _ => (ticket, AppendResult::RefusedTogether(refusal.clone(), batch)),
        };
        self.tickets().map(result).collect()
    }
}

pub(super) fn append(
    session: &mut MemorySession,
    queue: &mut dyn AppendQueue,
) -> Result<AppendOutcome, StoreError> {
    if session.ended {
        return Err(lost());
    }
    Appending { session, queue, open: Open::default(), unread: Vec::new() }.run()
}

struct Appending<'a> {
    session: &'a mut MemorySession,
    queue: &'a mut dyn AppendQueue,
    open: Open,
    /// Replies about one folder: what is said of one is not told of another.
    unread: Vec<Reply>,
}

impl Appending<'_> {
    fn run(mut self) -> Result<AppendOutcome, StoreError> {
        let mut outcome = AppendOutcome::default();
        let options = self.session.options.clone();
        let window = options.window.max(1);
        loop {
            let is_open = !self.open.mails.is_empty();
            let wait = match (is_open, self.unread.is_empty()) {
                (true, _) => Wait::For(LULL),
                (false, true) => Wait::UntilEnd,
                (false, false) => Wait::No,
            };
            let unread: usize = self.unread.iter().map(Vec::len).sum();
            let has_room = unread + self.open.mails.len() < window;
            let message = if has_room { self.queue.next(wait) } else { None };
            let Some(message) = message else {
                if is_open {
                    self.close()?;
                } else if self.unread.is_empty() {
                    return Ok(outcome);
                } else {
                    self.read_replies();
                }
                continue;
            };
            if !self.open.takes(&message, &options) {
                // What was taken has its result, whatever becomes of the batch before it.
                self.close().inspect_err(|_| give_back(self.queue, &message))?;
                if self.open.folder.as_ref() != Some(&message.folder) {
                    self.read_replies();
                }
                self.open.folder = Some(Arc::clone(&message.folder));
                self.open.company = message.company;
            }
            self.take(message)?;
            if options.abilities.append.literal_plus {
                outcome.pipelined += 1;
            } else {
                outcome.synchronised += 1;
            }
            if self.open.is_decided() || !options.abilities.append.multi {
                self.close()?;
            }
        }
    }

    /// Adds a message to the open batch.
    fn take(&mut self, message: AppendMessage) -> Result<(), StoreError> {
        let operation = Operation::Append {
            folder: WireName::clone(&message.folder),
            flags: message.flags.clone(),
            date: message.date.clone(),
            octets: message.octets,
        };
        let admitted = self.session.server.lock().admit(&operation);
        if let Ok(Admitted::Lost(Loss::BeforeSending)) = admitted {
            let lost = self.lose(NEVER_SENT);
            give_back(self.queue, &message);
            return Err(lost);
        }
        self.ask_by_an_append_of_nothing(&message.folder);
        let Some(octets) = take_body(&self.session.server, message.octets, self.queue) else {
            let lost = self.lose(NEVER_SENT);
            self.queue.done(message.ticket, AppendResult::Unknown(NEVER_SENT));
            return Err(lost);
        };
        self.open.mails.push(Mail { message, octets });
        self.open.then = match admitted {
            Ok(Admitted::Go) => Then::Store,
            Ok(Admitted::ThenLost) => Then::StoreAndLose,
            Ok(Admitted::Lost(loss)) => Then::Lose(loss),
            Err(StoreError::Refused(refusal)) => Then::Refuse(refusal),
            Err(_) => Then::Lose(Loss::HandedOver),
        };
        Ok(())
    }

    /// Asks what the server understands, where it is set to store that.
    fn ask_by_an_append_of_nothing(&mut self, folder: &WireName) {
        let mut inner = self.session.server.lock();
        if std::mem::take(&mut inner.faults.keeps_nothing) {
            let now = InternalDate::new(inner.account.now, 0);
            inner.account.store(folder, &FlagSet::new(), now, b"");
            inner.faults.emptied.push(folder.clone());
        }
    }

    /// Lets the server carry out the open batch.
    fn close(&mut self) -> Result<(), StoreError> {
        if self.open.mails.is_empty() {
            return Ok(());
        }
        let server = self.session.server.clone();
        let mut inner = server.lock();
        let options = &self.session.options;
        let reply = match std::mem::take(&mut self.open.then) {
            Then::Store => store(&mut inner, options, &self.open),
            Then::Refuse(refusal) => self.open.refused(&refusal),
            Then::StoreAndLose => {
                let reply = store(&mut inner, options, &self.open);
                drop(inner);
                self.unread.push(reply);
                self.open.mails.clear();
                return Err(self.lose(GONE));
            }
            Then::Lose(Loss::Late(arrival)) => {
                self.open.mails.iter().for_each(|mail| delay(&mut inner, mail, arrival));
                drop(inner);
                return Err(self.lose(GONE));
            }
            Then::Lose(_) => {
                drop(inner);
                return Err(self.lose(GONE));
            }
        };
        self.unread.push(reply);
        self.open.mails.clear();
        Ok(())
    }

    /// Ends the connection: of what the server has answered, only so much is read as a test wants.
    fn lose(&mut self, open: Unknown) -> StoreError {
        let read = self.session.server.lock().faults.read_before_loss;
        self.lie();
        for (place, (ticket, result)) in self.unread.drain(..).flatten().enumerate() {
            let result = if place < read { result } else { AppendResult::Unknown(GONE) };
            self.queue.done(ticket, result);
        }
        for mail in self.open.mails.drain(..) {
            self.queue.done(mail.message.ticket, AppendResult::Unknown(open));
        }
        self.session.lose()
    }

    /// Hands the replies of a window over, with the lies that are told in them.
    fn read_replies(&mut self) {
        self.lie();
        for (ticket, result) in self.unread.drain(..).flatten() {
            self.queue.done(ticket, result);
        }
    }

    /// Puts the lies that are told in them into the replies of a window.
    fn lie(&mut self) {
        let Some(folder) = self.open.folder.clone() else { return };
        let lie = self.session.server.lock().faults.append_uid;
        let server = self.session.server.clone();
        let lowest = || server.with(|account| Some(account.find(&folder)?.mails.first()?.uid));
        if let (AppendUidLie::Short, Some(last)) = (lie, self.unread.last_mut()) {
            // A set with too few UIDs tells of none of its messages.
            places(last).for_each(|place| *place = None);
        }
        let told: Vec<_> = self.unread.iter_mut().flat_map(places).collect();
        match lie {
            AppendUidLie::Honest | AppendUidLie::Short => {}
            AppendUidLie::Missing => told.into_iter().for_each(|place| *place = None),
            AppendUidLie::Foreign(validity) => {
                told.into_iter().flatten().for_each(|place| place.0 = validity);
            }
            AppendUidLie::Swapped => {
                let mut told = told.into_iter();
                while let (Some(one), Some(other)) = (told.next(), told.next()) {
                    std::mem::swap(one, other);
                }
            }
            AppendUidLie::Above => {
                if let Some(Some(last)) = told.into_iter().next_back() {
                    last.1 = last.1.next();
                }
            }
            AppendUidLie::Old => {
                if let Some(lowest) = lowest() {
                    told.into_iter().flatten().for_each(|place| place.1 = lowest);
                }
            }
        }
    }
}

/// Where the messages of a reply are said to be.
fn places(reply: &mut Reply) -> impl Iterator<Item = &mut Option<(UidValidity, Uid)>> {
    reply.iter_mut().filter_map(|(_, result)| match result {
        AppendResult::Stored(stored) => Some(&mut stored.at),
        _ => None,
    })
}

/// A message of which nothing is sent: its body is poured into a socket that is closed already.
fn give_back(queue: &mut dyn AppendQueue, message: &AppendMessage) {
    let _ = queue.body(&mut |_| Err(io::ErrorKind::BrokenPipe.into()));
    queue.done(message.ticket, AppendResult::Unknown(NEVER_SENT));
}

/// Puts off what was sent: it arrives later.
fn delay(inner: &mut Inner, mail: &Mail, arrival: Arrival) {
    let Mail { message, octets } = mail;
    let now = inner.account.now;
    let arrival = match arrival {
        Arrival::Looks(looks) => LateUntil::Looks(looks),
        Arrival::Seconds(seconds) => LateUntil::Time(now.plus(seconds)),
    };
    inner.faults.late.push(LateMail {
        folder: WireName::clone(&message.folder),
        flags: message.flags.clone(),
        date: date_of(message).unwrap_or_else(|| InternalDate::new(now, 0)),
        octets: octets.clone(),
        arrival,
    });
}

/// Takes the body; nothing where the source was lost inside it, where it had another length than
/// announced, or where the connection is cut inside it.
fn take_body(
    server: &MemoryServer,
    announced: u64,
    queue: &mut dyn AppendQueue,
) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let poured = queue.body(&mut |piece| {
        if octets_of(octets.len() + piece.len()) > announced {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut inner = server.lock();
        if let Some(left) = inner.faults.append_octets {
            let left = left.checked_sub(octets_of(piece.len()));
            inner.faults.append_octets = left;
            if left.is_none() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        octets.extend_from_slice(piece);
        Ok(())
    });
    (poured.is_ok() && octets_of(octets.len()) == announced).then_some(octets)
}

fn date_of(message: &AppendMessage) -> Option<InternalDate> {
    InternalDate::from_wire(message.date.as_ref()?.trim_matches('"').as_bytes())
}

/// What the server does with messages that it has in full: it stores all of them, or none.
fn store(inner: &mut Inner, options: &Options, open: &Open) -> Reply {
    for mail in &open.mails {
        if let Some(refusal) = minds(inner, options, mail) {
            return open.refused(&refusal);
        }
    }
    let refused = open.mails.iter().find_map(|mail| refuses(inner, mail));
    if let Some(RefusedMessage { refusal, stored: false }) = refused {
        return open.refused(&refusal);
    }
    let stored: Reply = open
        .mails
        .iter()
        .map(|mail| {
            let at = keep(inner, mail).filter(|_| options.abilities.uid_plus);
            (mail.message.ticket, AppendResult::Stored(Stored { at }))
        })
        .collect();
    match refused {
        Some(RefusedMessage { refusal, .. }) => open.refused(&refusal),
        None => stored,
    }
}

fn minds(inner: &Inner, options: &Options, Mail { message, octets }: &Mail) -> Option<Refusal> {
    if inner.account.find(&message.folder).is_none_or(|folder| !folder.selectable) {
        return Some(refused(Some(ResponseCode::TryCreate), "no such folder"));
    }
    if message.date.is_some() && date_of(message).is_none() {
        return Some(Refusal { bad: true, ..refused(None, "not a date") });
    }
    habit(options, octets)
}

/// What a test wants to be refused.
fn refuses(inner: &mut Inner, Mail { message, octets }: &Mail) -> Option<RefusedMessage> {
    let (folder, date) = (&*message.folder, date_of(message));
    let incoming = Incoming { folder, flags: &message.flags, date, octets };
    inner.faults.refuses.as_mut().and_then(|refuses| refuses(&incoming))
}

fn keep(inner: &mut Inner, Mail { message, octets }: &Mail) -> Option<(UidValidity, Uid)> {
    let rewritten = inner.faults.rewrites.as_mut().map(|rewrites| rewrites(octets));
    let octets = rewritten.as_deref().unwrap_or(octets);
    let date = date_of(message).unwrap_or_else(|| InternalDate::new(inner.account.now, 0));
    let uid = inner.account.store(&message.folder, &message.flags, date, octets);
    let folder = inner.account.find(&message.folder)?;
    Some((folder.uid_validity, uid))
}

/// What this kind of server refuses.
fn habit(options: &Options, octets: &[u8]) -> Option<Refusal> {
    if octets.is_empty() && !options.takes_empty {
        let no = refused(None, "Can't save a zero byte message.");
        return Some(Refusal { known_words: true, ..no });
    }
    if !options.takes_nul && octets.contains(&0) {
        let no = refused(None, "Message contains NUL characters");
        return Some(Refusal { known_words: true, ..no });
    }
    let above = options.abilities.append_limit.is_some_and(|limit| octets_of(octets.len()) > limit);
    above.then(|| refused(Some(ResponseCode::TooBig), "the message is too large"))
}

//! Appending: a window of messages whose replies have not been read yet.

use std::io;
use std::sync::Arc;

use crate::mail::{InternalDate, Uid, UidValidity, WireName};
use crate::store::append::{
    AppendMessage, AppendOutcome, AppendQueue, AppendResult, Stored, Ticket, Unknown, Wait,
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

/// Replies that the server has given and the session has not read.
type Unread = Vec<(Ticket, AppendResult)>;

/// How one message ended.
enum Sent {
    /// The server answered.
    Answered(AppendResult),
    /// The connection ended.
    Ended(Unknown),
}

pub(super) fn append(
    session: &mut MemorySession,
    queue: &mut dyn AppendQueue,
) -> Result<AppendOutcome, StoreError> {
    if session.ended {
        return Err(lost());
    }
    let mut outcome = AppendOutcome::default();
    let mut unread = Unread::new();
    let window = session.options.window.max(1);
    // Whose replies are unread: what is said of one folder is not told of another.
    let mut folder = Arc::new(WireName::new(*b""));
    loop {
        let wait = if unread.is_empty() { Wait::UntilEnd } else { Wait::No };
        let message = if unread.len() < window { queue.next(wait) } else { None };
        let Some(message) = message else {
            if unread.is_empty() {
                return Ok(outcome);
            }
            read_replies(session, &folder, &mut unread, queue);
            continue;
        };
        if message.folder != folder {
            read_replies(session, &folder, &mut unread, queue);
            folder = Arc::clone(&message.folder);
        }
        match send(session, &message, queue) {
            Sent::Answered(result) => {
                if session.options.abilities.append.literal_plus {
                    outcome.pipelined += 1;
                } else {
                    outcome.synchronised += 1;
                }
                unread.push((message.ticket, result));
            }
            Sent::Ended(unknown) => {
                for (ticket, _) in unread {
                    queue.done(ticket, AppendResult::Unknown(GONE));
                }
                queue.done(message.ticket, AppendResult::Unknown(unknown));
                return Err(session.lose());
            }
        }
    }
}

/// Hands the replies of a window over, with the lies that are told in them.
fn read_replies(
    session: &MemorySession,
    folder: &WireName,
    unread: &mut Unread,
    queue: &mut dyn AppendQueue,
) {
    let lie = session.server.lock().faults.append_uid;
    let lowest = || session.server.with(|account| Some(account.find(folder)?.mails.first()?.uid));
    let mut places: Vec<Option<(UidValidity, Uid)>> = unread
        .iter()
        .filter_map(|(_, result)| match result {
            AppendResult::Stored(stored) => Some(stored.at),
            _ => None,
        })
        .collect();
    match lie {
        AppendUidLie::Honest => {}
        AppendUidLie::Missing => places.fill(None),
        AppendUidLie::Short => {
            if let Some(last) = places.last_mut() {
                *last = None;
            }
        }
        AppendUidLie::Foreign(validity) => {
            places.iter_mut().flatten().for_each(|place| place.0 = validity);
        }
        AppendUidLie::Swapped => places.chunks_exact_mut(2).for_each(<[_]>::reverse),
        AppendUidLie::Above => {
            if let Some(Some(last)) = places.last_mut() {
                last.1 = last.1.next();
            }
        }
        AppendUidLie::Old => {
            if let Some(lowest) = lowest() {
                places.iter_mut().flatten().for_each(|place| place.1 = lowest);
            }
        }
    }
    let mut places = places.into_iter();
    for (ticket, result) in unread.drain(..) {
        let result = match result {
            AppendResult::Stored(_) => AppendResult::Stored(Stored { at: places.next().flatten() }),
            other => other,
        };
        queue.done(ticket, result);
    }
}

fn send(session: &mut MemorySession, message: &AppendMessage, queue: &mut dyn AppendQueue) -> Sent {
    let folder = &*message.folder;
    let operation = Operation::Append {
        folder: folder.clone(),
        flags: message.flags.clone(),
        date: message.date.clone(),
        octets: message.octets,
    };
    let admitted = session.server.lock().admit(&operation);
    if let Ok(Admitted::Lost(Loss::BeforeSending)) = admitted {
        // The body is poured into a socket that is closed already.
        let _ = queue.body(&mut |_| Err(io::ErrorKind::BrokenPipe.into()));
        return Sent::Ended(NEVER_SENT);
    }
    let Some(octets) = take_body(&session.server, message.octets, queue) else {
        return Sent::Ended(NEVER_SENT);
    };
    let mut inner = session.server.lock();
    match admitted {
        Err(StoreError::Refused(refusal)) => Sent::Answered(AppendResult::Refused(refusal)),
        Ok(Admitted::Go) => {
            Sent::Answered(store(&mut inner, &session.options, folder, message, &octets))
        }
        Ok(Admitted::ThenLost) => {
            let _ = store(&mut inner, &session.options, folder, message, &octets);
            Sent::Ended(GONE)
        }
        Ok(Admitted::Lost(Loss::Late(arrival))) => {
            let now = inner.account.now;
            let date = date_of(message).unwrap_or_else(|| InternalDate::new(now, 0));
            let arrival = match arrival {
                Arrival::Looks(looks) => LateUntil::Looks(looks),
                Arrival::Seconds(seconds) => LateUntil::Time(now.plus(seconds)),
            };
            let flags = message.flags.clone();
            inner.faults.late.push(LateMail {
                folder: folder.clone(),
                flags,
                date,
                octets,
                arrival,
            });
            Sent::Ended(GONE)
        }
        Ok(Admitted::Lost(_)) | Err(_) => Sent::Ended(GONE),
    }
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

/// What the server does with a message that it has in full.
fn store(
    inner: &mut Inner,
    options: &Options,
    folder: &WireName,
    message: &AppendMessage,
    octets: &[u8],
) -> AppendResult {
    if inner.account.find(folder).is_none_or(|folder| !folder.selectable) {
        let no = refused(Some(ResponseCode::TryCreate), "no such folder");
        return AppendResult::Refused(no);
    }
    if message.date.is_some() && date_of(message).is_none() {
        return AppendResult::Refused(Refusal { bad: true, ..refused(None, "not a date") });
    }
    if let Some(refusal) = habit(options, octets) {
        return AppendResult::Refused(refusal);
    }
    let date = date_of(message);
    let incoming = Incoming { folder, flags: &message.flags, date, octets };
    let refused = inner.faults.refuses.as_mut().and_then(|refuses| refuses(&incoming));
    if let Some(RefusedMessage { refusal, stored: false }) = refused {
        return AppendResult::Refused(refusal);
    }
    let rewritten = inner.faults.rewrites.as_mut().map(|rewrites| rewrites(octets));
    let octets = rewritten.as_deref().unwrap_or(octets);
    let date = date.unwrap_or_else(|| InternalDate::new(inner.account.now, 0));
    let uid = inner.account.store(folder, &message.flags, date, octets);
    if let Some(RefusedMessage { refusal, .. }) = refused {
        return AppendResult::Refused(refusal);
    }
    let validity = inner.account.find(folder).map(|folder| folder.uid_validity);
    let at = validity.filter(|_| options.abilities.uid_plus).map(|validity| (validity, uid));
    AppendResult::Stored(Stored { at })
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

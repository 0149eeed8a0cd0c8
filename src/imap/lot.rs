//! Where sessions stand that one part of a run is done with, or that are made ahead, until the next part
//! takes them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::imap::session::Session;
use crate::store::StoreError;

/// How long a session may stand unused: after that, what is between it and the server may have
/// forgotten it, and a new connection is quicker than finding that out.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Room for sessions of one login: one that is handed on, and those that are made ahead for who connects
/// beside it. Clones share it; when the last one goes, the sessions are ended.
#[derive(Clone, Default)]
pub(super) struct Lot(Arc<Room>);

#[derive(Default)]
struct Room {
    standing: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Default)]
struct Standing {
    handed_on: Option<Parked>,
    ahead: VecDeque<Parked>,
    /// Sessions that are being made ahead.
    coming: usize,
    /// Who waits for one of these.
    waiting: usize,
    /// What became of those that were not let in while somebody waited.
    failed: VecDeque<StoreError>,
}

/// A session, and since when it stands.
struct Parked(Session, Instant);

impl Parked {
    fn is_good(&self) -> bool {
        self.1.elapsed() < IDLE_MAX && self.0.is_alive()
    }

    /// The session, if it has not stood for too long; else it is ended.
    fn take(mut self) -> Option<Session> {
        if self.is_good() {
            return Some(self.0);
        }
        self.0.close();
        None
    }
}

impl Lot {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a session, and ends one that stood there.
    pub(super) fn park(&self, session: Session) {
        let parked = Parked(session, Instant::now());
        let before = self.standing().handed_on.replace(parked);
        if let Some(Parked(mut session, _)) = before {
            session.close();
        }
    }

    /// Tells whether a session stands there that was handed on and may be taken.
    pub(super) fn holds_one(&self) -> bool {
        self.standing().handed_on.as_ref().is_some_and(Parked::is_good)
    }

    /// Takes the session that was handed on, if it has not stood for too long.
    pub(super) fn take(&self) -> Option<Session> {
        let parked = self.standing().handed_on.take();
        parked.and_then(Parked::take)
    }

    /// Takes a session that was made ahead or is being made, once it is; nothing where none is left.
    ///
    /// # Errors
    ///
    /// What became of one that was waited for and not let in.
    pub(super) fn take_ahead(&self) -> Result<Option<Session>, StoreError> {
        loop {
            match self.next_ahead()? {
                None => return Ok(None),
                // One that stood for too long is ended while nobody is kept from the others.
                Some(parked) => match parked.take() {
                    None => {}
                    session => return Ok(session),
                },
            }
        }
    }

    fn next_ahead(&self) -> Result<Option<Parked>, StoreError> {
        let mut standing = self.standing();
        let waits = standing.ahead.is_empty() && standing.coming > standing.waiting;
        if waits {
            standing.waiting += 1;
            let is_open = |standing: &mut Standing| {
                standing.ahead.is_empty() && standing.failed.is_empty() && standing.coming > 0
            };
            let waited = self.0.changed.wait_while(standing, is_open);
            standing = waited.unwrap_or_else(PoisonError::into_inner);
            standing.waiting -= 1;
        }
        let parked = standing.ahead.pop_front();
        let fault = if waits && parked.is_none() { standing.failed.pop_front() } else { None };
        // Nobody is told of an old one.
        let waiting = standing.waiting;
        standing.failed.truncate(waiting);
        fault.map_or(Ok(parked), Err)
    }

    /// Keeps room for a session that is being made ahead.
    pub(super) fn expect(&self) -> Coming {
        self.standing().coming += 1;
        Coming(self.clone())
    }
}

/// A session that is being made ahead. Those who wait for it are told when this is dropped, whatever
/// became of it.
pub(super) struct Coming(Lot);

impl Coming {
    /// Leaves the session, or what became of it: who waits is told so, and who comes later tries anew.
    pub(super) fn arrive(self, made: Result<Session, StoreError>) {
        let mut standing = self.0.standing();
        match made {
            Ok(session) => standing.ahead.push_back(Parked(session, Instant::now())),
            Err(fault) if standing.waiting > standing.failed.len() => {
                standing.failed.push_back(fault);
            }
            Err(_) => {}
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.standing().coming -= 1;
        self.0.0.changed.notify_all();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let standing = self.standing.get_mut().unwrap_or_else(PoisonError::into_inner);
        for Parked(session, _) in standing.handed_on.iter_mut().chain(&mut standing.ahead) {
            session.close();
        }
    }
}

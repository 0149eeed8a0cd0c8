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

/// Room for sessions of one login. Clones share it; when the last one goes, the sessions are ended.
#[derive(Clone, Default)]
pub(super) struct Lot(Arc<Room>);

#[derive(Default)]
struct Room {
    standing: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Default)]
struct Standing {
    sessions: VecDeque<(Session, Instant)>,
    /// Sessions that are being made.
    coming: usize,
    /// What became of those that were not let in.
    failed: VecDeque<StoreError>,
}

impl Standing {
    /// Takes a session out, if one has not stood for too long.
    fn take(&mut self) -> Option<Session> {
        while let Some((mut session, since)) = self.sessions.pop_front() {
            if since.elapsed() < IDLE_MAX && session.is_alive() {
                return Some(session);
            }
            session.close();
        }
        None
    }
}

impl Lot {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a session.
    pub(super) fn park(&self, session: Session) {
        self.standing().sessions.push_back((session, Instant::now()));
    }

    /// Tells whether a session stands there that may be taken.
    pub(super) fn holds_one(&self) -> bool {
        let is_good = |(session, since): &(Session, Instant)| {
            since.elapsed() < IDLE_MAX && session.is_alive()
        };
        self.standing().sessions.iter().any(is_good)
    }

    /// Takes a session that stands there, if it has not stood for too long.
    pub(super) fn take(&self) -> Option<Session> {
        self.standing().take()
    }

    /// Takes a session that stands there or is being made, once it is; nothing where none is.
    ///
    /// # Errors
    ///
    /// What became of one that was not let in, once for each.
    pub(super) fn take_or_wait(&self) -> Result<Option<Session>, StoreError> {
        let mut standing = self.standing();
        loop {
            if let Some(session) = standing.take() {
                return Ok(Some(session));
            }
            if let Some(fault) = standing.failed.pop_front() {
                return Err(fault);
            }
            if standing.coming == 0 {
                return Ok(None);
            }
            standing = self.0.changed.wait(standing).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Keeps room for a session that is being made. It comes with [`arrive`](Self::arrive).
    pub(super) fn expect(&self) {
        self.standing().coming += 1;
    }

    /// Leaves the session that was expected, or what became of it.
    pub(super) fn arrive(&self, made: Result<Session, StoreError>) {
        let mut standing = self.standing();
        standing.coming = standing.coming.saturating_sub(1);
        match made {
            Ok(session) => standing.sessions.push_back((session, Instant::now())),
            Err(fault) => standing.failed.push_back(fault),
        }
        drop(standing);
        self.0.changed.notify_all();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let standing = self.standing.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (mut session, _) in standing.sessions.drain(..) {
            session.close();
        }
    }
}

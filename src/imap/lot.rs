//! Where sessions stand that one part of a run is done with, until the next part takes them.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::imap::session::Session;

/// How long a session may stand unused: after that, what is between it and the server may have
/// forgotten it, and a new connection is quicker than finding that out.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Room for one session of one login. Clones share it; when the last one goes, the session is ended.
#[derive(Clone, Default)]
pub(super) struct Lot(Arc<Room>);

#[derive(Default)]
struct Room(Mutex<Option<(Session, Instant)>>);

impl Room {
    fn exchange(&self, parked: Option<(Session, Instant)>) -> Option<(Session, Instant)> {
        let mut room = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut room, parked)
    }
}

impl Lot {
    /// Leaves a session, and ends one that stood there.
    pub(super) fn park(&self, session: Session) {
        if let Some((mut old, _)) = self.0.exchange(Some((session, Instant::now()))) {
            old.close();
        }
    }

    /// Tells whether a session stands there that may be taken.
    pub(super) fn holds_one(&self) -> bool {
        let room = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        room.as_ref()
            .is_some_and(|(session, since)| since.elapsed() < IDLE_MAX && session.is_alive())
    }

    /// Takes the session that stands there, if it has not stood for too long.
    pub(super) fn take(&self) -> Option<Session> {
        let (mut session, since) = self.0.exchange(None)?;
        if since.elapsed() < IDLE_MAX && session.is_alive() {
            return Some(session);
        }
        session.close();
        None
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some((mut session, _)) = self.exchange(None) {
            session.close();
        }
    }
}

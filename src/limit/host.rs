//! What all accounts at one host share: connections and logins.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limit::bucket::Rate;
use crate::limit::logins::Logins;

/// One host, by the name that the manifest gives it.
#[derive(Debug, Default)]
pub(super) struct Host(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    connections: Option<u32>,
    open: u32,
    logins: Option<Logins>,
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Numbers are sound whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds limits; of two that are said for one host, the stricter one holds.
    pub(super) fn limit(&self, connections: Option<u32>, logins_per_minute: Option<Rate>) {
        let mut inner = self.lock();
        inner.connections = match (inner.connections, connections) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if let Some(rate) = logins_per_minute {
            match &mut inner.logins {
                Some(logins) => logins.tighten(rate),
                None => inner.logins = Some(Logins::new(rate)),
            }
        }
    }

    /// Takes a connection, if there is one.
    pub(super) fn take_connection(&self) -> bool {
        let mut inner = self.lock();
        let free = inner.connections.is_none_or(|most| inner.open < most.max(1));
        inner.open += u32::from(free);
        free
    }

    /// Puts a connection back.
    pub(super) fn put_connection(&self) {
        let mut inner = self.lock();
        inner.open = inner.open.saturating_sub(1);
    }

    /// Books a login at `now`.
    ///
    /// # Errors
    ///
    /// How long until there may be one.
    pub(super) fn take_login(&self, now: Duration) -> Result<(), Duration> {
        self.lock().logins.as_mut().map_or(Ok(()), |logins| logins.take(now))
    }
}

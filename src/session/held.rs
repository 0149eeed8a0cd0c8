//! A session that is made anew when it is lost.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use crate::mail::{Side, WireName};
use crate::session::clock::{Clock, Stop};
use crate::store::{Compression, Connect, Look, Retry, StoreError};

/// Longest pause between two tries to connect.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One side's session: there, or to be made.
pub struct Held<S: ?Sized> {
    connector: Box<dyn Connect<S>>,
    session: Option<Box<S>>,
    /// How often it was made after the first time.
    pub reconnected: u64,
    connected_once: bool,
    /// What the last session that was lost did about compression.
    compression: Option<Compression>,
}

/// Why there is no session.
#[derive(Debug)]
pub enum NoSession {
    /// A signal asked to stop.
    Stopped,
    /// The side cannot be had.
    Failed(Side, StoreError),
}

/// What making a session needs of the run.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The wish to stop.
    pub stop: &'a Stop,
    /// How long a server may be away.
    pub reconnect_for: Duration,
}

impl<S: Look + ?Sized> Held<S> {
    /// A session of this connector, to be made when it is asked for.
    #[must_use]
    pub fn new(connector: Box<dyn Connect<S>>) -> Self {
        Self { connector, session: None, reconnected: 0, connected_once: false, compression: None }
    }

    /// A second session beside this one, to be made when it is asked for.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::new(self.connector.another())
    }

    /// Which side it is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.connector.side()
    }

    /// Makes the first session, so that both sides can be made at the same time. A first connection that
    /// cannot be made is told at once: somebody is waiting.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    fn begin(&mut self, stop: &Stop) -> Result<(), NoSession> {
        if self.connected_once {
            return Ok(());
        }
        if stop.requested() {
            return Err(NoSession::Stopped);
        }
        match self.connector.connect() {
            Ok(session) => {
                self.session = Some(session);
                self.connected_once = true;
                Ok(())
            }
            Err(StoreError::Stopped) => Err(NoSession::Stopped),
            // It is there, and is asked again with the patience that it asks for.
            Err(error) if error.backoff().is_some() => Ok(()),
            Err(error) => Err(NoSession::Failed(self.side(), error)),
        }
    }

    /// The session, made if need be. A server may be away for as long as the settings say; a refused
    /// login is never tried again.
    ///
    /// # Errors
    ///
    /// [`NoSession`] when the side cannot be had in this run.
    pub fn get(
        &mut self,
        patience: &Patience<'_>,
        tell: &mut dyn FnMut(Side, &str, Duration),
    ) -> Result<&mut S, NoSession> {
        let side = self.side();
        let began = patience.clock.elapsed();
        let mut pause = Duration::ZERO;
        while self.session.is_none() {
            if patience.stop.requested() {
                return Err(NoSession::Stopped);
            }
            match self.connector.connect() {
                Ok(session) => {
                    if self.connected_once {
                        self.reconnected += 1;
                    }
                    self.connected_once = true;
                    self.session = Some(session);
                }
                Err(StoreError::Stopped) => return Err(NoSession::Stopped),
                Err(error) => {
                    let Retry::Reconnect(least) = error.retry() else {
                        return Err(NoSession::Failed(side, error));
                    };
                    // A first connection that cannot be made is told at once: somebody is waiting. A server
                    // that asks for patience is there.
                    let away = patience.clock.elapsed().saturating_sub(began);
                    let is_new = !self.connected_once && error.backoff().is_none();
                    if is_new || away >= patience.reconnect_for {
                        return Err(NoSession::Failed(side, error));
                    }
                    pause = (pause * 2).min(PAUSE_MAX).max(least);
                    let why = error.to_string();
                    tell(side, &why, pause);
                    sleep(patience, pause);
                }
            }
        }
        match self.session.as_deref_mut() {
            Some(session) => Ok(session),
            None => Err(NoSession::Stopped),
        }
    }

    /// Tells whether there is a session now.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.session.is_some()
    }

    /// Takes the session out, made if need be, for a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub fn take(
        &mut self,
        patience: &Patience<'_>,
        tell: &mut dyn FnMut(Side, &str, Duration),
    ) -> Result<Box<S>, NoSession> {
        self.get(patience, tell)?;
        self.session.take().ok_or(NoSession::Stopped)
    }

    /// Puts back what was taken out.
    pub fn put_back(&mut self, session: Box<S>) {
        self.session = Some(session);
    }

    /// Books a fault: a dead connection is dropped. Tells whether it was one.
    pub fn note(&mut self, error: &StoreError) -> bool {
        let dead = !error.connection_is_good();
        if dead {
            self.compression = self.compression();
            self.session = None;
        }
        dead
    }

    /// Whether the session compresses, and why; of the last one, where there is none now.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        self.session.as_ref().map(|session| session.compression()).or(self.compression)
    }

    /// Folders that got an empty message, as [`Connect::take_emptied`] tells them.
    #[must_use]
    pub fn take_emptied(&self) -> Vec<WireName> {
        self.connector.take_emptied()
    }

    /// Ends the session in good order.
    pub fn close(&mut self) {
        if let Some(session) = self.session.take() {
            session.close();
        }
    }
}

/// Makes the first sessions of both sides at the same time, where there was none yet.
///
/// # Errors
///
/// As [`Held::get`], of the source before the destination.
pub fn begin_both<A: Look + ?Sized, B: Look + ?Sized>(
    source: &mut Held<A>,
    destination: &mut Held<B>,
    stop: &Stop,
) -> Result<(), NoSession> {
    if source.connected_once || destination.connected_once {
        return Ok(());
    }
    let (here, there) = thread::scope(|scope| {
        let here = scope.spawn(|| source.begin(stop));
        let there = destination.begin(stop);
        (here.join().unwrap_or_else(|panic| resume_unwind(panic)), there)
    });
    here.and(there)
}

/// Waits in small steps, so that a wish to stop is heard.
pub fn sleep(patience: &Patience<'_>, time: Duration) {
    let end = patience.clock.elapsed() + time;
    while !patience.stop.requested() {
        let left = end.saturating_sub(patience.clock.elapsed());
        if left.is_zero() {
            return;
        }
        patience.clock.sleep(left.min(Duration::from_millis(200)));
    }
}

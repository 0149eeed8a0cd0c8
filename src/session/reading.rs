//! Both ends of a run that only reads.

use std::time::Duration;

use crate::mail::Side;
use crate::session::clock::Stop;
use crate::session::held::{Held, NoSession, Patience, begin_both, sleep};
use crate::store::{Connect, Source, StoreError};

/// Both ends. Neither can be changed through these.
pub struct Ends {
    /// Where mail is read.
    pub source: Box<dyn Connect<dyn Source>>,
    /// Where it is to go, or went.
    pub destination: Box<dyn Connect<dyn Source>>,
}

/// Both sessions of a run that only reads, made when they are asked for.
pub struct Reading<'a> {
    source: Held<dyn Source>,
    destination: Held<dyn Source>,
    patience: Patience<'a>,
    retries: u32,
    /// A connection was lost over what is tried next.
    lost: bool,
    tell: &'a mut dyn FnMut(&str),
}

/// What goes wrong while something is read.
#[derive(Debug)]
pub enum Trouble<F> {
    /// One side's call failed; it may be worth another try.
    Store(Side, StoreError),
    /// The run ends.
    Fault(F),
}

impl<F: From<NoSession>> Trouble<F> {
    /// The fault that ends the run where nothing is tried again.
    pub fn into_fault(self) -> F {
        match self {
            Self::Store(side, error) => NoSession::Failed(side, error).into(),
            Self::Fault(fault) => fault,
        }
    }
}

impl<F: From<NoSession>> From<NoSession> for Trouble<F> {
    fn from(none: NoSession) -> Self {
        Self::Fault(none.into())
    }
}

/// Marks a fault with its side.
pub fn at<F>(side: Side) -> impl Fn(StoreError) -> Trouble<F> {
    move |error| Trouble::Store(side, error)
}

impl<'a> Reading<'a> {
    /// Sessions of these ends. A folder is tried again `retries` times after a lost connection.
    #[must_use]
    pub fn new(
        ends: Ends,
        patience: Patience<'a>,
        retries: u32,
        tell: &'a mut dyn FnMut(&str),
    ) -> Self {
        let (source, destination) = (Held::new(ends.source), Held::new(ends.destination));
        Self { source, destination, patience, retries, lost: false, tell }
    }

    /// Both sessions, made if need be.
    ///
    /// # Errors
    ///
    /// [`NoSession`] when a side cannot be had in this run.
    pub fn both(
        &mut self,
    ) -> Result<(&mut (dyn Source + 'static), &mut (dyn Source + 'static)), NoSession> {
        let mut tell = |side: Side, why: &str, after: Duration| {
            (self.tell)(&format!("{side}: {why}; connecting again in {} s", after.as_secs()));
        };
        begin_both(&mut self.source, &mut self.destination, self.patience.stop)?;
        let source = self.source.get(&self.patience, &mut tell)?;
        let destination = self.destination.get(&self.patience, &mut tell)?;
        Ok((source, destination))
    }

    /// Books a fault of a side by which something was cut short that is tried again by other means: as
    /// one of the tries that [`persist`] makes of it.
    ///
    /// # Errors
    ///
    /// The fault, where nothing is tried again.
    pub fn lose(&mut self, side: Side, error: StoreError) -> Result<(), NoSession> {
        match side {
            Side::Source => self.source.note(&error),
            Side::Destination => self.destination.note(&error),
        };
        self.lost = true;
        if self.retries == 0 { Err(NoSession::Failed(side, error)) } else { Ok(()) }
    }

    /// The wish to stop.
    #[must_use]
    pub const fn stop(&self) -> &'a Stop {
        self.patience.stop
    }

    /// Tells whether a signal asked to stop.
    #[must_use]
    pub fn is_to_stop(&self) -> bool {
        self.patience.stop.requested()
    }

    /// Ends both sessions in good order.
    pub fn close(&mut self) {
        self.source.close();
        self.destination.close();
    }
}

/// Tries again what a lost connection cut short; reading changes nothing, so it begins anew. The
/// sessions are a part of what tries.
///
/// # Errors
///
/// The fault of the last try.
pub fn persist<'a, R, T, F: From<NoSession>>(
    run: &mut R,
    reading: impl Fn(&mut R) -> &mut Reading<'a>,
    mut attempt: impl FnMut(&mut R) -> Result<T, Trouble<F>>,
) -> Result<T, F> {
    let mut tries = u32::from(std::mem::take(&mut reading(run).lost));
    loop {
        let (side, error) = match attempt(run) {
            Ok(done) => return Ok(done),
            Err(Trouble::Fault(fault)) => return Err(fault),
            Err(Trouble::Store(side, error)) => (side, error),
        };
        if matches!(error, StoreError::Stopped) {
            return Err(NoSession::Stopped.into());
        }
        let reading = reading(run);
        let dead = match side {
            Side::Source => reading.source.note(&error),
            Side::Destination => reading.destination.note(&error),
        };
        tries += 1;
        let patience = error.backoff().filter(|_| !dead);
        if !(dead || patience.is_some()) || tries > reading.retries {
            return Err(NoSession::Failed(side, error).into());
        }
        if let Some(time) = patience {
            sleep(&reading.patience, time);
        }
    }
}

//! Time, and the wish to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::mail::Timestamp;

/// The clock of a run: wall time for dates, and a clock that never steps for waits.
pub trait Clock: Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never steps.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn sleep(&self, time: Duration);
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
}

impl SystemClock {
    /// A clock whose elapsed time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(jiff::Timestamp::now().as_second())
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// Who wished that the run stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A signal.
    Signal,
    /// `limits.stop-after-bytes` is reached.
    Bytes,
    /// `limits.stop-after` is over.
    Deadline,
    /// The octets of a day are used up, and the run ends before the day does.
    Day,
}

impl Wish {
    const ALL: [Self; 4] = [Self::Signal, Self::Bytes, Self::Deadline, Self::Day];

    /// Not nought, which is no wish.
    const fn number(self) -> u8 {
        match self {
            Self::Signal => 1,
            Self::Bytes => 2,
            Self::Deadline => 3,
            Self::Day => 4,
        }
    }
}

/// The wish to stop after what is in flight. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Wishes it as somebody who sent a signal, which comes before any limit.
    pub fn request(&self) {
        self.0.store(Wish::Signal.number(), Ordering::SeqCst);
    }

    /// Wishes it for this reason, unless there is one already.
    pub fn request_for(&self, wish: Wish) {
        // What lost is not needed: the run stops either way.
        let _ = self.0.compare_exchange(0, wish.number(), Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Tells whether it was wished.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst) != 0
    }

    /// Who wished it.
    #[must_use]
    pub fn wish(&self) -> Option<Wish> {
        let number = self.0.load(Ordering::SeqCst);
        Wish::ALL.into_iter().find(|wish| wish.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_comes_before_any_limit_and_the_first_limit_before_the_others() {
        let stop = Stop::default();
        assert_eq!((stop.requested(), stop.wish()), (false, None));
        stop.request_for(Wish::Deadline);
        stop.request_for(Wish::Bytes);
        assert_eq!((stop.requested(), stop.wish()), (true, Some(Wish::Deadline)));
        stop.clone().request();
        stop.request_for(Wish::Day);
        assert_eq!(stop.wish(), Some(Wish::Signal));
    }
}

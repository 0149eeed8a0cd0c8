//! A clock that runs only when somebody waits, and a book in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::limit::day::{Book, Row, Taken};
use crate::limit::{Bounds, Gate, Limits, RunBounds, Slot};
use crate::mail::{Side, Timestamp};
use crate::session::{Clock, Stop};

/// A clock of a test; it begins at noon of a day.
#[derive(Debug, Default)]
pub(crate) struct Simulated(Mutex<Duration>);

impl Simulated {
    pub(crate) fn advance(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.elapsed().as_secs()).unwrap();
        Timestamp::from_seconds(20_000 * 86_400 + 43_200 + passed)
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}

/// A gate that limits nothing, and so many connections that have passed it.
pub(crate) fn crowded(connections: usize) -> (Gate, Vec<Slot>) {
    let clock = Arc::new(Simulated::default());
    let limits = Limits::new(RunBounds::default(), clock, Stop::default(), Box::new(|_| ()));
    let gate = limits.gate(Side::Destination, ("new.example", "ann"), &Bounds::default(), None);
    let slots = (0..connections).map(|_| gate.admit().unwrap()).collect();
    (gate, slots)
}

/// A book with one row, which several days may share.
pub(crate) struct MemoryBook(pub(crate) Arc<Mutex<Option<Row>>>);

impl Book for MemoryBook {
    fn take(&mut self, today: i64, wanted: u64, most: u64) -> Result<Taken, String> {
        let mut row = self.0.lock().unwrap();
        let (next, taken) = Row::take(*row, today, wanted, most);
        *row = Some(next);
        Ok(taken)
    }

    fn give_back(&mut self, day: i64, octets: u64) {
        if let Some(row) = &mut *self.0.lock().unwrap()
            && row.day == day
        {
            row.used = row.used.saturating_sub(octets);
        }
    }
}

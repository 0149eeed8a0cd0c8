//! Octets of a day: counted where they survive the run, by days of UTC.

use std::fmt;
use std::time::Duration;

use crate::mail::Timestamp;

const SECONDS_OF_DAY: i64 = 86_400;

/// What is taken out of the book at once: a process that is killed leaves at most this much unused.
const LEASE_MAX: u64 = 4 << 20;

/// Nothing new is begun when less than this is left, or than a sixteenth of the day: what is in flight
/// needs it.
const RESERVE_MAX: u64 = 32 << 20;

/// What a book hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Octets that may pass; never more than were wanted.
    pub granted: u64,
    /// What is left of the day after that.
    pub left: u64,
    /// The day that they are of, in days since 1970.
    pub day: i64,
}

/// What a book holds of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The day that `used` counts for, in days since 1970.
    pub day: i64,
    /// The latest day ever seen.
    pub latest: i64,
    /// Octets that passed, or are leased.
    pub used: u64,
}

impl Row {
    /// The rule of every book: what is handed out of a day's `most`, and what the row becomes.
    ///
    /// A later day begins at nought. A clock that was put back, and one that is put right again after
    /// that, begins no day: up to a day back the day in the book goes on; further back, and forth
    /// again by more than a day, what was used counts for the day that the clock has now.
    #[must_use]
    pub fn take(row: Option<Self>, today: i64, wanted: u64, most: u64) -> (Self, Taken) {
        let mut row = match row {
            None => Self { day: today, latest: today, used: 0 },
            Some(row) if today > row.latest || today == row.day.saturating_add(1) => {
                Self { day: today, latest: today.max(row.latest), used: 0 }
            }
            Some(row) if today == row.day.saturating_sub(1) => row,
            Some(row) => Self { day: today, ..row },
        };
        let granted = most.saturating_sub(row.used).min(wanted);
        row.used = row.used.saturating_add(granted);
        let taken = Taken { granted, left: most.saturating_sub(row.used), day: row.day };
        (row, taken)
    }
}

/// Where the octets of an account's day are counted, for all processes together.
pub trait Book: Send {
    /// Takes up to `wanted` octets out of the `most` of a day, durably, by [`Row::take`].
    ///
    /// # Errors
    ///
    /// A text for people where it cannot be written; nothing may pass then.
    fn take(&mut self, today: i64, wanted: u64, most: u64) -> Result<Taken, String>;

    /// Puts back octets of this day that did not pass. A book that fails counts them as passed.
    fn give_back(&mut self, day: i64, octets: u64);
}

/// Why no octet may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// The day is used up.
    UsedUp,
    /// It cannot be counted.
    Uncounted(String),
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub wall: Timestamp,
    pub elapsed: Duration,
}

/// The octets of an account's day, as far as this process has a lease of them.
pub struct Day {
    most: u64,
    book: Box<dyn Book>,
    began: Now,
    /// Taken out of the book and not passed.
    lease: u64,
    /// What the book had left when it was last asked; nothing before that.
    left: Option<u64>,
    /// The day of the lease, since 1970.
    of: i64,
}

impl fmt::Debug for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Day")
            .field("most", &self.most)
            .field("lease", &self.lease)
            .field("of", &self.of)
            .finish_non_exhaustive()
    }
}

impl Day {
    /// At most so many octets a day, counted in `book`. `wall` and `elapsed` are both clocks now.
    #[must_use]
    pub fn new(most: u64, book: Box<dyn Book>, wall: Timestamp, elapsed: Duration) -> Self {
        let began = Now { wall, elapsed };
        Self { most, book, began, lease: 0, left: None, of: i64::MIN }
    }

    /// The wall time that is believed: it does not step back within a run, and steps ahead by at most
    /// a day (a machine that slept).
    fn believed(&self, now: Now) -> i64 {
        let passed = now.elapsed.saturating_sub(self.began.elapsed).as_secs();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let reckoned = self.began.wall.seconds().saturating_add(passed);
        now.wall.seconds().clamp(reckoned, reckoned.saturating_add(SECONDS_OF_DAY))
    }

    fn today(&self, now: Now) -> i64 {
        self.believed(now).div_euclid(SECONDS_OF_DAY)
    }

    /// Takes up to `wanted` octets, at least one.
    pub(super) fn take(&mut self, wanted: u64, now: Now) -> Result<u64, Shut> {
        if self.lease == 0 || self.today(now) > self.of {
            let lease = (self.most / 64).clamp(1, LEASE_MAX).max(wanted);
            self.lease = 0;
            self.ask(lease, now)?;
        }
        let granted = self.lease.min(wanted);
        if granted == 0 && wanted > 0 {
            return Err(Shut::UsedUp);
        }
        self.lease -= granted;
        Ok(granted)
    }

    fn ask(&mut self, wanted: u64, now: Now) -> Result<(), Shut> {
        let today = self.today(now);
        let taken = self.book.take(today, wanted, self.most).map_err(Shut::Uncounted)?;
        self.lease = taken.granted;
        self.left = Some(taken.left);
        self.of = taken.day;
        Ok(())
    }

    /// Puts back what was taken and did not pass.
    pub(super) fn give_back(&mut self, octets: u64) {
        self.lease = self.lease.saturating_add(octets);
    }

    /// Tells whether anything new may be begun.
    pub(super) fn is_open(&mut self, now: Now) -> Result<bool, Shut> {
        if self.left.is_none() || self.today(now) > self.of {
            self.lease = 0;
            self.ask(0, now)?;
        }
        let left = self.left.unwrap_or(0).saturating_add(self.lease);
        Ok(left >= (self.most / 16).clamp(1, RESERVE_MAX))
    }

    /// How long until the day is over that is used up.
    pub(super) fn ends_in(&self, now: Now) -> Duration {
        let end = self.of.saturating_add(1).saturating_mul(SECONDS_OF_DAY);
        let seconds = end.saturating_sub(self.believed(now));
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
    }
}

impl Drop for Day {
    fn drop(&mut self) {
        if self.lease > 0 {
            self.book.give_back(self.of, self.lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::limit::simulated::MemoryBook;

    const NOON: i64 = 20_000 * SECONDS_OF_DAY + SECONDS_OF_DAY / 2;

    const fn at(wall: i64, elapsed: u64) -> Now {
        Now { wall: Timestamp::from_seconds(wall), elapsed: Duration::from_secs(elapsed) }
    }

    fn day(most: u64, row: &Arc<Mutex<Option<Row>>>, now: Now) -> Day {
        Day::new(most, Box::new(MemoryBook(Arc::clone(row))), now.wall, now.elapsed)
    }

    /// Takes until nothing is left.
    fn drain(day: &mut Day, now: Now) -> u64 {
        let mut sum = 0;
        while let Ok(octets) = day.take(700, now) {
            sum += octets;
        }
        sum
    }

    #[test]
    fn a_day_is_used_up_to_the_octet_and_over_at_midnight() {
        let row = Arc::default();
        let noon = at(NOON, 0);
        let mut today = day(100_000, &row, noon);
        assert_eq!(today.is_open(noon), Ok(true));
        assert_eq!(drain(&mut today, noon), 100_000);
        assert_eq!(today.take(1, noon), Err(Shut::UsedUp));
        assert_eq!(today.is_open(noon), Ok(false));
        assert_eq!(today.ends_in(noon), Duration::from_hours(12));
        let midnight = at(NOON + 43_200, 43_200);
        assert_eq!(today.is_open(midnight), Ok(true));
        assert_eq!(drain(&mut today, midnight), 100_000);
    }

    #[test]
    fn two_processes_and_a_restart_share_one_day() {
        let row = Arc::default();
        let noon = at(NOON, 0);
        let (mut one, mut other) = (day(100_000, &row, noon), day(100_000, &row, noon));
        assert_eq!(one.take(500, noon), Ok(500));
        let rest = drain(&mut other, noon);
        drop(other);
        drop(one);
        assert_eq!(row.lock().unwrap().map(|row| row.used), Some(500 + rest));
        let mut next = day(100_000, &row, at(NOON + 60, 7));
        assert_eq!(drain(&mut next, at(NOON + 60, 7)), 100_000 - 500 - rest);
    }

    #[test]
    fn nothing_new_begins_when_what_is_in_flight_may_need_the_rest() {
        let noon = at(NOON, 0);
        let mut today = day(160_000, &Arc::default(), noon);
        let mut taken = 0;
        while today.is_open(noon) == Ok(true) {
            taken += today.take(1_000, noon).unwrap();
        }
        assert_eq!(taken, 151_000);
        assert_eq!(drain(&mut today, noon), 9_000);
    }

    #[test]
    fn a_clock_that_was_put_back_begins_no_day() {
        let row = Arc::default();
        let noon = at(NOON, 0);
        assert_eq!(drain(&mut day(9_000, &row, noon), noon), 9_000);
        for back in [60, SECONDS_OF_DAY, 5 * SECONDS_OF_DAY, 4_000 * SECONDS_OF_DAY] {
            let then = at(NOON - back, 0);
            assert_eq!(drain(&mut day(9_000, &row, then), then), 0, "{back} s back");
            let day = NOON / SECONDS_OF_DAY;
            *row.lock().unwrap() = Some(Row { day, latest: day, used: 9_000 });
        }
        // Within a run, a step is no day at all in either direction.
        let mut today = day(9_000, &row, noon);
        assert_eq!(today.take(1, at(NOON - 400 * SECONDS_OF_DAY, 5)), Err(Shut::UsedUp));
        assert_eq!(today.today(at(NOON + 400 * SECONDS_OF_DAY, 5)), 20_001);
    }

    #[test]
    fn a_clock_put_far_back_is_not_waited_for_until_the_old_day_comes_again() {
        let row = Arc::new(Mutex::new(Some(Row { day: 30_000, latest: 30_000, used: 9_000 })));
        let noon = at(NOON, 0);
        let mut today = day(9_000, &row, noon);
        assert_eq!(drain(&mut today, noon), 0);
        assert_eq!(today.ends_in(noon), Duration::from_hours(12));
    }

    #[test]
    fn what_cannot_be_counted_does_not_pass() {
        struct Full;

        impl Book for Full {
            fn take(&mut self, _: i64, _: u64, _: u64) -> Result<Taken, String> {
                Err("the disk is full".to_owned())
            }

            fn give_back(&mut self, _: i64, _: u64) {}
        }

        let noon = at(NOON, 0);
        let mut today = Day::new(9_000, Box::new(Full), noon.wall, noon.elapsed);
        let shut = Shut::Uncounted("the disk is full".to_owned());
        assert_eq!(today.take(1, noon), Err(shut.clone()));
        assert_eq!(today.is_open(noon), Err(shut));
    }

    proptest! {
        #[test]
        fn a_clock_that_jumps_back_and_forth_gets_one_day_and_no_more(
            most in 1_u64..10_000,
            steps in proptest::collection::vec((0_i64..50, 0_u64..3_000), 1..40),
        ) {
            let (mut row, first) = Row::take(None, 100, 1, most);
            let mut sum = first.granted;
            for (back, wanted) in steps {
                // A step of one day forth is how days pass.
                if 100 - back == row.day + 1 {
                    continue;
                }
                let (next, taken) = Row::take(Some(row), 100 - back, wanted, most);
                row = next;
                sum += taken.granted;
                prop_assert!(sum <= most, "{sum} of {most}");
                prop_assert_eq!(taken.left, most - next.used);
            }
        }
    }

    #[test]
    fn days_pass_also_on_a_clock_that_was_put_right() {
        let row = Row { day: 30_000, latest: 30_000, used: 90 };
        let (row, taken) = Row::take(Some(row), 20_000, 50, 90);
        assert_eq!((taken.granted, taken.day), (0, 20_000));
        let (row, taken) = Row::take(Some(row), 20_001, 50, 90);
        assert_eq!((taken.granted, row.latest), (50, 30_000));
    }
}

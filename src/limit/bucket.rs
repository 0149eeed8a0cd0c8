//! A token bucket over a clock that is handed in.

use std::time::Duration;

/// Units of one token: a rate in thousandths, over nanoseconds, comes out even.
const UNITS: u128 = 1_000_000_000_000;

/// So many a second, in thousandths; never nought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// So many thousandths of one a second; nought becomes one thousandth.
    #[must_use]
    pub const fn of_thousandths(thousandths: u64) -> Self {
        Self(if thousandths == 0 { 1 } else { thousandths })
    }

    /// So many a second.
    #[must_use]
    pub const fn per_second(count: u64) -> Self {
        Self::of_thousandths(count.saturating_mul(1_000))
    }

    /// How many thousandths a second it is.
    #[must_use]
    pub const fn thousandths(self) -> u64 {
        self.0
    }

    /// How many pass within so many milliseconds.
    #[must_use]
    pub fn within_millis(self, millis: u64) -> u64 {
        let many = u128::from(self.0) * u128::from(millis) / 1_000_000;
        u64::try_from(many).unwrap_or(u64::MAX)
    }
}

/// Tokens that come back at a rate, up to a burst. Full in the beginning.
///
/// Whatever is taken between two moments is at most the rate for the time between them and one burst.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    burst: u64,
    /// In units.
    level: u128,
    /// When `level` was right.
    at: Duration,
}

impl Bucket {
    /// A full bucket; a burst of nought becomes one.
    #[must_use]
    pub fn new(rate: Rate, burst: u64) -> Self {
        let burst = burst.max(1);
        Self { rate, burst, level: u128::from(burst) * UNITS, at: Duration::ZERO }
    }

    /// The most that can be taken at once.
    #[must_use]
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// How fast tokens come back.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes so many at `now`; of more than the burst, the burst.
    ///
    /// # Errors
    ///
    /// How long until there are so many, if nobody else takes any. Nothing was taken.
    pub fn take(&mut self, tokens: u64, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let wanted = u128::from(tokens.min(self.burst)) * UNITS;
        match self.level.checked_sub(wanted) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err(self.time_for(wanted - self.level)),
        }
    }

    /// Puts back what was taken and not used.
    pub fn give_back(&mut self, tokens: u64) {
        let level = self.level.saturating_add(u128::from(tokens) * UNITS);
        self.level = level.min(self.full());
    }

    const fn full(&self) -> u128 {
        self.burst as u128 * UNITS
    }

    fn fill(&mut self, now: Duration) {
        // A clock of threads that look at different times may seem to go back.
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let come = passed.as_nanos().saturating_mul(u128::from(self.rate.0));
        self.level = self.level.saturating_add(come).min(self.full());
    }

    fn time_for(&self, units: u128) -> Duration {
        let nanos = units.div_ceil(u128::from(self.rate.0));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was taken, and when, by somebody who asks for these amounts after these pauses.
    fn taken(bucket: &mut Bucket, asked: &[(u64, u64)]) -> Vec<(Duration, u64)> {
        let mut now = Duration::ZERO;
        let mut taken = Vec::new();
        for &(pause, tokens) in asked {
            now += Duration::from_micros(pause);
            while let Err(wait) = bucket.take(tokens, now) {
                now += wait;
            }
            taken.push((now, tokens.min(bucket.burst())));
        }
        taken
    }

    /// Most that the rate lets pass in this time, in thousandths of nanoseconds, without the burst.
    fn allowed(rate: Rate, time: Duration) -> u128 {
        time.as_nanos() * u128::from(rate.thousandths())
    }

    proptest! {
        #[test]
        fn no_window_of_time_exceeds_rate_and_burst(
            thousandths in 1_u64..5_000_000,
            burst in 1_u64..100_000,
            asked in proptest::collection::vec((0_u64..2_000_000, 1_u64..200_000), 1..60),
        ) {
            let rate = Rate::of_thousandths(thousandths);
            let taken = taken(&mut Bucket::new(rate, burst), &asked);
            for (from, (began, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (at, tokens) in &taken[from..] {
                    sum += u128::from(*tokens) * UNITS;
                    let time = at.saturating_sub(*began);
                    let most = allowed(rate, time) + u128::from(burst) * UNITS;
                    prop_assert!(sum <= most, "{sum} of {most} in {time:?}");
                }
            }
        }

        #[test]
        fn whoever_always_asks_gets_all_that_is_allowed(
            thousandths in 1_u64..5_000_000,
            burst in 1_u64..100_000,
            asked in proptest::collection::vec(1_u64..200_000, 2..60),
        ) {
            let rate = Rate::of_thousandths(thousandths);
            let asked: Vec<(u64, u64)> = asked.into_iter().map(|tokens| (0, tokens)).collect();
            let taken = taken(&mut Bucket::new(rate, burst), &asked);
            let sum: u128 = taken.iter().map(|(_, tokens)| u128::from(*tokens) * UNITS).sum();
            let last = taken.last().map_or(Duration::ZERO, |(at, _)| *at);
            // Each wait is rounded up to a nanosecond, and to nothing more.
            let slack = Duration::from_nanos(u64::try_from(taken.len()).unwrap());
            let due = sum.saturating_sub(u128::from(burst) * UNITS);
            prop_assert!(allowed(rate, last.saturating_sub(slack)) <= due, "{last:?} for {due}");
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_and_never_makes_more_than_a_burst() {
        let mut bucket = Bucket::new(Rate::per_second(10), 100);
        assert_eq!(bucket.take(100, Duration::ZERO), Ok(()));
        bucket.give_back(60);
        assert_eq!(bucket.take(60, Duration::ZERO), Ok(()));
        assert_eq!(bucket.take(10, Duration::ZERO), Err(Duration::from_secs(1)));
        bucket.give_back(u64::MAX);
        assert_eq!(bucket.take(100, Duration::ZERO), Ok(()));
        assert!(bucket.take(1, Duration::ZERO).is_err());
    }

    #[test]
    fn extremes_neither_overflow_nor_stand_still() {
        let mut bucket = Bucket::new(Rate::per_second(u64::MAX), u64::MAX);
        assert_eq!(bucket.take(u64::MAX, Duration::MAX), Ok(()));
        let mut bucket = Bucket::new(Rate::of_thousandths(0), 0);
        assert_eq!(bucket.take(5, Duration::ZERO), Ok(()));
        assert_eq!(bucket.take(1, Duration::ZERO), Err(Duration::from_secs(1_000)));
        assert_eq!(Rate::of_thousandths(500).within_millis(4_000), 2);
    }
}

//! Logins of a minute, all connections to one host together.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limit::bucket::Rate;

const MINUTE: Duration = Duration::from_mins(1);

/// The times of the last logins. In no span of a minute are there more than allowed; a fraction below
/// one makes the span longer, one above it is cut off.
#[derive(Clone, Debug)]
pub(super) struct Logins {
    most: usize,
    within: Duration,
    last: VecDeque<Duration>,
}

impl Logins {
    /// So many a minute: the rate's unit is the minute here.
    pub(super) fn new(per_minute: Rate) -> Self {
        let thousandths = per_minute.thousandths();
        let (most, within) = if thousandths >= 1_000 {
            (usize::try_from(thousandths / 1_000).unwrap_or(usize::MAX), MINUTE)
        } else {
            (1, Duration::from_millis(60_000_000_u64.div_ceil(thousandths)))
        };
        Self { most, within, last: VecDeque::new() }
    }

    /// Books a login at `now`.
    ///
    /// # Errors
    ///
    /// How long until there may be one. Nothing was booked.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        while self.last.front().is_some_and(|&at| at + self.within <= now) {
            self.last.pop_front();
        }
        match self.last.front() {
            Some(&first) if self.last.len() >= self.most => {
                Err((first + self.within).saturating_sub(now))
            }
            _ => {
                self.last.push_back(now);
                Ok(())
            }
        }
    }

    /// The stricter of this limit and another one of the same host.
    pub(super) fn tighten(&mut self, per_minute: Rate) {
        let other = Self::new(per_minute);
        self.most = self.most.min(other.most);
        self.within = self.within.max(other.within);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_has_more_logins_than_allowed(
            thousandths in 1_u64..20_000,
            pauses in proptest::collection::vec(0_u64..90_000, 1..60),
        ) {
            let mut logins = Logins::new(Rate::of_thousandths(thousandths));
            let (mut now, mut all) = (Duration::ZERO, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                while let Err(wait) = logins.take(now) {
                    prop_assert!(!wait.is_zero());
                    now += wait;
                }
                all.push(now);
            }
            let most = usize::try_from(thousandths.div_ceil(1_000)).unwrap();
            for &from in &all {
                let within = |at: &&Duration| **at >= from && **at < from + MINUTE;
                prop_assert!(all.iter().filter(within).count() <= most);
            }
        }
    }

    #[test]
    fn half_a_login_a_minute_is_one_in_two_minutes() {
        let mut logins = Logins::new(Rate::of_thousandths(500));
        assert_eq!(logins.take(Duration::ZERO), Ok(()));
        assert_eq!(logins.take(MINUTE), Err(MINUTE));
        assert_eq!(logins.take(MINUTE * 2), Ok(()));
    }
}

//! Wiring: the limits of the manifest, gates for both ends, and the end of a run by the clock.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::failed::Failed;
use crate::cli::pair;
use crate::cli::signals::Interrupts;
use crate::cli::validate;
use crate::limit::{Bounds, Day, Gate, Limits, Rate, RunBounds, SharedClock, Tell, Wait};
use crate::mail::Side;
use crate::manifest::model;
use crate::report::model::ApplyEvent;
use crate::report::{ProgressLines, Screen};
use crate::resolve::{Endpoint, Migration};
use crate::session::{Clock as _, Stop, SystemClock, Wish};
use crate::state::DayCounts;

/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The limits of a migration, whose waits are told on stderr, and the gate of each end.
pub(super) struct Gates {
    pub limits: Limits,
    pub source: Gate,
    pub destination: Gate,
}

/// Makes the gates of both ends.
pub(super) fn gates(
    migration: &Migration,
    interrupts: &Interrupts,
    screen: Screen,
) -> Result<Gates, Failed> {
    let clock = Arc::new(SystemClock::new());
    let deadline = interrupts
        .deadline()
        .map(|deadline| clock.elapsed() + deadline.saturating_duration_since(Instant::now()));
    let bounds = RunBounds {
        octets_per_second: migration.limits.octets_per_second,
        stop_after_octets: migration.limits.stop_after_octets,
        deadline,
    };
    let shared: SharedClock = clock;
    let stop = interrupts.stop.clone();
    let limits = Limits::new(bounds, Arc::clone(&shared), stop, teller(screen, &shared));
    Ok(Gates {
        source: gate(&limits, &shared, Side::Source, &migration.source, migration)?,
        destination: gate(&limits, &shared, Side::Destination, &migration.destination, migration)?,
        limits,
    })
}

fn gate(
    limits: &Limits,
    clock: &SharedClock,
    side: Side,
    end: &Endpoint,
    migration: &Migration,
) -> Result<Gate, Failed> {
    let given = &end.limits;
    let day = match given.octets_per_day {
        None => None,
        Some(most) => {
            let counts = DayCounts::open(&migration.state_dir, &end.host, &end.user)
                .map_err(|fault| Failed::from(pair::state_problem(&fault)))?;
            Some(Day::new(most, Box::new(counts), clock.now(), clock.elapsed()))
        }
    };
    let rate = |rate: model::Rate| Rate::of_thousandths(rate.thousandths());
    let bounds = Bounds {
        connections: given.connections,
        total_connections: given.total_connections,
        logins_per_minute: given.logins_per_minute.map(rate),
        messages_per_second: given.messages_per_second.map(rate),
        octets_per_second: given.octets_per_second,
        burst: given.burst,
    };
    Ok(limits.gate(side, (&end.host, &end.user), &bounds, day))
}

/// Tells waits as lines of progress.
fn teller(screen: Screen, clock: &SharedClock) -> Tell {
    let lines = Mutex::new(ProgressLines::new(io::stderr(), screen));
    let clock = Arc::clone(clock);
    Box::new(move |wait: &Wait| {
        let why = wait.to_string();
        let event = match wait.time {
            Some(time) => ApplyEvent::Waiting { seconds: time.as_secs().max(1), why: &why },
            None => ApplyEvent::Note(&why),
        };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing can be done about a closed stderr, and nothing hangs on it.
        let _ = lines.tell(validate::now(), clock.elapsed().as_secs(), &event);
    })
}

/// Wishes at this moment that the run stop, unless it has ended by then.
pub(super) fn stop_at(deadline: Instant, stop: Stop) {
    thread::spawn(move || {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                stop.request_for(Wish::Deadline);
                return;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
    });
}

/// What ended a run that ended at a limit, for people.
pub(super) const fn told(wish: Wish) -> Option<&'static str> {
    match wish {
        Wish::Signal => None,
        Wish::Bytes => Some("stop-after-bytes of the manifest is reached"),
        Wish::Deadline => Some("stop-after of the manifest is over"),
        Wish::Day => {
            Some("bytes-per-day of the manifest is used up, and the day ends after stop-after")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_stopped_at_its_deadline_and_not_before() {
        let stop = Stop::default();
        let began = Instant::now();
        let time = Duration::from_millis(300);
        stop_at(began + time, stop.clone());
        while !stop.requested() {
            thread::sleep(Duration::from_millis(1));
            assert!(began.elapsed() < Duration::from_secs(30), "never");
        }
        assert!(began.elapsed() >= time);
        assert_eq!(stop.wish(), Some(Wish::Deadline));
    }
}

//! What all connections of a run share: the clock, the wish to stop, a rate, and who is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limit::bucket::{Bucket, Rate};
use crate::limit::day::{Day, Now};
use crate::limit::gate::{Bounds, Gate, WeakGate};
use crate::limit::host::Host;
use crate::mail::Side;
use crate::session::{Clock, Stop, Wish};

/// Longest sleep without a look at whether to stop.
const STEP: Duration = Duration::from_millis(200);

/// A clock that all threads of a run share.
pub type SharedClock = Arc<dyn Clock + Send + Sync>;

/// Takes waits that are worth telling.
pub type Tell = Box<dyn Fn(&Wait) + Send + Sync>;

/// What the run allows itself, all servers together. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunBounds {
    /// Octets a second, both directions of all connections.
    pub octets_per_second: Option<u64>,
    /// The run ends cleanly when bodies of so many octets were handed to the destination.
    pub stop_after_octets: Option<u64>,
    /// When the run is to end, on its clock. Somebody else watches it; here it says whether a wait for
    /// the next day is worth while.
    pub deadline: Option<Duration>,
}

/// Why somebody waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server asked for it, in these words.
    Server(String),
    /// `limits.messages-per-second`.
    Messages,
    /// `limits.logins-per-minute`.
    Logins,
    /// `limits.connections` or `limits.total-connections`.
    Connections,
    /// `limits.bytes-per-day`.
    Day,
}

/// A wait that is worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Which side is waited for.
    pub side: Side,
    /// Why.
    pub why: Why,
    /// How long; for a connection to become free nobody knows.
    pub time: Option<Duration>,
}

impl fmt::Display for Wait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.side;
        match &self.why {
            Why::Server(said) => write!(formatter, "the {side} asked for it ({said})"),
            Why::Messages => write!(formatter, "messages-per-second of the {side}"),
            Why::Logins => write!(formatter, "logins-per-minute of the {side}"),
            Why::Connections => write!(formatter, "all connections of the {side} are in use"),
            Why::Day => write!(formatter, "bytes-per-day of the {side} is used up"),
        }
    }
}

/// Time that was waited, summed over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Because the source asked for it.
    pub source: Duration,
    /// Because the destination asked for it.
    pub destination: Duration,
    /// At limits of the manifest.
    pub limits: Duration,
}

/// A side, the host's name and the user's.
type Endpoint = (Side, String, String);

/// The limits of a run. Cloning shares them.
#[derive(Clone)]
pub struct Limits(pub(super) Arc<Run>);

pub(super) struct Run {
    pub clock: SharedClock,
    pub stop: Stop,
    tell: Tell,
    octets: Option<Mutex<Bucket>>,
    stop_after_octets: Option<u64>,
    deadline: Option<Duration>,
    bodies: Mutex<u64>,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    gates: Mutex<BTreeMap<Endpoint, WeakGate>>,
    waited: Mutex<Waited>,
}

impl Limits {
    /// Limits of a run that has not begun.
    #[must_use]
    pub fn new(bounds: RunBounds, clock: SharedClock, stop: Stop, tell: Tell) -> Self {
        let octets = bounds
            .octets_per_second
            .map(|octets| Mutex::new(Bucket::new(Rate::per_second(octets), octets)));
        Self(Arc::new(Run {
            clock,
            stop,
            tell,
            octets,
            stop_after_octets: bounds.stop_after_octets,
            deadline: bounds.deadline,
            bodies: Mutex::new(0),
            hosts: Mutex::default(),
            gates: Mutex::default(),
            waited: Mutex::default(),
        }))
    }

    /// The gate of one user's account at one host: the same one for all pairs that have it on this side,
    /// with what was said of it first. Connections in total and logins are counted together for all
    /// accounts at a host of this name.
    #[must_use]
    pub fn gate(
        &self,
        side: Side,
        (host, user): (&str, &str),
        bounds: &Bounds,
        day: Option<Day>,
    ) -> Gate {
        let name = host.to_ascii_lowercase();
        let host = Arc::clone(lock(&self.0.hosts).entry(name.clone()).or_default());
        host.limit(bounds.total_connections, bounds.logins_per_minute);
        let mut gates = lock(&self.0.gates);
        let endpoint = (side, name, user.to_owned());
        if let Some(gate) = gates.get(&endpoint).and_then(WeakGate::upgrade) {
            return gate;
        }
        let gate = Gate::new(Arc::clone(&self.0), side, host, bounds, day);
        gates.insert(endpoint, gate.downgrade());
        gate
    }

    /// How long was waited so far.
    #[must_use]
    pub fn waited(&self) -> Waited {
        *lock(&self.0.waited)
    }
}

impl Run {
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: self.clock.now(), elapsed: self.clock.elapsed() }
    }

    pub(super) const fn octets(&self) -> Option<&Mutex<Bucket>> {
        self.octets.as_ref()
    }

    pub(super) fn tell(&self, side: Side, why: Why, time: Option<Duration>) {
        (self.tell)(&Wait { side, why, time });
    }

    /// Waits; false if a wish to stop ended it.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let end = self.elapsed() + time;
        while !self.stop.requested() {
            let left = end.saturating_sub(self.elapsed());
            if left.is_zero() {
                return true;
            }
            self.clock.sleep(left.min(STEP));
        }
        false
    }

    /// Books a wait.
    pub(super) fn waited(&self, time: Duration, server: Option<Side>) {
        let mut waited = lock(&self.waited);
        let sum = match server {
            Some(Side::Source) => &mut waited.source,
            Some(Side::Destination) => &mut waited.destination,
            None => &mut waited.limits,
        };
        *sum += time;
    }

    /// Books a body that is handed to the destination.
    pub(super) fn body(&self, octets: u64) {
        let Some(most) = self.stop_after_octets else { return };
        let mut bodies = lock(&self.bodies);
        *bodies = bodies.saturating_add(octets);
        if *bodies >= most {
            self.stop.request_for(Wish::Bytes);
        }
    }

    /// Tells whether the run ends before so much time is over.
    pub(super) fn ends_within(&self, time: Duration) -> bool {
        self.deadline.is_some_and(|deadline| self.elapsed() + time >= deadline)
    }
}

/// Locks; what is counted is sound whoever panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The gate of one account at one server, which all connections to it pass.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::limit::bucket::{Bucket, Rate};
use crate::limit::day::{Day, Shut};
use crate::limit::host::Host;
use crate::limit::run::{Run, Why, lock};
use crate::mail::Side;
use crate::session::Wish;

/// Waits of this length and more are told.
const TOLD: Duration = Duration::from_secs(2);

/// How often a free connection, or a day that has octets again, is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A day that ends within this time is waited for with the connection open.
const KEPT_OPEN: Duration = Duration::from_mins(5);

/// How much of a rate passes at once, in milliseconds: several connections take turns.
const PIECE_MILLIS: u64 = 50;

/// Smaller pieces cost more than they even out.
const PIECE_MIN: u64 = 1_400;

/// Messages that may pass at once, in milliseconds of their rate, at least one.
const MESSAGES_MILLIS: u64 = 100;

/// What a server says when it ends a connection, in octets of a day: a BYE and the answer to LOGOUT,
/// under TLS.
const PARTING: u64 = 256;

/// How hard one account at one server may be pressed. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at once of this account.
    pub connections: Option<u16>,
    /// Connections at once of all accounts at the host.
    pub total_connections: Option<u32>,
    /// Logins of all accounts at the host; the unit of the rate is the minute.
    pub logins_per_minute: Option<Rate>,
    /// Messages fetched or appended a second.
    pub messages_per_second: Option<Rate>,
    /// Octets a second, both directions.
    pub octets_per_second: Option<u64>,
    /// Octets that may pass at once; one second's worth where it is absent.
    pub burst: Option<u64>,
}

/// Why somebody was not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The run is to stop.
    Stopped,
    /// Not on this connection: the day is used up, or cannot be counted.
    Day(String),
}

/// Whether the next message may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Yes, and it is booked.
    Go,
    /// Not yet; only where nobody wants to wait.
    NotYet,
    /// No more: the run is to stop.
    Stopped,
    /// No more on this connection: the day is used up.
    Over,
}

/// The gate of one account at one server. Cloning shares it.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    run: Arc<Run>,
    side: Side,
    host: Arc<Host>,
    connections: Option<u16>,
    open: Mutex<u16>,
    /// Unanswered messages that connections have beyond their own share.
    lent: AtomicUsize,
    messages: Option<Mutex<Bucket>>,
    octets: Option<Mutex<Bucket>>,
    day: Option<Mutex<Day>>,
    pause: Mutex<Pause>,
    /// Waits for the rate of messages were told.
    told_messages: Mutex<bool>,
}

/// What the server asked for last.
#[derive(Default)]
struct Pause {
    /// Up to here its time is booked.
    counted: Duration,
    until: Duration,
    said: String,
    told: bool,
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").field("side", &self.0.side).finish_non_exhaustive()
    }
}

/// A gate as its run remembers it, which it does not keep alive.
pub(super) struct WeakGate(Weak<Inner>);

impl WeakGate {
    pub(super) fn upgrade(&self) -> Option<Gate> {
        self.0.upgrade().map(Gate)
    }
}

/// A connection that is counted until this is dropped.
pub struct Slot(Gate);

impl Drop for Slot {
    fn drop(&mut self) {
        let inner = &self.0.0;
        let mut open = lock(&inner.open);
        *open = open.saturating_sub(1);
        inner.host.put_connection();
    }
}

impl Gate {
    pub(super) fn new(
        run: Arc<Run>,
        side: Side,
        host: Arc<Host>,
        bounds: &Bounds,
        day: Option<Day>,
    ) -> Self {
        let messages = bounds
            .messages_per_second
            .map(|rate| Mutex::new(Bucket::new(rate, rate.within_millis(MESSAGES_MILLIS))));
        let octets = bounds.octets_per_second.map(|octets| {
            let burst = bounds.burst.unwrap_or(octets);
            Mutex::new(Bucket::new(Rate::per_second(octets), burst))
        });
        Self(Arc::new(Inner {
            run,
            side,
            host,
            connections: bounds.connections,
            open: Mutex::new(0),
            lent: AtomicUsize::new(0),
            messages,
            octets,
            day: day.map(Mutex::new),
            pause: Mutex::default(),
            told_messages: Mutex::new(false),
        }))
    }

    pub(super) fn downgrade(&self) -> WeakGate {
        WeakGate(Arc::downgrade(&self.0))
    }

    /// Connections at once of this account, where that is limited.
    #[must_use]
    pub fn connections(&self) -> Option<u16> {
        self.0.connections
    }

    /// Connections of this account that are open now.
    #[must_use]
    pub fn open(&self) -> u16 {
        *lock(&self.0.open)
    }

    /// Lends a connection room for so many more unanswered messages, if all connections of the account
    /// have at most `most` on loan then.
    #[must_use]
    pub fn lend_unanswered(&self, messages: usize, most: usize) -> bool {
        let lent = &self.0.lent;
        let more = |lent: usize| lent.checked_add(messages).filter(|&lent| lent <= most);
        lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Takes back what was lent.
    pub fn take_back_unanswered(&self, messages: usize) {
        self.0.lent.fetch_sub(messages, Ordering::Relaxed);
    }

    /// Tells whether the octets of a day are counted.
    #[must_use]
    pub fn counts_days(&self) -> bool {
        self.0.day.is_some()
    }

    /// The time on the run's clock.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.run.elapsed()
    }

    /// Waits until a connection may be made and logged in, and counts both.
    ///
    /// # Errors
    ///
    /// [`Halt`] where the run is to stop, or the day cannot be counted.
    pub fn admit(&self) -> Result<Slot, Halt> {
        let slot = self.slot()?;
        self.log_in_turn(slot)
    }

    /// The same for a connection beside one that is open: it does not wait for others to end, which may
    /// be waiting for it. Nothing where none is free.
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit).
    pub fn admit_beside(&self) -> Result<Option<Slot>, Halt> {
        self.free_slot().map(|slot| self.log_in_turn(slot)).transpose()
    }

    fn log_in_turn(&self, slot: Slot) -> Result<Slot, Halt> {
        loop {
            self.wait_for_pause()?;
            self.wait_for_day(None)?;
            let Err(wait) = self.0.host.take_login(self.elapsed()) else { return Ok(slot) };
            self.sleep(wait, Why::Logins)?;
        }
    }

    fn slot(&self) -> Result<Slot, Halt> {
        let began = self.elapsed();
        let mut told = false;
        loop {
            if let Some(slot) = self.free_slot() {
                if told {
                    self.0.run.waited(self.elapsed().saturating_sub(began), None);
                }
                return Ok(slot);
            }
            if !told {
                told = true;
                self.0.run.tell(self.0.side, Why::Connections, None);
            }
            if !self.0.run.sleep(LOOK_EVERY) {
                return Err(Halt::Stopped);
            }
        }
    }

    fn free_slot(&self) -> Option<Slot> {
        let mut open = lock(&self.0.open);
        let free = self.0.connections.is_none_or(|most| *open < most.max(1));
        if !free || !self.0.host.take_connection() {
            return None;
        }
        *open = open.saturating_add(1);
        Some(Slot(self.clone()))
    }

    /// Waits before a command, as long as the server has asked for.
    ///
    /// # Errors
    ///
    /// [`Halt`] where the run is to stop, or the day is used up for longer than a connection is worth
    /// keeping.
    pub fn before_command(&self) -> Result<(), Halt> {
        self.wait_for_pause()?;
        self.wait_for_day(Some(KEPT_OPEN))
    }

    /// Books that the server asked for patience, in words for people: every connection to it waits so
    /// long before its next command.
    pub fn pause(&self, time: Duration, said: &str) {
        let now = self.elapsed();
        let until = now.saturating_add(time);
        let mut pause = lock(&self.0.pause);
        if until > pause.until {
            self.count(&mut pause, now);
            *pause = Pause { counted: now, until, said: said.to_owned(), told: false };
        }
    }

    /// How long the server's pause still is.
    #[must_use]
    pub fn paused_for(&self) -> Duration {
        let until = lock(&self.0.pause).until;
        // The time is not asked for each message where there never was one.
        if until.is_zero() { until } else { until.saturating_sub(self.elapsed()) }
    }

    /// Books the time of a pause that is over, whoever waited for its end.
    fn count(&self, pause: &mut Pause, now: Duration) {
        let over = pause.until.min(now);
        let time = over.saturating_sub(pause.counted);
        if !time.is_zero() {
            pause.counted = over;
            self.0.run.waited(time, Some(self.0.side));
        }
    }

    fn wait_for_pause(&self) -> Result<(), Halt> {
        let mut stopped = false;
        loop {
            let now = self.elapsed();
            let (left, untold) = {
                let mut pause = lock(&self.0.pause);
                self.count(&mut pause, now);
                let left = pause.until.saturating_sub(now);
                let untold = (!pause.told && left >= TOLD).then(|| pause.said.clone());
                pause.told |= untold.is_some();
                (left, untold)
            };
            if left.is_zero() {
                return Ok(());
            }
            if stopped {
                return Err(Halt::Stopped);
            }
            if let Some(said) = untold {
                self.0.run.tell(self.0.side, Why::Server(said), Some(left));
            }
            stopped = !self.0.run.sleep(left);
        }
    }

    /// Waits until the day has octets again; with `at_most`, only if that is so soon.
    fn wait_for_day(&self, at_most: Option<Duration>) -> Result<(), Halt> {
        let Some(day) = &self.0.day else { return Ok(()) };
        let run = &self.0.run;
        let began = self.elapsed();
        let mut told = false;
        loop {
            let left = {
                let mut day = lock(day);
                if day.is_open(run.now()).map_err(|shut| self.halt(&shut))? {
                    break;
                }
                day.ends_in(run.now())
            };
            if run.ends_within(left) {
                run.stop.request_for(Wish::Day);
                return Err(Halt::Stopped);
            }
            if at_most.is_some_and(|most| left > most) {
                return Err(self.halt(&Shut::UsedUp));
            }
            if !told {
                told = true;
                run.tell(self.0.side, Why::Day, Some(left));
            }
            if !run.sleep(left) {
                return Err(Halt::Stopped);
            }
        }
        if told {
            run.waited(self.elapsed().saturating_sub(began), None);
        }
        Ok(())
    }

    fn halt(&self, shut: &Shut) -> Halt {
        let side = self.0.side;
        Halt::Day(match shut {
            Shut::UsedUp => format!("bytes-per-day of the {side} is used up"),
            Shut::Uncounted(why) => format!("bytes-per-day cannot be counted: {why}"),
        })
    }

    fn sleep(&self, time: Duration, why: Why) -> Result<(), Halt> {
        if time >= TOLD {
            self.0.run.tell(self.0.side, why, Some(time));
        }
        let began = self.elapsed();
        let slept = self.0.run.sleep(time);
        self.0.run.waited(self.elapsed().saturating_sub(began), None);
        if slept { Ok(()) } else { Err(Halt::Stopped) }
    }

    /// Books the next message that is fetched or appended, if need be after a wait.
    #[must_use]
    pub fn turn(&self, wait: bool) -> Turn {
        loop {
            if !self.paused_for().is_zero() {
                if !wait {
                    return Turn::NotYet;
                }
                if self.wait_for_pause().is_err() {
                    return Turn::Stopped;
                }
            }
            if let Some(day) = &self.0.day
                && lock(day).is_open(self.0.run.now()) != Ok(true)
            {
                return Turn::Over;
            }
            let Some(messages) = &self.0.messages else { return Turn::Go };
            let taken = lock(messages).take(1, self.elapsed());
            match taken {
                Ok(()) => return Turn::Go,
                Err(_) if !wait => return Turn::NotYet,
                Err(time) if self.wait_for_messages(time) => {}
                Err(_) => return Turn::Stopped,
            }
        }
    }

    /// Tells only of the first wait: there is one for each message.
    fn wait_for_messages(&self, time: Duration) -> bool {
        let untold = {
            let mut told = lock(&self.0.told_messages);
            let untold = !*told && time >= TOLD;
            *told |= untold;
            untold
        };
        if untold {
            self.0.run.tell(self.0.side, Why::Messages, Some(time));
        }
        let began = self.elapsed();
        let slept = self.0.run.sleep(time);
        self.0.run.waited(self.elapsed().saturating_sub(began), None);
        slept
    }

    /// Puts back a turn that no message took.
    pub fn turn_back(&self) {
        if let Some(messages) = &self.0.messages {
            lock(messages).give_back(1);
        }
    }

    /// Books a body that is handed to the destination.
    pub fn body(&self, octets: u64) {
        self.0.run.body(octets);
    }

    /// Tells whether octets are counted at all.
    #[must_use]
    pub fn counts_octets(&self) -> bool {
        self.0.octets.is_some() || self.0.run.octets().is_some() || self.0.day.is_some()
    }

    fn buckets(&self) -> impl Iterator<Item = &Mutex<Bucket>> {
        self.0.octets.iter().chain(self.0.run.octets())
    }

    /// How many of so many octets, more than none, may be sent or received at once. They are taken
    /// from the day; what does not pass is put back with [`unused`](Self::unused).
    ///
    /// # Errors
    ///
    /// [`Halt::Day`] where the day has none left.
    pub fn allow(&self, wanted: usize) -> Result<usize, Halt> {
        let mut piece = u64::try_from(wanted).unwrap_or(u64::MAX);
        for bucket in self.buckets() {
            let bucket = lock(bucket);
            let fair = bucket.rate().within_millis(PIECE_MILLIS).max(PIECE_MIN);
            piece = piece.min(fair).min(bucket.burst());
        }
        if let Some(day) = &self.0.day {
            piece = lock(day).take(piece, self.0.run.now()).map_err(|shut| self.halt(&shut))?;
        }
        Ok(usize::try_from(piece).unwrap_or(wanted))
    }

    /// Puts back octets of the day that were allowed and did not pass.
    pub fn unused(&self, octets: usize) {
        if let Some(day) = &self.0.day {
            lock(day).give_back(u64::try_from(octets).unwrap_or(0));
        }
    }

    /// Takes from the day, for a connection that is new, what its server says when it is over: nobody
    /// reads that any more, and it passes nevertheless.
    ///
    /// # Errors
    ///
    /// [`Halt::Day`] where the day has none left.
    pub fn parting(&self) -> Result<(), Halt> {
        let Some(day) = &self.0.day else { return Ok(()) };
        let taken = lock(day).take(PARTING, self.0.run.now());
        taken.map(drop).map_err(|shut| self.halt(&shut))
    }

    /// Waits until so many octets, at most as many as were allowed, are within the rates. Also when the
    /// run is to stop: what is in flight is finished no faster than the rest.
    pub fn pass(&self, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let began = self.elapsed();
        let mut waits = false;
        while let Err(time) = self.take_octets(octets) {
            waits = true;
            self.0.run.clock.sleep(time.min(LOOK_EVERY));
        }
        if waits {
            self.0.run.waited(self.elapsed().saturating_sub(began), None);
        }
    }

    /// Puts back octets of the rates that passed the gate and did not leave.
    pub fn not_sent(&self, octets: usize) {
        for bucket in self.buckets() {
            lock(bucket).give_back(u64::try_from(octets).unwrap_or(0));
        }
    }

    fn take_octets(&self, octets: u64) -> Result<(), Duration> {
        let now = self.elapsed();
        let mut taken: Option<&Mutex<Bucket>> = None;
        for bucket in self.buckets() {
            if let Err(time) = lock(bucket).take(octets, now) {
                if let Some(first) = taken {
                    lock(first).give_back(octets);
                }
                return Err(time);
            }
            taken = Some(bucket);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::PoisonError;

    use super::*;
    use crate::limit::run::{Limits, RunBounds, Wait, Waited};
    use crate::limit::simulated::{MemoryBook, Simulated};
    use crate::session::{Clock as _, Stop};

    /// A run on a simulated clock, and what it told.
    struct Ground {
        clock: Arc<Simulated>,
        stop: Stop,
        told: Arc<Mutex<Vec<Wait>>>,
        limits: Limits,
    }

    impl Ground {
        fn new(bounds: RunBounds) -> Self {
            let clock = Arc::new(Simulated::default());
            let (stop, told) = (Stop::default(), Arc::new(Mutex::new(Vec::new())));
            let heard = Arc::clone(&told);
            let tell = move |wait: &Wait| {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(wait.clone());
            };
            let limits = Limits::new(bounds, clock.clone(), stop.clone(), Box::new(tell));
            Self { clock, stop, told, limits }
        }

        /// The gate of ann at the destination.
        fn gate(&self, bounds: Bounds) -> Gate {
            self.gate_of("ann", bounds)
        }

        fn gate_of(&self, user: &str, bounds: Bounds) -> Gate {
            self.limits.gate(Side::Destination, ("new.example", user), &bounds, None)
        }

        fn day(&self, most: u64) -> Gate {
            let book = Box::new(MemoryBook(Arc::default()));
            let day = Day::new(most, book, self.clock.now(), self.clock.elapsed());
            self.limits.gate(Side::Source, ("old.example", "ann"), &Bounds::default(), Some(day))
        }

        fn told(&self) -> Vec<String> {
            self.told.lock().unwrap().iter().map(Wait::to_string).collect()
        }
    }

    /// Sends so many octets through a gate.
    fn send(gate: &Gate, octets: usize) {
        let mut left = octets;
        while left > 0 {
            let piece = gate.allow(left).unwrap();
            gate.pass(piece);
            left -= piece;
        }
    }

    #[test]
    fn octets_of_all_connections_of_a_side_share_its_rate_and_the_run_has_one_above() {
        let ground =
            Ground::new(RunBounds { octets_per_second: Some(30_000), ..RunBounds::default() });
        let slow = Bounds { octets_per_second: Some(10_000), ..Bounds::default() };
        let (one, other) = (ground.gate(slow), ground.gate_of("bob", Bounds::default()));
        let second = one.clone();
        send(&one, 20_000);
        send(&second, 20_000);
        // One burst of a second, and three seconds.
        assert_eq!(ground.clock.elapsed().as_millis(), 3_000);
        // The run's own burst is whole by now, but for the last piece of 600 octets.
        send(&other, 90_000);
        assert_eq!(ground.clock.elapsed().as_millis(), 5_020);
        assert_eq!(ground.limits.waited().limits.as_millis(), 5_020);
    }

    #[test]
    fn pairs_that_share_an_account_share_its_buckets_its_connections_and_its_pauses() {
        let ground = Ground::new(RunBounds::default());
        let bounds = Bounds {
            octets_per_second: Some(10_000),
            messages_per_second: Some(Rate::per_second(10)),
            connections: Some(1),
            ..Bounds::default()
        };
        // One mailbox goes to bob, another one too; the gate of a pair that has ended is forgotten.
        drop(ground.gate_of("bob", Bounds::default()));
        let (one, other) = (ground.gate_of("bob", bounds), ground.gate_of("bob", bounds));
        send(&one, 20_000);
        send(&other, 20_000);
        assert_eq!(ground.clock.elapsed().as_millis(), 3_000, "a burst, and three seconds");
        let slot = one.admit().ok().unwrap();
        assert!(other.free_slot().is_none());
        drop(slot);
        assert_eq!((one.turn(false), other.turn(false)), (Turn::Go, Turn::NotYet));
        one.pause(Duration::from_secs(7), "throttled");
        let before = ground.clock.elapsed();
        assert_eq!(other.before_command(), Ok(()));
        assert_eq!(ground.clock.elapsed(), before + Duration::from_secs(7));
        // The same account as the other side, and another one, have gates of their own.
        let source = ground.limits.gate(Side::Source, ("new.example", "bob"), &bounds, None);
        let ann = ground.gate(bounds);
        assert_eq!((source.turn(false), ann.turn(false)), (Turn::Go, Turn::Go));
    }

    #[test]
    fn without_limits_nothing_is_counted_and_nobody_waits() {
        let ground = Ground::new(RunBounds::default());
        let gate = ground.gate(Bounds::default());
        assert!(!gate.counts_octets());
        let slots: Vec<Slot> = (0..50).map(|_| gate.admit().ok().unwrap()).collect();
        assert_eq!((gate.turn(false), gate.before_command()), (Turn::Go, Ok(())));
        assert_eq!(gate.allow(1 << 20), Ok(1 << 20));
        drop(slots);
        assert_eq!(ground.clock.elapsed(), Duration::ZERO);
    }

    #[test]
    fn connections_are_free_again_when_they_are_dropped() {
        let ground = Ground::new(RunBounds::default());
        let two = Bounds { connections: Some(2), ..Bounds::default() };
        let (one, other) =
            (ground.gate(two), ground.gate_of("bob", Bounds { total_connections: Some(3), ..two }));
        let (first, second) = (one.admit().ok().unwrap(), one.admit().ok().unwrap());
        assert!(one.free_slot().is_none());
        let third = other.admit().ok().unwrap();
        assert!(other.free_slot().is_none(), "three in all at the host");
        drop(first);
        assert!(other.free_slot().is_some());
        drop((second, third));
        ground.stop.request();
        assert!(one.free_slot().is_some());
        let both = (one.free_slot(), one.free_slot());
        assert!(matches!(one.admit(), Err(Halt::Stopped)));
        drop(both);
        assert_eq!(ground.told(), ["all connections of the destination are in use"]);
    }

    #[test]
    fn logins_of_a_host_are_spread_over_minutes() {
        let ground = Ground::new(RunBounds::default());
        let rate = Some(Rate::per_second(2));
        let gate = ground.gate(Bounds { logins_per_minute: rate, ..Bounds::default() });
        let neighbour = ground.gate_of("bob", Bounds::default());
        for gate in [&gate, &neighbour, &gate] {
            drop(gate.admit());
        }
        assert_eq!(ground.clock.elapsed(), Duration::from_mins(1));
        assert_eq!(ground.told(), ["logins-per-minute of the destination"]);
    }

    #[test]
    fn messages_pass_at_their_rate_and_nobody_waits_who_does_not_want_to() {
        let ground = Ground::new(RunBounds::default());
        let rate = Some(Rate::of_thousandths(500));
        let gate = ground.gate(Bounds { messages_per_second: rate, ..Bounds::default() });
        assert_eq!(gate.turn(false), Turn::Go);
        assert_eq!(gate.turn(false), Turn::NotYet);
        assert_eq!(ground.clock.elapsed(), Duration::ZERO);
        assert_eq!((gate.turn(true), gate.turn(true)), (Turn::Go, Turn::Go));
        assert_eq!(ground.clock.elapsed(), Duration::from_secs(4));
        gate.turn_back();
        assert_eq!(gate.turn(false), Turn::Go);
        ground.stop.request();
        assert_eq!(gate.turn(true), Turn::Stopped);
        assert_eq!(ground.told(), ["messages-per-second of the destination"]);
    }

    #[test]
    fn pause_holds_back_every_connection_of_the_side_and_is_told_once() {
        let ground = Ground::new(RunBounds::default());
        let gate = ground.gate(Bounds::default());
        let other = gate.clone();
        gate.pause(Duration::from_secs(23), "throttled");
        gate.pause(Duration::from_secs(5), "shorter");
        assert_eq!(other.turn(false), Turn::NotYet);
        assert_eq!(other.before_command(), Ok(()));
        assert_eq!(gate.before_command(), Ok(()));
        assert_eq!(ground.clock.elapsed(), Duration::from_secs(23));
        assert_eq!(ground.told(), ["the destination asked for it (throttled)"]);
        let waited = Waited { destination: Duration::from_secs(23), ..Waited::default() };
        assert_eq!(ground.limits.waited(), waited);
        // Somebody else may have waited for its end.
        gate.pause(Duration::from_secs(7), "again");
        ground.clock.advance(Duration::from_mins(1));
        assert_eq!(gate.before_command(), Ok(()));
        assert_eq!(ground.limits.waited().destination, Duration::from_secs(30));
        gate.pause(Duration::from_hours(1), "again");
        ground.stop.request();
        assert_eq!(gate.before_command(), Err(Halt::Stopped));
        assert!(matches!(gate.admit(), Err(Halt::Stopped)));
    }

    #[test]
    fn day_that_is_used_up_is_waited_for_before_a_connection_and_ends_one() {
        let ground = Ground::new(RunBounds::default());
        let gate = ground.day(10_000);
        send(&gate, 9_000);
        assert_eq!(gate.before_command(), Ok(()));
        send(&gate, 1_000);
        let used_up = Halt::Day("bytes-per-day of the source is used up".to_owned());
        assert_eq!(gate.allow(1), Err(used_up.clone()));
        assert_eq!(gate.before_command(), Err(used_up));
        assert_eq!(gate.turn(true), Turn::Over);
        drop(gate.admit().ok().unwrap());
        assert_eq!(ground.clock.elapsed(), Duration::from_hours(12));
        assert_eq!(ground.told(), ["bytes-per-day of the source is used up"]);
        send(&gate, 10_000);
    }

    #[test]
    fn connection_takes_its_parting_words_from_the_day_before_they_are_said() {
        let ground = Ground::new(RunBounds::default());
        let gate = ground.day(10_000);
        gate.parting().unwrap();
        send(&gate, 9_744);
        assert!(matches!(gate.allow(1), Err(Halt::Day(_))));
        assert!(matches!(gate.parting(), Err(Halt::Day(_))));
    }

    #[test]
    fn day_that_ends_after_the_run_stops_it_at_once() {
        let deadline = Some(Duration::from_hours(8));
        let ground = Ground::new(RunBounds { deadline, ..RunBounds::default() });
        let gate = ground.day(10_000);
        send(&gate, 10_000);
        assert!(matches!(gate.admit(), Err(Halt::Stopped)));
        assert_eq!(ground.stop.wish(), Some(Wish::Day));
        assert_eq!(ground.clock.elapsed(), Duration::ZERO);
    }

    #[test]
    fn bodies_beyond_the_limit_of_the_run_stop_it() {
        let bounds = RunBounds { stop_after_octets: Some(100), ..RunBounds::default() };
        let ground = Ground::new(bounds);
        let gate = ground.gate(Bounds::default());
        gate.body(99);
        assert!(!ground.stop.requested());
        gate.body(1);
        assert_eq!(ground.stop.wish(), Some(Wish::Bytes));
    }
}

//! How fast the line is, measured while mail moves over it.
//!
//! # In, out
//!
//! In: what the wire sent and received, and how long it was held up over it. Out: octets a second.
//!
//! Only time that the line took counts: reading is measured where more of an answer is waited for,
//! writing where octets are handed over and their answers waited for. What is written counts when it is
//! answered, since buffers take much at once, however slow the line is. The round trip, which no
//! compression shortens, is taken off: a first octet of an answer is no measure of reading, and of
//! writing only as far as it took longer than the quickest answer of the session.
//!
//! Pure: it has no clock.

use std::time::Duration;

/// Octets that are not counted at first of what is read: a new connection grows fast only by and by.
const WARM_UP: u64 = 256 << 10;

/// So many octets are a measurement, if they were fast.
const OCTETS_ENOUGH: u64 = 1 << 20;

/// What is as fast is believed at once, in octets a second; what is slower has to last
/// [`WAIT_SURE`], since one stall would make so few octets slow.
const FAST: u64 = 30_000_000;

/// How long so many octets have to have been waited for, if they were slow.
const WAIT_SURE: Duration = Duration::from_millis(150);

/// What rows have to be slower than to be a measure of the line, in octets a second: a server may take as
/// long to find out what it tells in them.
const ROWS_SLOW: u64 = 4_000_000;

/// The same of the first few messages of folders: a server may take as long to begin a folder.
const FIRST_SLOW: u64 = 2_000_000;

/// So much waiting is a measurement, if it was for a few octets at least.
const WAIT_ENOUGH: Duration = Duration::from_millis(500);

/// So much waiting is a measurement that may contradict an earlier one: a short stall is none.
const WAIT_ENOUGH_LATER: Duration = Duration::from_secs(2);

/// Fewer octets are no measurement, however long they took.
const OCTETS_LEAST: u64 = 64 << 10;

/// The highest rate that is told, in octets a second. Above it, buffers were measured and no line.
const RATE_MAX: u64 = 1 << 30;

/// A server that has answered within this time is in the same house: a greeting without TLS, which is counted
/// from the beginning of the connection, takes two round trips. Lines of 30 MB/s and less do not begin
/// there.
const NEAR: Duration = Duration::from_millis(2);

/// What moves, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Messages from the server.
    Down,
    /// What it tells of messages.
    Rows,
    /// The first few messages of folders to the server.
    First,
    /// Messages to the server.
    Up,
}

impl Way {
    const ALL: [Self; 4] = [Self::Down, Self::Rows, Self::First, Self::Up];

    /// The rate from which on it says nothing of the line, in octets a second.
    const fn fast(self) -> u64 {
        match self {
            Self::Down | Self::Up => u64::MAX,
            Self::Rows => ROWS_SLOW,
            Self::First => FIRST_SLOW,
        }
    }
}

/// What was measured: octets a second, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// Which way.
    pub(super) way: Way,
    /// Octets a second.
    pub(super) rate: u64,
}

/// The measurement of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// Which way mail moves now; nothing between transfers.
    way: Option<Way>,
    /// In the order of [`Way::ALL`].
    flows: [Flow; 4],
    /// The shortest wait for an answer so far.
    shortest: Option<Duration>,
    /// What is left of a round trip that is waited for however fast the line is.
    turn: Duration,
    /// How long it has been waited for so far.
    turning: Duration,
    /// The shortest of all that were.
    shortest_turn: Option<Duration>,
    /// The same until login was over.
    round_trip: Option<Duration>,
    /// From now on commands are sent before the answers to others are there, so that waits for
    /// answers say nothing of the line.
    logged_in: bool,
    /// There was a measurement before.
    later: bool,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// Octets that were not counted.
    warmed_up: u64,
    octets: u64,
    waited: Duration,
}

impl Flow {
    fn read(&mut self, octets: u64, waited: Duration) {
        if self.warmed_up < WARM_UP {
            self.warmed_up = self.warmed_up.saturating_add(octets);
        } else {
            self.add(octets, waited);
        }
    }

    fn add(&mut self, octets: u64, waited: Duration) {
        self.octets = self.octets.saturating_add(octets);
        self.waited = self.waited.saturating_add(waited);
    }

    fn forget(&mut self) {
        self.octets = 0;
        self.waited = Duration::ZERO;
    }

    fn is_enough(&self, later: bool) -> bool {
        if later {
            return self.octets >= OCTETS_LEAST && self.waited >= WAIT_ENOUGH_LATER;
        }
        let is_sure = self.waited >= WAIT_SURE || self.rate() >= FAST;
        (self.octets >= OCTETS_ENOUGH && is_sure)
            || (self.octets >= OCTETS_LEAST && self.waited >= WAIT_ENOUGH)
    }

    fn rate(&self) -> u64 {
        let octets = u128::from(self.octets) * Duration::from_secs(1).as_nanos();
        let rate = octets / self.waited.as_nanos().max(1);
        u64::try_from(rate).map_or(RATE_MAX, |rate| rate.min(RATE_MAX))
    }
}

impl Pace {
    /// Says that login is over: so far every command was answered before the next one was sent.
    pub(super) const fn logged_in(&mut self) {
        self.logged_in = true;
    }

    /// Says which way mail moves from now on; nothing for commands of a few octets.
    pub(super) const fn moves(&mut self, way: Option<Way>) {
        self.way = way;
    }

    fn flow(&mut self, way: Way) -> &mut Flow {
        &mut self.flows[way as usize]
    }

    /// Counts how long handing octets over took.
    pub(super) fn sent(&mut self, waited: Duration) {
        if let Some(way @ (Way::First | Way::Up)) = self.way {
            self.flow(way).add(0, waited);
        }
    }

    /// Counts the octets of messages that were sent before and are answered.
    pub(super) fn answered(&mut self, octets: u64) {
        if let Some(way @ (Way::First | Way::Up)) = self.way {
            self.flow(way).add(octets, Duration::ZERO);
        }
    }

    /// Says that nothing more is sent until a round trip is over.
    pub(super) fn turns(&mut self) {
        let shortest = self.shortest_turn.into_iter().chain(self.round_trip).min();
        self.turn = shortest.unwrap_or_default();
        self.turning = Duration::ZERO;
    }

    /// Says that it is over, or what was left of it.
    pub(super) const fn moves_on(&mut self) {
        self.turn = Duration::ZERO;
    }

    /// Says that it is over, all of it.
    pub(super) fn turned(&mut self) {
        self.moves_on();
        self.shortest_turn = self.shortest_turn.into_iter().chain([self.turning]).min();
    }

    /// Counts octets that were received and how long they were waited for. `answers`: they are the
    /// first ones since something was sent, which was so long ago.
    pub(super) fn received(&mut self, octets: u64, waited: Duration, answers: Option<Duration>) {
        let mut spared = self.turn;
        self.turn = self.turn.saturating_sub(waited);
        self.turning = self.turning.saturating_add(answers.unwrap_or_default().max(waited));
        if let Some(ago) = answers {
            let quickest = self.shortest.map_or(ago, |shortest| shortest.min(ago));
            self.shortest = Some(quickest);
            if !self.logged_in {
                self.round_trip = Some(quickest);
            }
            spared = spared.max(quickest);
        }
        let over = waited.saturating_sub(spared);
        match self.way {
            Some(way @ (Way::Down | Way::Rows)) if answers.is_none() => {
                self.flow(way).read(octets, waited);
            }
            Some(way @ (Way::First | Way::Up)) => self.flow(way).add(0, over),
            _ => {}
        }
    }

    /// What was measured, once it is enough to go by: of all ways, the one that took longest.
    pub(super) fn measured(&self) -> Option<Measured> {
        Way::ALL
            .into_iter()
            .zip(&self.flows)
            .filter(|(_, flow)| flow.is_enough(self.later))
            .filter(|(way, flow)| flow.rate() < way.fast())
            .max_by_key(|(_, flow)| flow.waited)
            .map(|(way, flow)| Measured { way, rate: flow.rate() })
    }

    /// The shortest wait for an answer until login was over.
    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Takes what another connection to the same server found, as far as it was quicker.
    pub(super) fn take_round_trip(&mut self, other: Option<Duration>) {
        self.round_trip = self.round_trip.into_iter().chain(other).min();
    }

    /// Tells whether the server is near: what is waited for is then the server, which is busy with what
    /// it was asked to do, and compression would only give it more to do.
    pub(super) fn is_near(&self) -> bool {
        self.round_trip.is_some_and(|quickest| quickest < NEAR)
    }

    /// As if all answers had taken long.
    #[cfg(test)]
    pub(super) const fn is_far(&mut self) {
        self.round_trip = Some(Duration::from_millis(40));
    }

    /// Begins anew. What is measured from now on has to last longer before it counts.
    pub(super) fn begin_anew(&mut self) {
        self.later = true;
        self.flows.iter_mut().for_each(Flow::forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);
    const MIB: u64 = 1 << 20;

    fn pace(way: Way) -> Pace {
        let mut pace = Pace::default();
        pace.moves(Some(way));
        pace
    }

    /// Receives so many pieces of 64 KiB, each after so long.
    fn receive(pace: &mut Pace, pieces: u32, waited: Duration) {
        (0..pieces).for_each(|_| pace.received(64 << 10, waited, None));
    }

    fn rate(pace: &Pace) -> Option<u64> {
        pace.measured().map(|measured| measured.rate)
    }

    #[test]
    fn reading_is_as_fast_as_its_octets_and_their_waits_say() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 4, MILLISECOND * 100);
        receive(&mut pace, 15, MILLISECOND);
        assert_eq!(pace.measured(), None, "the warm-up does not count");
        receive(&mut pace, 1, MILLISECOND);
        assert_eq!(pace.measured(), Some(Measured { way: Way::Down, rate: (64 << 10) * 1_000 }));
    }

    #[test]
    fn one_stall_does_not_make_a_line_slow() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 4, MILLISECOND);
        receive(&mut pace, 1, MILLISECOND * 100);
        receive(&mut pace, 39, MILLISECOND);
        assert_eq!(pace.measured(), None);
        receive(&mut pace, 60, MILLISECOND);
        assert!(rate(&pace).unwrap() > FAST, "{:?}", pace.measured());
    }

    #[test]
    fn slow_line_is_believed_after_a_while() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 4, MILLISECOND);
        receive(&mut pace, 29, MILLISECOND * 5);
        assert_eq!(pace.measured(), None);
        receive(&mut pace, 1, MILLISECOND * 5);
        assert_eq!(rate(&pace), Some((64 << 10) * 200));
    }

    #[test]
    fn rows_are_a_measure_only_where_no_server_is_as_slow() {
        for (waited, told) in [(MILLISECOND * 15, None), (MILLISECOND * 20, Some((64 << 10) * 50))]
        {
            let mut pace = pace(Way::Rows);
            receive(&mut pace, 4, MILLISECOND);
            receive(&mut pace, 100, waited);
            assert_eq!(rate(&pace), told);
        }
    }

    #[test]
    fn first_messages_of_folders_are_a_measure_only_where_no_server_is_as_slow() {
        for (waited, told) in
            [(MILLISECOND * 524, None), (MILLISECOND * 525, Some(MIB * 1000 / 525))]
        {
            let mut pace = pace(Way::First);
            pace.sent(waited);
            pace.answered(MIB);
            assert_eq!(rate(&pace), told);
        }
    }

    #[test]
    fn half_a_second_of_waiting_is_enough_unless_it_was_for_next_to_nothing() {
        let mut slow = pace(Way::Down);
        receive(&mut slow, 4, MILLISECOND);
        slow.received(1000, MILLISECOND * 600, None);
        assert_eq!(slow.measured(), None);
        receive(&mut slow, 1, MILLISECOND * 55);
        assert_eq!(rate(&slow), Some((65_536 + 1000) * 1000 / 655));
    }

    #[test]
    fn the_first_octets_of_an_answer_are_no_measure_of_reading() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 4, MILLISECOND);
        (0..1000).for_each(|_| pace.received(64 << 10, MILLISECOND * 100, Some(MILLISECOND * 100)));
        assert_eq!(pace.measured(), None);
    }

    #[test]
    fn commands_between_transfers_are_not_measured() {
        let mut pace = Pace::default();
        receive(&mut pace, 1000, MILLISECOND);
        pace.sent(MILLISECOND * 9000);
        pace.answered(MIB * 100);
        assert_eq!(pace.measured(), None);
    }

    #[test]
    fn writing_is_measured_up_to_the_answer() {
        let mut pace = pace(Way::Up);
        pace.received(40, MILLISECOND * 20, Some(MILLISECOND * 20));
        pace.sent(MILLISECOND * 120);
        assert_eq!(pace.measured(), None, "what nobody answered may lie in a buffer");
        pace.received(40, MILLISECOND * 300, Some(MILLISECOND * 300));
        pace.answered(MIB * 4);
        // 120 ms to hand it over, 280 ms longer than an answer takes at best.
        assert_eq!(pace.measured(), Some(Measured { way: Way::Up, rate: MIB * 10 }));
    }

    #[test]
    fn round_trips_of_many_small_appends_do_not_make_a_line_slow() {
        let mut pace = pace(Way::Up);
        for _ in 0..200 {
            pace.sent(MILLISECOND / 100);
            pace.received(40, MILLISECOND * 100, Some(MILLISECOND * 100));
            pace.answered(8 << 10);
        }
        assert!(rate(&pace).unwrap() > 500 << 20, "{:?}", pace.measured());
    }

    #[test]
    fn round_trips_of_continuations_do_not_make_a_line_slow() {
        let mut pace = Pace::default();
        pace.received(40, MILLISECOND * 40, Some(MILLISECOND * 40));
        pace.logged_in();
        // Commands that were sent ahead are answered at once.
        pace.received(40, Duration::ZERO, Some(Duration::ZERO));
        pace.moves(Some(Way::First));
        for _ in 0..200 {
            pace.turns();
            // The answer to what was sent before comes on the way.
            pace.received(40, MILLISECOND * 30, Some(MILLISECOND * 30));
            pace.answered(8 << 10);
            pace.received(40, MILLISECOND * 11, None);
            pace.turned();
            pace.sent(MILLISECOND / 100);
        }
        assert_eq!(pace.measured(), None);
        // What takes longer than that is the line.
        pace.turns();
        pace.received(40, MILLISECOND * 1040, Some(MILLISECOND * 1040));
        assert_eq!(rate(&pace), Some(200 * (8 << 10) * 1000 / 1202));
    }

    #[test]
    fn answer_that_came_before_it_was_waited_for_does_not_make_a_server_near() {
        let mut pace = Pace::default();
        pace.received(40, Duration::ZERO, Some(MILLISECOND * 40));
        assert!(!pace.is_near());
        pace.received(40, Duration::ZERO, Some(MILLISECOND));
        assert!(pace.is_near());
    }

    #[test]
    fn a_login_that_takes_long_does_not_hide_a_slow_line() {
        let mut pace = Pace::default();
        pace.received(40, MILLISECOND * 300, Some(MILLISECOND * 300));
        pace.logged_in();
        pace.moves(Some(Way::Up));
        for waited in [40, 140, 140, 140, 140, 140] {
            pace.turns();
            pace.received(40, MILLISECOND * waited, Some(MILLISECOND * waited));
            pace.turned();
            pace.answered(200 << 10);
        }
        // The first one shows that a round trip takes 40 ms.
        assert_eq!(rate(&pace), Some(6 * (200 << 10) * 2));
    }

    #[test]
    fn far_server_stays_far_when_answers_to_commands_ahead_are_there_at_once() {
        let mut pace = Pace::default();
        pace.received(40, MILLISECOND * 40, Some(MILLISECOND * 40));
        pace.logged_in();
        pace.received(40, MILLISECOND / 10, Some(MILLISECOND / 10));
        assert!(!pace.is_near());
    }

    #[test]
    fn of_two_ways_the_slower_work_is_told() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 40, MILLISECOND);
        pace.moves(Some(Way::Up));
        pace.sent(MILLISECOND * 900);
        pace.answered(MIB * 2);
        assert_eq!(pace.measured().unwrap().way, Way::Up);
    }

    #[test]
    fn a_second_measurement_takes_two_seconds_of_waiting() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 40, MILLISECOND);
        assert!(pace.measured().is_some());
        pace.begin_anew();
        receive(&mut pace, 199, MILLISECOND * 10);
        assert_eq!(pace.measured(), None);
        receive(&mut pace, 1, MILLISECOND * 10);
        assert_eq!(rate(&pace), Some((64 << 10) * 100));
    }

    #[test]
    fn what_was_not_waited_for_is_fast_and_not_endless() {
        let mut pace = pace(Way::Down);
        receive(&mut pace, 40, Duration::ZERO);
        assert_eq!(rate(&pace), Some(RATE_MAX));
    }
}

//! What goes wrong, by a number.

use std::fmt;

use crate::support::meddler::Kind;
use crate::support::meddler::Lie;
use crate::support::meddler::Meddler;
use crate::support::meddler::Ways;

/// How many messages the mailbox holds.
pub(super) const MESSAGES: u32 = 48;

/// All kinds of faults; each is the first one of as many schedules as another.
pub(super) const KINDS: [Kind; 26] = [
    Kind::CutInMessage,
    Kind::ResetInMessage,
    Kind::ReplyLost,
    Kind::Late,
    Kind::StallBefore,
    Kind::StallAfter,
    Kind::DripReply,
    Kind::ByeBefore,
    Kind::ByeAfter,
    Kind::NoOnce,
    Kind::ProvedNoOnce,
    Kind::NoAfterStored,
    Kind::Lying(Lie::Swapped),
    Kind::Lying(Lie::Missing),
    Kind::Lying(Lie::Foreign),
    Kind::Lying(Lie::Short),
    Kind::CutAtCommand,
    Kind::CutInBody,
    Kind::StallInBody,
    Kind::DripBody,
    Kind::ByeInFetch,
    Kind::NoToFetch,
    Kind::BodyWithheld,
    Kind::Refused,
    Kind::RefusedUnproved,
    Kind::Quota,
];

const WAYS: [Ways; 4] = [Ways::Multi, Ways::Plus, Ways::Minus, Ways::Waiting];

/// Which side a fault is at, and when it strikes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) kind: Kind,
    at_source: bool,
    nth: u32,
}

/// What goes wrong in one run.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) number: u32,
    pub(super) ways: Ways,
    /// The manifest names a profile by which the program may ask with empty messages.
    pub(super) knows_server: bool,
    /// The newest messages of a folder go first.
    pub(super) newest_first: bool,
    /// The first one strikes for certain.
    pub(super) faults: Vec<Planned>,
}

impl Schedule {
    /// Makes the schedule of a number.
    pub(super) fn of(number: u32) -> Self {
        let mut dice = Dice(u64::from(number) + 1);
        let kinds = u32::try_from(KINDS.len()).unwrap();
        let first = KINDS[usize::try_from(number % kinds).unwrap()];
        let mut faults = vec![planned(first, &mut dice)];
        for _ in 0..dice.roll(3) {
            let kind = KINDS[usize::try_from(dice.roll(kinds)).unwrap()];
            // What lasts would keep another fault from its message.
            if !lasts(kind) {
                faults.push(planned(kind, &mut dice));
            }
        }
        Self {
            number,
            // Every kind comes with every way.
            ways: WAYS[usize::try_from((number + number / kinds) % 4).unwrap()],
            knows_server: dice.roll(2) == 0,
            newest_first: number / kinds % 3 == 2,
            faults,
        }
    }

    /// Arms the faults; returns what marks the messages that are refused for good.
    pub(super) fn arm(
        &self,
        source: &Meddler,
        destination: &Meddler,
        mark: impl Fn(u32) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let mut refused = Vec::new();
        for fault in &self.faults {
            let meddler = if fault.at_source { source } else { destination };
            let text = match fault.kind {
                Kind::Refused => "[CANNOT] this message is not for me",
                Kind::RefusedUnproved => "this message is not for me",
                Kind::Quota => {
                    destination.fill_up(fault.nth, "[OVERQUOTA] the mailbox is full");
                    continue;
                }
                kind => {
                    meddler.arm(kind, fault.nth);
                    continue;
                }
            };
            // One in the middle, and its neighbour but one: ordinary ones, there once.
            for number in [fault.nth / 12 * 12 + 2, fault.nth / 12 * 12 + 4] {
                destination.refuse(&mark(number), text);
                refused.push(mark(number));
            }
        }
        refused
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, ways, knows_server, newest_first, faults } = self;
        writeln!(out, "schedule {number}, again with MAILFERRY_TEST_SCHEDULE={number}")?;
        write!(out, "{ways:?}, profile {knows_server}, newest first {newest_first}, {faults:?}")
    }
}

const fn lasts(kind: Kind) -> bool {
    matches!(kind, Kind::Refused | Kind::RefusedUnproved | Kind::Quota)
}

fn planned(kind: Kind, dice: &mut Dice) -> Planned {
    let (at_source, most) = match kind {
        Kind::CutInBody
        | Kind::StallInBody
        | Kind::DripBody
        | Kind::ByeInFetch
        | Kind::NoToFetch
        | Kind::BodyWithheld => (true, MESSAGES),
        // Fewer commands than messages: a run may send very few.
        Kind::CutAtCommand => (dice.roll(2) == 0, 6),
        _ => (false, MESSAGES * 3 / 4),
    };
    Planned { kind, at_source, nth: dice.roll(most) + 1 }
}

/// Numbers that look like chance (splitmix64).
struct Dice(u64);

impl Dice {
    /// Rolls a number below `sides`.
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        u32::try_from(mixed % u64::from(sides)).unwrap()
    }
}

//! What goes wrong, and when.

use std::collections::VecDeque;

use crate::mail::{FlagSet, InternalDate, Timestamp, UidValidity, WireName};
use crate::store::error::{Refusal, StoreError};
use crate::store::memory::account::Account;
use crate::store::memory::log::Operation;

/// How a connection is lost at an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Before anything left: the effect cannot happen.
    BeforeSending,
    /// After everything left, and the server never carries it out.
    HandedOver,
    /// After the server did it: only the reply is lost.
    Reply,
    /// After everything left; a message appears later, anything else never.
    Late(Arrival),
}

/// When a late message appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// After the folder was looked at so many times (opened, or asked for its counts).
    Looks(u32),
    /// When the server's clock has gone on by so many seconds.
    Seconds(i64),
}

/// What UIDNEXT is said to be. A zero is read as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UidNextLie {
    /// The truth.
    #[default]
    Honest,
    /// Nothing.
    Absent,
    /// So many below the truth, at least 1.
    Stale(u32),
    /// So many above the truth.
    High(u32),
}

/// What APPENDUID tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppendUidLie {
    /// The truth.
    #[default]
    Honest,
    /// Nothing, although UIDPLUS is announced.
    Missing,
    /// Nothing for the last message of a window.
    Short,
    /// Another UIDVALIDITY.
    Foreign(UidValidity),
    /// UIDs of neighbours in a window exchanged.
    Swapped,
    /// The lowest UID of the folder.
    Old,
    /// The last message of a window has one that nothing has yet.
    Above,
}

/// A message that a session is about to append.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Where to.
    pub folder: &'a WireName,
    /// With these flags.
    pub flags: &'a FlagSet,
    /// With this date.
    pub date: Option<InternalDate>,
    /// The octets.
    pub octets: &'a [u8],
}

/// How a message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedMessage {
    /// What the server says.
    pub refusal: Refusal,
    /// It keeps the message all the same.
    pub stored: bool,
}

/// What follows on an operation that a test waited for.
#[derive(Debug)]
pub enum Then {
    /// It is carried out.
    Go,
    /// It is refused.
    Refuse(Refusal),
    /// The connection is lost at it.
    Lose(Loss),
}

/// An effect at which the connection is to be lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) effect: u64,
    pub(super) loss: Loss,
}

/// Tells which operation a test waits for.
pub(super) type Awaited = Box<dyn FnMut(&Operation) -> bool + Send>;

/// What others do right before it.
pub(super) type Deed = Box<dyn FnOnce(&mut Account) -> Then + Send>;

/// Decides which messages are refused.
pub(super) type Refuses = Box<dyn FnMut(&Incoming<'_>) -> Option<RefusedMessage> + Send>;

/// Tells whether an effect may happen.
pub(super) type Guard = Box<dyn FnMut() -> bool + Send>;

/// What the server makes of a message that it stores.
pub(super) type Rewrites = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// A message on its way.
#[derive(Debug)]
pub(super) struct LateMail {
    pub(super) folder: WireName,
    pub(super) flags: FlagSet,
    pub(super) date: InternalDate,
    pub(super) octets: Vec<u8>,
    pub(super) arrival: LateUntil,
}

/// What a late message waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum LateUntil {
    Looks(u32),
    Time(Timestamp),
}

/// Everything that is set to go wrong.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) stop: Option<Stop>,
    pub(super) guard: Option<Guard>,
    pub(super) hooks: Vec<(Awaited, Deed)>,
    pub(super) refuses: Option<Refuses>,
    pub(super) rewrites: Option<Rewrites>,
    pub(super) uid_next: UidNextLie,
    pub(super) append_uid: AppendUidLie,
    pub(super) read_before_loss: usize,
    pub(super) fetch_octets: Option<u64>,
    pub(super) append_octets: Option<u64>,
    pub(super) connects: VecDeque<StoreError>,
    pub(super) late: Vec<LateMail>,
    pub(super) keeps_nothing: bool,
    pub(super) emptied: Vec<WireName>,
}

impl Faults {
    /// Stores the late messages that are due; `looked` is the folder that is looked at now.
    pub(super) fn arrive(&mut self, account: &mut Account, looked: Option<&WireName>) {
        let now = account.now;
        for mut mail in std::mem::take(&mut self.late) {
            let due = match mail.arrival {
                LateUntil::Time(time) => time <= now,
                LateUntil::Looks(0) => looked == Some(&mail.folder),
                LateUntil::Looks(left) => {
                    if looked == Some(&mail.folder) {
                        mail.arrival = LateUntil::Looks(left - 1);
                    }
                    false
                }
            };
            if !due {
                self.late.push(mail);
            } else if account.find(&mail.folder).is_some() {
                account.store(&mail.folder, &mail.flags, mail.date, &mail.octets);
            }
        }
    }
}

//! Bodies in descending order of UIDs.
//!
//! Each is asked for by a command of its own, with many on the way. Servers may answer those side by side
//! (RFC 9051 §5.5): what comes before its turn is held, as far as there is room.

use std::collections::BTreeMap;

use crate::imap::fetch::pass::Pass;
use crate::imap::reader::FetchRow;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::store::StoreError;

/// Commands that are sent before the first of them is answered. The smallest socket buffers hold as much.
const IN_FLIGHT_MAX: usize = 160;

/// Most octets of bodies that wait for their turn.
const HELD_OCTETS_MAX: usize = 4 << 20;

/// What is asked for newest first.
pub(super) struct Turn {
    /// What no command was sent for yet.
    left: UidSet,
    /// Bodies that came before their turn.
    held: BTreeMap<Uid, (FetchRow, Vec<u8>)>,
    held_octets: usize,
}

impl Turn {
    fn new(left: UidSet) -> Self {
        Self { left, held: BTreeMap::new(), held_octets: 0 }
    }

    /// The next message to be asked for.
    pub(super) fn next(&mut self) -> Option<UidSet> {
        let uid = self.left.pop_last()?;
        Some(UidSet::range(uid, uid))
    }

    /// Tells whether more is to be sent while so many commands are under way: many at a time, so that a
    /// message does not take a packet.
    pub(super) fn begins_to_send(&self, in_flight: usize) -> bool {
        !self.left.is_empty() && in_flight <= IN_FLIGHT_MAX / 2
    }

    /// Tells whether one more may be sent then.
    pub(super) fn may_send(&self, in_flight: usize) -> bool {
        !self.left.is_empty() && in_flight < IN_FLIGHT_MAX
    }

    /// Asks for nothing more, and hands nothing on.
    pub(super) fn stop(&mut self) {
        *self = Self::new(UidSet::new());
    }
}

impl Pass<'_> {
    /// Asks for bodies in descending order of UIDs and reads until all are answered.
    pub(in crate::imap::fetch) fn ask_newest_first(
        &mut self,
        uids: &UidSet,
    ) -> Result<(), StoreError> {
        self.turn = Some(Turn::new(uids.clone()));
        let asked = self.ask(Vec::new());
        self.turn = None;
        asked
    }

    /// Likewise, where the commands were sent in this order already.
    pub(in crate::imap::fetch) fn newest_first(mut self) -> Self {
        self.turn = Some(Turn::new(UidSet::new()));
        self
    }

    /// Tells whether nothing that goes before this message may still come.
    pub(super) fn is_in_turn(&self, uid: Uid) -> bool {
        let before = |set: &UidSet| set.last().filter(|other| *other > uid);
        let is_open = |other: Uid| {
            let settled = [&self.came, &self.withheld, &self.empty, &self.too_large];
            !settled.iter().any(|uids| uids.contains(other))
        };
        self.turn.is_none()
            || !self.in_flight.iter().filter_map(|(_, set)| before(set)).any(is_open)
    }

    /// Tells whether this message came and waits for its turn.
    pub(super) fn is_held(&self, uid: Uid) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.held.contains_key(&uid))
    }

    /// Holds a body that came before its turn. Without room for it, it is asked for once more, last of all.
    pub(super) fn hold(&mut self, uid: Uid, row: FetchRow, octets: &[u8]) {
        let Some(turn) = &mut self.turn else { return };
        if turn.held_octets + octets.len() > HELD_OCTETS_MAX {
            self.too_large.insert(uid);
            self.partial.insert(uid, row.without_content());
            return;
        }
        turn.held_octets += octets.len();
        turn.held.insert(uid, (row, octets.to_vec()));
    }

    /// Hands on what is held and has its turn now.
    pub(super) fn hand_on_in_turn(&mut self) {
        while !self.stopped
            && let Some((&uid, _)) = self.turn.as_ref().and_then(|turn| turn.held.last_key_value())
            && self.is_in_turn(uid)
        {
            let Some(turn) = &mut self.turn else { return };
            let Some((row, octets)) = turn.held.remove(&uid) else { return };
            turn.held_octets -= octets.len();
            self.deliver(uid, &row, u64::try_from(octets.len()).ok(), &octets);
        }
    }
}

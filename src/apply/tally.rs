//! What a run has done so far, and what it ended with.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::apply::event::{Event, Watch};
use crate::apply::fatal::Fatal;
use crate::plan::Reason;
use crate::state::Item;
use crate::store::Compression;

/// Everything that a run did and found.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that a code stands for"
)]
#[derive(Debug, Default)]
pub struct Applied {
    /// Messages copied in this run.
    pub copied: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that were copied after ones of their folder that go behind them: they had been refused, or
    /// were sent again, or the source gave them later.
    pub out_of_order: u64,
    /// Messages of the plan that were there already.
    pub found: u64,
    /// Folders created.
    pub created: u64,
    /// Folders subscribed to.
    pub subscribed: u64,
    /// Messages whose flags were changed.
    pub flags_changed: u64,
    /// Messages left out, by reason: by rule in the plan, or gone since.
    pub left_out: BTreeMap<Reason, u64>,
    /// Notes about folders: what the destination does not keep.
    pub notes: Vec<Note>,
    /// What needs a reader.
    pub items: Vec<Item>,
    /// Messages that were sent again after an append whose fate was not known.
    pub sent_again: u64,
    /// How often a connection was made anew.
    pub reconnected: u64,
    /// Time spent waiting until an append could no longer arrive.
    pub waited: Duration,
    /// Whether the source's session compressed by the end, and why; nothing where there was none.
    pub source_compression: Option<Compression>,
    /// The same of the destination's.
    pub destination_compression: Option<Compression>,
    /// The source got new mail or folders since the plan was made.
    pub source_moved_on: bool,
    /// A folder of the plan is another one by now.
    pub stale: bool,
    /// Somebody else is copying into a folder.
    pub somebody_else: bool,
    /// The destination is full.
    pub quota: bool,
    /// What ended the run early.
    pub fatal: Option<Fatal>,
}

/// Something worth knowing about a destination folder that concerns no single message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The destination folder.
    pub folder: crate::mail::FolderName,
    /// What.
    pub reason: Reason,
    /// How many messages it concerns.
    pub messages: u64,
    /// A detail, such as the flags in question.
    pub detail: Option<String>,
}

impl Applied {
    /// Adds an item and tells it.
    pub(super) fn item(&mut self, item: Item, watch: &mut dyn Watch) {
        watch.event(&Event::Item(&item));
        self.items.push(item);
    }

    /// Adds what another lane of the run did.
    pub(super) fn add(&mut self, other: Self) {
        self.copied += other.copied;
        self.octets += other.octets;
        self.out_of_order += other.out_of_order;
        self.found += other.found;
        self.created += other.created;
        self.sent_again += other.sent_again;
        self.reconnected += other.reconnected;
        // Lanes wait at the same time.
        self.waited = self.waited.max(other.waited);
        self.source_moved_on |= other.source_moved_on;
        self.stale |= other.stale;
        self.somebody_else |= other.somebody_else;
        self.quota |= other.quota;
        for (reason, messages) in other.left_out {
            self.leave_out(reason, messages);
        }
        other.notes.into_iter().for_each(|note| self.note(note));
        self.items.extend(other.items);
        self.fatal = match (self.fatal.take(), other.fatal) {
            (None | Some(Fatal::Stopped), Some(fatal)) => Some(fatal),
            (fatal, _) => fatal,
        };
    }

    /// Counts messages that are left out.
    pub(super) fn leave_out(&mut self, reason: Reason, messages: u64) {
        if messages > 0 {
            *self.left_out.entry(reason).or_default() += messages;
        }
    }

    /// Adds to a note about a folder.
    pub(super) fn note(&mut self, note: Note) {
        if note.messages == 0 {
            return;
        }
        let same = |other: &&mut Note| {
            other.folder == note.folder
                && other.reason == note.reason
                && other.detail == note.detail
        };
        match self.notes.iter_mut().find(same) {
            Some(other) => other.messages += note.messages,
            None => self.notes.push(note),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_lanes_adds_up_and_their_waits_are_at_the_same_time() {
        let lane = |copied, seconds| Applied {
            copied,
            waited: Duration::from_secs(seconds),
            ..Applied::default()
        };
        let mut all = lane(3, 60);
        all.add(lane(4, 90));
        all.add(lane(5, 20));
        assert_eq!((all.copied, all.waited.as_secs()), (12, 90));
    }
}

//! Adding up what a plan comes to: the same way where it is written and where it is checked.

use crate::plan::action::Action;
use crate::plan::folder::FolderPair;
use crate::plan::header::Totals;

impl Totals {
    /// Adds a folder pair.
    ///
    /// Sums stop at the highest number instead of wrapping: a file may hold any numbers.
    pub fn add_pair(&mut self, pair: &FolderPair) {
        add(&mut self.pairs, 1);
        add(&mut self.equal, pair.counts.equal);
    }

    /// Adds an action.
    pub fn add_action(&mut self, action: &Action) {
        match action {
            Action::CreateFolder { .. } => add(&mut self.creates, 1),
            Action::Copy { messages, octets, .. } => {
                add(&mut self.copies, *messages);
                add(&mut self.octets, *octets);
            }
            Action::Skip { messages, .. } => add(&mut self.skipped, *messages),
            Action::Blocked { .. } => add(&mut self.blocked, 1),
            Action::Flags { messages, .. } => add(&mut self.flags, *messages),
            Action::Subscribe { .. } => add(&mut self.subscriptions, 1),
        }
    }
}

const fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

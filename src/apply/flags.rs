//! The flags section: by difference, and only where it still fits.

use crate::apply::copy::{Trouble, at};
use crate::apply::fatal::Fatal;
use crate::apply::look::{Candidate, look};
use crate::apply::run::{Run, folder_item};
use crate::apply::tally::Note;
use crate::mail::{FlagSet, Side, Uid, UidSet};
use crate::plan::{Action, FolderPair, Observed, Reason};
use crate::state::FolderKey;
use crate::store::{FlagChange, FolderState, HeaderFields};

/// One change of flags of a plan.
struct Change<'a> {
    pair: &'a FolderPair,
    uids: &'a UidSet,
    add: &'a FlagSet,
    remove: &'a FlagSet,
    from: &'a FlagSet,
}

impl Run<'_> {
    /// Changes flags of messages that are at the destination.
    pub(super) fn change_flags(&mut self) -> Result<(), Fatal> {
        for action in &self.work.flags {
            if self.stop.requested() {
                return Err(Fatal::Stopped);
            }
            let Action::Flags { pair, uids, add, remove, from, .. } = action else { continue };
            let Some(pair) = self.work.pair(*pair).cloned() else { continue };
            let change = Change { pair: &pair, uids, add, remove, from };
            let done = self.persist(|run| run.change(&change));
            match done {
                Ok(()) => {}
                Err(Trouble::Fatal(fatal)) => return Err(fatal),
                Err(Trouble::Store(_, error)) => {
                    let said = Some(crate::apply::said(&error));
                    let name = pair.destination.name.clone();
                    let item = folder_item(name, Side::Destination, Reason::FlagsRefused, said);
                    self.item(item);
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, change: &Change<'_>) -> Result<(), Trouble> {
        let wire = change.pair.destination.wire.clone();
        let destination = self.destination()?;
        let opened = destination.open(&wire).map_err(at(Side::Destination))?;
        let seen = change.pair.destination.seen.as_ref();
        let other_id = |seen: &Observed| matches!((&seen.mailbox_id, &opened.mailbox_id), (Some(old), Some(new)) if old != new);
        if seen.is_none_or(|seen| seen.uid_validity != opened.uid_validity || other_id(seen)) {
            self.done.stale = true;
            let name = change.pair.destination.name.clone();
            let item = folder_item(name, Side::Destination, Reason::FolderStale, None);
            self.item(item);
            return Ok(());
        }
        let now = look(destination, &wire, change.uids, HeaderFields::None)
            .map_err(at(Side::Destination))?;
        let wanted: UidSet =
            now.iter().filter(|row| needs(row, change)).map(|row| row.uid).collect();
        let left_alone = now.iter().filter(|row| conflicts(row, change)).count();
        self.note_conflicts(change, u64::try_from(left_alone).unwrap_or(u64::MAX));
        let mut done: UidSet =
            now.iter().filter(|row| !conflicts(row, change)).map(|row| row.uid).collect();
        if !wanted.is_empty() {
            let flags = FlagChange {
                add: change.add.clone(),
                remove: change.remove.clone(),
                // What is only added takes nothing of anybody's away. What changed since the folder was
                // opened, and so perhaps since the look, is left alone (safety law R10).
                unchanged_since: opened.highest_mod_seq.filter(|_| !change.remove.is_empty()),
            };
            let outcome = self
                .destination()?
                .change_flags(&wire, &wanted, &flags)
                .map_err(at(Side::Destination))?;
            done = done.difference(&outcome.modified);
            self.note_conflicts(change, outcome.modified.len());
            self.done.flags_changed += wanted.difference(&outcome.modified).len();
            self.note_not_kept(change, &outcome.reported);
        }
        self.agree(change, &opened, &done)
    }

    /// Moves the base of the next plan by what was changed. What the destination has beyond that is its
    /// users' own and never becomes part of the base: it would be taken away by the next plan.
    fn agree(
        &mut self,
        change: &Change<'_>,
        opened: &FolderState,
        done: &UidSet,
    ) -> Result<(), Trouble> {
        let (source, destination) = (&change.pair.source, &change.pair.destination);
        let here = self.state.folder(&FolderKey {
            side: Side::Source,
            wire: source.wire.clone(),
            uid_validity: source.seen.uid_validity,
            mailbox_id: source.seen.mailbox_id.clone(),
        })?;
        let there = self.state.folder(&FolderKey {
            side: Side::Destination,
            wire: destination.wire.clone(),
            uid_validity: opened.uid_validity,
            mailbox_id: opened.mailbox_id.clone(),
        })?;
        let mut agreed = Vec::new();
        self.state.each_link(here, there, &mut |link| {
            if let Some(uid) = link.destination.filter(|uid| done.contains(*uid)) {
                let base = link.flags.unwrap_or_default();
                agreed.push((uid, base.union(change.add).difference(change.remove)));
            }
        })?;
        self.state.agree_flags(there, &agreed)?;
        Ok(())
    }

    /// A flag is taken away only where the message still has what the plan saw.
    fn note_conflicts(&mut self, change: &Change<'_>, messages: u64) {
        self.done.note(Note {
            folder: change.pair.destination.name.clone(),
            reason: Reason::FlagsChangedMeanwhile,
            messages,
            detail: None,
        });
    }

    fn note_not_kept(&mut self, change: &Change<'_>, reported: &[(Uid, FlagSet)]) {
        let mut lost = FlagSet::new();
        let mut messages = 0;
        for (_, flags) in reported {
            let missing = change.add.difference(flags);
            if !missing.is_empty() {
                messages += 1;
                lost = lost.union(&missing);
            }
        }
        self.done.note(Note {
            folder: change.pair.destination.name.clone(),
            reason: Reason::FlagsNotKept,
            messages,
            detail: Some(lost.to_string()),
        });
    }
}

/// Tells whether the message has changed so that taking a flag away would undo somebody's work.
fn conflicts(row: &Candidate, change: &Change<'_>) -> bool {
    let done = change.remove.intersection(&row.flags).is_empty();
    !change.remove.is_empty() && !done && row.flags != *change.from
}

/// Tells whether the message still needs the change.
fn needs(row: &Candidate, change: &Change<'_>) -> bool {
    let lacks = !change.add.difference(&row.flags).is_empty();
    let has = !change.remove.intersection(&row.flags).is_empty();
    (lacks || has) && !conflicts(row, change)
}

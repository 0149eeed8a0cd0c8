//! The copies section: folders dealt to lanes, and each lane's share in waves.
//!
//! A lane is a session on each side and the thread that uses them. A destination folder belongs to one
//! lane, so that it has one writer (safety law R11).

use crate::apply::copy::Trouble;
use crate::apply::fatal::Fatal;
use crate::apply::group::Group;
use crate::apply::run::{Common, Run};
use crate::apply::spelling::Spellings;
use crate::mail::Side;

/// How many folders a wave holds at most.
const WAVE: usize = 64;

impl<'r> Run<'r> {
    /// Copies everything.
    pub(super) fn copy_all(
        &mut self,
        _common: &Common<'r, '_>,
        spellings: &Spellings,
    ) -> Result<(), Fatal> {
        let groups = self.groups(spellings)?;
        let mut resent = Vec::new();
        self.copy_share(groups, &mut resent)?;
        // Once more when all is done: an append that was thought lost may have arrived by now.
        for group in &mut resent {
            self.look_for_surplus(group)?;
            self.forget_what_never_came(group)?;
        }
        Ok(())
    }

    /// Copies into these folders, in their order as far as may be. Those with messages that may be
    /// there twice are added to `resent`.
    fn copy_share(&mut self, mut groups: Vec<Group>, resent: &mut Vec<Group>) -> Result<(), Fatal> {
        while !groups.is_empty() {
            if self.is_to_stop() {
                return Err(Fatal::Stopped);
            }
            self.mind_the_items()?;
            let many = groups.len().min(WAVE);
            let lost = match self.wave(&mut groups[..many]) {
                Ok(()) => false,
                Err(Trouble::Fatal(fatal)) => {
                    groups.iter().for_each(|group| self.tell_done(group));
                    return Err(fatal);
                }
                Err(Trouble::Store(side, error)) => {
                    match side {
                        Side::Source => self.source.note(&error),
                        Side::Destination => self.destination.note(&error),
                    };
                    true
                }
            };
            let later = groups.split_off(many);
            let mut again = Vec::new();
            let mut is_first = true;
            for mut group in groups {
                // After a connection was lost, folders that it never came to are waved at again; one at
                // least is done with care, so that each turn gets on.
                if lost && !is_first && group.is_calm() {
                    again.push(group);
                    continue;
                }
                is_first = false;
                let done = if group.is_done() { Ok(()) } else { self.copy_group(&mut group) };
                self.tell_done(&group);
                done?;
                if !group.resent.is_empty() {
                    resent.push(group);
                }
            }
            again.extend(later);
            groups = again;
        }
        Ok(())
    }
}

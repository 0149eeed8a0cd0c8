//! The copies section: folders dealt to lanes, and each lane's share in waves.
//!
//! A lane is a session on each side and the thread that uses them. A destination folder belongs to one
//! lane, so that it has one writer (safety law R11). How many lanes there are is decided by how much
//! there is to copy; a server that lets in fewer has fewer.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;

use crate::apply::copy::Trouble;
use crate::apply::fatal::Fatal;
use crate::apply::group::Group;
use crate::apply::run::{Common, Run};
use crate::apply::settings::Settings;
use crate::apply::spelling::Spellings;
use crate::apply::tally::Applied;
use crate::mail::Side;
use crate::session::begin_both;

/// How many folders a wave holds at most.
const WAVE: usize = 64;

/// What a message costs besides its octets, in octets: a folder of many small ones takes as long as one
/// of a few large ones.
const MESSAGE_COST: u64 = 10_000;

/// Octets in flight that one lane can make use of.
const STREAM_OCTETS_MAX: usize = 4 << 20;

/// Shares that no lane has taken yet.
type Shares = Mutex<VecDeque<Vec<Group>>>;

impl<'r> Run<'r> {
    /// Copies everything.
    pub(super) fn copy_all(
        &mut self,
        common: &Common<'r, '_>,
        spellings: &Spellings,
    ) -> Result<(), Fatal> {
        let groups = self.groups(spellings)?;
        let many = lanes(&groups, &self.settings);
        self.settings.memory = (self.settings.memory / many).min(STREAM_OCTETS_MAX);
        let shares: Shares = Mutex::new(deal(groups, many));
        let mut resent = Vec::new();
        let done = thread::scope(|scope| {
            let others: Vec<_> = (1..many)
                .map(|_| {
                    let mut lane = common.lane(self.source.another(), self.destination.another());
                    lane.settings.memory = self.settings.memory;
                    let shares = &shares;
                    scope.spawn(move || lane.run_beside(shares))
                })
                .collect();
            let done = self.copy_shares(&shares, &mut resent);
            if done.is_err() {
                self.tallies.ended.store(true, Ordering::Relaxed);
            }
            for other in others {
                match other.join() {
                    Ok((applied, groups)) => {
                        self.done.add(applied);
                        resent.extend(groups);
                    }
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        // A lane that was stopped because another one failed has nothing to tell.
        match (done, self.done.fatal.take()) {
            (Err(Fatal::Stopped) | Ok(()), Some(fatal)) => return Err(fatal),
            (done, _) => done?,
        }
        // Once more when all is done: an append that was thought lost may have arrived by now.
        for group in &mut resent {
            self.look_for_surplus(group)?;
            self.forget_what_never_came(group)?;
        }
        Ok(())
    }

    /// Works beside the first lane, if it is let in.
    fn run_beside(mut self, shares: &Shares) -> (Applied, Vec<Group>) {
        let mut resent = Vec::new();
        let begun = begin_both(&mut self.source, &mut self.destination, self.stop);
        if begun.is_err() || !self.source.is_there() || !self.destination.is_there() {
            tracing::debug!(?begun, "one lane less");
            return (self.end(), resent);
        }
        if let Err(fatal) = self.copy_shares(shares, &mut resent) {
            self.tallies.ended.store(true, Ordering::Relaxed);
            self.done.fatal = Some(fatal);
        }
        (self.end(), resent)
    }

    /// Copies one share after the other, until none is left.
    fn copy_shares(&mut self, shares: &Shares, resent: &mut Vec<Group>) -> Result<(), Fatal> {
        loop {
            let share = shares.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(share) = share else { return Ok(()) };
            self.copy_share(share, resent)?;
        }
    }

    /// Copies into these folders, in their order as far as may be. Those with messages that may be
    /// there twice are added to `resent`.
    fn copy_share(&mut self, mut groups: Vec<Group>, resent: &mut Vec<Group>) -> Result<(), Fatal> {
        while !groups.is_empty() {
            if self.is_to_stop() {
                return Err(Fatal::Stopped);
            }
            self.mind_the_items()?;
            let later = groups.split_off(groups.len().min(WAVE));
            let lost = match self.wave(&mut groups) {
                Ok(()) => false,
                Err(Trouble::Fatal(fatal)) => {
                    for group in &groups {
                        self.tell_done(group);
                    }
                    return Err(fatal);
                }
                Err(Trouble::Store(Side::Source, error)) => self.source.note(&error),
                Err(Trouble::Store(Side::Destination, error)) => self.destination.note(&error),
            };
            groups = self.copy_rest(groups, lost, resent)?;
            groups.extend(later);
        }
        Ok(())
    }

    /// Copies with care what a wave left. After a lost connection, folders to which it never came are
    /// returned, for the next wave; one at least is done, so that each turn gets on.
    fn copy_rest(
        &mut self,
        groups: Vec<Group>,
        lost: bool,
        resent: &mut Vec<Group>,
    ) -> Result<Vec<Group>, Fatal> {
        let mut again = Vec::new();
        for (place, mut group) in groups.into_iter().enumerate() {
            if lost && place > 0 && group.is_calm() {
                again.push(group);
                continue;
            }
            let done =
                if group.is_done() { self.note_end(&group) } else { self.copy_group(&mut group) };
            self.tell_done(&group);
            done?;
            if !group.resent.is_empty() {
                resent.push(group);
            }
        }
        Ok(again)
    }

    /// Records how far a folder has come that was filled without a gap, so that one that is put back is
    /// noticed.
    fn note_end(&mut self, group: &Group) -> Result<(), Fatal> {
        let Some(place) = &group.place else { return Ok(()) };
        Ok(self.state.raise_high_water(place.folder, place.from, None)?)
    }
}

/// How many lanes these folders are worth.
fn lanes(groups: &[Group], settings: &Settings) -> usize {
    let cost: u64 = groups.iter().map(|group| group.cost(MESSAGE_COST)).sum();
    let worth =
        usize::try_from(cost.div_ceil(settings.connection_worth.max(1))).unwrap_or(usize::MAX);
    usize::from(settings.connections.max(1)).min(groups.len()).min(worth).max(1)
}

/// Deals folders into so many shares of about the same cost, the largest first to whoever has least.
/// Within a share they keep their order, and shares come in the order of their first folders.
fn deal(groups: Vec<Group>, many: usize) -> VecDeque<Vec<Group>> {
    let costs: Vec<u64> = groups.iter().map(|group| group.cost(MESSAGE_COST)).collect();
    let owner = assign(&costs, many);
    let mut shares: Vec<Vec<Group>> = (0..many).map(|_| Vec::new()).collect();
    let mut firsts: Vec<usize> = vec![usize::MAX; many];
    for (place, group) in groups.into_iter().enumerate() {
        let share = owner[place];
        firsts[share] = firsts[share].min(place);
        shares[share].push(group);
    }
    let mut order: Vec<usize> = (0..many).collect();
    order.sort_by_key(|&share| firsts[share]);
    let mut dealt = VecDeque::new();
    for share in order {
        dealt.push_back(std::mem::take(&mut shares[share]));
    }
    dealt.retain(|share| !share.is_empty());
    dealt
}

/// Which share each folder goes to.
fn assign(costs: &[u64], many: usize) -> Vec<usize> {
    let mut by_cost: Vec<usize> = (0..costs.len()).collect();
    by_cost.sort_by_key(|&place| std::cmp::Reverse(costs[place]));
    let mut loads = vec![0_u64; many.max(1)];
    let mut owner = vec![0; costs.len()];
    for place in by_cost {
        let least = (0..loads.len()).min_by_key(|&share| loads[share]).unwrap_or(0);
        loads[least] = loads[least].saturating_add(costs[place].max(1));
        owner[place] = least;
    }
    owner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_dealt_so_that_lanes_end_together() {
        assert_eq!(assign(&[5, 1, 1, 1, 1, 1], 2), [0, 1, 1, 1, 1, 1]);
        assert_eq!(assign(&[3, 3, 2, 2, 2], 2), [0, 1, 0, 1, 0]);
        assert_eq!(assign(&[0, 0, 0], 3), [0, 1, 2]);
        assert_eq!(assign(&[7, 8], 1), [0, 0]);
        assert_eq!(assign(&[], 4), Vec::<usize>::new());
    }
}

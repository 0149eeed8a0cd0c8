//! The copies section: folders dealt to lanes, and each lane's share in waves.
//!
//! A lane is a session on each side and the thread that uses them. A destination folder belongs to one
//! lane, so that it has one writer (safety law R11). How many lanes there are is decided by how much
//! there is to copy; a server that lets in fewer has fewer.

use std::collections::VecDeque;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;

use crate::apply::copy::{Course, Trouble};
use crate::apply::fatal::Fatal;
use crate::apply::folders::{Absent, Later};
use crate::apply::group::Group;
use crate::apply::run::{Common, Run};
use crate::apply::settings::Settings;
use crate::apply::spelling::Spellings;
use crate::apply::tally::Applied;
use crate::mail::Side;
use crate::session::begin_both;
use crate::store::{AppendWays, Listing};

/// How many folders a wave holds at most where each message is stored by itself.
const WAVE_OF_SINGLES: usize = 8;

/// How many folders a wave holds where both servers are near: there is no round trip to be saved, and few
/// folders are made before their mail comes.
const WAVE_NEARBY: usize = 10;

/// Of many folders it holds this part of those that are left: each wave lists all that there are.
const PART_NEARBY: usize = 4;

/// What a message costs besides its octets, in octets: a folder of many small ones takes as long as one
/// of a few large ones. Where it goes in together with others.
const COST_IN_A_BATCH: u64 = 10_000;

/// The same where it is stored by itself: as long as that takes, so many octets could go.
const COST_OF_A_SINGLE: u64 = 100_000;

/// The same where a round trip is waited for each.
const COST_OF_A_ROUND_TRIP: u64 = 1_000_000;

/// Octets in flight that one lane can make use of.
const STREAM_OCTETS_MAX: usize = 4 << 20;

/// The same where both servers are near. There is no round trip to be filled; what lies longer is out of the
/// processor's caches when it is taken, and has to be fetched from memory again.
const STREAM_OCTETS_NEARBY: usize = 1 << 20;

/// Shares that no lane has taken yet. Lanes log in while it is still found out what there is to share.
#[derive(Default)]
struct Shares {
    dealt: Mutex<Option<VecDeque<Vec<Group>>>>,
    changed: Condvar,
}

impl Shares {
    /// Deals shares out; nothing more comes.
    fn deal(&self, shares: VecDeque<Vec<Group>>) {
        *self.dealt.lock().unwrap_or_else(PoisonError::into_inner) = Some(shares);
        self.changed.notify_all();
    }

    /// The next share; waits until shares are dealt.
    fn take(&self) -> Option<Vec<Group>> {
        let mut dealt = self.dealt.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *dealt {
                Some(shares) => return shares.pop_front(),
                None => {
                    dealt = self.changed.wait(dealt).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// Folders that are looked at once more when others are done.
#[derive(Default)]
struct After {
    /// When those of the same lane are: they wait for appends that may still arrive.
    put_off: VecDeque<Group>,
    /// When all are: they may hold messages twice.
    resent: Vec<Group>,
}

impl<'r> Run<'r> {
    /// Makes the folders and copies everything; returns how the destination spells its names.
    pub(super) fn copy_all(
        &mut self,
        common: &Common<'r, '_>,
        listing: Listing,
    ) -> Result<Spellings, Fatal> {
        let shares = Shares::default();
        let mut after = After::default();
        let done = thread::scope(|scope| {
            let mut lanes = Vec::new();
            let (source, destination) = self.both()?;
            let is_near = source.is_near() || destination.is_near();
            let are_near = source.is_near() && destination.is_near();
            self.settings.mind_nearness(is_near);
            self.are_near = are_near;
            let message = message_cost(self.destination()?.abilities().append);
            let early = lanes_for(self.work.fresh_cost(&listing, message), &self.settings);
            for lane in self.lanes_beside(common, 1, early) {
                let shares = &shares;
                lanes.push(scope.spawn(move || lane.run_beside(shares)));
            }
            let done = self.make_folders(listing).and_then(|(spellings, later)| {
                let groups = self.groups(&spellings, &later)?;
                let cost = groups.iter().map(|group| group.cost(message)).sum();
                let many = lanes_for(cost, &self.settings).min(groups.len()).max(1);
                for lane in self.lanes_beside(common, lanes.len() + 1, many) {
                    let shares = &shares;
                    lanes.push(scope.spawn(move || lane.run_beside(shares)));
                }
                self.settings.memory = lane_memory(self.settings.memory, lanes.len() + 1, are_near);
                let dealt = deal(groups, many, message);
                self.make_with_the_first(&dealt)?;
                shares.deal(dealt);
                self.copy_shares(&shares, &mut after)?;
                Ok(spellings)
            });
            if done.is_err() {
                self.tallies.ended.store(true, Ordering::Relaxed);
                shares.deal(VecDeque::new());
            }
            for lane in lanes {
                match lane.join() {
                    Ok((applied, groups)) => {
                        self.done.add(applied);
                        after.resent.extend(groups);
                    }
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        // A lane that was stopped because another one failed has nothing to tell.
        let spellings = match (done, self.done.fatal.take()) {
            (Err(Fatal::Stopped) | Ok(_), Some(fatal)) => return Err(fatal),
            (done, _) => done?,
        };
        // Once more when all is done: an append that was thought lost may have arrived by now.
        for group in &mut after.resent {
            self.look_for_surplus(group)?;
            self.forget_what_never_came(group)?;
        }
        Ok(spellings)
    }

    /// Makes the folders that are not left for later; returns these too.
    fn make_folders(&mut self, listing: Listing) -> Result<(Spellings, Later), Fatal> {
        let before = Spellings::from(listing);
        let later = self.left_for_later(&before);
        Ok((self.spellings(before, &later)?, later))
    }

    /// Has the folders with which lanes begin made all at once.
    fn make_with_the_first(&mut self, shares: &VecDeque<Vec<Group>>) -> Result<(), Fatal> {
        let mut begin = Vec::new();
        for share in shares {
            begin.extend(share.iter().take(self.wave_size(share.len())?));
        }
        let paths = begin.into_iter().filter_map(|group| match &group.absent {
            Absent::ToCreate(path) => Some(path),
            Absent::No | Absent::Refused => None,
        });
        self.tallies.folders().first = paths.flatten().cloned().collect();
        Ok(())
    }

    /// How many of so many folders that are left a wave holds. Where each message is stored by itself, round
    /// trips are few beside that.
    fn wave_size(&mut self, left: usize) -> Result<usize, Fatal> {
        let ways = self.destination()?.abilities().append;
        let most = match (ways.multi && ways.literal_plus, self.are_near) {
            (false, _) => WAVE_OF_SINGLES,
            (true, true) => WAVE_NEARBY.max(left / PART_NEARBY),
            (true, false) => usize::MAX,
        };
        Ok(self.settings.wave.clamp(1, most))
    }

    /// Lanes that lack to so many.
    fn lanes_beside(&self, common: &Common<'r, '_>, there: usize, many: usize) -> Vec<Self> {
        let new = |_| {
            let mut lane = common.lane(self.source.another(), self.destination.another());
            lane.are_near = self.are_near;
            lane.settings.memory = lane_memory(self.settings.memory, many, self.are_near);
            lane
        };
        (there..many).map(new).collect()
    }

    /// Works beside the first lane, if it is let in. Returns folders that may hold messages twice, too.
    fn run_beside(mut self, shares: &Shares) -> (Applied, Vec<Group>) {
        let begun = begin_both(&mut self.source, &mut self.destination, self.stop);
        if begun.is_err() || !self.source.is_there() || !self.destination.is_there() {
            tracing::debug!(?begun, "one lane less");
            return (self.end(), Vec::new());
        }
        let mut after = After::default();
        if let Err(fatal) = self.copy_shares(shares, &mut after) {
            self.tallies.ended.store(true, Ordering::Relaxed);
            self.done.fatal = Some(fatal);
        }
        (self.end(), after.resent)
    }

    /// Copies one share after the other, until none is left; then into those folders that were put off, whose
    /// times of waiting pass beside each other.
    fn copy_shares(&mut self, shares: &Shares, after: &mut After) -> Result<(), Fatal> {
        let mut done = Ok(());
        while done.is_ok()
            && let Some(share) = shares.take()
        {
            done = self.copy_share(share, after);
        }
        while done.is_ok()
            && let Some(group) = after.put_off.pop_front()
        {
            done = self.wait_for(&group).and_then(|()| self.copy_one(group, after));
        }
        for group in after.put_off.drain(..) {
            self.tell_done(&group);
        }
        done
    }

    /// Copies into these folders, in their order as far as may be.
    fn copy_share(&mut self, mut groups: Vec<Group>, after: &mut After) -> Result<(), Fatal> {
        while !groups.is_empty() {
            if self.is_to_stop() {
                return Err(Fatal::Stopped);
            }
            self.mind_the_items()?;
            let size = self.wave_size(groups.len())?;
            let later = groups.split_off(groups.len().min(size));
            let again = match self.wave(&mut groups) {
                Ok(again) => again,
                Err(Trouble::Fatal(fatal)) => {
                    for group in &groups {
                        self.tell_done(group);
                    }
                    return Err(fatal);
                }
                Err(Trouble::Store(Side::Source, error)) => self.source.note(&error),
                Err(Trouble::Store(Side::Destination, error)) => self.destination.note(&error),
            };
            groups = self.copy_rest(groups, again, after)?;
            groups.extend(later);
        }
        Ok(())
    }

    /// Copies with care what a wave left. After a lost connection, folders to which it never came are
    /// returned, for the next wave; one at least is done, so that each turn gets on.
    fn copy_rest(
        &mut self,
        groups: Vec<Group>,
        waves_again: bool,
        after: &mut After,
    ) -> Result<Vec<Group>, Fatal> {
        let mut again = Vec::new();
        for (place, group) in groups.into_iter().enumerate() {
            if waves_again && place > 0 && group.is_calm() {
                again.push(group);
            } else {
                self.copy_one(group, after)?;
            }
        }
        Ok(again)
    }

    fn copy_one(&mut self, mut group: Group, after: &mut After) -> Result<(), Fatal> {
        let course = if group.is_done() {
            self.note_end(&group).map(|()| Course::Done)
        } else {
            self.copy_group(&mut group)
        };
        if matches!(course, Ok(Course::PutOff)) {
            after.put_off.push_back(group);
            return Ok(());
        }
        self.tell_done(&group);
        self.bear_witness(&group)?;
        course?;
        if !group.resent.is_empty() {
            after.resent.push(group);
        }
        Ok(())
    }

    /// Records how far a folder has come that was filled without a gap, so that one that is put back is
    /// noticed.
    fn note_end(&mut self, group: &Group) -> Result<(), Fatal> {
        let Some(place) = &group.place else { return Ok(()) };
        Ok(self.state.raise_high_water(place.folder, place.from, None)?)
    }
}

/// What a message costs besides its octets, in octets, by the ways to append it.
const fn message_cost(ways: AppendWays) -> u64 {
    match ways {
        AppendWays { literal_plus: true, multi: true, .. } => COST_IN_A_BATCH,
        AppendWays { literal_plus: true, .. } => COST_OF_A_SINGLE,
        _ => COST_OF_A_ROUND_TRIP,
    }
}

impl Settings {
    /// How many lanes so many messages are worth that are to be copied to folders without mail, as far as
    /// can be told before it is known how large they are.
    #[must_use]
    pub fn lanes_expected(mut self, messages: u64, append: AppendWays, is_near: bool) -> usize {
        self.mind_nearness(is_near);
        lanes_for(messages.saturating_mul(message_cost(append)), &self)
    }

    /// Where one of the servers is near, other connections are usual.
    const fn mind_nearness(&mut self, is_near: bool) {
        if is_near {
            self.connections = self.connections_nearby;
        }
    }
}

/// How many lanes so much is worth.
fn lanes_for(cost: u64, settings: &Settings) -> usize {
    let worth = cost.div_ceil(settings.connection_worth.max(1));
    let worth = usize::try_from(worth).unwrap_or(usize::MAX);
    usize::from(settings.connections.max(1)).min(worth).max(1)
}

/// The share of one lane of so many in what may be in flight.
fn lane_memory(memory: usize, many: usize, are_near: bool) -> usize {
    let useful = if are_near { STREAM_OCTETS_NEARBY } else { STREAM_OCTETS_MAX };
    (memory / many.max(1)).min(useful)
}

/// Deals folders into so many shares of about the same cost, the largest first to whoever has least.
/// Within a share they keep their order, and shares come in the order of their first folders.
fn deal(groups: Vec<Group>, many: usize, message: u64) -> VecDeque<Vec<Group>> {
    let costs: Vec<u64> = groups.iter().map(|group| group.cost(message)).collect();
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

    #[test]
    fn lane_has_its_share_of_memory_and_no_more_than_it_can_use() {
        const MIB: usize = 1 << 20;
        for (memory, many, are_near, share) in [
            (32 * MIB, 4, false, 4 * MIB),
            (32 * MIB, 4, true, MIB),
            (6 * MIB, 4, false, MIB + MIB / 2),
            (2 * MIB, 4, true, MIB / 2),
            (MIB, 0, true, MIB),
        ] {
            assert_eq!(lane_memory(memory, many, are_near), share);
        }
    }
}

//! A wave: many folders at one go, as long as nothing is odd about them.
//!
//! Each round trip of a folder by itself (open it, put the first messages there, read them back, send
//! the rest) is paid once for all folders of a wave. A wave settles nothing: whatever is not as it was
//! planned, and whatever goes wrong, is left to [`copy_group`](Run::copy_group), folder by folder.

use std::collections::BTreeMap;

use crate::apply::book::Booked;
use crate::apply::copy::{FIRST_BATCH, Trouble, at, first_of, leg};
use crate::apply::fatal::Fatal;
use crate::apply::folders::Absent;
use crate::apply::group::Group;
use crate::apply::pass;
use crate::apply::pass::{Ended, Leg, Pass, Reading, Written};
use crate::apply::pipe::Pipe;
use crate::apply::placing::Target;
use crate::apply::run::{Run, telling};
use crate::apply::visit::{Rows, States, Visited};
use crate::mail::{FlagSet, Side, Uid, UidOrder, UidSet, WireName};
use crate::store::{
    Coming, FolderState, HeaderFields, Items, MissingWhy, Part, StoreError, Survey, VisitSink,
};

/// What the speed of the source's line is told from, in octets: as much as a line takes that is just so
/// slow that compression pays, to be found slow.
const SAMPLE_OCTETS: u64 = 5 << 20;

/// So many octets of first messages spare the sample: enough for a line of two thirds of that speed.
const FIRST_OCTETS_ENOUGH: u64 = 3 << 20;

/// How much has to be left for a sample to pay, in octets.
const SAMPLE_WORTH: u64 = 16 << 20;

/// So many sets of flags are told of messages that are coming.
const COMING_MAX: usize = 64;

/// What was read back of folders, by their numbers.
type Looked = Vec<(usize, Visited)>;

/// Folders that were opened, by their numbers.
type Opened = Vec<(usize, Result<FolderState, StoreError>)>;

/// Which messages of a folder go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// The first few, which are read back.
    First,
    /// So many that the speed of the source's line can be told from them.
    Sample,
    /// All.
    All,
}

impl Share {
    /// How many of the first messages of a set are kept for reading back.
    fn keep(self) -> usize {
        match self {
            Self::First => usize::try_from(FIRST_BATCH).unwrap_or(usize::MAX),
            Self::Sample | Self::All => 0,
        }
    }
}

/// Messages of a set that are not in any share yet.
struct Rest {
    number: usize,
    index: usize,
    order: UidOrder,
    uids: UidSet,
    flags: FlagSet,
    recipe: u32,
    /// Octets of one, by and large.
    each: u64,
}

impl Rest {
    /// Takes the first so many off.
    fn take(&mut self, messages: u64) -> UidSet {
        let first = first_of(self.order, &self.uids, messages);
        self.uids = self.uids.difference(&first);
        first
    }

    fn octets(&self) -> u64 {
        self.each.saturating_mul(self.uids.len())
    }
}

/// What of these folders is to go.
fn rests(groups: &[Group], numbers: &[usize]) -> Vec<Rest> {
    let mut rests = Vec::new();
    for &number in numbers {
        let group = &groups[number];
        for (index, set) in group.all_sets() {
            let order = group.pairs[index].pair.order;
            let each = (set.octets / set.uids.len().max(1)).max(1);
            let (uids, flags, recipe) = (set.uids.clone(), set.flags.clone(), set.recipe);
            rests.push(Rest { number, index, order, uids, flags, recipe, each });
        }
    }
    rests
}

impl<'r> Run<'r> {
    /// Copies into these folders what can be copied without a closer look. Tells whether those that are
    /// left are worth another wave.
    ///
    /// # Errors
    ///
    /// Of a connection, which was noted, or what ends the run.
    pub(super) fn wave(&mut self, groups: &mut [Group]) -> Result<bool, Trouble> {
        // Where the server tells no UIDs they are looked up after each pass.
        if !self.destination()?.abilities().uid_plus || self.quota.is_full() {
            self.create_absent(groups)?;
            return Ok(false);
        }
        // A new folder has nothing of ours: its messages can be read before it is opened, or made.
        let fresh = chosen(groups, Group::is_fresh);
        let known = chosen(groups, |group| !group.is_fresh());
        let known = self.open_known(groups, &known)?;
        let (proved, opened): (Vec<usize>, Vec<usize>) =
            known.into_iter().partition(|&number| groups[number].proved);
        let mut new = [&*opened, &*fresh].concat();
        new.sort_unstable();
        let mut all = [&*proved, &*new].concat();
        all.sort_unstable();
        if all.is_empty() {
            return Ok(false);
        }
        let shares = self.shares(groups, &new, &all)?;
        let again = self.move_shares(groups, &shares, |run, groups, pipe| {
            let is_to_come = |&number: &usize| matches!(groups[number].absent, Absent::ToCreate(_));
            let made: Vec<usize> = fresh.iter().copied().filter(is_to_come).collect();
            if !fresh.is_empty() {
                run.create_absent(groups)?;
            }
            let is_there = |&number: &usize| matches!(groups[number].absent, Absent::No);
            let (empty, other): (Vec<usize>, Vec<usize>) = fresh
                .iter()
                .copied()
                .filter(is_there)
                .partition(|&number| groups[number].listed_empty);
            // Those that were made come first: there, what a server refuses of a trial says something, too.
            let (new, there): (Vec<usize>, Vec<usize>) =
                empty.into_iter().partition(|number| made.contains(number));
            let coming = coming(groups, (&new, &there), &shares, pipe);
            let empty = [new, there].concat();
            let mut ready = run.open_fresh(groups, &empty, &coming)?;
            ready.extend(run.open_known(groups, &other)?);
            ready.extend([&*opened, &*proved].concat());
            Ok(ready)
        })?;
        self.read_back_all(groups, &new)?;
        Ok(again)
    }

    /// Deals the messages of folders out: the first ones of those that are new, which are to be read back
    /// before more goes there, and the others. The source is asked for the others while what became of
    /// the first ones is still to be told.
    fn shares(
        &mut self,
        groups: &[Group],
        new: &[usize],
        all: &[usize],
    ) -> Result<Vec<(Share, Vec<Leg<'r>>)>, Trouble> {
        let mut rests = rests(groups, all);
        let mut shares = Vec::new();
        let mut octets = 0;
        if !new.is_empty() {
            let mut last = None;
            let first = |rest: &mut Rest| {
                let is_first = last.replace(rest.number) != Some(rest.number);
                let takes = is_first && new.binary_search(&rest.number).is_ok();
                let uids = rest.take(if takes { FIRST_BATCH } else { 0 });
                octets += rest.each.saturating_mul(uids.len());
                uids
            };
            shares.push((Share::First, self.legs(groups, &mut rests, Share::First, first)));
        }
        let left: u64 = rests.iter().map(Rest::octets).sum();
        if left >= SAMPLE_WORTH && octets < FIRST_OCTETS_ENOUGH && self.source()?.wants_measuring()
        {
            let mut room = SAMPLE_OCTETS;
            let sample = |rest: &mut Rest| {
                let uids = rest.take(room.div_ceil(rest.each));
                room = room.saturating_sub(rest.each.saturating_mul(uids.len()));
                uids
            };
            shares.push((Share::Sample, self.legs(groups, &mut rests, Share::Sample, sample)));
        }
        let all = |rest: &mut Rest| rest.take(u64::MAX);
        shares.push((Share::All, self.legs(groups, &mut rests, Share::All, all)));
        shares.retain(|(_, legs)| !legs.is_empty());
        Ok(shares)
    }

    /// Opens folders that may hold something, and returns the numbers of those that are as they should
    /// be.
    fn open_known(
        &mut self,
        groups: &mut [Group],
        numbers: &[usize],
    ) -> Result<Vec<usize>, Trouble> {
        let (mut opened, mut empty) = (Vec::new(), Vec::new());
        for (number, state) in self.look_at(groups, numbers)? {
            // One that is empty gets its identity when it is opened to be written to.
            match &state {
                Ok(state) if state.messages == 0 && groups[number].place.is_none() => {
                    empty.push(number);
                }
                _ => opened.push((number, state)),
            }
        }
        let mut ready = self.judge(groups, opened)?;
        ready.extend(self.open_fresh(groups, &empty, &[])?);
        Ok(ready)
    }

    /// Opens folders that are empty; returns the numbers of those that are as they should be. `coming`:
    /// what is known of the messages that are to go there.
    fn open_fresh(
        &mut self,
        groups: &mut [Group],
        numbers: &[usize],
        coming: &[Coming],
    ) -> Result<Vec<usize>, Trouble> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let wires: Vec<WireName> =
            numbers.iter().map(|&number| groups[number].wire.clone()).collect();
        let destination = self.destination()?;
        let states = destination.prepare_all(&wires, coming).map_err(at(Side::Destination))?;
        self.judge(groups, numbers.iter().copied().zip(states).collect())
    }

    fn judge(&mut self, groups: &mut [Group], opened: Opened) -> Result<Vec<usize>, Trouble> {
        let mut ready = Vec::new();
        for (number, state) in opened {
            // What cannot be opened is opened again with care.
            if let Ok(state) = state
                && self.is_as_it_should_be(&mut groups[number], &state)?
            {
                ready.push(number);
            }
        }
        Ok(ready)
    }

    /// Opens folders to look at them.
    fn look_at(&mut self, groups: &[Group], numbers: &[usize]) -> Result<Opened, Trouble> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let folders: Vec<Survey<'_>> = numbers
            .iter()
            .map(|&number| Survey { folder: &groups[number].wire, parts: &[] })
            .collect();
        let mut states = States::default();
        self.destination()?.survey(&folders, &mut states).map_err(at(Side::Destination))?;
        Ok(states.0.into_iter().map(|(visit, state)| (numbers[visit], state)).collect())
    }

    /// Tells whether a folder is the one that was planned, and holds nothing that is not known.
    fn is_as_it_should_be(
        &mut self,
        group: &mut Group,
        opened: &FolderState,
    ) -> Result<bool, Trouble> {
        Ok(group.is_same(opened)
            && self.place(group, opened)?
            && self.knows_identity_is_kept(group)?
            && self.standing(group, opened)?.watermark.is_none()
            && group.is_calm())
    }

    /// Moves these shares, one after the other. While the first one begins to be read, `before` does what
    /// is to be done first at the destination, and tells into which of the folders it may go then. Returns
    /// whether it ended because too much was read for folders that take nothing.
    fn move_shares(
        &mut self,
        groups: &mut [Group],
        shares: &[(Share, Vec<Leg<'r>>)],
        before: impl FnOnce(&mut Self, &mut [Group], &Pipe) -> Result<Vec<usize>, Trouble>,
    ) -> Result<bool, Trouble> {
        let passes: Vec<Pass<'_>> =
            shares.iter().map(|(_, legs)| self.pass_of(legs, Reading::Touring)).collect();
        let patience = self.patience();
        let mut source =
            self.source.take(&patience, &mut telling(&mut *self.watch)).map_err(Fatal::from)?;
        let memory = self.settings.memory;
        let moved = pass::read_beside(&passes, memory, &mut *source, |pipe, reads| {
            let mut ready = before(self, groups, pipe)?;
            let (mut absent, mut was_for_nobody) = (Absentees::new(), false);
            for (place, (share, legs)) in shares.iter().enumerate() {
                if *share != Share::First {
                    self.read_back_all(groups, &ready)?;
                    ready.retain(|&number| goes_on(&groups[number]));
                }
                ready.retain(|&number| {
                    let absent = absent.get(&number).copied().unwrap_or_default();
                    dealt(number, &shares[place..]) + absent == to_copy(&groups[number])
                });
                if ready.is_empty() || self.is_to_stop() {
                    break;
                }
                let pass = &passes[place];
                let (written, looked) = self.write(groups, *share, &ready, (pass, pipe))?;
                was_for_nobody = written.was_for_nobody();
                let is_last = place + 1 == shares.len()
                    || written.is_lost()
                    || self.quota.is_full()
                    || self.is_to_stop();
                if is_last {
                    // What is still on its way is of no use: the reader need not wait.
                    pipe.abandon();
                } else {
                    pipe.next_part();
                }
                let ended = pass::ended(legs, reads.of(pass), written);
                note_absent(&mut absent, legs, &ended);
                self.book_all(groups, legs, ended)?;
                self.judge_all_first(groups, looked)?;
                if is_last {
                    break;
                }
            }
            Ok(was_for_nobody)
        });
        self.source.put_back(source);
        moved
    }

    /// Writes one share into these folders. First messages are read back along with the last of them, which
    /// costs no round trip; what was seen is returned.
    fn write(
        &mut self,
        groups: &mut [Group],
        share: Share,
        ready: &[usize],
        (pass, pipe): (&Pass<'_>, &Pipe),
    ) -> Result<(Written, Looked), Trouble> {
        let mut targets: Vec<Option<Target>> = vec![None; groups.len()];
        for &number in ready {
            targets[number] = groups[number].target();
            let group = &mut groups[number];
            (0..group.pairs.len()).for_each(|index| self.announce(group, index));
        }
        let asked = if share == Share::First { expected(groups, ready) } else { Vec::new() };
        let folders: Vec<Survey<'_>> = asked
            .iter()
            .map(|(number, parts)| Survey { folder: &groups[*number].wire, parts })
            .collect();
        let mut rows = Rows::new(folders.len());
        let behind = (!folders.is_empty()).then_some((&*folders, &mut rows as &mut dyn VisitSink));
        let (destination, with) = self.writing()?;
        let written = pass.write(pipe, targets, destination, behind, with)?;
        let numbers = asked.into_iter().map(|(number, _)| number);
        Ok((written, numbers.zip(rows.visits).collect()))
    }

    /// The legs of a share that takes so many messages of each set off.
    fn legs(
        &self,
        groups: &[Group],
        rests: &mut [Rest],
        share: Share,
        mut take: impl FnMut(&mut Rest) -> UidSet,
    ) -> Vec<Leg<'r>> {
        let work = self.work;
        let mut legs = Vec::new();
        for rest in rests {
            let Some(recipe) = work.recipe(rest.recipe) else { continue };
            let uids = take(rest);
            if !uids.is_empty() {
                let place = (rest.number, rest.index);
                let leg = leg(place, &groups[rest.number].pairs[rest.index], recipe);
                let flags = rest.flags.difference(&recipe.drop_flags);
                legs.push(Leg { uids, flags, keep: share.keep(), ..leg });
            }
        }
        legs
    }

    /// Books a pass over many folders. What was not read is still to be done.
    fn book_all(
        &mut self,
        groups: &mut [Group],
        legs: &[Leg<'_>],
        ended: Ended,
    ) -> Result<(), Trouble> {
        let Ended { legs: left, fetched, appended, .. } = ended;
        for (leg, ended) in legs.iter().zip(left) {
            let (number, index) = leg.place;
            let group = &mut groups[number];
            if matches!(group.absent, Absent::Refused) {
                continue;
            }
            let Booked { moved, .. } = self.book_leg(group, index, ended, fetched.is_err());
            group.stuck = if moved { 0 } else { group.stuck };
        }
        appended.map_err(at(Side::Destination))?;
        fetched.map_err(at(Side::Source))?;
        Ok(())
    }

    /// Reads the first messages of these folders back.
    fn read_back_all(&mut self, groups: &mut [Group], numbers: &[usize]) -> Result<(), Trouble> {
        let calm: Vec<usize> = numbers
            .iter()
            .copied()
            .filter(|&number| groups[number].is_calm() && !groups[number].first.is_empty())
            .collect();
        if calm.is_empty() {
            return Ok(());
        }
        let asked: Vec<(WireName, [Part; 1])> = calm
            .iter()
            .map(|&number| {
                let group = &groups[number];
                let uids = group.first.iter().filter_map(|stored| stored.at).collect();
                (group.wire.clone(), [Part { uids, items: READ_BACK }])
            })
            .collect();
        let folders: Vec<Survey<'_>> =
            asked.iter().map(|(folder, parts)| Survey { folder, parts }).collect();
        let mut rows = Rows::new(folders.len());
        self.destination()?.survey(&folders, &mut rows).map_err(at(Side::Destination))?;
        self.judge_all_first(groups, calm.into_iter().zip(rows.visits).collect())
    }

    /// Judges the first messages of folders by what was read back.
    fn judge_all_first(&mut self, groups: &mut [Group], looked: Looked) -> Result<(), Trouble> {
        for (number, (state, rows)) in looked {
            let group = &mut groups[number];
            if !group.is_calm() || group.first.is_empty() {
                continue;
            }
            let Some(state) = state.filter(|state| group.is_same(state)) else { continue };
            let is_back = |uid: Uid| rows.iter().any(|row| row.uid == uid);
            if !group.first.iter().all(|stored| stored.at.is_some_and(is_back)) {
                // It was looked at too quickly, or somebody took them away.
                continue;
            }
            if let Some(place) = &group.place {
                // Whoever came in between may be copying the same (safety law R11).
                let next = state.uid_next.is_none_or(|told| told == place.from);
                group.must_look = !next || state.messages != place.expected_messages;
            }
            if !self.judge_first(group, &rows)? {
                self.identity_is_not_kept(group);
            }
        }
        Ok(())
    }
}

/// What is asked for of messages that are read back.
const READ_BACK: Items = Items {
    flags: false,
    size: false,
    date: false,
    mod_seq: false,
    facts: true,
    header: HeaderFields::Full,
};

/// The first messages of these folders, where they are thought to get to: a server gives UIDs out one by
/// one, from the UIDNEXT that it told. It is asked for a few more, since somebody else may come in between.
fn expected(groups: &[Group], ready: &[usize]) -> Vec<(usize, [Part; 1])> {
    let part = |&number: &usize| {
        let group = &groups[number];
        let place = group.place.as_ref()?;
        let from = place.told_uid_next?.max(place.from);
        let last = from.get().saturating_add(2 * u32::try_from(FIRST_BATCH).ok()?);
        let uids = UidSet::range(from, Uid::new(last)?);
        Some((number, [Part { uids, items: READ_BACK }]))
    };
    ready.iter().filter(|&&number| !groups[number].proved).filter_map(part).collect()
}

/// Flags of messages that go to these folders, which were made a moment ago, or were there and are empty: those
/// that the plan tells, and those of messages that have been read by now, each set once.
fn coming(
    groups: &[Group],
    (made, there): (&[usize], &[usize]),
    shares: &[(Share, Vec<Leg<'_>>)],
    pipe: &Pipe,
) -> Vec<Coming> {
    let Some((_, first)) = shares.first() else { return Vec::new() };
    let mut coming: BTreeMap<FlagSet, Coming> = BTreeMap::new();
    for (numbers, is_made) in [(made, true), (there, false)] {
        let mut add = |number: usize, flags: &FlagSet| {
            let is_new = !coming.contains_key(flags) && coming.len() < COMING_MAX;
            if is_new && numbers.contains(&number) {
                let (folder, flags) = (groups[number].wire.clone(), flags.clone());
                coming.insert(flags.clone(), Coming { folder, is_made, flags });
            }
        };
        for leg in shares.iter().flat_map(|(_, legs)| legs) {
            leg.each_flag().for_each(|flags| add(leg.place.0, &flags));
        }
        pipe.waiting(&mut |passenger| add(first[passenger.leg].place.0, &passenger.flags));
    }
    coming.into_values().collect()
}

/// The numbers of folders with work that nothing speaks against, of those that are asked for.
fn chosen(groups: &[Group], which: impl Fn(&Group) -> bool) -> Vec<usize> {
    let fits = |group: &Group| {
        group.has_work() && group.is_calm() && group.first.is_empty() && which(group)
    };
    (0..groups.len()).filter(|&number| fits(&groups[number])).collect()
}

/// Tells whether a folder takes more of this wave.
fn goes_on(group: &Group) -> bool {
    group.proved && group.place.is_some() && group.is_calm() && group.has_work()
}

/// How many messages of each folder were asked for and did not come. They stay to be copied with care.
type Absentees = BTreeMap<usize, u64>;

fn note_absent(absent: &mut Absentees, legs: &[Leg<'_>], ended: &Ended) {
    for (leg, ended) in legs.iter().zip(&ended.legs) {
        let missing = ended.fetched.iter().flat_map(|outcome| &outcome.missing);
        let unasked = missing.filter(|missing| missing.why == MissingWhy::NotAsked).count();
        *absent.entry(leg.place.0).or_default() += u64::try_from(unasked).unwrap_or(u64::MAX);
    }
}

/// How many messages of a folder these shares hold. What was found out since they were dealt may have
/// taken something off what is to be copied.
fn dealt(number: usize, shares: &[(Share, Vec<Leg<'_>>)]) -> u64 {
    let legs = shares.iter().flat_map(|(_, legs)| legs).filter(|leg| leg.place.0 == number);
    legs.map(|leg| leg.uids.len()).sum()
}

fn to_copy(group: &Group) -> u64 {
    group.all_sets().map(|(_, set)| set.uids.len()).sum()
}

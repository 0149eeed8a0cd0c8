//! A wave: many folders at one go, as long as nothing is odd about them.
//!
//! Each round trip of a folder by itself (open it, put the first messages there, read them back, send
//! the rest) is paid once for all folders of a wave. A wave settles nothing: whatever is not as it was
//! planned, and whatever goes wrong, is left to [`copy_group`](Run::copy_group), folder by folder.

use crate::apply::book::Booked;
use crate::apply::copy::{FIRST_BATCH, Trouble, at, first_of, leg};
use crate::apply::fatal::Fatal;
use crate::apply::folders::Absent;
use crate::apply::group::Group;
use crate::apply::look::{Candidate, Incoming};
use crate::apply::pass;
use crate::apply::pass::{Ended, Leg, Reading};
use crate::apply::placing::Target;
use crate::apply::run::{Run, telling};
use crate::apply::work::CopySet;
use crate::mail::{Side, Uid, WireName};
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, FolderState, HeaderFields, Items, Part, RowHead,
    StoreError, Survey, VisitSink,
};

/// What the speed of a line is told from, in octets.
const SAMPLE_OCTETS: u64 = 3 << 20;

/// How much has to be left for a sample to pay, in octets.
const SAMPLE_WORTH: u64 = 16 << 20;

/// Folders that were opened, by their numbers.
type Opened = Vec<(usize, Result<FolderState, StoreError>)>;

/// Which messages of a folder go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// The first few, which are read back.
    First,
    /// So many that the speed of the lines can be told from them.
    Sample,
    /// All.
    All,
}

impl Share {
    /// How many messages of a set go; what they have is taken off what is left of a sample.
    fn messages(self, set: &CopySet, octets: &mut u64) -> u64 {
        match self {
            Self::First => FIRST_BATCH,
            Self::All => u64::MAX,
            Self::Sample => {
                let each = (set.octets / set.uids.len().max(1)).max(1);
                let messages = octets.div_ceil(each).min(set.uids.len());
                *octets = octets.saturating_sub(messages.saturating_mul(each));
                messages
            }
        }
    }

    /// How many of the first messages of a set are kept for reading back.
    fn keep(self) -> usize {
        match self {
            Self::First => usize::try_from(FIRST_BATCH).unwrap_or(usize::MAX),
            Self::Sample | Self::All => 0,
        }
    }
}

impl<'r> Run<'r> {
    /// Copies into these folders what can be copied without a closer look.
    ///
    /// # Errors
    ///
    /// Of a connection, which was noted, or what ends the run.
    pub(super) fn wave(&mut self, groups: &mut [Group]) -> Result<(), Trouble> {
        // Where the server tells no UIDs they are looked up after each pass.
        if !self.destination()?.abilities().uid_plus || self.quota.is_full() {
            return Ok(self.create_absent(groups)?);
        }
        // A new folder has nothing of ours: its messages can be read before it is opened, or made.
        let fresh = chosen(groups, Group::is_fresh);
        let known = chosen(groups, |group| !group.is_fresh());
        let known = self.open_known(groups, &known)?;
        let (proved, mut new): (Vec<usize>, Vec<usize>) =
            known.into_iter().partition(|&number| groups[number].proved);
        let opened = new.clone();
        new.extend(fresh.iter().copied());
        new.sort_unstable();
        if !new.is_empty() {
            self.move_all(groups, &new, Share::First, |run, groups| {
                run.create_absent(groups)?;
                let is_there = |&number: &usize| matches!(groups[number].absent, Absent::No);
                let (empty, other): (Vec<usize>, Vec<usize>) = fresh
                    .into_iter()
                    .filter(is_there)
                    .partition(|&number| groups[number].listed_empty);
                let mut ready = run.open_fresh(groups, &empty)?;
                ready.extend(run.open_known(groups, &other)?);
                ready.extend(opened);
                Ok(ready)
            })?;
        }
        let mut rest = proved;
        rest.extend(new.iter().copied());
        rest.sort_unstable();
        rest.retain(|&number| may_go_on(&groups[number]));
        if self.is_worth_a_sample(groups, &rest)? {
            self.read_back_all(groups, &new)?;
            rest.retain(|&number| goes_on(&groups[number]));
            let sample = rest.clone();
            self.move_all(groups, &rest, Share::Sample, |_, _| Ok(sample))?;
        }
        rest.retain(|&number| may_go_on(&groups[number]));
        if rest.is_empty() || self.is_to_stop() {
            return self.read_back_all(groups, &new);
        }
        let all = rest.clone();
        self.move_all(groups, &rest, Share::All, |run, groups| {
            run.read_back_all(groups, &new)?;
            Ok(all.into_iter().filter(|&number| goes_on(&groups[number])).collect())
        })
    }

    /// Tells whether it is still open if the source's line is worth compressing. That is decided before
    /// all of it is asked for; the destination's may come to rest whenever it has proved slow.
    fn is_worth_a_sample(&mut self, groups: &[Group], rest: &[usize]) -> Result<bool, Trouble> {
        let sets = rest.iter().flat_map(|&number| groups[number].all_sets());
        let octets: u64 = sets.map(|(_, set)| set.octets).sum();
        Ok(octets >= SAMPLE_WORTH && self.source()?.wants_measuring())
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
        ready.extend(self.open_fresh(groups, &empty)?);
        Ok(ready)
    }

    /// Opens folders that are empty; returns the numbers of those that are as they should be.
    fn open_fresh(
        &mut self,
        groups: &mut [Group],
        numbers: &[usize],
    ) -> Result<Vec<usize>, Trouble> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let wires: Vec<WireName> =
            numbers.iter().map(|&number| groups[number].wire.clone()).collect();
        let states = self.destination()?.prepare_all(&wires).map_err(at(Side::Destination))?;
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

    /// Moves messages of these folders in one pass. While they begin to be read, `before` does what is
    /// to be done first at the destination, and tells into which of the folders they may go then.
    fn move_all(
        &mut self,
        groups: &mut [Group],
        numbers: &[usize],
        share: Share,
        before: impl FnOnce(&mut Self, &mut [Group]) -> Result<Vec<usize>, Trouble>,
    ) -> Result<(), Trouble> {
        let legs = self.legs(groups, numbers, share);
        let pass = self.pass_of(&legs, Reading::Touring);
        let patience = self.patience();
        let mut source =
            self.source.take(&patience, &mut telling(&mut *self.watch)).map_err(Fatal::from)?;
        let (read, written) = pass.read_beside(&mut *source, |pipe| {
            let ready = before(self, groups)?;
            let mut targets: Vec<Option<Target>> = vec![None; groups.len()];
            for number in ready {
                targets[number] = groups[number].target();
                let group = &mut groups[number];
                (0..group.pairs.len()).for_each(|index| self.announce(group, index));
            }
            let (destination, with) = self.writing()?;
            Ok::<_, Trouble>(pass.write(pipe, targets, destination, with)?)
        });
        self.source.put_back(source);
        let ended = pass::ended(&legs, read, written?);
        self.book_all(groups, &legs, ended)
    }

    fn legs(&self, groups: &[Group], numbers: &[usize], share: Share) -> Vec<Leg<'r>> {
        let work = self.work;
        let mut legs = Vec::new();
        let mut octets = SAMPLE_OCTETS;
        for &number in numbers {
            let group = &groups[number];
            for (index, set) in group.all_sets() {
                let Some(recipe) = work.recipe(set.recipe) else { continue };
                let uids = first_of(
                    group.pairs[index].pair.order,
                    &set.uids,
                    share.messages(set, &mut octets),
                );
                if uids.is_empty() {
                    continue;
                }
                let leg = leg((number, index), &group.pairs[index], recipe);
                legs.push(Leg { uids, keep: share.keep(), ..leg });
                if share == Share::First {
                    break;
                }
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
        let items = Items { facts: true, header: HeaderFields::Full, ..Items::default() };
        let asked: Vec<(WireName, [Part; 1])> = calm
            .iter()
            .map(|&number| {
                let group = &groups[number];
                let uids = group.first.iter().filter_map(|stored| stored.at).collect();
                (group.wire.clone(), [Part { uids, items }])
            })
            .collect();
        let folders: Vec<Survey<'_>> =
            asked.iter().map(|(folder, parts)| Survey { folder, parts }).collect();
        let mut rows = Rows::new(folders.len());
        self.destination()?.survey(&folders, &mut rows).map_err(at(Side::Destination))?;
        for (&number, (state, rows)) in calm.iter().zip(rows.visits) {
            let group = &mut groups[number];
            let Some(state) = state.filter(|state| group.is_same(state)) else { continue };
            if rows.len() < group.first.len() {
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

/// The numbers of folders with work that nothing speaks against, of those that are asked for.
fn chosen(groups: &[Group], which: impl Fn(&Group) -> bool) -> Vec<usize> {
    let fits = |group: &Group| {
        group.has_work() && group.is_calm() && group.first.is_empty() && which(group)
    };
    (0..groups.len()).filter(|&number| fits(&groups[number])).collect()
}

/// Tells whether nothing speaks against more of this wave for a folder, so far.
fn may_go_on(group: &Group) -> bool {
    group.place.is_some() && group.is_calm() && group.has_work()
}

/// Tells whether a folder takes more of this wave.
fn goes_on(group: &Group) -> bool {
    group.proved && may_go_on(group)
}

/// The states of folders that are only opened.
#[derive(Default)]
struct States(Opened);

impl FetchSink for States {
    fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
        Flow::Go
    }

    fn piece(&mut self, _: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

impl VisitSink for States {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.0.push((visit, state));
        true
    }

    fn left(&mut self, _: usize, _: FetchOutcome) {}
}

/// What was read back of each folder.
struct Rows {
    visits: Vec<(Option<FolderState>, Vec<Candidate>)>,
    visit: usize,
    row: Incoming,
}

impl Rows {
    fn new(visits: usize) -> Self {
        let visits = (0..visits).map(|_| (None, Vec::new())).collect();
        Self { visits, visit: 0, row: Incoming::default() }
    }
}

impl FetchSink for Rows {
    fn begin(&mut self, _: Uid, head: &RowHead) -> Flow {
        self.row.begin(head);
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.row.piece(octets);
        Flow::Go
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let candidate = self.row.end(uid);
        self.visits[self.visit].1.push(candidate);
        Flow::Go
    }
}

impl VisitSink for Rows {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.visit = visit;
        self.visits[visit].0 = state.ok();
        self.visits[visit].0.is_some()
    }

    fn left(&mut self, _: usize, _: FetchOutcome) {}
}

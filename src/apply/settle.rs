//! Settling: what is at the destination already, of what this plan still has to copy.
//!
//! The destination is the truth. Whenever a folder is opened, everything at or above the watermark
//! that no link explains is compared with what is still to be copied; what is found is done and is
//! not sent again. So a lost reply, a kill, deleted state and a second machine are one case. Found is
//! final; absent is not, while an append may still arrive.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::apply::book::message_item;
use crate::apply::copy::{Trouble, at};
use crate::apply::dating::{date_of_its_own, in_utc};
use crate::apply::group::{Group, Resent, Unplaced, Waiting};
use crate::apply::look::{Candidate, look, look_for};
use crate::apply::pairing::{Paired, Wanted, pair_up};
use crate::apply::run::Run;
use crate::identity::Basis;
use crate::identity::Fingerprint;
use crate::mail::{InternalDate, Side, Uid, UidSet};
use crate::plan::Reason;
use crate::state::{FolderId, IntentId, Link, OpenIntent, Outcome, StoredCopy};
use crate::store::{FolderState, HeaderFields};

/// How often a message without a known UID is looked for while the folder is worked on; once more
/// when it is done.
const LOOKS_FOR_UNPLACED: u32 = 2;

/// What a folder that was opened is held against.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Intents without an outcome.
    open: Vec<OpenIntent>,
    /// The lowest UID at which something unknown may be; nothing where there can be none.
    pub watermark: Option<Uid>,
}

/// Links by source folder and source UID.
type Linked = BTreeMap<(FolderId, Uid), Link>;

impl Run<'_> {
    /// Holds what a folder is now against what is known of it: whether anything may be there of which we
    /// do not know. Asks state only.
    pub(super) fn standing(
        &mut self,
        group: &mut Group,
        opened: &FolderState,
    ) -> Result<Standing, Trouble> {
        let Some(place) = group.place.clone() else { return Ok(Standing::default()) };
        let open = self.state.open_intents(place.folder)?;
        let stored = self.state.highest_stored(place.folder)?;
        let known = group.planned_from().max(stored.map_or(Uid::MIN, Uid::next));
        let told = group.planned_uid_next().max(known);
        let moved = opened.uid_next != Some(told) || opened.messages > place.expected_messages;
        let nothing_to_copy = group.pairs.iter().all(|todo| todo.left() == 0);
        // More is there than we know of, perhaps between our own: of that no height tells.
        let more = !group.looked && opened.messages > place.expected_messages;
        let known = if more { group.planned_from() } else { known };
        let watermark = watermark(group, &open, known);
        if let Some(place) = &mut group.place {
            place.told_uid_next = opened.uid_next;
            place.from = place.from.max(watermark);
        }
        let quiet = !group.must_look && open.is_empty() && (!moved || nothing_to_copy);
        Ok(Standing { open, watermark: Some(watermark).filter(|_| !quiet) })
    }

    /// Looks where something may have arrived, and settles every open intent that can be.
    pub(super) fn settle(
        &mut self,
        group: &mut Group,
        opened: &FolderState,
    ) -> Result<(), Trouble> {
        let Standing { open, watermark: Some(watermark) } = self.standing(group, opened)? else {
            return Ok(());
        };
        let wire = group.wire.clone();
        let window = UidSet::range(watermark, Uid::MAX);
        let destination = self.destination()?;
        let mut found =
            look(destination, &wire, &window, HeaderFields::Full).map_err(at(Side::Destination))?;
        let highest = found.last().map(|candidate| candidate.uid);
        let before = group.unplaced.len();
        let linked = self.drop_linked(group, &open, &mut found)?;
        if let (Some(place), true) = (&group.place, group.unplaced.len() > before) {
            // A UID that was told falsely may lie above all that are there: what comes next gets a lower
            // one than it, and is not to be looked for above it.
            let below = Uid::new(watermark.get() - 1);
            self.state.forget_stored_above(place.folder, highest.or(below))?;
        }
        if let Some(place) = &mut group.place {
            place.from = highest.map_or(watermark, Uid::next).max(watermark);
            place.expected_messages = opened.messages;
        }
        self.settle_intents(group, &open, &linked, &mut found)?;
        self.settle_the_rest(group, &open, &mut found)?;
        group.strangers = found.len();
        group.looked = true;
        group.gap = None;
        group.must_look = false;
        Ok(())
    }

    /// Drops what a link explains already, and returns these links. Doubtful ones are looked for anew:
    /// those in a disorder among the UIDs of one pass, those of this run that lead to nothing behind a
    /// gap, and those that lead to another message than the one that was sent. The server may have told
    /// UIDs that are not true, and the connection may have ended before that showed.
    fn drop_linked(
        &mut self,
        group: &mut Group,
        open: &[OpenIntent],
        found: &mut Vec<Candidate>,
    ) -> Result<Linked, Trouble> {
        let mut linked = Linked::new();
        let first = found.first().map(|candidate| candidate.uid);
        let (Some(place), Some(first)) = (&group.place, group.gap.into_iter().chain(first).min())
        else {
            return Ok(linked);
        };
        let folder = place.folder;
        let (gap, distrusted) = (group.gap, group.distrusted_from.take());
        let mut explained = UidSet::new();
        let (mut doubtful, mut weak) = (Vec::new(), Vec::new());
        self.state.each_link_from(folder, first, &mut |source_folder, link| {
            let Some(uid) = link.destination else { return };
            let there = found.binary_search_by_key(&uid, |candidate| candidate.uid).ok();
            let from = match there {
                Some(place) if contradicts(&found[place], &link) => Some(first),
                Some(_) => distrusted,
                None => gap.filter(|_| link.copied_by == Some(self.id)),
            };
            match (group.pair_of(source_folder), from.filter(|from| uid >= *from)) {
                (Some(pair), Some(from)) => doubtful.push((pair, link, from)),
                (pair, _) if there.is_some() => {
                    explained.insert(uid);
                    let is_weak = there.is_some_and(|place| is_weak(&found[place], &link));
                    weak.extend(pair.filter(|_| is_weak).map(|pair| (pair, link.clone())));
                    linked.insert((source_folder, link.source), link);
                }
                _ => {}
            }
        })?;
        let mut sought = Vec::new();
        if !weak.is_empty() {
            sought = self.wanted_of_open(group, open, &BTreeSet::new(), found)?;
        }
        for (pair, link) in weak {
            let there = found.binary_search_by_key(&link.destination, |row| Some(row.uid)).ok();
            let row = there.and_then(|place| found.get(place));
            let Some(row) = row.filter(|row| sought.iter().any(|want| want.seen == row.seen))
            else {
                continue;
            };
            explained.remove(row.uid);
            linked.remove(&(group.pairs[pair].source_folder, link.source));
            doubtful.push((pair, link, first));
        }
        for (pair, link, from) in doubtful {
            for sent in group.first.iter_mut().filter(|sent| sent.at == link.destination) {
                sent.at = None;
            }
            let link = Link { destination: None, ..link };
            let source_folder = group.pairs[pair].source_folder;
            self.state.put_links(source_folder, folder, std::slice::from_ref(&link))?;
            group.unplaced.push(Unplaced { pair, link, from, looked: 0 });
        }
        found.retain(|candidate| !explained.contains(candidate.uid));
        Ok(linked)
    }

    /// The source messages of open intents but the settled ones, as far as they may be among what was found.
    fn wanted_of_open(
        &mut self,
        group: &mut Group,
        open: &[OpenIntent],
        settled: &BTreeSet<IntentId>,
        found: &[Candidate],
    ) -> Result<Vec<Wanted>, Trouble> {
        let uids = |group: &Group, pair: usize| {
            let source_folder = group.pairs[pair].source_folder;
            let of_pair = open.iter().filter(|open| {
                open.intent.source_folder == source_folder && !settled.contains(&open.id)
            });
            of_pair.map(|open| open.intent.source).collect()
        };
        self.wanted(group, &uids, found)
    }

    /// Pairs unplaced links and open intents with what was found, and judges those that were not. What
    /// the server took comes first: it is there for certain, and an equal message that was lost is not.
    fn settle_intents(
        &mut self,
        group: &mut Group,
        open: &[OpenIntent],
        linked: &Linked,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Trouble> {
        self.place_unplaced(group, found)?;
        // What planning found, or what was written under another intent.
        let mut outcomes = linked_outcomes(open, linked);
        let mut settled: BTreeSet<_> = outcomes.iter().map(|(id, _)| *id).collect();
        let wanted = self.wanted_of_open(group, open, &settled, found)?;
        let mut taken = UidSet::new();
        for paired in self.pair_up(group, &wanted, found)? {
            let (want, candidate) = (&wanted[paired.wanted], &found[paired.candidate]);
            taken.insert(candidate.uid);
            let link = link(want, candidate);
            let todo = &mut group.pairs[want.pair];
            let of_intent = |open: &&OpenIntent| {
                open.intent.source == want.uid && open.intent.source_folder == todo.source_folder
            };
            if let Some(open) = open.iter().find(of_intent) {
                outcomes.push((open.id, Outcome::Stored(StoredCopy { link, owned: None })));
                settled.insert(open.id);
            }
            self.done.found += u64::from(todo.is_pending(want.uid));
            todo.take_off(&UidSet::range(want.uid, want.uid));
        }
        found.retain(|candidate| !taken.contains(candidate.uid));
        for open in open.iter().filter(|open| !settled.contains(&open.id)) {
            if self.is_over(group, open) {
                outcomes.push((open.id, Outcome::NotStored));
            }
        }
        if !outcomes.is_empty() {
            self.state.settle(&outcomes)?;
        }
        Ok(())
    }

    /// Finds the messages that the server took without telling where.
    fn place_unplaced(
        &mut self,
        group: &mut Group,
        found: &mut Vec<Candidate>,
    ) -> Result<(), Trouble> {
        let looked_for = |one: &&Unplaced| one.looked < LOOKS_FOR_UNPLACED;
        let unplaced: Vec<Unplaced> = group.unplaced.iter().filter(looked_for).cloned().collect();
        let mut wanted: Vec<Wanted> =
            unplaced.iter().map(|one| wanted_unplaced(group, one)).collect();
        self.date_unplaced(group, &mut wanted, found)?;
        let pairs = self.pair_up(group, &wanted, found)?;
        for unplaced in group.unplaced.iter_mut().filter(|one| one.looked < LOOKS_FOR_UNPLACED) {
            unplaced.looked += 1;
        }
        let mut taken = UidSet::new();
        for paired in pairs {
            let (want, candidate) = (&wanted[paired.wanted], &found[paired.candidate]);
            taken.insert(candidate.uid);
            group.unplaced.retain(|one| one.pair != want.pair || one.link.source != want.uid);
            let Link { flags, copied_by, .. } = unplaced[paired.wanted].link.clone();
            let link = Link { flags, copied_by, ..link(want, candidate) };
            self.put_link(group, want.pair, link)?;
        }
        found.retain(|candidate| !taken.contains(candidate.uid));
        Ok(())
    }

    /// Judges an intent whose message is not there: it may still arrive, or it may be sent again. Tells
    /// whether it can be closed, because nobody wants to send its message any more.
    fn is_over(&mut self, group: &mut Group, open: &OpenIntent) -> bool {
        let now = self.clock.elapsed();
        let uid = open.intent.source;
        let pair = group.pair_of(open.intent.source_folder);
        let pending = pair.filter(|&pair| group.pairs[pair].is_pending(uid));
        let Some(index) = pending else {
            let since = *group.orphans.entry(open.id).or_insert(now);
            let over = !open.may_arrive || now.saturating_sub(since) >= self.settings.settle;
            if over {
                group.orphans.remove(&open.id);
            }
            return over;
        };
        let todo = &mut group.pairs[index];
        if todo.released.contains(uid) {
            return false;
        }
        let waiting = todo.waiting.get(&uid).copied().unwrap_or(Waiting { since: now });
        if open.may_arrive && now.saturating_sub(waiting.since) < self.settings.settle {
            todo.waiting.insert(uid, waiting);
            return false;
        }
        // From here on it may be sent again. Its intent stays open until the next one takes its
        // place, or for the next run, which looks for it first.
        todo.waiting.remove(&uid);
        todo.released.insert(uid);
        let strike = todo.strikes.get(&uid).cloned().unwrap_or_default();
        if strike.times > self.settings.retries {
            let item = message_item(group, index, uid, Reason::UnknownOutcome, strike.said);
            self.item_of(group, index, uid, item);
        } else if open.may_arrive {
            self.done.sent_again += 1;
            let from = open.intent.uid_next;
            let source = uid;
            group.resent.push(Resent { pair: index, source, from, earlier: false, named: false });
        }
        false
    }

    /// Compares what no intent explains with everything that is still to be copied: another run, or
    /// another machine, may have put it there.
    fn settle_the_rest(
        &mut self,
        group: &mut Group,
        open: &[OpenIntent],
        found: &mut Vec<Candidate>,
    ) -> Result<(), Trouble> {
        if found.is_empty() {
            return Ok(());
        }
        let uids = |group: &Group, pair: usize| {
            let todo = &group.pairs[pair];
            let of_pair =
                open.iter().filter(|open| open.intent.source_folder == todo.source_folder);
            let asked: UidSet = of_pair.map(|open| open.intent.source).collect();
            todo.pending().difference(&asked)
        };
        let wanted = self.wanted(group, &uids, found)?;
        let appended_before = group.copied() > 0;
        let mut taken = UidSet::new();
        for paired in self.pair_up(group, &wanted, found)? {
            let (want, candidate) = (&wanted[paired.wanted], &found[paired.candidate]);
            self.put_link(group, want.pair, link(want, candidate))?;
            group.pairs[want.pair].take_off(&UidSet::range(want.uid, want.uid));
            taken.insert(candidate.uid);
            self.done.found += 1;
            if appended_before {
                group.foreign += 1;
            }
        }
        found.retain(|candidate| !taken.contains(candidate.uid));
        Ok(())
    }

    pub(super) fn pair_up(
        &mut self,
        group: &Group,
        wanted: &[Wanted],
        found: &[Candidate],
    ) -> Result<Vec<Paired>, Trouble> {
        if wanted.is_empty() || found.is_empty() {
            return Ok(Vec::new());
        }
        let sources: Vec<_> =
            group.pairs.iter().map(|todo| todo.pair.source.wire.clone()).collect();
        let (source, destination) = self.both()?;
        pair_up(source, destination, &sources, &group.wire, wanted, found)
    }

    /// Reads the headers of source messages that are looked for, and keeps those that may be among
    /// what was found: a folder may have a million messages to go, and two that somebody delivered.
    pub(super) fn wanted(
        &mut self,
        group: &mut Group,
        uids: &dyn Fn(&Group, usize) -> UidSet,
        found: &[Candidate],
    ) -> Result<Vec<Wanted>, Trouble> {
        let keyed = |seen: &Fingerprint| seen.basis == Basis::Key;
        let keys: BTreeSet<_> = found
            .iter()
            .filter(|candidate| keyed(&candidate.seen))
            .map(|candidate| candidate.seen.digest)
            .collect();
        let others = found.iter().any(|candidate| !keyed(&candidate.seen));
        let may_be_there = |seen: &Fingerprint| {
            if keyed(seen) { keys.contains(&seen.digest) } else { others }
        };
        let mut wanted = Vec::new();
        for pair in 0..group.pairs.len() {
            let uids = uids(group, pair);
            if !uids.is_empty() && !found.is_empty() {
                self.wanted_of_pair(group, pair, &uids, &may_be_there, &mut wanted)?;
            }
        }
        self.date_twins(group, &mut wanted, found)?;
        Ok(wanted)
    }

    /// The messages of one source folder, with the flags and the dates that their copies get.
    fn wanted_of_pair(
        &mut self,
        group: &Group,
        pair: usize,
        uids: &UidSet,
        may_be_there: &dyn Fn(&Fingerprint) -> bool,
        wanted: &mut Vec<Wanted>,
    ) -> Result<(), Trouble> {
        let (work, now) = (self.work, self.clock.now());
        let todo = &group.pairs[pair];
        let rows = look_for(self.source()?, &todo.pair.source.wire, uids, &mut |row, header| {
            if !may_be_there(&row.seen) {
                return false;
            }
            let recipe = todo.recipe_of(row.uid).and_then(|number| work.recipe(number));
            let (flags, date) = (std::mem::take(&mut row.flags), row.date.map(in_utc));
            let (flags, date) = match recipe {
                Some(recipe) => {
                    let own = date_of_its_own(recipe, date, header, now);
                    (flags.difference(&recipe.drop_flags), own.map(|(date, _)| date))
                }
                None => (flags, date.filter(|date| date.to_append(now).is_some())),
            };
            row.flags = group.kept(flags);
            row.date = date.map(InternalDate::instant);
            true
        })
        .map_err(at(Side::Source))?;
        wanted.extend(rows.into_iter().map(|row| Wanted {
            pair,
            uid: row.uid,
            size: row.size,
            date: row.date,
            flags: row.flags,
            seen: row.seen,
        }));
        Ok(())
    }

    fn put_link(&mut self, group: &Group, pair: usize, link: Link) -> Result<(), Trouble> {
        if let Some(place) = &group.place {
            self.state.put_links(group.pairs[pair].source_folder, place.folder, &[link])?;
        }
        Ok(())
    }
}

/// Tells whether a message is another one than the one that a link says was sent. Where there is no key
/// the server may have added one, and a row without a header tells nothing.
fn contradicts(candidate: &Candidate, link: &Link) -> bool {
    let is_told = matches!(candidate.seen.basis, Basis::Key | Basis::Headers);
    let is_other = candidate.seen.basis != link.basis || candidate.seen.digest != link.digest;
    link.copied_by.is_some() && link.basis == Basis::Key && is_told && is_other
}

/// Tells whether a message may be another one than the one that a link says was sent: what is seen of it is
/// other, which a server may have made so where there was no key, or nothing at all. It is another one if
/// one like it is looked for.
fn is_weak(candidate: &Candidate, link: &Link) -> bool {
    let is_like = candidate.seen == Fingerprint { digest: link.digest, basis: link.basis };
    link.copied_by.is_some() && (!is_like || candidate.seen.basis == Basis::Nothing)
}

/// Outcomes of intents whose messages have a link.
fn linked_outcomes(open: &[OpenIntent], linked: &Linked) -> Vec<(IntentId, Outcome)> {
    let outcome = |open: &OpenIntent| {
        let link = linked.get(&(open.intent.source_folder, open.intent.source))?.clone();
        Some((open.id, Outcome::Stored(StoredCopy { link, owned: None })))
    };
    open.iter().filter_map(outcome).collect()
}

/// The lowest UID at which something that we do not know of may be.
fn watermark(group: &Group, open: &[OpenIntent], known: Uid) -> Uid {
    let intended = open.iter().map(|open| open.intent.uid_next);
    let looked_for = group.unplaced.iter().filter(|one| one.looked < LOOKS_FOR_UNPLACED);
    let unplaced = looked_for.map(|one| one.from);
    let seen = group.gap.into_iter().chain(group.distrusted_from);
    intended.chain(unplaced).chain(seen).chain([known]).min().unwrap_or(known)
}

fn wanted_unplaced(group: &Group, unplaced: &Unplaced) -> Wanted {
    let Unplaced { pair, link, .. } = unplaced;
    Wanted {
        pair: *pair,
        uid: link.source,
        size: Some(link.octets),
        date: None,
        flags: group.kept(link.flags.clone().unwrap_or_default()),
        seen: Fingerprint { digest: link.digest, basis: link.basis },
    }
}

/// A link to a message that was found. It proves no ownership.
fn link(want: &Wanted, candidate: &Candidate) -> Link {
    Link {
        source: want.uid,
        destination: Some(candidate.uid),
        digest: want.seen.digest,
        basis: want.seen.basis,
        octets: want.size.or(candidate.size).unwrap_or_default(),
        flags: None,
        copied_by: None,
    }
}

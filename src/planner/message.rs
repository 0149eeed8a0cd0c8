//! Which messages of a folder group are copied, left out or blocked, and whose flags change.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::PermanentFlags;
use crate::mail::Uid;
use crate::mail::UidOrder;
use crate::mail::UidSet;
use crate::matching::Fate;
use crate::matching::Matched;
use crate::matching::Options;
use crate::matching::Proof;
use crate::matching::SizeRecord;
use crate::matching::Sizes;
use crate::matching::Twins;
use crate::plan::Action;
use crate::plan::Counts;
use crate::plan::DateFrom;
use crate::plan::Reason;
use crate::plan::Recipe;
use crate::planner::flag::Agreed;
use crate::planner::flag::Delta;
use crate::planner::flag::FlagRules;
use crate::planner::folder::Group;
use crate::planner::recipe::RecipeTable;
use crate::rule::MessageFacts;
use crate::rule::Rules;
use crate::rule::Verdict;
use crate::rule::policy::Deleted;
use crate::rule::policy::Duplicates;
use crate::rule::policy::Empty;
use crate::rule::policy::Quirk;
use crate::snapshot::Entry;
use crate::snapshot::FlagTable;
use crate::snapshot::FlagsId;
use crate::snapshot::Rows;

/// Octets of a UID set in one action: a line of the plan stays under 64 KiB.
const SET_OCTETS_MAX: usize = 60_000;

/// Ranges in a set that are sure to fit: two numbers of ten digits, a colon and a comma each.
const SET_RANGES_MAX: usize = SET_OCTETS_MAX / 22;

/// Most flags that an action tells of its messages, and most octets of these: they fit into a line beside a
/// set of UIDs of any length.
const FLAGS_TOLD_MAX: (usize, usize) = (32, 2_048);

/// What is known of a group beside what matching found.
#[derive(Clone, Copy, Debug)]
pub struct GroupFacts<'a> {
    /// The flags of source entries.
    pub source_flags: &'a FlagTable,
    /// The flags of destination entries.
    pub destination_flags: &'a FlagTable,
    /// The flags that both sides had when they last agreed.
    pub agreed: &'a Agreed,
    /// What the destination folder keeps; nothing where it is not there yet.
    pub permanent_flags: Option<&'a PermanentFlags>,
    /// The largest message that the destination takes, in octets, where it says so.
    pub append_limit: Option<u64>,
}

/// How the messages of a group are matched. `sizes` is what is known of these accounts so far.
#[must_use]
pub fn matching_options(rules: &Rules, group: &Group, sizes: SizeRecord) -> Options {
    let ends = [&rules.source, &rules.destination];
    let lie = ends.iter().any(|end| end.quirks.contains(&Quirk::SizesLie));
    Options {
        proof: if group.drafts { Proof::Content } else { Proof::Key },
        twins: match rules.messages.duplicates {
            Duplicates::Keep => Twins::Keep,
            Duplicates::First => Twins::FirstOnly,
        },
        sizes: if lie { Sizes::Lie } else { Sizes::Judged(sizes) },
    }
}

/// Marks the source messages that rules leave out, so that matching prefers those that are taken.
pub fn mark_left_out(rules: &Rules, source: &mut Rows) {
    for entry in &mut source.entries {
        if verdict(rules, entry, source.flags.get(entry.flags())) != Verdict::Take {
            entry.set_left_out();
        }
    }
}

/// Tells whether a group has no message that is selected, and the author wants such folders left out.
#[must_use]
pub fn is_empty_and_left_out(rules: &Rules, counts: &[Counts]) -> bool {
    let none = |pair: &Counts| pair.copies == 0 && pair.equal == 0 && pair.blocked == 0;
    rules.folders.empty == Empty::Skip && counts.iter().all(none)
}

/// Plans one group: hands its actions to `each`, pair by pair, copies in the order in which they are
/// made. Returns the counts of its pairs.
pub fn plan_group(
    rules: &Rules,
    group: &Group,
    matched: &Matched,
    facts: &GroupFacts<'_>,
    recipes: &mut RecipeTable,
    each: &mut dyn FnMut(Action),
) -> Vec<Counts> {
    let ceiling = [rules.message_ceiling, facts.append_limit].into_iter().flatten().min();
    let mut planner = GroupPlanner {
        rules,
        facts,
        matched,
        ceiling,
        recipe: recipes.number(recipe(rules, facts, ceiling)),
        each,
        pair: group.first_pair,
        counts: Counts::default(),
        copies: Run::default(),
        copied_flags: BTreeSet::new(),
        turned: Vec::new(),
        skips: BTreeMap::new(),
        flags: BTreeMap::new(),
    };
    let mut all = Vec::with_capacity(group.sources.len());
    let mut fates = matched.fates().peekable();
    for folder in 0..group.sources.len() {
        let folder = u16::try_from(folder).unwrap_or(u16::MAX);
        while let Some((entry, fate)) = fates.next_if(|(entry, _)| entry.folder() <= folder) {
            planner.message(entry, fate);
        }
        planner.end_pair();
        all.push(std::mem::take(&mut planner.counts));
        planner.pair = planner.pair.saturating_add(1);
    }
    if let Some(first) = all.first_mut() {
        first.extra = u64::try_from(matched.extra().count()).unwrap_or(u64::MAX);
    }
    all
}

/// Tells for which messages on both sides the flags count as agreed from now on, and which flags: those
/// of the source, where nothing is to be changed and they are not known to agree. Recorded in state, they are the base of the next
/// plan. `each` gets the source folder's number, the two UIDs and the flags.
pub fn newly_agreed(
    rules: &Rules,
    matched: &Matched,
    facts: &GroupFacts<'_>,
    each: &mut dyn FnMut(u16, Uid, Uid, &FlagSet),
) {
    let Some(flag_rules) = flag_rules(rules, facts) else { return };
    let mut known: BTreeMap<FlagIds, bool> = BTreeMap::new();
    for (entry, fate) in matched.fates() {
        let (Fate::Linked(partner) | Fate::Found(partner)) = fate else { continue };
        let Some(other) = matched.destination_entry(partner) else { continue };
        let base = facts.agreed.id(entry.folder(), entry.uid());
        let flags = facts.source_flags.get(entry.flags());
        let agrees = known.entry((entry.flags(), other.flags(), base)).or_insert_with(|| {
            let there = facts.destination_flags.get(other.flags());
            let base = base.map(|base| facts.agreed.get(base));
            base != Some(flags) && flag_rules.agrees(flags, there, base)
        });
        if *agrees {
            each(entry.folder(), entry.uid(), partner, flags);
        }
    }
}

fn flag_rules<'a>(rules: &Rules, facts: &GroupFacts<'a>) -> Option<FlagRules<'a>> {
    Some(FlagRules {
        on_existing: rules.on_existing_flags,
        deleted: rules.messages.deleted,
        permanent: facts.permanent_flags?,
    })
}

fn recipe(rules: &Rules, facts: &GroupFacts<'_>, ceiling: Option<u64>) -> Recipe {
    let deleted = || [Flag::Deleted].into_iter().collect();
    let (drop_flags, leave_flagged) = match rules.messages.deleted {
        Deleted::Skip => (FlagSet::new(), deleted()),
        Deleted::Undelete => (deleted(), FlagSet::new()),
        Deleted::Keep | Deleted::Mirror => (FlagSet::new(), FlagSet::new()),
    };
    Recipe {
        recipe: 0,
        drop_flags,
        leave_flagged,
        permanent_flags: facts.permanent_flags.cloned(),
        dates: vec![DateFrom::Internaldate, DateFrom::DateHeader, DateFrom::ReceivedHeader],
        ceiling,
    }
}

fn verdict(rules: &Rules, entry: &Entry, flags: &FlagSet) -> Verdict {
    let (date, size, found) = (entry.date(), entry.size(), entry.found());
    rules.messages.verdict(MessageFacts { date, size, flags, found })
}

/// Messages of one action while it grows.
#[derive(Default)]
struct Run {
    reason: Option<Reason>,
    uids: UidSet,
    last: Option<Uid>,
    ranges: usize,
    messages: u64,
    octets: u64,
}

impl Run {
    /// UIDs come in ascending order.
    fn push(&mut self, entry: &Entry) {
        if self.last.is_none_or(|last| last.next() != entry.uid()) {
            self.ranges += 1;
        }
        self.last = Some(entry.uid());
        self.uids.insert(entry.uid());
        self.messages += 1;
        self.octets = self.octets.saturating_add(entry.size().unwrap_or(0));
    }

    const fn is_full(&self) -> bool {
        self.ranges >= SET_RANGES_MAX
    }
}

/// Flags of source, destination and base, by number.
type FlagIds = (FlagsId, FlagsId, Option<FlagsId>);

struct GroupPlanner<'a> {
    rules: &'a Rules,
    facts: &'a GroupFacts<'a>,
    matched: &'a Matched,
    ceiling: Option<u64>,
    recipe: u32,
    each: &'a mut dyn FnMut(Action),
    pair: u32,
    counts: Counts,
    copies: Run,
    /// The sets of flags of these messages.
    copied_flags: BTreeSet<FlagsId>,
    /// Copies of the pair so far, where the newest go first.
    turned: Vec<Action>,
    skips: BTreeMap<Reason, Run>,
    /// Destination messages by their flags, with what changes.
    flags: BTreeMap<FlagIds, Option<(Delta, Vec<Uid>)>>,
}

impl GroupPlanner<'_> {
    fn message(&mut self, entry: &Entry, fate: Fate) {
        let flags = self.facts.source_flags.get(entry.flags());
        let verdict = verdict(self.rules, entry, flags);
        let taken = verdict == Verdict::Take;
        match fate {
            Fate::Linked(uid) | Fate::Found(uid) => {
                // What is there already stays paired, whatever rules say of it by now.
                self.counts.equal += 1;
                if taken {
                    self.flags_of(entry, uid);
                }
            }
            Fate::Twin if taken => self.skip_one(entry, Reason::DuplicateInFolder),
            Fate::NotVisible if taken => self.block(entry, None, Reason::AcceptedNotVisible),
            Fate::New if taken => self.copy(entry, flags, Reason::NewAtSource),
            Fate::Removed if taken => self.copy(entry, flags, Reason::RemovedAtDestination),
            Fate::Differs if taken => self.copy(entry, flags, Reason::ContentDiffers),
            Fate::Ambiguous if taken => self.copy(entry, flags, Reason::Ambiguous),
            _ => match verdict {
                Verdict::OutsideDates => self.skip(entry, Reason::OutsideDates),
                Verdict::OutsideSizes => self.skip(entry, Reason::OutsideSizes),
                Verdict::NotInSearch => self.skip(entry, Reason::NotInSearch),
                Verdict::MarkedDeleted | Verdict::Take => {
                    self.skip_one(entry, Reason::MarkedDeleted);
                }
            },
        }
    }

    fn copy(&mut self, entry: &Entry, flags: &FlagSet, reason: Reason) {
        if let (Some(limit), Some(size)) = (self.ceiling, entry.size())
            && size > limit
        {
            self.block(entry, Some(limit), Reason::TooLarge);
            return;
        }
        // One action after the other keeps the order of UIDs, so another reason begins another one.
        if self.copies.reason != Some(reason) || self.copies.is_full() {
            self.end_copies();
        }
        self.copies.reason = Some(reason);
        self.copies.push(entry);
        self.copied_flags.insert(entry.flags());
        self.counts.copies += 1;
        self.counts.octets = self.counts.octets.saturating_add(entry.size().unwrap_or(0));
        let undeleted = self.rules.messages.deleted == Deleted::Undelete;
        let lost = |flag: &Flag| {
            self.facts.permanent_flags.is_some_and(|kept| !kept.keeps(flag))
                && !(undeleted && *flag == Flag::Deleted)
        };
        if flags.iter().any(lost) {
            self.counts.lossy_flags += 1;
        }
    }

    fn end_copies(&mut self) {
        let run = std::mem::take(&mut self.copies);
        let Some(reason) = run.reason else { return };
        let copy = Action::Copy {
            pair: self.pair,
            uids: run.uids,
            messages: run.messages,
            octets: run.octets,
            flags: self.told_flags(),
            recipe: self.recipe,
            reason,
        };
        match self.rules.messages.order {
            UidOrder::OldestFirst => (self.each)(copy),
            UidOrder::NewestFirst => self.turned.push(copy),
        }
    }

    /// The flags of the messages of an action, as many as a line has room for.
    fn told_flags(&mut self) -> FlagSet {
        let sets = std::mem::take(&mut self.copied_flags);
        let flags = sets.iter().flat_map(|id| self.facts.source_flags.get(*id).iter());
        let (most, mut room) = FLAGS_TOLD_MAX;
        let mut told = FlagSet::new();
        for flag in flags {
            let octets = flag.as_str().len();
            if told.len() < most && octets <= room && told.insert(flag.clone()) {
                room -= octets;
            }
        }
        told
    }

    fn block(&mut self, entry: &Entry, limit: Option<u64>, reason: Reason) {
        self.counts.blocked += 1;
        (self.each)(Action::Blocked {
            pair: self.pair,
            uid: Some(entry.uid()),
            octets: entry.size(),
            date: entry.date(),
            limit,
            reason,
        });
    }

    /// Left out by exception: a line of its own.
    fn skip_one(&mut self, entry: &Entry, reason: Reason) {
        self.counts.skipped += 1;
        (self.each)(Action::Skip {
            pair: self.pair,
            uids: UidSet::range(entry.uid(), entry.uid()),
            messages: 1,
            octets: entry.size().unwrap_or(0),
            date: entry.date(),
            reason,
        });
    }

    /// Left out by a filter: sets.
    fn skip(&mut self, entry: &Entry, reason: Reason) {
        self.counts.skipped += 1;
        let run = self.skips.entry(reason).or_default();
        run.reason = Some(reason);
        run.push(entry);
        if run.is_full() {
            let run = std::mem::take(run);
            self.end_skips(run);
        }
    }

    fn end_skips(&mut self, run: Run) {
        if let Some(reason) = run.reason {
            (self.each)(Action::Skip {
                pair: self.pair,
                uids: run.uids,
                messages: run.messages,
                octets: run.octets,
                date: None,
                reason,
            });
        }
    }

    fn flags_of(&mut self, entry: &Entry, partner: Uid) {
        let facts = self.facts;
        let Some(rules) = flag_rules(self.rules, facts) else { return };
        let Some(other) = self.matched.destination_entry(partner) else { return };
        let base = facts.agreed.id(entry.folder(), entry.uid());
        let ids = (entry.flags(), other.flags(), base);
        let change = self.flags.entry(ids).or_insert_with(|| {
            let delta = rules.delta(
                facts.source_flags.get(ids.0),
                facts.destination_flags.get(ids.1),
                base.map(|base| facts.agreed.get(base)),
            );
            delta.map(|delta| (delta, Vec::new()))
        });
        if let Some((_, uids)) = change {
            uids.push(partner);
            self.counts.flags += 1;
        }
    }

    fn end_pair(&mut self) {
        self.end_copies();
        std::mem::take(&mut self.turned).into_iter().rev().for_each(&mut *self.each);
        for run in std::mem::take(&mut self.skips).into_values() {
            self.end_skips(run);
        }
        let mut changes: BTreeMap<(Delta, &FlagSet), Vec<Uid>> = BTreeMap::new();
        for ((_, from, _), change) in std::mem::take(&mut self.flags) {
            if let Some((delta, uids)) = change {
                let key = (delta, self.facts.destination_flags.get(from));
                changes.entry(key).or_default().extend(uids);
            }
        }
        for ((delta, from), mut uids) in changes {
            uids.sort_unstable();
            let uids: UidSet = uids.into_iter().collect();
            for part in uids.split_at_octets(SET_OCTETS_MAX) {
                (self.each)(Action::Flags {
                    pair: self.pair,
                    messages: part.len(),
                    uids: part,
                    add: delta.add.clone(),
                    remove: delta.remove.clone(),
                    from: from.clone(),
                    reason: Reason::FlagsChangedAtSource,
                });
            }
        }
    }
}

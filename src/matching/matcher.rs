//! The stages, one after the other.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::Fingerprint;
use crate::mail::Side;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::matching::KnownLink;
use crate::matching::Matched;
use crate::matching::Options;
use crate::matching::Proof;
use crate::matching::SizeRecord;
use crate::matching::Sizes;
use crate::matching::Twins;
use crate::matching::batch;
use crate::matching::batch::Batch;
use crate::matching::batch::Kind;
use crate::matching::sides::AMBIGUOUS;
use crate::matching::sides::DIFFERS;
use crate::matching::sides::NO_HEADERS;
use crate::matching::sides::Sides;
use crate::matching::sides::identity;
use crate::matching::sides::is_open;
use crate::snapshot::Entry;

/// What is to be read of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// The longer list of headers: [`crate::identity::full`].
    Headers,
    /// The Received lines: [`crate::identity::received`].
    Received,
    /// The whole content: [`crate::identity::Content`].
    Content,
}

/// Messages of one folder of which evidence is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which side.
    pub side: Side,
    /// The number of the folder, as the entries have it.
    pub folder: u16,
    /// Which messages.
    pub uids: UidSet,
    /// What is to be read of them.
    pub evidence: Evidence,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Read this, answer for each message, and step again. What was not answered by then counts as
    /// asked in vain.
    Need(Need),
    /// All is decided.
    Done(Matched),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Headers,
    Content,
    Sort,
    Groups,
    Received,
    GroupContent,
    Done,
}

/// Finds which messages of two sides are the same.
///
/// All destination entries are of one folder; source entries may be of several, told apart by their
/// numbers. Memory: the entries themselves, and evidence of some thousand messages at a time.
#[derive(Debug)]
pub struct Matcher {
    sides: Sides,
    options: Options,
    sizes: SizeRecord,
    stage: Stage,
    queue: Vec<Need>,
    asked: Option<Need>,
    batch: Batch,
    /// Where the next group begins on either side.
    cursor: (usize, usize),
}

impl Matcher {
    /// Begins with the entries of both sides, whose fingerprints are set as far as they are known, and
    /// the links of state that are still valid. A link whose message is gone on a side ends alone.
    #[must_use]
    pub fn new(
        source: Vec<Entry>,
        destination: Vec<Entry>,
        links: &[KnownLink],
        options: Options,
    ) -> Self {
        let mut sides = Sides { source, destination };
        sides.sort_by_uid();
        sides.drop_repeated();
        let mut matcher = Self {
            sides,
            options,
            sizes: SizeRecord::default(),
            stage: Stage::Headers,
            queue: Vec::new(),
            asked: None,
            batch: Batch::default(),
            cursor: (0, 0),
        };
        for link in links {
            matcher.take_link(link);
        }
        matcher
    }

    fn take_link(&mut self, link: &KnownLink) {
        let key = (link.folder, link.source);
        let place = |entry: &Entry| (entry.folder(), entry.uid());
        let Ok(source) = self.sides.source.binary_search_by_key(&key, place) else { return };
        if !self.sides.source.get(source).is_some_and(is_open) {
            return;
        }
        let destination = link
            .destination
            .and_then(|uid| self.sides.destination.binary_search_by_key(&uid, Entry::uid).ok());
        match destination {
            Some(at) if self.sides.destination.get(at).is_some_and(is_open) => {
                self.count_size(source, at);
                self.sides.pair_linked(source, at);
                self.set_seen(source, at, link.seen);
            }
            // Two links to one copy: one of them is wrong, and identity tells which.
            Some(_) => {}
            None => self.sides.end_link(source, link.destination),
        }
    }

    /// Sets what a linked pair was recognised by, where no header of it was read: it tells that others that
    /// are recognised by the same are not the only ones.
    fn set_seen(&mut self, source: usize, destination: usize, seen: Fingerprint) {
        if !matches!(seen.basis, Basis::Key | Basis::Headers) {
            return;
        }
        for (side, at) in [(Side::Source, source), (Side::Destination, destination)] {
            let entry = self.sides.of_mut(side).get_mut(at);
            if let Some(entry) = entry.filter(|entry| entry.fingerprint().basis == Basis::Nothing) {
                entry.set_fingerprint(seen);
            }
        }
    }

    /// Goes on until evidence is needed or all is decided. After the end there is nothing more.
    #[must_use]
    pub fn step(&mut self) -> Step {
        loop {
            self.close_asked();
            if let Some(need) = self.queue.pop() {
                self.asked = Some(need.clone());
                return Step::Need(need);
            }
            match self.stage {
                Stage::Headers => {
                    self.queue_unidentified(Evidence::Headers);
                    self.stage = Stage::Content;
                }
                Stage::Content => {
                    self.queue_unidentified(Evidence::Content);
                    self.stage = Stage::Sort;
                }
                Stage::Sort => {
                    self.sides.sort_by_digest();
                    self.judge_sizes();
                    self.stage = Stage::Groups;
                }
                Stage::Groups => {
                    self.fill_batch();
                    if self.batch.is_empty() {
                        self.mark_doubtful();
                        self.sides.sort_by_uid();
                        self.stage = Stage::Done;
                    } else {
                        self.queue_batch(Evidence::Received);
                        self.stage = Stage::Received;
                    }
                }
                Stage::Received => {
                    self.batch.settle_received(&mut self.sides);
                    self.queue_batch(Evidence::Content);
                    self.stage = Stage::GroupContent;
                }
                Stage::GroupContent => {
                    for (sources, destinations) in self.batch.settle_content(&mut self.sides) {
                        self.take_open(sources, destinations);
                    }
                    // Groups without their twins go through the stages before more are taken.
                    self.stage = Stage::Groups;
                    if !self.batch.is_empty() {
                        self.queue_batch(Evidence::Received);
                        self.stage = Stage::Received;
                    }
                }
                Stage::Done => {
                    let sides = std::mem::take(&mut self.sides);
                    return Step::Done(Matched {
                        source: sides.source,
                        destination: sides.destination,
                        sizes: self.sizes,
                    });
                }
            }
        }
    }

    /// Takes the evidence of one message that was asked for last. Others are passed over.
    pub fn answer(&mut self, side: Side, folder: u16, uid: Uid, digest: Digest) {
        let Some(need) = &self.asked else { return };
        if need.side != side || need.folder != folder || !need.uids.contains(uid) {
            return;
        }
        let basis = match (self.stage, need.evidence) {
            (Stage::Content, _) => Basis::Headers,
            (Stage::Sort, _) => Basis::Content,
            (_, evidence) => {
                self.batch.answer(evidence, (side, folder, uid), digest);
                return;
            }
        };
        if let Some(entry) = self.entry_by_uid(side, folder, uid) {
            entry.set_fingerprint(Fingerprint { digest, basis });
        }
    }

    /// Says that the evidence of one message cannot be had: the same as not answering until the next
    /// step.
    pub fn cannot_answer(&mut self, side: Side, folder: u16, uid: Uid) {
        if self.asked.as_ref().is_some_and(|need| {
            need.side == side && need.folder == folder && need.uids.contains(uid)
        }) {
            self.mark_asked_in_vain(side, folder, uid);
        }
    }

    /// The entry with this UID, while entries are sorted by UID.
    fn entry_by_uid(&mut self, side: Side, folder: u16, uid: Uid) -> Option<&mut Entry> {
        let entries = self.sides.of_mut(side);
        let place = |entry: &Entry| (entry.folder(), entry.uid());
        let at = entries.binary_search_by_key(&(folder, uid), place).ok()?;
        entries.get_mut(at)
    }

    fn close_asked(&mut self) {
        if let Some(need) = self.asked.take() {
            for uid in need.uids.iter() {
                self.mark_asked_in_vain(need.side, need.folder, uid);
            }
        }
    }

    /// Remembers of a message without a key that it has no headers either, or no content. Members of
    /// groups simply have no answer.
    fn mark_asked_in_vain(&mut self, side: Side, folder: u16, uid: Uid) {
        let mark = match self.stage {
            Stage::Content => NO_HEADERS,
            Stage::Sort => AMBIGUOUS,
            _ => return,
        };
        if let Some(entry) = self.entry_by_uid(side, folder, uid)
            && entry.fingerprint().basis == Basis::Nothing
        {
            entry.marks |= mark;
        }
    }

    /// A destination message that nothing is known of may be any that only its content tells.
    fn mark_doubtful(&mut self) {
        let unknown = |entry: &Entry| is_open(entry) && entry.marks & AMBIGUOUS != 0;
        if self.sides.destination.iter().any(unknown) {
            for entry in &mut self.sides.source {
                if is_open(entry) && entry.fingerprint().basis == Basis::Content {
                    entry.marks |= AMBIGUOUS;
                }
            }
        }
    }

    fn queue_batch(&mut self, evidence: Evidence) {
        self.queue = self.batch.needs(evidence, &self.sides);
        self.queue.reverse();
    }

    /// Asks for headers, or then for the content, of messages without a key, if the other side has
    /// any that may be them.
    fn queue_unidentified(&mut self, evidence: Evidence) {
        let wanted = |entry: &Entry| {
            is_open(entry)
                && entry.fingerprint().basis == Basis::Nothing
                && (evidence == Evidence::Headers || entry.marks & NO_HEADERS != 0)
        };
        let candidate = |entry: &Entry| {
            let basis = entry.fingerprint().basis;
            is_open(entry)
                && match evidence {
                    Evidence::Content => basis == Basis::Content || wanted(entry),
                    Evidence::Headers | Evidence::Received => basis != Basis::Key,
                }
        };
        for (side, other) in [(Side::Destination, Side::Source), (Side::Source, Side::Destination)]
        {
            let has_others = self.sides.of(other).iter().any(candidate);
            let mut needs: BTreeMap<u16, UidSet> = BTreeMap::new();
            for entry in self.sides.of(side).iter().filter(|entry| wanted(entry)) {
                needs.entry(entry.folder()).or_default().insert(entry.uid());
            }
            for (folder, uids) in needs.into_iter().rev() {
                let twins = side == Side::Source
                    && self.options.twins == Twins::FirstOnly
                    && uids.len() > 1;
                if has_others || twins {
                    self.queue.push(Need { side, folder, uids, evidence });
                }
            }
        }
    }

    fn sizes_of(&self, source: usize, destination: usize) -> (Option<u64>, Option<u64>) {
        let size = |side: Side, at: usize| self.sides.of(side).get(at).and_then(Entry::size);
        (size(Side::Source, source), size(Side::Destination, destination))
    }

    fn count_size(&mut self, source: usize, destination: usize) {
        if let (Some(one), Some(other)) = self.sizes_of(source, destination) {
            self.sizes.count(one == other);
        }
    }

    /// Counts how often the sizes of uniquely keyed pairs agree.
    fn judge_sizes(&mut self) {
        let mut cursor = (0, 0);
        while let Some((sources, destinations)) = self.next_group(&mut cursor) {
            if let ([source], [destination]) = (
                self.open(Side::Source, sources).as_slice(),
                self.open(Side::Destination, destinations).as_slice(),
            ) {
                self.count_size(*source, *destination);
            }
        }
    }

    /// The next group of equal identity, as ranges of both sides; either may be empty, not both.
    fn next_group(&self, cursor: &mut (usize, usize)) -> Option<(Range<usize>, Range<usize>)> {
        let (source, destination) = (&self.sides.source, &self.sides.destination);
        let first = match (source.get(cursor.0), destination.get(cursor.1)) {
            (None, None) => return None,
            (Some(one), None) | (None, Some(one)) => identity(one),
            (Some(one), Some(other)) => match identity(one).cmp(&identity(other)) {
                Ordering::Greater => identity(other),
                Ordering::Less | Ordering::Equal => identity(one),
            },
        };
        let end = |entries: &[Entry], from: usize| {
            let same = entries.iter().skip(from).take_while(|entry| identity(entry) == first);
            from + same.count()
        };
        let ends = (end(source, cursor.0), end(destination, cursor.1));
        let group = (cursor.0..ends.0, cursor.1..ends.1);
        *cursor = ends;
        Some(group)
    }

    fn open(&self, side: Side, range: Range<usize>) -> Vec<usize> {
        let entries = self.sides.of(side);
        range.filter(|&at| entries.get(at).is_some_and(is_open)).collect()
    }

    /// Settles groups that need no further evidence, and collects the others until there are enough.
    fn fill_batch(&mut self) {
        while !self.batch.is_full() {
            let mut cursor = self.cursor;
            let Some((sources, destinations)) = self.next_group(&mut cursor) else { return };
            self.cursor = cursor;
            self.take_group(sources, destinations);
        }
    }

    fn take_group(&mut self, sources: Range<usize>, destinations: Range<usize>) {
        let basis = [(&self.sides.source, &sources), (&self.sides.destination, &destinations)]
            .iter()
            .find_map(|(entries, range)| entries.get(range.start).filter(|_| !range.is_empty()))
            .map_or(Basis::Nothing, |entry| entry.fingerprint().basis);
        if basis == Basis::Nothing {
            return;
        }
        let twins = self.options.twins == Twins::FirstOnly && self.may_hold_twins(sources.clone());
        let all = sources.clone();
        let open = (self.open(Side::Source, sources), self.open(Side::Destination, destinations));
        let (sources, destinations) = open;
        if basis == Basis::Content {
            let sources =
                if twins { batch::without_twins(all.collect(), &mut self.sides) } else { sources };
            self.sides.pair_equals(sources, destinations);
        } else if twins {
            self.batch.take(Kind::Twins, all.collect(), destinations);
        } else {
            self.take_open(sources, destinations);
        }
    }

    /// Takes open messages of equal identity.
    fn take_open(&mut self, sources: Vec<usize>, destinations: Vec<usize>) {
        let (Some(first), false) = (sources.first(), destinations.is_empty()) else { return };
        let paired = self.sides.source.get(*first).map(identity);
        let paired = paired.map(|of| self.sides.sizes_of_paired(of)).unwrap_or_default();
        if self.options.proof == Proof::Content {
            self.batch.take(Kind::ByContent, sources, destinations);
        } else if let ([source], [destination], true) =
            (sources.as_slice(), destinations.as_slice(), paired.is_empty())
        {
            self.take_one_pair(*source, *destination);
        } else {
            self.take_by_size(sources, destinations, &paired);
        }
    }

    /// Tells whether one source folder has two messages of this group that may have equal content.
    fn may_hold_twins(&self, range: Range<usize>) -> bool {
        let Some(entries) = self.sides.source.get(range) else { return false };
        let mut seen: Vec<(u16, Option<u64>)> =
            entries.iter().map(|entry| (entry.folder(), entry.size())).collect();
        seen.sort_unstable();
        entries.iter().any(is_open)
            && seen.windows(2).any(|two| match two {
                [one, other] => {
                    one.0 == other.0 && (one.1.is_none() || other.1.is_none() || one.1 == other.1)
                }
                _ => false,
            })
    }

    fn take_one_pair(&mut self, source: usize, destination: usize) {
        let Sizes::Judged(known) = self.options.sizes else {
            if self.options.proof == Proof::Key {
                self.sides.pair_found(source, destination);
            } else {
                self.batch.take(Kind::ByContent, vec![source], vec![destination]);
            }
            return;
        };
        match (self.options.proof, self.sizes_of(source, destination)) {
            (_, (Some(one), Some(other))) if one == other => {
                self.sides.pair_found(source, destination);
            }
            (Proof::Key, (Some(_), Some(_))) => {
                if known.and(self.sizes).without_one_that_differs().comparable() {
                    self.batch.take(Kind::OddSizes, vec![source], vec![destination]);
                } else {
                    self.sides.pair_found(source, destination);
                }
            }
            (Proof::Key, _) => self.sides.pair_found(source, destination),
            _ => self.batch.take(Kind::ByContent, vec![source], vec![destination]),
        }
    }

    /// Parts a group by size where sizes tell something, and pairs what is unique on both sides, those that
    /// are paired already included: which of the group were copied last night must make no difference.
    fn take_by_size(
        &mut self,
        sources: Vec<usize>,
        destinations: Vec<usize>,
        paired: &BTreeSet<Option<u64>>,
    ) {
        let comparable = match (self.options.sizes, self.options.proof) {
            (Sizes::Lie, _) => false,
            (Sizes::Judged(_), Proof::KeyAndSize) => true,
            (Sizes::Judged(known), _) => known.and(self.sizes).comparable(),
        };
        let further = match self.options.proof {
            Proof::Key => Kind::Plain,
            Proof::KeyAndSize | Proof::Content => Kind::ByContent,
        };
        let mut by_size: BTreeMap<Option<u64>, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (side, places) in [(Side::Source, &sources), (Side::Destination, &destinations)] {
            for &at in places {
                let size = self.sides.of(side).get(at).and_then(Entry::size);
                let class = by_size.entry(size).or_default();
                if side == Side::Source { class.0.push(at) } else { class.1.push(at) }
            }
        }
        if !comparable || by_size.contains_key(&None) || paired.contains(&None) {
            self.batch.take(further, sources, destinations);
            return;
        }
        let mut odd = (Vec::new(), Vec::new());
        for (size, (own, others)) in by_size {
            match (own.as_slice(), others.as_slice()) {
                ([source], [destination]) if !paired.contains(&size) => {
                    self.sides.pair_found(*source, *destination);
                }
                (_, []) => odd.0.extend(own),
                ([], _) => odd.1.extend(others),
                _ => self.batch.take(further, own, others),
            }
        }
        if odd.1.is_empty() {
            for source in odd.0 {
                self.sides.mark(Side::Source, source, DIFFERS);
            }
        } else if !odd.0.is_empty() {
            let kind = if further == Kind::Plain { Kind::OddSizes } else { further };
            self.batch.take(kind, odd.0, odd.1);
        }
    }
}

//! Groups of equal keys that need further evidence, some at a time.

use std::collections::BTreeMap;

use crate::identity::Digest;
use crate::mail::Side;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::matching::matcher::Evidence;
use crate::matching::matcher::Need;
use crate::matching::sides::AMBIGUOUS;
use crate::matching::sides::DIFFERS;
use crate::matching::sides::Sides;
use crate::matching::sides::is_open;
use crate::snapshot::Entry;

/// Messages whose evidence is asked for together; what bounds the memory that evidence takes.
const BATCH_MESSAGES: usize = 4096;

/// How a class of messages with equal keys goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sizes agree or tell nothing: equal Received lines that are unique prove it, different ones
    /// disprove it.
    Plain,
    /// Comparable sizes differ: different Received lines disprove it, only the content proves it.
    OddSizes,
    /// Only the content counts.
    ByContent,
    /// Source messages, of which equal ones of one folder count once; then those that count go
    /// through the stages.
    Twins,
}

/// A group whose messages are still to be compared: source and destination.
pub(super) type Group = (Vec<usize>, Vec<usize>);

#[derive(Debug)]
struct Member {
    side: Side,
    at: usize,
    answer: Option<Digest>,
}

/// Messages that may be the same.
#[derive(Debug)]
struct Class {
    kind: Kind,
    members: Vec<Member>,
    /// Destination messages of which nothing is asked yet.
    beside: Vec<usize>,
}

/// Side, folder and UID of a message.
type Key = (Side, u16, Uid);

/// The classes of one batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Waiting for Received lines.
    received: Vec<Class>,
    /// Waiting for the content.
    content: Vec<Class>,
    /// Where the member with this side, folder and UID stands in the classes that are asked about.
    index: Vec<(Key, (usize, usize))>,
    messages: usize,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.messages >= BATCH_MESSAGES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Takes messages that may be the same.
    pub(super) fn take(&mut self, kind: Kind, sources: Vec<usize>, destinations: Vec<usize>) {
        let (asked, beside) = if kind == Kind::Twins {
            (Vec::new(), destinations)
        } else {
            (destinations, Vec::new())
        };
        let members = members(Side::Source, sources).chain(members(Side::Destination, asked));
        let class = Class { kind, members: members.collect(), beside };
        self.messages += class.members.len();
        match kind {
            Kind::Plain | Kind::OddSizes => self.received.push(class),
            Kind::ByContent | Kind::Twins => self.content.push(class),
        }
    }

    fn classes(&mut self, evidence: Evidence) -> &mut Vec<Class> {
        match evidence {
            Evidence::Received => &mut self.received,
            Evidence::Headers | Evidence::Content => &mut self.content,
        }
    }

    /// What is to be asked for in this round, a side and folder at a time.
    pub(super) fn needs(&mut self, evidence: Evidence, sides: &Sides) -> Vec<Need> {
        let mut index = std::mem::take(&mut self.index);
        index.clear();
        for (class_at, class) in self.classes(evidence).iter().enumerate() {
            for (member_at, member) in class.members.iter().enumerate() {
                if let Some(entry) = sides.of(member.side).get(member.at) {
                    let key = (member.side, entry.folder(), entry.uid());
                    index.push((key, (class_at, member_at)));
                }
            }
        }
        index.sort_unstable();
        let mut needs: Vec<Need> = Vec::new();
        for ((side, folder, uid), _) in &index {
            match needs.last_mut() {
                Some(need) if need.side == *side && need.folder == *folder => {
                    need.uids.insert(*uid);
                }
                _ => {
                    let uids = UidSet::range(*uid, *uid);
                    needs.push(Need { side: *side, folder: *folder, uids, evidence });
                }
            }
        }
        self.index = index;
        needs
    }

    /// Takes the answer for one message.
    pub(super) fn answer(&mut self, evidence: Evidence, key: Key, digest: Digest) {
        let Ok(at) = self.index.binary_search_by_key(&key, |(own, _)| *own) else { return };
        let Some(&(_, (class, member))) = self.index.get(at) else { return };
        let class = self.classes(evidence).get_mut(class);
        if let Some(member) = class.and_then(|class| class.members.get_mut(member)) {
            member.answer = Some(digest);
        }
    }

    /// Settles by Received lines what can be, and passes the rest on to the content.
    pub(super) fn settle_received(&mut self, sides: &mut Sides) {
        for class in std::mem::take(&mut self.received) {
            if class.members.iter().any(|member| member.answer.is_none()) {
                self.pass_on(class.members);
                continue;
            }
            for (sources, destinations) in by_answer(class.members).into_values() {
                match (sources.as_slice(), destinations.as_slice()) {
                    ([source], [destination]) if class.kind == Kind::Plain => {
                        sides.pair_found(*source, *destination);
                    }
                    ([], _) => {}
                    // Different Received lines are different octets.
                    (_, []) => {
                        for source in sources {
                            sides.mark(Side::Source, source, DIFFERS);
                        }
                    }
                    _ => self.pass_on(
                        members(Side::Source, sources)
                            .chain(members(Side::Destination, destinations))
                            .collect(),
                    ),
                }
            }
        }
    }

    fn pass_on(&mut self, mut members: Vec<Member>) {
        for member in &mut members {
            member.answer = None;
        }
        self.content.push(Class { kind: Kind::ByContent, members, beside: Vec::new() });
    }

    /// Settles by content, which is the end of it, and forgets the batch. Returns the groups of which
    /// twins were taken out, and which now begin with the first stage.
    pub(super) fn settle_content(&mut self, sides: &mut Sides) -> Vec<Group> {
        let mut groups = Vec::new();
        for class in std::mem::take(self).content {
            if class.kind == Kind::Twins {
                groups.push(counted(class, sides));
            } else {
                settle(class, sides);
            }
        }
        groups
    }
}

fn members(side: Side, places: Vec<usize>) -> impl Iterator<Item = Member> {
    places.into_iter().map(move |at| Member { side, at, answer: None })
}

/// Source and destination messages by their answer; those without one are left out.
fn by_answer(members: Vec<Member>) -> BTreeMap<Digest, Group> {
    let mut split: BTreeMap<Digest, Group> = BTreeMap::new();
    for member in members {
        if let Some(answer) = member.answer {
            let (sources, destinations) = split.entry(answer).or_default();
            match member.side {
                Side::Source => sources.push(member.at),
                Side::Destination => destinations.push(member.at),
            }
        }
    }
    split
}

fn settle(class: Class, sides: &mut Sides) {
    let asked_in_vain: Vec<(Side, usize)> = class
        .members
        .iter()
        .filter(|member| member.answer.is_none())
        .map(|member| (member.side, member.at))
        .collect();
    let met_others = class.members.iter().any(|member| member.side == Side::Destination);
    // A destination message whose content is not known may be any of the left-over ones.
    let doubt = asked_in_vain.iter().any(|(side, _)| *side == Side::Destination);
    for (side, at) in &asked_in_vain {
        if *side == Side::Source && met_others {
            sides.mark(Side::Source, *at, AMBIGUOUS);
        }
    }
    for (sources, destinations) in by_answer(class.members).into_values() {
        let surplus = !destinations.is_empty();
        for source in sides.pair_equals(sources, destinations) {
            if doubt {
                sides.mark(Side::Source, source, AMBIGUOUS);
            } else if met_others && !surplus {
                sides.mark(Side::Source, source, DIFFERS);
            }
        }
    }
}

/// Takes twins out of a class. What could not be read is nobody's twin.
fn counted(class: Class, sides: &mut Sides) -> Group {
    let unread = class.members.iter().filter(|member| member.answer.is_none());
    let mut sources: Vec<usize> = unread.map(|member| member.at).collect();
    for (equals, _) in by_answer(class.members).into_values() {
        sources.extend(without_twins(equals, sides));
    }
    sources.retain(|&at| sides.source.get(at).is_some_and(is_open));
    sources.sort_unstable();
    (sources, class.beside)
}

/// Of messages with equal content, those that count and have no partner yet: of each source folder
/// the first that rules take, unless state links one of them already. What rules leave out is passed
/// on as well, since it may be at the destination.
pub(super) fn without_twins(mut equals: Vec<usize>, sides: &mut Sides) -> Vec<usize> {
    let folder = |sides: &Sides, at: usize| sides.source.get(at).map(Entry::folder);
    let test =
        |sides: &Sides, at: usize, test: fn(&Entry) -> bool| sides.source.get(at).is_some_and(test);
    equals.sort_unstable_by_key(|&at| {
        sides.source.get(at).map(|entry| (entry.folder(), is_open(entry), entry.uid()))
    });
    let mut counting = Vec::new();
    // The folder that has its one message.
    let mut settled = None;
    for at in equals {
        let own = folder(sides, at);
        if !test(sides, at, is_open) {
            settled = own;
        } else if test(sides, at, Entry::left_out) {
            counting.push(at);
        } else if settled == own {
            sides.set_twin(at);
        } else {
            settled = own;
            counting.push(at);
        }
    }
    counting
}

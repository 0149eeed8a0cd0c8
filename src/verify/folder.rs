//! One folder group, verified.

use std::collections::BTreeSet;

use crate::inspect;
use crate::inspect::{HeaderUse, SideSeen, Wires};
use crate::mail::{Side, WireName};
use crate::matching::{Fate, Matched, Matcher};
use crate::plan::{LeftOut, Reason};
use crate::planner;
use crate::planner::{Group, GroupSource};
use crate::report::model::{Difference, VerifiedFolder};
use crate::rule::{MessageFacts, Verdict};
use crate::session::{Trouble, at};
use crate::snapshot::{Entry, FlagTable, Rows};
use crate::verify::compare::{self, Comparison, Pair};
use crate::verify::run::{Depth, Run, Verified, VerifyFault, inspected};

/// What becomes of one pair of folders.
struct Part {
    folder: VerifiedFolder,
    pairs: Vec<Pair>,
    /// Messages whose only candidate has another content: altered in storing, or another message.
    doubtful: Vec<Pair>,
}

/// Every source folder of a group, with nothing found yet.
fn parts(group: &Group) -> Vec<Part> {
    let part = |folder: &GroupSource| Part {
        folder: VerifiedFolder {
            source: folder.name.clone(),
            destination: group.name.clone(),
            selected: 0,
            found: 0,
            read: 0,
            missing: 0,
            differ: 0,
        },
        pairs: Vec::new(),
        doubtful: Vec::new(),
    };
    group.sources.iter().map(part).collect()
}

impl Run<'_> {
    /// Folders that are not compared, because something is wrong with them.
    pub(super) fn left_out(&self, left_out: &LeftOut, verified: &mut Verified) {
        verified.differences.push(Difference {
            folder: left_out.name.clone(),
            uid: None,
            destination_folder: None,
            destination_uid: None,
            reason: left_out.reason,
            octets: None,
            first_octet: None,
            known_item: self.known.explains(&left_out.name, None),
        });
    }

    /// Verifies one group, from a fresh listing of both sides.
    pub(super) fn group(
        &mut self,
        group: &Group,
        here: &SideSeen,
        there: &SideSeen,
    ) -> Result<Verified, Trouble<VerifyFault>> {
        match self.depth {
            Depth::Counts => self.count(group, here, there),
            Depth::Content => self.read(group, here, there),
        }
    }

    /// Holds the number of selected messages against the number of messages that are there.
    fn count(
        &mut self,
        group: &Group,
        here: &SideSeen,
        there: &SideSeen,
    ) -> Result<Verified, Trouble<VerifyFault>> {
        let mut verified = Verified::default();
        let rows = self.source_rows(group, here, HeaderUse::None)?;
        let mut there = if group.exists {
            let (_, destination) = self.reading.both()?;
            let opened = inspect::open(destination, there, &group.wire, None)
                .map_err(inspected(Side::Destination))?;
            opened.state.messages
        } else {
            0
        };
        let mut parts = parts(group);
        for entry in &rows.entries {
            if let Some(part) = parts.get_mut(usize::from(entry.folder()))
                && self.is_selected(entry, Fate::New, &rows.flags)
            {
                part.folder.selected += 1;
            }
        }
        for Part { mut folder, .. } in parts {
            folder.found = folder.selected.min(there);
            folder.missing = folder.selected - folder.found;
            there -= folder.found;
            if folder.missing > 0 {
                let known = self.known.explain_so_many(&folder.source, folder.missing);
                verified.differences.push(Difference {
                    folder: folder.source.clone(),
                    uid: None,
                    destination_folder: Some(folder.destination.clone()),
                    destination_uid: None,
                    reason: Reason::Missing,
                    octets: None,
                    first_octet: None,
                    known_item: known,
                });
            }
            verified.folders.push(folder);
        }
        Ok(verified)
    }

    /// Finds every selected message by its identity and reads it on both sides.
    fn read(
        &mut self,
        group: &Group,
        here: &SideSeen,
        there: &SideSeen,
    ) -> Result<Verified, Trouble<VerifyFault>> {
        let mut verified = Verified::default();
        let (matched, flags) = self.match_group(group, here, there)?;
        let mut parts = parts(group);
        let mut taken = BTreeSet::new();
        for (entry, fate) in matched.fates() {
            let Some(part) = parts.get_mut(usize::from(entry.folder())) else { continue };
            if !self.is_selected(entry, fate, &flags) {
                continue;
            }
            part.folder.selected += 1;
            match fate {
                Fate::Found(uid) | Fate::Linked(uid) => {
                    part.folder.found += 1;
                    part.pairs.push(Pair { source: entry.uid(), destination: uid });
                }
                Fate::Differs => {
                    let alike = |copy: &&Entry| {
                        copy.fingerprint() == entry.fingerprint() && !taken.contains(&copy.uid())
                    };
                    match matched.extra().find(alike) {
                        Some(copy) => {
                            taken.insert(copy.uid());
                            let (source, destination) = (entry.uid(), copy.uid());
                            part.doubtful.push(Pair { source, destination });
                        }
                        None => self.missing(&mut part.folder, entry, &mut verified),
                    }
                }
                _ => self.missing(&mut part.folder, entry, &mut verified),
            }
        }
        drop(matched);
        for (part, folder) in parts.iter_mut().zip(&group.sources) {
            self.read_pairs(part, &folder.wire, &group.wire, &mut verified)?;
        }
        verified.folders.extend(parts.into_iter().map(|part| part.folder));
        Ok(verified)
    }

    fn missing(&self, folder: &mut VerifiedFolder, entry: &Entry, verified: &mut Verified) {
        folder.missing += 1;
        verified.differences.push(Difference {
            folder: folder.source.clone(),
            uid: Some(entry.uid()),
            destination_folder: None,
            destination_uid: None,
            reason: Reason::Missing,
            octets: entry.size(),
            first_octet: None,
            known_item: self.known.explains(&folder.source, Some(entry.uid())),
        });
    }

    fn is_selected(&self, entry: &Entry, fate: Fate, flags: &FlagTable) -> bool {
        let facts = MessageFacts {
            date: entry.date(),
            size: entry.size(),
            flags: flags.get(entry.flags()),
            found: entry.found(),
        };
        self.rules.messages.verdict(facts) == Verdict::Take && fate != Fate::Twin
    }

    /// The messages of all source folders of a group, marked by the rules.
    fn source_rows(
        &mut self,
        group: &Group,
        here: &SideSeen,
        headers: HeaderUse<'_>,
    ) -> Result<Rows, Trouble<VerifyFault>> {
        let rules = self.rules;
        let mut rows = Rows::default();
        let (source, _) = self.reading.both()?;
        for (number, folder) in (0_u16..).zip(&group.sources) {
            let opened =
                inspect::open(source, here, &folder.wire, None).map_err(inspected(Side::Source))?;
            let begin = rows.entries.len();
            inspect::rows(source, &opened, number, headers, None, &mut rows)
                .map_err(inspected(Side::Source))?;
            if let Some(keys) = &rules.messages.search {
                let found = source.search(&folder.wire, keys).map_err(at(Side::Source))?;
                for entry in &mut rows.entries[begin..] {
                    if !found.contains(entry.uid()) {
                        entry.set_not_found();
                    }
                }
            }
        }
        planner::mark_left_out(rules, &mut rows);
        Ok(rows)
    }

    fn match_group(
        &mut self,
        group: &Group,
        here: &SideSeen,
        there: &SideSeen,
    ) -> Result<(Matched, FlagTable), Trouble<VerifyFault>> {
        let rules = self.rules;
        let source_rows = self.source_rows(group, here, HeaderUse::Key)?;
        let mut rows = (source_rows, Rows::default());
        if group.exists {
            let (_, destination) = self.reading.both()?;
            let opened = inspect::open(destination, there, &group.wire, None)
                .map_err(inspected(Side::Destination))?;
            // Equal flags have equal numbers on both sides.
            rows.1.flags.clone_from(&rows.0.flags);
            inspect::rows(destination, &opened, 0, HeaderUse::Key, None, &mut rows.1)
                .map_err(inspected(Side::Destination))?;
        }
        let options = planner::matching_options(rules, group, self.sizes);
        let matcher = Matcher::new(rows.0.entries, rows.1.entries, &[], options);
        let wires: Vec<WireName> = group.sources.iter().map(|folder| folder.wire.clone()).collect();
        let wires = Wires { source: &wires, destination: &group.wire };
        let (source, destination) = self.reading.both()?;
        let matched = inspect::decide(matcher, source, destination, &wires)
            .map_err(|(side, error)| Trouble::Store(side, error))?;
        self.sizes = self.sizes.and(matched.sizes());
        Ok((matched, rows.0.flags))
    }

    fn read_pairs(
        &mut self,
        part: &mut Part,
        here: &WireName,
        there: &WireName,
        verified: &mut Verified,
    ) -> Result<(), Trouble<VerifyFault>> {
        let known = self.known;
        let (source, destination) = self.reading.both()?;
        let Part { folder, pairs, doubtful } = part;
        let mut take = |pair: Pair, read: Comparison, doubtful: bool| {
            let mut difference = Difference {
                folder: folder.source.clone(),
                uid: Some(pair.source),
                destination_folder: Some(folder.destination.clone()),
                destination_uid: Some(pair.destination),
                reason: Reason::Differs,
                octets: None,
                first_octet: None,
                known_item: known.explains(&folder.source, Some(pair.source)),
            };
            match read {
                Comparison::Equal => {
                    folder.found += u64::from(doubtful);
                    folder.read += 1;
                    return;
                }
                Comparison::Differs(found) => {
                    difference.octets = Some(found.octets);
                    difference.first_octet = Some(found.first_octet);
                    folder.read += 1;
                    if found.altered {
                        folder.found += u64::from(doubtful);
                        difference.reason = Reason::AlteredByDestination;
                    } else if doubtful {
                        folder.missing += 1;
                        difference.reason = Reason::Missing;
                        verified.differences.push(difference);
                        return;
                    }
                }
                Comparison::Unread(Side::Source) => difference.reason = Reason::WithheldBySource,
                Comparison::Unread(Side::Destination) => difference.reason = Reason::NoContent,
            }
            folder.differ += 1;
            verified.differences.push(difference);
        };
        let ends =
            compare::Sides { source, source_wire: here, destination, destination_wire: there };
        compare::compare(ends, pairs, doubtful, &mut take)
            .map_err(|(side, error)| Trouble::Store(side, error))
    }
}

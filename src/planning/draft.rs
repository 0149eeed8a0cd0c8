//! What was found in a group of folders, written down: in state, and as lines of the plan.

use crate::identity::Basis;
use crate::inspect::{FolderRows, Opened};
use crate::mail::{FlagSet, PermanentFlags, Uid, UidSet};
use crate::matching::{Fate, Matched, SizeRecord};
use crate::plan::{
    Action, Counts, DestinationFolder, FolderPair, PlanWriter, Reason, SourceFolder,
};
use crate::planner;
use crate::planner::{Agreed, Group, GroupFacts, RecipeTable};
use crate::planning::dates;
use crate::planning::dates::Waiting;
use crate::planning::make::{PlanningFault, unreadable};
use crate::rule::Rules;
use crate::rule::policy::Empty;
use crate::snapshot::{Entry, FlagTable};
use crate::state::{FolderId, Link, State};

/// How many links are written at once.
const LINKS_AT_ONCE: usize = 10_000;

/// What was read of a group.
pub(super) struct Seen {
    pub source: Vec<(Opened, FolderRows)>,
    pub destination: Option<(Opened, FolderRows)>,
    pub tables: (FlagTable, FlagTable),
    pub agreed: Agreed,
    pub append_limit: Option<u64>,
}

/// A plan in the making, without the sessions.
pub(super) struct Draft<'a> {
    pub rules: &'a Rules,
    pub state: &'a mut dyn State,
    pub recipes: RecipeTable,
    pub sizes: SizeRecord,
    pub next_pair: u32,
    /// Messages of both sides, as far as they were listed.
    pub messages: (u64, u64),
    pub notes: Vec<String>,
    /// Lines that wait for dates, while lines do.
    pub waiting: Option<Waiting>,
}

impl Draft<'_> {
    /// Keeps what was found in a group and writes its lines. Tells whether it is left out because no
    /// message of it is selected.
    pub(super) fn put(
        &mut self,
        group: &Group,
        seen: Seen,
        matched: &Matched,
        writer: &mut PlanWriter,
    ) -> Result<bool, PlanningFault> {
        let mut group = group.clone();
        group.first_pair = self.next_pair;
        let Seen { source, destination, tables, agreed, append_limit } = seen;
        let permanent: Option<PermanentFlags> =
            destination.as_ref().map(|(opened, _)| opened.state.permanent_flags.clone());
        let facts = GroupFacts {
            source_flags: &tables.0,
            destination_flags: &tables.1,
            agreed: &agreed,
            permanent_flags: permanent.as_ref(),
            append_limit,
        };
        self.keep_links(&source, destination.as_ref(), matched, &facts)?;
        self.write(&group, &source, destination.as_ref(), matched, &facts, writer)
    }

    /// Keeps what was found, so that it is not looked for again. A link is no ownership.
    fn keep_links(
        &mut self,
        source: &[(Opened, FolderRows)],
        destination: Option<&(Opened, FolderRows)>,
        matched: &Matched,
        facts: &GroupFacts<'_>,
    ) -> Result<(), PlanningFault> {
        let there = destination.and_then(|(opened, _)| opened.id);
        self.keep_digests(source, there, matched)?;
        let Some(there) = there else { return Ok(()) };
        let mut links: Vec<Link> = Vec::new();
        let mut folder = 0;
        for (entry, fate) in matched.fates() {
            if entry.folder() != folder || links.len() >= LINKS_AT_ONCE {
                self.put_links(source, folder, there, &mut links)?;
                folder = entry.folder();
            }
            let Fate::Found(uid) = fate else { continue };
            links.push(Link {
                source: entry.uid(),
                destination: Some(uid),
                digest: entry.fingerprint().digest,
                basis: entry.fingerprint().basis,
                octets: entry.size().unwrap_or_default(),
                flags: None,
                copied_by: None,
            });
        }
        self.put_links(source, folder, there, &mut links)?;
        let mut agreed: Vec<(Uid, FlagSet)> = Vec::new();
        let mut fault = None;
        planner::newly_agreed(self.rules, matched, facts, &mut |_, _, copy, flags| {
            agreed.push((copy, flags.clone()));
            if agreed.len() >= LINKS_AT_ONCE {
                fault = fault.take().or(self.state.agree_flags(there, &agreed).err());
                agreed.clear();
            }
        });
        fault.map_or(Ok(()), Err)?;
        self.state.agree_flags(there, &agreed)?;
        Ok(())
    }

    /// Keeps what was read of messages that have no key, so that it is not read again.
    fn keep_digests(
        &mut self,
        source: &[(Opened, FolderRows)],
        there: Option<FolderId>,
        matched: &Matched,
    ) -> Result<(), PlanningFault> {
        let dear =
            |entry: &&Entry| matches!(entry.fingerprint().basis, Basis::Headers | Basis::Content);
        let row = |entry: &Entry| {
            let fingerprint = entry.fingerprint();
            (entry.uid(), fingerprint.digest, fingerprint.basis)
        };
        // Of what is linked the link tells.
        let linked: UidSet = matched
            .fates()
            .filter_map(|(entry, fate)| match fate {
                Fate::Linked(copy) => Some(copy).filter(|_| dear(&entry)),
                _ => None,
            })
            .collect();
        let others = || matched.fates().filter(|(_, fate)| !matches!(fate, Fate::Linked(_)));
        for (number, (opened, _)) in (0_u16..).zip(source) {
            let of_folder = |entry: &&Entry| entry.folder() == number;
            let entries = others().map(|(entry, _)| entry).filter(of_folder).filter(dear);
            let digests: Vec<_> = entries.map(row).collect();
            if let (Some(here), false) = (opened.id, digests.is_empty()) {
                self.state.put_digests(here, &digests)?;
            }
        }
        let copies = matched.destination().iter().filter(|copy| !linked.contains(copy.uid()));
        let digests: Vec<_> = copies.filter(dear).map(row).collect();
        if let (Some(there), false) = (there, digests.is_empty()) {
            self.state.put_digests(there, &digests)?;
        }
        Ok(())
    }

    fn put_links(
        &mut self,
        source: &[(Opened, FolderRows)],
        folder: u16,
        there: FolderId,
        links: &mut Vec<Link>,
    ) -> Result<(), PlanningFault> {
        let here = source.get(usize::from(folder)).and_then(|(opened, _)| opened.id);
        if let (Some(here), false) = (here, links.is_empty()) {
            self.state.put_links(here, there, links)?;
        }
        links.clear();
        Ok(())
    }

    fn write(
        &mut self,
        group: &Group,
        source: &[(Opened, FolderRows)],
        destination: Option<&(Opened, FolderRows)>,
        matched: &Matched,
        facts: &GroupFacts<'_>,
        writer: &mut PlanWriter,
    ) -> Result<bool, PlanningFault> {
        // What is to be left out if it turns out empty holds no copies: its lines are few.
        let hold = self.rules.folders.empty == Empty::Skip;
        // Without the whole of the destination folder nothing is sure to be missing there; and where a
        // server changes what tells messages apart, each run would copy them again.
        let kept = match destination.and_then(|(opened, _)| opened.id) {
            Some(there) => self.state.identity_kept(there)?,
            None => None,
        };
        let stopped = match destination {
            Some((_, rows)) if !rows.complete => Some(Reason::ListingIncomplete),
            _ if kept == Some(false) => Some(Reason::IdentityNotKept),
            _ => None,
        };
        let is_stopped = |action: &Action| {
            stopped.is_some() && matches!(action, Action::Copy { .. } | Action::Flags { .. })
        };
        let (mut held, mut fault) = (Vec::new(), None);
        let Self { recipes, waiting, .. } = self;
        let mut counts =
            planner::plan_group(self.rules, group, matched, facts, recipes, &mut |action| {
                if hold {
                    held.push(action);
                } else if !is_stopped(&action) && fault.is_none() {
                    fault = dates::put(waiting, writer, action).err();
                }
            });
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        if planner::is_empty_and_left_out(self.rules, &counts) {
            for (folder, (_, rows)) in group.sources.iter().zip(source) {
                let messages = Some(rows.observed.messages);
                writer.left_out(&unreadable(folder.name.clone(), messages, Reason::EmptyFolder))?;
            }
            return Ok(true);
        }
        for action in held {
            if !is_stopped(&action) {
                dates::put(&mut self.waiting, writer, action)?;
            }
        }
        if stopped.is_some() {
            for count in &mut counts {
                *count = Counts { copies: 0, octets: 0, flags: 0, lossy_flags: 0, ..*count };
            }
        }
        self.messages.1 += destination.map_or(0, |(_, rows)| rows.observed.messages);
        for ((folder, (_, rows)), counts) in group.sources.iter().zip(source).zip(&mut counts) {
            let pair = self.next_pair;
            self.next_pair += 1;
            if let Some(waiting) = &mut self.waiting {
                waiting.note(pair, &folder.wire, &rows.observed);
            }
            self.messages.0 += rows.observed.messages;
            let blocked = stopped.or((!rows.complete).then_some(Reason::ListingIncomplete));
            if let Some(reason) = blocked {
                counts.blocked += 1;
                let whole = Action::Blocked {
                    pair,
                    uid: None,
                    octets: None,
                    date: None,
                    limit: None,
                    reason,
                };
                dates::put(&mut self.waiting, writer, whole)?;
            }
            writer.folder(&FolderPair {
                pair,
                account: 0,
                source: SourceFolder {
                    name: folder.name.clone(),
                    wire: folder.wire.clone(),
                    seen: rows.observed.clone(),
                },
                destination: DestinationFolder {
                    name: group.name.clone(),
                    wire: group.wire.clone(),
                    seen: destination.map(|(_, rows)| rows.observed.clone()),
                },
                order: self.rules.messages.order,
                counts: *counts,
            })?;
        }
        Ok(false)
    }
}

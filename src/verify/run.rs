//! A verification: both sides listed, matched and read.

use std::time::Duration;

use crate::inspect;
use crate::inspect::InspectError;
use crate::inspect::SideSeen;
use crate::mail::{FolderName, Side};
use crate::planner;
use crate::report::model::{Difference, VerifiedFolder};
use crate::rule::Rules;
use crate::session::{Clock, Ends, NoSession, Patience, Reading, Stop, Trouble, persist};
use crate::state::Item;
use crate::store::StoreError;

/// How deep a verification goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Messages are counted.
    Counts,
    /// Every message is read on both sides.
    Content,
}

/// What is known of messages that are not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Open items of earlier runs.
    pub items: &'a [Item],
}

impl Known<'_> {
    /// Tells whether an open item explains a difference.
    pub(super) fn explains(&self, folder: &FolderName, uid: Option<crate::mail::Uid>) -> bool {
        self.items.iter().any(|item| {
            item.side == Side::Source
                && item.folder == *folder
                && (item.uid.is_none() || item.uid == uid)
        })
    }
}

impl Known<'_> {
    /// Tells whether open items explain that so many messages of a folder are missing.
    pub(super) fn explain_so_many(&self, folder: &FolderName, missing: u64) -> bool {
        let of_folder = |item: &&Item| item.side == Side::Source && item.folder == *folder;
        let items: Vec<_> = self.items.iter().filter(of_folder).collect();
        items.iter().any(|item| item.uid.is_none())
            || u64::try_from(items.len()).is_ok_and(|count| count >= missing)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Folder pairs, in the order of work.
    pub folders: Vec<VerifiedFolder>,
    /// Every difference.
    pub differences: Vec<Difference>,
    /// Sentences that a reader should know.
    pub notes: Vec<String>,
}

/// Why a verification could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyFault {
    /// A side cannot be had.
    #[error("the {0}: {1}")]
    Store(Side, StoreError),
    /// Both ends are one mailbox: it would be found equal to itself.
    #[error("source and destination are one mailbox")]
    OneMailbox(Vec<crate::mail::WireName>),
    /// No folder is selected at the source: nothing would be found equal to nothing.
    #[error("no folder of the source is selected")]
    NothingSelected,
    /// A signal asked to stop.
    #[error("stopped as asked")]
    Stopped,
}

impl From<NoSession> for VerifyFault {
    fn from(none: NoSession) -> Self {
        match none {
            NoSession::Stopped => Self::Stopped,
            NoSession::Failed(side, error) => Self::Store(side, error),
        }
    }
}

/// What a verification works with.
pub(super) struct Run<'a> {
    pub rules: &'a Rules,
    pub depth: Depth,
    pub known: Known<'a>,
    pub reading: Reading<'a>,
    pub sizes: crate::matching::SizeRecord,
}

/// Verifies one account pair.
///
/// # Errors
///
/// [`VerifyFault`] where a side cannot be had, or the ends are not two.
pub fn verify(
    rules: &Rules,
    ends: Ends,
    depth: Depth,
    known: Known<'_>,
    (clock, stop): (&dyn Clock, &Stop),
    (retries, reconnect_for): (u32, Duration),
    tell: &mut dyn FnMut(&str),
) -> Result<Verified, VerifyFault> {
    let mut run = Run {
        rules,
        depth,
        known,
        reading: Reading::new(ends, Patience { clock, stop, reconnect_for }, retries, tell),
        sizes: crate::matching::SizeRecord::default(),
    };
    let verified = run.all();
    run.reading.close();
    verified
}

impl Run<'_> {
    fn all(&mut self) -> Result<Verified, VerifyFault> {
        let (here, there) = persist(self, |run| &mut run.reading, Self::meet)?;
        let folders = planner::plan_folders(self.rules, &here.tree, &there.tree);
        let nothing = folders.groups.is_empty() && folders.blocked.is_empty();
        if nothing && !self.rules.allow_empty_source {
            return Err(VerifyFault::NothingSelected);
        }
        let mut verified = Verified::default();
        for left_out in &folders.blocked {
            self.left_out(left_out, &mut verified);
        }
        for group in &folders.groups {
            if self.reading.is_to_stop() {
                return Err(VerifyFault::Stopped);
            }
            let part =
                persist(self, |run| &mut run.reading, |run| run.group(group, &here, &there))?;
            verified.folders.extend(part.folders);
            verified.differences.extend(part.differences);
            verified.notes.extend(part.notes);
        }
        Ok(verified)
    }

    fn meet(&mut self) -> Result<(SideSeen, SideSeen), Trouble<VerifyFault>> {
        let (source, destination) = self.reading.both()?;
        let rules = (&self.rules.source, &self.rules.destination);
        match inspect::two(source, destination, rules) {
            Ok((here, there, inspect::Ends::Distinct | inspect::Ends::Apart)) => Ok((here, there)),
            Ok((_, _, inspect::Ends::Same { folders, .. })) => {
                Err(Trouble::Fault(VerifyFault::OneMailbox(folders)))
            }
            Err((side, error)) => Err(Trouble::Store(side, error)),
        }
    }
}

/// Marks a fault of inspection with its side. State is not asked here, so it cannot fail.
pub(super) fn inspected(side: Side) -> impl Fn(InspectError) -> Trouble<VerifyFault> {
    move |error| match error {
        InspectError::Store(error) => Trouble::Store(side, error),
        InspectError::State(fault) => {
            Trouble::Store(side, StoreError::Unsayable(fault.to_string()))
        }
    }
}

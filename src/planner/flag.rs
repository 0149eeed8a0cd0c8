//! What changes in the flags of a message that is there already.

use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::PermanentFlags;
use crate::mail::Uid;
use crate::rule::policy::Deleted;
use crate::rule::policy::OnExisting;
use crate::snapshot::FlagTable;
use crate::snapshot::FlagsId;

/// The flags that the source had when both sides last agreed ([`newly_agreed`]), by source folder and UID.
///
/// [`newly_agreed`]: crate::planner::newly_agreed
#[derive(Clone, Debug, Default)]
pub struct Agreed {
    flags: FlagTable,
    messages: Vec<(u16, Uid, FlagsId)>,
}

impl Agreed {
    /// Nothing is known: flags are only added.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is known of a message. A message that was added before keeps what it had.
    pub fn insert(&mut self, folder: u16, source: Uid, flags: &FlagSet) {
        let id = self.flags.id(flags);
        let message = (folder, source, id);
        match self.messages.last() {
            Some(last) if (last.0, last.1) >= (folder, source) => {
                let place =
                    self.messages.binary_search_by_key(&(folder, source), |one| (one.0, one.1));
                if let Err(at) = place {
                    self.messages.insert(at, message);
                }
            }
            _ => self.messages.push(message),
        }
    }

    pub(super) fn id(&self, folder: u16, source: Uid) -> Option<FlagsId> {
        let at =
            self.messages.binary_search_by_key(&(folder, source), |one| (one.0, one.1)).ok()?;
        self.messages.get(at).map(|message| message.2)
    }

    pub(super) fn get(&self, id: FlagsId) -> &FlagSet {
        self.flags.get(id)
    }
}

/// What is sent: flags to set and flags to take away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Delta {
    pub(super) add: FlagSet,
    pub(super) remove: FlagSet,
}

/// How flags of messages that are there are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlagRules<'a> {
    pub(super) on_existing: OnExisting,
    pub(super) deleted: Deleted,
    pub(super) permanent: &'a PermanentFlags,
}

impl FlagRules<'_> {
    /// What to change at the destination, if anything. Without a base nothing is taken away: a mark
    /// that somebody set there would be lost (safety law R10). What the folder cannot keep is never
    /// planned.
    pub(super) fn delta(
        &self,
        source: &FlagSet,
        destination: &FlagSet,
        base: Option<&FlagSet>,
    ) -> Option<Delta> {
        let (add, remove) = match (self.on_existing, base) {
            (OnExisting::Keep, _) => return None,
            (OnExisting::Add, _) | (OnExisting::Merge | OnExisting::Mirror, None) => {
                (source.difference(destination), FlagSet::new())
            }
            (OnExisting::Merge, Some(base)) => (
                source.difference(base).difference(destination),
                base.difference(source).intersection(destination),
            ),
            (OnExisting::Mirror, Some(_)) => {
                (source.difference(destination), destination.difference(source))
            }
        };
        let delta = Delta { add: self.allowed(&add), remove: self.allowed(&remove) };
        (!delta.add.is_empty() || !delta.remove.is_empty()).then_some(delta)
    }

    /// Tells whether the flags count as agreed from now on, and did not before.
    ///
    /// The base is what the source had, not what the destination has: a mark that somebody set there
    /// must not look like one that the source took away. Under `mirror` a message that had marks of
    /// its own before it was linked has no base until both sides are equal, or the next plan would
    /// take away what this one left.
    pub(super) fn agrees(
        &self,
        source: &FlagSet,
        destination: &FlagSet,
        base: Option<&FlagSet>,
    ) -> bool {
        let equal = || self.allowed(destination).difference(source).is_empty();
        base != Some(source)
            && self.on_existing != OnExisting::Keep
            && self.delta(source, destination, base).is_none()
            && (self.on_existing != OnExisting::Mirror || base.is_some() || equal())
    }

    fn allowed(&self, flags: &FlagSet) -> FlagSet {
        let deleted = self.deleted == Deleted::Mirror;
        let may = |flag: &&Flag| self.permanent.keeps(flag) && (deleted || **flag != Flag::Deleted);
        flags.iter().filter(may).cloned().collect()
    }
}

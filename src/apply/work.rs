//! The plan, read for work: which messages of which pair go to which destination folder.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use crate::mail::{FlagSet, FolderName, Timestamp, Uid, UidSet, WireName};
use crate::plan::{
    Action, FolderPair, Header, LeftOut, Line, PlanFault, PlanLines, Reason, Recipe, Section,
    Totals,
};
use crate::store::Listing;

/// One account's work. Sets of UIDs and flags only: its size does not grow with the number of messages that a
/// plan copies in one piece.
#[derive(Debug, Default)]
pub struct Work {
    pub(super) header: Option<Header>,
    pub(super) totals: Totals,
    pub(super) pairs: Vec<FolderPair>,
    pub(super) recipes: Vec<Recipe>,
    pub(super) creates: Vec<Action>,
    pub(super) copies: BTreeMap<u32, Vec<CopySet>>,
    pub(super) flags: Vec<Action>,
    pub(super) subscriptions: Vec<Action>,
    pub(super) left_out: Vec<LeftOut>,
    /// How many messages the plan leaves out, by reason.
    pub(super) skipped: BTreeMap<Reason, u64>,
    /// What the plan cannot do.
    pub(super) blocked: Vec<Blocked>,
}

/// Messages of one pair that share a recipe.
#[derive(Clone, Debug)]
pub(super) struct CopySet {
    pub uids: UidSet,
    pub octets: u64,
    /// Flags that they had when the plan was made.
    pub flags: FlagSet,
    pub recipe: u32,
}

/// A message, or with no UID a whole folder pair, that the plan blocks.
#[derive(Clone, Debug)]
pub(super) struct Blocked {
    pub pair: u32,
    pub uid: Option<Uid>,
    pub octets: Option<u64>,
    pub date: Option<Timestamp>,
    pub reason: Reason,
}

impl Work {
    /// Reads a plan that was checked whole before, line by line.
    ///
    /// # Errors
    ///
    /// [`PlanFault`] where the file is not what it was when it was checked.
    pub fn read<R: BufRead>(mut lines: PlanLines<R>) -> Result<Self, PlanFault> {
        let mut work = Self { header: Some(lines.header().clone()), ..Self::default() };
        while let Some(line) = lines.next_line()? {
            work.take(line);
        }
        Ok(work)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Header(header) => self.header = Some(header),
            Line::Folder(pair) => self.pairs.push(pair),
            Line::LeftOut(left_out) => self.left_out.push(left_out),
            Line::Recipe(recipe) => self.recipes.push(recipe),
            Line::Footer(footer) => self.totals = footer.totals,
            Line::Action(action) => self.take_action(action),
        }
    }

    fn take_action(&mut self, action: Action) {
        match action {
            Action::Copy { pair, uids, octets, flags, recipe, .. } => {
                self.copies.entry(pair).or_default().push(CopySet { uids, octets, flags, recipe });
            }
            Action::Skip { messages, reason, .. } => {
                *self.skipped.entry(reason).or_default() += messages;
            }
            Action::Blocked { pair, uid, octets, date, reason, .. } => {
                self.blocked.push(Blocked { pair, uid, octets, date, reason });
            }
            other => match other.section() {
                Section::Folders => self.creates.push(other),
                Section::Flags => self.flags.push(other),
                Section::Subscriptions => self.subscriptions.push(other),
                Section::Copies => {}
            },
        }
    }

    /// All pairs by destination folder, in the order of work. One that has nothing to copy still tells
    /// whose copies are in its folder.
    pub(super) fn groups(&self) -> Vec<(WireName, Vec<u32>)> {
        let mut groups: Vec<(WireName, Vec<u32>)> = Vec::new();
        for pair in &self.pairs {
            match groups.iter_mut().find(|(wire, _)| *wire == pair.destination.wire) {
                Some((_, pairs)) => pairs.push(pair.pair),
                None => groups.push((pair.destination.wire.clone(), vec![pair.pair])),
            }
        }
        groups
    }

    /// What is copied into folders that are not there yet, or are empty, costs in octets, with so many for
    /// each message on top.
    pub(super) fn fresh_cost(&self, listing: &Listing, message: u64) -> u64 {
        let holds_mail: BTreeSet<&WireName> = listing
            .rows
            .iter()
            .filter(|row| {
                row.status.as_ref().is_none_or(|status| status.messages.is_none_or(|many| many > 0))
            })
            .map(|row| &row.name)
            .collect();
        let fresh = self.pairs.iter().filter(|pair| !holds_mail.contains(&pair.destination.wire));
        let sets = fresh.filter_map(|pair| self.copies.get(&pair.pair)).flatten();
        sets.map(|set| set.octets.saturating_add(set.uids.len().saturating_mul(message))).sum()
    }

    /// Every destination folder that the plan names, by the octets in which it does.
    pub(super) fn destination_wires(&self) -> Vec<WireName> {
        let of_action = |action: &Action| match action {
            Action::CreateFolder { wire, .. } | Action::Subscribe { wire, .. } => {
                Some(wire.clone())
            }
            _ => None,
        };
        let created = self.creates.iter().filter_map(of_action);
        let pairs = self.pairs.iter().map(|pair| pair.destination.wire.clone());
        created.chain(pairs).collect()
    }

    /// The name that the plan has for the destination folder of these octets; of such that differ in case,
    /// where it names none of these.
    pub(super) fn destination_name(&self, wire: &WireName) -> Option<FolderName> {
        let ends = || self.pairs.iter().map(|pair| &pair.destination);
        let exact = ends().find(|end| end.wire == *wire);
        let like = |octets: &[u8]| octets.eq_ignore_ascii_case(wire.as_octets());
        let found = exact.or_else(|| ends().find(|end| like(end.wire.as_octets())));
        found.map(|end| end.name.clone())
    }

    pub(super) fn pair(&self, number: u32) -> Option<&FolderPair> {
        usize::try_from(number).ok().and_then(|index| self.pairs.get(index))
    }

    pub(super) fn recipe(&self, number: u32) -> Option<&Recipe> {
        self.recipes.iter().find(|recipe| recipe.recipe == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::FlagSet;

    #[test]
    fn a_recipe_is_found_by_its_number_and_not_by_its_place() {
        let mut work = Work::default();
        for recipe in [7, 0] {
            work.take(Line::Recipe(Recipe {
                recipe,
                drop_flags: FlagSet::new(),
                leave_flagged: FlagSet::new(),
                permanent_flags: None,
                dates: Vec::new(),
                ceiling: None,
            }));
        }
        let found = |number| work.recipe(number).map(|recipe| recipe.recipe);
        assert_eq!([0, 1, 7].map(found), [Some(0), None, Some(7)]);
    }
}

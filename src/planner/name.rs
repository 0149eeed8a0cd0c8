//! Under which name a source folder lands at the destination.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::mail::FolderName;
use crate::mail::Role;
use crate::mail::WireName;
use crate::rule::FolderRules;
use crate::rule::MapFrom;
use crate::rule::Mapping;
use crate::snapshot::Folder;
use crate::snapshot::FolderTree;
use crate::snapshot::NoName;
use crate::snapshot::folded;

/// What gave a folder its destination name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// A mapping, of the folder itself or of one above it.
    Map,
    /// Its own name.
    Own,
}

/// The canonical name that a source folder asks for, and what gave it.
pub(super) fn asked(rules: &FolderRules, tree: &FolderTree, folder: &Folder) -> (FolderName, By) {
    if let Some(mapping) = mapping(rules, &folder.name, &folder.roles) {
        return (mapping.to.clone(), By::Map);
    }
    let Some(levels) = folder.name.levels() else { return (folder.name.clone(), By::Own) };
    let mut above = folder.name.parent();
    while let Some(name) = above {
        let same = tree.named(&name).iter();
        let uses: Vec<Role> = same.flat_map(|other| other.roles.iter().copied()).collect();
        if let Some((mapping, depth)) = mapping(rules, &name, &uses).zip(name.levels())
            && let Some(to) = mapping.to.levels()
        {
            let levels = to.iter().chain(levels.iter().skip(depth.len())).map(String::as_str);
            return (FolderName::from_levels(levels), By::Map);
        }
        above = name.parent();
    }
    (folder.name.clone(), By::Own)
}

/// The mapping of this very folder: by name before by role.
fn mapping<'a>(rules: &'a FolderRules, name: &FolderName, uses: &[Role]) -> Option<&'a Mapping> {
    let by_name = |mapping: &&Mapping| matches!(&mapping.from, MapFrom::Name(from) if from == name);
    let by_role = |mapping: &&Mapping| match &mapping.from {
        MapFrom::Role(Role::Inbox) => name.is_inbox(),
        MapFrom::Role(role) => uses.contains(role),
        MapFrom::Name(_) => false,
    };
    let all = || rules.map.iter().map(|ruled| &ruled.value);
    all().find(by_name).or_else(|| all().find(by_role))
}

/// The folders of the destination by what is left of their names when composition, case and blanks at
/// the end are dropped. Names above a folder count, whether or not they are listed: they will be once a
/// neighbour is made below them, and names must mean the same then.
pub(super) struct Existing<'a> {
    tree: &'a FolderTree,
    folded: BTreeMap<String, BTreeSet<WireName>>,
}

impl<'a> Existing<'a> {
    pub(super) fn new(tree: &'a FolderTree) -> Self {
        let mut all: BTreeMap<String, BTreeSet<WireName>> = BTreeMap::new();
        for folder in &tree.folders {
            all.entry(folded(&folder.name)).or_default().insert(folder.wire.clone());
            for above in tree.parents_of(&folder.wire) {
                // Those of the root folder and above it are other names.
                let Some(name) = tree.name_below_root(&above) else { continue };
                all.entry(folded(&name)).or_default().insert(above);
            }
        }
        Self { tree, folded: all }
    }

    /// The octets for a canonical name: those of an existing folder by exact octets, else of the only
    /// one that differs in composition, case or blanks, level by level, so that children find the
    /// parent that is there.
    pub(super) fn wire(&self, name: &FolderName, from: &Folder) -> Result<WireName, NoName> {
        if name.is_wire() {
            return self.tree.wire_of_octets(&from.below, from.delimiter);
        }
        let exact = self.tree.wire_of(name)?;
        if self.tree.by_wire(&exact).is_some() || name.is_inbox() {
            return Ok(self.tree.by_wire(&exact).map_or(exact, |folder| folder.wire.clone()));
        }
        let spelled = self.tree.spelled(name).levels().unwrap_or_default();
        let mut octets: Option<WireName> = None;
        for depth in 1..=spelled.len() {
            let part = FolderName::from_levels(spelled.iter().take(depth).map(String::as_str));
            let level = spelled.get(depth - 1).map(String::as_str);
            octets = Some(self.level(&part, octets.as_ref(), level)?);
        }
        Ok(octets.unwrap_or(exact))
    }

    /// The octets of one more level.
    fn level(
        &self,
        part: &FolderName,
        above: Option<&WireName>,
        level: Option<&str>,
    ) -> Result<WireName, NoName> {
        let literal = match (above, self.tree.delimiter) {
            (Some(above), Some(delimiter)) => {
                let level = WireName::from_levels("", level, None).ok_or(NoName::Flat)?;
                WireName::new([above.as_octets(), &[delimiter], level.as_octets()].concat())
            }
            _ if part.is_inbox() => self.inbox_level(),
            _ => self.tree.wire_of(part)?,
        };
        if self.tree.is_listed(&literal) {
            return Ok(literal);
        }
        let alike = self.folded.get(&folded(part)).filter(|alike| alike.len() == 1);
        let only = alike.and_then(BTreeSet::first).filter(|_| !part.is_inbox());
        Ok(only.cloned().unwrap_or(literal))
    }

    /// The first level INBOX of a longer name.
    fn inbox_level(&self) -> WireName {
        let child = FolderName::from_levels(["INBOX", "x"]);
        let wire = self.tree.wire_of(&child).unwrap_or_else(|_| WireName::new(*b"INBOX"));
        let octets = wire.as_octets();
        WireName::new(octets.get(..octets.len().saturating_sub(2)).unwrap_or(octets))
    }
}

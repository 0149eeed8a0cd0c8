//! Which folders are taken, where they go, and what is made there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::mail::FolderName;
use crate::mail::Role;
use crate::mail::Side;
use crate::mail::WireName;
use crate::plan::Action;
use crate::plan::LeftOut;
use crate::plan::Reason;
use crate::planner::name;
use crate::planner::name::By;
use crate::planner::name::Existing;
use crate::planner::select::left_out;
use crate::planner::select::select;
use crate::rule::FolderPattern;
use crate::rule::FolderRules;
use crate::rule::Ruled;
use crate::rule::Rules;
use crate::rule::policy::Quirk;
use crate::rule::policy::Subscribe;
use crate::snapshot::Folder;
use crate::snapshot::FolderTree;
use crate::snapshot::folded;

/// Roles that a folder which is created may be given: the others are views.
const CREATED_ROLES: [Role; 5] = [Role::Archive, Role::Drafts, Role::Junk, Role::Sent, Role::Trash];

/// What becomes of the folders of one account pair.
#[derive(Clone, Debug, Default)]
pub struct FolderPlan {
    /// Destination folders with the source folders that go there, in the order of work.
    pub groups: Vec<Group>,
    /// Folders to create, each after those above it.
    pub creates: Vec<NewFolder>,
    /// Folders to subscribe to.
    pub subscriptions: Vec<Subscription>,
    /// Folders of either side that are left out by rule. Their account is 0: one pair is planned.
    pub left_out: Vec<LeftOut>,
    /// Source folders that cannot be copied before the author decides.
    pub blocked: Vec<LeftOut>,
    /// Patterns and names in the manifest that match nothing.
    pub unused: Vec<UnusedRule>,
}

/// One destination folder and all source folders that go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The number of its first pair; the others follow, in the order of `sources`.
    pub first_pair: u32,
    /// The destination's canonical name.
    pub name: FolderName,
    /// The destination's name in the server's octets.
    pub wire: WireName,
    /// It is there and can be opened; else the plan creates it.
    pub exists: bool,
    /// The source folders, in the order of work. Their places are the folder numbers of entries.
    pub sources: Vec<GroupSource>,
    /// A side has the role of drafts: only the content tells messages apart.
    pub drafts: bool,
}

/// A source folder of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSource {
    /// Its canonical name.
    pub name: FolderName,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// How many messages it holds, where the server told.
    pub messages: Option<u64>,
}

/// A folder to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// Its canonical name.
    pub name: FolderName,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// The special use to give it.
    pub role: Option<Role>,
    /// Why.
    pub reason: Reason,
    /// The places of the groups that need it.
    pub groups: Vec<usize>,
}

/// A destination folder to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The place of its group.
    pub group: usize,
    /// Why.
    pub reason: Reason,
}

/// Something in the manifest that matches nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedRule {
    /// As the manifest has it.
    pub pattern: String,
    /// Where it stands, for people.
    pub place: String,
}

impl FolderPlan {
    /// The actions on folders: creations, then subscriptions. Groups that turned out to have no
    /// message are passed over where `skipped` says so.
    #[must_use]
    pub fn actions(&self, account: u32, skipped: &dyn Fn(usize) -> bool) -> Vec<Action> {
        let needed = |folder: &&NewFolder| folder.groups.iter().any(|&group| !skipped(group));
        let creates = self.creates.iter().filter(needed).map(|folder| Action::CreateFolder {
            account,
            name: folder.name.clone(),
            wire: folder.wire.clone(),
            role: folder.role,
            reason: folder.reason,
        });
        let subscriptions = self.subscriptions.iter().filter(|one| !skipped(one.group));
        let subscriptions = subscriptions.filter_map(|one| {
            let group = self.groups.get(one.group)?;
            let (name, wire) = (group.name.clone(), group.wire.clone());
            Some(Action::Subscribe { account, name, wire, reason: one.reason })
        });
        creates.chain(subscriptions).collect()
    }
}

/// A source folder with the name that it asks for.
struct Claim<'a> {
    folder: &'a Folder,
    asked: FolderName,
    by: By,
}

/// Decides about the folders of one account pair. Every source folder is in a group, left out or
/// blocked.
#[must_use]
pub fn plan_folders(rules: &Rules, source: &FolderTree, destination: &FolderTree) -> FolderPlan {
    let mut plan = FolderPlan::default();
    let taken = select(&rules.folders, source, &mut plan);
    let existing = Existing::new(destination);
    let mut claims: BTreeMap<WireName, Vec<Claim<'_>>> = BTreeMap::new();
    for folder in taken {
        let (asked, by) = name::asked(&rules.folders, source, folder);
        match existing.wire(&asked, folder) {
            Ok(wire) => claims.entry(wire).or_default().push(Claim { folder, asked, by }),
            Err(_) => plan.blocked.push(left_out(folder, Reason::NameNotPossible, None)),
        }
    }
    block_collisions(&mut claims, source, destination, &mut plan);
    claims.retain(|wire, claimed| {
        let possible = may_be_made(wire, destination);
        if !possible {
            let blocked =
                claimed.iter().map(|claim| left_out(claim.folder, Reason::NameNotPossible, None));
            plan.blocked.extend(blocked);
        }
        possible
    });
    make_groups(&rules.folders, claims, destination, &mut plan);
    let whole_path = rules.destination.quirks.contains(&Quirk::CreateWholePath);
    make_creates(source, destination, whole_path, &mut plan);
    make_subscriptions(rules.folders.subscribe, source, destination, &mut plan);
    let used: BTreeSet<&WireName> = plan.groups.iter().map(|group| &group.wire).collect();
    for folder in &destination.folders {
        if folder.selectable && !used.contains(&folder.wire) {
            plan.left_out.push(LeftOut {
                side: Side::Destination,
                ..left_out(folder, Reason::OnlyAtDestination, None)
            });
        }
    }
    plan
}

/// Takes out folders that meet on one name by anything but `map`: equal octets, or names that some
/// servers do not tell apart, unless the destination has each of them already.
fn block_collisions(
    claims: &mut BTreeMap<WireName, Vec<Claim<'_>>>,
    source: &FolderTree,
    destination: &FolderTree,
    plan: &mut FolderPlan,
) {
    let mut alike: BTreeMap<String, Vec<WireName>> = BTreeMap::new();
    for wire in claims.keys() {
        alike.entry(folded(&destination.name_of(wire))).or_default().push(wire.clone());
    }
    let mut blocked: BTreeSet<WireName> = BTreeSet::new();
    for wires in alike.into_values().filter(|wires| wires.len() > 1) {
        if !wires.iter().all(|wire| destination.by_wire(wire).is_some()) {
            blocked.extend(wires);
        }
    }
    for (wire, claimed) in claims.iter() {
        if !one_multiset(claimed, source) {
            blocked.insert(wire.clone());
        }
    }
    for wire in blocked {
        for claim in claims.remove(&wire).unwrap_or_default() {
            let meets = format!("ends on {}", destination.name_of(&wire));
            plan.blocked.push(left_out(claim.folder, Reason::NameCollision, Some(meets)));
        }
    }
}

/// Tells whether folders of one destination name are meant to be one: sent there by `map` under the
/// same name, or the root folder and the INBOX below it.
fn one_multiset(claimed: &[Claim<'_>], source: &FolderTree) -> bool {
    let Some(first) = claimed.first() else { return true };
    let mapped = claimed.iter().all(|claim| claim.by == By::Map && claim.asked == first.asked);
    let inbox = source.has_root()
        && claimed.iter().filter(|claim| claim.folder.is_root).count() == 1
        && claimed.iter().all(|claim| claim.folder.name.is_inbox())
        && claimed.len() == 2;
    claimed.len() == 1 || mapped || inbox
}

/// Tells whether the folder is there, or may be made below the nearest one that is.
fn may_be_made(wire: &WireName, destination: &FolderTree) -> bool {
    if destination.is_listed(wire) {
        return true;
    }
    let parents = destination.parents_of(wire);
    let nearest = parents.iter().rev().find_map(|above| destination.by_wire(above));
    nearest.is_none_or(|folder| folder.may_have_children)
}

fn make_groups(
    rules: &FolderRules,
    claims: BTreeMap<WireName, Vec<Claim<'_>>>,
    destination: &FolderTree,
    plan: &mut FolderPlan,
) {
    let place = |patterns: &[Ruled<FolderPattern>], folder: &Folder| {
        patterns.iter().position(|one| one.value.matches(&folder.name, &folder.roles))
    };
    let rank = |folder: &Folder| match (place(&rules.first, folder), place(&rules.last, folder)) {
        (Some(at), _) => (0, at),
        (None, None) => (1, 0),
        (None, Some(at)) => (2, at),
    };
    let mut groups: Vec<_> = claims
        .into_iter()
        .filter_map(|(wire, mut claimed)| {
            let key = |claim: &Claim<'_>| {
                (rank(claim.folder), claim.folder.name.clone(), claim.folder.wire.clone())
            };
            claimed.sort_by_key(key);
            // Folder numbers of entries end here; no account has as many folders.
            for claim in claimed.drain(claimed.len().min(usize::from(u16::MAX))..) {
                plan.blocked.push(left_out(claim.folder, Reason::NameCollision, None));
            }
            let order = claimed.first().map(key)?;
            Some((order, wire, claimed))
        })
        .collect();
    groups.sort_by(|one, other| one.0.cmp(&other.0));
    let mut first_pair = 0_u32;
    for (_, wire, claimed) in groups {
        let there = destination.by_wire(&wire);
        let is_inbox = wire.is_inbox() && !destination.has_root();
        let drafts = claimed.iter().any(|claim| claim.folder.roles.contains(&Role::Drafts))
            || there.is_some_and(|folder| folder.roles.contains(&Role::Drafts));
        let sources: Vec<GroupSource> = claimed
            .iter()
            .map(|claim| GroupSource {
                name: claim.folder.name.clone(),
                wire: claim.folder.wire.clone(),
                messages: claim.folder.messages(),
            })
            .collect();
        let pairs = u32::try_from(sources.len()).unwrap_or(u32::MAX);
        plan.groups.push(Group {
            first_pair,
            name: there.map_or_else(|| destination.name_of(&wire), |folder| folder.name.clone()),
            exists: is_inbox || there.is_some_and(|folder| folder.selectable),
            wire,
            sources,
            drafts,
        });
        first_pair = first_pair.saturating_add(pairs);
    }
}

fn make_creates(
    source: &FolderTree,
    destination: &FolderTree,
    whole_path: bool,
    plan: &mut FolderPlan,
) {
    let mut made: BTreeMap<WireName, usize> = BTreeMap::new();
    let targets: BTreeMap<WireName, usize> = plan
        .groups
        .iter()
        .enumerate()
        .filter(|(_, group)| !group.exists)
        .map(|(at, group)| (group.wire.clone(), at))
        .collect();
    let mut roles: Vec<Role> =
        destination.folders.iter().flat_map(|folder| folder.roles.iter().copied()).collect();
    for (at, group) in plan.groups.iter().enumerate().filter(|(_, group)| !group.exists) {
        let mut path = destination.parents_of(&group.wire);
        path.retain(|above| {
            let is_there = destination.is_listed(above) || destination.is_inbox(above);
            targets.contains_key(above) || !whole_path && !is_there
        });
        path.push(group.wire.clone());
        for wire in path {
            if let Some(folder) = made.get(&wire).and_then(|&place| plan.creates.get_mut(place)) {
                folder.groups.push(at);
                continue;
            }
            let target = targets.get(&wire).and_then(|&place| plan.groups.get(place));
            let role = target.and_then(|group| role_for(group, source, &roles));
            roles.extend(role);
            made.insert(wire.clone(), plan.creates.len());
            plan.creates.push(NewFolder {
                name: target.map_or_else(|| destination.name_of(&wire), |group| group.name.clone()),
                wire,
                role,
                reason: match target {
                    Some(_) => Reason::MissingAtDestination,
                    None => Reason::ParentFolder,
                },
                groups: vec![at],
            });
        }
    }
}

/// The role of the source folder, where no folder of the destination has it.
fn role_for(group: &Group, source: &FolderTree, given: &[Role]) -> Option<Role> {
    let folders = group.sources.iter().filter_map(|folder| source.by_wire(&folder.wire));
    folders
        .flat_map(|folder| folder.roles.iter().copied())
        .find(|role| CREATED_ROLES.contains(role) && !given.contains(role))
}

fn make_subscriptions(
    subscribe: Subscribe,
    source: &FolderTree,
    destination: &FolderTree,
    plan: &mut FolderPlan,
) {
    let reason = match subscribe {
        Subscribe::None => return,
        Subscribe::All => Reason::SubscribeAll,
        Subscribe::Source => Reason::SubscribedAtSource,
    };
    let subscribed: BTreeSet<&WireName> = source
        .folders
        .iter()
        .filter(|folder| folder.subscribed)
        .map(|folder| &folder.wire)
        .collect();
    for (at, group) in plan.groups.iter().enumerate() {
        let there = destination.by_wire(&group.wire);
        let wanted = subscribe == Subscribe::All
            || group.sources.iter().any(|folder| subscribed.contains(&folder.wire));
        if wanted && !there.is_some_and(|folder| folder.subscribed) {
            plan.subscriptions.push(Subscription { group: at, reason });
        }
    }
}

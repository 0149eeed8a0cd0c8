//! Which source folders are taken.

use crate::mail::Side;
use crate::plan::LeftOut;
use crate::plan::Reason;
use crate::planner::folder::FolderPlan;
use crate::planner::folder::UnusedRule;
use crate::rule::FolderPattern;
use crate::rule::FolderRules;
use crate::rule::MapFrom;
use crate::rule::Ruled;
use crate::rule::policy::Missing;
use crate::snapshot::Folder;
use crate::snapshot::FolderTree;
use crate::snapshot::OutsideWhy;

/// The row of a source folder that no pair holds.
pub(super) fn left_out(folder: &Folder, reason: Reason, rule: Option<String>) -> LeftOut {
    LeftOut {
        account: 0,
        side: Side::Source,
        name: folder.name.clone(),
        messages: folder.messages(),
        reason,
        rule,
    }
}

/// The source folders that are taken; the others go to the plan with their reason.
pub(super) fn select<'a>(
    rules: &FolderRules,
    source: &'a FolderTree,
    plan: &mut FolderPlan,
) -> Vec<&'a Folder> {
    let mut taken = Vec::new();
    for folder in &source.folders {
        let matches =
            |pattern: &&Ruled<FolderPattern>| pattern.value.matches(&folder.name, &folder.roles);
        let included = rules.include.as_ref().is_none_or(|all| all.iter().any(|one| matches(&one)));
        let excluded = rules.exclude.iter().find(matches);
        let reason = if excluded.is_some() {
            Reason::ExcludedFolder
        } else if !included {
            Reason::NotIncluded
        } else if rules.only_subscribed && !folder.subscribed {
            Reason::NotSubscribed
        } else if !folder.selectable {
            Reason::NotSelectable
        } else {
            taken.push(folder);
            continue;
        };
        plan.left_out.push(left_out(folder, reason, excluded.map(|rule| rule.place.clone())));
    }
    for outside in &source.outside {
        plan.left_out.push(LeftOut {
            account: 0,
            side: Side::Source,
            name: outside.name.clone(),
            messages: outside.messages,
            reason: match outside.why {
                OutsideWhy::Root => Reason::OutsideRoot,
                OutsideWhy::Namespace => Reason::OtherNamespace,
            },
            rule: None,
        });
    }
    find_unused(rules, source, plan);
    taken
}

/// Names what matches no folder of the source. A plain name in `include` blocks, unless the author
/// said otherwise.
fn find_unused(rules: &FolderRules, source: &FolderTree, plan: &mut FolderPlan) {
    let unused = |pattern: &&Ruled<FolderPattern>| {
        !source.folders.iter().any(|folder| pattern.value.matches(&folder.name, &folder.roles))
    };
    for rule in rules.include.iter().flatten().filter(unused) {
        match &rule.value {
            FolderPattern::Name(name) if rules.missing == Missing::Error => {
                plan.blocked.push(LeftOut {
                    account: 0,
                    side: Side::Source,
                    name: name.clone(),
                    messages: None,
                    reason: Reason::MissingFolder,
                    rule: Some(rule.place.clone()),
                });
            }
            pattern => plan
                .unused
                .push(UnusedRule { pattern: pattern.to_string(), place: rule.place.clone() }),
        }
    }
    for rule in rules.exclude.iter().chain(&rules.first).chain(&rules.last).filter(unused) {
        let (pattern, place) = (rule.value.to_string(), rule.place.clone());
        plan.unused.push(UnusedRule { pattern, place });
    }
    for rule in &rules.map {
        let (used, pattern) = match &rule.value.from {
            MapFrom::Name(name) => {
                let above = |folder: &Folder| {
                    let mut up = Some(folder.name.clone());
                    std::iter::from_fn(|| {
                        let own = up.take()?;
                        up = own.parent();
                        Some(own)
                    })
                    .any(|own| own == *name)
                };
                (source.folders.iter().any(above), name.to_string())
            }
            MapFrom::Role(role) => {
                let pattern = FolderPattern::Role(*role);
                let used = source.folders.iter().any(|own| pattern.matches(&own.name, &own.roles));
                (used, pattern.to_string())
            }
        };
        if !used {
            plan.unused.push(UnusedRule { pattern, place: rule.place.clone() });
        }
    }
}

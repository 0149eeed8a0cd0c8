//! Folders: which are taken, where they go.

use proptest::prelude::*;

use super::rules;
use crate::mail::FolderName;
use crate::mail::Role;
use crate::mail::Side;
use crate::mail::WireName;
use crate::plan::Action;
use crate::plan::Reason;
use crate::planner::FolderPlan;
use crate::planner::plan_folders;
use crate::rule::FolderPattern;
use crate::rule::MapFrom;
use crate::rule::Mapping;
use crate::rule::Ruled;
use crate::rule::Rules;
use crate::rule::policy::Missing;
use crate::rule::policy::Quirk;
use crate::rule::policy::Subscribe;
use crate::snapshot::FolderTree;
use crate::store::ListRow;
use crate::store::Listing;
use crate::store::Namespace;

/// Folders separated by `|`, INBOX added. Behind a name: `+` subscribed, `!` cannot be opened, `^` no
/// children, `@sent` a role.
fn listing(text: &str, prefix: &str, delimiter: char) -> Listing {
    let delimiter = u8::try_from(delimiter).ok();
    let mut listing = Listing {
        personal: vec![Namespace { prefix: WireName::new(prefix.as_bytes()), delimiter }],
        ..Listing::default()
    };
    for one in std::iter::once("INBOX").chain(text.split('|').filter(|one| !one.is_empty())) {
        let name = one.trim_end_matches(['+', '!', '^']);
        let marks = &one[name.len()..];
        let (name, role) = name.split_once('@').unwrap_or((name, ""));
        listing.rows.push(ListRow {
            name: WireName::new(name.as_bytes()),
            delimiter,
            selectable: !marks.contains('!'),
            may_have_children: !marks.contains('^'),
            subscribed: marks.contains('+'),
            roles: Role::from_word(role).into_iter().collect(),
            status: None,
        });
    }
    listing
}

fn ruled<T>(value: T) -> Ruled<T> {
    Ruled { value, place: "line 1".to_owned() }
}

fn patterns(texts: &[&str]) -> Vec<Ruled<FolderPattern>> {
    texts.iter().map(|text| ruled(FolderPattern::parse(text).unwrap())).collect()
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> Rules {
    let mut rules = rules();
    for (from, to) in pairs {
        let from = match from.strip_prefix("role:") {
            Some(role) => MapFrom::Role(Role::from_word(role).unwrap()),
            None => MapFrom::Name(name(from)),
        };
        rules.folders.map.push(ruled(Mapping { from, to: name(to) }));
    }
    rules
}

fn plan(rules: &Rules, source: &Listing, destination: &Listing) -> FolderPlan {
    let source = FolderTree::build(Side::Source, source, &rules.source);
    let destination = FolderTree::build(Side::Destination, destination, &rules.destination);
    plan_folders(rules, &source, &destination)
}

/// Source and destination are slash servers without prefix.
fn slashes(rules: &Rules, source: &str, destination: &str) -> FolderPlan {
    plan(rules, &listing(source, "", '/'), &listing(destination, "", '/'))
}

/// Groups as `source+source>wire`, with `*` where it is created; then `!name reason` for blocked ones.
fn told(plan: &FolderPlan) -> String {
    let mut lines: Vec<String> = Vec::new();
    for group in &plan.groups {
        let sources: Vec<&str> = group.sources.iter().map(|one| one.name.as_str()).collect();
        let new = if group.exists { "" } else { "*" };
        lines.push(format!("{}>{}{new}", sources.join("+"), group.wire.escaped()));
    }
    lines.extend(plan.blocked.iter().map(|one| format!("!{} {}", one.name, one.reason)));
    lines.join("  ")
}

fn creates(plan: &FolderPlan) -> String {
    let names = plan.creates.iter().map(|one| format!("{} {}", one.wire.escaped(), one.reason));
    names.collect::<Vec<_>>().join("  ")
}

#[track_caller]
fn check(rules: &Rules, source: &str, destination: &str, expected: &str) -> FolderPlan {
    let plan = slashes(rules, source, destination);
    assert_eq!(told(&plan), expected);
    plan
}

#[test]
fn folders_keep_their_names_across_delimiters_and_prefixes() {
    let plan =
        plan(&rules(), &listing("a|a/b.c|Sent", "", '/'), &listing("INBOX.Sent", "INBOX.", '.'));
    assert_eq!(told(&plan), "INBOX>INBOX  Sent>INBOX.Sent  a>INBOX.a*  a/b.c>INBOX.a.b_c*");
    assert_eq!(
        creates(&plan),
        "INBOX.a missing-at-destination  INBOX.a.b_c missing-at-destination"
    );
}

#[test]
fn parents_are_made_first_unless_one_create_makes_the_path() {
    let made = check(&rules(), "a/b/c", "", "INBOX>INBOX  a/b/c>a/b/c*");
    assert_eq!(creates(&made), "a parent-folder  a/b parent-folder  a/b/c missing-at-destination");
    let mut whole = rules();
    whole.destination.quirks.push(Quirk::CreateWholePath);
    let made = check(&whole, "a/b/c", "a", "INBOX>INBOX  a/b/c>a/b/c*");
    assert_eq!(creates(&made), "a/b/c missing-at-destination");
}

#[test]
fn parent_that_is_a_folder_itself_is_made_before_its_child() {
    let mut first = rules();
    first.folders.first = patterns(&["a/b"]);
    let plan = slashes(&first, "a|a/b", "");
    assert_eq!(told(&plan), "a/b>a/b*  INBOX>INBOX  a>a*");
    assert_eq!(creates(&plan), "a missing-at-destination  a/b missing-at-destination");
    let actions = plan.actions(0, &|group| group == 0);
    assert_eq!(actions.len(), 1);
}

#[test]
fn inbox_is_the_inbox_whatever_its_case() {
    let mut source = listing("", "", '/');
    source.rows[0].name = WireName::new(*b"Inbox");
    let plan = plan(&rules(), &source, &listing("", "INBOX.", '.'));
    assert_eq!(told(&plan), "INBOX>INBOX");
    check(&rules(), "inbox/Kid", "", "INBOX>INBOX  INBOX/Kid>INBOX/Kid*");
}

#[test]
fn the_inbox_is_never_made_as_a_parent_behind_a_prefix() {
    let plan = plan(&rules(), &listing("INBOX/Kid", "", '/'), &listing("", "INBOX.", '.'));
    assert_eq!(creates(&plan), "INBOX.INBOX.Kid missing-at-destination");
}

#[test]
fn children_of_the_inbox_are_blocked_where_it_may_have_none() {
    let mut destination = listing("", "", '/');
    destination.rows[0].may_have_children = false;
    let plan = plan(&rules(), &listing("INBOX/Kid", "", '/'), &destination);
    assert_eq!(told(&plan), "INBOX>INBOX  !INBOX/Kid name-not-possible");
}

#[test]
fn nested_folder_is_blocked_below_a_flat_folder() {
    let mut flat = listing("", "", '/');
    (flat.personal[0].delimiter, flat.rows[0].delimiter) = (None, None);
    let plan = plan(&rules(), &listing("a|a/b", "", '/'), &flat);
    assert_eq!(told(&plan), "INBOX>INBOX  a>a*  !a/b name-not-possible");
    check(&rules(), "a/b", "a^", "INBOX>INBOX  !a/b name-not-possible");
}

#[test]
fn folder_that_cannot_be_opened_is_left_out_with_its_reason() {
    let plan = check(&rules(), "a!|a/b", "", "INBOX>INBOX  a/b>a/b*");
    assert_eq!(plan.left_out[0].reason, Reason::NotSelectable);
    assert_eq!(creates(&plan), "a parent-folder  a/b missing-at-destination");
    let plan = check(&rules(), "a", "a!", "INBOX>INBOX  a>a*");
    assert_eq!(creates(&plan), "a missing-at-destination");
}

#[test]
fn include_exclude_and_only_subscribed_narrow() {
    let mut narrow = rules();
    narrow.folders.include = Some(patterns(&["INBOX", "a/**"]));
    narrow.folders.exclude = patterns(&["role:junk"]);
    narrow.folders.only_subscribed = true;
    let plan = check(&narrow, "a+|a/b|a/c@junk+|d+", "", "a>a*");
    let reasons: Vec<String> =
        plan.left_out.iter().map(|one| format!("{} {}", one.name, one.reason)).collect();
    assert_eq!(
        reasons,
        [
            "INBOX not-subscribed",
            "a/b not-subscribed",
            "a/c excluded-folder",
            "d not-included",
            "INBOX only-at-destination"
        ]
    );
    assert_eq!(plan.left_out[2].rule.as_deref(), Some("line 1"));
}

#[test]
fn plain_name_that_the_source_lacks_blocks_unless_it_may_be_missing() {
    let mut rules = rules();
    rules.folders.include = Some(patterns(&["INBOX", "Snet", "x*"]));
    let plan = check(&rules, "Sent", "", "INBOX>INBOX  !Snet missing-folder");
    assert_eq!(plan.unused.len(), 1);
    rules.folders.missing = Missing::Skip;
    let plan = check(&rules, "Sent", "", "INBOX>INBOX");
    assert_eq!(plan.unused.len(), 2);
}

#[test]
fn what_matches_nothing_is_named_with_its_place() {
    let mut rules = map(&[("Old", "New"), ("role:sent", "Gone"), ("a", "b")]);
    rules.folders.exclude = patterns(&["role:trash", "INBOX/**"]);
    rules.folders.first = patterns(&["re:^z"]);
    let plan = slashes(&rules, "a/b", "");
    let unused: Vec<&str> = plan.unused.iter().map(|one| one.pattern.as_str()).collect();
    assert_eq!(unused, ["role:trash", "re:^z", "Old", "role:sent"]);
    assert!(plan.unused.iter().all(|one| one.place == "line 1"));
}

#[test]
fn map_takes_the_folder_its_role_and_its_children() {
    let rules = map(&[("Old", "Archive/2020"), ("role:sent", "Sent Items"), ("Old/x", "X")]);
    check(
        &rules,
        "Old|Old/a/b|Old/x|Old/x/y|Out@sent",
        "",
        "INBOX>INBOX  Old>Archive/2020*  Old/a/b>Archive/2020/a/b*  Old/x>X*  Old/x/y>X/y*  \
         Out>Sent Items*",
    );
}

#[test]
fn two_folders_sent_to_one_name_by_map_are_one_multiset() {
    let both = map(&[("a", "c"), ("b", "c")]);
    check(&both, "a|b|a/x|b/x", "", "INBOX>INBOX  a+b>c*  a/x+b/x>c/x*");
    let plan = slashes(&both, "a|b", "");
    assert_eq!((plan.groups[0].first_pair, plan.groups[1].first_pair), (0, 1));
}

#[test]
fn meeting_by_anything_but_map_blocks_both() {
    check(&map(&[("a", "b")]), "a|b", "", "INBOX>INBOX  !a name-collision  !b name-collision");
    for pair in ["Kid|kid", "&AOk-|e&AwE-", "trail|trail ", "Case/a|case/a"] {
        let plan = slashes(&rules(), pair, "");
        assert_eq!(plan.groups.len(), 1, "{pair}");
        assert_eq!(plan.blocked.len(), 2, "{pair}");
        assert!(plan.blocked.iter().all(|one| one.reason == Reason::NameCollision));
    }
}

#[test]
fn meeting_by_replaced_characters_blocks_both() {
    let source = listing("a.b|a_b", "", '/');
    let plan1 = plan(&rules(), &source, &listing("", "", '.'));
    assert_eq!(told(&plan1), "INBOX>INBOX  !a.b name-collision  !a_b name-collision");
    let mapped = map(&[("a.b", "x.y"), ("a_b", "x_y")]);
    let plan2 = plan(&mapped, &source, &listing("", "", '.'));
    assert_eq!(plan2.blocked.len(), 2);
    // Onto a folder that only the destination has, it is found by its octets.
    let alone = plan(&rules(), &listing("a.b", "", '/'), &listing("a_b", "", '.'));
    assert_eq!(told(&alone), "INBOX>INBOX  a.b>a_b");
}

#[test]
fn meeting_by_a_cut_prefix_blocks_both() {
    let source = listing("INBOX.Sent|Sent", "INBOX.", '.');
    let plan = plan(&rules(), &source, &listing("", "", '/'));
    assert_eq!(told(&plan), "INBOX>INBOX  !Sent name-collision  !Sent name-collision");
}

#[test]
fn names_that_look_the_same_go_where_the_destination_has_both() {
    check(&rules(), "Kid|kid", "Kid|kid", "INBOX>INBOX  Kid>Kid  kid>kid");
}

#[test]
fn existing_folder_is_found_by_composition_and_case_only_if_it_is_the_only_one() {
    check(&rules(), "e&AwE-", "&AOk-", "INBOX>INBOX  e\u{301}>&AOk-");
    check(&rules(), "Work|Work/a", "work", "INBOX>INBOX  Work>work  Work/a>work/a*");
    check(&rules(), "WORK", "Work|work", "INBOX>INBOX  WORK>WORK*");
}

#[test]
fn names_of_the_root_and_above_it_are_no_names_below_it() {
    let below = |root: &str, source: &str, destination: &str| {
        let mut rules = rules();
        rules.destination.root = Some(name(root));
        told(&slashes(&rules, source, destination))
    };
    assert_eq!(
        below("Backup", "backup|x|Backup/x", "Backup|Backup/Work"),
        "Backup/x>Backup/Backup/x*  INBOX>Backup/INBOX*  backup>Backup/backup*  x>Backup/x*"
    );
    assert_eq!(
        below("a/b", "A|a/q|X", "a/b/x"),
        "A>a/b/A*  INBOX>a/b/INBOX*  X>a/b/x  a/q>a/b/a/q*"
    );
}

#[test]
fn name_above_an_existing_folder_counts_though_it_is_not_listed() {
    check(&rules(), "Work", "work/a", "INBOX>INBOX  Work>work*");
    // It would be made as the parent of the second one, and then the first one could be either.
    check(&rules(), "Aa|aA/aa/a", "AA|aa/Aa", "Aa>Aa*  INBOX>INBOX  aA/aa/a>aa/Aa/a*");
}

#[test]
fn undecodable_names_go_unchanged_or_not_at_all() {
    let source = listing("&bad!-/x", "", '/');
    let same = plan(&rules(), &source, &listing("", "", '/'));
    assert_eq!(told(&same), "INBOX>INBOX  wire:&bad!-/x>&bad!-/x*");
    let other = plan(&rules(), &source, &listing("", "", '.'));
    assert_eq!(told(&other), "INBOX>INBOX  !wire:&bad!-/x name-not-possible");
}

#[test]
fn root_of_the_source_and_the_inbox_below_it_are_one() {
    let mut rules = rules();
    rules.source.root = Some(name("Backup/info"));
    let plan = check(
        &rules,
        "Backup|Backup/info|Backup/info/INBOX|Backup/info/a|other",
        "",
        "INBOX+INBOX>INBOX  a>a*",
    );
    let outside = plan.left_out.iter().filter(|one| one.reason == Reason::OutsideRoot);
    assert_eq!(outside.count(), 3);
}

#[test]
fn everything_lands_below_the_root_of_the_destination() {
    let mut rules = rules();
    rules.destination.root = Some(name("Backup/info"));
    let plan = plan(&rules, &listing("a/b", "", '/'), &listing("INBOX.x", "INBOX.", '.'));
    assert_eq!(told(&plan), "INBOX>INBOX.Backup.info.INBOX*  a/b>INBOX.Backup.info.a.b*");
    assert_eq!(
        creates(&plan),
        "INBOX.Backup parent-folder  INBOX.Backup.info parent-folder  \
         INBOX.Backup.info.INBOX missing-at-destination  INBOX.Backup.info.a parent-folder  \
         INBOX.Backup.info.a.b missing-at-destination"
    );
    assert_eq!(plan.groups[1].name, name("a/b"));
    assert!(plan.left_out.is_empty());
}

#[test]
fn first_and_last_order_the_work() {
    let mut rules = rules();
    rules.folders.first = patterns(&["INBOX", "m/**"]);
    rules.folders.last = patterns(&["a"]);
    let plan = slashes(&rules, "a|b|m|m/x|z", "");
    let order: Vec<&str> = plan.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(order, ["INBOX", "m", "m/x", "b", "z", "a"]);
}

#[test]
fn subscriptions_follow_the_source_or_the_author() {
    let subscribed = |subscribe: Subscribe| {
        let mut rules = rules();
        rules.folders.subscribe = subscribe;
        let plan = slashes(&rules, "a+|b+|c", "a+");
        let names = plan.actions(0, &|_| false).into_iter().filter_map(|action| match action {
            Action::Subscribe { name, .. } => Some(name.to_string()),
            _ => None,
        });
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(subscribed(Subscribe::Source), "b");
    assert_eq!(subscribed(Subscribe::All), "INBOX b c");
    assert_eq!(subscribed(Subscribe::None), "");
}

#[test]
fn created_folder_gets_a_role_that_the_destination_does_not_have_yet() {
    let plan = slashes(&rules(), "Out@sent|Gone@trash|View@all", "Sent Items@sent");
    let roles: Vec<_> = plan.creates.iter().filter_map(|one| one.role).collect();
    assert_eq!(roles, [Role::Trash]);
    assert!(slashes(&rules(), "D@drafts", "").groups[0].drafts);
    assert!(!slashes(&rules(), "D", "").groups[0].drafts);
}

proptest! {
    #[test]
    fn every_source_folder_is_in_a_group_left_out_or_blocked(
        source in proptest::collection::btree_set("[aAbé._ ]{1,2}(/[aAb.]{1,2}){0,2}", 0..8),
        destination in proptest::collection::btree_set("[aAb_]{1,2}([.][aAb]{1,2})?", 0..5),
        root in proptest::option::of("[ab]"),
        other_root in proptest::option::of("[ab](/[ab])?"),
    ) {
        let mut rules = rules();
        rules.source.root = root.as_deref().map(name);
        rules.destination.root = other_root.as_deref().map(name);
        let rows = |names: &std::collections::BTreeSet<String>, delimiter: char| {
            let mut listing = listing("", "", delimiter);
            for own in names {
                let levels = own.split(delimiter);
                let wire = WireName::from_levels("", levels, u8::try_from(delimiter).ok());
                let name = wire.unwrap();
                listing.rows.push(ListRow { name, ..listing.rows[0].clone() });
            }
            listing
        };
        let (source, destination) = (rows(&source, '/'), rows(&destination, '.'));
        let one = plan(&rules, &source, &destination);
        let grouped: usize = one.groups.iter().map(|group| group.sources.len()).sum();
        let left_out = one.left_out.iter().filter(|one| one.side == Side::Source).count();
        prop_assert_eq!(grouped + left_out + one.blocked.len(), source.rows.len());
        let wires: std::collections::BTreeSet<_> = one.groups.iter().map(|group| &group.wire).collect();
        prop_assert_eq!(wires.len(), one.groups.len());
        prop_assert_eq!(told(&one), told(&plan(&rules, &source, &destination)));
        let fence = other_root.map_or_else(String::new, |root| root.replace('/', ".") + ".");
        for group in &one.groups {
            prop_assert!(group.wire.as_octets().starts_with(fence.as_bytes()), "{}", told(&one));
        }

        // Once the folders are there, nothing is left to create.
        let mut after = destination.clone();
        for create in &one.creates {
            let name = create.wire.clone();
            if after.rows.iter().all(|row| row.name != name) {
                after.rows.push(ListRow { name, ..after.rows[0].clone() });
            }
        }
        let again = plan(&rules, &source, &after);
        prop_assert!(again.creates.is_empty(), "{} then {}", creates(&one), creates(&again));
    }
}

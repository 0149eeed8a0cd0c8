//! Messages: copied, left out, blocked; and their flags.

use std::collections::BTreeMap;

use super::rules;
use crate::identity::Basis;
use crate::identity::Content;
use crate::identity::Fingerprint;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::FolderName;
use crate::mail::PermanentFlags;
use crate::mail::Timestamp;
use crate::mail::Uid;
use crate::mail::UidOrder;
use crate::mail::WireName;
use crate::matching::Fate;
use crate::matching::KnownLink;
use crate::matching::Matched;
use crate::matching::Matcher;
use crate::matching::Options;
use crate::matching::Proof;
use crate::matching::SizeRecord;
use crate::matching::Sizes;
use crate::matching::Step;
use crate::plan::Action;
use crate::plan::Counts;
use crate::planner::Agreed;
use crate::planner::Group;
use crate::planner::GroupFacts;
use crate::planner::GroupSource;
use crate::planner::RecipeTable;
use crate::planner::is_empty_and_left_out;
use crate::planner::mark_left_out;
use crate::planner::matching_options;
use crate::planner::newly_agreed;
use crate::planner::plan_group;
use crate::rule::Rules;
use crate::rule::policy::Deleted;
use crate::rule::policy::Duplicates;
use crate::rule::policy::Empty;
use crate::rule::policy::OnExisting;
use crate::rule::policy::Quirk;
use crate::snapshot::Row;
use crate::snapshot::Rows;

/// A message: `1:a`, then any of `/100` octets (else 10), `@5` date, and flags: `s` `\Seen`, `f`
/// `\Flagged`, `d` `\Deleted`, `k` a keyword, after a `+`. `%1` is the source folder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mail {
    uid: u32,
    folder: u16,
    pub(super) key: String,
    size: u64,
    date: Option<i64>,
    flags: FlagSet,
}

const SIGNS: [char; 4] = ['/', '@', '+', '%'];

fn part(text: &str, sign: char) -> &str {
    let rest = text.split_once(sign).map_or("", |(_, rest)| rest);
    rest.split(SIGNS).next().unwrap()
}

fn flags(letters: &str) -> FlagSet {
    let flag = |letter| match letter {
        's' => Flag::Seen,
        'f' => Flag::Flagged,
        'd' => Flag::Deleted,
        _ => Flag::Keyword("$K".into()),
    };
    letters.chars().map(flag).collect()
}

pub(super) fn mailbox(text: &str) -> Vec<Mail> {
    text.split_whitespace()
        .map(|one| {
            let (uid, rest) = one.split_once(':').unwrap();
            Mail {
                uid: uid.parse().unwrap(),
                folder: part(rest, '%').parse().unwrap_or(0),
                key: rest.split(SIGNS).next().unwrap().to_owned(),
                size: part(rest, '/').parse().unwrap_or(10),
                date: part(rest, '@').parse().ok(),
                flags: flags(part(rest, '+')),
            }
        })
        .collect()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn rows(mails: &[Mail]) -> Rows {
    let mut rows = Rows::with_room(0);
    for mail in mails {
        let date = mail.date.map(Timestamp::from_seconds);
        let (uid, size) = (uid(mail.uid), Some(mail.size));
        rows.push(mail.folder, Row { uid, size, date, flags: &mail.flags });
        let mut content = Content::new();
        content.update(mail.key.as_bytes());
        rows.fingerprint_last(Fingerprint { digest: content.digest(), basis: Basis::Key });
    }
    rows
}

/// Destination UID, and flags if they were agreed on, by source folder and UID.
type Links = BTreeMap<(u16, u32), (u32, Option<FlagSet>)>;

/// Two mailboxes, what state knows, and what the destination can do.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) source: Vec<Mail>,
    pub(super) destination: Vec<Mail>,
    /// Nothing where state is lost.
    pub(super) state: Option<Links>,
    pub(super) permanent: PermanentFlags,
    append_limit: Option<u64>,
}

pub(super) fn world(source: &str, destination: &str) -> World {
    World {
        rules: rules(),
        source: mailbox(source),
        destination: mailbox(destination),
        state: Some(BTreeMap::new()),
        permanent: PermanentFlags::all(),
        append_limit: None,
    }
}

pub(super) struct Planned {
    pub(super) actions: Vec<Action>,
    pub(super) counts: Vec<Counts>,
    matched: Matched,
    recipes: RecipeTable,
    bases: Vec<((u16, u32), FlagSet)>,
}

impl World {
    fn group(&self) -> Group {
        let folders = self.source.iter().map(|mail| mail.folder).max().unwrap_or(0);
        let source = |at: u16| GroupSource {
            name: FolderName::parse(&format!("f{at}")).unwrap(),
            wire: WireName::new(format!("f{at}").as_bytes()),
            messages: None,
        };
        Group {
            first_pair: 3,
            name: FolderName::inbox(),
            wire: WireName::new(*b"INBOX"),
            exists: true,
            sources: (0..=folders).map(source).collect(),
            drafts: false,
        }
    }

    pub(super) fn plan(&self) -> Planned {
        let (mut source, destination) = (rows(&self.source), rows(&self.destination));
        mark_left_out(&self.rules, &mut source);
        let mut agreed = Agreed::new();
        let mut links = Vec::new();
        for (&(folder, from), (to, flags)) in self.state.iter().flatten() {
            if let Some(flags) = flags {
                agreed.insert(folder, uid(from), flags);
            }
            let (source, destination) = (uid(from), Some(uid(*to)));
            links.push(KnownLink { folder, source, destination, seen: Fingerprint::default() });
        }
        let options = matching_options(&self.rules, &self.group(), SizeRecord::default());
        let mut matcher = Matcher::new(source.entries, destination.entries, &links, options);
        let found = loop {
            match matcher.step() {
                Step::Done(found) => break found,
                Step::Need(need) => {
                    // Equal keys are equal messages here.
                    for uid in need.uids.iter() {
                        let digest = crate::identity::Digest([7; 16]);
                        matcher.answer(need.side, need.folder, uid, digest);
                    }
                }
            }
        };
        let facts = GroupFacts {
            source_flags: &source.flags,
            destination_flags: &destination.flags,
            agreed: &agreed,
            permanent_flags: Some(&self.permanent),
            append_limit: self.append_limit,
        };
        let mut bases = Vec::new();
        newly_agreed(&self.rules, &found, &facts, &mut |folder, from, _, flags| {
            bases.push(((folder, from.get()), flags.clone()));
        });
        let mut recipes = RecipeTable::default();
        let mut actions = Vec::new();
        let counts =
            plan_group(&self.rules, &self.group(), &found, &facts, &mut recipes, &mut |action| {
                actions.push(action);
            });
        Planned { actions, counts, matched: found, recipes, bases }
    }

    /// Carries a plan out, and records what state would.
    pub(super) fn apply(&mut self, planned: &Planned) {
        for (entry, fate) in planned.matched.fates() {
            if let (Fate::Linked(partner) | Fate::Found(partner), Some(state)) =
                (fate, self.state.as_mut())
            {
                let key = (entry.folder(), entry.uid().get());
                state.entry(key).or_insert_with(|| (partner.get(), None));
            }
        }
        for (key, flags) in &planned.bases {
            if let Some(link) = self.state.as_mut().and_then(|state| state.get_mut(key)) {
                link.1 = Some(flags.clone());
            }
        }
        for action in &planned.actions {
            match action {
                Action::Copy { pair, uids, recipe, .. } => {
                    let recipe = &planned.recipes.recipes()[usize::try_from(*recipe).unwrap()];
                    for uid in uids.iter() {
                        let folder = u16::try_from(pair - 3).unwrap();
                        let place = |one: &&Mail| one.uid == uid.get() && one.folder == folder;
                        let mail = self.source.iter().find(place).unwrap();
                        let kept = mail.flags.difference(&recipe.drop_flags);
                        let (flags, _) = self.permanent.storable(&kept);
                        let next = 1000 + u32::try_from(self.destination.len()).unwrap();
                        let copy =
                            Mail { uid: next, folder: 0, flags: flags.clone(), ..mail.clone() };
                        if let Some(state) = self.state.as_mut() {
                            state.insert((folder, mail.uid), (next, Some(flags)));
                        }
                        self.destination.push(copy);
                    }
                }
                Action::Flags { uids, add, remove, from, .. } => {
                    for mail in &mut self.destination {
                        if uids.contains(uid(mail.uid)) {
                            assert_eq!(&mail.flags, from);
                            mail.flags = mail.flags.union(add).difference(remove);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn has_twins(&self) -> bool {
        let keys: std::collections::BTreeSet<&str> =
            self.source.iter().map(|mail| mail.key.as_str()).collect();
        keys.len() < self.source.len()
    }

    #[track_caller]
    fn check(&self, expected: &str) -> Planned {
        let planned = self.plan();
        assert_eq!(told(&planned.actions), expected);
        planned
    }
}

pub(super) fn told(actions: &[Action]) -> String {
    let lines = actions.iter().map(|action| match action {
        Action::Copy { pair: 3, uids, reason, .. } => format!("copy {uids} {reason}"),
        Action::Copy { pair, uids, reason, .. } => format!("copy#{pair} {uids} {reason}"),
        Action::Skip { uids, reason, .. } => format!("skip {uids} {reason}"),
        Action::Blocked { uid, reason, limit, .. } => {
            let limit = limit.map_or(String::new(), |limit| format!(" {limit}"));
            format!("block {} {reason}{limit}", uid.unwrap())
        }
        Action::Flags { uids, add, remove, .. } => format!("flags {uids} +[{add}] -[{remove}]"),
        other => format!("{other:?}"),
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[test]
fn missing_messages_are_one_line_with_their_octets() {
    let planned = world("1:a/5 2:b/6 3:c/7", "9:b/6").check("copy 1,3 new-at-source");
    let counts = planned.counts[0];
    assert_eq!((counts.copies, counts.octets, counts.equal, counts.extra), (2, 12, 1, 0));
    let Action::Copy { messages, octets, .. } = planned.actions[0] else { unreachable!() };
    assert_eq!((messages, octets), (2, 12));
}

#[test]
fn copies_tell_the_flags_of_their_own_messages_as_far_as_there_is_room() {
    let mut world = world("1:a 2:b 3:c 4:d", "9:d");
    world.state.as_mut().unwrap().insert((0, 3), (8, Some(FlagSet::new())));
    let set = |words: &str| -> FlagSet {
        words.split(' ').filter_map(|word| Flag::from_wire(word.as_bytes())).collect()
    };
    for (mail, flags) in world.source.iter_mut().zip(["\\Seen $A", "$B", "$C", "$D"]) {
        mail.flags = set(flags);
    }
    let told = |world: &World| -> Vec<FlagSet> {
        let flags = |action: &Action| match action {
            Action::Copy { flags, .. } => Some(flags.clone()),
            _ => None,
        };
        world.plan().actions.iter().filter_map(flags).collect()
    };
    assert_eq!(told(&world), [set("\\Seen $A $B"), set("$C")]);
    world.source[2].flags =
        (0..40).filter_map(|n| Flag::from_wire(format!("k{n}").as_bytes())).collect();
    assert_eq!(told(&world)[1].len(), 32);
    let long = |n: u32| Flag::from_wire(format!("{n:0>200}").as_bytes());
    world.source[2].flags = (0..20).filter_map(long).collect();
    assert_eq!(told(&world)[1].len(), 10);
}

#[test]
fn copies_keep_the_order_of_source_uids_whatever_their_reasons() {
    let mut world = world("1:a 2:b 3:c", "");
    world.state.as_mut().unwrap().insert((0, 2), (9, Some(FlagSet::new())));
    world.check("copy 1 new-at-source; copy 2 removed-at-destination; copy 3 new-at-source");
}

#[test]
fn copies_go_in_descending_order_where_the_newest_go_first() {
    let mut world = world("1:a 2:b 3:c 4:d+d", "");
    world.state.as_mut().unwrap().insert((0, 2), (9, Some(FlagSet::new())));
    world.rules.messages.order = UidOrder::NewestFirst;
    let (three, one) = ("copy 3 new-at-source", "copy 1 new-at-source");
    let two = "copy 2 removed-at-destination";
    world.check(&format!("skip 4 marked-deleted; {three}; {two}; {one}"));
}

#[test]
fn what_is_only_at_the_destination_is_counted_and_left_alone() {
    let planned = world("1:a", "7:x 8:a 9:y").check("");
    assert_eq!(planned.counts[0].extra, 2);
}

#[test]
fn marked_deleted_stays_and_has_a_line_of_its_own() {
    let mut world = world("1:a+d 2:b+d 3:c", "9:b");
    let planned = world.check("skip 1 marked-deleted; copy 3 new-at-source");
    assert_eq!((planned.counts[0].equal, planned.counts[0].skipped), (1, 1));
    assert!(planned.recipes.recipes()[0].leave_flagged.contains(&Flag::Deleted));
    world.rules.messages.deleted = Deleted::Keep;
    world.check("copy 1,3 new-at-source");
    world.rules.messages.deleted = Deleted::Undelete;
    let planned = world.check("copy 1,3 new-at-source");
    assert!(planned.recipes.recipes()[0].drop_flags.contains(&Flag::Deleted));
}

#[test]
fn filters_leave_out_sets_and_the_edge_is_decided_by_the_instant() {
    let mut world = world("1:a@9 2:b@10 3:c@19 4:d@20 5:e", "");
    world.rules.messages.since = Some(Timestamp::from_seconds(10));
    world.rules.messages.before = Some(Timestamp::from_seconds(20));
    world.check("copy 2:3,5 new-at-source; skip 1,4 outside-dates");
    world.rules.messages.since = None;
    world.rules.messages.before = None;
    world.rules.messages.smaller_than = Some(10);
    world.check("skip 1:5 outside-sizes");
}

#[test]
fn what_is_copied_stays_paired_when_a_filter_moves_on() {
    let mut world = world("1:a@1 2:b@1+s", "8:a@1 9:b@1");
    world.rules.messages.newer_than = Some(Timestamp::from_seconds(5));
    assert_eq!(world.check("").counts[0].equal, 2);
}

#[test]
fn the_lower_ceiling_of_rule_and_server_blocks() {
    let mut world = world("1:a/100 2:b/101 3:c/300", "");
    world.append_limit = Some(200);
    world.check("block 3 too-large 200; copy 1:2 new-at-source");
    world.rules.message_ceiling = Some(100);
    let planned = world.check("block 2 too-large 100; block 3 too-large 100; copy 1 new-at-source");
    assert_eq!((planned.counts[0].blocked, planned.recipes.recipes()[0].ceiling), (2, Some(100)));
}

#[test]
fn duplicates_are_left_out_one_by_one_if_asked_for() {
    let mut world = world("1:k 2:k 3:l", "");
    world.check("copy 1:3 new-at-source");
    world.rules.messages.duplicates = Duplicates::First;
    world.check("skip 2 duplicate-in-folder; copy 1,3 new-at-source");
    world.source[0].flags = flags("d");
    world.check("skip 1 marked-deleted; copy 2:3 new-at-source");
}

#[test]
fn accepted_but_not_visible_is_blocked_and_not_sent_again() {
    let world = world("1:a", "");
    let source = rows(&world.source);
    let seen = Fingerprint::default();
    let link = KnownLink { folder: 0, source: uid(1), destination: None, seen };
    let mut matcher = Matcher::new(source.entries, Vec::new(), &[link], Options::default());
    let Step::Done(found) = matcher.step() else { unreachable!() };
    let facts = GroupFacts {
        source_flags: &source.flags,
        destination_flags: &source.flags,
        agreed: &Agreed::new(),
        permanent_flags: None,
        append_limit: None,
    };
    let mut actions = Vec::new();
    let mut recipes = RecipeTable::default();
    let mut each = |action| actions.push(action);
    plan_group(&world.rules, &world.group(), &found, &facts, &mut recipes, &mut each);
    assert_eq!(told(&actions), "block 1 accepted-not-visible");
}

#[test]
fn several_source_folders_of_one_group_have_a_pair_each() {
    let planned = world("1:a%0 2:b%0 1:c%1 2:a%1", "9:a")
        .check("copy 2 new-at-source; copy#4 1:2 new-at-source");
    assert_eq!(planned.counts.len(), 2);
    assert_eq!((planned.counts[0].equal, planned.counts[1].copies), (1, 2));
}

#[test]
fn flags_are_merged_three_way_with_state() {
    let mut world = world("1:a+s 2:b 3:c+f", "7:a 8:b+s 9:c+f");
    let agreed = [(1, 7, ""), (2, 8, "s"), (3, 9, "f")];
    world.state = Some(agreed.map(|(from, to, base)| ((0, from), (to, Some(flags(base))))).into());
    world.check("flags 8 +[] -[\\Seen]; flags 7 +[\\Seen] -[]");
}

#[test]
fn mark_of_a_user_at_the_destination_survives() {
    let mut world = world("1:a", "9:a+sk");
    world.state = Some([((0, 1), (9, Some(FlagSet::new())))].into());
    world.check("");
    // Without state nothing is taken away, whatever the mode.
    world.state = None;
    for mode in [OnExisting::Merge, OnExisting::Mirror, OnExisting::Add, OnExisting::Keep] {
        world.rules.on_existing_flags = mode;
        world.check("");
    }
}

#[test]
fn flag_that_a_user_took_away_stays_away_and_one_that_the_source_took_away_goes() {
    let mut world = world("1:a+sf", "9:a");
    for _ in 0..2 {
        let planned = world.plan();
        world.apply(&planned);
    }
    assert_eq!(world.destination[0].flags, flags("sf"));
    world.destination[0].flags = flags("fk");
    for _ in 0..2 {
        let planned = world.check("");
        world.apply(&planned);
    }
    world.source[0].flags = flags("s");
    let planned = world.check("flags 9 +[] -[\\Flagged]");
    world.apply(&planned);
    assert_eq!(world.destination[0].flags, flags("k"));
    world.check("");
}

#[test]
fn modes_differ_in_what_they_change() {
    let mut world = world("1:a+s", "9:a+f");
    world.state = Some([((0, 1), (9, Some(FlagSet::new())))].into());
    for (mode, expected) in [
        (OnExisting::Merge, "flags 9 +[\\Seen] -[]"),
        (OnExisting::Mirror, "flags 9 +[\\Seen] -[\\Flagged]"),
        (OnExisting::Add, "flags 9 +[\\Seen] -[]"),
        (OnExisting::Keep, ""),
    ] {
        world.rules.on_existing_flags = mode;
        world.check(expected);
    }
}

#[test]
fn our_deletion_mark_at_the_source_is_never_set_on_a_copy_that_exists() {
    let mut world = world("1:a+d", "9:a");
    world.state = Some([((0, 1), (9, Some(FlagSet::new())))].into());
    for deleted in [Deleted::Skip, Deleted::Keep, Deleted::Undelete] {
        for mode in [OnExisting::Merge, OnExisting::Mirror, OnExisting::Add] {
            world.rules.messages.deleted = deleted;
            world.rules.on_existing_flags = mode;
            world.check("");
        }
    }
    world.rules.messages.deleted = Deleted::Mirror;
    world.check("flags 9 +[\\Deleted] -[]");
}

#[test]
fn deletion_mark_at_the_destination_is_not_taken_away_either() {
    let mut world = world("1:a", "9:a+d");
    world.state = Some([((0, 1), (9, Some(flags("d"))))].into());
    world.rules.on_existing_flags = OnExisting::Mirror;
    world.check("");
}

#[test]
fn flags_that_cannot_be_kept_are_counted_and_never_planned() {
    let mut world = world("1:a+k 2:b+sk", "9:a");
    world.permanent.any_keyword = false;
    let planned = world.check("copy 2 new-at-source");
    assert_eq!(planned.counts[0].lossy_flags, 1);
    world.apply(&planned);
    world.check("");
}

#[test]
fn keyword_that_comes_back_in_another_case_is_the_same() {
    let mut world = world("1:a", "9:a");
    world.source[0].flags = [Flag::Keyword("$MdnSent".into())].into_iter().collect();
    world.destination[0].flags = [Flag::Keyword("$MDNSENT".into())].into_iter().collect();
    world.check("");
}

#[test]
fn flag_changes_are_grouped_by_equal_change() {
    world("1:a+s 2:b+s 3:c+f", "7:a 8:b 9:c")
        .check("flags 9 +[\\Flagged] -[]; flags 7:8 +[\\Seen] -[]");
}

#[test]
fn folder_without_a_selected_message_may_be_left_out() {
    let mut world = world("1:a+d", "");
    let counts = world.plan().counts;
    assert!(!is_empty_and_left_out(&world.rules, &counts));
    world.rules.folders.empty = Empty::Skip;
    assert!(is_empty_and_left_out(&world.rules, &counts));
    world.source[0].flags = FlagSet::new();
    assert!(!is_empty_and_left_out(&world.rules, &world.plan().counts));
}

#[test]
fn long_sets_are_cut_so_that_a_line_stays_short() {
    let mut world = world("", "");
    let far = |at: u32| 4_000_000_000 + 2 * at;
    world.source = (0..6_000)
        .map(|at| Mail { uid: far(at), key: format!("k{at}"), ..mailbox("1:a").remove(0) })
        .collect();
    let planned = world.plan();
    world.rules.messages.order = UidOrder::NewestFirst;
    let turned = world.plan().actions;
    assert_eq!(turned.into_iter().rev().collect::<Vec<_>>(), planned.actions);
    assert!(planned.actions.len() > 1);
    let mut last = None;
    for action in &planned.actions {
        assert!(serde_json::to_string(action).unwrap().len() < 65_536);
        let Action::Copy { uids, messages, octets, .. } = action else { unreachable!() };
        assert_eq!((uids.len(), *octets), (*messages, messages * 10));
        assert!(uids.first() > last);
        last = uids.last();
    }
    assert_eq!(planned.counts[0].copies, 6_000);
}

#[test]
fn equal_recipes_share_a_number() {
    let planned = world("1:a", "").plan();
    let mut recipes = planned.recipes.clone();
    let mut again = recipes.recipes()[0].clone();
    again.recipe = 77;
    assert_eq!(recipes.number(again.clone()), 0);
    again.ceiling = Some(1);
    assert_eq!(recipes.number(again), 1);
}

#[test]
fn drafts_are_told_apart_by_content_and_sizes_that_lie_are_not_asked() {
    let mut world = world("1:a", "");
    let mut group = world.group();
    let record = SizeRecord { agree: 5, all: 5 };
    let options = matching_options(&world.rules, &group, record);
    assert_eq!((options.proof, options.sizes), (Proof::Key, Sizes::Judged(record)));
    group.drafts = true;
    world.rules.destination.quirks.push(Quirk::SizesLie);
    let options = matching_options(&world.rules, &group, record);
    assert_eq!((options.proof, options.sizes), (Proof::Content, Sizes::Lie));
}

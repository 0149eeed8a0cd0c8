//! Laws of the planner, for any mailboxes and rules.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::messages::Mail;
use super::messages::Planned;
use super::messages::World;
use super::messages::mailbox;
use super::messages::told;
use super::messages::world;
use super::rules;
use crate::mail::Timestamp;
use crate::plan::Action;
use crate::rule::Rules;
use crate::rule::policy::Deleted;
use crate::rule::policy::Duplicates;
use crate::rule::policy::OnExisting;

fn any_mail() -> impl Strategy<Value = String> {
    let mail = ("[abcd]", "(@[1-5])?", "(\\+[sfdk]{1,2})?", "(%1)?");
    proptest::collection::vec(mail, 0..9).prop_map(|mails| {
        let mails = mails.into_iter().enumerate();
        let mails = mails.map(|(at, (key, date, flags, folder))| {
            format!("{}:{key}{date}{flags}{folder}", at + 1)
        });
        mails.collect::<Vec<_>>().join(" ")
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let existing = [OnExisting::Merge, OnExisting::Mirror, OnExisting::Add, OnExisting::Keep];
    let deleted = [Deleted::Skip, Deleted::Keep, Deleted::Undelete, Deleted::Mirror];
    let choices = (
        proptest::sample::select(existing.to_vec()),
        proptest::sample::select(deleted.to_vec()),
        any::<bool>(),
        proptest::option::of(1_i64..5),
    );
    choices.prop_map(|(existing, deleted, first, since)| {
        let mut rules = rules();
        rules.on_existing_flags = existing;
        rules.messages.deleted = deleted;
        rules.messages.since = since.map(Timestamp::from_seconds);
        if first {
            rules.messages.duplicates = Duplicates::First;
        }
        rules
    })
}

fn any_world() -> impl Strategy<Value = World> {
    (any_mail(), any_mail(), any_rules(), any::<bool>(), any::<bool>()).prop_map(
        |(source, destination, rules, state, keywords)| {
            let mut world = world(&source, &destination.replace("%1", ""));
            world.rules = rules;
            world.permanent.any_keyword = keywords;
            world.state = state.then(BTreeMap::new);
            world
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_left_to_do_after_the_plan_is_done(mut world in any_world()) {
        let planned = world.plan();
        world.apply(&planned);
        let again = world.plan();
        let changes: Vec<Action> = again
            .actions
            .iter()
            .filter(|action| match action {
                Action::Copy { .. } => true,
                // Without state equal messages with different flags may change places.
                Action::Flags { .. } => world.state.is_some() || !world.has_twins(),
                _ => false,
            })
            .cloned()
            .collect();
        prop_assert_eq!(told(&changes), "");
        // Nothing is copied again even after state is lost.
        world.state = None;
        let copied = |action: &Action| matches!(action, Action::Copy { .. });
        prop_assert!(!world.plan().actions.iter().any(copied));
    }

    #[test]
    fn the_same_input_gives_the_same_plan(world in any_world()) {
        let text = |planned: &Planned| serde_json::to_string(&planned.actions).unwrap();
        let plain = text(&world.plan());
        let mut other = world.clone();
        other.source.reverse();
        other.destination.reverse();
        prop_assert_eq!(text(&other.plan()), plain);
    }

    #[test]
    fn every_source_message_has_its_row_and_order_is_kept(world in any_world()) {
        let planned = world.plan();
        let mut rows: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut last = (0, 0);
        for action in &planned.actions {
            match action {
                Action::Copy { pair, uids, .. } | Action::Skip { pair, uids, .. } => {
                    for uid in uids.iter() {
                        *rows.entry((*pair, uid.get())).or_default() += 1;
                    }
                    if matches!(action, Action::Copy { .. }) {
                        let first = (*pair, uids.first().unwrap().get());
                        prop_assert!(last < first);
                        last = (*pair, uids.last().unwrap().get());
                    }
                }
                Action::Blocked { pair, uid, .. } => {
                    *rows.entry((*pair, uid.unwrap().get())).or_default() += 1;
                }
                _ => {}
            }
        }
        let equal: u64 = planned.counts.iter().map(|pair| pair.equal).sum();
        prop_assert!(rows.values().all(|times| *times == 1));
        let all = u64::try_from(rows.len()).unwrap() + equal;
        prop_assert_eq!(all, u64::try_from(world.source.len()).unwrap());
    }

    #[test]
    fn counts_of_equal_messages_are_kept(source in any_mail(), destination in any_mail()) {
        let mut world = world(&source, &destination.replace("%1", ""));
        world.rules.messages.deleted = Deleted::Keep;
        let planned = world.plan();
        world.apply(&planned);
        for key in ["a", "b", "c", "d"] {
            let count = |mails: &[Mail]| mails.iter().filter(|mail| mail.key == key).count();
            prop_assert!(count(&world.destination) >= count(&world.source));
            let most = count(&world.source).max(count(&mailbox(&destination)));
            prop_assert_eq!(count(&world.destination), most);
        }
    }
}

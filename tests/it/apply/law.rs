//! What holds for any two mailboxes and any rules.

use std::collections::BTreeMap;

use mailferry::mail::UidOrder;
use mailferry::mail::UidSet;
use mailferry::plan::Action;
use mailferry::plan::Line;
use mailferry::rule::policy::Deleted;
use mailferry::rule::policy::Duplicates;
use mailferry::rule::policy::Empty;
use mailferry::rule::policy::OnExisting;
use mailferry::rule::policy::Subscribe;
use mailferry::state::memory::MemoryState;
use mailferry::store::memory::Loss;
use mailferry::store::memory::MemoryServer;
use mailferry::store::memory::Operation;
use proptest::prelude::*;
use proptest::sample::select;

use crate::apply::world::Plan;
use crate::apply::world::World;
use crate::apply::world::assert_in_order;
use crate::apply::world::message;
use crate::apply::world::sorted;
use crate::apply::world::words;
use crate::apply::world::written;

/// A folder's messages: few words, so that both sides meet, and twins are common.
fn mails() -> impl Strategy<Value = String> {
    let words = select(vec!["a", "b", "c", "=a", "-d", "-e", "~f", "~g", "h", "i", "j", "k"]);
    let flags = select(vec!["", "", "/S", "/F", "/SA", "/D", "/k", "/ST"]);
    let dates = select(vec!["", "", "@1500000000", "@-5", "@1700000000"]);
    let mail = (words, flags, dates).prop_map(|(word, flags, date)| format!("{word}{flags}{date}"));
    proptest::collection::vec(mail, 0..14).prop_map(|mails| mails.join(" "))
}

fn mailbox() -> impl Strategy<Value = String> {
    (mails(), mails(), mails(), any::<bool>()).prop_map(|(inbox, work, lists, both)| {
        let lists = if both { format!(" | Lists: {lists}") } else { String::new() };
        format!("INBOX: {inbox} | Work: {work}{lists}")
    })
}

/// Effects, from the one that comes next, at which the connection is lost, and how.
fn losses() -> impl Strategy<Value = Vec<(u64, Loss)>> {
    let loss = select(vec![Loss::BeforeSending, Loss::HandedOver, Loss::Reply]);
    proptest::collection::vec((0..40_u64, loss), 1..4)
}

#[derive(Clone, Debug)]
struct Wishes {
    deleted: Deleted,
    duplicates: Duplicates,
    empty: Empty,
    subscribe: Subscribe,
    on_existing: OnExisting,
    order: UidOrder,
    join: bool,
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let deleted = select(vec![Deleted::Skip, Deleted::Keep, Deleted::Undelete, Deleted::Mirror]);
    let duplicates = select(vec![Duplicates::Keep, Duplicates::Keep, Duplicates::First]);
    let empty = select(vec![Empty::Create, Empty::Skip]);
    let subscribe = select(vec![Subscribe::Source, Subscribe::All, Subscribe::None]);
    // Mirror has no base in its first run and only adds; the second run takes away.
    let on_existing = select(vec![OnExisting::Merge, OnExisting::Add, OnExisting::Keep]);
    let order = select(vec![UidOrder::OldestFirst, UidOrder::NewestFirst]);
    (deleted, duplicates, empty, subscribe, on_existing, order, any::<bool>()).prop_map(
        |(deleted, duplicates, empty, subscribe, on_existing, order, join)| Wishes {
            deleted,
            duplicates,
            empty,
            subscribe,
            on_existing,
            order,
            join,
        },
    )
}

fn world(source: &str, destination: &str, wishes: &Wishes) -> World {
    let mut world = World::new(source, destination);
    if wishes.join {
        world = world.map("Lists", "Work").map("Work", "Work");
    }
    world.rules.messages.deleted = wishes.deleted;
    world.rules.messages.duplicates = wishes.duplicates;
    world.rules.messages.order = wishes.order;
    world.rules.folders.empty = wishes.empty;
    world.rules.folders.subscribe = wishes.subscribe;
    world.rules.on_existing_flags = wishes.on_existing;
    world
}

/// The effects that a plan asks for, by destination folder: folders made, messages, flags changed,
/// subscriptions.
fn asked(plan: &Plan) -> BTreeMap<(String, &'static str), u64> {
    let mut asked = BTreeMap::new();
    let mut folders = BTreeMap::new();
    for line in plan.lines() {
        let (folder, what, times) = match line {
            Line::Folder(pair) => {
                folders.insert(pair.pair, pair.destination.wire.escaped());
                continue;
            }
            Line::Action(Action::CreateFolder { wire, .. }) => (wire.escaped(), "create", 1),
            Line::Action(Action::Subscribe { wire, .. }) => (wire.escaped(), "subscribe", 1),
            Line::Action(Action::Copy { pair, messages, .. }) => {
                (folders[&pair].clone(), "append", messages)
            }
            Line::Action(Action::Flags { pair, messages, .. }) => {
                (folders[&pair].clone(), "flags", messages)
            }
            _ => continue,
        };
        *asked.entry((folder, what)).or_default() += times;
    }
    asked
}

/// The effects that the server saw, counted the same way.
fn seen(server: &MemoryServer) -> BTreeMap<(String, &'static str), u64> {
    let mut seen = BTreeMap::new();
    for operation in server.effect_log() {
        let (folder, what, times) = match operation {
            Operation::Create { folder, .. } => (folder, "create", 1),
            Operation::Subscribe(folder) => (folder, "subscribe", 1),
            Operation::Append { folder, .. } => (folder, "append", 1),
            Operation::ChangeFlags { folder, uids, .. } => (folder, "flags", UidSet::len(&uids)),
            other => panic!("{other:?}"),
        };
        *seen.entry((folder.escaped(), what)).or_default() += times;
    }
    seen
}

/// How many messages of each key an account holds: one against one, the key decides.
fn counts(server: &MemoryServer) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    server.with(|account| {
        for mail in account.folders.iter().flat_map(|folder| &folder.mails) {
            let text = String::from_utf8(mail.octets.to_vec()).unwrap();
            let key = text.split("\r\n\r\n").next().filter(|head| !head.is_empty());
            *counts.entry(key.unwrap_or(&text).to_owned()).or_default() += 1;
        }
    });
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn planning_after_applying_finds_nothing_to_do(
        source in mailbox(),
        destination in mailbox(),
        wishes in wishes(),
    ) {
        let mut world = world(&source, &destination, &wishes);
        let before = world.source.with(|account| written(account));
        let plan = world.plan();
        prop_assert_eq!(&plan.0, &world.elsewhere().plan().0, "the same input, the same plan");
        prop_assert_eq!(world.destination.effect_log(), []);
        let applied = world.apply(&plan);
        assert_in_order(&applied);
        prop_assert_eq!(seen(&world.destination), asked(&plan));
        prop_assert_eq!(applied.copied, plan.totals().copies);
        prop_assert_eq!(applied.flags_changed, plan.totals().flags);
        world.journal_is_clean();
        prop_assert_eq!(world.source.with(|account| written(account)), before);
        prop_assert_eq!(world.source.effect_log(), []);
        // The same plan once more, with state and without.
        world.destination.forget_log();
        assert_in_order(&world.apply(&plan));
        assert_in_order(&world.elsewhere().apply(&plan));
        prop_assert_eq!(world.destination.effect_log(), []);
        world.nothing_but_doubt_is_left();
        // Without state no message is copied again; flags have no base then, and are only added.
        let anew = world.elsewhere().plan();
        prop_assert_eq!(anew.totals().copies, 0, "{:?}", anew.actions());
    }

    #[test]
    fn counts_are_kept(source in mailbox(), destination in mailbox(), join in any::<bool>()) {
        let wishes = Wishes {
            deleted: Deleted::Keep,
            duplicates: Duplicates::Keep,
            empty: Empty::Create,
            subscribe: Subscribe::None,
            on_existing: OnExisting::Merge,
            order: UidOrder::OldestFirst,
            join,
        };
        let mut world = world(&source, &destination, &wishes);
        let had = counts(&world.destination);
        world.migrate();
        let has = counts(&world.destination);
        for (key, count) in counts(&world.source) {
            prop_assert!(has[&key] >= count);
        }
        for (key, count) in had {
            prop_assert!(has[&key] >= count, "nothing is taken away");
        }
    }

    #[test]
    fn appends_go_in_the_order_of_the_plan(
        mails in mails(),
        other in mails(),
        newest_first in any::<bool>(),
    ) {
        let text = format!("INBOX: {mails} | Old: {other}");
        let mut world = World::new(&text, "").map("Old", "INBOX").map("INBOX", "INBOX");
        world.rules.messages.deleted = Deleted::Keep;
        let mut expected = world.source.with(|account| {
            [account.bodies("INBOX"), account.bodies("Old")]
        });
        if newest_first {
            world.rules.messages.order = UidOrder::NewestFirst;
            for bodies in &mut expected {
                bodies.reverse();
            }
        }
        let applied = world.migrate();
        prop_assert_eq!(applied.out_of_order, 0);
        let held = world.destination.with(|account| account.bodies("INBOX"));
        let (one, two) = (expected.concat(), [&expected[1][..], &expected[0][..]].concat());
        prop_assert!(held == one || held == two);
    }

    #[test]
    fn any_connection_may_be_lost_anywhere(
        source in mailbox(),
        destination in mailbox(),
        wishes in wishes(),
        losses in losses(),
        cut in 0..9_000_u64,
        connections in 1..4_u16,
    ) {
        let mut undisturbed = world(&source, &destination, &wishes);
        undisturbed.migrate();
        let mut world = world(&source, &destination, &wishes);
        world.settings.connections = connections;
        let plan = world.plan();
        world.source.cut_fetch_after(cut);
        for (effect, loss) in losses {
            world.destination.stop_at(world.destination.effects() + effect, loss);
            assert_in_order(&world.apply(&plan));
        }
        world.journal_is_clean();
        let expected = undisturbed.destination.with(|account| written(account));
        let held = world.destination.with(|account| written(account));
        if !expected.is_empty() {
            prop_assert_eq!(sorted(&held), sorted(&expected));
        }
        world.nothing_but_doubt_is_left();
    }

    #[test]
    fn a_new_plan_ends_what_a_disturbed_run_began(
        source in mailbox(),
        destination in mailbox(),
        wishes in wishes(),
        losses in losses(),
        cut in 0..9_000_u64,
        connections in 1..4_u16,
        keeps_state in any::<bool>(),
    ) {
        let mut undisturbed = world(&source, &destination, &wishes);
        undisturbed.migrate();
        let mut world = world(&source, &destination, &wishes);
        world.settings.connections = connections;
        let retries = world.settings.retries;
        world.source.cut_fetch_after(cut);
        for (effect, loss) in losses {
            let plan = world.plan();
            world.destination.stop_at(world.destination.effects() + effect, loss);
            world.settings.retries = 0;
            world.apply(&plan);
            world.settings.retries = retries;
            world.wait(100);
            if !keeps_state {
                world.state = MemoryState::default();
            }
        }
        let plan = world.plan();
        assert_in_order(&world.apply(&plan));
        let expected = undisturbed.destination.with(|account| written(account));
        let held = world.destination.with(|account| written(account));
        if keeps_state && !expected.is_empty() {
            prop_assert_eq!(sorted(&held), sorted(&expected));
        }
        // Without state nothing tells which flags were agreed on, nor which copy a twin had.
        prop_assert_eq!(words(&held), words(&expected));
        world.nothing_but_doubt_is_left();
    }
}

#[test]
fn the_words_of_the_notation_are_messages_of_their_own() {
    let words = ["a", "b", "=a", "-a", "~a", "0"];
    for (place, word) in words.iter().enumerate() {
        assert!(words[..place].iter().all(|other| message(other) != message(word)));
    }
    assert_eq!(message("a").len(), message("=a").len());
}

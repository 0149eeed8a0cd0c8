//! Folders that are made when it comes to them, and not all of them before the first message.

use mailferry::plan::Reason;
use mailferry::store::memory::{Loss, Operation, Options, Then};
use mailferry::store::{Refusal, ResponseCode};

use crate::apply::world::{World, assert_in_order, fill, item_reasons};

const FILLED: &str = "A/one: b c | A/two: d | B/deep/er: f g | B: e | C: h | INBOX: a";

/// A world in which the first wave of each of so many lanes holds one folder.
fn world(lanes: u16) -> World {
    let mut world = World::new(&format!("{FILLED} | Empty:"), "");
    world.settings.wave = 1;
    world.settings.connections = lanes;
    world
}

/// What was created and appended, in order.
fn deeds(world: &World) -> Vec<String> {
    let word = |operation: Operation| match operation {
        Operation::Create { folder, .. } => Some(format!("+{}", folder.escaped())),
        Operation::Append { folder, .. } => Some(folder.escaped()),
        _ => None,
    };
    world.destination.effect_log().into_iter().filter_map(word).collect()
}

fn creation_of(name: &'static str) -> impl FnMut(&Operation) -> bool + Send + 'static {
    move |operation| matches!(operation, Operation::Create { folder, .. } if folder.escaped() == name)
}

fn no() -> Then {
    let code = Some(ResponseCode::NoPerm);
    Then::Refuse(Refusal { bad: false, code, text: "no".to_owned(), known_words: false })
}

#[test]
fn folders_are_made_when_it_comes_to_them_below_those_that_they_need() {
    let mut world = world(1);
    let applied = world.migrate();
    assert_in_order(&applied);
    world.holds_in_any_order(FILLED);
    let deeds = deeds(&world);
    assert_eq!(
        deeds.join(" "),
        "+Empty +A +A/one A/one A/one +A/two A/two +B B +B/deep +B/deep/er B/deep/er B/deep/er +C C INBOX"
    );
    let made = deeds.iter().filter(|deed| deed.starts_with('+')).count();
    assert_eq!(usize::try_from(applied.created).unwrap(), made);
    world.nothing_is_left();
}

#[test]
fn few_folders_are_made_at_once() {
    let mut world = world(1);
    world.settings.wave = 64;
    assert_in_order(&world.migrate());
    let made = deeds(&world).iter().take_while(|deed| deed.starts_with('+')).count();
    assert_eq!(made, 8);
    world.holds_in_any_order(FILLED);
}

#[test]
fn lanes_that_need_the_same_folder_above_make_it_once() {
    for lanes in [2, 3, 4] {
        let mut world = world(lanes);
        let applied = world.migrate();
        assert!(applied.items.is_empty() && applied.fatal.is_none(), "{applied:?}");
        assert_eq!(applied.created, 8, "{lanes}");
        world.holds_in_any_order(FILLED);
        world.nothing_is_left();
    }
}

#[test]
fn folder_that_is_refused_late_is_an_item_and_is_not_subscribed_to() {
    for (name, lacking) in [("A/two", 1), ("B", 1), ("B/deep", 1)] {
        let mut world = world(1);
        world
            .source
            .with(|account| account.folders.iter_mut().for_each(|one| one.subscribed = true));
        let plan = world.plan();
        world.destination.when(creation_of(name), |_| no());
        let applied = world.apply(&plan);
        assert_eq!(item_reasons(&applied), vec![Reason::FolderRefused; lacking], "{name}");
        assert_eq!(deeds(&world).iter().filter(|deed| **deed == format!("+{name}")).count(), 1);
        // Once the server lets it be made, the same plan does the rest.
        assert_in_order(&world.apply(&plan));
        world.holds_in_any_order(FILLED);
        world.nothing_is_left();
    }
}

#[test]
fn wherever_the_connection_is_lost_the_same_run_or_the_next_makes_and_fills_the_rest() {
    for effect in 0..18 {
        for loss in [Loss::BeforeSending, Loss::HandedOver, Loss::Reply] {
            let mut world = world(2);
            let plan = world.plan();
            world.destination.stop_at(effect, loss);
            let first = world.apply(&plan);
            assert!(first.fatal.is_none(), "{effect} {loss:?}: {first:?}");
            world.apply(&plan);
            world.holds_in_any_order(FILLED);
            world.journal_is_clean();
            world.nothing_is_left();
        }
    }
}

#[test]
fn empty_folder_is_made_behind_what_it_lies_below() {
    let mut world = World::new("INBOX: a | P: b | P/X: c | P/Y: | Q/Z: d", "");
    world.settings.wave = 1;
    assert_in_order(&world.migrate());
    let deeds = deeds(&world);
    assert_eq!(deeds[..2], ["+P", "+P/Y"], "{deeds:?}");
    assert!(
        deeds.iter().position(|deed| deed == "+Q/Z") > deeds.iter().position(|deed| deed == "P/X")
    );
    world.nothing_is_left();
}

#[test]
fn very_many_folders_are_made_at_once() {
    let source: Vec<String> = (0..1_001).map(|number| format!("F{number}: m{number}")).collect();
    let mut world = World::new(&source.join(" | "), "");
    world.settings.wave = 64;
    assert_in_order(&world.migrate());
    let made = deeds(&world).iter().take_while(|deed| deed.starts_with('+')).count();
    assert_eq!(made, 1_001);
}

/// How often the destination was listed.
fn listings(world: &World) -> usize {
    world.destination.log().iter().filter(|operation| matches!(operation, Operation::List)).count()
}

#[test]
fn what_was_listed_for_the_plan_is_not_listed_again_and_what_came_since_is_seen() {
    let deeds: [(&str, &str); 5] = [
        ("", FILLED),
        ("C:", FILLED),
        ("C: x", "A/one: b c | A/two: d | B/deep/er: f g | B: e | C: x h | INBOX: a"),
        ("C: h", FILLED),
        ("INBOX: a y", "A/one: b c | A/two: d | B/deep/er: f g | B: e | C: h | INBOX: a y"),
    ];
    for (deed, expected) in deeds {
        for lanes in [1, 2] {
            let [saved, gone_on] = [false, true].map(|goes_on| {
                let mut world = World::new(FILLED, "");
                world.settings.connections = lanes;
                let plan = if goes_on { world.plan_and_go_on() } else { world.plan() };
                world.destination.with(|account| fill(account, deed));
                world.destination.forget_log();
                let applied = world.apply(&plan);
                assert!(applied.items.is_empty() && applied.fatal.is_none(), "{deed}: {applied:?}");
                world.holds_in_any_order(expected);
                let listings = listings(&world);
                world.nothing_is_left();
                listings
            });
            if deed.is_empty() {
                assert_eq!(gone_on + 1, saved);
            }
        }
    }
}

#[test]
fn each_message_is_read_once_whatever_the_listing_tells() {
    for list_status in [true, false] {
        let words: String = (0..40).map(|number| format!(" m{number}")).collect();
        let mut there = Options::numbered(2);
        there.abilities.list_status = list_status;
        let source = format!("A:{words} | B:{words}");
        let mut world = World::of(Options::numbered(1), &source, there, "");
        assert_in_order(&world.migrate());
        let read = world.source.log().into_iter().map(|operation| match operation {
            Operation::Fetch { uids, .. } => uids.len(),
            _ => 0,
        });
        assert_eq!(read.sum::<u64>(), 80, "{list_status}");
    }
}

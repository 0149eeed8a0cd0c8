//! A run is stopped before every effect, in every way, and goes on: it ends as if nothing had been.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mailferry::mail::UidOrder;
use mailferry::state::memory::Effects;
use mailferry::state::memory::MemoryState;
use mailferry::store::memory::Arrival;
use mailferry::store::memory::Loss;
use mailferry::store::memory::Operation;
use mailferry::store::memory::Then;

use crate::apply::world::Plan;
use crate::apply::world::SETTLE;
use crate::apply::world::World;
use crate::apply::world::assert_in_order;

const SOURCE: &str = "INBOX: a/S b -c d*3 ~e f/Fk =a g h i j k l m n \
    | Lists: p q/A r*3 -s | Old: q r t | Empty:";
const DESTINATION: &str = "INBOX: b x | Lists: r y";
const RESULT: &str = "INBOX: b x a/S -c d d d ~e f/Fk =a g h i j k l m n \
    | Lists: r y p q/A r r -s q r t";

/// Two of the folders go to one; state and the destination count their effects together.
fn world() -> (World, Effects) {
    let mut world = World::new(SOURCE, DESTINATION).map("Old", "Lists").map("Lists", "Lists");
    let effects = Effects::default();
    world.state = MemoryState::with_effects(effects.clone());
    (world, effects)
}

/// Applies until the plan is done.
#[track_caller]
fn to_the_end(world: &mut World, plan: &Plan) {
    let applied = world.apply(plan);
    assert_in_order(&applied);
    world.journal_is_clean();
    world.holds_in_any_order(RESULT);
    world.nothing_is_left();
}

#[test]
fn an_undisturbed_run_copies_everything_in_order() {
    let (mut world, _) = world();
    let plan = world.plan();
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    world.holds(RESULT);
    world.journal_is_clean();
    world.nothing_is_left();
    assert_eq!(applied.copied, plan.totals().copies);
}

#[test]
fn a_run_that_is_killed_before_any_effect_goes_on() {
    let mut stopped = 0;
    for nth in 1.. {
        let (mut world, effects) = world();
        let plan = world.plan();
        let guard = effects.clone();
        world.destination.guard_effects(move || guard.pass());
        effects.fail_at(effects.count() + nth);
        let applied = world.apply(&plan);
        if applied.fatal.is_none() {
            break;
        }
        stopped = nth;
        effects.heal();
        to_the_end(&mut world, &plan);
    }
    assert!(stopped > 30, "{stopped} effects");
}

const LOSSES: [Loss; 6] = [
    Loss::BeforeSending,
    Loss::HandedOver,
    Loss::Reply,
    Loss::Late(Arrival::Looks(1)),
    Loss::Late(Arrival::Seconds(1)),
    Loss::Late(Arrival::Seconds(50)),
];

#[test]
fn a_run_that_loses_a_connection_at_any_effect_ends_as_if_nothing_had_been() {
    for loss in LOSSES {
        for nth in 0.. {
            let (mut world, _) = world();
            let plan = world.plan();
            world.destination.stop_at(nth, loss);
            let applied = world.apply(&plan);
            assert_in_order(&applied);
            if applied.reconnected == 0 {
                assert!(nth > 20);
                break;
            }
            assert_eq!(world.destination.late(), 0);
            world.journal_is_clean();
            world.holds_in_any_order(RESULT);
            world.nothing_is_left();
        }
    }
}

#[test]
fn a_run_that_is_killed_when_it_loses_a_connection_goes_on() {
    for loss in LOSSES {
        for nth in 0.. {
            let (mut world, effects) = world();
            let plan = world.plan();
            let killed = Arc::new(AtomicU64::new(0));
            let (kills, seen) = (effects.clone(), Arc::clone(&killed));
            let mut count = 0;
            world.destination.guard_effects(move || {
                if count == nth {
                    kills.fail_at(kills.count() + 1);
                    seen.store(1, Ordering::SeqCst);
                }
                count += 1;
                // What comes after the kill cannot happen; the effect itself has its own fate.
                count <= nth + 1 || kills.pass()
            });
            world.destination.stop_at(nth, loss);
            let applied = world.apply(&plan);
            if killed.load(Ordering::SeqCst) == 0 && loss != Loss::BeforeSending {
                assert_in_order(&applied);
                assert!(nth > 20);
                break;
            }
            if loss == Loss::BeforeSending && applied.reconnected == 0 && applied.fatal.is_none() {
                break;
            }
            effects.heal();
            to_the_end(&mut world, &plan);
        }
    }
}

#[test]
fn twins_keep_their_own_dates_and_flags_whatever_was_lost_between_them() {
    let by_neighbours = "INBOX: ~b@-5 c@1500000000 d@1700000000 ~b@-5";
    let dated = "INBOX: ~b@1500000000 c@1500000000 d@1700000000 ~b@1700000000";
    let own = "INBOX: ~g@1700000000 ~g ~g/SA@1700000000 ~g/k";
    let losses = LOSSES.into_iter().flat_map(|loss| [(loss, 0), (loss, 3)]);
    let moments: Vec<_> = (0..6).flat_map(|nth| [(nth, 0), (nth, 1), (nth, 2)]).collect();
    let ways = losses.flat_map(|loss| moments.iter().map(move |moment| (loss, *moment)));
    for (order, text, result) in [
        (UidOrder::NewestFirst, by_neighbours, dated),
        (UidOrder::OldestFirst, by_neighbours, dated),
        (UidOrder::NewestFirst, own, own),
        (UidOrder::OldestFirst, own, own),
    ] {
        for ((loss, retries), (nth, read)) in ways.clone() {
            let mut world = World::new(text, "");
            world.rules.messages.order = order;
            let plan = world.plan();
            world.settings.retries = retries;
            world.destination.stop_at(nth, loss);
            world.destination.read_before_loss(read);
            world.apply(&plan);
            assert_in_order(&world.apply(&plan));
            world.holds_in_any_order(result);
        }
    }
}

#[test]
fn folders_into_which_something_may_still_arrive_are_waited_for_beside_each_other() {
    let text = "INBOX: a b | Lists: c d | Old: e f | Work: g h";
    let mut world = World::new(text, "");
    let plan = world.plan();
    for folder in ["INBOX", "Lists", "Old"] {
        let awaited = move |operation: &Operation| match operation {
            Operation::Append { folder: to, .. } => to.escaped() == folder,
            _ => false,
        };
        world.destination.when(awaited, |_| Then::Lose(Loss::HandedOver));
    }
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert_eq!(applied.sent_again, 3);
    assert!((SETTLE..SETTLE + Duration::from_secs(1)).contains(&applied.waited), "{applied:?}");
    world.holds_in_any_order(text);
    world.nothing_is_left();
}

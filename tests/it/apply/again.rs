//! The same plan file once more: after success, without state, with old state, by another machine.

use mailferry::plan::Reason;
use mailferry::store::memory::Account;
use mailferry::store::memory::Arrival;
use mailferry::store::memory::Loss;
use mailferry::store::memory::MemoryServer;
use mailferry::store::memory::Operation;
use mailferry::store::memory::Then;

use crate::apply::world::World;
use crate::apply::world::assert_in_order;
use crate::apply::world::fill;
use crate::apply::world::item_reasons;

const SOURCE: &str = "INBOX: a b c d*3 -e ~f g h i j k l m n o p | Work: q r s t*2";
const RESULT: &str = "INBOX: a b c d d d -e ~f g h i j k l m n o p | Work: q r s t t";

/// Lets another client do something right before the destination takes its `nth` message, from 0.
fn before_append(
    server: &MemoryServer,
    nth: usize,
    deed: impl FnOnce(&mut Account) -> Then + Send + 'static,
) {
    let mut seen = 0;
    let awaited = move |operation: &Operation| {
        let append = matches!(operation, Operation::Append { .. });
        seen += usize::from(append);
        append && seen == nth + 1
    };
    server.when(awaited, deed);
}

#[test]
fn a_plan_that_is_done_changes_nothing_and_reads_no_body() {
    let mut world = World::new(SOURCE, "INBOX: b y");
    let plan = world.plan();
    assert_in_order(&world.apply(&plan));
    for _ in 0..2 {
        world.source.forget_log();
        world.destination.forget_log();
        let applied = world.apply(&plan);
        assert_in_order(&applied);
        assert_eq!((applied.copied, applied.found), (0, plan.totals().copies));
        assert_eq!(world.destination.effect_log(), []);
        assert_eq!(world.bodies_read(), 0);
    }
}

#[test]
fn without_state_nothing_is_copied_twice() {
    let mut world = World::new(SOURCE, "");
    let plan = world.plan();
    assert_in_order(&world.apply(&plan));
    let mut other = world.elsewhere();
    world.destination.forget_log();
    let applied = other.apply(&plan);
    assert_in_order(&applied);
    assert_eq!(world.destination.effect_log(), []);
    assert_eq!(applied.found, plan.totals().copies);
    other.nothing_is_left();
    world.nothing_is_left();
}

#[test]
fn with_state_of_any_earlier_moment_nothing_is_copied_twice() {
    for nth in 0..23 {
        let mut world = World::new(SOURCE, "");
        let plan = world.plan();
        let (saved, slot) = (world.state.clone(), std::sync::Arc::new(std::sync::Mutex::new(None)));
        let taken = slot.clone();
        before_append(&world.destination, nth, move |_| {
            *taken.lock().unwrap() = Some(saved.checkpoint());
            Then::Go
        });
        assert_in_order(&world.apply(&plan));
        world.state.restore(&slot.lock().unwrap().take().unwrap());
        world.destination.forget_log();
        let applied = world.apply(&plan);
        assert_in_order(&applied);
        assert_eq!(world.destination.effect_log(), [], "{nth}");
        world.journal_is_clean();
        world.holds(RESULT);
        world.nothing_is_left();
    }
}

#[test]
fn what_another_machine_has_copied_is_not_copied_again() {
    for nth in 0..23 {
        let mut world = World::new(SOURCE, "");
        let plan = world.plan();
        let mut other = world.elsewhere();
        other.stop.clone().request();
        let stop = mailferry::session::Stop::default();
        other.stop = stop.clone();
        before_append(&world.destination, nth, move |_| {
            stop.request();
            Then::Go
        });
        let stopped = other.apply(&plan);
        assert!(stopped.fatal.is_some() || stopped.copied == plan.totals().copies);
        let applied = world.apply(&plan);
        assert_in_order(&applied);
        assert_eq!(applied.copied + stopped.copied, plan.totals().copies, "{nth}");
        world.holds(RESULT);
        world.journal_is_clean();
        other.stop = mailferry::session::Stop::default();
        assert_in_order(&other.apply(&plan));
        world.holds(RESULT);
    }
}

#[test]
fn deliveries_in_between_neither_stop_nor_double_anything() {
    let mut world = World::new(SOURCE, "");
    let plan = world.plan();
    world.destination.with(|account| fill(account, "INBOX: x1 x2"));
    for nth in [0, 3, 4, 11, 15] {
        before_append(&world.destination, nth, |account| {
            fill(account, "INBOX: y -z");
            Then::Go
        });
    }
    assert_in_order(&world.apply(&plan));
    world.holds_in_any_order(
        "INBOX: a b c d d d -e ~f g h i j k l m n o p x1 x2 y*0 | Work: q r s t t"
            .replace("y*0", &"y -z ".repeat(5))
            .trim(),
    );
    world.nothing_is_left();
}

#[test]
fn somebody_else_who_copies_at_the_same_time_stops_the_folder() {
    let mut world = World::new(SOURCE, "");
    let plan = world.plan();
    before_append(&world.destination, 4, |account| {
        fill(account, "INBOX: k l m");
        Then::Go
    });
    let applied = world.apply(&plan);
    assert!(applied.somebody_else);
    assert_eq!(item_reasons(&applied), [Reason::SomebodyElseCopies]);
    // The other folder goes on, and nothing that is there is sent.
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    world.holds_in_any_order(RESULT);
    world.nothing_is_left();
}

#[test]
fn what_two_copied_at_the_same_time_is_named() {
    let mut world = World::new(SOURCE, "");
    let plan = world.plan();
    before_append(&world.destination, 2, |account| {
        fill(account, "INBOX: b c -e");
        Then::Go
    });
    let applied = world.apply(&plan);
    let late = item_reasons(&applied);
    assert!(late.iter().all(|reason| *reason == Reason::LateDuplicate), "{late:?}");
    let twice = world
        .destination
        .with(|account| account.bodies("INBOX").len() + account.bodies("Work").len() - 23);
    assert_eq!(late.len(), twice);
    assert!(twice >= 1);
}

#[test]
fn two_messages_of_somebody_else_are_taken_as_done_and_nothing_stops() {
    let mut world = World::new(SOURCE, "");
    let plan = world.plan();
    before_append(&world.destination, 4, |account| {
        fill(account, "INBOX: k l");
        Then::Go
    });
    assert_in_order(&world.apply(&plan));
    world.holds_in_any_order(RESULT);
    world.nothing_is_left();
}

#[test]
fn a_folder_of_the_plan_that_somebody_made_and_filled_is_matched_first() {
    let mut world = World::new(SOURCE, "");
    let plan = world.plan();
    world.destination.with(|account| fill(account, "Work: t r own"));
    assert_in_order(&world.apply(&plan));
    world.holds_in_any_order("INBOX: a b c d d d -e ~f g h i j k l m n o p | Work: t r own q s t");
    world.nothing_is_left();
}

#[test]
fn a_folder_that_was_empty_when_planned_and_is_filled_since_is_matched_first() {
    let mut world = World::new(SOURCE, "Work:");
    let plan = world.plan();
    world.destination.with(|account| fill(account, "Work: t r own"));
    assert_in_order(&world.apply(&plan));
    world.holds_in_any_order("INBOX: a b c d d d -e ~f g h i j k l m n o p | Work: t r own q s t");
}

#[test]
fn what_people_removed_at_the_destination_is_copied_again_by_the_next_plan() {
    // The highest UID is among them: a link to it says nothing of what came after the plan.
    let mut world = World::new("INBOX: a b c", "");
    world.migrate();
    world.destination.with(|account| account.expunge("INBOX", [1, 3]));
    let plan = world.plan();
    assert_eq!(plan.reasons(), [Reason::RemovedAtDestination]);
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert_eq!(applied.copied, 2);
    world.holds("INBOX: b a c");
    world.nothing_is_left();
}

#[test]
fn what_people_removed_since_is_not_copied_again_by_the_same_plan() {
    let mut world = World::new("INBOX: a b c", "");
    let plan = world.plan();
    assert_in_order(&world.apply(&plan));
    world.destination.with(|account| account.expunge("INBOX", [2]));
    assert_in_order(&world.apply(&plan));
    world.holds("INBOX: a c");
}

#[test]
fn a_destination_put_back_to_an_earlier_state_is_noticed() {
    let mut world = World::new("INBOX: a b c d e f", "INBOX: x y z");
    let earlier = world.destination.with(|account| account.clone());
    let plan = world.plan();
    assert_in_order(&world.apply(&plan));
    world.destination.with(|account| {
        account.restore(&earlier);
        fill(account, "INBOX: theirs");
    });
    let applied = world.apply(&plan);
    assert!(applied.stale, "{applied:?}");
    assert_eq!(applied.copied, 0);
    world.migrate();
    world.holds("INBOX: x y z theirs a b c d e f");
    world.nothing_is_left();
}

#[test]
fn an_intent_whose_message_is_no_longer_planned_is_closed() {
    let mut world = World::new("INBOX: a b c", "");
    let plan = world.plan();
    world.destination.stop_at(2, Loss::Reply);
    before_append(&world.destination, 2, |_| Then::Lose(Loss::Reply));
    let effects = mailferry::state::memory::Effects::default();
    world.state = mailferry::state::memory::MemoryState::with_effects(effects.clone());
    let fresh = world.plan();
    assert_eq!(fresh.totals(), plan.totals());
    let kill = effects.clone();
    let mut appends = 0;
    world.destination.guard_effects(move || {
        appends += 1;
        if appends == 3 {
            kill.fail_at(kill.count() + 1);
        }
        true
    });
    let killed = world.apply(&fresh);
    assert!(killed.fatal.is_some());
    effects.heal();
    assert!(!world.state.all_open_intents().is_empty());
    world.nothing_is_left();
    world.journal_is_clean();
    world.holds("INBOX: a b c");
}

#[test]
fn a_message_gone_at_the_source_while_its_append_is_open_ends_the_run() {
    let mut world = World::new("INBOX: a b c", "");
    let plan = world.plan();
    let source = world.source.clone();
    world.destination.stop_at(1, Loss::HandedOver);
    before_append(&world.destination, 1, move |_| {
        source.with(|account| account.expunge("INBOX", [2, 3]));
        Then::Go
    });
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert!(applied.left_out.get(&Reason::GoneAtSource) >= Some(&1));
    world.nothing_is_left();
    world.journal_is_clean();
}

#[test]
fn a_late_copy_after_the_settling_time_is_an_item() {
    for loss in [Arrival::Seconds(70), Arrival::Looks(3)] {
        let mut world = World::new("INBOX: a b c", "");
        let plan = world.plan();
        world.destination.stop_at(1, Loss::Late(loss));
        let mut applied = world.apply(&plan);
        if applied.items.is_empty() {
            // It came when all was over: the next run names it.
            world.wait(100);
            applied = world.apply(&plan);
        }
        assert_eq!(item_reasons(&applied), [Reason::LateDuplicate], "{loss:?}");
    }
}

#[test]
fn a_late_copy_is_named_by_the_next_plan_s_run_too() {
    let mut world = World::new("INBOX: a b c", "");
    let plan = world.plan();
    world.destination.stop_at(1, Loss::Late(Arrival::Seconds(500)));
    assert_in_order(&world.apply(&plan));
    world.wait(1_000);
    let next = world.plan();
    assert!(next.changes_nothing());
    assert_eq!(item_reasons(&world.apply(&next)), [Reason::LateDuplicate]);
}

#[test]
fn a_message_that_left_its_folder_and_came_back_is_the_same_with_state_and_without() {
    for keeps_state in [true, false] {
        for at_source in [true, false] {
            let mut world = World::new("INBOX: a b c d", "");
            world.migrate();
            let server = if at_source { &world.source } else { &world.destination };
            server.with(|account| {
                account.expunge("INBOX", [2]);
                fill(account, "INBOX: b");
            });
            if !keeps_state {
                world.state = mailferry::state::memory::MemoryState::default();
            }
            let plan = world.plan();
            assert!(
                plan.changes_nothing(),
                "state {keeps_state}, at the source {at_source}: {:?}",
                plan.actions()
            );
        }
    }
}

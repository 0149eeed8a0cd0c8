//! Where a run has to stop: quota, limits, a wish, a full disk, one mailbox at both ends.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use mailferry::apply::Fatal;
use mailferry::apply::Only;
use mailferry::mail::FolderName;
use mailferry::mail::Side;
use mailferry::plan::Reason;
use mailferry::planning::PlanningFault;
use mailferry::rule::FolderPattern;
use mailferry::rule::Ruled;
use mailferry::state::State as _;
use mailferry::state::memory::Effects;
use mailferry::state::memory::MemoryState;
use mailferry::store::Refusal;
use mailferry::store::ResponseCode;
use mailferry::store::StoreError;
use mailferry::store::memory::Operation;
use mailferry::store::memory::Options;
use mailferry::store::memory::RefusedMessage;
use mailferry::store::memory::Then;

use crate::apply::world::World;
use crate::apply::world::assert_in_order;
use crate::apply::world::fill;
use crate::apply::world::item_reasons;

/// Many messages, each with a Message-ID of its own.
fn many(count: usize) -> String {
    (0..count).map(|number| format!(" m{number:04}")).collect()
}

#[test]
fn a_full_destination_is_sent_little_more() {
    for (code, known_words) in [(Some(ResponseCode::OverQuota), false), (None, true)] {
        let source = format!("INBOX:{} | Work: a b", many(500));
        let mut world = World::new(&source, "");
        let plan = world.plan();
        let mut room = 100;
        let text = "Over quota".to_owned();
        world.destination.refuse_messages(move |_| {
            if room > 0 {
                room -= 1;
                return None;
            }
            let refusal =
                Refusal { bad: false, code: code.clone(), text: text.clone(), known_words };
            Some(RefusedMessage { refusal, stored: false })
        });
        let applied = world.apply(&plan);
        assert!(applied.quota);
        assert_eq!(applied.copied, 100);
        assert!(world.appends() < 120, "{} sent", world.appends());
        assert!(item_reasons(&applied).iter().all(|reason| *reason == Reason::Quota));
        assert_eq!(applied.left_out[&Reason::Quota], 402);
        world.destination.refuse_messages(|_| None);
        assert_in_order(&world.apply(&plan));
        world.nothing_is_left();
    }
}

#[test]
fn a_large_message_that_does_not_fit_stops_nothing() {
    let mut world = World::new("INBOX: a b c d e f", "");
    let plan = world.plan();
    let mut seen = 0;
    world.destination.refuse_messages(move |_| {
        seen += 1;
        let code = Some(ResponseCode::OverQuota);
        let refusal = Refusal { bad: false, code, text: "full".to_owned(), known_words: false };
        (seen == 3).then_some(RefusedMessage { refusal, stored: false })
    });
    let applied = world.apply(&plan);
    assert_eq!(item_reasons(&applied), [Reason::Quota]);
    world.holds("INBOX: a b d e f");
}

#[test]
fn more_items_than_allowed_end_the_run() {
    let source = format!("INBOX:{}", many(1_000));
    let mut world = World::new(&source, "");
    world.settings.max_items = Some(20);
    let plan = world.plan();
    world.destination.refuse_messages(|_| {
        let code = Some(ResponseCode::Cannot);
        let refusal = Refusal { bad: false, code, text: "never".to_owned(), known_words: false };
        Some(RefusedMessage { refusal, stored: false })
    });
    let applied = world.apply(&plan);
    assert!(matches!(applied.fatal, Some(Fatal::TooManyItems(20))));
    assert!(world.appends() < 300, "{} sent", world.appends());
}

#[test]
fn a_wish_to_stop_is_heard_after_any_effect_and_the_plan_goes_on() {
    let source = format!("INBOX:{} | Work: a b", many(30));
    for nth in 0.. {
        let mut world = World::new(&source, "Work: b/S c");
        let plan = world.plan();
        let (stop, count) = (world.stop.clone(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&count);
        world.destination.guard_effects(move || {
            if counted.fetch_add(1, Ordering::SeqCst) == nth {
                stop.request();
            }
            true
        });
        let applied = world.apply(&plan);
        if applied.fatal.is_none() {
            assert!(nth > 20);
            break;
        }
        assert!(matches!(applied.fatal, Some(Fatal::Stopped)));
        assert!(count.load(Ordering::SeqCst) < nth + 12, "what is in flight, and no more");
        world.journal_is_clean();
        world.stop = mailferry::session::Stop::default();
        let rest = world.apply(&plan);
        assert_in_order(&rest);
        assert_eq!(applied.copied + rest.copied, plan.totals().copies);
        assert_eq!(rest.waited.as_secs(), 0, "what was stopped in good order is not waited for");
        world.nothing_is_left();
    }
}

#[test]
fn a_journal_that_cannot_be_written_stops_every_effect_at_once() {
    let source = format!("INBOX:{} | Work: a b/S c", many(40));
    let mut writes = 0;
    for nth in 1.. {
        let mut world = World::new(&source, "Work: b c");
        let plan = world.plan();
        let effects = Effects::default();
        let earlier = world.state.checkpoint();
        world.state = MemoryState::with_effects(effects.clone());
        world.state.restore(&earlier);
        effects.fail_at(nth);
        // Effects after the first write that failed.
        let (disk, late) = (effects.clone(), Arc::new(AtomicU64::new(0)));
        let after = Arc::clone(&late);
        world.destination.guard_effects(move || {
            if disk.count() + 1 == nth {
                after.fetch_add(1, Ordering::SeqCst);
            }
            true
        });
        let applied = world.apply(&plan);
        if applied.fatal.is_none() {
            writes = nth;
            break;
        }
        assert!(matches!(applied.fatal, Some(Fatal::State(_))), "{:?}", applied.fatal);
        // One window of messages whose intents were written, and nothing else, may be under way.
        assert!(late.load(Ordering::SeqCst) <= 40, "{}", late.load(Ordering::SeqCst));
        effects.heal();
        world.settings.settle = std::time::Duration::from_secs(1);
        assert_in_order(&world.apply(&plan));
        world.journal_is_clean();
        world.nothing_is_left();
    }
    assert!(writes > 10, "{writes}");
}

#[test]
fn the_intent_of_a_message_is_written_before_it_leaves() {
    let source = format!("INBOX:{}", many(100));
    let mut world = World::new(&source, "");
    let plan = world.plan();
    let (state, mut appended) = (world.state.clone(), 0);
    world.destination.guard_effects(move || {
        appended += 1;
        let open = state.all_open_intents();
        assert!(open.iter().any(|open| open.intent.source.get() == appended), "{appended}");
        true
    });
    assert_in_order(&world.apply(&plan));
    assert_eq!(world.appends(), 100);
}

#[test]
fn one_mailbox_at_both_ends_is_refused_before_anything_is_written() {
    let mut world = World::new("INBOX: a b | Work: c", "INBOX: x");
    let plan = world.plan();
    world.destination = world.source.clone();
    assert!(matches!(
        world.try_plan(),
        Err(PlanningFault::OtherAccount { .. } | PlanningFault::OneMailbox(_))
    ));
    let mut fresh = world.elsewhere();
    assert!(matches!(fresh.try_plan(), Err(PlanningFault::OneMailbox(_))));
    let applied = world.apply(&plan);
    assert!(matches!(applied.fatal, Some(Fatal::OtherAccount { .. } | Fatal::OneMailbox(_))));
    assert_eq!(world.source.effect_log(), []);
}

#[test]
fn an_account_that_became_the_other_one_between_plan_and_apply_is_refused() {
    // The name of the old server leads to the new one, where the same user has another mailbox.
    let mut world = World::new("INBOX: a b | Work: c", "INBOX: x");
    let plan = world.plan();
    std::mem::swap(&mut world.source, &mut world.destination);
    let applied = world.apply(&plan);
    assert!(matches!(applied.fatal, Some(Fatal::OtherAccount { .. })), "{:?}", applied.fatal);
    assert_eq!(world.destination.effect_log(), []);
    assert_eq!(world.source.effect_log(), []);
}

/// A world whose destination tells no MAILBOXID, so that its empty folders prove nothing.
fn world_without_object_ids(source: &str) -> World {
    let mut there = Options::numbered(2);
    there.abilities.object_id = false;
    World::of(Options::numbered(1), source, there, "INBOX:")
}

/// Has the destination reached under another name from now on.
fn rename(world: &World) {
    let name = "new.example:993";
    world.destination.with(|account| name.clone_into(&mut account.options.seen.server));
}

#[test]
fn an_account_that_was_empty_is_known_again_under_another_host_by_what_was_put_there() {
    for source in ["INBOX: a b", "INBOX: | Work: c", "INBOX: a | Work: b c"] {
        let mut world = world_without_object_ids(source);
        world.migrate();
        rename(&world);
        assert!(world.plan().changes_nothing(), "{source}");
    }
}

#[test]
fn folders_that_the_next_run_looks_at_prove_the_account() {
    let others: String = ('A'..='L').rev().map(|name| format!("{name}: a | ")).collect();
    let mut world = world_without_object_ids(&format!("{others}INBOX: b"));
    world.migrate();
    let witness = world.state.witness(Side::Destination).unwrap().unwrap();
    let names: Vec<_> = witness.folders.iter().map(|folder| folder.wire.escaped()).collect();
    assert_eq!(names, ["INBOX", "A", "B", "C", "D", "E", "F", "G", "H"]);
}

#[test]
fn an_account_into_which_nothing_was_put_is_not_believed_under_another_host() {
    let mut world = world_without_object_ids("INBOX:");
    world.migrate();
    rename(&world);
    assert!(matches!(world.try_plan(), Err(PlanningFault::OtherAccount { .. })));
}

#[test]
fn one_account_with_two_roots_apart_is_a_migration() {
    let mut world = World::new("INBOX: x | Old/Mail: a b | New: ", "");
    world.destination = world.source.clone();
    world.rules.source.root = FolderName::parse("Old");
    world.rules.destination.root = FolderName::parse("New");
    match world.try_plan() {
        Ok(plan) => {
            assert_in_order(&world.apply(&plan));
            world.holds("INBOX: x | New/Mail: a b | Old/Mail: a b");
        }
        Err(fault) => assert!(matches!(fault, PlanningFault::NoInbox(_)), "{fault}"),
    }
}

#[test]
fn sections_can_be_carried_out_one_by_one() {
    let mut world = World::new("INBOX: a/S b/S | Work: c", "INBOX: a");
    let plan = world.plan();
    world.only = Only::Folders;
    assert_in_order(&world.apply(&plan));
    world.holds("INBOX: a");
    world.only = Only::Flags;
    assert_in_order(&world.apply(&plan));
    world.holds("INBOX: a/S");
    world.only = Only::Copies;
    assert_in_order(&world.apply(&plan));
    world.holds("INBOX: a/S b/S | Work: c");
    world.only = Only::All;
    world.nothing_is_left();
}

#[test]
fn a_folder_that_cannot_be_made_is_an_item_and_the_rest_goes_on() {
    let mut world = World::new("INBOX: a | Work: b | Lists: c", "");
    let plan = world.plan();
    world.destination.when(
        |operation| matches!(operation, Operation::Create { folder, .. } if folder.escaped() == "Work"),
        |_| {
            let code = Some(ResponseCode::NoPerm);
            Then::Refuse(Refusal { bad: false, code, text: "no".to_owned(), known_words: false })
        },
    );
    let applied = world.apply(&plan);
    assert!(item_reasons(&applied).iter().all(|reason| *reason == Reason::FolderRefused));
    world.holds("INBOX: a | Lists: c");
    assert_in_order(&world.apply(&plan));
    world.nothing_is_left();
}

#[test]
fn a_run_that_meets_nobody_leaves_the_items_of_the_last_one() {
    let mut world = World::new("INBOX: a | Work: b", "");
    let plan = world.plan();
    world.destination.when(
        |operation| matches!(operation, Operation::Create { .. }),
        |_| {
            let code = Some(ResponseCode::NoPerm);
            Then::Refuse(Refusal { bad: false, code, text: "no".to_owned(), known_words: false })
        },
    );
    assert!(!world.apply(&plan).items.is_empty());
    let open = world.state.items().unwrap();
    assert!(!open.is_empty());
    world.destination.fail_connect(StoreError::Tls("expired".to_owned()));
    assert!(world.apply(&plan).fatal.is_some());
    assert_eq!(world.state.items().unwrap(), open);
    assert_in_order(&world.apply(&plan));
    assert!(world.state.items().unwrap().is_empty());
}

#[test]
fn a_destination_folder_that_cannot_be_read_is_left_out_and_the_rest_goes_on() {
    let mut world = World::new("INBOX: a | Work: b | Lists: c", "Work: x");
    world.destination.when(
        |operation| matches!(operation, Operation::Open(folder) if folder.escaped() == "Work"),
        |_| {
            let code = Some(ResponseCode::NoPerm);
            Then::Refuse(Refusal { bad: false, code, text: "no".to_owned(), known_words: false })
        },
    );
    let plan = world.plan();
    let applied = world.apply(&plan);
    assert_eq!(item_reasons(&applied), [Reason::FolderUnreadable]);
    world.holds("INBOX: a | Lists: c | Work: x");
    assert_in_order(&world.migrate());
    world.nothing_is_left();
}

#[test]
fn a_source_that_moved_on_is_told() {
    let mut world = World::new("INBOX: a", "");
    let plan = world.plan();
    assert!(!world.apply(&plan).source_moved_on);
    world.source.with(|account| account.deliver("INBOX", b"new\r\n"));
    assert!(world.apply(&plan).source_moved_on);
}

#[test]
fn a_folder_that_the_source_got_since_the_plan_is_told() {
    let mut world = World::new("INBOX: a | Lists: b | Out: c", "");
    let (value, place) = (FolderPattern::parse("Out").unwrap(), "exclude".to_owned());
    world.rules.folders.exclude.push(Ruled { value, place });
    let plan = world.plan();
    assert!(!world.apply(&plan).source_moved_on, "what rules leave out is no news");
    world.source.with(|account| fill(account, "Made: d"));
    assert!(world.apply(&plan).source_moved_on);
    assert!(!world.migrate().source_moved_on);
    world.nothing_is_left();
}

//! Destinations that take several messages as one, or refuse them so.

use mailferry::plan::Reason;
use mailferry::store::Refusal;
use mailferry::store::ResponseCode;
use mailferry::store::memory::AppendUidLie;
use mailferry::store::memory::Arrival;
use mailferry::store::memory::Loss;
use mailferry::store::memory::Options;
use mailferry::store::memory::RefusedMessage;

use crate::apply::world::World;
use crate::apply::world::assert_in_order;
use crate::apply::world::item_reasons;

fn numbered(numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|number| format!(" m{number:04}")).collect()
}

/// A world with so many messages, whose destination takes 64 of them as one.
fn world(count: usize) -> World {
    let mut there = Options { window: 200, batch: 64, ..Options::numbered(2) };
    there.abilities.append.multi = true;
    let source = format!("INBOX:{}", numbered(0..count));
    World::of(Options::numbered(1), &source, there, "")
}

/// Refuses the messages with these numbers.
fn refuse(
    world: &World,
    refused: impl Fn(usize) -> bool + Send + 'static,
    code: Option<ResponseCode>,
    stored: bool,
) {
    world.destination.refuse_messages(move |incoming| {
        let text = String::from_utf8_lossy(incoming.octets);
        let (_, rest) = text.split_once("m0")?;
        let number = rest.get(..3)?.parse().ok()?;
        let text = "not this one".to_owned();
        let refusal = Refusal { bad: false, code: code.clone(), text, known_words: false };
        refused(number).then_some(RefusedMessage { refusal, stored })
    });
}

#[test]
fn one_message_that_is_refused_costs_no_other_one() {
    for code in [Some(ResponseCode::Cannot), None] {
        let proves = code.is_some();
        let mut world = world(300);
        let plan = world.plan();
        refuse(&world, |number| number == 117, code, false);
        let applied = world.apply(&plan);
        assert_eq!(item_reasons(&applied), [Reason::RefusedByDestination], "proves: {proves}");
        assert_eq!(applied.copied, 299);
        let others = numbered((0..300).filter(|number| *number != 117));
        world.holds_in_any_order(&format!("INBOX:{others}"));
        // Halves of 64: less than twice as many go again, and the one itself a few times.
        assert!(world.appends() < 300 + 2 * 64 + 10, "{} sent", world.appends());
        world.journal_is_clean();
    }
}

#[test]
fn batch_that_is_kept_in_spite_of_its_refusal_is_found_and_not_sent_again() {
    let mut world = world(100);
    let plan = world.plan();
    refuse(&world, |number| number == 50, None, true);
    assert_in_order(&world.apply(&plan));
    world.holds(&format!("INBOX:{}", numbered(0..100)));
    assert_eq!(world.appends(), 100);
    world.nothing_is_left();
}

#[test]
fn full_destination_takes_what_fits_and_no_more() {
    let mut world = world(400);
    let plan = world.plan();
    refuse(&world, |number| number >= 100, Some(ResponseCode::OverQuota), false);
    let applied = world.apply(&plan);
    assert!(applied.quota);
    assert_eq!(applied.copied, 100);
    assert_eq!(applied.left_out[&Reason::Quota], 300);
    world.destination.refuse_messages(|_| None);
    assert_in_order(&world.apply(&plan));
    world.nothing_is_left();
}

#[test]
fn connection_that_is_lost_in_a_batch_neither_loses_nor_doubles_one() {
    for loss in
        [Loss::BeforeSending, Loss::HandedOver, Loss::Reply, Loss::Late(Arrival::Seconds(20))]
    {
        for effect in [0, 9, 10, 40, 99] {
            let mut world = world(100);
            let plan = world.plan();
            world.destination.stop_at(effect, loss);
            let applied = world.apply(&plan);
            assert_in_order(&applied);
            world.holds_in_any_order(&format!("INBOX:{}", numbered(0..100)));
            world.journal_is_clean();
            world.nothing_is_left();
        }
    }
}

#[test]
fn lies_in_the_set_of_a_batch_cost_a_look_and_no_message() {
    for lie in
        [AppendUidLie::Missing, AppendUidLie::Short, AppendUidLie::Swapped, AppendUidLie::Old]
    {
        let mut world = world(100);
        let plan = world.plan();
        world.destination.lie_in_append_uid(lie);
        assert_in_order(&world.apply(&plan));
        world.holds(&format!("INBOX:{}", numbered(0..100)));
        assert_eq!(world.appends(), 100, "{lie:?}");
        world.nothing_is_left();
    }
}

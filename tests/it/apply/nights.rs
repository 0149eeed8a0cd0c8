//! Dates, flags over several nights, names, and how much a large folder takes.

use mailferry::mail::Flag;
use mailferry::mail::InternalDate;
use mailferry::mail::Timestamp;
use mailferry::mail::Uid;
use mailferry::plan::Reason;
use mailferry::rule::policy::Deleted;
use mailferry::rule::policy::OnExisting;
use mailferry::store::memory::Operation;
use mailferry::store::memory::Then;
use mailferry::store::memory::wire;

use crate::apply::world::BEGINNING;
use crate::apply::world::World;
use crate::apply::world::assert_in_order;
use crate::apply::world::fill;
use crate::apply::world::flags;

/// The Date field of the notation's messages.
const DATE_FIELD: i64 = 1_600_000_000;

const YEAR_24: i64 = -61_409_000_000;

fn held_dates(world: &World) -> Vec<i64> {
    world.destination.with(|account| {
        let mails = &account.folder("INBOX").mails;
        mails.iter().map(|mail| mail.date.instant().seconds()).collect()
    })
}

#[test]
fn only_dates_that_every_server_understands_are_sent() {
    let cases = [
        (1_700_000_000, 1_700_000_000),
        (31_536_000, 31_536_000),
        (31_535_999, DATE_FIELD),
        (0, DATE_FIELD),
        (-86_400, DATE_FIELD),
        (YEAR_24, DATE_FIELD),
        (BEGINNING + 86_400, BEGINNING + 86_400),
        (BEGINNING + 86_401, DATE_FIELD),
        (2_145_916_800, DATE_FIELD),
    ];
    let words = cases.iter().enumerate().map(|(place, (date, _))| format!("m{place}@{date}"));
    let source = format!("INBOX: {}", words.collect::<Vec<_>>().join(" "));
    let mut world = World::new(&source, "");
    let applied = world.migrate();
    assert_eq!(held_dates(&world), cases.map(|(_, expected)| expected));
    let told: u64 = applied
        .notes
        .iter()
        .filter(|note| note.reason == Reason::DatesNotKept)
        .map(|note| note.messages)
        .sum();
    assert_eq!(told, 6);
    world.nothing_is_left();
}

#[test]
fn zones_that_servers_refuse_are_sent_as_utc() {
    let mut world = World::new("INBOX:", "");
    for offset in [-720, 840, 845, -721, 1_439, 60] {
        let date = InternalDate::new(Timestamp::from_seconds(1_700_000_000), offset);
        world.source.with(|account| {
            let text = format!("Message-ID: <{offset}@x>\r\n\r\nx\r\n");
            account.store(&wire("INBOX"), &flags(""), date, text.as_bytes());
        });
    }
    world.migrate();
    assert_eq!(held_dates(&world), [1_700_000_000; 6]);
    let zones = world.destination.effect_log();
    let zones = zones.iter().filter_map(|operation| match operation {
        Operation::Append { date, .. } => Some(date.as_ref()?.trim_matches('"')[21..].to_owned()),
        _ => None,
    });
    assert_eq!(zones.collect::<Vec<_>>(), ["-1200", "+1400", "+0000", "+0000", "+0000", "+0100"]);
}

#[test]
fn a_message_without_a_date_takes_the_next_best_one() {
    let mut world = World::new("INBOX: ~a@1650000000", "");
    let broken = InternalDate::new(Timestamp::from_seconds(-1), 0);
    world.source.with(|account| {
        for text in [
            "Message-ID: <1@x>\r\nDate: Wed, 15 Nov 2023 00:00:00 +0000\r\n\r\nx\r\n",
            "Message-ID: <2@x>\r\nDate: Wed, 99 Nov 2023 00:00:00 +0000\r\n\
             Received: from a by b; Tue, 14 Nov 2023 00:00:00 +0000\r\n\
             Received: from c by a; Mon, 13 Nov 2023 00:00:00 +0000\r\n\r\nx\r\n",
            "Message-ID: <3@x>\r\nDate: Sat, 1 Jan 0024 00:00:00 +0000\r\n\r\nx\r\n",
            "Message-ID: <4@x>\r\n\r\nx\r\n",
        ] {
            account.store(&wire("INBOX"), &flags(""), broken, text.as_bytes());
        }
        fill(account, "INBOX: ~b@1660000000");
    });
    world.migrate();
    let held = world.destination.with(|account| {
        let mut mails = account.folder("INBOX").mails.clone();
        mails.sort_by_key(|mail| mail.octets.to_vec());
        mails.iter().map(|mail| mail.date.instant().seconds()).collect::<Vec<_>>()
    });
    // ~a, ~b, then by Message-ID: the Date field, the first Received line, a neighbour, a neighbour.
    let expected =
        [1_650_000_000, 1_660_000_000, 1_700_006_400, 1_699_920_000, 1_660_000_000, 1_660_000_000];
    assert_eq!(held, expected);
    world.nothing_is_left();
}

#[test]
fn a_folder_in_which_nothing_has_a_date_is_copied_all_the_same() {
    let mut world = World::new("INBOX: ~a@-1 ~b@-1 ~c@0", "");
    world.migrate();
    assert_eq!(held_dates(&world), [31_536_000; 3]);
    world.nothing_is_left();
}

/// Sets and takes away flags at one side, as a mail program would.
fn mark(server: &mailferry::store::memory::MemoryServer, uid: u32, add: &str, remove: &str) {
    server.with(|account| {
        let uid = Uid::new(uid).unwrap();
        account.change(&wire("INBOX"), uid, &flags(add), &flags(remove));
    });
}

#[test]
fn flags_are_merged_three_ways_night_after_night() {
    let mut world = World::new("INBOX: a b/S c/F d/SF", "");
    world.migrate();
    world.holds("INBOX: a b/S c/F d/SF");
    // Each side changes on its own: both changes stay.
    mark(&world.source, 1, "S", "");
    mark(&world.destination, 1, "F", "");
    mark(&world.source, 2, "", "S");
    mark(&world.destination, 3, "A", "F");
    world.migrate();
    world.holds("INBOX: a/SF b c/A d/SF");
    world.nothing_is_left();
    // What people took away at the destination stays away, while the source keeps it.
    mark(&world.destination, 4, "", "S");
    world.migrate();
    world.holds("INBOX: a/SF b c/A d/F");
    // And comes back when it is set anew at the source.
    mark(&world.source, 4, "", "S");
    world.migrate();
    mark(&world.source, 4, "S", "");
    world.migrate();
    world.holds("INBOX: a/SF b c/A d/SF");
    // Without state flags are only added.
    mark(&world.source, 1, "", "S");
    let mut other = world.elsewhere();
    other.migrate();
    world.holds("INBOX: a/SF b c/AF d/SF");
    other.nothing_is_left();
}

#[test]
fn a_mark_of_deletion_never_lands_on_what_is_there() {
    for on_existing in [OnExisting::Merge, OnExisting::Mirror, OnExisting::Add] {
        let mut world = World::new("INBOX: a b", "");
        world.rules.on_existing_flags = on_existing;
        world.migrate();
        world.source.with(|account| account.mark("INBOX", 1, Flag::Deleted));
        for deleted in [Deleted::Skip, Deleted::Keep, Deleted::Undelete] {
            world.rules.messages.deleted = deleted;
            world.migrate();
            world.holds("INBOX: a b");
        }
    }
    let mut world = World::new("INBOX: a b", "");
    world.rules.messages.deleted = Deleted::Mirror;
    world.migrate();
    world.source.with(|account| account.mark("INBOX", 1, Flag::Deleted));
    world.migrate();
    world.holds("INBOX: a/D b");
}

#[test]
fn a_flag_that_changed_since_the_plan_is_not_taken_away() {
    let mut world = World::new("INBOX: a/S b/S", "");
    world.migrate();
    mark(&world.source, 1, "", "S");
    mark(&world.source, 2, "", "S");
    let plan = world.plan();
    mark(&world.destination, 2, "F", "");
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert_eq!(applied.flags_changed, 1);
    let meanwhile = |note: &&mailferry::apply::Note| note.reason == Reason::FlagsChangedMeanwhile;
    assert_eq!(applied.notes.iter().filter(meanwhile).map(|note| note.messages).sum::<u64>(), 1);
    world.holds("INBOX: a b/SF");
    world.migrate();
    world.holds("INBOX: a b/F");
}

#[test]
fn a_flag_that_changes_between_the_look_and_the_change_is_not_taken_away() {
    let mut world = World::new("INBOX: a/S b/S", "");
    world.migrate();
    mark(&world.source, 1, "", "S");
    mark(&world.source, 2, "", "S");
    let plan = world.plan();
    // Somebody takes the mark away and sets it anew, with another, in the very last moment.
    world.destination.when(
        |operation| matches!(operation, Operation::ChangeFlags { .. }),
        |account| {
            account.mark("INBOX", 2, Flag::Flagged);
            Then::Go
        },
    );
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert_eq!(applied.flags_changed, 1);
    let meanwhile = |note: &&mailferry::apply::Note| note.reason == Reason::FlagsChangedMeanwhile;
    assert_eq!(applied.notes.iter().filter(meanwhile).map(|note| note.messages).sum::<u64>(), 1);
    world.holds("INBOX: a b/SF");
    world.migrate();
    world.holds("INBOX: a b/F");
    world.nothing_is_left();
}

#[test]
fn flags_never_reach_a_folder_that_took_the_name() {
    let mut world = World::new("INBOX: a/S b", "INBOX: a b | Other: x y");
    let plan = world.plan();
    world.destination.with(|account| account.swap("INBOX", "Other"));
    let applied = world.apply(&plan);
    assert!(applied.stale || applied.fatal.is_some());
    assert_eq!(world.destination.effect_log(), []);
}

#[test]
fn flags_that_are_refused_are_an_item_and_the_rest_goes_on() {
    let mut world = World::new("INBOX: a/S b/F c", "INBOX: a b");
    let plan = world.plan();
    world.destination.when(
        |operation| matches!(operation, Operation::ChangeFlags { .. }),
        |_| {
            Then::Refuse(mailferry::store::Refusal {
                bad: false,
                code: None,
                text: "read-only".to_owned(),
                known_words: false,
            })
        },
    );
    let applied = world.apply(&plan);
    assert_eq!(applied.items.len(), 1);
    assert_eq!(applied.items[0].reason, Reason::FlagsRefused);
    assert_eq!(applied.flags_changed, 1);
    assert_in_order(&world.apply(&plan));
    world.holds("INBOX: a/S b/F c");
    world.nothing_is_left();
}

#[test]
fn folders_that_differ_in_case_only_stay_two() {
    let mut world = World::new("INBOX: a | Kid: b c | kid: d", "kid: d");
    match world.try_plan() {
        Ok(plan) => {
            world.apply(&plan);
            let small = world.destination.with(|account| account.bodies("kid"));
            assert!(small.len() == 1, "nothing of `Kid` is in `kid`");
        }
        Err(fault) => panic!("{fault}"),
    }
}

#[test]
fn a_folder_of_thousands_is_read_only_where_something_is_new() {
    let words =
        |from: usize, to: usize| (from..to).map(|number| format!(" m{number}")).collect::<String>();
    let mut world = World::new(&format!("INBOX:{}", words(0, 5_000)), "");
    world.migrate();
    world.source.with(|account| fill(account, &format!("INBOX:{}", words(5_000, 5_010))));
    let plan = world.plan();
    world.source.forget_log();
    world.destination.forget_log();
    assert_in_order(&world.apply(&plan));
    assert_eq!(world.appends(), 10);
    for operation in [world.source.log(), world.destination.log()].concat() {
        let (Operation::Scan { uids, .. } | Operation::Fetch { uids, .. }) = operation else {
            continue;
        };
        assert!(uids.first() > Uid::new(5_000), "{uids}");
    }
    world.nothing_is_left();
}

//! Plans made in passing: the same as those made with care, and with one look at each folder.

use mailferry::mail::{Flag, Uid, UidValidity};
use mailferry::rule::policy::Deleted;
use mailferry::rule::{FolderPattern, Ruled};
use mailferry::store::HeaderFields;
use mailferry::store::memory::{
    Account, Gives, Loss, MemoryServer, Operation, Options, Then, wire,
};
use proptest::prelude::*;

use crate::apply::world::{Plan, World, fill};

const FOLDERS: [&str; 4] = ["INBOX", "Work", "Work/Old", "Lists"];

const SOURCE: &str =
    "INBOX: a b/S c d*3 -e ~f g/D h | Work: q r s/F t*2 | Work/Old: u v | Lists: w";

/// The plan of now, made in passing where that suffices, and made with care.
fn both_plans(world: &mut World) -> (Plan, Plan) {
    let (in_passing, with_care) = both_tries(world);
    (in_passing.unwrap(), with_care.unwrap())
}

/// Likewise, where there may be none.
fn both_tries(world: &mut World) -> (Result<Plan, String>, Result<Plan, String>) {
    let before = world.state.checkpoint();
    let in_passing = world.try_plan().map_err(|fault| fault.to_string());
    let after = world.state.checkpoint();
    world.state.restore(&before);
    // A search of the author's own is never done in passing; this one finds everything.
    world.rules.messages.search = Some("ALL".to_owned());
    let with_care = world.try_plan().map_err(|fault| fault.to_string());
    world.rules.messages.search = None;
    world.state.restore(&after);
    (in_passing, with_care)
}

/// How often each folder was opened since the log began.
fn openings(server: &MemoryServer, folder: &str) -> usize {
    let opens = |operation: &&Operation| matches!(operation, Operation::Open(name) if *name == wire(folder));
    server.log().iter().filter(opens).count()
}

/// What somebody else does to a mailbox meanwhile.
fn change(account: &mut Account, (what, folder, other, uid): (u8, usize, usize, u32)) {
    let (folder, other) = (FOLDERS[folder], FOLDERS[other]);
    if account.find(&wire(folder)).is_none() {
        return;
    }
    match what {
        0 => fill(account, &format!("{folder}: new{uid}")),
        1 => account.expunge(folder, [uid]),
        2 => account.mark(folder, uid, Flag::Seen),
        3 => account.mark(folder, uid, Flag::Deleted),
        4 if folder != "INBOX" && other != "INBOX" && account.find(&wire(other)).is_some() => {
            account.swap(folder, other);
        }
        5 if folder != "INBOX" => account.replace(folder),
        6 => fill(account, &format!("{folder}: a -e")),
        7 => {
            let mails = &mut account.folder(folder).mails;
            if let Some(mail) = mails.iter_mut().find(|mail| mail.uid.get() == uid) {
                mail.gives = Gives::NoRow;
            }
        }
        _ => {}
    }
}

fn changes() -> impl Strategy<Value = Vec<(bool, (u8, usize, usize, u32))>> {
    let change = (0..8_u8, 0..FOLDERS.len(), 0..FOLDERS.len(), 1..9_u32);
    proptest::collection::vec((any::<bool>(), change), 0..6)
}

fn options(number: u32, kind: u8) -> Options {
    let mut options = Options::numbered(number);
    options.abilities.object_id = kind & 1 != 0;
    options.abilities.list_status = kind & 2 != 0;
    options.abilities.condstore = kind & 4 != 0;
    options.same_uid_validity = kind & 8 != 0;
    options.is_near = kind & 16 != 0;
    options
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_plan_made_in_passing_is_the_one_made_with_care(
        kinds in (0..32_u8, 0..16_u8),
        ceiling in prop_oneof![Just(None), Just(Some(70))],
        there in prop_oneof![Just(""), Just("INBOX: a z"), Just("Work: r y | Lists: w w")],
        nights in proptest::collection::vec(changes(), 1..3),
    ) {
        let (here, to) = (options(1, kinds.0), options(2, kinds.1));
        let mut world = World::of(here, SOURCE, to, there);
        world.rules.message_ceiling = ceiling;
        world.rules.messages.deleted = if ceiling.is_some() { Deleted::Keep } else { Deleted::Skip };
        for night in nights {
            let (in_passing, with_care) = both_tries(&mut world);
            prop_assert_eq!(lines(&in_passing), lines(&with_care));
            let Ok(plan) = in_passing else { break };
            world.apply(&plan);
            for (at_source, one) in night {
                let server = if at_source { &world.source } else { &world.destination };
                server.with(|account| change(account, one));
            }
        }
        let (in_passing, with_care) = both_tries(&mut world);
        prop_assert_eq!(lines(&in_passing), lines(&with_care));
    }
}

/// A plan as text, or why there is none.
fn lines(plan: &Result<Plan, String>) -> Vec<String> {
    match plan {
        Ok(plan) => plan.lines().iter().map(|line| format!("{line:?}")).collect(),
        Err(fault) => vec![fault.clone()],
    }
}

#[test]
fn where_all_is_copied_each_folder_is_looked_at_once() {
    for kind in 0..16 {
        let mut world = World::of(options(1, kind), SOURCE, options(2, kind), "");
        world.migrate();
        world.source.forget_log();
        world.destination.forget_log();
        let plan = world.plan();
        assert!(plan.changes_nothing());
        for folder in FOLDERS {
            assert_eq!(openings(&world.source, folder), 1, "{folder} {kind}");
            assert_eq!(openings(&world.destination, folder), 1, "{folder} {kind}");
        }
    }
}

#[test]
fn new_mail_and_new_flags_at_the_source_take_no_second_look() {
    let mut world = World::new(SOURCE, "");
    world.migrate();
    world.source.with(|account| {
        fill(account, "INBOX: x y | Work: z");
        account.mark("Work/Old", 1, Flag::Flagged);
    });
    world.source.forget_log();
    let plan = world.plan();
    assert_eq!((plan.totals().copies, plan.totals().flags), (3, 1));
    for folder in FOLDERS {
        assert_eq!(openings(&world.source, folder), 1, "{folder}");
    }
}

#[test]
fn of_what_is_copied_only_flags_are_read_but_where_rules_ask_for_more() {
    for (larger_than, expected) in [(None, 0), (Some(1), 8)] {
        let mut world = World::new("INBOX: a b c d e f g h", "");
        world.migrate();
        world.rules.messages.larger_than = larger_than;
        world.source.forget_log();
        assert!(world.plan().changes_nothing());
        let facts = world.source.log().into_iter().filter_map(|operation| match operation {
            Operation::Scan { uids, items, .. } if items.facts => Some(uids),
            _ => None,
        });
        let all: u64 = facts
            .map(|uids| (1..9).filter(|uid| uids.contains(Uid::new(*uid).unwrap())).count() as u64)
            .sum();
        assert_eq!(all, expected, "{larger_than:?}");
    }
}

#[test]
fn a_copy_that_people_removed_is_found_out_with_care() {
    let mut world = World::new(SOURCE, "");
    world.rules.messages.deleted = Deleted::Skip;
    world.migrate();
    world.destination.with(|account| account.expunge("Work", [2]));
    let (in_passing, with_care) = both_plans(&mut world);
    assert_eq!(in_passing, with_care);
    assert_eq!(in_passing.totals().copies, 1);
    assert!(in_passing.totals().octets > 0, "what is planned has its size");
}

#[test]
fn folders_that_changed_places_are_not_taken_for_each_other() {
    for kind in 0..16 {
        let mut world =
            World::of(options(1, kind), "A: a b | B: c d | INBOX: e", options(2, kind), "");
        world.migrate();
        world.source.with(|account| account.swap("A", "B"));
        let (in_passing, with_care) = both_plans(&mut world);
        assert_eq!(in_passing.lines(), with_care.lines(), "{kind}");
        assert_eq!(in_passing.totals().copies, 4, "{kind}");
    }
}

/// The messages of which dates alone were asked for since the log began, by folder.
fn dated(server: &MemoryServer) -> Vec<String> {
    let dated = |operation: Operation| match operation {
        Operation::Scan { folder, uids, items } if items.date => {
            Some(format!("{}: {uids}", String::from_utf8_lossy(folder.as_octets())))
        }
        _ => None,
    };
    server.log().into_iter().filter_map(dated).collect()
}

/// Tells whether all is asked of any message since the log began.
fn asks_for_facts(server: &MemoryServer) -> bool {
    let facts =
        |operation: &Operation| matches!(operation, Operation::Scan { items, .. } if items.facts);
    server.log().iter().any(facts)
}

#[test]
fn from_a_near_server_dates_are_read_of_what_the_plan_names_one_by_one_only() {
    let source = "INBOX: a b/D c d/D | Work: e f | Lists: g h i/D";
    let far = World::of(options(1, 0), source, options(2, 2), "").plan();
    let mut world = World::of(options(1, 16), source, options(2, 2), "");
    let plan = world.plan();
    assert_eq!(plan.lines()[1..], far.lines()[1..]);
    assert_eq!(dated(&world.source), ["INBOX: 2,4", "Lists: 3"]);
    assert!(!asks_for_facts(&world.source));
    // Where there is mail to compare with, or a rule asks for it, all dates are read.
    let mut world = World::of(options(1, 16), "INBOX: a b", options(2, 0), "");
    world.rules.messages.larger_than = Some(1);
    world.plan();
    assert!(asks_for_facts(&world.source) && dated(&world.source).is_empty());
}

#[test]
fn dates_that_cannot_be_had_leave_a_plan_without_them() {
    let source = "INBOX: a b/D | Work: c/D";
    let is_dated =
        |operation: &Operation| matches!(operation, Operation::Scan { items, .. } if items.date);
    // A connection that is lost over them once is made anew.
    let mut world = World::of(options(1, 16), source, options(2, 2), "");
    world.source.when(is_dated, |_| Then::Lose(Loss::BeforeSending));
    let far = World::of(options(1, 0), source, options(2, 2), "").plan();
    assert_eq!(world.plan().lines()[1..], far.lines()[1..]);
    // One that is lost each time leaves none.
    let mut world = World::of(options(1, 16), source, options(2, 2), "");
    world.settings.retries = 1;
    world.source.when(is_dated, |_| Then::Lose(Loss::BeforeSending));
    world.source.when(is_dated, |_| Then::Lose(Loss::BeforeSending));
    let lines = format!("{:?}", world.plan().lines());
    assert!(lines.contains("MarkedDeleted") && !lines.contains("date: Some"), "{lines}");
    // A folder that was made anew meanwhile has other messages under these UIDs.
    let mut world = World::of(options(1, 16), source, options(2, 2), "");
    let opened = std::cell::Cell::new(0);
    let opens_again = move |operation: &Operation| {
        opened.set(opened.get() + i32::from(matches!(operation, Operation::Open(_))));
        opened.get() > 2
    };
    world.source.when(opens_again, |account| {
        account.replace("Work");
        Then::Go
    });
    let lines = format!("{:?}", world.plan().lines());
    assert_eq!(lines.matches("date: Some").count(), 1, "{lines}");
}

/// Tells whether anybody looked at headers since the log began.
fn looks_at_headers(server: &MemoryServer) -> bool {
    let header = |operation: &&Operation| matches!(operation, Operation::Scan { items, .. } if items.header != HeaderFields::None);
    server.log().iter().any(|operation| header(&operation))
}

#[test]
fn headers_are_read_again_only_where_no_number_tells_folders_apart() {
    for kind in 0..16 {
        let mut world = World::of(options(1, kind), SOURCE, options(2, kind), "");
        world.migrate();
        let (has_ids, lists_counts, shares) = (kind & 1 != 0, kind & 2 != 0, kind & 8 != 0);
        let always = !has_ids && (shares || !lists_counts);
        // INBOX was there before, and was not made by the run.
        for (at_source, at_destination) in [(always, always); 2] {
            world.source.forget_log();
            world.destination.forget_log();
            assert!(world.plan().changes_nothing());
            assert_eq!(looks_at_headers(&world.source), at_source, "{kind}");
            assert_eq!(looks_at_headers(&world.destination), at_destination, "{kind}");
        }
    }
}

#[test]
fn a_folder_that_was_never_chosen_is_not_taken_for_the_one_whose_name_it_gets() {
    for at_destination in [false, true] {
        let (kind, there) = (2, "C: c d");
        let mut world = World::of(options(1, kind), "A: a b | C: c d", options(2, kind), there);
        let server = if at_destination { &world.destination } else { &world.source };
        if at_destination {
            // The folder that will be made for A has this one's UIDVALIDITY.
            server.with(|account| fill(account, "A: x"));
        }
        server.with(|account| {
            let of_a = account.folder("A").uid_validity;
            account.folder("C").uid_validity = of_a;
        });
        let (value, place) = (FolderPattern::parse("C").unwrap(), "exclude".to_owned());
        world.rules.folders.exclude.push(Ruled { value, place });
        world.migrate();
        let server = if at_destination { &world.destination } else { &world.source };
        server.with(|account| {
            if at_destination {
                account.expunge("A", [1]);
            }
            account.delete("A");
            account.rename("C", "A");
        });
        let (in_passing, with_care) = both_plans(&mut world);
        assert_eq!(in_passing.lines(), with_care.lines());
        assert_eq!(in_passing.totals().copies, 2, "{at_destination}");
    }
}

#[test]
fn folders_that_were_made_in_one_second_are_not_taken_for_each_other() {
    let cases = [(10, "C:", 64, 1), (14, "C:", 64, 1), (10, "C: x y", 1, 1), (10, "C: x y", 1, 2)];
    for (kind, other, wave, lanes) in cases {
        let source = format!("A: a b | {other}");
        let mut world = World::of(options(1, kind), &source, options(2, kind), "");
        (world.settings.wave, world.settings.connections) = (wave, lanes);
        // INBOX, which was there before, has another UIDVALIDITY than those that are made.
        world.destination.with(|account| {
            let inbox = account.folder("INBOX");
            inbox.uid_validity = UidValidity::new(7).unwrap();
        });
        world.migrate();
        world.destination.with(|account| {
            if other == "C:" {
                fill(account, "C: x y");
            }
            account.delete("A");
            account.rename("C", "A");
        });
        let (in_passing, with_care) = both_plans(&mut world);
        assert_eq!(in_passing.lines(), with_care.lines());
        let copies = if other == "C:" { 2 } else { 4 };
        assert_eq!(in_passing.totals().copies, copies, "{kind} {wave} {lanes}");
    }
}

#[test]
fn a_connection_that_is_lost_in_passing_costs_one_more_look() {
    for nth in 1..8 {
        for of_source in [true, false] {
            let mut world = World::new(SOURCE, "");
            world.migrate();
            let server = if of_source { &world.source } else { &world.destination };
            let mut seen = 0;
            let awaited = move |operation: &Operation| {
                seen += i32::from(matches!(operation, Operation::Scan { .. } | Operation::Open(_)));
                seen == nth
            };
            server.when(awaited, |_| Then::Lose(Loss::BeforeSending));
            assert!(world.plan().changes_nothing(), "{nth}");
        }
    }
}

#[test]
fn where_nothing_is_tried_again_a_connection_that_is_lost_in_passing_is_the_fault() {
    let mut world = World::new(SOURCE, "");
    world.migrate();
    world.settings.retries = 0;
    world.source.when(
        |operation| matches!(operation, Operation::Scan { .. }),
        |_| Then::Lose(Loss::BeforeSending),
    );
    let fault = world.try_plan().map(drop).unwrap_err();
    assert!(fault.to_string().starts_with("the source: the connection was lost"), "{fault}");
    assert!(world.plan().changes_nothing());
}

#[test]
fn a_folder_that_is_refused_in_passing_is_left_out_and_the_rest_is_planned() {
    let mut world = World::new(SOURCE, "");
    let refuse =
        |operation: &Operation| matches!(operation, Operation::Open(name) if *name == wire("Work"));
    let refusal = || {
        Then::Refuse(mailferry::store::Refusal {
            bad: false,
            code: None,
            text: "no".to_owned(),
            known_words: false,
        })
    };
    // In passing, and once more with care.
    world.source.when(refuse, move |_| refusal());
    world.source.when(refuse, move |_| refusal());
    let plan = world.plan();
    let folders = plan.lines().into_iter().filter_map(|line| match line {
        mailferry::plan::Line::Folder(pair) => Some(pair.source.name.to_string()),
        _ => None,
    });
    assert_eq!(folders.collect::<Vec<_>>(), ["INBOX", "Lists", "Work/Old"]);
}

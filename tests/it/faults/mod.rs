//! Faults at full speed: three hundred schedules of cuts, stalls, drips, refusals, goodbyes and lies,
//! on the wire, at either side, with every way to append. Whatever happens on the way, in the end
//! everything is there that was not refused, once, and there is nothing left to do.
//!
//! A schedule comes from its number alone. `MAILFERRY_TEST_SCHEDULE=17` runs number 17 only.

mod schedule;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::faults::schedule::KINDS;
use crate::faults::schedule::MESSAGES;
use crate::faults::schedule::Schedule;
use crate::support::census::Census;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::job::Ran;
use crate::support::mail;
use crate::support::meddler::Kind;
use crate::support::meddler::Meddler;

const SCHEDULES: u32 = 300;

/// How many are under way at a time: most of their time they wait.
const TOGETHER: u32 = 12;

/// How often a plan is applied at most until nothing but refused messages is left.
const ROUNDS: usize = 6;

/// How often what is not disturbed is tried, where no server answers in time.
const TRIES: usize = 20;

const USER: &str = "ann";

struct Ground {
    old: Dovecot,
    new: Dovecot,
    expected: Census,
}

impl Ground {
    fn start() -> Self {
        let old = Dovecot::start(DovecotOptions::slash());
        fill(&old);
        let expected = Census::of(&old, USER);
        assert_eq!(expected.messages(), usize::try_from(MESSAGES).unwrap());
        Self { old, new: Dovecot::start(DovecotOptions::dot()), expected }
    }
}

/// A mailbox of four folders, with equal messages among them, and messages on both sides of what
/// LITERAL- lets go at once.
fn fill(old: &Dovecot) {
    let mut client = old.login(USER);
    // A gap tells the accounts apart where all else about their INBOX is equal.
    for _ in 0..7 {
        let uid = client.append("INBOX", &[], None, &mail::sample(9_000).octets).unwrap();
        client.remove("INBOX", &uid.to_string());
    }
    let folders = ["INBOX", "Work", "Work/2021", "Drafts"];
    for name in &folders[1..] {
        client.create(name);
    }
    for number in 0..MESSAGES {
        let folder = folders[usize::try_from(number % 4).unwrap()];
        let mail = match number % 12 {
            7 | 11 => mail::draft(1),
            5 => mail::sample_of(number, 6_000),
            _ => mail::sample_of(number, 500),
        };
        client.append(folder, &mail.flags, Some(&mail.date), &mail.octets).unwrap();
    }
}

/// Returns what identifies a message of [`fill`] that is there once.
fn mark(number: u32) -> Vec<u8> {
    format!("<{number}.sample@example.org>").into_bytes()
}

#[test]
fn whatever_goes_wrong_on_the_wire_everything_arrives_once() {
    let ground = Ground::start();
    let only: Option<u32> =
        std::env::var("MAILFERRY_TEST_SCHEDULE").ok().map(|number| number.parse().unwrap());
    let (next, took) = (AtomicU32::new(0), Mutex::new(BTreeMap::<Kind, u32>::new()));
    let failed = Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= SCHEDULES {
                        return;
                    }
                    if only.is_some_and(|only| only != number) {
                        continue;
                    }
                    match run(&ground, &Schedule::of(number)) {
                        Ok(kinds) => {
                            let mut took = took.lock().unwrap();
                            for kind in kinds {
                                *took.entry(kind).or_default() += 1;
                            }
                        }
                        Err(fault) => failed.lock().unwrap().push(fault),
                    }
                }
            });
        }
    });
    let (took, failed) = (took.into_inner().unwrap(), failed.into_inner().unwrap());
    tell(&took, began.elapsed());
    assert!(failed.is_empty(), "{} schedules failed:\n{}", failed.len(), failed.join("\n\n"));
    if only.is_none() {
        let never: Vec<_> = KINDS.iter().filter(|kind| !took.contains_key(kind)).collect();
        assert!(never.is_empty(), "never took effect: {never:?}");
    }
}

#[expect(clippy::print_stdout, reason = "a count is for people")]
fn tell(took: &BTreeMap<Kind, u32>, time: Duration) {
    println!("{SCHEDULES} schedules in {time:?}; what took effect:");
    for (kind, times) in took {
        println!("  {times:5} {kind:?}");
    }
}

/// Demands something of a schedule, and tells its number if it does not hold.
macro_rules! demand {
    ($holds:expr, $schedule:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!("{}\n{}", $schedule, format_args!($($what)+)));
        }
    };
}

/// Carries out one schedule; returns what took effect, or what is wrong.
fn run(ground: &Ground, schedule: &Schedule) -> Result<Vec<Kind>, String> {
    let source = Meddler::start(&ground.old, schedule.ways);
    let destination = Meddler::start(&ground.new, schedule.ways);
    let user = format!("user{}", schedule.number);
    let end = |meddler: &Meddler, user: &str| {
        End::at("127.0.0.1", meddler.port, user).more("timeout = \"2 s\"")
    };
    let mut new = end(&destination, &user);
    if schedule.knows_server {
        new = new.more("profile = \"dovecot\"");
    }
    let mut job = Job::new(end(&source, USER), new);
    if schedule.newest_first {
        "[messages]\norder = \"newest-first\"".clone_into(&mut job.more);
        job.write();
    }
    let planned = reached(|| job.run(&["plan", "-o", "plan"]));
    demand!(planned.code == Some(0), schedule, "plan: {planned:?}");
    let refused = schedule.arm(&source, &destination, mark);
    let mut told = Vec::new();
    for round in 0..ROUNDS {
        let ran = job.apply();
        told.push(format!("round {round}: {:?} {}\n{}", ran.code, items(&ran), ran.stderr));
        let (code, there) = (ran.code, Census::of(&ground.new, &user));
        let known = [0, 2, 3, 6, 7, 9, 10].map(Some);
        demand!(known.contains(&code), schedule, "{}\n{}", told.join("\n"), ran.stdout);
        if code == Some(3) || code == Some(10) {
            let missing = without_row(&ground.expected, &there, &ran);
            demand!(missing.is_empty(), schedule, "no row: {missing:?}\n{}", told.join("\n"));
        }
        // Only the run that copies is disturbed, and the last one only if it must be.
        let struck = has_struck(&[&source, &destination], schedule);
        if struck || destination.took().contains(&Kind::Quota) {
            destination.make_room();
        }
        if struck {
            destination.disarm();
            source.disarm();
        }
        let rest = |resting| [&source, &destination].map(|meddler| meddler.rest(resting));
        rest(true);
        let planned = reached(|| job.run(&["plan", "-o", "plan", "--json", "--detailed-exitcode"]));
        rest(false);
        let code = planned.code;
        demand!(matches!(code, Some(0 | 2)), schedule, "{planned:?}\n{}", told.join("\n"));
        let totals = planned.json()["accounts"][0]["totals"].clone();
        if totals["copies"] == refused.len() && totals["flags"] == 0 && ran.code != Some(9) {
            break;
        }
        told.push(format!("still planned: {totals}"));
    }
    let wanted = without(&ground.expected, &refused);
    let there = Census::of(&ground.new, &user);
    let differences = wanted.differences(&there);
    demand!(differences.is_empty(), schedule, "{}\n{}", differences.join("\n"), told.join("\n"));
    // Nothing is left but the refused, each of which is a row.
    let ran = reached(|| job.apply());
    let code = if refused.is_empty() { 0 } else { 3 };
    let rows = ran.item_reasons().values().sum::<usize>();
    demand!(
        ran.code == Some(code) && rows == refused.len(),
        schedule,
        "at last: {ran:?}\n{}",
        told.join("\n")
    );
    demand!(
        Census::of(&ground.new, &user) == there,
        schedule,
        "the last run changed something\n{}",
        told.join("\n")
    );
    let took = [source.took(), destination.took()].concat();
    let struck = has_struck(&[&source, &destination], schedule);
    demand!(struck, schedule, "only {took:?} took effect\n{}", told.join("\n"));
    Ok(took)
}

/// Runs something that nothing disturbs any more. On a machine with much else to do a server may be silent for
/// longer than these runs wait for it: then it is run again, as they advise.
fn reached(run: impl Fn() -> Ran) -> Ran {
    let mut runs = std::iter::repeat_with(run).take(TRIES);
    let first = runs.next().unwrap();
    if first.code == Some(9) {
        return runs.find(|ran| ran.code != Some(9)).unwrap_or(first);
    }
    first
}

/// Tells whether the first fault of a schedule took effect.
fn has_struck(meddlers: &[&Meddler], schedule: &Schedule) -> bool {
    meddlers.iter().any(|meddler| meddler.took().contains(&schedule.faults[0].kind))
}

fn items(ran: &Ran) -> String {
    if ran.stdout.is_empty() { String::new() } else { format!("{:?}", ran.item_reasons()) }
}

/// Folders that lack more messages than a run has rows for them; one row may stand for a whole folder.
fn without_row(expected: &Census, there: &Census, ran: &Ran) -> Vec<String> {
    let items = ran.json()["accounts"][0]["items"].clone();
    let lacking = expected.folders.iter().filter(|(name, messages)| {
        let copied = there.folders.get(*name).map_or(0, Vec::len);
        let of_folder = |item: &&serde_json::Value| item["folder"] == name.join("/");
        let rows: Vec<_> = items.as_array().unwrap().iter().filter(of_folder).collect();
        let whole = rows.iter().any(|row| row["uid"].is_null());
        !whole && copied + rows.len() < messages.len()
    });
    lacking.map(|(name, _)| name.join("/")).collect()
}

/// A mailbox without the messages that hold one of these texts.
fn without(census: &Census, texts: &[Vec<u8>]) -> Census {
    let holds = |octets: &[u8]| {
        texts.iter().any(|text| octets.windows(text.len()).any(|part| part == &text[..]))
    };
    let mut left = census.clone();
    for messages in left.folders.values_mut() {
        messages.retain(|(octets, ..)| !holds(octets));
    }
    left
}

//! A million messages of one folder are planned in less than 160 MiB.
//!
//! The peak is that of a process of its own: this test runs itself again, and reads what the kernel
//! says of the second run.

use std::process::Command;
use std::time::Instant;

use mailferry::identity::Basis;
use mailferry::identity::Digest;
use mailferry::identity::Fingerprint;
use mailferry::mail::Flag;
use mailferry::mail::FlagSet;
use mailferry::mail::FolderName;
use mailferry::mail::PermanentFlags;
use mailferry::mail::Timestamp;
use mailferry::mail::Uid;
use mailferry::mail::WireName;
use mailferry::matching::Matcher;
use mailferry::matching::Options;
use mailferry::matching::Step;
use mailferry::plan::Action;
use mailferry::planner::Agreed;
use mailferry::planner::Group;
use mailferry::planner::GroupFacts;
use mailferry::planner::GroupSource;
use mailferry::planner::RecipeTable;
use mailferry::planner::mark_left_out;
use mailferry::planner::plan_group;
use mailferry::rule::FolderRules;
use mailferry::rule::MessageRules;
use mailferry::rule::NameRules;
use mailferry::rule::Rules;
use mailferry::rule::policy::OnExisting;
use mailferry::snapshot::Row;
use mailferry::snapshot::Rows;

const MESSAGES: u32 = 1_000_000;

/// The promise, in KiB as the kernel counts.
const PEAK_KIB_MAX: u64 = 160 * 1024;

const CHILD: &str = "MAILFERRY_TEST_PLANNING_CHILD";

#[test]
fn a_million_messages_of_one_folder_are_planned_in_160_mib() {
    if std::env::var_os(CHILD).is_some() {
        plan_a_million();
        return;
    }
    let name = "planning_memory::a_million_messages_of_one_folder_are_planned_in_160_mib";
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let figures = text.lines().find_map(|line| line.split_once("planned: ")).unwrap().1;
    let peak: u64 = figures.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak > 90 * 1024, "the entries alone take more: {figures}");
    assert!(peak < PEAK_KIB_MAX, "{figures}");
}

/// Digests that have no order, as those of real mail.
fn digest(message: u32) -> Digest {
    let scattered = u128::from(message).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Digest(scattered.to_be_bytes())
}

fn rows(each: impl Iterator<Item = (u32, FlagSet)>, uid: impl Fn(u32) -> u32) -> Rows {
    let mut rows = Rows::with_room(u64::from(MESSAGES));
    for (message, flags) in each {
        rows.push(
            0,
            Row {
                uid: Uid::new(uid(message)).unwrap(),
                size: Some(u64::from(message % 9_973) + 500),
                date: Some(Timestamp::from_seconds(1_500_000_000 + i64::from(message))),
                flags: &flags,
            },
        );
        rows.fingerprint_last(Fingerprint { digest: digest(message), basis: Basis::Key });
    }
    rows
}

#[expect(clippy::print_stdout, reason = "the figures go to the process that asked for them")]
fn plan_a_million() {
    let seen: FlagSet = [Flag::Seen].into_iter().collect();
    let source = (0..MESSAGES).map(|message| (message, seen.clone()));
    let mut source = rows(source, |message| message + 1);
    // Every tenth message is not at the destination yet, every third has another flag there. It holds
    // them in the opposite order, and some that the source does not have.
    let destination = (0..MESSAGES).map(|message| {
        let message = if message % 10 == 0 { message + MESSAGES } else { message };
        (message, if message % 3 == 0 { FlagSet::new() } else { seen.clone() })
    });
    let destination = rows(destination, |message| 2 * MESSAGES + 1 - message);
    let started = Instant::now();
    let rules = rules();
    mark_left_out(&rules, &mut source);
    let mut matcher = Matcher::new(source.entries, destination.entries, &[], Options::default());
    let Step::Done(found) = matcher.step() else { panic!("nothing more is to be read") };
    drop(matcher);
    let facts = GroupFacts {
        source_flags: &source.flags,
        destination_flags: &destination.flags,
        agreed: &Agreed::new(),
        permanent_flags: Some(&PermanentFlags::all()),
        append_limit: None,
    };
    let (mut copied, mut changed, mut octets) = (0, 0, 0);
    let mut each = |action: Action| {
        octets += serde_json::to_string(&action).unwrap().len();
        match action {
            Action::Copy { messages, .. } => copied += messages,
            Action::Flags { messages, .. } => changed += messages,
            other => panic!("{other:?}"),
        }
    };
    let counts =
        plan_group(&rules, &group(), &found, &facts, &mut RecipeTable::default(), &mut each);
    let took = started.elapsed().as_millis();
    assert_eq!((copied, counts[0].equal, counts[0].extra), (100_000, 900_000, 100_000));
    assert_eq!(changed, counts[0].flags);
    assert!(changed > 290_000);
    assert!(octets < 10 << 20, "{octets} octets of plan");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.trim().trim_end_matches(" kB");
    println!("planned: {peak} KiB at most, {took} ms, {octets} octets of plan");
}

fn group() -> Group {
    let wire = WireName::new(*b"INBOX");
    let name = FolderName::inbox();
    let source = GroupSource { name: name.clone(), wire: wire.clone(), messages: None };
    Group { first_pair: 0, name, wire, exists: true, sources: vec![source], drafts: false }
}

fn rules() -> Rules {
    Rules {
        source: NameRules::default(),
        destination: NameRules::default(),
        folders: FolderRules::default(),
        messages: MessageRules::default(),
        on_existing_flags: OnExisting::Merge,
        message_ceiling: None,
        allow_empty_source: false,
    }
}

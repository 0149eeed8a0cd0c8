//! R2: an append of a dead client that arrives late (M4 of the measurements).

use std::time::Duration;

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::put;
use crate::support::census::Census;
use crate::support::mail;
use crate::support::proxy::AfterDeath;
use crate::support::proxy::Flow;
use crate::support::proxy::Way;

const LARGE: usize = 2_200_000;
const SOON: Duration = Duration::from_secs(20);

/// Kills a run when it has handed over its one message, which a slow line still has to deliver.
/// Returns how much of it is under way.
fn die_with_everything_handed_over(servers: &Servers, rate: u64) -> (Watched, u64) {
    let mut client = servers.old.login(ANN);
    put(&mut client, "INBOX", &mail::sample_of(7, LARGE));
    leave_a_gap(&mut client);
    let slow = Flow { rate_up: Some(rate), after_death: AfterDeath::Drain, ..Flow::default() };
    let watched = servers.watched_with(ANN, ANN, Flow::default(), slow);
    watched.job.plan();
    let before = watched.destination.octets(Way::Up);
    let octets = u64::try_from(LARGE).unwrap();
    let running = watched.job.start(&["apply", "plan"]);
    // The header of the message and the command line come on top.
    assert!(
        watched.destination.wait_for_taken(before + octets + 600, SOON),
        "{}",
        running.stderr()
    );
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(running.kill().code, None);
    assert_eq!(watched.job.open_intents(), 1);
    let under_way = (before + octets).saturating_sub(watched.destination.octets(Way::Up));
    (watched, under_way)
}

#[test]
fn append_that_arrives_while_the_next_run_waits_is_one_copy() {
    let servers = Servers::start();
    let (watched, under_way) = die_with_everything_handed_over(&servers, 1_500_000);
    assert!(under_way > 500_000, "only {under_way} octets are late");
    assert_eq!(servers.new.login(ANN).status("INBOX", "MESSAGES"), 0);
    watched.job.run(&["apply", "plan", "--set", "errors.settle=10 s"]).ends(0);
    // Two: the dead client's and no other. The first run's is counted as well.
    assert_eq!(watched.appends(), 1, "{:?}", watched.destination.commands());
    Census::of(&servers.old, ANN).is_that_of(&Census::of(&servers.new, ANN), "after the rerun");
    assert_eq!(watched.job.open_intents(), 0);
}

#[test]
fn append_that_arrives_after_settle_while_the_next_run_lasts_is_named() {
    let servers = Servers::start();
    let (watched, under_way) = die_with_everything_handed_over(&servers, 500_000);
    assert!(under_way > 1_000_000, "only {under_way} octets are late");
    // The second copy takes as long as the first one: it ends behind it.
    let ran = watched.job.apply().ends(3);
    assert_eq!(ran.item_reasons(), [("late-duplicate".to_owned(), 1)].into(), "{}", ran.stdout);
    assert_eq!(servers.new.login(ANN).status("INBOX", "MESSAGES"), 2);
}

#[test]
fn append_that_arrives_after_the_next_run_is_named_by_the_one_behind_it() {
    let servers = Servers::start();
    // What tells the account when it is reached by another address: an empty one cannot be told.
    let mut client = servers.new.login(ANN);
    client.create("INBOX.Kept");
    put(&mut client, "INBOX.Kept", &mail::sample(9_000));
    let (watched, under_way) = die_with_everything_handed_over(&servers, 300_000);
    assert!(under_way > 1_000_000, "only {under_way} octets are late");
    // Another line, which is fast, to the same account.
    let direct = format!("destination.port={}", servers.new.imap_port);
    let host = format!("destination.host={}", servers.new.host);
    let fast = ["apply", "plan", "--json", "--set", &direct, "--set", &host];
    let ran = watched.job.run(&fast).ends(0);
    assert_eq!(servers.new.login(ANN).status("INBOX", "MESSAGES"), 1, "{}", ran.stdout);
    let begin = std::time::Instant::now();
    while servers.new.login(ANN).status("INBOX", "MESSAGES") < 2 {
        assert!(begin.elapsed() < SOON, "the late one never came");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ran = watched.job.run(&fast).ends(3);
    assert_eq!(ran.item_reasons(), [("late-duplicate".to_owned(), 1)].into(), "{}", ran.stdout);
    assert_eq!(servers.new.login(ANN).status("INBOX", "MESSAGES"), 2);
}

//! Lines that break, replies that are lost, servers that leave or fall silent: a reconnect, never a
//! loss, never a second copy.

use std::time::Duration;
use std::time::Instant;

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::fill;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::put;
use crate::support::census::Census;
use crate::support::mail;
use crate::support::proxy::Fault;
use crate::support::proxy::Place;
use crate::support::proxy::Proxy;
use crate::support::proxy::Way;

const SOON: Duration = Duration::from_secs(20);

/// One large message between small ones.
fn with_a_large_one(servers: &Servers) -> Census {
    let mut client = servers.old.login(ANN);
    for number in 0..12 {
        put(&mut client, "INBOX", &mail::sample(number));
    }
    put(&mut client, "INBOX", &mail::sample_of(50, 700_000));
    for number in 20..40 {
        put(&mut client, "INBOX", &mail::sample(number));
    }
    leave_a_gap(&mut client);
    Census::of(&servers.old, ANN)
}

#[test]
fn line_that_breaks_inside_of_a_literal_costs_a_reconnect_and_no_message() {
    let servers = Servers::start();
    let expected = with_a_large_one(&servers);
    for (number, (way, fault)) in [
        (Way::Down, Fault::Close),
        (Way::Down, Fault::Reset),
        (Way::Up, Fault::Close),
        (Way::Up, Fault::Reset),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("user{number}");
        let what = format!("{way:?} {fault:?}");
        let watched = servers.watched(ANN, &user);
        watched.job.plan();
        let proxy = if way == Way::Down { &watched.source } else { &watched.destination };
        // In the middle of the large message: less passes before it than is left of its octets.
        proxy.arm(Place::Octet(way, proxy.octets(way) + 400_000), fault);
        let connections = proxy.connections();
        let ran = watched.job.apply().ends(0);
        assert_eq!(proxy.struck(), 1, "{what}");
        assert_eq!(proxy.connections(), connections + 2, "{what}: no reconnect");
        // An end of the source inside of a literal ends the destination's session, too.
        let reconnects = if way == Way::Down { 2 } else { 1 };
        assert_eq!(ran.json()["accounts"][0]["retried"], reconnects, "{what}: {}", ran.stdout);
        expected.is_that_of(&Census::of(&servers.new, &user), &what);
        assert_eq!(watched.job.open_intents(), 0, "{what}");
    }
}

#[test]
fn reply_that_is_lost_after_the_message_was_taken_does_not_send_it_again() {
    let servers = Servers::start();
    let mut client = servers.old.login(ANN);
    put(&mut client, "INBOX", &mail::sample_of(1, 50_000));
    leave_a_gap(&mut client);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let lost = Place::Text(Way::Down, b"[APPENDUID".to_vec(), 1);
    watched.destination.arm(lost, Fault::LoseReplies(Duration::from_millis(100)));
    let ran = watched.job.apply().ends(0);
    assert_eq!(watched.destination.struck(), 1);
    assert_eq!(watched.appends(), 1, "{:?}", watched.destination.commands());
    assert_eq!(ran.json()["accounts"][0]["retried"], 1, "{}", ran.stdout);
    Census::of(&servers.old, ANN).is_that_of(&Census::of(&servers.new, ANN), "after the run");
    assert_eq!(watched.job.open_intents(), 0);
}

#[test]
fn replies_lost_in_a_window_of_many_are_found_by_looking() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 120, 40_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let lost = Place::Text(Way::Down, b"[APPENDUID".to_vec(), 2);
    watched.destination.arm(lost, Fault::LoseReplies(Duration::from_millis(300)));
    watched.job.apply().ends(0);
    assert_eq!(watched.destination.struck(), 1);
    expected.is_that_of(&Census::of(&servers.new, ANN), "after the run");
    // At most the one whose literal was cut when the line was closed goes twice.
    let appends = watched.appends();
    let messages = expected.messages();
    assert!((messages..=messages + 1).contains(&appends), "{appends} appends of {messages}");
    assert_eq!(watched.job.open_intents(), 0);
}

#[test]
fn server_that_says_bye_is_called_again() {
    let servers = Servers::start();
    let expected = with_a_large_one(&servers);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    for (proxy, way, server) in
        [(&watched.source, Way::Down, &servers.old), (&watched.destination, Way::Up, &servers.new)]
    {
        proxy.arm(Place::Octet(way, proxy.octets(way) + 300_000), Fault::Hold);
        let running = watched.job.start(&["apply", "plan", "--json"]);
        let struck = proxy.struck() + 1;
        assert!(proxy.wait_for_faults(struck, SOON), "{}", running.stderr());
        proxy.arm(Place::Text(Way::Down, b"* BYE".to_vec(), 1), Fault::Hold);
        assert!(server.end_sessions() > 0, "nobody to say goodbye");
        proxy.release();
        assert!(proxy.wait_for_faults(struck + 1, SOON), "no BYE came");
        proxy.release();
        running.wait().ends(0);
        expected.is_that_of(&Census::of(&servers.new, ANN), &format!("{way:?}"));
        // The next round begins with an empty destination and without a past.
        if way == Way::Down {
            let uids = "1:*";
            servers.new.login(ANN).remove("INBOX", uids);
            std::fs::remove_dir_all(watched.job.state_folder()).unwrap();
            watched.job.plan();
        }
    }
}

#[test]
fn server_that_falls_silent_is_given_up_after_the_timeout_and_called_again() {
    let servers = Servers::start();
    let expected = with_a_large_one(&servers);
    for (number, way) in [Way::Down, Way::Up].into_iter().enumerate() {
        let user = format!("user{number}");
        let watched = impatient(servers.watched(ANN, &user), "20 s");
        watched.job.plan();
        let proxy = if way == Way::Down { &watched.source } else { &watched.destination };
        proxy.arm(Place::Octet(way, proxy.octets(way) + 400_000), Fault::Hold);
        let connections = proxy.connections();
        let began = Instant::now();
        let running = watched.job.start(&["apply", "plan", "--json"]);
        assert!(proxy.wait_for_faults(1, SOON), "{}", running.stderr());
        assert!(wait_for_connections(proxy, connections + 2), "{}", running.stderr());
        proxy.release();
        let ran = running.wait().ends(0);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        assert_ne!(ran.json()["accounts"][0]["retried"], 0, "{}", ran.stdout);
        expected.is_that_of(&Census::of(&servers.new, &user), &format!("{way:?}"));
    }
}

#[test]
fn server_that_stays_silent_ends_the_run_with_9_and_the_plan_may_be_applied_again() {
    let servers = Servers::start();
    let expected = with_a_large_one(&servers);
    let watched = impatient(servers.watched(ANN, ANN), "3 s");
    watched.job.plan();
    let at = watched.destination.octets(Way::Up) + 400_000;
    watched.destination.arm(Place::Octet(Way::Up, at), Fault::Hold);
    let ran = watched.job.apply().ends(9);
    assert!(ran.time < SOON, "{:?}", ran.time);
    watched.destination.release();
    watched.job.apply().ends(0);
    expected.is_that_of(&Census::of(&servers.new, ANN), "after the second run");
    assert_eq!(watched.job.open_intents(), 0);
}

fn impatient(mut watched: Watched, reconnect_for: &str) -> Watched {
    watched.job.source.more.push_str("timeout = \"1 s\"\n");
    watched.job.destination.more.push_str("timeout = \"1 s\"\n");
    watched.job.errors = format!("settle = \"1 s\"\nreconnect-for = \"{reconnect_for}\"\n");
    watched.job.write();
    watched
}

fn wait_for_connections(proxy: &Proxy, connections: u32) -> bool {
    let end = Instant::now() + SOON;
    while proxy.connections() < connections {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

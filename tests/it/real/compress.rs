//! COMPRESS=DEFLATE: the same mail in fewer octets, where it is wanted or where the line is slow.

use std::time::Duration;

use serde_json::Value;

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::fill;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::measured;
use crate::real::mailbox::put;
use crate::real::mailbox::succeeds_where_loopback_is_near;
use crate::support::census::Census;
use crate::support::job::Ran;
use crate::support::mail;
use crate::support::proxy::Fault;
use crate::support::proxy::Flow;
use crate::support::proxy::Place;
use crate::support::proxy::Proxy;
use crate::support::proxy::Way;

/// What a slow line lets through, in octets a second.
const SLOW: u64 = 1_500_000;

impl Watched {
    /// The same with a line for both ends.
    fn says(mut self, line: &str) -> Self {
        self.job.source.more.push_str(line);
        self.job.destination.more.push_str(line);
        self.job.write();
        self
    }
}

fn compression(ran: &Ran) -> Value {
    ran.json()["accounts"][0]["compression"].clone()
}

fn asked(proxy: &Proxy) -> usize {
    proxy.commands().iter().filter(|command| command.contains("COMPRESS")).count()
}

/// Some folders of so many messages each, of 50 kB.
fn fill_folders(servers: &Servers, folders: u32, messages: u32) -> Census {
    let mut client = servers.old.login(ANN);
    for folder in 0..folders {
        let name = format!("Folder{folder}");
        client.create(&name);
        for number in 0..messages {
            put(&mut client, &name, &mail::sample_of(folder * messages + number, 50_000));
        }
    }
    leave_a_gap(&mut client);
    Census::of(&servers.old, ANN)
}

#[test]
fn compressed_migration_is_equal_to_the_octet_and_moves_fewer_octets() {
    let servers = Servers::compressing();
    fill(&servers.old, ANN, 120, 40_000);
    let expected = Census::of(&servers.old, ANN);
    let [off, on] = ["off", "on"].map(|compress| {
        let watched = servers.watched(ANN, compress).says(&format!("compress = \"{compress}\"\n"));
        watched.job.plan();
        let before = [watched.source.octets(Way::Down), watched.destination.octets(Way::Up)];
        let ran = watched.job.apply().ends(0);
        let after = [watched.source.octets(Way::Down), watched.destination.octets(Way::Up)];
        for side in ["source", "destination"] {
            let told = &compression(&ran)[side];
            assert_eq!(
                (&told["on"], &told["why"]),
                (&(compress == "on").into(), &"manifest".into())
            );
        }
        expected.is_that_of(&Census::of(&servers.new, compress), compress);
        watched.job.ends(0, &["verify"]);
        for proxy in [&watched.source, &watched.destination] {
            assert_eq!(asked(proxy) > 0, compress == "on", "{:?}", proxy.commands());
        }
        [after[0] - before[0], after[1] - before[1]]
    });
    measured(&format!(
        "from the source {} then {}, to the destination {} then {}",
        off[0], on[0], off[1], on[1]
    ));
    // Its filler has 5 bits in an octet.
    assert!(on[0] * 10 < off[0] * 8 && on[1] * 10 < off[1] * 8, "{off:?}, then {on:?}");
}

#[test]
fn slow_line_is_measured_and_then_compressed() {
    let servers = Servers::compressing();
    let expected = fill_folders(&servers, 3, 30);
    let delay = Duration::from_millis(5);
    let slow = Flow { delay, rate_up: Some(SLOW), rate_down: Some(SLOW), ..Flow::default() };
    for side in ["source", "destination"] {
        let flow = |end: &str| if end == side { slow } else { Flow::default() };
        let watched = servers.watched_with(ANN, side, flow("source"), flow("destination"));
        // Each connection has enough to measure by.
        let watched = watched.says("limits.connections = 1\n");
        watched.job.plan();
        let ran = watched.job.apply().ends(0);
        let told = &compression(&ran)[side];
        measured(&format!("{side}: {told}"));
        assert_eq!((&told["on"], &told["why"]), (&true.into(), &"line".into()), "{side}");
        let rate = told["octets-per-second"].as_u64().unwrap();
        assert!((SLOW / 10..SLOW * 3).contains(&rate), "{side}: {rate}");
        let proxy = if side == "source" { &watched.source } else { &watched.destination };
        assert!(asked(proxy) > 0, "{side}");
        expected.is_that_of(&Census::of(&servers.new, side), side);
    }
}

#[test]
fn line_that_proves_slow_in_the_middle_of_writing_is_compressed_from_there_on() {
    let servers = Servers::compressing();
    let expected = fill_folders(&servers, 1, 500);
    let delay = Duration::from_millis(5);
    // A quarter of what is worth it: a busy machine waits for octets that are there, which counts as speed.
    let slow = Flow { delay, rate_up: Some(3_000_000), ..Flow::default() };
    let watched = servers.watched_with(ANN, ANN, Flow::default(), slow);
    let watched = watched.says("limits.connections = 1\n");
    watched.job.plan();
    let ran = watched.job.apply().ends(0);
    let told = &compression(&ran)["destination"];
    let sent = watched.destination.octets(Way::Up);
    measured(&format!("{told}, {sent} octets"));
    assert_eq!((&told["on"], &told["why"]), (&true.into(), &"line".into()));
    // One folder, and all of it is one pass: there is no other moment to begin.
    assert_eq!(asked(&watched.destination), 1);
    assert!(sent < 24_000_000, "{sent}");
    expected.is_that_of(&Census::of(&servers.new, ANN), ANN);
}

#[test]
fn loopback_is_found_to_be_near_and_left_as_it_is() {
    let servers = Servers::compressing();
    fill_folders(&servers, 3, 30);
    let mut seen = [false; 2];
    succeeds_where_loopback_is_near(|user| {
        let watched = servers.watched(ANN, user).says("limits.connections = 1\n");
        watched.job.plan();
        let told = compression(&watched.job.apply().ends(0));
        measured(&told.to_string());
        let ends = [("source", &watched.source), ("destination", &watched.destination)];
        for ((side, proxy), seen) in ends.into_iter().zip(&mut seen) {
            let (on, why) = (told[side]["on"] == true, told[side]["why"].as_str().unwrap());
            assert_eq!(on, asked(proxy) > 0, "{side}: {told}");
            // What is not found to be near is measured as a line, and may be too little for that.
            let is_sound =
                if on { why == "line" } else { ["near", "line", "undecided"].contains(&why) };
            assert!(is_sound, "{side}: {told}");
            *seen |= why == "near";
        }
        seen == [true; 2]
    });
}

#[test]
fn line_that_breaks_inside_of_a_compressed_literal_costs_a_reconnect_and_no_message() {
    let servers = Servers::compressing();
    let mut client = servers.old.login(ANN);
    for number in 0..40 {
        let octets = if number == 12 { 700_000 } else { 800 };
        put(&mut client, "INBOX", &mail::sample_of(number, octets));
    }
    leave_a_gap(&mut client);
    let expected = Census::of(&servers.old, ANN);
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
        let watched = servers.watched(ANN, &user).says("compress = \"on\"\n");
        watched.job.plan();
        let proxy = if way == Way::Down { &watched.source } else { &watched.destination };
        // In the middle of the large message, of which some 450,000 octets are left.
        proxy.arm(Place::Octet(way, proxy.octets(way) + 250_000), fault);
        let ran = watched.job.apply().ends(0);
        assert_eq!(proxy.struck(), 1, "{what}");
        let retried = ran.json()["accounts"][0]["retried"].as_u64().unwrap();
        assert!(retried >= 1, "{what}: {}", ran.stdout);
        for side in ["source", "destination"] {
            assert_eq!(compression(&ran)[side]["on"], true, "{what}: of the connection after it");
        }
        expected.is_that_of(&Census::of(&servers.new, &user), &what);
        assert_eq!(watched.job.open_intents(), 0, "{what}");
    }
}

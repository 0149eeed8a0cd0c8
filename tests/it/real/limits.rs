//! Limits of the manifest hold on real servers, and a run that ends at one goes on later.
//!
//! Times are only bounded from below: a slow machine makes nothing fail.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::put;
use crate::real::mailbox::succeeds_where_loopback_is_near;
use crate::support::census::Census;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::job::Ran;
use crate::support::mail;
use crate::support::proxy::Flow;
use crate::support::proxy::Proxy;
use crate::support::proxy::Way;
use crate::support::scripted::Reaction;
use crate::support::scripted::Scripted;
use crate::support::scripted::ScriptedOptions;

/// Puts so many messages of this size into INBOX.
fn fill_inbox(servers: &Servers, user: &str, messages: u32, octets: usize) {
    let mut client = servers.old.login(user);
    for number in 0..messages {
        put(&mut client, "INBOX", &mail::sample_of(number, octets));
    }
    leave_a_gap(&mut client);
}

/// A watched job with more lines in a section, and more of the manifest.
fn limited(servers: &Servers, to: &str, source: &str, destination: &str, more: &str) -> Watched {
    let mut watched = servers.watched(ANN, to);
    watched.job.source = watched.job.source.clone().more(source);
    watched.job.destination = watched.job.destination.clone().more(destination);
    more.clone_into(&mut watched.job.more);
    watched.job.write();
    watched
}

fn octets(proxy: &Proxy) -> u64 {
    proxy.octets(Way::Up) + proxy.octets(Way::Down)
}

fn copied(ran: &Ran) -> u64 {
    ran.json()["accounts"][0]["copied"]["messages"].as_u64().unwrap()
}

#[test]
fn declared_rate_of_octets_holds_for_both_directions_of_a_side() {
    const RATE: u64 = 300_000;
    const BURST: u64 = 50_000;
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 12, 90_000);
    let expected = Census::of(&servers.old, ANN);
    let limits = format!("limits.bytes-per-second = \"{RATE} B\"\nlimits.burst = \"{BURST} B\"");
    for (user, source, destination) in
        [("slow-up", "", limits.as_str()), ("slow-down", &limits, "")]
    {
        let watched = limited(&servers, user, source, destination, "");
        watched.job.plan();
        let proxy = if source.is_empty() { &watched.destination } else { &watched.source };
        let before = octets(proxy);
        let began = Instant::now();
        let ran = watched.job.apply().ends(0);
        let (time, passed) = (began.elapsed(), octets(proxy) - before);
        assert!(passed > 1_000_000, "{user}: {passed}");
        let least = Duration::from_millis((passed - BURST) * 1_000 / RATE);
        assert!(time >= least, "{user}: {passed} octets in {time:?}, not {least:?}");
        assert!(ran.json()["accounts"][0]["waited-for"]["limits-seconds"].as_u64() > Some(0));
        expected.is_that_of(&Census::of(&servers.new, user), user);
    }
}

#[test]
fn declared_rate_of_messages_holds() {
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 25, 700);
    for (user, source, destination) in [
        ("few-up", "", "limits.messages-per-second = 10"),
        ("few-down", "limits.messages-per-second = 10.0", ""),
    ] {
        let watched = limited(&servers, user, source, destination, "");
        watched.job.plan();
        let began = Instant::now();
        let ran = watched.job.apply().ends(0);
        assert_eq!(copied(&ran), 25, "{user}");
        assert!(began.elapsed() >= Duration::from_millis(2_400), "{user}: {:?}", began.elapsed());
    }
}

#[test]
fn run_that_stops_after_its_octets_goes_on_until_all_is_there_and_nothing_twice() {
    const MOST: u64 = 200_000;
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 30, 17_000);
    let expected = Census::of(&servers.old, ANN);
    let more = format!("[limits]\nstop-after-bytes = \"{MOST} B\"");
    let watched = limited(&servers, "portions", "", "", &more);
    watched.job.plan();
    let mut there = 0;
    for round in 0..2 {
        let ran = watched.job.apply().ends(11);
        let report = &ran.json()["accounts"][0];
        let octets = report["copied"]["octets"].as_u64().unwrap();
        // The message that reaches the limit is finished, and no other is begun.
        assert!((MOST..MOST + 20_000).contains(&octets), "round {round}: {octets}");
        assert!(report["notes"].to_string().contains("stop-after-bytes"), "{report}");
        there += copied(&ran);
        assert_eq!(watched.job.links(), there);
        assert_eq!(watched.job.open_intents(), 0);
    }
    assert!(there < 30, "{there}");
    let ran = watched.job.apply().ends(0);
    assert_eq!(there + copied(&ran), 30);
    assert_eq!(watched.appends(), 30, "each message was sent once");
    expected.is_that_of(&Census::of(&servers.new, "portions"), "portions");
}

#[test]
fn run_that_stops_after_its_time_goes_on_later() {
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 40, 3_000);
    let expected = Census::of(&servers.old, ANN);
    let more = "[limits]\nstop-after = \"2 s\"";
    let watched = limited(&servers, "evening", "", "limits.messages-per-second = 8", more);
    watched.job.plan();
    let ran = watched.job.run(&["apply", "plan"]).ends(11);
    assert!(ran.stdout.contains("stop-after of the manifest is over"), "{}", ran.stdout);
    assert!(ran.stdout.contains("left; the same plan goes on later"), "{}", ran.stdout);
    let there = Census::of(&servers.new, "evening").messages();
    assert!(there < 40, "{there}");
    assert_eq!(watched.job.open_intents(), 0);
    // With more time, and without the rate, the rest goes at once.
    let mut watched = watched;
    watched.job.more = String::new();
    watched.job.destination.more = "tls.mode = \"none\"\n".to_owned();
    watched.job.write();
    let ran = watched.job.apply().ends(0);
    assert_eq!(copied(&ran), u64::try_from(40 - there).unwrap());
    expected.is_that_of(&Census::of(&servers.new, "evening"), "evening");
}

#[test]
fn octets_of_a_day_are_not_exceeded_over_restarts_and_end_a_run_that_ends_before_the_day() {
    const DAY: u64 = 1_000_000;
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 20, 90_000);
    let expected = Census::of(&servers.old, ANN);
    let day = format!("limits.bytes-per-day = \"{DAY} B\"");
    // Shorter than what is left of the day, unless the test runs just before midnight: then the run
    // sees both days, and the sum is looked at alone.
    let more = "[limits]\nstop-after = \"4 min\"";
    let watched = limited(&servers, "budget", "", &day, more);
    watched.job.plan();
    let first = watched.job.apply();
    let second = watched.job.apply();
    let near_midnight = jiff::Timestamp::now().as_second().rem_euclid(86_400) > 86_400 - 600;
    if !near_midnight {
        let passed = octets(&watched.destination);
        assert!(passed <= DAY, "{passed} octets in a day of {DAY}");
        assert_eq!(first.code, Some(11), "{first:#?}");
        assert_eq!(second.code, Some(11), "{second:#?}");
        assert!((1..20).contains(&copied(&first)), "{}", copied(&first));
        assert_eq!(copied(&second), 0);
        assert!(first.json()["accounts"][0]["notes"].to_string().contains("bytes-per-day"));
    }
    let mut watched = watched;
    watched.job.destination.more = "tls.mode = \"none\"\n".to_owned();
    watched.job.write();
    watched.job.apply().ends(0);
    expected.is_that_of(&Census::of(&servers.new, "budget"), "budget");
}

#[test]
fn logins_of_a_minute_are_counted_for_both_ends_at_one_host() {
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 3, 900);
    let watched = limited(&servers, "rare", "", "", "");
    watched.job.plan();
    let logins = || {
        let is_login = |command: &&String| {
            let command = command.to_ascii_uppercase();
            command.starts_with("AUTHENTICATE") || command.starts_with("LOGIN ")
        };
        let of = |proxy: &Proxy| proxy.commands().iter().filter(is_login).count();
        of(&watched.source) + of(&watched.destination)
    };
    let before = logins();
    let mut job = watched.job;
    job.source = job.source.clone().more("limits.logins-per-minute = 1");
    job.more = "[limits]\nstop-after = \"1 s\"".to_owned();
    job.write();
    let ran = job.run(&["apply", "plan"]).ends(11);
    assert!(
        ran.stderr.contains("waiting 59 s: logins-per-minute")
            || ran.stderr.contains("waiting 1 min"),
        "{}",
        ran.stderr
    );
    assert_eq!(logins() - before, 1);
}

#[test]
fn server_that_puts_off_logins_commands_and_messages_is_waited_for_and_gets_everything_once() {
    let servers = Servers::start();
    fill_inbox(&servers, ANN, 12, 900);
    let busy = Scripted::start(ScriptedOptions::full());
    let mut job = Job::new(End::of(&servers.old, ANN), End::scripted(&busy));
    job.errors = "settle = \"1 s\"\nretries = 3\n".to_owned();
    job.write();
    let put_off = |text: &str, millis: u32| {
        Reaction::No(format!("{text} Suggested Backoff Time: {millis} milliseconds"))
    };
    let mut left = vec![
        ("AUTHENTICATE", put_off("Too many simultaneous connections.", 300)),
        ("LIST", put_off("[THROTTLED] Slow down.", 300)),
        ("EXAMINE", put_off("[INUSE] Slow down.", 300)),
        ("UID FETCH", put_off("Request is throttled.", 300)),
        ("AUTHENTICATE", put_off("[LIMIT] Rate.", 300)),
        ("APPEND", put_off("Request is throttled.", 1_100)),
    ];
    left.reverse();
    let remaining = Arc::new(AtomicUsize::new(left.len()));
    let counted = Arc::clone(&remaining);
    busy.on_command(move |event| match left.last() {
        Some((verb, _)) if event.verb == *verb => {
            counted.fetch_sub(1, Ordering::SeqCst);
            left.pop().map_or(Reaction::Normal, |(_, reaction)| reaction)
        }
        _ => Reaction::Normal,
    });
    let began = Instant::now();
    job.plan();
    let ran = job.apply().ends(0);
    assert_eq!(remaining.load(Ordering::SeqCst), 0, "all of them came to pass");
    assert!(began.elapsed() >= Duration::from_millis(2_600));
    assert_eq!(copied(&ran), 12);
    assert_eq!(busy.folder("INBOX").unwrap().messages.len(), 12);
    assert!(ran.json()["accounts"][0]["items"].as_array().unwrap().is_empty());
    let waited = &ran.json()["accounts"][0]["waited-for"]["destination-seconds"];
    assert!(waited.as_u64() >= Some(1), "{waited}");
}

/// Fills some folders, so that several connections are worth it.
fn fill_folders(servers: &Servers, user: &str) -> Census {
    let mut client = servers.old.login(user);
    for folder in 0..6 {
        let name = format!("Folder{folder}");
        client.create(&name);
        for number in 0..25 {
            put(&mut client, &name, &mail::sample_of(folder * 100 + number, 60_000));
        }
    }
    leave_a_gap(&mut client);
    Census::of(&servers.old, user)
}

#[test]
fn no_more_connections_are_open_at_once_than_declared_or_processors_where_nobody_says() {
    let servers = Servers::start();
    let expected = fill_folders(&servers, ANN);
    let processors = std::thread::available_parallelism().unwrap().get();
    succeeds_where_loopback_is_near(|user| {
        let mut silent = servers.watched(ANN, user);
        silent.job.source.connections = None;
        silent.job.destination.connections = None;
        silent.job.write();
        silent.job.plan();
        silent.job.apply().ends(0);
        expected.is_that_of(&Census::of(&servers.new, user), user);
        let most = [&silent.source, &silent.destination].map(Proxy::most_open);
        assert!(most.iter().all(|most| *most <= 4), "{most:?}");
        usize::try_from(most[0]).unwrap() == processors.min(4)
    });
    for (user, source, destination, most) in [
        ("four", "", "", 4),
        ("two", "", "limits.connections = 2\n", 2),
        ("one", "limits.connections = 1\n", "", 1),
    ] {
        let watched = limited(&servers, user, source, destination, "");
        watched.job.plan();
        watched.job.apply().ends(0);
        assert_eq!(watched.source.most_open(), most, "{user}");
        assert_eq!(watched.destination.most_open(), most, "{user}");
        expected.is_that_of(&Census::of(&servers.new, user), user);
    }
    let total = "limits.total-connections = 3\n";
    let watched = limited(&servers, "total", total, total, "");
    watched.job.plan();
    watched.job.apply().ends(0);
    // Both ends are at one host.
    let both = watched.source.most_open() + watched.destination.most_open();
    assert!((2..=3).contains(&both), "{both}");
    expected.is_that_of(&Census::of(&servers.new, "total"), "total");
}

#[test]
fn server_that_lets_in_fewer_connections_than_are_tried_gets_everything_once() {
    let servers = Servers::start();
    let expected = fill_folders(&servers, ANN);
    for most in [1, 2] {
        let user = format!("lets{most}in");
        let few = Flow { connections: Some(most), ..Flow::default() };
        let watched = servers.watched_with(ANN, &user, Flow::default(), few);
        watched.job.plan();
        let ran = watched.job.apply().ends(0);
        assert_eq!(watched.destination.most_open(), most);
        assert_eq!(copied(&ran), 150);
        expected.is_that_of(&Census::of(&servers.new, &user), &user);
    }
}

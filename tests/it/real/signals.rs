//! Ctrl-C and SIGTERM in the middle of a run: once in order, twice at once, safe in both cases.

use std::time::Duration;
use std::time::Instant;

use rustix::process::Signal;

use crate::real::mailbox::ANN;
use crate::real::mailbox::SLOWLY;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::fill;
use crate::support::census::Census;
use crate::support::job::Running;
use crate::support::proxy::Fault;
use crate::support::proxy::Place;
use crate::support::proxy::Way;

const SOON: Duration = Duration::from_secs(10);

/// A run that stands still in the middle of a message to the destination.
fn held(servers: &Servers, user: &str) -> (Watched, Running) {
    let watched = servers.watched(ANN, user);
    watched.job.plan();
    let at = watched.destination.octets(Way::Up) + 120_000;
    watched.destination.arm(Place::Octet(Way::Up, at), Fault::Hold);
    // So slowly that not all of it is under way by then.
    let arguments = [&["apply", "plan", "--json"][..], &SLOWLY].concat();
    let running = watched.job.start(&arguments);
    assert!(watched.destination.wait_for_faults(1, SOON), "{}", running.stderr());
    (watched, running)
}

#[test]
fn signal_ends_the_run_in_order_and_the_next_one_goes_on() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 150, 30_000);
    let expected = Census::of(&servers.old, ANN);
    for (user, signal, code) in
        [("int", Signal::INT, 130), ("term", Signal::TERM, 143), ("hup", Signal::HUP, 130)]
    {
        let (watched, running) = held(&servers, user);
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(100));
        watched.destination.release();
        let ran = running.wait().ends(code);
        let report = ran.json();
        assert_eq!(report["exit"], code, "{user}");
        // What was in flight was finished: nothing is in doubt, and the journal knows all that is there.
        assert_eq!(watched.job.open_intents(), 0, "{user}");
        let there = Census::of(&servers.new, user).messages();
        assert!(there > 0 && there < expected.messages(), "{user}: {there}");
        assert_eq!(watched.job.links(), u64::try_from(there).unwrap(), "{user}");
        assert_eq!(report["accounts"][0]["copied"]["messages"], there, "{user}");
        let ran = watched.job.apply().ends(0);
        let rest = expected.messages() - there;
        assert_eq!(ran.json()["accounts"][0]["copied"]["messages"], rest, "{user}");
        expected.is_that_of(&Census::of(&servers.new, user), user);
    }
}

#[test]
fn signal_given_twice_ends_the_run_at_once_and_the_next_one_goes_on() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 150, 30_000);
    let expected = Census::of(&servers.old, ANN);
    for (user, second, code) in [("int", Signal::INT, 130), ("term", Signal::TERM, 143)] {
        let (watched, running) = held(&servers, user);
        running.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        running.signal(second);
        // The line still stands still: nothing can be finished.
        running.wait().ends(code);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        watched.destination.release();
        watched.job.apply().ends(0);
        expected.is_that_of(&Census::of(&servers.new, user), user);
        assert_eq!(watched.job.open_intents(), 0, "{user}");
    }
}

#[test]
fn signal_during_plan_and_verify_ends_them_and_leaves_no_plan() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 150, 30_000);
    for arguments in [["plan", "-o", "plan"], ["verify", "--level", "content"]] {
        let watched = servers.watched(ANN, ANN);
        watched.source.arm(Place::Octet(Way::Down, 3_000), Fault::Hold);
        let running = watched.job.start(&arguments);
        assert!(watched.source.wait_for_faults(1, SOON), "{}", running.stderr());
        running.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
        watched.source.release();
        running.wait().ends(130);
        assert!(!watched.job.path("plan").exists());
    }
}

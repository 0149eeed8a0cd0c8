//! P1: killed at any moment and run again: nothing lost, nothing twice.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::fill;
use crate::real::mailbox::measured;
use crate::support::census::Census;
use crate::support::proxy::AfterDeath;
use crate::support::proxy::Fault;
use crate::support::proxy::Flow;
use crate::support::proxy::Place;
use crate::support::proxy::Way;

const MOMENTS: u32 = 50;

/// How many jobs are under way at a time: most of their time they wait.
const TOGETHER: u32 = 5;

/// What came of one moment.
#[derive(Debug, Default)]
struct Seen {
    with_work_left: u32,
    with_open_intents: u32,
    late: u32,
}

#[test]
fn killed_at_fifty_moments_and_run_again_nothing_is_lost_and_nothing_twice() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 300, 150_000);
    let expected = Census::of(&servers.old, ANN);
    // One run to its end tells how many octets pass, and how many of them before the first message.
    let whole = servers.watched(ANN, "whole");
    whole.job.plan();
    let before = (whole.source.octets(Way::Down), whole.destination.octets(Way::Up));
    whole.job.apply().ends(0);
    expected.is_that_of(&Census::of(&servers.new, "whole"), "a run to its end");
    let passed =
        (whole.source.octets(Way::Down) - before.0, whole.destination.octets(Way::Up) - before.1);
    assert!(passed.0 > expected.octets() && passed.1 > expected.octets(), "{passed:?}");
    let (next, seen) = (AtomicU32::new(0), Mutex::new(Seen::default()));
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                loop {
                    let moment = next.fetch_add(1, Ordering::SeqCst);
                    if moment >= MOMENTS {
                        return;
                    }
                    let came = one_moment(&servers, &expected, moment, passed);
                    let mut seen = seen.lock().unwrap();
                    seen.with_work_left += came.with_work_left;
                    seen.with_open_intents += came.with_open_intents;
                    seen.late += came.late;
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    measured(&format!("{MOMENTS} moments over {passed:?} octets: {seen:?}"));
    assert!(seen.with_work_left >= 40, "{seen:?}");
    // Otherwise no message was under way at any moment, and the journal was never asked.
    assert!(seen.with_open_intents >= 10, "{seen:?}");
}

/// Holds the line at one octet, kills the program there, and runs it again until it ends well.
/// Even moments strike on the way from the source, odd ones on the way to the destination, where
/// every other one delivers what the dead client had handed over.
fn one_moment(servers: &Servers, expected: &Census, moment: u32, passed: (u64, u64)) -> Seen {
    let user = format!("user{moment}");
    let what = format!("moment {moment}");
    let after_death = if moment % 4 == 3 { AfterDeath::Drain } else { AfterDeath::Backpressure };
    let flow = Flow { after_death, ..Flow::default() };
    let watched = servers.watched_with(ANN, &user, Flow::default(), flow);
    watched.job.plan();
    let (proxy, way, octets) = if moment.is_multiple_of(2) {
        (&watched.source, Way::Down, passed.0)
    } else {
        (&watched.destination, Way::Up, passed.1)
    };
    let at = proxy.octets(way) + octets * u64::from(moment / 2 * 2 + 1) / u64::from(MOMENTS);
    proxy.arm(Place::Octet(way, at), Fault::Hold);
    let running = watched.job.start(&["apply", "plan"]);
    let struck = proxy.wait_for_faults(1, Duration::from_secs(30));
    assert!(struck, "{what}: octet {at} was never reached: {}", running.stderr());
    // What is in the program's own hands gets on as far as it can.
    std::thread::sleep(Duration::from_millis(u64::from(moment % 5) * 5));
    let killed = running.kill();
    assert_eq!(killed.code, None, "{what}: ended by itself");
    let open = watched.job.open_intents();
    let there = Census::of(&servers.new, &user).messages();
    proxy.release();
    let mut runs = 0;
    loop {
        let ran = watched.job.apply();
        if ran.code == Some(0) {
            break;
        }
        runs += 1;
        assert!(runs < 3, "{what}: {:?} again and again: {}{}", ran.code, ran.stdout, ran.stderr);
    }
    expected.is_that_of(&Census::of(&servers.new, &user), &what);
    assert_eq!(watched.job.open_intents(), 0, "{what}: the journal is not clean");
    let messages = u64::try_from(expected.messages()).unwrap();
    assert_eq!(watched.job.links(), messages, "{what}: the journal does not know all");
    watched.job.run(&["plan", "--detailed-exitcode"]).ends(0);
    Seen {
        with_work_left: u32::from(there < expected.messages()),
        with_open_intents: u32::from(open > 0),
        late: runs,
    }
}

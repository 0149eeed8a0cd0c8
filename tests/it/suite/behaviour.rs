//! The behaviours, each for any pair of servers.

use std::time::Duration;

use crate::suite::mailbox::ANN;
use crate::suite::mailbox::DRAFTS;
use crate::suite::mailbox::MESSAGES;
use crate::suite::mailbox::Pair;
use crate::suite::mailbox::put;
use crate::support::census::Census;
use crate::support::job::Job;
use crate::support::job::Ran;
use crate::support::mail;
use crate::support::proxy::Fault;
use crate::support::proxy::Place;
use crate::support::proxy::Way;

/// Plans and applies, and demands that all is well.
#[track_caller]
fn migrate(job: &Job) -> Ran {
    job.plan();
    job.apply().ends(0)
}

/// How many messages a run copied.
fn copied(ran: &Ran) -> u64 {
    ran.json()["accounts"][0]["copied"]["messages"].as_u64().unwrap()
}

pub(super) fn first_copy_is_equal_and_there_is_nothing_left_to_do(pair: &Pair) {
    pair.fill();
    let (source, before) = (pair.source(), pair.destination());
    assert_eq!(source.messages(), usize::try_from(MESSAGES).unwrap());
    let job = pair.job();
    job.run(&["verify"]).ends(4);
    assert_eq!(copied(&migrate(&job)), u64::from(MESSAGES));
    // Contents, flags, dates and folders.
    source.is_that_of(&pair.destination(), "after the first run");
    assert_ne!(before, pair.destination());
    job.run(&["verify"]).ends(0);
    job.run(&["plan", "--detailed-exitcode"]).ends(0);
    // The same plan once more.
    assert_eq!(copied(&job.apply().ends(0)), 0);
    source.is_that_of(&pair.destination(), "after the same plan");
    assert_eq!(copied(&migrate(&job)), 0);
    source.is_that_of(&pair.destination(), "after an empty plan");
    source.is_that_of(&pair.source(), "the source itself");
}

pub(super) fn what_changed_since_is_copied_and_nothing_else(pair: &Pair) {
    pair.fill();
    let job = pair.job();
    migrate(&job);
    let mut client = pair.old.login(ANN);
    put(&mut client, "INBOX", &mail::sample(501));
    put(&mut client, "INBOX", &mail::draft(1));
    put(&mut client, &pair.old.name(&DRAFTS), &mail::draft(2));
    client.create(&pair.old.name(&["Later"]));
    put(&mut client, &pair.old.name(&["Later"]), &mail::sample(502));
    client.select("INBOX");
    client.store("2", "+FLAGS (\\Flagged $Later)");
    drop(client);
    job.run(&["verify"]).ends(4);
    job.run(&["plan", "--detailed-exitcode"]).ends(2);
    assert_eq!(copied(&migrate(&job)), 4);
    pair.source().is_that_of(&pair.destination(), "after the second run");
    job.run(&["plan", "--detailed-exitcode"]).ends(0);
    job.run(&["verify"]).ends(0);
}

pub(super) fn state_that_is_lost_costs_no_message_and_doubles_none(pair: &Pair) {
    pair.fill();
    let job = pair.job();
    migrate(&job);
    let source = pair.source();
    // Before the plan, and between plan and apply.
    std::fs::remove_dir_all(job.state_folder()).unwrap();
    job.run(&["plan", "--detailed-exitcode"]).ends(0);
    put(&mut pair.old.login(ANN), "INBOX", &mail::sample(501));
    std::fs::remove_dir_all(job.state_folder()).unwrap();
    job.plan();
    std::fs::remove_dir_all(job.state_folder()).unwrap();
    job.apply().ends(0);
    pair.source().is_that_of(&pair.destination(), "without state");
    assert_eq!(pair.destination().messages(), source.messages() + 1);
    job.run(&["verify"]).ends(0);
}

pub(super) fn killed_and_run_again_nothing_is_lost_and_nothing_twice(pair: &Pair) {
    const MOMENTS: u64 = 3;
    const SOON: Duration = Duration::from_secs(20);
    pair.fill();
    let source = pair.source();
    let (whole, _source, proxy) = pair.watched("whole");
    whole.plan();
    let before = proxy.octets(Way::Up);
    whole.apply().ends(0);
    let passed = proxy.octets(Way::Up) - before;
    let mut left = 0;
    for moment in 1..=MOMENTS {
        let (user, what) = (format!("user{moment}"), format!("moment {moment}"));
        let (job, _source, proxy) = pair.watched(&user);
        job.plan();
        let at = proxy.octets(Way::Up) + passed * moment / (MOMENTS + 1);
        proxy.arm(Place::Octet(Way::Up, at), Fault::Hold);
        let running = job.start(&["apply", "plan"]);
        assert!(proxy.wait_for_faults(1, SOON), "{what}: {}", running.stderr());
        assert_eq!(running.kill().code, None, "{what}: ended by itself");
        let there = Census::of(&*pair.new, &user).messages();
        left += usize::from(there > 0 && there < source.messages());
        proxy.release();
        job.apply().ends(0);
        source.is_that_of(&Census::of(&*pair.new, &user), &what);
        assert_eq!(job.open_intents(), 0, "{what}: the journal is not clean");
        job.run(&["plan", "--detailed-exitcode"]).ends(0);
        job.run(&["verify"]).ends(0);
    }
    assert!(left > 0, "no moment was in the middle of the work");
}

pub(super) fn message_that_is_missing_is_found_by_verify(pair: &Pair) {
    pair.fill();
    let job = pair.job();
    migrate(&job);
    let source = pair.source();
    pair.new.login(ANN).remove("INBOX", "2");
    for level in ["counts", "content"] {
        job.run(&["verify", "--level", level]).ends(4);
    }
    let ran = job.run(&["verify", "--json"]).ends(4);
    let differences = ran.json()["accounts"][0]["differences"].clone();
    assert_eq!(differences.as_array().unwrap().len(), 1, "{differences}");
    assert_eq!(differences[0]["reason"], "missing");
    assert_eq!(copied(&migrate(&job)), 1);
    source.is_that_of(&pair.destination(), "copied again");
    job.run(&["verify"]).ends(0);
}

//! R13, R16: folders that are replaced, renamed or filled by others, and messages that go, between
//! plan and apply and in the middle of a run.

use std::time::Duration;

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::fill;
use crate::real::mailbox::put;
use crate::support::census::Census;
use crate::support::job::Running;
use crate::support::mail;
use crate::support::proxy::Fault;
use crate::support::proxy::Place;
use crate::support::proxy::Way;

const SOON: Duration = Duration::from_secs(20);

/// Lets a run stand still before its second batch to a folder: the first one is read back.
fn held_in(servers: &Servers, folder: &str) -> (Watched, Running) {
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let text = format!("APPEND \"{folder}\"").into_bytes();
    watched.destination.arm(Place::Text(Way::Up, text, 2), Fault::Hold);
    let running = watched.job.start(&["apply", "plan", "--json"]);
    assert!(watched.destination.wait_for_faults(1, SOON), "{}", running.stderr());
    (watched, running)
}

/// How often a folder was created through the proxy.
fn creates(watched: &Watched, folder: &str) -> usize {
    let command = format!("CREATE \"{folder}\"");
    watched.destination.commands().iter().filter(|line| **line == command).count()
}

#[test]
fn folder_that_is_deleted_and_made_again_in_the_middle_is_stale() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 2_000);
    let (watched, running) = held_in(&servers, "INBOX.Work.2021");
    let mut client = servers.new.login(ANN);
    client.delete("INBOX.Work.2021");
    // UIDVALIDITY is made from the time.
    std::thread::sleep(Duration::from_millis(1_100));
    client.create("INBOX.Work.2021");
    put(&mut client, "INBOX.Work.2021", &mail::sample(7_000));
    watched.destination.release();
    let ran = running.wait().ends(6);
    assert!(ran.item_reasons().contains_key("folder-stale"), "{}", ran.stdout);
    assert_eq!(creates(&watched, "INBOX.Work.2021"), 1);
    // The rest was carried out, and the next plan settles it.
    let old = Census::of(&servers.old, ANN);
    watched.job.plan();
    watched.job.apply().ends(0);
    let missing: Vec<String> = old
        .differences(&Census::of(&servers.new, ANN))
        .into_iter()
        .filter(|told| !told.contains("Message number 7000"))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    watched.job.run(&["verify"]).ends(0);
}

#[test]
fn folder_that_is_renamed_in_the_middle_is_stale_and_never_made_again() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 2_000);
    let (watched, running) = held_in(&servers, "INBOX.Work.2021");
    servers.new.login(ANN).rename("INBOX.Work.2021", "INBOX.Moved");
    watched.destination.release();
    let ran = running.wait().ends(6);
    assert!(ran.item_reasons().contains_key("folder-stale"), "{}", ran.stdout);
    assert_eq!(creates(&watched, "INBOX.Work.2021"), 1);
    assert!(!servers.new.login(ANN).folders().contains(&"INBOX.Work.2021".to_owned()));
}

#[test]
fn folder_of_the_plan_that_somebody_else_made_and_filled_gets_only_what_it_lacks() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 2_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let mut client = servers.new.login(ANN);
    client.create("INBOX.Work");
    client.create("INBOX.Work.2021");
    let there = servers.old.login(ANN).messages("Work/2021");
    for message in &there[..10] {
        let flags: Vec<&str> = message.flags.iter().map(String::as_str).collect();
        client.append("INBOX.Work.2021", &flags, Some(&message.date), &message.octets);
    }
    watched.job.apply().ends(0);
    expected.is_that_of(&Census::of(&servers.new, ANN), "after the run");
    assert_eq!(watched.appends(), expected.messages() - 10);
}

#[test]
fn message_that_goes_from_the_source_after_the_plan_is_noted_and_no_fault() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 2_000);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    servers.old.login(ANN).remove("Work/2021", "5,9");
    let ran = watched.job.apply().ends(0);
    assert_eq!(ran.json()["accounts"][0]["left-out"]["gone-at-source"], 2, "{}", ran.stdout);
    Census::of(&servers.old, ANN).is_that_of(&Census::of(&servers.new, ANN), "after the run");
}

#[test]
fn source_folder_that_is_replaced_after_the_plan_is_stale() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 2_000);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let mut client = servers.old.login(ANN);
    client.delete("Work/2021");
    std::thread::sleep(Duration::from_millis(1_100));
    client.create("Work/2021");
    for number in 0..40 {
        put(&mut client, "Work/2021", &mail::sample(8_000 + number));
    }
    let ran = watched.job.apply().ends(6);
    assert!(ran.item_reasons().contains_key("folder-stale"), "{}", ran.stdout);
    // None of the other messages under the planned UIDs.
    assert_eq!(servers.new.login(ANN).status("INBOX.Work.2021", "MESSAGES"), 0);
    watched.job.plan();
    watched.job.apply().ends(0);
    Census::of(&servers.old, ANN).is_that_of(&Census::of(&servers.new, ANN), "after the next plan");
}

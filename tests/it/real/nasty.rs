//! Mail that gives programs trouble, and servers that refuse some of it.

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::measured;
use crate::real::mailbox::put;
use crate::support::census::Census;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::mail;
use crate::support::mail::Delivery;

/// What a process may hold while a message of any size passes, in KiB.
const MEMORY: u64 = 64 * 1024;

fn fill_nasty(server: &Dovecot) -> usize {
    let mut client = server.login(ANN);
    client.create("Odd &- Ends");
    let mut messages = 0;
    for (delivery, mail) in mail::nasty() {
        match delivery {
            Delivery::Append => {
                put(&mut client, "Odd &- Ends", &mail);
            }
            Delivery::File => server.put_file(ANN, &["Odd &- Ends"], &mail.octets),
        }
        messages += 1;
    }
    client.create("Drafts");
    put(&mut client, "Drafts", &mail::draft(1));
    put(&mut client, "INBOX", &mail::sample(1));
    leave_a_gap(&mut client);
    messages + 2
}

/// What Dovecot refuses of the nasty mail: the message that is empty.
fn without_the_empty_one(mut census: Census) -> Census {
    for kept in census.folders.values_mut() {
        kept.retain(|(octets, ..)| !octets.is_empty());
    }
    census
}

#[test]
fn nasty_mail_arrives_octet_for_octet_and_is_copied_once() {
    let servers = Servers::start();
    let messages = fill_nasty(&servers.old);
    let whole = Census::of(&servers.old, ANN);
    assert_eq!(whole.messages(), messages);
    let expected = without_the_empty_one(whole);
    assert_eq!(expected.messages(), messages - 1);
    let job = servers.job();
    job.plan();
    let ran = job.apply().ends(3);
    assert_eq!(ran.item_reasons(), [("refused-by-destination".to_owned(), 1)].into());
    expected.is_that_of(&Census::of(&servers.new, ANN), "after the run");
    // The row explains what is missing, and what was refused is planned again.
    job.run(&["verify"]).ends(3);
    let planned = || {
        let ran = job.run(&["plan", "-o", "plan", "--json", "--detailed-exitcode"]).ends(2);
        let totals = ran.json()["accounts"][0]["totals"].clone();
        (totals["copies"].as_u64().unwrap(), totals["flags"].as_u64().unwrap())
    };
    assert_eq!(planned(), (1, 0));
    // Without state the messages themselves have to tell.
    std::fs::remove_dir_all(job.state_folder()).unwrap();
    assert_eq!(planned(), (1, 0));
    job.apply().ends(3);
    expected.is_that_of(&Census::of(&servers.new, ANN), "without state");
}

#[test]
fn draft_that_was_edited_in_place_arrives_as_it_is_now() {
    for keeps_state in [true, false] {
        let servers = Servers::start();
        let mut client = servers.old.login(ANN);
        client.create("Drafts");
        put(&mut client, "Drafts", &mail::draft(1));
        put(&mut client, "INBOX", &mail::sample(1));
        leave_a_gap(&mut client);
        let job = servers.job();
        job.plan();
        job.apply().ends(0);
        client.remove("Drafts", "1:*");
        put(&mut client, "Drafts", &mail::draft(2));
        if !keeps_state {
            std::fs::remove_dir_all(job.state_folder()).unwrap();
        }
        job.run(&["verify"]).ends(4);
        job.run(&["plan", "-o", "plan", "--detailed-exitcode"]).ends(2);
        let ran = job.apply().ends(0);
        assert_eq!(ran.json()["accounts"][0]["copied"]["messages"], 1, "{}", ran.stdout);
        let drafts = Census::of(&servers.new, ANN).folders[&vec!["Drafts".to_owned()]].clone();
        let texts: Vec<_> = drafts.iter().map(|(octets, ..)| octets.clone()).collect();
        assert_eq!(texts, [mail::draft(1).octets, mail::draft(2).octets], "state: {keeps_state}");
        job.run(&["plan", "--detailed-exitcode"]).ends(0);
        job.run(&["verify"]).ends(0);
    }
}

#[test]
fn what_the_server_refuses_is_a_row_and_the_rest_goes_on() {
    let old = Dovecot::start(DovecotOptions::slash());
    // Room for everything but the large ones.
    let new = Dovecot::start(DovecotOptions { quota: Some(3_000_000), ..DovecotOptions::dot() });
    let mut client = old.login(ANN);
    client.create("Work");
    let refused = [3, 7];
    for number in 0..12 {
        let octets = if refused.contains(&number) { 4_000_000 } else { 1_000 };
        let folder = if number < 6 { "INBOX" } else { "Work" };
        put(&mut client, folder, &mail::sample_of(number, octets));
    }
    leave_a_gap(&mut client);
    let job = Job::new(End::of(&old, ANN), End::of(&new, ANN));
    job.plan();
    let ran = job.apply().ends(10);
    assert_eq!(ran.item_reasons(), [("quota".to_owned(), 2)].into(), "{}", ran.stdout);
    let items = ran.json()["accounts"][0]["items"].clone();
    for item in items.as_array().unwrap() {
        assert!(item["uid"].is_u64(), "{item}");
        assert!(item["said"].as_str().unwrap().to_lowercase().contains("quota"), "{item}");
        assert_ne!(item["remedy"], "", "{item}");
    }
    assert_eq!(Census::of(&new, ANN).messages(), 10);
    // The rows explain what is missing.
    let ran = job.run(&["verify", "--json"]).ends(3);
    let differences = ran.json()["accounts"][0]["differences"].clone();
    assert_eq!(differences.as_array().unwrap().len(), 2, "{differences}");
    assert!(differences.as_array().unwrap().iter().all(|row| row["known-item"] == true));
    job.run(&["verify", "--level", "counts"]).ends(3);
    // They are planned again, and nothing else is.
    let ran = job.run(&["plan", "--json", "--detailed-exitcode"]).ends(2);
    assert_eq!(ran.json()["accounts"][0]["totals"]["copies"], 2, "{}", ran.stdout);
}

#[test]
fn quota_that_is_reached_ends_the_sending() {
    let old = Dovecot::start(DovecotOptions::slash());
    let new = Dovecot::start(DovecotOptions { quota: Some(1_500_000), ..DovecotOptions::dot() });
    let mut client = old.login(ANN);
    for number in 0..60 {
        put(&mut client, "INBOX", &mail::sample_of(number, 100_000));
    }
    leave_a_gap(&mut client);
    let proxy = crate::support::proxy::Proxy::start(&new.host, new.imap_port);
    let job = Job::new(End::of(&old, ANN), End::at("127.0.0.1", proxy.port, ANN));
    job.plan();
    let ran = job.apply().ends(10);
    let copied = ran.json()["accounts"][0]["copied"]["messages"].as_u64().unwrap();
    assert_eq!(copied, new.login(ANN).status("INBOX", "MESSAGES"));
    assert!((13..=15).contains(&copied), "{copied}");
    let sent = proxy.octets(crate::support::proxy::Way::Up);
    // One window may be under way when the third refusal comes; all of it would be 6 MB.
    measured(&format!("quota: {copied} copied, {sent} octets sent of {}", 60 * 100_000));
    assert!(!ran.item_reasons().is_empty());
    job.run(&["verify"]).ends(3);
}

#[test]
fn message_of_60_mb_passes_in_little_memory() {
    let servers = Servers::start();
    let huge = mail::huge();
    let mut client = servers.old.login(ANN);
    put(&mut client, "INBOX", &mail::sample(1));
    put(&mut client, "INBOX", &huge);
    put(&mut client, "INBOX", &mail::sample(2));
    leave_a_gap(&mut client);
    drop(client);
    let job = servers.job();
    job.plan();
    let ran = job.apply().ends(0);
    let verified = job.run(&["verify"]).ends(0);
    measured(&format!(
        "60 MB: apply {} KiB in {:?}, verify {} KiB in {:?}",
        ran.peak, ran.time, verified.peak, verified.time
    ));
    assert!(ran.peak > 1_000 && verified.peak > 1_000, "memory was not seen");
    assert!(ran.peak < MEMORY && verified.peak < MEMORY, "{} {}", ran.peak, verified.peak);
    let messages = servers.new.login(ANN).messages("INBOX");
    assert_eq!(messages.len(), 3);
    assert!(messages[1].octets == huge.octets, "not octet for octet");
}

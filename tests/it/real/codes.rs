//! The exit codes that scripts rely on, each seen for real.

use std::time::Duration;

use crate::real::again;
use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::Watched;
use crate::real::mailbox::fill;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::measured;
use crate::real::mailbox::put;
use crate::support::census::Census;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::dovecot::Plaintext;
use crate::support::dovecot::Tls;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::job::Running;
use crate::support::mail;
use crate::support::proxy::Fault;
use crate::support::proxy::Place;
use crate::support::proxy::Proxy;
use crate::support::proxy::Way;

const SOON: Duration = Duration::from_secs(20);

fn logins(proxy: &Proxy) -> usize {
    let tries = |command: &&String| {
        let upper = command.to_ascii_uppercase();
        upper.starts_with("LOGIN ") || upper.starts_with("AUTHENTICATE ")
    };
    proxy.commands().iter().filter(tries).count()
}

#[test]
fn wrong_password_is_8_after_exactly_one_attempt() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 20, 1_000);
    let mut watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let before = (logins(&watched.source), logins(&watched.destination));
    watched.job.source.password = "not it".to_owned();
    watched.job.destination.password = "not it".to_owned();
    let mut tried = 0;
    for arguments in [vec!["plan"], vec!["apply", "plan"], vec!["verify"]] {
        let ran = watched.job.run(&arguments).ends(8);
        assert!(!ran.stderr.contains("not it") && !ran.stdout.contains("not it"), "{}", ran.stderr);
        tried += 1;
        assert_eq!(logins(&watched.source), before.0 + tried, "{arguments:?}");
        assert!(logins(&watched.destination) <= before.1 + tried, "{arguments:?}");
    }
}

#[test]
fn server_that_cannot_be_reached_is_9() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 20, 1_000);
    let mut job = servers.job();
    job.plan();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    job.destination.port = free.local_addr().unwrap().port();
    drop(free);
    job.errors = "reconnect-for = \"1 s\"\n".to_owned();
    job.write();
    for arguments in [vec!["plan"], vec!["apply", "plan"], vec!["verify"]] {
        let ran = job.run(&arguments).ends(9);
        assert!(ran.time < SOON, "{arguments:?} took {:?}", ran.time);
    }
}

#[test]
fn one_mailbox_at_both_ends_is_12_and_nothing_is_written() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 40, 1_000);
    let before = Census::of(&servers.old, ANN);
    let proxy = Proxy::start(&servers.old.host, servers.old.imap_port);
    let job = Job::new(End::of(&servers.old, ANN), End::at("localhost", proxy.port, ANN));
    job.run(&["plan", "-o", "plan"]).ends(12);
    job.run(&["apply", "mailferry.toml", "--yes"]).ends(12);
    assert!(!job.path("plan").exists());
    assert_eq!(again::changes(&proxy.commands()), Vec::<&String>::new());
    before.is_that_of(&Census::of(&servers.old, ANN), "afterwards");
}

#[test]
fn name_that_was_moved_to_the_other_server_between_plan_and_apply_is_12() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 40, 1_000);
    fill(&servers.new, ANN, 10, 1_000);
    let before = Census::of(&servers.new, ANN);
    let proxy = Proxy::start(&servers.new.host, servers.new.imap_port);
    let mut job = Job::new(End::of(&servers.old, ANN), End::at("127.0.0.1", proxy.port, ANN));
    job.plan();
    // The old name now leads to the new server.
    job.source.port = servers.new.imap_port;
    job.write();
    let said = proxy.commands().len();
    job.apply().ends(12);
    assert_eq!(again::changes(&proxy.commands().split_off(said)), Vec::<&String>::new());
    before.is_that_of(&Census::of(&servers.new, ANN), "afterwards");
}

#[test]
fn login_that_leads_to_another_account_is_12() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 40, 1_000);
    // An empty mailbox has nothing that tells it from another one.
    put(&mut servers.new.login(ANN), "INBOX", &mail::sample(9_000));
    let mut job = servers.job();
    job.plan();
    job.apply().ends(0);
    std::thread::sleep(Duration::from_millis(1_100));
    let other = Dovecot::start(DovecotOptions::dot());
    fill(&other, ANN, 30, 500);
    let before = Census::of(&other, ANN);
    let proxy = Proxy::start(&other.host, other.imap_port);
    job.destination.port = proxy.port;
    job.write();
    job.apply().ends(12);
    assert_eq!(again::changes(&proxy.commands()), Vec::<&String>::new());
    before.is_that_of(&Census::of(&other, ANN), "afterwards");
}

#[test]
fn plan_for_another_manifest_is_6() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 20, 1_000);
    let mut watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let connections = watched.destination.connections();
    watched.job.more = "[folders]\nexclude = [\"Drafts\"]\n".to_owned();
    watched.job.write();
    watched.job.apply().ends(6);
    watched.job.more.clear();
    watched.job.destination.user = "bob".to_owned();
    watched.job.write();
    watched.job.apply().ends(6);
    assert_eq!(watched.destination.connections(), connections);
    // What decides no action may change.
    watched.job.destination.user = ANN.to_owned();
    watched.job.destination.more.push_str("timeout = \"30 s\"\n");
    watched.job.errors = "settle = \"2 s\"\nretries = 1\n".to_owned();
    watched.job.write();
    watched.job.apply().ends(0);
}

#[test]
fn plan_that_was_cut_or_altered_is_6_and_nobody_is_called() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 20, 1_000);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let connections = (watched.source.connections(), watched.destination.connections());
    let whole = std::fs::read(watched.job.path("plan")).unwrap();
    let lines: Vec<usize> = whole
        .iter()
        .enumerate()
        .filter(|(_, octet)| **octet == b'\n')
        .map(|(at, _)| at + 1)
        .collect();
    // Behind the first line it is no manifest any more.
    for end in lines[..lines.len() - 1].iter().flat_map(|&end| [end, end + 10]) {
        std::fs::write(watched.job.path("plan"), &whole[..end]).unwrap();
        watched.job.run(&["apply", "plan"]).ends(6);
    }
    let text = String::from_utf8(whole.clone()).unwrap();
    let altered = text.replacen("\"Drafts\"", "\"Drifts\"", 1);
    assert_ne!(altered, text);
    std::fs::write(watched.job.path("plan"), altered).unwrap();
    watched.job.run(&["apply", "plan"]).ends(6);
    let now = (watched.source.connections(), watched.destination.connections());
    assert_eq!(now, connections);
    std::fs::write(watched.job.path("plan"), whole).unwrap();
    watched.job.apply().ends(0);
}

/// A run that stands still in the middle of a message, its plan ready in the job's folder.
fn standing_still(watched: &Watched) -> Running {
    let at = watched.destination.octets(Way::Up) + 60_000;
    watched.destination.arm(Place::Octet(Way::Up, at), Fault::Hold);
    let running = watched.job.start(&["apply", "plan", "--json"]);
    assert!(watched.destination.wait_for_faults(1, SOON), "{}", running.stderr());
    running
}

#[test]
fn second_run_at_the_same_time_is_7_with_the_same_state_and_with_another() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 20_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    // The other one has a plan and state of its own.
    let mut other = Job::new(watched.job.source.clone(), watched.job.destination.clone());
    other.shares_host_with(&watched.job);
    other.plan();
    let running = standing_still(&watched);
    watched.job.apply().ends(7);
    other.apply().ends(7);
    watched.destination.release();
    running.wait().ends(0);
    other.apply().ends(0);
    expected.is_that_of(&Census::of(&servers.new, ANN), "after all");
}

#[test]
fn second_run_by_another_address_of_a_mailbox_that_holds_mail_is_7() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 100, 20_000);
    put(&mut servers.new.login(ANN), "INBOX", &mail::sample(9_000));
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let mut other = servers.job();
    other.shares_host_with(&watched.job);
    other.plan();
    let running = standing_still(&watched);
    other.apply().ends(7);
    watched.destination.release();
    running.wait().ends(0);
    other.apply().ends(0);
    let all = Census::of(&servers.new, ANN).messages();
    assert_eq!(all, Census::of(&servers.old, ANN).messages() + 1);
}

#[test]
fn run_on_another_host_at_the_same_time_is_noticed_and_doubles_one_window_at_most() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 2_400, 20_000);
    let expected = Census::of(&servers.old, ANN);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let other = servers.job();
    other.plan();
    let running = standing_still(&watched);
    other.apply().ends(0);
    watched.destination.release();
    let ran = running.wait();
    let doubled = Census::of(&servers.new, ANN).messages() - expected.messages();
    measured(&format!("two hosts: {doubled} messages twice, {:?}", ran.item_reasons()));
    // What was under way: a window of unanswered messages, and the one that was to be sent next.
    assert!(doubled <= 1_025, "{doubled}");
    // The later one stops as soon as it sees it, and names whatever is there twice.
    let ran = ran.ends(7);
    let reasons = ran.item_reasons();
    assert_eq!(reasons.get("late-duplicate").copied().unwrap_or(0), doubled, "{reasons:?}");
}

#[test]
fn source_in_which_no_folder_is_seen_is_9_and_not_a_success() {
    let old = Dovecot::start(DovecotOptions { hidden: true, ..DovecotOptions::slash() });
    let new = Dovecot::start(DovecotOptions::dot());
    let job = Job::new(End::of(&old, ANN), End::of(&new, ANN));
    let ran = job.run(&["plan", "-o", "plan"]).ends(9);
    assert!(ran.stderr.contains("source"), "{}", ran.stderr);
    job.run(&["apply", "mailferry.toml", "--yes"]).ends(9);
    job.run(&["verify"]).ends(9);
    job.run(&["verify", "--level", "counts"]).ends(9);
}

#[test]
fn rule_that_selects_no_folder_is_9_and_not_a_success() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 20, 1_000);
    let mut job = servers.job();
    job.more = "[folders]\ninclude = [\"Nobody*\"]\n".to_owned();
    job.write();
    job.run(&["plan"]).ends(9);
    job.run(&["verify"]).ends(9);
    job.errors.push_str("allow-empty-source = true\n");
    job.write();
    job.run(&["plan"]).ends(0);
}

#[test]
fn plan_with_changes_is_2_only_where_it_was_asked_for() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 20, 1_000);
    let job = servers.job();
    job.run(&["plan"]).ends(0);
    job.run(&["plan", "-o", "plan", "--detailed-exitcode"]).ends(2);
    job.apply().ends(0);
    job.run(&["plan", "--detailed-exitcode"]).ends(0);
}

#[test]
fn mail_that_arrives_at_the_source_meanwhile_is_2_and_left_to_the_next_plan() {
    let servers = Servers::start();
    fill(&servers.old, ANN, 60, 20_000);
    let watched = servers.watched(ANN, ANN);
    watched.job.plan();
    let at = watched.destination.octets(Way::Up) + 30_000;
    watched.destination.arm(Place::Octet(Way::Up, at), Fault::Hold);
    let running = watched.job.start(&["apply", "plan", "--json"]);
    assert!(watched.destination.wait_for_faults(1, SOON), "{}", running.stderr());
    put(&mut servers.old.login(ANN), "INBOX", &mail::sample(5_000));
    watched.destination.release();
    running.wait().ends(2);
    let (old, new) = (Census::of(&servers.old, ANN), Census::of(&servers.new, ANN));
    assert_eq!(new.messages() + 1, old.messages());
    watched.job.plan();
    watched.job.apply().ends(0);
    old.is_that_of(&Census::of(&servers.new, ANN), "after the next plan");
}

#[test]
fn flags_that_were_changed_there_meanwhile_are_2_and_left_to_the_next_plan() {
    let servers = Servers::start();
    let mut client = servers.old.login(ANN);
    put(&mut client, "INBOX", &mail::sample(1));
    leave_a_gap(&mut client);
    let job = servers.job();
    let mark = |server: &Dovecot, change: &str| {
        let mut client = server.login(ANN);
        client.select("INBOX");
        client.store("1", change);
    };
    mark(&servers.old, "+FLAGS (\\Seen)");
    job.plan();
    job.apply().ends(0);
    job.run(&["plan"]).ends(0);
    mark(&servers.old, "-FLAGS (\\Seen)");
    job.plan();
    mark(&servers.new, "+FLAGS (\\Flagged)");
    let ran = job.apply().ends(2);
    assert!(ran.stdout.contains("changed meanwhile"), "{}", ran.stdout);
    job.run(&["plan", "--detailed-exitcode"]).ends(2);
}

#[test]
fn server_that_takes_no_password_in_the_clear_gets_none() {
    let closed = Dovecot::start(DovecotOptions {
        plaintext: Plaintext::LoginDisabled,
        ..DovecotOptions::slash()
    });
    let new = Dovecot::start(DovecotOptions::dot());
    let proxy = Proxy::start(&closed.host, closed.imap_port);
    let job = Job::new(End::at("127.0.0.1", proxy.port, ANN), End::of(&new, ANN));
    let ran = job.run(&["plan"]).ends(8);
    assert!(ran.stderr.contains("tls"), "{}", ran.stderr);
    assert_eq!(logins(&proxy), 0, "{:?}", proxy.commands());
}

#[test]
fn certificate_of_ones_own_issuer_is_9_until_the_manifest_trusts_it() {
    let tls = |options| Dovecot::start(DovecotOptions { tls: Tls::Implicit, ..options });
    let (old, new) = (tls(DovecotOptions::slash()), tls(DovecotOptions::dot()));
    fill(&old, ANN, 20, 1_000);
    let end = |server: &Dovecot| {
        let mut end = End::of(server, ANN);
        end.port = server.imaps_port.unwrap();
        end.more.clear();
        end
    };
    let mut job = Job::new(end(&old), end(&new));
    let ran = job.run(&["plan"]).ends(9);
    assert!(ran.stderr.contains("tls.ca"), "{}", ran.stderr);
    for (end, server) in [(&mut job.source, &old), (&mut job.destination, &new)] {
        let ca = server.ca_pem_path.as_ref().unwrap();
        end.more = format!("tls.ca = \"{}\"\n", ca.display());
    }
    job.write();
    job.plan();
    job.apply().ends(0);
    job.run(&["verify"]).ends(0);
    // Trust in an issuer is no trust in every name.
    job.destination.more.push_str("tls.server-name = \"mail.example.com\"\n");
    job.write();
    job.run(&["verify"]).ends(9);
}

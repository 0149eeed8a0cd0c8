//! What Cyrus does in its own way: what it refuses and what it alters, and folders that trade names.

use crate::suite::mailbox::ANN;
use crate::suite::mailbox::Pair;
use crate::suite::mailbox::leave_a_gap;
use crate::suite::mailbox::put;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::job::End;
use crate::support::mail;
use crate::support::mail::Mail;
use crate::support::meddler::Meddler;
use crate::support::server::Cyrus;
use crate::support::server::Server;

fn of(octets: &[u8]) -> Mail {
    Mail { octets: octets.to_vec(), ..mail::sample(1) }
}

#[test]
fn message_that_cyrus_refuses_is_a_row_and_what_it_alters_is_told() {
    let pair = Pair::start(
        || Box::new(Dovecot::start(DovecotOptions::slash())),
        || Box::new(Cyrus::start()),
    );
    let mut client = pair.old.login(ANN);
    leave_a_gap(&mut client);
    put(&mut client, "INBOX", &mail::sample(1));
    put(&mut client, "INBOX", &of(b"no header at all\r\n\r\nbody\r\n"));
    put(
        &mut client,
        "INBOX",
        &of(b"From: M\xfcller <m@example.org>\r\nSubject: Gr\xfc\xdfe\r\nMessage-ID: <8bit@example.org>\r\n\r\nGr\xfc\xdfe\r\n"),
    );
    put(&mut client, "INBOX", &mail::sample(2));
    client.create("a{b}");
    put(&mut client, "a{b}", &mail::sample(3));
    drop(client);
    let job = pair.job();
    job.plan();
    let ran = job.apply().ends(3);
    let expected =
        [("refused-by-destination".to_owned(), 1), ("folder-refused".to_owned(), 1)].into();
    assert_eq!(ran.item_reasons(), expected, "{}", ran.stdout);
    let there = pair.destination();
    assert_eq!(there.messages(), 3, "{there:?}");
    // Refused mail is explained by its rows; what was altered is a difference of its own kind.
    let ran = job.run(&["verify", "--json"]);
    let differences = ran.json()["accounts"][0]["differences"].clone();
    let altered: Vec<_> = differences
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["reason"] == "altered-by-destination")
        .collect();
    assert_eq!(altered.len(), 1, "{differences}");
    assert!(ran.code != Some(0), "{}", ran.stdout);
    // It counts as copied all the same, with state and without.
    for round in ["with state", "without state"] {
        let ran = job.run(&["plan", "-o", "plan", "--json", "--detailed-exitcode"]).ends(2);
        assert_eq!(ran.json()["accounts"][0]["totals"]["copies"], 2, "{round}: {}", ran.stdout);
        job.apply().ends(3);
        there.is_that_of(&pair.destination(), round);
        std::fs::remove_dir_all(job.state_folder()).unwrap();
    }
}

/// Lets two folders trade names. Both were made in one second, so that nothing but MAILBOXID tells
/// them apart: UIDVALIDITY, UIDNEXT and counts are those of before (M8 of the measurements).
fn trade_names(server: &dyn Server) {
    let mut client = server.login(ANN);
    let seen = |client: &mut crate::support::client::Client| {
        ["one", "two"].map(|name| {
            ["UIDVALIDITY", "UIDNEXT", "MESSAGES"].map(|item| client.status(name, item))
        })
    };
    let before = seen(&mut client);
    client.rename("one", "between");
    client.rename("two", "one");
    client.rename("between", "two");
    assert_eq!(seen(&mut client), before);
    assert_eq!(before[0], before[1]);
}

/// Two folders with a message each, made in one second.
fn two_folders(server: &dyn Server) {
    let mut client = server.login(ANN);
    leave_a_gap(&mut client);
    put(&mut client, "INBOX", &mail::sample(9));
    loop {
        for (name, number) in [("one", 1), ("two", 2)] {
            client.create(name);
            put(&mut client, name, &mail::sample(number));
        }
        if client.uid_validity("one") == client.uid_validity("two") {
            return;
        }
        for name in ["one", "two"] {
            client.delete(name);
        }
    }
}

/// Holds the destination to having all of the source, and two messages beside it that were right once.
fn both_are_whole(pair: &Pair, what: &str) {
    let there = pair.destination();
    assert_eq!(there.messages(), 5, "{what}");
    for (name, messages) in pair.source().folders {
        for message in messages {
            assert!(there.folders[&name].contains(&message), "{what}: {name:?}: {message:?}");
        }
    }
}

/// Lets the folders of one side trade names between two runs, and holds the second one to copying what
/// each then lacks. With `hides_ids` the side has no MAILBOXID to tell by.
fn migrate_twice(pair: &Pair, at_source: bool, hides_ids: bool) {
    let what = format!("hides MAILBOXID: {hides_ids}");
    let server = if at_source { &pair.old } else { &pair.new };
    let hiding = Meddler::hiding_ids(&**server);
    let mut job = pair.job();
    if hides_ids {
        let end = if at_source { &mut job.source } else { &mut job.destination };
        *end = End::at("127.0.0.1", hiding.port, ANN);
        job.write();
    }
    job.plan();
    job.apply().ends(0);
    assert_eq!(pair.destination(), pair.source(), "{what}");
    trade_names(&**server);
    job.run(&["plan", "-o", "plan", "--detailed-exitcode"]).ends(2);
    let ran = job.apply().ends(0);
    let copied = ran.json()["accounts"][0]["copied"]["messages"].clone();
    assert_eq!(copied, 2, "{what}: {}", ran.stdout);
    both_are_whole(pair, &what);
    job.run(&["plan", "--detailed-exitcode"]).ends(0);
    job.run(&["verify"]).ends(0);
}

#[test]
fn folders_of_the_source_that_trade_names_are_both_copied() {
    for hides_ids in [false, true] {
        let pair = Pair::start(
            || Box::new(Cyrus::start()),
            || Box::new(Dovecot::start(DovecotOptions::slash())),
        );
        two_folders(&*pair.old);
        migrate_twice(&pair, true, hides_ids);
    }
}

#[test]
fn folders_of_the_destination_that_trade_names_get_what_they_lack() {
    for hides_ids in [false, true] {
        let pair = Pair::start(
            || Box::new(Dovecot::start(DovecotOptions::slash())),
            || Box::new(Cyrus::start()),
        );
        let mut client = pair.old.login(ANN);
        leave_a_gap(&mut client);
        put(&mut client, "INBOX", &mail::sample(9));
        for (name, number) in [("one", 1), ("two", 2)] {
            client.create(name);
            put(&mut client, name, &mail::sample(number));
        }
        // The folders are made by hand: a run may make them a second apart.
        two_folders(&*pair.new);
        migrate_twice(&pair, false, hides_ids);
    }
}

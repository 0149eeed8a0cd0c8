//! What Courier does in its own way.

use crate::suite::mailbox::ANN;
use crate::suite::mailbox::Pair;
use crate::suite::mailbox::leave_a_gap;
use crate::suite::mailbox::put;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::mail;
use crate::support::mail::Mail;
use crate::support::server::Courier;

#[test]
fn folder_name_that_courier_refuses_is_a_row_and_what_it_alters_is_told() {
    let pair = Pair::start(
        || Box::new(Dovecot::start(DovecotOptions::slash())),
        || Box::new(Courier::start()),
    );
    let mut client = pair.old.login(ANN);
    leave_a_gap(&mut client);
    put(&mut client, "INBOX", &mail::sample(1));
    let unended = b"From: a@example.org\r\nMessage-ID: <noend@example.org>\r\n\r\nno end".to_vec();
    put(&mut client, "INBOX", &Mail { octets: unended, ..mail::sample(2) });
    put(&mut client, "INBOX", &mail::sample(3));
    // A name beyond the first plane: a pair of surrogates in modified UTF-7.
    client.create("&2D3eAA-");
    put(&mut client, "&2D3eAA-", &mail::sample(4));
    drop(client);
    let job = pair.job();
    job.plan();
    let ran = job.apply().ends(3);
    assert_eq!(ran.item_reasons(), [("folder-refused".to_owned(), 1)].into(), "{}", ran.stdout);
    let there = pair.destination();
    assert_eq!(there.messages(), 3, "{there:?}");
    let ran = job.run(&["verify", "--json"]);
    let differences = ran.json()["accounts"][0]["differences"].clone();
    let altered: Vec<_> = differences
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["reason"] == "altered-by-destination")
        .collect();
    assert_eq!(altered.len(), 1, "{differences}");
    let planned = || {
        let ran = job.run(&["plan", "-o", "plan", "--json", "--detailed-exitcode"]).ends(2);
        ran.json()["accounts"][0]["totals"]["copies"].as_u64().unwrap()
    };
    assert_eq!(planned(), 1);
    job.apply().ends(3);
    there.is_that_of(&pair.destination(), "the next run");
    // Without state nothing tells that the longer one is ours: better twice than lost, and by name.
    std::fs::remove_dir_all(job.state_folder()).unwrap();
    assert_eq!(planned(), 2);
    let shown = job.run(&["show", "--detail", "messages", "plan"]).ends(0);
    assert_eq!(shown.stdout.matches("content-differs").count(), 1, "{}", shown.stdout);
}

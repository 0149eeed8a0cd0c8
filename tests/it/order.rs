//! Mail stands at the destination in the order of the source, also where the source could answer
//! faster than the destination takes.

use crate::support::client::StoredMessage;
use crate::support::dovecot::{Dovecot, DovecotOptions};
use crate::support::job::{End, Job};
use crate::support::mail;
use crate::support::proxy::{Flow, Proxy};

/// Copies 1,200 messages by a manifest with these lines, over a slow line; returns what was sent and what
/// is kept, in the order of UIDs.
fn copied(lines: &str) -> (Vec<StoredMessage>, Vec<StoredMessage>) {
    let source = Dovecot::start(DovecotOptions::slash());
    let destination = Dovecot::start(DovecotOptions::dot());
    let mut client = source.login("ann");
    client.create("Many");
    for number in 0..1_200 {
        let mail = mail::sample_of(number, 10_000);
        client.append("Many", &mail.flags, Some(&mail.date), &mail.octets);
    }
    let sent = client.messages("Many");
    let flow = Flow { rate_up: Some(8_000_000), ..Flow::default() };
    let proxy = Proxy::start_with(&destination.host, destination.imap_port, flow);
    let end = End::at("127.0.0.1", proxy.port, "bob").more("profile = \"dovecot\"");
    let mut job = Job::hasty(End::of(&source, "ann").more("profile = \"dovecot\""), end, "");
    lines.clone_into(&mut job.more);
    job.write();
    job.ends(0, &["plan", "-o", "the.plan"]);
    job.ends(0, &["apply", "the.plan"]);
    let verified = job.ends(0, &["verify"]);
    assert!(verified.stdout.contains("1,200"), "{}", verified.stdout);
    (sent, destination.login("bob").messages(&destination.name(&["Many"])))
}

#[track_caller]
fn assert_same<'a>(sent: impl Iterator<Item = &'a StoredMessage>, kept: &[StoredMessage]) {
    assert_eq!(kept.len(), 1_200);
    for (sent, kept) in sent.zip(kept) {
        assert!(kept.octets == sent.octets, "UID {} is another message", kept.uid);
        assert_eq!(kept.date, sent.date);
    }
}

#[test]
fn slow_destination_gets_a_real_servers_mail_in_order() {
    let (sent, kept) = copied("");
    assert_same(sent.iter(), &kept);
}

#[test]
fn newest_first_the_last_message_gets_the_lowest_uid() {
    let (sent, kept) = copied("[messages]\norder = \"newest-first\"");
    assert_same(sent.iter().rev(), &kept);
}

//! Mail stands at the destination in the order of the source, also where the source could answer
//! faster than the destination takes.

use crate::support::dovecot::{Dovecot, DovecotOptions};
use crate::support::job::{End, Job};
use crate::support::mail;
use crate::support::proxy::{Flow, Proxy};

#[test]
fn slow_destination_gets_a_real_servers_mail_in_order() {
    let source = Dovecot::start(DovecotOptions::slash());
    let destination = Dovecot::start(DovecotOptions::dot());
    let mut client = source.login("ann");
    client.create("Many");
    let sent: Vec<_> = (0..1_200).map(|number| mail::sample_of(number, 10_000)).collect();
    for mail in &sent {
        client.append("Many", &mail.flags, Some(&mail.date), &mail.octets);
    }
    let flow = Flow { rate_up: Some(8_000_000), ..Flow::default() };
    let proxy = Proxy::start_with(&destination.host, destination.imap_port, flow);
    let end = End::at("127.0.0.1", proxy.port, "bob").more("profile = \"dovecot\"");
    let job = Job::hasty(End::of(&source, "ann").more("profile = \"dovecot\""), end, "");
    job.ends(0, &["plan", "-o", "the.plan"]);
    job.ends(0, &["apply", "the.plan"]);
    let kept = destination.login("bob").messages(&destination.name(&["Many"]));
    assert_eq!(kept.len(), sent.len());
    for (sent, kept) in sent.iter().zip(&kept) {
        assert!(kept.octets == sent.octets, "UID {} is another message", kept.uid);
        assert_eq!(kept.date, sent.date);
    }
}

//! Ten thousand messages: memory stays flat. Times are printed and not judged.

use crate::real::mailbox::ANN;
use crate::real::mailbox::leave_a_gap;
use crate::real::mailbox::measured;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::job::End;
use crate::support::job::Job;
use crate::support::job::Ran;
use crate::support::mail;

/// Puts so many messages of 8 kB into a maildir, as files: faster than by APPEND.
fn fill(server: &Dovecot, user: &str, messages: u32) {
    let mut client = server.login(user);
    leave_a_gap(&mut client);
    client.create("Bulk");
    for number in 0..messages {
        let mail = mail::sample_of(number, 7_600);
        server.put_file(user, &["Bulk"], &mail.octets);
    }
    // Dovecot moves what is new where it belongs at the first look.
    client.select("Bulk");
    assert_eq!(client.status("Bulk", "MESSAGES"), u64::from(messages));
}

fn migrate(old: &Dovecot, new: &Dovecot, messages: u32) -> [Ran; 5] {
    let user = format!("{ANN}{messages}");
    fill(old, &user, messages);
    let job = Job::new(End::of(old, &user), End::of(new, &user));
    let plan = job.plan();
    let apply = job.apply().ends(0);
    assert_eq!(apply.json()["accounts"][0]["copied"]["messages"], messages);
    let verify = job.run(&["verify"]).ends(0);
    let again = job.run(&["plan", "--detailed-exitcode"]).ends(0);
    assert_eq!(new.login(&user).status("INBOX.Bulk", "MESSAGES"), u64::from(messages));
    let mut turned = Job::new(End::of(old, &user), End::of(new, &format!("{user}t")));
    "[messages]\norder = \"newest-first\"".clone_into(&mut turned.more);
    turned.write();
    turned.plan();
    let turned = turned.apply().ends(0);
    for (what, ran) in [
        ("plan", &plan),
        ("apply", &apply),
        ("verify", &verify),
        ("second plan", &again),
        ("apply, newest first", &turned),
    ] {
        measured(&format!("{messages} messages of 8 kB: {what} {:?}, {} KiB", ran.time, ran.peak));
    }
    [plan, apply, verify, again, turned]
}

#[test]
fn ten_thousand_messages_take_no_more_memory_than_one_thousand() {
    let old = Dovecot::start(DovecotOptions::slash());
    let new = Dovecot::start(DovecotOptions::dot());
    let few = migrate(&old, &new, 1_000);
    let many = migrate(&old, &new, 10_000);
    let [plan, apply, verify, again, turned] =
        std::array::from_fn(|at| (few[at].peak, many[at].peak));
    assert!(apply.0 > 1_000, "memory was not seen");
    // 1.3 times: `apply` holds windows, never a mailbox.
    for (few, many) in [apply, turned] {
        assert!(many * 10 <= few * 13, "apply: {few} KiB, then {many} KiB");
    }
    // While a folder is matched it takes 128 octets a message of both sides, on top of the program.
    let matched = 10_000 * 2 * 128 / 1024;
    for (few, many) in [plan, verify, again] {
        assert!(many <= few * 13 / 10 + matched, "{few} KiB, then {many} KiB");
    }
}

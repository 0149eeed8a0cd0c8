//! `verify`: it lists both sides afresh, and believes neither state nor sizes.

use crate::real::mailbox::ANN;
use crate::real::mailbox::Servers;
use crate::real::mailbox::fill;
use crate::support::census::Census;
use crate::support::dovecot::Dovecot;
use crate::support::job::Job;

fn copied(servers: &Servers) -> Job {
    fill(&servers.old, ANN, 60, 20_000);
    let job = servers.job();
    job.plan();
    job.apply().ends(0);
    job.run(&["verify", "--level", "counts"]).ends(0);
    let ran = job.run(&["verify", "--json"]).ends(0);
    let folders = ran.json()["accounts"][0]["folders"].clone();
    let read: u64 =
        folders.as_array().unwrap().iter().map(|row| row["read"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(read).unwrap(), Census::of(&servers.old, ANN).messages());
    job
}

/// Flips one bit of one octet in a text, in a file of the mailbox, behind the server's back.
fn flip(server: &Dovecot, user: &str, text: &str) {
    let mut waiting = vec![server.home(user)];
    let mut flipped = 0;
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                waiting.push(entry.path());
                continue;
            }
            let mut octets = std::fs::read(entry.path()).unwrap();
            let found = octets.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) =
                found.filter(|_| entry.file_name().to_str().unwrap().starts_with("u."))
            {
                octets[at] ^= 1;
                // In place: owner and mode stay, and so do size and time of the directory.
                std::fs::write(entry.path(), octets).unwrap();
                flipped += 1;
            }
        }
    }
    assert_eq!(flipped, 1, "the text is in {flipped} files");
}

#[test]
fn one_flipped_octet_is_found_while_state_says_that_all_is_well() {
    let servers = Servers::start();
    let job = copied(&servers);
    let body = body_of(&servers, "7.sample@example.org");
    flip(&servers.new, ANN, &body[..60]);
    // State does not know, and counts agree.
    job.apply().ends(0);
    job.run(&["verify", "--level", "counts"]).ends(0);
    let ran = job.run(&["verify", "--json"]).ends(4);
    let differences = ran.json()["accounts"][0]["differences"].clone();
    assert_eq!(differences.as_array().unwrap().len(), 1, "{differences}");
    assert_eq!(differences[0]["known-item"], false);
    assert_eq!(differences[0]["folder"], "Work/2021");
    assert_ne!(differences[0]["first-octet"], serde_json::Value::Null, "{differences}");
    job.run(&["verify"]).ends(4);
}

/// The first line of the text of a message.
fn body_of(servers: &Servers, id: &str) -> String {
    let census = Census::of(&servers.old, ANN);
    let text = census
        .folders
        .values()
        .flatten()
        .map(|(octets, ..)| String::from_utf8_lossy(octets).into_owned())
        .find(|text| text.contains(id))
        .unwrap();
    text.split_once("\r\n\r\n").unwrap().1.lines().next().unwrap().to_owned()
}

#[test]
fn message_that_is_missing_is_a_difference_at_every_level() {
    let servers = Servers::start();
    let job = copied(&servers);
    servers.new.login(ANN).remove("INBOX.Work.2021", "3");
    job.run(&["verify", "--level", "counts"]).ends(4);
    let ran = job.run(&["verify", "--json"]).ends(4);
    let differences = ran.json()["accounts"][0]["differences"].clone();
    assert_eq!(differences.as_array().unwrap().len(), 1, "{differences}");
    assert_eq!(differences[0]["reason"], "missing");
    // It is copied again: from then on all is well.
    job.plan();
    job.apply().ends(0);
    job.run(&["verify"]).ends(0);
}

#[test]
fn folder_that_is_missing_is_a_difference() {
    let servers = Servers::start();
    let job = copied(&servers);
    servers.new.login(ANN).delete("INBOX.Work.2021");
    job.run(&["verify", "--level", "counts"]).ends(4);
    job.run(&["verify"]).ends(4);
}

#[test]
fn state_is_not_needed_to_verify() {
    let servers = Servers::start();
    let job = copied(&servers);
    std::fs::remove_dir_all(job.state_folder()).unwrap();
    job.run(&["verify"]).ends(0);
}

//! `plan`, `show` and `verify` leave no mark on either side, and `apply` does what its plan says and
//! nothing else: the program against scripted servers that note every command.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::job::{End, Job};
use crate::support::mail;
use crate::support::scripted::{Event, Reaction, Scripted, ScriptedOptions};

/// Verbs that neither change nor mark anything.
const READING: [&str; 16] = [
    "CAPABILITY",
    "NOOP",
    "ID",
    "ENABLE",
    "LOGIN",
    "AUTHENTICATE",
    "LOGOUT",
    "NAMESPACE",
    "LIST",
    "LSUB",
    "STATUS",
    "EXAMINE",
    "UNSELECT",
    "CLOSE",
    "UID FETCH",
    "UID SEARCH",
];

/// The UID of no message.
const NO_UID: &str = "2147480000";

const DATE: &str = "05-Jan-2021 10:00:00 +0000";

fn dresses() -> [ScriptedOptions; 3] {
    let short = ["LITERAL-", "NAMESPACE", "UIDPLUS", "AUTH=LOGIN"];
    let dotted = ScriptedOptions {
        separator: '.',
        prefix: "INBOX.".to_owned(),
        ..ScriptedOptions::offering(&short)
    };
    [ScriptedOptions::full(), ScriptedOptions::bare(), dotted]
}

/// A name on that server.
fn on(options: &ScriptedOptions, levels: &[&str]) -> String {
    format!("{}{}", options.prefix, levels.join(&options.separator.to_string()))
}

/// Both ends, with mail; of some of it the destination has a copy already.
fn ends(source: ScriptedOptions, destination: ScriptedOptions) -> (Scripted, Scripted) {
    let (names, others) = (source.clone(), destination.clone());
    let (source, destination) = (Scripted::start(source), Scripted::start(destination));
    for number in 1..=9 {
        let mail = mail::sample_of(number, 300 + usize::try_from(number).unwrap() * 37);
        source.put("INBOX", &mail.flags, &mail.date, &mail.octets);
        if number <= 3 {
            destination.put("INBOX", &[], &mail.date, &mail.octets);
        }
    }
    let deep = on(&names, &["Projects", "2024"]);
    source.add_folder(&deep);
    source.subscribe(&deep);
    for number in 20..=24 {
        let mail = mail::sample_of(number, 500 + usize::try_from(number).unwrap() * 41);
        source.put(&deep, &mail.flags, &mail.date, &mail.octets);
    }
    source.put(&deep, &["\\Deleted"], DATE, &mail::sample(90).octets);
    source.add_folder(&on(&names, &["Empty"]));
    destination.add_folder(&on(&others, &["Theirs"]));
    destination.put(&on(&others, &["Theirs"]), &[], DATE, &mail::sample(91).octets);
    (source, destination)
}

fn job(source: &Scripted, destination: &Scripted) -> Job {
    let (source, destination) = (End::scripted(source), End::scripted(destination));
    Job::hasty(source, destination, "[flags]\non-existing = \"add\"\n")
}

fn verb(line: &str) -> String {
    let mut words = line.split(' ').map(str::to_ascii_uppercase);
    let first = words.next().unwrap_or_default();
    if first == "UID" { format!("UID {}", words.next().unwrap_or_default()) } else { first }
}

/// Nothing was done that is forbidden, so far.
#[track_caller]
fn permitted(server: &Scripted) {
    let violations = server.take_violations();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[track_caller]
fn only_reads(server: &Scripted) {
    for line in server.commands() {
        assert!(READING.contains(&&*verb(&line)), "{line}");
        let marks = line.contains("BODY[") || line.contains("RFC822 ") || line.contains("RFC822)");
        assert!(!marks, "{line}");
    }
    assert!(!server.commands().is_empty());
}

#[test]
fn plan_show_and_verify_change_nothing_on_either_side() {
    for dress in dresses() {
        let (source, destination) = ends(dress.clone(), ScriptedOptions::full());
        let job = job(&source, &destination);
        source.forbid_changes();
        destination.forbid_changes();
        job.ends(0, &["plan", "-o", "first.plan"]);
        job.ends(2, &["plan", "--detailed-exitcode"]);
        job.ends(0, &["show", "first.plan", "--detail", "messages"]);
        job.ends(4, &["verify", "--level", "content"]);
        job.ends(4, &["verify", "--level", "counts", "--json"]);
        destination.permit_changes();
        job.ends(0, &["apply", "first.plan"]);
        destination.forbid_changes();
        // Now there is state, and equal mail to compare octet for octet.
        job.ends(0, &["verify", "--level", "content"]);
        job.ends(0, &["plan", "--detailed-exitcode"]);
        // And a difference that state knows nothing of.
        destination.alter("INBOX", |folder| {
            folder.messages[5].octets[400] ^= 1;
            folder.messages[7].flags.clear();
        });
        job.ends(4, &["verify", "--level", "content"]);
        job.run(&["plan", "--json"]);
        permitted(&source);
        permitted(&destination);
        only_reads(&source);
    }
}

#[test]
fn plan_and_verify_change_nothing_when_a_connection_is_lost_at_any_command() {
    let (source, destination) = ends(ScriptedOptions::full(), ScriptedOptions::full());
    let job = job(&source, &destination);
    job.ends(0, &["plan", "-o", "first.plan"]);
    job.ends(0, &["apply", "first.plan"]);
    source.forbid_changes();
    destination.forbid_changes();
    for (arguments, equal) in [(&["plan"][..], 0), (&["verify", "--level", "content"], 0)] {
        for server in [&source, &destination] {
            server.forget_commands();
            job.ends(equal, arguments);
            let commands = server.commands().len();
            assert!(commands >= 6, "{commands}");
            for cut in 1..=commands {
                let mut seen = 0;
                server.on_command(move |event: &Event| {
                    seen += usize::from(event.number > 0);
                    if seen == cut && event.number > 0 {
                        seen += 1;
                        return Reaction::Close;
                    }
                    Reaction::Normal
                });
                let ran = job.run(arguments);
                assert!(matches!(ran.code, Some(0 | 9)), "{arguments:?} cut at {cut}: {ran:#?}");
                assert!(ran.code == Some(0) || ran.stderr.contains("error"), "{ran:#?}");
            }
            server.be_normal();
        }
    }
    job.ends(0, &["verify", "--level", "content"]);
    permitted(&source);
    permitted(&destination);
}

/// What a plan says is to be done at the destination, as the commands that do it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deeds {
    created: Vec<String>,
    subscribed: Vec<String>,
    /// By folder: the octets of each message, in order.
    appended: BTreeMap<String, Vec<usize>>,
    /// By folder: flags, and the UIDs that get them.
    flagged: BTreeMap<(String, BTreeSet<String>), BTreeSet<u64>>,
}

fn planned(plan: &str, source: &Scripted) -> Deeds {
    let mut deeds = Deeds::default();
    let mut pairs = BTreeMap::new();
    for line in plan.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| line[key].as_str().unwrap().to_owned();
        if line["line"] == "folder" {
            let wire = |side: &str| line[side]["wire"].as_str().unwrap().to_owned();
            pairs.insert(line["pair"].as_u64().unwrap(), (wire("source"), wire("destination")));
        }
        if line["line"] != "action" {
            continue;
        }
        let pair = line["pair"].as_u64().and_then(|pair| pairs.get(&pair));
        match line["action"].as_str().unwrap() {
            "create-folder" => deeds.created.push(word("wire")),
            "subscribe" => deeds.subscribed.push(word("wire")),
            "copy" => {
                let (from, to) = pair.unwrap();
                let folder = source.folder(from).unwrap();
                let uids = uids(&word("uids"));
                assert_eq!(u64::try_from(uids.len()).unwrap(), line["messages"].as_u64().unwrap());
                let octets = |uid: &u64| {
                    let message = folder.messages.iter().find(|message| message.uid == *uid);
                    message.unwrap().octets.len()
                };
                deeds.appended.entry(to.clone()).or_default().extend(uids.iter().map(octets));
            }
            "flags" => {
                assert_eq!(line["remove"], Value::Array(Vec::new()));
                let add = line["add"].as_array().unwrap().iter().filter_map(Value::as_str);
                let key = (pair.unwrap().1.clone(), add.map(str::to_owned).collect());
                deeds.flagged.entry(key).or_default().extend(uids(&word("uids")));
            }
            "skip" | "blocked" => {}
            other => panic!("{other}"),
        }
    }
    deeds
}

fn uids(set: &str) -> Vec<u64> {
    set.split(',')
        .flat_map(|part| {
            let (first, last) = part.split_once(':').unwrap_or((part, part));
            first.parse::<u64>().unwrap()..=last.parse::<u64>().unwrap()
        })
        .collect()
}

/// What the commands did; anything but reading and these deeds fails.
fn done(commands: &[String]) -> Deeds {
    let mut deeds = Deeds::default();
    let mut open = String::new();
    for line in commands {
        let quoted: Vec<&str> = line.split('"').collect();
        let name = || quoted[1].to_owned();
        match &*verb(line) {
            "CREATE" => deeds.created.push(name()),
            "SUBSCRIBE" => deeds.subscribed.push(name()),
            "APPEND" => {
                let sizes = line.split('{').skip(1).map(|rest| {
                    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    digits.parse::<usize>().unwrap()
                });
                // An append of nothing asks whether the line would be taken; it stores nothing.
                deeds.appended.entry(name()).or_default().extend(sizes.filter(|size| *size > 0));
            }
            "SELECT" => open = name(),
            "UID STORE" => {
                let words: Vec<&str> = line.split(' ').collect();
                if words[2] == NO_UID {
                    // A STORE to no message asks whether its flags would be taken, where there is none.
                    assert!(deeds.created.contains(&open) && !line.contains("Deleted"), "{line}");
                    continue;
                }
                let (_, list) = line.split_once(" +FLAGS").unwrap();
                let list = list.split(['(', ')']).nth(1).unwrap();
                let key = (open.clone(), list.split(' ').map(str::to_owned).collect());
                deeds.flagged.entry(key).or_default().extend(uids(words[2]));
            }
            other => assert!(READING.contains(&other), "{line}"),
        }
    }
    deeds
}

#[test]
fn apply_does_what_the_plan_says_and_nothing_else() {
    for dress in dresses() {
        let (source, destination) = ends(ScriptedOptions::full(), dress.clone());
        let job = job(&source, &destination);
        source.forbid_changes();
        job.ends(0, &["plan", "-o", "the.plan"]);
        let plan = std::fs::read_to_string(job.path("the.plan")).unwrap();
        source.forget_commands();
        destination.forget_commands();
        job.ends(0, &["apply", "the.plan"]);
        let planned = planned(&plan, &source);
        assert_eq!(planned.appended.values().map(Vec::len).sum::<usize>(), 11, "{planned:?}");
        assert!(!planned.flagged.is_empty() && !planned.subscribed.is_empty(), "{planned:?}");
        assert_eq!(done(&destination.commands()), planned, "{:?}", dress.capabilities);
        only_reads(&source);
        let theirs = destination.folder(&on(&dress, &["Theirs"])).unwrap();
        assert_eq!(theirs.messages.len(), 1);

        // The same plan again: nothing is done, and no body is read.
        source.forget_commands();
        destination.forget_commands();
        destination.forbid_changes();
        job.ends(0, &["apply", "the.plan"]);
        assert_eq!(done(&destination.commands()), Deeds::default());
        assert!(source.commands().iter().all(|line| !line.contains("BODY.PEEK[]")));
        permitted(&source);
    }
}

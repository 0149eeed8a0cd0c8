//! A server is never trusted: whatever it says or does not say, the program ends in time, with a clear
//! fault and exit code 9.

use std::time::Duration;

use crate::support::job::{End, Job, Ran};
use crate::support::mail;
use crate::support::scripted::{Event, Reaction, Scripted, ScriptedOptions};

/// Both ends, five messages at the source and one of them at the destination.
pub(crate) fn ends() -> (Scripted, Scripted) {
    let source = Scripted::start(ScriptedOptions::bare());
    let destination = Scripted::start(ScriptedOptions::full());
    for number in 1..=5 {
        let mail = mail::sample(number);
        source.put("INBOX", &mail.flags, &mail.date, &mail.octets);
        if number == 1 {
            destination.put("INBOX", &mail.flags, &mail.date, &mail.octets);
        }
    }
    (source, destination)
}

pub(crate) fn job(source: &Scripted, destination: &Scripted, retries: u32) -> Job {
    let patience = "timeout = \"2 s\"";
    let (source, destination) = (End::scripted(source), End::scripted(destination));
    Job::hasty(source.more(patience), destination.more(patience), &format!("retries = {retries}\n"))
}

/// Reacts so to the first command of that verb, and to every later one.
pub(crate) fn always(server: &Scripted, verb: &'static str, reaction: &Reaction) {
    let reaction = reaction.clone();
    server.on_command(
        move |event: &Event| {
            if event.verb == verb { reaction.clone() } else { Reaction::Normal }
        },
    );
}

/// Octets without sense, NUL and line ends among them.
fn rubbish() -> Vec<u8> {
    let mut state = 7_u64;
    let mut octets = Vec::new();
    for _ in 0..20_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        octets.push(state.to_be_bytes()[0]);
    }
    octets.extend_from_slice(b"\r\n");
    octets
}

fn say(text: &str) -> Reaction {
    Reaction::Instead(text.as_bytes().to_vec())
}

/// What no honest server does, whatever it was asked.
fn insults() -> Vec<(&'static str, Reaction)> {
    vec![
        ("closes", Reaction::Close),
        ("is silent", Reaction::Wait(Duration::from_secs(30))),
        ("says BYE", say("* BYE [UNAVAILABLE] going down\r\n")),
        ("says rubbish", Reaction::Instead(rubbish())),
        ("says rubbish for ever", Reaction::Forever(rubbish())),
        ("a line without end", Reaction::Forever(vec![b'x'; 65_536])),
        ("an untagged line without end", Reaction::Forever(b"* OK ".repeat(20_000))),
        ("a huge literal", say("* LIST () \"/\" {99999999999}\r\nabc")),
        ("a literal beyond all numbers", say("* LIST () \"/\" {99999999999999999999999}\r\n")),
        ("empty lines for ever", Reaction::Forever(b"\r\n".repeat(8_192))),
        ("continuations for ever", Reaction::Forever(b"+ go on\r\n".repeat(4_096))),
        ("chatter for ever", Reaction::Forever(b"* OK still here\r\n".repeat(4_096))),
        ("news for ever", Reaction::Forever(b"* 5 EXISTS\r\n* 1 EXPUNGE\r\n".repeat(4_096))),
        ("answers what was not asked", say("Z99 OK done\r\n")),
        (
            "a row cut in the middle",
            Reaction::Instead(b"* 1 FETCH (UID 1 BODY[] {900}\r\nabc".to_vec()),
        ),
    ]
}

#[track_caller]
fn is_told(what: &str, ran: &Ran) {
    assert_eq!(ran.code, Some(9), "{what}: {ran:#?}");
    assert!(ran.stderr.starts_with("error: "), "{what}: {ran:#?}");
    assert!(ran.time < Duration::from_mins(1), "{what}: {ran:#?}");
    for text in [&ran.stdout, &ran.stderr] {
        let harmful = |letter: char| letter.is_control() && letter != '\n';
        assert!(!text.contains(harmful), "{what}: {ran:#?}");
    }
}

/// Each insult at each of these verbs of the source, while this command runs.
fn insulted(verbs: &[&'static str], arguments: &[&str]) {
    let (source, destination) = ends();
    let job = job(&source, &destination, 0);
    for verb in verbs {
        for (what, insult) in insults() {
            always(&source, verb, &insult);
            is_told(&format!("{verb}: {what}"), &job.run(arguments));
        }
    }
    source.be_normal();
    job.ends(0, &["plan"]);
}

#[test]
fn greeting_and_login_of_an_insulting_server_are_told() {
    insulted(&["GREETING", "LOGIN"], &["plan"]);
}

#[test]
fn listing_of_an_insulting_server_is_told() {
    insulted(&["LIST", "LSUB"], &["plan"]);
}

#[test]
fn folder_of_an_insulting_server_is_told() {
    insulted(&["EXAMINE"], &["plan"]);
}

#[test]
fn rows_of_an_insulting_server_are_told() {
    insulted(&["UID FETCH"], &["plan"]);
}

#[test]
fn bodies_of_an_insulting_server_are_told_by_verify() {
    insulted(&["UID FETCH"], &["verify", "--level", "content"]);
}

/// At the destination an answer that is no answer leaves the outcome open: the message is looked for,
/// the run ends, and the next one copies what is missing, once.
#[test]
fn insulting_destination_ends_apply_and_nothing_is_doubled() {
    let told =
        ["closes", "says BYE", "a huge literal", "chatter for ever", "answers what was not asked"];
    for (what, insult) in insults().into_iter().filter(|(what, _)| told.contains(what)) {
        let (source, destination) = ends();
        let job = job(&source, &destination, 2);
        job.ends(0, &["plan", "-o", "the.plan"]);
        always(&destination, "APPEND", &insult);
        let ran = job.run(&["apply", "the.plan"]);
        assert!(matches!(ran.code, Some(3 | 9)), "{what}: {ran:#?}");
        assert!(!ran.stderr.is_empty() || !ran.stdout.is_empty(), "{what}");
        assert_eq!(destination.folder("INBOX").unwrap().messages.len(), 1, "{what}");
        destination.be_normal();
        job.ends(0, &["apply", "the.plan"]);
        assert_eq!(destination.folder("INBOX").unwrap().messages.len(), 5, "{what}");
        job.ends(0, &["verify", "--level", "content"]);
    }
}

/// What a server may say at any time, and does: none of it is an answer, and all goes well.
#[test]
fn unsolicited_data_disturbs_nothing() {
    const NEWS: &str = "* OK [ALERT] maintenance tonight\r\n* 2 RECENT\r\n* FLAGS (\\Seen)\r\n\
         * LIST (\\Noselect) \"/\" \"\"\r\n* SEARCH 1 2 3\r\n* STATUS \"x y\" (MESSAGES 9)\r\n\
         * CAPABILITY IMAP4rev1 X-NEW\r\n* NO warning\r\n* X-UNKNOWN (a {3}\r\nabc \"q\\\"\")\r\n\
         * VANISHED (EARLIER) 900:999\r\n* ESEARCH (TAG \"z\") UID ALL 1:3\r\n\
         * 1 FETCH (FLAGS (\\Seen))\r\n* 99 FETCH (UID 4000 FLAGS ())\r\n";
    let (source, destination) = ends();
    let job = job(&source, &destination, 0);
    for server in [&source, &destination] {
        server.on_command(|event: &Event| match event.number {
            0 => Reaction::Normal,
            _ => Reaction::SayFirst(NEWS.as_bytes().to_vec()),
        });
    }
    job.ends(0, &["plan", "-o", "the.plan"]);
    job.ends(0, &["apply", "the.plan"]);
    job.ends(0, &["verify", "--level", "content"]);
    assert_eq!(destination.folder("INBOX").unwrap().messages.len(), 5);
}

//! Folders that are looked at behind the last message.

use crate::imap::fetch::to_look;
use crate::imap::scripted::{Sent, Then};
use crate::imap::session::Session;
use crate::imap::session_tests::{OneMessage, PLUS, inbox, session};
use crate::mail::{Uid, UidSet};
use crate::store::{
    AppendOutcome, AppendResult, Chunk, FetchOutcome, FetchSink, Flow, FolderState, Items, Part,
    RowHead, StoreError, Survey, VisitSink,
};

/// What was seen of each folder.
#[derive(Default)]
struct Seen(Vec<String>);

impl FetchSink for Seen {
    fn begin(&mut self, uid: Uid, _: &RowHead) -> Flow {
        self.0.push(uid.to_string());
        Flow::Go
    }

    fn piece(&mut self, _: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

impl VisitSink for Seen {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.0.push(format!("folder {visit} {}", state.is_ok()));
        true
    }

    fn left(&mut self, _: usize, _: FetchOutcome) {}
}

struct Ran {
    outcome: Result<AppendOutcome, StoreError>,
    results: Vec<AppendResult>,
    seen: Vec<String>,
    session: Session,
    sent: Sent,
}

/// Appends one message, or none, and looks into its folder and another one behind it.
fn run(answers: &[&[u8]], then: Then, messages: bool) -> Ran {
    let (mut session, sent) = session(answers, then);
    let mut queue = OneMessage { handed_out: !messages, ..OneMessage::default() };
    let (inbox, other) = (inbox(), crate::mail::WireName::new(*b"other"));
    let uids = UidSet::range(Uid::new(5).unwrap(), Uid::new(9).unwrap());
    let parts = [Part { uids, items: Items { flags: true, ..Items::default() } }];
    let surveys = [&inbox, &other].map(|folder| Survey { folder, parts: &parts });
    let stops: Vec<_> = surveys.iter().filter_map(to_look).collect();
    let mut seen = Seen::default();
    let outcome = session.append(&mut queue, Some((&stops, &mut seen)));
    Ran { outcome, results: queue.results, seen: seen.0, session, sent }
}

/// Nothing is answered to the message and to what follows before all of it was sent.
const SILENT: [&[u8]; 5] = [PLUS, b"", b"", b"", b""];
const STORED: &[u8] = b"X1 OK [APPENDUID 1 5] stored\r\n";
const LOOKED: &[u8] = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 6] x\r\nX2 OK\r\n\
    * 1 FETCH (UID 5 FLAGS ())\r\nX3 OK\r\n\
    X4 NO gone\r\nX5 BAD nothing is open\r\n";

#[test]
fn folders_are_asked_for_before_the_last_message_is_answered() {
    let all = [STORED, LOOKED].concat();
    let mut ran = run(&[&SILENT[..], &[&all]].concat(), Then::Silence, true);
    assert!(ran.outcome.is_ok());
    assert!(matches!(ran.results[..], [AppendResult::Stored(_)]), "{:?}", ran.results);
    assert_eq!(ran.seen, ["folder 0 true", "5", "folder 1 false"]);
    let expected = [
        "X1 APPEND \"INBOX\" () {4}",
        "mail",
        "X2 EXAMINE \"INBOX\"",
        "X3 UID FETCH 5:9 (UID FLAGS)",
        "X4 EXAMINE \"other\"",
        "X5 UID FETCH 5:9 (UID FLAGS)",
    ];
    assert_eq!(ran.sent.lines()[2..], expected);
    assert!(ran.session.is_alive() && ran.session.open_folder().is_none());
    ran.session.close();
}

#[test]
fn message_that_is_refused_keeps_nobody_from_looking() {
    let all = [b"X1 NO not today\r\n", LOOKED].concat();
    let ran = run(&[&SILENT[..], &[&all]].concat(), Then::Silence, true);
    assert!(matches!(ran.results[..], [AppendResult::Refused(_)]), "{:?}", ran.results);
    assert_eq!(ran.seen, ["folder 0 true", "5", "folder 1 false"]);
    assert!(ran.outcome.is_ok() && ran.session.is_alive());
}

#[test]
fn connection_that_ends_behind_the_answer_costs_the_look_and_no_result() {
    for rest in [&b""[..], b"* 1 EXISTS\r\n", b"* BYE enough\r\n", b"X9 OK what\r\n"] {
        let all = [STORED, rest].concat();
        let ran = run(&[&SILENT[..], &[&all]].concat(), Then::Close, true);
        assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
        assert!(matches!(ran.results[..], [AppendResult::Stored(_)]), "{:?}", ran.results);
        assert!(ran.seen.is_empty() && !ran.session.is_alive());
    }
}

#[test]
fn message_without_an_answer_is_unknown_though_others_were_answered() {
    for answer in [LOOKED, b"* BYE enough\r\n", b"X2 OK out of turn\r\n"] {
        let ran = run(&[&SILENT[..], &[answer]].concat(), Then::Close, true);
        assert!(ran.outcome.is_err());
        assert!(matches!(ran.results[..], [AppendResult::Unknown(_)]), "{:?}", ran.results);
        assert!(ran.seen.is_empty() && !ran.session.is_alive());
    }
}

#[test]
fn nobody_looks_where_nothing_was_sent() {
    let ran = run(&[], Then::Silence, false);
    assert!(ran.outcome.is_ok() && ran.seen.is_empty());
    assert_eq!(ran.sent.lines().len(), 2);
}

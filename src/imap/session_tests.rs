//! Sessions against scripted servers, odd and hostile ones.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use secrecy::SecretString;

use crate::imap::compress::Agreement;
use crate::imap::compress::Compressor;
use crate::imap::connect::Secured;
use crate::imap::greet;
use crate::imap::known::Known;
use crate::imap::login::Credentials;
use crate::imap::pace::Way;
use crate::imap::request::Command;
use crate::imap::scripted;
use crate::imap::scripted::Sent;
use crate::imap::scripted::Then;
use crate::imap::server::Compress;
use crate::imap::session::Session;
use crate::mail::FlagSet;
use crate::mail::ModSeq;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::Chunk;
use crate::store::Compression;
use crate::store::StoreError;
use crate::store::Ticket;
use crate::store::Wait;

pub(super) const GREETING: &[u8] = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n";
pub(super) const PLUS: &[u8] = b"+ \r\n";
pub(super) const LOGGED_IN: &[u8] = b"$T OK [CAPABILITY IMAP4rev1] in\r\n";

pub(super) fn begin(answers: &[&[u8]], then: Then) -> (Result<Session, StoreError>, Sent) {
    begin_agreed(answers, then, Agreement::default())
}

fn begin_agreed(
    answers: &[&[u8]],
    then: Then,
    compression: Agreement,
) -> (Result<Session, StoreError>, Sent) {
    begin_known(answers, then, Known { compression, ..known() })
}

pub(super) fn begin_known(
    answers: &[&[u8]],
    then: Then,
    known: Known,
) -> (Result<Session, StoreError>, Sent) {
    let (wire, sent) = scripted::wire(answers, then);
    let credentials = Credentials::new("joe".to_owned(), SecretString::from("hunter2 is long"));
    let secured = Secured { version: "TLS 1.3", key: None };
    (greet::begin(wire, &secured, &credentials, known), sent)
}

pub(super) fn known() -> Known {
    Known {
        server: "imap.example:143".to_owned(),
        refusals: Arc::from([]),
        refuses_empty: false,
        kept: Arc::default(),
        windows_stopped: Arc::new(AtomicBool::new(false)),
        compression: Agreement::default(),
        gate: None,
        met: Arc::default(),
    }
}

impl Session {
    /// Has the connection pass for a slow one.
    pub(in crate::imap) fn measure_slowly(&mut self) {
        self.with_pace(|pace| {
            pace.moves(Some(Way::Up));
            pace.is_far();
            pace.answered(1 << 20);
            pace.sent(std::time::Duration::from_secs(1));
            pace.answered(1 << 20);
        });
        // It had passed for a near one.
        self.compressor = Compressor::new(&Agreement::default(), true);
    }
}

/// A session whose server goes on with these answers after the login.
pub(super) fn session(answers: &[&[u8]], then: Then) -> (Session, Sent) {
    let all = [&[GREETING, PLUS, LOGGED_IN], answers].concat();
    let (session, sent) = begin(&all, then);
    (session.unwrap(), sent)
}

pub(super) fn failed(answers: &[&[u8]]) -> (StoreError, Vec<String>) {
    let (session, sent) = begin(answers, Then::Close);
    match session {
        Ok(_) => panic!("it logged in"),
        Err(fault) => (fault, sent.lines()),
    }
}

pub(super) fn inbox() -> WireName {
    WireName::new(*b"INBOX")
}

pub(super) fn command_ok(session: &mut Session, line: &str) -> Result<(), StoreError> {
    session.run(&Command::new(line)).map(drop)
}

pub(super) const NOOP_OK: &[u8] = b"$T OK\r\n";

fn opened(answer: &[u8]) -> Result<crate::store::FolderState, StoreError> {
    let (mut session, _) = session(&[answer, NOOP_OK], Then::Silence);
    let opened = session.examine(&inbox());
    let good = opened.as_ref().err().is_none_or(StoreError::connection_is_good);
    assert_eq!(command_ok(&mut session, "NOOP").is_ok(), good, "the session goes on after it");
    opened
}

#[test]
fn odd_untagged_lines_do_not_end_a_session() {
    let state = opened(
        b"*  633 EXISTS\r\n\
          * NO [ALERT] quota 99%\r\n\
          * BAD odd\r\n\
          * XYZZY (nothing happens)\r\n\
          \r\n\
          * 1 FETCH (UID 4 INTERNALDATE NIL EMAILID (x) RFC822.SIZE 5000000000)\r\n\
          * FLAGS (\\Seen caf\xe9 $Work)\r\n\
          * OK [UIDVALIDITY 7] caf\xe9\r\n\
          * OK [UIDNEXT 0] none\r\n\
          * OK [MAILBOXID (F1)] id\r\n\
          $T OK [READ-ONLY] caf\xe9\r\n",
    )
    .unwrap();
    assert_eq!((state.messages, state.uid_validity.get(), state.uid_next), (633, 7, None));
    assert_eq!(state.mailbox_id.unwrap().as_str(), "F1");
    assert_eq!(state.flags.to_string(), "$Work \\Seen");
}

#[test]
fn folder_without_lasting_uids_is_not_worked_with() {
    let unusable = |answer: &[u8]| matches!(opened(answer), Err(StoreError::Unusable(_)));
    assert!(unusable(b"* 3 EXISTS\r\n$T OK\r\n"));
    assert!(unusable(b"* 3 EXISTS\r\n* OK [UIDVALIDITY 0] x\r\n$T OK\r\n"));
    assert!(unusable(b"* OK [UIDVALIDITY 1] x\r\n$T OK\r\n"));
    assert!(unusable(
        b"* 3 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* NO [UIDNOTSTICKY] x\r\n$T OK\r\n"
    ));
}

#[test]
fn empty_permanent_flags_tell_nothing_of_a_folder_open_for_reading() {
    let answer = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [PERMANENTFLAGS ()] x\r\n$T OK\r\n";
    let (mut session, sent) = session(&[answer, answer], Then::Silence);
    assert!(session.examine(&inbox()).unwrap().permanent_flags.any_keyword);
    assert!(session.select(&inbox()).unwrap().permanent_flags.listed.is_empty());
    assert_eq!(sent.lines()[3], "a3 SELECT \"INBOX\"");
}

#[test]
fn refused_command_leaves_the_session_good_and_no_folder_open() {
    let (mut session, _) = session(
        &[
            b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n",
            b"$T NO [NONEXISTENT] gone\r\n",
            NOOP_OK,
        ],
        Then::Silence,
    );
    session.examine(&inbox()).unwrap();
    let fault = session.examine(&WireName::new(*b"x")).unwrap_err();
    assert_eq!(fault.to_string(), "the server said NO [NONEXISTENT] gone");
    assert!(session.open_folder().is_none());
    command_ok(&mut session, "NOOP").unwrap();
}

#[test]
fn folder_that_took_anothers_place_is_noticed() {
    let answer = |validity: u32| {
        format!("* 1 EXISTS\r\n* OK [UIDVALIDITY {validity}] x\r\n$T OK\r\n").into_bytes()
    };
    let other = WireName::new(*b"other");
    let (one, two) = (answer(1), answer(2));
    let (mut session, _) = session(&[&one, &one, &two, &two], Then::Silence);
    session.ensure_open(&inbox()).unwrap();
    session.ensure_open(&other).unwrap();
    assert!(matches!(session.ensure_open(&inbox()), Err(StoreError::Replaced)));
    assert!(session.examine(&inbox()).is_ok(), "who looks anew takes it as it is");
}

#[test]
fn line_break_never_becomes_a_second_command() {
    let (mut session, sent) = session(&[NOOP_OK, NOOP_OK], Then::Silence);
    for hostile in ["NOOP\r\nX1 DELETE INBOX", "NOOP\nX1 DELETE INBOX", "NOOP\0"] {
        let fault = command_ok(&mut session, hostile).unwrap_err();
        assert!(matches!(fault, StoreError::Unsayable(_)), "{fault}");
    }
    let long = "x".repeat(200_000);
    assert!(matches!(command_ok(&mut session, &long), Err(StoreError::Unsayable(_))));
    let name = WireName::new(*b"a\r\nX1 DELETE INBOX");
    let parts = Command::new("NOOP\r\nX1 DELETE INBOX").folder(&name);
    assert!(matches!(session.run(&parts), Err(StoreError::Unsayable(_))));
    command_ok(&mut session, "NOOP").unwrap();
    assert_eq!(sent.lines()[2..], ["a2 NOOP"]);
}

#[test]
fn name_that_no_quotes_hold_goes_as_a_literal_that_waits() {
    let name = WireName::new(*b"caf\xe9");
    let (mut session, sent) = session(
        &[PLUS, b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n", NOOP_OK],
        Then::Silence,
    );
    session.examine(&name).unwrap();
    command_ok(&mut session, "NOOP").unwrap();
    assert_eq!(sent.lines()[2..], ["X1 EXAMINE {4}", "caf\u{fffd}", "a2 NOOP"]);
}

#[test]
fn refused_literal_is_not_sent() {
    let name = WireName::new(*b"a\r\nX9 DELETE INBOX");
    let (mut session, sent) =
        session(&[b"* 5 EXISTS\r\n$T BAD no literals\r\n", NOOP_OK], Then::Silence);
    assert!(matches!(session.examine(&name), Err(StoreError::Refused(_))));
    command_ok(&mut session, "NOOP").unwrap();
    assert_eq!(sent.lines()[2..], ["X1 EXAMINE {18}", "a2 NOOP"]);
}

#[test]
fn quotes_in_names_are_escaped() {
    let command = Command::new("STATUS").folder(&WireName::new(*b"we \"ir\\d")).words("(MESSAGES)");
    assert_eq!(command.to_string(), "STATUS \"we \\\"ir\\\\d\" (MESSAGES)");
}

/// What NOOP says to such an answer, and that nothing is sent after it.
fn dies(answers: &[&[u8]], then: Then) -> String {
    let (mut session, sent) = session(answers, then);
    let fault = command_ok(&mut session, "NOOP").unwrap_err();
    assert!(!fault.connection_is_good(), "{fault}");
    let before = sent.lines().len();
    assert!(command_ok(&mut session, "NOOP").is_err());
    assert!(session.examine(&WireName::new(*b"caf\xe9")).is_err());
    session.close();
    assert_eq!(sent.lines().len(), before, "nothing is sent over a dead connection");
    fault.to_string()
}

#[test]
fn bye_is_told_with_its_text() {
    let told = dies(&[b"* BYE [UNAVAILABLE] maintenance\r\n"], Then::Close);
    assert!(told.contains("the server closed it") && told.contains("maintenance"), "{told}");
}

#[test]
fn answers_to_other_commands_end_the_session() {
    assert!(dies(&[b"a7 OK\r\n"], Then::Silence).contains("not sent"));
    assert!(dies(&[b"X1 OK\r\n"], Then::Silence).contains("not sent"));
    assert!(dies(&[b"$T MAYBE\r\n"], Then::Silence).contains("neither OK, NO nor BAD"));
    assert!(dies(&[b"<html>\r\n"], Then::Silence).contains("neither OK, NO nor BAD"));
}

#[test]
fn silence_ends_after_the_timeout() {
    assert!(dies(&[b"* OK wait\r\n"], Then::Silence).contains("no answer in"));
}

#[test]
fn endless_answers_are_bounded() {
    assert!(dies(&[b"* "], Then::Flood(b'x')).contains("a line of over"));
    assert!(dies(&[b"* OK x {4000000000}\r\n"], Then::Flood(b'x')).contains("a literal of"));
    assert!(dies(&[b""], Then::Flood(b'\n')).contains("without end"));
    let pluses = b"+ go on\r\n".repeat(100);
    assert!(dies(&[&pluses], Then::Silence).contains("continuations without end"));
}

#[test]
fn logout_is_said_once() {
    let (mut session, sent) = session(&[b"* BYE so long\r\n$T OK\r\n"], Then::Close);
    session.close();
    session.close();
    assert_eq!(sent.lines()[2..], ["X1 LOGOUT"]);
}

#[test]
fn folder_that_is_there_counts_as_made() {
    let (mut session, sent) = session(
        &[
            b"$T NO [ALREADYEXISTS] there\r\n",
            b"$T NO Mailbox already exists\r\n",
            b"* STATUS x (MESSAGES 0)\r\n$T OK\r\n",
            b"$T NO may not\r\n",
            b"$T NO no such folder\r\n",
            b"$T NO [OVERQUOTA] full\r\n",
        ],
        Then::Silence,
    );
    let name = WireName::new(*b"x");
    session.create(&name, Some(crate::mail::Role::Sent)).unwrap();
    session.create(&name, None).unwrap();
    let refused = session.create(&name, None).unwrap_err();
    assert_eq!(refused.to_string(), "the server said NO may not");
    assert!(session.create(&name, None).is_err());
    assert_eq!(sent.lines()[2], "a2 CREATE \"x\"");
    assert_eq!(sent.lines().len(), 8);
}

#[test]
fn special_use_is_asked_for_and_lived_without() {
    let (session, sent) = begin(
        &[
            GREETING,
            PLUS,
            b"$T OK [CAPABILITY IMAP4rev1 CREATE-SPECIAL-USE] in\r\n",
            b"$T NO [USEATTR] taken\r\n",
            b"$T OK\r\n",
        ],
        Then::Silence,
    );
    session.unwrap().create(&WireName::new(*b"x"), Some(crate::mail::Role::Sent)).unwrap();
    assert_eq!(sent.lines()[2..], ["a2 CREATE \"x\" (USE (\\Sent))", "a3 CREATE \"x\""]);
}

#[test]
fn search_gathers_all_lines() {
    let (mut session, _) = session(
        &[
            b"* 9 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n",
            b"* SEARCH 9 3 0\r\n* SEARCH 4\r\n$T OK\r\n",
            b"$T OK\r\n",
        ],
        Then::Silence,
    );
    assert_eq!(session.search(&inbox(), "SEEN").unwrap().to_string(), "3:4,9");
    assert!(session.search(&inbox(), "SEEN").unwrap().is_empty());
}

/// One message of four octets, and what became of it.
#[derive(Default)]
pub(super) struct OneMessage {
    pub(super) handed_out: bool,
    pub(super) date: Option<String>,
    pub(super) results: Vec<AppendResult>,
}

impl AppendQueue for OneMessage {
    fn next(&mut self, _wait: Wait) -> Option<AppendMessage> {
        let message = AppendMessage {
            ticket: Ticket(1),
            folder: Arc::new(inbox()),
            flags: FlagSet::new(),
            date: self.date.clone(),
            octets: 4,
            company: AppendMessage::ANY_COMPANY,
        };
        (!std::mem::replace(&mut self.handed_out, true)).then_some(message)
    }

    fn ended(&self) -> bool {
        self.handed_out
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        sink(&Chunk::from(&b"mail"[..]))
    }

    fn done(&mut self, _ticket: Ticket, result: AppendResult) {
        self.results.push(result);
    }
}

#[test]
fn an_echo_in_a_refused_append_is_hidden_and_the_folder_opened_anew_after_it() {
    let answer = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n";
    let refusal = b"$T NO [OVERQUOTA] hunter2 is long\r\n";
    let (mut session, sent) = session(&[answer, NOOP_OK, PLUS, refusal, answer], Then::Silence);
    session.ensure_open(&inbox()).unwrap();
    let mut queue = OneMessage::default();
    session.append(&mut queue, None).unwrap();
    let [AppendResult::Refused(refusal)] = queue.results.as_slice() else {
        panic!("{:?}", queue.results)
    };
    assert_eq!(refusal.to_string(), "NO [OVERQUOTA] [secret]");
    session.ensure_open(&inbox()).unwrap();
    assert_eq!(sent.lines()[3], "X1 CLOSE");
    assert_eq!(sent.lines().last().unwrap(), "a3 EXAMINE \"INBOX\"");
}

#[test]
fn folder_open_for_writing_is_never_closed_as_such() {
    let answer = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n";
    let (mut session, sent) = session(&[answer, answer, NOOP_OK], Then::Silence);
    session.select(&inbox()).unwrap();
    session.leave(&WireName::new(*b"other")).unwrap();
    session.leave(&inbox()).unwrap();
    session.leave(&inbox()).unwrap();
    assert_eq!(sent.lines()[2..], ["a2 SELECT \"INBOX\"", "a3 EXAMINE \"INBOX\"", "a4 CLOSE"]);
}

#[test]
fn dead_session_takes_no_message_off_a_queue() {
    let (mut session, _) = session(&[b"* BYE\r\n"], Then::Close);
    assert!(command_ok(&mut session, "NOOP").is_err());
    let mut queue = OneMessage::default();
    assert!(session.append(&mut queue, None).is_err());
    assert!(!queue.handed_out && queue.results.is_empty());
}

#[test]
fn mod_seqs_are_asked_for_when_a_folder_is_opened_and_lived_without() {
    const OPENED: &[u8] =
        b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [HIGHESTMODSEQ 7] x\r\n$T OK\r\n";
    let (session, sent) = begin(
        &[
            GREETING,
            PLUS,
            b"$T OK [CAPABILITY IMAP4rev1 CONDSTORE] in\r\n",
            OPENED,
            b"$T BAD no parameters here\r\n",
            b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n",
        ],
        Then::Silence,
    );
    let mut session = session.unwrap();
    assert_eq!(session.examine(&inbox()).unwrap().highest_mod_seq, Some(ModSeq(7)));
    assert_eq!(session.examine(&inbox()).unwrap().highest_mod_seq, None);
    assert_eq!(
        sent.lines()[2..],
        [
            "a2 EXAMINE \"INBOX\" (CONDSTORE)",
            "a3 EXAMINE \"INBOX\" (CONDSTORE)",
            "a4 EXAMINE \"INBOX\""
        ]
    );
}

#[test]
fn compression_that_a_server_only_promises_ends_the_connection_and_not_the_next_one() {
    let offers: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in\r\n";
    let agreement = Agreement::new(Compress::On);
    // Its OK, and then it neither inflates nor deflates.
    let promises: &[&[u8]] = &[GREETING, PLUS, offers, b"$T OK go on\r\n\x07* OK plain\r\n"];
    let (session, sent) = begin_agreed(promises, Then::Close, agreement.clone());
    assert!(matches!(session.err().unwrap(), StoreError::Connection(_)));
    assert_eq!(sent.lines()[2], "X1 COMPRESS DEFLATE");
    let (session, sent) =
        begin_agreed(&[GREETING, PLUS, offers, NOOP_OK], Then::Silence, agreement);
    let mut session = session.unwrap();
    assert!(session.abilities().compress);
    assert_eq!(session.compression(), Compression::Refused);
    command_ok(&mut session, "NOOP").unwrap();
    assert_eq!(sent.lines()[2..], ["a2 NOOP"]);
}

#[test]
fn a_session_whose_compression_fails_is_given_up() {
    let offers: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in\r\n";
    let (session, _) = begin(&[GREETING, PLUS, offers], Then::Close);
    let mut session = session.unwrap();
    session.measure_slowly();
    assert!(matches!(session.consider_compression(), Err(StoreError::Connection(_))));
    assert!(matches!(command_ok(&mut session, "NOOP"), Err(StoreError::Connection(_))));
}

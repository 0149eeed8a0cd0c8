//! The beginning of a session, against scripted servers: greeting, login, ID.

use crate::imap::scripted::Then;
use crate::imap::session_tests::{
    GREETING, LOGGED_IN, NOOP_OK, PLUS, begin, begin_known, command_ok, failed, known, session,
};
use crate::store::StoreError;

#[test]
fn plain_dialogue_logs_in_and_capabilities_come_with_it() {
    let (session, sent) = session(&[], Then::Silence);
    assert_eq!(sent.lines()[0], "a1 AUTHENTICATE PLAIN");
    assert_eq!(sent.lines()[1], "AGpvZQBodW50ZXIyIGlzIGxvbmc=");
    assert_eq!(sent.lines().len(), 2);
    assert_eq!(session.seen().mechanism, "PLAIN");
    assert_eq!(session.seen().greeting, "ready");
}

#[test]
fn later_sessions_say_who_they_are_and_do_not_wait() {
    const ABLE: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 ID] in\r\n";
    let known = known();
    let (first, _) = begin_known(&[GREETING, PLUS, ABLE, ODD], Then::Silence, known.clone());
    assert_eq!(first.unwrap().seen().id.as_deref(), Some("Odd"));
    for late in [ODD, b"$T BAD what\r\n", b"* NO [ALERT] x\r\n$T NO\r\n"] {
        let answers = [GREETING, PLUS, ABLE, late, NOOP_OK, NOOP_OK];
        let (begun, sent) = begin_known(&answers, Then::Silence, known.clone());
        let mut session = begun.unwrap();
        assert_eq!(session.seen().id.as_deref(), Some("Odd"));
        assert_eq!(sent.lines().len(), 2, "it goes along with the next command");
        command_ok(&mut session, "NOOP").unwrap();
        command_ok(&mut session, "NOOP").unwrap();
        assert!(sent.lines()[2].contains(" ID (\"name\" \"mailferry\""));
        assert!(session.is_near(), "as the first one found");
    }
}

const ODD: &[u8] = b"* ID (\"name\" \"Odd\")\r\n$T OK\r\n";
const LISTED: &[u8] = b"* LIST () \"/\" INBOX\r\n$T OK\r\n";

#[test]
fn the_first_session_with_a_far_server_does_not_wait_for_its_name() {
    let able = |words: &str| format!("$T OK [CAPABILITY IMAP4rev1 ID{words}] in\r\n").into_bytes();
    let slow = |octets: &[u8]| [b"~".as_slice(), octets].concat();
    let known = known();
    let answers = [&slow(GREETING), &slow(PLUS), &slow(&able("")), ODD, LISTED, NOOP_OK];
    let (begun, sent) = begin_known(&answers, Then::Silence, known.clone());
    let mut session = begun.unwrap();
    assert_eq!(sent.lines().len(), 2, "it goes along with the next command");
    assert_eq!((session.seen().id.as_deref(), session.is_near()), (None, false));
    session.list().unwrap();
    assert_eq!(session.seen().id.as_deref(), Some("Odd"), "it is heard before the listing");
    let (later, _) = begin_known(&[GREETING, PLUS, &able("")], Then::Silence, known);
    assert_eq!(later.unwrap().seen().id.as_deref(), Some("Odd"), "others know it then");
    // How STATUS is asked depends on it.
    let answers = [&slow(GREETING), &slow(PLUS), &slow(&able(" OBJECTID")), ODD];
    let (begun, sent) = begin(&answers, Then::Silence);
    assert_eq!(begun.unwrap().seen().id.as_deref(), Some("Odd"));
    assert_eq!(sent.lines().len(), 3);
}

#[test]
fn where_it_may_the_password_goes_with_the_command() {
    const AT_ONCE: &[u8] = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n";
    let (begun, sent) = begin(&[AT_ONCE, LOGGED_IN], Then::Silence);
    assert_eq!(begun.unwrap().seen().mechanism, "PLAIN");
    assert_eq!(sent.lines(), ["a1 AUTHENTICATE PLAIN AGpvZQBodW50ZXIyIGlzIGxvbmc="]);
    let (begun, sent) = begin(&[AT_ONCE, PLUS, LOGGED_IN], Then::Silence);
    assert!(begun.is_ok(), "one that asks all the same is answered");
    assert_eq!(sent.lines()[1], "AGpvZQBodW50ZXIyIGlzIGxvbmc=");
    let (begun, sent) =
        begin(&[AT_ONCE, b"$T NO no AGpvZQBodW50ZXIyIGlzIGxvbmc=\r\n"], Then::Close);
    let refused = begun.err().unwrap();
    assert_eq!(refused.to_string(), "the login was refused: NO no [secret]");
    assert_eq!(sent.lines().len(), 1, "it is not tried again");
}

#[test]
fn login_dialogue_with_odd_challenges_logs_in() {
    let (session, sent) = begin(
        &[
            b"* OK [CAPABILITY IMAP4rev1 AUTH=LOGIN] ready\r\n",
            b"+ say your name!\r\n",
            b"+\r\n",
            b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n$T OK in\r\n",
        ],
        Then::Silence,
    );
    assert!(session.unwrap().abilities().uid_plus);
    assert_eq!(sent.lines()[1..], ["am9l", "aHVudGVyMiBpcyBsb25n"]);
}

#[test]
fn capabilities_are_asked_for_where_they_do_not_come() {
    let (session, sent) = begin(
        &[
            b"* OK ready\r\n",
            b"* CAPABILITY IMAP4rev1 ID\r\n$T OK\r\n",
            b"$T OK in\r\n",
            b"* CAPABILITY IMAP4rev1 ID UIDPLUS\r\n$T OK\r\n",
            b"* ID (\"name\" \"Odd\" \"version\" \"3\" \"support\" NIL)\r\n$T OK\r\n",
        ],
        Then::Silence,
    );
    let session = session.unwrap();
    assert!(session.abilities().uid_plus);
    assert_eq!(session.seen().id.as_deref(), Some("Odd 3"));
    assert_eq!(session.seen().mechanism, "LOGIN command");
    let lines = sent.lines();
    assert_eq!(lines[1], "a2 LOGIN \"joe\" \"hunter2 is long\"");
    assert!(lines[3].starts_with("a4 ID (\"name\" \"mailferry\" "), "{lines:?}");
}

#[test]
fn refused_login_is_tried_once_and_its_echo_hidden() {
    let (fault, sent) = failed(&[
        GREETING,
        PLUS,
        b"$T NO [AUTHENTICATIONFAILED] no joe with hunter2 is long (AGpvZQBodW50ZXIyIGlzIGxvbmc=)\r\n",
    ]);
    assert_eq!(
        fault.to_string(),
        "the login was refused: NO [AUTHENTICATIONFAILED] no joe with [secret] ([secret])"
    );
    assert_eq!(sent.len(), 2);
    assert!(!format!("{fault:?}").contains("hunter2"));
}

#[test]
fn an_echo_in_a_bye_is_hidden_too() {
    let (fault, _) = failed(&[GREETING, PLUS, b"* BYE too many hunter2 is long\r\n"]);
    assert!(matches!(fault, StoreError::Connection(_)));
    assert!(fault.to_string().contains("too many [secret]"), "{fault}");
}

#[test]
fn greetings_that_are_none_are_told() {
    let (fault, sent) = failed(&[b"* PREAUTH welcome back\r\n"]);
    assert!(matches!(fault, StoreError::NoMechanism(_)), "{fault}");
    assert!(sent.is_empty());
    let (fault, _) = failed(&[b"* BYE [UNAVAILABLE] come back later\r\n"]);
    assert_eq!(fault.to_string(), "the connection was lost: the server said BYE come back later");
    let (fault, _) = failed(&[b"220 smtp.example ESMTP\r\n"]);
    assert!(matches!(fault, StoreError::Protocol(_)), "{fault}");
    let (fault, _) = failed(&[b""]);
    assert!(matches!(fault, StoreError::Connection(_)), "{fault}");
}

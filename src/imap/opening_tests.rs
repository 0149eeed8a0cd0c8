//! What is found out along with the opening of folders that are about to be written to.

use std::sync::Arc;

use crate::imap::append::Asked;
use crate::imap::known::Known;
use crate::imap::scripted::Then;
use crate::imap::session_tests::{GREETING, NOOP_OK, OneMessage, PLUS, begin_known, inbox, known};
use crate::mail::{Flag, FlagSet, WireName};
use crate::store::{AppendResult, Coming};

/// What a server with windows says to a login, to the opening of an empty folder, to what it does not
/// understand, and to what it does not do.
const ABLE: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 UNSELECT LITERAL+] in\r\n";
const SELECTED: &[u8] = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n$T OK\r\n";
const BAD: &[u8] = b"$T BAD what\r\n";
const NO: &[u8] = b"$T NO nothing\r\n";

#[test]
fn what_a_server_understands_is_asked_along_with_the_opening_of_folders() {
    for (first, second, literal, stored) in [
        (BAD, NO, "{4+}", 0),
        (NO, NO, "{4}", 0),
        (BAD, BAD, "{4}", 0),
        (NOOP_OK, NOOP_OK, "{4}", 2),
    ] {
        let known = Known { refuses_empty: true, ..known() };
        let opening: &[&[u8]] = &[SELECTED, first, b"", second, b"", NOOP_OK];
        let appending: &[&[u8]] = if literal == "{4}" { &[PLUS, NOOP_OK] } else { &[NOOP_OK, b""] };
        let answers = [&[GREETING, PLUS, ABLE], opening, appending].concat();
        let (begun, sent) = begin_known(&answers, Then::Silence, known.clone());
        let mut session = begun.unwrap();
        assert!(session.prepare_all(&[inbox()], &[]).unwrap()[0].is_ok());
        let expected = [
            "X1 SELECT \"INBOX\"",
            "X2 APPEND \"INBOX\" (\\Mailferry-Probe) {0+}",
            "",
            "X3 APPEND \"INBOX\" (\\Answered \\Deleted \\Draft \\Flagged \\Seen) {0+}",
            "",
            "X4 UNSELECT",
        ];
        assert_eq!(sent.lines()[2..], expected);
        let mut queue = OneMessage::default();
        assert_eq!(known.kept.take(), vec![inbox(); stored]);
        session.append(&mut queue, None).unwrap();
        assert!(known.kept.take().is_empty());
        let (begun, _) = begin_known(&[GREETING, PLUS, ABLE], Then::Silence, known);
        let due = begun.unwrap().probes_due();
        assert_eq!(due.is_some(), stored == 0, "on another connection");
        assert!(sent.lines()[8].ends_with(literal), "{:?}", sent.lines());
        assert!(matches!(queue.results[..], [AppendResult::Stored(_)]), "{:?}", queue.results);
        let dates = (literal == "{4+}").then_some(Asked::Dates);
        assert_eq!(session.probes_due(), dates, "what was asked, once in a session");
    }
}

/// What is asked before the first message goes to INBOX, and dates with it.
const PROBES: [&str; 4] = [
    "X1 APPEND \"INBOX\" (\\Mailferry-Probe) {0+}",
    "",
    "X2 APPEND \"INBOX\" (\\Answered \\Deleted \\Draft \\Flagged \\Seen) {0+}",
    "",
];

/// Answers to a login, and to these.
fn with_probes(more: &[&'static [u8]]) -> Vec<&'static [u8]> {
    [&[GREETING, PLUS, ABLE, BAD, b"", NO, b""], more].concat()
}

#[test]
fn what_was_asked_while_folders_were_made_lets_dates_be_asked_along_with_their_opening() {
    let known = Known { refuses_empty: true, ..known() };
    let opening: &[&[u8]] = &[NOOP_OK, SELECTED, NO, b"", NO, b"", NOOP_OK];
    let answers = with_probes(&[opening, &[NOOP_OK, b""]].concat());
    let (begun, sent) = begin_known(&answers, Then::Silence, known);
    let mut session = begun.unwrap();
    session.acquaint(&inbox()).unwrap();
    assert_eq!(sent.lines()[2..7], [&PROBES[..], &["X3 NOOP"]].concat());
    assert!(session.prepare_all(&[WireName::new(*b"a")], &[]).unwrap()[0].is_ok());
    let lines = sent.lines();
    assert_eq!(lines[7], "X4 SELECT \"a\"");
    assert!(lines[8].ends_with("\"01-Feb-2020 01:02:03 +0000\" {0+}"), "{lines:?}");
    assert_eq!((lines.len(), lines[12].as_str()), (13, "X7 UNSELECT"));
    // The first message has a date, and goes without a question.
    let date = "\"11-Mar-2021 01:02:03 +0000\"".to_owned();
    let mut queue = OneMessage { date: Some(date), ..OneMessage::default() };
    session.accepted(&inbox());
    session.append(&mut queue, None).unwrap();
    assert!(sent.lines()[13].ends_with("+0000\" {4+}"), "{:?}", sent.lines());
    assert!(matches!(queue.results[..], [AppendResult::Stored(_)]), "{:?}", queue.results);
    session.acquaint(&inbox()).unwrap();
    assert_eq!(sent.lines().len(), 15, "all was asked");
}

#[test]
fn what_a_server_understands_is_asked_along_with_the_making_of_folders() {
    let known = Known { refuses_empty: true, ..known() };
    let answers = with_probes(&[NOOP_OK, NOOP_OK, NOOP_OK]);
    let (begun, sent) = begin_known(&answers, Then::Silence, known);
    let mut session = begun.unwrap();
    let created = session.create_all(&[(WireName::new(*b"a"), None)], Some(&inbox())).unwrap();
    assert!(created.ends[0].is_ok());
    let lines = sent.lines();
    assert_eq!(lines[2..7], [&PROBES[..], &["X3 CREATE \"a\""]].concat());
    assert_eq!(session.probes_due(), Some(Asked::Dates));
}

#[test]
fn append_of_nothing_that_was_stored_while_folders_were_made_is_told_though_the_line_is_lost() {
    let known = Known { refuses_empty: true, ..known() };
    let answers = [GREETING, PLUS, ABLE, NOOP_OK, b""];
    let (begun, _) = begin_known(&answers, Then::Close, known.clone());
    let mut session = begun.unwrap();
    assert!(session.create_all(&[(WireName::new(*b"a"), None)], Some(&inbox())).is_err());
    assert_eq!(known.kept.take(), [inbox()]);
    let (begun, _) = begin_known(&answers, Then::Close, known.clone());
    // Known is told of it: nothing more is asked on any connection.
    assert!(begun.unwrap().acquaint(&inbox()).is_ok());
    assert!(known.kept.take().is_empty());
}

#[test]
fn append_of_nothing_that_was_stored_is_told_though_the_line_is_lost_behind_it() {
    let known = Known { refuses_empty: true, ..known() };
    let answers = [GREETING, PLUS, ABLE, SELECTED, NOOP_OK];
    let (begun, _) = begin_known(&answers, Then::Close, known.clone());
    let mut session = begun.unwrap();
    assert!(session.prepare_all(&[inbox()], &[]).is_err());
    assert_eq!(known.kept.take(), [inbox()]);
}

#[test]
fn append_of_nothing_that_was_stored_is_told_in_whatever_order_answers_come() {
    let known = Known { refuses_empty: true, ..known() };
    // While folders are opened, made, and something else is waited for. The second probe is answered first.
    let early: &[u8] = b"X3 OK stored\r\nX1 OK\r\nX2 BAD what\r\n";
    let (begun, _) =
        begin_known(&[GREETING, PLUS, ABLE, b"", b"", b"", early], Then::Close, known.clone());
    assert!(begun.unwrap().prepare_all(&[inbox()], &[]).is_err());
    assert_eq!(known.kept.take(), [inbox()]);
    let other = Known { kept: Arc::default(), ..known };
    let early: &[u8] = b"X2 OK stored\r\nX1 BAD what\r\nX3 OK\r\n";
    let answers = [GREETING, PLUS, ABLE, b"", b"", b"", b"", early];
    let (begun, _) = begin_known(&answers, Then::Close, other.clone());
    begun.unwrap().acquaint(&inbox()).unwrap();
    assert_eq!(other.kept.take(), [inbox()]);
}

#[test]
fn dates_that_could_not_be_asked_about_are_asked_about_again() {
    let known = Known { refuses_empty: true, ..known() };
    let gone: &[u8] = b"$T NO [TRYCREATE] no such folder\r\n";
    let answers = with_probes(&[NOOP_OK, gone, b"", gone, b"", NOOP_OK]);
    let mut session = begin_known(&answers, Then::Silence, known).0.unwrap();
    session.acquaint(&inbox()).unwrap();
    session.acquaint(&WireName::new(*b"gone")).unwrap();
    assert_eq!(session.probes_due(), Some(Asked::Dates));
    assert_eq!(session.probes_due(), None);
}

/// Two folders, and flags of messages that are coming.
fn two_folders(coming: &[(usize, &str)]) -> ([WireName; 2], Vec<Coming>) {
    let folders = [WireName::new(*b"a"), WireName::new(*b"b")];
    let flags = |words: &str| -> FlagSet {
        words.split(' ').filter_map(|word| Flag::from_wire(word.as_bytes())).collect()
    };
    let coming = coming.iter().map(|(at, words)| {
        let folder = folders[*at].clone();
        Coming { folder, is_made: true, flags: flags(words) }
    });
    let coming = coming.collect();
    (folders, coming)
}

#[test]
fn flags_that_are_to_come_are_tried_each_in_its_folder_while_it_is_open() {
    let (folders, coming) = two_folders(&[(1, "\\Seen $Two"), (0, "$One"), (0, "\\Seen $One")]);
    let answers = [GREETING, PLUS, ABLE, SELECTED, BAD, NOOP_OK, NOOP_OK, SELECTED, NOOP_OK];
    let again = [SELECTED, NOOP_OK, NOOP_OK];
    let all = [&answers[..], &[NOOP_OK], &again].concat();
    let (begun, sent) = begin_known(&all, Then::Silence, known());
    let mut session = begun.unwrap();
    assert!(session.prepare_all(&folders, &coming).unwrap().iter().all(Result::is_ok));
    let expected = [
        "X1 SELECT \"a\"",
        "X2 UID STORE 2147480000 +FLAGS.SILENT (\\Mailferry-Probe)",
        "X3 UID STORE 2147480000 +FLAGS.SILENT (\\Answered \\Draft \\Flagged \\Seen)",
        "X4 UID STORE 2147480000 +FLAGS.SILENT ($One)",
        "X5 SELECT \"b\"",
        "X6 UID STORE 2147480000 +FLAGS.SILENT ($Two \\Seen)",
        "X7 UNSELECT",
    ];
    assert_eq!(sent.lines()[2..], expected);
    // In the next folders, only what is new.
    let (_, coming) = two_folders(&[(0, "$One"), (0, "$Four")]);
    assert!(session.prepare_all(&folders[..1], &coming).unwrap()[0].is_ok());
    let expected = ["X8 SELECT \"a\"", "X9 UID STORE 2147480000 +FLAGS.SILENT ($Four)"];
    assert_eq!(sent.lines()[9..11], expected);
}

#[test]
fn a_trial_that_is_refused_before_others_are_accepted_changes_nothing_about_them() {
    let (folders, coming) = two_folders(&[(0, "$Long"), (0, "$Short"), (1, "$Other")]);
    // As Dovecot does it: what is accepted is answered when the folder is left.
    let first =
        b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\nX1 OK\r\nX2 BAD no\r\nX4 NO [CANNOT] long\r\n";
    let second = b"X3 OK\r\nX5 OK\r\n* 0 EXISTS\r\n* OK [UIDVALIDITY 2] x\r\n$T OK\r\n";
    let answers = [GREETING, PLUS, ABLE, first, b"", b"", b"", b"", second, NOOP_OK, NOOP_OK];
    let (begun, sent) = begin_known(&answers, Then::Silence, known());
    let mut session = begun.unwrap();
    let prepared = session.prepare_all(&folders, &coming).unwrap();
    assert!(prepared.iter().all(Result::is_ok), "{prepared:?} {:?}", sent.lines());
    let (_, coming) = two_folders(&[(0, "$Long"), (0, "$Short"), (0, "$Other"), (0, "$New")]);
    let again = session.trials().in_folder(&folders[0], &coming);
    assert_eq!(again.len(), 1, "all others were answered");
}

#[test]
fn a_trial_that_is_answered_when_another_folder_is_open_proves_nothing() {
    let (folders, coming) = two_folders(&[(0, "$One"), (1, "$Two")]);
    let first = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\nX1 OK\r\nX2 BAD no\r\nX3 OK\r\n";
    let second = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 2] x\r\nX5 OK\r\nX4 OK\r\nX6 OK\r\n";
    let answers = [GREETING, PLUS, ABLE, first, b"", b"", b"", b"", second, NOOP_OK, NOOP_OK];
    let mut session = begin_known(&answers, Then::Silence, known()).0.unwrap();
    assert!(session.prepare_all(&folders, &coming).unwrap().iter().all(Result::is_ok));
    let again = session.trials().in_folder(&folders[0], &coming);
    assert_eq!(again.len(), 1, "$One is asked about again");
    assert!(session.trials().in_folder(&folders[1], &coming).is_empty());
}

#[test]
fn a_folder_that_is_not_new_is_left_before_anything_is_tried() {
    let (folders, coming) = two_folders(&[(1, "$One")]);
    let all = [GREETING, PLUS, ABLE, SELECTED, NOOP_OK, SELECTED, BAD, NOOP_OK, NOOP_OK, NOOP_OK];
    let (begun, sent) = begin_known(&all, Then::Silence, known());
    assert!(begun.unwrap().prepare_all(&folders, &coming).unwrap().iter().all(Result::is_ok));
    let verbs: Vec<_> =
        sent.lines()[2..].iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(verbs, ["SELECT", "UNSELECT", "SELECT", "UID", "UID", "UID", "UNSELECT"]);
}

#[test]
fn nothing_is_tried_while_a_folder_may_be_open_that_is_not_meant() {
    let (folders, coming) = two_folders(&[(0, "$One")]);
    let answers = [GREETING, PLUS, ABLE, SELECTED, NOOP_OK, NO, NO, NO, NO, NOOP_OK, NO];
    let (begun, sent) = begin_known(&answers, Then::Silence, known());
    let mut session = begun.unwrap();
    session.examine(&inbox()).unwrap();
    assert!(session.prepare_all(&folders[..1], &coming).unwrap()[0].is_err());
    assert_eq!(sent.lines()[3..5], ["X1 UNSELECT", "X2 SELECT \"a\""]);
    assert_eq!(session.trials().in_folder(&folders[0], &coming).len(), 3, "nothing was learned");
}

#[test]
fn a_folder_that_was_there_is_open_only_to_be_read_while_flags_are_tried() {
    let (folders, mut coming) = two_folders(&[(0, "$One"), (1, "$Two")]);
    coming[0].is_made = false;
    let first = [SELECTED, BAD, NOOP_OK, NOOP_OK, SELECTED];
    for (peeked, proved) in [(SELECTED, true), (NO, false)] {
        let then = [NOOP_OK, SELECTED, NOOP_OK, NOOP_OK];
        let answers = [&[GREETING, PLUS, ABLE, peeked], &first[1..], &then].concat();
        let (begun, sent) = begin_known(&answers, Then::Silence, known());
        let mut session = begun.unwrap();
        let prepared = session.prepare_all(&folders, &coming).unwrap();
        assert!(prepared.iter().all(Result::is_ok));
        let expected = [
            "X1 EXAMINE \"a\"",
            "X2 UID STORE 2147480000 +FLAGS.SILENT (\\Mailferry-Probe)",
            "X3 UID STORE 2147480000 +FLAGS.SILENT (\\Answered \\Draft \\Flagged \\Seen)",
            "X4 UID STORE 2147480000 +FLAGS.SILENT ($One)",
            "X5 SELECT \"a\"",
            "X6 UNSELECT",
            "X7 SELECT \"b\"",
            "X8 UID STORE 2147480000 +FLAGS.SILENT ($Two)",
            "X9 UNSELECT",
        ];
        assert_eq!(sent.lines()[2..], expected);
        // What is said while it is not open counts for nothing.
        let again = session.trials().in_folder(&folders[0], &coming);
        assert_eq!(again.len(), if proved { 0 } else { 3 });
    }
}

#[test]
fn what_a_folder_that_cannot_be_had_answers_is_asked_again_about_another_one() {
    let known = Known { refuses_empty: true, ..known() };
    let gone: &[u8] = b"$T NO [TRYCREATE] no such folder\r\n";
    let answers = [GREETING, PLUS, ABLE, gone, gone, b"", gone, b"", gone, gone];
    let mut session = begin_known(&answers, Then::Silence, known).0.unwrap();
    assert!(session.prepare_all(&[inbox()], &[]).unwrap()[0].is_err());
    assert_eq!(session.probes_due(), Some(Asked::First));
}

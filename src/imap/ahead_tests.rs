//! Commands that are sent before the first of them is answered, against scripted servers.

use crate::imap::scripted::Then;
use crate::imap::session_tests::GREETING;
use crate::imap::session_tests::NOOP_OK;
use crate::imap::session_tests::PLUS;
use crate::imap::session_tests::begin;
use crate::imap::session_tests::command_ok;
use crate::imap::session_tests::session;
use crate::mail::WireName;
use crate::store::StoreError;

fn wires(names: &[&str]) -> Vec<WireName> {
    names.iter().map(|name| WireName::new(name.as_bytes())).collect()
}

/// `.` for what was done, else what the server said.
fn ends<T>(ends: Result<Vec<Result<T, StoreError>>, StoreError>) -> String {
    let word = |end: Result<T, StoreError>| end.err().map_or(".".to_owned(), |e| e.to_string());
    ends.unwrap().into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn folders_are_created_ahead_and_what_is_refused_is_tried_alone() {
    let (mut session, sent) = session(
        &[
            b"$T OK\r\n",
            b"$T NO [ALREADYEXISTS] it is\r\n",
            b"$T NO no parent yet\r\n",
            b"$T NO [NOPERM] never\r\n",
            // LIST and LSUB.
            NOOP_OK,
            NOOP_OK,
            // The one that needs a literal and the two that were refused, by themselves.
            b"+ go\r\n",
            NOOP_OK,
            b"$T NO no parent yet\r\n",
            b"$T NO\r\n",
            b"$T NO [NOPERM] never\r\n",
        ],
        Then::Silence,
    );
    let folders = wires(&["a", "b", "c/d", "e", "caf\u{e9}"]).into_iter();
    let folders: Vec<_> = folders.map(|folder| (folder, None)).collect();
    let said = "the server said NO no parent yet the server said NO [NOPERM] never";
    let created = session.create_all(&folders, None);
    assert!(created.as_ref().unwrap().listing.is_none(), "not all of them are listed");
    assert_eq!(ends(created.map(|created| created.ends)), format!(". . {said} ."));
    let lines = sent.lines();
    assert_eq!(
        lines[2..6].concat(),
        "X1 CREATE \"a\"X2 CREATE \"b\"X3 CREATE \"c/d\"X4 CREATE \"e\""
    );
    assert!(lines[8].ends_with("CREATE {5}"), "{lines:?}");
    assert!(lines[10].ends_with("CREATE \"c/d\""), "{lines:?}");
    assert!(lines[11].contains("STATUS \"c/d\""), "{lines:?}");
    assert!(lines[12].ends_with("CREATE \"e\""), "{lines:?}");
}

#[test]
fn what_is_listed_behind_the_creation_counts_only_if_nothing_is_missing() {
    let able: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 LIST-EXTENDED NAMESPACE] in\r\n";
    let spaces: &[u8] = b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n$T OK\r\n";
    let inbox: &[u8] = b"* LIST () \"/\" INBOX\r\n$T OK\r\n";
    let one: &[u8] = b"* LIST () \"/\" INBOX\r\n* LIST () \"/\" a\r\n$T OK\r\n";
    let both: &[u8] =
        b"* LIST () \"/\" INBOX\r\n* LIST () \"/\" a\r\n* LIST () \"/\" b\r\n$T OK\r\n";
    let closed: &[u8] = b"* LIST () \"/\" INBOX\r\n* LIST () \"/\" a\r\n\
        * LIST (\\Noselect) \"/\" b\r\n$T OK\r\n";
    for (listed, told) in
        [(both, Some(3)), (one, None), (closed, None), (b"$T NO [INUSE]\r\n", None)]
    {
        let answers =
            [&[GREETING, PLUS, able, spaces, inbox, NOOP_OK, NOOP_OK, listed], &[listed][..]];
        let (begun, sent) = begin(&answers.concat(), Then::Silence);
        let mut session = begun.unwrap();
        assert_eq!(session.list().unwrap().rows.len(), 1);
        let folders: Vec<_> = wires(&["a", "b"]).into_iter().map(|name| (name, None)).collect();
        let created = session.create_all(&folders, None).unwrap();
        assert!(created.ends.iter().all(Result::is_ok));
        assert_eq!(created.listing.map(|listing| listing.rows.len()), told);
        let lines = sent.lines();
        assert_eq!(lines[2], "X1 NAMESPACE");
        assert!(lines[3].starts_with("X2 LIST \"\" \"*\" RETURN"), "{lines:?}");
        assert!(lines[6].starts_with("X5 LIST \"\" \"*\" RETURN"), "{lines:?}");
    }
}

#[test]
fn what_was_listed_before_a_folder_was_made_at_last_does_not_count() {
    let able: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 LIST-EXTENDED NAMESPACE] in\r\n";
    let listed: &[u8] = b"* LIST () \"/\" INBOX\r\n* LIST () \"/\" a\r\n$T OK\r\n";
    let refused: &[u8] = b"$T NO [LIMIT] later\r\n";
    let answers = [GREETING, PLUS, able, NOOP_OK, listed, refused, listed, NOOP_OK];
    let mut session = begin(&answers, Then::Silence).0.unwrap();
    assert_eq!(session.list().unwrap().rows.len(), 2);
    let created = session.create_all(&[(WireName::new(*b"a"), None)], None).unwrap();
    assert!(created.ends[0].is_ok() && created.listing.is_none());
}

#[test]
fn rows_that_come_early_are_listed_too() {
    let able: &[u8] = b"$T OK [CAPABILITY IMAP4rev1 LIST-EXTENDED NAMESPACE] in\r\n";
    let early: &[u8] = b"* LIST () \"/\" INBOX\r\n$T OK\r\n";
    let rest: &[u8] = b"* LIST () \"/\" a\r\n$T OK\r\n";
    let answers = [GREETING, PLUS, able, NOOP_OK, early, early, rest];
    let mut session = begin(&answers, Then::Silence).0.unwrap();
    assert_eq!(session.list().unwrap().rows.len(), 1);
    let created = session.create_all(&[(WireName::new(*b"a"), None)], None).unwrap();
    assert_eq!(created.listing.map(|listing| listing.rows.len()), Some(2));
}

#[test]
fn answers_of_commands_sent_ahead_are_told_apart_by_their_tags() {
    let (mut session, _) = session(
        &[b"", b"", b"X3 OK\r\nX1 NO [NOPERM] one\r\nX2 OK\r\n", b"$T NO [NOPERM] one\r\n"],
        Then::Silence,
    );
    let said = ends(session.subscribe_all(&wires(&["a", "b", "c"])));
    assert_eq!(said, "the server said NO [NOPERM] one . .");
}

#[test]
fn an_answer_to_nothing_that_was_sent_ahead_ends_the_session() {
    for answer in [&b"X7 OK\r\n"[..], b"X1 OK\r\nX1 OK\r\n", b"* BYE\r\n"] {
        let (mut session, _) = session(&[b"", answer], Then::Close);
        let fault = session.subscribe_all(&wires(&["a", "b"])).unwrap_err();
        assert!(!fault.connection_is_good(), "{fault}");
        assert!(command_ok(&mut session, "NOOP").is_err());
    }
}

#[test]
fn folders_are_prepared_ahead_and_none_stays_open() {
    let selected = b"* 0 EXISTS\r\n* OK [UIDVALIDITY 5] x\r\n* OK [UIDNEXT 1] x\r\n$T OK\r\n";
    let (mut session, sent) = session(
        &[selected, b"$T NO [NOPERM] no\r\n", selected, NOOP_OK, NOOP_OK, b"$T NO [NOPERM] no\r\n"],
        Then::Silence,
    );
    let prepared = session.prepare_all(&wires(&["a", "b", "c"]), &[]).unwrap();
    let told: Vec<_> =
        prepared.iter().map(|one| one.as_ref().ok().map(|one| one.messages)).collect();
    assert_eq!(told, [Some(0), None, Some(0)]);
    assert!(session.open_folder().is_none());
    let lines = sent.lines();
    assert_eq!(lines[2..5].concat(), "X1 SELECT \"a\"X2 SELECT \"b\"X3 SELECT \"c\"");
    // Without UNSELECT: a folder that is open for writing must not be closed, which expunges.
    assert!(lines[5].ends_with("EXAMINE \"c\"") && lines[6].ends_with("CLOSE"), "{lines:?}");
    assert!(lines[7].ends_with("SELECT \"b\""), "{lines:?}");
}

#[test]
fn folders_that_are_opened_out_of_turn_end_the_session() {
    let (mut session, _) = session(&[b"", b"X2 OK\r\nX1 OK\r\n"], Then::Silence);
    let fault = session.prepare_all(&wires(&["a", "b"]), &[]).unwrap_err();
    assert!(matches!(fault, StoreError::Protocol(_)), "{fault:?}");
}

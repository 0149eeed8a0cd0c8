//! Listing and STATUS, against scripted servers.

use crate::imap::scripted::Then;
use crate::imap::session_tests::GREETING;
use crate::imap::session_tests::PLUS;
use crate::imap::session_tests::begin;
use crate::imap::session_tests::inbox;

#[test]
fn listing_takes_the_old_way_where_the_new_one_is_refused() {
    let (wire_session, sent) = begin(
        &[
            GREETING,
            PLUS,
            b"$T OK [CAPABILITY IMAP4rev1 LIST-EXTENDED NAMESPACE] in\r\n",
            b"* NAMESPACE ((\"INBOX.\" \".\")(\"#mh/\" \"/\")) NIL ((\"shared.\" \".\"))\r\n$T OK\r\n",
            b"$T BAD RETURN?\r\n",
            b"* LIST () \".\" INBOX\r\n* LIST () \".\" \"INBOX.we \\\"ird\"\r\n* LIST () \".\" shared.x\r\n$T OK\r\n",
            b"* LSUB () \".\" \"INBOX.we \\\"ird\"\r\n$T OK\r\n",
            b"$T NO no more\r\n",
            b"* LIST () \"/\" #mh/a\r\n$T OK\r\n",
            b"$T OK\r\n",
        ],
        Then::Silence,
    );
    let listing = wire_session.unwrap().list().unwrap();
    let rows: Vec<(String, bool)> =
        listing.rows.iter().map(|row| (row.name.escaped(), row.subscribed)).collect();
    assert_eq!(
        rows,
        [("INBOX".into(), false), ("INBOX.we \"ird".into(), true), ("#mh/a".into(), false)]
    );
    assert_eq!(sent.lines()[3], "X2 LIST \"\" \"*\" RETURN (SUBSCRIBED)");
    assert_eq!((listing.personal.len(), listing.others.len()), (2, 1));
}

#[test]
fn status_lives_without_what_the_server_does_not_take() {
    let (session, sent) = begin(
        &[
            GREETING,
            PLUS,
            b"$T OK [CAPABILITY IMAP4rev1 CONDSTORE] in\r\n",
            b"$T BAD what\r\n",
            b"* STATUS inbox (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 5)\r\n$T OK\r\n",
            b"$T OK\r\n",
        ],
        Then::Silence,
    );
    let mut session = session.unwrap();
    assert_eq!(session.status(&inbox()).unwrap().messages, Some(3));
    assert_eq!(sent.lines()[3], "a3 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)");
    assert!(session.status(&inbox()).is_err(), "OK without an answer is none");
}

#[test]
fn status_of_cyrus_is_not_asked_for_what_it_garbles() {
    let asked = |greeting: &[u8], id: &[u8]| {
        let (session, sent) = begin(
            &[
                greeting,
                PLUS,
                b"$T OK [CAPABILITY IMAP4rev1 ID OBJECTID] in\r\n",
                id,
                b"* STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 5)\r\n$T OK\r\n",
            ],
            Then::Silence,
        );
        session.unwrap().status(&inbox()).unwrap();
        sent.lines()[3].clone()
    };
    let named = b"* ID (\"name\" \"Cyrus IMAPD\" \"version\" \"3.6.1\")\r\n$T OK\r\n";
    let without = "a3 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)";
    assert_eq!(asked(GREETING, named), without);
    let cyrus =
        b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] localhost Cyrus IMAP 3.6.1 server ready\r\n";
    assert_eq!(asked(cyrus, b"$T OK\r\n"), without);
    let with = "a3 STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY MAILBOXID)";
    assert_eq!(asked(GREETING, b"* ID (\"name\" \"Other\")\r\n$T OK\r\n"), with);
}

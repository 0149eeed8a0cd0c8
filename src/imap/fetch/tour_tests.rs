//! Tours against servers of a few lines, odd and hostile ones.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use secrecy::SecretString;

use crate::imap::connect::Secured;
use crate::imap::fetch::{count_ahead, to_look, to_read};
use crate::imap::greet;
use crate::imap::known::Known;
use crate::imap::login::Credentials;
use crate::imap::pace::Way;
use crate::imap::request::Command;
use crate::imap::script::{Line, Peer, Sent, connect, text_of};
use crate::imap::session::Session;
use crate::mail::{Uid, UidOrder, UidSet, WireName};
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, FolderState, HeaderFields, Items, Part, RowHead,
    StoreError, Survey, Visit, VisitSink,
};

/// Logs everybody in, and answers each further command by a function of tag and command.
struct Server<F> {
    capabilities: &'static str,
    greeted: bool,
    answer: F,
}

impl<F: FnMut(&str) -> String + Send> Peer for Server<F> {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        let mut answers = String::new();
        while let Some(end) = memchr::memchr(b'\n', input) {
            let line: Vec<u8> = input.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let (tag, command) = line.trim_end().split_once(' ').unwrap();
            let answer = if command.starts_with("LOGIN") {
                format!("$T OK [CAPABILITY IMAP4rev1 {}] in\r\n", self.capabilities)
            } else {
                (self.answer)(command)
            };
            answers.push_str(&answer.replace("$T", tag));
        }
        answers.into_bytes()
    }

    fn more(&mut self) -> Vec<u8> {
        let greeting: &[u8] = if self.greeted { b"" } else { b"* OK [CAPABILITY IMAP4rev1] x\r\n" };
        self.greeted = true;
        greeting.to_vec()
    }
}

/// Keeps what came as words, and can stop or not want a folder.
#[derive(Default)]
struct Log {
    words: Vec<String>,
    unwanted: Option<usize>,
    stop_at: Option<u32>,
    inside: bool,
}

impl FetchSink for Log {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        assert!(self.inside, "a row outside of a visit");
        self.words.push(format!("{uid}:{}", head.size.unwrap_or_default()));
        if self.stop_at == Some(uid.get()) { Flow::Stop } else { Flow::Go }
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.words.push(String::from_utf8_lossy(octets).trim().to_owned());
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

impl VisitSink for Log {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.inside = state.is_ok() && self.unwanted != Some(visit);
        self.words.push(match state {
            Ok(state) => {
                let id = state.mailbox_id.map_or(String::new(), |id| format!(" {}", id.as_str()));
                format!("[{visit} of {}{id}", state.messages)
            }
            Err(fault) => format!("[{visit} {fault}]"),
        });
        self.inside
    }

    fn left(&mut self, visit: usize, outcome: FetchOutcome) {
        assert!(self.inside);
        let missing: Vec<_> =
            outcome.missing.iter().map(|one| format!(" -{} {:?}", one.uid, one.why)).collect();
        let complete = if outcome.complete { "" } else { " in part" };
        self.words.push(format!("{visit}{complete}{}]", missing.concat()));
    }
}

struct Ran {
    outcome: Result<Flow, StoreError>,
    words: String,
    sent: String,
    session: Session,
    log: Log,
}

fn log_in(
    capabilities: &'static str,
    line: Line,
    answer: impl FnMut(&str) -> String + Send + 'static,
) -> (Session, Sent) {
    let (wire, sent) = connect(Server { capabilities, greeted: false, answer }, line);
    let credentials = Credentials::new("joe".to_owned(), SecretString::from("hunter2"));
    let known = Known {
        gate: None,
        met: Arc::default(),
        compression: crate::imap::compress::Agreement::default(),
        server: "imap.example:143".to_owned(),
        refusals: Arc::from([]),
        refuses_empty: false,
        kept: Arc::default(),
        windows_stopped: Arc::new(AtomicBool::new(false)),
    };
    let secured = Secured { version: "TLS 1.3", key: None };
    (greet::begin(wire, &secured, &credentials, known).unwrap(), sent)
}

/// Goes through folders and all their UIDs on a server that answers like this.
fn tour(
    capabilities: &'static str,
    folders: &[&str],
    log: Log,
    line: Line,
    answer: impl FnMut(&str) -> String + Send + 'static,
) -> Ran {
    let names: Vec<_> = folders.iter().map(|name| WireName::new(name.as_bytes())).collect();
    let items = Items { facts: true, ..Items::default() };
    let parts = [Part { uids: UidSet::range(Uid::MIN, Uid::MAX), items }];
    let surveys: Vec<_> = names.iter().map(|folder| Survey { folder, parts: &parts }).collect();
    let (mut session, sent) = log_in(capabilities, line, answer);
    let mut log = log;
    assert_eq!(count_ahead(surveys.iter().filter_map(to_look)), surveys.len());
    let stops: Vec<_> = surveys.iter().filter_map(to_look).collect();
    let outcome = session.tour(Way::Rows, (0, &stops), &mut log);
    let sent = text_of(&sent);
    let words = log.words.join(" ");
    Ran { outcome, words, sent, session, log }
}

/// An honest answer to an opening: so many messages.
fn examined(messages: u32) -> String {
    let next = messages + 1;
    format!(
        "* {messages} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT {next}] x\r\n$T OK done\r\n"
    )
}

fn row(uid: u32) -> String {
    format!(
        "* {uid} FETCH (UID {uid} FLAGS () INTERNALDATE \" 7-Feb-2020 21:52:25 -0800\" RFC822.SIZE 1{uid})\r\n"
    )
}

/// A server with two messages in each folder; `odd` answers what it wants.
fn two_each(mut odd: impl FnMut(&str) -> Option<String>) -> impl FnMut(&str) -> String {
    move |command| match odd(command) {
        Some(answer) => answer,
        None if command.starts_with("EXAMINE") => examined(2),
        None if command.starts_with("UID FETCH") => row(1) + &row(2) + "$T OK done\r\n",
        None => "$T OK done\r\n".to_owned(),
    }
}

#[test]
fn all_folders_are_asked_for_before_the_first_answer_is_read() {
    let folders = ["INBOX", "we \"ird", "c"];
    // The server's answers come octet by octet.
    let line = Line { drip: 1, ..Line::default() };
    let ran = tour("", &folders, Log::default(), line, two_each(|_| None));
    assert_eq!(ran.outcome.unwrap(), Flow::Go);
    assert_eq!(ran.words, "[0 of 2 1:11 2:12 0] [1 of 2 1:11 2:12 1] [2 of 2 1:11 2:12 2]");
    let lines: Vec<_> = ran.sent.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "X1 EXAMINE \"INBOX\"",
            "X2 UID FETCH 1:4294967295 (UID FLAGS INTERNALDATE RFC822.SIZE)",
            "X3 EXAMINE \"we \\\"ird\"",
            "X4 UID FETCH 1:4294967295 (UID FLAGS INTERNALDATE RFC822.SIZE)",
            "X5 EXAMINE \"c\"",
            "X6 UID FETCH 1:4294967295 (UID FLAGS INTERNALDATE RFC822.SIZE)",
        ]
    );
    let open = ran.session.open_folder().unwrap();
    assert_eq!((open.name.as_octets(), open.state.messages), (&b"c"[..], 2));
}

#[test]
fn rows_behind_a_refused_opening_are_nobodys() {
    // As some servers do, it goes on in the folder that was open before.
    for behind in ["$T BAD no folder is open\r\n", "$T NO\r\n", &(row(1) + &row(9) + "$T OK\r\n")] {
        let behind = behind.to_owned();
        let mut refused = false;
        let server = two_each(move |command| {
            if command == "EXAMINE \"b\"" {
                refused = true;
                return Some("$T NO [NOPERM] not yours\r\n".to_owned());
            }
            (std::mem::take(&mut refused)).then(|| behind.clone())
        });
        let ran = tour("", &["a", "b", "c"], Log::default(), Line::default(), server);
        assert_eq!(ran.outcome.unwrap(), Flow::Go);
        assert_eq!(
            ran.words,
            "[0 of 2 1:11 2:12 0] [1 the server said NO [NOPERM] not yours] [2 of 2 1:11 2:12 2]"
        );
    }
}

#[test]
fn after_a_refused_last_opening_no_folder_is_open() {
    let server =
        two_each(|command| (command == "EXAMINE \"b\"").then(|| "$T NO gone\r\n".to_owned()));
    let ran = tour("", &["a", "b"], Log::default(), Line::default(), server);
    assert!(ran.session.open_folder().is_none());
}

#[test]
fn rows_before_the_opening_is_answered_are_nobodys() {
    let server = two_each(|command| {
        (command == "EXAMINE \"b\"").then(|| row(1) + &row(5) + &examined(2) + &row(6))
    });
    let ran = tour("", &["a", "b"], Log::default(), Line::default(), server);
    // Nobody can tell a row behind the answer from an honest one; this one counts as an arrival.
    assert_eq!(ran.words, "[0 of 2 1:11 2:12 0] [1 of 2 6:16 1:11 2:12 1]");
    let server =
        two_each(|command| (command == "EXAMINE \"b\"").then(|| row(1) + &row(5) + &examined(2)));
    let ran = tour("", &["a", "b"], Log::default(), Line::default(), server);
    assert_eq!(ran.words, "[0 of 2 1:11 2:12 0] [1 of 2 1:11 2:12 1]");
}

#[test]
fn a_folder_without_uid_validity_is_told_and_passed() {
    let server = two_each(|command| {
        (command == "EXAMINE \"a\"").then(|| "* 2 EXISTS\r\n$T OK\r\n".to_owned())
    });
    let ran = tour("", &["a", "b"], Log::default(), Line::default(), server);
    assert!(ran.words.starts_with("[0 "), "{}", ran.words);
    assert!(ran.words.ends_with("UIDVALIDITY] [1 of 2 1:11 2:12 1]"), "{}", ran.words);
}

#[test]
fn news_of_the_open_folder_are_counted_before_its_listing_is_judged() {
    // One goes and two come between opening and listing, another goes in between.
    let news = "* 1 EXPUNGE\r\n* 3 EXISTS\r\n".to_owned() + &row(2) + "* 1 EXPUNGE\r\n$T OK\r\n";
    let server = two_each(move |command| command.starts_with("UID FETCH").then(|| news.clone()));
    let ran = tour("", &["a"], Log::default(), Line::default(), server);
    assert_eq!(ran.words, "[0 of 2 2:12 0 in part]");
    let news = "* 1 EXPUNGE\r\n* 3 EXISTS\r\n".to_owned() + &row(2) + &row(3) + "$T OK\r\n";
    let server = two_each(move |command| command.starts_with("UID FETCH").then(|| news.clone()));
    let ran = tour("", &["a"], Log::default(), Line::default(), server);
    assert_eq!(ran.words, "[0 of 2 2:12 3:13 0]");
}

#[test]
fn what_a_listing_lacks_is_told_and_not_asked_for_again() {
    for (answer, words) in [
        (row(1) + "$T OK\r\n", "[0 of 2 1:11 0 in part] [1 of 2 1:11 1 in part]"),
        ("$T NO later\r\n".to_owned(), "[0 of 2 0 in part] [1 of 2 1 in part]"),
        (row(1) + "$T BAD ?\r\n", "[0 of 2 1:11 0 in part] [1 of 2 1:11 1 in part]"),
    ] {
        let server =
            two_each(move |command| command.starts_with("UID FETCH").then(|| answer.clone()));
        let ran = tour("", &["a", "b"], Log::default(), Line::default(), server);
        assert_eq!(ran.words, words);
        assert_eq!(ran.sent.lines().count(), 5, "{}", ran.sent);
    }
}

#[test]
fn uids_that_were_named_and_did_not_come_are_listed() {
    let (mut session, _) = log_in("", Line::default(), two_each(|_| None));
    let folder = WireName::new(*b"a");
    let mut log = Log::default();
    let part = |uids: &str| Part { uids: uids.parse().unwrap(), items: Items::default() };
    let parts = [part("2:3"), part("")];
    let survey = Survey { folder: &folder, parts: &parts };
    session.tour(Way::Rows, (4, &[to_look(&survey).unwrap()]), &mut log).unwrap();
    assert_eq!(log.words.join(" "), "[4 of 2 2:12 4 -3 NotAsked]");
}

#[test]
fn parts_are_told_apart_by_their_messages_though_answered_side_by_side() {
    let rows = "* 3 FETCH (UID 3 FLAGS () INTERNALDATE \" 7-Feb-2020 21:52:25 -0800\" \
        RFC822.SIZE 13)\r\n* 1 FETCH (UID 1 BODY[HEADER.FIELDS (DATE)] {9}\r\nDate: x\r\n FLAGS ())\r\n\
        * 2 FETCH (UID 2 FLAGS ())\r\n";
    for end in ["X2 OK\r\nX3 OK\r\nX4 OK\r\n", "X4 OK\r\nX2 OK\r\nX3 OK\r\n"] {
        let answer = rows.to_owned() + end;
        let server = move |command: &str| match command {
            command if command.starts_with("EXAMINE") => examined(3),
            command if command.ends_with("RFC822.SIZE)") => answer.clone(),
            _ => String::new(),
        };
        let (mut session, _) = log_in("", Line::default(), server);
        let folder = WireName::new(*b"a");
        let part = |uids: &str, items| Part { uids: uids.parse().unwrap(), items };
        let flags = Items { flags: true, ..Items::default() };
        let parts = [
            part("1", Items { header: HeaderFields::Key, ..flags }),
            part("2", flags),
            part("3:4294967295", Items { facts: true, ..Items::default() }),
        ];
        let survey = Survey { folder: &folder, parts: &parts };
        let mut log = Log::default();
        session.tour(Way::Rows, (0, &[to_look(&survey).unwrap()]), &mut log).unwrap();
        assert_eq!(log.words.join(" "), "[0 of 3 3:13 1:0 Date: x 2:0 0]");
    }
}

#[test]
fn a_bye_in_the_middle_ends_the_tour_and_the_session() {
    for place in ["EXAMINE \"b\"", "UID FETCH"] {
        let mut seen = 0;
        let server = two_each(move |command| {
            seen += i32::from(command.starts_with(place));
            let at = if place == "UID FETCH" { 2 } else { 1 };
            if seen == 0 || !command.starts_with(place) {
                return (seen >= at).then(String::new);
            }
            (seen >= at).then(|| row(1) + "* BYE tired\r\n")
        });
        let mut ran = tour("", &["a", "b", "c"], Log::default(), Line::default(), server);
        let fault = ran.outcome.unwrap_err();
        assert!(matches!(fault, StoreError::Connection(_)), "{fault:?}");
        assert!(fault.to_string().contains("tired"), "{fault}");
        assert!(ran.words.starts_with("[0 of 2 1:11 2:12 0]"), "{}", ran.words);
        assert!(!ran.words.contains(" 1]"), "{}", ran.words);
        assert!(ran.session.run(&Command::new("NOOP")).is_err());
        assert!(ran.log.words.len() < 9);
    }
}

#[test]
fn an_answer_out_of_turn_ends_the_session() {
    let server = two_each(|command| (command == "EXAMINE \"a\"").then(|| "X3 OK\r\n".to_owned()));
    let ran = tour("", &["a", "b"], Log::default(), Line::default(), server);
    assert!(matches!(ran.outcome, Err(StoreError::Protocol(_))), "{:?}", ran.outcome);
    assert_eq!(ran.words, "");
}

#[test]
fn a_mailbox_id_comes_with_the_opening_and_is_not_asked_for_besides() {
    let server = two_each(|command| {
        (command == "EXAMINE \"a\" (CONDSTORE)")
            .then(|| "* OK [MAILBOXID (F2)] x\r\n".to_owned() + &examined(2))
    });
    let ran = tour("OBJECTID CONDSTORE", &["a", "b"], Log::default(), Line::default(), server);
    assert_eq!(ran.words, "[0 of 2 F2 1:11 2:12 0] [1 of 2 1:11 2:12 1]");
    assert!(!ran.sent.contains("STATUS"), "{}", ran.sent);
}

#[test]
fn a_stop_ends_the_tour_in_good_order() {
    let log = Log { stop_at: Some(1), ..Log::default() };
    let mut ran = tour("", &["a", "b"], log, Line::default(), two_each(|_| None));
    assert_eq!(ran.outcome.unwrap(), Flow::Stop);
    assert_eq!(ran.words, "[0 of 2 1:11 0 in part]");
    ran.session.run(&Command::new("NOOP")).unwrap();
}

#[test]
fn after_a_stop_much_that_is_on_the_way_is_left() {
    let rows: String = (1..60_000).map(row).collect();
    let server = two_each(move |command| {
        command.starts_with("UID FETCH").then(|| rows.clone() + "$T OK done\r\n")
    });
    let log = Log { stop_at: Some(1), ..Log::default() };
    let mut ran = tour("", &["a", "b"], log, Line::default(), server);
    assert_eq!(ran.outcome.unwrap(), Flow::Stop);
    assert!(ran.session.run(&Command::new("NOOP")).is_err(), "the connection is given up");
}

#[test]
fn rows_of_a_folder_that_is_not_wanted_are_passed() {
    let log = Log { unwanted: Some(1), ..Log::default() };
    let ran = tour("", &["a", "b", "c"], log, Line::default(), two_each(|_| None));
    assert_eq!(ran.words, "[0 of 2 1:11 2:12 0] [1 of 2 [2 of 2 1:11 2:12 2]");
}

#[test]
fn neither_side_blocks_however_many_folders_there_are() {
    // The server takes nothing more while as much of its answers waits as sockets hold.
    let line = Line { room: 200_000, drip: 1_000, ..Line::default() };
    let names: Vec<_> = (0..2_000).map(|number| format!("{}{number}", "n".repeat(300))).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let ran = tour("", &names, Log::default(), line, two_each(|_| None));
    ran.outcome.unwrap();
    assert_eq!(ran.log.words.len(), 4 * 2_000);
    assert_eq!(ran.sent.lines().count(), 1 + 2 * 2_000);
}

#[test]
fn what_needs_a_literal_or_a_long_line_is_not_sent_ahead() {
    let set = |uids: UidSet| vec![Part { uids, items: Items::default() }];
    let sparse: UidSet = (1..2_000).map(|at| at * 3).filter_map(Uid::new).collect();
    let (all, sparse) = (set(UidSet::range(Uid::MIN, Uid::MAX)), set(sparse));
    let mod_seq = [Part { items: Items { mod_seq: true, ..Items::default() }, ..all[0].clone() }];
    let names = [b"a".to_vec(), b"caf\xe9".to_vec(), vec![b'"'; 700]];
    let names: Vec<_> = names.iter().map(|name| WireName::new(name.as_slice())).collect();
    let count = |folders: &[(usize, &[Part])]| {
        let surveys = folders.iter().map(|(name, parts)| Survey { folder: &names[*name], parts });
        let surveys: Vec<_> = surveys.collect();
        count_ahead(surveys.iter().map_while(to_look))
    };
    assert_eq!(count(&[(0, &all), (0, &[]), (1, &all), (0, &all)]), 2);
    assert_eq!(count(&[(2, &all)]), 0);
    assert_eq!(count(&[(0, &sparse)]), 0);
    assert_eq!(count(&[(0, &mod_seq)]), 0);
}

#[test]
fn newest_first_few_messages_are_asked_for_one_by_one_and_many_by_themselves() {
    let folder = WireName::new(*b"a");
    let stops = |uids: &str| {
        let uids: UidSet = uids.parse().unwrap();
        let visit = Visit { order: UidOrder::NewestFirst, ..Visit::new(&folder, &uids) };
        count_ahead([visit].iter().map_while(to_read))
    };
    assert_eq!((stops("1:16"), stops("1:17")), (1, 0));
    let body = |uid: u32| row(uid).replace(")\r\n", " BODY[] {1}\r\nx)\r\n");
    let answer = two_each(move |command| match command.split(' ').nth(2)?.parse() {
        Ok(uid) => Some(body(uid) + "$T OK done\r\n"),
        Err(_) => None,
    });
    let (mut session, sent) = log_in("", Line::default(), answer);
    let uids = UidSet::range(Uid::MIN, Uid::new(2).unwrap());
    let visit = Visit { order: UidOrder::NewestFirst, ..Visit::new(&folder, &uids) };
    let stops: Vec<_> = [visit, visit].iter().filter_map(to_read).collect();
    let mut log = Log::default();
    assert_eq!(session.tour(Way::Rows, (0, &stops), &mut log).unwrap(), Flow::Go);
    assert_eq!(log.words.join(" "), "[0 of 2 2:12 x 1:11 x 0] [1 of 2 2:12 x 1:11 x 1]");
    let sent = text_of(&sent);
    let asked = sent.lines().filter_map(|line| line.split_once("UID FETCH ")?.1.split(' ').next());
    assert_eq!(asked.collect::<Vec<_>>(), ["2", "1", "2", "1"]);
}

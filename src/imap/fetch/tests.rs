mod newest_first;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::imap::script::Endless;
use crate::imap::script::Line;
use crate::imap::script::Lines;
use crate::imap::script::connect;
use crate::imap::script::text_of;
use crate::mail::Flag;
use crate::mail::WireName;
use crate::store::Chunk;
use crate::store::HeaderFields;

/// Keeps rows as text: `uid flags size/octets body`, and can stop.
#[derive(Default)]
struct Basket {
    rows: Vec<String>,
    open: Option<(Uid, String, Vec<u8>)>,
    stop_at: Option<usize>,
    calls: usize,
}

impl Basket {
    fn flow(&mut self) -> Flow {
        self.calls += 1;
        if self.stop_at == Some(self.calls) { Flow::Stop } else { Flow::Go }
    }
}

impl FetchSink for Basket {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        assert!(self.open.is_none());
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
        let date = if head.internal_date.is_some() { "dated" } else { "undated" };
        let text = format!(
            "{uid} ({}) {date} {}/{}",
            head.flags,
            number(head.size),
            number(head.body_octets)
        );
        self.open = Some((uid, text, Vec::new()));
        self.flow()
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        assert!(octets.len() <= 64 * 1024);
        self.open.as_mut().unwrap().2.extend_from_slice(octets);
        self.flow()
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let (open, text, body) = self.open.take().unwrap();
        assert_eq!(open, uid);
        let shown = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        self.rows.push(format!("{text} {shown}"));
        self.flow()
    }
}

fn set(text: &str) -> UidSet {
    text.parse().unwrap()
}

/// A visit, whose folder is open already.
fn visit(uids: &UidSet) -> Visit<'_> {
    static FOLDER: LazyLock<WireName> = LazyLock::new(|| WireName::new(*b"INBOX"));
    Visit::new(&FOLDER, uids)
}

fn opened(uid_next: u32, messages: u64) -> Opened {
    Opened { uid_next: Uid::new(uid_next), messages, arrived: 0 }
}

const DATE: &str = "INTERNALDATE \" 7-Feb-2020 21:52:25 -0800\"";

/// A row as an honest server gives it.
fn honest(uid: u32, body: &str) -> String {
    let size = body.len();
    format!(
        "* {uid} FETCH (UID {uid} FLAGS (\\Seen) {DATE} RFC822.SIZE {size} BODY[] {{{size}}}\r\n{body})\r\n"
    )
}

struct Ran {
    outcome: Result<FetchOutcome, StoreError>,
    rows: Vec<String>,
    sent: String,
}

impl Ran {
    fn missing(&self) -> String {
        let missing = &self.outcome.as_ref().unwrap().missing;
        let words: Vec<_> =
            missing.iter().map(|one| format!("{} {:?}", one.uid, one.why)).collect();
        words.join(", ")
    }

    fn complete(&self) -> bool {
        self.outcome.as_ref().unwrap().complete
    }
}

/// Fetches from a server that answers each command by `answer`, whose own tagged OK is added unless
/// it ends with `!`.
fn fetch_from(
    uids: &str,
    stop_at: Option<usize>,
    answer: impl FnMut(&str) -> String + Send + 'static,
) -> Ran {
    fetch_over(Line::default(), uids, stop_at, answer)
}

fn fetch_over(
    line: Line,
    uids: &str,
    stop_at: Option<usize>,
    mut answer: impl FnMut(&str) -> String + Send + 'static,
) -> Ran {
    let (mut wire, sent) =
        connect(Lines(move |tag: &str, command: &str| tagged(tag, &answer(command))), line);
    let mut basket = Basket { stop_at, ..Basket::default() };
    let outcome = fetch(&mut wire, &mut opened(1_000, 999), &visit(&set(uids)), &mut basket);
    let outcome = outcome.map(|(outcome, line)| {
        assert_eq!(line, super::Line::Idle);
        outcome
    });
    Ran { outcome, rows: basket.rows, sent: text_of(&sent) }
}

fn tagged(tag: &str, answer: &str) -> Vec<u8> {
    match answer.rsplit_once("TAG ") {
        Some((data, status)) => format!("{data}{tag} {status}\r\n").into_bytes(),
        None => format!("{answer}{tag} OK done\r\n").into_bytes(),
    }
}

fn scan_from(
    uids: &str,
    opened: Opened,
    items: Items,
    mut answer: impl FnMut(&str) -> String + Send + 'static,
) -> Ran {
    let server = Lines(move |tag: &str, command: &str| tagged(tag, &answer(command)));
    let (mut wire, sent) = connect(server, Line::default());
    let (mut basket, mut opened) = (Basket::default(), opened);
    let outcome = scan(&mut wire, &mut opened, &set(uids), items, &mut basket);
    Ran { outcome, rows: basket.rows, sent: text_of(&sent) }
}

/// Rows of these UIDs, as `row` writes each.
fn rows(uids: impl Iterator<Item = Uid>, row: impl Fn(Uid) -> String) -> String {
    let lines: Vec<String> = uids.map(|uid| format!("* {uid} FETCH {}\r\n", row(uid))).collect();
    lines.concat()
}

/// Answers every UID of the command honestly.
fn all_honest(command: &str) -> String {
    asked(command).iter().map(|uid| honest(uid.get(), "hello")).collect()
}

fn asked(command: &str) -> UidSet {
    match command.strip_prefix("UID FETCH ") {
        Some(rest) => set(rest.split(' ').next().unwrap()),
        None => UidSet::new(),
    }
}

const FACTS: Items = Items {
    facts: true,
    flags: false,
    size: false,
    date: false,
    mod_seq: false,
    header: HeaderFields::None,
};

#[test]
fn bodies_come_whole_with_their_facts() {
    let ran = fetch_from("5", None, |_| honest(5, "hello"));
    assert_eq!(ran.rows, ["5 (\\Seen) dated 5/5 hello"]);
    assert_eq!(ran.sent, "X1 UID FETCH 5 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])\r\n");
    assert!(ran.complete());
    assert_eq!(ran.missing(), "");
}

#[test]
fn scans_are_in_flight_together_and_no_more_than_three() {
    // A server that waits for three commands before it answers the first is not waited for in vain.
    let every_other: UidSet = (1..=8_000).step_by(2).filter_map(Uid::new).collect();
    let lines = crate::imap::command::set_lines(&every_other).len();
    assert_eq!(lines % 3, 0, "the last three, too, come together");
    let mut waiting = Vec::new();
    let server = Lines(move |tag: &str, command: &str| {
        waiting.push((tag.to_owned(), command.to_owned()));
        assert!(waiting.len() <= 3);
        if waiting.len() < 3 {
            return Vec::new();
        }
        let row = |uid| format!("(UID {uid} RFC822.SIZE 3 {DATE} FLAGS ())");
        let answer =
            |(tag, command): (String, String)| tagged(&tag, &rows(asked(&command).iter(), row));
        waiting.drain(..).rev().flat_map(answer).collect()
    });
    let (mut wire, _) = connect(server, Line::default());
    let mut basket = Basket::default();
    scan(&mut wire, &mut opened(8_001, 4_000), &every_other, FACTS, &mut basket).unwrap();
    assert_eq!(basket.rows.len(), 4_000);
}

/// Answers all commands that are under way side by side: a row of each in turn.
fn side_by_side() -> impl FnMut(&str, &str) -> Vec<u8> {
    let mut waiting: Vec<(String, Vec<Uid>)> = Vec::new();
    let mut held_back = Vec::new();
    move |tag, command| {
        waiting.push((tag.to_owned(), asked(command).iter().collect()));
        let mut answer = std::mem::take(&mut held_back);
        let most = waiting.iter().map(|(_, uids)| uids.len()).max().unwrap_or_default();
        for at in 0..most {
            let each = waiting.iter().filter_map(|(_, uids)| uids.get(at));
            answer.extend(each.flat_map(|uid| honest(uid.get(), "hello").into_bytes()));
        }
        for (tag, _) in waiting.drain(..) {
            answer.extend(format!("{tag} OK done\r\n").into_bytes());
        }
        answer
    }
}

#[test]
fn bodies_come_in_the_order_of_uids_from_a_server_that_answers_side_by_side() {
    let (mut wire, sent) = connect(Lines(side_by_side()), Line { drip: 100, ..Line::default() });
    let mut basket = Basket::default();
    let uids = set("1:1200,1300:2000");
    fetch(&mut wire, &mut opened(2_001, 1_901), &visit(&uids), &mut basket).unwrap();
    let came: Vec<u32> =
        basket.rows.iter().map(|row| row.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(came, uids.iter().map(Uid::get).collect::<Vec<_>>());
    assert_eq!(text_of(&sent).lines().count(), 4);
}

#[test]
fn next_command_leaves_when_the_last_body_begins() {
    // The end of the last body is given only when the next command has come.
    let mut rest: Option<String> = None;
    let server = Lines(move |tag: &str, command: &str| {
        let before = rest.take().unwrap_or_default();
        let mut answer = all_honest(command);
        answer.push_str(&format!("{tag} OK done\r\n"));
        if asked(command).last() != Uid::new(1_500) {
            let at = answer.rfind("hello").unwrap() + 2;
            rest = Some(answer.split_off(at));
        }
        (before + &answer).into_bytes()
    });
    let (mut wire, _) = connect(server, Line::default());
    let mut basket = Basket::default();
    let fetched = fetch(&mut wire, &mut opened(1_501, 1_500), &visit(&set("1:1500")), &mut basket);
    assert_eq!(fetched.unwrap().0.came, set("1:1500"));
}

#[test]
fn little_is_read_to_its_end_after_a_stop_and_much_is_left() {
    for (kibibytes, messages, expected) in [
        (1_000, 4, super::Line::Idle),
        (1_000, 9, super::Line::Inside),
        (9_000, 1, super::Line::Inside),
    ] {
        let body = "x".repeat(kibibytes * 1_024);
        let taken = Arc::new(Mutex::new(0_u32));
        let answers = Arc::clone(&taken);
        let server = Lines(move |tag: &str, command: &str| {
            *answers.lock().unwrap() += 1;
            let answer: String =
                asked(command).iter().map(|uid| honest(uid.get(), &body)).collect();
            tagged(tag, &answer)
        });
        let (mut wire, _) = connect(server, Line::default());
        let mut basket = Basket { stop_at: Some(2), ..Basket::default() };
        let uids = UidSet::range(Uid::MIN, Uid::new(messages).unwrap());
        let (outcome, line) =
            fetch(&mut wire, &mut opened(100, 99), &visit(&uids), &mut basket).unwrap();
        assert_eq!(line, expected, "{messages} of {kibibytes} KiB");
        assert_eq!(outcome.missing.len(), usize::try_from(messages).unwrap());
        assert!(outcome.missing.iter().all(|one| one.why == MissingWhy::NotAsked));
        assert_eq!(*taken.lock().unwrap(), 1, "nothing is asked for after a stop");
    }
}

#[test]
fn rows_are_taken_in_any_order_and_by_their_uid_only() {
    let ran = fetch_from("1:3", None, |command| match command {
        "NOOP" => String::new(),
        _ => [
            honest(3, "c"),
            honest(9, "foreign"),
            honest(1, "a"),
            honest(1, "twin"),
            honest(2, "b"),
        ]
        .concat(),
    });
    assert_eq!(
        ran.rows,
        ["3 (\\Seen) dated 1/1 c", "1 (\\Seen) dated 1/1 a", "2 (\\Seen) dated 1/1 b"]
    );
    assert!(!ran.complete(), "a row came twice");
}

#[test]
fn content_without_a_uid_is_nobodys() {
    let ran = fetch_from("1", None, |command| match command {
        "NOOP" => String::new(),
        _ if command.contains("BODY") => "* 1 FETCH (BODY[] {3}\r\nabc)\r\n".to_owned(),
        _ => "* 1 FETCH (UID 1 FLAGS ())\r\n".to_owned(),
    });
    assert!(ran.rows.is_empty());
    assert_eq!(ran.missing(), "1 Withheld");
    assert!(!ran.complete());
}

#[test]
fn news_of_flags_are_no_answers() {
    let ran = fetch_from("1", None, |_| {
        format!(
            "* 1 FETCH (FLAGS (\\Draft))\r\n* 1 FETCH (UID 1 FLAGS (\\Draft))\r\n{}* 1 FETCH (FLAGS (\\Deleted) UID 1)\r\n* 9 EXISTS\r\n",
            honest(1, "a")
        )
    });
    assert_eq!(ran.rows, ["1 (\\Seen) dated 1/1 a"]);
    assert!(ran.complete());
}

#[test]
fn facts_of_a_split_row_are_joined_by_uid() {
    let ran = fetch_from("1:2", None, |_| {
        format!(
            "* 1 FETCH (UID 1 FLAGS (\\Draft) {DATE})\r\n* 2 FETCH (UID 2 RFC822.SIZE 1 FLAGS () {DATE})\r\n\
             * 2 FETCH (UID 2 BODY[] {{1}}\r\nb)\r\n* 1 FETCH (UID 1 RFC822.SIZE 1 BODY[] {{1}}\r\na)\r\n"
        )
    });
    assert_eq!(ran.rows, ["2 () dated 1/1 b", "1 (\\Draft) dated 1/1 a"]);
    assert!(ran.complete());
}

#[test]
fn facts_may_come_after_the_body() {
    let ran = fetch_from("1", None, |_| {
        format!("* 1 FETCH (BODY[] {{3}}\r\nabc FLAGS (\\Seen) {DATE} RFC822.SIZE 3 UID 1)\r\n")
    });
    assert_eq!(ran.rows, ["1 (\\Seen) dated 3/3 abc"]);
}

#[test]
fn large_body_before_its_facts_is_asked_for_alone() {
    let body = "x".repeat(3 << 20);
    let ran = fetch_from("1:2", None, move |command| {
        let large = format!(
            "* 1 FETCH (UID 1 BODY[] {{{}}}\r\n{body} FLAGS (\\Draft) RFC822.SIZE 7 {DATE})\r\n",
            body.len()
        );
        let small = honest(2, "b");
        if command.contains(" 1 ") { large } else { large + &small }
    });
    assert_eq!(
        ran.rows,
        ["2 (\\Seen) dated 1/1 b", "1 (\\Draft) dated 7/3145728 xxxxxxxxxxxxxxxxxxxx"]
    );
    assert_eq!(ran.sent.lines().count(), 2);
}

#[test]
fn large_body_before_its_uid_is_withheld() {
    let body = "x".repeat(3 << 20);
    let ran = fetch_from("1", None, move |_| {
        format!("* 1 FETCH (BODY[] {{{}}}\r\n{body} UID 1)\r\n", body.len())
    });
    assert!(ran.rows.is_empty());
    assert_eq!(ran.missing(), "1 Withheld");
}

#[test]
fn nothing_in_place_of_a_message_is_no_message() {
    let ran = fetch_from("1:6", None, |command| {
        let row =
            |uid: u32, rest: &str| format!("* 1 FETCH (UID {uid} FLAGS () {DATE} {rest})\r\n");
        if command == "NOOP" || command.ends_with("(UID FLAGS)") {
            return rows(asked(command).iter(), |uid| format!("(UID {uid} FLAGS ())"));
        }
        [
            row(1, "RFC822.SIZE 12 BODY[] NIL"),
            row(2, "RFC822.SIZE 12 BODY[] \"\""),
            row(3, "RFC822.SIZE 12 BODY[] {0}\r\n"),
            row(4, "RFC822.SIZE 0 BODY[] {0}\r\n"),
            row(5, "RFC822.SIZE 3 BODY[] \"abc\""),
            row(6, "RFC822.SIZE -1 BODY[] {0}\r\n"),
        ]
        .concat()
    });
    assert_eq!(ran.rows, ["4 () dated 0/0 ", "5 () dated 3/3 abc"]);
    assert_eq!(ran.missing(), "1 NoContent, 2 NoContent, 3 NoContent, 6 NoContent");
}

#[test]
fn nothing_because_it_was_expunged_is_gone_and_nothing_by_mistake_comes() {
    let mut noop = false;
    let ran = fetch_from("1:2", None, move |command| {
        noop |= command == "NOOP";
        match command {
            "NOOP" => "* 1 EXPUNGE\r\n".to_owned(),
            _ if command.ends_with("(UID FLAGS)") => String::new(),
            _ if noop => honest(2, "b"),
            _ => rows(set("1:2").iter(), |uid| format!("(UID {uid} BODY[] NIL)")),
        }
    });
    assert_eq!(ran.rows, ["2 (\\Seen) dated 1/1 b"]);
    assert_eq!(ran.missing(), "1 Gone");
}

#[test]
fn uids_without_a_row_are_asked_for_again_and_then_accounted_for() {
    let mut noop = false;
    let ran = fetch_from("1:4", None, move |command| {
        if command == "NOOP" {
            noop = true;
            return "* 4 EXPUNGE\r\n".to_owned();
        }
        if command.ends_with("(UID FLAGS)") {
            assert_eq!(command, "UID FETCH 3:4 (UID FLAGS)");
            return "* 3 FETCH (UID 3 FLAGS ())\r\n".to_owned();
        }
        honest(if noop { 2 } else { 1 }, "a")
    });
    assert_eq!(ran.rows, ["1 (\\Seen) dated 1/1 a", "2 (\\Seen) dated 1/1 a"]);
    assert_eq!(ran.missing(), "3 Withheld, 4 Gone");
}

#[test]
fn one_refused_message_costs_only_itself() {
    for word in ["NO [SERVERBUG]", "BAD"] {
        let ran = fetch_from("1:100", None, move |command| {
            let uids = asked(command);
            if uids.contains(Uid::new(37).unwrap()) {
                let first = uids.iter().take_while(|uid| uid.get() < 37).take(1);
                let row: String = first.map(|uid| honest(uid.get(), "a")).collect();
                return format!("{row}TAG {word} broken");
            }
            all_honest(command)
        });
        assert_eq!(ran.missing(), "37 Withheld");
        assert_eq!(ran.outcome.unwrap().came, set("1:36,38:100"));
    }
}

#[test]
fn server_that_asks_for_patience_is_given_it() {
    let ran = fetch_from("1:300", None, |_| "TAG NO [UNAVAILABLE] later".to_owned());
    let Err(StoreError::Refused(refusal)) = ran.outcome else { panic!() };
    assert!(refusal.asks_for_patience());
    assert_eq!(ran.sent.lines().count(), 1);
}

#[test]
fn sink_can_stop_at_every_call() {
    for (stop_at, rows) in [(1, 0), (2, 0), (3, 1), (4, 1), (6, 2), (300, 100), (600, 200)] {
        let ran = fetch_from("1:500", Some(stop_at), all_honest);
        assert_eq!(ran.rows.len(), rows, "{stop_at}");
        let outcome = ran.outcome.as_ref().unwrap();
        assert_eq!(outcome.missing.len(), 500 - rows);
        assert!(outcome.missing.iter().all(|one| one.why == MissingWhy::NotAsked));
        assert_eq!(ran.sent.lines().count(), 1, "{stop_at}");
    }
}

#[test]
fn dripping_line_gives_the_same() {
    let whole = fetch_from("1:20", None, all_honest);
    let drip = fetch_over(Line { drip: 1, ..Line::default() }, "1:20", None, all_honest);
    assert_eq!(whole.rows, drip.rows);
}

#[test]
fn bye_a_cut_and_a_foreign_tag_end_it() {
    let ran = fetch_from("1", None, |_| "* BYE [UNAVAILABLE] gone\r\nTAG OK".to_owned());
    assert!(matches!(ran.outcome, Err(StoreError::Connection(text)) if text.contains("gone")));
    let ran = fetch_from("1", None, |_| "E1 OK Create completed\r\n".to_owned());
    assert!(matches!(ran.outcome, Err(StoreError::Protocol(_))));
    let (mut wire, _) = connect(
        Lines(|_: &str, _: &str| b"* 1 FETCH (UID 1 BODY[] {50}\r\nabc".to_vec()),
        Line::default(),
    );
    let ended = fetch(&mut wire, &mut opened(9, 8), &visit(&set("1")), &mut Basket::default());
    assert!(matches!(ended, Err(StoreError::Connection(_))));
}

#[test]
fn row_of_endless_literals_is_given_up() {
    let ran = fetch_from("1", None, |_| format!("* 1 FETCH (X ({}", "{1}\r\na ".repeat(2_000)));
    assert!(matches!(ran.outcome, Err(StoreError::Protocol(_))));
}

#[test]
fn scan_of_a_range_is_sent_as_a_range_and_lists_nothing_as_missing() {
    let row = |uid: u32| format!("* 1 FETCH (UID {uid} RFC822.SIZE 3 {DATE} FLAGS ())\r\n");
    let ran = scan_from("1:4294967295", opened(90, 2), FACTS, move |_| [row(7), row(80)].concat());
    assert_eq!(ran.sent, "X1 UID FETCH 1:4294967295 (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n");
    assert_eq!(ran.rows, ["7 () dated 3/- ", "80 () dated 3/- "]);
    assert!(ran.complete());
    assert_eq!(ran.missing(), "");
    // What is above the highest UID is answered with the last message (seen on two servers).
    let ran = scan_from("81:4294967295", opened(90, 2), FACTS, move |_| row(80));
    assert!(ran.rows.is_empty());
    assert!(ran.complete());
}

#[test]
fn listing_is_complete_only_if_it_has_as_many_rows_as_the_folder() {
    let row = |uid: u32| format!("* 1 FETCH (UID {uid} RFC822.SIZE 3 {DATE} FLAGS ())\r\n");
    let check = |uids: &str, messages, answer: String, complete: bool| {
        let ran = scan_from(uids, opened(90, messages), FACTS, move |_| answer.clone());
        assert_eq!(ran.complete(), complete, "{uids} {messages}");
    };
    check("1:89", 3, row(7) + &row(8), false);
    check("1:89", 3, row(7) + &row(8) + "* 3 EXPUNGE\r\n", true);
    check("1:89", 2, row(7) + &row(8) + "* 3 EXISTS\r\n", true);
    check("1:89", 2, row(7) + &row(8) + "* 3 EXISTS\r\n* 3 EXPUNGE\r\n", true);
    check("1:4294967295", 2, row(7) + &row(8) + &row(90) + "* 3 EXISTS\r\n", true);
    check("1:89", 2, row(7) + &row(7) + &row(8), false);
    check("1:89", 2, row(7) + &row(8) + &format!("* 2 FETCH (RFC822.SIZE 3 {DATE})\r\n"), false);
    check("1:89", 2, row(7) + &row(8) + "* 2 FETCH (FLAGS ())\r\n", true);
    check("50:89", 9, row(60), true);
    check("1:89", 1, row(7) + "TAG NO broken", false);
}

#[test]
fn header_fields_are_pieces_of_the_row() {
    let items = Items { facts: true, mod_seq: true, header: HeaderFields::Key, ..Items::default() };
    let ran = scan_from("7:9", opened(90, 9), items, |command| {
        if command == "NOOP" {
            return String::new();
        }
        let fields = "BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)]";
        let facts = |uid: u32| format!("* 1 FETCH (UID {uid} FLAGS () {DATE} RFC822.SIZE 3");
        [
            format!("{} MODSEQ (5) {fields} {{6}}\r\nA: b\r\n)\r\n", facts(7)),
            format!("{} {fields} NIL)\r\n", facts(8)),
            format!("* 1 FETCH (UID 9 {fields} \"C: d\")\r\n{} BODY[] \"not this\")\r\n", facts(9)),
        ]
        .concat()
    });
    assert_eq!(
        ran.sent.lines().next().unwrap(),
        "X1 UID FETCH 7:9 (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ \
         BODY.PEEK[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)])"
    );
    assert_eq!(ran.rows[0], "7 () dated 3/- A: b\r\n");
    assert_eq!(ran.rows[1..], ["8 () dated 3/- ", "9 () dated 3/- C: d"]);
    assert_eq!(ran.missing(), "");
}

#[test]
fn server_that_lacks_an_item_is_read_all_the_same() {
    let ran = scan_from("1:3", opened(4, 3), FACTS, |_| {
        rows(set("1:3").iter(), |uid| format!("(UID {uid} RFC822.SIZE 3)"))
    });
    assert_eq!(ran.rows.len(), 3);
    assert!(ran.complete());
}

#[test]
fn wide_scan_that_is_always_refused_ends_soon() {
    let commands = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&commands);
    let ran = scan_from("1:4294967295", opened(90, 2), FACTS, move |_| {
        *counted.lock().unwrap() += 1;
        "TAG NO not for you".to_owned()
    });
    assert!(matches!(ran.outcome, Err(StoreError::Refused(_))));
    assert!(*commands.lock().unwrap() < 50);
}

proptest! {
    #[test]
    fn every_uid_is_accounted_for_whatever_the_server_answers(
        rows in proptest::collection::vec((0_u32..8, 0..7_u8), 0..12),
        statuses in proptest::collection::vec(0..4_u8, 12),
    ) {
        let (mut rows, mut statuses) = (rows.into_iter(), statuses.into_iter());
        let ran = fetch_from("1:6", None, move |_| {
            let mut answer = String::new();
            for (uid, kind) in rows.by_ref().take(4) {
                answer.push_str(&match kind {
                    0..=2 => honest(uid, "abc"),
                    3 => format!("* 1 FETCH (BODY[] {{2}}\r\nab UID {uid})\r\n"),
                    4 => format!("* 1 FETCH (UID {uid} BODY[] NIL)\r\n"),
                    5 => format!("* 1 FETCH (UID {uid} FLAGS (\\Seen))\r\n"),
                    _ => format!("* {uid} EXPUNGE\r\n"),
                });
            }
            if statuses.next() == Some(0) { answer + "TAG NO no" } else { answer }
        });
        let outcome = ran.outcome.unwrap();
        let mut accounted: Vec<Uid> = outcome.missing.iter().map(|one| one.uid).collect();
        accounted.extend(outcome.came.iter());
        accounted.sort_unstable();
        let all: Vec<Uid> = set("1:6").iter().collect();
        prop_assert_eq!(accounted, all);
        prop_assert_eq!(ran.rows.len() as u64, outcome.came.len());
    }
}

#[test]
fn flags_of_rows_are_whitelisted() {
    let row =
        format!("* 1 FETCH (UID 1 FLAGS (\\Recent \\Seen caf\u{e9} \\X) {DATE} RFC822.SIZE 1)\r\n");
    let ran = scan_from("1", opened(4, 3), FACTS, move |_| row.clone());
    assert_eq!(ran.rows, [format!("1 ({}) dated 1/- ", Flag::Seen)]);
}

#[test]
fn chatter_without_end_is_given_up() {
    let long = "x".repeat(2_000);
    for chatter in [
        "* 5 EXISTS\r\n".to_owned(),
        format!("* OK {long}\r\n"),
        format!("* 1 FETCH (UID 1 FLAGS ({long}))\r\n"),
        format!("* 1 FETCH (FLAGS ({long}))\r\n"),
        format!("* 7 FETCH (UID 7 BODY[] {{2000}}\r\n{long})\r\n"),
        format!("+ {long}\r\n"),
    ] {
        let much = chatter.repeat(1 + 100_000 / chatter.len());
        let mut times = 0;
        let endless = move |_: &mut Vec<u8>| {
            times += 1;
            assert!(times < 5_000, "read on and on");
            much.clone().into_bytes()
        };
        let (mut wire, _) = connect(Endless(endless), Line::default());
        let fetched =
            fetch(&mut wire, &mut opened(9, 8), &visit(&set("1")), &mut Basket::default());
        assert!(matches!(fetched, Err(StoreError::Protocol(_))), "{chatter}: {fetched:?}");
    }
}

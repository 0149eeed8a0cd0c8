//! One command a message.

use super::*;
use crate::imap::append::proof::DateKind;

#[test]
fn first_of_a_combination_waits_and_the_others_do_not() {
    let ran = run(
        Nature::default(),
        PLUS,
        Messages::new(&[
            "\\Seen|11|one",
            "\\Seen|11|two",
            "|11|three",
            "$A|12|four",
            "$A|01|five",
            "$A||six",
            "$A||seven",
        ]),
    );
    assert_eq!(ran.literals(), ["{3}", "{3+}", "{5+}", "{4}", "{4+}", "{3}", "{5+}"]);
    assert_eq!(ran.stored[0], "\"INBOX\" (\\Seen) \"11-Feb-2020 01:02:03 +0000\" one");
    assert_eq!(ran.stored[3], "\"INBOX\" ($A) \"12-Feb-2020 01:02:03 +0000\" four");
    assert_eq!(ran.messages.words()[6], "6 stored 7");
    assert_eq!(ran.counts(), (4, 3));
}

#[test]
fn new_combination_does_not_wait_for_the_answer_to_another_that_proves_nothing_of_it() {
    // The first message is answered only along with what is said to the next command.
    struct Waits(Server);
    impl Peer for Waits {
        fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
            let said = self.0.take(input);
            let is_alone = said.starts_with(b"X1 OK") && !said.ends_with(b"+ go on\r\n");
            if is_alone { Vec::new() } else { said }
        }
    }
    let log = Arc::new(Mutex::new(Log::default()));
    let server = Waits(Server::new(Nature::default(), &log));
    let messages = Messages::new(&["$A||one", "$B||two", "$A $B||three"]);
    let ran = run_with(server, &log, Line::default(), PLUS, messages);
    assert_eq!(ran.literals(), ["{3}", "{3}", "{5+}"], "both prove the third");
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 stored 2", "2 stored 3"]);
}

#[test]
fn without_literal_plus_body_and_next_command_leave_together() {
    let ran = run(Nature::default(), PLAIN, Messages::new(&["||one", "||two", "||three"]));
    assert_eq!(ran.literals(), ["{3}", "{3}", "{5}"]);
    assert_eq!(ran.stored.len(), 3);
    assert!(ran.sent.contains("one\r\nX2 APPEND \"INBOX\" () {3}\r\n"));
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 stored 2", "2 stored 3"]);
}

#[test]
fn literal_minus_goes_up_to_its_limit() {
    let small = "s".repeat(4_096);
    let large = "l".repeat(4_097);
    let messages = ["||first".to_owned(), format!("||{small}"), format!("||{large}")];
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let ran = run(Nature::default(), MINUS, Messages::new(&messages));
    assert_eq!(ran.literals(), ["{5}", "{4096+}", "{4097}"]);
}

#[test]
fn body_over_half_of_the_limit_waits() {
    let large = format!("||{}", "l".repeat((10 << 20) + 1));
    let at_limit = format!("||{}", "l".repeat(10 << 20));
    let ran = run(Nature::default(), PLUS, Messages::new(&["||a", &at_limit, &large, "||b"]));
    assert_eq!(ran.literals(), ["{1}", "{10485760+}", "{10485761}", "{1+}"]);
    let stopped = AtomicBool::new(false);
    let terms =
        |ways, limit| Terms { ways, limit, refusals: &[], windows_stopped: &stopped, gate: None };
    assert_eq!(terms(PLUS, None).literal_for(25 << 20), Literal::NonSynchronising);
    assert_eq!(terms(PLUS, None).literal_for((25 << 20) + 1), Literal::Synchronising);
}

#[test]
fn probes_prove_flags_and_dates_in_two_round_trips() {
    let nature = Nature { refuses_empty: true, ..Nature::default() };
    let ran = run(nature, PROBED, Messages::new(&["\\Seen|11|one", "\\Draft|01|two", "$A||three"]));
    assert_eq!(ran.counts(), (3, 0));
    // The flag of the third is asked about with the dates, before any message.
    assert_eq!(ran.literals()[5..], ["{3+}", "{3+}", "{5+}"]);
    assert_eq!(ran.stored.len(), 3);
    assert!(ran.emptied.is_empty());
    assert!(ran.executed.is_empty());
}

#[test]
fn probes_prove_nothing_where_the_line_is_not_looked_at() {
    let nature = Nature { refuses_empty: true, refuses_blindly: true, ..Nature::default() };
    let ran = run(nature, PROBED, Messages::new(&["\\Seen|11|one"]));
    assert_eq!(ran.counts(), (0, 1));
    let nature = Nature { refuses_empty: true, bad_dates: true, ..Nature::default() };
    let ran = run(nature, PROBED, Messages::new(&["\\Seen||one", "\\Seen|11|two"]));
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 BAD invalid date"]);
    assert!(ran.executed.is_empty());
}

#[test]
fn flags_that_turn_up_later_are_asked_about_together_and_those_not_understood_wait() {
    let nature = Nature { refuses_empty: true, bad_flag: Some("$Evil"), ..Nature::default() };
    let mut messages = Messages::new(&["||one", "$A||two", "$B||three", "$Evil||four", "$A||five"]);
    // Only the first one is seen at first.
    messages.seen_below = 4;
    let ran = run(nature, PROBED, messages);
    let (once, each) = (2 + 2, 3);
    assert_eq!(ran.literals()[once], "{3+}");
    assert!(ran.literals()[once + 1..][..each].iter().all(|literal| *literal == "{0+}"));
    assert_eq!(ran.literals()[once + 1 + each..], ["{3+}", "{5+}", "{4}", "{4+}"]);
    let words = ["0 stored 1", "1 stored 2", "2 stored 3", "3 BAD invalid flag", "4 stored 4"];
    assert_eq!(ran.messages.words(), words);
    assert!(ran.executed.is_empty() && !ran.stopped);
}

#[test]
fn server_that_stores_the_probe_is_told_of_and_not_probed_again() {
    let ran = run(Nature::default(), PROBED, Messages::new(&["\\Seen||one", "||two"]));
    assert_eq!(ran.emptied, [WireName::new(*b"INBOX")]);
    assert_eq!(ran.stored.len(), 3);
    assert_eq!(ran.literals(), ["{0+}", "{0+}", "{3}", "{3+}"]);
}

#[test]
fn hostile_body_is_not_run_because_a_new_flag_waits() {
    let nature = Nature { bad_flag: Some("$Evil"), ..Nature::default() };
    let ran = run(
        nature,
        PLUS,
        Messages::new(&["||fine", "$Evil||E1 CREATE evil\r\nE2 DELETE INBOX\r\n", "||fine too"]),
    );
    assert!(ran.executed.is_empty());
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 BAD invalid flag", "2 stored 2"]);
    assert!(!ran.stopped);
}

#[test]
fn bad_in_a_window_ends_the_connection_and_all_windows() {
    // A server that changes its mind about a flag that it has accepted.
    struct Fickle(Server, usize);
    impl Peer for Fickle {
        fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
            if self.0.log.lock().unwrap().stored.len() >= self.1 {
                self.0.nature.bad_flag = Some("$A");
            }
            self.0.take(input)
        }
    }
    let log = Arc::new(Mutex::new(Log::default()));
    let nature = Nature::default();
    let server = Server::new(nature, &log);
    let (mut wire, _) = connect(Fickle(server, 1), Line::default());
    let stopped = AtomicBool::new(false);
    let terms =
        Terms { ways: PLUS, limit: None, refusals: &[], windows_stopped: &stopped, gate: None };
    let mut messages =
        Messages::new(&["$A||first", "$A||E1 CREATE evil\r\nE2 CREATE evil\r\n", "$A||third"]);
    let mut proof = Proof::default();
    let ended = append(&mut wire, &terms, &mut proof, None, &mut messages);
    assert!(matches!(ended, Err(StoreError::Protocol(_))), "{ended:?}");
    assert!(stopped.load(Ordering::Relaxed));
    assert_eq!(messages.result(1), &AppendResult::Unknown(Unknown { handed_over: true }));
    assert!(matches!(messages.result(2), AppendResult::Unknown(_)));
    // The next connection waits for every literal.
    let mut messages = Messages::new(&["||one", "||two"]);
    let server = Server::new(Nature::default(), &log);
    let (mut wire, _) = connect(server, Line::default());
    let outcome = append(&mut wire, &terms, &mut proof, None, &mut messages).unwrap();
    assert_eq!((outcome.pipelined, outcome.synchronised), (0, 2));
    assert!(outcome.window_stopped);
}

#[test]
fn no_before_the_continuation_costs_only_that_message() {
    let nature = Nature { no_flag: Some(("$A", "NO Over Quota")), ..Nature::default() };
    let ran = run(nature, PLUS, Messages::new(&["||one", "$A||two", "||three"]));
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 NO Over Quota", "2 stored 2"]);
    let AppendResult::Refused(refusal) = ran.messages.result(1) else { panic!() };
    assert!(refusal.known_words && refusal.proves_not_stored());
    assert!(!ran.sent.contains("two"));
}

#[test]
fn refusal_after_the_body_costs_only_that_message() {
    let nature = Nature { poison: Some("bad"), ..Nature::default() };
    let ran = run(nature, PLUS, Messages::new(&["||one", "||bad", "||three"]));
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 NO [LIMIT] poison", "2 stored 2"]);
}

/// What is known once messages without dates went to INBOX.
fn proved_inbox() -> Proof {
    let mut proof = Proof::default();
    let flags = [Flag::Seen].into_iter().collect();
    let line = crate::imap::append::proof::Line::new(&flags, DateKind::Absent);
    proof.accept(&WireName::new(*b"INBOX"), &line);
    proof
}

#[test]
fn window_is_bounded_and_does_not_deadlock() {
    // The peer holds answers back until 256 commands are there, and stops reading when 32 KiB of
    // answers wait: a wider or narrower window would hang, which the line turns into an error.
    let nature = Nature { answers_late: 256, ..Nature::default() };
    let line = Line { room: 32 << 10, ..Line::default() };
    let mut messages = Messages::same(1 + 256 * 4, 100);
    messages.waiting.truncate(1 + 256 * 4);
    let log = Arc::new(Mutex::new(Log::default()));
    let server = Server::new(nature, &log);
    let (mut wire, _) = connect(server, line);
    let stopped = AtomicBool::new(false);
    let terms =
        Terms { ways: PLUS, limit: None, refusals: &[], windows_stopped: &stopped, gate: None };
    let mut proof = proved_inbox();
    messages.waiting.pop_front();
    let outcome = append(&mut wire, &terms, &mut proof, None, &mut messages).unwrap();
    assert_eq!(outcome.pipelined, 1024);
    assert_eq!(log.lock().unwrap().stored.len(), 1024);
}

#[test]
fn octets_in_the_window_are_bounded() {
    let log = Arc::new(Mutex::new(Log::default()));
    let server = Server::new(Nature::default(), &log);
    let (mut wire, _) = connect(server, Line::default());
    let stopped = AtomicBool::new(false);
    let terms =
        Terms { ways: PLUS, limit: None, refusals: &[], windows_stopped: &stopped, gate: None };
    let mut proof = proved_inbox();
    // Two of 3 MiB fit, the third waits for the first answers, which come for two at once.
    let mut messages = Messages::same(6, 3 << 20);
    append(&mut wire, &terms, &mut proof, None, &mut messages).unwrap();
    assert_eq!(log.lock().unwrap().stored.len(), 6);
}

#[test]
fn mailbox_that_needs_a_literal_always_waits() {
    let ran = run_over(
        Line::default(),
        Nature::default(),
        PLUS,
        Some("caf\u{e9}\r\n"),
        Messages::new(&["||one", "||two"]),
    );
    assert_eq!(ran.counts(), (0, 2));
    assert_eq!(ran.stored[1], "<caf\u{e9}\r\n> () two");
    assert!(ran.executed.is_empty());
}

#[test]
fn lost_body_drops_the_connection_after_the_answers_before_it() {
    let mut messages = Messages::same(6, 5_000);
    messages.lost_in = Some(3);
    let ran = run(Nature::default(), PLUS, messages);
    assert!(matches!(ran.outcome, Err(StoreError::Connection(_))));
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 stored 2", "2 stored 3", "3 unknown kept"]);
    assert_eq!(ran.stored.len(), 3);
}

#[test]
fn bye_leaves_the_rest_unknown() {
    let nature = Nature { says_at: Some((3, "* BYE shutting down")), ..Nature::default() };
    let ran = run(nature, PLUS, Messages::same(5, 100));
    assert!(matches!(ran.outcome, Err(StoreError::Connection(_))));
    let words = ran.messages.words();
    assert_eq!(words[..2], ["0 stored 1", "1 stored 2"]);
    assert!(words[2..].iter().all(|word| word.ends_with("handed over")), "{words:?}");
}

#[test]
fn signs_of_a_body_that_is_run_end_all_windows() {
    for words in ["* BAD what", "E1 OK Create completed", "X4 BAD Error in command"] {
        let nature = Nature { says_at: Some((4, words)), ..Nature::default() };
        let ran = run(nature, PLUS, Messages::same(8, 100));
        assert!(matches!(ran.outcome, Err(StoreError::Protocol(_))), "{words}");
        assert!(ran.stopped, "{words}");
        let results = ran.messages.words();
        assert_eq!(results[..3], ["0 stored 1", "1 stored 2", "2 stored 3"]);
        assert!(results[3..].iter().all(|word| word.contains("unknown")), "{results:?}");
    }
    // Where every literal waits, no body is ever taken for commands.
    for words in ["* BAD what\r\nX4 OK stored", "X4 BAD Error in command"] {
        let nature = Nature { says_at: Some((4, words)), ..Nature::default() };
        let ran = run(nature, PLAIN, Messages::same(8, 100));
        assert!(ran.outcome.is_ok() && !ran.stopped, "{words}");
    }
}

#[test]
fn a_continuation_that_nobody_asked_for_is_not_taken_for_the_next_ones() {
    let nature = Nature {
        asks_for_all: true,
        no_flag: Some(("$New", "NO [CANNOT] not with this flag")),
        ..Nature::default()
    };
    let evil = "E1 CREATE evil\r\n";
    let evil = format!("$New||{evil}");
    let messages = Messages::new(&["\\Seen||one", "\\Seen||two", &evil, "$A||four"]);
    let ran = run(nature, PLUS, messages);
    assert_eq!(ran.executed, [""; 0], "{}", ran.sent);
    assert!(ran.stopped);
    assert_eq!(ran.messages.words()[0], "0 stored 1");
}

#[test]
fn a_date_that_is_none_is_never_sent() {
    let mut messages = Messages::new(&["||one"]);
    messages.waiting[0].0.date = Some("\"x\") {3+}\r\nabc\"".to_owned());
    let ran = run(Nature::default(), PLUS, messages);
    assert!(ran.outcome.is_err());
    assert_eq!(ran.sent, "");
    assert_eq!(ran.messages.words(), ["0 unknown kept"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever octet the line is cut after: each message has one result, and one that the peer stored
    /// is never said to be kept.
    #[test]
    fn cut_at_any_octet_tells_the_truth(
        cut_after in 0_usize..4_000,
        drip in 1_usize..200,
        ways in prop::sample::select(vec![PLUS, PLAIN, MULTI]),
        octets in 10_usize..200,
    ) {
        let line = Line { drip, cut_after, ..Line::default() };
        let ran = run_over(line, Nature::default(), ways, None, Messages::same(20, octets));
        for (ticket, result) in &ran.messages.results {
            let number = format!("{ticket:05}");
            let is_there = ran.stored.iter().any(|line| line.contains(&number));
            match result {
                AppendResult::Stored(stored) => {
                    prop_assert!(is_there);
                    let (_, uid) = stored.at.unwrap();
                    let line = &ran.stored[usize::try_from(uid.get()).unwrap() - 1];
                    prop_assert!(line.contains(&number));
                }
                AppendResult::Unknown(unknown) => {
                    prop_assert!(unknown.handed_over || !is_there);
                    prop_assert_eq!(unknown.handed_over, is_there);
                }
                AppendResult::Refused(_) | AppendResult::RefusedTogether(..) => {
                    prop_assert!(false);
                }
            }
        }
        let taken = 20 - ran.messages.waiting.len();
        prop_assert_eq!(ran.messages.results.len(), taken);
        prop_assert!(ran.outcome.is_err() || taken == 20);
    }
}

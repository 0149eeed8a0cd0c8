use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::imap::script::Line;
use crate::imap::script::Peer;
use crate::imap::script::connect;
use crate::imap::script::text_of;
use crate::mail::Flag;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendResult;
use crate::store::BodyLost;
use crate::store::Ticket;
use crate::store::Unknown;
use crate::store::Wait;

/// What a server is like.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
struct Nature {
    /// A flag that is answered with BAD.
    bad_flag: Option<&'static str>,
    /// BAD to every date.
    bad_dates: bool,
    /// A flag that is answered with this NO, before a continuation.
    no_flag: Option<(&'static str, &'static str)>,
    /// Appends of nothing are refused.
    refuses_empty: bool,
    /// ... with NO before the line is looked at.
    refuses_blindly: bool,
    /// Asks for literals that do not wait, too.
    asks_for_all: bool,
    /// Answers are held back until so many commands are there.
    answers_late: usize,
    /// Body octets that are refused after the body.
    poison: Option<&'static str>,
    /// Says this in place of the answer to this message.
    says_at: Option<(usize, &'static str)>,
}

/// What happened at the server.
#[derive(Default)]
struct Log {
    stored: Vec<String>,
    executed: Vec<String>,
    late: usize,
}

/// A server that runs the body as commands where it does not understand the line.
struct Server {
    nature: Nature,
    log: Arc<Mutex<Log>>,
    line: String,
    literal: Option<Pending>,
    held: Vec<u8>,
}

struct Pending {
    octets: usize,
    refused: Option<String>,
    is_name: bool,
}

impl Server {
    fn verdict(&self, line: &str, octets: usize) -> Option<String> {
        if self.nature.refuses_blindly && octets == 0 {
            return Some("NO empty".to_owned());
        }
        let flags = &line[line.rfind('(').unwrap()..line.rfind(')').unwrap()];
        if flags.contains("\\Mailferry")
            || self.nature.bad_flag.is_some_and(|bad| flags.contains(bad))
        {
            return Some("BAD invalid flag".to_owned());
        }
        if self.nature.bad_dates && line.ends_with('"') {
            return Some("BAD invalid date".to_owned());
        }
        if let Some((flag, answer)) = self.nature.no_flag
            && flags.contains(flag)
        {
            return Some(answer.to_owned());
        }
        (self.nature.refuses_empty && octets == 0).then(|| "NO empty".to_owned())
    }

    fn line(&mut self, text: &str) -> String {
        let joined = std::mem::take(&mut self.line) + text;
        let (tag, command) = joined.split_once(' ').unwrap_or((&joined, ""));
        if joined.is_empty() {
            return "* BAD empty line\r\n".to_owned();
        }
        if command == "NOOP" {
            return format!("{tag} OK done\r\n");
        }
        if !command.starts_with("APPEND ") || !joined.ends_with('}') {
            self.log.lock().unwrap().executed.push(joined.clone());
            return format!("{tag} OK executed\r\n");
        }
        let open = joined.rfind('{').unwrap();
        let inner = &joined[open + 1..joined.len() - 1];
        let waits = !inner.ends_with('+');
        let octets: usize = inner.trim_end_matches('+').parse().unwrap();
        let head = joined[..open].trim_end();
        if head.ends_with("APPEND") {
            self.line = format!("{head} ");
            self.literal = Some(Pending { octets, refused: None, is_name: true });
            return "+ name\r\n".to_owned();
        }
        let refused = self.verdict(head, octets);
        match refused {
            Some(answer) if waits || answer.starts_with("BAD") => format!("{tag} {answer}\r\n"),
            refused => {
                self.line = head.to_owned();
                self.literal = Some(Pending { octets, refused, is_name: false });
                let asks = waits || self.nature.asks_for_all;
                if asks { "+ go on\r\n".to_owned() } else { String::new() }
            }
        }
    }

    fn literal(&mut self, body: &str, pending: Pending) -> String {
        if pending.is_name {
            self.line.push_str(&format!("<{body}>"));
            return String::new();
        }
        let head = std::mem::take(&mut self.line);
        let (tag, rest) = head.split_once(' ').unwrap();
        let mut log = self.log.lock().unwrap();
        if let Some(answer) = pending.refused {
            return format!("{tag} {answer}\r\n");
        }
        if self.nature.poison.is_some_and(|poison| body.contains(poison)) {
            return format!("{tag} NO [LIMIT] poison\r\n");
        }
        let shown: String = body.chars().take(9).collect();
        log.stored.push(format!("{} {shown}", &rest["APPEND ".len()..]));
        if let Some((at, words)) = self.nature.says_at
            && at == log.stored.len()
        {
            return format!("{words}\r\n");
        }
        format!("{tag} OK [APPENDUID 7 {}] stored\r\n", log.stored.len())
    }
}

impl Peer for Server {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        let mut from = 0;
        let mut answers = Vec::new();
        loop {
            let rest = &input[from..];
            let answer = if let Some(pending) = self.literal.take() {
                // A literal of a message is followed by a line end.
                let tail = if pending.is_name { 0 } else { 2 };
                if rest.len() < pending.octets + tail {
                    self.literal = Some(pending);
                    break;
                }
                from += pending.octets + tail;
                let body = String::from_utf8_lossy(&rest[..pending.octets]).into_owned();
                self.literal(&body, pending)
            } else {
                let Some(end) = memchr::memchr(b'\n', rest) else { break };
                let line = String::from_utf8_lossy(&rest[..end]).trim_end().to_owned();
                from += end + 1;
                self.line(&line)
            };
            answers.extend_from_slice(answer.as_bytes());
        }
        input.drain(..from);
        self.held.extend(answers);
        let lines = memchr::memchr_iter(b'\n', &self.held).count();
        self.log.lock().unwrap().late = lines;
        if lines >= self.nature.answers_late { std::mem::take(&mut self.held) } else { Vec::new() }
    }
}

/// Messages in memory, and their results.
struct Messages {
    folder: Arc<WireName>,
    waiting: VecDeque<(AppendMessage, Vec<u8>)>,
    body: Vec<u8>,
    body_is_due: bool,
    /// The body of this ticket breaks off.
    lost_in: Option<u64>,
    results: Vec<(u64, AppendResult)>,
}

impl Messages {
    /// From words such as `\Seen,$A|date|body`.
    fn new(words: &[&str]) -> Self {
        let message = |(at, words): (usize, &&str)| {
            let mut parts = words.splitn(3, '|');
            let flags = parts.next().unwrap().split(',');
            let flags = flags.filter_map(|flag| Flag::from_wire(flag.as_bytes())).collect();
            let date = Some(parts.next().unwrap()).filter(|date| !date.is_empty());
            let body = parts.next().unwrap().as_bytes().to_vec();
            let message = AppendMessage {
                ticket: Ticket(at as u64),
                folder: Arc::new(WireName::new(*b"INBOX")),
                flags,
                date: date.map(|day| format!("\"{day}-Feb-2020 01:02:03 +0000\"")),
                octets: body.len() as u64,
            };
            (message, body)
        };
        Self::of(words.iter().enumerate().map(message).collect())
    }

    fn of(waiting: VecDeque<(AppendMessage, Vec<u8>)>) -> Self {
        let folder = Arc::new(WireName::new(*b"INBOX"));
        Self {
            folder,
            waiting,
            body: Vec::new(),
            body_is_due: false,
            lost_in: None,
            results: Vec::new(),
        }
    }

    fn same(count: u64, octets: usize) -> Self {
        let message = |at: u64| {
            let mut body = vec![b'x'; octets];
            body[..5].copy_from_slice(format!("{at:05}").as_bytes());
            let flags = [Flag::Seen].into_iter().collect();
            let folder = Arc::new(WireName::new(*b"INBOX"));
            let octets = octets as u64;
            (AppendMessage { ticket: Ticket(at), folder, flags, date: None, octets }, body)
        };
        Self::of((0..count).map(message).collect())
    }

    fn result(&self, ticket: u64) -> &AppendResult {
        let mut found = self.results.iter().filter(|(own, _)| *own == ticket);
        let (_, result) = found.next().expect("every message has its result");
        assert!(found.next().is_none(), "a result came twice");
        result
    }

    fn words(&self) -> Vec<String> {
        let mut results = self.results.clone();
        results.sort_by_key(|(ticket, _)| *ticket);
        let word = |(ticket, result): (u64, AppendResult)| match result {
            AppendResult::Stored(stored) => {
                let uid = stored.at.map_or("-".to_owned(), |(_, uid)| uid.to_string());
                format!("{ticket} stored {uid}")
            }
            AppendResult::Refused(refusal) => format!("{ticket} {refusal}"),
            AppendResult::Unknown(Unknown { handed_over }) => {
                format!("{ticket} unknown {}", if handed_over { "handed over" } else { "kept" })
            }
        };
        results.into_iter().map(word).collect()
    }
}

impl AppendQueue for Messages {
    fn next(&mut self, _: Wait) -> Option<AppendMessage> {
        assert!(!self.body_is_due, "the body before was not asked for");
        let (mut message, body) = self.waiting.pop_front()?;
        message.folder = Arc::clone(&self.folder);
        self.body = body;
        self.body_is_due = true;
        Some(message)
    }

    fn ended(&self) -> bool {
        self.waiting.is_empty()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        assert!(std::mem::take(&mut self.body_is_due), "a body was asked for twice");
        let ticket = self.results.len() as u64;
        let body = std::mem::take(&mut self.body);
        let lost = self.lost_in.is_some_and(|lost| {
            lost == ticket || body.starts_with(format!("{lost:05}").as_bytes())
        });
        let end = if lost { body.len() / 2 } else { body.len() };
        for piece in body[..end].chunks(1_000) {
            sink(piece)?;
        }
        if lost { Err(io::Error::other(BodyLost)) } else { Ok(()) }
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        self.results.push((ticket.0, result));
    }
}

const PLUS: AppendWays =
    AppendWays { multi: false, literal_plus: true, literal_minus: false, refuses_empty: false };
const MINUS: AppendWays = AppendWays { literal_plus: false, literal_minus: true, ..PLUS };
const PROBED: AppendWays = AppendWays { refuses_empty: true, ..PLUS };
const PLAIN: AppendWays = AppendWays { literal_plus: false, ..PLUS };

struct Ran {
    outcome: Result<AppendOutcome, StoreError>,
    messages: Messages,
    sent: String,
    stored: Vec<String>,
    executed: Vec<String>,
    stopped: bool,
}

impl Ran {
    /// How each APPEND announced its literal.
    fn literals(&self) -> Vec<&str> {
        let lines = self.sent.lines().filter(|line| line.contains("APPEND"));
        lines.filter_map(|line| line.rsplit(' ').next()).collect()
    }

    fn counts(&self) -> (u64, u64) {
        let outcome = self.outcome.as_ref().unwrap();
        (outcome.pipelined, outcome.synchronised)
    }
}

fn run(nature: Nature, ways: AppendWays, messages: Messages) -> Ran {
    run_over(Line::default(), nature, ways, "INBOX", messages)
}

fn run_over(
    line: Line,
    nature: Nature,
    ways: AppendWays,
    folder: &str,
    mut messages: Messages,
) -> Ran {
    let log = Arc::new(Mutex::new(Log::default()));
    let server = Server {
        nature,
        log: Arc::clone(&log),
        line: String::new(),
        literal: None,
        held: Vec::new(),
    };
    let (mut wire, sent) = connect(server, line);
    let stopped = AtomicBool::new(false);
    let refusals = ["over quota".to_owned()];
    let terms =
        Terms { ways, limit: Some(400_000), refusals: &refusals, windows_stopped: &stopped };
    let mut proof = Proof::default();
    messages.folder = Arc::new(WireName::new(folder.as_bytes()));
    let outcome = append(&mut wire, &terms, &mut proof, &mut messages);
    let mut log = log.lock().unwrap();
    Ran {
        outcome,
        messages,
        sent: text_of(&sent),
        stored: std::mem::take(&mut log.stored),
        executed: std::mem::take(&mut log.executed),
        stopped: stopped.load(Ordering::Relaxed),
    }
}

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
            "$A| 1|five",
            "$A| 2|six",
        ]),
    );
    assert_eq!(ran.literals(), ["{3}", "{3+}", "{5+}", "{4}", "{4}", "{3+}"]);
    assert_eq!(ran.stored[0], "\"INBOX\" (\\Seen) \"11-Feb-2020 01:02:03 +0000\" one");
    assert_eq!(ran.stored[3], "\"INBOX\" ($A) \"12-Feb-2020 01:02:03 +0000\" four");
    assert_eq!(ran.messages.words()[5], "5 stored 6");
    assert_eq!(ran.counts(), (3, 3));
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
    let large = format!("||{}", "l".repeat(200_001));
    let at_limit = format!("||{}", "l".repeat(200_000));
    let ran = run(Nature::default(), PLUS, Messages::new(&["||a", &at_limit, &large, "||b"]));
    assert_eq!(ran.literals(), ["{1}", "{200000+}", "{200001}", "{1+}"]);
    let stopped = AtomicBool::new(false);
    let terms = |ways, limit| Terms { ways, limit, refusals: &[], windows_stopped: &stopped };
    assert_eq!(terms(PLUS, None).literal_for(25 << 20), Literal::NonSynchronising);
    assert_eq!(terms(PLUS, None).literal_for((25 << 20) + 1), Literal::Synchronising);
}

#[test]
fn probes_prove_flags_and_dates_in_two_round_trips() {
    let nature = Nature { refuses_empty: true, ..Nature::default() };
    let ran = run(nature, PROBED, Messages::new(&["\\Seen|11|one", "\\Draft| 1|two", "$A||three"]));
    assert_eq!(ran.counts(), (2, 1));
    assert_eq!(ran.literals()[6..], ["{3+}", "{3+}", "{5}"]);
    assert_eq!(ran.stored.len(), 3);
    assert_eq!(ran.outcome.unwrap().empty_stored, 0);
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
fn server_that_stores_the_probe_is_told_of_and_not_probed_again() {
    let ran = run(Nature::default(), PROBED, Messages::new(&["\\Seen||one", "||two"]));
    let outcome = ran.outcome.as_ref().unwrap();
    assert_eq!(outcome.empty_stored, 1);
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
    let server = Server {
        nature,
        log: Arc::clone(&log),
        line: String::new(),
        literal: None,
        held: Vec::new(),
    };
    let (mut wire, _) = connect(Fickle(server, 1), Line::default());
    let stopped = AtomicBool::new(false);
    let terms = Terms { ways: PLUS, limit: None, refusals: &[], windows_stopped: &stopped };
    let mut messages =
        Messages::new(&["$A||first", "$A||E1 CREATE evil\r\nE2 CREATE evil\r\n", "$A||third"]);
    let mut proof = Proof::default();
    let ended = append(&mut wire, &terms, &mut proof, &mut messages);
    assert!(matches!(ended, Err(StoreError::Protocol(_))), "{ended:?}");
    assert!(stopped.load(Ordering::Relaxed));
    assert_eq!(messages.result(1), &AppendResult::Unknown(Unknown { handed_over: true }));
    assert!(matches!(messages.result(2), AppendResult::Unknown(_)));
    // The next connection waits for every literal.
    let mut messages = Messages::new(&["||one", "||two"]);
    let server = Server {
        nature: Nature::default(),
        log,
        line: String::new(),
        literal: None,
        held: Vec::new(),
    };
    let (mut wire, _) = connect(server, Line::default());
    let outcome = append(&mut wire, &terms, &mut proof, &mut messages).unwrap();
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

#[test]
fn window_is_bounded_and_does_not_deadlock() {
    // The peer holds answers back until 256 commands are there, and stops reading when 32 KiB of
    // answers wait: a wider or narrower window would hang, which the line turns into an error.
    let nature = Nature { answers_late: 256, ..Nature::default() };
    let line = Line { room: 32 << 10, ..Line::default() };
    let mut messages = Messages::same(1 + 256 * 4, 100);
    messages.waiting.truncate(1 + 256 * 4);
    let log = Arc::new(Mutex::new(Log::default()));
    let server = Server {
        nature,
        log: Arc::clone(&log),
        line: String::new(),
        literal: None,
        held: Vec::new(),
    };
    let (mut wire, _) = connect(server, line);
    let stopped = AtomicBool::new(false);
    let terms = Terms { ways: PLUS, limit: None, refusals: &[], windows_stopped: &stopped };
    let inbox = WireName::new(*b"INBOX");
    let mut proof = Proof::default();
    let flags = [Flag::Seen].into_iter().collect();
    proof.accept(&inbox, &super::proof::Line::new(&flags, super::proof::DateKind::Absent));
    messages.waiting.pop_front();
    let outcome = append(&mut wire, &terms, &mut proof, &mut messages).unwrap();
    assert_eq!(outcome.pipelined, 1024);
    assert_eq!(log.lock().unwrap().stored.len(), 1024);
}

#[test]
fn octets_in_the_window_are_bounded() {
    let log = Arc::new(Mutex::new(Log::default()));
    let server = Server {
        nature: Nature { answers_late: 2, ..Nature::default() },
        log: Arc::clone(&log),
        line: String::new(),
        literal: None,
        held: Vec::new(),
    };
    let (mut wire, _) = connect(server, Line::default());
    let stopped = AtomicBool::new(false);
    let terms = Terms { ways: PLUS, limit: None, refusals: &[], windows_stopped: &stopped };
    let inbox = WireName::new(*b"INBOX");
    let mut proof = Proof::default();
    let flags = [Flag::Seen].into_iter().collect();
    proof.accept(&inbox, &super::proof::Line::new(&flags, super::proof::DateKind::Absent));
    // Two of 3 MiB fit, the third waits for the first answers, which come for two at once.
    let mut messages = Messages::same(6, 3 << 20);
    append(&mut wire, &terms, &mut proof, &mut messages).unwrap();
    assert_eq!(log.lock().unwrap().stored.len(), 6);
}

#[test]
fn mailbox_that_needs_a_literal_always_waits() {
    let ran = run_over(
        Line::default(),
        Nature::default(),
        PLUS,
        "caf\u{e9}\r\n",
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
        plus: bool,
        octets in 10_usize..200,
    ) {
        let ways = if plus { PLUS } else { PLAIN };
        let line = Line { drip, cut_after, ..Line::default() };
        let ran = run_over(line, Nature::default(), ways, "INBOX", Messages::same(20, octets));
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
                AppendResult::Refused(_) => prop_assert!(false),
            }
        }
        let taken = 20 - ran.messages.waiting.len();
        prop_assert_eq!(ran.messages.results.len(), taken);
        prop_assert!(ran.outcome.is_err() || taken == 20);
    }
}

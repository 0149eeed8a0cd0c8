//! Several messages an append, taken or refused as one.

use super::*;
use crate::limit::{Gate, simulated};
use crate::store::AppendMessage;
use crate::store::Ticket;

/// A server that takes several messages as one.
fn multi<'a>(windows_stopped: &'a AtomicBool, gate: Option<&'a Gate>) -> Terms<'a> {
    Terms { ways: MULTI, limit: None, refusals: &[], windows_stopped, gate }
}

impl Messages {
    /// Lets all messages go in at most this company.
    fn in_company(mut self, company: u32) -> Self {
        self.waiting.iter_mut().for_each(|(message, _)| message.company = company);
        self
    }

    /// Sends messages from this one on to another folder.
    fn to(mut self, folder: &str, from: usize) -> Self {
        let folder = Arc::new(WireName::new(folder.as_bytes()));
        let moved = self.waiting.iter_mut().skip(from);
        moved.for_each(|(message, _)| message.folder = Arc::clone(&folder));
        self
    }
}

/// The tickets of each command that was sent, told by their numbers in the bodies.
fn batches(sent: &str) -> Vec<Vec<u64>> {
    let commands = sent.split(" APPEND ").skip(1);
    let numbers = |command: &str| {
        let bodies = command.split("}\r\n").skip(1);
        bodies.filter_map(|body| body.get(..5)?.parse().ok()).collect()
    };
    commands.map(numbers).collect()
}

#[test]
fn proved_lines_of_a_folder_go_in_one_command() {
    let words = ["\\Seen|11|00000", "\\Seen|12|00001", "|13|00002", "\\Seen|11|00003"];
    let ran = run(Nature::default(), MULTI, Messages::new(&words));
    let batch = "X2 APPEND \"INBOX\" (\\Seen) \"12-Feb-2020 01:02:03 +0000\" {5+}\r\n00001 () \
                 \"13-Feb-2020 01:02:03 +0000\" {5+}\r\n00002 (\\Seen) \
                 \"11-Feb-2020 01:02:03 +0000\" {5+}\r\n00003\r\n";
    assert!(ran.sent.ends_with(batch), "{}", ran.sent);
    assert_eq!(ran.stored[2], "\"INBOX\" () \"13-Feb-2020 01:02:03 +0000\" 00002");
    assert_eq!(ran.messages.words()[1..], ["1 stored 2", "2 stored 3", "3 stored 4"]);
    assert_eq!(ran.counts(), (3, 1));
}

#[test]
fn new_flag_ends_a_batch_and_goes_by_itself() {
    let hostile = "$Evil||00002 \r\nE1 CREATE evil\r\nE2 DELETE INBOX\r\n";
    let nature = Nature { bad_flag: Some("$Evil"), ..Nature::default() };
    let words = ["||00000", "||00001", hostile, "||00003", "$A||00004", "$A||00005"];
    let ran = run(nature, MULTI, Messages::new(&words));
    // The body of what is refused before its continuation is never sent.
    assert_eq!(batches(&ran.sent), [vec![0], vec![1], vec![], vec![3], vec![4], vec![5]]);
    assert!(ran.executed.is_empty() && !ran.stopped);
    assert_eq!(ran.messages.words()[2], "2 BAD invalid flag");
    assert_eq!(ran.stored.len(), 5);
}

#[test]
fn batch_ends_with_its_folder_and_where_the_company_changes() {
    let mut messages = Messages::same(12, 20).in_company(3).to("Other", 7);
    messages.waiting[5].0.company = 1;
    messages.waiting[6].0.company = 1;
    let ran = run_over(Line::default(), Nature::default(), MULTI, None, messages);
    let expected: [&[u64]; 7] = [&[0], &[1, 2, 3], &[4], &[5], &[6], &[7], &[8, 9, 10]];
    assert_eq!(batches(&ran.sent)[..7], expected);
    assert_eq!(ran.messages.results.len(), 12);
    assert_eq!(ran.stored.iter().filter(|line| line.starts_with("\"Other\"")).count(), 5);
}

#[test]
fn batch_ends_when_nothing_is_ready_for_a_while() {
    let mut messages = Messages::same(8, 20);
    messages.pauses = vec![4];
    let ran = run(Nature::default(), MULTI, messages);
    assert_eq!(batches(&ran.sent), [vec![0], vec![1, 2, 3], vec![4, 5, 6, 7]]);
    let waits = &ran.messages.waits;
    assert_eq!(waits[..2], [Wait::UntilEnd, Wait::No]);
    assert!(waits[2..5].iter().all(|wait| matches!(wait, Wait::For(_))), "{waits:?}");
}

#[test]
fn batch_is_bounded_in_messages_octets_and_time() {
    let message = |octets| {
        let mut message = Messages::same(1, 20).waiting.remove(0).unwrap().0;
        message.octets = octets;
        message
    };
    let begun = |literal, company| {
        let folder = message(1).folder;
        crate::imap::append::sent::Sent::new("X1".to_owned(), folder, literal, company)
    };
    let now = std::time::Instant::now();
    let mut batch = begun(Literal::NonSynchronising, AppendMessage::ANY_COMPANY);
    for number in 0..200 {
        assert!(batch.takes(&message(1_000), now));
        batch.add(Ticket(number), 1_000);
    }
    assert!(!batch.takes(&message(1), now));
    let mut batch = begun(Literal::NonSynchronising, AppendMessage::ANY_COMPANY);
    batch.add(Ticket(0), 5 << 20);
    assert!(batch.takes(&message(3 << 20), now));
    assert!(!batch.takes(&message((3 << 20) + 1), now));
    assert!(!batch.takes(&message(1), now + std::time::Duration::from_secs(3)));
    let none = AppendMessage { company: 0, ..message(1) };
    assert!(!begun(Literal::NonSynchronising, 0).takes(&none, now));
    let waiting = begun(Literal::Synchronising, AppendMessage::ANY_COMPANY);
    assert!(!waiting.takes(&message(1), now), "each of its literals would wait too");
}

#[test]
fn refused_batch_is_told_to_each_of_its_messages() {
    let mut messages = Messages::same(9, 20).in_company(4);
    messages.waiting[6].1[10..13].copy_from_slice(b"bad");
    let nature = Nature { poison: Some("bad"), ..Nature::default() };
    let ran = run(nature, MULTI, messages);
    let words = ran.messages.words();
    assert_eq!(words[4], "4 stored 5");
    for (at, word) in words.iter().enumerate().skip(5) {
        assert_eq!(*word, format!("{at} NO [LIMIT] poison (4 from 5)"));
    }
    assert_eq!(ran.stored.len(), 5);
}

#[test]
fn batch_of_one_is_refused_as_a_single_message() {
    let nature = Nature { poison: Some("bad"), ..Nature::default() };
    let ran = run(nature, MULTI, Messages::new(&["||00000", "||bad"]));
    assert_eq!(ran.messages.words()[1], "1 NO [LIMIT] poison");
}

#[test]
fn batch_that_is_refused_before_its_end_is_ended_and_seen_through() {
    // Two large ones fill the window, so that the refusal is read while the batch is written.
    let body = |number: u64, octets: usize| {
        let mut body = vec![b'x'; octets];
        body[..5].copy_from_slice(format!("{number:05}").as_bytes());
        body
    };
    let mut messages = Messages::same(7, 20);
    for (at, octets) in [(1, 7 << 20), (2, 7 << 20), (4, 4 << 20)] {
        messages.waiting[at].1 = body(at as u64, octets);
        messages.waiting[at].0.octets = octets as u64;
    }
    messages.waiting[2].0.company = 1;
    messages.waiting[3].1[10..13].copy_from_slice(b"bad");
    let nature = Nature { poison: Some("bad"), refuses_early: true, ..Nature::default() };
    let ran = run_over(Line::default(), nature, MULTI, None, messages);
    ran.outcome.as_ref().unwrap();
    assert_eq!(batches(&ran.sent), [vec![0], vec![1], vec![2], vec![3], vec![4, 5, 6]]);
    assert!(ran.sent.contains(" NOOP\r\n"), "its end is waited for");
    assert_eq!(ran.messages.words()[3], "3 NO [LIMIT] poison");
    assert_eq!(ran.stored.len(), 6);
    assert!(ran.executed.is_empty() && !ran.stopped);
}

/// A server for which, if so, a command is over as soon as it was refused: what follows is a line.
struct Forgetful(Server, bool);

impl Peer for Forgetful {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        let answers = self.0.take(input);
        if self.1 && answers.ends_with(b"poison\r\n") {
            self.0.command = None;
        }
        answers
    }
}

#[test]
fn refused_batch_is_seen_through_up_to_what_follows_it() {
    for (poison, forgets) in [(None, false), (Some("bad"), false), (Some("bad"), true)] {
        let mut messages = Messages::same(3, 20);
        messages.waiting[2].1[10..13].copy_from_slice(b"bad");
        let nature = Nature { poison, ..Nature::default() };
        let log = Arc::new(Mutex::new(Log::default()));
        let server = Server::new(nature, &log);
        // What is refused is the last message, so that only what follows tells how it was read.
        let (mut wire, _) =
            connect(Forgetful(server, forgets), Line { write_at_most: 30, ..Line::default() });
        let stopped = AtomicBool::new(false);
        let terms = multi(&stopped, None);
        let mut follow = |wire: &mut Wire| {
            wire.put(if forgets { b"\r\nF1 NOOP\r\n" } else { b"F1 NOOP\r\n" })?;
            wire.flush()?;
            Ok(Some("F1".to_owned()))
        };
        let (mut proof, mut compressor) = (Proof::default(), Compressor::default());
        let knowledge = Knowledge { proof: &mut proof, compressor: &mut compressor };
        let around = (None, Some(&mut follow as Behind<'_>));
        let done = crate::imap::append::append(&mut wire, &terms, knowledge, around, &mut messages);
        match done {
            Ok(Appended { followers_are_lost, .. }) => {
                assert!(!forgets);
                assert_eq!(followers_are_lost, poison.is_some());
            }
            Err(fault) => assert!(forgets && stopped.load(Ordering::Relaxed), "{fault}"),
        }
        assert_eq!(messages.words().len(), 3);
    }
}

#[test]
fn server_that_runs_the_rest_of_a_refused_batch_is_noticed() {
    let mut messages = Messages::same(6, 20);
    messages.waiting[1].1[10..13].copy_from_slice(b"bad");
    let nature = Nature { poison: Some("bad"), refuses_early: true, ..Nature::default() };
    let log = Arc::new(Mutex::new(Log::default()));
    let line = Line { write_at_most: 30, ..Line::default() };
    let ran = run_with(Forgetful(Server::new(nature, &log), true), &log, line, MULTI, messages);
    assert!(matches!(ran.outcome, Err(StoreError::Protocol(_))), "{:?}", ran.outcome);
    assert!(ran.stopped);
}

#[test]
fn set_with_another_number_of_uids_tells_of_none() {
    let nature = Nature { short_sets: true, ..Nature::default() };
    let ran = run(nature, MULTI, Messages::same(4, 20));
    assert_eq!(ran.messages.words(), ["0 stored 1", "1 stored -", "2 stored -", "3 stored -"]);
}

#[test]
fn source_lost_inside_a_batch_leaves_none_of_it_behind() {
    let mut messages = Messages::same(12, 5_000).in_company(4);
    messages.lost_in = Some(7);
    let ran = run(Nature::default(), MULTI, messages);
    assert!(matches!(ran.outcome, Err(StoreError::Connection(_))));
    let words = ran.messages.words();
    assert_eq!(words[4], "4 stored 5");
    assert_eq!(words[5..], ["5 unknown kept", "6 unknown kept", "7 unknown kept"]);
    assert_eq!(ran.stored.len(), 5);
}

#[test]
fn bad_to_a_batch_leaves_all_of_it_unknown_and_ends_all_windows() {
    for words in ["* BAD what", "E1 OK Create completed", "X3 BAD Error in command", "+ go on"] {
        let nature = Nature { says_at: Some((6, words)), ..Nature::default() };
        let ran = run(nature, MULTI, Messages::same(9, 100).in_company(4));
        assert!(matches!(ran.outcome, Err(StoreError::Protocol(_))), "{words}");
        assert!(ran.stopped, "{words}");
        let results = ran.messages.words();
        assert_eq!(results[4], "4 stored 5");
        assert!(results[5..].iter().all(|word| word.ends_with("handed over")), "{results:?}");
    }
}

#[test]
fn other_refusal_of_a_batch_proves_nothing() {
    let nature = Nature {
        poison: Some("bad"),
        says_to_poison: Some("NO [SERVERBUG] oops"),
        ..Nature::default()
    };
    let mut messages = Messages::same(3, 20);
    messages.waiting[2].1[10..13].copy_from_slice(b"bad");
    let ran = run(nature, MULTI, messages);
    let AppendResult::RefusedTogether(refusal, batch) = ran.messages.result(1) else { panic!() };
    assert!(!refusal.proves_not_stored());
    assert_eq!((batch.first, batch.messages, batch.half()), (Ticket(1), 2, 1));
}

#[test]
fn full_account_is_sent_little_in_vain() {
    let mut messages = Messages::same(400, 1_000);
    for at in 100..400 {
        messages.waiting[at].1[10..13].copy_from_slice(b"bad");
    }
    let nature = Nature {
        poison: Some("bad"),
        says_to_poison: Some("NO [OVERQUOTA] full"),
        ..Nature::default()
    };
    let singles = messages.in_company(1);
    let ran = run(nature, MULTI, singles);
    let words = ran.messages.words();
    assert!(words[99].ends_with("stored 100") && words[100].contains("OVERQUOTA"));
    // From the first refusal that is read on, each waits for its answer.
    let order: Vec<_> = ran.messages.results.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(order, (0..400).collect::<Vec<_>>());
    let untils = ran.messages.waits.iter().filter(|wait| **wait == Wait::UntilEnd).count();
    assert!(untils > 100, "{untils} of 400 were waited for");
}

#[test]
fn pace_grows_again_with_what_is_stored() {
    let mut messages = Messages::same(40, 20);
    messages.waiting[1].1[10..13].copy_from_slice(b"bad");
    messages.waiting[1].0.company = 1;
    messages.pauses = vec![38, 38];
    let nature = Nature {
        poison: Some("bad"),
        says_to_poison: Some("NO [OVERQUOTA] full"),
        ..Nature::default()
    };
    let ran = run(nature, MULTI, messages);
    let sizes: Vec<_> = batches(&ran.sent).iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 1, 2, 4, 8, 16, 7]);
}

#[test]
fn no_batch_is_larger_than_the_share_of_its_connection_and_what_others_leave() {
    // 1,024 unanswered messages: half of them shared by 20 connections, half for whoever needs them.
    let others = 512 - 75;
    for (lent, expected) in [
        (512, [&[25; 11], [24].as_slice()].concat()),
        (others, vec![100, 100, 99]),
        (0, vec![200, 99]),
    ] {
        let (gate, _slots) = simulated::crowded(20);
        assert!(gate.lend_unanswered(lent, 512));
        let log = Arc::new(Mutex::new(Log::default()));
        let (mut wire, sent) = connect(Server::new(Nature::default(), &log), Line::default());
        let stopped = AtomicBool::new(false);
        let terms = multi(&stopped, Some(&gate));
        let mut messages = Messages::same(300, 20);
        append(&mut wire, &terms, &mut Proof::default(), None, &mut messages).unwrap();
        let text = text_of(&sent);
        let sizes: Vec<_> =
            text.split(" APPEND ").skip(1).map(|batch| batch.matches("{20").count()).collect();
        assert_eq!(sizes, [&[1], &*expected].concat());
        assert_eq!(log.lock().unwrap().stored.len(), 300);
        // All that it borrowed is there again.
        assert!(gate.lend_unanswered(512 - lent, 512));
    }
}

#[test]
fn folder_is_left_in_the_same_write_as_the_first_append() {
    let log = Arc::new(Mutex::new(Log::default()));
    let (mut wire, sent) = connect(Server::new(Nature::default(), &log), Line::default());
    let stopped = AtomicBool::new(false);
    let terms = multi(&stopped, None);
    let mut messages = Messages::same(3, 20);
    let (mut proof, before) = (Proof::default(), Some("UNSELECT"));
    let outcome = append(&mut wire, &terms, &mut proof, before, &mut messages).unwrap();
    assert_eq!((outcome.pipelined, outcome.synchronised), (2, 1));
    assert!(text_of(&sent).starts_with("X1 UNSELECT\r\nX2 APPEND \"INBOX\" (\\Seen) {20}\r\n"));
    assert_eq!(messages.words(), ["0 stored 1", "1 stored 2", "2 stored 3"]);
    // With nothing to append, too, its answer is waited for.
    append(&mut wire, &terms, &mut proof, before, &mut Messages::same(0, 20)).unwrap();
    assert!(text_of(&sent).ends_with(" UNSELECT\r\n") && wire.unread().is_empty());
}

/// A message of a random queue: which flag it has, which folder it goes to, what its body says.
#[derive(Clone, Debug)]
struct Random {
    flag: usize,
    folder: usize,
    is_poison: bool,
    octets: usize,
}

fn random_messages() -> impl Strategy<Value = Vec<Random>> {
    let one = (0_usize..3, 0_usize..10, 0_usize..8, 8_usize..300);
    prop::collection::vec(
        one.prop_map(|(flag, folder, poison, octets)| Random {
            flag,
            folder: folder / 8,
            is_poison: poison == 0,
            octets,
        }),
        1..40,
    )
}

fn queue_of(random: &[(u64, Random, u32)]) -> Messages {
    let mut messages = Messages::same(u64::try_from(random.len()).unwrap(), 400);
    for ((number, random, company), (message, body)) in random.iter().zip(&mut messages.waiting) {
        let hostile = if random.is_poison { "bad" } else { "fin" };
        let text = format!("{number:05}{hostile}\r\nE1 CREATE evil\r\n");
        *body = text.bytes().cycle().take(random.octets).collect();
        message.ticket = Ticket(*number);
        message.octets = u64::try_from(body.len()).unwrap();
        message.company = *company;
        message.flags =
            [Flag::Seen, Flag::Draft, Flag::Answered][random.flag..].iter().cloned().collect();
        message.folder = Arc::new(WireName::new(["INBOX", "Other"][random.folder].as_bytes()));
    }
    messages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Sent again as the port asks for, until all is settled: each message is stored once, or refused
    /// where it is poison; nothing of any body is run, whatever the line does.
    #[test]
    fn all_that_is_wanted_is_stored_once_and_nothing_is_run(
        random in random_messages(),
        cuts in prop::collection::vec(0_usize..6_000, 0..4),
        drip in 1_usize..300,
        refuses_early: bool,
        ways in prop::sample::select(vec![MULTI, PLUS, PROBED, PLAIN]),
    ) {
        let mut open: Vec<_> = random
            .iter()
            .enumerate()
            .map(|(at, random)| (at as u64, random.clone(), AppendMessage::ANY_COMPANY))
            .collect();
        let nature = Nature { poison: Some("bad"), refuses_early, ..Nature::default() };
        let (mut stored, mut refused) = (Vec::new(), Vec::new());
        let mut cuts = cuts.into_iter();
        while !open.is_empty() {
            let cut_after = cuts.next().unwrap_or(usize::MAX);
            let line = Line { drip, cut_after, ..Line::default() };
            let ran = run_over(line, nature.clone(), ways, None, queue_of(&open));
            prop_assert!(ran.executed.is_empty(), "{:?}", ran.executed);
            prop_assert!(!ran.stopped);
            let kept = |ticket: u64| {
                ran.stored.iter().filter(|line| line.contains(&format!(" {ticket:05}"))).count()
            };
            let taken = open.len() - ran.messages.waiting.len();
            prop_assert_eq!(ran.messages.results.len(), taken);
            let mut again = open.split_off(taken);
            for (ticket, random, company) in open {
                let count = kept(ticket);
                match ran.messages.result(ticket) {
                    AppendResult::Stored(_) => {
                        prop_assert_eq!(count, 1);
                        stored.push(ticket);
                    }
                    AppendResult::Refused(_) => {
                        prop_assert!(count == 0 && random.is_poison);
                        refused.push(ticket);
                    }
                    AppendResult::RefusedTogether(_, batch) => {
                        prop_assert!(count == 0 && batch.half() < company);
                        again.push((ticket, random, batch.half()));
                    }
                    AppendResult::Unknown(unknown) => {
                        prop_assert!(count == 0 || unknown.handed_over);
                        // Who looks finds what is there.
                        if count == 1 {
                            stored.push(ticket);
                        } else {
                            again.push((ticket, random, company));
                        }
                    }
                }
            }
            open = again;
        }
        stored.sort_unstable();
        refused.sort_unstable();
        let wanted = |poison: bool| {
            let tickets = random.iter().zip(0_u64..).filter(|(random, _)| random.is_poison == poison);
            tickets.map(|(_, ticket)| ticket).collect::<Vec<_>>()
        };
        prop_assert_eq!(stored, wanted(false));
        prop_assert_eq!(refused, wanted(true));
    }
}

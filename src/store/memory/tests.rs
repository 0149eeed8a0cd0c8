use std::io;
use std::sync::Arc;

use super::*;
use crate::mail::{Flag, FlagSet, Role, Side, Timestamp, Uid, UidSet, UidValidity, WireName};
use crate::store::{
    AppendMessage, AppendQueue, AppendResult, Batch, BodyLost, Chunk, Connect, Destination,
    FetchSink, Flow, Items, Look, MissingWhy, Refusal, ResponseCode, RowHead, Source, StoreError,
    Ticket, Visit, Wait,
};

/// Hands out bodies; a body of `!` loses its source.
struct Queue {
    bodies: Vec<&'static str>,
    company: u32,
    next: usize,
    results: Vec<String>,
}

impl AppendQueue for Queue {
    fn next(&mut self, _wait: Wait) -> Option<AppendMessage> {
        let body = self.bodies.get(self.next)?;
        self.next += 1;
        Some(AppendMessage {
            ticket: Ticket(self.next as u64),
            folder: Arc::new(wire("INBOX")),
            flags: FlagSet::new(),
            date: None,
            octets: body.len() as u64,
            company: self.company,
        })
    }

    fn ended(&self) -> bool {
        self.next == self.bodies.len()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        match self.bodies[self.next - 1] {
            "!" => Err(io::Error::other(BodyLost)),
            body => sink(&Chunk::from(body.as_bytes())),
        }
    }

    fn done(&mut self, Ticket(number): Ticket, result: AppendResult) {
        let text = match result {
            AppendResult::Stored(stored) => match stored.at {
                Some((validity, uid)) if validity.get() == 7 => {
                    format!("{number}@{validity}/{uid}")
                }
                Some((_, uid)) => format!("{number}@{uid}"),
                None => format!("{number}@?"),
            },
            AppendResult::Refused(refusal) => format!("{number} {refusal}"),
            AppendResult::RefusedTogether(refusal, Batch { first, messages }) => {
                format!("{number} {refusal} ({messages} from {})", first.0)
            }
            AppendResult::Unknown(unknown) if unknown.handed_over => format!("{number} unknown"),
            AppendResult::Unknown(_) => format!("{number} never sent"),
        };
        self.results.push(text);
    }
}

/// Appends the words of `bodies` to INBOX and tells the results.
fn append(server: &MemoryServer, bodies: &'static str) -> (String, bool) {
    append_in(server, AppendMessage::ANY_COMPANY, bodies)
}

/// The same in batches of at most so many.
fn append_in(server: &MemoryServer, company: u32, bodies: &'static str) -> (String, bool) {
    let bodies = bodies.split(' ').collect();
    let mut queue = Queue { bodies, company, next: 0, results: Vec::new() };
    let mut session = server.session().unwrap();
    let good = session.append(&mut queue).is_ok();
    (queue.results.join(", "), good)
}

#[track_caller]
fn check(server: &MemoryServer, bodies: &'static str, results: &str, stored: &str) {
    let (told, good) = append(server, bodies);
    assert_eq!(told, results);
    assert_eq!(good, !results.contains("unknown") && !results.contains("never"), "{told}");
    assert_eq!(inbox(server), stored);
}

fn inbox(server: &MemoryServer) -> String {
    let bodies = server.with(|account| account.bodies("INBOX"));
    bodies.iter().map(|body| String::from_utf8_lossy(body)).collect::<Vec<_>>().join(" ")
}

#[derive(Default)]
struct Rows(Vec<(u32, Vec<u8>)>);

impl FetchSink for Rows {
    fn begin(&mut self, uid: Uid, _head: &RowHead) -> Flow {
        self.0.push((uid.get(), Vec::new()));
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.0.last_mut().unwrap().1.extend_from_slice(octets);
        Flow::Go
    }

    fn end(&mut self, _uid: Uid) -> Flow {
        Flow::Go
    }
}

fn set(text: &str) -> UidSet {
    text.parse().unwrap()
}

#[test]
fn messages_are_stored_in_order_and_told() {
    check(&MemoryServer::default(), "a b c", "1@1, 2@2, 3@3", "a b c");
}

#[test]
fn connection_lost_before_sending_stores_nothing_of_that_message() {
    let server = MemoryServer::default();
    server.stop_at(1, Loss::BeforeSending);
    check(&server, "a b c", "1 unknown, 2 never sent", "a");
    assert_eq!(server.effects(), 1);
    check(&server, "b", "1@2", "a b");
}

#[test]
fn lost_reply_leaves_a_stored_message_of_unknown_fate() {
    let server = MemoryServer::default();
    server.stop_at(1, Loss::Reply);
    check(&server, "a b c", "1 unknown, 2 unknown", "a b");
}

#[test]
fn handed_over_message_may_never_come() {
    let server = MemoryServer::default();
    server.stop_at(0, Loss::HandedOver);
    check(&server, "a b", "1 unknown", "");
}

#[test]
fn late_message_arrives_after_looks() {
    let server = MemoryServer::default();
    server.stop_at(0, Loss::Late(Arrival::Looks(2)));
    check(&server, "a", "1 unknown", "");
    let mut session = server.session().unwrap();
    let counts: Vec<u64> = (0..4).map(|_| session.open(&wire("INBOX")).unwrap().messages).collect();
    assert_eq!(counts, [0, 0, 1, 1]);
}

#[test]
fn late_message_arrives_when_its_time_has_come() {
    let server = MemoryServer::default();
    server.stop_at(0, Loss::Late(Arrival::Seconds(30)));
    append(&server, "a");
    server.advance(29);
    assert_eq!((inbox(&server).as_str(), server.late()), ("", 1));
    server.advance(1);
    assert_eq!((inbox(&server).as_str(), server.late()), ("a", 0));
}

#[test]
fn source_lost_inside_a_body_drops_the_connection() {
    check(&MemoryServer::default(), "a ! c", "1 unknown, 2 never sent", "a");
}

#[test]
fn connection_cut_inside_a_literal_stores_nothing() {
    let server = MemoryServer::default();
    server.cut_append_after(4);
    check(&server, "abc def", "1 unknown, 2 never sent", "abc");
}

#[test]
fn refused_message_may_be_kept_all_the_same() {
    for (stored, expected) in [(false, "a c"), (true, "a b c")] {
        let server = MemoryServer::default();
        server.refuse_messages(move |incoming| {
            let refusal = Refusal { bad: false, code: None, text: "no".into(), known_words: false };
            (incoming.octets == b"b").then_some(RefusedMessage { refusal, stored })
        });
        let (results, _) = append(&server, "a b c");
        assert!(results.starts_with("1@1, 2 NO no, 3@"), "{results}");
        assert_eq!(inbox(&server), expected);
    }
}

#[test]
fn append_uids_lie_as_told() {
    let cases = [
        (AppendUidLie::Missing, "1@?, 2@?, 3@?"),
        (AppendUidLie::Short, "1@2, 2@3, 3@?"),
        (AppendUidLie::Swapped, "1@3, 2@2, 3@4"),
        (AppendUidLie::Old, "1@1, 2@1, 3@1"),
        (AppendUidLie::Above, "1@2, 2@3, 3@5"),
    ];
    for (lie, expected) in cases {
        let server = MemoryServer::default();
        server.with(|account| account.deliver("INBOX", b"old"));
        server.lie_in_append_uid(lie);
        check(&server, "a b c", expected, "old a b c");
    }
}

#[test]
fn foreign_uid_validity_is_told_in_every_reply() {
    let server = MemoryServer::default();
    server.lie_in_append_uid(AppendUidLie::Foreign(UidValidity::new(7).unwrap()));
    check(&server, "a b", "1@7/1, 2@7/2", "a b");
}

/// A server that takes so many messages as one.
fn batching(batch: usize) -> MemoryServer {
    let mut options = Options { batch, ..Options::default() };
    options.abilities.append.multi = true;
    MemoryServer::new(options)
}

#[test]
fn batch_is_stored_or_refused_as_one() {
    let server = batching(3);
    server.refuse_messages(|incoming| {
        let refusal = Refusal { bad: false, code: None, text: "no".into(), known_words: false };
        (incoming.octets == b"e").then_some(RefusedMessage { refusal, stored: false })
    });
    let refused = "4 NO no (3 from 4), 5 NO no (3 from 4), 6 NO no (3 from 4)";
    check(&server, "a b c d e f g", &format!("1@1, 2@2, 3@3, {refused}, 7@4"), "a b c g");
    let (results, _) = append_in(&server, 1, "d e f");
    assert_eq!(results, "1@5, 2 NO no, 3@6");
}

#[test]
fn batch_that_is_lost_is_lost_as_one() {
    for (loss, results, stored) in [
        (Loss::BeforeSending, "1@1, 2@2, 3 never sent, 4 never sent", "a b"),
        (Loss::HandedOver, "1@1, 2@2, 3 unknown, 4 unknown", "a b"),
        (Loss::Reply, "1@1, 2@2, 3 unknown, 4 unknown", "a b c d"),
    ] {
        let server = batching(4);
        append_in(&server, 2, "a b");
        server.stop_at(3, loss);
        let (told, _) = append_in(&server, 3, "c d e");
        let told = told.replace("1 ", "3 ").replace("2 ", "4 ");
        assert_eq!(format!("1@1, 2@2, {told}"), results);
        assert_eq!(inbox(&server), stored);
    }
    check(&batching(4), "a b ! c", "1 never sent, 2 never sent, 3 never sent", "");
}

#[test]
fn set_with_too_few_uids_tells_of_none_of_the_batch() {
    let server = batching(2);
    server.lie_in_append_uid(AppendUidLie::Short);
    check(&server, "a b c d", "1@1, 2@2, 3@?, 4@?", "a b c d");
}

#[test]
fn uid_next_lies_as_told() {
    for (lie, expected) in [
        (UidNextLie::Honest, Some(4)),
        (UidNextLie::Absent, None),
        (UidNextLie::Stale(2), Some(2)),
        (UidNextLie::High(10), Some(14)),
    ] {
        let server = MemoryServer::default();
        append(&server, "a b c");
        server.lie_about_uid_next(lie);
        let mut session = server.session().unwrap();
        let told = session.open(&wire("INBOX")).unwrap().uid_next;
        assert_eq!(told.map(Uid::get), expected);
        assert_eq!(session.status(&wire("INBOX")).unwrap().uid_next, told);
    }
}

#[test]
fn folder_renamed_away_answers_try_create() {
    let server = MemoryServer::default();
    server.when(
        |operation| matches!(operation, Operation::Append { .. }),
        |account| {
            account.rename("INBOX", "Elsewhere");
            Then::Go
        },
    );
    let (results, good) = append(&server, "a");
    assert_eq!((results.as_str(), good), ("1 NO [TRYCREATE] no such folder", true));
}

#[test]
fn folder_replaced_under_a_session_is_noticed_when_read() {
    let server = MemoryServer::default();
    server.with(|account| account.deliver("A", b"x"));
    let mut session = server.session().unwrap();
    session.open(&wire("A")).unwrap();
    server.with(|account| account.replace("A"));
    let scanned = session.scan(&wire("A"), &set("1"), Items::default(), &mut Rows::default());
    assert!(matches!(scanned, Err(StoreError::Replaced)), "{scanned:?}");
    session.open(&wire("A")).unwrap();
    session.scan(&wire("A"), &set("1"), Items::default(), &mut Rows::default()).unwrap();
}

#[test]
fn folders_made_in_one_second_may_share_their_uid_validity() {
    for (same_uid_validity, distinct) in [(false, 3), (true, 1)] {
        let options = Options { same_uid_validity, ..Options::default() };
        let server = MemoryServer::new(options);
        let validities = server.with(|account| {
            account.folder("A");
            account.folder("B");
            let all = account.folders.iter().map(|folder| folder.uid_validity);
            all.collect::<std::collections::BTreeSet<_>>().len()
        });
        assert_eq!(validities, distinct);
    }
}

#[test]
fn restored_folder_has_its_old_uid_next_again() {
    let server = MemoryServer::default();
    append(&server, "a");
    let earlier = server.with(|account| account.clone());
    append(&server, "b");
    server.with(|account| account.restore(&earlier));
    server.with(|account| account.deliver("INBOX", b"theirs"));
    assert_eq!(inbox(&server), "a theirs");
    assert_eq!(server.with(|account| account.folder("INBOX").uid_next.get()), 3);
}

#[test]
fn what_does_not_come_is_listed_with_its_reason() {
    let server = MemoryServer::default();
    append(&server, "a b c d e");
    let gives = [Gives::All, Gives::Facts, Gives::Nil, Gives::NoRow];
    server.with(|account| {
        for (mail, gives) in account.folder("INBOX").mails.iter_mut().zip(gives) {
            mail.gives = gives;
        }
        account.expunge("INBOX", [5]);
    });
    let mut rows = Rows::default();
    let mut session = server.session().unwrap();
    let outcome = session.fetch(&Visit::new(&wire("INBOX"), &set("1:5")), &mut rows).unwrap();
    assert_eq!(rows.0, [(1, b"a".to_vec())]);
    let missing: Vec<_> =
        outcome.missing.iter().map(|missing| (missing.uid.get(), missing.why)).collect();
    let expected = [
        (2, MissingWhy::Withheld),
        (3, MissingWhy::NoContent),
        (4, MissingWhy::Withheld),
        (5, MissingWhy::Gone),
    ];
    assert_eq!(missing, expected);

    let mut rows = Rows::default();
    let all = UidSet::range(Uid::MIN, Uid::MAX);
    let outcome = session.scan(&wire("INBOX"), &all, Items::default(), &mut rows).unwrap();
    assert_eq!((outcome.complete, rows.0.len(), outcome.missing.len()), (false, 3, 0));
}

#[test]
fn connection_is_lost_inside_a_body() {
    let server = MemoryServer::default();
    append(&server, "abcdef ghijkl");
    server.cut_fetch_after(8);
    let mut session = server.session().unwrap();
    let mut rows = Rows::default();
    let fetched = session.fetch(&Visit::new(&wire("INBOX"), &set("1:2")), &mut rows);
    assert!(matches!(fetched, Err(StoreError::Connection(_))));
    assert_eq!(rows.0, [(1, b"abcdef".to_vec()), (2, b"ghi".to_vec())]);
    assert!(session.list().is_err(), "a lost connection stays lost");
    let mut rows = Rows::default();
    server.session().unwrap().fetch(&Visit::new(&wire("INBOX"), &set("1:2")), &mut rows).unwrap();
    assert_eq!(rows.0.len(), 2);
}

#[test]
fn dropped_keyword_is_not_kept_and_nothing_is_said() {
    let keyword = Flag::from_wire(b"$MdnSent").unwrap();
    let options = Options { drops: [keyword.clone()].into_iter().collect(), ..Options::default() };
    let server = MemoryServer::new(options);
    append(&server, "a");
    let change = crate::store::FlagChange {
        add: [keyword, Flag::Seen].into_iter().collect(),
        ..Default::default()
    };
    let mut session = server.session().unwrap();
    let outcome = session.change_flags(&wire("INBOX"), &set("1"), &change).unwrap();
    assert_eq!(outcome.reported[0].1.to_string(), "\\Seen");
}

#[test]
fn log_and_count_hold_what_reached_the_server() {
    let server = MemoryServer::default();
    let mut session = server.session().unwrap();
    session.create(&wire("A"), Some(Role::Sent)).unwrap();
    session.subscribe(&wire("A")).unwrap();
    session.status(&wire("A")).unwrap();
    append(&server, "a b");
    assert_eq!(server.effects(), 4);
    assert_eq!(server.effect_log().len(), 4);
    let expected = Operation::Create { folder: wire("A"), role: Some(Role::Sent) };
    assert_eq!(server.log()[1], expected);
    server.stop_at(4, Loss::Reply);
    assert!(session.create(&wire("B"), None).is_err());
    assert!(server.with(|account| account.find(&wire("B")).is_some()));
}

#[test]
fn guard_stops_every_effect_and_no_look() {
    let server = MemoryServer::default();
    let mut left = 1;
    server.guard_effects(move || {
        left -= 1;
        left >= 0
    });
    check(&server, "a b c", "1 unknown, 2 never sent", "a");
    let mut session = server.session().unwrap();
    assert_eq!(session.open(&wire("INBOX")).unwrap().messages, 1);
    assert!(session.subscribe(&wire("INBOX")).is_err());
}

#[test]
fn connecting_fails_as_often_as_told() {
    let server = MemoryServer::default();
    server.fail_connect(StoreError::Connection("no route".into()));
    let mut connector = server.connector(Side::Source);
    let connect = &mut connector as &mut dyn Connect<dyn Source>;
    assert!(connect.connect().is_err());
    assert!(connect.connect().is_ok());
    assert_eq!(connect.side(), Side::Source);
}

#[test]
fn operation_waited_for_can_be_refused() {
    let server = MemoryServer::default();
    let text = "try later".to_owned();
    server.when(
        |operation| *operation == Operation::List,
        |_| {
            let code = Some(ResponseCode::Unavailable);
            Then::Refuse(Refusal { bad: false, code, text, known_words: false })
        },
    );
    let mut session = server.session().unwrap();
    assert!(matches!(session.list(), Err(StoreError::Refused(_))));
    assert_eq!(session.list().unwrap().rows.len(), 1);
}

#[test]
fn two_servers_share_no_identity() {
    let (source, destination) = MemoryServer::pair();
    let identity = |server: &MemoryServer| {
        server.with(|account| {
            let inbox = account.find(&WireName::new(*b"inbox")).unwrap();
            (inbox.uid_validity, inbox.mailbox_id.clone().unwrap())
        })
    };
    let (source, destination) = (identity(&source), identity(&destination));
    assert!(source.0 != destination.0 && source.1 != destination.1);
}

#[test]
fn mail_without_a_date_gets_the_servers_own() {
    let server = MemoryServer::default();
    server.with(|account| account.now = Timestamp::from_seconds(1_000_000_000));
    append(&server, "a");
    let date = server.with(|account| account.folder("INBOX").mails[0].date);
    assert_eq!(date.instant().seconds(), 1_000_000_000);
}

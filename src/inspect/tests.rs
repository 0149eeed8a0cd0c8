//! Inspection of servers in memory, with state in memory.

use proptest::prelude::*;

use super::*;
use crate::identity::Basis;
use crate::identity::fingerprint;
use crate::mail::{FolderName, MailboxId, Side, Uid, UidSet, WireName};
use crate::matching::{self, Fate, Matcher};
use crate::rule::NameRules;
use crate::snapshot::Rows;
use crate::state::Link;
use crate::state::State;
use crate::state::memory::MemoryState;
use crate::store::memory::{
    Gives, MemoryServer, MemorySession, Operation, Options, RowOrder, Then, UidNextLie, wire,
};
use crate::store::{Abilities, HeaderFields, Refusal};

/// A message of that name: its identity, and nothing else of note.
fn message(name: &str) -> Vec<u8> {
    format!("Message-ID: <{name}@x>\r\nReceived: by a\r\nSubject: {name}\r\n\r\nbody\r\n").into()
}

/// A server without MAILBOXID; with or without one UIDVALIDITY for all folders of one second.
fn without_object_ids(same_uid_validity: bool) -> MemoryServer {
    let mut options = Options { same_uid_validity, ..Options::default() };
    options.abilities.object_id = false;
    MemoryServer::new(options)
}

/// Reads `"A: 1 2; B: 3"` as folders and the names of their messages.
fn fill(server: &MemoryServer, text: &str) {
    for folder in text.split("; ") {
        let (folder, names) = folder.split_once(':').unwrap();
        server.with(|account| {
            account.folder(folder);
            for name in names.split_whitespace() {
                account.deliver(folder, &message(name));
            }
        });
    }
}

fn seen(server: &MemoryServer, side: Side) -> (MemorySession, SideSeen) {
    let mut session = server.session().unwrap();
    let seen = tree(&mut session, side, &NameRules::default()).unwrap();
    (session, seen)
}

/// Opens a folder of the source and reads its messages with keys.
fn look(
    server: &MemoryServer,
    folder: &str,
    state: &mut MemoryState,
) -> (Opened, FolderRows, Rows) {
    let (mut session, seen) = seen(server, Side::Source);
    let opened = open(&mut session, &seen, &wire(folder), Some(state)).unwrap();
    let mut into = Rows::default();
    let told = rows(&mut session, &opened, 0, HeaderUse::Key, Some(state), &mut into).unwrap();
    (opened, told, into)
}

/// How many headers were asked for, by UID sets, since the log began.
fn header_scans(server: &MemoryServer) -> String {
    let scans = server.log().into_iter().filter_map(|operation| match operation {
        Operation::Scan { uids, items, .. } if items.header != HeaderFields::None => {
            Some(uids.to_string())
        }
        _ => None,
    });
    scans.collect::<Vec<_>>().join(" ")
}

fn uids(text: &str) -> UidSet {
    text.parse().unwrap()
}

#[test]
fn witness_holds_inbox_and_eight_folders() {
    let server = MemoryServer::default();
    fill(&server, "K:; J:; I:; H:; G:; F:; E:; D:; C:; B:; A:");
    let (_, seen) = seen(&server, Side::Source);
    let names: Vec<_> = seen.witness.folders.iter().map(|folder| folder.wire.escaped()).collect();
    assert_eq!(names, ["INBOX", "A", "B", "C", "D", "E", "F", "G", "H"]);
    assert!(seen.witness.folders.iter().all(|folder| folder.mailbox_id.is_some()));
    assert_eq!(seen.witness.user, "someone");
    assert_eq!(seen.tree.folders.len(), 12);
    assert!(server.log().iter().all(|operation| !matches!(operation, Operation::Status(_))));
}

#[test]
fn witness_is_asked_for_where_listing_tells_no_counts() {
    let server =
        MemoryServer::new(Options { abilities: Abilities::default(), ..Options::default() });
    fill(&server, "INBOX: a; A: b; B: c; C:");
    server.with(|account| account.folder("B").selectable = false);
    server.when(
        |operation| *operation == Operation::Status(wire("A")),
        |_| {
            let text = "not yours".to_owned();
            Then::Refuse(Refusal { bad: false, code: None, text, known_words: false })
        },
    );
    let (_, seen) = seen(&server, Side::Source);
    let names: Vec<_> = seen.witness.folders.iter().map(|folder| folder.wire.escaped()).collect();
    assert_eq!(names, ["INBOX"], "refused, not a mailbox, and empty ones are left out");
}

fn ends(source: &MemoryServer, destination: &MemoryServer, roots: [Option<&str>; 2]) -> Ends {
    let rules = |root: Option<&str>| NameRules {
        root: root.map(|root| FolderName::parse(root).unwrap()),
        ..NameRules::default()
    };
    let mut one = source.session().unwrap();
    let mut other = destination.session().unwrap();
    let one_seen = tree(&mut one, Side::Source, &rules(roots[0])).unwrap();
    let other_seen = tree(&mut other, Side::Destination, &rules(roots[1])).unwrap();
    distinct(&mut one, &one_seen, &mut other, &other_seen).unwrap()
}

#[test]
fn two_accounts_are_distinct() {
    let (source, destination) = MemoryServer::pair();
    fill(&source, "INBOX: a b; A: c");
    fill(&destination, "INBOX: a b; A: c");
    assert_eq!(ends(&source, &destination, [None, None]), Ends::Distinct);
}

#[test]
fn one_account_under_two_addresses_is_the_same() {
    let server = MemoryServer::default();
    fill(&server, "INBOX: a; A: b");
    let folders = vec![wire("A"), wire("INBOX")];
    let expected = Ends::Same { by: SameBy::MailboxId, folders };
    assert_eq!(ends(&server, &server, [None, None]), expected);

    let server = without_object_ids(false);
    fill(&server, "INBOX: a; A: b; Empty:");
    let folders = vec![wire("INBOX"), wire("A")];
    let expected = Ends::Same { by: SameBy::Counts, folders };
    assert_eq!(ends(&server, &server, [None, None]), expected);
}

#[test]
fn mail_that_comes_between_two_looks_does_not_make_an_account_two() {
    let server = without_object_ids(false);
    fill(&server, "INBOX: a");
    let mut asked = 0;
    server.when(
        move |operation| {
            asked += usize::from(*operation == Operation::Status(wire("INBOX")));
            asked == 2
        },
        |account| {
            account.deliver("INBOX", b"new");
            Then::Go
        },
    );
    assert!(matches!(ends(&server, &server, [None, None]), Ends::Same { .. }));
}

#[test]
fn one_folder_with_other_counts_makes_two_accounts() {
    let (one, other) = (without_object_ids(false), without_object_ids(false));
    fill(&one, "INBOX: a; A: b");
    fill(&other, "INBOX: x; A: y z");
    assert_eq!(ends(&one, &other, [None, None]), Ends::Distinct);
}

#[test]
fn object_id_alone_is_not_unique_between_servers() {
    let (source, destination) = MemoryServer::pair();
    fill(&source, "INBOX: a");
    for server in [&source, &destination] {
        let id = MailboxId::from_wire(b"a");
        server.with(|account| account.folder("INBOX").mailbox_id = id);
    }
    assert_eq!(ends(&source, &destination, [None, None]), Ends::Distinct);
}

#[test]
fn accounts_that_hold_nothing_are_not_taken_for_one() {
    let (one, other) = (without_object_ids(false), without_object_ids(false));
    fill(&one, "Only here: a");
    assert_eq!(ends(&one, &other, [None, None]), Ends::Distinct);
}

#[test]
fn one_account_with_disjoint_roots_may_be_both_ends() {
    let server = MemoryServer::default();
    fill(&server, "Old/A: a; New/B: b");
    let check = |one, other| ends(&server, &server, [Some(one), Some(other)]);
    assert_eq!(check("Old", "New"), Ends::Apart);
    for (one, other) in [("Old", "Old"), ("Old", "Old/A"), ("old/A", "Old"), ("Old", "OLD ")] {
        assert!(matches!(check(one, other), Ends::Same { .. }), "{one} {other}");
    }
    assert!(matches!(ends(&server, &server, [Some("Old"), None]), Ends::Same { .. }));
}

#[test]
fn rows_are_ascending_and_observed() {
    let options = Options { row_order: RowOrder::Descending, ..Options::default() };
    let server = MemoryServer::new(options);
    fill(&server, "A: a b c d");
    server.with(|account| account.expunge("A", [2]));
    let (opened, told, into) = look(&server, "A", &mut MemoryState::default());
    let numbers: Vec<_> = into.entries.iter().map(|entry| entry.uid().get()).collect();
    assert_eq!(numbers, [1, 3, 4]);
    assert!(told.complete && told.withheld.is_empty());
    assert_eq!((told.observed.messages, told.observed.uid_next.get()), (3, 5));
    assert_eq!(told.observed.uid_validity, opened.state.uid_validity);
    for (entry, name) in into.entries.iter().zip(["a", "c", "d"]) {
        assert_eq!(entry.fingerprint(), fingerprint(&message(name)));
        assert_eq!(entry.size(), Some(message(name).len() as u64));
    }
}

#[test]
fn uid_next_that_lies_is_never_below_the_highest_uid() {
    for (lie, expected) in
        [(UidNextLie::Absent, 3), (UidNextLie::Stale(2), 3), (UidNextLie::High(5), 8)]
    {
        let server = MemoryServer::default();
        fill(&server, "A: a b");
        server.lie_about_uid_next(lie);
        let (_, told, into) = look(&server, "A", &mut MemoryState::default());
        assert_eq!((into.entries.len(), told.observed.uid_next.get()), (2, expected));
    }
}

#[test]
fn rows_that_a_server_leaves_out_make_a_listing_incomplete() {
    let server = MemoryServer::default();
    fill(&server, "A: a b");
    server.with(|account| account.folder("A").mails[0].gives = Gives::NoRow);
    let (_, told, into) = look(&server, "A", &mut MemoryState::default());
    assert_eq!((told.complete, into.entries.len(), told.observed.messages), (false, 1, 2));
}

#[test]
fn withheld_header_is_named_and_message_that_went_is_left_out() {
    let server = MemoryServer::default();
    fill(&server, "A: a b c");
    server.with(|account| account.folder("A").mails[0].gives = Gives::Facts);
    server.when(
        |operation| matches!(operation, Operation::Scan { items, .. } if !items.facts),
        |account| {
            account.expunge("A", [2]);
            Then::Go
        },
    );
    let (_, told, into) = look(&server, "A", &mut MemoryState::default());
    assert_eq!(told.withheld, uids("1"));
    let numbers: Vec<_> = into.entries.iter().map(|entry| entry.uid().get()).collect();
    assert_eq!(numbers, [1, 3]);
}

#[test]
fn header_is_read_once() {
    let server = MemoryServer::default();
    fill(&server, "A: a b c");
    server.with(|account| account.deliver("A", b"no header"));
    let mut state = MemoryState::default();
    look(&server, "A", &mut state);
    assert_eq!(header_scans(&server), "1:4");
    fill(&server, "A: d");
    server.with(|account| account.expunge("A", [2]));
    server.forget_log();
    let (_, _, into) = look(&server, "A", &mut state);
    assert_eq!(header_scans(&server), "5");
    for (entry, name) in into.entries.iter().zip(["a", "c", "", "d"]) {
        let expected = if name.is_empty() { fingerprint(b"") } else { fingerprint(&message(name)) };
        assert_eq!(entry.fingerprint(), expected);
    }
    server.forget_log();
    look(&server, "A", &mut MemoryState::default());
    assert_eq!(header_scans(&server), "1,3:5", "without state they are read again");
}

#[test]
fn no_header_is_read_where_none_is_needed() {
    let server = MemoryServer::default();
    fill(&server, "A: a");
    let (mut session, seen) = seen(&server, Side::Source);
    let opened = open(&mut session, &seen, &wire("A"), None).unwrap();
    let mut into = Rows::default();
    rows(&mut session, &opened, 3, HeaderUse::None, None, &mut into).unwrap();
    assert_eq!(header_scans(&server), "");
    assert_eq!(into.entries[0].folder(), 3);
    assert_eq!(into.entries[0].fingerprint().basis, Basis::Nothing);
}

#[test]
fn many_headers_reach_state_in_batches() {
    let server = MemoryServer::default();
    let names: Vec<_> = (0..4_500).map(|number| number.to_string()).collect();
    fill(&server, &format!("A: {}", names.join(" ")));
    let mut state = MemoryState::default();
    look(&server, "A", &mut state);
    server.forget_log();
    let (_, _, into) = look(&server, "A", &mut state);
    assert_eq!((header_scans(&server).as_str(), into.entries.len()), ("", 4_500));
    assert!(into.entries.iter().all(|entry| entry.fingerprint().basis == Basis::Key));
}

/// Links every message of folder `A` here with the message of the same UID there, as a run leaves it.
fn link_all(source: &MemoryServer, destination: &MemoryServer, state: &mut MemoryState) {
    let (from, _, rows) = look(source, "A", state);
    let (mut session, seen) = seen(destination, Side::Destination);
    let to = open(&mut session, &seen, &wire("A"), Some(&mut *state)).unwrap();
    super::rows(&mut session, &to, 0, HeaderUse::None, Some(&mut *state), &mut Rows::default())
        .unwrap();
    let links = rows.entries.iter().map(|entry| Link {
        source: entry.uid(),
        destination: Some(entry.uid()),
        digest: entry.fingerprint().digest,
        basis: entry.fingerprint().basis,
        octets: entry.size().unwrap(),
        flags: None,
        copied_by: None,
    });
    let links: Vec<_> = links.collect();
    state.put_links(from.id.unwrap(), to.id.unwrap(), &links).unwrap();
}

/// How many links hold between the folders `A`, and why not.
fn held(
    source: &MemoryServer,
    destination: &MemoryServer,
    state: &mut MemoryState,
) -> (usize, Option<Relinked>) {
    let (mut one, one_seen) = seen(source, Side::Source);
    let (mut other, other_seen) = seen(destination, Side::Destination);
    let from = open(&mut one, &one_seen, &wire("A"), Some(&mut *state)).unwrap();
    let to = open(&mut other, &other_seen, &wire("A"), Some(&mut *state)).unwrap();
    let mut count = 0;
    let relinked = links(state, &mut one, &from, &mut other, &to, &mut |_| count += 1).unwrap();
    (count, relinked)
}

fn relinked(side: Side, why: RelinkedWhy) -> (usize, Option<Relinked>) {
    (0, Some(Relinked { side, why }))
}

/// Two servers with equal folders `A` and `B`, made by `make`, and links between the folders `A`.
fn linked(make: impl Fn() -> MemoryServer) -> (MemoryServer, MemoryServer, MemoryState) {
    let (source, destination) = (make(), make());
    for server in [&source, &destination] {
        fill(server, "A: a b c; B: x y z");
    }
    let mut state = MemoryState::default();
    link_all(&source, &destination, &mut state);
    (source, destination, state)
}

#[test]
fn links_of_unchanged_folders_hold() {
    for make in [
        MemoryServer::default as fn() -> MemoryServer,
        || without_object_ids(false),
        || without_object_ids(true),
    ] {
        let (source, destination, mut state) = linked(make);
        fill(&source, "A: d");
        source.with(|account| account.expunge("A", [2]));
        assert_eq!(held(&source, &destination, &mut state), (3, None));
    }
}

#[test]
fn no_header_is_sampled_where_the_folder_is_certain() {
    let (source, destination, mut state) = linked(MemoryServer::default);
    source.forget_log();
    destination.forget_log();
    held(&source, &destination, &mut state);
    assert_eq!((header_scans(&source), header_scans(&destination)), Default::default());
}

#[test]
fn each_side_is_sampled_once_where_the_folder_is_not_certain() {
    let (source, destination, mut state) = linked(|| without_object_ids(false));
    source.forget_log();
    destination.forget_log();
    assert_eq!(held(&source, &destination, &mut state), (3, None));
    assert_eq!(
        (header_scans(&source).as_str(), header_scans(&destination).as_str()),
        ("1:3", "1:3")
    );
}

#[test]
fn swapped_folders_of_one_uid_validity_lose_their_links() {
    for side in [Side::Source, Side::Destination] {
        let (source, destination, mut state) = linked(|| without_object_ids(true));
        let server = if side == Side::Source { &source } else { &destination };
        server.with(|account| account.swap("A", "B"));
        let expected = relinked(side, RelinkedWhy::OtherMessages);
        assert_eq!(held(&source, &destination, &mut state), expected);
        assert_eq!(held(&source, &destination, &mut state).0, 0, "they stay dropped");
    }
}

#[test]
fn swapped_folders_with_object_ids_have_no_links_of_each_other() {
    let (source, destination, mut state) = linked(MemoryServer::default);
    source.with(|account| account.swap("A", "B"));
    assert_eq!(held(&source, &destination, &mut state), (0, None));
    source.with(|account| account.swap("A", "B"));
    assert_eq!(held(&source, &destination, &mut state), (3, None));
}

#[test]
fn folder_renamed_onto_a_deleted_one_of_its_uid_validity_is_noticed() {
    let (source, destination, mut state) = linked(|| without_object_ids(true));
    source.with(|account| {
        account.replace("INBOX");
        account.rename("B", "A");
        account.now = account.now.plus(60);
        account.replace("INBOX");
    });
    let expected = relinked(Side::Source, RelinkedWhy::OtherMessages);
    assert_eq!(held(&source, &destination, &mut state), expected);
}

#[test]
fn restored_folder_loses_its_links() {
    for (condstore, why) in [(false, RelinkedWhy::UidNextFell), (true, RelinkedWhy::ModSeqFell)] {
        let make = || {
            let mut options = Options::default();
            options.abilities.condstore = condstore;
            MemoryServer::new(options)
        };
        let (source, destination) = (make(), make());
        fill(&source, "A: a b c");
        fill(&destination, "A: a");
        let earlier = destination.with(|account| account.clone());
        fill(&destination, "A: b c");
        let mut state = MemoryState::default();
        link_all(&source, &destination, &mut state);
        destination.with(|account| account.restore(&earlier));
        fill(&destination, "A: theirs");
        assert_eq!(held(&source, &destination, &mut state), relinked(Side::Destination, why));
        assert_eq!(held(&source, &destination, &mut state), (0, None));
    }
}

#[test]
fn many_links_to_one_message_are_sampled_as_one() {
    let (source, destination, mut state) = linked(|| without_object_ids(true));
    let (from, _, rows) = look(&source, "A", &mut state);
    let print = rows.entries[0].fingerprint();
    let (mut session, seen) = seen(&destination, Side::Destination);
    let to = open(&mut session, &seen, &wire("A"), Some(&mut state)).unwrap();
    let links = (1..100).filter_map(Uid::new).map(|source| Link {
        source,
        destination: Some(Uid::MIN),
        digest: print.digest,
        basis: print.basis,
        octets: 1,
        flags: None,
        copied_by: None,
    });
    let links: Vec<_> = links.collect();
    state.put_links(from.id.unwrap(), to.id.unwrap(), &links).unwrap();
    assert_eq!(held(&source, &destination, &mut state), (99, None));
}

#[test]
fn replaced_folder_has_no_links() {
    let (source, destination, mut state) = linked(|| without_object_ids(false));
    destination.with(|account| account.replace("A"));
    assert_eq!(held(&source, &destination, &mut state), (0, None));
}

#[test]
fn stale_uid_next_is_not_taken_for_a_restore() {
    let (source, destination, mut state) = linked(|| without_object_ids(false));
    source.lie_about_uid_next(UidNextLie::Stale(2));
    assert_eq!(held(&source, &destination, &mut state), (3, None));
    source.lie_about_uid_next(UidNextLie::Absent);
    assert_eq!(held(&source, &destination, &mut state), (3, None));
}

#[test]
fn every_message_is_answered_once() {
    let (source, destination) = MemoryServer::pair();
    for server in [&source, &destination] {
        fill(server, "A: a b");
        server.with(|account| account.deliver("A", b"no header"));
    }
    let asked = uids("1:4");
    let answers = |server: &MemoryServer, kind: usize| {
        let mut session = server.session().unwrap();
        let mut answers = Vec::new();
        let mut answer = |uid: Uid, digest: Option<_>| answers.push((uid.get(), digest));
        match kind {
            0 => headers(&mut session, &wire("A"), &asked, &mut answer),
            1 => received(&mut session, &wire("A"), &asked, &mut answer),
            _ => content(&mut session, &wire("A"), &asked, &mut answer),
        }
        .unwrap();
        answers
    };
    for (kind, told) in [(0, "yes yes no no"), (1, "yes yes no no"), (2, "yes yes yes no")] {
        let here = answers(&source, kind);
        assert_eq!(here, answers(&destination, kind));
        let text: Vec<_> =
            here.iter().map(|(_, digest)| if digest.is_some() { "yes" } else { "no" }).collect();
        assert_eq!(text.join(" "), told);
        assert_eq!(here.iter().map(|(uid, _)| *uid).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let same = here[0].1 == here[1].1;
        assert_eq!(same, kind == 1, "only their Received lines are equal");
    }
}

#[test]
fn fallback_dates_come_from_the_header() {
    let server = MemoryServer::default();
    let mail = b"Received: by a; Thu, 1 Jan 1970 00:00:07 +0000\r\n\
                 Date: Thu, 1 Jan 1970 00:00:05 +0000\r\n\r\n";
    server.with(|account| account.deliver("A", mail));
    let mut told = Vec::new();
    let mut session = server.session().unwrap();
    dates(&mut session, &wire("A"), &uids("1:9"), &mut |uid, dates| told.push((uid, dates)))
        .unwrap();
    let seconds = |time: Option<crate::mail::Timestamp>| time.map(crate::mail::Timestamp::seconds);
    let [(uid, dates)] = told[..] else { panic!("{told:?}") };
    assert_eq!((uid.get(), seconds(dates.date), seconds(dates.received)), (1, Some(5), Some(7)));
}

/// Matches folder `A` of both sides, and tells pairs and which bodies and long headers were read.
fn match_folders(
    source: &MemoryServer,
    destination: &MemoryServer,
    state: &mut MemoryState,
) -> (usize, Vec<u32>, String) {
    let (mut one, one_seen) = seen(source, Side::Source);
    let (mut other, other_seen) = seen(destination, Side::Destination);
    let from = open(&mut one, &one_seen, &wire("A"), Some(&mut *state)).unwrap();
    let to = open(&mut other, &other_seen, &wire("A"), Some(&mut *state)).unwrap();
    let (mut here, mut there) = (Rows::default(), Rows::default());
    rows(&mut one, &from, 0, HeaderUse::Key, Some(&mut *state), &mut here).unwrap();
    rows(&mut other, &to, 0, HeaderUse::Key, Some(&mut *state), &mut there).unwrap();
    source.forget_log();
    destination.forget_log();
    let matcher = Matcher::new(here.entries, there.entries, &[], matching::Options::default());
    let wires = Wires { source: std::slice::from_ref(&from.wire), destination: &to.wire };
    let found = decide(matcher, &mut one, &mut other, &wires).unwrap();
    let (pairs, rest): (Vec<_>, Vec<_>) = found
        .fates()
        .map(|(entry, fate)| (entry.uid().get(), fate))
        .partition(|(_, fate)| matches!(fate, Fate::Linked(_) | Fate::Found(_)));
    let asked = |server: &MemoryServer| {
        let log = server.log();
        let asked = log.iter().filter_map(|operation| match operation {
            Operation::Fetch { uids, .. } => Some(format!("body {uids}")),
            Operation::Scan { uids, items, .. } => Some(format!("{:?} {uids}", items.header)),
            _ => None,
        });
        asked.collect::<Vec<_>>().join(", ")
    };
    let asked = format!("{} / {}", asked(source), asked(destination));
    (pairs.len(), rest.into_iter().map(|(uid, _)| uid).collect(), asked)
}

#[test]
fn matcher_is_answered_from_both_sides() {
    let (source, destination) = MemoryServer::pair();
    fill(&source, "A: a b");
    fill(&destination, "A: b");
    let without_key = [&b"Subject: one\r\n\r\nbody"[..], b"no header at all", b"", b"\0"];
    for server in [&source, &destination] {
        for body in without_key {
            server.with(|account| account.deliver("A", body));
        }
    }
    let mut state = MemoryState::default();
    let (pairs, rest, asked) = match_folders(&source, &destination, &mut state);
    assert_eq!((pairs, rest), (5, vec![1]));
    assert_eq!(asked, "Full 3:6, body 4:6 / Full 2:5, body 3:5");
}

#[test]
fn equal_keys_are_told_apart_by_what_both_sides_hold() {
    let (source, destination) = MemoryServer::pair();
    let list_copy = [&message("a")[..], b"list footer\r\n"].concat();
    source.with(|account| {
        account.deliver("A", &message("a"));
        account.deliver("A", &list_copy);
    });
    destination.with(|account| account.deliver("A", &list_copy));
    let (pairs, rest, _) = match_folders(&source, &destination, &mut MemoryState::default());
    assert_eq!((pairs, rest), (1, vec![1]));
}

#[derive(Clone, Debug)]
enum Event {
    Deliver(usize),
    Expunge(usize),
    Rename(usize, usize),
    Swap(usize, usize),
    Replace(usize),
    Wait,
    Save,
    Restore,
    Run,
}

fn event() -> impl Strategy<Value = Event> {
    let folder = || 0..3_usize;
    prop_oneof![
        4 => folder().prop_map(Event::Deliver),
        1 => folder().prop_map(Event::Expunge),
        2 => (folder(), folder()).prop_map(|(one, other)| Event::Rename(one, other)),
        2 => (folder(), folder()).prop_map(|(one, other)| Event::Swap(one, other)),
        1 => folder().prop_map(Event::Replace),
        1 => Just(Event::Wait),
        1 => Just(Event::Save),
        1 => Just(Event::Restore),
        5 => Just(Event::Run),
    ]
}

/// Reads all folders, and holds every fingerprint that comes out to the message that is there.
fn check_fingerprints(server: &MemoryServer, state: &mut MemoryState) -> Result<(), TestCaseError> {
    let names: Vec<WireName> =
        server.with(|account| account.folders.iter().map(|folder| folder.wire.clone()).collect());
    for name in names {
        let name = name.escaped();
        let (_, _, into) = look(server, &name, state);
        let bodies = server.with(|account| account.bodies(&name));
        prop_assert_eq!(into.entries.len(), bodies.len());
        for (entry, body) in into.entries.iter().zip(bodies) {
            prop_assert_eq!(entry.fingerprint(), fingerprint(&body), "{}", name);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_cached_header_is_taken_for_another_messages(
        events in proptest::collection::vec(event(), 1..40),
        kind in 0..3_u8,
    ) {
        let server = match kind {
            0 => MemoryServer::default(),
            1 => without_object_ids(false),
            _ => without_object_ids(true),
        };
        let names = ["A", "B", "C"];
        let mut state = MemoryState::default();
        let mut saved = server.with(|account| account.clone());
        for (number, event) in events.into_iter().enumerate() {
            server.with(|account| match event {
                Event::Deliver(at) => {
                    account.deliver(names[at], &message(&format!("n{number}")));
                }
                Event::Expunge(at) => account.expunge(names[at], [1, 3]),
                Event::Rename(one, other) if one != other => account.rename(names[one], names[other]),
                Event::Swap(one, other) if one != other => account.swap(names[one], names[other]),
                Event::Replace(at) => account.replace(names[at]),
                Event::Wait => account.now = account.now.plus(1),
                Event::Save => saved = account.clone(),
                Event::Restore => account.restore(&saved),
                Event::Rename(..) | Event::Swap(..) | Event::Run => {}
            });
            // Once as much new mail has come as a restore took away, nothing in a folder's state tells
            // it from the folder before: what is held is that a look in between notices.
            if matches!(event, Event::Run | Event::Restore) {
                check_fingerprints(&server, &mut state)?;
            }
        }
        check_fingerprints(&server, &mut state)?;
    }
}

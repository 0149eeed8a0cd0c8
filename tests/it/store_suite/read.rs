//! Reading: rows, header fields, bodies, searches.

use mailferry::mail::{Uid, UidOrder, UidSet};
use mailferry::store::{HeaderFields, Items, MissingWhy, StoreError, Visit};

use super::support::{
    FACTS, Ground, Kept, Sample, all, fetch, flags, long_body, message, scan, set, visit,
};

/// Fills a folder with three messages of different flags, dates and sizes.
fn three(ground: &mut dyn Ground, name: &str) -> (mailferry::mail::WireName, Vec<Kept>) {
    let name = ground.name(&[name]);
    let samples = [
        Sample::new("first").flags("\\Seen \\Answered").date(1_000_000_000),
        Sample::new("second").date(1_200_000_000).octets(message("second", &long_body(5_000))),
        Sample::new("third").flags("\\Flagged \\Draft"),
    ];
    ground.fill(&name, &samples);
    let kept = ground.read_back(&name);
    assert_eq!(kept.len(), 3);
    (name, kept)
}

pub(crate) fn scan_tells_facts(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Facts");
    let mut session = ground.source();
    let (rows, outcome) = scan(&mut *session, &name, &all(), FACTS);
    assert!(outcome.complete && outcome.missing.is_empty(), "{outcome:?}");
    assert_eq!(rows.uids(), kept.iter().map(|kept| kept.uid).collect::<Vec<_>>());
    for kept in &kept {
        let head = rows.head(kept.uid);
        assert_eq!(head.flags, kept.flags);
        assert_eq!(head.internal_date.unwrap().instant(), kept.date);
        assert_eq!(head.size, Some(kept.octets.len() as u64));
        assert_eq!(head.body_octets, None);
        assert!(rows.octets(kept.uid).is_empty());
    }
    assert_eq!(kept[0].flags, flags("\\Seen \\Answered"));
    assert_eq!(kept[0].date.seconds(), 1_000_000_000);
}

pub(crate) fn scan_tells_only_what_was_asked(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Little");
    let mut session = ground.source();
    let (rows, _) = scan(&mut *session, &name, &all(), Items::default());
    assert_eq!(rows.by_uid.len(), 3);
    let head = rows.head(kept[0].uid);
    assert_eq!((head.internal_date, head.size, head.mod_seq), (None, None, None));
    let items = Items { flags: true, size: true, ..Items::default() };
    let (rows, outcome) = scan(&mut *session, &name, &all(), items);
    assert!(outcome.complete);
    for kept in &kept {
        let head = rows.head(kept.uid);
        assert_eq!((head.internal_date, head.size), (None, Some(kept.octets.len() as u64)));
        assert_eq!(head.flags, kept.flags);
    }
    let items = Items { date: true, ..Items::default() };
    let (rows, _) = scan(&mut *session, &name, &all(), items);
    for kept in &kept {
        let head = rows.head(kept.uid);
        assert_eq!((head.internal_date.unwrap().instant(), head.size), (kept.date, None));
    }
    let keeps = session.open(&name).unwrap().highest_mod_seq;
    let items = Items { mod_seq: true, ..FACTS };
    let (rows, _) = scan(&mut *session, &name, &all(), items);
    for kept in &kept {
        let told = rows.head(kept.uid).mod_seq;
        assert_eq!(told.is_some(), keeps.is_some());
        assert!(told <= keeps);
    }
}

pub(crate) fn scan_of_one_side_by_side_with_another_folder_does_not_mix_them(
    ground: &mut dyn Ground,
) {
    let (one, _) = three(ground, "One");
    let other = ground.name(&["Other"]);
    ground.fill(&other, &[Sample::new("only")]);
    let mut session = ground.source();
    for _ in 0..2 {
        assert_eq!(scan(&mut *session, &one, &all(), FACTS).0.by_uid.len(), 3);
        assert_eq!(scan(&mut *session, &other, &all(), FACTS).0.by_uid.len(), 1);
        assert_eq!(session.search(&one, "ALL").unwrap().len(), 3);
        assert_eq!(fetch(&mut *session, &other, &set(&[1]), None).0.by_uid.len(), 1);
    }
}

pub(crate) fn scan_above_the_highest_uid_gives_no_row(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Above");
    let first = Uid::new(kept[2].uid + 1).unwrap();
    let above = UidSet::range(first, Uid::MAX);
    let (rows, _) = scan(&mut *ground.source(), &name, &above, FACTS);
    assert_eq!(rows.uids(), [0_u32; 0]);
}

pub(crate) fn scan_lists_a_message_that_is_gone(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Thinned");
    ground.expunge(&name, &[kept[1].uid]);
    let asked = set(&[kept[0].uid, kept[1].uid]);
    let (rows, outcome) = scan(&mut *ground.source(), &name, &asked, FACTS);
    assert_eq!(rows.uids(), [kept[0].uid]);
    let missing: Vec<_> =
        outcome.missing.iter().map(|missing| (missing.uid.get(), missing.why)).collect();
    assert_eq!(missing, [(kept[1].uid, MissingWhy::Gone)]);
}

pub(crate) fn scan_of_all_is_complete(ground: &mut dyn Ground) {
    let name = ground.name(&["Holes"]);
    let samples: Vec<_> = (0..50).map(|number| Sample::new(&format!("n{number}"))).collect();
    ground.fill(&name, &samples);
    let uids: Vec<u32> = ground.read_back(&name).iter().map(|kept| kept.uid).collect();
    let odd: Vec<u32> = uids.iter().copied().skip(1).step_by(2).collect();
    ground.expunge(&name, &odd);
    let mut session = ground.source();
    let (rows, outcome) = scan(&mut *session, &name, &all(), FACTS);
    assert!(outcome.complete && outcome.missing.is_empty());
    assert_eq!(rows.uids(), uids.into_iter().step_by(2).collect::<Vec<_>>());
    let empty = ground.name(&["Empty"]);
    ground.fill(&empty, &[]);
    let (rows, outcome) = scan(&mut *session, &empty, &all(), FACTS);
    assert!(outcome.complete && rows.by_uid.is_empty());
}

pub(crate) fn scan_gives_the_header_fields_that_were_asked(ground: &mut dyn Ground) {
    let name = ground.name(&["Headers"]);
    let octets =
        b"Received: one\r\n\ttwo\r\nReceived: three\r\nMessage-Id:\r\n <a@example.org>\r\n\
                   DATE: Mon, 7 Feb 2022 21:52:25 +0000\r\nFrom: a@example.org\r\n\
                   Subject: folded\r\n over\r\n\tlines\r\nCc: c@example.org\r\nX-Other: no\r\n\r\n\
                   Subject: body\r\n";
    ground.fill(&name, &[Sample::new("").octets(octets.to_vec())]);
    let uid = ground.read_back(&name)[0].uid;
    let mut session = ground.source();
    for (header, present, absent) in [
        (HeaderFields::Key, &["<a@example.org>", "7 Feb", "lines"][..], &["Cc", "two", "body"][..]),
        (HeaderFields::Full, &["<a@example.org>", "two", "three", "Cc"], &["X-Other", "body"]),
        (HeaderFields::Received, &["one", "two", "three"], &["Subject", "Cc"]),
    ] {
        let items = Items { header, ..Items::default() };
        let (rows, outcome) = scan(&mut *session, &name, &all(), items);
        assert!(outcome.complete);
        let text = String::from_utf8(rows.octets(uid).to_vec()).unwrap();
        assert!(present.iter().all(|part| text.contains(part)), "{header:?}: {text}");
        assert!(absent.iter().all(|part| !text.contains(part)), "{header:?}: {text}");
    }
}

pub(crate) fn fetched_octets_are_those_that_the_server_holds(ground: &mut dyn Ground) {
    let name = ground.name(&["Bodies"]);
    let long_line = [&vec![b'y'; 100_000][..], b"\r\n"].concat();
    let bodies: [&[u8]; 7] = [
        b"plain\r\n",
        b"no line end",
        b"8-bit \xe9\xff\x80\r\n",
        b"* 1 FETCH (UID 9)\r\nA1 OK done\r\n+ go\r\n",
        b"{5}\r\nabc)\r\n",
        b"\r\n.\r\n..\r\nFrom here on\r\n",
        &long_line,
    ];
    let samples: Vec<_> = bodies
        .iter()
        .map(|body| Sample::new("").octets(message("odd", body)))
        .chain([Sample::new("").octets(b"no header at all".to_vec())])
        .chain(
            [Sample::new("").octets(b"From someone Mon Feb  7\r\nFrom: a\r\n\r\nx\r\n".to_vec())],
        )
        .collect();
    ground.fill(&name, &samples);
    let kept = ground.read_back(&name);
    assert_eq!(kept.len(), samples.len());
    let uids = set(&kept.iter().map(|kept| kept.uid).collect::<Vec<_>>());
    let (rows, outcome) = fetch(&mut *ground.source(), &name, &uids, None);
    assert!(outcome.missing.is_empty(), "{outcome:?}");
    for kept in &kept {
        assert!(rows.octets(kept.uid) == kept.octets, "UID {}", kept.uid);
        let head = rows.head(kept.uid);
        assert_eq!(head.flags, kept.flags);
        assert_eq!(head.internal_date.unwrap().instant(), kept.date);
    }
}

pub(crate) fn big_body_comes_in_small_pieces(ground: &mut dyn Ground) {
    let name = ground.name(&["Big"]);
    let octets = message("big", &long_body(3_000_000));
    ground.fill(&name, &[Sample::new("").octets(octets), Sample::new("after")]);
    let kept = ground.read_back(&name);
    let uids = set(&kept.iter().map(|kept| kept.uid).collect::<Vec<_>>());
    let (rows, _) = fetch(&mut *ground.source(), &name, &uids, None);
    assert!(rows.octets(kept[0].uid) == kept[0].octets);
    assert!(rows.octets(kept[1].uid) == kept[1].octets);
    assert!((1..=64 * 1024).contains(&rows.largest_piece));
}

pub(crate) fn bodies_come_newest_first_where_that_is_asked_for(ground: &mut dyn Ground) {
    let name = ground.name(&["Turned"]);
    let samples: Vec<_> = (0..40).map(|number| Sample::new(&format!("no. {number}"))).collect();
    ground.fill(&name, &samples);
    let kept = ground.read_back(&name);
    let mut ascending: Vec<u32> = kept.iter().map(|kept| kept.uid).collect();
    ascending.remove(20);
    let uids = set(&ascending);
    let asked = Visit { order: UidOrder::NewestFirst, ..Visit::new(&name, &uids) };
    let (rows, outcome) = visit(&mut *ground.source(), &asked, None);
    assert!(outcome.complete && outcome.missing.is_empty(), "{outcome:?}");
    assert!(rows.order.iter().rev().eq(&ascending), "{:?}", rows.order);
    for kept in kept.iter().filter(|kept| ascending.contains(&kept.uid)) {
        assert!(rows.octets(kept.uid) == kept.octets);
    }
}

pub(crate) fn fetch_lists_a_message_that_is_gone_and_gives_the_others(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Gone");
    let mut session = ground.source();
    session.open(&name).unwrap();
    ground.expunge(&name, &[kept[1].uid]);
    let asked = set(&[kept[0].uid, kept[1].uid, kept[2].uid, kept[2].uid + 50]);
    let (rows, outcome) = fetch(&mut *session, &name, &asked, None);
    assert_eq!(rows.uids(), [kept[0].uid, kept[2].uid]);
    let missing: Vec<_> =
        outcome.missing.iter().map(|missing| (missing.uid.get(), missing.why)).collect();
    let gone = MissingWhy::Gone;
    assert_eq!(missing, [(kept[1].uid, gone), (kept[2].uid + 50, gone)]);
}

pub(crate) fn stopped_fetch_lists_what_was_not_asked(ground: &mut dyn Ground) {
    let name = ground.name(&["Stopped"]);
    let samples: Vec<_> = (0..600).map(|number| Sample::new(&format!("n{number}"))).collect();
    ground.fill(&name, &samples);
    let uids = set(&ground.read_back(&name).iter().map(|kept| kept.uid).collect::<Vec<_>>());
    let mut session = ground.source();
    let (rows, outcome) = fetch(&mut *session, &name, &uids, Some(1));
    assert!(!rows.by_uid.is_empty() && rows.by_uid.len() < 600);
    assert!(outcome.missing.iter().all(|missing| missing.why == MissingWhy::NotAsked));
    let (rows, _) = fetch(&mut *session, &name, &uids, None);
    assert_eq!(rows.by_uid.len(), 600, "the session goes on after a stop");
}

pub(crate) fn reading_leaves_no_mark(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Untouched");
    let uids = set(&kept.iter().map(|kept| kept.uid).collect::<Vec<_>>());
    let mut session = ground.source();
    let items = Items { header: HeaderFields::Full, ..FACTS };
    scan(&mut *session, &name, &all(), items);
    fetch(&mut *session, &name, &uids, None);
    session.search(&name, "ALL").unwrap();
    let after = ground.read_back(&name);
    for (before, after) in kept.iter().zip(&after) {
        assert_eq!((before.uid, &before.flags), (after.uid, &after.flags));
    }
}

pub(crate) fn search_finds_by_flag_and_uid(ground: &mut dyn Ground) {
    let (name, kept) = three(ground, "Searched");
    let mut session = ground.source();
    assert_eq!(session.search(&name, "SEEN").unwrap(), set(&[kept[0].uid]));
    let rest = set(&[kept[1].uid, kept[2].uid]);
    assert_eq!(session.search(&name, "NOT SEEN").unwrap(), rest);
    let second = kept[1].uid;
    assert_eq!(session.search(&name, &format!("UID {second}")).unwrap(), set(&[second]));
    assert_eq!(session.search(&name, "LARGER 4000").unwrap(), set(&[second]));
    assert_eq!(session.search(&name, "KEYWORD $Nobody").unwrap(), UidSet::new());
}

pub(crate) fn search_of_two_lines_is_never_sent(ground: &mut dyn Ground) {
    let (name, _) = three(ground, "Lines");
    let mut session = ground.destination();
    for keys in ["ALL\r\nA9 LOGOUT", "ALL\nSEEN", "SUBJECT \"a\0b\""] {
        let error = session.search(&name, keys).unwrap_err();
        assert!(matches!(error, StoreError::Unsayable(_)), "{error:?}");
    }
    assert_eq!(session.search(&name, "ALL").unwrap().len(), 3);
}

pub(crate) fn unknown_search_is_refused_and_the_connection_stays_good(ground: &mut dyn Ground) {
    let (name, _) = three(ground, "Unknown");
    let mut session = ground.source();
    let error = session.search(&name, "BOGUSKEY").unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    assert_eq!(session.search(&name, "ALL").unwrap().len(), 3);
}

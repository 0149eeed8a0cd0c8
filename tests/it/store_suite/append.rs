//! Writing: appends and flags.

use mailferry::mail::{InternalDate, ModSeq, Timestamp, WireName};
use mailferry::store::{AppendResult, Destination, FlagChange, Unknown};

use super::support::{
    FACTS, Ground, Kept, Outgoing, Queue, Sample, all, append, append_apart, flags, long_body,
    message, scan, set,
};

/// After every date that is sent here.
const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn made(ground: &mut dyn Ground, name: &str) -> (WireName, Box<dyn Destination>) {
    let name = ground.name(&[name]);
    let mut session = ground.destination();
    session.create(&name, None).unwrap();
    (name, session)
}

fn stored(queue: &Queue) -> usize {
    queue.results().iter().filter(|result| matches!(result, AppendResult::Stored(_))).count()
}

fn subjects(kept: &[Kept]) -> Vec<String> {
    let subject = |kept: &Kept| {
        let text = String::from_utf8_lossy(&kept.octets).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("").to_owned()
    };
    kept.iter().map(subject).collect()
}

fn outgoing(subject: &str) -> Outgoing {
    Outgoing::new(message(subject, b"text\r\n"))
}

pub(crate) fn appended_message_is_kept_as_it_was_sent(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Sent as is");
    let bodies: [&[u8]; 5] = [
        b"plain\r\n",
        b"8-bit \xe9\xff\x80\r\n",
        b"A1 CREATE evil\r\nA2 DELETE INBOX\r\n",
        b"{3+}\r\nabc\r\n",
        b"",
    ];
    let sent: Vec<_> = bodies.iter().map(|body| message("odd", body)).collect();
    let (queue, outcome) =
        append(&mut *session, &name, sent.iter().cloned().map(Outgoing::new).collect());
    let outcome = outcome.unwrap();
    assert_eq!(outcome.pipelined + outcome.synchronised, 5);
    assert_eq!(stored(&queue), 5, "{:?}", queue.results);
    let kept: Vec<_> = ground.read_back(&name).into_iter().map(|kept| kept.octets).collect();
    assert!(kept == sent);
    assert!(session.list().unwrap().rows.iter().all(|row| row.name.as_octets() != b"evil"));
}

pub(crate) fn flags_and_dates_are_kept(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Marked");
    let rows = [
        ("", 100_000_000, 0),
        ("\\Seen", 1_000_000_000, 330),
        ("\\Seen \\Answered \\Flagged \\Draft \\Deleted", 1_582_934_400, -210),
        ("$Forwarded Work-2", 1_700_000_000, 840),
    ];
    let messages = rows.iter().map(|&(text, seconds, zone)| Outgoing {
        flags: flags(text),
        date: InternalDate::new(Timestamp::from_seconds(seconds), zone).to_append(NOW),
        ..outgoing("marked")
    });
    let (queue, outcome) = append(&mut *session, &name, messages.collect());
    outcome.unwrap();
    assert_eq!(stored(&queue), 4, "{:?}", queue.results);
    let kept = ground.read_back(&name);
    for (kept, (text, seconds, _)) in kept.iter().zip(rows) {
        assert_eq!(kept.flags, flags(text));
        assert_eq!(kept.date.seconds(), seconds);
    }
    assert_eq!(kept.len(), 4);
}

pub(crate) fn message_without_flags_and_date_is_stored(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Bare");
    let (queue, outcome) = append(&mut *session, &name, vec![outgoing("bare")]);
    outcome.unwrap();
    assert_eq!(stored(&queue), 1);
    let kept = ground.read_back(&name);
    assert!(kept.len() == 1 && kept[0].flags.is_empty(), "{kept:?}");
    assert!(kept[0].date.seconds() > 1_700_000_000, "the server chooses a date of today");
}

pub(crate) fn order_is_kept_over_many_messages(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Many");
    let expected: Vec<_> = (0..300).map(|number| format!("n{number}")).collect();
    let messages = expected.iter().enumerate().map(|(number, subject)| Outgoing {
        flags: flags(if number % 2 == 0 { "\\Seen" } else { "" }),
        octets: message(subject, &long_body(73 * (number % 90))),
        ..Outgoing::default()
    });
    let (queue, outcome) = append(&mut *session, &name, messages.collect());
    outcome.unwrap();
    assert_eq!(stored(&queue), 300);
    assert_eq!(subjects(&ground.read_back(&name)), expected);
}

pub(crate) fn reported_uids_are_those_of_the_messages(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Told");
    ground.fill(&name, &[Sample::new("there before")]);
    let before = session.open(&name).unwrap();
    let messages = (0..20).map(|number| outgoing(&format!("n{number}"))).collect();
    let (queue, outcome) = append(&mut *session, &name, messages);
    outcome.unwrap();
    let kept = ground.read_back(&name).split_off(1);
    for (result, kept) in queue.results().into_iter().zip(&kept) {
        let AppendResult::Stored(stored) = result else { panic!("{result:?}") };
        assert_eq!(stored.at.is_some(), session.abilities().uid_plus);
        let Some((validity, uid)) = stored.at else { continue };
        assert_eq!((validity, uid.get()), (before.uid_validity, kept.uid));
        assert!(uid >= before.uid_next.unwrap());
    }
    assert_eq!(scan(&mut *session, &name, &all(), FACTS).0.by_uid.len(), 21);
}

pub(crate) fn append_to_a_missing_folder_is_refused_and_makes_none(ground: &mut dyn Ground) {
    let name = ground.name(&["Absent"]);
    let mut session = ground.destination();
    let (queue, outcome) = append(&mut *session, &name, vec![outgoing("a"), outgoing("b")]);
    outcome.unwrap();
    for result in queue.results() {
        let (AppendResult::Refused(refusal) | AppendResult::RefusedTogether(refusal, _)) = result
        else {
            panic!("{result:?}")
        };
        assert!(refusal.folder_is_gone() && refusal.proves_not_stored(), "{refusal}");
    }
    assert!(session.list().unwrap().rows.iter().all(|row| row.name != name));
}

pub(crate) fn refused_message_is_reported_and_the_others_are_stored(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Mixed");
    let refused = Outgoing::new(ground.refused_message());
    let messages = [outgoing("a"), refused.clone(), outgoing("b"), refused, outgoing("c")];
    let alone = messages.map(|message| Outgoing { company: Some(1), ..message });
    let (queue, outcome) = append(&mut *session, &name, alone.into());
    outcome.unwrap();
    let told: Vec<_> =
        queue.results().iter().map(|result| matches!(result, AppendResult::Stored(_))).collect();
    assert_eq!(told, [true, false, true, false, true], "{:?}", queue.results);
    let is_single = |result: &&AppendResult| {
        matches!(result, AppendResult::Stored(_) | AppendResult::Refused(_))
    };
    assert!(queue.results().iter().all(is_single), "{:?}", queue.results);
    assert_eq!(subjects(&ground.read_back(&name)), ["a", "b", "c"]);
}

pub(crate) fn refused_message_in_a_batch_is_found_and_the_others_are_stored(
    ground: &mut dyn Ground,
) {
    let (name, mut session) = made(ground, "Sifted");
    let mut messages: Vec<_> = (0..40).map(|number| outgoing(&format!("n{number:02}"))).collect();
    for at in [7, 21, 22] {
        messages[at] = Outgoing::new(ground.refused_message());
    }
    let results = append_apart(&mut *session, &name, messages);
    assert_eq!(results.len(), 40);
    for (at, result) in results.iter().enumerate() {
        match result {
            AppendResult::Stored(_) => assert!(![7, 21, 22].contains(&at)),
            AppendResult::Refused(_) => assert!([7, 21, 22].contains(&at), "{at}: {result:?}"),
            other => panic!("{at}: {other:?}"),
        }
    }
    let mut kept = subjects(&ground.read_back(&name));
    kept.sort();
    let expected = (0..40).filter(|at| ![7, 21, 22].contains(at)).map(|at| format!("n{at:02}"));
    assert_eq!(kept, expected.collect::<Vec<_>>());
}

pub(crate) fn batch_is_stored_or_refused_as_one(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Together");
    let company = |message: Outgoing, company| Outgoing { company: Some(company), ..message };
    let messages = vec![
        outgoing("first"),
        company(outgoing("a"), 3),
        company(Outgoing::new(ground.refused_message()), 3),
        company(outgoing("b"), 3),
        company(outgoing("c"), 2),
        company(outgoing("d"), 2),
        company(outgoing("e"), 2),
    ];
    let (queue, outcome) = append(&mut *session, &name, messages);
    outcome.unwrap();
    let kept = subjects(&ground.read_back(&name));
    let results = queue.results();
    let batches: Vec<_> = results
        .iter()
        .filter_map(|result| match result {
            AppendResult::RefusedTogether(_, batch) => Some((batch.first.0, batch.messages)),
            _ => None,
        })
        .collect();
    if batches.is_empty() {
        assert_eq!(kept, ["first", "a", "b", "c", "d", "e"]);
    } else {
        assert!(session.abilities().append.multi);
        assert_eq!(batches, [(2, 3); 3]);
        assert_eq!(kept, ["first", "c", "d", "e"]);
    }
    assert_eq!(stored(&queue), kept.len(), "{results:?}");
}

pub(crate) fn message_with_a_nul_is_stored_or_refused_alone(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Nul");
    let nul = Outgoing::new(message("nul", b"a\0b\r\n"));
    let results =
        append_apart(&mut *session, &name, vec![outgoing("a"), nul.clone(), outgoing("b")]);
    let kept = ground.read_back(&name);
    match &results[1] {
        AppendResult::Stored(_) => {
            assert_eq!(subjects(&kept), ["a", "nul", "b"]);
            // IMAP has no NUL outside of binary literals (RFC 9051 §4.3.1): a server that stores one
            // shows another octet in its place.
            let differ = kept[1].octets.iter().zip(&nul.octets).filter(|(kept, sent)| kept != sent);
            assert!(differ.into_iter().all(|(_, sent)| *sent == 0), "{:?}", kept[1].octets);
            assert_eq!(kept[1].octets.len(), nul.octets.len());
        }
        AppendResult::Refused(_) => {
            let mut kept = subjects(&kept);
            kept.sort();
            assert_eq!(kept, ["a", "b"]);
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn source_lost_inside_a_message_stores_nothing_of_it(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Cut");
    let octets = message("cut", &long_body(200_000));
    let cut = Outgoing { lost_after: Some(100_000), ..Outgoing::new(octets) };
    let alone = Outgoing { company: Some(1), ..outgoing("a") };
    let messages = vec![alone, outgoing("b"), cut, outgoing("c")];
    let (queue, outcome) = append(&mut *session, &name, messages);
    let error = outcome.unwrap_err();
    assert!(!error.connection_is_good(), "{error:?}");
    assert_eq!(queue.results.len(), 3, "nothing is taken after it");
    let never = AppendResult::Unknown(Unknown { handed_over: false });
    assert_eq!(queue.results[&3], never);
    drop(session);
    // The first one was handed over whole: it is there, though its reply may have been lost. The
    // second one is not, if it was to go as one with the third.
    let expected: &[&str] = if queue.results[&2] == never { &["a"] } else { &["a", "b"] };
    let mut session = ground.destination();
    for _ in 0..50 {
        if session.open(&name).unwrap().messages >= expected.len() as u64 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(subjects(&ground.read_back(&name)), expected);
}

pub(crate) fn big_message_is_appended(ground: &mut dyn Ground) {
    let (name, mut session) = made(ground, "Heavy");
    let big = Outgoing::new(message("big", &long_body(3_000_000)));
    let (queue, outcome) =
        append(&mut *session, &name, vec![outgoing("a"), big.clone(), outgoing("b")]);
    outcome.unwrap();
    assert_eq!(stored(&queue), 3);
    assert!(ground.read_back(&name)[1].octets == big.octets);
}

pub(crate) fn flags_change_by_difference_only(ground: &mut dyn Ground) {
    let name = ground.name(&["Changed"]);
    let samples = [Sample::new("a").flags("\\Answered Kept"), Sample::new("b").flags("\\Seen")];
    ground.fill(&name, &samples);
    let uids: Vec<u32> = ground.read_back(&name).iter().map(|kept| kept.uid).collect();
    let mut session = ground.destination();
    let change =
        FlagChange { add: flags("\\Flagged"), remove: flags("\\Seen"), unchanged_since: None };
    let outcome = session.change_flags(&name, &set(&uids), &change).unwrap();
    let expected = [flags("\\Answered \\Flagged Kept"), flags("\\Flagged")];
    let kept: Vec<_> = ground.read_back(&name).into_iter().map(|kept| kept.flags).collect();
    assert_eq!(kept, expected);
    for (uid, reported) in &outcome.reported {
        let at = uids.iter().position(|known| *known == uid.get()).unwrap();
        assert_eq!(*reported, expected[at]);
    }
    let reported = outcome.reported.iter().map(|(uid, _)| *uid).collect();
    assert_eq!(set(&uids), reported);
    assert!(outcome.modified.is_empty());
}

pub(crate) fn flags_of_a_missing_message_are_not_reported(ground: &mut dyn Ground) {
    let name = ground.name(&["Half there"]);
    ground.fill(&name, &[Sample::new("a"), Sample::new("b")]);
    let uids: Vec<u32> = ground.read_back(&name).iter().map(|kept| kept.uid).collect();
    ground.expunge(&name, &uids[..1]);
    let mut session = ground.destination();
    let change = FlagChange { add: flags("\\Flagged"), ..FlagChange::default() };
    let outcome = session.change_flags(&name, &set(&uids), &change).unwrap();
    let reported: Vec<_> = outcome.reported.iter().map(|(uid, _)| uid.get()).collect();
    assert_eq!(reported, uids[1..]);
    let outcome = session.change_flags(&name, &set(&uids[..1]), &change).unwrap();
    assert!(outcome.reported.is_empty());
    assert_eq!(ground.read_back(&name)[0].flags, flags("\\Flagged"));
}

pub(crate) fn changed_message_is_left_alone_where_mod_seq_tells(ground: &mut dyn Ground) {
    let name = ground.name(&["Watched"]);
    ground.fill(&name, &[Sample::new("a"), Sample::new("b")]);
    let uids: Vec<u32> = ground.read_back(&name).iter().map(|kept| kept.uid).collect();
    let mut session = ground.destination();
    let Some(ModSeq(seen)) = session.open(&name).unwrap().highest_mod_seq else {
        assert!(!session.abilities().condstore);
        return;
    };
    let add = |text: &str| FlagChange { add: flags(text), ..FlagChange::default() };
    let mut other = ground.destination();
    other.change_flags(&name, &set(&uids[..1]), &add("\\Flagged")).unwrap();
    other.close();
    let change = FlagChange { unchanged_since: Some(ModSeq(seen)), ..add("\\Seen") };
    let outcome = session.change_flags(&name, &set(&uids), &change).unwrap();
    assert_eq!(outcome.modified, set(&uids[..1]), "{outcome:?}");
    let kept: Vec<_> = ground.read_back(&name).into_iter().map(|kept| kept.flags).collect();
    assert_eq!(kept, [flags("\\Flagged"), flags("\\Seen")]);
}

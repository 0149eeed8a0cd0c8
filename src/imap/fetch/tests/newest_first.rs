//! Bodies in descending order of UIDs.

use super::*;

#[test]
fn each_body_has_a_command_of_its_own_and_many_are_on_the_way() {
    // A server that waits for twenty commands, or the last one, before it answers any.
    let mut waiting = Vec::new();
    let server = Lines(move |tag: &str, command: &str| {
        waiting.push((tag.to_owned(), command.to_owned()));
        if waiting.len() < 20 && asked(command).first() != Uid::new(1) {
            return Vec::new();
        }
        let answer = |(tag, command): (String, String)| tagged(&tag, &all_honest(&command));
        waiting.drain(..).flat_map(answer).collect()
    });
    let (mut wire, sent) = connect(server, Line::default());
    let uids = set("1:500,700:1000");
    let mut basket = Basket::default();
    let visit = Visit { order: UidOrder::NewestFirst, ..visit(&uids) };
    let (outcome, _) = fetch(&mut wire, &mut opened(1_001, 801), &visit, &mut basket).unwrap();
    let came: Vec<u32> =
        basket.rows.iter().map(|row| row.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(came, uids.iter().rev().map(Uid::get).collect::<Vec<_>>());
    assert_eq!((outcome.came, text_of(&sent).lines().count()), (uids, 801));
}

/// Fetches newest first from a server that answers so many commands at a time, the last of them first, and
/// at once what is asked for again; returns the UIDs as they came.
fn fetched_backwards(together: usize, uids: &str, body: &'static str) -> (Vec<u32>, FetchOutcome) {
    let (mut waiting, mut seen) = (Vec::new(), UidSet::new());
    let server = Lines(move |tag: &str, command: &str| {
        waiting.push((tag.to_owned(), command.to_owned()));
        let first = asked(command).first().unwrap();
        let is_again = seen.contains(first);
        seen.insert(first);
        if waiting.len() < together && first != Uid::MIN && !is_again {
            return Vec::new();
        }
        let answer = |(tag, command): (String, String)| {
            let rows: String = asked(&command).iter().map(|uid| honest(uid.get(), body)).collect();
            tagged(&tag, &rows)
        };
        waiting.drain(..).rev().flat_map(answer).collect()
    });
    let (mut wire, _) = connect(server, Line::default());
    let uids = set(uids);
    let mut basket = Basket::default();
    let visit = Visit { order: UidOrder::NewestFirst, ..visit(&uids) };
    let fetched = fetch(&mut wire, &mut opened(901, 900), &visit, &mut basket);
    let came = basket.rows.iter().map(|row| row.split(' ').next().unwrap().parse().unwrap());
    (came.collect(), fetched.unwrap().0)
}

#[test]
fn what_a_server_answers_before_its_turn_is_held() {
    for together in [1, 2, 7, 20] {
        let (came, outcome) = fetched_backwards(together, "1:30,40:500", "hello");
        let expected: Vec<u32> = (40..=500).rev().chain((1..=30).rev()).collect();
        assert_eq!(came, expected, "{together}");
        assert!(outcome.complete && outcome.missing.is_empty());
    }
}

#[test]
fn what_is_too_large_to_be_held_comes_last_of_all() {
    static LARGE: LazyLock<String> = LazyLock::new(|| "x".repeat(1_500_000));
    static SMALLER: LazyLock<String> = LazyLock::new(|| "x".repeat(900_000));
    let (came, outcome) = fetched_backwards(3, "1:3", &LARGE);
    assert_eq!(came, [3, 1, 2]);
    assert!(outcome.missing.is_empty());
    // Smaller ones are held, but not many of them.
    let (came, outcome) = fetched_backwards(8, "1:8", &SMALLER);
    assert_eq!(came, [8, 4, 3, 2, 1, 5, 6, 7]);
    assert_eq!(outcome.came, set("1:8"));
}

#[test]
fn nothing_is_asked_for_after_a_stop_and_every_uid_is_accounted_for() {
    let server = Lines(|tag: &str, command: &str| tagged(tag, &all_honest(command)));
    let (mut wire, sent) = connect(server, Line::default());
    let mut basket = Basket { stop_at: Some(3), ..Basket::default() };
    let uids = set("1:900");
    let visit = Visit { order: UidOrder::NewestFirst, ..visit(&uids) };
    let (outcome, line) = fetch(&mut wire, &mut opened(901, 900), &visit, &mut basket).unwrap();
    assert_eq!((outcome.came, line), (set("900"), crate::imap::fetch::Line::Idle));
    assert_eq!(outcome.missing.len(), 899);
    assert_eq!(text_of(&sent).lines().count(), 160);
}

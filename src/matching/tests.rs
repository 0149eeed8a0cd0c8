//! The stages, through a small notation.

use proptest::prelude::*;

use super::*;
use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::Fingerprint;
use crate::mail::FlagSet;
use crate::mail::Side;
use crate::mail::Timestamp;
use crate::snapshot::Entry;
use crate::snapshot::Row;
use crate::snapshot::Rows;

/// A message: `1:a`, then any of `/100` size, `@5` date, `~r` Received lines, `#c` content, `%2`
/// folder, `-` left out by a rule. A key of `?h` has no Message-ID but headers `h`, `!` has none.
/// Content is that of key, size and Received lines unless it is told; `#!` cannot be read.
#[derive(Clone, Debug)]
struct Mail {
    uid: u32,
    folder: u16,
    key: String,
    size: Option<u64>,
    date: Option<i64>,
    received: String,
    content: String,
    left_out: bool,
}

fn part(text: &str, sign: char) -> &str {
    let rest = text.split_once(sign).map_or("", |(_, rest)| rest);
    rest.split(['/', '@', '~', '#', '%', '-']).next().unwrap()
}

fn mailbox(text: &str) -> Vec<Mail> {
    text.split_whitespace()
        .map(|one| {
            let (uid, rest) = one.split_once(':').unwrap();
            let key = rest.split(['/', '@', '~', '#', '%', '-']).next().unwrap().to_owned();
            let size = part(rest, '/');
            let (received, content) = (part(rest, '~').to_owned(), part(rest, '#'));
            let content = if content.is_empty() {
                format!("{key} {size} {received}")
            } else {
                content.to_owned()
            };
            Mail {
                uid: uid.parse().unwrap(),
                folder: part(rest, '%').parse().unwrap_or(0),
                size: size.parse().ok(),
                date: part(rest, '@').parse().ok(),
                left_out: rest.ends_with('-'),
                key,
                received,
                content,
            }
        })
        .collect()
}

fn digest(text: &str) -> Digest {
    let mut content = crate::identity::Content::new();
    content.update(text.as_bytes());
    content.digest()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn entries(mails: &[Mail]) -> Vec<Entry> {
    let mut rows = Rows::with_room(0);
    for mail in mails {
        let date = mail.date.map(Timestamp::from_seconds);
        let row = Row { uid: uid(mail.uid), size: mail.size, date, flags: &FlagSet::new() };
        rows.push(mail.folder, row);
        if !mail.key.starts_with(['?', '!']) {
            let digest = digest(&mail.key);
            rows.fingerprint_last(Fingerprint { digest, basis: Basis::Key });
        }
        if mail.left_out {
            rows.entries.last_mut().unwrap().set_left_out();
        }
    }
    rows.entries
}

/// What was asked for, and the result.
struct Run {
    asked: Vec<String>,
    matched: Matched,
}

fn run(source: &str, destination: &str, links: &[KnownLink], options: Options) -> Run {
    let (source, destination) = (mailbox(source), mailbox(destination));
    let mut matcher = Matcher::new(entries(&source), entries(&destination), links, options);
    let mut asked = Vec::new();
    loop {
        let need = match matcher.step() {
            Step::Done(done) => return Run { asked, matched: done },
            Step::Need(need) => need,
        };
        asked.push(format!("{} {} {:?}", need.side, need.uids, need.evidence));
        let mails = if need.side == Side::Source { &source } else { &destination };
        for mail in mails.iter().filter(|mail| mail.folder == need.folder) {
            let answer = match need.evidence {
                _ if !need.uids.contains(uid(mail.uid)) => continue,
                Evidence::Headers => mail.key.strip_prefix('?').map(str::to_owned),
                Evidence::Received if mail.received.is_empty() => None,
                Evidence::Received => Some(mail.received.clone()),
                Evidence::Content if mail.content == "!" => None,
                Evidence::Content => Some(mail.content.clone()),
            };
            match answer {
                Some(text) => matcher.answer(need.side, mail.folder, uid(mail.uid), digest(&text)),
                None => matcher.cannot_answer(need.side, mail.folder, uid(mail.uid)),
            }
        }
    }
}

fn told(matched: &Matched) -> String {
    let fates = matched.fates().map(|(entry, fate)| {
        let fate = match fate {
            Fate::Linked(uid) => format!("={uid}"),
            Fate::Found(uid) => format!("~{uid}"),
            other => format!("{other:?}").to_lowercase(),
        };
        format!("{}{fate}", entry.uid())
    });
    fates.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check_with(
    source: &str,
    destination: &str,
    links: &str,
    options: Options,
    expected: &str,
) -> Run {
    let run = run(source, destination, &known(links), options);
    assert_eq!(told(&run.matched), expected, "{:?}", run.asked);
    run
}

#[track_caller]
fn check(source: &str, destination: &str, expected: &str) -> Run {
    check_with(source, destination, "", Options::default(), expected)
}

/// `1=9 2=` as links, the second one without a UID.
fn known(text: &str) -> Vec<KnownLink> {
    let links = text.split_whitespace().map(|link| {
        let (source, destination) = link.split_once('=').unwrap();
        let destination = destination.parse().ok().map(uid);
        let source = uid(source.parse().unwrap());
        KnownLink { folder: 0, source, destination, seen: Fingerprint::default() }
    });
    links.collect()
}

/// Enough pairs of equal size, before these UIDs, to make sizes comparable.
fn comparable() -> Options {
    Options { sizes: Sizes::Judged(SizeRecord { agree: 200, all: 200 }), ..Options::default() }
}

fn content() -> Options {
    Options { proof: Proof::Content, ..comparable() }
}

fn first() -> Options {
    Options { twins: Twins::FirstOnly, ..Options::default() }
}

#[test]
fn what_is_there_is_found_and_what_is_not_is_new() {
    let run = check("1:a 2:b 3:c", "7:c 8:a", "1~8 2new 3~7");
    assert!(run.asked.is_empty());
}

#[test]
fn counts_are_kept() {
    check("1:k 2:k 3:l", "", "1new 2new 3new");
    check("1:k 2:k", "9:k", "1~9 2new");
    check("1:k", "8:k 9:k", "1~8");
    check("1:k 2:k 3:k", "7:k", "1~7 2new 3new");
}

#[test]
fn links_come_first_and_need_no_fingerprint() {
    let run = check_with("1:! 2:!", "8:! 9:!", "1=9 2=8", Options::default(), "1=9 2=8");
    assert!(run.asked.is_empty());
}

#[test]
fn a_link_whose_copy_is_gone_ends_alone() {
    check_with("1:a 2:b", "9:b", "1=8 2=9", Options::default(), "1removed 2=9");
    check_with("1:a 2:b", "7:a 9:b", "1=8 2=9", Options::default(), "1~7 2=9");
    check_with("2:b", "9:b", "1=8 2=9", Options::default(), "2=9");
}

#[test]
fn two_links_to_one_copy_do_not_hide_a_message() {
    check_with("1:a 2:b", "9:a", "1=9 2=9", Options::default(), "1=9 2new");
}

#[test]
fn accepted_without_a_uid_is_found_or_never_sent_again() {
    check_with("1:a 2:b", "9:b", "1= 2=", Options::default(), "1notvisible 2~9");
}

#[test]
fn draft_edited_in_place_is_copied_with_state() {
    check_with("5:d#new", "9:d#old", "4=9", content(), "5differs");
}

#[test]
fn draft_edited_in_place_is_copied_without_state() {
    check_with("5:d#new", "9:d#old", "", content(), "5differs");
    check_with("5:d#same", "9:d#same", "", content(), "5~9");
    // Outside of the drafts folder comparable sizes tell.
    check_with("5:d/110", "9:d/100", "", comparable(), "5differs");
}

#[test]
fn direct_copy_and_list_copy_are_told_apart_by_received_lines() {
    let run = check("1:m~direct 2:m~list", "9:m~direct", "1~9 2differs");
    assert_eq!(
        run.asked,
        ["source 1:2 Received", "destination 9 Received"],
        "no content is read where Received lines tell"
    );
}

#[test]
fn list_copy_arrives_although_the_destination_altered_received_lines() {
    let run = check("1:m~direct 2:m~list", "9:m~other", "1differs 2differs");
    assert!(!run.asked.iter().any(|need| need.contains("Content")));
    check("1:m#1 2:m#2", "9:m#1", "1~9 2differs");
    check("1:m#1 2:m#2", "9:m#3", "1differs 2differs");
}

#[test]
fn one_against_one_with_comparable_sizes_that_differ_is_decided_by_further_evidence() {
    let run = check_with("1:m/200~list", "9:m/100~direct", "", comparable(), "1differs");
    assert_eq!(run.asked.len(), 2);
    check_with("1:m/200~r#x", "9:m/100~r#x", "", comparable(), "1~9");
    check_with("1:m/200~r#x", "9:m/100~r#y", "", comparable(), "1differs");
}

#[test]
fn sizes_that_never_proved_comparable_decide_nothing() {
    check("1:m/200", "9:m/100", "1~9");
    check("1:a/10 2:b/20 3:m/200", "7:a/11 8:b/21 9:m/201", "1~7 2~8 3~9");
    let lie = Options { sizes: Sizes::Lie, ..Options::default() };
    check_with("1:a/10 2:b/20 3:m/200", "7:a/10 8:b/20 9:m/100", "", lie, "1~7 2~8 3~9");
}

#[test]
fn a_pair_is_not_judged_by_its_own_size() {
    check("1:a/10 2:m/200~l", "8:a/10 9:m/100~d", "1~8 2differs");
}

#[test]
fn sizes_are_comparable_from_99_of_100_pairs_on() {
    assert!(SizeRecord { agree: 99, all: 100 }.comparable());
    assert!(!SizeRecord { agree: 98, all: 100 }.comparable());
    assert!(!SizeRecord::default().comparable());
    assert_eq!(check("1:a/10 2:b/20", "7:a/10 8:b/21", "1~7 2differs").matched.sizes().all, 2);
}

#[test]
fn groups_are_paired_by_size_without_reading_more() {
    let run = check_with("1:m/100 2:m/200", "8:m/200 9:m/100", "", comparable(), "1~9 2~8");
    assert!(run.asked.is_empty());
    let run = check_with("1:m/100 2:m/200", "9:m/100", "", comparable(), "1~9 2differs");
    assert!(run.asked.is_empty());
    check_with("1:m/100~a 2:m/200~b", "8:m/100~a 9:m/300~c", "", comparable(), "1~8 2differs");
}

#[test]
fn three_equal_at_the_source_and_one_at_the_destination_are_two_copies() {
    check("1:m~r 2:m~r 3:m~r", "9:m~r", "1~9 2new 3new");
}

#[test]
fn the_same_internaldate_orders_the_choice_and_nothing_else() {
    check("1:m@10 2:m@20", "9:m@20", "1new 2~9");
    check("1:m@10 2:m@20", "8:m@30 9:m@20", "1~8 2~9");
    check("1:m@10", "9:m@99", "1~9");
}

#[test]
fn what_is_left_of_a_group_is_told_apart_as_the_whole_group_was() {
    let check = |source, destination, options, expected| {
        check_with(source, destination, "1=8", options, expected)
    };
    check("1:a#x 2:a#y", "8:a#x 9:a#z", Options::default(), "1=8 2differs");
    check("1:a 2:a", "8:a 9:a", Options::default(), "1=8 2~9");
    check("1:a/5#x 2:a/5#y", "8:a/5#x 9:a/5#z", comparable(), "1=8 2differs");
    let run = check("1:a/5 2:a/7", "8:a/5 9:a/7", comparable(), "1=8 2~9");
    assert!(run.asked.is_empty(), "no other has its size");
    let run = check("1:a/5 2:b/5#x", "8:a/5 9:b/5#y", comparable(), "1=8 2~9");
    assert!(run.asked.is_empty(), "it is the only one");
}

#[test]
fn linked_pair_of_which_nothing_was_read_is_what_its_link_says() {
    for (basis, key) in [(Basis::Key, "a"), (Basis::Headers, "?a")] {
        let mails = [format!("1:! 2:{key}#y"), format!("8:! 9:{key}#z")];
        let seen = Fingerprint { digest: digest("a"), basis };
        let link = KnownLink { seen, ..known("1=8")[0] };
        let run = run(&mails[0], &mails[1], &[link], Options::default());
        assert_eq!(told(&run.matched), "1=8 2differs", "{:?}", run.asked);
    }
}

#[test]
fn message_that_a_rule_leaves_out_does_not_take_the_copy_of_its_twin() {
    check("1:m- 2:m", "9:m", "1new 2~9");
    check("1:m- 2:m", "8:m 9:m", "1~9 2~8");
}

#[test]
fn without_a_message_id_the_longer_headers_tell() {
    let run = check("1:?a 2:?b 3:k", "8:?b 9:k", "1new 2~8 3~9");
    assert_eq!(run.asked, ["source 1:2 Headers", "destination 8 Headers"]);
    check("1:?a", "9:k", "1new");
}

#[test]
fn without_usable_headers_the_content_tells() {
    let run = check("1:!#x 2:!#y 3:!#x", "9:!#x", "1~9 2new 3new");
    assert_eq!(run.asked.last().unwrap(), "destination 9 Content");
    check("1:!#!", "9:!#x", "1ambiguous");
    check("1:!#x 2:k", "9:!#!", "1ambiguous 2new");
}

#[test]
fn nothing_is_asked_where_one_side_has_nothing_left() {
    assert!(check("1:?a 2:!", "", "1new 2new").asked.is_empty());
    assert!(check("", "1:?a 2:!", "").asked.is_empty());
    assert!(check("1:?a", "9:k", "1new").asked.is_empty());
}

#[test]
fn what_cannot_be_read_is_copied_rather_than_lost() {
    check("1:m#! 2:m#x", "9:m#x", "1ambiguous 2~9");
    check("1:m#x 2:m#y", "9:m#!", "1ambiguous 2ambiguous");
}

#[test]
fn twins_count_once_if_asked_for() {
    check_with("1:k 2:k 3:l", "", "", first(), "1new 2twin 3new");
    check_with("1:k 2:k", "9:k", "", first(), "1~9 2twin");
    check_with("1:k#a 2:k#b", "", "", first(), "1new 2new");
    check_with("1:k%1 2:k%2 3:k%2", "", "", first(), "1new 2new 3twin");
    check_with("1:!#a 2:!#a", "", "", first(), "1new 2twin");
    check_with("1:k/5 2:k/6", "", "", first(), "1new 2new");
}

#[test]
fn twin_of_a_message_that_is_left_out_or_linked_is_no_loss() {
    check_with("1:k- 2:k", "", "", first(), "1new 2new");
    check_with("1:k 2:k", "9:k", "2=9", first(), "1twin 2=9");
    check_with("1:k~r#a 2:k~r#a", "9:k~r#altered", "", first(), "1~9 2twin");
}

#[test]
fn interrupted_appends_are_settled_by_size_or_content_and_identity() {
    let settle = Options { proof: Proof::KeyAndSize, ..Options::default() };
    check_with("1:m/100", "9:m/100", "", settle, "1~9");
    check_with("2:m/200", "9:m/100", "", settle, "2differs");
    check_with("2:m/200#c", "9:m/100#c", "", settle, "2~9");
    check_with("1:m 2:m 3:m", "8:m 9:m", "", settle, "1~8 2~9 3new");
    check_with("1:m/100 2:m/200", "8:m/200 9:m/200", "", settle, "1differs 2~8");
}

#[test]
fn rows_that_repeat_a_uid_count_once() {
    check("1:a 1:a", "9:a 9:a", "1~9");
}

#[test]
fn more_groups_than_one_batch_holds_are_all_settled() {
    let text = |first: u32| {
        let mails = (0..12_000).map(|at| format!("{}:k{}#{}", first + at, at / 2, at % 2));
        mails.collect::<Vec<_>>().join(" ")
    };
    let run = run(&text(1), &text(50_001), &[], Options::default());
    assert!(run.asked.len() > 4, "{:?}", run.asked.len());
    let found = run
        .matched
        .fates()
        .all(|(entry, fate)| fate == Fate::Found(uid(entry.uid().get() + 50_000)));
    assert!(found);
}

fn any_mailbox() -> impl Strategy<Value = String> {
    let mail = "[abc]|\\?[ab]|!";
    let rest = "(/[12])?(@[123])?(~[rs])?(#[cd!])?-?";
    proptest::collection::vec((mail, rest), 0..10).prop_map(|mails| {
        let mails = mails.into_iter().enumerate();
        let mails = mails.map(|(at, (key, rest))| format!("{}:{key}{rest}", at + 1));
        mails.collect::<Vec<_>>().join(" ")
    })
}

fn any_options() -> impl Strategy<Value = Options> {
    let proofs = [Proof::Key, Proof::KeyAndSize, Proof::Content];
    let proofs = proptest::sample::select(proofs.to_vec());
    (proofs, any::<bool>(), any::<bool>()).prop_map(|(proof, first_only, comparable)| Options {
        proof,
        twins: if first_only { Twins::FirstOnly } else { Twins::Keep },
        sizes: Sizes::Judged(SizeRecord { agree: u64::from(comparable), all: 1 }),
    })
}

proptest! {
    #[test]
    fn no_message_is_paired_twice_and_pairs_share_their_identity(
        source in any_mailbox(),
        destination in any_mailbox(),
        options in any_options(),
    ) {
        let run = run(&source, &destination, &[], options);
        let (source, destination) = (mailbox(&source), mailbox(&destination));
        let mut taken = std::collections::BTreeSet::new();
        for (entry, fate) in run.matched.fates() {
            if let Fate::Found(partner) | Fate::Linked(partner) = fate {
                prop_assert!(taken.insert(partner));
                let one = source.iter().find(|mail| mail.uid == entry.uid().get()).unwrap();
                let other = destination.iter().find(|mail| mail.uid == partner.get()).unwrap();
                prop_assert_eq!(&one.key, &other.key);
                if options.proof == Proof::Content {
                    prop_assert_eq!(&one.content, &other.content);
                }
            }
        }
        let extra = run.matched.extra().count();
        prop_assert_eq!(extra + taken.len(), destination.len());
        prop_assert_eq!(run.matched.fates().count(), source.len());
    }

    #[test]
    fn everything_finds_itself(mail in any_mailbox(), options in any_options()) {
        let mail = mail.replace('!', "k");
        let run = run(&mail, &mail, &[], options);
        for (entry, fate) in run.matched.fates() {
            prop_assert!(
                matches!(fate, Fate::Found(_) | Fate::Twin),
                "{} {:?} in {}", entry.uid(), fate, mail
            );
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(
        source in any_mailbox(),
        destination in any_mailbox(),
        options in any_options(),
    ) {
        let back = |text: &str| text.split_whitespace().rev().collect::<Vec<_>>().join(" ");
        let one = run(&source, &destination, &[], options);
        let other = run(&back(&source), &back(&destination), &[], options);
        prop_assert_eq!(told(&one.matched), told(&other.matched));
        prop_assert_eq!(one.asked, other.asked);
    }
}

//! Servers that lie, refuse, forget and change under a run.

use std::sync::Arc;
use std::sync::Mutex;

use mailferry::mail::PermanentFlags;
use mailferry::mail::Uid;
use mailferry::mail::UidValidity;
use mailferry::plan::Reason;
use mailferry::store::Abilities;
use mailferry::store::Refusal;
use mailferry::store::ResponseCode;
use mailferry::store::memory::AppendUidLie;
use mailferry::store::memory::Gives;
use mailferry::store::memory::Loss;
use mailferry::store::memory::Mail;
use mailferry::store::memory::Operation;
use mailferry::store::memory::Options;
use mailferry::store::memory::RefusedMessage;
use mailferry::store::memory::RowOrder;
use mailferry::store::memory::Then;
use mailferry::store::memory::UidNextLie;
use mailferry::store::memory::wire;

use crate::apply::world::World;
use crate::apply::world::assert_in_order;
use crate::apply::world::fill;
use crate::apply::world::flags;
use crate::apply::world::item_reasons;
use crate::apply::world::message;

const SOURCE: &str = "INBOX: a b c d*3 -e ~f g h i j k l m n o p | Work: q r s t*2";
const DESTINATION: &str = "INBOX: x d";
const RESULT: &str = "INBOX: x d a b c d d -e ~f g h i j k l m n o p | Work: q r s t t";

fn no(code: Option<ResponseCode>, text: &str) -> Refusal {
    Refusal { bad: false, code, text: text.to_owned(), known_words: false }
}

/// Refuses the message of this word, in these words, so many times.
fn refuse(world: &World, word: &str, refusal: Refusal, stored: bool, times: usize) {
    let (octets, mut left) = (message(word), times);
    world.destination.refuse_messages(move |incoming| {
        if incoming.octets != octets || left == 0 {
            return None;
        }
        left -= 1;
        Some(RefusedMessage { refusal: refusal.clone(), stored })
    });
}

const UID_NEXT_LIES: [UidNextLie; 5] = [
    UidNextLie::Absent,
    UidNextLie::Stale(1),
    UidNextLie::Stale(1_000),
    UidNextLie::High(1),
    UidNextLie::High(1_000),
];

#[test]
fn whatever_uidnext_tells_nothing_is_lost_or_doubled() {
    for lie in UID_NEXT_LIES {
        for honest_plan in [true, false] {
            let mut world = World::new(SOURCE, DESTINATION);
            if !honest_plan {
                world.destination.lie_about_uid_next(lie);
            }
            let plan = world.plan();
            world.destination.lie_about_uid_next(lie);
            assert_in_order(&world.apply(&plan));
            world.holds(RESULT);
            world.destination.forget_log();
            assert_in_order(&world.elsewhere().apply(&plan));
            assert_in_order(&world.apply(&plan));
            assert_eq!(world.destination.effect_log(), [], "{lie:?}");
            world.nothing_is_left();
        }
    }
}

#[test]
fn whatever_uidnext_tells_a_lost_reply_is_found() {
    for lie in UID_NEXT_LIES {
        for nth in 0..24 {
            for loss in [Loss::Reply, Loss::HandedOver] {
                let mut world = World::new(SOURCE, DESTINATION);
                world.destination.lie_about_uid_next(lie);
                let plan = world.plan();
                world.destination.stop_at(nth, loss);
                assert_in_order(&world.apply(&plan));
                world.holds_in_any_order(RESULT);
                world.journal_is_clean();
                world.nothing_is_left();
            }
        }
    }
}

#[test]
fn whatever_appenduid_tells_links_lead_to_the_right_message() {
    for lie in [
        AppendUidLie::Missing,
        AppendUidLie::Short,
        AppendUidLie::Foreign(UidValidity::new(77).unwrap()),
        AppendUidLie::Swapped,
        AppendUidLie::Old,
        AppendUidLie::Above,
    ] {
        let mut world = World::new(SOURCE, DESTINATION);
        world.destination.lie_in_append_uid(lie);
        let plan = world.plan();
        let applied = world.apply(&plan);
        assert_in_order(&applied);
        assert_eq!(applied.copied, plan.totals().copies, "{lie:?}");
        world.holds_in_any_order(RESULT);
        world.journal_is_clean();
        world.nothing_is_left();
        // A flag set at the source lands on the copy of that message, and on no other.
        world.source.with(|account| {
            for uid in [1, 7, 12, 18] {
                account.mark("INBOX", uid, mailferry::mail::Flag::Flagged);
            }
        });
        world.migrate();
        let flagged = RESULT.replace(" a ", " a/F ").replace("-e ", "-e/F ").replace("j ", "j/F ");
        world.holds_in_any_order(&flagged.replace("p |", "p/F |"));
    }
}

#[test]
fn uids_that_were_swapped_before_the_connection_was_lost_are_found_out() {
    let lies = [AppendUidLie::Swapped, AppendUidLie::Above];
    // Some have no Message-ID, some no header at all.
    let mails = ["a b c d e f g h i j k l m n o p", "a -b -c d ~e -f g ~h ~i j k -l m -n ~o p"];
    let all = lies.into_iter().flat_map(|lie| mails.map(|mails| (lie, mails)));
    for (lie, mails, there) in
        all.flat_map(|(lie, mails)| ["x d", ""].map(|there| (lie, mails, there)))
    {
        for (nth, read) in (0..20).flat_map(|nth| (1..8).map(move |read| (nth, read))) {
            let mut world = World::new(&format!("INBOX: {mails}"), &format!("INBOX: {there}"));
            world.destination.lie_in_append_uid(lie);
            world.destination.read_before_loss(read);
            let plan = world.plan();
            world.destination.stop_at(nth, Loss::Reply);
            let applied = world.apply(&plan);
            assert_eq!(item_reasons(&applied), [], "{lie:?} {there} {nth} {read}");
            let rest = if there.is_empty() { mails.to_owned() } else { format!("x {mails}") };
            world.holds_in_any_order(&format!("INBOX: {rest}"));
            world.journal_is_clean();
            world.nothing_is_left();
        }
    }
}

#[test]
fn a_uid_that_was_told_above_all_that_are_there_is_forgotten_when_it_is_found_out() {
    for mails in ["a", "a b c", "a b c d e f g h i j", "a b c d e f g h i j k l"] {
        let mut world = World::new(&format!("INBOX: {mails}"), "INBOX: x");
        world.destination.lie_in_append_uid(AppendUidLie::Above);
        let plan = world.plan();
        assert_in_order(&world.apply(&plan));
        // What looks like a folder that was put back would be closed for ever.
        assert_in_order(&world.apply(&plan));
        world.holds_in_any_order(&format!("INBOX: x {mails}"));
    }
}

#[test]
fn a_server_without_uidplus_ends_the_same() {
    for order in [RowOrder::Ascending, RowOrder::Descending] {
        let options = Options {
            abilities: Abilities { uid_plus: false, ..Options::default().abilities },
            row_order: order,
            ..Options::numbered(2)
        };
        let mut world = World::of(Options::numbered(1), SOURCE, options, DESTINATION);
        let plan = world.plan();
        assert_in_order(&world.apply(&plan));
        world.holds(RESULT);
        world.destination.forget_log();
        assert_in_order(&world.apply(&plan));
        assert_in_order(&world.elsewhere().apply(&plan));
        assert_eq!(world.destination.effect_log(), []);
        world.nothing_is_left();
    }
}

#[test]
fn a_source_that_gives_rows_backwards_breaks_nothing() {
    let here = Options { row_order: RowOrder::Descending, ..Options::numbered(1) };
    let mut world = World::of(here, SOURCE, Options::numbered(2), DESTINATION);
    let plan = world.plan();
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert!(applied.out_of_order > 0, "it is counted");
    world.holds_in_any_order(RESULT);
    world.nothing_is_left();
}

#[test]
fn a_message_stored_and_refused_in_one_breath_is_found() {
    for word in ["a", "d", "-e", "~f", "p"] {
        let mut world = World::new(SOURCE, DESTINATION);
        let plan = world.plan();
        refuse(&world, word, no(None, "Server Unavailable. 15"), true, 1);
        assert_in_order(&world.apply(&plan));
        world.holds_in_any_order(RESULT);
        world.journal_is_clean();
        world.nothing_is_left();
    }
}

#[test]
fn a_refusal_that_proves_nothing_is_tried_again_and_then_an_item_with_what_was_said() {
    let mut world = World::new(SOURCE, DESTINATION);
    let plan = world.plan();
    refuse(&world, "h", no(None, "try\u{1b}[31m later"), false, 2);
    assert_in_order(&world.apply(&plan));
    let mut world = World::new(SOURCE, DESTINATION);
    let plan = world.plan();
    refuse(&world, "h", no(None, "no\u{1b}way"), false, usize::MAX);
    for _ in 0..2 {
        world.destination.forget_log();
        let applied = world.apply(&plan);
        assert_eq!(item_reasons(&applied), [Reason::RefusedByDestination]);
        assert_eq!(applied.items[0].said.as_deref(), Some("NO no\\u{1b}way"));
        assert_eq!(applied.items[0].uid, Uid::new(10));
        world.holds_in_any_order(&RESULT.replace("h ", ""));
    }
    world.destination.refuse_messages(|_| None);
    assert_in_order(&world.apply(&plan));
    world.holds_in_any_order(RESULT);
    world.journal_is_clean();
}

#[test]
fn a_refusal_that_proves_it_is_an_item_at_once() {
    for (code, reason) in [
        (ResponseCode::TooBig, Reason::TooLarge),
        (ResponseCode::Cannot, Reason::RefusedByDestination),
        (ResponseCode::OverQuota, Reason::Quota),
    ] {
        let mut world = World::new(SOURCE, DESTINATION);
        let plan = world.plan();
        refuse(&world, "h", no(Some(code), "no"), false, usize::MAX);
        let applied = world.apply(&plan);
        assert_eq!(item_reasons(&applied), [reason]);
        assert_eq!(world.appends(), 22, "each was sent once");
        world.holds(&RESULT.replace("h ", ""));
        world.journal_is_clean();
    }
}

#[test]
fn a_message_that_ends_every_connection_is_one_item() {
    for word in ["a", "h", "p"] {
        let mut world = World::new(SOURCE, DESTINATION);
        let plan = world.plan();
        let octets = u64::try_from(message(word).len()).unwrap();
        let place = flags("F");
        world.source.with(|account| {
            let uid = account.find(&wire("INBOX")).unwrap().mails.iter();
            let mut uid = uid.filter(|mail| *mail.octets == *message(word)).map(|mail| mail.uid);
            let uid = uid.next_back().unwrap();
            account.change(&wire("INBOX"), uid, &place, &flags(""));
        });
        for _ in 0..12 {
            world.destination.when(
                move |operation| {
                    matches!(operation, Operation::Append { octets: all, flags, .. }
                        if *all == octets && !flags.is_empty())
                },
                |_| Then::Lose(Loss::BeforeSending),
            );
        }
        let applied = world.apply(&plan);
        assert_eq!(item_reasons(&applied), [Reason::UnknownOutcome], "{word}");
        world.holds_in_any_order(&RESULT.replace(&format!(" {word}"), ""));
    }
}

#[test]
fn a_server_that_takes_mail_and_does_not_show_it_is_not_sent_it_again() {
    let abilities = Abilities { uid_plus: false, ..Options::default().abilities };
    let there = Options { abilities, ..Options::numbered(2) };
    let mut world = World::of(Options::numbered(1), "INBOX: a b c", there, "");
    let plan = world.plan();
    let hidden: Arc<Mutex<Option<Vec<Mail>>>> = Arc::new(Mutex::new(Some(Vec::new())));
    for _ in 0..100 {
        let hidden = Arc::clone(&hidden);
        world.destination.when(
            |operation| matches!(operation, Operation::Open(_)),
            move |account| {
                if let Some(hidden) = &mut *hidden.lock().unwrap() {
                    hidden.append(&mut account.folder("INBOX").mails);
                }
                Then::Go
            },
        );
    }
    let applied = world.apply(&plan);
    assert_eq!(applied.copied, 3);
    assert_eq!(item_reasons(&applied), [Reason::AcceptedNotVisible; 3]);
    assert_eq!(item_reasons(&world.apply(&plan)), [Reason::AcceptedNotVisible; 3]);
    assert_eq!(world.plan().reasons(), [Reason::AcceptedNotVisible; 3]);
    assert_eq!(world.appends(), 3);
    let shown = hidden.lock().unwrap().take().unwrap();
    world.destination.with(|account| account.folder("INBOX").mails = shown);
    assert_in_order(&world.apply(&plan));
    world.nothing_is_left();
    world.holds("INBOX: a b c");
}

#[test]
fn a_uid_validity_that_is_made_up_for_an_empty_folder_stops_nothing() {
    let abilities = Abilities { object_id: false, ..Options::default().abilities };
    let there = Options { abilities, ..Options::numbered(2) };
    let source = "INBOX: a b c | Work: q r";
    let mut world = World::of(Options::numbered(1), source, there, "INBOX:");
    let fixed = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    // Courier's way: another one each time an empty folder is read, until it is opened to be written.
    for _ in 0..100 {
        let (asked, told) = (Arc::clone(&fixed), Arc::clone(&fixed));
        world.destination.when(
            move |operation| match operation {
                Operation::Prepare(folder) => {
                    asked.lock().unwrap().insert(folder.escaped());
                    false
                }
                Operation::Open(folder) => !asked.lock().unwrap().contains(&folder.escaped()),
                _ => false,
            },
            move |account| {
                for folder in &mut account.folders {
                    let is_fixed = told.lock().unwrap().contains(&folder.wire.escaped());
                    if folder.mails.is_empty() && !is_fixed {
                        let next = folder.uid_validity.get() + 1;
                        folder.uid_validity = UidValidity::new(next).unwrap();
                    }
                }
                Then::Go
            },
        );
    }
    let plan = world.plan();
    assert_in_order(&world.apply(&plan));
    assert_in_order(&world.apply(&plan));
    world.nothing_is_left();
    world.holds("INBOX: a b c | Work: q r");
}

#[test]
fn a_destination_folder_that_goes_or_is_replaced_is_stale_and_never_made_again() {
    type Deed = fn(&mut mailferry::store::memory::Account);
    let deeds: [Deed; 4] = [
        |account| account.delete("Work"),
        |account| account.replace("Work"),
        |account| account.rename("Work", "Gone"),
        |account| {
            fill(account, "Other:");
            account.swap("Work", "Other");
        },
    ];
    for deed in deeds {
        for nth in [None, Some(0), Some(1), Some(4)] {
            let mut world = World::new("INBOX: a b | Work: q r s t*2 u", "Work: q");
            let plan = world.plan();
            match nth {
                None => world.destination.with(deed),
                Some(nth) => {
                    let mut seen = 0;
                    let awaited = move |operation: &Operation| {
                        let here = matches!(operation, Operation::Append { folder, .. }
                            if *folder == wire("Work"));
                        seen += usize::from(here);
                        here && seen == nth + 1
                    };
                    world.destination.when(awaited, move |account| {
                        deed(account);
                        Then::Go
                    });
                }
            }
            let applied = world.apply(&plan);
            assert!(applied.stale, "{nth:?}");
            assert!(applied.fatal.is_none());
            let created = |operation: &Operation| matches!(operation, Operation::Create { .. });
            assert!(!world.destination.effect_log().iter().any(created));
            assert!(world.apply(&plan).stale);
            // The next plan is of what is there now.
            let plan = world.plan();
            let applied = world.apply(&plan);
            assert!(!applied.stale && applied.fatal.is_none());
            world.nothing_is_left();
        }
    }
}

#[test]
fn a_source_folder_that_is_replaced_is_stale_and_nothing_of_it_is_copied_as_something_else() {
    for lose in [false, true] {
        let mut world = World::new("INBOX: a b c d e f g h i j k l m n | Work: q | Old: r", "");
        // Not much is read ahead of what is written.
        world.settings.memory = 2_000;
        let plan = world.plan();
        let source = world.source.clone();
        world.destination.when(
            |operation| matches!(operation, Operation::Append { .. }),
            move |_| {
                source.with(|account| {
                    account.replace("INBOX");
                    fill(account, "INBOX: A B C D E F G H I J K L M N");
                });
                if lose { Then::Lose(Loss::BeforeSending) } else { Then::Go }
            },
        );
        let applied = world.apply(&plan);
        assert!(applied.stale, "{applied:?}");
        assert!(world.apply(&plan).stale);
        let held = world.destination.with(|account| account.bodies("INBOX"));
        assert!(held.len() <= 10, "only what was read before is there");
        world.migrate();
        world.nothing_is_left();
    }
}

#[test]
fn what_the_source_withholds_is_an_item_and_what_is_gone_is_counted() {
    for (gives, reason) in [
        (Gives::Facts, Reason::WithheldBySource),
        (Gives::NoRow, Reason::WithheldBySource),
        (Gives::Nil, Reason::NoContent),
    ] {
        let mut world = World::new("INBOX: a b c d", "");
        let plan = world.plan();
        world.source.with(|account| {
            account.folder("INBOX").mails[1].gives = gives;
            account.expunge("INBOX", [3]);
        });
        let applied = world.apply(&plan);
        assert_eq!(item_reasons(&applied), [reason], "{gives:?}");
        assert_eq!(applied.items[0].uid, Uid::new(2));
        assert_eq!(applied.left_out.get(&Reason::GoneAtSource), Some(&1));
        world.holds("INBOX: a d");
        world.source.with(|account| account.folder("INBOX").mails[1].gives = Gives::All);
        assert_in_order(&world.apply(&plan));
        world.holds("INBOX: a d b");
    }
}

#[test]
fn a_message_marked_deleted_since_the_plan_is_left() {
    let mut world = World::new("INBOX: a b c", "");
    let plan = world.plan();
    world.source.with(|account| account.mark("INBOX", 2, mailferry::mail::Flag::Deleted));
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert_eq!(applied.left_out.get(&Reason::MarkedDeleted), Some(&1));
    world.holds("INBOX: a c");
}

#[test]
fn a_server_that_changes_what_tells_messages_apart_is_noticed_after_ten() {
    for uid_plus in [true, false] {
        for source in ["INBOX: a b c d e f g h i j k l m n o p q r s t", "INBOX: a b"] {
            let abilities = Abilities { uid_plus, ..Options::default().abilities };
            let there = Options { abilities, ..Options::numbered(2) };
            let mut world = World::of(Options::numbered(1), source, there, "");
            world.destination.rewrite_messages(|octets| {
                String::from_utf8(octets.to_vec())
                    .unwrap()
                    .replace("@example.org>", "@domino>")
                    .into_bytes()
            });
            let plan = world.plan();
            let applied = world.apply(&plan);
            assert!(item_reasons(&applied).contains(&Reason::IdentityNotKept), "{applied:?}");
            assert!(world.appends() <= 10);
        }
    }
}

#[test]
fn flags_that_the_folder_does_not_keep_are_counted_and_not_planned_again() {
    let there = Options {
        permanent_flags: PermanentFlags { listed: flags("SAFTD"), any_keyword: false },
        ..Options::numbered(2)
    };
    let mut world = World::of(Options::numbered(1), "INBOX: a/Sk b/k", there, "INBOX: b");
    let plan = world.plan();
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert!(applied.notes.iter().any(|note| note.reason == Reason::FlagsNotKept));
    world.holds("INBOX: b a/S");
    world.nothing_is_left();
}

#[test]
fn flags_that_are_dropped_without_a_word_are_told_and_not_planned_again() {
    let there = Options { drops: flags("Fk"), ..Options::numbered(2) };
    let mut world = World::of(Options::numbered(1), "INBOX: a/SFk b/FS", there, "INBOX: b");
    let plan = world.plan();
    let applied = world.apply(&plan);
    assert_in_order(&applied);
    assert!(applied.notes.iter().any(|note| note.reason == Reason::FlagsNotKept));
    world.holds("INBOX: b/S a/S");
    world.nothing_is_left();
}

#[test]
fn an_empty_message_that_the_server_kept_when_it_was_asked_what_it_understands_is_an_item() {
    for source in ["INBOX: a b | Work: c d e", "INBOX: a b c d e f g h i j k l m n"] {
        let mut world = World::new(source, "");
        let plan = world.plan();
        world.destination.keep_an_append_of_nothing();
        let applied = world.apply(&plan);
        assert_eq!(
            (applied.copied, item_reasons(&applied)),
            (plan.totals().copies, vec![Reason::StoredNothing])
        );
        assert_eq!(applied.items[0].side, mailferry::mail::Side::Destination);
        let again = world.apply(&plan);
        assert_eq!((again.copied, item_reasons(&again)), (0, vec![]));
    }
}

//! What the commands print, as a whole: the running example of the documentation, and hostile names.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::Cursor;

use jiff::tz::TimeZone;
use mailferry::mail::{FolderName, Side, Timestamp, Uid, UidOrder};
use mailferry::plan::{PlanId, PlanLines, Reason};
use mailferry::report::model::{
    ApplyEvent, ApplyReport, CompressionDone, Copied, Deleted, Difference, FlagsDone, FoldersDone,
    PlanReport, VerifiedFolder, VerifyLevel, VerifyReport, WaitedFor,
};
use mailferry::report::{
    Body, Colour, Document, Next, Overview, PlanView, ProgressLines, Saved, Screen, ShowDetail,
    apply_summary, document_schema, items, plan_screen, show, verify_screen, write_json,
};
use mailferry::state::Item;
use mailferry::store::Compression;

fn screen() -> Screen {
    let zone = Some(TimeZone::fixed(jiff::tz::offset(1)));
    Screen { width: 80, colour: Colour::Never, zone }
}

fn next(plan: Option<&str>) -> Next<'_> {
    Next { manifest: "mailferry.toml", plan }
}

fn evening() -> Vec<u8> {
    fs::read(crate::support::project().join("tests/plans/evening.plan")).unwrap()
}

fn overview() -> Overview {
    Overview::read(PlanLines::new(evening().as_slice()).unwrap()).unwrap()
}

/// The same without anything that is left out or blocked.
fn quiet() -> Overview {
    let mut overview = overview();
    overview.skipped.clear();
    overview.left_out.clear();
    overview.blocked.clear();
    overview
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text).unwrap()
}

/// Compares, and holds every screen to its width and to harmless characters.
#[track_caller]
fn shows(expected: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let mut out = Vec::new();
    write(&mut out);
    let found = String::from_utf8(out).unwrap();
    harmless(&found);
    assert_eq!(found, expected, "\n{found}");
}

#[track_caller]
fn harmless(found: &str) {
    for line in found.lines() {
        assert!(mailferry::report::columns(line) <= 80, "too wide: {line}");
        assert!(!line.chars().any(char::is_control), "control: {line:?}");
        assert!(!line.contains('\u{202e}'), "bidi mark: {line:?}");
    }
}

#[test]
fn a_plan_is_shown_with_its_table_notes_and_totals() {
    let overview = overview();
    let expected = "\
Source       anna at imap.old.example, opened read-only
Destination  anna@new.example at imap.new.example
Manifest     mailferry.toml, digest 8f31c2a0; nothing from environment or --set

  Folder                          Copy      Size  Flags  Delete  Skip  Blocked
+ INBOX                         48,101  5.70 GiB      -       -     2        1
= Drafts                             -         -      -       -     -        -
~ Newsletters                        -         -     12       -     -        -
+ Projects/2024 (new)               98  41.0 MiB      -       -     -        -
+ Sent -> Sent Items               310  90.1 MiB      -       -     -        -
. Spam                               -         -      -       -     -        -

! 1 message cannot be copied
    INBOX 40212   49.0 MiB   too-large   destination takes 35.0 MiB
. 2 messages are marked deleted at the source and stay there
. 1 folder is excluded: Spam, 1,411 messages (exclude, line 14)
i 54 messages in Archive are not ours and are left alone

Plan: create 2 folders, copy 48,509 messages (5.83 GiB), change 12 flags,
subscribe to 1 folder, delete nothing.
Saved tonight.plan (01JD8QZ6). Nothing was changed.
Next: mailferry apply tonight.plan
";
    shows(&expected.replace("01JD8QZ6", &overview.header.plan.0), |out| {
        let view = PlanView { overview: &overview, saved: Saved::In("tonight.plan"), notes: &[] };
        plan_screen(out, &screen(), &view).unwrap();
    });
}

#[test]
fn a_plan_that_changes_nothing_is_one_sentence() {
    let mut overview = quiet();
    overview.totals = mailferry::plan::Totals { pairs: 5, equal: 48_727, ..Default::default() };
    shows(
        "Nothing to do: 5 folders, 48,727 messages are equal.\n\
         Nothing was changed. Next: mailferry verify\n",
        |out| {
            let view = PlanView { overview: &overview, saved: Saved::Nowhere, notes: &[] };
            plan_screen(out, &screen(), &view).unwrap();
        },
    );
}

#[test]
fn a_plan_says_that_the_newest_messages_go_first() {
    let mut overview = quiet();
    for pair in &mut overview.pairs {
        pair.order = UidOrder::NewestFirst;
        pair.counts.extra = 0;
    }
    let mut out = Vec::new();
    let view = PlanView { overview: &overview, saved: Saved::Nowhere, notes: &[] };
    plan_screen(&mut out, &screen(), &view).unwrap();
    let found = String::from_utf8(out).unwrap();
    harmless(&found);
    let note = "\
i the newest messages of 3 folders go first: the order of UIDs is turned round
  at the destination
";
    assert!(found.contains(note), "{found}");
}

fn shown(detail: ShowDetail) -> impl FnOnce(&mut Vec<u8>) {
    move |out| {
        let plan = evening();
        let mut open =
            || -> io::Result<Box<dyn BufRead>> { Ok(Box::new(Cursor::new(plan.clone()))) };
        show(out, &screen(), "tonight.plan", detail, &mut open).unwrap();
    }
}

#[test]
fn every_action_of_a_plan_is_shown_below_its_folder() {
    let expected = "\
Plan 01JD8QZ6 of 2026-11-20 21:04, digest verified, by mailferry 0.1.0

INBOX -> INBOX   UIDVALIDITY 1711 -> 9
  + 1:31199,31202:40211,40213:48104
                 48,101 messages   5.70 GiB   new-at-source
  . 31200       2023-02-11 08:40    4.1 KiB   marked-deleted
  . 31201       2023-02-11 08:52   11.7 KiB   marked-deleted
  ! 40212       2024-03-02 09:15   49.0 MiB   too-large, limit 35.0 MiB

Drafts -> Drafts   UIDVALIDITY 1703 -> 12
  = 12 messages

Newsletters -> Newsletters   UIDVALIDITY 1702 -> 11
  ~ 7,9,11:20        12 messages   add \\Seen   flags-changed-at-source
  = 206 messages

Projects   create-folder   parent-folder
Projects/2024   create-folder   missing-at-destination, subscribe
  + 1:98             98 messages   41.0 MiB   new-at-source

Sent -> Sent Items   UIDVALIDITY 1705 -> 14
  + 1:310           310 messages   90.1 MiB   new-at-source

. Spam   source   1,411 messages   excluded-folder, exclude, line 14
i Archive   destination   54 messages   only-at-destination

Plan: create 2 folders, copy 48,509 messages (5.83 GiB), change 12 flags,
subscribe to 1 folder, delete nothing.
Nothing was changed. Next: mailferry apply tonight.plan
";
    let plan = overview().header.plan.0;
    shows(&expected.replace("01JD8QZ6", &plan), shown(ShowDetail::Messages));
}

#[test]
fn summary_and_folders_of_a_plan_stay_inside_the_screen() {
    for (detail, part) in [
        (ShowDetail::Summary, "+ INBOX                         48,101  5.70 GiB"),
        (ShowDetail::Folders, "  + 48,101 messages   5.70 GiB\n  . 2 messages\n  ! 1 blocked\n"),
    ] {
        let mut out = Vec::new();
        shown(detail)(&mut out);
        let found = String::from_utf8(out).unwrap();
        harmless(&found);
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn a_cut_plan_is_not_shown() {
    let plan = evening();
    let cut = plan[..plan.len() / 2].to_vec();
    let mut open = || -> io::Result<Box<dyn BufRead>> { Ok(Box::new(Cursor::new(cut.clone()))) };
    let mut out = Vec::new();
    let shown = show(&mut out, &screen(), "x", ShowDetail::Summary, &mut open);
    assert!(shown.is_err() && out.is_empty());
}

#[test]
fn hostile_and_wide_names_are_harmless_and_keep_numbers_whole() {
    let mut overview = overview();
    let hostile = FolderName::from_levels([
        "\u{1b}]0;owned\u{7}\u{202e}evil",
        "日本語のとても長いフォルダの名前です日本語のとても長いフォルダの名前です",
    ]);
    overview.pairs[0].source.name = hostile.clone();
    overview.blocked[0].folder = FolderName::from_levels(["\u{9b}31m\r\nPlan: delete everything"]);
    overview.left_out[0].name = hostile;
    overview.left_out[0].rule = Some("exclude \u{202e}x".to_owned());
    overview.header.manifest = "a\u{1b}[2J.toml".to_owned();
    let mut out = Vec::new();
    let notes = ["\u{1b}[31mnote".to_owned()];
    let view = PlanView { overview: &overview, saved: Saved::In("it's.plan"), notes: &notes };
    plan_screen(&mut out, &screen(), &view).unwrap();
    let found = String::from_utf8(out).unwrap();
    assert!(!found.chars().any(|c| c.is_control() && c != '\n'), "{found:?}");
    assert!(!found.contains('\u{202e}'));
    let row = found.lines().find(|line| line.contains("48,101")).unwrap();
    assert!(row.contains("\\x1b]0;") && row.contains("..."), "{row}");
    assert!(mailferry::report::columns(row) <= 80, "{row}");
    assert!(found.contains("Next: mailferry apply 'it'\\''s.plan'"), "{found}");
    assert!(!found.contains("\nPlan: delete everything"), "{found}");
}

fn item(folder: &str, uid: u32, seconds: i64, octets: u64, reason: Reason) -> Item {
    Item {
        folder: name(folder),
        side: Side::Source,
        uid: Uid::new(uid),
        date: Some(Timestamp::from_seconds(seconds)),
        octets: Some(octets),
        reason,
        said: None,
    }
}

fn evening_items() -> Vec<Item> {
    let refused = Reason::RefusedByDestination;
    vec![
        item("INBOX", 31_200, 1_676_101_200, 4_198, Reason::MarkedDeleted),
        item("INBOX", 40_212, 1_709_367_300, 51_380_224, Reason::TooLarge),
        item("INBOX", 31_201, 1_676_101_920, 11_980, Reason::MarkedDeleted),
        Item {
            said: Some("NO Message contains \u{1b}[31minvalid header".to_owned()),
            ..item("INBOX", 31_877, 1_306_740_000, 18_842, refused)
        },
    ]
}

fn applied() -> ApplyReport {
    let left_out =
        [(Reason::MarkedDeleted, 2), (Reason::TooLarge, 1), (Reason::RefusedByDestination, 1)];
    ApplyReport {
        plan: PlanId("01JD8QZ6".to_owned()),
        account: "anna".to_owned(),
        only: None,
        started: Timestamp::from_seconds(1_795_205_162),
        seconds: 2_714,
        exit: 3,
        copied: Copied { messages: 48_508, octets: 6_257_777_970, out_of_order: 0, of: 48_509 },
        folders: FoldersDone { created: 2, subscribed: 1 },
        flags: FlagsDone { changed: 12 },
        deleted: Deleted::default(),
        compression: CompressionDone {
            source: Some(Compression::Worth(11_700_000).into()),
            destination: Some(Compression::NotOffered.into()),
        },
        left_out: left_out.into_iter().collect(),
        retried: 0,
        waited_seconds: 38,
        waited_for: WaitedFor { destination_seconds: 38, ..WaitedFor::default() },
        notes: Vec::new(),
        items: evening_items(),
    }
}

#[test]
fn the_summary_of_an_apply_says_what_was_done_and_what_is_next() {
    let expected = "\
Applied 01JD8QZ6 in 45 min 14 s.
  Copied       48,508 of 48,509 messages, 5.83 GiB, 2.2 MiB/s
  Folders      2 created, 1 subscribed
  Flags        12 changed
  Deleted      nothing at the destination, nothing at the source
  Compression  source on (the line gives 11.2 MiB/s), destination not offered
  Left out     4 messages: marked-deleted 2, too-large 1,
               refused-by-destination 1
  Waited       38 s at the destination's request

Partial: 2 messages need a decision (exit 3).
Next: mailferry verify
";
    shows(expected, |out| {
        apply_summary(out, &screen(), &applied(), &next(Some("tonight.plan"))).unwrap();
    });
    let done = ApplyReport {
        exit: 0,
        left_out: BTreeMap::new(),
        items: Vec::new(),
        waited_seconds: 0,
        waited_for: WaitedFor::default(),
        ..applied()
    };
    let mut out = Vec::new();
    apply_summary(&mut out, &screen(), &done, &next(None)).unwrap();
    assert!(String::from_utf8(out).unwrap().ends_with(
        "\nDone: source and destination are equal under the manifest (exit 0).\nNext: mailferry verify\n"
    ));
}

#[test]
fn run_that_stopped_at_a_limit_tells_what_is_left_and_whom_it_waited_for() {
    let stopped = ApplyReport {
        exit: 11,
        copied: Copied { messages: 12, octets: 9_961_472, out_of_order: 0, of: 48_509 },
        left_out: BTreeMap::new(),
        items: Vec::new(),
        waited_seconds: 42,
        waited_for: WaitedFor { destination_seconds: 38, limits_seconds: 7_200, source_seconds: 0 },
        notes: vec!["stop-after-bytes of the manifest is reached".to_owned()],
        ..applied()
    };
    let mut out = Vec::new();
    apply_summary(&mut out, &screen(), &stopped, &next(Some("tonight.plan"))).unwrap();
    let text = String::from_utf8(out).unwrap();
    let expected = "\
\x20 Waited       4 s, 38 s at the destination's request, 2 h 0 min at limits of
               the manifest
  Note         stop-after-bytes of the manifest is reached

Stopped at a limit, 48,497 messages are left; the same plan goes on later (exit
11).
Next: mailferry apply tonight.plan
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn items_are_listed_with_what_was_said_and_what_helps() {
    let expected = "\
\x20 Folder  UID      Date             Size  Reason
! INBOX   40212    2024-03-02   49.0 MiB  too-large
    remedy   have the destination's limit raised, or leave such mail out by
             rule: smaller-than in [messages]
! INBOX   31877    2011-05-30   18.4 KiB  refused-by-destination
    said     NO Message contains \\x1b[31minvalid header
    remedy   read what the server said; leave the message out by rule if it
             stays so
. INBOX   31200    2023-02-11    4.1 KiB  marked-deleted
. INBOX   31201    2023-02-11   11.7 KiB  marked-deleted
    remedy   copy such mail with deleted = \"keep\" in [messages]

2 need a decision, 2 do not.
";
    shows(expected, |out| items(out, &screen(), &evening_items()).unwrap());
    shows("", |out| items(out, &screen(), &[]).unwrap());
}

#[test]
fn progress_without_a_terminal_is_a_line_a_folder_a_fault_and_a_minute() {
    let (plan, inbox) = (PlanId("01JD8QZ6".to_owned()), name("INBOX"));
    let fault = &evening_items()[3];
    let advanced =
        |messages, octets| ApplyEvent::Advanced { messages, octets, sent_octets: octets };
    let events = [
        (0, ApplyEvent::Started { plan: &plan, messages: 48_509, octets: 6_257_796_812 }),
        (0, ApplyEvent::Folder { name: &inbox, messages: 48_101, octets: 6_120_328_499 }),
        (1, advanced(0, 0)),
        (30, advanced(500, 50_000_000)),
        (1_069, ApplyEvent::Item(fault)),
        (1_650, advanced(29_604, 3_811_784_294)),
        (1_655, advanced(29_650, 3_812_000_000)),
        (1_658, ApplyEvent::Waiting { seconds: 23, why: "the destination asks for patience" }),
        (2_650, ApplyEvent::FolderDone { name: &inbox, copied: 48_100, items: 1 }),
        (2_714, ApplyEvent::Finished { exit: 3 }),
    ];
    let expected = "\
21:06:02 plan 01JD8QZ6: 48,509 messages, 5.83 GiB, 0 deletions
21:06:02 INBOX: copying 48,101 messages, 5.70 GiB
21:23:51 ! INBOX 31877 refused-by-destination: NO Message contains \\x1b[31minvalid header
21:33:32 29,604 of 48,509 messages, 3.55 GiB of 5.83 GiB, 2.2 MiB/s, 18 min left
21:33:40 waiting 23 s: the destination asks for patience
21:50:12 INBOX: done, 48,100 copied, 1 item
21:51:16 finished, exit 3
";
    let mut out = Vec::new();
    let mut lines = ProgressLines::new(&mut out, screen());
    for (seconds, event) in events {
        let now = Timestamp::from_seconds(1_795_205_162).plus(i64::try_from(seconds).unwrap());
        lines.tell(now, seconds, &event).unwrap();
    }
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn time_left_is_not_told_before_anything_is_measured() {
    let plan = PlanId("X".to_owned());
    let mut out = Vec::new();
    let mut lines = ProgressLines::new(&mut out, screen());
    let started = ApplyEvent::Started { plan: &plan, messages: 10, octets: 1_000_000 };
    let found = ApplyEvent::Advanced { messages: 5, octets: 500_000, sent_octets: 0 };
    for (seconds, event) in [(0, started), (0, found), (90, found)] {
        lines.tell(Timestamp::from_seconds(0), seconds, &event).unwrap();
    }
    let out = String::from_utf8(out).unwrap();
    assert!(out.ends_with("5 of 10 messages, 488 KiB of 977 KiB\n"), "{out}");
}

fn verified() -> VerifyReport {
    let folder = |names: &str, selected, found, read, missing, differ| {
        let (source, destination) = names.split_once(" -> ").unwrap_or((names, names));
        VerifiedFolder {
            source: name(source),
            destination: name(destination),
            selected,
            found,
            read,
            missing,
            differ,
        }
    };
    let missing = |uid| Difference {
        folder: name("INBOX"),
        uid: Uid::new(uid),
        destination_folder: None,
        destination_uid: None,
        reason: Reason::Missing,
        octets: None,
        first_octet: None,
        known_item: true,
    };
    let differs = Difference {
        folder: name("Sent"),
        uid: Uid::new(204),
        destination_folder: Some(name("Sent Items")),
        destination_uid: Uid::new(198),
        reason: Reason::Differs,
        octets: Some(4_611),
        first_octet: Some(1_204),
        known_item: false,
    };
    VerifyReport {
        account: "anna".to_owned(),
        level: VerifyLevel::Content,
        started: Timestamp::from_seconds(1_795_208_000),
        seconds: 61,
        exit: 4,
        folders: vec![
            folder("INBOX", 48_102, 48_100, 2_405, 2, 0),
            folder("Drafts", 12, 12, 1, 0, 0),
            folder("Sent -> Sent Items", 310, 310, 16, 0, 1),
        ],
        differences: vec![missing(31_877), missing(40_212), differs],
        notes: Vec::new(),
    }
}

#[test]
fn a_verification_lists_every_difference_and_says_which_are_known() {
    let expected = "\
\x20 Folder                  Selected    Found     Read  Missing  Differ
! INBOX                     48,102   48,100    2,405        2       -
= Drafts                        12       12        1        -       -
! Sent -> Sent Items           310      310       16        -       1

. INBOX 31877, 40212   missing, 2 messages, known as open items
! Sent 204 -> Sent Items 198   differs   4,611 octets, from octet 1,204 on

48,422 of 48,424 messages found by identity; 2,422 read on both sides, 2,421
equal octet for octet. Not read: 46,000. Nothing was changed.
1 difference that no item explains (exit 4).
Next: mailferry plan -o FILE
";
    shows(expected, |out| verify_screen(out, &screen(), &verified(), &next(None)).unwrap());
}

#[test]
fn many_items_and_differences_of_one_kind_are_counted_not_repeated() {
    let refused: Vec<Item> = (1..=400)
        .map(|uid| Item {
            said: Some("NO [OVERQUOTA] full".to_owned()),
            ..item("Clients", uid * 2, 1_706_000_000, 4_096, Reason::Quota)
        })
        .collect();
    let mut out = Vec::new();
    items(&mut out, &screen(), &refused).unwrap();
    let found = String::from_utf8(out).unwrap();
    assert_eq!(found.matches("! Clients ").count(), 20, "{found}");
    assert_eq!(found.matches("OVERQUOTA").count(), 1, "{found}");
    assert!(found.contains("    and      380 more like this; --json has them all\n"), "{found}");
    assert!(found.ends_with("400 need a decision, 0 do not.\n"), "{found}");

    let mut report = verified();
    let missing =
        |uid| Difference { uid: Uid::new(uid), known_item: false, ..report.differences[0].clone() };
    report.differences = (1..=100).map(|number| missing(number * 3)).collect();
    let mut out = Vec::new();
    verify_screen(&mut out, &screen(), &report, &next(None)).unwrap();
    let found = String::from_utf8(out).unwrap();
    assert_eq!(found.matches("! INBOX").count(), 2, "the table's row and one line: {found}");
    assert!(found.contains("294, 297, 300   missing, 100 messages\n"), "{found}");
    assert!(found.lines().all(|line| line.chars().count() <= 80), "{found}");
}

#[test]
fn hostile_names_and_replies_are_harmless_in_every_other_screen() {
    let hostile = FolderName::from_levels(["\u{1b}]0;x\u{7}\u{202e}", &"long ".repeat(40)]);
    let mut report = verified();
    report.folders[0].source = hostile.clone();
    for difference in &mut report.differences {
        difference.folder = hostile.clone();
    }
    report.differences[2].destination_folder = Some(hostile.clone());
    report.notes.push("a note \u{9b}31m".to_owned());
    let mut out = Vec::new();
    verify_screen(&mut out, &screen(), &report, &next(None)).unwrap();
    let found = String::from_utf8(out).unwrap();
    harmless(&found);
    assert!(found.contains("... 204 -> ") || found.contains(" 204 -> "), "{found}");

    let mut applied = applied();
    applied.notes.push("\u{202e}note".to_owned());
    for item in &mut applied.items {
        item.folder = hostile.clone();
    }
    let mut out = Vec::new();
    items(&mut out, &screen(), &applied.items).unwrap();
    apply_summary(&mut out, &screen(), &applied, &next(Some("x\u{1b}.plan"))).unwrap();
    harmless(&String::from_utf8(out).unwrap());

    let mut out = Vec::new();
    let mut lines = ProgressLines::new(&mut out, screen());
    for event in [
        ApplyEvent::Item(&applied.items[3]),
        ApplyEvent::Waiting { seconds: 1, why: "\u{1b}[2J" },
        ApplyEvent::FolderDone { name: &hostile, copied: 1, items: 0 },
    ] {
        lines.tell(Timestamp::from_seconds(0), 0, &event).unwrap();
    }
    let found = String::from_utf8(out).unwrap();
    assert_eq!(found.lines().count(), 3);
    assert!(!found.chars().any(|c| c.is_control() && c != '\n') && !found.contains('\u{202e}'));
}

#[test]
fn a_verification_without_unknown_differences_ends_as_such() {
    let mut report = verified();
    report.differences.pop();
    report.exit = 3;
    let mut out = Vec::new();
    verify_screen(&mut out, &screen(), &report, &next(None)).unwrap();
    let found = String::from_utf8(out).unwrap();
    assert!(found.contains("\nNo difference but the 2 open items (exit 3).\n"), "{found}");
    report.differences.clear();
    report.exit = 0;
    let mut out = Vec::new();
    verify_screen(&mut out, &screen(), &report, &next(None)).unwrap();
    assert!(String::from_utf8(out).unwrap().ends_with("\nEqual (exit 0).\n"));
}

#[test]
fn every_json_document_agrees_with_its_schema() {
    let schema = document_schema().to_value();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let overview = overview();
    let plans = || PlanReport::of(&overview, 0, Some("tonight.plan"), &["a note".to_owned()]);
    let documents = [
        Document::Plan(Body::new(0, Vec::new(), plans())),
        Document::Show(Body::new(0, Vec::new(), plans())),
        Document::Apply(Body::new(3, Vec::new(), vec![applied()])),
        Document::Verify(Body::new(4, Vec::new(), vec![verified()])),
    ];
    for (document, command) in documents.iter().zip(["plan", "show", "apply", "verify"]) {
        let mut out = Vec::new();
        write_json(&mut out, document).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        validator.validate(&value).unwrap_or_else(|fault| panic!("{command}: {fault}"));
        assert_eq!(value["command"], command);
        assert_eq!(value["accounts"][0]["account"], "anna");
    }
    let mut out = Vec::new();
    write_json(&mut out, &documents[2]).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let items = value["accounts"][0]["items"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(items[1]["remedy"], Reason::TooLarge.remedy());
    assert_eq!(items[1]["date"], "2024-03-02T08:15:00Z");
}

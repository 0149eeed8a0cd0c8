//! The plan file as other programs and other times see it: a kept file, schemas, a million messages.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::env;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use mailferry::mail::{
    Flag, FlagSet, FolderName, MailboxId, PermanentFlags, Side, Timestamp, Uid, UidOrder, UidSet,
    UidValidity, WireName,
};
use mailferry::plan::{
    ACTION_OCTETS_MAX, Account, AccountPair, Action, Counts, DateFrom, DestinationFolder, FORMAT,
    FolderPair, Header, LeftOut, Line, Observed, PlanId, PlanLines, PlanWriter, Reason, Recipe,
    SourceFolder, Spool, Witness, WitnessFolder, check,
};
use mailferry::report;

fn root() -> PathBuf {
    crate::support::project()
}

/// Compares a file of the project with what the program makes; writes it instead when `BLESS` is set.
#[track_caller]
fn held(path: &str, fresh: &str) {
    let full = root().join(path);
    if env::var_os("BLESS").is_some() {
        fs::write(&full, fresh).unwrap();
    }
    let committed = fs::read_to_string(&full).unwrap_or_default();
    assert_eq!(committed, fresh, "run `BLESS=1 cargo test plan_file` and commit {path}");
}

fn name(text: &str) -> FolderName {
    FolderName::parse(text).unwrap()
}

fn uids(text: &str) -> UidSet {
    text.parse().unwrap()
}

fn observed(uid_validity: u32, uid_next: u32, messages: u64) -> Observed {
    Observed {
        uid_validity: UidValidity::new(uid_validity).unwrap(),
        uid_next: Uid::new(uid_next).unwrap(),
        uids_from: Uid::new(uid_next).unwrap(),
        highest_mod_seq: None,
        mailbox_id: None,
        messages,
    }
}

/// `"Sent -> Sent Items"`, or one name for both.
fn pair(number: u32, names: &str, source: Observed, destination: Option<Observed>) -> FolderPair {
    let (from, to) = names.split_once(" -> ").unwrap_or((names, names));
    let wire = |text: &str, delimiter| {
        let levels = name(text).levels().unwrap();
        WireName::from_levels("", levels.iter().map(String::as_str), Some(delimiter)).unwrap()
    };
    FolderPair {
        pair: number,
        account: 0,
        source: SourceFolder { name: name(from), wire: wire(from, b'.'), seen: source },
        destination: DestinationFolder { name: name(to), wire: wire(to, b'/'), seen: destination },
        order: UidOrder::OldestFirst,
        counts: Counts::default(),
    }
}

fn account(user: &str, host: &str) -> Account {
    let folder = WitnessFolder {
        wire: WireName::new(*b"INBOX"),
        uid_validity: UidValidity::new(1711).unwrap(),
        mailbox_id: MailboxId::from_wire(b"F17a"),
    };
    Account {
        host: host.to_owned(),
        port: 993,
        tls: "TLS 1.3".to_owned(),
        root: None,
        witness: Witness {
            user: user.to_owned(),
            server: "imap.example:993".to_owned(),
            greeting: "ready".to_owned(),
            id: None,
            tls_key: None,
            folders: vec![folder],
        },
    }
}

fn header() -> Header {
    let time = Timestamp::from_seconds(1_795_205_040);
    Header {
        mailferry_plan: FORMAT,
        program: "mailferry 0.1.0".to_owned(),
        plan: PlanId::from_time(time),
        time,
        digest: format!("8f31c2a0{}", "0".repeat(56)),
        manifest: "mailferry.toml".to_owned(),
        accounts: vec![AccountPair {
            name: "anna".to_owned(),
            source: account("anna", "imap.old.example"),
            destination: account("anna@new.example", "imap.new.example"),
        }],
        foreign_values: Vec::new(),
    }
}

fn writer(header: Header) -> PlanWriter {
    let mut make = || Ok(Box::new(Cursor::new(Vec::new())) as Box<dyn Spool>);
    PlanWriter::new(header, &mut make).unwrap()
}

fn copy(pair: u32, set: &str, octets: u64) -> Action {
    let (uids, reason) = (uids(set), Reason::NewAtSource);
    let flags = ["\\Seen", "$Label"].map(|word| Flag::from_wire(word.as_bytes()).unwrap());
    // Some lines tell none.
    let flags = flags.into_iter().filter(|_| pair == 0).collect();
    Action::Copy { pair, messages: uids.len(), uids, octets, flags, recipe: 0, reason }
}

fn evening_pairs() -> Vec<FolderPair> {
    let counts = |equal, copies, octets, flags, skipped, blocked| Counts {
        equal,
        copies,
        octets,
        flags,
        skipped,
        blocked,
        ..Counts::default()
    };
    let mut pairs = vec![
        pair(0, "INBOX", observed(1711, 48_105, 48_104), Some(observed(9, 1, 0))),
        pair(1, "Drafts", observed(1703, 30, 12), Some(observed(12, 13, 12))),
        pair(2, "Newsletters", observed(1702, 250, 206), Some(observed(11, 207, 206))),
        pair(3, "Projects/2024", observed(1709, 99, 98), None),
        pair(4, "Sent -> Sent Items", observed(1705, 311, 310), Some(observed(14, 1, 0))),
    ];
    pairs[0].counts = counts(0, 48_101, 6_120_328_499, 0, 2, 1);
    pairs[1].counts = counts(12, 0, 0, 0, 0, 0);
    pairs[2].counts = counts(206, 0, 0, 12, 0, 0);
    pairs[3].counts = counts(0, 98, 42_991_616, 0, 0, 0);
    pairs[4].counts = counts(0, 310, 94_476_697, 0, 0, 0);
    pairs
}

/// The running example of the documentation: an evening's plan for one account.
fn evening() -> PlanWriter {
    let mut plan = writer(header());
    for pair in evening_pairs() {
        plan.folder(&pair).unwrap();
    }
    plan.left_out(&LeftOut {
        account: 0,
        side: Side::Source,
        name: name("Spam"),
        messages: Some(1_411),
        reason: Reason::ExcludedFolder,
        rule: Some("exclude, line 14".to_owned()),
    })
    .unwrap();
    plan.left_out(&LeftOut {
        account: 0,
        side: Side::Destination,
        name: name("Archive"),
        messages: Some(54),
        reason: Reason::OnlyAtDestination,
        rule: None,
    })
    .unwrap();
    plan.recipe(&Recipe {
        recipe: 0,
        drop_flags: [Flag::Deleted].into_iter().collect(),
        leave_flagged: [Flag::Deleted].into_iter().collect(),
        permanent_flags: Some(PermanentFlags::all()),
        dates: vec![DateFrom::Internaldate, DateFrom::DateHeader, DateFrom::ReceivedHeader],
        ceiling: Some(36_700_160),
    })
    .unwrap();
    for action in evening_actions() {
        plan.action(&action).unwrap();
    }
    plan
}

/// Deliberately not in the order of sections.
fn evening_actions() -> Vec<Action> {
    let create = |text: &str, wire: &[u8], reason| Action::CreateFolder {
        account: 0,
        name: name(text),
        wire: WireName::new(wire),
        role: None,
        reason,
    };
    let skip = |uid, octets, seconds| Action::Skip {
        pair: 0,
        uids: uids(uid),
        messages: 1,
        octets,
        date: Some(Timestamp::from_seconds(seconds)),
        reason: Reason::MarkedDeleted,
    };
    vec![
        Action::Subscribe {
            account: 0,
            name: name("Projects/2024"),
            wire: WireName::new(*b"Projects/2024"),
            reason: Reason::SubscribedAtSource,
        },
        copy(0, "1:31199,31202:40211,40213:48104", 6_120_328_499),
        skip("31200", 4_198, 1_676_101_200),
        skip("31201", 11_980, 1_676_101_920),
        Action::Blocked {
            pair: 0,
            uid: Uid::new(40_212),
            octets: Some(51_380_224),
            date: Some(Timestamp::from_seconds(1_709_367_300)),
            limit: Some(36_700_160),
            reason: Reason::TooLarge,
        },
        create("Projects", b"Projects", Reason::ParentFolder),
        create("Projects/2024", b"Projects/2024", Reason::MissingAtDestination),
        Action::Flags {
            pair: 2,
            uids: uids("7,9,11:20"),
            messages: 12,
            add: [Flag::Seen].into_iter().collect(),
            remove: FlagSet::new(),
            from: FlagSet::new(),
            reason: Reason::FlagsChangedAtSource,
        },
        copy(3, "1:98", 42_991_616),
        copy(4, "1:310", 94_476_697),
    ]
}

fn written(plan: PlanWriter) -> Vec<u8> {
    let mut file = Vec::new();
    plan.finish(&mut file).unwrap();
    file
}

#[test]
fn the_format_is_that_of_the_kept_plan() {
    held("tests/plans/evening.plan", &String::from_utf8(written(evening())).unwrap());
}

#[test]
fn the_kept_plan_is_read_and_written_again_octet_for_octet() {
    let kept = fs::read(root().join("tests/plans/evening.plan")).unwrap();
    let checked = check(&mut kept.as_slice()).unwrap();
    assert_eq!(checked.pairs, 5);
    assert_eq!((checked.footer.totals.copies, checked.footer.totals.creates), (48_509, 2));
    let lines = PlanLines::new(kept.as_slice()).unwrap();
    let mut again = writer(lines.header().clone());
    for line in lines {
        match line.unwrap() {
            Line::Folder(pair) => again.folder(&pair).unwrap(),
            Line::LeftOut(folder) => again.left_out(&folder).unwrap(),
            Line::Recipe(recipe) => again.recipe(&recipe).unwrap(),
            Line::Action(action) => again.action(&action).unwrap(),
            Line::Header(_) | Line::Footer(_) => {}
        }
    }
    assert_eq!(written(again), kept);
}

#[test]
fn a_million_messages_are_written_and_read_a_line_at_a_time() {
    let began = Instant::now();
    // Every second UID: the longest way to write a set.
    let set: UidSet = (0..1_000_000_u32).filter_map(|n| Uid::new(2 * n + 1)).collect();
    let mut plan = writer(header());
    let mut inbox = pair(0, "INBOX", observed(1, 2_000_001, 1_000_000), None);
    inbox.counts.copies = 1_000_000;
    plan.folder(&inbox).unwrap();
    plan.recipe(&Recipe {
        recipe: 0,
        drop_flags: FlagSet::new(),
        leave_flagged: FlagSet::new(),
        permanent_flags: None,
        dates: vec![DateFrom::Internaldate],
        ceiling: None,
    })
    .unwrap();
    let action = Action::Copy {
        pair: 0,
        messages: set.len(),
        uids: set,
        octets: 8_000_000_000,
        flags: FlagSet::new(),
        recipe: 0,
        reason: Reason::NewAtSource,
    };
    for part in action.cut(&mut |uids| uids.len() * 8_000) {
        plan.action(&part).unwrap();
    }
    let file = written(plan);
    let checked = check(&mut file.as_slice()).unwrap();
    let took = began.elapsed();
    assert_eq!(checked.footer.totals.copies, 1_000_000);
    assert_eq!(checked.footer.totals.octets, 8_000_000_000);
    assert!(file.len() < 10 << 20, "{}", file.len());
    assert!(file.split(|octet| *octet == b'\n').all(|line| line.len() < ACTION_OCTETS_MAX));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

fn schema(schema: &schemars::Schema) -> String {
    serde_json::to_string_pretty(schema).unwrap() + "\n"
}

#[test]
fn schemas_of_plan_and_report_are_fresh() {
    held("schemas/plan.schema.json", &schema(&schemars::schema_for!(Line)));
    held("schemas/report.schema.json", &schema(&report::document_schema()));
}

#[test]
fn every_line_of_the_kept_plan_agrees_with_the_schema() {
    let schema = schemars::schema_for!(Line).to_value();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let kept = fs::read_to_string(root().join("tests/plans/evening.plan")).unwrap();
    for line in kept.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        validator.validate(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
    }
    assert!(validator.validate(&serde_json::json!({"line": "footer"})).is_err());
}

#[test]
fn the_page_of_reasons_is_that_of_the_program() {
    let mut page = String::from(
        "# Reasons\n\nWhy something is done, or is not: one closed list, the same in plans, items and `--json`. This\npage is made from the program by a test.\n\n| Reason | Meaning | What to do |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let cells = [reason.as_str(), reason.meaning(), reason.remedy()];
        let row = cells.map(|cell| cell.replace('|', "\\|")).join(" | ");
        page.push_str(&format!("| {} |\n", row.trim_end()).replace("| |", "|  |"));
    }
    held("docs/reference/reasons.md", &page);
}

#[test]
fn the_page_of_the_plan_file_names_every_line_and_action() {
    let page = fs::read_to_string(root().join("docs/reference/plan-file.md")).unwrap();
    let schema = schemars::schema_for!(Line).to_value();
    let mut words = Vec::new();
    tags(&schema, &mut words);
    words.sort();
    words.dedup();
    for word in ["header", "left-out", "create-folder", "blocked", "subscribe"] {
        assert!(words.iter().any(|found| found == word), "{word}: {words:?}");
    }
    for word in words {
        assert!(page.contains(&format!("`{word}`")), "the page does not name `{word}`");
    }
    for number in [format!("Format {FORMAT}"), "64 KiB".to_owned(), "1 MiB".to_owned()] {
        assert!(page.contains(&number), "the page does not say {number}");
    }
    assert_eq!((ACTION_OCTETS_MAX, mailferry::plan::LINE_OCTETS_MAX), (64 << 10, 1 << 20));
}

/// The words of all `line` and `action` tags in a schema.
fn tags(schema: &serde_json::Value, words: &mut Vec<String>) {
    match schema {
        serde_json::Value::Object(fields) => {
            for tag in ["line", "action"] {
                let word = fields.get(tag).and_then(|tag| tag.get("const"));
                words.extend(word.and_then(|word| word.as_str()).map(str::to_owned));
            }
            fields.values().for_each(|value| tags(value, words));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| tags(value, words)),
        _ => {}
    }
}

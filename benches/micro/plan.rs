//! Writing and checking a plan.

use std::io;
use std::io::Cursor;

use divan::Bencher;
use divan::counter::ItemsCount;
use mailferry::mail::FlagSet;
use mailferry::mail::FolderName;
use mailferry::mail::Timestamp;
use mailferry::mail::Uid;
use mailferry::mail::UidOrder;
use mailferry::mail::UidSet;
use mailferry::mail::UidValidity;
use mailferry::mail::WireName;
use mailferry::plan::Action;
use mailferry::plan::Counts;
use mailferry::plan::DestinationFolder;
use mailferry::plan::FORMAT;
use mailferry::plan::FolderPair;
use mailferry::plan::Header;
use mailferry::plan::Observed;
use mailferry::plan::PlanId;
use mailferry::plan::PlanWriter;
use mailferry::plan::Reason;
use mailferry::plan::SourceFolder;
use mailferry::plan::Spool;

const PAIRS: u32 = 1_000;
const MESSAGES_PER_PAIR: u32 = 1_000;

fn header() -> Header {
    let time = Timestamp::from_seconds(1_700_000_000);
    Header {
        mailferry_plan: FORMAT,
        program: "mailferry".to_owned(),
        plan: PlanId::from_time(time),
        time,
        digest: "0".repeat(64),
        manifest: "mailferry.toml".to_owned(),
        accounts: Vec::new(),
        foreign_values: Vec::new(),
    }
}

fn pair(number: u32) -> FolderPair {
    let level = format!("Folder {number}");
    let (name, wire) = (FolderName::from_levels([&*level]), WireName::new(level.as_bytes()));
    let seen = Observed {
        uid_validity: UidValidity::new(7).unwrap(),
        uid_next: Uid::new(5_000).unwrap(),
        uids_from: Uid::new(5_000).unwrap(),
        highest_mod_seq: None,
        mailbox_id: None,
        messages: u64::from(MESSAGES_PER_PAIR),
    };
    FolderPair {
        pair: number,
        account: 0,
        source: SourceFolder { name: name.clone(), wire: wire.clone(), seen },
        destination: DestinationFolder { name, wire, seen: None },
        order: UidOrder::OldestFirst,
        counts: Counts { copies: u64::from(MESSAGES_PER_PAIR), ..Counts::default() },
    }
}

/// Every second UID, so that no range spares any text.
fn copy(pair: u32) -> Action {
    let uids: UidSet =
        (1..=MESSAGES_PER_PAIR).map(|number| Uid::new(number * 2).unwrap()).collect();
    Action::Copy {
        pair,
        uids,
        messages: u64::from(MESSAGES_PER_PAIR),
        octets: 10_000_000,
        flags: FlagSet::new(),
        recipe: 0,
        reason: Reason::NewAtSource,
    }
}

fn write(lines: &[(FolderPair, Action)]) -> Vec<u8> {
    let mut make_spool = || -> io::Result<Box<dyn Spool>> { Ok(Box::new(Cursor::new(Vec::new()))) };
    let mut writer = PlanWriter::new(header(), &mut make_spool).unwrap();
    for (pair, action) in lines {
        writer.folder(pair).unwrap();
        writer.action(action).unwrap();
    }
    let mut plan = Vec::new();
    writer.finish(&mut plan).unwrap();
    plan
}

#[divan::bench]
fn write_a_million_messages(bencher: Bencher) {
    let lines: Vec<(FolderPair, Action)> =
        (0..PAIRS).map(|number| (pair(number), copy(number))).collect();
    bencher
        .counter(ItemsCount::new(PAIRS * MESSAGES_PER_PAIR))
        .bench(|| write(divan::black_box(&lines)));
}

//! `mailferry verify`: proves that both sides are equal, or lists every difference.

use crate::cli::args::{LevelArg, Verify};
use crate::cli::ends;
use crate::cli::exit::ExitStatus;
use crate::cli::failed::{Failed, Kind};
use crate::cli::output::Output;
use crate::cli::pair;
use crate::cli::signals::Interrupts;
use crate::cli::validate;
use crate::mail::{Side, Timestamp};
use crate::report::model::{VerifyLevel, VerifyReport};
use crate::report::{Body, Document, Next, Problem, verify_screen};
use crate::resolve::Migration;
use crate::session::{Clock as _, Ends, SystemClock};
use crate::state::{Item, State as _};
use crate::store::StoreError;
use crate::verify;
use crate::verify::{Depth, Known, Verified, VerifyFault};

pub(super) fn run(args: &Verify, output: &mut Output) -> ExitStatus {
    let now = validate::now();
    let kind = Kind::Verify.if_json(args.json);
    let loaded = match validate::load(&args.manifest, &args.values, now, kind, output) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let Some(migration) = loaded.migrations.first() else { return ExitStatus::Fault };
    let report = match prove(args, migration, now, output) {
        Ok(report) => report,
        Err(failed) => return failed.tell(kind, output),
    };
    let status = ExitStatus::from_code(report.exit).unwrap_or(ExitStatus::Fault);
    let printed = if args.json {
        output.json(&Document::Verify(Body::new(status.code(), Vec::new(), vec![report])))
    } else {
        let next = Next { manifest: &loaded.name, plan: None };
        output.print(|out, screen| verify_screen(out, screen, &report, &next))
    };
    if printed.is_ok() { status } else { ExitStatus::Fault }
}

fn prove(
    args: &Verify,
    migration: &Migration,
    started: Timestamp,
    output: &Output,
) -> Result<VerifyReport, Failed> {
    let interrupts = Interrupts::listen();
    let items = open_items(migration, started)?;
    let connectors = ends::connectors(migration, &interrupts, output)?;
    let clock = SystemClock::new();
    let mut tell = |text: &str| {
        let text = crate::report::escape(text);
        output.tell(|out, _| writeln!(out, "{text}"));
    };
    let (depth, level) = match args.level {
        LevelArg::Counts => (Depth::Counts, VerifyLevel::Counts),
        LevelArg::Content => (Depth::Content, VerifyLevel::Content),
    };
    let verified = verify::verify(
        &migration.rules,
        Ends { source: Box::new(connectors.source), destination: Box::new(connectors.destination) },
        depth,
        Known { items: &items },
        (&clock, &interrupts.stop),
        (migration.errors.retries, migration.errors.reconnect_for),
        &mut tell,
    )
    .map_err(|fault| failed(&fault, migration, &interrupts))?;
    let exit = status_of(&verified).code();
    Ok(VerifyReport {
        account: migration.account.clone(),
        level,
        started,
        seconds: clock.elapsed().as_secs(),
        exit,
        folders: verified.folders,
        differences: verified.differences,
        notes: verified.notes,
    })
}

/// What earlier runs could not copy, as far as it is known: it explains differences, nothing else.
fn open_items(migration: &Migration, now: Timestamp) -> Result<Vec<Item>, Failed> {
    if !migration.state_dir.join("catalogue.db").is_file() {
        return Ok(Vec::new());
    }
    let items = pair::open(migration, now).and_then(|mut opened| opened.state.items());
    items.map_err(|fault| pair::state_problem(&fault).into())
}

fn status_of(verified: &Verified) -> ExitStatus {
    if verified.differences.is_empty() {
        ExitStatus::Done
    } else if verified.differences.iter().all(|difference| difference.known_item) {
        ExitStatus::Partial
    } else {
        ExitStatus::Differs
    }
}

fn failed(fault: &VerifyFault, migration: &Migration, interrupts: &Interrupts) -> Failed {
    match fault {
        VerifyFault::Stopped | VerifyFault::Store(_, StoreError::Stopped) => {
            (Problem::new("stopped before everything was verified"), interrupts.status()).into()
        }
        VerifyFault::Store(side, error) => {
            let end = match side {
                Side::Source => &migration.source,
                Side::Destination => &migration.destination,
            };
            pair::store_problem(*side, end, error).into()
        }
        VerifyFault::OneMailbox(folders) => pair::one_mailbox(folders).into(),
        VerifyFault::NothingSelected => pair::nothing_selected().into(),
    }
}

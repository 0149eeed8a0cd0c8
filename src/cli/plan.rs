//! `mailferry plan`: looks at both sides, changes nothing, writes down every action.

use std::env;
use std::fs;
use std::io;
use std::io::BufReader;
use std::io::Seek as _;
use std::path::Path;

use crate::cli::args::Plan;
use crate::cli::ends;
use crate::cli::ends::Connectors;
use crate::cli::exit::ExitStatus;
use crate::cli::failed::{Failed, Kind};
use crate::cli::output::Output;
use crate::cli::pair;
use crate::cli::signals::Interrupts;
use crate::cli::validate;
use crate::mail::Timestamp;
use crate::manifest::Loaded;
use crate::manifest::model::TlsMode;
use crate::plan::{ForeignValue, PlanLines, Spool};
use crate::planning;
use crate::planning::{About, Forecast, Order, PlanningFault};
use crate::report::model::PlanReport;
use crate::report::{Body, Document, Overview, PlanView, Problem, Saved, plan_screen};
use crate::resolve::Migration;
use crate::session::{Ends, SystemClock};
use crate::store::{Listing, StoreError};

/// A plan in a file that has no name yet, and what it comes to.
pub(super) struct Made {
    pub file: tempfile::NamedTempFile,
    pub overview: Overview,
    pub notes: Vec<String>,
    /// What the destination listed when planning began.
    pub listed: Listing,
}

pub(super) fn run(args: &Plan, output: &mut Output) -> ExitStatus {
    let now = validate::now();
    let kind = Kind::Plan.if_json(args.json);
    let loaded = match validate::load(&args.manifest, &args.values, now, kind, output) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let Some(migration) = loaded.migrations.first() else { return ExitStatus::Fault };
    let interrupts = Interrupts::listen();
    // First of all: hours of listing must not end at a folder that cannot be written.
    let made = new_file(args.output.as_deref()).and_then(|file| {
        let connectors = ends::connectors(migration, &interrupts, output)?;
        make(&loaded, migration, connectors, file, now, &mut |_| {}, (&interrupts, output))
    });
    let made = match made {
        Ok(made) => made,
        Err(failed) => return failed.tell(kind, output),
    };
    let overview = &made.overview;
    let equal = overview.totals.changes_nothing() && !overview.leaves_something_undone();
    let status =
        if !equal && args.detailed_exitcode { ExitStatus::NotEqual } else { ExitStatus::Done };
    let saved = args.output.as_ref().map(|path| path.display().to_string());
    let Made { file, overview, notes, .. } = made;
    if let Some(path) = &args.output
        && let Err(fault) = file.persist(path)
    {
        let problem = Problem::new("the plan cannot be saved")
            .detail("file", path.display().to_string())
            .detail("fault", fault.to_string());
        return Failed { problem, status: ExitStatus::Fault }.tell(kind, output);
    }
    let printed = if args.json {
        let accounts = PlanReport::of(&overview, status.code(), saved.as_deref(), &notes);
        output.json(&Document::Plan(Body::new(status.code(), Vec::new(), accounts)))
    } else {
        let saved = saved.as_deref().map_or(Saved::Nowhere, Saved::In);
        let view = PlanView { overview: &overview, saved, notes: &notes };
        output.print(|out, screen| plan_screen(out, screen, &view))
    };
    if printed.is_ok() { status } else { ExitStatus::Fault }
}

/// Makes a plan into a file.
pub(super) fn make(
    loaded: &Loaded,
    migration: &Migration,
    connectors: Connectors,
    mut file: tempfile::NamedTempFile,
    now: Timestamp,
    foretell: &mut dyn FnMut(&Forecast),
    (interrupts, output): (&Interrupts, &Output),
) -> Result<Made, Failed> {
    let mut opened =
        pair::open(migration, now).map_err(|fault| Failed::from(pair::state_problem(&fault)))?;
    let clock = SystemClock::new();
    let mut tell = |text: &str| {
        let text = crate::report::escape(text);
        output.tell(|out, _| writeln!(out, "{text}"));
    };
    let planned = planning::make(
        Ends { source: Box::new(connectors.source), destination: Box::new(connectors.destination) },
        Order {
            rules: &migration.rules,
            about: about(loaded, migration, now),
            state: &mut opened.state,
            clock: &clock,
            stop: &interrupts.stop,
            retries: migration.errors.retries,
            reconnect_for: migration.errors.reconnect_for,
            make_spool: &mut || Ok(Box::new(tempfile::tempfile()?) as Box<dyn Spool>),
            tell: &mut tell,
            foretell,
        },
    )
    .map_err(|fault| planning_failed(&fault, migration, interrupts))?;
    let mut notes = planned.notes;
    for (side, end) in [("source", &migration.source), ("destination", &migration.destination)] {
        if end.tls.mode == TlsMode::Implicit && !end.tls.verify {
            notes.push(format!(
                "the certificate of the {side} is not checked (tls.verify = false): anybody on the \
                 way can read its password and mail"
            ));
        }
    }
    if let Some(before) = opened.before {
        for (side, host, now) in [
            ("source", &before.source_host, &migration.source.host),
            ("destination", &before.destination_host, &migration.destination.host),
        ] {
            if host != now {
                notes.push(format!(
                    "the {side} was {host} last time: the same account by its folders"
                ));
            }
        }
    }
    let overview = write(planned.writer, &mut file).map_err(|fault| Failed {
        problem: Problem::new("the plan cannot be written").detail("fault", fault.to_string()),
        status: ExitStatus::Fault,
    })?;
    Ok(Made { file, overview, notes, listed: planned.listed })
}

/// A file without a name beside where a plan is to go, or in the folder of such files, readable by its
/// owner only. A place that takes no plan is told before anything is contacted.
pub(super) fn new_file(output: Option<&Path>) -> Result<tempfile::NamedTempFile, Failed> {
    let Some(path) = output else {
        return tempfile::Builder::new().prefix(".mailferry-plan-").tempfile().map_err(|fault| {
            let problem = Problem::new("there is no room for the plan")
                .detail("folder", env::temp_dir().display().to_string())
                .detail("fault", fault.to_string())
                .hint("set TMPDIR to a folder that can be written");
            Failed { problem, status: ExitStatus::Fault }
        });
    };
    let refused = |fault: String| Failed {
        problem: Problem::new("the plan cannot be saved there")
            .detail("file", path.display().to_string())
            .detail("fault", fault)
            .hint("name a file in a folder that can be written: -o FILE"),
        status: ExitStatus::Usage,
    };
    // Saving is a rename, which would put the plan in the place of a device or a pipe.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(refused("this is no ordinary file".into())),
        _ => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| tempfile::Builder::new().prefix(".mailferry-plan-").tempfile_in(folder))
        .map_err(|fault| refused(fault.to_string()))
}

fn write(
    writer: crate::plan::PlanWriter,
    file: &mut tempfile::NamedTempFile,
) -> io::Result<Overview> {
    writer.finish(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.as_file_mut().rewind()?;
    let lines = PlanLines::new(BufReader::new(file.reopen()?)).map_err(io::Error::other)?;
    Overview::read(lines).map_err(io::Error::other)
}

fn about(loaded: &Loaded, migration: &Migration, now: Timestamp) -> About {
    let foreign_values = migration.foreign_values.iter().map(|value| ForeignValue {
        key: value.key.clone(),
        from: value.from.clone(),
        value: value.value.clone(),
    });
    About {
        manifest: loaded.name.clone(),
        digest: migration.digest.clone(),
        account: migration.account.clone(),
        source: (migration.source.host.clone(), migration.source.port),
        destination: (migration.destination.host.clone(), migration.destination.port),
        foreign_values: foreign_values.collect(),
        now,
    }
}

fn planning_failed(
    fault: &PlanningFault,
    migration: &Migration,
    interrupts: &Interrupts,
) -> Failed {
    let host = |side| match side {
        crate::mail::Side::Source => &migration.source,
        crate::mail::Side::Destination => &migration.destination,
    };
    match fault {
        PlanningFault::State(fault) => pair::state_problem(fault).into(),
        PlanningFault::OneMailbox(folders) => pair::one_mailbox(folders).into(),
        PlanningFault::OtherAccount { side, recorded, seen } => {
            let list = |folders: &[crate::plan::WitnessFolder]| {
                let folders = folders
                    .iter()
                    .map(|folder| format!("{} {}", folder.wire.escaped(), folder.uid_validity));
                folders.collect::<Vec<_>>().join(", ")
            };
            let problem =
                Problem::new(format!("the {side} login leads to another account than last time"))
                    .detail("login", &host(*side).user)
                    .detail("last time", list(recorded))
                    .detail("now", list(seen))
                    .hint("names and UIDVALIDITY of folders tell; host and port do not count")
                    .hint("if the mailbox was made anew on purpose, remove the state folder");
            (problem, ExitStatus::WrongAccount).into()
        }
        PlanningFault::NoInbox(side) => {
            let problem = Problem::new(format!("the {side} lists no INBOX that can be opened"))
                .detail("login", &host(*side).user)
                .hint(
                    "a login that may see no folder looks like an empty mailbox: check its rights",
                );
            (problem, ExitStatus::Unavailable).into()
        }
        PlanningFault::NothingSelected => pair::nothing_selected().into(),
        PlanningFault::MissingFolders(missing) => {
            let mut problem = Problem::new("`include` names folders that the source does not have");
            for (name, rule) in missing {
                let rule = rule.as_deref().unwrap_or("include");
                problem = problem.detail("folder", format!("{name} ({rule})"));
            }
            let problem = problem
                .hint("folders are named as this plan would show them: case counts")
                .hint("to pass over what is not there: missing = \"skip\" in [folders]");
            (problem, ExitStatus::Unavailable).into()
        }
        PlanningFault::Stopped | PlanningFault::Store(_, StoreError::Stopped) => {
            (Problem::new("stopped before the plan was made"), interrupts.status()).into()
        }
        PlanningFault::Store(side, error) => pair::store_problem(*side, host(*side), error).into(),
        other => (
            Problem::new("no plan could be made").detail("fault", other.to_string()),
            ExitStatus::Fault,
        )
            .into(),
    }
}

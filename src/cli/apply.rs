//! `mailferry apply`: carries out a plan; from a manifest, after showing it and asking.

use std::io;
use std::io::BufRead as _;
use std::io::IsTerminal as _;
use std::net::ToSocketAddrs as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::apply;
use crate::apply::{Applied, Ends, Fatal, Only, Settings, Surroundings, Work};
use crate::cli::args::{Apply, OnlyArg};
use crate::cli::ends;
use crate::cli::ends::Connectors;
use crate::cli::exit::ExitStatus;
use crate::cli::failed::{Failed, Kind};
use crate::cli::limits;
use crate::cli::output::Output;
use crate::cli::pair;
use crate::cli::plan;
use crate::cli::plan::Made;
use crate::cli::progress::Progress;
use crate::cli::show;
use crate::cli::signals::Interrupts;
use crate::cli::validate;
use crate::limit::Waited;
use crate::mail::{Side, Timestamp};
use crate::manifest::Loaded;
use crate::plan::{Checked, PlanFault, PlanLines, Reason, Totals, is_plan};
use crate::planning::Forecast;
use crate::report;
use crate::report::model::{
    ApplyReport, CompressionDone, Copied, Deleted, FlagsDone, FoldersDone, WaitedFor,
};
use crate::report::{Body, Document, Next, PlanView, Problem, Saved, plan_screen};
use crate::resolve::{Endpoint, Migration};
use crate::session::{Clock as _, SystemClock};
use crate::state;
use crate::store::Listing;

/// What is worth another connection, in octets: logging in on both sides takes as long as copying so much.
const CONNECTION_WORTH: u64 = 2_000_000;

/// How many folders are worked on together. Each round trip is paid once for all of them.
const WAVE: usize = 64;

/// Connections to either side where neither manifest nor profile says how many.
const CONNECTIONS: u16 = 4;

/// How many messages are expected at most where connections log in ahead: planning more takes longer than
/// a session can stand unused.
const AHEAD_MESSAGES_MAX: u64 = 100_000;

/// What was listed so short a time ago is not listed again before it is written to.
const JUST_NOW: Duration = Duration::from_secs(10);

pub(super) fn run(args: &Apply, output: &mut Output) -> ExitStatus {
    let interrupts = Interrupts::listen();
    let kind = Kind::Apply.if_json(args.json);
    let applied = match is_a_plan(&args.what) {
        Err(fault) => Err(cannot_open(&args.what, &fault)),
        Ok(true) => apply_file(args, &interrupts, output),
        Ok(false) => apply_manifest(args, &interrupts, output),
    };
    match applied {
        Ok(status) | Err(Ended::Told(status)) => status,
        Err(Ended::Failed(failed)) => failed.tell(kind, output),
    }
}

/// Why nothing was applied.
enum Ended {
    /// It was told already.
    Told(ExitStatus),
    /// It is still to be told.
    Failed(Failed),
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

fn is_a_plan(path: &Path) -> io::Result<bool> {
    let mut line = Vec::new();
    let mut start = io::Read::take(show::open(path)?, 200);
    start.read_until(b'\n', &mut line)?;
    Ok(is_plan(&line))
}

fn cannot_open(path: &Path, fault: &io::Error) -> Ended {
    show::cannot_open(&path.display().to_string(), fault).into()
}

/// Reads a plan that was checked for work.
fn work_of(file: Box<dyn io::BufRead>) -> Result<Work, PlanFault> {
    Work::read(PlanLines::new(file)?)
}

/// Exactly the plan in the file, without a question.
fn apply_file(args: &Apply, interrupts: &Interrupts, output: &Output) -> Result<ExitStatus, Ended> {
    let now = validate::now();
    let kind = Kind::Apply.if_json(args.json);
    let loaded =
        validate::load(&args.manifest, &args.values, now, kind, output).map_err(Ended::Told)?;
    let migration = only(&loaded)?;
    interrupts.stop_after(migration.limits.stop_after);
    let path = args.what.display().to_string();
    let stale = |fault: &PlanFault| Failed {
        problem: Problem::of_plan(&path, fault),
        status: ExitStatus::Stale,
    };
    let mut file = show::open(&args.what).map_err(|fault| cannot_open(&args.what, &fault))?;
    let checked = crate::plan::check(&mut *file).map_err(|fault| stale(&fault))?;
    is_of_this_manifest(&checked, &loaded, migration, &path)?;
    let file = show::open(&args.what).map_err(|fault| cannot_open(&args.what, &fault))?;
    let work = work_of(file).map_err(|fault| stale(&fault))?;
    let next = Next { manifest: &loaded.name, plan: Some(&path) };
    let connectors = ends::connectors(migration, interrupts, output)?;
    carry_out(args, work, &checked, (migration, connectors, None), &next, interrupts, output)
}

/// Plans, shows, asks, and applies what was shown.
fn apply_manifest(
    args: &Apply,
    interrupts: &Interrupts,
    output: &Output,
) -> Result<ExitStatus, Ended> {
    let now = validate::now();
    let kind = Kind::Apply.if_json(args.json);
    let loaded =
        validate::load(&args.what, &args.values, now, kind, output).map_err(Ended::Told)?;
    let migration = only(&loaded)?;
    interrupts.stop_after(migration.limits.stop_after);
    if !args.yes && !io::stdin().is_terminal() {
        let problem = Problem::new("there is no terminal to ask on")
            .hint("add --yes, or plan with -o first and apply that file");
        return Err(Failed { problem, status: ExitStatus::Usage }.into());
    }
    let file = plan::new_file(None)?;
    let connectors = ends::connectors(migration, interrupts, output)?.handing_on();
    let began = Instant::now();
    let mut foretell = |forecast: &Forecast| {
        // Nobody has agreed to anything yet where somebody is asked.
        if args.yes {
            log_in_ahead(args, migration, &connectors, forecast);
        }
    };
    let both = connectors.clone();
    let Made { file, overview, notes, listed } =
        plan::make(&loaded, migration, both, file, now, &mut foretell, (interrupts, output))?;
    let view = PlanView { overview: &overview, saved: Saved::ToApply, notes: &notes };
    if !args.json {
        output.print(|out, screen| plan_screen(out, screen, &view)).map_err(|_| ENDED)?;
    } else if !args.yes {
        // Who is asked sees what it is about; stdout is the document's.
        output.tell(|out, screen| plan_screen(out, screen, &view));
    }
    if overview.totals.changes_nothing() && !overview.leaves_something_undone() {
        return Ok(nothing_to_do(args, output));
    }
    if !args.yes && !asked(migration, interrupts, output) {
        output.tell(|out, _| writeln!(out, "Nothing was changed."));
        return Ok(kind.print(Vec::new(), ExitStatus::NotEqual, output));
    }
    let stale = |fault: PlanFault| Failed {
        problem: Problem::of_plan("the plan", &fault),
        status: ExitStatus::Stale,
    };
    let mut opened = show::open(file.path()).map_err(|_| ENDED)?;
    let checked = crate::plan::check(&mut *opened).map_err(stale)?;
    let opened = show::open(file.path()).map_err(|_| ENDED)?;
    let work = work_of(opened).map_err(stale)?;
    let next = Next { manifest: &loaded.name, plan: None };
    // What was listed a moment ago, in the sessions that are handed on, need not be listed again.
    let holds_both = connectors.source.holds_session() && connectors.destination.holds_session();
    let listed = Some(listed).filter(|_| holds_both && began.elapsed() < JUST_NOW);
    carry_out(args, work, &checked, (migration, connectors, listed), &next, interrupts, output)
}

/// Logs the further connections in that the copies will be worth, while the plan is still made.
fn log_in_ahead(args: &Apply, migration: &Migration, connectors: &Connectors, forecast: &Forecast) {
    let Forecast { messages, folders, append, is_near } = *forecast;
    let ends = [&migration.source, &migration.destination];
    let are_few = ends.iter().any(|end| end.limits.logins_per_minute.is_some());
    if !only_of(args).copies() || are_few || messages > AHEAD_MESSAGES_MAX {
        return;
    }
    let lanes = settings(migration).lanes_expected(messages, append, is_near).min(folders);
    let further = lanes.saturating_sub(1);
    connectors.source.log_in_ahead(further);
    connectors.destination.log_in_ahead(further);
}

const ENDED: Ended = Ended::Told(ExitStatus::Fault);

fn nothing_to_do(args: &Apply, output: &Output) -> ExitStatus {
    if !args.json {
        return ExitStatus::Done;
    }
    let body = Body::new(ExitStatus::Done.code(), Vec::new(), Vec::new());
    if output.json(&Document::Apply(body)).is_ok() { ExitStatus::Done } else { ExitStatus::Fault }
}

fn asked(migration: &Migration, interrupts: &Interrupts, output: &Output) -> bool {
    let end = &migration.destination;
    output.tell(|out, _| {
        write!(out, "Apply this plan to {} at {}? Type yes: ", end.user, end.host)?;
        out.flush()
    });
    let mut answer = String::new();
    let read = interrupts.while_asking(|| io::stdin().read_line(&mut answer));
    read.is_ok() && answer.trim() == "yes"
}

fn only(loaded: &Loaded) -> Result<&Migration, Ended> {
    loaded.migrations.first().ok_or(Ended::Told(ExitStatus::Fault))
}

/// The manifest that is named must be the one that the plan was made from, as far as it decides
/// actions: logins, limits and patience may have changed.
fn is_of_this_manifest(
    checked: &Checked,
    loaded: &Loaded,
    migration: &Migration,
    path: &str,
) -> Result<(), Ended> {
    if checked.header.digest == migration.digest {
        return Ok(());
    }
    let problem = Problem::new("the manifest decides other things than when the plan was made")
        .detail("plan", path)
        .detail("manifest", &loaded.name)
        .hint("plan again, or name the manifest that the plan was made from with --manifest")
        .hint("values of the environment and of --set must be those of the plan: mailferry show");
    Err(Failed { problem, status: ExitStatus::Stale }.into())
}

fn carry_out(
    args: &Apply,
    work: Work,
    checked: &Checked,
    (migration, connectors, listed): (&Migration, Connectors, Option<Listing>),
    next: &Next<'_>,
    interrupts: &Interrupts,
    output: &Output,
) -> Result<ExitStatus, Ended> {
    let started = validate::now();
    let waits = connectors.limits.clone();
    let mut opened = pair::open(migration, started)
        .map_err(|fault| Failed::from(pair::state_problem(&fault)))?;
    let server = format!("{}:{}", migration.destination.host, migration.destination.port);
    let _lock = match checked.header.accounts.first() {
        Some(accounts) => Some(
            state::lock_destination(
                &pair::runtime_folder(),
                &accounts.destination.witness,
                &server,
            )
            .map_err(|fault| Failed::from(pair::state_problem(&fault)))?,
        ),
        None => None,
    };
    let clock = SystemClock::new();
    let mut progress = Progress::new(output.stderr_screen(), &clock);
    let applied = apply::apply(
        work,
        Ends { source: Box::new(connectors.source), destination: Box::new(connectors.destination) },
        Surroundings {
            state: &mut opened.state,
            settings: settings(migration),
            clock: &clock,
            stop: &interrupts.stop,
            watch: &mut progress,
            listed,
            only: only_of(args),
        },
    );
    let mut status = status_of(&applied, interrupts);
    if args.only.is_some_and(|only| leaves_work(only, &checked.footer.totals)) {
        status = ExitStatus::worst_of([status, ExitStatus::NotEqual]);
    }
    let problem = applied.fatal.as_ref().and_then(|fatal| problem_of(fatal, migration));
    if let Some(problem) = &problem {
        output.problem(problem);
    }
    progress.finished(status);
    let seconds = clock.elapsed().as_secs();
    let only = args.only.map(OnlyArg::as_str);
    let mut report = report_of(applied, checked, migration, (started, seconds), only, status);
    let wish = interrupts.stop.wish();
    report.notes.extend(wish.and_then(limits::told).map(str::to_owned));
    report.waited_for = waited_for(&waits.waited());
    report.waited_seconds += report.waited_for.servers();
    let printed = if args.json {
        let problems = problem.into_iter().collect();
        output.json(&Document::Apply(Body::new(status.code(), problems, vec![report])))
    } else {
        output.print(|out, screen| {
            report::items(out, screen, &report.items)?;
            if !report.items.is_empty() {
                writeln!(out)?;
            }
            report::apply_summary(out, screen, &report, next)
        })
    };
    Ok(if printed.is_ok() { status } else { ExitStatus::Fault })
}

fn settings(migration: &Migration) -> Settings {
    Settings {
        retries: migration.errors.retries,
        settle: migration.errors.settle,
        reconnect_for: migration.errors.reconnect_for,
        max_items: migration.errors.max_items,
        memory: migration.limits.memory,
        connections: connections(migration, |_| CONNECTIONS),
        connections_nearby: connections(migration, usual_nearby),
        connection_worth: CONNECTION_WORTH,
        wave: WAVE,
    }
}

fn only_of(args: &Apply) -> Only {
    args.only.map_or(Only::All, |only| match only {
        OnlyArg::Folders => Only::Folders,
        OnlyArg::Copies => Only::Copies,
        OnlyArg::Flags => Only::Flags,
    })
}

/// How many connections to either side there may be at once, at most; `usual` many where nobody says.
fn connections(migration: &Migration, usual: impl Fn(&Endpoint) -> u16) -> u16 {
    let ends = [&migration.source, &migration.destination];
    let most = ends.map(|end| end.limits.connections.unwrap_or_else(|| usual(end)));
    most.into_iter().min().unwrap_or(1)
}

/// How many are usual where a server is as near as it seems: on this machine no more than there are
/// processors, which it shares with us.
fn usual_nearby(end: &Endpoint) -> u16 {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let processors = u16::try_from(processors).unwrap_or(u16::MAX);
    if is_here(end) { CONNECTIONS.min(processors) } else { CONNECTIONS }
}

/// Tells whether a server is on this machine, or a door to it is.
fn is_here(end: &Endpoint) -> bool {
    let addresses = (end.host.as_str(), end.port).to_socket_addrs();
    addresses.is_ok_and(|mut all| all.any(|address| address.ip().is_loopback()))
}

/// Tells whether a plan has work in sections that were not asked for.
fn leaves_work(only: OnlyArg, totals: &Totals) -> bool {
    let (copies, flags) = (totals.copies > 0, totals.flags > 0);
    match only {
        OnlyArg::Folders => copies || flags,
        OnlyArg::Copies => flags || totals.subscriptions > 0,
        OnlyArg::Flags => totals.creates > 0 || copies || totals.subscriptions > 0,
    }
}

/// How a run ended, by what it did.
fn status_of(applied: &Applied, interrupts: &Interrupts) -> ExitStatus {
    let flags_left = applied.notes.iter().any(|note| note.reason == Reason::FlagsChangedMeanwhile);
    let mut all = vec![ExitStatus::Done];
    match &applied.fatal {
        None => {}
        Some(Fatal::Stopped) => all.push(interrupts.status()),
        Some(Fatal::Store { error, .. }) => {
            let refused = error.is_refused_login();
            all.push(if refused { ExitStatus::LoginRefused } else { ExitStatus::Unavailable });
        }
        Some(Fatal::OtherAccount { .. } | Fatal::OneMailbox(_)) => {
            all.push(ExitStatus::WrongAccount);
        }
        Some(Fatal::Plan(_)) => all.push(ExitStatus::Stale),
        Some(Fatal::TooManyItems(_)) => all.push(ExitStatus::Partial),
        Some(_) => all.push(ExitStatus::Fault),
    }
    for (holds, status) in [
        (applied.stale, ExitStatus::Stale),
        (applied.somebody_else, ExitStatus::Locked),
        (applied.quota, ExitStatus::DestinationFull),
        (!applied.items.is_empty(), ExitStatus::Partial),
        (applied.source_moved_on || flags_left, ExitStatus::NotEqual),
    ] {
        if holds {
            all.push(status);
        }
    }
    ExitStatus::worst_of(all)
}

fn problem_of(fatal: &Fatal, migration: &Migration) -> Option<Problem> {
    match fatal {
        Fatal::Stopped => None,
        Fatal::Store { side, error } => {
            let end = match side {
                Side::Source => &migration.source,
                Side::Destination => &migration.destination,
            };
            Some(pair::store_problem(*side, end, error).0)
        }
        Fatal::State(fault) => Some(pair::state_problem(fault).0),
        Fatal::OneMailbox(_) => Some(pair::one_mailbox_with("fault", fatal.to_string()).0),
        Fatal::OtherAccount { side, detail } => Some(
            Problem::new(format!("the {side} login leads to another account than the plan names"))
                .detail("fault", detail)
                .hint("correct the login, or plan again for this account"),
        ),
        other => Some(
            Problem::new("the run ended before its plan was done")
                .detail("fault", other.to_string())
                .hint("the same plan may be applied again: it goes on where this one stopped"),
        ),
    }
}

fn report_of(
    applied: Applied,
    checked: &Checked,
    migration: &Migration,
    (started, seconds): (Timestamp, u64),
    only: Option<&'static str>,
    status: ExitStatus,
) -> ApplyReport {
    let planned = checked.footer.totals.copies;
    let mut notes: Vec<String> = applied.notes.iter().map(note_text).collect();
    if applied.source_moved_on {
        notes.push(
            "the source moved on since the plan was made: plan again for the rest".to_owned(),
        );
    }
    if applied.sent_again > 0 {
        notes.push(format!(
            "{} sent again after a connection was lost and nothing had arrived",
            report::counted(applied.sent_again, "message was", "messages were")
        ));
    }
    if applied.out_of_order > 0 {
        notes.push(format!(
            "{} copied after ones that go behind them: refused or lost at first, or given later",
            report::counted(applied.out_of_order, "message was", "messages were")
        ));
    }
    ApplyReport {
        plan: checked.header.plan.clone(),
        account: migration.account.clone(),
        only,
        started,
        seconds,
        exit: status.code(),
        copied: Copied {
            messages: applied.copied,
            octets: applied.octets,
            out_of_order: applied.out_of_order,
            of: planned.saturating_sub(applied.found),
        },
        folders: FoldersDone { created: applied.created, subscribed: applied.subscribed },
        flags: FlagsDone { changed: applied.flags_changed },
        deleted: Deleted::default(),
        compression: CompressionDone {
            source: applied.source_compression.map(Into::into),
            destination: applied.destination_compression.map(Into::into),
        },
        left_out: applied.left_out,
        retried: applied.reconnected,
        waited_seconds: applied.waited.as_secs(),
        waited_for: WaitedFor::default(),
        notes,
        items: applied.items,
    }
}

fn waited_for(waited: &Waited) -> WaitedFor {
    WaitedFor {
        source_seconds: waited.source.as_secs(),
        destination_seconds: waited.destination.as_secs(),
        limits_seconds: waited.limits.as_secs(),
    }
}

fn note_text(note: &apply::Note) -> String {
    let messages = report::counted(note.messages, "message", "messages");
    let what = match note.reason {
        Reason::FlagsNotKept => "lose flags that the destination cannot keep",
        Reason::DatesNotKept => "have another date than at the source",
        Reason::FlagsChangedMeanwhile => {
            "had their flags changed meanwhile and were left alone: plan again"
        }
        other => other.as_str(),
    };
    match &note.detail {
        Some(detail) if !detail.is_empty() => {
            format!("{}: {messages} {what} ({detail})", note.folder)
        }
        _ => format!("{}: {messages} {what}", note.folder),
    }
}

//! Runs one command with a stopwatch, and does not believe that it did its work.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeValLike as _;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::Fault;
use crate::session::Ends;
use crate::table::Note;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    ends: Ends,
    /// Where the figures are added
    #[arg(long)]
    notes: PathBuf,
    /// Who runs
    #[arg(long)]
    peer: String,
    /// What it does
    #[arg(long)]
    phase: String,
    /// Which time; 0 is thrown away
    #[arg(long)]
    round: u32,
    /// The folder to run in
    #[arg(long)]
    folder: PathBuf,
    /// Where it prints to
    #[arg(long)]
    log: PathBuf,
    /// Seconds that it may take
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Runs it, and notes what it took. A command that fails, or leaves other counts at the destination than
/// at the source, is noted as broken, and is a fault.
pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    let (program, rest) = args.command.split_first().ok_or("no command")?;
    let log = File::create(&args.log)?;
    let mut command = Command::new(program);
    command.args(rest).current_dir(&args.folder).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    let began = Instant::now();
    let mut child = command.spawn().map_err(|fault| format!("{program}: {fault}"))?;
    let (ended, watched) = channel::<()>();
    let (limit, pid) = (Duration::from_secs(args.limit), i32::try_from(child.id())?);
    let watcher = thread::spawn(move || {
        let late = watched.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        if let (true, Some(pid)) = (late, Pid::from_raw(pid)) {
            // It may have ended by itself just now.
            let _killed = kill_process(pid, Signal::KILL);
        }
        late
    });
    let status = child.wait()?;
    let wall = began.elapsed();
    drop(ended);
    let late = watcher.join().map_err(|_| "the watcher has died")?;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let fault = if late {
        Some(format!("not done after {} seconds", args.limit))
    } else if status.success() {
        difference(&args.ends)?
    } else {
        Some(status.to_string())
    };
    let cpu = used.user_time() + used.system_time();
    let note = Note {
        peer: args.peer.clone(),
        phase: args.phase.clone(),
        round: args.round,
        wall_us: u64::try_from(wall.as_micros())?,
        cpu_us: u64::try_from(cpu.num_microseconds())?,
        memory_kib: u64::try_from(used.max_rss())?,
        whole: fault.is_none(),
    };
    let mut notes = OpenOptions::new().create(true).append(true).open(&args.notes)?;
    writeln!(notes, "{}", note.line())?;
    println!("{note}");
    match fault {
        None => Ok(()),
        Some(fault) => {
            Err(format!("{} is broken: {fault}; it said:\n{}", args.peer, tail(&args.log)).into())
        }
    }
}

/// Compares both sides folder by folder.
fn difference(ends: &Ends) -> Result<Option<String>, Fault> {
    let (wanted, found) = (ends.source()?.counts()?, ends.destination()?.counts()?);
    if wanted.is_empty() {
        return Ok(Some("there is no mail at the source".to_owned()));
    }
    let names = wanted.keys().chain(found.keys());
    let differs = names.filter(|name| wanted.get(*name) != found.get(*name)).map(|name| {
        let count = |counts: &std::collections::BTreeMap<String, u64>| {
            counts.get(name).copied().unwrap_or(0)
        };
        format!(
            "{name} has {} messages at the source and {} at the destination",
            count(&wanted),
            count(&found)
        )
    });
    Ok(differs.into_iter().next())
}

fn tail(log: &std::path::Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
}

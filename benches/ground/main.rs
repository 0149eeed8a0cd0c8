//! The tools of `scripts/bench.sh`: sample mail, a proxy that delays, a floor to compare with, a
//! stopwatch that checks what was copied, a table. `docs/performance.md` says what they are for.
//!
//! It shares no code with the program, so that a fault there cannot flatter itself.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own, run by a script"
)]

mod certificate;
mod chance;
mod corpus;
mod floor;
mod line;
mod maildir;
mod measure;
mod proxy;
mod session;
mod table;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// What went wrong, for people.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The tools of scripts/bench.sh
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    tool: Option<Tool>,
    /// Given by `cargo bench`, which runs every bench target; there is nothing to do then
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Tool {
    /// Write sample mail as a maildir; the same seed gives the same octets
    Corpus(maildir::Corpus),
    /// Make a certificate for 127.0.0.1, its key, and the certificate of who signed it: ca.pem, cert.pem, key.pem
    Certificate {
        /// Where
        folder: PathBuf,
    },
    /// Delay and slow down connections to a server until standard input ends
    Proxy(proxy::Args),
    /// Copy everything as fast as the servers allow, without state and without any safety
    Floor(floor::Args),
    /// Run a command, note what it took, and compare the counts of both sides afterwards
    Measure(measure::Args),
    /// Print medians and ratios of what was noted
    Table {
        /// The notes
        notes: PathBuf,
    },
}

fn main() -> ExitCode {
    let Cli { tool, bench: _ } = Cli::parse();
    let Some(tool) = tool else {
        println!(
            "These are the tools of scripts/bench.sh: run that, or call one of them with --help."
        );
        return ExitCode::SUCCESS;
    };
    let done = match &tool {
        Tool::Corpus(wanted) => maildir::write(wanted),
        Tool::Certificate { folder } => certificate::make(folder),
        Tool::Proxy(args) => proxy::serve(args),
        Tool::Floor(args) => floor::run(args),
        Tool::Measure(args) => measure::run(args),
        Tool::Table { notes } => table::print(notes),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

//! The command line: arguments, one file for each command, and the wiring of adapters.
//!
//! # Never
//!
//! * Never decides what is migrated: that is the manifest's and the planner's.

mod apply;
mod args;
mod ends;
mod exit;
mod failed;
mod limits;
mod output;
mod pair;
mod plan;
mod progress;
mod schema;
mod show;
mod signals;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

pub use exit::ExitStatus;

use crate::cli::args::{Cli, Command};
use crate::cli::output::Output;

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing can be done about a closed stdout.
            let _ = error.print();
            return if asked { ExitStatus::Done } else { ExitStatus::Usage }.into();
        }
    };
    output::start_log(cli.verbose);
    let mut output = Output::new();
    let status = match cli.command {
        Command::Validate(args) => validate::run(&args, &mut output),
        Command::Schema(args) => schema::run(&args, &mut output),
        Command::Plan(args) => plan::run(&args, &mut output),
        Command::Show(args) => show::run(&args, &mut output),
        Command::Apply(args) => apply::run(&args, &mut output),
        Command::Verify(args) => verify::run(&args, &mut output),
    };
    status.into()
}

//! Where output goes: stdout for what was asked for, stderr for the rest.

use std::env;
use std::io;
use std::io::IsTerminal as _;
use std::io::Write;

use tracing_subscriber::EnvFilter;

use crate::report::{Colour, Document, Problem, Screen, write_json};

/// Columns where it is not a terminal, or a narrow one.
const COLUMNS: usize = 80;

/// Columns beyond which nothing gets easier to read.
const COLUMNS_MAX: usize = 120;

/// Both streams and what is known of them.
pub(super) struct Output {
    stdout: Screen,
    stderr: Screen,
}

impl Output {
    pub(super) fn new() -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let screen = |is_terminal: bool| Screen {
            width: if is_terminal { columns() } else { COLUMNS },
            colour: if is_terminal && !plain && !dumb { Colour::Always } else { Colour::Never },
            zone: None,
        };
        Self {
            stdout: screen(io::stdout().is_terminal()),
            stderr: screen(io::stderr().is_terminal()),
        }
    }

    /// What stderr is.
    pub(super) fn stderr_screen(&self) -> Screen {
        self.stderr.clone()
    }

    /// Tells whether stdout shows colours.
    pub(super) fn stdout_is_coloured(&self) -> bool {
        self.stdout.colour == Colour::Always
    }

    /// Tells whether stderr shows colours.
    pub(super) fn stderr_is_coloured(&self) -> bool {
        self.stderr.colour == Colour::Always
    }

    /// Writes to stdout. A reader that went away ends the output and nothing else.
    pub(super) fn print(
        &self,
        write: impl FnOnce(&mut dyn Write, &Screen) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        quietly(write(&mut stdout, &self.stdout).and_then(|()| stdout.flush()))
    }

    /// Writes a text to stdout.
    pub(super) fn text(&self, text: &str) -> io::Result<()> {
        self.print(|out, _| out.write_all(text.as_bytes()))
    }

    /// Writes a JSON document to stdout.
    pub(super) fn json(&self, document: &Document) -> io::Result<()> {
        self.print(|out, _| write_json(out, document))
    }

    /// Writes to stderr. Nothing can be done where that fails.
    pub(super) fn tell(&self, write: impl FnOnce(&mut dyn Write, &Screen) -> io::Result<()>) {
        let mut stderr = io::stderr().lock();
        let _ = write(&mut stderr, &self.stderr);
    }

    /// Tells a fault on stderr.
    pub(super) fn problem(&self, problem: &Problem) {
        self.tell(|out, screen| problem.write(out, screen));
    }
}

fn quietly(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Columns of the terminal as the shell tells them.
fn columns() -> usize {
    let told = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let asked = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    told.or_else(asked).map_or(COLUMNS, |columns: usize| columns.clamp(COLUMNS, COLUMNS_MAX))
}

/// Sends what modules log to stderr, as much as was asked for. It holds no secrets and no mail.
pub(super) fn start_log(verbose: u8) {
    // Faults are told by screens; what libraries log of them on the way is for those who ask.
    let level = match verbose {
        0 => "mailferry=warn",
        1 => "mailferry=debug,warn",
        _ => "mailferry=trace,warn",
    };
    let filter = env::var("MAILFERRY_LOG").unwrap_or_else(|_| level.to_owned());
    let started = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
    // Only a second start in one process fails, and then the first one counts.
    drop(started);
}

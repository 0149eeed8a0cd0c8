//! `mailferry validate`: all faults of a manifest at once; contacts nobody.

use std::env;
use std::path::Path;

use crate::cli::args::{Validate, Values};
use crate::cli::exit::ExitStatus;
use crate::cli::failed::Kind;
use crate::cli::output::Output;
use crate::mail::Timestamp;
use crate::manifest;
use crate::manifest::render;
use crate::manifest::{Fault, LoadRequest, Loaded, Place};
use crate::report::Problem;

pub(super) fn run(args: &Validate, output: &mut Output) -> ExitStatus {
    let loaded = match load(&args.manifest, &args.values, now(), Kind::Text, output) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let text = if args.resolved {
        loaded.resolved_toml()
    } else {
        render::valid(&loaded, colour(output.stdout_is_coloured()))
    };
    if output.text(&text).is_ok() { ExitStatus::Done } else { ExitStatus::Fault }
}

/// Loads a manifest, or tells every fault of it, as a document too where one was asked for.
pub(super) fn load(
    path: &Path,
    values: &Values,
    now: Timestamp,
    kind: Kind,
    output: &Output,
) -> Result<Loaded, ExitStatus> {
    let env = env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let request = LoadRequest { path: path.to_owned(), env, set: values.set.clone(), now };
    manifest::load(&request).map_err(|faults| {
        let text = render::faults(&faults, colour(output.stderr_is_coloured()));
        output.tell(|out, _| out.write_all(text.as_bytes()));
        let problems = faults.faults.iter().map(problem).collect();
        kind.print(problems, ExitStatus::ManifestInvalid, output)
    })
}

fn problem(fault: &Fault) -> Problem {
    let place = match &fault.place {
        Place::File { file, spot: Some(spot) } => format!("{file}:{}:{}", spot.line, spot.column),
        other => other.name(),
    };
    let hints = fault.label.iter().chain(&fault.hints);
    hints.fold(Problem::new(&*fault.message).detail("place", place), Problem::hint)
}

/// The time now.
pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(jiff::Timestamp::now().as_second())
}

fn colour(coloured: bool) -> render::Colour {
    if coloured { render::Colour::Always } else { render::Colour::Never }
}

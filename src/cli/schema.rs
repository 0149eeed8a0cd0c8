//! `mailferry schema`: prints a JSON Schema.

use crate::cli::args::{Schema, SchemaOf};
use crate::cli::exit::ExitStatus;
use crate::cli::output::Output;
use crate::manifest;
use crate::plan;
use crate::report;

pub(super) fn run(args: &Schema, output: &mut Output) -> ExitStatus {
    let schema = match args.of {
        SchemaOf::Manifest => manifest::schema(),
        SchemaOf::Plan => schemars::schema_for!(plan::Line),
        SchemaOf::Report => report::document_schema(),
    };
    let printed = output.print(|out, _| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        writeln!(out)
    });
    if printed.is_ok() { ExitStatus::Done } else { ExitStatus::Fault }
}

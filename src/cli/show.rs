//! `mailferry show`: a saved plan, for people and machines.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;

use crate::cli::args::{Detail, Show};
use crate::cli::exit::ExitStatus;
use crate::cli::failed::{Failed, Kind};
use crate::cli::output::Output;
use crate::plan;
use crate::plan::{Line, PlanFault, PlanLines};
use crate::report;
use crate::report::model::PlanReport;
use crate::report::{Body, Document, Overview, Problem, ShowDetail, ShowFault};

pub(super) fn run(args: &Show, output: &mut Output) -> ExitStatus {
    let kind = Kind::Show.if_json(args.json);
    let path = args.plan.display().to_string();
    if let Err(fault) = open(&args.plan) {
        return cannot_open(&path, &fault).tell(kind, output);
    }
    let shown = if args.check {
        check(&args.plan).and_then(|()| {
            let name = report::escape(&path);
            Ok(output.text(&format!("{name} is whole. Nothing was changed.\n"))?)
        })
    } else if args.json {
        json(args, &path, output)
    } else {
        let detail = match args.detail {
            Detail::Summary => ShowDetail::Summary,
            Detail::Folders => ShowDetail::Folders,
            Detail::Messages => ShowDetail::Messages,
        };
        output_of(args, &path, detail, output)
    };
    match shown {
        Ok(()) => ExitStatus::Done,
        Err(ShowFault::Plan(fault)) => {
            let problem = Problem::of_plan(&path, &fault);
            output.problem(&problem);
            kind.print(vec![problem], ExitStatus::Stale, output)
        }
        Err(_) => ExitStatus::Fault,
    }
}

/// A file that is not there, or not for us.
pub(super) fn cannot_open(path: &str, fault: &io::Error) -> Failed {
    let problem = Problem::new("the file cannot be opened")
        .detail("file", path)
        .detail("fault", fault.to_string())
        .hint("make a plan first: mailferry plan -o FILE");
    Failed { problem, status: ExitStatus::Usage }
}

fn output_of(
    args: &Show,
    path: &str,
    detail: ShowDetail,
    output: &Output,
) -> Result<(), ShowFault> {
    let mut fault = None;
    let printed = output.print(|out, screen| {
        let shown = report::show(out, screen, path, detail, &mut || open(&args.plan));
        match shown {
            Ok(()) => Ok(()),
            Err(ShowFault::Output(error)) => Err(error),
            Err(other) => {
                fault = Some(other);
                Ok(())
            }
        }
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(printed?),
    }
}

fn json(args: &Show, path: &str, output: &Output) -> Result<(), ShowFault> {
    check(&args.plan)?;
    let overview = Overview::read(lines(&args.plan)?)?;
    let mut accounts = PlanReport::of(&overview, ExitStatus::Done.code(), Some(path), &[]);
    if matches!(args.detail, Detail::Messages) {
        let mut actions = Vec::new();
        let mut lines = lines(&args.plan)?;
        while let Some(line) = lines.next_line()? {
            if let Line::Action(action) = line {
                actions.push(action);
            }
        }
        if let Some(account) = accounts.first_mut() {
            account.actions = Some(actions);
        }
    }
    let body = Body::new(ExitStatus::Done.code(), Vec::new(), accounts);
    Ok(output.json(&Document::Show(body))?)
}

fn check(path: &Path) -> Result<(), ShowFault> {
    let mut file = open(path).map_err(PlanFault::Io)?;
    plan::check(&mut *file)?;
    Ok(())
}

fn lines(path: &Path) -> Result<PlanLines<Box<dyn BufRead>>, PlanFault> {
    PlanLines::new(open(path).map_err(PlanFault::Io)?)
}

/// Opens a plan file from its beginning.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(Box::new(BufReader::with_capacity(128 * 1024, File::open(path)?)))
}

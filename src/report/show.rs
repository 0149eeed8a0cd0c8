//! A saved plan, shown: summary, folders or every action.

use std::io;
use std::io::BufRead;
use std::io::Write;

use crate::plan::check;
use crate::plan::{PlanFault, PlanLines};
use crate::report::next::Next;
use crate::report::overview::Overview;
use crate::report::plan_screen::{PlanView, Saved, heading, notes, sentence, table};
use crate::report::screen::{Screen, Symbol};
use crate::report::show_messages::{Headings, messages};
use crate::report::text::{count, counted, escape, size};

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowDetail {
    /// The table of folders.
    Summary,
    /// Counts by folder.
    Folders,
    /// Every action.
    Messages,
}

/// Why a plan could not be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShowFault {
    /// The plan is not whole.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// Output cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Shows a saved plan. `open` opens the file from its beginning: it is read once for the summary and,
/// for [`ShowDetail::Messages`], once more.
///
/// # Errors
///
/// [`ShowFault`]: the plan is not whole, or output cannot be written.
pub fn show(
    out: &mut dyn Write,
    screen: &Screen,
    path: &str,
    detail: ShowDetail,
    open: &mut dyn FnMut() -> io::Result<Box<dyn BufRead>>,
) -> Result<(), ShowFault> {
    let mut opened = || open().map_err(PlanFault::Io);
    let checked = check(&mut *opened()?)?;
    let overview = Overview::read(PlanLines::new(opened()?)?)?;
    let header = &checked.header;
    writeln!(
        out,
        "Plan {} of {}, digest verified, by {}",
        escape(&header.plan.0),
        screen.date_time(header.time),
        escape(&header.program),
    )?;
    writeln!(out)?;
    match detail {
        ShowDetail::Summary => {
            heading(out, screen, &overview)?;
            writeln!(out)?;
            table(&overview).write(out, screen)?;
            writeln!(out)?;
            let view = PlanView { overview: &overview, saved: Saved::In(path), notes: &[] };
            notes(out, screen, &view)?;
        }
        ShowDetail::Folders => folders(out, screen, &overview)?,
        ShowDetail::Messages => {
            messages(out, screen, &overview, &mut || Ok(PlanLines::new(opened()?)?))?;
        }
    }
    sentence(out, screen, &overview)?;
    let next = Next { manifest: &header.manifest, plan: Some(path) };
    writeln!(out, "Nothing was changed. Next: {}", next.apply())?;
    Ok(())
}

fn folders(out: &mut dyn Write, screen: &Screen, overview: &Overview) -> io::Result<()> {
    let mut headings = Headings::new(overview);
    for pair in &overview.pairs {
        headings.of(out, screen, pair)?;
        let counts = &pair.counts;
        let copies = format!("{}   {}", messages_of(counts.copies), size(counts.octets));
        let lines = [
            (Symbol::Equal, counts.equal, messages_of(counts.equal)),
            (Symbol::Added, counts.copies, copies),
            (Symbol::Changed, counts.flags, format!("flags of {}", messages_of(counts.flags))),
            (Symbol::LeftOut, counts.skipped, messages_of(counts.skipped)),
            (Symbol::Wrong, counts.blocked, format!("{} blocked", count(counts.blocked))),
            (
                Symbol::Note,
                counts.extra,
                format!("{} only at the destination", messages_of(counts.extra)),
            ),
        ];
        for (symbol, _, line) in lines.iter().filter(|(_, number, _)| *number > 0) {
            write!(out, "  ")?;
            screen.symbol(out, *symbol)?;
            writeln!(out, "{line}")?;
        }
        writeln!(out)?;
    }
    headings.rest(out, screen)
}

fn messages_of(number: u64) -> String {
    counted(number, "message", "messages")
}

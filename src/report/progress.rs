//! Progress of an `apply` without a terminal: a line for each folder, fault and minute.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use crate::mail::Timestamp;
use crate::report::model::ApplyEvent;
use crate::report::problem::hanging;
use crate::report::screen::{Screen, Symbol};
use crate::report::text::{count, counted, duration, escape, estimate, rate, size};
use crate::state::Item;

/// How often progress is told.
const LINE_EVERY_SECONDS: u64 = 60;

/// Writes time-stamped lines as an `apply` goes on. A rate is only told once it is measured over a
/// whole minute, and time left only from such a rate.
pub struct ProgressLines<W> {
    out: W,
    screen: Screen,
    messages: u64,
    octets: u64,
    /// When sending began, in seconds of the run, and when the last line of progress was written.
    clock: Option<(u64, u64)>,
}

impl<W: Write> ProgressLines<W> {
    /// Writes to `out`, with times in the zone of `screen`.
    #[must_use]
    pub const fn new(out: W, screen: Screen) -> Self {
        Self { out, screen, messages: 0, octets: 0, clock: None }
    }

    /// Tells what happened at `now`, so many seconds of the monotonic clock after the run began.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn tell(
        &mut self,
        now: Timestamp,
        run_seconds: u64,
        event: &ApplyEvent<'_>,
    ) -> io::Result<()> {
        let text = match *event {
            ApplyEvent::Started { plan, messages, octets } => {
                (self.messages, self.octets) = (messages, octets);
                let copies = counted(messages, "message", "messages");
                format!("plan {plan}: {copies}, {}, 0 deletions", size(octets))
            }
            ApplyEvent::Folder { name, messages, octets } => {
                let copies = counted(messages, "message", "messages");
                format!("{name}: copying {copies}, {}", size(octets))
            }
            ApplyEvent::Advanced { messages, octets, sent_octets } => {
                let Some(text) = self.advanced(run_seconds, messages, octets, sent_octets) else {
                    return Ok(());
                };
                text
            }
            ApplyEvent::Item(item) => item_line(item),
            ApplyEvent::Waiting { seconds, why } => {
                format!("waiting {}: {why}", duration(seconds))
            }
            ApplyEvent::Note(text) => format!("i {text}"),
            ApplyEvent::FolderDone { name, copied, items } => {
                let items = match items {
                    0 => String::new(),
                    items => format!(", {}", counted(items, "item", "items")),
                };
                format!("{name}: done, {} copied{items}", count(copied))
            }
            ApplyEvent::Finished { exit } => format!("finished, exit {exit}"),
        };
        let label = format!("{} ", self.screen.clock(now));
        hanging(&mut self.out, &label, &text, usize::MAX)?;
        self.out.flush()
    }

    /// The line of the minute; nothing before a minute is over.
    fn advanced(
        &mut self,
        run_seconds: u64,
        messages: u64,
        octets: u64,
        sent_octets: u64,
    ) -> Option<String> {
        let (began, last) = *self.clock.get_or_insert((run_seconds, run_seconds));
        if run_seconds.saturating_sub(last) < LINE_EVERY_SECONDS {
            return None;
        }
        self.clock = Some((began, run_seconds));
        let mut text = format!(
            "{} of {}, {} of {}",
            count(messages),
            counted(self.messages, "message", "messages"),
            size(octets),
            size(self.octets),
        );
        let measured = sent_octets / run_seconds.saturating_sub(began).max(1);
        let left = self.octets.saturating_sub(octets);
        if let Some(seconds) = left.checked_div(measured) {
            let _ = write!(text, ", {}, {} left", rate(measured), estimate(seconds));
        }
        Some(text)
    }
}

fn item_line(item: &Item) -> String {
    let mut text = format!("{} {}", Symbol::of_item(item.reason).as_char(), item.folder);
    if let Some(uid) = item.uid {
        let _ = write!(text, " {uid}");
    }
    let _ = write!(text, " {}", item.reason);
    if let Some(said) = &item.said {
        let _ = write!(text, ": {}", escape(said));
    }
    text
}

//! What a run tells on stderr while it goes on.

use std::io;

use crate::apply::{Event, Watch};
use crate::cli::exit::ExitStatus;
use crate::cli::validate;
use crate::report::model::ApplyEvent;
use crate::report::{ProgressLines, Screen};
use crate::session::Clock;

/// Turns events of a run into lines.
pub(super) struct Progress<'a> {
    lines: ProgressLines<io::Stderr>,
    clock: &'a dyn Clock,
    messages: u64,
    octets: u64,
    sent_octets: u64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(screen: Screen, clock: &'a dyn Clock) -> Self {
        let lines = ProgressLines::new(io::stderr(), screen);
        Self { lines, clock, messages: 0, octets: 0, sent_octets: 0 }
    }

    pub(super) fn finished(&mut self, status: ExitStatus) {
        self.tell(&ApplyEvent::Finished { exit: status.code() });
    }

    fn tell(&mut self, event: &ApplyEvent<'_>) {
        // Nothing can be done about a closed stderr, and nothing hangs on it.
        let _ = self.lines.tell(validate::now(), self.clock.elapsed().as_secs(), event);
    }

    fn advanced(&mut self) {
        let (messages, octets, sent_octets) = (self.messages, self.octets, self.sent_octets);
        self.tell(&ApplyEvent::Advanced { messages, octets, sent_octets });
    }
}

impl Watch for Progress<'_> {
    fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Started { plan, totals } => {
                let (messages, octets) = (totals.copies, totals.octets);
                self.tell(&ApplyEvent::Started { plan, messages, octets });
            }
            Event::Folder { source, messages, octets } => {
                self.tell(&ApplyEvent::Folder { name: source, messages, octets });
            }
            Event::Found { messages, octets } => {
                self.messages += messages;
                self.octets += octets;
                self.advanced();
            }
            Event::Copied { octets } => {
                self.messages += 1;
                self.octets += octets;
                self.sent_octets += octets;
                self.advanced();
            }
            Event::Item(item) => self.tell(&ApplyEvent::Item(item)),
            Event::FolderDone { source, copied, items } => {
                self.tell(&ApplyEvent::FolderDone { name: source, copied, items });
            }
            Event::Reconnecting { side, why, after } => {
                let text = format!("the {side} was lost ({why}); connecting again");
                self.tell(&ApplyEvent::Note(&text));
                if after.as_secs() > 0 {
                    self.tell(&ApplyEvent::Waiting {
                        seconds: after.as_secs(),
                        why: "before connecting again",
                    });
                }
            }
            Event::Waiting { why, time } => {
                self.tell(&ApplyEvent::Waiting { seconds: time.as_secs().max(1), why });
            }
        }
    }
}

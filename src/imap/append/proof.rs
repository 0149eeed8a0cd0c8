//! What a server has accepted on this connection, so that it may go without waiting.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::imap::append::probe::Asked;
use crate::imap::known::Kept;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::WireName;

/// Written length of a date-time with its quotes (RFC 9051 §9).
const DATE_OCTETS: usize = 28;

/// What was accepted. Lives as long as the connection: the next one may lead to another backend.
#[derive(Debug, Default)]
pub(in crate::imap) struct Proof {
    mailboxes: BTreeSet<WireName>,
    flags: BTreeSet<String>,
    dates: BTreeSet<DateKind>,
    probed: bool,
    /// Probes have shown that their answers prove something.
    probes_prove: bool,
    dates_asked: bool,
    /// Appends of nothing that were stored, which is known of the server and not of the connection.
    kept: Arc<Kept>,
    /// Flags that were asked about by a probe, whatever was said.
    flags_asked: BTreeSet<String>,
    /// Whether [trials](super::trial) prove anything, once that is known.
    trials_prove: Option<bool>,
    /// Flags that were refused in a trial.
    flags_tried: BTreeSet<String>,
}

/// What sets one date apart from another for a server's parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DateKind {
    /// No date.
    Absent,
    /// A date.
    Present {
        /// The zone is west of UTC.
        west: bool,
    },
}

/// The parts of a line that count for proof, besides the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    flags: FlagSet,
    date: DateKind,
}

impl Line {
    pub(super) fn new(flags: &FlagSet, date: DateKind) -> Self {
        Self { flags: flags.clone(), date }
    }

    /// Tells whether it has a flag in just this spelling.
    fn has_spelled(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own.as_str() == flag)
    }
}

impl DateKind {
    /// The kind of a date as it is written, with its quotes; nothing for what is no date: that never
    /// gets into a line.
    pub(super) fn of(date: Option<&str>) -> Option<Self> {
        let Some(date) = date else { return Some(Self::Absent) };
        let octets = date.as_bytes();
        let shape = b"\"99-Aaa-9999 99:99:99 +9999\"";
        let fits = octets.len() == DATE_OCTETS
            && octets.iter().zip(shape).enumerate().all(|(at, (octet, shape))| match shape {
                b'9' => octet.is_ascii_digit(),
                b'A' => octet.is_ascii_uppercase(),
                b'a' => octet.is_ascii_lowercase(),
                // The colons, blanks, dashes and quotes are themselves; only the zone has a choice.
                b'+' if at == 22 => matches!(octet, b'+' | b'-'),
                same => octet == same,
            });
        fits.then(|| Self::Present { west: octets[22] == b'-' })
    }
}

impl Proof {
    /// Notes that a command with this mailbox's octets was answered OK: CREATE, STATUS, EXAMINE.
    pub(in crate::imap) fn accept_mailbox(&mut self, name: &WireName) {
        self.mailboxes.insert(name.clone());
    }

    /// Notes that these flags were accepted in another command than APPEND.
    pub(super) fn accept_flags(&mut self, flags: &FlagSet) {
        self.flags.extend(flags.iter().map(|flag| flag.as_str().to_owned()));
    }

    /// Notes that these flags were refused in another command than APPEND: they prove themselves.
    pub(super) fn note_tried(&mut self, flags: &FlagSet) {
        self.flags_tried.extend(flags.iter().map(|flag| flag.as_str().to_owned()));
    }

    /// The flags that are proved, or were refused in a trial.
    pub(super) fn flags_not_to_try(&self) -> BTreeSet<String> {
        self.flags.union(&self.flags_tried).cloned().collect()
    }

    pub(super) const fn note_trials(&mut self, they_prove: bool) {
        self.trials_prove = Some(they_prove);
    }

    pub(super) const fn trials_prove(&self) -> Option<bool> {
        self.trials_prove
    }

    pub(super) fn accept(&mut self, folder: &WireName, line: &Line) {
        self.accept_mailbox(folder);
        self.accept_flags(&line.flags);
        self.dates.insert(line.date);
    }

    pub(super) fn covers(&self, folder: &WireName, line: &Line) -> bool {
        self.covers_with(&[], folder, line)
    }

    /// Tells whether a line is covered once these are accepted, too.
    pub(super) fn covers_with(
        &self,
        more: &[(&WireName, &Line)],
        folder: &WireName,
        line: &Line,
    ) -> bool {
        let is_new = |flag: &str| !more.iter().any(|(_, other)| other.has_spelled(flag));
        (self.mailboxes.contains(folder) || more.iter().any(|(other, _)| *other == folder))
            && (self.dates.contains(&line.date)
                || more.iter().any(|(_, other)| other.date == line.date))
            && line
                .flags
                .iter()
                .map(Flag::as_str)
                .all(|flag| self.flags.contains(flag) || !is_new(flag))
    }

    /// What is to be asked next before the first message goes: each once in a connection, and nothing once
    /// a probe was stored.
    pub(in crate::imap) fn begin_probes(&mut self) -> Option<Asked> {
        if self.begin_probing() {
            Some(Asked::First)
        } else {
            (self.trusts_probes() && self.begin_dates()).then_some(Asked::Dates)
        }
    }

    /// Tells whether probes are due, which they are once in a connection, as long as none was stored.
    pub(super) fn begin_probing(&mut self) -> bool {
        !self.kept.was_any() && !std::mem::replace(&mut self.probed, true)
    }
}

impl Proof {
    /// Nothing is known, but of appends of nothing.
    pub(in crate::imap) fn with(kept: Arc<Kept>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Lets probes be due once more.
    pub(super) const fn probe_again(&mut self) {
        self.probed = false;
    }

    /// Lets dates be asked about once more.
    pub(super) const fn ask_dates_again(&mut self) {
        self.dates_asked = false;
    }

    /// Notes that what the server says to probes proves something.
    pub(super) const fn trust_probes(&mut self) {
        self.probes_prove = true;
    }

    pub(super) fn trusts_probes(&self) -> bool {
        self.probes_prove && !self.kept.was_any()
    }

    /// Appends of nothing that were stored.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Tells whether dates were not asked about yet.
    pub(super) const fn lacks_dates(&self) -> bool {
        !self.dates_asked
    }

    /// Tells whether dates are to be asked about, which they are once in a connection.
    pub(super) const fn begin_dates(&mut self) -> bool {
        !std::mem::replace(&mut self.dates_asked, true)
    }

    /// Tells whether a flag among these is neither proved nor was asked about.
    pub(super) fn is_to_be_asked(&self, flags: &FlagSet) -> bool {
        flags.iter().any(|flag| {
            !self.flags.contains(flag.as_str()) && !self.flags_asked.contains(flag.as_str())
        })
    }

    pub(super) fn asked(&mut self, flags: &FlagSet) {
        self.flags_asked.extend(flags.iter().map(|flag| flag.as_str().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::InternalDate;
    use crate::mail::Timestamp;

    #[test]
    fn every_date_that_is_ever_written_has_its_kind() {
        let now = Timestamp::from_seconds(2_000_000_000);
        for seconds in (40_000_000..2_000_000_000).step_by(7_777_777) {
            for zone in [-720, -1, 0, 330, 840] {
                let date = InternalDate::new(Timestamp::from_seconds(seconds), zone);
                let written = date.to_append(now).unwrap();
                let expected = DateKind::Present { west: zone < 0 };
                assert_eq!(DateKind::of(Some(&written)), Some(expected), "{written}");
            }
        }
    }

    #[test]
    fn what_is_no_date_has_none() {
        assert_eq!(DateKind::of(None), Some(DateKind::Absent));
        for text in [
            "",
            "01-Feb-2020 00:00:00 +0000",
            "\"01-Feb-2020 00:00:00 +0000",
            "\"01-Feb-2020 00:00:00 +0000\" ",
            "\" 1-Feb-2020 00:00:00 +0000\"",
            "\"01-Feb-2020 00:00:00\r\n0000\"",
            "\"1x-Feb-2020 00:00:00 +0000\"",
            "\"01-FEB-2020 00:00:00 +0000\"",
            "\"01-Feb-2020 00-00-00 +0000\"",
        ] {
            assert_eq!(DateKind::of(Some(text)), None, "{text}");
        }
    }

    #[test]
    fn each_part_of_a_line_has_to_be_proved() {
        let (inbox, other) = (WireName::new(*b"INBOX"), WireName::new(*b"Inbox"));
        let line = |flags: &str, date| {
            let flags = flags.split_whitespace();
            let flags = flags.filter_map(|flag| crate::mail::Flag::from_wire(flag.as_bytes()));
            Line::new(&flags.collect(), date)
        };
        let dated = DateKind::Present { west: false };
        let mut proof = Proof::default();
        proof.accept(&inbox, &line("\\Seen $A", dated));
        proof.accept(&inbox, &line("\\Draft", DateKind::Absent));
        assert!(proof.covers(&inbox, &line("\\Draft $A", dated)));
        assert!(proof.covers(&inbox, &line("", DateKind::Absent)));
        assert!(!proof.covers(&inbox, &line("$a", dated)), "another spelling");
        assert!(!proof.covers(&inbox, &line("\\Flagged", dated)));
        let west = DateKind::Present { west: true };
        assert!(!proof.covers(&inbox, &line("", west)));
        assert!(!proof.covers(&other, &line("", dated)));
        proof.accept_mailbox(&other);
        assert!(proof.covers(&other, &line("", dated)));
    }
}

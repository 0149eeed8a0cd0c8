//! What is known of the place that is written to, and the symbols of the first column.

use std::io;
use std::io::Write;

use anstyle::AnsiColor;
use anstyle::Style;
use jiff::tz::TimeZone;

use crate::mail::Timestamp;
use crate::plan::Reason;

/// Narrowest screen that is written for.
const WIDTH_MIN: usize = 40;

/// Whether the first column is coloured. Colour repeats the symbol and adds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text: no terminal, or `NO_COLOR`.
    Never,
    /// A terminal that shows colours.
    Always,
}

/// Where output for people goes.
#[derive(Clone, Debug)]
pub struct Screen {
    /// Columns: 80 where it is not a wider terminal.
    pub width: usize,
    /// Colour of symbols.
    pub colour: Colour,
    /// Zone that times are shown in; local time if none is given. To know the local one costs a look at
    /// the whole database of zones, so it is only looked for when a time is shown.
    pub zone: Option<TimeZone>,
}

impl Screen {
    /// Not a terminal: 80 columns, no colour, local time.
    #[must_use]
    pub fn plain() -> Self {
        Self { width: 80, colour: Colour::Never, zone: None }
    }

    /// Columns that may be used, never fewer than what a table needs.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.width.max(WIDTH_MIN)
    }

    /// Local date and time to the minute; `-` for one that no calendar has.
    #[must_use]
    pub fn date_time(&self, time: Timestamp) -> String {
        self.local(time, "%Y-%m-%d %H:%M")
    }

    /// Local date.
    #[must_use]
    pub fn date(&self, time: Timestamp) -> String {
        self.local(time, "%Y-%m-%d")
    }

    /// Local time of day.
    #[must_use]
    pub fn clock(&self, time: Timestamp) -> String {
        self.local(time, "%H:%M:%S")
    }

    fn local(&self, time: Timestamp, form: &str) -> String {
        let zone = self.zone.clone().unwrap_or_else(TimeZone::system);
        jiff::Timestamp::from_second(time.seconds())
            .map_or_else(|_| "-".to_owned(), |time| time.to_zoned(zone).strftime(form).to_string())
    }

    /// Writes the symbol of a line and a blank.
    pub(super) fn symbol(&self, out: &mut dyn Write, symbol: Symbol) -> io::Result<()> {
        match (self.colour, symbol.style()) {
            (Colour::Always, Some(style)) => {
                write!(out, "{style}{}{style:#} ", symbol.as_char())
            }
            _ => write!(out, "{} ", symbol.as_char()),
        }
    }
}

/// The first column of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symbol {
    /// `!`: blocked or wrong.
    Wrong,
    /// `+`: copied or created.
    Added,
    /// `~`: changed.
    Changed,
    /// `=`: equal.
    Equal,
    /// `.`: left out by rule.
    LeftOut,
    /// `i`: worth knowing.
    Note,
}

impl Symbol {
    /// The character.
    #[must_use]
    pub const fn as_char(self) -> char {
        match self {
            Self::Wrong => '!',
            Self::Added => '+',
            Self::Changed => '~',
            Self::Equal => '=',
            Self::LeftOut => '.',
            Self::Note => 'i',
        }
    }

    const fn style(self) -> Option<Style> {
        let colour = match self {
            Self::Wrong => AnsiColor::Red,
            Self::Added => AnsiColor::Green,
            Self::Changed => AnsiColor::Yellow,
            Self::Note => AnsiColor::Cyan,
            Self::Equal | Self::LeftOut => return None,
        };
        Some(Style::new().fg_color(Some(anstyle::Color::Ansi(colour))))
    }

    /// The symbol of something that was not done: by rule, only worth knowing, or in need of a
    /// decision.
    #[must_use]
    pub const fn of_item(reason: Reason) -> Self {
        match reason {
            Reason::MarkedDeleted
            | Reason::OutsideDates
            | Reason::OutsideSizes
            | Reason::NotInSearch
            | Reason::DuplicateInFolder
            | Reason::ExcludedFolder
            | Reason::NotIncluded
            | Reason::NotSubscribed
            | Reason::NotSelectable
            | Reason::EmptyFolder
            | Reason::OutsideRoot
            | Reason::OtherNamespace => Self::LeftOut,
            Reason::OnlyAtDestination
            | Reason::RemovedAtDestination
            | Reason::GoneAtSource
            | Reason::FlagsNotKept
            | Reason::DatesNotKept
            | Reason::AlteredByDestination
            | Reason::NewAtSource
            | Reason::ContentDiffers
            | Reason::Ambiguous
            | Reason::MissingAtDestination
            | Reason::ParentFolder
            | Reason::FlagsChangedAtSource
            | Reason::SubscribedAtSource
            | Reason::SubscribeAll => Self::Note,
            Reason::TooLarge
            | Reason::MissingFolder
            | Reason::NameCollision
            | Reason::NameNotPossible
            | Reason::FolderUnreadable
            | Reason::ListingIncomplete
            | Reason::IdentityNotKept
            | Reason::RefusedByDestination
            | Reason::Quota
            | Reason::WithheldBySource
            | Reason::NoContent
            | Reason::AcceptedNotVisible
            | Reason::LateDuplicate
            | Reason::StoredNothing
            | Reason::UnknownOutcome
            | Reason::FolderStale
            | Reason::FolderRefused
            | Reason::SomebodyElseCopies
            | Reason::FlagsRefused
            | Reason::FlagsChangedMeanwhile
            | Reason::SubscriptionRefused
            | Reason::Missing
            | Reason::Differs => Self::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_repeats_the_symbol_and_nothing_else() {
        let mut screen = Screen { width: 80, colour: Colour::Always, zone: Some(TimeZone::UTC) };
        let shown = |screen: &Screen| {
            let mut out = Vec::new();
            screen.symbol(&mut out, Symbol::Wrong).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(&screen), "\u{1b}[31m!\u{1b}[0m ");
        screen.colour = Colour::Never;
        assert_eq!(shown(&screen), "! ");
    }

    #[test]
    fn times_are_local_and_impossible_ones_are_a_dash() {
        let zone = Some(TimeZone::fixed(jiff::tz::offset(1)));
        let screen = Screen { width: 80, colour: Colour::Never, zone };
        let time = Timestamp::from_seconds(1_795_205_040);
        assert_eq!(screen.date_time(time), "2026-11-20 21:04");
        assert_eq!(screen.clock(time), "21:04:00");
        assert_eq!(screen.date_time(Timestamp::from_seconds(i64::MAX)), "-");
    }
}

//! Dates: instants, and INTERNALDATE with its zone (RFC 9051 §2.3.3).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// 1971-01-01T00:00:00Z: older dates come out of some servers as dates of the next century.
const OLDEST_SENDABLE: i64 = 31_536_000;

/// How far after now a date may lie to be sent: clocks differ, servers turn later ones into now.
const FUTURE_SLACK_SECONDS: i64 = 86_400;

/// Zones outside of these are written in UTC.
const ZONE_MINUTES: std::ops::RangeInclusive<i16> = -720..=840;

/// Octets of a date as APPEND takes it, with its quotes (RFC 9051 §9).
const WRITTEN_OCTETS: usize = 28;

/// An instant, in whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that lies `seconds` after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The instant so many seconds later, or earlier for a negative number.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// RFC 3339 in UTC, as machine output has it.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(time) => write!(formatter, "{time}"),
            Err(_) => write!(formatter, "@{}", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let seconds = match text.strip_prefix('@') {
            Some(number) => number.parse().ok(),
            None => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second),
        };
        seconds
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not a time such as 2026-11-20T20:04:00Z"))
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An instant in UTC, RFC 3339",
            "type": "string"
        })
    }
}

/// A message's INTERNALDATE: the instant, and the zone that the server wrote it in.
///
/// Two values are equal if their instants are: servers rewrite the zone.
#[derive(Clone, Copy, Debug)]
pub struct InternalDate {
    instant: Timestamp,
    offset_minutes: i16,
}

impl InternalDate {
    /// Puts an instant into a zone; a zone of more than a day counts as UTC.
    #[must_use]
    pub fn new(instant: Timestamp, offset_minutes: i16) -> Self {
        let offset_minutes = if offset_minutes.abs() < 1_440 { offset_minutes } else { 0 };
        Self { instant, offset_minutes }
    }

    /// When it was.
    #[must_use]
    pub const fn instant(self) -> Timestamp {
        self.instant
    }

    /// Minutes east of UTC, less than a day either way.
    #[must_use]
    pub const fn offset_minutes(self) -> i16 {
        self.offset_minutes
    }

    /// Reads `date-time` of RFC 9051 §9 without its quotes, such as ` 7-Feb-1994 21:52:25 -0800`.
    ///
    /// Tolerant of case, of a missing leading blank and of a missing zone, which counts as UTC. Only
    /// dates that the calendar has are read; second 60 counts as 59.
    #[must_use]
    pub fn from_wire(octets: &[u8]) -> Option<Self> {
        Self::from_usual(octets).or_else(|| Self::from_tolerated(octets))
    }

    /// Reads a date that is written just as the RFC has it.
    fn from_usual(octets: &[u8]) -> Option<Self> {
        const BETWEEN: [(usize, u8); 6] =
            [(2, b'-'), (6, b'-'), (11, b' '), (14, b':'), (17, b':'), (20, b' ')];
        if octets.len() != WRITTEN_OCTETS - 2
            || BETWEEN.iter().any(|&(at, between)| octets[at] != between)
        {
            return None;
        }
        let sign = match octets[21] {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let number = |at| two_digits(octets, at);
        let day = if octets[0] == b' ' { two_digits(&[b'0', octets[1]], 0)? } else { number(0)? };
        let month = MONTHS.iter().position(|name| name.as_bytes() == &octets[3..6])?;
        let year = i16::from(number(7)?) * 100 + i16::from(number(9)?);
        let (zone_hours, zone_minutes) = (i16::from(number(22)?), i16::from(number(24)?));
        let (hour, minute, second) = (number(12)?, number(15)?, number(18)?);
        if second > 60 || zone_hours >= 24 || zone_minutes >= 60 {
            return None;
        }
        let month = i8::try_from(month).ok()? + 1;
        let minute = jiff::civil::DateTime::new(year, month, day, hour, minute, 0, 0).ok()?;
        Self::from_local(minute, second.min(59).into(), sign * (zone_hours * 60 + zone_minutes))
    }

    /// Reads a date in any way that is tolerated.
    fn from_tolerated(octets: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok()?;
        let mut parts = text.split_ascii_whitespace();
        let (date, time, zone) = (parts.next()?, parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let mut date = date.split('-');
        let (day, month, year) = (date.next()?, date.next()?, date.next()?);
        let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
        let mut time = time.split(':');
        let (hour, minute, second) = (time.next()?, time.next()?, time.next()?);
        if date.next().is_some() || time.next().is_some() {
            return None;
        }
        let second = second.parse::<u8>().ok().filter(|second| *second <= 60)?.min(59);
        let minute = jiff::civil::DateTime::new(
            year.parse().ok()?,
            i8::try_from(month).ok()? + 1,
            day.parse().ok()?,
            hour.parse().ok()?,
            minute.parse().ok()?,
            0,
            0,
        )
        .ok()?;
        let offset_minutes = match zone {
            Some(zone) => zone_minutes(zone)?,
            None => 0,
        };
        Self::from_local(minute, second.into(), offset_minutes)
    }

    /// Puts a minute and a second in it into a zone.
    fn from_local(minute: jiff::civil::DateTime, second: i64, offset_minutes: i16) -> Option<Self> {
        let local = jiff::tz::Offset::UTC.to_timestamp(minute).ok()?.as_second() + second;
        Some(Self::new(Timestamp(local - i64::from(offset_minutes) * 60), offset_minutes))
    }

    /// Writes the date for an APPEND command, quoted; nothing where it may not be sent as it is.
    ///
    /// The day has two digits always, one of the two ways to write it (`date-day-fixed` of RFC 9051 §9): a
    /// server that understands one of these dates understands all of them, but for the zone.
    ///
    /// Sent are only valid dates from 1971-01-01 to one day after `now`; a zone outside of -1200 to
    /// +1400 is converted to UTC. What servers make of other dates was measured: mail lands in 2065.
    #[must_use]
    pub fn to_append(self, now: Timestamp) -> Option<String> {
        let seconds = self.instant.0;
        if !(OLDEST_SENDABLE..=now.0.saturating_add(FUTURE_SLACK_SECONDS)).contains(&seconds) {
            return None;
        }
        let offset =
            if ZONE_MINUTES.contains(&self.offset_minutes) { self.offset_minutes } else { 0 };
        let local = jiff::Timestamp::from_second(seconds + i64::from(offset) * 60).ok()?;
        let local = jiff::tz::Offset::UTC.to_datetime(local);
        let month = MONTHS.get(usize::try_from(local.month() - 1).ok()?)?;
        let zone = offset.unsigned_abs();
        let mut written = String::with_capacity(WRITTEN_OCTETS);
        written.push('"');
        push_two(&mut written, local.day().unsigned_abs());
        written.push('-');
        written.push_str(month);
        written.push('-');
        let year = local.year().unsigned_abs();
        push_two(&mut written, u8::try_from(year / 100).ok()?);
        push_two(&mut written, u8::try_from(year % 100).ok()?);
        for (before, number) in [(' ', local.hour()), (':', local.minute()), (':', local.second())]
        {
            written.push(before);
            push_two(&mut written, number.unsigned_abs());
        }
        written.push_str(if offset < 0 { " -" } else { " +" });
        push_two(&mut written, u8::try_from(zone / 60).ok()?);
        push_two(&mut written, u8::try_from(zone % 60).ok()?);
        written.push('"');
        Some(written)
    }
}

/// Reads the number that stands there in two digits; nothing for anything else.
pub(crate) fn two_digits(octets: &[u8], at: usize) -> Option<i8> {
    let [ten, one] = octets.get(at..at.checked_add(2)?)? else { return None };
    let is_number = ten.is_ascii_digit() && one.is_ascii_digit();
    is_number.then(|| (ten - b'0') * 10 + (one - b'0'))?.try_into().ok()
}

/// Writes a number below 100 as two digits.
fn push_two(written: &mut String, number: u8) {
    written.push(char::from(b'0' + number / 10 % 10));
    written.push(char::from(b'0' + number % 10));
}

fn zone_minutes(zone: &str) -> Option<i16> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..).filter(|digits| digits.len() == 4)?;
    let number: i16 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

impl PartialEq for InternalDate {
    fn eq(&self, other: &Self) -> bool {
        self.instant == other.instant
    }
}

impl Eq for InternalDate {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000); // 2026-11-18

    fn read(text: &str) -> Option<i64> {
        InternalDate::from_wire(text.as_bytes()).map(|date| date.instant().seconds())
    }

    #[test]
    fn dates_of_servers_are_read_as_instants() {
        assert_eq!(read(" 7-Feb-1994 21:52:25 -0800"), Some(760_686_745));
        assert_eq!(read("07-feb-1994 21:52:25 -0800"), Some(760_686_745));
        assert_eq!(read("1-Jan-1970 00:00:00 +0000"), Some(0));
        assert_eq!(read("31-Dec-1969 23:59:59"), Some(-1));
        assert_eq!(read("30-Jun-2012 23:59:60 +0000"), Some(1_341_100_799));
    }

    #[test]
    fn last_minute_of_the_calendar_is_a_date() {
        for text in ["30-Dec-9999 22:00:59 +0000", "30-Dec-9999 22:0:59 +0000"] {
            assert_eq!(read(text), Some(253_402_207_259), "{text}");
        }
        assert_eq!(read("30-Dec-9999 22:01:00 +0000"), None);
    }

    #[test]
    fn what_the_calendar_lacks_is_no_date() {
        for text in [
            "29-Feb-2023 10:00:00 +0000",
            "32-Foo-2026 10:00:00 +0000",
            "1-Jan-2020 25:00:00 +0000",
            "1-Jan-2020 10:00:61 +0000",
            "1-Jan-2020 10:00:-0 +0000",
            "NIL",
            "",
            "1-Jan-2020",
            "1-Jan-2020 10:00:00 GMT",
            "1-Jan-99999999999999 10:00:00 +0000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_dates_that_servers_keep_are_sent() {
        let send = |text: &str| InternalDate::from_wire(text.as_bytes()).unwrap().to_append(NOW);
        assert_eq!(send("7-Feb-1994 21:52:25 -0800").unwrap(), "\"07-Feb-1994 21:52:25 -0800\"");
        assert_eq!(send("17-Jul-1996 02:44:25 +1500").unwrap(), "\"16-Jul-1996 11:44:25 +0000\"");
        assert_eq!(send("31-Dec-1970 23:59:59 +0000"), None);
        assert_eq!(send("1-Jan-0024 00:00:00 +0000"), None);
        assert_eq!(send("1-Jan-2038 00:00:00 +0000"), None);
        assert!(InternalDate::new(NOW.plus(86_400), 0).to_append(NOW).is_some());
        assert!(InternalDate::new(NOW.plus(86_401), 0).to_append(NOW).is_none());
    }

    #[test]
    fn what_is_sent_reads_back_as_the_same_instant() {
        for (seconds, zone) in [(1_000_000_000, 330), (1_582_934_400, -210), (1_582_977_599, 840)] {
            let date = InternalDate::new(Timestamp(seconds), zone);
            let sent = date.to_append(NOW).unwrap();
            assert_eq!(InternalDate::from_wire(sent.trim_matches('"').as_bytes()), Some(date));
        }
    }

    proptest! {
        #[test]
        fn usual_date_is_read_as_any_other_is(
            value in "[ 0-3][0-9]-(Jan|feb|Mai|Dec)-[0-9]{4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] [+-][0-2][0-9][0-6][0-9]",
            changed in proptest::option::of((
                0_usize..26,
                prop_oneof![any::<u8>(), proptest::sample::select(b"+-0 :\t".to_vec())],
            )),
        ) {
            let mut value = value.into_bytes();
            if let Some((at, octet)) = changed {
                value[at] = octet;
            }
            let told = |date: Option<InternalDate>| {
                date.map(|date| (date.instant(), date.offset_minutes()))
            };
            prop_assert_eq!(
                told(InternalDate::from_wire(&value)),
                told(InternalDate::from_tolerated(&value))
            );
        }
    }
}

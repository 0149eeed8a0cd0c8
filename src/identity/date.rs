//! Reads dates of header fields (RFC 5322 §3.3, §4.3), as tolerantly as mail needs.

use std::borrow::Cow;

use crate::identity::text;
use crate::mail::Timestamp;
use crate::mail::two_digits;

/// The number of a month by the first three letters of its name.
const fn month(start: &[u8]) -> Option<i8> {
    Some(match start {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    })
}

const fn is_weekday(start: &[u8]) -> bool {
    matches!(start, b"mon" | b"tue" | b"wed" | b"thu" | b"fri" | b"sat" | b"sun")
}

/// Reads a date: with or without weekday, seconds and zone, comments anywhere, years of two digits,
/// obsolete zone names, and the order of `asctime`. A zone that is not known counts as UTC
/// (RFC 5322 §4.3). Nothing where the calendar lacks the day.
pub(super) fn instant(value: &[u8]) -> Option<Timestamp> {
    match usual(value) {
        Some(parts) => parts.instant(),
        None => tolerant(value),
    }
}

/// Reads a date that is written as almost all are: `Fri, 2 Jan 2026 15:04:05 +0100`.
fn usual(value: &[u8]) -> Option<Parts> {
    let value = text::trimmed(value);
    let date = match value {
        [one, two, three, b',', b' ', date @ ..] if is_weekday(&lower([*one, *two, *three])) => {
            date
        }
        date => date,
    };
    let (day, rest) = date.split_at_checked(date.iter().position(|octet| *octet == b' ')?)?;
    let rest: &[u8; 24] = rest.try_into().ok()?;
    let [_, one, two, three, b' ', _, _, _, _, b' ', _, _, b':', _, _, b':', _, _, b' ', sign, ..] =
        rest
    else {
        return None;
    };
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, minute, second) =
        (two_digits(rest, 10)?, two_digits(rest, 13)?, two_digits(rest, 16)?);
    let (zone_hours, zone_minutes) = (two_digits(rest, 20)?, two_digits(rest, 22)?);
    let fits = hour < 24 && minute < 60 && second <= 60 && zone_hours < 24 && zone_minutes < 60;
    let day = match day {
        [one] => two_digits(&[b'0', *one], 0)?,
        [_, _] => two_digits(day, 0)?,
        _ => return None,
    };
    fits.then_some(Parts {
        day: Some(day),
        month: Some(month(&lower([*one, *two, *three]))?),
        year: Some(i16::from(two_digits(rest, 5)?) * 100 + i16::from(two_digits(rest, 7)?)),
        time: Some((hour, minute, second.min(59))),
        numeric_zone: Some(sign * (i64::from(zone_hours) * 3600 + i64::from(zone_minutes) * 60)),
        named_zone: None,
    })
}

fn lower(letters: [u8; 3]) -> [u8; 3] {
    letters.map(|letter| letter.to_ascii_lowercase())
}

/// Reads a date in whatever way it is written.
fn tolerant(value: &[u8]) -> Option<Timestamp> {
    let mut text = text::ascii(value);
    if let Cow::Owned(rest) = without_comments(&text) {
        text = rest;
    }
    text.make_ascii_lowercase();
    let mut parts = Parts::default();
    for token in text.split([' ', ',']).filter(|token| !token.is_empty()) {
        parts.take(token)?;
    }
    parts.instant()
}

#[derive(Default)]
struct Parts {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    numeric_zone: Option<i64>,
    named_zone: Option<i64>,
}

impl Parts {
    fn take(&mut self, token: &str) -> Option<()> {
        let first = token.bytes().next()?;
        if matches!(first, b'+' | b'-') {
            self.numeric_zone = Some(zone_seconds(token)?);
        } else if token.contains(':') {
            // A zone may be glued to the time.
            let (time, zone) = match token.find(['+', '-']) {
                Some(at) => token.split_at(at),
                None => (token, ""),
            };
            self.time = Some(clock(time)?);
            if !zone.is_empty() {
                self.numeric_zone = Some(zone_seconds(zone)?);
            }
        } else if first.is_ascii_digit() {
            self.take_digits(token)?;
        } else {
            self.take_word(token)?;
        }
        Some(())
    }

    /// `2`, `2026`, or `2-jan-2026`.
    fn take_digits(&mut self, token: &str) -> Option<()> {
        for part in token.split('-') {
            if part.bytes().all(|digit| digit.is_ascii_digit()) {
                if self.day.is_none() {
                    self.day = Some(part.parse().ok()?);
                } else if self.year.is_none() {
                    self.year = Some(year(part)?);
                } else {
                    return None;
                }
            } else {
                self.take_word(part)?;
            }
        }
        Some(())
    }

    fn take_word(&mut self, word: &str) -> Option<()> {
        let word = word.trim_end_matches('.');
        let start = word.get(..3).unwrap_or(word).as_bytes();
        if let (None, Some(month)) = (self.month, month(start)) {
            self.month = Some(month);
        } else if is_weekday(start) {
        } else {
            // `gmt+0100` and its like.
            let (name, offset) = match word.find(['+', '-']) {
                Some(at) => word.split_at(at),
                None => (word, ""),
            };
            if name.is_empty() || !name.bytes().all(|letter| letter.is_ascii_alphabetic()) {
                return None;
            }
            if !offset.is_empty() {
                self.numeric_zone = Some(zone_seconds(offset)?);
            }
            if self.named_zone.is_none() {
                self.named_zone = Some(named_zone(name));
            }
        }
        Some(())
    }

    fn instant(&self) -> Option<Timestamp> {
        let (hour, minute, second) = self.time?;
        let day = jiff::civil::Date::new(self.year?, self.month?, self.day?).ok()?;
        let local = day.at(hour, minute, second, 0);
        let local = jiff::tz::Offset::UTC.to_timestamp(local).ok()?.as_second();
        let zone = self.numeric_zone.or(self.named_zone).unwrap_or(0);
        Some(Timestamp::from_seconds(local - zone))
    }
}

/// Years of two and three digits are of the past (RFC 5322 §4.3).
fn year(digits: &str) -> Option<i16> {
    let number: i16 = digits.parse().ok()?;
    match digits.len() {
        1 => None,
        2 if number < 50 => Some(number + 2000),
        2 | 3 => Some(number + 1900),
        _ => Some(number),
    }
}

fn clock(text: &str) -> Option<(i8, i8, i8)> {
    let mut parts = text.split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = parts.next()?.parse().ok()?;
    let second: i8 = match parts.next() {
        Some(second) => second.split('.').next()?.parse().ok()?,
        None => 0,
    };
    let fits = parts.next().is_none()
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    fits.then_some((hour, minute, second.min(59)))
}

/// `+0100`, `-5:30`, `+01`.
fn zone_seconds(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = match text[1..].split_once(':') {
        Some(parts) => parts,
        None if text.len() == 5 && text.is_ascii() => text[1..].split_at(2),
        None => (&text[1..], "0"),
    };
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

fn named_zone(name: &str) -> i64 {
    let hours = match name {
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => 0,
    };
    hours * 3600
}

/// Drops comments in parentheses, nested ones too.
pub(super) fn without_comments(text: &str) -> Cow<'_, str> {
    if !text.contains('(') {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        let plain = !escaped;
        escaped = plain && character == '\\';
        match character {
            '"' if plain && depth == 0 => quoted = !quoted,
            '(' if plain && !quoted => depth += 1,
            ')' if plain && !quoted && depth > 0 => {
                depth -= 1;
                result.push(' ');
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            result.push(character);
        }
    }
    Cow::Owned(result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i64> {
        instant(text.as_bytes()).map(Timestamp::seconds)
    }

    #[test]
    fn one_instant_written_in_many_ways_is_one_instant() {
        for text in [
            "Fri, 02 Jan 2026 15:04:05 +0100",
            "2 Jan 2026 15:04:05 +0100",
            "2 Jan 2026 14:04:05 GMT",
            "Fri, 2 Jan 26 14:04:05 UT",
            "2 JAN 2026 09:04:05 EST",
            "Fri, 2 Jan 2026 15:04:05 +0100 (CET (winter))",
            "Fri (day), 2 January 2026 15:04:05 +01:00",
            "Fri Jan  2 14:04:05 2026",
            "2-Jan-2026 14:04:05",
            "Fri,\r\n\t2 Jan 2026 15:04:05.123 +0100 CET",
            "Fri, 2 Jan 2026 15:04:05 GMT+0100",
            "Fri, 2 Jan 2026 15:04:05+0100",
            "Fri, 2 Jan 2026 14:04:05 Z",
        ] {
            assert_eq!(read(text), Some(1_767_362_645), "{text}");
        }
        assert_eq!(read("2 Jan 2026 14:04 +0000"), Some(1_767_362_640));
        assert_eq!(read("31 Dec 1999 23:59:60 +0000"), Some(946_684_799));
        assert_eq!(read("31 Dec 99 23:59:59 +0000"), Some(946_684_799));
        assert_eq!(read("31 Dec 099 23:59:59 +0000"), Some(946_684_799));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "yesterday",
            "29 Feb 2023 10:00:00 +0000",
            "2 Jan 2026",
            "2 Jan 2026 25:00:00",
            "2 Jan 2026 3 10:00:00",
            "2026-01-02T10:00:00Z",
            "2 Jan 99999 10:00:00",
            "2 Foo 2026 10:00:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_a_date_or_none(value: Vec<u8>) {
            let _ = instant(&value);
        }

        #[test]
        fn usual_date_is_read_as_any_other_is(
            value in "[ \t\x0c]?(Fri|fri|FRX|Day|Monday)?,? [ 0-3]?[0-9] (Jan|FEB|Mai|dec) [0-9]{4} \
                [0-2][0-9]:[0-6][0-9]:[0-6][0-9] [+-][0-2][0-9][0-6][0-9][ \r\x0c]?( \\(CET\\))?",
            changed in proptest::option::of((0_usize..40, any::<u8>())),
        ) {
            let mut value = value.into_bytes();
            if let Some((at, octet)) = changed
                && let Some(place) = value.get_mut(at)
            {
                *place = octet;
            }
            prop_assert_eq!(instant(&value), tolerant(&value));
        }

        #[test]
        fn near_dates_do_not_panic(value in "[0-9a-z:+ (),.-]{0,40}") {
            let _ = instant(value.as_bytes());
        }
    }
}

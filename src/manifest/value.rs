//! Values that are more than strings: ages, periods, sizes, days.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::mail::Timestamp;

/// Why a text is no value of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// A number alone.
    #[error("a number needs a unit")]
    NeedsUnit,
    /// No number at the beginning.
    #[error("not a whole number and a unit")]
    NotNumber,
    /// A unit that this kind does not have.
    #[error("no such unit")]
    NoSuchUnit,
    /// More than can be counted.
    #[error("too large")]
    TooLarge,
}

/// Units of ages with the calendar's months and years last.
const AGE_UNITS: [&str; 7] = ["s", "min", "h", "d", "w", "mo", "y"];
const PERIOD_UNITS: [(&str, u64); 5] =
    [("s", 1), ("min", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Splits `"25 MiB"` into its number and its unit.
fn split(text: &str) -> Result<(u64, &str), ValueFault> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(ValueFault::NotNumber);
    }
    let number = number.parse().map_err(|_| ValueFault::TooLarge)?;
    match unit.strip_prefix(' ').unwrap_or(unit) {
        "" => Err(ValueFault::NeedsUnit),
        unit => Ok((number, unit)),
    }
}

fn unit_of(units: &[(&'static str, u64)], unit: &str) -> Result<(&'static str, u64), ValueFault> {
    units.iter().find(|(name, _)| *name == unit).copied().ok_or(ValueFault::NoSuchUnit)
}

/// How old a message is, in units up to the calendar's months and years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    amount: i64,
    unit: &'static str,
}

impl Age {
    /// The instant that lies this long before `now`. Months and years go by the calendar, in UTC; an
    /// age beyond the calendar is the oldest instant there is.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        self.on_the_calendar(now).unwrap_or(Timestamp::from_seconds(i64::MIN))
    }

    fn on_the_calendar(self, now: Timestamp) -> Option<Timestamp> {
        let seconds = PERIOD_UNITS.iter().find(|(name, _)| *name == self.unit);
        if let Some((_, seconds)) = seconds {
            let seconds = self.amount.checked_mul(i64::try_from(*seconds).ok()?)?;
            return now.seconds().checked_sub(seconds).map(Timestamp::from_seconds);
        }
        let months = if self.unit == "y" { self.amount.checked_mul(12)? } else { self.amount };
        let span = jiff::Span::new().try_months(months).ok()?;
        let utc =
            jiff::Timestamp::from_second(now.seconds()).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
        let then = utc.checked_sub(span).ok()?;
        Some(Timestamp::from_seconds(then.timestamp().as_second()))
    }
}

impl FromStr for Age {
    type Err = ValueFault;

    fn from_str(text: &str) -> Result<Self, ValueFault> {
        let (amount, unit) = split(text)?;
        let unit =
            AGE_UNITS.into_iter().find(|name| *name == unit).ok_or(ValueFault::NoSuchUnit)?;
        Ok(Self { amount: i64::try_from(amount).map_err(|_| ValueFault::TooLarge)?, unit })
    }
}

impl fmt::Display for Age {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.amount, self.unit)
    }
}

/// A time to wait, in units of fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    amount: u64,
    unit: &'static str,
    seconds: u64,
}

impl Period {
    /// So many seconds.
    #[must_use]
    pub const fn of_seconds(seconds: u64) -> Self {
        Self { amount: seconds, unit: "s", seconds }
    }

    /// So many minutes.
    #[must_use]
    pub const fn of_minutes(minutes: u64) -> Self {
        Self { amount: minutes, unit: "min", seconds: minutes.saturating_mul(60) }
    }

    /// How long it is.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl FromStr for Period {
    type Err = ValueFault;

    fn from_str(text: &str) -> Result<Self, ValueFault> {
        /// A hundred years: no wait is longer, and nothing that adds it to a time overflows.
        const SECONDS_MAX: u64 = 100 * 366 * 86_400;
        let (amount, unit) = split(text)?;
        let (unit, each) = unit_of(&PERIOD_UNITS, unit)?;
        let seconds = amount.checked_mul(each).filter(|seconds| *seconds <= SECONDS_MAX);
        Ok(Self { amount, unit, seconds: seconds.ok_or(ValueFault::TooLarge)? })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.amount, self.unit)
    }
}

/// A number of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    amount: u64,
    unit: &'static str,
    octets: u64,
}

impl Size {
    /// So many mebibytes.
    #[must_use]
    pub const fn of_mebibytes(mebibytes: u64) -> Self {
        Self { amount: mebibytes, unit: "MiB", octets: mebibytes.saturating_mul(1 << 20) }
    }

    /// The number of octets.
    #[must_use]
    pub const fn octets(self) -> u64 {
        self.octets
    }
}

impl FromStr for Size {
    type Err = ValueFault;

    fn from_str(text: &str) -> Result<Self, ValueFault> {
        let (amount, unit) = split(text)?;
        let (unit, each) = unit_of(&SIZE_UNITS, unit)?;
        let octets = amount.checked_mul(each).ok_or(ValueFault::TooLarge)?;
        Ok(Self { amount, unit, octets })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.amount, self.unit)
    }
}

/// So many in some unit of time; fractions down to a thousandth. In TOML a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    thousandths: u64,
}

impl Rate {
    /// How many thousandths it is; never nought.
    #[must_use]
    pub const fn thousandths(self) -> u64 {
        self.thousandths
    }
}

impl FromStr for Rate {
    type Err = ValueFault;

    fn from_str(text: &str) -> Result<Self, ValueFault> {
        const MOST: f64 = 1e6;
        let number: f64 = text.replace('_', "").parse().map_err(|_| ValueFault::NotNumber)?;
        if !(0.001..=MOST).contains(&number) {
            return Err(ValueFault::TooLarge);
        }
        // Within a million, so that it fits.
        let rounded = format!("{:.0}", number * 1_000.0);
        Ok(Self { thousandths: rounded.parse().map_err(|_| ValueFault::TooLarge)? })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.thousandths / 1_000, self.thousandths % 1_000);
        if rest == 0 {
            return write!(formatter, "{whole}");
        }
        let rest = format!("{rest:03}");
        write!(formatter, "{whole}.{}", rest.trim_end_matches('0'))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        match text.parse::<u64>() {
            Ok(whole) => serializer.serialize_u64(whole),
            Err(_) => serializer.serialize_f64(text.parse().map_err(serde::ser::Error::custom)?),
        }
    }
}

/// A day of the calendar, in UTC. In TOML a local date, without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(jiff::civil::Date);

impl Day {
    /// The first instant of the day.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        // UTC has no gaps, so that every date of the calendar has a first instant.
        let days = self.0.since(jiff::civil::date(1970, 1, 1)).map(|span| span.get_days());
        Timestamp::from_seconds(days.map_or(i64::MIN, i64::from).saturating_mul(86_400))
    }
}

impl FromStr for Day {
    type Err = ValueFault;

    fn from_str(text: &str) -> Result<Self, ValueFault> {
        let digits =
            |range| text.get(range).filter(|t: &&str| t.bytes().all(|b| b.is_ascii_digit()));
        let well_formed = text.len() == 10
            && [0..4, 5..7, 8..10].into_iter().all(|range| digits(range).is_some())
            && [4, 7].into_iter().all(|at| text.as_bytes().get(at) == Some(&b'-'));
        if !well_formed {
            return Err(ValueFault::NotNumber);
        }
        text.parse().map(Self).map_err(|_| ValueFault::NotNumber)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let date = self.to_string().parse::<toml::value::Datetime>();
        date.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// Kinds that are written as text and read back by [`FromStr`].
macro_rules! text_value {
    ($kind:ty, $name:literal, $word:literal, $description:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $kind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($schema);
                if schema.get("type").is_none() {
                    schema.insert("type".to_owned(), "string".into());
                }
                schema.insert("description".to_owned(), $description.into());
                schema.insert("x-kind".to_owned(), $word.into());
                schema
            }
        }
    };
}

macro_rules! serialize_as_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(Age, Period, Size);
text_value!(Age, "Age", "age", "An age such as `\"90 d\"`: s, min, h, d, w, and mo, y by the calendar.", {
    "pattern": "^[0-9]+ ?(s|min|h|d|w|mo|y)$"
});
text_value!(Period, "Period", "period", "A time such as `\"2 min\"`: s, min, h, d, w.", {
    "pattern": "^[0-9]+ ?(s|min|h|d|w)$"
});
text_value!(Size, "Size", "size", "A size such as `\"25 MiB\"`: B, KB, MB, GB, TB, KiB, MiB, GiB, TiB.", {
    "pattern": "^[0-9]+ ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
});
text_value!(Rate, "Rate", "rate", "A number such as `0.5`, from a thousandth to a million.", {
    "type": "number",
    "minimum": 0.001,
    "maximum": 1_000_000
});
text_value!(Day, "Day", "day", "A TOML date such as `2024-01-31`, without quotes.", {
    "format": "date"
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let octets = |text: &str| text.parse::<Size>().map(Size::octets);
        assert_eq!(octets("25 MiB"), Ok(26_214_400));
        assert_eq!(octets("35MB"), Ok(35_000_000));
        assert_eq!(octets("0 B"), Ok(0));
        assert_eq!(octets("25"), Err(ValueFault::NeedsUnit));
        assert_eq!(octets("25 mb"), Err(ValueFault::NoSuchUnit));
        assert_eq!(octets("25  MB"), Err(ValueFault::NoSuchUnit));
        assert_eq!(octets("-1 MB"), Err(ValueFault::NotNumber));
        assert_eq!(octets("20000000 TiB"), Err(ValueFault::TooLarge));
        assert_eq!(octets("99999999999999999999 B"), Err(ValueFault::TooLarge));
    }

    #[test]
    fn months_and_years_of_an_age_go_by_the_calendar() {
        let at = |text: &str| {
            Timestamp::from_seconds(text.parse::<jiff::Timestamp>().unwrap().as_second())
        };
        let now = at("2024-03-31T12:00:00Z");
        let before = |age: &str| age.parse::<Age>().unwrap().before(now);
        assert_eq!(before("1 mo"), at("2024-02-29T12:00:00Z"));
        assert_eq!(before("1 y"), at("2023-03-31T12:00:00Z"));
        assert_eq!(before("90 d"), at("2024-01-01T12:00:00Z"));
        assert_eq!(before("99999 y"), Timestamp::from_seconds(i64::MIN));
        assert_eq!("1 mo".parse::<Period>(), Err(ValueFault::NoSuchUnit));
    }

    #[test]
    fn rates_have_fractions_down_to_a_thousandth() {
        let thousandths = |text: &str| text.parse::<Rate>().map(Rate::thousandths);
        for (text, expected, shown) in [
            ("5", 5_000, "5"),
            ("0.5", 500, "0.5"),
            ("1_000.250", 1_000_250, "1000.25"),
            ("1e3", 1_000_000, "1000"),
            ("0.001", 1, "0.001"),
        ] {
            assert_eq!(thousandths(text), Ok(expected), "{text}");
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), shown);
        }
        for text in ["0", "-1", "0.0004", "1000001", "inf", "nan"] {
            assert_eq!(thousandths(text), Err(ValueFault::TooLarge), "{text}");
        }
        assert_eq!(thousandths("five"), Err(ValueFault::NotNumber));
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!("1970-01-02".parse::<Day>().unwrap().begins().seconds(), 86_400);
        assert_eq!("2024-01-01".parse::<Day>().unwrap().begins().seconds(), 1_704_067_200);
        for text in ["2024-02-30", "2024-1-1", "20240101", "2024-01-01T00:00:00", "+024-01-01"] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9]{0,25} ?\\PC{0,5}") {
            if let Ok(age) = text.parse::<Age>() {
                let _ = age.before(Timestamp::from_seconds(1_700_000_000));
                prop_assert_eq!(age.to_string().parse::<Age>(), Ok(age));
            }
            if let Ok(size) = text.parse::<Size>() {
                prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
            }
            if let Ok(period) = text.parse::<Period>() {
                prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
            }
            let _ = text.parse::<Day>();
        }
    }
}

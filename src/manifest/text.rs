//! Strings and what they have to be: units, dates, patterns, and no control characters.

use toml::Spanned;
use toml::de::DeValue;

use crate::manifest::document::plain;
use crate::manifest::fault::At;
use crate::manifest::fault::Draft;
use crate::manifest::schema::Shape;
use crate::manifest::schema::TextKind;
use crate::manifest::value::Age;
use crate::manifest::value::Day;
use crate::manifest::value::Period;
use crate::manifest::value::Rate;
use crate::manifest::value::Size;
use crate::manifest::value::ValueFault;
use crate::manifest::walk::wrong_type;

/// Reads a string of a kind, or says what is wrong with it.
pub(crate) fn check(
    kind: TextKind,
    subject: &str,
    value: &Spanned<DeValue<'_>>,
    at: &At,
    text: Option<&str>,
) -> Result<String, Box<Draft>> {
    let raw = text.and_then(|text| text.get(value.span())).unwrap_or_default();
    let checked = match (kind, value.get_ref()) {
        (TextKind::Day, found) => day(subject, found, at),
        (TextKind::Rate, found) => rate(subject, found, at),
        (TextKind::Any, DeValue::String(text)) => Ok(text.to_string()),
        (TextKind::Line | TextKind::Pattern, DeValue::String(text)) => {
            line(kind, subject, text, raw, at)
        }
        (TextKind::Age | TextKind::Period | TextKind::Size, DeValue::Integer(number)) => {
            Err(unit(kind, number.as_str(), at))
        }
        (TextKind::Age, DeValue::String(text)) => text
            .parse::<Age>()
            .map(|age| age.to_string())
            .map_err(|fault| amount(kind, text, fault, at)),
        (TextKind::Period, DeValue::String(text)) => text
            .parse::<Period>()
            .map(|period| period.to_string())
            .map_err(|fault| amount(kind, text, fault, at)),
        (TextKind::Size, DeValue::String(text)) => text
            .parse::<Size>()
            .map(|size| size.to_string())
            .map_err(|fault| amount(kind, text, fault, at)),
        (kind, found) => Err(wrong_type(subject, &Shape::Text(kind), found, at.clone())),
    };
    checked.map_err(Box::new)
}

fn line(kind: TextKind, subject: &str, text: &str, raw: &str, at: &At) -> Result<String, Draft> {
    if !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let what = if kind == TextKind::Pattern && text.starts_with("re:") {
        "a control character in a regular expression".to_owned()
    } else {
        format!("a control character in {subject}")
    };
    let fault = Draft::new(at.clone(), what);
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    Err(
        match inner.filter(|inner| {
            inner.contains('\\') && !inner.contains(['\'', '\n']) && !inner.contains("\\u")
        }) {
            Some(inner) => fault
                .label("in double quotes TOML reads backslashes")
                .hint_with_value(format!("write '{}'", plain(inner))),
            None => fault,
        },
    )
}

fn day(subject: &str, found: &DeValue<'_>, at: &At) -> Result<String, Draft> {
    let fault = || Draft::new(at.clone(), format!("{subject} takes a date"));
    match found {
        DeValue::Datetime(date) => {
            let text = date.to_string();
            if date.time.is_some() {
                return Err(fault().label("a day alone, such as 2024-01-31; it begins at 0:00 UTC"));
            }
            text.parse::<Day>()
                .map(|day| day.to_string())
                .map_err(|_| fault().label("no such day in the calendar"))
        }
        DeValue::String(text) if text.parse::<Day>().is_ok() => {
            Err(fault().label_with_value(format!("write {text}, without quotes")))
        }
        _ => Err(fault().label("such as 2024-01-31, without quotes")),
    }
}

fn rate(subject: &str, found: &DeValue<'_>, at: &At) -> Result<String, Draft> {
    let text = match found {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => {
            let fault = Draft::new(at.clone(), format!("{subject} takes a number"));
            return Err(fault.label("such as 0.5, without quotes"));
        }
    };
    text.parse::<Rate>().map(|rate| rate.to_string()).map_err(|_| {
        let fault = Draft::new(at.clone(), format!("{subject} is out of range"));
        fault.label("from 0.001 to 1000000")
    })
}

fn noun(kind: TextKind) -> &'static str {
    match kind {
        TextKind::Age => "an age",
        TextKind::Size => "a size",
        _ => "a time",
    }
}

/// A number without a unit, with the two likeliest spellings.
fn unit(kind: TextKind, number: &str, at: &At) -> Draft {
    /// From here on, a number alone is more likely to be octets.
    const OCTETS_FROM: u64 = 10_000;
    let (first, second, meant) = match kind {
        TextKind::Age => ("d", "min", "minutes"),
        TextKind::Size if number.parse().is_ok_and(|number: u64| number < OCTETS_FROM) => {
            ("MiB", "KiB", "kibibytes")
        }
        TextKind::Size => ("B", "KiB", "kibibytes"),
        _ => ("s", "min", "minutes"),
    };
    Draft::new(at.clone(), format!("{} needs a unit", noun(kind)))
        .label(format!("such as \"90 {first}\""))
        .label_with_value(format!(
            "write \"{number} {first}\", or \"{number} {second}\" if you mean {meant}"
        ))
}

fn amount(kind: TextKind, text: &str, fault: ValueFault, at: &At) -> Draft {
    let (units, example) = match kind {
        TextKind::Age => ("s, min, h, d, w, mo, y", "90 d"),
        TextKind::Size => ("B, KB, MB, GB, TB, KiB, MiB, GiB, TiB", "25 MiB"),
        _ => ("s, min, h, d, w", "2 min"),
    };
    match fault {
        ValueFault::NeedsUnit => unit(kind, text.trim(), at),
        ValueFault::NotNumber => {
            Draft::new(at.clone(), format!("{} is a whole number and a unit", noun(kind)))
                .label(format!("such as \"{example}\""))
        }
        ValueFault::NoSuchUnit => Draft::new(at.clone(), format!("no such unit of {}", noun(kind)))
            .label(format!("one of {units}")),
        ValueFault::TooLarge => {
            Draft::new(at.clone(), format!("{} cannot be that large", noun(kind)))
        }
    }
}

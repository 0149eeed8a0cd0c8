//! UID SEARCH (RFC 3501 §6.4.4), as far as tests ask.

use std::fmt::Write;

use crate::support::scripted::fetch::split_message;
use crate::support::scripted::session::Answer;
use crate::support::scripted::session::Session;
use crate::support::scripted::world::Folder;
use crate::support::scripted::world::Message;
use crate::support::syntax::Value;

impl Session {
    pub(super) fn search(&mut self, values: &[Value]) -> Answer {
        self.with_opened(|world, name| {
            let Some(folder) = world.folder_mut(name) else { return Answer::no("gone") };
            let mut found = String::new();
            for message in &folder.messages {
                let mut rest = values;
                let mut matches = true;
                while !rest.is_empty() {
                    match key(&mut rest, message, folder) {
                        Some(hit) => matches &= hit,
                        None => return Answer::bad("unknown search key"),
                    }
                }
                if matches {
                    write!(found, " {}", message.uid).unwrap();
                }
            }
            Answer::ok(format!("* SEARCH{found}\r\n"), "SEARCH completed")
        })
    }
}

/// Takes one key off the front and judges the message by it; nothing for an unknown one.
fn key(rest: &mut &[Value], message: &Message, folder: &Folder) -> Option<bool> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    if let Value::List(items) = first {
        let (mut items, mut matches) = (&items[..], true);
        while !items.is_empty() {
            matches &= key(&mut items, message, folder)?;
        }
        return Some(matches);
    }
    let has = |flag: &str| message.flags.iter().any(|own| own.eq_ignore_ascii_case(flag));
    let word = first.upper();
    Some(match word.as_str() {
        "ALL" => true,
        "ANSWERED" | "DELETED" | "DRAFT" | "FLAGGED" | "SEEN" => has(&format!("\\{word}")),
        "UNANSWERED" | "UNDELETED" | "UNDRAFT" | "UNFLAGGED" | "UNSEEN" => {
            !has(&format!("\\{}", &word[2..]))
        }
        "KEYWORD" => has(&next(rest)?.text()),
        "UNKEYWORD" => !has(&next(rest)?.text()),
        "NOT" => !key(rest, message, folder)?,
        "OR" => {
            let (left, right) = (key(rest, message, folder)?, key(rest, message, folder)?);
            left || right
        }
        "LARGER" => size(message) > next(rest)?.number()?,
        "SMALLER" => size(message) < next(rest)?.number()?,
        "UID" => folder.select(&next(rest)?.text()).contains(&message.uid),
        "FROM" | "TO" | "CC" | "SUBJECT" => in_field(message, &word, &next(rest)?.text()),
        "HEADER" => {
            let field = next(rest)?.text();
            in_field(message, &field, &next(rest)?.text())
        }
        "TEXT" => contains(&message.octets, &next(rest)?.text()),
        "BODY" => contains(split_message(&message.octets).1, &next(rest)?.text()),
        "BEFORE" => day(&message.date)? < day(&next(rest)?.text())?,
        "ON" => day(&message.date)? == day(&next(rest)?.text())?,
        "SINCE" => day(&message.date)? >= day(&next(rest)?.text())?,
        _ => return None,
    })
}

fn next<'a>(rest: &mut &'a [Value]) -> Option<&'a Value> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(first)
}

fn size(message: &Message) -> u64 {
    u64::try_from(message.octets.len()).unwrap()
}

fn contains(octets: &[u8], text: &str) -> bool {
    let octets = String::from_utf8_lossy(octets).to_lowercase();
    octets.contains(&text.to_lowercase())
}

fn in_field(message: &Message, field: &str, text: &str) -> bool {
    let header = String::from_utf8_lossy(split_message(&message.octets).0).into_owned();
    header.replace("\r\n ", " ").lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case(field) && contains(value.as_bytes(), text)
        })
    })
}

/// Reads `2-Jan-2021` at the start of a date as a number that orders.
fn day(text: &str) -> Option<u32> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut parts = text.split(' ').find(|part| !part.is_empty())?.split('-');
    let day: u32 = parts.next()?.parse().ok()?;
    let month = u32::try_from(MONTHS.find(parts.next()?)? / 3).ok()?;
    let year: u32 = parts.next()?.parse().ok()?;
    Some((year * 12 + month) * 31 + day)
}

//! SEARCH, as far as tests need it (RFC 9051 §6.4.4).

use crate::mail::{Flag, InternalDate, Timestamp, UidSet};
use crate::store::memory::account::{Mail, octets_of};
use crate::store::memory::field;

/// A search key.
#[derive(Debug)]
pub(super) enum Key {
    All,
    Flag(Flag),
    Uid(UidSet),
    Larger(u64),
    Smaller(u64),
    Since(Timestamp),
    Before(Timestamp),
    Field(&'static str, String),
    Not(Box<Key>),
    Or(Box<Key>, Box<Key>),
    And(Vec<Key>),
}

/// Nesting beyond this is refused.
const DEPTH_MAX: u8 = 20;

/// Reads a search program; nothing for what the server does not understand.
pub(super) fn parse(keys: &str) -> Option<Key> {
    let words = words(keys)?;
    let mut words = words.into_iter();
    let mut all = Vec::new();
    while words.len() > 0 {
        all.push(key(&mut words, 0)?);
    }
    (!all.is_empty()).then_some(Key::And(all))
}

/// Splits at blanks outside of quotes; parentheses are words of their own.
fn words(keys: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in keys.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' | '(' | ')' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                if character != ' ' {
                    words.push(character.to_string());
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    (!quoted).then_some(words)
}

fn key(words: &mut std::vec::IntoIter<String>, depth: u8) -> Option<Key> {
    if depth > DEPTH_MAX {
        return None;
    }
    let word = words.next()?.to_ascii_uppercase();
    let not = |flag| Key::Not(Box::new(Key::Flag(flag)));
    Some(match word.as_str() {
        "ALL" => Key::All,
        "SEEN" => Key::Flag(Flag::Seen),
        "UNSEEN" => not(Flag::Seen),
        "ANSWERED" => Key::Flag(Flag::Answered),
        "UNANSWERED" => not(Flag::Answered),
        "FLAGGED" => Key::Flag(Flag::Flagged),
        "UNFLAGGED" => not(Flag::Flagged),
        "DELETED" => Key::Flag(Flag::Deleted),
        "UNDELETED" => not(Flag::Deleted),
        "DRAFT" => Key::Flag(Flag::Draft),
        "UNDRAFT" => not(Flag::Draft),
        "KEYWORD" => Key::Flag(keyword(words)?),
        "UNKEYWORD" => not(keyword(words)?),
        "UID" => Key::Uid(words.next()?.parse().ok()?),
        "LARGER" => Key::Larger(words.next()?.parse().ok()?),
        "SMALLER" => Key::Smaller(words.next()?.parse().ok()?),
        "SINCE" => Key::Since(day(words)?),
        "BEFORE" => Key::Before(day(words)?),
        "FROM" => Key::Field("from", words.next()?),
        "TO" => Key::Field("to", words.next()?),
        "SUBJECT" => Key::Field("subject", words.next()?),
        "NOT" => Key::Not(Box::new(key(words, depth + 1)?)),
        "OR" => Key::Or(Box::new(key(words, depth + 1)?), Box::new(key(words, depth + 1)?)),
        "(" => {
            let mut all = Vec::new();
            while words.as_slice().first()? != ")" {
                all.push(key(words, depth + 1)?);
            }
            words.next();
            Key::And(all)
        }
        _ => return None,
    })
}

fn keyword(words: &mut std::vec::IntoIter<String>) -> Option<Flag> {
    Flag::from_wire(words.next()?.as_bytes()).filter(Flag::is_keyword)
}

fn day(words: &mut std::vec::IntoIter<String>) -> Option<Timestamp> {
    let date = format!("{} 00:00:00 +0000", words.next()?);
    InternalDate::from_wire(date.as_bytes()).map(InternalDate::instant)
}

/// Tells whether the message is found.
pub(super) fn finds(key: &Key, mail: &Mail) -> bool {
    match key {
        Key::All => true,
        Key::Flag(flag) => mail.flags.contains(flag),
        Key::Uid(uids) => uids.contains(mail.uid),
        Key::Larger(octets) => octets_of(mail.octets.len()) > *octets,
        Key::Smaller(octets) => octets_of(mail.octets.len()) < *octets,
        Key::Since(day) => mail.date.instant() >= *day,
        Key::Before(day) => mail.date.instant() < *day,
        Key::Field(name, text) => field::holds(&mail.octets, name, text),
        Key::Not(key) => !finds(key, mail),
        Key::Or(one, other) => finds(one, mail) || finds(other, mail),
        Key::And(keys) => keys.iter().all(|key| finds(key, mail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_or_refused() {
        for keys in [
            "ALL",
            "SEEN",
            "NOT (SEEN LARGER 5)",
            "OR UID 1:3 SUBJECT \"a (b\"",
            "SINCE 1-Jan-2020",
        ] {
            assert!(parse(keys).is_some(), "{keys}");
        }
        for keys in ["", "BOGUS", "NOT", "(SEEN", "SUBJECT \"a", "UID 0", "KEYWORD \\Seen", ")"] {
            assert!(parse(keys).is_none(), "{keys}");
        }
    }
}

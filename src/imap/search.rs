//! UID SEARCH with an author's own keys (RFC 9051 §6.4.4).
//!
//! # Never
//!
//! * Never sends keys that could be more than one command, or leave the server waiting for a
//!   literal.

use crate::imap::reader::Data;
use crate::imap::request::Command;
use crate::imap::session::Session;
use crate::imap::tap::is_one_line;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::mail::WireName;
use crate::store::StoreError;

impl Session {
    /// Finds the messages that `keys` describes, in `folder`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unsayable`] for keys that no line can hold, [`StoreError::Refused`] where the
    /// server does not take them.
    pub(super) fn search(&mut self, folder: &WireName, keys: &str) -> Result<UidSet, StoreError> {
        let command = command(keys)?;
        self.ensure_open(folder)?;
        let reply = self.run(&command)?;
        let mut found = Vec::new();
        for data in reply.data() {
            if let Data::Search(uids) = data {
                found.extend(uids.into_iter().filter_map(Uid::new));
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().collect())
    }
}

/// Writes the command. A word or quoted string with characters beyond ASCII goes as a literal, since
/// quotes hold 7-bit octets only (RFC 3501 §9).
fn command(keys: &str) -> Result<Command, StoreError> {
    let unsayable = |why: &str| Err(StoreError::Unsayable(format!("a search {why}")));
    if keys.trim().is_empty() {
        return unsayable("without keys");
    }
    if !is_one_line(keys.as_bytes()) || keys.chars().any(char::is_control) {
        return unsayable("with a line break or control character");
    }
    let Some(words) = words(keys) else { return unsayable("with quotes that do not end") };
    if words.iter().any(|word| matches!(word, Word::Plain(text) if text.contains('{'))) {
        return unsayable("with a `{` outside of quotes, which announces a literal");
    }
    if words.first().is_some_and(|word| word.is("RETURN") || word.is("CHARSET")) {
        return unsayable("with RETURN or CHARSET, which are not for keys");
    }
    let mut command = Command::new("UID SEARCH");
    if !keys.is_ascii() {
        command = command.words("CHARSET UTF-8");
    }
    for word in words {
        command = match word {
            Word::Plain(text) if text.is_ascii() => command.words(&text),
            Word::Plain(text) if text.contains(['(', ')']) => {
                return unsayable("with characters beyond ASCII beside parentheses; quote them");
            }
            Word::Plain(text) | Word::Quoted { text, closers: 0 } => {
                command.string(text.as_bytes())
            }
            Word::Quoted { text, closers } => {
                command.string(text.as_bytes()).attached(&")".repeat(closers))
            }
        };
    }
    Ok(command)
}

/// A part of the keys between blanks.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Plain(String),
    /// A quoted string, unescaped, and the closing parentheses right behind it.
    Quoted {
        text: String,
        closers: usize,
    },
}

impl Word {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Plain(text) if text.eq_ignore_ascii_case(word))
    }
}

/// Cuts keys into words; nothing if a quoted string does not end, or is stuck to something.
fn words(keys: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = keys.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = unquote(quoted)?;
            let tail = after.trim_start_matches(')');
            if !(tail.is_empty() || tail.starts_with(' ')) {
                return None;
            }
            words.push(Word::Quoted { text, closers: after.len() - tail.len() });
            rest = tail.trim_start();
        } else {
            let end = rest.find([' ', '"']).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if after.starts_with('"') && !word.ends_with('(') {
                return None;
            }
            words.push(Word::Plain(word.to_owned()));
            rest = after.trim_start();
        }
    }
    Some(words)
}

/// Reads up to the closing quote.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(characters.next()?.1),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The command as it is sent, literals as `{n}` and their octets.
    fn sent(keys: &str) -> String {
        match command(keys) {
            Ok(command) => command.to_string(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn keys_go_as_they_are() {
        let keys = "OR (FROM \"joe\" SEEN) NOT (SUBJECT \"a \\\"b\\\" {3}\")";
        assert_eq!(sent(keys), format!("UID SEARCH {keys}"));
        assert_eq!(sent(" ALL "), "UID SEARCH ALL");
    }

    #[test]
    fn text_beyond_ascii_goes_as_a_literal() {
        assert_eq!(
            sent("(SUBJECT \"caf\u{e9}\") SEEN"),
            "UID SEARCH CHARSET UTF-8 (SUBJECT {5}caf\u{e9}) SEEN"
        );
        assert_eq!(sent("FROM \u{e9}"), "UID SEARCH CHARSET UTF-8 FROM {2}\u{e9}");
    }

    #[test]
    fn what_could_be_another_command_is_refused() {
        for keys in [
            "ALL\r\nX1 DELETE INBOX",
            "SUBJECT {3}",
            "SUBJECT {3+}",
            "SUBJECT \"x",
            "",
            "ALL\0",
            "x\"y\"",
            "RETURN (COUNT) ALL",
            "charset X ALL",
        ] {
            assert!(command(keys).is_err(), "{keys:?}");
        }
    }
}

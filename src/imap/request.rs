//! One command as a session sends it: words of our own, strings from outside, literals.
//!
//! # Never
//!
//! * Never writes a string from outside but in quotes or as a literal that waits for its `+`.

use std::borrow::Cow;

use crate::imap::command::quoted;
use crate::imap::tap::Stage;
use crate::imap::tap::is_one_line;
use crate::imap::tap::shown;
use crate::mail::WireName;

/// A literal of nothing.
const NOTHING: &str = "{0+}";

/// Parts of one command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Octets of the line itself.
    Text(Vec<u8>),
    /// Sent as a synchronising literal.
    Literal(Vec<u8>),
    /// A literal of nothing that does not wait (RFC 7888), at the end of the line.
    Nothing,
}

/// One command line, without tag and line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command(Vec<Part>);

impl Command {
    /// Begins with words of our own, such as `STATUS`.
    pub(super) fn new(words: &str) -> Self {
        Self(vec![Part::Text(words.as_bytes().to_vec())])
    }

    /// Adds a blank and words of our own.
    pub(super) fn words(mut self, words: &str) -> Self {
        self.text(b" ");
        self.text(words.as_bytes());
        self
    }

    /// Adds a blank and a string: quoted where a quoted string can hold it (RFC 9051 §4.3), else
    /// as a literal.
    pub(super) fn string(mut self, octets: &[u8]) -> Self {
        self.text(b" ");
        if octets.iter().all(|octet| matches!(octet, b' '..=b'~')) {
            self.text(&quoted(octets));
        } else {
            self.0.push(Part::Literal(octets.to_vec()));
        }
        self
    }

    /// Adds a blank and a folder's name, in the octets of the server.
    pub(super) fn folder(self, name: &WireName) -> Self {
        self.string(name.as_octets())
    }

    /// Adds words of our own without a blank.
    pub(super) fn attached(mut self, words: &str) -> Self {
        self.text(words.as_bytes());
        self
    }

    /// Adds a blank and a literal of nothing that is not waited for. Nothing may stand behind it, and it
    /// can only be sent [ahead](crate::imap::ahead).
    pub(super) fn nothing(mut self) -> Self {
        self.text(b" ");
        self.0.push(Part::Nothing);
        self
    }

    fn text(&mut self, octets: &[u8]) {
        match self.0.last_mut() {
            Some(Part::Text(text)) => text.extend_from_slice(octets),
            _ => self.0.push(Part::Text(octets.to_vec())),
        }
    }

    /// The parts, in order.
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether it can be sent: no text breaks the line, no literal holds a NUL (RFC 9051 §4.3).
    pub(super) fn is_sayable(&self) -> bool {
        self.0.iter().all(|part| match part {
            Part::Text(text) => is_one_line(text),
            Part::Literal(octets) => !octets.contains(&0),
            Part::Nothing => true,
        })
    }

    /// The line as a trace may hold it, literals as their sizes.
    pub(super) fn traced(&self) -> String {
        let mut line = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => line.extend_from_slice(text),
                Part::Literal(octets) => {
                    line.extend_from_slice(format!("{{{}}}", octets.len()).as_bytes());
                }
                Part::Nothing => line.extend_from_slice(NOTHING.as_bytes()),
            }
        }
        shown(&line, Stage::Ready)
    }

    /// All of it, where there is nothing in it that is waited for.
    pub(super) fn line(&self) -> Option<Cow<'_, str>> {
        match self.0.as_slice() {
            [Part::Text(text)] => std::str::from_utf8(text).ok().map(Cow::Borrowed),
            [Part::Text(text), Part::Nothing] => {
                std::str::from_utf8(text).ok().map(|text| format!("{text}{NOTHING}\r\n").into())
            }
            _ => None,
        }
    }
}

/// As it is sent, literals as `{n}` and their octets. For tests: it may hold anything.
#[cfg(test)]
impl std::fmt::Display for Command {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => formatter.write_str(&String::from_utf8_lossy(text))?,
                Part::Literal(octets) => {
                    write!(formatter, "{{{}}}{}", octets.len(), String::from_utf8_lossy(octets))?;
                }
                Part::Nothing => formatter.write_str(NOTHING)?,
            }
        }
        Ok(())
    }
}

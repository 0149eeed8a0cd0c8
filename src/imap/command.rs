//! Writes the parts of commands, from typed values only, and reads the answers of simple ones.
//!
//! Nothing that a server, a message or a person wrote gets into a line except as a whitelisted
//! value, a quoted string, or a literal that waits for its continuation.

use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::reader::StatusKind;
use crate::imap::reader::parse;
use crate::imap::wire::Wire;
use crate::mail::FlagSet;
use crate::mail::UidSet;
use crate::mail::WireName;
use crate::store::StoreError;

/// Longest written set of UIDs, in octets, so that a line stays below the 8,000 that every server
/// takes (RFC 7162 §4).
const SET_OCTETS_MAX: usize = 7_000;

/// A mailbox name as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mailbox {
    /// In quotes.
    Quoted(Vec<u8>),
    /// As a literal, which is always a synchronising one.
    Literal(Vec<u8>),
}

/// Writes a mailbox name: in quotes if it is printable ASCII, else as a literal.
///
/// # Errors
///
/// [`StoreError::Unsayable`] for a name with NUL, which not even a literal holds (RFC 9051 §4.3).
pub(super) fn mailbox(name: &WireName) -> Result<Mailbox, StoreError> {
    let octets = name.as_octets();
    if octets.iter().all(|octet| matches!(octet, b' '..=b'~')) {
        return Ok(Mailbox::Quoted(quoted(octets)));
    }
    if octets.contains(&0) {
        return Err(StoreError::Unsayable(format!("the name {} holds NUL", name.escaped())));
    }
    Ok(Mailbox::Literal(octets.to_vec()))
}

/// Puts printable ASCII into quotes.
pub(super) fn quoted(octets: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(octets.len() + 2);
    quoted.push(b'"');
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(octet);
    }
    quoted.push(b'"');
    quoted
}

/// Writes flags as a list in parentheses.
pub(super) fn flag_list(flags: &FlagSet) -> String {
    let mut list = String::new();
    push_flag_list(&mut list, flags);
    list
}

/// The same, behind what is written already.
pub(super) fn push_flag_list(line: &mut String, flags: &FlagSet) {
    line.push('(');
    // To a string that cannot fail.
    let _ = flags.write_to(line);
    line.push(')');
}

/// Cuts a set so that each part fits into a line.
pub(super) fn set_lines(uids: &UidSet) -> Vec<UidSet> {
    uids.split_at_octets(SET_OCTETS_MAX)
}

/// Reads the next whole response; `line` is the buffer for it.
///
/// # Errors
///
/// [`StoreError::Connection`] after an untagged BYE, and whatever the wire says.
pub(super) fn answer(wire: &mut Wire, line: &mut Vec<u8>) -> Result<Parsed, StoreError> {
    wire.response(line)?;
    let parsed = parse(line);
    refuse_bye(&parsed)?;
    count(wire, &parsed, line.len())?;
    Ok(parsed)
}

/// Counts what came, so that a server that never answers is noticed however much it says.
///
/// # Errors
///
/// [`StoreError::Protocol`] when only chatter has come for too long.
pub(super) fn count(wire: &mut Wire, parsed: &Parsed, octets: usize) -> Result<(), StoreError> {
    if matches!(parsed, Parsed::Tagged { .. }) {
        wire.note_answer();
        return Ok(());
    }
    wire.note_chatter(u64::try_from(octets).unwrap_or(u64::MAX))
}

/// Ends the connection's use once the server said BYE: no command that is not answered will be.
///
/// # Errors
///
/// [`StoreError::Connection`] for an untagged BYE.
pub(super) fn refuse_bye(parsed: &Parsed) -> Result<(), StoreError> {
    match parsed {
        Parsed::Untagged(Data::Status { kind: StatusKind::Bye, text, .. }) => {
            Err(StoreError::Connection(format!("the server said BYE {text}")))
        }
        _ => Ok(()),
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// OK, NO or BAD.
    pub(super) status: Status,
    /// The response code.
    pub(super) code: Option<Code>,
    /// The text.
    pub(super) text: String,
}

/// Sends a command of one line, given without tag and line end, and hands its data to `take`.
///
/// # Errors
///
/// [`StoreError::Connection`] or [`StoreError::Protocol`] when the connection is dead.
pub(super) fn run(
    wire: &mut Wire,
    command: &str,
    take: &mut dyn FnMut(Data),
) -> Result<Ended, StoreError> {
    let own = wire.tag();
    wire.put(format!("{own} {command}\r\n").as_bytes())?;
    wire.flush()?;
    let mut line = Vec::new();
    loop {
        match answer(wire, &mut line)? {
            Parsed::Untagged(data) => take(data),
            Parsed::Tagged { tag, status, code, text } if tag == own => {
                return Ok(Ended { status, code, text });
            }
            Parsed::Tagged { tag, .. } => return Err(foreign_tag(&tag)),
            Parsed::Continue | Parsed::Unknown => {}
        }
    }
}

/// The fault of an answer to a command that was not sent.
pub(super) fn foreign_tag(tag: &str) -> StoreError {
    StoreError::Protocol(format!("an answer to a command {tag} that was not sent"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::Uid;

    fn written(octets: &[u8]) -> Option<String> {
        match mailbox(&WireName::new(octets)).ok()? {
            Mailbox::Quoted(octets) => Some(String::from_utf8(octets).unwrap()),
            Mailbox::Literal(octets) => Some(format!("literal {}", octets.len())),
        }
    }

    #[test]
    fn name_is_quoted_or_a_literal_or_not_sayable() {
        assert_eq!(written(b"INBOX").unwrap(), "\"INBOX\"");
        assert_eq!(written(b"we \"ird\\").unwrap(), "\"we \\\"ird\\\\\"");
        assert_eq!(written(b"{5}").unwrap(), "\"{5}\"");
        assert_eq!(written(b"").unwrap(), "\"\"");
        assert_eq!(written(b"a\r\nb").unwrap(), "literal 4");
        assert_eq!(written(b"caf\xe9").unwrap(), "literal 4");
        assert_eq!(written(b"a\tb").unwrap(), "literal 3");
        assert_eq!(written(b"a\0b"), None);
    }

    #[test]
    fn lines_stay_short() {
        let sparse: UidSet = (1..20_000).map(|at| at * 3).filter_map(Uid::new).collect();
        let lines = set_lines(&sparse);
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.to_string().len() <= SET_OCTETS_MAX));
        assert_eq!(lines.iter().flat_map(UidSet::iter).collect::<UidSet>(), sparse);
    }

    proptest! {
        #[test]
        fn no_line_end_gets_into_a_quoted_name(octets: Vec<u8>) {
            if let Ok(Mailbox::Quoted(quoted)) = mailbox(&WireName::new(octets.as_slice())) {
                prop_assert!(quoted.iter().all(|octet| matches!(octet, b' '..=b'~')));
                let listed = [b"* LIST () NIL ", quoted.as_slice()].concat();
                let Parsed::Untagged(Data::List(line)) = parse(&listed) else { panic!() };
                prop_assert_eq!(line.name.as_octets(), octets.as_slice());
            }
        }
    }
}

//! LIST, LSUB, XLIST, STATUS and NAMESPACE.

use std::borrow::Cow;

use crate::imap::reader::cursor::Cursor;
use crate::imap::reader::cursor::Token;
use crate::imap::reader::cursor::number;
use crate::imap::reader::cursor::number32;
use crate::mail::MailboxId;
use crate::mail::ModSeq;
use crate::mail::Uid;
use crate::mail::UidValidity;
use crate::mail::WireName;
use crate::store::FolderStatus;
use crate::store::Namespace;

/// One row of LIST, LSUB or XLIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) struct ListLine {
    /// Attributes as sent, `\HasNoChildren` and the like; those of XLIST by their names in RFC 6154.
    pub(in crate::imap) attributes: Vec<String>,
    /// The hierarchy delimiter; nothing for a flat name.
    pub(in crate::imap) delimiter: Option<u8>,
    /// The name, unquoted.
    pub(in crate::imap) name: WireName,
}

/// Reads what follows `LIST`: attributes, delimiter, name, and extended data, which is dropped.
pub(super) fn list(cursor: &mut Cursor<'_>) -> Option<ListLine> {
    let attributes = match cursor.list() {
        Some(attributes) => attributes,
        // What some servers send in place of ().
        None => match cursor.token()? {
            Token::Atom(word) if word.eq_ignore_ascii_case(b"NIL") => Vec::new(),
            _ => return None,
        },
    };
    let delimiter = cursor.token()?;
    if matches!(delimiter, Token::Open | Token::Close) {
        return None;
    }
    let delimiter = delimiter.octets().and_then(|octets| octets.first().copied());
    let rest = cursor.rest();
    let attributes = attributes.iter().map(|attribute| attribute_name(attribute)).collect();
    Some(ListLine { attributes, delimiter, name: list_name(rest)? })
}

fn attribute_name(attribute: &[u8]) -> String {
    let name = String::from_utf8_lossy(attribute);
    // XLIST came before RFC 6154 and has other words for three of its uses.
    for (old, new) in [("\\Spam", "\\Junk"), ("\\AllMail", "\\All"), ("\\Starred", "\\Flagged")] {
        if name.eq_ignore_ascii_case(old) {
            return new.to_owned();
        }
    }
    name.into_owned()
}

/// A name at the end of a line. Servers send names with blanks, or with quotes inside, unescaped.
fn list_name(rest: &[u8]) -> Option<WireName> {
    let mut cursor = Cursor::new(rest);
    let Token::Text(text) = cursor.token()? else {
        return Some(WireName::new(&rest[..end_of_bare_name(rest)]));
    };
    let ends_cleanly = cursor.is_at_boundary();
    match memchr::memrchr(b'"', rest) {
        Some(last) if rest.first() == Some(&b'"') && last > 0 && !ends_cleanly => {
            Some(WireName::new(&rest[1..last]))
        }
        _ => Some(WireName::new(text.into_owned())),
    }
}

/// Where a name without quotes ends: before the extended data of RFC 5258 §6, else with the line.
fn end_of_bare_name(rest: &[u8]) -> usize {
    let begins = |tail: &[u8]| {
        [&b"(\"CHILDINFO\""[..], b"(CHILDINFO", b"(\"OLDNAME\"", b"(OLDNAME"].iter().any(|start| {
            tail.get(..start.len()).is_some_and(|tail| tail.eq_ignore_ascii_case(start))
        })
    };
    memchr::memchr_iter(b' ', rest).find(|&at| begins(&rest[at + 1..])).unwrap_or(rest.len())
}

/// Reads what follows `STATUS`: the name and the counts.
pub(super) fn status(cursor: &mut Cursor<'_>) -> Option<(WireName, FolderStatus)> {
    let rest = cursor.rest();
    let mut cursor = Cursor::new(rest);
    let name = if let Token::Text(text) = cursor.token()? {
        WireName::new(text.into_owned())
    } else {
        // Servers send names with blanks and parentheses unquoted; the counts are the last list.
        let open = start_of_counts(rest)?;
        cursor = Cursor::new(&rest[open..]);
        WireName::new(rest[..open].trim_ascii())
    };
    if !cursor.take(b'(') {
        return None;
    }
    let mut status = FolderStatus::default();
    while let Some(Token::Atom(item)) = cursor.token() {
        let value = match cursor.token() {
            Some(Token::Open) => {
                let first = cursor.token();
                if first != Some(Token::Close) {
                    cursor.skip_list();
                }
                first
            }
            Some(Token::Close) | None => break,
            value => value,
        };
        let value = value.and_then(Token::octets).unwrap_or(Cow::Borrowed(b""));
        count(&mut status, item, &value);
    }
    Some((name, status))
}

fn start_of_counts(rest: &[u8]) -> Option<usize> {
    let last = memchr::memrchr(b')', rest)?;
    let (mut depth, mut at) = (0_usize, last);
    loop {
        match rest[at] {
            b')' => depth += 1,
            b'(' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        at = at.checked_sub(1)?;
    }
}

fn count(status: &mut FolderStatus, item: &[u8], value: &[u8]) {
    match item.to_ascii_uppercase().as_slice() {
        b"MESSAGES" => status.messages = number(value),
        b"UIDVALIDITY" => status.uid_validity = number32(value).and_then(UidValidity::new),
        b"UIDNEXT" => status.uid_next = number32(value).and_then(Uid::new),
        b"HIGHESTMODSEQ" => {
            status.highest_mod_seq = number(value).filter(|number| *number > 0).map(ModSeq);
        }
        b"MAILBOXID" => status.mailbox_id = MailboxId::from_wire(value),
        b"SIZE" => status.octets = number(value),
        _ => {}
    }
}

/// Reads what follows `NAMESPACE` (RFC 2342 §5): personal ones, then others' and shared ones.
pub(super) fn namespace(cursor: &mut Cursor<'_>) -> Option<(Vec<Namespace>, Vec<Namespace>)> {
    let personal = namespaces(cursor)?;
    let mut others = namespaces(cursor).unwrap_or_default();
    others.extend(namespaces(cursor).unwrap_or_default());
    Some((personal, others))
}

fn namespaces(cursor: &mut Cursor<'_>) -> Option<Vec<Namespace>> {
    let mut found = Vec::new();
    match cursor.token()? {
        Token::Atom(word) if word.eq_ignore_ascii_case(b"NIL") => return Some(found),
        Token::Open => {}
        _ => return None,
    }
    while cursor.take(b'(') {
        let (prefix, delimiter) = (cursor.token()?, cursor.token()?);
        let prefix = prefix.octets().unwrap_or(Cow::Borrowed(b""));
        let closed = delimiter == Token::Close;
        let delimiter = delimiter.octets().and_then(|octets| octets.first().copied());
        found.push(Namespace { prefix: WireName::new(prefix.into_owned()), delimiter });
        if !closed {
            // Extensions such as TRANSLATION follow.
            cursor.skip_list();
        }
    }
    cursor.take(b')');
    Some(found)
}

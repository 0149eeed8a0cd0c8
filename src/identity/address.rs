//! Takes addresses out of an address list (RFC 5322 §3.4), whatever stands around them.

use std::iter;

use crate::identity::date::without_comments;
use crate::identity::text;

/// Appends the addresses in lower case, sorted and separated by commas: names, comments, groups, routes and
/// blanks are dropped. The normal text of the field where no address is found.
pub(super) fn append_normal(value: &[u8], normal: &mut Vec<u8>) {
    match lone(value) {
        Some(address) => {
            let octets = address.iter().filter(|octet| !matches!(octet, b' ' | b'\t'..=b'\r'));
            normal.extend(octets.map(u8::to_ascii_lowercase));
        }
        None => append_listed(value, normal),
    }
}

/// The address of a field that is as most are: one address, perhaps behind a name, and nothing that has to
/// be read with care.
fn lone(value: &[u8]) -> Option<&[u8]> {
    let behind_name = behind_quoted_name(value);
    let value = behind_name.unwrap_or(value);
    let needs_care = |octet: &u8| {
        !octet.is_ascii() | matches!(octet, b'"' | b'\\' | b'(' | b')' | b',' | b';' | b':')
    };
    // All of them, so that many are looked at together.
    if value.iter().fold(false, |found, octet| found | needs_care(octet)) {
        return None;
    }
    let inner = match (memchr::memrchr(b'<', value), memchr::memrchr(b'>', value)) {
        (Some(start), Some(end)) if start < end => &value[start + 1..end],
        _ if behind_name.is_some() => return None,
        (Some(start), None) => &value[start + 1..],
        _ => value,
    };
    inner.contains(&b'@').then_some(inner)
}

/// What stands behind a name in quotes, if there is one.
fn behind_quoted_name(value: &[u8]) -> Option<&[u8]> {
    let value = text::trimmed(value).strip_prefix(b"\"")?;
    let end = memchr::memchr2(b'"', b'\\', value).filter(|end| value[*end] == b'"')?;
    Some(&value[end + 1..])
}

fn append_listed(value: &[u8], normal: &mut Vec<u8>) {
    let text = text::ascii(value);
    let text = without_comments(&text);
    let mut addresses = mailboxes(&text).filter_map(address);
    let Some(first) = addresses.next() else { return text::append_normal(value, normal) };
    let Some(second) = addresses.next() else { return normal.extend(spelled(first)) };
    // Most fields have one, which needs no list.
    let all = [first, second].into_iter().chain(addresses);
    let mut all: Vec<Vec<u8>> = all.map(|address| spelled(address).collect()).collect();
    all.sort_unstable();
    normal.extend(all.join(&b','));
}

/// Cuts a list at commas and semicolons outside of quotes and angle brackets; drops names of groups.
fn mailboxes(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    iter::from_fn(move || {
        let list = rest?;
        let mut start = 0;
        let (mut quoted, mut angled, mut escaped) = (false, false, false);
        for (at, octet) in list.bytes().enumerate() {
            let plain = !escaped;
            escaped = plain && quoted && octet == b'\\';
            match octet {
                b'"' if plain => quoted = !quoted,
                b'<' if !quoted => angled = true,
                b'>' if !quoted => angled = false,
                b',' | b';' if !quoted && !angled => {
                    rest = Some(&list[at + 1..]);
                    return Some(&list[start..at]);
                }
                b':' if !quoted && !angled => start = at + 1,
                _ => {}
            }
        }
        rest = None;
        Some(&list[start..])
    })
}

/// The address of a mailbox, with whatever blanks are in it.
fn address(mailbox: &str) -> Option<&str> {
    let inner = match (last_unquoted(mailbox, '<'), mailbox.rfind('>')) {
        (Some(start), Some(end)) if start < end => &mailbox[start + 1..end],
        (Some(start), None) => &mailbox[start + 1..],
        _ => mailbox,
    };
    // A source route (RFC 5322 §4.4) stands before the address.
    let inner = match inner.rfind(':') {
        Some(at) if inner.trim_start().starts_with('@') => &inner[at + 1..],
        _ => inner,
    };
    inner.contains('@').then_some(inner)
}

/// An address, which is ASCII, without its blanks and in lower case.
fn spelled(address: &str) -> impl Iterator<Item = u8> {
    let octets = address.bytes().filter(|octet| !char::from(*octet).is_whitespace());
    octets.map(|octet| octet.to_ascii_lowercase())
}

fn last_unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = false;
    let mut found = None;
    for (at, character) in text.char_indices() {
        if character == '"' {
            quoted = !quoted;
        } else if character == wanted && !quoted {
            found = Some(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(value: &[u8]) -> String {
        let mut normal = Vec::new();
        append_normal(value, &mut normal);
        String::from_utf8(normal).unwrap()
    }

    #[track_caller]
    fn check(value: &[u8], expected: &str) {
        assert_eq!(normal(value), expected);
    }

    #[test]
    fn one_address_written_in_many_ways_is_one_address() {
        for value in [
            "Anna@Example.org",
            "<anna@example.org>",
            "Anna B <anna@example.org>",
            "\"B, Anna <x@y>\" <anna@example.org>",
            "=?utf-8?q?Ann=C3=A1?= <anna@EXAMPLE.org>",
            "anna@example.org (Anna (B))",
            "Friends: Anna <anna@example.org>;",
            "<@relay,@other:anna@example.org>",
            "Anna\r\n\t<anna @ example.org>",
            "Anna <anna@example.org",
        ] {
            check(value.as_bytes(), "anna@example.org");
        }
    }

    #[test]
    fn several_addresses_are_sorted() {
        check(b"b@x, A <a@x>", "a@x,b@x");
        check(b"List: b@x, a@x;, c@x", "a@x,b@x,c@x");
    }

    #[test]
    fn text_without_an_address_is_text() {
        check(b"Mailer \xe9  Daemon", "MAILER X DAEMON");
        check(b"undisclosed-recipients:;", "UNDISCLOSED-RECIPIENTS:;");
        check(b"", "");
        check(b"\"\"@><", "\"\"@><");
        check(b"x@\xe9", "x@x");
    }

    proptest! {
        #[test]
        fn one_address_is_read_as_it_is_in_a_list(
            value in "[ab@<>\"\\\\(),;: \t\r\n\x0b\x0c\x1c\x7f\x00\u{e9}]{0,12}|\"[a<>@, (:\u{e9}]{0,4}\" ?[a@<> \u{e9}]{0,8}",
        ) {
            let mut listed = Vec::new();
            append_listed(value.as_bytes(), &mut listed);
            prop_assert_eq!(normal(value.as_bytes()).into_bytes(), listed);
        }

        #[test]
        fn any_octets_have_a_normal_form(value: Vec<u8>) {
            let _ = normal(&value);
        }
    }
}

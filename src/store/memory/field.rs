//! Header fields of a stored message, as `BODY[HEADER.FIELDS (…)]` gives them (RFC 9051 §6.4.5).

use crate::store::fetch::HeaderFields;

/// The names that a scan asks for.
const fn names(fields: HeaderFields) -> &'static [&'static str] {
    match fields {
        HeaderFields::None => &[],
        HeaderFields::Key => &["message-id", "date", "from", "subject"],
        HeaderFields::Full => &[
            "date",
            "from",
            "to",
            "cc",
            "subject",
            "sender",
            "reply-to",
            "in-reply-to",
            "references",
            "message-id",
            "received",
        ],
        HeaderFields::Received => &["received"],
    }
}

/// The asked fields in the message's order, each with its continuation lines, and an empty line.
pub(super) fn select(message: &[u8], fields: HeaderFields) -> Vec<u8> {
    let names = names(fields);
    let mut selected = Vec::new();
    let mut taken = false;
    for line in header_lines(message) {
        if !line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t')) {
            taken = field_name(line)
                .is_some_and(|name| names.iter().any(|asked| name.eq_ignore_ascii_case(asked)));
        }
        if taken {
            selected.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            selected.extend_from_slice(b"\r\n");
        }
    }
    selected.extend_from_slice(b"\r\n");
    selected
}

/// Tells whether a field of that name holds the text, without regard to case.
pub(super) fn holds(message: &[u8], name: &str, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    header_lines(message).any(|line| {
        field_name(line).is_some_and(|found| found.eq_ignore_ascii_case(name))
            && String::from_utf8_lossy(line).to_ascii_lowercase()[name.len()..].contains(&text)
    })
}

/// The lines up to the empty one, without their LF.
fn header_lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message.split(|octet| *octet == b'\n').take_while(|line| !line.is_empty() && *line != b"\r")
}

fn field_name(line: &[u8]) -> Option<&str> {
    let colon = memchr::memchr(b':', line)?;
    std::str::from_utf8(&line[..colon]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_and_doubled_fields_are_given_and_others_are_not() {
        let message = b"From: a\r\nX-Other: b\r\n c\r\nSUBJECT: d\r\n\te\nfrom: f\r\n\r\nFrom: g";
        let selected = select(message, HeaderFields::Key);
        assert_eq!(selected, b"From: a\r\nSUBJECT: d\r\n\te\r\nfrom: f\r\n\r\n");
    }

    #[test]
    fn message_without_header_gives_an_empty_line() {
        assert_eq!(select(b"", HeaderFields::Full), b"\r\n");
        assert_eq!(select(b"no header here", HeaderFields::Full), b"\r\n");
    }
}

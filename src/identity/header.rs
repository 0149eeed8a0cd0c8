//! Splits the octets of a header into fields, whatever shape they came in.

use std::iter;
use std::ops::Range;

/// Octets of a header that are looked at. Servers pass on headers of any size; what tells messages
/// apart stands in the first lines.
const HEADER_OCTETS_MAX: usize = 1 << 20;

/// Fields of one header, in their order.
#[derive(Clone, Debug)]
pub(super) struct Header<'a> {
    octets: &'a [u8],
    wanted: &'static [&'static str],
    /// Each with the place of its name among those that are wanted.
    fields: Vec<(usize, Range<usize>)>,
}

impl<'a> Header<'a> {
    /// Splits a header and keeps the fields of these names, which are in lower case. Lines end with CR LF or a
    /// lone LF; where there is no LF at all, a lone CR ends one. An mbox `From ` line, lines without a colon and
    /// continuations of nothing are passed over.
    pub(super) fn split(octets: &'a [u8], wanted: &'static [&'static str]) -> Self {
        let octets = octets.get(..HEADER_OCTETS_MAX).unwrap_or(octets);
        let ending = if octets.contains(&b'\n') { b'\n' } else { b'\r' };
        let mut fields: Vec<(usize, Range<usize>)> = Vec::with_capacity(wanted.len() + 1);
        // Whether the line before this one belongs to the last field.
        let mut open = false;
        let mut start = 0;
        let ends = memchr::memchr_iter(ending, octets).chain(iter::once(octets.len()));
        for end in ends {
            let line = start..trimmed_end(octets, start, end);
            start = end + 1;
            if line.is_empty() {
                break;
            }
            if is_blank(octets[line.start]) {
                match fields.last_mut().filter(|_| open) {
                    Some((_, value)) => value.end = line.end,
                    None => open = false,
                }
                continue;
            }
            let text = &octets[line.clone()];
            let mut names = wanted.iter().enumerate();
            let field = names.find_map(|(at, name)| Some((at, value_start(text, name)?)));
            open = field.is_some();
            fields.extend(field.map(|(at, value)| (at, line.start + value..line.end)));
        }
        Self { octets, wanted, fields }
    }

    /// The values of all fields of this name, which is one of those that are wanted, in their order, folded as
    /// they came.
    pub(super) fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let (octets, wanted) = (self.octets, self.wanted);
        debug_assert!(wanted.contains(&name), "{name} was not kept");
        let own = self.fields.iter().filter(move |(at, _)| wanted[*at] == name);
        own.map(move |(_, value)| &octets[value.clone()])
    }
}

/// Where the value begins, if the line is a field of this name; blanks may stand before the colon.
fn value_start(line: &[u8], name: &str) -> Option<usize> {
    let (own, rest) = line.split_at_checked(name.len())?;
    let blanks = rest.iter().position(|octet| !octet.is_ascii_whitespace())?;
    let fits = rest[blanks] == b':' && own.eq_ignore_ascii_case(name.as_bytes());
    fits.then_some(name.len() + blanks + 1)
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// The end of the line without its CR.
fn trimmed_end(octets: &[u8], start: usize, end: usize) -> usize {
    if end > start && octets[end - 1] == b'\r' { end - 1 } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &[u8], name: &str, expected: &[&str]) {
        let header = Header::split(header, &["k1", "k2", "k3"]);
        let values: Vec<String> = header
            .values(name)
            .map(|value| {
                String::from_utf8_lossy(value).split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn folded_lines_are_joined_and_repeated_names_accumulate() {
        let header = b"K1: a\nK2: b\n  c\n        d\nK3: e\nK1: other\n";
        check(header, "k2", &["b c d"]);
        check(header, "k1", &["a", "other"]);
    }

    #[test]
    fn a_blank_line_ends_the_header_and_its_lack_does_not_hurt() {
        check(b"K1: a\r\n\r\nK2: b", "k2", &[]);
        check(b"K1: a\r\nK2: b", "k2", &["b"]);
    }

    #[test]
    fn a_continuation_of_nothing_is_passed_over() {
        check(b"  K1: a\nK3: b\nK1: other\n", "k1", &["other"]);
        check(b"junk\n folded\nK1: a\n", "k1", &["a"]);
        check(b"K1: a\nK9: other\n folded\n", "k1", &["a"]);
    }

    #[test]
    fn odd_lines_do_not_hide_their_neighbours() {
        check(b"From a@b Fri Jan  2\nK1: a\n", "k1", &["a"]);
        check(b">From a\nK1 : a\n:x\nno colon\nK2:b\n", "k1", &["a"]);
        check(b"K1\nK2\n: a\nK 1: b\nK11: c\nK1\t :d\n", "k1", &["d"]);
        check(b"K1: a\rK2: b\r\rK3: c", "k2", &["b"]);
    }
}

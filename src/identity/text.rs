//! Normalises text of header fields, so that servers which fold, tab or re-encode it agree.

/// Longest encoded word that is decoded. The RFC allows 75 octets, mail holds longer ones.
const WORD_OCTETS_MAX: usize = 2048;

/// Normal form of any text: encoded words decoded, each 8-bit octet an X, all blanks one blank, upper
/// case in ASCII, which no later version of Unicode changes.
///
/// Raw octets become X before encoded words are decoded: servers that cannot carry 8-bit headers
/// put an X for each octet, but carry encoded words unchanged. So what was decoded keeps its
/// characters, and tells more messages apart.
///
/// Appended, so that a header is made normal without a string for each of its values.
pub(super) fn append_normal(value: &[u8], normal: &mut Vec<u8>) {
    if may_have_words(value) {
        let mut text = collapsed(&decode_words(&ascii(value)));
        text.make_ascii_uppercase();
        return normal.extend_from_slice(text.as_bytes());
    }
    let start = append_upper(value, normal);
    collapse(normal, start);
}

/// Appends the octets as ASCII in upper case, without blanks at the ends. Returns where they begin.
pub(super) fn append_upper(value: &[u8], normal: &mut Vec<u8>) -> usize {
    let start = normal.len();
    normal.extend(trimmed(value).iter().map(|octet| as_ascii(*octet).to_ascii_uppercase()));
    start
}

/// Without what counts as a blank at either end.
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..]
    | [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = value
    {
        value = rest;
    }
    value
}

/// Leaves one blank of several in what stands from here on.
fn collapse(octets: &mut Vec<u8>, start: usize) {
    let is_second = |before: u8, octet: u8| before == b' ' && octet == b' ';
    let text = &octets[start..];
    // Hardly ever are there several. All are looked at, so that many are looked at together.
    let neighbours = text.iter().zip(text.get(1..).unwrap_or_default());
    if !neighbours.fold(false, |found, (before, octet)| found | is_second(*before, *octet)) {
        return;
    }
    let mut end = start;
    for at in start..octets.len() {
        let octet = octets[at];
        if end == start || !is_second(octets[end - 1], octet) {
            octets[end] = octet;
            end += 1;
        }
    }
    octets.truncate(end);
}

/// Tells whether an encoded word may begin somewhere.
fn may_have_words(value: &[u8]) -> bool {
    memchr::memchr_iter(b'=', value).any(|at| value.get(at + 1) == Some(&b'?'))
}

/// The octets as ASCII: 8-bit octets count as X one for one, CR, LF and tab as a blank.
pub(super) fn ascii(value: &[u8]) -> String {
    // All of it is ASCII. Checking that at one go is faster than making it of characters.
    String::from_utf8(value.iter().copied().map(as_ascii).collect()).unwrap_or_default()
}

/// One octet of it.
pub(super) const fn as_ascii(octet: u8) -> u8 {
    match octet {
        b'\t' | b'\r' | b'\n' => b' ',
        0x80.. => b'X',
        other => other,
    }
}

/// Without blanks at the ends, and with one blank where there were several.
fn collapsed(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for word in text.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()) {
        if !result.is_empty() {
            result.push(' ');
        }
        result.push_str(word);
    }
    result
}

/// Replaces encoded words (RFC 2047 §2) by their text. Words of unknown charsets stay as they are.
fn decode_words(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    // A run of words in one charset, not yet decoded: a character may be cut between two words.
    let mut run: Option<(Charset, Vec<u8>)> = None;
    let mut rest = text;
    while let Some(at) = rest.find("=?") {
        let before = &rest[..at];
        let Some((charset, octets, length)) = encoded_word(&rest[at..]) else {
            flush(&mut run, &mut result);
            result.push_str(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        // Blanks between two encoded words are not part of the text (RFC 2047 §6.2).
        let joins = run.is_some() && before.bytes().all(|octet| octet == b' ');
        if !joins {
            flush(&mut run, &mut result);
            result.push_str(before);
        }
        if let Some((_, all)) = run.as_mut().filter(|(own, _)| *own == charset) {
            all.extend_from_slice(&octets);
        } else {
            flush(&mut run, &mut result);
            run = Some((charset, octets));
        }
        rest = &rest[at + length..];
    }
    flush(&mut run, &mut result);
    result.push_str(rest);
    result
}

fn flush(run: &mut Option<(Charset, Vec<u8>)>, result: &mut String) {
    if let Some((charset, octets)) = run.take() {
        charset.decode(&octets, result);
    }
}

/// Reads the encoded word at the beginning of `text`: its charset, octets and length.
fn encoded_word(text: &str) -> Option<(Charset, Vec<u8>, usize)> {
    // Without a bound, a header of beginnings of words would be searched to its end for each.
    let inner = text.get(..WORD_OCTETS_MAX).unwrap_or(text).strip_prefix("=?")?;
    let (charset, after) = inner.split_once('?')?;
    let (encoding, after) = after.split_once('?')?;
    let (content, after) = after.split_once("?=")?;
    // The language suffix of RFC 2231 §5 says nothing about the octets.
    let charset = Charset::named(charset.split('*').next().unwrap_or_default())?;
    let octets = match encoding {
        "Q" | "q" => decode_q(content.as_bytes()),
        "B" | "b" => decode_b(content.as_bytes()),
        _ => return None,
    };
    Some((charset, octets, WORD_OCTETS_MAX.min(text.len()) - after.len()))
}

fn decode_q(content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((&octet, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?));
        match (octet, hex) {
            (b'=', Some(value)) => {
                octets.push(value);
                rest = &tail[2..];
                continue;
            }
            (b'_', _) => octets.push(b' '),
            _ => octets.push(octet),
        }
        rest = tail;
    }
    octets
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Base64 as it is found in the wild: without padding, with blanks, cut.
fn decode_b(content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(content.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &letter in content {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(((bits >> held) & 0xff).to_le_bytes()[0]);
        }
    }
    octets
}

/// Charsets whose encoded words are decoded. More may be added only with a new version of the
/// fingerprint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// Windows-1252, which also is what mail labelled ISO-8859-1 holds.
    Western,
    /// ISO-8859-15.
    WesternEuro,
}

/// Octets 0x80 to 0x9f of Windows-1252.
const WESTERN_HIGH: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

impl Charset {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Self::Utf8,
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "windows-1252" | "cp1252" => {
                Self::Western
            }
            "iso-8859-15" | "iso8859-15" | "iso_8859-15" | "latin9" => Self::WesternEuro,
            _ => return None,
        })
    }

    fn decode(self, octets: &[u8], text: &mut String) {
        match self {
            Self::Utf8 => text.push_str(&String::from_utf8_lossy(octets)),
            Self::Western => text.extend(octets.iter().map(|&octet| match octet {
                0x80..=0x9f => WESTERN_HIGH[usize::from(octet - 0x80)],
                other => char::from(other),
            })),
            Self::WesternEuro => text.extend(octets.iter().map(|&octet| match octet {
                0xa4 => '\u{20ac}',
                0xa6 => '\u{160}',
                0xa8 => '\u{161}',
                0xb4 => '\u{17d}',
                0xb8 => '\u{17e}',
                0xbc => '\u{152}',
                0xbd => '\u{153}',
                0xbe => '\u{178}',
                other => char::from(other),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(value: &[u8]) -> String {
        // What stood there before is none of its business.
        let mut normal = b"before ".to_vec();
        append_normal(value, &mut normal);
        String::from_utf8(normal).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    #[track_caller]
    fn check(value: &[u8], expected: &str) {
        assert_eq!(normal(value), expected);
    }

    #[test]
    fn blanks_collapse_and_case_is_dropped() {
        check(b"  aa  bb   ccc d", "AA BB CCC D");
        check(b"aa\r\n\tbb   ", "AA BB");
        check(b"", "");
    }

    proptest! {
        #[test]
        fn text_without_encoded_words_is_made_normal_as_decoded_text_is(
            text in "[ \tab=\r\n\x0b\x0c]{0,30}",
        ) {
            prop_assert_eq!(normal(text.as_bytes()), collapsed(&text).to_ascii_uppercase());
        }
    }

    #[test]
    fn raw_8_bit_octets_count_as_x_one_for_one() {
        check(b"\x80AB\xff", "XABX");
        check("caf\u{e9}".as_bytes(), "CAFXX");
        check(b"cafXX", "CAFXX");
    }

    #[test]
    fn encoded_words_are_equal_in_any_charset_and_encoding() {
        for value in [
            "=?utf-8?Q?caf=C3=A9_noir?=",
            "=?UTF-8?b?Y2Fmw6kgbm9pcg==?=",
            "=?iso-8859-1?q?caf=e9?= noir",
            "=?windows-1252*fr?Q?caf=E9_?=\r\n =?windows-1252?Q?noir?=",
            "=?utf-8?Q?caf=C3?= =?utf-8?Q?=A9?= noir",
        ] {
            check(value.as_bytes(), "CAF\u{e9} NOIR");
        }
        check(b"=?iso-8859-15?q?=a4?= =?windows-1252?q?=80?=", "\u{20ac}\u{20ac}");
    }

    #[test]
    fn what_is_no_known_encoded_word_stays() {
        check(b"=?koi8-r?q?=c1?= x", "=?KOI8-R?Q?=C1?= X");
        check(b"a =? b =?utf-8?x?y?= =?utf-8?q?", "A =? B =?UTF-8?X?Y?= =?UTF-8?Q?");
        check(b"=?utf-8?q?=4?=", "=4");
    }

    proptest! {
        #[test]
        fn any_octets_have_a_normal_form(value: Vec<u8>) {
            let text = normal(&value);
            prop_assert!(!text.contains("  "));
        }
    }
}

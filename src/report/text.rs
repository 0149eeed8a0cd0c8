//! Texts and numbers as people read them: escaped, cut to a width, with units.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;
use unicode_width::UnicodeWidthStr;

/// What stands for the middle of a name that is cut.
const CUT: &str = "...";

/// Fewest columns that a name is cut to.
pub(super) const NAME_MIN: usize = 8;

/// Tells whether a character must not reach a terminal as it is: controls, marks that turn the
/// direction of writing, line separators and what is not seen at all.
pub(super) fn is_hazard(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Writes controls, bidi marks and unseen characters as `\x1b` or `\u{202e}`: what servers and
/// messages say can then do nothing to a terminal, and nothing in it is hidden.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hazard) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if !is_hazard(character) {
            escaped.push(character);
            continue;
        }
        let code = u32::from(character);
        // Writing into a String cannot fail.
        let _ = if code < 0x80 {
            write!(escaped, "\\x{code:02x}")
        } else {
            write!(escaped, "\\u{{{code:x}}}")
        };
    }
    Cow::Owned(escaped)
}

/// As [`escape`], for octets: what is not UTF-8 is written as `\xe9`.
#[must_use]
pub fn escape_octets(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        text.push_str(&escape(chunk.valid()));
        for octet in chunk.invalid() {
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

/// How many columns a text takes on a terminal.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Cuts a text in the middle, with `...`, to at most so many columns.
#[must_use]
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    if columns(text) <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(CUT.len()) else {
        return Cow::Owned(CUT.chars().take(width).collect());
    };
    let left = head(text, room.div_ceil(2));
    let right = tail(&text[left.len()..], room - columns(left));
    Cow::Owned(format!("{left}{CUT}{right}"))
}

/// Names for a line on which other things take `rest` columns: escaped and, if the line would be
/// longer than `width`, cut to fair shares of what is left.
pub(super) fn fit_names(names: &[&str], rest: usize, width: usize) -> Vec<String> {
    let escaped: Vec<Cow<'_, str>> = names.iter().map(|name| escape(name)).collect();
    let mut room = width.saturating_sub(rest);
    let mut by_width: Vec<usize> = (0..escaped.len()).collect();
    by_width.sort_by_key(|position| columns(&escaped[*position]));
    let mut shares = vec![0; escaped.len()];
    for (done, position) in by_width.into_iter().enumerate() {
        let share = (room / (escaped.len() - done)).max(NAME_MIN);
        shares[position] = columns(&escaped[position]).min(share);
        room = room.saturating_sub(shares[position]);
    }
    escaped.iter().zip(shares).map(|(name, share)| fit(name, share).into_owned()).collect()
}

/// The longest beginning that takes at most so many columns.
fn head(text: &str, width: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find_map(|(at, character)| {
        taken += character.width().unwrap_or(0);
        (taken > width).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

/// The longest end that takes at most so many columns and does not begin inside a character.
fn tail(text: &str, width: usize) -> &str {
    let (mut taken, mut start) = (0, text.len());
    for (at, character) in text.char_indices().rev() {
        let more = character.width().unwrap_or(0);
        taken += more;
        if taken > width {
            break;
        }
        if more > 0 {
            start = at;
        }
    }
    &text[start..]
}

/// Breaks a text at blanks into lines of at most `width` columns; a longer word has a line of its
/// own and is not cut. Runs of blanks inside a line stay, since names may hold them.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A number with commas between thousands.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number for a table: `-` for none.
#[must_use]
pub(super) fn cell(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { count(number) }
}

/// A count with its word: `1 message`, `2 messages`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Octets with a binary unit: `812 B`, `4.1 KiB`, `41.0 MiB`, `5.83 GiB`.
#[must_use]
pub fn size(octets: u64) -> String {
    scaled(octets, Precision::Three)
}

/// Octets in a second: `2.2 MiB/s`.
#[must_use]
pub fn rate(octets: u64) -> String {
    format!("{}/s", scaled(octets, Precision::Two))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Precision {
    Three,
    Two,
}

fn scaled(octets: u64, precision: Precision) -> String {
    if octets < 1000 {
        return format!("{octets} B");
    }
    let octets = u128::from(octets);
    let mut text = String::new();
    for (power, unit) in (1_u32..).zip(["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]) {
        let one = 1_u128 << (10 * power);
        let rounded = |parts: u128| (octets * parts + one / 2) / one;
        let (hundredths, tenths, whole) = (rounded(100), rounded(10), rounded(1));
        text = if hundredths < 1000 && power > 1 && precision == Precision::Three {
            format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100)
        } else if tenths < 1000 {
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        } else {
            format!("{whole} {unit}")
        };
        if whole < 1000 {
            break;
        }
    }
    text
}

/// A time that something took: `38 s`, `45 min 14 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A time that is only estimated, in whole minutes, upwards: `18 min`, `2 h 5 min`.
#[must_use]
pub fn estimate(seconds: u64) -> String {
    let minutes = seconds.div_ceil(60).max(1);
    if minutes < 60 { format!("{minutes} min") } else { duration(minutes * 60) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_is_written_visibly() {
        assert_eq!(escape("Projects/2024 ü 日本"), "Projects/2024 ü 日本");
        assert_eq!(escape("a\u{1b}[31mb\r\n\t\u{7f}"), "a\\x1b[31mb\\x0d\\x0a\\x09\\x7f");
        assert_eq!(escape("inv\u{202e}fdp.exe\u{2066}"), "inv\\u{202e}fdp.exe\\u{2066}");
        assert_eq!(escape("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(escape_octets(b"caf\xe9 \x1b[0m \xff\xfe"), "caf\\xe9 \\x1b[0m \\xff\\xfe");
    }

    #[test]
    fn names_are_cut_in_the_middle_by_columns() {
        assert_eq!(fit("Projects", 8), "Projects");
        assert_eq!(fit("Projects/2024/Alpha", 12), "Proje...lpha");
        assert_eq!(fit("日本語のフォルダ", 16), "日本語のフォルダ");
        assert_eq!(fit("日本語のフォルダ", 10), "日本...ダ");
        assert_eq!(fit("abcdef", 2), "..");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}", 4), "e\u{301}...");
    }

    #[test]
    fn sizes_have_three_digits_and_never_round_to_a_thousand() {
        for (octets, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (4_198, "4.1 KiB"),
            (18_842, "18.4 KiB"),
            (1_023_999, "0.98 MiB"),
            (1_048_576, "1.00 MiB"),
            (42_991_616, "41.0 MiB"),
            (6_259_910_410, "5.83 GiB"),
            (10_736_344_498, "10.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(octets), text);
        }
        assert_eq!(rate(2_306_867), "2.2 MiB/s");
    }

    #[test]
    fn counts_and_times_read_as_people_write_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(48_509), "48,509");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(counted(1, "message", "messages"), "1 message");
        assert_eq!(duration(38), "38 s");
        assert_eq!(duration(45 * 60 + 14), "45 min 14 s");
        assert_eq!(duration(7_500), "2 h 5 min");
        assert_eq!(duration(3 * 86_400 + 4 * 3600), "3 d 4 h");
        assert_eq!(estimate(1_021), "18 min");
        assert_eq!(estimate(0), "1 min");
        assert_eq!(estimate(7_470), "2 h 5 min");
    }

    #[test]
    fn a_long_name_gets_what_a_short_one_leaves() {
        let long = "a".repeat(60);
        assert_eq!(fit_names(&["INBOX", &long], 10, 80), ["INBOX", &long]);
        let cut = fit_names(&["INBOX", &long], 30, 80);
        assert_eq!((cut[0].as_str(), columns(&cut[1])), ("INBOX", 45));
        let cut = fit_names(&[&long, &long], 20, 80);
        assert_eq!((columns(&cut[0]), columns(&cut[1])), (30, 30));
    }

    proptest! {
        #[test]
        fn a_cut_text_takes_at_most_its_room_and_keeps_its_beginning(
            text in "[a-z日ü/]{1,40}",
            width in 5_usize..30,
        ) {
            let cut = fit(&text, width);
            prop_assert!(columns(&cut) <= width);
            let first = text.chars().next();
            prop_assert!(cut.chars().next() == first || cut.starts_with(CUT));
        }

        #[test]
        fn an_escaped_text_has_no_hazard_left(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(is_hazard));
        }

        #[test]
        fn wrapping_keeps_every_word(text in "[a-z ]{0,120}", width in 1_usize..40) {
            prop_assert_eq!(wrap(&text, width).join(" "), text);
        }
    }
}

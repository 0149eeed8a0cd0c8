//! One text that a layer came from: its name, its lines, and what of it must not be shown.

use std::ops::Range;

/// What stands for a secret in an excerpt; never longer or shorter with the secret.
const MASK: &str = "\"********\"";

/// Octets of a line that an excerpt shows before and behind the place of a fault.
const BEFORE_MAX: usize = 120;
const AFTER_MAX: usize = 160;
/// Stands where a line was cut.
const CUT: &str = "...";

/// A text that was read, or stands in the binary.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// As people are shown it.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
    /// Spans of literal secrets, in octets.
    pub(crate) masks: Vec<Range<usize>>,
}

/// One line of a document, safe to show, with the columns that a caret line marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, without tabs, control characters and secrets.
    pub line: String,
    /// Columns before the carets, as a terminal counts them.
    pub indent: usize,
    /// How many carets, at least one.
    pub width: usize,
}

impl Document {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), masks: Vec::new() }
    }

    /// Line and column of an octet, both counted from 1; columns are characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let (start, _) = self.line_around(offset);
        let before = self.text.get(..start).unwrap_or_default();
        let within = self.text.get(start..self.boundary(offset)).unwrap_or_default();
        (before.matches('\n').count() + 1, within.chars().count() + 1)
    }

    /// The span, or the whole of a secret that it begins inside of or right behind: a column would
    /// tell how long the secret is.
    pub(crate) fn unmasked(&self, span: Range<usize>) -> Range<usize> {
        let mask = self.masks.iter().find(|mask| mask.start < span.start && span.start <= mask.end);
        mask.cloned().unwrap_or(span)
    }

    /// The line that holds the beginning of `span`, with its carets.
    pub(crate) fn excerpt(&self, span: &Range<usize>) -> Excerpt {
        let (start, end) = self.line_around(span.start);
        let begin = self.boundary(span.start.saturating_sub(BEFORE_MAX)).max(start);
        let stop = self.boundary(span.start.saturating_add(AFTER_MAX)).min(end);
        let mut line = if begin > start { CUT.to_owned() } else { String::new() };
        let (mut indent, mut width) = (line.len(), 0);
        let mut offset = begin;
        while offset < stop {
            let marked = offset >= span.start && offset < span.end.max(span.start + 1);
            let mask = self.masks.iter().find(|mask| mask.contains(&offset));
            let piece = if let Some(mask) = mask {
                offset = mask.end.min(stop);
                MASK.to_owned()
            } else {
                let rest = self.text.get(offset..stop).unwrap_or_default();
                let Some(character) = rest.chars().next() else { break };
                offset += character.len_utf8();
                shown(character)
            };
            let columns = unicode_width::UnicodeWidthStr::width(piece.as_str());
            if marked {
                width += columns;
            } else if width == 0 && offset <= span.start {
                indent += columns;
            }
            line.push_str(&piece);
        }
        if stop < end {
            line.push_str(CUT);
        }
        Excerpt { line: line.trim_end().to_owned(), indent, width: width.max(1) }
    }

    /// Where the line of an octet begins and ends, without its line end.
    fn line_around(&self, offset: usize) -> (usize, usize) {
        let offset = self.boundary(offset);
        let (before, after) = self.text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = offset + after.find('\n').unwrap_or(after.len());
        (start, end)
    }

    /// The nearest place at or before `offset` where a character begins.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// A character as a terminal may be given it.
fn shown(character: char) -> String {
    match character {
        '\t' => " ".to_owned(),
        '\r' => String::new(),
        other if other.is_control() || is_bidi(other) => other.escape_unicode().to_string(),
        other => other.to_string(),
    }
}

/// Marks that turn the direction of text round (UAX #9), and the byte order mark.
fn is_bidi(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text from outside as a message may hold it: controls and bidi marks escaped, and not endless.
pub(crate) fn plain(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|character| if character == '\t' { "\\t".to_owned() } else { self::shown(character) })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn carets_stand_below_what_is_marked() {
        let document = Document::new("a", "x = 1\nfolder = \"日本\" # ü\n");
        let at = document.text.find("\"日").unwrap();
        let excerpt = document.excerpt(&(at..at + 8));
        assert_eq!(document.position(at), (2, 10));
        assert_eq!((excerpt.indent, excerpt.width), (9, 6));
        assert_eq!(excerpt.line, "folder = \"日本\" # ü");
    }

    #[test]
    fn a_masked_secret_has_always_the_same_length() {
        let mut document = Document::new("a", "p = { x = \"hunter2\" }");
        document.masks.push(10..19);
        let excerpt = document.excerpt(&(10..19));
        assert_eq!(excerpt.line, "p = { x = \"********\" }");
        assert_eq!((excerpt.indent, excerpt.width), (10, 10));
        assert_eq!(document.excerpt(&(20..21)).indent, 21);
    }

    #[test]
    fn controls_do_not_reach_a_terminal() {
        let document = Document::new("a", "a\u{1b}[31m = \u{202e}1");
        assert_eq!(document.excerpt(&(0..1)).line, "a\\u{1b}[31m = \\u{202e}1");
    }

    #[test]
    fn a_line_without_end_is_cut_around_the_fault() {
        let document = Document::new("a", format!("{}x{}", "a".repeat(1_000), "b".repeat(1_000)));
        let excerpt = document.excerpt(&(1_000..1_001));
        assert_eq!((excerpt.indent, excerpt.width), (123, 1));
        assert_eq!(excerpt.line.get(123..124), Some("x"));
        assert!(excerpt.line.starts_with("...a") && excerpt.line.ends_with("b..."));
        assert!(excerpt.line.len() < 300);
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_has_an_excerpt(
            text in "(\\PC|\n|\t|\"){0,30}",
            (start, length, mask) in (0usize..40, 0usize..40, 0usize..40),
        ) {
            let mut document = Document::new("a", text);
            document.masks.push(mask..mask + 3);
            let excerpt = document.excerpt(&(start..start + length));
            prop_assert!(excerpt.width > 0);
            prop_assert!(document.position(start).0 > 0);
        }
    }
}

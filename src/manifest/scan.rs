//! A look at the letters of a TOML text, for what the parser does not tell: escapes that TOML does
//! not have, with the string that they are in, and what only TOML 1.1 allows.

use std::ops::Range;

/// How many levels of tables and lists a text may have. The manifest itself has six; what has
/// thousands would take the parser, which calls itself for each, beyond its stack.
pub(crate) const DEPTH_MAX: usize = 32;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A backslash in double quotes that begins no escape of TOML 1.0.
    Escape {
        /// The backslash and what follows it.
        span: Range<usize>,
        /// The string with its quotes.
        string: Range<usize>,
    },
    /// A line end inside `{ … }`.
    LineEnd(Range<usize>),
    /// A comma before `}`.
    LastComma(Range<usize>),
    /// More levels than anything has. The rest of the text was not looked at.
    Deep(Range<usize>),
}

/// Goes through a text once. Never fails: a text that is no TOML gives findings that the parser's own
/// faults make plain.
pub(crate) fn scan(text: &str) -> Vec<Finding> {
    let mut scan =
        Scan { text, at: 0, open: Vec::new(), dots: 0, comma: None, findings: Vec::new() };
    scan.run();
    scan.findings
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Brackets that are open.
    open: Vec<u8>,
    /// Dots since a key or a value began.
    dots: usize,
    /// The last comma, while nothing but blanks came after it.
    comma: Option<usize>,
    findings: Vec<Finding>,
}

impl Scan<'_> {
    fn run(&mut self) {
        while let Some(octet) = self.octet(self.at) {
            self.dots = match octet {
                b'.' => self.dots + 1,
                b'\n' | b'=' | b',' | b'{' | b'[' => 0,
                _ => self.dots,
            };
            if self.dots > DEPTH_MAX || self.open.len() > DEPTH_MAX {
                self.findings.push(Finding::Deep(self.at..self.at + 1));
                return;
            }
            match octet {
                b'#' => self.comment(),
                b'"' | b'\'' => {
                    self.comma = None;
                    self.string(octet);
                }
                b'\n' if self.open.last() == Some(&b'{') => {
                    // One finding a table: the rest follows from it.
                    let known = self.findings.iter().any(
                        |finding| matches!(finding, Finding::LineEnd(span) if span.end > self.at),
                    );
                    if !known {
                        self.findings.push(Finding::LineEnd(self.at..self.table_end()));
                    }
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b',' => {
                    self.comma = Some(self.at);
                    self.at += 1;
                }
                b'[' | b'{' => {
                    self.comma = None;
                    self.open.push(octet);
                    self.at += 1;
                }
                b']' | b'}' => {
                    if let (b'}', Some(comma)) = (octet, self.comma) {
                        self.findings.push(Finding::LastComma(comma..comma + 1));
                    }
                    self.comma = None;
                    self.open.pop();
                    self.at += 1;
                }
                _ => {
                    self.comma = None;
                    self.at += 1;
                }
            }
        }
    }

    fn octet(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn comment(&mut self) {
        while self.octet(self.at).is_some_and(|octet| octet != b'\n') {
            self.at += 1;
        }
    }

    /// Up to where the findings of one inline table are one finding: the next line that opens a table.
    fn table_end(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.find("\n[").map_or(self.text.len(), |end| self.at + end)
    }

    fn string(&mut self, quote: u8) {
        let start = self.at;
        let triple = [quote; 3];
        let many = self.text.as_bytes().get(start..).is_some_and(|rest| rest.starts_with(&triple));
        let marks = if many { 3 } else { 1 };
        let mut escapes = Vec::new();
        self.at += marks;
        while let Some(octet) = self.octet(self.at) {
            if octet == b'\n' && !many {
                break;
            }
            if octet == b'\\' && quote == b'"' {
                escapes.extend(self.escape(many));
                continue;
            }
            self.at += 1;
            if octet == quote {
                if !many {
                    break;
                }
                let end = self.at + 2;
                if self.text.as_bytes().get(self.at..end) == Some(&[quote; 2][..]) {
                    self.at = end;
                    break;
                }
            }
        }
        let string = start..self.at;
        let found =
            escapes.into_iter().map(|span| Finding::Escape { span, string: string.clone() });
        self.findings.extend(found);
    }

    /// Steps over a backslash and what follows it; its span if TOML 1.0 has no such escape.
    fn escape(&mut self, many: bool) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next())?;
        if next == '\n' && !many {
            return Some(start..start + 1);
        }
        self.at += next.len_utf8();
        let digits = match next {
            'u' => 4,
            'U' => 8,
            'b' | 't' | 'n' | 'f' | 'r' | '"' | '\\' => 0,
            ' ' | '\t' | '\r' | '\n' if many => 0,
            _ => return Some(start..self.at),
        };
        let code = self.text.as_bytes().get(self.at..self.at + digits);
        if code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) {
            self.at += digits;
            return None;
        }
        Some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        scan(text)
            .into_iter()
            .map(|finding| match finding {
                Finding::Escape { span, string } => format!("{} in {}", &text[span], &text[string]),
                Finding::LineEnd(_) => "line end".to_owned(),
                Finding::LastComma(_) => "comma".to_owned(),
                Finding::Deep(_) => "deep".to_owned(),
            })
            .collect()
    }

    #[test]
    fn escapes_of_toml_are_no_finding_and_all_others_are() {
        assert_eq!(found(r#"a = ["\Seen", '\Seen', "\t\u00e9", "\\Seen"]"#), [r#"\S in "\Seen""#]);
        assert_eq!(found(r#"a = "\e[1m" # "\S""#), [r#"\e in "\e[1m""#]);
        assert_eq!(found(r#"a = "\x41""#), [r#"\x in "\x41""#]);
        assert_eq!(found("a = \"\"\"x\\\n  y\"\"\"\nb = \"\\q\""), ["\\q in \"\\q\""]);
    }

    #[test]
    fn what_only_toml_1_1_allows_is_found() {
        assert_eq!(found("a = {\n b = 1\n}"), ["line end"]);
        assert_eq!(found("a = { b = [\n1,\n] }"), [""; 0]);
        assert_eq!(found("a = { b = 1, }"), ["comma"]);
        assert_eq!(found("a = [1,\n2,\n]\n[b]\nc = 1"), [""; 0]);
    }

    #[test]
    fn levels_without_end_are_found() {
        assert_eq!(found(&format!("{} = 1", ["a"; 40].join("."))), ["deep"]);
        assert_eq!(found(&"[".repeat(40)), ["deep"]);
        assert_eq!(found(&format!("a = '{}'", ".".repeat(40))), [""; 0]);
        assert_eq!(found(&"a.b.c = 1\n".repeat(40)), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_gone_through(text in "(\\PC|[\"'\\\\#{}\\[\\],\n]){0,40}") {
            for finding in scan(&text) {
                let (Finding::Escape { span, .. }
                | Finding::LineEnd(span)
                | Finding::Deep(span)
                | Finding::LastComma(span)) = finding;
                prop_assert!(span.start < text.len());
            }
        }
    }
}

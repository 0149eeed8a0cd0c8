//! Cuts the octets of a response into tokens.

use std::borrow::Cow;

/// What is left of a response.
#[derive(Clone, Copy, Debug)]
pub(in crate::imap) struct Cursor<'a> {
    rest: &'a [u8],
}

/// One token. Every token takes at least one octet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Token<'a> {
    /// `(`.
    Open,
    /// `)`.
    Close,
    /// Anything up to the next blank or parenthesis: atoms, numbers, flags, `NIL`.
    Atom(&'a [u8]),
    /// A quoted string, unescaped, or a literal.
    Text(Cow<'a, [u8]>),
}

impl<'a> Token<'a> {
    /// The octets of an atom or a string; nothing for a parenthesis and for `NIL`.
    pub(in crate::imap) fn octets(self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Atom(octets) if !octets.eq_ignore_ascii_case(b"NIL") => {
                Some(Cow::Borrowed(octets))
            }
            Self::Text(octets) => Some(octets),
            Self::Open | Self::Close | Self::Atom(_) => None,
        }
    }
}

/// A blank as these tokens have it: space, tab, line end, form feed.
const BLANK: u8 = 1;
/// `(` and `)`.
const PARENTHESIS: u8 = 2;
/// `[`.
const BRACKET: u8 = 4;
/// `{` and `"`.
const STRING: u8 = 8;

/// What each octet is: looked up, since every octet of every response is asked.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut octet = 0_u8;
    loop {
        kinds[octet as usize] = match octet {
            _ if octet.is_ascii_whitespace() => BLANK,
            b'(' | b')' => PARENTHESIS,
            b'[' => BRACKET,
            b'{' | b'"' => STRING,
            _ => 0,
        };
        if octet == u8::MAX {
            break;
        }
        octet += 1;
    }
    kinds
};

/// Tells whether an octet is one of these kinds.
const fn is(octet: u8, kinds: u8) -> bool {
    KINDS[octet as usize] & kinds != 0
}

impl<'a> Cursor<'a> {
    pub(in crate::imap) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// Everything that is left, without blanks at either end.
    pub(in crate::imap) fn rest(&self) -> &'a [u8] {
        self.rest.trim_ascii()
    }

    /// The next octet after blanks, which stays.
    pub(in crate::imap) fn peek(&mut self) -> Option<u8> {
        while let [octet, rest @ ..] = self.rest {
            if !is(*octet, BLANK) {
                return Some(*octet);
            }
            self.rest = rest;
        }
        None
    }

    /// Tells whether a blank, a parenthesis or the end comes next, as it has to after a string.
    pub(in crate::imap) fn is_at_boundary(&self) -> bool {
        self.rest.first().is_none_or(|octet| is(*octet, BLANK | PARENTHESIS))
    }

    /// Takes the next octet after blanks if it is this one.
    pub(in crate::imap) fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    /// The next token; nothing at the end.
    pub(in crate::imap) fn token(&mut self) -> Option<Token<'a>> {
        match self.peek()? {
            b'(' => {
                self.rest = &self.rest[1..];
                Some(Token::Open)
            }
            b')' => {
                self.rest = &self.rest[1..];
                Some(Token::Close)
            }
            b'"' => Some(Token::Text(self.quoted())),
            _ => match self.literal() {
                Some(octets) => Some(Token::Text(Cow::Borrowed(octets))),
                None => Some(Token::Atom(self.atom())),
            },
        }
    }

    /// A word such as a tag, a status or the name of a response: ends before a blank, a parenthesis
    /// and a bracket. May be empty.
    pub(in crate::imap) fn word(&mut self) -> &'a [u8] {
        self.peek();
        self.cut(|octet| is(octet, BLANK | PARENTHESIS | BRACKET))
    }

    /// The name of a FETCH item: ends where its value begins, with or without a blank, and holds all
    /// that stands in brackets. May be empty.
    pub(in crate::imap) fn item(&mut self) -> &'a [u8] {
        self.peek();
        let plain =
            self.rest.iter().position(|octet| is(*octet, BLANK | PARENTHESIS | BRACKET | STRING));
        if let Some(end) = plain.filter(|end| self.rest[*end] != b'[') {
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            return name;
        }
        let (mut in_brackets, mut in_quotes) = (false, false);
        self.cut(|octet| {
            match octet {
                b'"' if in_brackets => in_quotes = !in_quotes,
                b'[' if !in_quotes => in_brackets = true,
                b']' if !in_quotes => in_brackets = false,
                _ => {}
            }
            !in_brackets && is(octet, BLANK | PARENTHESIS | STRING)
        })
    }

    /// Skips the rest of a list whose opening parenthesis is taken.
    pub(in crate::imap) fn skip_list(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.token() {
                None => return,
                Some(Token::Open) => depth += 1,
                Some(Token::Close) => depth -= 1,
                Some(Token::Atom(_) | Token::Text(_)) => {}
            }
        }
    }

    /// The atoms and strings of a list, whose opening parenthesis comes next, without those of lists
    /// inside. Nothing if there is no list.
    pub(in crate::imap) fn list(&mut self) -> Option<Vec<Cow<'a, [u8]>>> {
        if !self.take(b'(') {
            return None;
        }
        let mut items = Vec::new();
        loop {
            match self.token() {
                None | Some(Token::Close) => return Some(items),
                Some(Token::Open) => self.skip_list(),
                Some(token) => items.extend(token.octets()),
            }
        }
    }

    fn cut(&mut self, mut ends: impl FnMut(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&octet| ends(octet)).unwrap_or(self.rest.len());
        let (head, tail) = self.rest.split_at(end);
        self.rest = tail;
        head
    }

    fn atom(&mut self) -> &'a [u8] {
        self.cut(|octet| is(octet, BLANK | PARENTHESIS))
    }

    /// A quoted string; one that is not closed ends with the response.
    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let text = &self.rest[1..];
        let mut unescaped: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(&octet) = text.get(at) {
            if octet == b'"' {
                break;
            }
            if octet == b'\\' && at + 1 < text.len() {
                let unescaped = unescaped.get_or_insert_with(|| text[..at].to_vec());
                unescaped.push(text[at + 1]);
                at += 2;
                continue;
            }
            if let Some(unescaped) = &mut unescaped {
                unescaped.push(octet);
            }
            at += 1;
        }
        self.rest = text.get(at + 1..).unwrap_or(&[]);
        unescaped.map_or(Cow::Borrowed(&text[..at]), Cow::Owned)
    }

    /// A literal: `{n}`, line end, octets. One that is cut short ends with the response.
    fn literal(&mut self) -> Option<&'a [u8]> {
        let announced = self.rest.strip_prefix(b"~").unwrap_or(self.rest).strip_prefix(b"{")?;
        let digits = announced.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let size = number(&announced[..digits])?;
        let octets = &announced[digits..];
        let octets = octets.strip_prefix(b"+").unwrap_or(octets).strip_prefix(b"}")?;
        let octets = octets.strip_prefix(b"\r").unwrap_or(octets).strip_prefix(b"\n")?;
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(octets.len());
        let (literal, tail) = octets.split_at(size);
        self.rest = tail;
        Some(literal)
    }
}

/// Reads a number; nothing for anything but digits, and for what 64 bits do not hold.
pub(in crate::imap) fn number(octets: &[u8]) -> Option<u64> {
    if octets.is_empty() {
        return None;
    }
    octets.iter().try_fold(0_u64, |sum, octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads a number of 32 bits, as UIDs and counts are.
pub(in crate::imap) fn number32(octets: &[u8]) -> Option<u32> {
    number(octets).and_then(|number| u32::try_from(number).ok())
}

/// Text for people and reports, at most 1,000 octets of it.
pub(in crate::imap) fn text(octets: &[u8]) -> String {
    let octets = octets.trim_ascii();
    let mut text = String::from_utf8_lossy(&octets[..octets.len().min(1_000)]).into_owned();
    while text.len() > 1_000 {
        text.pop();
    }
    text
}

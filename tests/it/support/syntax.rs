//! IMAP's values (RFC 9051 §4) as far as tests need them: atoms, quoted strings, literals, lists.

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// An atom, brackets and what stands in them included: `BODY[HEADER.FIELDS (DATE)]`.
    Atom(String),
    /// A quoted string or literal.
    Text(Vec<u8>),
    /// A list in parentheses.
    List(Vec<Value>),
}

impl Value {
    /// Reads all values of a line, whose literals stand in it as `{5}`, line end and octets.
    pub(crate) fn read_all(line: &[u8]) -> Vec<Self> {
        let mut at = 0;
        read_list(line, &mut at)
    }

    /// Returns the octets of an atom or a string; nothing for a list.
    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Self::Atom(text) => text.as_bytes(),
            Self::Text(octets) => octets,
            Self::List(_) => &[],
        }
    }

    /// Returns the text of an atom or a string, lossy.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.octets()).into_owned()
    }

    /// Returns the text in upper case, for comparison with keywords.
    pub(crate) fn upper(&self) -> String {
        self.text().to_ascii_uppercase()
    }

    /// Returns the members of a list; nothing for the others.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Reads a number.
    pub(crate) fn number(&self) -> Option<u64> {
        self.text().parse().ok()
    }
}

/// Returns the length of the literal that a line announces at its end, and whether its octets come
/// without being asked for.
pub(crate) fn announced_literal(line: &[u8]) -> Option<(usize, Literal)> {
    let line = line.strip_suffix(b"\r\n").or_else(|| line.strip_suffix(b"\n")).unwrap_or(line);
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|octet| *octet == b'{')?;
    let inner = std::str::from_utf8(&inner[open + 1..]).ok()?;
    match inner.strip_suffix('+') {
        Some(number) => Some((number.parse().ok()?, Literal::NonSynchronising)),
        None => Some((inner.parse().ok()?, Literal::Synchronising)),
    }
}

/// How a literal is sent (RFC 7888).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    /// After the server asked for it.
    Synchronising,
    /// At once.
    NonSynchronising,
}

fn read_list(line: &[u8], at: &mut usize) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some(octet) = line.get(*at) {
        match octet {
            b' ' | b'\r' | b'\n' => *at += 1,
            b')' => {
                *at += 1;
                break;
            }
            b'(' => {
                *at += 1;
                values.push(Value::List(read_list(line, at)));
            }
            b'"' => values.push(Value::Text(read_quoted(line, at))),
            b'{' => values.push(read_literal(line, at)),
            _ => values.push(Value::Atom(read_atom(line, at))),
        }
    }
    values
}

fn read_quoted(line: &[u8], at: &mut usize) -> Vec<u8> {
    let mut octets = Vec::new();
    *at += 1;
    while let Some(octet) = line.get(*at) {
        *at += 1;
        match octet {
            b'"' => break,
            b'\\' => {
                octets.extend(line.get(*at));
                *at += 1;
            }
            _ => octets.push(*octet),
        }
    }
    octets
}

fn read_literal(line: &[u8], at: &mut usize) -> Value {
    let end = line[*at..].iter().position(|octet| *octet == b'\n').map(|end| *at + end + 1);
    let announced = end.and_then(|end| Some((end, announced_literal(&line[*at..end])?.0)));
    let Some((start, octets)) = announced else {
        *at = line.len();
        return Value::Atom("{".to_owned());
    };
    let stop = (start + octets).min(line.len());
    *at = stop;
    Value::Text(line[start..stop].to_vec())
}

fn read_atom(line: &[u8], at: &mut usize) -> String {
    let start = *at;
    let mut brackets = 0_u32;
    while let Some(octet) = line.get(*at) {
        match octet {
            b'[' => brackets += 1,
            b']' => brackets = brackets.saturating_sub(1),
            b'\r' | b'\n' => break,
            b' ' | b'(' | b')' if brackets == 0 => break,
            _ => {}
        }
        *at += 1;
    }
    String::from_utf8_lossy(&line[start..*at]).into_owned()
}

/// Writes a string as a quoted one, or as a literal where it has to be one.
pub(crate) fn quoted(octets: &[u8]) -> Vec<u8> {
    if octets.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n' | 0x80..)) {
        let mut literal = format!("{{{}}}\r\n", octets.len()).into_bytes();
        literal.extend_from_slice(octets);
        return literal;
    }
    let mut text = vec![b'"'];
    for octet in octets {
        if matches!(octet, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*octet);
    }
    text.push(b'"');
    text
}

//! Reads commands and responses whole.

use std::io::BufRead;
use std::ops::Range;

use crate::support::syntax::Literal;
use crate::support::syntax::announced_literal;

/// One command.
#[derive(Debug, Default)]
pub(super) struct Command {
    /// All its octets, as they go to the server: no literal waits.
    pub(super) octets: Vec<u8>,
    /// Where the messages of an APPEND stand in it.
    pub(super) messages: Vec<Range<usize>>,
}

impl Command {
    pub(super) fn tag(&self) -> String {
        self.word(0)
    }

    /// The verb in upper case; for `UID FETCH` both words.
    pub(super) fn verb(&self) -> String {
        let verb = self.word(1).to_ascii_uppercase();
        if verb == "UID" { format!("UID {}", self.word(2).to_ascii_uppercase()) } else { verb }
    }

    pub(super) fn contents(&self) -> Vec<&[u8]> {
        self.messages.iter().map(|range| &self.octets[range.clone()]).collect()
    }

    fn word(&self, nth: usize) -> String {
        let words = self.octets.split(|octet| matches!(octet, b' ' | b'\r' | b'\n'));
        String::from_utf8_lossy(words.into_iter().nth(nth).unwrap_or_default()).into_owned()
    }
}

/// What a literal that begins may do to the reading of a command.
pub(super) enum Go {
    On,
    /// Half of the literal is read, and no more.
    Half,
}

/// Reads one command. `literal` is called before each literal, with whether the client waits for a
/// continuation and whether it is a message. Returns nothing at the end of the connection, and what was
/// read of a command that was cut as an error.
pub(super) fn command(
    from: &mut impl BufRead,
    literal: &mut dyn FnMut(Literal, bool) -> std::io::Result<Go>,
) -> std::io::Result<Result<Command, Vec<u8>>> {
    let mut command = Command::default();
    loop {
        let start = command.octets.len();
        from.read_until(b'\n', &mut command.octets)?;
        let line = &command.octets[start..];
        if !line.ends_with(b"\n") {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((octets, kind)) = announced_literal(line) else { return Ok(Ok(command)) };
        // The name of a folder may be a literal, too, and an empty one is a question.
        let name = start == 0 && line.split(|octet| *octet == b' ').count() <= 3;
        let message = command.verb() == "APPEND" && !name && octets > 0;
        if kind == Literal::Synchronising {
            let end = command.octets.len() - b"}\r\n".len();
            command.octets.truncate(end);
            command.octets.extend_from_slice(b"+}\r\n");
        }
        let go = literal(kind, message)?;
        let start = command.octets.len();
        let octets = if matches!(go, Go::Half) { octets / 2 } else { octets };
        command.octets.resize(start + octets, 0);
        from.read_exact(&mut command.octets[start..])?;
        if matches!(go, Go::Half) {
            return Ok(Err(command.octets));
        }
        if message {
            command.messages.push(start..start + octets);
        }
    }
}

/// Reads one response, with its literals.
pub(super) fn response(from: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut response = Vec::new();
    loop {
        let start = response.len();
        from.read_until(b'\n', &mut response)?;
        if !response.ends_with(b"\n") {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some((octets, _)) = announced_literal(&response[start..]) else { return Ok(response) };
        let start = response.len();
        response.resize(start + octets, 0);
        from.read_exact(&mut response[start..])?;
    }
}

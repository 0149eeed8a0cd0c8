//! The tap: what the protocol crate `imap` reads from and writes to, in place of a socket.
//!
//! # In, out
//!
//! In: whole responses from the [`Wire`]. Out, to `imap`: the greeting, continuations of a login, and
//! tagged lines rewritten to `TAG OK`, `TAG NO` or `TAG BAD` and nothing else. What `imap` cannot read, and
//! what would make it panic, never reaches it; the octets of every untagged response and of the
//! tagged line are kept for our own reader.
//!
//! # Never
//!
//! * Never lets more than one line pass with one flush, so that an argument cannot become a command.
//! * Never reads past the response that was asked for, so that the wire can change hands between
//!   commands.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroize as _;

use crate::imap::wire::Wire;
use crate::store::StoreError;

/// Untagged responses that one command may bring, in octets. A listing of 100,000 folders takes a
/// third of it.
const SEEN_OCTETS_MAX: usize = 64 << 20;

/// What holding a response costs besides its octets.
const SEEN_OCTETS_EACH: usize = 64;

/// Longest command line that is sent whole, in octets.
const COMMAND_OCTETS_MAX: usize = 64 << 10;

/// Continuations that one command may bring.
const CONTINUATIONS_MAX: u32 = 8;

/// Longest tag that is looked at, in octets.
const TAG_OCTETS_MAX: usize = 16;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was read yet.
    Greeting,
    /// Secrets may be on the wire.
    Login,
    /// Commands are answered.
    Ready,
}

/// What ends the reading of one answer.
pub(super) enum Answer {
    /// `+`, with the text after it.
    Continue(Vec<u8>),
    /// A tagged line; it is in [`Exchange::tagged`].
    Tagged,
}

/// One command and what came back, over the wire. Shared by the tap and the session.
pub(super) struct Exchange {
    wire: Wire,
    stage: Stage,
    /// The line that `imap` may read, and how much of it it has read.
    give: Vec<u8>,
    given: usize,
    /// What `imap` wrote and has not flushed.
    command: Vec<u8>,
    seen: Vec<Vec<u8>>,
    seen_octets: usize,
    continuations: u32,
    tagged: Vec<u8>,
    fault: Option<StoreError>,
    /// The connection cannot be used any more.
    dead: bool,
}

impl Exchange {
    pub(super) const fn new(wire: Wire) -> Self {
        Self {
            wire,
            stage: Stage::Greeting,
            give: Vec::new(),
            given: 0,
            command: Vec::new(),
            seen: Vec::new(),
            seen_octets: 0,
            continuations: 0,
            tagged: Vec::new(),
            fault: None,
            dead: false,
        }
    }

    /// Forgets what the last command brought.
    pub(super) fn begin(&mut self) {
        self.give.clear();
        self.given = 0;
        self.seen.clear();
        self.seen_octets = 0;
        self.continuations = 0;
        self.tagged.clear();
        self.fault = None;
    }

    /// Goes on to another stage; after a login, what was sent is overwritten.
    pub(super) fn enter(&mut self, stage: Stage) {
        if self.stage == Stage::Login {
            self.wire.wipe_sent();
        }
        self.stage = stage;
    }

    pub(super) const fn wire_mut(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Takes the untagged responses, raw, in order.
    pub(super) fn take_seen(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.seen)
    }

    /// The tagged line, raw; empty before it came.
    pub(super) fn tagged(&self) -> &[u8] {
        &self.tagged
    }

    /// Takes what went wrong on the wire, if anything did.
    pub(super) const fn take_fault(&mut self) -> Option<StoreError> {
        self.fault.take()
    }

    pub(super) const fn set_dead(&mut self) {
        self.dead = true;
    }

    pub(super) const fn is_dead(&self) -> bool {
        self.dead
    }

    /// Reads up to the next `+` or tagged line; untagged responses on the way are kept.
    pub(super) fn next(&mut self) -> Result<Answer, StoreError> {
        loop {
            let mut line = Vec::new();
            self.wire.response(&mut line)?;
            self.seen_octets += line.len() + SEEN_OCTETS_EACH;
            if self.seen_octets > SEEN_OCTETS_MAX {
                return Err(StoreError::Protocol("an answer without end".to_owned()));
            }
            match line.first() {
                None => {}
                Some(b'*') => self.seen.push(line),
                Some(b'+') => {
                    self.continuations += 1;
                    if self.continuations > CONTINUATIONS_MAX {
                        return Err(StoreError::Protocol("continuations without end".to_owned()));
                    }
                    line.remove(0);
                    return Ok(Answer::Continue(line.trim_ascii().to_vec()));
                }
                Some(_) => {
                    self.tagged = line;
                    return Ok(Answer::Tagged);
                }
            }
        }
    }

    /// Fetches the next line that `imap` is to read.
    fn pull(&mut self) -> Result<(), StoreError> {
        self.given = 0;
        self.give.clear();
        if self.stage == Stage::Greeting {
            let mut line = Vec::new();
            self.wire.response(&mut line)?;
            if line.first() != Some(&b'*') {
                return Err(StoreError::Protocol("no greeting of an IMAP server".to_owned()));
            }
            self.seen.push(line);
            self.give.extend_from_slice(b"* OK ready\r\n");
            return Ok(());
        }
        loop {
            match self.next()? {
                Answer::Continue(text) if self.stage == Stage::Login => {
                    self.give = challenge(&text);
                    return Ok(());
                }
                Answer::Continue(_) => {}
                Answer::Tagged => {
                    self.give = plain_tagged(&self.tagged).ok_or_else(|| {
                        StoreError::Protocol("neither OK, NO nor BAD for an answer".to_owned())
                    })?;
                    return Ok(());
                }
            }
        }
    }

    /// Sends the line that `imap` wrote, if it is one line.
    fn send_command(&mut self) -> Result<(), StoreError> {
        let mut command = std::mem::take(&mut self.command);
        let sent = self.send_line(&command);
        command.zeroize();
        sent
    }

    fn send_line(&mut self, command: &[u8]) -> Result<(), StoreError> {
        if command.is_empty() {
            return Ok(());
        }
        let Some(line) = command.strip_suffix(b"\r\n").filter(|line| is_one_line(line)) else {
            return Err(StoreError::Unsayable(
                "a line break inside a command, or too much for a line".to_owned(),
            ));
        };
        tracing::trace!(command = %shown(line, self.stage), "sent");
        self.wire.put(command)?;
        self.wire.flush()
    }

    fn fail(&mut self, fault: StoreError) -> io::Error {
        let kind = if fault.connection_is_good() {
            io::ErrorKind::InvalidInput
        } else {
            io::ErrorKind::Other
        };
        self.dead |= !fault.connection_is_good();
        self.fault.get_or_insert(fault);
        io::Error::from(kind)
    }
}

/// Tells whether octets can be one command line: no CR, LF or NUL, and not absurdly long.
pub(super) fn is_one_line(octets: &[u8]) -> bool {
    octets.len() < COMMAND_OCTETS_MAX
        && !octets.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0))
}

/// A command as a trace may hold it: no secret, no search words, no octets that a terminal obeys.
pub(super) fn shown(line: &[u8], stage: Stage) -> String {
    if stage == Stage::Login {
        return "(login)".to_owned();
    }
    let text = line.escape_ascii().to_string();
    match text.find(" SEARCH ") {
        Some(at) => format!("{} SEARCH ...", &text[..at]),
        None => text,
    }
}

/// A continuation that `imap` can decode: a challenge in base64, or nothing where the server wrote
/// words.
fn challenge(text: &[u8]) -> Vec<u8> {
    if text.is_empty() || STANDARD.decode(text).is_err() {
        return b"+\r\n".to_vec();
    }
    [b"+ ", text, b"\r\n"].concat()
}

/// The tagged line without its code and text.
fn plain_tagged(line: &[u8]) -> Option<Vec<u8>> {
    let mut words =
        line.split(|octet| matches!(octet, b' ' | b'\t')).filter(|word| !word.is_empty());
    let tag = words
        .next()
        .filter(|tag| tag.len() <= TAG_OCTETS_MAX && tag.iter().all(u8::is_ascii_alphanumeric))?;
    let status = words.next()?.to_ascii_uppercase();
    matches!(status.as_slice(), b"OK" | b"NO" | b"BAD")
        .then(|| [tag, b" ", status.as_slice(), b" done\r\n"].concat())
}

/// One end of the exchange, as `imap` holds it.
#[derive(Clone)]
pub(super) struct Tap(Arc<Mutex<Exchange>>);

impl Tap {
    pub(super) fn new(wire: Wire) -> Self {
        Self(Arc::new(Mutex::new(Exchange::new(wire))))
    }

    /// The exchange itself. A session is owned by one thread: nobody ever waits here.
    pub(super) fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Tap {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut exchange = self.exchange();
        if exchange.dead {
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        if exchange.given == exchange.give.len()
            && let Err(fault) = exchange.pull()
        {
            return Err(exchange.fail(fault));
        }
        let ready = &exchange.give[exchange.given..];
        let count = ready.len().min(out.len());
        out[..count].copy_from_slice(&ready[..count]);
        exchange.given += count;
        Ok(count)
    }
}

impl Write for Tap {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut exchange = self.exchange();
        // Beyond the limit the octets are dropped; what is kept is too long to be sent.
        if exchange.command.len() <= COMMAND_OCTETS_MAX {
            exchange.command.extend_from_slice(octets);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut exchange = self.exchange();
        if exchange.dead {
            exchange.command.zeroize();
            return Err(io::Error::from(io::ErrorKind::NotConnected));
        }
        exchange.send_command().map_err(|fault| exchange.fail(fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_hold_neither_secrets_nor_search_words() {
        assert_eq!(shown(b"a1 LOGIN joe hunter2", Stage::Login), "(login)");
        assert_eq!(shown(b"AGpvZQBodW50ZXIy", Stage::Login), "(login)");
        assert_eq!(shown(b"a3 UID SEARCH FROM \"joe\"", Stage::Ready), "a3 UID SEARCH ...");
        assert_eq!(shown(b"a4 STATUS \x1b[2J", Stage::Ready), "a4 STATUS \\x1b[2J");
    }

    #[test]
    fn challenges_are_base64_or_nothing() {
        for words in ["", "go ahead", "VXNlcm5hbWU", "=", "caf\u{e9}"] {
            assert_eq!(challenge(words.as_bytes()), b"+\r\n", "{words}");
        }
        assert_eq!(challenge(b"VXNlcm5hbWU6"), b"+ VXNlcm5hbWU6\r\n");
    }

    #[test]
    fn tagged_lines_become_harmless() {
        let plain = |line: &[u8]| {
            plain_tagged(line).map(|line| String::from_utf8(line).unwrap().trim_end().to_owned())
        };
        assert_eq!(plain(b"a1 no [ALERT]\xe9 {3").as_deref(), Some("a1 NO done"));
        assert_eq!(plain(b"a1  OK").as_deref(), Some("a1 OK done"));
        for line in
            [&b"a1"[..], b"a1 BYE", b"a1 PREAUTH x", b"a\xff OK", b"()", b"12345678901234567 OK"]
        {
            assert_eq!(plain(line), None, "{}", line.escape_ascii());
        }
    }
}

//! A server of a few lines, for tests: it answers each line that comes with the next lines it has.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use crate::imap::wire::Stream;
use crate::imap::wire::Wire;

/// How long a session under test waits for a silent server.
const PATIENCE: Duration = Duration::from_millis(60);

/// What the server does when its lines have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It closes the connection.
    Close,
    /// It says nothing more.
    Silence,
    /// It sends one octet without end.
    Flood(u8),
}

/// All that the client sent, line by line, without line ends.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<Mutex<Vec<String>>>);

impl Sent {
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// How long an answer takes that begins with `~`.
const LONG: Duration = Duration::from_millis(15);

/// The server. `$T` in an answer stands for the tag of the command that it answers.
struct Script {
    /// The next answer takes long.
    slow: bool,
    answers: VecDeque<Vec<u8>>,
    then: Then,
    output: VecDeque<u8>,
    input: Vec<u8>,
    tag: Vec<u8>,
    continues: bool,
    sent: Sent,
}

/// A wire to a server that greets with the first answer, and what will have been sent over it.
pub(super) fn wire(answers: &[&[u8]], then: Then) -> (Wire, Sent) {
    let mut answers: VecDeque<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    let greeting = answers.pop_front().unwrap_or_default();
    let slow = greeting.starts_with(b"~");
    let output = greeting.strip_prefix(b"~").unwrap_or(&greeting).to_vec().into();
    let sent = Sent::default();
    let script = Script {
        slow,
        answers,
        then,
        output,
        input: Vec::new(),
        tag: Vec::new(),
        continues: false,
        sent: sent.clone(),
    };
    (Wire::new(Box::new(script), PATIENCE).unwrap(), sent)
}

impl Script {
    fn line(&mut self, line: &[u8]) {
        self.sent.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
        if !self.continues {
            self.tag = line.split(|octet| *octet == b' ').next().unwrap_or_default().to_vec();
        }
        if let Some(answer) = self.answers.pop_front() {
            // The dialogue of a login and the rest after a literal belong to the same command.
            self.continues = answer.starts_with(b"+") || answer.starts_with(b"~+");
            let tag = self.tag.clone();
            self.slow = answer.starts_with(b"~");
            let mut rest = answer.strip_prefix(b"~").unwrap_or(&answer);
            while let Some(at) = memchr::memmem::find(rest, b"$T") {
                self.output.extend(&rest[..at]);
                self.output.extend(&tag);
                rest = &rest[at + 2..];
            }
            self.output.extend(rest);
        }
    }
}

impl Read for Script {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.output.is_empty() {
            return match self.then {
                Then::Close if self.answers.is_empty() => Ok(0),
                Then::Flood(octet) if self.answers.is_empty() => {
                    out.fill(octet);
                    Ok(out.len())
                }
                _ => {
                    std::thread::sleep(Duration::from_millis(5));
                    Err(io::ErrorKind::WouldBlock.into())
                }
            };
        }
        if std::mem::take(&mut self.slow) {
            std::thread::sleep(LONG);
        }
        self.output.read(out)
    }
}

impl Write for Script {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.input.extend_from_slice(octets);
        while let Some(end) = memchr::memmem::find(&self.input, b"\r\n") {
            let line: Vec<u8> = self.input.drain(..end + 2).collect();
            self.line(&line[..end]);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {
    fn set_timeout(&mut self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }
}

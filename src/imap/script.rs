//! A server in memory for tests of the transfer path: no socket, no thread, no waiting.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use crate::imap::wire::Stream;
use crate::imap::wire::Wire;

/// What stands at the other end: takes what was sent off `input`, as far as it is whole, and says
/// what is answered.
pub(super) trait Peer: Send {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8>;

    /// What it says though nothing was sent; with nothing to say it closes.
    fn more(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// A peer that never ends: what it says, again and again, once something was sent.
pub(super) struct Endless<F>(pub(super) F);

impl<F: FnMut(&mut Vec<u8>) -> Vec<u8> + Send> Peer for Endless<F> {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        (self.0)(input)
    }

    fn more(&mut self) -> Vec<u8> {
        (self.0)(&mut Vec::new())
    }
}

/// How the line behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Most octets that one read gives.
    pub(super) drip: usize,
    /// Most octets that one write takes.
    pub(super) write_at_most: usize,
    /// Octets of answers that may wait before the peer takes no more, as with full socket buffers.
    pub(super) room: usize,
    /// Octets after which the line is cut.
    pub(super) cut_after: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            drip: usize::MAX,
            write_at_most: usize::MAX,
            room: usize::MAX,
            cut_after: usize::MAX,
        }
    }
}

/// Everything that was sent.
pub(super) type Sent = Arc<Mutex<Vec<u8>>>;

struct Memory<P> {
    peer: P,
    line: Line,
    input: Vec<u8>,
    answers: Vec<u8>,
    taken: usize,
    sent: Sent,
}

/// Connects a wire to a peer.
pub(super) fn connect(peer: impl Peer + 'static, line: Line) -> (Wire, Sent) {
    let sent = Sent::default();
    let memory = Memory {
        peer,
        line,
        input: Vec::new(),
        answers: Vec::new(),
        taken: 0,
        sent: Arc::clone(&sent),
    };
    (Wire::new(Box::new(memory), Duration::from_millis(50)).unwrap(), sent)
}

/// What was sent, as text.
pub(super) fn text_of(sent: &Sent) -> String {
    String::from_utf8_lossy(&sent.lock().unwrap()).into_owned()
}

impl<P: Peer> Stream for Memory<P> {
    fn set_timeout(&mut self, _: Duration) -> io::Result<()> {
        Ok(())
    }
}

impl<P: Peer> Read for Memory<P> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.answers.len() {
            self.answers = self.peer.more();
            self.taken = 0;
        }
        let ready = self.answers.len() - self.taken;
        let count = ready.min(out.len()).min(self.line.drip);
        out[..count].copy_from_slice(&self.answers[self.taken..self.taken + count]);
        self.taken += count;
        // A peer with nothing to say closes: who waits for it would wait for ever.
        Ok(count)
    }
}

impl<P: Peer> Write for Memory<P> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.answers.len() - self.taken > self.line.room {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut sent = self.sent.lock().unwrap();
        let most = octets.len().min(self.line.write_at_most);
        let count = most.min(self.line.cut_after - sent.len().min(self.line.cut_after));
        if count == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        sent.extend_from_slice(&octets[..count]);
        self.input.extend_from_slice(&octets[..count]);
        let answers = self.peer.take(&mut self.input);
        self.answers.extend_from_slice(&answers);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A peer of commands of one line each: a function of tag and command.
pub(super) struct Lines<F>(pub(super) F);

impl<F: FnMut(&str, &str) -> Vec<u8> + Send> Peer for Lines<F> {
    fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        let mut answers = Vec::new();
        while let Some(end) = memchr::memchr(b'\n', input) {
            let line: Vec<u8> = input.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let (tag, command) = line.trim_end().split_once(' ').unwrap();
            answers.extend((self.0)(tag, command));
        }
        answers
    }
}

//! The TCP socket of a connection, which acknowledges what has come when it would wait for more.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// A connected socket.
///
/// A server that answers two commands with two small writes holds the second one back until the first
/// is acknowledged (RFC 896), and a system that waits for something to send along takes 40 ms over
/// that: as much as a round trip, for each message that is appended with a synchronising literal. So
/// the system is told to acknowledge at once; before each read that may have to wait, because it takes
/// that back by itself. While a server sends more than is read at one go, that would be one packet more
/// for each read, and a server that is woken for it. An answer that happens to fill what was read into
/// costs such a wait, once.
pub(super) struct Socket {
    tcp: TcpStream,
    /// The last read took all that had come.
    is_drained: bool,
}

impl Socket {
    /// Takes over a connection.
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, is_drained: true }
    }

    /// Sets the limit of one read and of one write.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        // Nought would mean no limit.
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        self.tcp.set_read_timeout(timeout)?;
        self.tcp.set_write_timeout(timeout)
    }

    /// Has the system acknowledge what comes at once, where it can be told so.
    fn acknowledge_at_once(&self) {
        // What cannot be had is lived without.
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_quickack(&self.tcp, true);
    }
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.is_drained {
            self.acknowledge_at_once();
        }
        let came = self.tcp.read(out);
        self.is_drained = came.as_ref().map_or(true, |came| *came < out.len());
        came
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.tcp.write(octets)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.tcp.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

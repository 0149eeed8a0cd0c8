//! The TCP socket of a connection, which acknowledges what has come when it would wait for more, and lets
//! much gather that comes in little pieces.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// What one read takes at least where a server sends without a pause, in octets.
const MUCH: usize = 4 * 1024;

/// How long what comes may gather. Nothing waits for it but the end of what a server sends at one go; what a
/// fast line brings meanwhile fits into the system's buffers.
const GATHERING: Duration = Duration::from_micros(500);

/// What a read left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// There may be more: it took as much as it could hold.
    More,
    /// Nothing, and it was little.
    Nothing,
    /// Nothing, but the server is about to send more.
    Gathering,
}

impl Left {
    /// By what came, and what there was room for.
    const fn by(came: usize, room: usize) -> Self {
        if came == room {
            Self::More
        } else if came >= MUCH {
            Self::Gathering
        } else {
            Self::Nothing
        }
    }
}

/// A connected socket.
///
/// A server that answers two commands with two small writes holds the second one back until the first
/// is acknowledged (RFC 896), and a system that waits for something to send along takes 40 ms over
/// that: as much as a round trip, for each message that is appended with a synchronising literal. So
/// the system is told to acknowledge at once; before each read that may have to wait, because it takes
/// that back by itself. While a server sends more than is read at one go, that would be one packet more
/// for each read, and a server that is woken for it. An answer that happens to fill what was read into
/// costs such a wait, once.
///
/// A server that speaks TLS hands out its records one by one. Whoever reads faster than it writes is woken
/// for each, and passes each on by itself: up to five times the system calls, and a processor that the
/// server needs too. So after a read that took much, and all there was, what comes next has a moment.
pub(super) struct Socket {
    tcp: TcpStream,
    left: Left,
}

impl Socket {
    /// Takes over a connection.
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, left: Left::Nothing }
    }

    /// Sets the limit of one read and of one write.
    pub(super) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        // Nought would mean no limit.
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        self.tcp.set_read_timeout(timeout)?;
        self.tcp.set_write_timeout(timeout)
    }

    /// Something is asked: its answer is not kept waiting by what came before.
    fn ask(&mut self) {
        if self.left == Left::Gathering {
            self.left = Left::Nothing;
        }
    }

    /// Takes what has gathered, without a wait for more: `WouldBlock` where that is nothing.
    #[cfg(unix)]
    fn take_gathered(&self, out: &mut [u8]) -> io::Result<usize> {
        let (came, _) = rustix::net::recv(&self.tcp, out, rustix::net::RecvFlags::DONTWAIT)?;
        Ok(came)
    }

    /// Where no system can be asked so, it is waited for.
    #[cfg(not(unix))]
    fn take_gathered(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Waits for what comes, which is acknowledged at once unless there is more than one read takes.
    fn wait(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left != Left::More {
            self.acknowledge_at_once();
        }
        self.tcp.read(out)
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
        let came = if self.left == Left::Gathering {
            thread::sleep(GATHERING);
            match self.take_gathered(out) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => self.wait(out),
                taken => taken,
            }
        } else {
            self.wait(out)
        };
        self.left = came.as_ref().map_or(Left::Nothing, |came| Left::by(*came, out.len()));
        came
    }
}

impl Write for Socket {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.ask();
        self.tcp.write(octets)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.ask();
        self.tcp.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_much_and_all_there_was_lets_more_gather() {
        let room = 64 * 1024;
        for (came, left) in [
            (0, Left::Nothing),
            (MUCH - 1, Left::Nothing),
            (MUCH, Left::Gathering),
            (room - 1, Left::Gathering),
            (room, Left::More),
        ] {
            assert_eq!(Left::by(came, room), left, "{came}");
        }
        assert_eq!(Left::by(100, 100), Left::More);
    }

    #[test]
    fn what_is_asked_does_not_wait_for_what_came_before() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(&[7; MUCH]).unwrap();
        let mut room = [0; 2 * MUCH];
        while socket.tcp.peek(&mut room).unwrap() < MUCH {}
        assert_eq!(socket.read(&mut room).unwrap(), MUCH);
        assert_eq!(socket.left, Left::Gathering);
        socket.write_all(b"X1 NOOP").unwrap();
        assert_eq!(socket.left, Left::Nothing);
    }

    #[test]
    fn what_has_gathered_is_taken_and_where_that_is_nothing_more_is_waited_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (mut peer, _) = listener.accept().unwrap();
        let mut room = [0; 2 * MUCH];
        peer.write_all(&[7; 5]).unwrap();
        while socket.tcp.peek(&mut room).unwrap() < 5 {}
        socket.left = Left::Gathering;
        assert_eq!(socket.read(&mut room).unwrap(), 5);
        assert_eq!(socket.left, Left::Nothing);
        socket.left = Left::Gathering;
        let late = thread::spawn(move || {
            thread::sleep(20 * GATHERING);
            peer.write_all(&[7; 6]).unwrap();
        });
        assert_eq!(socket.read(&mut room).unwrap(), 6);
        late.join().unwrap();
        socket.left = Left::Gathering;
        assert_eq!(socket.read(&mut room).unwrap(), 0, "the end");
    }
}

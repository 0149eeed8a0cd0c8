//! A socket that keeps to the octets of its gate: below TLS, so that all octets of the connection
//! count.
//!
//! # Never
//!
//! * Never sends or receives an octet that was not taken from the day before.
//! * Never reads on while what was read is not within the rates.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::time::Duration;

use crate::imap::socket::Socket;
use crate::imap::wire::Stream;
use crate::limit::Gate;
use crate::limit::Halt;

/// A socket, and the gate that its octets pass; none where nothing is counted.
pub(super) struct Paced<S> {
    socket: S,
    gate: Option<Gate>,
}

impl<S> Paced<S> {
    /// Takes over a socket.
    pub(super) fn new(socket: S, gate: Option<&Gate>) -> Self {
        Self { socket, gate: gate.filter(|gate| gate.counts_octets()).cloned() }
    }

    /// The socket itself, for its options.
    pub(super) const fn socket(&self) -> &S {
        &self.socket
    }
}

impl Stream for Paced<Socket> {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.socket.set_timeout(timeout)
    }
}

impl<S: Read> Read for Paced<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(gate) = self.gate.as_ref().filter(|_| !out.is_empty()) else {
            return self.socket.read(out);
        };
        let allowed = gate.allow(out.len()).map_err(shut)?;
        let came = self.socket.read(&mut out[..allowed]);
        let octets = came.as_ref().map_or(0, |came| *came);
        gate.unused(allowed - octets);
        // When the octets come is the server's affair; how many more it may send is told by reading on.
        gate.pass(octets);
        came
    }
}

impl<S: Write> Write for Paced<S> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let octets = pieces.iter().map(|piece| piece.len()).sum();
        let Some(gate) = self.gate.as_ref().filter(|_| octets > 0) else {
            return self.socket.write_vectored(pieces);
        };
        let allowed = gate.allow(octets).map_err(shut)?;
        gate.pass(allowed);
        let sent = self.socket.write_vectored(&first_of(pieces, allowed));
        let left = allowed - sent.as_ref().map_or(0, |sent| *sent);
        gate.unused(left);
        gate.not_sent(left);
        sent
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// The first so many octets of these pieces.
fn first_of<'p>(pieces: &'p [IoSlice<'_>], mut octets: usize) -> Vec<IoSlice<'p>> {
    let mut first = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let piece = &piece[..piece.len().min(octets)];
        octets -= piece.len();
        first.push(IoSlice::new(piece));
    }
    first
}

fn shut(halt: Halt) -> io::Error {
    io::Error::other(match halt {
        Halt::Day(why) => why,
        Halt::Stopped => "stopped while waiting".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::limit::Bounds;
    use crate::limit::Day;
    use crate::limit::Limits;
    use crate::limit::RunBounds;
    use crate::limit::simulated::MemoryBook;
    use crate::limit::simulated::Simulated;
    use crate::mail::Side;
    use crate::session::Clock as _;
    use crate::session::Stop;

    /// A socket whose other end has sent this and takes at most so many octets a write.
    struct Socket {
        sent: io::Cursor<Vec<u8>>,
        takes: usize,
        taken: usize,
    }

    impl Read for Socket {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.sent.read(out)? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                octets => Ok(octets),
            }
        }
    }

    impl Write for Socket {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let taken = octets.len().min(self.takes);
            self.taken += taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn socket(incoming: usize) -> Socket {
        Socket { sent: io::Cursor::new(vec![b'x'; incoming]), takes: 777, taken: 0 }
    }

    fn gate(octets_per_second: Option<u64>, day: Option<u64>) -> (Arc<Simulated>, Gate) {
        let clock = Arc::new(Simulated::default());
        let limits =
            Limits::new(RunBounds::default(), clock.clone(), Stop::default(), Box::new(|_| ()));
        let day = day.map(|most| {
            let book = Box::new(MemoryBook(Arc::default()));
            Day::new(most, book, clock.now(), clock.elapsed())
        });
        let bounds = Bounds { octets_per_second, ..Bounds::default() };
        (clock, limits.gate(Side::Source, ("old.example", "ann"), &bounds, day))
    }

    #[test]
    fn pieces_go_together_as_far_as_they_are_allowed() {
        let piece = [b'x'; 300];
        let pieces = [IoSlice::new(&[]), IoSlice::new(&piece), IoSlice::new(&piece)];
        let mut free = Vec::new();
        assert_eq!(Paced::new(&mut free, None).write_vectored(&pieces).unwrap(), 600);
        let (_, gate) = gate(None, Some(700));
        let mut counted = Vec::new();
        let mut paced = Paced::new(&mut counted, Some(&gate));
        assert_eq!(paced.write_vectored(&pieces).unwrap(), 600);
        assert_eq!(paced.write_vectored(&pieces).unwrap(), 100);
        assert_eq!((free.len(), counted.len()), (600, 700));
    }

    #[test]
    fn both_directions_of_two_connections_share_one_rate() {
        let (clock, gate) = gate(Some(10_000), None);
        let mut reading = Paced::new(socket(30_000), Some(&gate));
        let mut writing = Paced::new(socket(0), Some(&gate));
        let mut out = vec![0; 64 * 1024];
        let mut read = 0;
        while let Ok(octets) = reading.read(&mut out) {
            read += octets;
        }
        writing.write_all(&vec![b'y'; 30_000]).unwrap();
        assert_eq!((read, writing.socket().taken), (30_000, 30_000));
        // One burst is free, and nothing that a socket did not take was paid for.
        assert_eq!(clock.elapsed().as_millis(), 5_000);
    }

    #[test]
    fn silence_costs_nothing_and_is_told_as_it_is() {
        let (clock, gate) = gate(Some(10_000), Some(50_000));
        let mut paced = Paced::new(socket(0), Some(&gate));
        for _ in 0..1_000 {
            let fault = paced.read(&mut [0; 4_096]).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::WouldBlock);
        }
        assert_eq!(clock.elapsed().as_millis(), 0);
        assert_eq!(gate.allow(1), Ok(1));
    }

    #[test]
    fn not_one_octet_passes_beyond_the_day() {
        let (_, gate) = gate(None, Some(40_000));
        let mut paced = Paced::new(socket(100_000), Some(&gate));
        paced.write_all(&[b'y'; 15_000]).unwrap();
        let (mut read, mut out) = (0, vec![0; 4_096]);
        let fault = loop {
            match paced.read(&mut out) {
                Ok(octets) => read += octets,
                Err(fault) => break fault,
            }
        };
        assert_eq!(read, 25_000);
        assert_eq!(fault.to_string(), "bytes-per-day of the source is used up");
        assert!(paced.write(b"y").is_err());
        assert_eq!(paced.socket().taken, 15_000);
    }

    #[test]
    fn gate_that_counts_nothing_is_not_asked() {
        let (clock, gate) = gate(None, None);
        let mut paced = Paced::new(socket(5), Some(&gate));
        assert!(paced.gate.is_none());
        assert_eq!(paced.read(&mut [0; 10]).unwrap(), 5);
        assert_eq!(paced.write(&[b'y'; 700]).unwrap(), 700);
        assert_eq!(clock.elapsed().as_millis(), 0);
    }
}

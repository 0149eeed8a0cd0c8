//! A TCP proxy that stands for a long line: every octet is under way for half a round trip, any number
//! of them at once, and so many pass in a second.
//!
//! Not modelled: slow start and loss.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::channel;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::Fault;

/// Octets read at once: much where nothing limits, little where they are counted.
const PIECE_OCTETS: usize = 64 * 1024;
const SLOW_PIECE_OCTETS: usize = 8 * 1024;

/// Pieces under way, where the line is as wide as can be.
const PIECES: usize = 4096;

/// Octets that a slow line keeps in its buffers beyond those that are under way.
const BUFFERED_OCTETS: u64 = 256 * 1024;

/// What line to stand for.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    /// The server, ADDRESS:PORT
    to: SocketAddr,
    /// Round trip in milliseconds, half in each direction
    #[arg(long, default_value_t = 0)]
    rtt_ms: u64,
    /// Octets a second, for each connection and direction; 0 for no limit
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

/// Prints `ready PORT` and serves until standard input ends.
pub(crate) fn serve(args: &Args) -> Result<(), Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("ready {}", listener.local_addr()?.port());
    let args = *args;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A connection that cannot be made is one that the client sees ending.
            thread::spawn(move || connect(args, client));
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

impl Args {
    fn delay(self) -> Duration {
        Duration::from_millis(self.rtt_ms) / 2
    }

    /// How long so many octets take to pass.
    fn passage(self, octets: usize) -> Duration {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        octets
            .saturating_mul(1_000_000_000)
            .checked_div(self.rate)
            .map_or(Duration::ZERO, Duration::from_nanos)
    }

    fn piece_octets(self) -> usize {
        if self.rate == 0 { PIECE_OCTETS } else { SLOW_PIECE_OCTETS }
    }

    fn pieces(self) -> usize {
        if self.rate == 0 {
            return PIECES;
        }
        let under_way = self.rate.saturating_mul(self.rtt_ms) / 2000 + BUFFERED_OCTETS;
        usize::try_from(under_way).unwrap_or(usize::MAX).div_ceil(SLOW_PIECE_OCTETS)
    }
}

fn connect(args: Args, client: TcpStream) -> Result<(), Fault> {
    // With the half round trip that the greeting takes it comes two round trips after connect, as
    // behind a handshake over a long line.
    thread::sleep(args.delay() * 3);
    let server = TcpStream::connect(args.to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let (filled, to_send) = sync_channel(args.pieces());
        let (emptied, to_fill) = channel();
        thread::spawn(move || read(args, from, &filled, &to_fill));
        thread::spawn(move || write(args, to, &to_send, &emptied));
    }
    Ok(())
}

/// Octets, and when they have arrived at the other end but for the line's width.
type Piece = (Instant, Vec<u8>);

fn read(args: Args, mut from: TcpStream, filled: &SyncSender<Piece>, to_fill: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = to_fill.try_recv().unwrap_or_default();
        piece.resize(args.piece_octets(), 0);
        // A fault and the end are one to the other side: nothing more comes.
        let Ok(octets @ 1..) = from.read(&mut piece) else { return };
        piece.truncate(octets);
        if filled.send((Instant::now() + args.delay(), piece)).is_err() {
            return;
        }
    }
}

fn write(args: Args, mut to: TcpStream, to_send: &Receiver<Piece>, emptied: &Sender<Vec<u8>>) {
    let mut free = Instant::now();
    for (due, piece) in to_send {
        // The line is taken for as long as the octets need to pass.
        free = free.max(due) + args.passage(piece.len());
        thread::sleep(free.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            break;
        }
        // The reader may have gone.
        let _kept = emptied.send(piece);
    }
    // Closed already is as good.
    let _closed = to.shutdown(Shutdown::Write);
}

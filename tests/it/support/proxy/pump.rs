//! Moves the octets of one connection: a reader and a writer each way, and a queue between them.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use std::time::Instant;

use crate::support::proxy::AfterDeath;
use crate::support::proxy::Fault;
use crate::support::proxy::Shared;
use crate::support::proxy::Way;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// A piece, and when it may go on.
type Piece = (Instant, Vec<u8>);

/// One connection, as the threads that serve it see it.
#[derive(Debug)]
struct Pair {
    number: u32,
    client: TcpStream,
    server: TcpStream,
    replies_lost: AtomicBool,
    shared: Arc<Shared>,
}

/// Serves one connection until both ends have closed.
pub(super) fn connect(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    // A socket that is dead already shows it at the first read.
    let _set = client.set_nodelay(true);
    let _set = server.set_nodelay(true);
    let number = {
        let mut state = shared.lock();
        state.connections += 1;
        state.open_now += 1;
        state.most_open = state.most_open.max(state.open_now);
        if let (Ok(client), Ok(server)) = (client.try_clone(), server.try_clone()) {
            state.open.push((client, server));
        }
        state.connections
    };
    shared.changed.notify_all();
    let replies_lost = AtomicBool::new(false);
    let pair = Arc::new(Pair { number, client, server, replies_lost, shared: Arc::clone(shared) });
    for way in [Way::Up, Way::Down] {
        let unbounded = way == Way::Up && shared.flow.after_death == AfterDeath::Drain;
        let depth = if unbounded {
            1 << 16
        } else if shared.flow.delay > Duration::ZERO {
            1 << 10
        } else {
            4
        };
        let (sender, receiver) = sync_channel(depth);
        let reading = Arc::clone(&pair);
        std::thread::spawn(move || reading.read(way, &sender));
        let writing = Arc::clone(&pair);
        std::thread::spawn(move || writing.write(way, &receiver));
    }
}

/// Counts a connection until its client is gone.
struct Counted<'a>(&'a Shared);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.lock().open_now -= 1;
    }
}

impl Pair {
    fn read(&self, way: Way, sender: &SyncSender<Piece>) {
        let mut from = if way == Way::Up { &self.client } else { &self.server };
        let mut buffer = vec![0; PIECE];
        let _counted = (way == Way::Up).then(|| Counted(&self.shared));
        // The end and a fault are one to the other side: nothing more comes.
        while let Ok(octets) = from.read(&mut buffer) {
            let due = Instant::now() + self.shared.flow.delay;
            if way == Way::Up {
                self.shared.lock().taken_up += u64::try_from(octets).unwrap();
                self.shared.changed.notify_all();
            }
            if octets == 0 || sender.send((due, buffer[..octets].to_vec())).is_err() {
                return;
            }
        }
    }

    fn write(&self, way: Way, receiver: &Receiver<Piece>) {
        let rate = match way {
            Way::Up => self.shared.flow.rate_up,
            Way::Down => self.shared.flow.rate_down,
        };
        let step = rate.map_or(PIECE, |rate| usize::try_from(rate / 50).unwrap().clamp(1, PIECE));
        let mut next = Instant::now();
        for (due, octets) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            for piece in octets.chunks(step) {
                if let Some(rate) = rate {
                    let now = Instant::now();
                    next = next.max(now);
                    std::thread::sleep(next - now);
                    next += Duration::from_secs(1) * u32::try_from(piece.len()).unwrap()
                        / u32::try_from(rate).unwrap();
                }
                if self.forward(way, piece).is_err() && way == Way::Up {
                    return;
                }
                // A client that is gone is no reason to let the server wait: what comes is dropped.
            }
        }
        let to = if way == Way::Up { &self.server } else { &self.client };
        // Already closed is as good.
        let _closed = to.shutdown(Shutdown::Write);
    }

    fn forward(&self, way: Way, mut piece: &[u8]) -> std::io::Result<()> {
        let mut to = if way == Way::Up { &self.server } else { &self.client };
        while !piece.is_empty() {
            let lost = way == Way::Down && self.replies_lost.load(Ordering::SeqCst);
            let (through, fault) = {
                let state = self.shared.lock();
                let mut state = self.shared.changed.wait_while(state, |state| state.held).unwrap();
                if lost {
                    return Ok(());
                }
                let (through, fault) = state.pass(way, piece);
                state.transcript.note(self.number, way, &piece[..through]);
                (through, fault)
            };
            let (now, later) = piece.split_at(through);
            let written = to.write_all(now);
            // After the write: whoever waits for the octets may act on them.
            self.shared.changed.notify_all();
            written?;
            piece = later;
            match fault {
                Some(Fault::Close) => return self.close(),
                Some(Fault::Reset) => {
                    // A disconnected socket tells its peer by RST.
                    rustix::net::connect_unspec(&self.client)?;
                    return self.server.shutdown(Shutdown::Both);
                }
                Some(Fault::LoseReplies(for_so_long)) => self.lose_replies(for_so_long),
                Some(Fault::Hold) | None => {}
            }
        }
        Ok(())
    }

    fn lose_replies(&self, for_so_long: Duration) {
        self.replies_lost.store(true, Ordering::SeqCst);
        let (Ok(client), Ok(server)) = (self.client.try_clone(), self.server.try_clone()) else {
            return;
        };
        std::thread::spawn(move || {
            std::thread::sleep(for_so_long);
            // Already closed is as good.
            let _closed = client.shutdown(Shutdown::Both);
            let _closed = server.shutdown(Shutdown::Both);
        });
    }

    fn close(&self) -> std::io::Result<()> {
        self.client.shutdown(Shutdown::Both)?;
        self.server.shutdown(Shutdown::Both)
    }
}

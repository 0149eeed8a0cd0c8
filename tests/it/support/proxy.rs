//! A TCP proxy that counts octets, notes commands and breaks connections where it is told to.
//!
//! Each direction has a reader and a writer thread with a queue between them, so that octets can be
//! delayed, slowed down, or delivered after the client has died, as a slow line with buffers does.

mod pump;
mod transcript;

use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use crate::support::proxy::transcript::Transcript;

/// Which way octets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Where a fault strikes. Octets count over all connections of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// After this many octets have gone that way; not one more goes before.
    Octet(Way, u64),
    /// When the text has come by for the nth time: going up behind it, coming down before it.
    Text(Way, Vec<u8>, u32),
}

/// What then happens. Each fault strikes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends in order at both ends (FIN).
    Close,
    /// The client's end is reset (RST), the server's closed.
    Reset,
    /// What the server sends from here on is lost; the connection is closed this long after.
    LoseReplies(Duration),
    /// Nothing goes any way on any connection until [`Proxy::release`].
    Hold,
}

/// How octets flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// How long each octet is under way.
    pub(crate) delay: Duration,
    /// How many octets a second go up at most.
    pub(crate) rate_up: Option<u64>,
    /// How many octets a second come down at most.
    pub(crate) rate_down: Option<u64>,
    /// How many connections there may be at once; others are told BYE.
    pub(crate) connections: Option<u32>,
    /// What is done with octets that a dead client has left behind.
    pub(crate) after_death: AfterDeath,
}

/// What a proxy does with octets of a client that is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AfterDeath {
    /// Little is under way at any time; the rest stays with the client.
    #[default]
    Backpressure,
    /// All is taken from the client at once, and delivered at the rate, whatever becomes of the
    /// client.
    Drain,
}

/// A running proxy. Dropping it closes every connection.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where clients connect to, on 127.0.0.1.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    flow: Flow,
}

#[derive(Debug, Default)]
struct State {
    up: u64,
    down: u64,
    taken_up: u64,
    faults: Vec<Armed>,
    struck: u32,
    held: bool,
    stopped: bool,
    connections: u32,
    open_now: u32,
    most_open: u32,
    open: Vec<(TcpStream, TcpStream)>,
    transcript: Transcript,
}

#[derive(Debug)]
struct Armed {
    place: Place,
    fault: Fault,
    /// How often the text still has to come by, and what of it may stand at the end of a piece.
    left: u32,
    tail: Vec<u8>,
}

impl Proxy {
    /// Starts a proxy before a server.
    pub(crate) fn start(host: &str, port: u16) -> Self {
        Self::start_with(host, port, Flow::default())
    }

    /// Starts a proxy before a server, with a flow.
    pub(crate) fn start_with(host: &str, port: u16, flow: Flow) -> Self {
        let target: SocketAddr = format!("{host}:{port}").parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), flow });
        let listening = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if listening.lock().stopped {
                    return;
                }
                let most = listening.flow.connections;
                if most.is_some_and(|most| listening.lock().open_now >= most) {
                    let words = b"* BYE Maximum number of connections exceeded\r\n";
                    let _told = (&client).write_all(words);
                    continue;
                }
                // A server that is gone: the client sees its connection end.
                if let Ok(server) = TcpStream::connect(target) {
                    pump::connect(&listening, client, server);
                }
            }
        });
        Self { port, shared }
    }

    /// Arms a fault.
    pub(crate) fn arm(&self, place: Place, fault: Fault) {
        let left = if let Place::Text(_, _, times) = &place { *times } else { 0 };
        self.shared.lock().faults.push(Armed { place, fault, left, tail: Vec::new() });
    }

    /// Takes back all faults that have not struck.
    pub(crate) fn disarm(&self) {
        self.shared.lock().faults.clear();
    }

    /// Returns how many octets have gone one way.
    pub(crate) fn octets(&self, way: Way) -> u64 {
        self.shared.lock().octets(way)
    }

    /// Returns how many connections clients have made.
    pub(crate) fn connections(&self) -> u32 {
        self.shared.lock().connections
    }

    /// Returns how many connections there were at once, at most.
    pub(crate) fn most_open(&self) -> u32 {
        self.shared.lock().most_open
    }

    /// Returns how many faults have struck.
    pub(crate) fn struck(&self) -> u32 {
        self.shared.lock().struck
    }

    /// Waits until so many octets have gone one way; tells whether they did in time.
    pub(crate) fn wait_for_octets(&self, way: Way, octets: u64, at_most: Duration) -> bool {
        self.wait(at_most, |state| state.octets(way) >= octets)
    }

    /// Waits until the proxy has taken so many octets from clients, delivered or not; tells whether
    /// it did in time. What a client that dies has not got rid of by then may be lost with it: a
    /// socket that is closed with replies unread resets the connection.
    pub(crate) fn wait_for_taken(&self, octets: u64, at_most: Duration) -> bool {
        self.wait(at_most, |state| state.taken_up >= octets)
    }

    /// Waits until so many faults have struck; tells whether they did in time.
    pub(crate) fn wait_for_faults(&self, faults: u32, at_most: Duration) -> bool {
        self.wait(at_most, |state| state.struck >= faults)
    }

    /// Lets everything go on after [`Fault::Hold`].
    pub(crate) fn release(&self) {
        self.shared.lock().held = false;
        self.shared.changed.notify_all();
    }

    /// Returns the commands that clients have sent, oldest first, without tags; literals shortened
    /// to `{n}`.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.shared.lock().transcript.commands()
    }

    fn wait(&self, at_most: Duration, done: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.lock();
        let (state, _) =
            self.shared.changed.wait_timeout_while(state, at_most, |state| !done(state)).unwrap();
        done(&state)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let open = {
            let mut state = self.shared.lock();
            state.stopped = true;
            state.held = false;
            std::mem::take(&mut state.open)
        };
        self.shared.changed.notify_all();
        for (client, server) in open {
            // Already closed is as good.
            let _closed = client.shutdown(Shutdown::Both);
            let _closed = server.shutdown(Shutdown::Both);
        }
        // Wakes the listener, so that it sees that it is over.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of one connection's thread must not hide what the test wants to see.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn octets(&self, way: Way) -> u64 {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }

    /// Counts a piece that is about to go on, and returns how much of it may, and the fault that
    /// strikes then.
    fn pass(&mut self, way: Way, piece: &[u8]) -> (usize, Option<Fault>) {
        let before = self.octets(way);
        let mut strike: Option<(usize, usize)> = None;
        for (index, armed) in self.faults.iter_mut().enumerate() {
            if let Some(at) = armed.strikes(way, before, piece)
                && strike.is_none_or(|(earliest, _)| at < earliest)
            {
                strike = Some((at, index));
            }
        }
        let through = strike.map_or(piece.len(), |(at, _)| at);
        match way {
            Way::Up => self.up += count(through),
            Way::Down => self.down += count(through),
        }
        let fault = strike.map(|(_, index)| self.faults.remove(index).fault);
        if let Some(fault) = fault {
            self.struck += 1;
            self.held |= fault == Fault::Hold;
            // Texts of the others are counted anew in the rest of the piece.
            for armed in &mut self.faults {
                armed.tail.clear();
            }
        }
        (through, fault)
    }
}

impl Armed {
    /// Returns after how many octets of the piece the fault strikes.
    fn strikes(&mut self, way: Way, before: u64, piece: &[u8]) -> Option<usize> {
        match &self.place {
            Place::Octet(its_way, octet) => {
                let at = usize::try_from(octet.saturating_sub(before)).ok()?;
                (*its_way == way && at <= piece.len()).then_some(at)
            }
            Place::Text(its_way, text, _) => {
                if *its_way != way {
                    return None;
                }
                let kept = self.tail.len();
                let mut seen = std::mem::take(&mut self.tail);
                seen.extend_from_slice(piece);
                let mut at = 0;
                while let Some(start) =
                    seen[at..].windows(text.len()).position(|window| window == &text[..])
                {
                    at += start + text.len();
                    self.left = self.left.saturating_sub(1);
                    if self.left == 0 {
                        let edge = if way == Way::Up { at } else { at - text.len() };
                        return Some(edge.saturating_sub(kept));
                    }
                }
                let rest = seen.len().saturating_sub(text.len() - 1).max(at);
                self.tail = seen.split_off(rest);
                None
            }
        }
    }
}

fn count(octets: usize) -> u64 {
    u64::try_from(octets).unwrap()
}

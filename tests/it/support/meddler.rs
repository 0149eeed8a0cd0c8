//! A proxy that knows IMAP and meddles: it takes away capabilities, refuses messages, lies in
//! APPENDUIDs, says goodbye, cuts, stalls and drips, and counts what of that took effect.
//!
//! Every command is taken from the client whole before any of it goes on (the proxy asks for literals
//! itself), so that a fault can be tied to a message, whatever command carries it and however many go
//! together. Faults are armed by the number of a message or a command, not by octets: they hit
//! programs that batch and pipeline just as those that do not.

mod down;
mod reading;
mod trouble;
mod up;

use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use crate::support::meddler::down::Down;
use crate::support::meddler::trouble::Armed;
pub(crate) use crate::support::meddler::trouble::Kind;
pub(crate) use crate::support::meddler::trouble::Lie;
pub(crate) use crate::support::meddler::up::Up;
use crate::support::server::Server;

/// Which ways to append the server announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// All that it has: MULTIAPPEND and LITERAL+.
    Multi,
    /// LITERAL+ without MULTIAPPEND.
    Plus,
    /// LITERAL- in place of LITERAL+, without MULTIAPPEND.
    Minus,
    /// Literals that wait, one message a command.
    Waiting,
}

/// A running proxy. Dropping it closes every connection.
pub(crate) struct Meddler {
    /// Where clients connect to, on 127.0.0.1.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) ways: Ways,
    pub(super) hides_ids: bool,
    pub(super) state: Mutex<State>,
}

/// What was armed and what has come by.
#[derive(Default)]
pub(super) struct State {
    armed: Vec<Armed>,
    /// Messages that are refused, by a text in each, and how.
    refused: Vec<(Vec<u8>, String)>,
    /// Every message is refused so, once this many have come.
    full: Option<(u32, String)>,
    commands: u32,
    messages: u32,
    bodies: u32,
    took: Vec<Kind>,
    open: Vec<TcpStream>,
    resting: bool,
    stopped: bool,
}

impl Meddler {
    /// Starts a proxy before a server.
    pub(crate) fn start(server: &dyn Server, ways: Ways) -> Self {
        Self::start_with(server, ways, false)
    }

    /// Starts a proxy before a server that has no MAILBOXID (RFC 8474) to tell.
    pub(crate) fn hiding_ids(server: &dyn Server) -> Self {
        Self::start_with(server, Ways::Multi, true)
    }

    fn start_with(server: &dyn Server, ways: Ways, hides_ids: bool) -> Self {
        let target = (server.host().to_owned(), server.port());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { ways, hides_ids, state: Mutex::default() });
        let listening = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if listening.lock().stopped {
                    return;
                }
                // A server that is gone: the client sees its connection end.
                if let Ok(server) = TcpStream::connect((target.0.as_str(), target.1)) {
                    connect(&listening, &client, &server);
                }
            }
        });
        Self { port, shared }
    }

    /// Arms a fault: it strikes at the nth message, body or command from now on, by its kind.
    pub(crate) fn arm(&self, kind: Kind, nth: u32) {
        let mut state = self.shared.lock();
        let base = state.count(kind);
        let first = state.armed.is_empty();
        state.armed.push(Armed { kind, at: base + nth, first });
    }

    /// Refuses every message that holds the text, for as long as this proxy runs.
    pub(crate) fn refuse(&self, holding: &[u8], with: &str) {
        self.shared.lock().refused.push((holding.to_owned(), with.to_owned()));
    }

    /// Refuses every message from the nth one on, until [`Meddler::make_room`].
    pub(crate) fn fill_up(&self, after: u32, with: &str) {
        let mut state = self.shared.lock();
        state.full = Some((state.messages + after, with.to_owned()));
    }

    /// Makes room again, after [`Meddler::fill_up`].
    pub(crate) fn make_room(&self) {
        self.shared.lock().full = None;
    }

    /// Takes back all faults that have not struck.
    pub(crate) fn disarm(&self) {
        self.shared.lock().armed.clear();
    }

    /// Lets everything through, and counts nothing, until it is called again with `false`.
    pub(crate) fn rest(&self, resting: bool) {
        self.shared.lock().resting = resting;
    }

    /// Returns what took effect so far, in that order.
    pub(crate) fn took(&self) -> Vec<Kind> {
        self.shared.lock().took.clone()
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        let open = {
            let mut state = self.shared.lock();
            state.stopped = true;
            std::mem::take(&mut state.open)
        };
        for stream in open {
            // Already closed is as good.
            let _closed = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener, so that it sees that it is over.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of one connection's thread must not hide what the test wants to see.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn connect(shared: &Arc<Shared>, client: &TcpStream, server: &TcpStream) {
    let Ok((up, down)) = Up::and_down(shared, client, server) else { return };
    {
        let mut state = shared.lock();
        state.open.extend(client.try_clone());
        state.open.extend(server.try_clone());
    }
    // Whoever was cut off ends its thread; there is nobody to tell.
    std::thread::spawn(move || up.run().ok());
    std::thread::spawn(move || Down::run(down).ok());
}

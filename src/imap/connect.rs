//! From a host and a port to a wire: TCP, and TLS over it.
//!
//! # Never
//!
//! * Never falls back from TLS to none.
//! * Never waits without a limit, whatever the number of addresses.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs as _;
use std::time::Duration;
use std::time::Instant;

use crate::imap::gated::halted;
use crate::imap::paced::Paced;
use crate::imap::server::Server;
use crate::imap::server::TlsMode;
use crate::imap::tls;
use crate::imap::wire::Stream;
use crate::imap::wire::Wire;
use crate::limit::Gate;
use crate::store::StoreError;

/// Least time that one address is given, however many there are.
const ADDRESS_TIME_MIN: Duration = Duration::from_secs(2);

/// What protects a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Secured {
    /// `TLS 1.3`, `TLS 1.2` or `none`.
    pub(super) version: &'static str,
    /// SHA-256 of the server's public key, in hex.
    pub(super) key: Option<String>,
}

/// A plain TCP connection.
struct Plain(Paced<TcpStream>);

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        acknowledge_at_once(self.0.socket());
        self.0.read(out)
    }
}

impl Write for Plain {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Plain {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        set_timeout(self.0.socket(), timeout)
    }
}

/// Has the system acknowledge what comes at once, where it can be told so.
///
/// A server that answers two commands with two small writes holds the second one back until the first
/// is acknowledged (RFC 896), and a system that waits for something to send along takes 40 ms over
/// that: as much as a round trip, for each message that is appended with a synchronising literal. It
/// is told before each read, because the system takes it back by itself.
pub(super) fn acknowledge_at_once(socket: &TcpStream) {
    // What cannot be had is lived without.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(socket, true);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// Sets the limit of one read and of one write.
pub(super) fn set_timeout(socket: &TcpStream, timeout: Duration) -> io::Result<()> {
    // Nought would mean no limit.
    let timeout = Some(timeout.max(Duration::from_millis(1)));
    socket.set_read_timeout(timeout)?;
    socket.set_write_timeout(timeout)
}

/// Connects, with TLS if the server is to be spoken to so. All octets pass the gate.
///
/// # Errors
///
/// [`StoreError::Connect`] where no address answers, [`StoreError::Tls`] where TLS does not come
/// about, [`StoreError::Connection`] where the connection ends meanwhile.
pub(super) fn connect(server: &Server, gate: Option<&Gate>) -> Result<(Wire, Secured), StoreError> {
    let socket = dial(server).map_err(StoreError::Connect)?;
    socket.set_nodelay(true).map_err(StoreError::Connect)?;
    gate.map_or(Ok(()), Gate::parting).map_err(halted)?;
    let socket = Paced::new(socket, gate);
    let (stream, secured): (Box<dyn Stream>, Secured) = match &server.tls {
        TlsMode::None => (Box::new(Plain(socket)), Secured { version: "none", key: None }),
        TlsMode::Implicit { trust, server_name } => {
            let name = server_name.as_deref().unwrap_or(&server.host);
            let (stream, secured) = tls::wrap(socket, name, trust, server.timeout)?;
            (Box::new(stream), secured)
        }
    };
    let wire = Wire::new(stream, server.timeout).map_err(StoreError::Connect)?;
    tracing::debug!(host = %server.host, port = server.port, tls = secured.version, "connected");
    Ok((wire, secured))
}

/// Tries all addresses in the resolver's order, sharing the time among them.
fn dial(server: &Server) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> =
        (server.host.as_str(), server.port).to_socket_addrs()?.collect();
    let began = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = server.timeout.saturating_sub(began.elapsed());
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = (left / others).max(ADDRESS_TIME_MIN).min(server.timeout);
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(socket) => return Ok(socket),
            Err(fault) => last = io::Error::new(fault.kind(), format!("{address}: {fault}")),
        }
    }
    Err(last)
}

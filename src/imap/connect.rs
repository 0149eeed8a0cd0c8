//! From a host and a port to a wire: TCP, and TLS over it.
//!
//! # Never
//!
//! * Never falls back from TLS to none.
//! * Never waits without a limit, whatever the number of addresses.

use std::io;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::ToSocketAddrs as _;
use std::time::Duration;
use std::time::Instant;

use crate::imap::gated::halted;
use crate::imap::paced::Paced;
use crate::imap::server::Server;
use crate::imap::server::TlsMode;
use crate::imap::socket::Socket;
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

/// Connects, with TLS if the server is to be spoken to so. All octets pass the gate.
///
/// # Errors
///
/// [`StoreError::Connect`] where no address answers, [`StoreError::Tls`] where TLS does not come
/// about, [`StoreError::Connection`] where the connection ends meanwhile.
pub(super) fn connect(server: &Server, gate: Option<&Gate>) -> Result<(Wire, Secured), StoreError> {
    let (socket, began) = dial(server).map_err(StoreError::Connect)?;
    socket.set_nodelay(true).map_err(StoreError::Connect)?;
    gate.map_or(Ok(()), Gate::parting).map_err(halted)?;
    let socket = Paced::new(Socket::new(socket), gate);
    let (stream, secured, asked): (Box<dyn Stream>, Secured, Instant) = match &server.tls {
        TlsMode::None => (Box::new(socket), Secured { version: "none", key: None }, began),
        TlsMode::Implicit { trust, server_name } => {
            let name = server_name.as_deref().unwrap_or(&server.host);
            let (stream, secured, asked) = tls::wrap(socket, name, trust, server.timeout)?;
            (Box::new(stream), secured, asked)
        }
    };
    let mut wire = Wire::new(stream, server.timeout).map_err(StoreError::Connect)?;
    wire.begun_at(asked);
    tracing::debug!(host = %server.host, port = server.port, tls = secured.version, "connected");
    Ok((wire, secured))
}

/// Tries all addresses in the resolver's order, sharing the time among them. Tells when the one was tried
/// that answered.
fn dial(server: &Server) -> io::Result<(TcpStream, Instant)> {
    let addresses: Vec<SocketAddr> =
        (server.host.as_str(), server.port).to_socket_addrs()?.collect();
    let began = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = server.timeout.saturating_sub(began.elapsed());
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = (left / others).max(ADDRESS_TIME_MIN).min(server.timeout);
        let tried_at = Instant::now();
        match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
            Ok(socket) => return Ok((socket, tried_at)),
            Err(fault) => last = io::Error::new(fault.kind(), format!("{address}: {fault}")),
        }
    }
    Err(last)
}

//! A connection in two halves, which two threads may use at once, with TLS or without.

use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;

use crate::Fault;

/// What is read or written at once.
const BUFFER_OCTETS: usize = 256 * 1024;

/// The half that reads.
pub(crate) type Reader = BufReader<Box<dyn Read + Send>>;

/// The half that writes.
pub(crate) type Writer = BufWriter<Box<dyn Write + Send>>;

/// Connects; with TLS from the first octet where an authority is given.
pub(crate) fn connect(address: &str, authority: Option<&Path>) -> Result<(Reader, Writer), Fault> {
    let mut socket = TcpStream::connect(address).map_err(|fault| format!("{address}: {fault}"))?;
    socket.set_nodelay(true)?;
    let (reading, writing): (Box<dyn Read + Send>, Box<dyn Write + Send>) = match authority {
        None => (Box::new(socket.try_clone()?), Box::new(socket)),
        Some(authority) => {
            let mut tls = client(address, authority)?;
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
            let tls = Arc::new(Mutex::new(tls));
            let reading = Opening {
                tls: Arc::clone(&tls),
                socket: socket.try_clone()?,
                sealed: vec![0; BUFFER_OCTETS],
                left: 0..0,
            };
            (Box::new(reading), Box::new(Sealing { tls, socket, sealed: Vec::new() }))
        }
    };
    Ok((
        BufReader::with_capacity(BUFFER_OCTETS, reading),
        BufWriter::with_capacity(BUFFER_OCTETS, writing),
    ))
}

fn client(address: &str, authority: &Path) -> Result<ClientConnection, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
    Ok(ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?)
}

/// Reads without holding the lock while it waits for the socket.
struct Opening {
    tls: Arc<Mutex<ClientConnection>>,
    socket: TcpStream,
    sealed: Vec<u8>,
    /// What of `sealed` is not opened yet.
    left: std::ops::Range<usize>,
}

impl Read for Opening {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            {
                let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    match tls.reader().read(into) {
                        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                        done => return done,
                    }
                    if self.left.is_empty() {
                        break;
                    }
                    let taken = tls.read_tls(&mut &self.sealed[self.left.clone()])?;
                    self.left.start += taken;
                    tls.process_new_packets().map_err(io::Error::other)?;
                }
            }
            let octets = self.socket.read(&mut self.sealed)?;
            if octets == 0 {
                return Ok(0);
            }
            self.left = 0..octets;
        }
    }
}

/// Writes without holding the lock while it waits for the socket.
struct Sealing {
    tls: Arc<Mutex<ClientConnection>>,
    socket: TcpStream,
    sealed: Vec<u8>,
}

impl Write for Sealing {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.sealed.clear();
        let written = {
            let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
            let written = tls.writer().write(octets)?;
            while tls.wants_write() {
                tls.write_tls(&mut self.sealed)?;
            }
            written
        };
        self.socket.write_all(&self.sealed)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

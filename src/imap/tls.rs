//! TLS over a TCP connection: rustls, with ring named as its provider.
//!
//! # Never
//!
//! * Never accepts a certificate that was not verified, unless the manifest says so; the signature
//!   of the handshake is checked even then.
//! * Never speaks a version below TLS 1.2.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::ProtocolVersion;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::UnbufferedClientConnection;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::ParsedCertificate;
use rustls_platform_verifier::BuilderVerifierExt as _;
use sha2::Digest as _;
use sha2::Sha256;

use crate::imap::connect::Secured;
use crate::imap::paced::Paced;
use crate::imap::records::Next;
use crate::imap::records::Records;
use crate::imap::records::is_wait;
use crate::imap::socket::Socket;
use crate::imap::wire::Stream;
use crate::store::StoreError;

/// How many names of a foreign certificate a message tells.
const NAMES_TOLD_MAX: usize = 5;

/// Which certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that the platform trusts.
    Platform,
    /// Those whose issuers are in this PEM file, and no others.
    Issuers(PathBuf),
    /// Any at all: neither issuer nor name nor date is looked at.
    Anything,
}

/// TLS over TCP.
pub(super) type Tls = Records<Paced<Socket>>;

impl Stream for Tls {
    fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.socket().socket().set_timeout(timeout)
    }

    fn wipe_sent(&mut self) {
        Records::wipe_sent(self);
    }
}

/// Shakes hands over a fresh connection.
///
/// # Errors
///
/// [`StoreError::Tls`] where the certificate, its name or the version do not fit,
/// [`StoreError::Connection`] where the connection ends or stalls meanwhile.
pub(super) fn wrap(
    socket: Paced<Socket>,
    name: &str,
    trust: &Trust,
    timeout: Duration,
) -> Result<(Tls, Secured, Instant), StoreError> {
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| StoreError::Tls(format!("`{name}` is no name that a certificate can have")))?;
    let config = config(trust)?;
    let connection = UnbufferedClientConnection::new(Arc::new(config), server_name)
        .map_err(|fault| StoreError::Tls(told(&fault, name)))?;
    let mut tls = Records::new(connection, socket);
    let asked = shake_hands(&mut tls, name, timeout)?;
    let version = match tls.connection().protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let key = tls.connection().peer_certificates().and_then(|chain| key_digest(chain.first()?));
    Ok((tls, Secured { version, key }, asked))
}

/// Shakes hands within `timeout` in all, so that a server that trickles is given up. Tells when what was
/// sent last began to be sent: with TLS 1.2 the greeting may come along with the answer to it.
fn shake_hands(tls: &mut Tls, name: &str, timeout: Duration) -> Result<Instant, StoreError> {
    let began = Instant::now();
    let mut asked = began;
    let lost = |fault: io::Error| StoreError::Connection(format!("during TLS: {fault}"));
    let closed = || StoreError::Connection("the server closed it during TLS".to_owned());
    loop {
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(StoreError::Connection(format!("no TLS in {} s", timeout.as_secs())));
        }
        tls.socket().socket().set_timeout(left).map_err(lost)?;
        match tls.send() {
            Ok(()) => {}
            Err(fault) if is_wait(&fault) => continue,
            Err(fault) => return Err(lost(fault)),
        }
        match tls.advance() {
            Ok(Next::Anything) => return Ok(asked),
            Ok(Next::Send) => asked = Instant::now(),
            Ok(Next::Opened) => {}
            // Parting words that came along are read like any others.
            Ok(Next::Ended) if !tls.connection().is_handshaking() => return Ok(asked),
            Ok(Next::Ended) => return Err(closed()),
            Ok(Next::Receive) => match tls.receive() {
                Ok(()) => {}
                Err(fault) if is_wait(&fault) => {}
                Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => return Err(closed()),
                Err(fault) => return Err(lost(fault)),
            },
            Err(fault) => {
                let _told = tls.send();
                return Err(StoreError::Tls(told(&fault, name)));
            }
        }
    }
}

fn config(trust: &Trust) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let broken = |fault: Error| StoreError::Tls(fault.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(broken)?;
    Ok(match trust {
        Trust::Platform => builder.with_platform_verifier().map_err(broken)?.with_no_client_auth(),
        Trust::Issuers(file) => {
            builder.with_root_certificates(issuers(file)?).with_no_client_auth()
        }
        Trust::Anything => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnything(provider)))
            .with_no_client_auth(),
    })
}

/// Reads a PEM file of issuers.
fn issuers(file: &Path) -> Result<RootCertStore, StoreError> {
    let fault = |why: &str| StoreError::Tls(format!("{}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(file).map_err(|cause| fault(&cause.to_string()))?
    {
        let certificate = certificate.map_err(|cause| fault(&cause.to_string()))?;
        roots.add(certificate).map_err(|cause| fault(&cause.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fault("no certificate in it"));
    }
    Ok(roots)
}

/// SHA-256 of the public key (`SubjectPublicKeyInfo`, RFC 5280 §4.1), in hex.
fn key_digest(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let digest = Sha256::digest(parsed.subject_public_key_info().as_ref());
    Some(hex(&digest))
}

fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        for digit in [octet >> 4, octet & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

/// Accepts any certificate, but checks that the server holds its key.
#[derive(Debug)]
struct AcceptAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Says in words what is wrong, and what to do where that is known.
fn told(fault: &Error, name: &str) -> String {
    match fault {
        Error::InvalidCertificate(fault) => certificate_told(fault, name),
        Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::HandshakeFailure,
        )
        | Error::PeerIncompatible(_) => format!(
            "the server and this program have no version and cipher in common; it may know nothing \
             newer than TLS 1.1, or TLS 1.2 without forward secrecy ({fault})"
        ),
        Error::InvalidMessage(_) => format!(
            "the server does not answer in TLS; is the port the one for TLS from the first octet \
             (993), and not 143? ({fault})"
        ),
        other => other.to_string(),
    }
}

fn certificate_told(fault: &CertificateError, name: &str) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        NotValidYet, NotValidYetContext, Revoked, UnknownIssuer,
    };
    match fault {
        UnknownIssuer => {
            "nobody who is trusted here has issued the server's certificate; name the \
                          issuer's file in `tls.ca` if it is your own"
                .to_owned()
        }
        BadSignature => {
            "the certificate was not signed by the issuer that is trusted under the name \
                         that it gives; that issuer may have a new key"
                .to_owned()
        }
        NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let mut names: Vec<String> =
                presented.iter().take(NAMES_TOLD_MAX).map(|name| bare_name(name)).collect();
            if presented.len() > NAMES_TOLD_MAX {
                names.push(format!("{} more", presented.len() - NAMES_TOLD_MAX));
            }
            format!(
                "the certificate is for {}, not for {name}; set `tls.server-name` if that is right",
                names.join(", ")
            )
        }
        NotValidForName | NotValidForNameContext { .. } => {
            format!("the certificate is not for {name}, and names no other host")
        }
        Expired => "the certificate has expired".to_owned(),
        ExpiredContext { not_after, .. } => {
            format!("the certificate expired {}", day(*not_after))
        }
        NotValidYet => "the certificate is not valid yet".to_owned(),
        NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", day(*not_before))
        }
        Revoked => "the certificate was revoked".to_owned(),
        other => format!("the certificate does not hold: {}", Error::from(other.clone())),
    }
}

/// The name inside `DnsName("...")` or `IpAddress(...)`, as rustls writes what a certificate has.
fn bare_name(presented: &str) -> String {
    let address = || presented.strip_prefix("IpAddress(")?.strip_suffix(')');
    let name = presented.split('"').nth(1).or_else(address).unwrap_or(presented);
    name.escape_debug().to_string()
}

/// The day of an instant, for people.
fn day(instant: UnixTime) -> String {
    i64::try_from(instant.as_secs())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "some day".to_owned(), |instant| format!("on {}", instant.strftime("%F")))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::thread;

    use rcgen::CertifiedIssuer;
    use rcgen::KeyPair;
    use rcgen::PublicKeyData as _;
    use rustls::ServerConfig;
    use rustls::ServerConnection;
    use rustls::StreamOwned;
    use rustls::SupportedProtocolVersion;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::version::TLS12;
    use rustls::version::TLS13;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// An issuer, its PEM file, and a server's certificate for `name`.
    struct Identity {
        issuer_file: tempfile::NamedTempFile,
        certificate: CertificateDer<'static>,
        key: KeyPair,
    }

    fn identity(name: &str, until_year: i32) -> Identity {
        let mut issuer = rcgen::CertificateParams::new(Vec::new()).unwrap();
        issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut issuer_file = tempfile::NamedTempFile::new().unwrap();
        issuer_file.write_all(issuer.pem().as_bytes()).unwrap();
        Identity { issuer_file, certificate: certificate.der().clone(), key }
    }

    /// A TLS server on loopback that greets one client; its port's other end.
    fn server(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> TcpStream {
        server_that_says(b"hi".to_vec(), identity, versions)
    }

    fn server_that_says(
        words: Vec<u8>,
        identity: &Identity,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TcpStream {
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate.clone()], key)
            .unwrap();
        peer(move |socket| {
            let connection = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            // The client may hang up: that is for it to tell.
            let _greeted = stream.write_all(&words).and_then(|()| stream.flush());
            let _closed = stream.read(&mut [0; 16]);
        })
    }

    fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        TcpStream::connect(address).unwrap()
    }

    fn issued_by(identity: &Identity) -> Trust {
        Trust::Issuers(identity.issuer_file.path().to_owned())
    }

    fn fault(socket: TcpStream, name: &str, trust: &Trust) -> String {
        match wrap(Paced::new(Socket::new(socket), None), name, trust, TIMEOUT) {
            Ok(_) => panic!("TLS came about"),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn issuers_of_a_file_are_trusted_and_the_key_is_told() {
        let identity = identity("imap.example.com", 2100);
        for (version, text) in [(&TLS13, "TLS 1.3"), (&TLS12, "TLS 1.2")] {
            let socket = server(&identity, &[version]);
            let (mut tls, secured, _) = wrap(
                Paced::new(Socket::new(socket), None),
                "imap.example.com",
                &issued_by(&identity),
                TIMEOUT,
            )
            .unwrap();
            let mut greeting = [0; 2];
            // What belongs to TLS may come before it.
            while tls.read_exact(&mut greeting).is_err_and(|fault| is_wait(&fault)) {}
            assert_eq!(&greeting, b"hi");
            assert_eq!(secured.version, text);
            let digest = Sha256::digest(identity.key.subject_public_key_info());
            assert_eq!(secured.key, Some(hex(&digest)));
            assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        }
    }

    #[test]
    fn name_of_another_host_is_refused_and_told() {
        let identity = identity("other.example.com", 2100);
        let told = fault(server(&identity, &[&TLS13]), "imap.example.com", &issued_by(&identity));
        assert!(told.contains("is for other.example.com, not for imap.example.com"), "{told}");
    }

    #[test]
    fn issuer_that_nobody_knows_is_refused() {
        let identity = identity("localhost", 2100);
        let told = fault(server(&identity, &[&TLS13]), "localhost", &Trust::Platform);
        assert!(told.contains("nobody who is trusted here"), "{told}");
        let namesake = self::identity("localhost", 2100);
        let told = fault(server(&identity, &[&TLS13]), "localhost", &issued_by(&namesake));
        assert!(told.contains("not signed by the issuer that is trusted"), "{told}");
    }

    #[test]
    fn certificate_of_yesterday_is_refused() {
        let identity = identity("localhost", 2020);
        let told = fault(server(&identity, &[&TLS13]), "localhost", &issued_by(&identity));
        assert!(told.contains("expired on 2020-01-01"), "{told}");
    }

    #[test]
    fn anything_goes_only_if_asked_for() {
        let identity = identity("other.example.com", 2020);
        for version in [&TLS13, &TLS12] {
            let socket = server(&identity, &[version]);
            assert!(
                wrap(Paced::new(Socket::new(socket), None), "127.0.0.1", &Trust::Anything, TIMEOUT)
                    .is_ok()
            );
        }
    }

    #[test]
    fn what_has_come_is_read_at_one_go_and_whole() {
        let words: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let identity = identity("localhost", 2099);
        for version in [&TLS13, &TLS12] {
            let socket = server_that_says(words.clone(), &identity, &[version]);
            let (mut tls, _, _) = wrap(
                Paced::new(Socket::new(socket), None),
                "localhost",
                &issued_by(&identity),
                // The other end takes its time where the machine is busy.
                Duration::from_mins(1),
            )
            .unwrap();
            let (mut heard, mut most) = (Vec::new(), 0);
            let mut piece = vec![0; 64 * 1024];
            let began = Instant::now();
            while heard.len() < words.len() {
                let count = match tls.read(&mut piece) {
                    // A part of a record came.
                    Err(fault) if is_wait(&fault) && began.elapsed().as_secs() < 60 => continue,
                    read => read.unwrap(),
                };
                assert!(count > 0);
                heard.extend_from_slice(&piece[..count]);
                most = most.max(count);
            }
            assert!(heard == words);
            assert!(most > 20_000, "{most}: never more than one record");
        }
    }

    #[test]
    fn names_and_addresses_of_a_certificate_are_told_as_they_are() {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::IpAddress([192, 0, 2, 7].into()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = ParsedCertificate::try_from(certificate.der()).unwrap();
        let name = ServerName::try_from("b.example").unwrap();
        let Err(fault) = rustls::client::verify_server_name(&certificate, &name) else {
            panic!("it is for another name")
        };
        let told = told(&fault, "b.example");
        assert!(told.contains("is for a.example, 192.0.2.7, not for b.example"), "{told}");
    }

    #[test]
    fn server_without_tls_is_told() {
        let socket = peer(|mut socket| {
            let _greeted = socket.write_all(b"* OK IMAP4rev1 ready\r\n");
            let _closed = socket.read(&mut [0; 1024]);
        });
        let told = fault(socket, "localhost", &Trust::Anything);
        assert!(told.contains("does not answer in TLS"), "{told}");
    }

    #[test]
    fn server_that_trickles_is_given_up_after_the_timeout_in_all() {
        let socket = peer(|mut socket| {
            // A handshake record that announces 1,000 octets and sends them one by one.
            let _begun = socket.write_all(&[22, 3, 3, 3, 232]);
            while socket.write_all(&[2]).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let timeout = Duration::from_millis(300);
        let ended =
            wrap(Paced::new(Socket::new(socket), None), "localhost", &Trust::Anything, timeout)
                .map(drop);
        assert!(ended.is_err());
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }

    #[test]
    fn issuers_file_that_has_none_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = issuers(file.path()).unwrap_err().to_string();
        assert!(told.contains("no certificate in it"), "{told}");
        assert!(issuers(Path::new("/nonexistent/ca.pem")).is_err());
    }

    #[test]
    fn server_of_the_old_versions_is_told_so() {
        // TLS alert: protocol_version, as OpenSSL answers a client that is too new for it.
        let socket = peer(|mut socket| {
            let _heard = socket.read(&mut [0; 1024]);
            let _alert = socket.write_all(&[21, 3, 1, 0, 2, 2, 70]);
        });
        let told = fault(socket, "localhost", &Trust::Anything);
        assert!(told.contains("no version and cipher in common"), "{told}");
    }
}

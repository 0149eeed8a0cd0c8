//! TLS records over a socket.
//!
//! Uses rustls without the buffers of its connections: what is received is opened where it lies, and what
//! is sealed goes into one buffer that leaves at one go. With those each octet was moved three times more.
//!
//! # Never
//!
//! * Never loses its place when the socket is not ready, either way: the call is made again.
//! * Never takes octets in a call that fails, so that what was handed over is never counted short.
//! * Never takes the end of the connection for the end of what the server says, unless it said so.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::time::Instant;

use rustls::Error;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::EncodeTlsData;
use rustls::unbuffered::EncryptError;
use zeroize::Zeroize as _;

use crate::imap::wire::Progress;

/// Most octets that are received and not opened: more than the longest message of a handshake (64 KiB in
/// pieces) and whatever comes with it. What a read takes is acknowledged at one go, so few large reads spare
/// both systems work.
const RECEIVED_OCTETS_MAX: usize = 256 * 1024;

/// Octets of a full record, opened (RFC 8446 §5.1).
const RECORD_OCTETS: usize = 16 * 1024;

/// What sealing adds to a record at most (RFC 5246 §6.2.3, RFC 8446 §5.2).
const RECORD_OVERHEAD_MAX: usize = 5 + 256;

/// Most octets that one write takes.
const SEALED_AT_ONCE: usize = 128 * 1024;

/// What is smaller goes into one record with its neighbours, in octets.
const OWN_RECORD_OCTETS_MIN: usize = 4 * 1024;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Hands are shaken, and all that came is opened: anything may be written or received.
    Anything,
    /// More has to be received before anything else.
    Receive,
    /// What is sealed is to be sent.
    Send,
    /// A record was opened; there may be more.
    Opened,
    /// The server has said that nothing more comes.
    Ended,
}

/// A connection in records.
pub(super) struct Records<S> {
    connection: UnbufferedClientConnection,
    socket: S,
    /// What was received, and the part of it that is not opened.
    received: Box<[u8]>,
    from: usize,
    to: usize,
    /// What was opened and is for the next reads, and how much of it they took.
    opened: Vec<u8>,
    taken: usize,
    sealed: Sealed,
    /// Small pieces that become one record.
    small: Vec<u8>,
    /// The server has said that nothing more comes.
    ended: bool,
    /// What TLS minded, after which it is not asked again.
    fault: Option<Error>,
    /// What the socket minded when octets were taken already.
    unsent: Option<io::Error>,
}

impl<S: Read + Write> Records<S> {
    /// Takes over a connection over which nothing went yet.
    pub(super) fn new(connection: UnbufferedClientConnection, socket: S) -> Self {
        Self {
            connection,
            socket,
            received: vec![0; RECEIVED_OCTETS_MAX].into_boxed_slice(),
            from: 0,
            to: 0,
            opened: Vec::new(),
            taken: 0,
            sealed: Sealed::default(),
            small: Vec::new(),
            ended: false,
            fault: None,
            unsent: None,
        }
    }

    /// What TLS knows of the connection.
    pub(super) const fn connection(&self) -> &UnbufferedClientConnection {
        &self.connection
    }

    /// The socket, for its options.
    pub(super) const fn socket(&self) -> &S {
        &self.socket
    }

    /// Gets on as far as it goes without the socket; what is opened on the way is kept for reads.
    ///
    /// # Errors
    ///
    /// What TLS minds.
    pub(super) fn advance(&mut self) -> Result<Next, Error> {
        self.step(&mut |_| 0, &[])
    }

    /// Notes what TLS minded, and seals its words about it to the server.
    fn fail(&mut self, fault: Error) {
        self.fault = Some(fault);
        let Self { connection, received, from, to, sealed, .. } = self;
        // Once: rustls panics where it is asked again after it has told these.
        let status = connection.process_tls_records(&mut received[*from..*to]);
        if let Ok(ConnectionState::EncodeTlsData(message)) = status.state {
            // Without them the server finds the connection closed.
            let _sealed = sealed.add_message(message);
        }
    }

    /// Gets on until something is to be done. `take` is shown what is opened, and tells how much of it it
    /// takes; once hands are shaken and all is opened, `words` are sealed.
    fn step(&mut self, take: &mut dyn FnMut(&[u8]) -> usize, words: &[u8]) -> Result<Next, Error> {
        loop {
            if let Some(fault) = &self.fault {
                return Err(fault.clone());
            }
            let Self { connection, received, from, to, opened, sealed, ended, .. } = self;
            // All that was received goes along each time: TLS counts from where it stood.
            let status = connection.process_tls_records(&mut received[*from..*to]);
            let mut discard = status.discard;
            let next = match status.state {
                Err(fault) => Err(fault),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut all = Ok(Some(Next::Opened));
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                let taken = take(record.payload);
                                opened.extend_from_slice(&record.payload[taken..]);
                            }
                            Err(fault) => all = Err(fault),
                        }
                    }
                    all
                }
                Ok(ConnectionState::EncodeTlsData(message)) => {
                    sealed.add_message(message).map(|()| None)
                }
                Ok(ConnectionState::TransmitTlsData(message)) => {
                    message.done();
                    Ok(Some(Next::Send))
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => sealed
                    .add(words.len(), |room| match traffic.encrypt(words, room) {
                        Ok(octets) => Ok(octets),
                        Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        Err(EncryptError::EncryptExhausted) => Err(None),
                    })
                    .map(|()| Some(Next::Anything)),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    *ended = true;
                    Ok(Some(Next::Ended))
                }
                Ok(_) => Ok(Some(Next::Receive)),
            };
            *from += discard;
            match next {
                Ok(None) => {}
                Ok(Some(next)) => return Ok(next),
                Err(fault) => self.fail(fault),
            }
        }
    }

    /// Receives what has come; waits for something.
    ///
    /// # Errors
    ///
    /// The socket's; `UnexpectedEof` where the connection ended without a word.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        self.received.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        if self.to == self.received.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a TLS message without end"));
        }
        match self.socket.read(&mut self.received[self.to..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            octets => {
                self.to += octets;
                Ok(())
            }
        }
    }

    /// Has the socket take all that is sealed.
    ///
    /// # Errors
    ///
    /// The socket's.
    pub(super) fn send(&mut self) -> io::Result<()> {
        if let Some(fault) = self.unsent.take() {
            return Err(fault);
        }
        let sealed = &mut self.sealed;
        let mut progress = Progress::default();
        while sealed.sent < sealed.end {
            let asked = Instant::now();
            let count = self.socket.write(&sealed.octets[sealed.sent..sealed.end])?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            sealed.sent += count;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            if progress.is_too_little(asked.elapsed(), count) && sealed.sent < sealed.end {
                return Err(io::Error::other("the server takes less than 1 KiB a minute"));
            }
        }
        (sealed.sent, sealed.end) = (0, 0);
        Ok(())
    }

    fn seal(&mut self, words: &[u8]) -> io::Result<()> {
        loop {
            match self.step(&mut |_| 0, words).map_err(minded)? {
                Next::Anything => return Ok(()),
                Next::Receive => return Err(io::ErrorKind::NotConnected.into()),
                // What is to be sent goes before what is sealed now.
                Next::Send | Next::Opened | Next::Ended => {}
            }
        }
    }

    fn seal_small(&mut self) -> io::Result<()> {
        if self.small.is_empty() {
            return Ok(());
        }
        let mut small = std::mem::take(&mut self.small);
        let sealed = self.seal(&small);
        small.clear();
        self.small = small;
        sealed
    }

    /// Overwrites what was sealed, such as a password.
    pub(super) fn wipe_sent(&mut self) {
        self.small.zeroize();
    }

    /// Takes what earlier calls opened.
    fn take_opened(&mut self, out: &mut [u8]) -> usize {
        let rest = &self.opened[self.taken..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.opened.len() {
            self.opened.clear();
            self.taken = 0;
        }
        count
    }
}

impl<S: Read + Write> Read for Records<S> {
    /// Waits for something, and returns with it whatever has come besides.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut count = self.take_opened(out);
        let mut is_fresh = false;
        loop {
            let is_enough = count > 0 && out.len() - count < RECORD_OCTETS;
            if is_enough || out.is_empty() || (self.ended && self.opened.is_empty()) {
                return Ok(count);
            }
            let room = &mut out[count..];
            let mut taken = 0;
            let next = self.step(
                &mut |record| {
                    let fits = record.len().min(room.len() - taken);
                    room[taken..taken + fits].copy_from_slice(&record[..fits]);
                    taken += fits;
                    fits
                },
                &[],
            );
            count += taken;
            match next {
                Ok(Next::Opened | Next::Ended) => {}
                Ok(Next::Send) => match self.send() {
                    Err(fault) if !is_wait(&fault) && count == 0 => return Err(fault),
                    _ => {}
                },
                // A fault is told again when there is nothing before it.
                Ok(Next::Anything | Next::Receive) | Err(_) if count > 0 => return Ok(count),
                // Something came and there is no octet in it. The caller looks at the clock, then asks
                // again: a server could send nothing but empty records for ever.
                Ok(Next::Anything | Next::Receive) if is_fresh => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(Next::Anything | Next::Receive) => {
                    self.receive()?;
                    is_fresh = true;
                }
                Err(fault) => {
                    let _told = self.send();
                    return Err(minded(fault));
                }
            }
        }
    }
}

impl<S: Read + Write> Write for Records<S> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(octets)])
    }

    /// Large pieces are sealed where they lie.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // First what may fail; octets that are taken after it are taken for good.
        self.send()?;
        let mut count = 0;
        for piece in pieces {
            let piece = &piece[..piece.len().min(SEALED_AT_ONCE - count)];
            if piece.len() >= OWN_RECORD_OCTETS_MIN {
                self.seal_small()?;
                self.seal(piece)?;
            } else {
                if self.small.len() + piece.len() > RECORD_OCTETS {
                    self.seal_small()?;
                }
                self.small.extend_from_slice(piece);
            }
            count += piece.len();
        }
        self.seal_small()?;
        // What the socket minds is told by the next write, or the flush: some of what was taken may have
        // left already.
        self.unsent = self.send().err().filter(|fault| !is_wait(fault));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.socket.flush()
    }
}

/// What is sealed and not sent.
#[derive(Default)]
struct Sealed {
    octets: Vec<u8>,
    /// How much of it there is.
    end: usize,
    /// How much of that was sent.
    sent: usize,
}

impl Sealed {
    fn add_message<D>(&mut self, mut message: EncodeTlsData<'_, D>) -> Result<(), Error> {
        self.add(0, |room| match message.encode(room) {
            Ok(octets) => Ok(octets),
            Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
            Err(EncodeError::AlreadyEncoded) => Err(None),
        })
    }

    /// Adds what `write` puts into the room that is left, which becomes of so many octets. Where there is
    /// too little, it tells how much it takes; nothing where it cannot be done at all.
    fn add(
        &mut self,
        octets: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Result<(), Error> {
        let mut room = octets + (octets / RECORD_OCTETS + 1) * RECORD_OVERHEAD_MAX;
        loop {
            if self.octets.len() < self.end + room {
                self.octets.resize(self.end + room, 0);
            }
            match write(&mut self.octets[self.end..]) {
                Ok(written) => {
                    self.end += written;
                    return Ok(());
                }
                Err(Some(required)) if required > room => room = required,
                Err(_) => return Err(Error::EncryptError),
            }
        }
    }
}

fn minded(fault: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

/// Tells whether a call may be made again later.
pub(super) fn is_wait(fault: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(fault.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::VecDeque;
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::ClientConfig;
    use rustls::RootCertStore;
    use rustls::ServerConfig;
    use rustls::ServerConnection;
    use rustls::SupportedProtocolVersion;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::ServerName;
    use rustls::version::TLS12;
    use rustls::version::TLS13;

    use super::*;

    /// The other end, in memory: moves at most so many octets a call, and is not ready every other time
    /// where it is `lazy`.
    #[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
    struct Far {
        server: ServerConnection,
        on_the_way: VecDeque<u8>,
        heard: Vec<u8>,
        most: usize,
        lazy: bool,
        is_ready: bool,
        /// The connection ends without a word once all was received.
        is_cut: bool,
        /// The client said that it minds something.
        is_told: bool,
        /// How many octets it still takes before the connection breaks.
        takes: usize,
        /// Octets that are changed on the way, by how many went before them.
        changes: BTreeMap<usize, u8>,
        went: usize,
    }

    impl Far {
        fn turn(&mut self) -> io::Result<()> {
            self.is_ready ^= true;
            if self.lazy && !self.is_ready { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        }

        fn say(&mut self, words: &[u8]) {
            self.server.writer().write_all(words).unwrap();
            self.hand_over();
        }

        fn hand_over(&mut self) {
            while self.server.wants_write() {
                self.server.write_tls(&mut self.on_the_way).unwrap();
            }
        }
    }

    impl Read for Far {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.turn()?;
            if self.on_the_way.is_empty() && !self.is_cut {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let most = self.most.min(out.len());
            let count = self.on_the_way.read(&mut out[..most])?;
            for (&at, change) in self.changes.range(self.went..self.went + count) {
                out[at - self.went] ^= change;
            }
            self.went += count;
            Ok(count)
        }
    }

    impl Write for Far {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.turn()?;
            let most = self.most.min(octets.len()).min(self.takes);
            if most == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.takes -= most;
            let mut taken = &octets[..most];
            while !taken.is_empty() {
                self.server.read_tls(&mut taken).unwrap();
                let Ok(state) = self.server.process_new_packets() else {
                    self.is_told = true;
                    return Ok(most);
                };
                let mut heard = vec![0; state.plaintext_bytes_to_read()];
                self.server.reader().read_exact(&mut heard).unwrap();
                self.heard.extend(heard);
            }
            self.hand_over();
            Ok(most)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A connection over which nothing went yet.
    fn fresh(version: &'static SupportedProtocolVersion, most: usize, lazy: bool) -> Records<Far> {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        server.set_buffer_limit(None);
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = UnbufferedClientConnection::new(Arc::new(config), name).unwrap();
        let far = Far {
            server,
            on_the_way: VecDeque::new(),
            heard: Vec::new(),
            most,
            lazy,
            is_ready: false,
            is_cut: false,
            is_told: false,
            takes: usize::MAX,
            changes: BTreeMap::new(),
            went: 0,
        };
        Records::new(connection, far)
    }

    /// A connection whose hands are shaken.
    fn connected(
        version: &'static SupportedProtocolVersion,
        most: usize,
        lazy: bool,
    ) -> Records<Far> {
        let mut records = fresh(version, most, lazy);
        loop {
            while records.send().is_err() {}
            match records.advance().unwrap() {
                Next::Anything => return records,
                Next::Receive => while records.receive().is_err() {},
                Next::Send | Next::Opened => {}
                Next::Ended => panic!("it has ended"),
            }
        }
    }

    fn read_all(records: &mut Records<Far>, octets: usize, piece: usize) -> Vec<u8> {
        let (mut came, mut out) = (Vec::new(), vec![0; piece]);
        while came.len() < octets {
            match records.read(&mut out) {
                Ok(count) => {
                    assert!(count > 0, "after {}", came.len());
                    came.extend_from_slice(&out[..count]);
                }
                Err(fault) => assert!(is_wait(&fault), "{fault}"),
            }
        }
        came
    }

    fn words(octets: u32) -> Vec<u8> {
        (0..octets / 4).flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn what_is_said_comes_whole_whatever_the_pieces_and_the_waits() {
        let said = words(300_000);
        for version in [&TLS13, &TLS12] {
            for (most, lazy, piece) in [
                (usize::MAX, false, 65_536),
                (977, true, 65_536),
                (20_000, true, 5),
                (7, false, 999),
            ] {
                let mut records = connected(version, most, lazy);
                records.socket.say(&said);
                assert!(read_all(&mut records, said.len(), piece) == said, "{most} {piece}");
            }
        }
    }

    #[test]
    fn what_is_written_arrives_whole_whatever_the_pieces_and_the_waits() {
        let all = words(600_000);
        let sizes = [3, 0, 4_095, 4_096, 16_385, 70_000, 1, 200_000, 16_384];
        for version in [&TLS13, &TLS12] {
            for (most, lazy) in [(usize::MAX, false), (977, true), (20_000, true)] {
                let mut records = connected(version, most, lazy);
                let mut rest = all.as_slice();
                while !rest.is_empty() {
                    let mut pieces = Vec::new();
                    let mut from = 0;
                    for size in sizes {
                        let to = rest.len().min(from + size);
                        pieces.push(IoSlice::new(&rest[from..to]));
                        from = to;
                    }
                    match records.write_vectored(&pieces) {
                        Ok(count) => rest = &rest[count..],
                        Err(fault) => assert!(is_wait(&fault), "{fault}"),
                    }
                }
                while let Err(fault) = records.flush() {
                    assert!(is_wait(&fault), "{fault}");
                }
                assert!(records.socket.heard == all, "{most}");
            }
        }
    }

    #[test]
    fn new_keys_change_nothing_and_what_came_before_a_write_is_kept() {
        let (said, answer) = (words(50_000), words(40_000));
        let mut records = connected(&TLS13, usize::MAX, false);
        for _ in 0..3 {
            records.socket.say(&said);
            records.socket.server.refresh_traffic_keys().unwrap();
            records.socket.say(&said);
            // Received, and not read before something is written.
            records.receive().unwrap();
            records.write_all(&answer).unwrap();
            records.write_all(&answer).unwrap();
            assert!(read_all(&mut records, 2 * said.len(), 65_536) == [&*said, &*said].concat());
        }
        records.flush().unwrap();
        assert!(records.socket.heard == answer.repeat(6));
    }

    #[test]
    fn octets_that_may_have_left_are_never_counted_short() {
        let mut records = connected(&TLS13, usize::MAX, false);
        records.socket.takes = 40_000;
        let all = words(100_000);
        // Two records leave whole.
        assert_eq!(records.write(&all).unwrap(), all.len());
        assert_eq!(records.socket.heard.len(), 32_768);
        let fault = records.write(b"more").unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::ConnectionReset);
        assert!(records.flush().is_err());
    }

    #[test]
    fn parting_words_behind_the_handshake_are_read() {
        for version in [&TLS13, &TLS12] {
            let mut records = fresh(version, usize::MAX, false);
            let (mut is_said, mut ended) = (false, false);
            for _ in 0..40 {
                while records.send().is_err() {}
                if !is_said && !records.socket.server.is_handshaking() {
                    records.socket.say(b"* BYE");
                    records.socket.server.send_close_notify();
                    records.socket.hand_over();
                    is_said = true;
                }
                match records.advance().unwrap() {
                    Next::Receive => records.receive().unwrap(),
                    Next::Ended => {
                        ended = true;
                        break;
                    }
                    Next::Anything if is_said => break,
                    Next::Anything | Next::Send | Next::Opened => {}
                }
            }
            assert!(!records.connection().is_handshaking());
            assert!(ended || *version == TLS13, "they came along");
            assert_eq!(read_all(&mut records, 5, 100), b"* BYE");
            assert_eq!(records.read(&mut [0; 9]).unwrap(), 0);
        }
    }

    #[test]
    fn an_end_counts_only_if_it_was_said() {
        for is_said in [true, false] {
            let mut records = connected(&TLS13, usize::MAX, false);
            records.socket.say(b"bye");
            if is_said {
                records.socket.server.send_close_notify();
                records.socket.hand_over();
            }
            records.socket.is_cut = true;
            assert_eq!(read_all(&mut records, 3, 100), b"bye");
            let end = loop {
                match records.read(&mut [0; 9]) {
                    Err(fault) if is_wait(&fault) => {}
                    end => break end.map_err(|fault| fault.kind()),
                }
            };
            let expected = if is_said { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof) };
            assert_eq!(end, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn whatever_happens_to_octets_on_the_way_is_a_fault_and_no_panic(
            changes in proptest::collection::btree_map(0_usize..6_000, 1_u8.., 1..4),
            is_13: bool,
            most in prop_oneof![1_usize..50, 1_000_usize..100_000],
        ) {
            let mut records = fresh(if is_13 { &TLS13 } else { &TLS12 }, most, false);
            records.socket.changes = changes;
            let said = words(5_000);
            let mut heard = Vec::new();
            let mut faults = 0;
            for turn in 0..20_000 {
                let done = match turn % 4 {
                    0 => records.send(),
                    1 => records.receive(),
                    2 => records.advance().map_err(minded).map(drop),
                    _ if records.connection().is_handshaking() => Ok(()),
                    _ => {
                        if turn % 16 == 3 && records.socket.went < 10_000 && !records.socket.is_told {
                            records.socket.say(&said);
                        }
                        let mut out = [0; 3_000];
                        let written = records.write(b"word");
                        let read = records.read(&mut out);
                        if let Ok(count) = read {
                            heard.extend_from_slice(&out[..count]);
                        }
                        written.and(read).map(drop)
                    }
                };
                faults += u32::from(done.is_err_and(|fault| !is_wait(&fault)));
                if faults > 9 || heard.len() > 20_000 {
                    break;
                }
            }
            // What is read is what was said, as far as it goes.
            prop_assert!(heard.chunks(said.len()).all(|part| said.starts_with(part)));
        }
    }

    #[test]
    fn rubbish_is_a_fault_behind_what_was_good() {
        let mut records = connected(&TLS13, usize::MAX, false);
        records.socket.say(b"good");
        records.socket.on_the_way.extend([23, 3, 3, 0, 40]);
        records.socket.on_the_way.extend([7; 40]);
        records.socket.say(b"behind it");
        assert_eq!(read_all(&mut records, 4, 100), b"good");
        for _ in 0..2 {
            let fault = records.read(&mut [0; 100]).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::InvalidData, "{fault}");
        }
        assert!(records.socket.is_told);
        assert!(records.write(b"more").is_err());
    }
}

//! The suite on the adapter that speaks IMAP: two real Dovecots, one of them over TLS too, and the
//! scripted server in four dresses. What a server cannot do is told by its abilities; no case is left
//! out.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mailferry::imap::{Compress, Connector, EmptyAppend, Server, TlsMode, Trust};
use mailferry::mail::{Flag, InternalDate, Side, Timestamp, Uid, UidOrder, UidSet, WireName};
use mailferry::store::{Chunk, Connect, Destination, FetchSink, Flow, RowHead, Source, Visit};
use secrecy::SecretString;

use crate::store_suite::{Ground, Kept, Sample, suite};
use crate::support::client::Client;
use crate::support::dovecot::{Dovecot, DovecotOptions, PASSWORD, Tls};
use crate::support::scripted::{Scripted, ScriptedOptions};

/// After every date that is sent here.
const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

fn connector(host: &str, port: u16, tls: TlsMode, user: &str, empty: EmptyAppend) -> Connector {
    let server = Server {
        host: host.to_owned(),
        port,
        tls,
        user: user.to_owned(),
        timeout: Duration::from_secs(20),
        refusals: Vec::new(),
        empty_append: empty,
        compress: Compress::Auto,
    };
    Connector::new(server, Side::Destination, SecretString::from(PASSWORD))
}

fn source(connector: &mut Connector) -> Box<dyn Source> {
    connector.connect().unwrap()
}

fn destination(connector: &mut Connector) -> Box<dyn Destination> {
    connector.connect().unwrap()
}

fn text(name: &WireName) -> String {
    String::from_utf8(name.as_octets().to_vec()).unwrap()
}

fn date_text(seconds: i64) -> String {
    let date = InternalDate::new(Timestamp::from_seconds(seconds), 0);
    date.to_append(NOW).unwrap().trim_matches('"').to_owned()
}

fn kept<'a>(uid: u64, flags: impl Iterator<Item = &'a str>, date: &str, octets: &[u8]) -> Kept {
    Kept {
        uid: u32::try_from(uid).unwrap(),
        flags: flags.map(|flag| Flag::from_wire(flag.as_bytes()).unwrap()).collect(),
        date: InternalDate::from_wire(date.as_bytes()).unwrap().instant(),
        octets: octets.to_vec(),
    }
}

/// An account of its own on a Dovecot that all cases share.
struct DovecotGround {
    server: &'static Dovecot,
    prefix: &'static str,
    delimiter: u8,
    user: String,
    connector: Connector,
    raw: Client,
}

impl DovecotGround {
    fn new(
        server: &'static Dovecot,
        prefix: &'static str,
        delimiter: u8,
        tls: Tls,
        empty: EmptyAppend,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let user = format!("user{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (port, mode) = match tls {
            Tls::No => (server.imap_port, TlsMode::None),
            Tls::Implicit => {
                let trust = Trust::Issuers(server.ca_pem_path.clone().unwrap());
                let server_name = Some("localhost".to_owned());
                (server.imaps_port.unwrap(), TlsMode::Implicit { trust, server_name })
            }
        };
        let connector = connector(&server.host, port, mode, &user, empty);
        let raw = server.login(&user);
        Self { server, prefix, delimiter, user, connector, raw }
    }

    /// `/` and no prefix, maildir; proved by empty appends.
    fn slash() -> Self {
        static SERVER: OnceLock<Dovecot> = OnceLock::new();
        let server = SERVER.get_or_init(|| Dovecot::start(DovecotOptions::slash()));
        Self::new(server, "", b'/', Tls::No, EmptyAppend::Refused)
    }

    fn with_tls() -> &'static Dovecot {
        static SERVER: OnceLock<Dovecot> = OnceLock::new();
        SERVER.get_or_init(|| {
            Dovecot::start(DovecotOptions { tls: Tls::Implicit, ..DovecotOptions::dot() })
        })
    }

    /// `.` and `INBOX.`, sdbox; nothing is known of it.
    fn dot() -> Self {
        Self::new(Self::with_tls(), "INBOX.", b'.', Tls::No, EmptyAppend::Unknown)
    }

    /// The same over TLS, with an authority of its own.
    fn dot_over_tls() -> Self {
        Self::new(Self::with_tls(), "INBOX.", b'.', Tls::Implicit, EmptyAppend::Refused)
    }
}

impl Ground for DovecotGround {
    fn source(&mut self) -> Box<dyn Source> {
        source(&mut self.connector)
    }

    fn destination(&mut self) -> Box<dyn Destination> {
        destination(&mut self.connector)
    }

    fn name(&self, levels: &[&str]) -> WireName {
        WireName::from_levels(self.prefix, levels.iter().copied(), Some(self.delimiter)).unwrap()
    }

    fn fill(&mut self, folder: &WireName, samples: &[Sample]) {
        let folder = text(folder);
        if !self.raw.folders().contains(&folder) {
            self.raw.create(&folder);
        }
        for sample in samples {
            let flags: Vec<&str> = sample.flags.split_whitespace().collect();
            let date = date_text(sample.date);
            self.raw.append(&folder, &flags, Some(&date), &sample.octets);
        }
    }

    fn read_back(&mut self, folder: &WireName) -> Vec<Kept> {
        // Another session than the filling one: the server tells an open one nothing in between.
        let mut client = self.server.login(&self.user);
        let messages = client.messages(&text(folder));
        let each = messages.iter().map(|message| {
            let flags = message.flags.iter().map(String::as_str);
            kept(message.uid, flags, &message.date, &message.octets)
        });
        each.collect()
    }

    fn expunge(&mut self, folder: &WireName, uids: &[u32]) {
        for uid in uids {
            self.raw.remove(&text(folder), &uid.to_string());
        }
    }

    fn refused_message(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// A server of its own for each case.
struct ScriptedGround {
    server: Scripted,
    prefix: String,
    delimiter: u8,
    connector: Connector,
}

impl ScriptedGround {
    fn new(options: ScriptedOptions, empty: EmptyAppend) -> Self {
        let (prefix, delimiter) =
            (options.prefix.clone(), u8::try_from(options.separator).unwrap());
        let server = Scripted::start(options);
        server.refuse_messages(|octets| {
            let marked = octets.starts_with(b"Subject: refuse me");
            marked.then(|| "[CANNOT] a message that nobody wants".to_owned())
        });
        let connector = connector(&server.host, server.port, TlsMode::None, "ann", empty);
        Self { server, prefix, delimiter, connector }
    }

    /// All extensions that the program knows.
    fn full() -> Self {
        Self::new(ScriptedOptions::full(), EmptyAppend::Refused)
    }

    /// Nothing but `IMAP4rev1`: only synchronising literals, LSUB, no APPENDUID, no namespaces.
    fn bare() -> Self {
        Self::new(ScriptedOptions::bare(), EmptyAppend::Unknown)
    }

    /// Short literals without waiting (RFC 7888), nothing known of empty appends.
    fn short_literals() -> Self {
        let options = ScriptedOptions {
            separator: '.',
            ..ScriptedOptions::offering(&["LITERAL-", "UIDPLUS", "AUTH=LOGIN"])
        };
        Self::new(options, EmptyAppend::Unknown)
    }

    /// A prefix, object ids and a limit, and LITERAL+.
    fn limited() -> Self {
        let words =
            ["NAMESPACE", "OBJECTID", "APPENDLIMIT=4000000", "LITERAL+", "AUTH=PLAIN", "SASL-IR"];
        let options = ScriptedOptions {
            separator: '.',
            prefix: "INBOX.".to_owned(),
            ..ScriptedOptions::offering(&words)
        };
        Self::new(options, EmptyAppend::Refused)
    }
}

impl Ground for ScriptedGround {
    fn source(&mut self) -> Box<dyn Source> {
        source(&mut self.connector)
    }

    fn destination(&mut self) -> Box<dyn Destination> {
        destination(&mut self.connector)
    }

    fn name(&self, levels: &[&str]) -> WireName {
        WireName::from_levels(&self.prefix, levels.iter().copied(), Some(self.delimiter)).unwrap()
    }

    fn fill(&mut self, folder: &WireName, samples: &[Sample]) {
        let folder = text(folder);
        self.server.add_folder(&folder);
        for sample in samples {
            let flags: Vec<&str> = sample.flags.split_whitespace().collect();
            self.server.put(&folder, &flags, &date_text(sample.date), &sample.octets);
        }
    }

    fn read_back(&mut self, folder: &WireName) -> Vec<Kept> {
        let folder = self.server.folder(&text(folder)).unwrap();
        let each = folder.messages.iter().map(|message| {
            let flags = message.flags.iter().map(String::as_str);
            kept(message.uid, flags, &message.date, &message.octets)
        });
        each.collect()
    }

    fn expunge(&mut self, folder: &WireName, uids: &[u32]) {
        self.server.alter(&text(folder), |folder| {
            folder.messages.retain(|message| uids.iter().all(|uid| u64::from(*uid) != message.uid));
        });
    }

    fn refused_message(&self) -> Vec<u8> {
        b"Subject: refuse me\r\n\r\ntext\r\n".to_vec()
    }
}

mod dovecot_slash {
    use super::*;
    suite!(DovecotGround::slash());
}

mod dovecot_dot {
    use super::*;
    suite!(DovecotGround::dot());
}

mod dovecot_dot_over_tls {
    use super::*;
    suite!(DovecotGround::dot_over_tls());
}

mod scripted_full {
    use super::*;
    suite!(ScriptedGround::full());
}

mod scripted_bare {
    use super::*;
    suite!(ScriptedGround::bare());
}

mod scripted_short_literals {
    use super::*;
    suite!(ScriptedGround::short_literals());
}

mod scripted_limited {
    use super::*;
    suite!(ScriptedGround::limited());
}

/// Notes the order, takes its time, and says stop at a piece.
#[derive(Default)]
struct Slow {
    uids: Vec<u32>,
    pieces: u32,
    pause_every: u32,
    stop_at: Option<u32>,
}

impl FetchSink for Slow {
    fn begin(&mut self, uid: Uid, _: &RowHead) -> Flow {
        self.uids.push(uid.get());
        Flow::Go
    }

    fn piece(&mut self, _: &Chunk) -> Flow {
        self.pieces += 1;
        if self.pause_every > 0 && self.pieces.is_multiple_of(self.pause_every) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.stop_at == Some(self.pieces) { Flow::Stop } else { Flow::Go }
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

/// Dovecot answers commands side by side as soon as it cannot write: what is under way together
/// comes interleaved.
#[test]
fn bodies_of_a_real_server_come_in_the_order_of_uids_however_slowly_they_are_taken() {
    for mut ground in [DovecotGround::slash(), DovecotGround::dot()] {
        let name = ground.name(&["Ordered"]);
        let body = crate::support::mail::filler(1, 12_000);
        let samples: Vec<_> = (0..1_300)
            .map(|number| {
                let head = format!("Subject: {number}\r\n\r\n");
                Sample::new("").octets([head.as_bytes(), &body].concat())
            })
            .collect();
        ground.fill(&name, &samples);
        let uids = UidSet::range(Uid::MIN, Uid::new(1_300).unwrap());
        for order in [UidOrder::OldestFirst, UidOrder::NewestFirst] {
            let mut sink = Slow { pause_every: 40, ..Slow::default() };
            let visit = Visit { order, ..Visit::new(&name, &uids) };
            let outcome = ground.source().fetch(&visit, &mut sink).unwrap();
            assert_eq!(outcome.came.len(), 1_300);
            assert!(
                order.iter(&uids).map(Uid::get).eq(sink.uids.iter().copied()),
                "{:?}",
                sink.uids
            );
        }
    }
}

#[test]
fn stop_before_much_mail_is_quick_and_the_next_call_says_that_the_connection_is_gone() {
    let mut ground = DovecotGround::slash();
    let name = ground.name(&["Much"]);
    let octets = [b"Subject: big\r\n\r\n".to_vec(), vec![b'x'; 9_000_000], b"\r\n".to_vec()];
    let octets = octets.concat();
    ground.fill(&name, &[Sample::new("").octets(octets.clone()), Sample::new("").octets(octets)]);
    let mut sink = Slow { stop_at: Some(3), ..Slow::default() };
    let uids = UidSet::range(Uid::MIN, Uid::new(2).unwrap());
    let mut session = ground.source();
    let outcome = session.fetch(&Visit::new(&name, &uids), &mut sink).unwrap();
    assert_eq!(outcome.missing.len(), 2);
    assert_eq!((sink.pieces, sink.uids), (3, vec![1]));
    let fault = session.open(&name).unwrap_err();
    assert!(!fault.connection_is_good(), "{fault}");
    assert_eq!(ground.source().open(&name).unwrap().messages, 2);
}

//! Reading what a source sends: single responses, and whole messages over a socket.

use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use divan::Bencher;
use divan::counter::BytesCount;
use divan::counter::ItemsCount;
use mailferry::imap::Connector;
use mailferry::imap::EmptyAppend;
use mailferry::imap::Server;
use mailferry::imap::TlsMode;
use mailferry::mail::Side;
use mailferry::mail::Uid;
use mailferry::mail::UidSet;
use mailferry::mail::WireName;
use mailferry::store::Chunk;
use mailferry::store::Connect;
use mailferry::store::FetchSink;
use mailferry::store::Flow;
use mailferry::store::RowHead;
use mailferry::store::Source;
use mailferry::store::Visit;

const MESSAGES: u32 = 500;
const BODY_OCTETS: usize = 10_000;

#[divan::bench]
fn row_of_flags_and_sizes(bencher: Bencher) {
    let row = b"* 1234 FETCH (UID 98765 FLAGS (\\Seen \\Answered $Forwarded) INTERNALDATE \" 7-Feb-2020 21:52:25 -0800\" RFC822.SIZE 10234)\r\n";
    bencher
        .counter(BytesCount::new(row.len()))
        .bench(|| assert!(mailferry::imap::is_understood(divan::black_box(row))));
}

#[divan::bench]
fn row_with_header_fields(bencher: Bencher) {
    let fields = "Message-ID: <CAF+8a1b2c3d4e5f60718@mail.example.net>\r\nDate: Fri, 7 Feb 2020 21:52:25 -0800\r\n\
                  From: Sender <sender@example.net>\r\nSubject: the bridge at the harbour\r\n\r\n";
    let row = format!(
        "* 1234 FETCH (UID 98765 FLAGS (\\Seen) BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)] {{{}}}\r\n{fields})\r\n",
        fields.len()
    );
    bencher
        .counter(BytesCount::new(row.len()))
        .bench(|| assert!(mailferry::imap::is_understood(divan::black_box(row.as_bytes()))));
}

/// Counts.
#[derive(Default)]
struct Count {
    messages: u32,
    octets: usize,
}

impl FetchSink for Count {
    fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.octets += octets.len();
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        self.messages += 1;
        Flow::Go
    }
}

/// 500 messages of 10,000 octets by one command, from a server that has its answer ready.
#[divan::bench]
fn fetch_over_a_socket(bencher: Bencher) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the session.
    thread::spawn(move || serve(&listener.accept().unwrap().0));
    let server = Server {
        host: "127.0.0.1".to_owned(),
        port,
        tls: TlsMode::None,
        user: "ann".to_owned(),
        timeout: Duration::from_mins(1),
        refusals: Vec::new(),
        empty_append: EmptyAppend::Unknown,
        compress: mailferry::imap::Compress::Off,
    };
    let mut connector = Connector::new(server, Side::Source, "pass".into());
    let mut source: Box<dyn Source> = connector.connect().unwrap();
    let inbox = WireName::new(*b"INBOX");
    let uids = UidSet::range(Uid::MIN, Uid::new(MESSAGES).unwrap());
    let octets = BODY_OCTETS * usize::try_from(MESSAGES).unwrap();
    bencher.counter(BytesCount::new(octets)).counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        let mut count = Count::default();
        let outcome = source.fetch(&Visit::new(&inbox, &uids), &mut count).unwrap();
        assert!(outcome.missing.is_empty());
        assert_eq!((count.messages, count.octets), (MESSAGES, octets));
    });
}

/// One folder, the same rows each time.
fn serve(socket: &TcpStream) -> io::Result<()> {
    let body =
        "text of a letter, which is long enough to be folded\r\n".repeat(BODY_OCTETS / 52 + 1);
    let rows: String = (1..=MESSAGES)
        .map(|uid| {
            format!(
                "* {uid} FETCH (UID {uid} FLAGS (\\Seen) INTERNALDATE \" 7-Feb-2020 21:52:25 -0800\" RFC822.SIZE {BODY_OCTETS} BODY[] {{{BODY_OCTETS}}}\r\n{})\r\n",
                &body[..BODY_OCTETS]
            )
        })
        .collect();
    let mut writer = socket;
    writer.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")?;
    for line in BufReader::new(socket).lines() {
        let line = line?;
        let Some((tag, command)) = line.split_once(' ') else { continue };
        let answer = match command {
            "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\n",
            open if open.starts_with("EXAMINE") => {
                "* FLAGS (\\Seen)\r\n* 500 EXISTS\r\n* OK [UIDVALIDITY 7] here\r\n* OK [UIDNEXT 501] next\r\n"
            }
            fetch if fetch.starts_with("UID FETCH") => &rows,
            _ => "",
        };
        writer.write_all(answer.as_bytes())?;
        writer.write_all(format!("{tag} OK done\r\n").as_bytes())?;
    }
    Ok(())
}

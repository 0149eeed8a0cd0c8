//! The proxy.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use crate::support::client::Client;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::mail;
use crate::support::proxy::AfterDeath;
use crate::support::proxy::Fault;
use crate::support::proxy::Flow;
use crate::support::proxy::Place;
use crate::support::proxy::Proxy;
use crate::support::proxy::Way;

const SOON: Duration = Duration::from_secs(10);

/// Takes one connection after the other, echoes when `echo`, and hands over all it got.
fn listener(echo: bool) -> (u16, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            std::thread::spawn(move || {
                let (mut got, mut buffer) = (Vec::new(), [0; 4_096]);
                while let Ok(octets) = stream.read(&mut buffer) {
                    if octets == 0 || (echo && stream.write_all(&buffer[..octets]).is_err()) {
                        break;
                    }
                    got.extend_from_slice(&buffer[..octets]);
                }
                let _nobody_waits = sender.send(got);
            });
        }
    });
    (port, receiver)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

#[test]
fn octets_are_forwarded_and_counted_both_ways() {
    let (port, got) = listener(true);
    let proxy = Proxy::start("127.0.0.1", port);
    let mut stream = connect(&proxy);
    let sent: Vec<u8> = mail::filler(1, 100_000);
    let copy = sent.clone();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert_eq!(back, sent);
    assert_eq!(got.recv_timeout(SOON).unwrap(), sent);
    assert_eq!((proxy.octets(Way::Up), proxy.octets(Way::Down)), (100_000, 100_000));
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn cut_lets_exactly_so_many_octets_go_up() {
    for (fault, reset) in [(Fault::Close, false), (Fault::Reset, true)] {
        let (port, got) = listener(false);
        let proxy = Proxy::start("127.0.0.1", port);
        proxy.arm(Place::Octet(Way::Up, 1_234), fault);
        let mut stream = connect(&proxy);
        stream.write_all(&[b'x'; 1_000]).unwrap();
        assert!(proxy.wait_for_octets(Way::Up, 1_000, SOON));
        stream.write_all(&[b'y'; 1_000]).unwrap();
        assert_eq!(got.recv_timeout(SOON).unwrap().len(), 1_234);
        let ended = stream.read(&mut [0; 10]);
        assert_eq!(ended.is_err(), reset, "{fault:?}: {ended:?}");
        assert_eq!(proxy.struck(), 1);
    }
}

#[test]
fn cut_lets_exactly_so_many_octets_come_down() {
    let (port, _got) = listener(true);
    let proxy = Proxy::start("127.0.0.1", port);
    proxy.arm(Place::Octet(Way::Down, 70), Fault::Close);
    let mut stream = connect(&proxy);
    stream.write_all(&[b'x'; 100]).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!(back.len(), 70);
}

#[test]
fn text_is_found_across_pieces_and_counted() {
    let (port, got) = listener(false);
    let proxy = Proxy::start("127.0.0.1", port);
    proxy.arm(Place::Text(Way::Up, b"needle".to_vec(), 2), Fault::Close);
    let mut stream = connect(&proxy);
    let mut sent = 0;
    for piece in ["one needle, two nee", "d", "le, three needle"] {
        stream.write_all(piece.as_bytes()).unwrap();
        sent += piece.len();
        if !piece.ends_with("needle") {
            assert!(proxy.wait_for_octets(Way::Up, u64::try_from(sent).unwrap(), SOON));
        }
    }
    assert_eq!(got.recv_timeout(SOON).unwrap(), b"one needle, two needle");
}

#[test]
fn hold_stops_everything_at_the_octet_until_release() {
    let (port, got) = listener(false);
    let proxy = Proxy::start("127.0.0.1", port);
    proxy.arm(Place::Octet(Way::Up, 500), Fault::Hold);
    let mut stream = connect(&proxy);
    stream.write_all(&[b'x'; 1_000]).unwrap();
    drop(stream);
    assert!(proxy.wait_for_faults(1, SOON));
    assert!(!proxy.wait_for_octets(Way::Up, 501, Duration::from_millis(100)));
    proxy.release();
    assert_eq!(got.recv_timeout(SOON).unwrap().len(), 1_000);
}

#[test]
fn drain_delivers_what_a_dead_client_left_behind() {
    let (port, got) = listener(false);
    let flow = Flow { rate_up: Some(1_000_000), after_death: AfterDeath::Drain, ..Flow::default() };
    let proxy = Proxy::start_with("127.0.0.1", port, flow);
    let begin = Instant::now();
    let mut stream = connect(&proxy);
    stream.write_all(&vec![b'x'; 1_000_000]).unwrap();
    drop(stream);
    let client_gone = begin.elapsed();
    assert_eq!(got.recv_timeout(SOON).unwrap().len(), 1_000_000);
    let delivered = begin.elapsed();
    assert!(delivered > Duration::from_millis(900), "{delivered:?}");
    assert!(client_gone < delivered / 2, "{client_gone:?} of {delivered:?}");
}

#[test]
fn delay_is_paid_once_each_way_and_not_for_each_piece() {
    let (port, _got) = listener(true);
    let flow = Flow { delay: Duration::from_millis(40), ..Flow::default() };
    let proxy = Proxy::start_with("127.0.0.1", port, flow);
    let mut stream = connect(&proxy);
    let begin = Instant::now();
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&vec![b'x'; 200_000]));
    stream.read_exact(&mut vec![0; 200_000]).unwrap();
    writing.join().unwrap().unwrap();
    let took = begin.elapsed();
    assert!((80..400).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn reply_is_lost_after_dovecot_did_the_work() {
    let server = Dovecot::start(DovecotOptions::slash());
    let proxy = Proxy::start(&server.host, server.imap_port);
    proxy.arm(
        Place::Text(Way::Down, b"APPENDUID".to_vec(), 2),
        Fault::LoseReplies(Duration::from_millis(50)),
    );
    let mut client = Client::connect("127.0.0.1", proxy.port);
    client.login("ann", "pass");
    client.append("INBOX", &[], None, &mail::sample(1).octets);
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        client.append("INBOX", &[], None, &mail::sample(2).octets);
    }));
    assert!(lost.is_err());
    assert_eq!(server.login("ann").messages("INBOX").len(), 2);
}

#[test]
fn commands_are_noted_without_literals_and_credentials_of_sasl() {
    let server = Dovecot::start(DovecotOptions::slash());
    let proxy = Proxy::start(&server.host, server.imap_port);
    let mut client = Client::connect("127.0.0.1", proxy.port);
    client.login("ann", "pass");
    client.append("INBOX", &[], None, b"From: x@example.org\r\n\r\na1 DELETE INBOX\r\n");
    assert!(!client.try_append("Nowhere", &[], None, b"x").is_ok());
    client.command("NOOP");
    assert_eq!(
        proxy.commands(),
        ["LOGIN \"ann\" \"pass\"", "APPEND \"INBOX\" () {40}", "APPEND \"Nowhere\" () {1}", "NOOP"]
    );
    let mut stream = connect(&proxy);
    let mut replies = BufReader::new(stream.try_clone().unwrap()).lines();
    for (line, reply) in
        [("a AUTHENTICATE PLAIN\r\n", "+"), ("AGFubgBwYXNz\r\n", "a OK"), ("b NOOP\r\n", "b OK")]
    {
        stream.write_all(line.as_bytes()).unwrap();
        assert!(replies.any(|came| came.unwrap().starts_with(reply)), "{line}");
    }
    assert_eq!(proxy.commands()[4..], ["AUTHENTICATE PLAIN", "NOOP"]);
}

#[test]
fn append_of_a_dead_client_arrives_late_at_dovecot() {
    let server = Dovecot::start(DovecotOptions::slash());
    let flow = Flow { rate_up: Some(1_500_000), after_death: AfterDeath::Drain, ..Flow::default() };
    let proxy = Proxy::start_with(&server.host, server.imap_port, flow);
    let mail = mail::sample_of(1, 1_500_000);
    let mut stream = connect(&proxy);
    stream.write_all(b"a LOGIN ann pass\r\n").unwrap();
    let line = format!("b APPEND INBOX () {{{}+}}\r\n", mail.octets.len());
    let sent = [line.as_bytes(), &mail.octets, b"\r\n"].concat();
    stream.write_all(&sent).unwrap();
    assert!(proxy.wait_for_taken(u64::try_from(sent.len()).unwrap(), SOON));
    drop(stream);
    let mut client = server.login("ann");
    assert_eq!(client.status("INBOX", "MESSAGES"), 0);
    let end = Instant::now() + SOON;
    while client.status("INBOX", "MESSAGES") == 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.messages("INBOX")[0].octets, mail.octets);
}

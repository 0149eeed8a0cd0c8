//! The real servers and the raw client.

use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::support::client::Client;
use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::dovecot::Plaintext;
use crate::support::dovecot::Storage;
use crate::support::dovecot::Tls;
use crate::support::mail;
use crate::support::mail::Delivery;

#[test]
fn both_kinds_keep_what_the_client_appends() {
    for options in [DovecotOptions::slash(), DovecotOptions::dot()] {
        let server = Dovecot::start(options);
        let mut client = server.login("ann");
        let folder = server.name(&["Archive", "2021"]);
        client.create(&folder);
        let sent: Vec<_> = (0..5).map(mail::sample).collect();
        let uids: Vec<_> = sent
            .iter()
            .map(|mail| client.append(&folder, &mail.flags, Some(&mail.date), &mail.octets))
            .collect();
        let kept = client.messages(&folder);
        assert_eq!(kept.iter().map(|message| Some(message.uid)).collect::<Vec<_>>(), uids);
        for (sent, kept) in sent.iter().zip(&kept) {
            let mut flags = sent.flags.clone();
            flags.sort_unstable();
            assert_eq!(kept.flags, flags);
            assert_eq!(kept.date, sent.date);
            assert_eq!(kept.octets, sent.octets);
            assert_eq!(kept.size, u64::try_from(sent.octets.len()).unwrap());
        }
        assert!(client.folders().contains(&folder));
        let before = client.uid_validity(&folder);
        assert_eq!(client.status(&folder, "MESSAGES"), 5);
        client.remove(&folder, "1:2");
        assert_eq!(client.messages(&folder).len(), 3);
        let renamed = server.name(&["Old"]);
        client.rename(&folder, &renamed);
        assert_eq!(client.uid_validity(&renamed), before);
        client.subscribe(&renamed);
        assert_eq!(client.subscribed(), [&*renamed]);
        client.delete(&renamed);
        assert!(!client.folders().contains(&renamed));
    }
}

#[test]
fn nasty_mail_gets_in_by_append_or_as_a_file() {
    let server = Dovecot::start(DovecotOptions::slash());
    let mut client = server.login("ann");
    client.create("Nasty");
    let all = mail::nasty();
    for (delivery, mail) in &all {
        match delivery {
            Delivery::Append => {
                client.append("Nasty", &mail.flags, Some(&mail.date), &mail.octets);
            }
            Delivery::File => server.put_file("ann", &["Nasty"], &mail.octets),
        }
    }
    let kept = client.messages("Nasty");
    assert_eq!(kept.len(), all.len());
    // Dovecot shows a NUL as 0x80, because IMAP has none outside of binary literals.
    assert!(kept.iter().any(|message| message.octets.ends_with(b"before\x80after\r\n")));
    assert!(kept.iter().any(|message| message.octets.is_empty()));
    assert!(kept.iter().any(|message| message.size > 100_000));
}

#[test]
fn quota_refuses_with_overquota() {
    let options = DovecotOptions {
        quota: Some(20_000),
        storage: Storage::Maildir,
        ..DovecotOptions::slash()
    };
    let server = Dovecot::start(options);
    let mut client = server.login("ann");
    assert!(client.try_append("INBOX", &[], None, &mail::sample_of(1, 5_000).octets).is_ok());
    let refused = client.try_append("INBOX", &[], None, &mail::sample_of(2, 50_000).octets);
    assert!(refused.status.starts_with("NO [OVERQUOTA]"), "{}", refused.status);
}

#[test]
fn plain_port_can_refuse_passwords() {
    let options = DovecotOptions { plaintext: Plaintext::LoginDisabled, ..DovecotOptions::slash() };
    let server = Dovecot::start(options);
    let mut client = Client::connect(&server.host, server.imap_port);
    let offered = client.ok("CAPABILITY");
    assert!(String::from_utf8_lossy(&offered.untagged[0]).contains("LOGINDISABLED"));
    assert!(!client.command("LOGIN ann pass").is_ok());
}

#[test]
fn tls_port_shows_a_certificate_of_its_own_authority() {
    let server = Dovecot::start(DovecotOptions { tls: Tls::Implicit, ..DovecotOptions::slash() });
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(server.ca_pem_path.as_ref().unwrap()).unwrap();
    for certificate in certificates(&pem) {
        roots.add(certificate).unwrap();
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(server.host.clone()).unwrap();
    let mut session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut socket =
        std::net::TcpStream::connect((server.host.as_str(), server.imaps_port.unwrap())).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let mut greeting = [0; 4];
    std::io::Read::read_exact(&mut stream, &mut greeting).unwrap();
    assert_eq!(&greeting, b"* OK");
}

fn certificates(pem: &[u8]) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect()
}

#[test]
fn server_and_its_folder_are_gone_after_the_drop() {
    let server = Dovecot::start(DovecotOptions::slash());
    server.login("ann").create("Kept");
    let (home, port) = (server.home("ann"), server.imap_port);
    assert!(home.exists());
    drop(server);
    assert!(!home.exists());
    // A moment later on a busy machine, or when another test's server on the same port is gone.
    assert!(soon(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_err()));
}

#[test]
fn server_ends_when_its_starter_is_killed() {
    let folder = crate::support::short_folder();
    let place = folder.path().join("d");
    let script = crate::support::project().join("scripts/dovecot.sh");
    // `sleep` plays the test process: it holds the other end of the pipe and is killed.
    let mut starter = Command::new("sleep").arg("600").stdout(Stdio::piped()).spawn().unwrap();
    let mut keeper = Command::new("bash")
        .arg(script)
        .arg("run")
        .arg(&place)
        .stdin(Stdio::from(starter.stdout.take().unwrap()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(soon(|| place.join("run/master.pid").exists()), "did not start");
    starter.kill().unwrap();
    starter.wait().unwrap();
    keeper.wait().unwrap();
    assert!(soon(|| !place.exists()), "still there");
}

fn soon(mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

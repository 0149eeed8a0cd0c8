//! The scripted server.

use std::io::Read;
use std::io::Write;

use crate::support::client::Client;
use crate::support::mail;
use crate::support::scripted::AppendUid;
use crate::support::scripted::BadLiteral;
use crate::support::scripted::Keywords;
use crate::support::scripted::Reaction;
use crate::support::scripted::Scripted;
use crate::support::scripted::ScriptedOptions;
use crate::support::scripted::UidNext;

fn login(server: &Scripted) -> Client {
    let mut client = Client::connect(&server.host, server.port);
    client.login("ann", "pass");
    client
}

/// Sends octets as they are after a login and returns all that comes until the server closes.
fn raw(server: &Scripted, octets: &[u8]) -> String {
    let mut stream = std::net::TcpStream::connect((server.host.as_str(), server.port)).unwrap();
    stream.write_all(b"a LOGIN ann pass\r\n").unwrap();
    stream.write_all(octets).unwrap();
    stream.write_all(b"z LOGOUT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn scripted_server_keeps_what_the_client_appends() {
    for options in [ScriptedOptions::full(), ScriptedOptions::bare()] {
        let server = Scripted::start(options);
        let mut client = login(&server);
        client.create("Archive/2021");
        let mail = mail::sample(3);
        for _ in 0..3 {
            client.append("Archive/2021", &mail.flags, Some(&mail.date), &mail.octets);
        }
        let kept = client.messages("Archive/2021");
        assert_eq!(kept.iter().map(|message| message.uid).collect::<Vec<_>>(), [1, 2, 3]);
        let mut flags = mail.flags.clone();
        flags.sort_unstable();
        assert_eq!((&kept[0].octets, &kept[0].date), (&mail.octets, &mail.date));
        assert_eq!(kept[0].flags, flags);
        assert_eq!(client.folders(), ["Archive", "Archive/2021", "INBOX"]);
        client.subscribe("Archive/2021");
        assert_eq!(client.subscribed(), ["Archive/2021"]);
        assert_eq!(client.status("Archive/2021", "UIDNEXT"), 4);
        client.select("Archive/2021");
        client.store("2", "+FLAGS (\\Flagged)");
        let found = client.ok("UID SEARCH FLAGGED NOT DELETED LARGER 10 SINCE 1-Jan-2021");
        assert_eq!(found.untagged[0].trim_ascii(), b"SEARCH 2");
        client.store("1", "+FLAGS (\\Deleted)");
        client.ok("EXPUNGE");
        assert_eq!(client.messages("Archive/2021").len(), 2);
    }
}

#[test]
fn extended_list_gives_counts_roles_and_subscriptions() {
    let server = Scripted::start(ScriptedOptions {
        separator: '.',
        prefix: "INBOX.".to_owned(),
        ..ScriptedOptions::full()
    });
    server.add_role("INBOX.Sent", "\\Sent");
    server.subscribe("INBOX.Sent");
    server.put("INBOX.Sent", &[], "01-Jan-2021 00:00:00 +0000", b"From: a\r\n\r\nx\r\n");
    let mut client = login(&server);
    let reply = client.ok(
        "LIST () \"\" (\"*\") RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES SIZE MAILBOXID))",
    );
    let text = String::from_utf8_lossy(&reply.untagged.concat()).into_owned();
    assert!(text.contains("LIST (\\Subscribed \\Sent) \".\" \"INBOX.Sent\""), "{text}");
    assert!(text.contains("STATUS \"INBOX.Sent\" (MESSAGES 1 SIZE 14 MAILBOXID (F"), "{text}");
    assert!(!client.command("CREATE Outside").is_ok());
    let plain = Scripted::start(ScriptedOptions::bare());
    let mut client = login(&plain);
    assert!(client.command("LIST \"\" \"*\" RETURN (SUBSCRIBED)").status.starts_with("BAD"));
}

#[test]
fn fetch_gives_header_fields_and_parts() {
    let server = Scripted::start(ScriptedOptions::full());
    server.put(
        "INBOX",
        &[],
        "01-Jan-2021 00:00:00 +0000",
        b"A: 1\r\nB: 2\r\n 3\r\nC: 4\r\n\r\nbody\r\n",
    );
    let mut client = login(&server);
    client.ok("EXAMINE INBOX");
    let reply = client.ok("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (b c)] BODY.PEEK[]<24.4>)");
    let text = String::from_utf8_lossy(&reply.untagged[0]).into_owned();
    assert!(
        text.contains("BODY[HEADER.FIELDS (B C)] {18}\r\nB: 2\r\n 3\r\nC: 4\r\n\r\n"),
        "{text}"
    );
    assert!(text.contains("BODY[]<24> {4}\r\nbody"), "{text}");
}

#[test]
fn changes_are_violations_when_forbidden() {
    let server = Scripted::start(ScriptedOptions::full());
    server.put("INBOX", &[], "01-Jan-2021 00:00:00 +0000", b"A: 1\r\n\r\nbody\r\n");
    let mut client = login(&server);
    server.forbid_changes();
    client.ok("EXAMINE INBOX");
    client.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[])");
    client.ok("LIST \"\" \"*\"");
    assert_eq!(server.take_violations(), Vec::<String>::new());
    client.ok("UID FETCH 1 (BODY[])");
    client.create("New");
    client.append("New", &[], None, b"x");
    assert_eq!(server.take_violations().len(), 3);
    client.subscribe("New");
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(server)));
    assert!(dropped.is_err(), "the drop lets a violation pass");
}

#[test]
fn hook_can_refuse_answer_close_and_lose_the_reply() {
    let server = Scripted::start(ScriptedOptions::full());
    let mut appends = 0;
    server.on_command(move |event| {
        if event.verb != "APPEND" {
            return Reaction::Normal;
        }
        appends += 1;
        match appends {
            1 => Reaction::No("[LIMIT] later".to_owned()),
            2 => Reaction::DoAndSay(b"* OK still here\r\n{tag} OK nothing told\r\n".to_vec()),
            3 => Reaction::SayFirst(b"* 12 RUBBISH ((((\r\n".to_vec()),
            _ => Reaction::DoAndClose,
        }
    });
    let mut client = login(&server);
    assert_eq!(client.try_append("INBOX", &[], None, b"1").status, "NO [LIMIT] later");
    assert_eq!(client.append("INBOX", &[], None, b"2"), None);
    assert_eq!(client.append("INBOX", &[], None, b"3"), Some(2));
    let lost = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        client.append("INBOX", &[], None, b"4");
    }));
    assert!(lost.is_err());
    assert_eq!(server.folder("INBOX").unwrap().messages.len(), 3);
    assert_eq!(server.commands().len(), 5);
}

#[test]
fn uids_can_be_lied_about() {
    let with = |append_uid, uid_next| {
        Scripted::start(ScriptedOptions { append_uid, uid_next, ..ScriptedOptions::full() })
    };
    for (lie, told) in
        [(AppendUid::Missing, None), (AppendUid::Foreign, Some(1)), (AppendUid::Honest, Some(1))]
    {
        let server = with(lie, UidNext::Honest);
        assert_eq!(login(&server).append("INBOX", &[], None, b"x"), told);
    }
    let swapped = with(AppendUid::Swapped, UidNext::Honest);
    let text = raw(&swapped, b"b APPEND INBOX () {1+}\r\nx () {1+}\r\ny\r\n");
    assert!(text.contains(" 2,1] APPEND completed"), "{text}");
    for (lie, told) in [
        (UidNext::Absent, None),
        (UidNext::Always(0), Some(0)),
        (UidNext::Stale(1), Some(2)),
        (UidNext::High(5), Some(8)),
    ] {
        let server = with(AppendUid::Honest, lie);
        let mut client = login(&server);
        client.append("INBOX", &[], None, b"x");
        client.append("INBOX", &[], None, b"y");
        assert_eq!(client.on_folder("EXAMINE", "INBOX").code_number("UIDNEXT"), told);
    }
}

#[test]
fn bad_line_before_a_literal_runs_the_mail_or_skips_it() {
    let octets =
        b"b APPEND INBOX () \"99-Foo-2021 00:00:00 +0000\" {18+}\r\nx CREATE Injected\n\r\n";
    let executes = Scripted::start(ScriptedOptions::full());
    raw(&executes, octets);
    assert!(executes.folder("Injected").is_some());
    assert_eq!(executes.take_violations(), ["mail taken for a command: x CREATE Injected"]);
    let skips = Scripted::start(ScriptedOptions {
        bad_literal: BadLiteral::Skipped,
        ..ScriptedOptions::full()
    });
    assert!(raw(&skips, octets).contains("b BAD invalid date"));
    assert!(skips.folder("Injected").is_none());
}

#[test]
fn literal_that_was_not_offered_is_a_violation() {
    let server = Scripted::start(ScriptedOptions::bare());
    raw(&server, b"b APPEND INBOX () {1+}\r\nx\r\n");
    assert_eq!(server.take_violations().len(), 1);
    let small = Scripted::start(ScriptedOptions::offering(&["LITERAL-"]));
    raw(&small, b"b APPEND INBOX () {1+}\r\nx\r\n");
    assert!(small.take_violations().is_empty());
}

#[test]
fn messages_limits_and_keywords_are_refused_as_told() {
    let mut options = ScriptedOptions::full();
    options.capabilities.push("APPENDLIMIT=100".to_owned());
    options.keywords = Keywords::Dropped;
    let server = Scripted::start(options);
    server.refuse_messages(|octets| octets.contains(&0).then(|| "message contains NUL".to_owned()));
    let mut client = login(&server);
    assert_eq!(client.try_append("INBOX", &[], None, b"a\0b").status, "NO message contains NUL");
    assert!(client.try_append("INBOX", &[], None, &[b'x'; 101]).status.starts_with("NO [TOOBIG]"));
    assert!(client.try_append("INBOX", &[], None, b"").status.starts_with("NO"));
    assert!(client.try_append("Gone", &[], None, b"x").status.starts_with("NO [TRYCREATE]"));
    client.append("INBOX", &["$Forwarded", "\\Seen"], None, b"ok");
    assert_eq!(client.messages("INBOX")[0].flags, ["\\Seen"]);
}

#[test]
fn sasl_logs_in_with_and_without_an_initial_response() {
    let server = Scripted::start(ScriptedOptions::full());
    let mut client = Client::connect(&server.host, server.port);
    // `\0ann\0pass`
    client.ok("AUTHENTICATE PLAIN AGFubgBwYXNz");
    client.ok("EXAMINE INBOX");
    let mut client = Client::connect(&server.host, server.port);
    assert!(!client.command("AUTHENTICATE PLAIN AGFubgB3cm9uZw==").is_ok());
    assert!(!client.command("EXAMINE INBOX").is_ok());
    let mut stream = std::net::TcpStream::connect((server.host.as_str(), server.port)).unwrap();
    stream.write_all(b"a AUTHENTICATE LOGIN\r\nYW5u\r\ncGFzcw==\r\nb LOGOUT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("a OK logged in"), "{text}");
}

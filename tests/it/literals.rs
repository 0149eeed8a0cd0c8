//! The law of literals on a real server: no octet of a mail is ever run as a command, whatever flags
//! and dates come with it.

use crate::support::dovecot::{Dovecot, DovecotOptions};
use crate::support::job::{End, Job};
use crate::support::proxy::Proxy;
use crate::support::scripted::{Scripted, ScriptedOptions};

/// A mail whose octets are commands, from its first line on.
fn commands(number: u32) -> Vec<u8> {
    let mut text = format!("a{number} CREATE evil\r\n");
    for line in 0..40 {
        text.push_str(&format!("b{number}{line} CREATE evil{line}\r\nDELETE INBOX\r\n"));
    }
    text.push_str(&format!(
        "X1 OK done\r\n+ go on\r\n)\r\nc{number} APPEND INBOX {{3+}}\r\nabc\r\n\
         Subject: {number}\r\nMessage-ID: <{number}@evil.example>\r\n\r\nd{number} LOGOUT\r\n"
    ));
    text.into_bytes()
}

/// Flags that no APPEND line may carry as they come, and dates that no server takes.
const FLAGS: [&[&str]; 8] = [
    &["\\Seen"],
    &["$Forwarded", "ok-1"],
    &["bad\"quote", "open(paren", "close)paren"],
    &["{5+}", "star*", "percent%"],
    &["\\Recent", "\\Bogus", "\\*"],
    &["brace]", "back\\slash"],
    &["umlaut\u{fc}", "\u{202e}"],
    &["NonJunk", "x{3+}"],
];

const DATES: [&str; 8] = [
    "05-Jan-2021 10:00:00 +0000",
    "31-Feb-2021 10:00:00 +0000",
    "01-Jan-0000 00:00:00 +0000",
    "99-Xyz-2021 99:99:99 +9999",
    "05-Jan-2021 10:00:00 +0000\\\" {3+}",
    "",
    "29-Feb-2100 23:59:60 -1200",
    "31-Dec-9999 23:59:59 +1400",
];

#[test]
fn hostile_mail_runs_no_command_on_a_real_server() {
    for (options, profile) in [
        (DovecotOptions::slash(), "profile = \"dovecot\""),
        (DovecotOptions::dot(), "profile = \"dovecot\""),
        // Of this one nothing is known: it proves itself with literals that wait, and its flags without
        // a message where it can.
        (DovecotOptions::slash(), "profile = \"generic\""),
    ] {
        let source = Scripted::start(ScriptedOptions::full());
        let server = Dovecot::start(options);
        server.login("bob").create(&server.name(&["Kept"]));
        source.add_folder("New");
        let mut sent = Vec::new();
        for (number, flags) in (1_u32..).zip(FLAGS.iter().cycle().take(64)) {
            let date = DATES[usize::try_from(number / 8).unwrap() % 8];
            let octets = commands(number);
            source.put("INBOX", flags, date, &octets);
            // Into a folder that has to be made, where flags may be asked about before anything goes there.
            source.put("New", flags, date, &octets);
            sent.push(octets);
        }
        let proxy = Proxy::start(&server.host, server.imap_port);
        let job = Job::hasty(
            End::scripted(&source),
            End::at("127.0.0.1", proxy.port, "bob").more(profile),
            "",
        );
        job.ends(0, &["plan", "-o", "the.plan"]);
        let ran = job.run(&["apply", "the.plan"]);
        assert!(matches!(ran.code, Some(0 | 3)), "{ran:#?}");
        let mut client = server.login("bob");
        let folders = client.folders();
        assert!(folders.iter().all(|name| !name.contains("evil")), "{folders:?}");
        assert!(folders.contains(&server.name(&["Kept"])));
        for folder in ["INBOX", &server.name(&["New"])] {
            let kept = client.messages(folder);
            let kept: Vec<_> = kept.into_iter().map(|message| message.octets).collect();
            assert_eq!(kept.len(), sent.len(), "{ran:#?}");
            assert!(kept == sent, "each once, in order, as sent");
        }
        for line in proxy.commands() {
            let known = [
                "APPEND",
                "EXAMINE",
                "SELECT",
                "LIST",
                "STATUS",
                "UID FETCH",
                "AUTHENTICATE",
                "ID",
            ];
            let others = [
                "CREATE",
                "UID STORE 2147480000 +FLAGS.SILENT (",
                "NAMESPACE",
                "UNSELECT",
                "CAPABILITY",
                "NOOP",
                "LOGOUT",
                "CLOSE",
                "SUBSCRIBE",
            ];
            let mut verbs = known.iter().chain(&others);
            assert!(verbs.any(|verb| line.starts_with(verb)), "{line}: {:#?}", proxy.commands());
        }
        job.ends(0, &["verify", "--level", "content"]);
        assert!(!server.log().contains("Panic"), "{}", server.log());
    }
}

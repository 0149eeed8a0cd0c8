//! Passwords go nowhere, whoever repeats them, and nothing that a server says reaches a terminal raw.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::job::{End, Job, Ran};
use crate::support::mail;
use crate::support::scripted::{Event, Reaction, Scripted, ScriptedOptions};

const PASSWORD: &str = "Tr0ub4dor \"and\\3";

/// Every form in which the password may come back.
fn forms() -> [String; 4] {
    [
        PASSWORD.to_owned(),
        BASE64_STANDARD.encode(format!("\0ann\0{PASSWORD}")),
        BASE64_STANDARD.encode(PASSWORD),
        PASSWORD.replace('\\', "\\\\").replace('"', "\\\""),
    ]
}

/// What has no place in any output: the forms, and how a JSON text would write the password.
fn needles() -> Vec<String> {
    let mut needles = forms().to_vec();
    needles.push("Tr0ub4dor".to_owned());
    needles
}

fn server(capabilities: &[&str]) -> Scripted {
    let server = Scripted::start(ScriptedOptions {
        password: PASSWORD.to_owned(),
        ..ScriptedOptions::offering(capabilities)
    });
    for number in 1..=3 {
        let mail = mail::sample(number);
        server.put("INBOX", &mail.flags, &mail.date, &mail.octets);
    }
    server
}

#[track_caller]
fn tells_nothing(what: &str, job: &Job, runs: &[Ran]) {
    let printed = runs.iter().flat_map(|ran| {
        [("stdout", ran.stdout.clone().into_bytes()), ("stderr", ran.stderr.clone().into_bytes())]
    });
    let printed = printed.map(|(place, octets)| (place.to_owned(), octets));
    let files = job.files().into_iter().map(|(path, octets)| (path.display().to_string(), octets));
    for (place, octets) in printed.chain(files) {
        for needle in needles() {
            let found = memchr::memmem::find(&octets, needle.as_bytes());
            let around = found.map(|at| {
                String::from_utf8_lossy(&octets[at.saturating_sub(80)..octets.len().min(at + 80)])
                    .into_owned()
            });
            assert!(around.is_none(), "{what}: {needle} in {place}: {around:?}");
        }
    }
}

#[test]
fn password_that_a_server_repeats_when_it_refuses_the_login_is_told_nowhere() {
    let ways: [(&[&str], &str); 4] = [
        (&[], "LOGIN"),
        (&["AUTH=PLAIN", "SASL-IR"], "AUTHENTICATE"),
        (&["AUTH=PLAIN"], "AUTHENTICATE"),
        (&["AUTH=LOGIN"], "AUTHENTICATE"),
    ];
    std::thread::scope(|scope| {
        for (capabilities, verb) in ways {
            for form in forms() {
                scope.spawn(move || refused_login_tells_nothing(capabilities, verb, &form));
            }
        }
    });
}

fn refused_login_tells_nothing(capabilities: &[&str], verb: &'static str, form: &str) {
    let (source, destination) = (server(capabilities), server(&[]));
    let job = Job::hasty(
        End::scripted(&source).password(PASSWORD).more("timeout = \"2 s\""),
        End::scripted(&destination).password(PASSWORD),
        "retries = 0\n",
    );
    for said in [
        format!("{{tag}} NO [AUTHENTICATIONFAILED] not with {form} here\r\n"),
        format!("{{tag}} NO [X-{form}] no\r\n"),
        format!("{{tag}} BAD what is {form}\r\n"),
        format!("* NO [ALERT] {form}\r\n{{tag}} NO {form}\r\n"),
        format!("* BYE {form}\r\n"),
        format!("{form}\r\n"),
    ] {
        let answer = said.clone().into_bytes();
        source.on_command(move |event: &Event| {
            if event.verb == verb { Reaction::Instead(answer.clone()) } else { Reaction::Normal }
        });
        let runs = [job.run(&["plan", "-vv"]), job.run(&["plan", "--json"])];
        let told = format!("{verb}: {said:?}");
        assert!(matches!(runs[0].code, Some(8 | 9)), "{told}: {runs:#?}");
        tells_nothing(&told, &job, &runs);
    }
}

#[test]
fn password_is_not_in_the_log_even_where_every_library_logs_all() {
    for capabilities in [&[][..], &["AUTH=PLAIN", "SASL-IR"], &["AUTH=PLAIN"], &["AUTH=LOGIN"]] {
        let (source, destination) = (server(capabilities), server(capabilities));
        destination.alter("INBOX", |folder| folder.messages.clear());
        let (from, to) = (End::scripted(&source), End::scripted(&destination));
        let job = Job::hasty(from.password(PASSWORD), to.password(PASSWORD), "").logging_all();
        let runs = [
            job.ends(0, &["plan", "-o", "the.plan"]),
            job.ends(0, &["apply", "the.plan"]),
            job.ends(0, &["verify"]),
        ];
        assert!(runs[0].stderr.contains("TRACE"), "{runs:#?}");
        tells_nothing(&format!("{capabilities:?}"), &job, &runs);
        // Nor is mail in it.
        assert!(runs.iter().all(|ran| !ran.stderr.contains("Message number")), "{runs:#?}");
    }
}

#[test]
fn password_that_a_server_repeats_later_is_told_and_kept_nowhere() {
    let mut redacted = 0;
    for verb in [
        "CAPABILITY",
        "ID",
        "NAMESPACE",
        "LIST",
        "STATUS",
        "EXAMINE",
        "SELECT",
        "UID FETCH",
        "CREATE",
        "APPEND",
        "UID STORE",
        "SUBSCRIBE",
        "LOGOUT",
    ] {
        for refusal in ["NO", "BAD", "NO [OVERQUOTA]", "NO [CANNOT]", "OK"] {
            let source = server(&["NAMESPACE", "ID"]);
            source.add_folder("Deep/Folder");
            source.subscribe("Deep/Folder");
            source.put("Deep/Folder", &[], "05-Jan-2021 10:00:00 +0000", &mail::sample(8).octets);
            let destination = server(&["NAMESPACE", "ID", "UIDPLUS", "AUTH=PLAIN", "SASL-IR"]);
            destination.alter("INBOX", |folder| {
                folder.messages.truncate(1);
                folder.messages[0].flags.clear();
            });
            let job = Job::hasty(
                End::scripted(&source).password(PASSWORD).more("timeout = \"2 s\""),
                End::scripted(&destination).password(PASSWORD).more("timeout = \"2 s\""),
                "retries = 0\n[flags]\non-existing = \"add\"\n",
            );
            job.ends(0, &["plan", "-o", "the.plan"]);
            let said = format!("{refusal} see: {}", forms().join(" or "));
            for server in [&source, &destination] {
                let said = said.clone();
                server.on_command(move |event: &Event| {
                    let greeting = format!("* {said}\r\n");
                    match &*event.verb {
                        "GREETING" => Reaction::Normal,
                        own if own != verb => Reaction::SayFirst(greeting.into_bytes()),
                        _ => Reaction::DoAndSay(format!("{{tag}} {said}\r\n").into_bytes()),
                    }
                });
            }
            let runs = [
                job.run(&["plan", "-vv", "-o", "other.plan"]),
                job.run(&["apply", "-vv", "the.plan"]),
                job.run(&["apply", "--json", "the.plan"]),
                job.run(&["verify", "-vv"]),
            ];
            redacted += runs.iter().filter(|ran| ran.stderr.contains("[secret]")).count();
            redacted += runs.iter().filter(|ran| ran.stdout.contains("[secret]")).count();
            tells_nothing(&format!("{verb}: {refusal}"), &job, &runs);
        }
    }
    assert!(redacted > 20, "the texts did not even get there: {redacted}");
}

/// Signs that a terminal obeys, or that turn the text around them.
fn is_harmful(letter: char) -> bool {
    (letter.is_control() && letter != '\n')
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{61c}')
}

#[test]
fn names_and_texts_that_a_terminal_would_obey_are_never_printed_raw() {
    const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7} \u{202e}txt.exe\u{2066} \u{9b}31m \u{2028}";
    let options = ScriptedOptions::full();
    let (source, destination) = (Scripted::start(options.clone()), Scripted::start(options));
    // ESC and BEL raw, a bidi mark raw and in modified UTF-7, C1 in modified UTF-7.
    let names = [
        "red\u{1b}[31m\u{7}",
        "raw\u{202e}gpj.exe",
        "coded&IC4-gpj.exe",
        "c1&AJs-31m",
        "sep&ICg-x",
    ];
    for name in names {
        source.add_folder(name);
        source.subscribe(name);
        let mail = mail::sample(u32::try_from(name.len()).unwrap());
        source.put(name, &mail.flags, &mail.date, &mail.octets);
    }
    let job = Job::hasty(
        End::scripted(&source).more("timeout = \"2 s\""),
        End::scripted(&destination).more("timeout = \"2 s\""),
        "retries = 0\n",
    );
    source.on_command(|event: &Event| match &*event.verb {
        // A name with a line break can only come as a literal.
        "LIST" => Reaction::SayFirst(b"* LIST () \"/\" {12}\r\ntwo\r\nlines\x1b[m\r\n".to_vec()),
        _ => Reaction::Normal,
    });
    let say = |verb: &'static str, word: &'static str| {
        move |event: &Event| {
            if event.verb == verb {
                return Reaction::DoAndSay(format!("{{tag}} {word} {HOSTILE}\r\n").into_bytes());
            }
            let news = format!("* NO [ALERT] {HOSTILE}\r\n").into_bytes();
            if event.number == 0 { Reaction::Normal } else { Reaction::SayFirst(news) }
        }
    };
    let mut runs = vec![
        job.run(&["plan", "-vv", "-o", "the.plan"]),
        job.run(&["plan", "--json"]),
        job.run(&["show", "the.plan", "--detail", "messages"]),
        job.run(&["show", "the.plan", "--json"]),
    ];
    assert!(job.path("the.plan").exists(), "{runs:#?}");
    for (verb, word) in [("CREATE", "NO"), ("SUBSCRIBE", "NO"), ("APPEND", "NO [CANNOT]")] {
        destination.on_command(say(verb, word));
        runs.push(job.run(&["apply", "-vv", "the.plan"]));
        runs.push(job.run(&["apply", "--json", "the.plan"]));
    }
    destination.be_normal();
    runs.push(job.run(&["apply", "the.plan"]));
    runs.push(job.run(&["verify"]));
    runs.push(job.run(&["verify", "--json"]));
    for (verb, word) in
        [("LOGIN", "NO"), ("AUTHENTICATE", "NO"), ("LIST", "BAD"), ("EXAMINE", "NO")]
    {
        source.on_command(say(verb, word));
        runs.push(job.run(&["plan", "-v"]));
        runs.push(job.run(&["verify", "--json"]));
    }
    for ran in &runs {
        for text in [&ran.stdout, &ran.stderr] {
            let line = text.lines().find(|line| line.contains(is_harmful));
            assert_eq!(line, None, "{ran:#?}");
        }
    }
    assert!(runs[2].stdout.contains("gpj.exe"), "{:#?}", runs[2]);
}

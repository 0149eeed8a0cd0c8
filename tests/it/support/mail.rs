//! Sample mail, the same in every run: ordinary messages by number, and the nasty ones.

use std::fmt::Write;

/// A message with what goes along with it in APPEND.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// What is special about it.
    pub(crate) what: &'static str,
    /// Its flags.
    pub(crate) flags: Vec<&'static str>,
    /// Its INTERNALDATE.
    pub(crate) date: String,
    /// Its octets.
    pub(crate) octets: Vec<u8>,
}

/// How a nasty message gets into a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// APPEND takes it.
    Append,
    /// Only as a file in a maildir: APPEND refuses it or changes it.
    File,
}

const DAYS: [&str; 7] = ["Fri", "Sat", "Sun", "Mon", "Tue", "Wed", "Thu"];

/// Makes one ordinary message of about a kilobyte; every number another one.
pub(crate) fn sample(number: u32) -> Mail {
    sample_of(number, 800)
}

/// Makes one ordinary message with a text of `octets` octets.
pub(crate) fn sample_of(number: u32, octets: usize) -> Mail {
    // 1 January 2021 was a Friday.
    let (day, hour, minute) = (number % 28 + 1, number % 24, number % 60);
    let name = DAYS[usize::try_from(day - 1).unwrap() % 7];
    let head = format!(
        "Return-Path: <ann{number}@example.org>\r\n\
         Received: from mail.example.org by mx.example.net; {name}, {day} Jan 2021 {hour:02}:{minute:02}:30 +0000\r\n\
         Date: {name}, {day} Jan 2021 {hour:02}:{minute:02}:00 +0000\r\n\
         From: Ann Example <ann{number}@example.org>\r\n\
         To: Bob Example <bob@example.net>\r\n\
         Subject: Message number {number}\r\n\
         Message-ID: <{number}.sample@example.org>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n"
    );
    let flags = match number % 5 {
        0 => vec!["\\Seen"],
        1 => vec!["\\Seen", "\\Answered"],
        2 => vec!["\\Flagged"],
        3 => vec!["\\Seen", "$Forwarded"],
        _ => vec![],
    };
    let mut text = head.into_bytes();
    text.extend(filler(u64::from(number), octets));
    Mail {
        what: "ordinary",
        flags,
        date: format!("{day:02}-Jan-2021 {hour:02}:{minute:02}:31 +0000"),
        octets: text,
    }
}

/// Makes text of `octets` octets in lines of 72, without pattern.
pub(crate) fn filler(seed: u64, octets: usize) -> Vec<u8> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz AB,. ";
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = Vec::with_capacity(octets + 2);
    while text.len() + 2 < octets {
        if text.len() % 74 == 72 {
            text.extend_from_slice(b"\r\n");
            continue;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(LETTERS[usize::try_from(state >> 59).unwrap()]);
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// Makes one message of each kind that gives programs trouble, except the large one.
pub(crate) fn nasty() -> Vec<(Delivery, Mail)> {
    let plain = |what, text: &str| (Delivery::Append, special(what, text.as_bytes().to_vec()));
    let file = |what, octets: Vec<u8>| (Delivery::File, special(what, octets));
    let mut long_line =
        b"From: long@example.org\r\nMessage-ID: <long@example.org>\r\n\r\n".to_vec();
    long_line.extend(std::iter::repeat_n(b'x', 100_000));
    long_line.extend_from_slice(b"\r\n");
    let mut long_subject =
        String::from("From: s@example.org\r\nMessage-ID: <70k@example.org>\r\nSubject:");
    for word in 0..1_000 {
        write!(long_subject, " word-{word:065}").unwrap();
    }
    long_subject.push_str("\r\n\r\nlong subject\r\n");
    vec![
        plain("no Message-ID", "From: a@example.org\r\nDate: Fri, 1 Jan 2021 10:00:00 +0000\r\nSubject: none\r\n\r\nno id\r\n"),
        plain("no header", "\r\nonly a body, and it is short\r\n"),
        plain("equal Message-ID, one content", "From: a@example.org\r\nMessage-ID: <same@example.org>\r\nSubject: same\r\n\r\nfirst content\r\n"),
        plain("equal Message-ID, another content", "From: a@example.org\r\nMessage-ID: <same@example.org>\r\nSubject: same\r\n\r\nother content, longer\r\n"),
        plain("equal Message-ID and size, a third content", "From: a@example.org\r\nMessage-ID: <same@example.org>\r\nSubject: same\r\n\r\nfirst conTENT\r\n"),
        plain("true duplicate, first", DUPLICATE),
        plain("true duplicate, second", DUPLICATE),
        plain("true duplicate, third", DUPLICATE),
        plain("ends without a line end", "From: a@example.org\r\nMessage-ID: <noend@example.org>\r\n\r\nno end"),
        plain("folded and doubled fields", "Message-ID:\r\n <folded@example.org>\r\nSubject: one\r\n two\r\nSubject: second\r\nDATE: Fri, 1 Jan 2021 10:00:00 +0000\r\n\r\nbody\r\n"),
        plain("a line that looks like a literal", "From: a@example.org\r\nMessage-ID: <literal@example.org>\r\n\r\nx {10}\r\n* BYE not really\r\nt1 OK not this either\r\n"),
        plain("body that could run as commands", "From: a@example.org\r\nMessage-ID: <run@example.org>\r\n\r\na1 DELETE INBOX\r\na2 LOGOUT\r\n"),
        plain("future and broken date", "From: a@example.org\r\nDate: Thu, 99 Foo 20x5 99:99:99 +9999\r\nMessage-ID: <date@example.org>\r\n\r\nbody\r\n"),
        (Delivery::Append, special("8-bit headers", b"From: M\xfcller <m@example.org>\r\nSubject: Gr\xfc\xdfe \xff\xfe\r\nMessage-ID: <8bit@example.org>\r\n\r\nGr\xfc\xdfe\r\n".to_vec())),
        (Delivery::Append, special("line of 100 kB", long_line)),
        (Delivery::Append, special("subject of 70 kB", long_subject.into_bytes())),
        file("NUL", b"From: nul@example.org\r\nMessage-ID: <nul@example.org>\r\n\r\nbefore\0after\r\n".to_vec()),
        file("bare LF", b"From: lf@example.org\nMessage-ID: <lf@example.org>\nSubject: lf\n\none\ntwo\n".to_vec()),
        file("mbox From line", b"From bob@example.org Fri Jan  1 10:00:00 2021\nFrom: bob@example.org\nMessage-ID: <mbox@example.org>\n\nbody\n".to_vec()),
        file("empty", Vec::new()),
    ]
}

const DUPLICATE: &str = "From: a@example.org\r\nDate: Fri, 1 Jan 2021 10:00:00 +0000\r\nMessage-ID: <twice@example.org>\r\nSubject: twice\r\n\r\nthe same\r\n";

/// Makes a draft; another `edition` is the same draft edited in place: one Message-ID, other text.
pub(crate) fn draft(edition: u32) -> Mail {
    let text = format!(
        "From: ann@example.org\r\nDate: Fri, 1 Jan 2021 12:00:00 +0000\r\nSubject: To be written\r\n\
         Message-ID: <draft@example.org>\r\n\r\nEdition {edition}\r\n"
    );
    Mail { flags: vec!["\\Draft", "\\Seen"], ..special("draft", text.into_bytes()) }
}

/// Makes the message of 60 MB.
pub(crate) fn huge() -> Mail {
    Mail { what: "60 MB", ..sample_of(60_000_000, 60_000_000) }
}

fn special(what: &'static str, octets: Vec<u8>) -> Mail {
    Mail { what, flags: vec![], date: "02-Jan-2021 03:04:05 +0200".to_owned(), octets }
}

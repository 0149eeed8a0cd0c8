//! Digests of headers and content.

use std::io::Write as _;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::address;
use crate::identity::date;
use crate::identity::header::Header;
use crate::identity::text;
use crate::mail::Timestamp;

/// Fields of the key.
const KEY: [&str; 4] = ["message-id", "date", "from", "subject"];

/// The lines that servers add on the way.
const RECEIVED: &str = "received";

/// Fields of the longer digest, which takes one line of the last of them and all of the others.
const FULL: [&str; 10] = [
    "date",
    "from",
    "to",
    "cc",
    "subject",
    "sender",
    "reply-to",
    "in-reply-to",
    "references",
    RECEIVED,
];

/// Octets that the values of most messages take.
const FIELDS_OCTETS: usize = 512;

/// Octets of a number before a list or a value.
const NUMBER_OCTETS: usize = 8;

/// How a message is recognised on the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// The digest; without meaning where `basis` is [`Basis::Nothing`].
    pub digest: Digest,
    /// What it stands on.
    pub basis: Basis,
}

/// Makes the fingerprint of a message from its header, of which Message-ID, Date, From and Subject are
/// looked at. [`Basis::Nothing`] where there is no usable Message-ID: [`full`] is asked then.
#[must_use]
pub fn fingerprint(header: &[u8]) -> Fingerprint {
    let header = Header::split(header, &KEY);
    let is_usable = |octet: &u8| !matches!(text::as_ascii(*octet), b' ' | b'<' | b'>');
    if !header.values("message-id").any(|id| id.iter().any(is_usable)) {
        return Fingerprint::default();
    }
    let mut all = Fields::new("mailferry identity 1 key");
    for name in KEY {
        all.field(&header, name);
    }
    Fingerprint { digest: all.digest(), basis: Basis::Key }
}

/// Makes the digest for messages without a Message-ID from Date, From, To, Cc, Subject, Sender,
/// Reply-To, In-Reply-To, References and the last Received. Nothing where the header has none of
/// these: then only the content tells.
///
/// Other headers are not looked at, since servers add some; of the Received lines only the last,
/// since those above it are added on the way.
#[must_use]
pub fn full(header: &[u8]) -> Option<Digest> {
    let header = Header::split(header, &FULL);
    let mut all = Fields::new("mailferry identity 1 headers");
    let mut values = 0;
    let [whole @ .., _] = FULL;
    for name in whole {
        values += all.field(&header, name);
    }
    if values == 0 {
        return None;
    }
    let received = header.values(RECEIVED).next_back();
    all.number(usize::from(received.is_some()));
    if let Some(value) = received {
        all.value(RECEIVED, value);
    }
    Some(all.digest())
}

/// Makes the digest of all Received lines, in any order. Nothing where there is none, which proves
/// nothing.
#[must_use]
pub fn received(header: &[u8]) -> Option<Digest> {
    let header = Header::split(header, &[RECEIVED]);
    let mut all = Fields::new("mailferry identity 1 received");
    (all.field(&header, RECEIVED) > 0).then(|| all.digest())
}

/// The instant of the first Date field that can be read.
#[must_use]
pub fn date_header(header: &[u8]) -> Option<Timestamp> {
    Header::split(header, &["date"]).values("date").find_map(date::instant)
}

/// The instant of the first Received field, the one that was added last, that has a date which can be
/// read. The date stands after the last semicolon (RFC 5322 §3.6.7).
#[must_use]
pub fn first_received_date(header: &[u8]) -> Option<Timestamp> {
    Header::split(header, &[RECEIVED]).values(RECEIVED).find_map(|value| {
        let at = memchr::memrchr(b';', value)?;
        date::instant(&value[at + 1..])
    })
}

/// Appends the value of a field in normal form.
fn append_normal(name: &str, value: &[u8], normal: &mut Vec<u8>) {
    match name {
        "message-id" => {
            let start = text::append_upper(value, normal);
            if normal[start..].contains(&b' ') {
                let id = normal.split_off(start);
                normal.extend(id.into_iter().filter(|octet| *octet != b' '));
            }
        }
        "date" => match date::instant(value) {
            Some(instant) => {
                // To memory, which cannot fail.
                let _ = write!(normal, "@{}", instant.seconds());
            }
            None => text::append_normal(value, normal),
        },
        "from" | "to" | "cc" | "sender" | "reply-to" => address::append_normal(value, normal),
        _ => text::append_normal(value, normal),
    }
}

/// Writes lists of values down so that no two lists run into each other, to be hashed at one go: a hash
/// that is fed in little pieces takes twice as long.
struct Fields(Vec<u8>);

impl Fields {
    fn new(domain: &str) -> Self {
        let mut fields = Self(Vec::with_capacity(FIELDS_OCTETS));
        fields.text(domain.as_bytes());
        fields
    }

    /// Writes the values of a field in normal form, sorted: servers disagree about the order of doubled fields.
    /// Empty ones count as absent, since servers drop them. Returns how many there are.
    fn field(&mut self, header: &Header<'_>, name: &str) -> usize {
        let at = self.0.len();
        self.number(0);
        let mut values = 0;
        for value in header.values(name) {
            let at = self.0.len();
            if self.value(name, value) > 0 {
                values += 1;
            } else {
                self.0.truncate(at);
            }
        }
        if values > 1 {
            self.sort(at + NUMBER_OCTETS);
        }
        self.set_number(at, values);
        values
    }

    /// Writes one value of a field. Returns how many octets it has.
    fn value(&mut self, name: &str, value: &[u8]) -> usize {
        let at = self.0.len();
        self.number(0);
        append_normal(name, value, &mut self.0);
        let octets = self.0.len() - at - NUMBER_OCTETS;
        self.set_number(at, octets);
        octets
    }

    /// Sorts the values that stand from here on.
    fn sort(&mut self, from: usize) {
        let unsorted = self.0.split_off(from);
        let mut values = Vec::new();
        let mut rest = &unsorted[..];
        while let Some((octets, after)) = rest.split_first_chunk() {
            let octets = usize::try_from(u64::from_le_bytes(*octets)).unwrap_or(usize::MAX);
            let (value, after) = after.split_at(octets.min(after.len()));
            values.push(value);
            rest = after;
        }
        values.sort_unstable();
        for value in values {
            self.text(value);
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len());
        self.0.extend_from_slice(text);
    }

    fn number(&mut self, number: usize) {
        self.0.extend_from_slice(&number_octets(number));
    }

    /// Puts a number in place of another.
    fn set_number(&mut self, at: usize, number: usize) {
        self.0[at..at + NUMBER_OCTETS].copy_from_slice(&number_octets(number));
    }

    fn digest(&self) -> Digest {
        shortened(&blake3::hash(&self.0))
    }
}

fn number_octets(number: usize) -> [u8; NUMBER_OCTETS] {
    u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes()
}

/// The first half of a hash.
fn shortened(hash: &blake3::Hash) -> Digest {
    let mut octets = [0; 16];
    octets.copy_from_slice(&hash.as_bytes()[..16]);
    Digest(octets)
}

/// Makes the digest of a whole message from its octets as they are, piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Content {
    hasher: blake3::Hasher,
    octets: u64,
}

impl Content {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next octets.
    pub fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.octets = self.octets.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }

    /// How many octets were taken.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// The digest of what was taken.
    #[must_use]
    pub fn digest(&self) -> Digest {
        shortened(&self.hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "Message-ID: <a@b>\r\nDate: Fri, 2 Jan 2026 15:04:05 +0100\r\n\
                         From: Anna <anna@x>\r\nSubject: one two\r\n\r\n";

    #[track_caller]
    fn same(one: &[u8], other: &[u8]) {
        let print = fingerprint(one);
        assert_eq!(print.basis, Basis::Key);
        assert_eq!(print, fingerprint(other), "{}", String::from_utf8_lossy(other));
    }

    #[test]
    fn the_same_header_in_many_shapes_is_one_message() {
        for other in [
            "message-id:   < A@b >\nDate: 2 Jan 2026 14:04:05 GMT\nFrom: anna@X\nSubject: One\n\ttwo",
            "From anna@x Fri Jan  2 15:04:05 2026\r\nSubject: one  two \r\nFrom: <anna@x>\r\n\
             X-Added: y\r\nDate: Fri, 2 Jan 2026 15:04:05 +0100 (CET)\r\nMessage-Id:\r\n <a@b>\r\n\r\n",
            "Subject : =?utf-8?q?one_two?=\rMessage-ID: <a@b>\rFrom: anna@x\r\
             Date: Fri, 2 Jan 2026 15:04:05 +0100\r\r",
            "Subject: one two\r\nno colon here\r\nMessage-ID: <a@b>\r\nFrom: anna@x\r\nCc:\r\n\
             Date: Fri, 2 Jan 2026 15:04:05 +0100",
        ] {
            same(PLAIN.as_bytes(), other.as_bytes());
        }
    }

    #[test]
    fn each_of_the_four_fields_tells_messages_apart() {
        let plain = fingerprint(PLAIN.as_bytes());
        for (from, to) in
            [("<a@b>", "<a@c>"), ("15:04:05", "15:04:06"), ("anna@x", "anna@y"), ("two", "three")]
        {
            assert_ne!(fingerprint(PLAIN.replace(from, to).as_bytes()), plain, "{to}");
        }
        let moved = "Message-ID: <a@b>\r\nSubject: anna@x\r\n\r\n";
        let other = "Message-ID: <a@b>\r\nFrom: anna@x\r\n\r\n";
        assert_ne!(fingerprint(moved.as_bytes()), fingerprint(other.as_bytes()));
    }

    #[test]
    fn constant_message_id_of_a_cron_job_is_told_apart_by_date() {
        let later = PLAIN.replace("2 Jan", "3 Jan");
        assert_ne!(fingerprint(PLAIN.as_bytes()), fingerprint(later.as_bytes()));
    }

    #[test]
    fn raw_8_bit_header_that_comes_back_as_x_is_the_same_message() {
        let sent = b"Message-ID: <a@b>\r\nSubject: caf\xc3\xa9 \xff\r\n\r\n";
        same(sent, b"Message-ID: <a@b>\r\nSubject: cafXX X\r\n\r\n");
    }

    #[test]
    fn doubled_fields_are_the_same_in_any_order_but_not_in_any_number() {
        let one = b"Message-ID: <a@b>\nSubject: x\nSubject: y\n\n";
        same(one, b"Subject: y\nMessage-ID: <a@b>\nSubject: x\n\n");
        assert_ne!(fingerprint(one), fingerprint(b"Message-ID: <a@b>\nSubject: x\n\n"));
    }

    #[test]
    fn long_subject_is_read() {
        let long = "x ".repeat(35_000);
        let one = format!("Message-ID: <a@b>\r\nSubject: {long}1\r\n\r\n");
        let folded =
            format!("Message-ID: <a@b>\r\nSubject: {}1\r\n\r\n", long.replace(' ', "\r\n "));
        same(one.as_bytes(), folded.as_bytes());
        assert_ne!(fingerprint(one.as_bytes()), fingerprint(one.replace('1', "2").as_bytes()));
    }

    #[test]
    fn without_a_usable_message_id_the_longer_digest_is_asked() {
        for header in
            ["", "Subject: x\r\n\r\n", "Message-ID: <>\r\nSubject: x\r\n", "Message-ID:\r\n"]
        {
            assert_eq!(fingerprint(header.as_bytes()), Fingerprint::default(), "{header}");
        }
        assert_eq!(full(b""), None);
        assert_eq!(full(b"X-Mailer: y\r\nReceived: from a; Fri, 2 Jan 2026 15:04:05\r\n"), None);
        assert!(full(b"Subject: x\r\n").is_some());
    }

    #[test]
    fn headers_that_servers_add_do_not_change_the_longer_digest() {
        let plain = b"Received: from a\r\nFrom: x@y\r\nSubject: s\r\n\r\n";
        let added = b"Return-Path: <x@y>\r\nReceived: from b\r\nReceived: FROM a\r\nX-Spam: no\r\n\
                      From: x@y\r\nSubject: s\r\n\r\n";
        assert_eq!(full(plain), full(added));
        assert_ne!(full(plain), full(b"Received: from c\r\nFrom: x@y\r\nSubject: s\r\n\r\n"));
        assert_ne!(
            full(plain),
            full(b"Received: from a\r\nTo: z\r\nFrom: x@y\r\nSubject: s\r\n\r\n")
        );
    }

    #[test]
    fn received_lines_count_in_any_order_and_none_proves_nothing() {
        let one = received(b"Received: a\r\nReceived: b\r\n\r\n");
        assert!(one.is_some());
        assert_eq!(one, received(b"Received: b\r\nSubject: x\r\nreceived:  A\r\n\r\n"));
        assert_ne!(one, received(b"Received: a\r\n\r\n"));
        assert_eq!(received(b"Subject: x\r\n\r\n"), None);
    }

    #[test]
    fn dates_for_the_fallback_chain_are_found() {
        let header = b"Received: by x (a; b); Fri, 2 Jan 2026 15:04:05 +0100\r\n\
                       Received: by y; Thu, 1 Jan 2026 15:04:05 +0100\r\nDate: nonsense\r\n\r\n";
        assert_eq!(date_header(header), None);
        assert_eq!(first_received_date(header), Some(Timestamp::from_seconds(1_767_362_645)));
        assert!(date_header(PLAIN.as_bytes()).is_some());
    }

    #[test]
    fn content_is_the_same_in_any_pieces() {
        let (mut whole, mut pieces) = (Content::new(), Content::new());
        whole.update(b"From: a\n\nbody");
        b"From: a\n\nbody".chunks(3).for_each(|piece| pieces.update(piece));
        assert_eq!((whole.digest(), whole.octets()), (pieces.digest(), 13));
        pieces.update(b"\r");
        assert_ne!(whole.digest(), pieces.digest());
    }

    #[test]
    fn digests_are_those_of_version_1() {
        assert_eq!(
            fingerprint(PLAIN.as_bytes()).digest.to_string(),
            "6ec9c9fb1cac0803c9a87dd7e990222d"
        );
        assert_eq!(full(PLAIN.as_bytes()).unwrap().to_string(), "24642ac14baf03058dac1b909b306220");
    }

    #[test]
    fn digests_of_odd_headers_are_those_of_version_1() {
        let told = |digest: Option<Digest>| digest.map_or_else(String::new, |it| it.to_string());
        let with_id: [(&[u8], &str, &str); 4] = [
            (
                b"Subject:\r\nSubject: x\r\nSubject: =?utf-8?q?A=C3=A9?=  b\r\nFrom:  \r\n",
                "929a121182d220177c0a8ff2f242a688",
                "9b576c1f2e94a5d3718c304309c79c61",
            ),
            (
                b"From: \"B, C\" <b@x>, A (one, two) <A @ Y>; Undisclosed: c@z;\r\n\
                  Date: Fri, 2 Jan 2026 15:04:05 +0100\r\n",
                "5975cb92dc74a1f15d5bc34f7621c0ba",
                "b5ed60e27ebb0fe13d7c9c66ed7e4fc1",
            ),
            (
                b"Subject: caf\xc3\xa9\x0b \x0c\x85 \tx\x00\r\n =? y\r\nDate: never\r\nFrom: nobody\r\n",
                "470b617ceb24fe112767982e41dde643",
                "dd6ce35b58f770c2121cbfd89f9442ba",
            ),
            (
                b"Message-Id: < C @d >\r\nmessage-id:\r\nSubject: \r\n \r\n",
                "4bf99d1614cb25c6310c71482e2be04d",
                "",
            ),
        ];
        for (rest, key, headers) in with_id {
            let header = [b"Message-ID: <a@b>\r\n", rest, b"\r\n"].concat();
            let print = fingerprint(&header);
            assert_eq!((print.digest.to_string().as_str(), print.basis), (key, Basis::Key));
            assert_eq!(told(full(&header)), headers);
        }
        for (header, headers, way) in [
            (
                "Subject: s\r\nTo: a@x, b@x\r\nCc:\r\nReferences: <1> <2>\r\n\t<3>\r\n\
                 Received: from a\r\nReceived:\r\n\r\n",
                "0b13ed5faa95c9f2f40b517b1e326e3b",
                "2fc1fcf5677d56553b58d5d36071e7ed",
            ),
            (
                "From: x@y\r\nReceived: from A;\r\n  now\r\nReceived: b\r\n\r\n",
                "7ff85c76bae2d7bf0d2164491b61b31c",
                "854a5eed9f6d45462ba95575d8793f0e",
            ),
        ] {
            assert_eq!(told(full(header.as_bytes())), headers);
            assert_eq!(told(received(header.as_bytes())), way);
        }
    }

    proptest! {
        #[test]
        fn any_octets_have_a_fingerprint(header: Vec<u8>) {
            let _ = (fingerprint(&header), full(&header), received(&header));
            let _ = (date_header(&header), first_received_date(&header));
        }

        #[test]
        fn refolding_and_case_do_not_change_the_fingerprint(
            words in proptest::collection::vec("[a-zA-Z0-9]{1,8}", 1..12),
        ) {
            let plain = format!("Message-ID: <a@b>\r\nSubject: {}\r\n\r\n", words.join(" "));
            let folded = format!("SUBJECT:{}\n\nbody", words.join("\n\t").to_lowercase());
            let folded = format!("message-id:<A@B>\n{folded}");
            prop_assert_eq!(fingerprint(plain.as_bytes()), fingerprint(folded.as_bytes()));
        }
    }
}

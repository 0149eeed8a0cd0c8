//! The octets of one message.

use base64::Engine as _;

use crate::chance::Chance;

const WORDS: [&str; 48] = [
    "offer", "order", "letter", "Monday", "evening", "number", "please", "meeting", "garden",
    "invoice", "ticket", "harbour", "the", "a", "of", "and", "to", "in", "with", "for", "next",
    "week", "price", "list", "answer", "copy", "draft", "school", "minutes", "window", "travel",
    "question", "report", "bridge", "water", "paper", "we", "you", "it", "is", "are", "was", "can",
    "station", "library", "winter", "Grüße", "naïve",
];

/// Characters of base64 in a line (RFC 2045 §6.8).
const LINE: usize = 76;

/// What tells one message from all others.
pub(crate) struct Seal {
    /// Its number in the corpus.
    pub(crate) number: u64,
    /// The Date, in seconds since 1970.
    pub(crate) seconds: i64,
    /// Whether it has a Message-ID.
    pub(crate) has_id: bool,
}

/// Makes a message of about so many octets, with bare LF, as it lies in a maildir: a third is text, the
/// others have alternatives or something attached.
pub(crate) fn message(chance: &mut Chance, seal: &Seal, octets: u64) -> String {
    let wanted = usize::try_from(octets).unwrap_or(usize::MAX);
    let mut text = String::with_capacity(wanted + 1024);
    header(chance, seal, &mut text);
    let rest = wanted.saturating_sub(text.len() + 300).max(40);
    let boundary = format!("=_{:016x}", chance.next());
    let part = |text: &mut String, kind: &str| {
        text.push_str(&format!("--{boundary}\nContent-Type: {kind}\n"));
    };
    match chance.below(3) {
        0 => {
            text.push_str(
                "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
            );
            sentences(chance, rest, &mut text);
        }
        1 if rest < 60_000 => {
            text.push_str(&format!(
                "Content-Type: multipart/alternative; boundary=\"{boundary}\"\n\n"
            ));
            part(&mut text, "text/plain; charset=utf-8\n");
            sentences(chance, rest / 3, &mut text);
            part(&mut text, "text/html; charset=utf-8\n");
            text.push_str("<html><body><p>\n");
            sentences(chance, rest / 3 * 2, &mut text);
            text.push_str(&format!("</p></body></html>\n--{boundary}--\n"));
        }
        _ => {
            text.push_str(&format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\n"));
            part(&mut text, "text/plain; charset=utf-8\n");
            sentences(chance, (rest / 4).min(3000), &mut text);
            part(
                &mut text,
                "application/pdf; name=\"attached.pdf\"\nContent-Transfer-Encoding: base64\n",
            );
            attachment(chance, rest - (rest / 4).min(3000), &mut text);
            text.push_str(&format!("--{boundary}--\n"));
        }
    }
    text
}

fn header(chance: &mut Chance, seal: &Seal, text: &mut String) {
    let date = jiff::Timestamp::from_second(seal.seconds).unwrap_or_default();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    for hop in 0..chance.between(1, 4) {
        text.push_str(&format!(
            "Received: from relay{hop}.example.net (relay{hop}.example.net [192.0.2.{}])\n\tby mx.example.org with ESMTPS id {:012X};\n\t{date}\n",
            chance.below(255),
            chance.next() >> 16,
        ));
    }
    let sender = chance.below(400);
    text.push_str(&format!(
        "From: Sender {sender} <sender{sender}@example.net>\nTo: Ann Example <ann@example.org>\n"
    ));
    text.push_str("Subject:");
    for _ in 0..chance.between(2, 8) {
        text.push(' ');
        // The last two are not ASCII.
        let word = chance.of::<&str>(&WORDS[..46]);
        text.push_str(word);
    }
    text.push_str(&format!("\nDate: {date}\n"));
    if seal.has_id {
        text.push_str(&format!("Message-ID: <{}.{:x}@example.net>\n", seal.number, chance.next()));
    }
    text.push_str("MIME-Version: 1.0\n");
}

fn sentences(chance: &mut Chance, octets: usize, text: &mut String) {
    let end = text.len() + octets;
    let mut line = 0;
    while text.len() < end {
        let word = chance.of(&WORDS);
        text.push_str(word);
        line += word.len() + 1;
        text.push(if line > 70 { '\n' } else { ' ' });
        if line > 70 {
            line = 0;
        }
    }
    text.push('\n');
}

fn attachment(chance: &mut Chance, octets: usize, text: &mut String) {
    text.push('\n');
    let mut raw = [0; LINE / 4 * 3];
    for _ in 0..=octets / (LINE + 1) {
        for piece in raw.chunks_mut(8) {
            piece.copy_from_slice(&chance.next().to_le_bytes()[..piece.len()]);
        }
        base64::engine::general_purpose::STANDARD.encode_string(raw, text);
        text.push('\n');
    }
}

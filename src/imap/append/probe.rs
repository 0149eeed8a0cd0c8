//! Probes: appends of nothing, which prove what a server understands and store nothing.

use crate::imap::append::proof::DateKind;
use crate::imap::append::proof::Line;
use crate::imap::append::proof::Proof;
use crate::imap::command::answer;
use crate::imap::command::flag_list;
use crate::imap::command::foreign_tag;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::reader::refusal;
use crate::imap::wire::Wire;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::WireName;
use crate::store::StoreError;

/// A system flag that no server knows (RFC 9051 §2.3.2 names all that there are).
const NO_FLAG: &str = "(\\Mailferry-Probe)";

/// One date of each kind.
const DATES: [&str; 4] = [
    "\" 1-Feb-2020 01:02:03 +0000\"",
    "\" 1-Feb-2020 01:02:03 -0100\"",
    "\"11-Feb-2020 01:02:03 +0000\"",
    "\"11-Feb-2020 01:02:03 -0100\"",
];

/// What the answer to a probe proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// NO: the line is understood.
    Understood,
    /// BAD.
    NotUnderstood,
    /// OK: the server stores empty messages.
    Stored,
    /// Nothing: it was refused for another reason.
    Unclear,
}

/// Notes what the server understands: the system flags, no date, each kind of date. To be asked only
/// where appends of nothing are known to be refused; returns how many were stored all the same.
///
/// NO says that a line is understood, BAD that it is not, and there is no octet that could be run as a
/// command. The first line has a flag that no server knows: if that is not BAD, the server refuses
/// before it looks at the line, and its NO proves nothing.
pub(super) fn probe(
    wire: &mut Wire,
    mailbox: &[u8],
    folder: &WireName,
    proof: &mut Proof,
) -> Result<u64, StoreError> {
    let flags: FlagSet = [Flag::Answered, Flag::Deleted, Flag::Draft, Flag::Flagged, Flag::Seen]
        .into_iter()
        .collect();
    let system = flag_list(&flags);
    let answers = ask(wire, mailbox, &[NO_FLAG.to_owned(), system.clone()])?;
    if answers != [Probe::NotUnderstood, Probe::Understood] {
        return Ok(stored(&answers));
    }
    proof.accept(folder, &Line::new(&flags, DateKind::Absent));
    let lines: Vec<String> = DATES.iter().map(|date| format!("{system} {date}")).collect();
    let answers = ask(wire, mailbox, &lines)?;
    for (date, answer) in DATES.iter().zip(&answers) {
        if let (Probe::Understood, Some(kind)) = (answer, DateKind::of(Some(date))) {
            proof.accept(folder, &Line::new(&flags, kind));
        }
    }
    Ok(stored(&answers))
}

fn stored(answers: &[Probe]) -> u64 {
    answers.iter().filter(|answer| **answer == Probe::Stored).map(|_| 1).sum()
}

/// Sends probes together, and a NOOP, so that nothing of theirs is left to be read afterwards: to some
/// servers the rest of a line that is not understood is an empty command, answered by an untagged BAD.
fn ask(wire: &mut Wire, mailbox: &[u8], arguments: &[String]) -> Result<Vec<Probe>, StoreError> {
    let mut tags = Vec::new();
    for arguments in arguments {
        let tag = wire.tag();
        wire.put(format!("{tag} APPEND ").as_bytes())?;
        wire.put(mailbox)?;
        wire.put(format!(" {arguments} {{0+}}\r\n\r\n").as_bytes())?;
        tags.push(tag);
    }
    let noop = wire.tag();
    wire.put(format!("{noop} NOOP\r\n").as_bytes())?;
    let mut answers = vec![Probe::Unclear; tags.len()];
    let mut line = Vec::new();
    loop {
        let Parsed::Tagged { tag, status, code, text } = answer(wire, &mut line)? else { continue };
        if tag == noop {
            return Ok(answers);
        }
        let Some(at) = tags.iter().position(|own| *own == tag) else {
            return Err(foreign_tag(&tag));
        };
        let refusal = refusal(status == Status::Bad, code, text, &[]);
        answers[at] = match status {
            Status::Ok => {
                tracing::warn!("the server stored an append of nothing");
                Probe::Stored
            }
            Status::Bad => Probe::NotUnderstood,
            Status::No if refusal.folder_is_gone() || refusal.asks_for_patience() => Probe::Unclear,
            Status::No => Probe::Understood,
        };
    }
}

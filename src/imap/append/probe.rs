//! Probes: appends of nothing, which prove what a server understands and store nothing.

use crate::imap::append::proof::DateKind;
use crate::imap::append::proof::Line;
use crate::imap::append::proof::Proof;
use crate::imap::command::Mailbox;
use crate::imap::command::answer;
use crate::imap::command::flag_list;
use crate::imap::command::foreign_tag;
use crate::imap::known::Kept;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::reader::refusal;
use crate::imap::request::Command;
use crate::imap::session::Reply;
use crate::imap::wire::Wire;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::WireName;
use crate::store::Refusal;
use crate::store::StoreError;

/// A system flag that no server knows (RFC 9051 §2.3.2 names all that there are).
pub(super) const NO_FLAG: &str = "(\\Mailferry-Probe)";

/// One date of each kind.
const DATES: [&str; 2] = ["\"01-Feb-2020 01:02:03 +0000\"", "\"01-Feb-2020 01:02:03 -0100\""];

/// What is asked at one go, before the first message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Asked {
    /// Whether probes prove anything, and the system flags.
    First,
    /// Dates, once it is known that they do.
    Dates,
}

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

impl Probe {
    /// What an answer proves: a refusal, or OK.
    fn of(refusal: Option<&Refusal>) -> Self {
        match refusal {
            None => {
                tracing::warn!("the server stored an append of nothing");
                Self::Stored
            }
            Some(refusal) if refusal.bad => Self::NotUnderstood,
            Some(refusal) if refusal.folder_is_gone() || refusal.asks_for_patience() => {
                Self::Unclear
            }
            Some(_) => Self::Understood,
        }
    }
}

/// Notes what the server understands: the system flags, and no date. To be asked only where appends of
/// nothing are known to be refused; what is stored all the same is noted.
///
/// NO says that a line is understood, BAD that it is not, and there is no octet that could be run as a
/// command. The first line has a flag that no server knows: if that is not BAD, the server refuses
/// before it looks at the line, and its NO proves nothing.
pub(super) fn begin(
    wire: &mut Wire,
    mailbox: &[u8],
    folder: &WireName,
    proof: &mut Proof,
) -> Result<(), StoreError> {
    let place = (folder.clone(), mailbox.to_vec());
    let line = |flags: String| Question { place: place.clone(), arguments: flags };
    let answers = ask(wire, &first_flags().map(line), proof.kept())?;
    conclude(&answers, folder, proof);
    Ok(())
}

/// The commands that ask this, to be sent ahead in a session. Something has to be sent behind them, so that
/// nothing of theirs is left to be read afterwards.
pub(in crate::imap) fn commands(asked: Asked, folder: &WireName) -> Vec<Command> {
    let arguments = match asked {
        Asked::First => first_flags().to_vec(),
        Asked::Dates => dates().map(|(arguments, _)| arguments).collect(),
    };
    let command = |words: &String| Command::new("APPEND").folder(folder).words(words).nothing();
    arguments.iter().map(command).collect()
}

/// Concludes from the answers to [`commands`], none where there was none.
pub(in crate::imap) fn take(
    asked: Asked,
    answers: &[Option<Result<Reply, Refusal>>],
    folder: &WireName,
    proof: &mut Proof,
) {
    let of = |answer: &Result<Reply, Refusal>| Probe::of(answer.as_ref().err());
    let answers: Vec<Probe> =
        answers.iter().map(|answer| answer.as_ref().map_or(Probe::Unclear, of)).collect();
    for _ in answers.iter().filter(|answer| **answer == Probe::Stored) {
        proof.kept().note(folder);
    }
    match asked {
        Asked::First => {
            conclude(&answers, folder, proof);
            if answers.contains(&Probe::Unclear) {
                // The folder cannot be had: what is asked about another one may prove something.
                proof.probe_again();
            }
        }
        Asked::Dates => {
            for ((_, line), answer) in dates().zip(&answers) {
                if *answer == Probe::Understood {
                    proof.accept(folder, &line);
                }
            }
            if answers.contains(&Probe::Unclear) {
                proof.ask_dates_again();
            }
        }
    }
}

/// What asks about each kind of date: the arguments, and what is proved.
fn dates() -> impl Iterator<Item = (String, Line)> {
    let flags = system_flags();
    let system = flag_list(&flags);
    DATES.iter().filter_map(move |date| {
        let kind = DateKind::of(Some(date))?;
        Some((format!("{system} {date}"), Line::new(&flags, kind)))
    })
}

fn first_flags() -> [String; 2] {
    [NO_FLAG.to_owned(), flag_list(&system_flags())]
}

fn conclude(answers: &[Probe], folder: &WireName, proof: &mut Proof) {
    if answers == [Probe::NotUnderstood, Probe::Understood] {
        proof.accept(folder, &Line::new(&system_flags(), DateKind::Absent));
        proof.trust_probes();
    }
}

/// Notes which kinds of dates the server understands, if that was not asked yet, and which of these
/// flags; each set of flags is asked about in a folder to which a message with just these is to go,
/// because servers that refuse the message note its keywords all the same. Only after
/// [`begin`] has shown that answers prove something.
pub(super) fn go_on(
    wire: &mut Wire,
    (mailbox, folder): (&[u8], &WireName),
    proof: &mut Proof,
    coming: &[(WireName, FlagSet)],
) -> Result<(), StoreError> {
    let mut lines: Vec<(WireName, Line)> = Vec::new();
    let mut questions = Vec::new();
    if proof.begin_dates() {
        for (arguments, line) in dates() {
            let place = (folder.clone(), mailbox.to_vec());
            questions.push(Question { place, arguments });
            lines.push((folder.clone(), line));
        }
    }
    for (folder, flags) in coming {
        // A name that needs a literal is proved by the message itself.
        let Ok(Mailbox::Quoted(mailbox)) = crate::imap::command::mailbox(folder) else { continue };
        let place = (folder.clone(), mailbox);
        questions.push(Question { place, arguments: flag_list(flags) });
        lines.push((folder.clone(), Line::new(flags, DateKind::Absent)));
        proof.asked(flags);
    }
    if questions.is_empty() {
        return Ok(());
    }
    let answers = ask(wire, &questions, proof.kept())?;
    for ((folder, line), answer) in lines.iter().zip(&answers) {
        if *answer == Probe::Understood {
            proof.accept(folder, line);
        }
    }
    Ok(())
}

/// One append of nothing.
struct Question {
    /// The folder, and its name in quotes.
    place: (WireName, Vec<u8>),
    /// Flags and date.
    arguments: String,
}

fn system_flags() -> FlagSet {
    [Flag::Answered, Flag::Deleted, Flag::Draft, Flag::Flagged, Flag::Seen].into_iter().collect()
}

/// Sends probes together, and a NOOP, so that nothing of theirs is left to be read afterwards: to some
/// servers the rest of a line that is not understood is an empty command, answered by an untagged BAD.
/// Those that were stored are noted as they are read: the connection may be lost before the last answer.
fn ask(wire: &mut Wire, questions: &[Question], kept: &Kept) -> Result<Vec<Probe>, StoreError> {
    let mut tags = Vec::new();
    for Question { place: (_, mailbox), arguments } in questions {
        let tag = wire.tag();
        wire.put(format!("{tag} APPEND ").as_bytes())?;
        wire.put(mailbox)?;
        wire.put(format!(" {arguments} {{0+}}\r\n\r\n").as_bytes())?;
        tags.push(tag);
    }
    let noop = wire.tag();
    wire.put(format!("{noop} NOOP\r\n").as_bytes())?;
    wire.pace_mut().turns();
    let mut answers = vec![Probe::Unclear; tags.len()];
    let mut line = Vec::new();
    loop {
        let Parsed::Tagged { tag, status, code, text } = answer(wire, &mut line)? else { continue };
        if tag == noop {
            wire.pace_mut().turned();
            return Ok(answers);
        }
        let Some(at) = tags.iter().position(|own| *own == tag) else {
            return Err(foreign_tag(&tag));
        };
        let refusal = refusal(status == Status::Bad, code, text, &[]);
        answers[at] = Probe::of((status != Status::Ok).then_some(&refusal));
        if answers[at] == Probe::Stored {
            kept.note(&questions[at].place.0);
        }
    }
}

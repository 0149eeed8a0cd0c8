//! UID STORE: flags by difference, and what the server then reports.

use std::collections::BTreeMap;

use crate::imap::command::Ended;
use crate::imap::command::flag_list;
use crate::imap::command::run;
use crate::imap::command::set_lines;
use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::reader::Status;
use crate::imap::reader::refusal;
use crate::imap::wire::Wire;
use crate::mail::FlagSet;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::store::FlagChange;
use crate::store::FlagOutcome;
use crate::store::StoreError;

/// Changes flags in the folder that is open with SELECT.
///
/// The reports of `+FLAGS` and `-FLAGS` are wanted, so neither is silent. Servers report nothing of a
/// message that had the flags already: such are asked for, so that who is without a report is not in
/// the folder.
///
/// # Errors
///
/// [`StoreError::Refused`] when the server refuses; parts of the set may then be changed.
pub(super) fn change(
    wire: &mut Wire,
    uids: &UidSet,
    change: &FlagChange,
) -> Result<FlagOutcome, StoreError> {
    let mut seen = Seen::default();
    if change.add.is_empty() && change.remove.is_empty() {
        return Ok(FlagOutcome::default());
    }
    for set in set_lines(uids) {
        let condition = match change.unchanged_since {
            Some(mod_seq) => format!("(UNCHANGEDSINCE {}) ", mod_seq.0),
            None => String::new(),
        };
        if !change.add.is_empty() {
            store(wire, &set, &format!("{condition}+FLAGS {}", flag_list(&change.add)), &mut seen)?;
        }
        if !change.remove.is_empty() {
            // Setting flags has moved MODSEQ on: what passed the condition once needs no second one.
            let (set, condition) = if change.add.is_empty() {
                (set, condition)
            } else {
                (set.difference(&seen.modified), String::new())
            };
            let words = format!("{condition}-FLAGS {}", flag_list(&change.remove));
            store(wire, &set, &words, &mut seen)?;
        }
    }
    let reported: UidSet = seen.reported.keys().copied().collect();
    for set in set_lines(&uids.difference(&reported).difference(&seen.modified)) {
        ask(wire, &set, &format!("UID FETCH {set} (UID FLAGS)"), &mut seen)?;
    }
    Ok(FlagOutcome { reported: seen.reported.into_iter().collect(), modified: seen.modified })
}

#[derive(Default)]
struct Seen {
    /// The last report of each message.
    reported: BTreeMap<Uid, FlagSet>,
    modified: UidSet,
}

fn store(wire: &mut Wire, set: &UidSet, words: &str, seen: &mut Seen) -> Result<(), StoreError> {
    if set.is_empty() {
        return Ok(());
    }
    ask(wire, set, &format!("UID STORE {set} {words}"), seen)
}

/// Runs a command and keeps the flags that it reports of these UIDs.
fn ask(wire: &mut Wire, set: &UidSet, command: &str, seen: &mut Seen) -> Result<(), StoreError> {
    let ended = run(wire, command, &mut |data| {
        if let Data::Fetch { row, .. } = data
            && let (Some(uid), Some(flags)) = (row.uid, row.flags)
            && set.contains(uid)
        {
            seen.reported.insert(uid, flags);
        }
    })?;
    let Ended { status, code, text } = ended;
    let modified = match &code {
        Some(Code::Modified(uids)) => Some(uids),
        _ => None,
    };
    // A conditional STORE that leaves all of them alone is NO to some servers (RFC 7162 §3.1.3).
    if status != Status::Ok && modified.is_none() {
        return Err(StoreError::Refused(refusal(status == Status::Bad, code, text, &[])));
    }
    // Only what was asked for: a server's set may be as wide as it likes.
    let untouched = set.difference(modified.unwrap_or(&UidSet::new()));
    seen.modified.extend(set.difference(&untouched).iter());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::script::Line;
    use crate::imap::script::Lines;
    use crate::imap::script::connect;
    use crate::imap::script::text_of;
    use crate::mail::Flag;
    use crate::mail::ModSeq;

    fn flags(words: &str) -> FlagSet {
        words.split_whitespace().filter_map(|word| Flag::from_wire(word.as_bytes())).collect()
    }

    fn set(text: &str) -> UidSet {
        text.parse().unwrap()
    }

    fn stores(sent: &str) -> String {
        sent.split_inclusive('\n').filter(|line| line.contains("STORE")).collect()
    }

    fn run_change(
        uids: &str,
        wanted: &FlagChange,
        answer: impl Fn(&str) -> &'static str + Send + 'static,
    ) -> (Result<FlagOutcome, StoreError>, String) {
        let server = Lines(move |tag: &str, command: &str| {
            let answer = answer(command);
            let (data, status) = answer.rsplit_once('|').unwrap_or((answer, "OK done"));
            format!("{data}{tag} {status}\r\n").into_bytes()
        });
        let (mut wire, sent) = connect(server, Line::default());
        (change(&mut wire, &set(uids), wanted), text_of(&sent))
    }

    #[test]
    fn last_report_of_each_message_counts() {
        let wanted =
            FlagChange { add: flags("\\Seen $A"), remove: flags("\\Draft"), unchanged_since: None };
        let (outcome, sent) = run_change("1:3", &wanted, |command| {
            if command.contains('+') {
                "* 1 FETCH (UID 1 FLAGS (\\Seen $A \\Draft))\r\n* 9 FETCH (UID 9 FLAGS ())\r\n"
            } else {
                "* 1 FETCH (FLAGS (\\Seen $A) UID 1)\r\n* 3 FETCH (UID 3 FLAGS (\\Recent))\r\n"
            }
        });
        assert_eq!(
            sent,
            "X1 UID STORE 1:3 +FLAGS ($A \\Seen)\r\nX2 UID STORE 1:3 -FLAGS (\\Draft)\r\n\
             X3 UID FETCH 2 (UID FLAGS)\r\n"
        );
        let uid = |number| Uid::new(number).unwrap();
        let outcome = outcome.unwrap();
        assert_eq!(outcome.reported, [(uid(1), flags("\\Seen $A")), (uid(3), flags(""))]);
        assert!(outcome.modified.is_empty());
    }

    #[test]
    fn condition_is_asked_once_and_modified_messages_are_left_alone() {
        let mut wanted = FlagChange {
            add: flags("\\Seen"),
            remove: flags("\\Draft"),
            unchanged_since: Some(ModSeq(12)),
        };
        for answer in ["|OK [MODIFIED 2,8:4000000000] done", "|NO [MODIFIED 2] some"] {
            let (outcome, sent) =
                run_change(
                    "1:3",
                    &wanted,
                    move |command| if command.contains('+') { answer } else { "" },
                );
            assert_eq!(
                stores(&sent),
                "X1 UID STORE 1:3 (UNCHANGEDSINCE 12) +FLAGS (\\Seen)\r\nX2 UID STORE 1,3 -FLAGS (\\Draft)\r\n"
            );
            assert_eq!(outcome.unwrap().modified, set("2"));
        }
        wanted.add = FlagSet::new();
        let (_, sent) = run_change("1:3", &wanted, |_| "");
        assert_eq!(stores(&sent), "X1 UID STORE 1:3 (UNCHANGEDSINCE 12) -FLAGS (\\Draft)\r\n");
    }

    #[test]
    fn refusal_is_told_and_nothing_is_sent_for_nothing() {
        let wanted = FlagChange { add: flags("$A"), ..FlagChange::default() };
        let (outcome, _) = run_change("1", &wanted, |_| "|NO [NOPERM] not here");
        assert!(matches!(outcome, Err(StoreError::Refused(_))));
        let (outcome, sent) = run_change("1", &FlagChange::default(), |_| "");
        assert_eq!((outcome.unwrap(), sent.as_str()), (FlagOutcome::default(), ""));
    }
}

//! Whether two looks at an account saw the same account.
//!
//! # In, out
//!
//! In: what was recorded and what is seen. Out: a verdict, with both lists where they contradict.
//!
//! # Never
//!
//! * Never counts greeting or key as identity, nor host and port where a folder can tell: servers move
//!   and renew their keys.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::plan::Witness;
use crate::plan::WitnessFolder;

/// What comes of comparing two witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the same account.
    Same,
    /// It is another account under the same user name, or another user.
    Contradiction {
        /// The folders as they were recorded.
        recorded: Vec<WitnessFolder>,
        /// The folders as they are seen.
        seen: Vec<WitnessFolder>,
    },
    /// No folder is in both: it cannot be told.
    Unknown,
}

/// Tells whether `seen` is the account of which `recorded` was written: the user is the same, case
/// kept, and INBOX or a majority of the folders that both have agree in UIDVALIDITY and, where both
/// have it, MAILBOXID. Where no folder is in both, it cannot be told under the same host and port, and
/// is not believed under others.
#[must_use]
pub fn same_account(recorded: &Witness, seen: &Witness) -> Verdict {
    let contradiction = || Verdict::Contradiction {
        recorded: recorded.folders.clone(),
        seen: seen.folders.clone(),
    };
    if recorded.user != seen.user {
        return contradiction();
    }
    let mut common = 0_usize;
    let mut agreeing = 0_usize;
    for old in &recorded.folders {
        let Some(new) = seen.folders.iter().find(|new| same_name(old, new)) else {
            continue;
        };
        let agrees = agree(old, new);
        if agrees && old.wire.is_inbox() {
            return Verdict::Same;
        }
        common += 1;
        agreeing += usize::from(agrees);
    }
    if common == 0 {
        // Empty folders prove nothing, so that the server's own name is all there is to go by.
        if recorded.server == seen.server { Verdict::Unknown } else { contradiction() }
    } else if agreeing > common - agreeing {
        Verdict::Same
    } else {
        contradiction()
    }
}

fn same_name(one: &WitnessFolder, other: &WitnessFolder) -> bool {
    one.wire == other.wire || (one.wire.is_inbox() && other.wire.is_inbox())
}

fn agree(one: &WitnessFolder, other: &WitnessFolder) -> bool {
    let ids_agree = match (&one.mailbox_id, &other.mailbox_id) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    one.uid_validity == other.uid_validity && ids_agree
}

#[cfg(test)]
mod tests {
    use crate::mail::MailboxId;
    use crate::mail::UidValidity;
    use crate::mail::WireName;

    use super::*;

    /// Reads `"INBOX:7 Sent:8:m1"` as folders with UIDVALIDITY and, perhaps, MAILBOXID.
    fn account(folders: &str) -> Witness {
        let folders = folders.split_whitespace().map(|entry| {
            let mut parts = entry.split(':');
            WitnessFolder {
                wire: WireName::new(parts.next().unwrap().as_bytes()),
                uid_validity: UidValidity::new(parts.next().unwrap().parse().unwrap()).unwrap(),
                mailbox_id: parts.next().map(|id| MailboxId::from_wire(id.as_bytes()).unwrap()),
            }
        });
        Witness { user: "ann".to_owned(), folders: folders.collect(), ..Witness::default() }
    }

    #[track_caller]
    fn check(recorded: &str, seen: &str, expected: &str) {
        let (recorded, seen) = (account(recorded), account(seen));
        let word = match same_account(&recorded, &seen) {
            Verdict::Same => "same",
            Verdict::Contradiction { recorded: old, seen: new } => {
                assert_eq!((old, new), (recorded.folders, seen.folders));
                "contradiction"
            }
            Verdict::Unknown => "unknown",
        };
        assert_eq!(word, expected);
    }

    #[test]
    fn without_a_folder_another_server_is_another_account() {
        let here = Witness { server: "a:993".to_owned(), ..account("") };
        let there = Witness { server: "b:993".to_owned(), ..account("INBOX:7") };
        assert_eq!(same_account(&here, &here), Verdict::Unknown);
        assert!(matches!(same_account(&here, &there), Verdict::Contradiction { .. }));
    }

    #[test]
    fn inbox_alone_is_enough() {
        check("INBOX:7 A:1 B:2 C:3", "INBOX:7 A:4 B:5 C:6", "same");
        check("Inbox:7", "INBOX:7", "same");
    }

    #[test]
    fn a_majority_is_enough_without_inbox() {
        check("INBOX:7 A:1 B:2", "INBOX:8 A:1 B:2", "same");
        check("A:1 B:2 C:3", "A:1 B:2 C:4 D:5", "same");
    }

    #[test]
    fn half_is_no_majority() {
        check("INBOX:7 A:1", "INBOX:8 A:1", "contradiction");
        check("INBOX:7", "INBOX:8", "contradiction");
    }

    #[test]
    fn mailbox_id_counts_where_both_have_it() {
        check("INBOX:7:m1", "INBOX:7:m2", "contradiction");
        check("INBOX:7:m1", "INBOX:7", "same");
        check("INBOX:7:m1", "INBOX:8:m1", "contradiction");
    }

    #[test]
    fn nothing_in_common_says_nothing() {
        check("", "INBOX:7", "unknown");
        check("A:1", "B:1", "unknown");
    }

    #[test]
    fn another_user_is_another_account_whatever_the_folders_say() {
        let other = Witness { user: "Ann".to_owned(), ..account("INBOX:7") };
        assert!(matches!(same_account(&account("INBOX:7"), &other), Verdict::Contradiction { .. }));
    }

    #[test]
    fn greeting_and_key_are_no_identity() {
        let moved = Witness {
            greeting: "another".to_owned(),
            tls_key: Some("00".to_owned()),
            ..account("INBOX:7")
        };
        assert_eq!(same_account(&account("INBOX:7"), &moved), Verdict::Same);
    }
}

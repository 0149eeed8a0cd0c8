//! Trials: STORE to no message, which proves which flags a server understands, and changes nothing.
//!
//! A UID that is not there is ignored without a word (RFC 9051 §6.4.9), but the flags that it was to
//! get are read. Dovecot, Cyrus and Courier refuse the same flags here and in APPEND. Only folders
//! without mail are tried in, so that whatever a server makes of that UID, there is nothing to change.
//! The first trial has a flag that no server knows: where that is not refused, nothing is proved.

use std::collections::BTreeSet;

use crate::imap::append::probe::NO_FLAG;
use crate::imap::append::probe::system_flags;
use crate::imap::append::proof::Proof;
use crate::imap::command::flag_list;
use crate::imap::request::Command;
use crate::mail::FlagSet;
use crate::mail::WireName;

/// Flags for a message that no folder has: the highest UID that there is (RFC 9051 §9, `nz-number`).
const STORE: &str = "UID STORE 4294967295 +FLAGS.SILENT";

/// Most trials at once.
const TRIALS_MAX: usize = 32;

/// The trials that go along with the opening of folders.
#[derive(Debug, Default)]
pub(in crate::imap) struct Trials {
    /// It is not known whether trials prove anything.
    is_first: bool,
    may: bool,
    /// Flags that are proved, or asked about.
    known: BTreeSet<String>,
    /// What was asked, in order; nothing for the flag that no server knows.
    asked: Vec<Option<FlagSet>>,
    /// Whether it was accepted.
    answers: Vec<bool>,
}

impl Trials {
    /// Begins with what is proved on a connection; without any trial where that may not be.
    pub(in crate::imap) fn new(proof: &Proof, may: bool) -> Self {
        let may = may && proof.trials_prove() != Some(false);
        let is_first = may && proof.trials_prove().is_none();
        Self { is_first, may, known: proof.flags().clone(), ..Self::default() }
    }

    /// The commands to send while this folder is open, to which messages with such flags are to go: some
    /// servers note the keywords of a STORE that finds no message all the same.
    pub(in crate::imap) fn in_folder(
        &mut self,
        folder: &WireName,
        coming: &[(WireName, FlagSet)],
    ) -> Vec<Command> {
        if !self.may {
            return Vec::new();
        }
        let before = self.asked.len();
        if self.is_first && before == 0 {
            self.asked.push(None);
            self.ask(&system_flags());
        }
        for (_, flags) in coming.iter().filter(|(of, _)| of == folder) {
            self.ask(flags);
        }
        let command = |flags: &Option<FlagSet>| {
            let list = flags.as_ref().map_or_else(|| NO_FLAG.to_owned(), flag_list);
            Command::new(STORE).words(&list)
        };
        self.asked[before..].iter().map(command).collect()
    }

    fn ask(&mut self, flags: &FlagSet) {
        let is_new = flags.iter().any(|flag| !self.known.contains(flag.as_str()));
        if is_new && self.asked.len() < TRIALS_MAX {
            self.known.extend(flags.iter().map(|flag| flag.as_str().to_owned()));
            self.asked.push(Some(flags.clone()));
        }
    }

    /// Takes what became of the next one.
    pub(in crate::imap) fn take(&mut self, is_accepted: bool) {
        self.answers.push(is_accepted);
    }

    /// Notes what was found out. `was_open`: the first folder, in which it was asked whether trials prove
    /// anything.
    pub(in crate::imap) fn conclude(self, was_open: bool, proof: &mut Proof) {
        if self.is_first && was_open {
            proof.note_trials(self.answers.starts_with(&[false, true]));
        }
        if proof.trials_prove() != Some(true) {
            return;
        }
        let asked = self.asked.iter().flatten();
        let answers = self.answers.iter().skip(usize::from(self.is_first));
        for (flags, _) in asked.zip(answers).filter(|(_, is_accepted)| **is_accepted) {
            proof.accept_flags(flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::append::proof::DateKind;
    use crate::imap::append::proof::Line;
    use crate::mail::Flag;

    fn folder() -> WireName {
        WireName::new(*b"INBOX")
    }

    fn flags(words: &str) -> FlagSet {
        words.split_whitespace().filter_map(|word| Flag::from_wire(word.as_bytes())).collect()
    }

    fn is_proved(proof: &Proof, words: &str) -> bool {
        proof.covers(&folder(), &Line::new(&flags(words), DateKind::Absent))
    }

    /// Asks about these flags, one by one, and takes the answers.
    fn try_out(proof: &mut Proof, words: &str, answers: &[bool], was_open: bool) -> usize {
        let coming: Vec<_> = words.split_whitespace().map(|word| (folder(), flags(word))).collect();
        let mut trials = Trials::new(proof, true);
        let asked = trials.in_folder(&folder(), &coming).len();
        for answer in answers {
            trials.take(*answer);
        }
        trials.conclude(was_open, proof);
        asked
    }

    /// A proof of everything but flags.
    fn begun() -> Proof {
        let mut proof = Proof::default();
        proof.accept(&folder(), &Line::new(&flags(""), DateKind::Absent));
        proof
    }

    #[test]
    fn flags_that_are_accepted_are_proved_and_the_others_are_not() {
        let mut proof = begun();
        let asked = try_out(&mut proof, "$A $B $C", &[false, true, true, false, true], true);
        assert_eq!(asked, 5, "with what no server knows, and the system flags");
        assert!(is_proved(&proof, "\\Seen \\Draft $A $C"));
        assert!(!is_proved(&proof, "$B"));
        assert_eq!(try_out(&mut proof, "$A $B $D", &[false, true], true), 2, "what is not proved");
        assert!(is_proved(&proof, "$D") && !is_proved(&proof, "$B"));
    }

    #[test]
    fn nothing_is_proved_where_flags_are_not_looked_at_and_nothing_is_asked_again() {
        for answers in [[true, true, true], [false, false, true]] {
            let mut proof = begun();
            try_out(&mut proof, "$A", &answers, true);
            assert!(!is_proved(&proof, "\\Seen") && !is_proved(&proof, "$A"));
            assert_eq!(try_out(&mut proof, "$B", &[], true), 0);
        }
    }

    #[test]
    fn a_folder_that_was_not_opened_says_nothing_of_flags() {
        let mut proof = begun();
        try_out(&mut proof, "$A", &[false, true, true], false);
        assert!(!is_proved(&proof, "$A"));
        assert_eq!(try_out(&mut proof, "$A", &[false, true, true], true), 3);
        assert!(is_proved(&proof, "$A"));
    }

    #[test]
    fn answers_that_never_came_prove_nothing() {
        let mut proof = begun();
        try_out(&mut proof, "$A", &[false, true], true);
        assert!(is_proved(&proof, "\\Seen") && !is_proved(&proof, "$A"));
    }

    #[test]
    fn only_so_many_are_tried_at_once() {
        let words: String = (0..100).map(|at| format!("$K{at} ")).collect();
        assert_eq!(try_out(&mut begun(), &words, &[], true), TRIALS_MAX);
        assert!(Trials::new(&begun(), false).in_folder(&folder(), &[]).is_empty());
    }
}

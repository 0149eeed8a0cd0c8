//! Trials: STORE to no message, which proves which flags a server understands, and changes nothing.
//!
//! A UID that is not there is ignored without a word (RFC 9051 §6.4.9), but the flags that it was to
//! get are read: Dovecot, Cyrus and Courier refuse the same ones here and in APPEND. Only folders are tried
//! in that were created a moment ago and listed as empty then, or were listed as empty when the run began and
//! are open only to be read meanwhile, where Cyrus refuses everything, which proves nothing. And nothing is
//! tried that could cost a message: whatever a server makes of that UID, no mail can be lost. The first
//! trial has a flag that no server knows: where that is not answered BAD, nothing is proved.

use std::collections::BTreeSet;

use crate::imap::ahead;
use crate::imap::append::probe::NO_FLAG;
use crate::imap::append::proof::Proof;
use crate::imap::command::flag_list;
use crate::imap::request::Command;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::WireName;
use crate::store::Coming;
use crate::store::Refusal;

/// Flags for a message that is not there: no folder comes as far, least of all a new one. Not the highest
/// UID that there could be, which some servers have for `*`, nor one beyond 31 bits.
const STORE: &str = "UID STORE 2147480000 +FLAGS.SILENT";

/// Most trials at once.
const TRIALS_MAX: usize = 32;

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// OK.
    Accepted,
    /// BAD.
    NotUnderstood,
    /// NO, for whatever reason.
    Refused,
    /// Nothing that counts: there was no answer, the folder was not open, or it is to be asked later.
    Nothing,
}

/// One trial.
#[derive(Debug)]
struct Trial {
    /// The flags; none for the one that no server knows.
    flags: Option<FlagSet>,
    /// The folder is open only to be read: NO says nothing of the flags.
    is_peeked: bool,
    said: Said,
}

/// The trials that go along with the opening of folders.
#[derive(Debug, Default)]
pub(in crate::imap) struct Trials {
    may: bool,
    /// It is not known whether trials prove anything.
    is_first: bool,
    /// Flags that need not be asked about.
    known: BTreeSet<String>,
    asked: Vec<Trial>,
}

impl Trials {
    /// Begins with what is proved on a connection; without any trial where that may not be.
    pub(in crate::imap) fn new(proof: &Proof, may: bool) -> Self {
        let may = may && proof.trials_prove() != Some(false);
        let is_first = may && proof.trials_prove().is_none();
        Self { may, is_first, known: proof.flags_not_to_try(), asked: Vec::new() }
    }

    /// Tells whether there may be any.
    pub(in crate::imap) const fn may_be(&self) -> bool {
        self.may
    }

    /// The commands to send while this folder is open, to which messages with such flags are to go (some
    /// servers note the keywords of a STORE that finds no message all the same), each with its number.
    pub(in crate::imap) fn in_folder(
        &mut self,
        folder: &WireName,
        coming: &[Coming],
    ) -> Vec<(usize, Command)> {
        let mut commands = Vec::new();
        if !self.may {
            return commands;
        }
        let here = coming.iter().filter(|coming| coming.folder == *folder);
        for Coming { flags, is_made, .. } in here {
            if !self.is_to_be_tried(flags) {
                continue;
            }
            if self.is_first && self.asked.is_empty() {
                commands.push(self.begin(None, !is_made));
                commands.push(self.begin(Some(&harmless_flags()), !is_made));
            }
            if self.is_to_be_tried(flags) {
                commands.push(self.begin(Some(flags), !is_made));
            }
        }
        commands
    }

    fn is_to_be_tried(&self, flags: &FlagSet) -> bool {
        self.asked.len() < TRIALS_MAX
            && flags.iter().any(|flag| !self.known.contains(flag.as_str()))
            && flags.iter().all(|flag| *flag != Flag::Deleted)
            && ahead::is_short(&command(Some(flags)))
    }

    fn begin(&mut self, flags: Option<&FlagSet>, is_peeked: bool) -> (usize, Command) {
        let names = flags.into_iter().flat_map(FlagSet::iter);
        self.known.extend(names.map(|flag| flag.as_str().to_owned()));
        self.asked.push(Trial { flags: flags.cloned(), is_peeked, said: Said::Nothing });
        (self.asked.len() - 1, command(flags))
    }

    /// Takes what became of the one with this number, in a folder that was open: nothing for OK.
    pub(in crate::imap) fn take(&mut self, number: usize, refusal: Option<&Refusal>) {
        let Some(trial) = self.asked.get_mut(number) else { return };
        trial.said = match refusal {
            None => Said::Accepted,
            Some(refusal) if refusal.bad => Said::NotUnderstood,
            Some(refusal) if refusal.asks_for_patience() || trial.is_peeked => Said::Nothing,
            Some(_) => Said::Refused,
        };
    }

    /// Notes what was found out.
    pub(in crate::imap) fn conclude(self, proof: &mut Proof) {
        if let (true, [first, second, ..]) = (self.is_first, self.asked.as_slice()) {
            match (first.said, second.said) {
                (Said::NotUnderstood, Said::Accepted) => proof.note_trials(true),
                (Said::Accepted | Said::Refused, _) | (_, Said::NotUnderstood) => {
                    proof.note_trials(false);
                }
                // A folder that is only to be read, or nothing yet.
                (Said::NotUnderstood | Said::Nothing, _) => {}
            }
        }
        if proof.trials_prove() != Some(true) {
            return;
        }
        for Trial { flags, said, .. } in &self.asked {
            match (flags, said) {
                (Some(flags), Said::Accepted) => proof.accept_flags(flags),
                (Some(flags), Said::NotUnderstood | Said::Refused) => proof.note_tried(flags),
                (None, _) | (_, Said::Nothing) => {}
            }
        }
    }
}

fn command(flags: Option<&FlagSet>) -> Command {
    let list = flags.map_or_else(|| NO_FLAG.to_owned(), flag_list);
    Command::new(STORE).words(&list)
}

/// The system flags that a message can get and lose at no harm.
fn harmless_flags() -> FlagSet {
    [Flag::Answered, Flag::Draft, Flag::Flagged, Flag::Seen].into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::append::proof::DateKind;
    use crate::imap::append::proof::Line;
    use crate::store::ResponseCode;

    fn folder() -> WireName {
        WireName::new(*b"INBOX")
    }

    fn coming(flags: FlagSet) -> Coming {
        Coming { folder: folder(), is_made: true, flags }
    }

    fn flags(words: &str) -> FlagSet {
        words.split_whitespace().filter_map(|word| Flag::from_wire(word.as_bytes())).collect()
    }

    fn is_proved(proof: &Proof, words: &str) -> bool {
        proof.covers(&folder(), &Line::new(&flags(words), DateKind::Absent))
    }

    fn refusal(bad: bool, code: Option<ResponseCode>) -> Refusal {
        Refusal { bad, code, text: String::new(), known_words: false }
    }

    /// Asks about these flags, one by one. Answers are OK, BAD, NO, `later`, or none.
    fn try_out(proof: &mut Proof, words: &str, answers: &str) -> usize {
        let coming: Vec<_> = words.split_whitespace().map(|word| coming(flags(word))).collect();
        let mut trials = Trials::new(proof, true);
        let asked = trials.in_folder(&folder(), &coming).len();
        for (number, answer) in answers.split_whitespace().enumerate() {
            match answer {
                "OK" => trials.take(number, None),
                "BAD" => trials.take(number, Some(&refusal(true, None))),
                "NO" => trials.take(number, Some(&refusal(false, None))),
                "later" => trials.take(number, Some(&refusal(false, Some(ResponseCode::InUse)))),
                _ => {}
            }
        }
        trials.conclude(proof);
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
        let asked = try_out(&mut proof, "$A $B $C $D", "BAD OK OK NO OK BAD");
        assert_eq!(asked, 6, "with what no server knows, and system flags");
        assert!(is_proved(&proof, "\\Seen \\Draft $A $C"));
        assert!(!is_proved(&proof, "$B") && !is_proved(&proof, "$D"));
        assert_eq!(try_out(&mut proof, "$A $B $D $E", "OK"), 1, "neither is asked again");
        assert!(is_proved(&proof, "$E"));
    }

    #[test]
    fn nothing_is_proved_where_flags_are_not_looked_at_and_nothing_is_asked_again() {
        for answers in ["OK OK OK", "NO OK OK", "NO NO NO", "BAD BAD OK"] {
            let mut proof = begun();
            try_out(&mut proof, "$A", answers);
            assert!(!is_proved(&proof, "\\Seen") && !is_proved(&proof, "$A"), "{answers}");
            assert_eq!(try_out(&mut proof, "$B", ""), 0, "{answers}");
        }
    }

    #[test]
    fn no_in_a_folder_that_is_open_only_to_be_read_says_nothing() {
        let mut proof = begun();
        let peeked = Coming { is_made: false, ..coming(flags("$A")) };
        let mut trials = Trials::new(&proof, true);
        assert_eq!(trials.in_folder(&folder(), std::slice::from_ref(&peeked)).len(), 3);
        for (number, bad) in [(0, true), (1, false), (2, false)] {
            trials.take(number, Some(&refusal(bad, None)));
        }
        trials.conclude(&mut proof);
        assert_eq!(proof.trials_prove(), None);
        assert_eq!(try_out(&mut proof, "$A $B", "BAD OK OK OK"), 4, "in one that was made");
        // Once trials are known to prove something, what is refused there is tried again, too.
        let mut trials = Trials::new(&proof, true);
        let peeked = Coming { flags: flags("$C"), ..peeked };
        assert_eq!(trials.in_folder(&folder(), &[peeked]).len(), 1);
        trials.take(0, Some(&refusal(false, None)));
        trials.conclude(&mut proof);
        assert_eq!(try_out(&mut proof, "$C", "OK"), 1);
        assert!(is_proved(&proof, "$A $B $C"));
    }

    #[test]
    fn what_is_put_off_or_not_answered_is_asked_again() {
        for answers in ["later OK OK", "- OK OK", "BAD later OK", "BAD NO OK", "- - -", "BAD - OK"]
        {
            let mut proof = begun();
            try_out(&mut proof, "$A", answers);
            assert!(!is_proved(&proof, "\\Seen") && !is_proved(&proof, "$A"), "{answers}");
            assert_eq!(try_out(&mut proof, "$A", "BAD OK later"), 3, "{answers}");
            assert!(is_proved(&proof, "\\Seen") && !is_proved(&proof, "$A"), "{answers}");
            assert_eq!(try_out(&mut proof, "$A", "OK"), 1, "{answers}");
            assert!(is_proved(&proof, "$A"), "{answers}");
        }
    }

    #[test]
    fn what_shows_whether_trials_prove_anything_does_not_depend_on_what_is_known_or_comes() {
        let mut proof = begun();
        proof.accept_flags(&harmless_flags());
        assert_eq!(try_out(&mut proof, "\\Seen", ""), 0, "there is nothing to ask");
        assert_eq!(try_out(&mut proof, "$Long $A", "BAD OK NO OK"), 4);
        assert!(is_proved(&proof, "$A") && !is_proved(&proof, "$Long"));
        assert_eq!(try_out(&mut proof, "$Long $B", "BAD"), 1);
        assert_eq!(
            try_out(&mut proof, "$C", "OK"),
            1,
            "a flag that is not understood ends nothing"
        );
    }

    #[test]
    fn only_so_many_are_tried_and_none_that_is_long_or_costs_a_message() {
        let words: String = (0..100).map(|at| format!("$K{at} ")).collect();
        assert_eq!(try_out(&mut begun(), &words, ""), TRIALS_MAX);
        assert_eq!(try_out(&mut begun(), "\\Deleted", ""), 0);
        assert!(!is_proved(&begun(), "\\Deleted"));
        let many: String = (0..20).map(|at| format!("${at}{} ", "k".repeat(150))).collect();
        let coming = [coming(flags(&many))];
        assert_eq!(Trials::new(&begun(), true).in_folder(&folder(), &coming).len(), 0);
        assert!(Trials::new(&begun(), false).in_folder(&folder(), &coming).is_empty());
        assert!(Trials::new(&begun(), true).in_folder(&folder(), &[]).is_empty());
    }
}

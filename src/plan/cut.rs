//! Cutting actions, so that every line of a plan stays short.

use crate::mail::UidSet;
use crate::plan::action::Action;
use crate::plan::writer::line_octets;

/// Longest line that an action with a set of UIDs makes, in octets: a line is read whole, so its
/// length is what a reader needs of memory.
pub const ACTION_OCTETS_MAX: usize = 64 * 1024;

/// Digits of two counts, and the end of the line.
const DIGITS_MAX: usize = 41;

/// Room that a set of UIDs always has, however long the rest of the line is.
const SET_OCTETS_MIN: usize = 4 * 1024;

impl Action {
    /// Cuts an action into actions whose lines stay below [`ACTION_OCTETS_MAX`], in ascending order
    /// of UIDs. Counts stay true: messages are those of each part, octets are asked for by part.
    ///
    /// `octets_of` is asked only if the action has to be cut and tells octets.
    #[must_use]
    pub fn cut(self, octets_of: &mut dyn FnMut(&UidSet) -> u64) -> Vec<Self> {
        match self {
            Self::Copy { pair, ref uids, ref flags, recipe, reason, .. } => {
                let part = |uids: UidSet| {
                    let (messages, octets) = (uids.len(), octets_of(&uids));
                    let flags = flags.clone();
                    Self::Copy { pair, uids, messages, octets, flags, recipe, reason }
                };
                match parts(&self, uids) {
                    Some(parts) => parts.into_iter().map(part).collect(),
                    None => vec![self],
                }
            }
            Self::Skip { pair, ref uids, date, reason, .. } => {
                let part = |uids: UidSet| {
                    let (messages, octets) = (uids.len(), octets_of(&uids));
                    Self::Skip { pair, uids, messages, octets, date, reason }
                };
                match parts(&self, uids) {
                    Some(parts) => parts.into_iter().map(part).collect(),
                    None => vec![self],
                }
            }
            Self::Flags { pair, ref uids, ref add, ref remove, ref from, reason, .. } => {
                let part = |uids: UidSet| Self::Flags {
                    pair,
                    messages: uids.len(),
                    uids,
                    add: add.clone(),
                    remove: remove.clone(),
                    from: from.clone(),
                    reason,
                };
                match parts(&self, uids) {
                    Some(parts) => parts.into_iter().map(part).collect(),
                    None => vec![self],
                }
            }
            Self::CreateFolder { .. } | Self::Blocked { .. } | Self::Subscribe { .. } => vec![self],
        }
    }
}

/// The parts of a set that is too long for its line; nothing where it fits.
fn parts(action: &Action, uids: &UidSet) -> Option<Vec<UidSet>> {
    let written = line_octets(action);
    if written < ACTION_OCTETS_MAX {
        return None;
    }
    let rest = written.saturating_sub(uids.to_string().len());
    // A part's octets come from elsewhere and may have more digits than those of the whole.
    let room = ACTION_OCTETS_MAX.saturating_sub(rest + DIGITS_MAX).max(SET_OCTETS_MIN);
    Some(uids.split_at_octets(room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Flag, FlagSet, Uid};
    use crate::plan::Reason;

    /// Every second UID: the longest way to write so many.
    fn odd(count: u32) -> UidSet {
        (0..count).filter_map(|number| Uid::new(2 * number + 1)).collect()
    }

    fn copy(count: u32) -> Action {
        Action::Copy {
            pair: 3,
            uids: odd(count),
            messages: count.into(),
            octets: u64::from(count) * 7,
            flags: [Flag::Seen].into_iter().collect(),
            recipe: 1,
            reason: Reason::NewAtSource,
        }
    }

    #[test]
    fn a_short_action_stays_whole_and_nothing_is_asked() {
        let parts = copy(1000).cut(&mut |_| panic!("not to be asked"));
        assert_eq!(parts, [copy(1000)]);
    }

    #[test]
    fn a_long_action_is_cut_into_short_lines_whose_counts_are_true() {
        let parts = copy(100_000).cut(&mut |uids| uids.len() * 7);
        assert!(parts.len() > 8);
        let mut seen = UidSet::new();
        let (mut all, mut all_octets) = (0, 0);
        for part in &parts {
            assert!(line_octets(part) < ACTION_OCTETS_MAX);
            let Action::Copy { uids, messages, octets, .. } = part else { panic!("{part:?}") };
            assert_eq!(uids.len(), *messages);
            assert!(uids.first() > seen.last(), "ascending");
            seen.extend(uids.iter());
            all += messages;
            all_octets += octets;
        }
        assert_eq!((seen, all, all_octets), (odd(100_000), 100_000, 700_000));
    }

    #[test]
    fn flags_with_many_keywords_are_cut_with_room_for_them() {
        let keywords: FlagSet =
            (0..50).map(|n| Flag::Keyword(format!("{n:0>150}").into())).collect();
        let action = Action::Flags {
            pair: 0,
            uids: odd(50_000),
            messages: 50_000,
            add: keywords.clone(),
            remove: FlagSet::new(),
            from: keywords,
            reason: Reason::FlagsChangedAtSource,
        };
        let parts = action.cut(&mut |_| 0);
        assert!(parts.iter().all(|part| line_octets(part) < ACTION_OCTETS_MAX));
        let messages: u64 = parts
            .iter()
            .map(|part| match part {
                Action::Flags { messages, uids, .. } if *messages == uids.len() => *messages,
                other => panic!("{other:?}"),
            })
            .sum();
        assert_eq!(messages, 50_000);
    }
}

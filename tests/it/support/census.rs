//! What lies in a mailbox: every folder under its name without prefix, every message as it is, in no
//! order. Read by the raw client.

use std::collections::BTreeMap;

use crate::support::dovecot::Dovecot;

/// One message: octets, flags, date.
type Kept = (Vec<u8>, Vec<String>, String);

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Messages of each folder, sorted.
    pub(crate) folders: BTreeMap<Vec<String>, Vec<Kept>>,
}

impl Census {
    /// Reads a mailbox, without leaving a mark.
    pub(crate) fn of(server: &Dovecot, user: &str) -> Self {
        let mut client = server.login(user);
        let mut folders = BTreeMap::new();
        for name in client.selectable() {
            let messages = client.messages(&name).into_iter();
            let mut kept: Vec<Kept> =
                messages.map(|message| (message.octets, message.flags, message.date)).collect();
            kept.sort();
            folders.insert(server.components(&name), kept);
        }
        Self { folders }
    }

    /// How many messages it holds.
    pub(crate) fn messages(&self) -> usize {
        self.folders.values().map(Vec::len).sum()
    }

    /// How many octets its messages have.
    pub(crate) fn octets(&self) -> u64 {
        let lengths = self.folders.values().flatten().map(|(octets, ..)| octets.len());
        u64::try_from(lengths.sum::<usize>()).unwrap()
    }

    /// Demands that the other mailbox holds the same: no message less, none more, each as it is.
    #[track_caller]
    pub(crate) fn is_that_of(&self, other: &Self, what: &str) {
        let differences = self.differences(other);
        assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
    }

    /// Says what the other one has less and more.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let names: std::collections::BTreeSet<_> =
            self.folders.keys().chain(other.folders.keys()).collect();
        for name in names {
            let (here, there) = (self.counted(name), other.counted(name));
            if self.folders.contains_key(name) != other.folders.contains_key(name) {
                told.push(format!("{name:?}: only on one side"));
            }
            let all: std::collections::BTreeSet<_> = here.keys().chain(there.keys()).collect();
            for kept in all {
                let times = |side: &BTreeMap<&Kept, usize>| side.get(*kept).copied().unwrap_or(0);
                if times(&here) != times(&there) {
                    let (octets, flags, date) = kept;
                    let start = String::from_utf8_lossy(&octets[..octets.len().min(300)]);
                    told.push(format!(
                        "{name:?}: {} times here, {} there: {} octets, {flags:?}, {date}: {start:?}",
                        times(&here),
                        times(&there),
                        octets.len(),
                    ));
                }
            }
        }
        told.truncate(10);
        told
    }

    fn counted(&self, name: &[String]) -> BTreeMap<&Kept, usize> {
        let mut counted = BTreeMap::new();
        for kept in self.folders.get(name).into_iter().flatten() {
            *counted.entry(kept).or_default() += 1;
        }
        counted
    }
}

//! What lies in a mailbox: every folder under its name without prefix, every message as it is, in no
//! order. Read by the raw client.

use std::collections::BTreeMap;

use crate::support::server::Server;

/// One message: octets, flags, date as an instant: servers write one in several ways.
type Kept = (Vec<u8>, Vec<String>, String);

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Messages of each folder, sorted.
    pub(crate) folders: BTreeMap<Vec<String>, Vec<Kept>>,
}

impl Census {
    /// Reads a mailbox, without leaving a mark.
    pub(crate) fn of(server: &dyn Server, user: &str) -> Self {
        let mut client = server.login(user);
        let mut folders = BTreeMap::new();
        for name in client.selectable() {
            let messages = client.messages(&name).into_iter();
            let mut kept: Vec<Kept> = messages
                .map(|message| (message.octets, message.flags, instant(&message.date)))
                .collect();
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

/// Writes an INTERNALDATE, `17-Jul-1996 02:44:25 -0700`, in UTC: days from the beginning of 1970, and the
/// time. One that is not of this form stays as it is.
fn instant(date: &str) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let parse = || {
        let (day, rest) = date.trim().split_once('-')?;
        let (month, rest) = rest.split_once('-')?;
        let [year, time, zone] = rest.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let month = i64::try_from(MONTHS.find(month)?).ok()? / 3 + 1;
        let (day, year): (i64, i64) = (day.parse().ok()?, year.parse().ok()?);
        // Years and months that begin in March put the leap day at the end.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let leap = year / 4 - year / 100 + year / 400;
        let days = 365 * year + leap + (153 * month + 2) / 5 + day - 1 - 719_468;
        let [hour, minute, second] =
            time.split(':').map(|part| part.parse::<i64>().ok()).collect::<Option<Vec<_>>>()?[..]
        else {
            return None;
        };
        let zone: i64 = zone.parse().ok()?;
        let minutes = 60 * hour + minute - (zone / 100 * 60 + zone % 100);
        let seconds = 86_400 * days + 60 * minutes + second;
        Some(format!("day {} second {}", seconds.div_euclid(86_400), seconds.rem_euclid(86_400)))
    };
    parse().unwrap_or_else(|| date.to_owned())
}

#[test]
fn instants_are_compared_in_utc() {
    let same =
        ["01-Jan-1970 00:30:05 +0030", " 1-Jan-1970 00:00:05 +0000", "31-Dec-1969 17:00:05 -0700"];
    assert_eq!(same.map(instant), ["day 0 second 5"; 3].map(str::to_owned));
    assert_eq!(instant("29-Feb-2024 23:59:59 +0000"), "day 19782 second 86399");
    assert_eq!(instant("01-Mar-2024 00:00:00 +0000"), "day 19783 second 0");
}

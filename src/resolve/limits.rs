//! How hard servers may be pressed, and how long a run may go on. None of it decides an action.

use std::time::Duration;

use crate::mail::Side;
use crate::manifest::model::EndpointLimitsTable;
use crate::manifest::model::Manifest;
use crate::manifest::model::Period;
use crate::manifest::model::Rate;
use crate::manifest::model::Size;
use crate::resolve::fault::RuleFault;

/// Slower than this, a server would take us for dead.
const OCTETS_PER_SECOND_MIN: u64 = 1_000;

/// With less, not even one message would pass in a few days.
const OCTETS_PER_DAY_MIN: u64 = 1_000_000;

/// Two pieces of a message, and what comes with them.
const MEMORY_MIN: u64 = 1 << 20;

/// How hard one account at one server may be pressed. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Connections at once of this account; absent, the engine chooses.
    pub connections: Option<u16>,
    /// Connections at once of all accounts at the host.
    pub total_connections: Option<u32>,
    /// Logins a minute of all accounts at the host.
    pub logins_per_minute: Option<Rate>,
    /// Messages fetched or appended a second.
    pub messages_per_second: Option<Rate>,
    /// Octets a second, both directions.
    pub octets_per_second: Option<u64>,
    /// Octets before `octets_per_second` bites.
    pub burst: Option<u64>,
    /// Octets a day of UTC, both directions.
    pub octets_per_day: Option<u64>,
}

/// How long and how fast a run may go on. What is absent is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Octets a second, all connections together.
    pub octets_per_second: Option<u64>,
    /// Octets of copied bodies after which the run ends.
    pub stop_after_octets: Option<u64>,
    /// Time after which the run ends.
    pub stop_after: Option<Duration>,
    /// Octets of messages in flight.
    pub memory: usize,
}

/// Reads the limits of one side.
pub(crate) fn of_endpoint(
    table: Option<&EndpointLimitsTable>,
    side: Side,
    faults: &mut Vec<RuleFault>,
    hints: &mut Vec<String>,
) -> EndpointLimits {
    let Some(table) = table else { return EndpointLimits::default() };
    let path = |key| [side.as_str(), "limits", key];
    let octets_per_second = table.bytes_per_second.map(Size::octets);
    at_least(octets_per_second, OCTETS_PER_SECOND_MIN, "1 KB", &path("bytes-per-second"), faults);
    let octets_per_day = table.bytes_per_day.map(Size::octets);
    at_least(octets_per_day, OCTETS_PER_DAY_MIN, "1 MB", &path("bytes-per-day"), faults);
    let burst = table.burst.map(Size::octets);
    at_least(burst, OCTETS_PER_SECOND_MIN, "1 KB", &path("burst"), faults);
    if burst.is_some() && octets_per_second.is_none() {
        hints.push(format!("{side}.limits.burst says nothing without bytes-per-second"));
    }
    EndpointLimits {
        connections: table.connections,
        total_connections: table.total_connections,
        logins_per_minute: table.logins_per_minute,
        messages_per_second: table.messages_per_second,
        octets_per_second,
        burst,
        octets_per_day,
    }
}

/// Both ends at one host need two connections there at once.
pub(crate) fn check_both(
    source: (&str, &EndpointLimits),
    destination: (&str, &EndpointLimits),
    faults: &mut Vec<RuleFault>,
) {
    if !source.0.eq_ignore_ascii_case(destination.0) {
        return;
    }
    for (side, limits) in [(Side::Source, source.1), (Side::Destination, destination.1)] {
        if limits.total_connections == Some(1) {
            let path = [side.as_str(), "limits", "total-connections"];
            let fault = RuleFault::new(&path, "one connection is too few: both ends are this host");
            faults.push(fault.label("at least 2"));
        }
    }
}

/// Reads the limits of the run.
pub(crate) fn of_run(manifest: &Manifest, faults: &mut Vec<RuleFault>) -> RunLimits {
    let table = manifest.limits.clone().unwrap_or_default();
    let octets_per_second = table.bytes_per_second.map(Size::octets);
    let path = |key| ["limits", key];
    at_least(octets_per_second, OCTETS_PER_SECOND_MIN, "1 KB", &path("bytes-per-second"), faults);
    let stop_after_octets = table.stop_after_bytes.map(Size::octets);
    at_least(stop_after_octets, 1, "1 B", &path("stop-after-bytes"), faults);
    let stop_after = table.stop_after.map(Period::duration);
    at_least(stop_after.map(|time| time.as_secs()), 1, "1 s", &path("stop-after"), faults);
    let memory = table.memory.map(Size::octets);
    at_least(memory, MEMORY_MIN, "1 MiB", &path("memory"), faults);
    let memory = memory.map_or(usize::MAX, |octets| usize::try_from(octets).unwrap_or(usize::MAX));
    RunLimits { octets_per_second, stop_after_octets, stop_after, memory }
}

fn at_least(
    value: Option<u64>,
    least: u64,
    told: &str,
    path: &[&str],
    faults: &mut Vec<RuleFault>,
) {
    if value.is_some_and(|value| value < least) {
        let key = path.last().copied().unwrap_or_default();
        let fault = RuleFault::new(path, format!("`{key}` is too small"));
        faults.push(
            fault.label(format!("at least \"{told}\"")).hint("no limit is leaving the key out"),
        );
    }
}

//! How patient a run is. None of it decides what is done.

use std::time::Duration;

/// How patient a run is. From `[errors]` of the manifest that is named when applying.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often one message, flag or folder is tried again before it is an item.
    pub retries: u32,
    /// How long an append without a reply may still arrive before it is sent again.
    pub settle: Duration,
    /// How long a server may be away.
    pub reconnect_for: Duration,
    /// How many items an account may have before the run ends.
    pub max_items: Option<u64>,
    /// Octets of messages in flight.
    pub memory: usize,
    /// Connections to either side at once, at most.
    pub connections: u16,
    /// The same where one of the sides is near.
    pub connections_nearby: u16,
    /// How much there is to be for each connection beyond the first, in octets; each message counts for
    /// some more than it has.
    pub connection_worth: u64,
    /// Folders that are worked on together, at most. Those that only later ones are about are made when it
    /// comes to them.
    pub wave: usize,
}

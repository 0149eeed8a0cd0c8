//! What is known of a server beyond one session with it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::imap::compress::Agreement;
use crate::limit::Gate;
use crate::mail::WireName;

/// What the adapter was told of a server, shared by all sessions with it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Host and port, as they were given.
    pub(super) server: String,
    /// Words of refusals that prove that nothing was stored.
    pub(super) refusals: Arc<[String]>,
    /// An append of nothing is refused and stores nothing.
    pub(super) refuses_empty: bool,
    /// Those that were stored all the same.
    pub(super) kept: Arc<Kept>,
    /// Non-synchronising literals led to a BAD: none is sent to this server any more.
    pub(super) windows_stopped: Arc<AtomicBool>,
    /// Whether to compress.
    pub(super) compression: Agreement,
    /// The gate that every connection to it passes.
    pub(super) gate: Option<Gate>,
    /// What the first session found, once it was told: the others say who they are, which some servers
    /// insist on, and do not wait.
    pub(super) met: Arc<OnceLock<Met>>,
}

impl Known {
    /// Connections of the account that are open now; one without a gate that counts them.
    pub(super) fn connections(&self) -> usize {
        self.gate.as_ref().map_or(1, |gate| usize::from(gate.open()))
    }
}

/// What the first session with a server found.
#[derive(Clone, Debug)]
pub(super) struct Met {
    /// What it said of itself to ID.
    pub(super) id: Option<String>,
    /// Its quickest answer.
    pub(super) round_trip: Option<Duration>,
}

/// Appends of nothing that a server stored, on any connection.
#[derive(Debug, Default)]
pub(super) struct Kept {
    was_any: AtomicBool,
    untold: Mutex<Vec<WireName>>,
}

impl Kept {
    /// Notes that one was stored in this folder.
    pub(super) fn note(&self, folder: &WireName) {
        self.was_any.store(true, Ordering::Relaxed);
        self.untold().push(folder.clone());
    }

    /// Tells whether there was one: then none is sent any more.
    pub(super) fn was_any(&self) -> bool {
        self.was_any.load(Ordering::Relaxed)
    }

    /// The folders that were not told of yet.
    pub(super) fn take(&self) -> Vec<WireName> {
        std::mem::take(&mut self.untold())
    }

    fn untold(&self) -> MutexGuard<'_, Vec<WireName>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What ends a run before its plan is done.

use crate::mail::Side;
use crate::plan::PlanFault;
use crate::state::StateError;
use crate::store::StoreError;

/// Why a run ended early. What was done by then is in the journal; the same plan goes on later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fatal {
    /// A side cannot be had: login, TLS, connection.
    #[error("the {side}: {error}")]
    Store {
        /// Which side.
        side: Side,
        /// What happened.
        error: StoreError,
    },
    /// State cannot be written: nothing more may be sent.
    #[error(transparent)]
    State(#[from] StateError),
    /// The plan file changed under the run.
    #[error("the plan: {0}")]
    Plan(#[from] PlanFault),
    /// A login leads to another account than the plan names.
    #[error("the {side} login leads to another account than the plan names: {detail}")]
    OtherAccount {
        /// Which side.
        side: Side,
        /// What was recorded and what is seen.
        detail: String,
    },
    /// Both ends are one mailbox.
    #[error("source and destination are one mailbox: {0}")]
    OneMailbox(String),
    /// A signal asked to stop.
    #[error("stopped as asked")]
    Stopped,
    /// More items than the manifest allows.
    #[error("more than {0} items")]
    TooManyItems(u64),
}

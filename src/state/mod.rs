//! State: links between messages, ownership, and the journal of what was sent.
//!
//! For copying it is a cache: without it a run is slower, never wrong. For ownership, and for
//! settling interrupted appends beyond what matching sees, it is a record. One database for each
//! account pair, locked while in use.
//!
//! # In, out
//!
//! [`Place`] finds the database of an account pair in the state folder and locks it;
//! [`SqliteState`] is what it holds. [`same_account`] judges what was recorded of an account against
//! what is seen; [`lock_destination`] keeps a second run off the same destination.
//!
//! # Never
//!
//! * Never talks to a server, and never decides what is done.
//! * Never acknowledges an intent that is not on disk.
//! * Never makes a file that others can read.

mod database;
mod days;
#[cfg(any(test, feature = "testing"))]
mod effects;
mod files;
mod intents;
#[cfg(any(test, feature = "testing"))]
pub mod memory;
mod place;
mod port;
mod rows;
mod schema;
mod shared;
mod sqlite;
#[cfg(test)]
mod suite;
mod value;
mod witness;

pub use days::DayCounts;
pub use place::{DestinationLock, OpenedPair, PairNames, PairRecord, Place, lock_destination};
pub use port::{
    FolderId, FolderKey, Intent, IntentId, Item, Link, OpenIntent, Outcome, Owned, RunId, State,
    StateError, StoredCopy,
};
pub use shared::SharedState;
pub use sqlite::SqliteState;
pub use witness::{Verdict, same_account};

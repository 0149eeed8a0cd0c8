//! Reads either side through the ports into what matching and planning look at.
//!
//! # In, out
//!
//! In: a session, the rules for names, and state as a cache of headers read before. Out: the folders
//! of an account with what proves it to be that account ([`tree`]), whether the two ends are distinct
//! ([`distinct()`]), a folder as it is now ([`open`]), the links that still hold ([`links`]), its
//! messages ([`rows()`]), and further evidence about some of them ([`headers`], [`received`],
//! [`content`], [`dates`]), which [`decide()`] reads as a matcher asks for it.
//!
//! # Never
//!
//! * Never changes anything on a server: it holds a [`Look`](crate::store::Look) or a
//!   [`Source`](crate::store::Source), which cannot.
//! * Never trusts a cached header or a link of a folder that may be another one than before.
//! * Never decides which messages are equal, and never what is done.

mod account;
mod company;
mod decide;
mod distinct;
mod evidence;
mod folder;
mod link;
mod rows;
mod sample;
mod survey;
#[cfg(test)]
mod tests;

pub use account::{SideSeen, meet, tree};
pub(crate) use account::{WITNESS_FOLDERS, witness_order};
pub use company::{alone, note_company};
pub use decide::{Wires, decide};
pub use distinct::{Ends, SameBy, distinct, meet_both, two};
pub use evidence::{FallbackDates, content, dates, headers, received};
pub use folder::{Opened, Relinked, RelinkedWhy, open};
pub use link::links;
pub use rows::{FolderRows, HeaderUse, keys, rows};
pub use survey::{Expected, Glimpse, Glimpses, KnownBy, Outline};

use crate::state::StateError;
use crate::store::StoreError;

/// A fault of inspection: of the server, or of state.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The server or the connection.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// State cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

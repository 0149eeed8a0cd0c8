//! A mail server in memory, for tests of everything above the ports.
//!
//! # In, out
//!
//! A [`MemoryServer`] is a handle that tests share with any number of sessions: through
//! [`with`](MemoryServer::with) they fill and read the [`Account`] as its other clients and its
//! administrator would, and through the faults they make it lose connections and replies, store late,
//! refuse, and lie. Sessions implement the ports. Every operation is logged, and every effect counted.
//!
//! # Never
//!
//! * Never is part of a program that is shipped: it stands behind the feature `testing`.
//! * Never helps the caller: what a real server leaves out or gets wrong can be left out and got
//!   wrong here.

mod account;
mod append;
mod fault;
mod field;
mod log;
mod search;
mod server;
mod session;
#[cfg(test)]
mod tests;

pub use account::{Account, Folder, Gives, Mail, Options, RowOrder, wire};
pub use fault::{AppendUidLie, Arrival, Incoming, Loss, RefusedMessage, Then, UidNextLie};
pub use log::Operation;
pub use server::{MemoryConnector, MemoryServer};
pub use session::MemorySession;

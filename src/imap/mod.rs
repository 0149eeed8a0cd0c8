//! The adapter that speaks IMAP (RFC 3501, RFC 9051) over TCP and TLS.
//!
//! # In, out
//!
//! In: calls of the ports in [`crate::store`]. Out: values of [`crate::mail`]; no wire text, quoting,
//! tag or encoding leaves this module.
//!
//! # Never
//!
//! * Never believes a server: every line, literal, wait and trickle is bounded.
//! * Never sends text of a message, a server or a person inside a command except as a whitelisted
//!   value, a quoted string or a literal.
//! * Never uses a connection after anything but OK, NO or BAD.

mod ability;
mod ahead;
#[cfg(test)]
mod ahead_tests;
mod append;
#[cfg(test)]
mod behind_tests;
mod blocks;
mod change;
mod clean;
mod command;
mod compress;
mod connect;
mod deflate;
mod fetch;
mod flags;
mod gated;
mod greet;
#[cfg(test)]
mod greet_tests;
mod known;
mod login;
mod look;
#[cfg(test)]
mod look_tests;
mod lot;
mod open;
#[cfg(test)]
mod opening_tests;
mod pace;
mod paced;
mod port;
mod reader;
mod records;
mod request;
#[cfg(test)]
mod script;
#[cfg(test)]
mod scripted;
mod search;
mod server;
mod session;
#[cfg(test)]
mod session_tests;
mod socket;
mod tap;
mod tls;
mod wire;

#[cfg(feature = "testing")]
pub use reader::is_understood;

pub use port::Adds;
pub use port::Connector;
pub use port::ImapDestination;
pub use port::ImapSource;
pub use port::Port;
pub use port::Reads;
pub use server::Compress;
pub use server::EmptyAppend;
pub use server::Server;
pub use server::TlsMode;
pub use server::Trust;

//! What is known beforehand of kinds of servers: the built-in profiles, and how profiles stand on
//! each other.
//!
//! # In, out
//!
//! In: the name that a manifest gives, and the heads of all profiles that are known. Out: the profiles
//! to take, in the order of their layers. The texts of the built-in ones are TOML in the binary.
//!
//! # Never
//!
//! * Never chooses a profile by itself; a server's greeting is no reason.
//! * Never reads a file: the manifest's edge does, and hands in what it found.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod builtin;
mod chain;

pub use builtin::{BUILTIN, Builtin, GENERIC, builtin};
pub use chain::{ChainFault, Head, Reference, Why, chain};

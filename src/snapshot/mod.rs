//! What was seen on one side: its folders under their canonical names, and the messages of one
//! folder in packed form.
//!
//! # In, out
//!
//! Listings and rows as the ports told them go in; [`FolderTree`] and [`Rows`] come out, and are what
//! matching and planning look at.
//!
//! # Never
//!
//! * Never knows where it came from, and never asks a server.
//! * Never drops a folder in silence: each row of a listing is a folder or is left out with a reason.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod entry;
mod tree;

pub use entry::{Entry, FlagTable, FlagsId, Row, Rows};
pub use tree::{Folder, FolderTree, NoName, Outside, OutsideWhy, folded};

//! Proves that source and destination are equal, or lists every difference.
//!
//! # In, out
//!
//! In: the rules, both sides as ports that only read, and the open items. Out: counts for each folder
//! and every difference ([`Verified`]). Both sides are listed and matched afresh: state is never
//! asked.
//!
//! # Never
//!
//! * Never changes anything: it holds no port that could.
//! * Never says equal of a folder that it could not read whole.

mod compare;
mod folder;
mod run;

pub use run::{Depth, Known, Verified, VerifyFault, verify};

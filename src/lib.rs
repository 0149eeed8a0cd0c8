//! mailferry moves mailboxes between IMAP servers: one way, incremental, without loss and without
//! duplicates. A manifest declares, a planner compares and writes a plan, the plan is applied.
//!
//! ```text
//! manifest -> resolve -> rule --+
//!    file     profile           +-> matching, planner -> plan -> apply -> store <= imap -> servers
//! servers -> inspect -> snapshot+                          |       +---> state -> next plan, next apply
//!                                                          +-> report -> people, --json
//! ```
//!
//! The core does no input or output and cannot fail: `mail`, `identity`, `snapshot`, `rule`,
//! `profile`, `resolve`, `matching`, `plan`, `planner`. `docs/architecture.md` has the map and the
//! invariants.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may fail by panicking"))]

pub mod apply;
pub mod cli;
pub mod identity;
pub mod imap;
pub mod inspect;
pub mod limit;
pub mod mail;
pub mod manifest;
pub mod matching;
pub mod plan;
pub mod planner;
pub mod planning;
pub mod profile;
pub mod report;
pub mod resolve;
pub mod rule;
pub mod session;
pub mod snapshot;
pub mod state;
pub mod store;
pub mod verify;

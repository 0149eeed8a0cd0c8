//! From a manifest as written, all layers in one, to migrations in which nothing is left unsaid.
//!
//! # In, out
//!
//! In: the joined model with its defaults, the places that values came from, and the time. Out: one
//! [`Migration`] for each account pair (at first exactly one), or every fault across keys.
//!
//! # Never
//!
//! * Never reads a file, the environment or the clock; the lint below holds it to that.
//! * Never stops at the first fault.
//! * Never sees a password: only where one is.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod defaults;
mod digest;
mod endpoint;
mod fault;
mod folders;
mod limits;
mod messages;
mod migration;

pub use defaults::with_defaults;
pub use fault::{On, RuleFault};
pub use limits::{EndpointLimits, RunLimits};
pub use migration::{
    Endpoint, ErrorRules, ForeignValue, Given, Migration, Resolution, SecretSource, Tls, resolve,
};

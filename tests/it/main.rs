//! Everything that is tested from outside of the library, in one binary.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod apply;
mod architecture;
mod benchmark;
mod cli;
mod docs;
mod drip;
mod examples;
mod faults;
mod ground;
mod imap_ground;
mod layers;
mod literals;
mod lockfile;
mod looking;
mod manifests;
mod memory_ground;
mod order;
mod plan_file;
mod planning_memory;
mod real;
mod schemas;
mod screens;
mod secrets;
mod store_suite;
mod suite;
mod support;
mod trust;

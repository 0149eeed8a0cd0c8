//! Parts that are run once for each message, measured alone: `cargo bench --bench micro [FILTER]`.
#![expect(clippy::unwrap_used, reason = "a measurement may fail by panicking")]

mod header;
mod journal;
mod matching;
mod plan;
mod reading;

fn main() {
    divan::main();
}

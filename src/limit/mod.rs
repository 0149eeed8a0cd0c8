//! How hard servers may be pressed: rates, connections, logins, octets of a day, pauses that a server
//! asks for.
//!
//! # In, out
//!
//! In: what a manifest allows ([`Bounds`]), a clock, the wish to stop. Out: a [`Gate`] for each account
//! at each server, which everybody who speaks to that account passes, on whatever connection.
//!
//! # Never
//!
//! * Never lets more pass in any span of time than the rate for that span and one burst.
//! * Never waits without hearing a wish to stop, except for the little that finishes what is in flight.
//! * Never takes a clock that was put back for a new day.

mod bucket;
mod day;
mod gate;
mod host;
mod logins;
mod run;
#[cfg(test)]
pub(crate) mod simulated;

pub use bucket::{Bucket, Rate};
pub use day::{Book, Day, Row, Taken};
pub use gate::{Bounds, Gate, Halt, Slot, Turn};
pub use run::{Limits, RunBounds, SharedClock, Tell, Wait, Waited, Why};

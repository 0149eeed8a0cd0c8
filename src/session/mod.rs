//! Sessions that outlive their connections, the clock, and the wish to stop.
//!
//! # Never
//!
//! * Never tries a refused login again.
//! * Never waits without hearing a wish to stop.

mod clock;
mod held;
mod reading;

pub use clock::{Clock, Stop, SystemClock, Wish};
pub use held::{Held, NoSession, Patience, begin_both, sleep};
pub use reading::{Ends, Reading, Trouble, at, persist};

//! Makes a plan: both sides are read, matched and compared, folder group by folder group, and every
//! action is written down as it is found. Most groups are read in passing, with others asked for
//! behind them; those that need more are read by themselves.
//!
//! # In, out
//!
//! In: the rules, both sides as ports that only read, state as a cache. Out: the lines of a plan.
//!
//! # Never
//!
//! * Never changes anything on a server: it holds no port that could.
//! * Never holds more than one folder group, few folders on the way to it, and of one tour the lines that
//!   wait for dates.

mod dates;
mod draft;
mod ended;
mod group;
mod make;
mod queue;
mod tour;

pub use make::{About, Forecast, Order, Planned, PlanningFault, make};

//! Everything that people and machines read: screens, progress lines, faults, JSON documents.
//!
//! # In, out
//!
//! In: a plan's lines, what `apply` and `verify` found, as plain data. Out: text on a writer that
//! the caller gives, at most as wide as its [`Screen`].
//!
//! # Never
//!
//! * Never decides anything, and never talks to a server.
//! * Never lets text of a server or message reach a terminal unescaped.
//! * Never says anything in colour alone.

mod apply_screen;
mod items;
mod json;
pub mod model;
mod next;
mod overview;
mod plan_screen;
mod problem;
mod progress;
mod screen;
mod show;
mod show_messages;
mod table;
mod text;
mod verify_screen;

pub use apply_screen::apply_summary;
pub use items::items;
pub use json::{Body, Document, document_schema, write_json};
pub use next::Next;
pub use overview::{BlockedLine, CreatedFolder, Overview};
pub use plan_screen::{PlanView, Saved, plan_screen};
pub use problem::{Detail, Problem};
pub use progress::ProgressLines;
pub use screen::{Colour, Screen, Symbol};
pub use show::{ShowDetail, ShowFault, show};
pub use text::{
    columns, count, counted, duration, escape, escape_octets, estimate, fit, rate, size, wrap,
};
pub use verify_screen::verify_screen;

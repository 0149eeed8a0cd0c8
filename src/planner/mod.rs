//! Decides what is to be done: which folders go where, which messages are copied, which flags change.
//!
//! # In, out
//!
//! Rules, the folders of both sides and, a folder group at a time, what matching found go in. Out come
//! groups of folders, and actions one by one, so that no plan is ever held whole.
//!
//! # Never
//!
//! * Never fails, and never drops a folder or message in silence: what cannot or must not go has a
//!   reason.
//! * Never plans to take a flag away without knowing what was there when both sides last agreed, and
//!   never to set `\Deleted` on a message that is there, unless the author asks for it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod flag;
mod folder;
mod message;
mod name;
mod recipe;
mod select;
#[cfg(test)]
mod tests;

pub use flag::Agreed;
pub use folder::{
    FolderPlan, Group, GroupSource, NewFolder, Subscription, UnusedRule, plan_folders,
};
pub use message::{
    GroupFacts, is_empty_and_left_out, mark_left_out, matching_options, newly_agreed, plan_group,
};
pub use recipe::RecipeTable;

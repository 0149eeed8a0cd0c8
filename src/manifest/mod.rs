//! The manifest as an author writes it: files, variables and `--set` in, migrations or faults out.
//!
//! # In, out
//!
//! In: a path, the environment, the values of `--set`, the time. Out: [`Loaded`], or [`Faults`], which
//! holds every fault at once. Each layer is walked against the schema that is made from the types in
//! [`model`]; figment puts the layers one above the other; `resolve` looks across keys.
//!
//! # Never
//!
//! * Never contacts anything.
//! * Never shows a secret, nor a value that came from a variable or from `--set` in a fault.
//! * Never panics on what a file holds.
//! * Never reads a secret before it is asked for: [`secret`] does, and nothing else.

mod document;
mod fault;
mod foreign;
mod layer;
mod load;
pub mod model;
mod profiles;
#[cfg(test)]
mod reference;
pub mod render;
mod scan;
mod schema;
pub mod secret;
mod suggest;
mod syntax;
mod text;
mod unbuilt;
mod value;
mod walk;

pub use document::Excerpt;
pub use fault::{Fault, Faults, Place, Spot};
pub use load::{LoadRequest, Loaded, load, load_with};
pub use schema::schema;
pub use value::ValueFault;

//! Carries out a plan.
//!
//! # In, out
//!
//! In: a plan that was checked whole, the ports of both sides, state. Out: what was done and what
//! needs a reader ([`Applied`]).
//!
//! # How exactly once comes about
//!
//! The destination is the truth, the journal only saves work. An intent is on disk before the first
//! octet of its message leaves. Whenever a folder is opened, everything at or above its watermark that
//! no link explains is compared with what is still to be copied (`settle`). So a lost reply, a kill,
//! deleted state and a second machine are one case with one piece of code.
//!
//! # Never
//!
//! * Never sees a rule or a manifest: what is done stands in the plan.
//! * Never writes to the source: it is given no method to do so.
//! * Never sends a message again before it has looked, nor while the first one may still arrive.

mod book;
mod copy;
mod dating;
mod event;
mod fatal;
mod feeder;
mod flags;
mod folders;
mod group;
mod known;
mod lanes;
mod look;
mod meet;
mod outlet;
mod pairing;
mod pass;
mod pipe;
mod placing;
mod quota;
mod readback;
mod run;
mod settings;
mod settle;
mod spelling;
mod surplus;
mod tally;
mod visit;
mod wave;
mod work;

pub use event::{Event, Unwatched, Watch};
pub use fatal::Fatal;
pub use run::{Ends, Only, Surroundings, apply};
pub use settings::Settings;
pub use tally::{Applied, Note};
pub use work::Work;

use crate::store::StoreError;

/// What a server said, safe to show and to keep.
fn said(error: &StoreError) -> String {
    match error {
        StoreError::Refused(refusal) | StoreError::Login(refusal) => escape(&refusal.to_string()),
        other => escape(&other.to_string()),
    }
}

/// Writes control characters as visible escapes and cuts what is endless. Bidi marks and the rest of
/// what a terminal may trip over are escaped where text is shown.
fn escape(text: &str) -> String {
    let cut = text.chars().take(300);
    cut.flat_map(|character| {
        let control = character.is_control();
        let escaped = control.then(|| character.escape_default());
        let plain = (!control).then_some(character);
        escaped.into_iter().flatten().chain(plain)
    })
    .collect()
}

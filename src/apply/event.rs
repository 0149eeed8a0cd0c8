//! What a run tells while it goes on.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::mail::{FolderName, Side};
use crate::plan::{PlanId, Totals};
use crate::state::Item;

/// One thing that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The plan was found whole and both sides are logged in.
    Started {
        /// The plan's name.
        plan: &'a PlanId,
        /// What it comes to.
        totals: &'a Totals,
    },
    /// A folder pair begins.
    Folder {
        /// The source folder.
        source: &'a FolderName,
        /// Messages still to copy.
        messages: u64,
        /// Their octets.
        octets: u64,
    },
    /// Messages were found to be there already.
    Found {
        /// How many.
        messages: u64,
        /// Their octets, as far as they are known.
        octets: u64,
    },
    /// One message was copied.
    Copied {
        /// Its octets.
        octets: u64,
    },
    /// Something needs a reader.
    Item(&'a Item),
    /// A folder pair is done.
    FolderDone {
        /// The source folder.
        source: &'a FolderName,
        /// How many messages were copied in this run.
        copied: u64,
        /// How many items it has.
        items: u64,
    },
    /// A connection was lost and is made anew.
    Reconnecting {
        /// Which.
        side: Side,
        /// Why.
        why: &'a str,
        /// After this long.
        after: Duration,
    },
    /// The run waits.
    Waiting {
        /// For what, such as `an append without a reply may still arrive`.
        why: &'a str,
        /// How long.
        time: Duration,
    },
}

/// Takes events. Must not fail; what it does is of no consequence to the run.
pub trait Watch: Send {
    /// Takes one.
    fn event(&mut self, event: &Event<'_>);
}

/// Takes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn event(&mut self, _: &Event<'_>) {}
}

/// A watcher that several threads tell. A shared reference of it is a watcher itself.
pub(super) struct SharedWatch<'s>(Mutex<&'s mut dyn Watch>);

impl<'s> SharedWatch<'s> {
    pub(super) fn new(watch: &'s mut dyn Watch) -> Self {
        Self(Mutex::new(watch))
    }
}

impl Watch for &SharedWatch<'_> {
    fn event(&mut self, event: &Event<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).event(event);
    }
}

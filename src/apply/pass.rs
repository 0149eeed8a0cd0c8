//! One pass: some messages of one folder pair, read and appended at the same time.

use std::collections::BTreeMap;
use std::thread;

use crate::apply::feeder::{Fed, Feeder};
use crate::apply::outlet::{Outlet, Passed, Target};
use crate::apply::pipe::Pipe;
use crate::apply::run::Both;
use crate::mail::{InternalDate, PermanentFlags, Timestamp, Uid, UidSet, WireName};
use crate::plan::Recipe;
use crate::state::StateError;
use crate::store::{AppendOutcome, FetchOutcome, StoreError};

/// What a pass works on.
pub(super) struct Pass<'a> {
    pub source_wire: &'a WireName,
    pub uids: &'a UidSet,
    pub recipe: &'a Recipe,
    pub permanent: &'a PermanentFlags,
    pub dates: &'a BTreeMap<Uid, InternalDate>,
    pub target: Target,
    /// How many of the first messages are kept for reading back.
    pub keep: usize,
    pub memory: usize,
    pub now: Timestamp,
}

/// How a pass ended, on both sides.
pub(super) struct Ended {
    pub fed: Fed,
    pub fetched: Result<FetchOutcome, StoreError>,
    pub passed: Passed,
    pub appended: Result<AppendOutcome, StoreError>,
}

impl Pass<'_> {
    /// Runs it: one thread reads, this one writes.
    ///
    /// # Errors
    ///
    /// The journal's own: nothing more may be sent.
    pub(super) fn run(&self, both: Both<'_>) -> Result<Ended, StateError> {
        let Both { source, destination, state, watch, stop, quota } = both;
        let pipe = Pipe::new(self.memory);
        let room = self.uids.len();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                // Whatever happens in here, the writer must not wait for ever.
                let _closing = Closing(&pipe);
                let mut feeder =
                    Feeder::new(&pipe, self.recipe, self.permanent, self.now, self.dates);
                let fetched = source.fetch(self.source_wire, self.uids, &mut feeder);
                (feeder.finish(), fetched)
            });
            let mut outlet = Outlet::new(
                &pipe,
                state,
                watch,
                stop,
                self.target.clone(),
                quota,
                (room, self.keep),
            );
            let appended = destination.append(&mut outlet);
            pipe.abandon();
            let passed = outlet.finish();
            let (fed, fetched) = match reader.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            Ok(Ended { fed, fetched, passed: passed?, appended })
        })
    }
}

/// Closes the pipe when the reader ends, by whatever way.
struct Closing<'a>(&'a Pipe);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

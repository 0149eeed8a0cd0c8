//! One pass: messages of one or many folder pairs, read and appended at the same time.

use std::collections::BTreeMap;
use std::thread;

use crate::apply::feeder::{Fed, Feeder};
use crate::apply::outlet::{Company, Outlet, Passed};
use crate::apply::pipe::Pipe;
use crate::apply::placing::{Placing, Target};
use crate::mail::{
    InternalDate, MailboxId, PermanentFlags, Timestamp, Uid, UidSet, UidValidity, WireName,
};
use crate::plan::Recipe;
use crate::state::{FolderId, RunId, StateError};
use crate::store::{AppendOutcome, Destination, FetchOutcome, Source, StoreError, Visit};

/// Messages of one folder pair that share a recipe.
pub(super) struct Leg<'a> {
    pub source_wire: &'a WireName,
    pub source_folder: FolderId,
    /// What identifies the source folder.
    pub source_identity: (UidValidity, Option<&'a MailboxId>),
    pub uids: UidSet,
    pub recipe: &'a Recipe,
    /// What the destination folder keeps, as it said when it was opened in this run.
    pub permanent: &'a PermanentFlags,
    /// Neighbours' dates, for messages that have none.
    pub dates: &'a BTreeMap<Uid, InternalDate>,
    /// In what company messages go that were refused in a larger one.
    pub company: &'a BTreeMap<Uid, u32>,
    /// The number of its destination folder in the pass.
    pub target: usize,
    /// How many of the first messages are kept for reading back.
    pub keep: usize,
}

/// How the source is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// One leg, whose folder is open and was found to be the one that the plan means: every message is
    /// asked for until its fate is known.
    Insisting,
    /// All legs at one go. What does not come is left for another pass.
    Touring,
}

/// What a pass works on.
pub(super) struct Pass<'a> {
    pub legs: &'a [Leg<'a>],
    pub targets: Vec<Target>,
    pub reading: Reading,
    pub run: RunId,
    /// Octets of messages in flight between the two ends.
    pub memory: usize,
    pub now: Timestamp,
}

/// What became of one leg.
pub(super) struct LegEnded {
    pub fed: Fed,
    /// What came and what did not; nothing where the folder was not visited, or is another one.
    pub fetched: Option<FetchOutcome>,
    pub passed: Passed,
}

/// How a pass ended, on both sides.
pub(super) struct Ended {
    pub legs: Vec<LegEnded>,
    pub placings: Vec<Placing>,
    pub cut_short: bool,
    pub fetched: Result<(), StoreError>,
    pub appended: Result<AppendOutcome, StoreError>,
}

impl Pass<'_> {
    /// Runs it: one thread reads, this one writes.
    ///
    /// # Errors
    ///
    /// The journal's own: nothing more may be sent.
    pub(super) fn run(
        self,
        source: &mut (dyn Source + 'static),
        destination: &mut (dyn Destination + 'static),
        with: Company<'_>,
    ) -> Result<Ended, StateError> {
        let Self { legs, targets, reading, run, memory, now } = self;
        let Company { state, watch, stop, quota } = with;
        let pipe = Pipe::new(memory);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                // Whatever happens in here, the writer must not wait for ever.
                let _closing = Closing(&pipe);
                let mut feeder = Feeder::new(&pipe, legs, now);
                let fetched = read(source, legs, reading, &mut feeder);
                (feeder.finish(), fetched)
            });
            let with = Company { state: &mut *state, watch: &mut *watch, stop, quota };
            let mut outlet = Outlet::new(&pipe, legs, targets, run, with);
            let appended = destination.append(&mut outlet);
            pipe.abandon();
            let poured = outlet.finish();
            let (fed, fetched) = match reader.join() {
                Ok(read) => read,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            let poured = poured?;
            let legs = fed
                .into_iter()
                .zip(poured.legs)
                .map(|((fed, fetched), passed)| LegEnded { fed, fetched, passed })
                .collect();
            let (placings, cut_short) = (poured.placings, poured.cut_short);
            Ok(Ended { legs, placings, cut_short, fetched, appended })
        })
    }
}

fn read(
    source: &mut dyn Source,
    legs: &[Leg<'_>],
    reading: Reading,
    feeder: &mut Feeder<'_>,
) -> Result<(), StoreError> {
    match (reading, legs) {
        (Reading::Insisting, [leg]) => {
            let outcome = source.fetch(leg.source_wire, &leg.uids, feeder)?;
            feeder.came(outcome);
            Ok(())
        }
        _ => {
            let visits: Vec<Visit<'_>> =
                legs.iter().map(|leg| Visit { folder: leg.source_wire, uids: &leg.uids }).collect();
            source.fetch_visits(&visits, feeder)
        }
    }
}

/// Closes the pipe when the reader ends, by whatever way.
struct Closing<'a>(&'a Pipe);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

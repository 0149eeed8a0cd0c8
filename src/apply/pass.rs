//! One pass: messages of one or many folder pairs, read and appended at the same time.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use crate::apply::feeder::{Fed, Feeder};
use crate::apply::outlet::{Company, Outlet, Passed, Poured};
use crate::apply::pipe::Pipe;
use crate::apply::placing::{Placing, Target};
use crate::mail::{
    FlagSet, InternalDate, MailboxId, Timestamp, Uid, UidOrder, UidSet, UidValidity, WireName,
};
use crate::plan::Recipe;
use crate::state::{FolderId, RunId, StateError};
use crate::store::{
    AppendOutcome, Destination, FetchOutcome, Source, StoreError, Survey, Visit, VisitSink,
};

/// Messages of one folder pair that share a recipe.
pub(super) struct Leg<'a> {
    /// The positions of its destination folder among those of the pass, and of its pair there.
    pub place: (usize, usize),
    pub source_wire: WireName,
    pub source_folder: FolderId,
    /// What identifies the source folder.
    pub source_identity: (UidValidity, Option<MailboxId>),
    pub uids: UidSet,
    pub order: UidOrder,
    pub recipe: &'a Recipe,
    /// Flags that its messages, and maybe others of its pair, had when the plan was made, and are to get.
    pub flags: FlagSet,
    /// Neighbours' dates, for messages that have none.
    pub dates: BTreeMap<Uid, InternalDate>,
    /// In what company messages go that were refused in a larger one.
    pub company: BTreeMap<Uid, u32>,
    /// How many of the first messages are kept for reading back.
    pub keep: usize,
}

impl Leg<'_> {
    /// The flags, one by one: a server may understand one and not another.
    pub(super) fn each_flag(&self) -> impl Iterator<Item = FlagSet> + '_ {
        self.flags.iter().map(|flag| [flag.clone()].into_iter().collect())
    }

    fn visit(&self) -> Visit<'_> {
        Visit { folder: &self.source_wire, uids: &self.uids, order: self.order }
    }
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
    pub reading: Reading,
    pub run: RunId,
    pub now: Timestamp,
}

/// What was read, by leg: what is left of each, and what came of it. The latter lacks where the folder
/// was not visited to its end, or is another one.
pub(super) struct Read {
    legs: Vec<(Fed, Option<FetchOutcome>)>,
    fetched: Result<(), StoreError>,
}

/// What was written.
pub(super) struct Written {
    poured: Poured,
    appended: Result<AppendOutcome, StoreError>,
}

impl Written {
    /// Tells whether the connection was lost over it.
    pub(super) const fn is_lost(&self) -> bool {
        self.appended.is_err()
    }

    /// Tells whether it ended since much came that had nowhere to go.
    pub(super) const fn was_for_nobody(&self) -> bool {
        self.poured.is_for_nobody
    }
}

/// What became of one leg.
pub(super) struct LegEnded {
    pub fed: Fed,
    pub fetched: Option<FetchOutcome>,
    pub passed: Passed,
    /// Where its messages were placed; nothing where none was handed out.
    pub placing: Option<Placing>,
}

/// How a pass ended, on both sides.
pub(super) struct Ended {
    pub legs: Vec<LegEnded>,
    pub cut_short: bool,
    pub fetched: Result<(), StoreError>,
    pub appended: Result<AppendOutcome, StoreError>,
}

/// Reads these passes, one after the other, in a thread of its own while `write` runs in this one,
/// which takes what was read of each when it is through with it. It empties the pipe or gives it up.
pub(super) fn read_beside<T>(
    passes: &[Pass<'_>],
    memory: usize,
    source: &mut dyn Source,
    write: impl FnOnce(&Pipe, &Reads) -> T,
) -> T {
    let pipe = Pipe::new(memory);
    thread::scope(|scope| {
        let (tell, reads) = mpsc::channel();
        let reader = scope.spawn(|| {
            // Whatever happens in here, the writer must not wait for ever.
            let (_closing, tell) = (Closing(&pipe), tell);
            for pass in passes {
                let (read, goes_on) = pass.read(&pipe, source);
                // Who takes no more needs no more.
                if tell.send(read).is_err() || !goes_on || !pipe.end_part() {
                    break;
                }
            }
        });
        let abandoning = Abandoning(&pipe);
        let written = write(&pipe, &Reads(reads));
        drop(abandoning);
        match reader.join() {
            Ok(()) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// What was read of each pass, in order.
pub(super) struct Reads(mpsc::Receiver<Read>);

impl Reads {
    /// What was read of the next pass, which is this one. Waits until it was read; nothing was, where
    /// reading ended before.
    pub(super) fn of(&self, pass: &Pass<'_>) -> Read {
        self.0.recv().unwrap_or_else(|_| Read {
            legs: pass.legs.iter().map(|_| (Fed::default(), None)).collect(),
            fetched: Ok(()),
        })
    }
}

impl Pass<'_> {
    /// Reads into the pipe; tells besides whether the source may be asked for more.
    fn read(&self, pipe: &Pipe, source: &mut dyn Source) -> (Read, bool) {
        let mut feeder = Feeder::new(pipe, self.legs, self.now);
        let fetched = self.fetch(source, &mut feeder);
        let goes_on = fetched.is_ok() && !feeder.is_stopped();
        (Read { legs: feeder.finish(), fetched }, goes_on)
    }

    fn fetch(&self, source: &mut dyn Source, feeder: &mut Feeder<'_>) -> Result<(), StoreError> {
        match (self.reading, self.legs) {
            (Reading::Insisting, [leg]) => {
                let outcome = source.fetch(&leg.visit(), feeder)?;
                feeder.came(outcome);
                Ok(())
            }
            (_, legs) => {
                let visits: Vec<Visit<'_>> = legs.iter().map(Leg::visit).collect();
                source.fetch_visits(&visits, feeder)
            }
        }
    }

    /// Appends what comes out of the pipe, and looks at `behind` as soon as all is sent. Messages of a
    /// folder without a target go nowhere, and are still to be done.
    ///
    /// # Errors
    ///
    /// The journal's own: nothing more may be sent.
    pub(super) fn write(
        &self,
        pipe: &Pipe,
        targets: Vec<Option<Target>>,
        destination: &mut dyn Destination,
        behind: Option<(&[Survey<'_>], &mut dyn VisitSink)>,
        with: Company<'_>,
    ) -> Result<Written, StateError> {
        let Company { state, watch, stop, quota } = with;
        let with = Company { state: &mut *state, watch: &mut *watch, stop, quota };
        let mut outlet = Outlet::new(pipe, self.legs, targets, self.run, with);
        let appended = match behind {
            Some((folders, sink)) => destination.append_and_survey(&mut outlet, folders, sink),
            None => destination.append(&mut outlet),
        };
        Ok(Written { poured: outlet.finish()?, appended })
    }
}

/// Puts both ends together.
pub(super) fn ended(legs: &[Leg<'_>], read: Read, written: Written) -> Ended {
    let Written { poured, appended } = written;
    let Poured { legs: passed, placings, cut_short, .. } = poured;
    let legs = legs
        .iter()
        .zip(read.legs)
        .zip(passed)
        .map(|((leg, (fed, fetched)), passed)| {
            let placing = placings.get(leg.place.0).cloned().flatten();
            LegEnded { fed, fetched, passed, placing }
        })
        .collect();
    Ended { legs, cut_short, fetched: read.fetched, appended }
}

/// Gives the pipe up when the writer ends, by whatever way.
struct Abandoning<'a>(&'a Pipe);

impl Drop for Abandoning<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Closes the pipe when the reader ends, by whatever way.
struct Closing<'a>(&'a Pipe);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

//! Going through many folders at one go, so that their round trips are paid together.

use crate::mail::{Uid, UidOrder, UidSet, WireName};
use crate::store::error::StoreError;
use crate::store::fetch::{FetchOutcome, FetchSink, Flow, Items, RowHead};
use crate::store::look::FolderState;
use crate::store::{Chunk, Look, Source};

/// One folder of a tour, and which of its messages are asked for; none, if it is only to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Its name in the server's octets.
    pub folder: &'a WireName,
    /// What is asked for.
    pub uids: &'a UidSet,
    /// In which order they are to come.
    pub order: UidOrder,
}

impl<'a> Visit<'a> {
    /// Asks for these, the oldest first.
    #[must_use]
    pub const fn new(folder: &'a WireName, uids: &'a UidSet) -> Self {
        Self { folder, uids, order: UidOrder::OldestFirst }
    }
}

/// What is asked of some messages of an open folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Which messages.
    pub uids: UidSet,
    /// What of each.
    pub items: Items,
}

/// One folder of a tour that looks, and what is asked of it while it is open; nothing, if it is only to
/// be opened. No message is in two parts.
#[derive(Clone, Copy, Debug)]
pub struct Survey<'a> {
    /// Its name in the server's octets.
    pub folder: &'a WireName,
    /// What is asked for.
    pub parts: &'a [Part],
}

/// Takes what a tour brings, one visit after the other, in the order in which they were given. Rows
/// come between [`opened`](Self::opened) and [`left`](Self::left) of their visit.
///
/// A tour is quick and does not insist: what did not come is listed as
/// [`MissingWhy::NotAsked`](crate::store::MissingWhy::NotAsked), whatever the reason. Whoever needs
/// the reason asks once more, for this folder alone.
pub trait VisitSink: FetchSink {
    /// The folder was opened anew, or could not be. False: its rows are not wanted. Of a folder that
    /// could not be opened nothing more comes.
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool;

    /// The visit is over. Not called after a folder that could not be opened, or is not wanted.
    fn left(&mut self, visit: usize, outcome: FetchOutcome);
}

/// Notes whether a sink asked to stop.
struct Noting<'a> {
    sink: &'a mut dyn VisitSink,
    stopped: bool,
}

impl Noting<'_> {
    fn note(&mut self, flow: Flow) -> Flow {
        self.stopped |= flow == Flow::Stop;
        flow
    }
}

impl FetchSink for Noting<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        let flow = self.sink.begin(uid, head);
        self.note(flow)
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        let flow = self.sink.piece(octets);
        self.note(flow)
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let flow = self.sink.end(uid);
        self.note(flow)
    }
}

/// Opens and scans one folder by itself, as [`Look::survey`] does where nothing is gained by asking
/// for many together.
///
/// # Errors
///
/// As [`Look::survey`].
pub fn survey_alone(
    look: &mut (impl Look + ?Sized),
    number: usize,
    survey: &Survey<'_>,
    sink: &mut dyn VisitSink,
) -> Result<(), StoreError> {
    if !enter(look, number, survey.folder, sink)? {
        return Ok(());
    }
    let mut all = FetchOutcome { complete: true, ..FetchOutcome::default() };
    for part in survey.parts {
        let outcome = match look.scan(survey.folder, &part.uids, part.items, sink) {
            Err(fault) if !fault.connection_is_good() => return Err(fault),
            // What was refused did not come: that is told by what came.
            scanned => scanned.unwrap_or_default(),
        };
        all.complete &= outcome.complete;
        all.missing.extend(outcome.missing);
        all.came.extend(outcome.came.iter());
    }
    all.missing.sort_unstable_by_key(|missing| missing.uid);
    sink.left(number, all);
    Ok(())
}

/// Opens the folder of one visit and reads its messages by itself, as [`Source::fetch_visits`] does where
/// nothing is gained by asking for many together. Tells whether the sink asked to stop.
///
/// # Errors
///
/// As [`Look::survey`].
pub fn fetch_visit(
    source: &mut (impl Source + ?Sized),
    number: usize,
    visit: &Visit<'_>,
    sink: &mut dyn VisitSink,
) -> Result<Flow, StoreError> {
    if !enter(source, number, visit.folder, sink)? {
        return Ok(Flow::Go);
    }
    let mut noting = Noting { sink: &mut *sink, stopped: false };
    let fetched = source.fetch(visit, &mut noting);
    let flow = if noting.stopped { Flow::Stop } else { Flow::Go };
    leave(number, fetched, sink)?;
    Ok(flow)
}

/// Opens the folder of a visit; tells whether its rows are wanted.
fn enter(
    look: &mut (impl Look + ?Sized),
    number: usize,
    folder: &WireName,
    sink: &mut dyn VisitSink,
) -> Result<bool, StoreError> {
    match look.open(folder) {
        Err(fault) if !fault.connection_is_good() => Err(fault),
        Err(fault) => {
            sink.opened(number, Err(fault));
            Ok(false)
        }
        Ok(state) => Ok(sink.opened(number, Ok(state))),
    }
}

/// Tells the sink how a visit ended.
fn leave(
    number: usize,
    ended: Result<FetchOutcome, StoreError>,
    sink: &mut dyn VisitSink,
) -> Result<(), StoreError> {
    match ended {
        Err(fault) if !fault.connection_is_good() => return Err(fault),
        // What was refused did not come: that is told by what came.
        Err(_) => sink.left(number, FetchOutcome::default()),
        Ok(outcome) => sink.left(number, outcome),
    }
    Ok(())
}

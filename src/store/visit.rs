//! Going through many folders at one go, so that their round trips are paid together.

use crate::mail::{UidSet, WireName};
use crate::store::error::StoreError;
use crate::store::fetch::{FetchOutcome, FetchSink};
use crate::store::look::FolderState;

/// One folder of a tour, and which of its messages are asked for; none, if it is only to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Its name in the server's octets.
    pub folder: &'a WireName,
    /// What is asked for.
    pub uids: &'a UidSet,
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

    /// The visit is over. Not called after a folder that could not be opened.
    fn left(&mut self, visit: usize, outcome: FetchOutcome);
}

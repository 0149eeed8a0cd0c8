//! What is seen of folders that are visited one after the other.

use crate::apply::look::{Candidate, Incoming};
use crate::mail::Uid;
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, FolderState, RowHead, StoreError, VisitSink,
};

/// A folder that was looked at, and what is in it; nothing where it could not be opened.
pub(super) type Visited = (Option<FolderState>, Vec<Candidate>);

/// The states of folders that are only opened.
#[derive(Default)]
pub(super) struct States(pub(super) Vec<(usize, Result<FolderState, StoreError>)>);

impl FetchSink for States {
    fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
        Flow::Go
    }

    fn piece(&mut self, _: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

impl VisitSink for States {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.0.push((visit, state));
        true
    }

    fn left(&mut self, _: usize, _: FetchOutcome) {}
}

/// What was read back of each folder.
pub(super) struct Rows {
    pub(super) visits: Vec<Visited>,
    visit: usize,
    row: Incoming,
}

impl Rows {
    pub(super) fn new(visits: usize) -> Self {
        let visits = (0..visits).map(|_| (None, Vec::new())).collect();
        Self { visits, visit: 0, row: Incoming::default() }
    }
}

impl FetchSink for Rows {
    fn begin(&mut self, _: Uid, head: &RowHead) -> Flow {
        self.row.begin(head);
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.row.piece(octets);
        Flow::Go
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let candidate = self.row.end(uid);
        self.visits[self.visit].1.push(candidate);
        Flow::Go
    }
}

impl VisitSink for Rows {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        self.visit = visit;
        self.visits[visit].0 = state.ok();
        self.visits[visit].0.is_some()
    }

    fn left(&mut self, _: usize, _: FetchOutcome) {}
}

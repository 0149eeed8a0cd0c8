//! The look: what is in a window of UIDs of a folder, with fingerprints.

use crate::apply::feeder;
use crate::identity::Fingerprint;
use crate::mail::{FlagSet, Timestamp, Uid, UidSet, WireName};
use crate::store::{Chunk, FetchSink, Flow, HeaderFields, Items, Look, RowHead, StoreError};

/// One message as a look found it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub uid: Uid,
    pub size: Option<u64>,
    pub date: Option<Timestamp>,
    pub flags: FlagSet,
    pub seen: Fingerprint,
}

/// Tells whether a message is kept, by what it is and by its header; may correct what it is.
type Keep<'a> = dyn FnMut(&mut Candidate, &[u8]) -> bool + 'a;

/// Reads facts of the messages in `uids`, and the fingerprints of their headers if `header` asks for
/// them, ascending. A server that returns its last message for a window above it is not believed:
/// only what was asked for counts.
///
/// # Errors
///
/// As [`Look::scan`].
pub(super) fn look(
    store: &mut (impl Look + ?Sized),
    folder: &WireName,
    uids: &UidSet,
    header: HeaderFields,
) -> Result<Vec<Candidate>, StoreError> {
    collect(store, folder, uids, header, &mut |_, _| true)
}

/// As [`look`], with headers; keeps only what is asked for, after a look at the header.
///
/// # Errors
///
/// As [`Look::scan`].
pub(super) fn look_for(
    store: &mut (impl Look + ?Sized),
    folder: &WireName,
    uids: &UidSet,
    keep: &mut Keep<'_>,
) -> Result<Vec<Candidate>, StoreError> {
    collect(store, folder, uids, HeaderFields::Full, keep)
}

fn collect(
    store: &mut (impl Look + ?Sized),
    folder: &WireName,
    uids: &UidSet,
    header: HeaderFields,
    keep: &mut Keep<'_>,
) -> Result<Vec<Candidate>, StoreError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sink = Collect { found: Vec::new(), row: Incoming::default(), keep };
    store.scan(folder, uids, Items { facts: true, header, ..Items::default() }, &mut sink)?;
    let mut found = sink.found;
    found.retain(|candidate| uids.contains(candidate.uid));
    found.sort_unstable_by_key(|candidate| candidate.uid);
    found.dedup_by_key(|candidate| candidate.uid);
    Ok(found)
}

/// A row as it comes, up to the candidate that it is.
#[derive(Default)]
pub(super) struct Incoming {
    head: RowHead,
    header: Vec<u8>,
}

impl Incoming {
    pub(super) fn begin(&mut self, head: &RowHead) {
        self.head = head.clone();
        self.header.clear();
    }

    pub(super) fn piece(&mut self, octets: &[u8]) {
        self.header.extend_from_slice(octets);
    }

    pub(super) fn end(&mut self, uid: Uid) -> Candidate {
        let head = std::mem::take(&mut self.head);
        Candidate {
            uid,
            size: head.size,
            date: head.internal_date.map(crate::mail::InternalDate::instant),
            flags: head.flags,
            seen: feeder::seen(&self.header),
        }
    }
}

struct Collect<'a> {
    found: Vec<Candidate>,
    row: Incoming,
    keep: &'a mut Keep<'a>,
}

impl FetchSink for Collect<'_> {
    fn begin(&mut self, _: Uid, head: &RowHead) -> Flow {
        self.row.begin(head);
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.row.piece(octets);
        Flow::Go
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let mut candidate = self.row.end(uid);
        if (self.keep)(&mut candidate, &self.row.header) {
            self.found.push(candidate);
        }
        Flow::Go
    }
}

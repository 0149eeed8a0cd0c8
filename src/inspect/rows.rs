//! The messages of one folder.

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::Fingerprint;
use crate::identity::fingerprint;
use crate::inspect::InspectError;
use crate::inspect::folder::Opened;
use crate::inspect::sample::scan_headers;
use crate::mail::{InternalDate, Uid, UidSet};
use crate::plan::Observed;
use crate::snapshot::{Entry, Row, Rows};
use crate::state::{FolderId, State, StateError};
use crate::store::{Chunk, FetchSink, Flow, HeaderFields, Items, Look, RowHead};

/// How many digests are kept in state at once.
const BATCH: usize = 2_000;

/// Whether headers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderUse<'a> {
    /// No: the other side is empty, and nothing else needs them.
    None,
    /// The key of every message that is not in state.
    Key,
    /// Likewise, but for these messages, which links tell already.
    KeyExcept(&'a UidSet),
}

/// What was seen of a folder while its messages were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderRows {
    /// Its state, as a plan holds it.
    pub observed: Observed,
    /// Every message of it was told.
    pub complete: bool,
    /// Headers that were asked for and did not come, although the message is there. These messages
    /// have no fingerprint.
    pub withheld: UidSet,
}

/// Reads the messages of an opened folder and adds them to `into`, ascending by UID, under the number
/// `folder` that the folder has in its group.
///
/// All UIDs are asked for, not only those below UIDNEXT: servers tell it wrong. A header that state
/// has is not read again; one that is read is kept there.
///
/// # Errors
///
/// [`InspectError`] of the server or of state; `into` may then hold a part.
pub fn rows(
    look: &mut dyn Look,
    opened: &Opened,
    folder: u16,
    headers: HeaderUse<'_>,
    state: Option<&mut dyn State>,
    into: &mut Rows,
) -> Result<FolderRows, InspectError> {
    let start = into.entries.len();
    let items = Items { facts: true, ..Items::default() };
    let all = UidSet::range(Uid::MIN, Uid::MAX);
    let outcome = look.scan(&opened.wire, &all, items, &mut Facts { folder, into })?;
    into.entries[start..].sort_unstable_by_key(Entry::uid);
    let mut cache = state.zip(opened.id);
    let mut seen = FolderRows {
        observed: observed(opened, &into.entries[start..], outcome.complete),
        complete: outcome.complete,
        withheld: UidSet::new(),
    };
    let linked = match headers {
        HeaderUse::None => None,
        HeaderUse::Key => Some(&UidSet::new()),
        HeaderUse::KeyExcept(linked) => Some(linked),
    };
    if let Some(linked) = linked {
        let mut unknown = match &mut cache {
            Some((state, id)) => from_cache(*state, *id, &mut into.entries[start..])?,
            None => into.entries[start..].iter().map(Entry::uid).collect(),
        };
        unknown = unknown.difference(linked);
        let gone = read_keys(
            look,
            opened,
            &unknown,
            cache.as_mut(),
            &mut into.entries[start..],
            &mut seen,
        )?;
        if !gone.is_empty() {
            let mut at = 0;
            into.entries.retain(|entry| {
                at += 1;
                at <= start || !gone.contains(entry.uid())
            });
        }
    }
    if let (Some((state, id)), Some(told)) = (cache, opened.state.uid_next) {
        state.raise_high_water(id, told, opened.state.highest_mod_seq)?;
    }
    Ok(seen)
}

/// Reads the keys of some messages that [`rows`] has left out, in the entries of their folder, which are
/// ascending by UID. What has gone meanwhile stays without a fingerprint.
///
/// # Errors
///
/// As [`rows`].
pub fn keys(
    look: &mut dyn Look,
    opened: &Opened,
    uids: &UidSet,
    state: Option<&mut dyn State>,
    entries: &mut [Entry],
    seen: &mut FolderRows,
) -> Result<(), InspectError> {
    if uids.is_empty() {
        return Ok(());
    }
    let mut cache = state.zip(opened.id);
    read_keys(look, opened, uids, cache.as_mut(), entries, seen).map(|_gone| ())
}

pub(super) fn observed(opened: &Opened, entries: &[Entry], complete: bool) -> Observed {
    let above = entries.last().map(|entry| entry.uid().next());
    let came = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    Observed {
        uid_validity: opened.state.uid_validity,
        uid_next: opened.state.uid_next.max(above).unwrap_or(Uid::MIN),
        uids_from: above.unwrap_or(Uid::MIN),
        highest_mod_seq: opened.state.highest_mod_seq,
        mailbox_id: opened.state.mailbox_id.clone(),
        messages: if complete { came } else { came.max(opened.state.messages) },
    }
}

/// Takes facts into packed rows.
struct Facts<'a> {
    folder: u16,
    into: &'a mut Rows,
}

impl FetchSink for Facts<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        let date = head.internal_date.map(InternalDate::instant);
        self.into.push(self.folder, Row { uid, size: head.size, date, flags: &head.flags });
        Flow::Go
    }

    fn piece(&mut self, _octets: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _uid: Uid) -> Flow {
        Flow::Go
    }
}

/// Sets the fingerprints that state knows; returns the UIDs of which it knows none.
fn from_cache(
    state: &mut dyn State,
    id: FolderId,
    entries: &mut [Entry],
) -> Result<UidSet, StateError> {
    let mut unknown = UidSet::new();
    let mut at = 0;
    state.digests(id, &mut |uid, digest, basis| {
        while let Some(entry) = entries.get_mut(at)
            && entry.uid() <= uid
        {
            if entry.uid() == uid {
                entry.set_fingerprint(Fingerprint { digest, basis });
            } else {
                unknown.insert(entry.uid());
            }
            at += 1;
        }
    })?;
    unknown.extend(entries.iter().skip(at).map(Entry::uid));
    Ok(unknown)
}

/// Reads the keys of messages; returns the UIDs that are gone meanwhile.
fn read_keys(
    look: &mut dyn Look,
    opened: &Opened,
    unknown: &UidSet,
    mut cache: Option<&mut (&mut dyn State, FolderId)>,
    entries: &mut [Entry],
    seen: &mut FolderRows,
) -> Result<UidSet, InspectError> {
    let mut batch: Vec<(Uid, Digest, Basis)> = Vec::new();
    let mut failed = None;
    let outcome = scan_headers(look, &opened.wire, unknown, HeaderFields::Key, |uid, header| {
        let key = fingerprint(header);
        if let Ok(at) = entries.binary_search_by_key(&uid, Entry::uid) {
            entries[at].set_fingerprint(key);
        }
        let Some((state, id)) = &mut cache else { return Flow::Go };
        batch.push((uid, key.digest, key.basis));
        if batch.len() < BATCH {
            return Flow::Go;
        }
        match state.put_digests(*id, &batch) {
            Ok(()) => {
                batch.clear();
                Flow::Go
            }
            Err(error) => {
                failed = Some(error);
                Flow::Stop
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if let (Some((state, id)), false) = (cache, batch.is_empty()) {
        state.put_digests(*id, &batch)?;
    }
    let absent = unknown.difference(&outcome.came);
    if absent.is_empty() {
        return Ok(absent);
    }
    // A server may give no header of a message that is there: what has a row still is not gone.
    let there = look.scan(&opened.wire, &absent, Items::default(), &mut Nothing)?.came;
    let gone = absent.difference(&there);
    seen.withheld.extend(there.iter());
    Ok(gone)
}

/// Takes rows of which only the UIDs matter.
struct Nothing;

impl FetchSink for Nothing {
    fn begin(&mut self, _uid: Uid, _head: &RowHead) -> Flow {
        Flow::Go
    }

    fn piece(&mut self, _octets: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _uid: Uid) -> Flow {
        Flow::Go
    }
}

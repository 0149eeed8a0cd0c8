//! Folders read in passing: what is asked of each before it is opened, and whether what came suffices.
//!
//! A tour asks for many folders before the first is answered, so what has to be known of a folder is
//! taken from state by its name, and held against what was opened afterwards. Wherever anything is not
//! as it was taken to be, nothing is concluded: the folder is read again by itself, with care.

use std::collections::BTreeMap;

use crate::identity::{Basis, Fingerprint};
use crate::inspect::account::SideSeen;
use crate::inspect::folder::Opened;
use crate::inspect::rows::{FolderRows, observed};
use crate::inspect::sample::{Header, Sampled, choose, judge, keep, print};
use crate::mail::{InternalDate, Uid, UidSet, WireName};
use crate::snapshot::{Entry, Row, Rows};
use crate::state::{FolderId, FolderKey, State, StateError};
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, FolderState, HeaderFields, Items, Part, RowHead,
    StoreError, VisitSink,
};

/// Longest written set of messages of which only the flags are asked for, in octets.
const THIN_OCTETS_MAX: usize = 800;

/// What is asked of a folder in passing.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// The folder that state takes it for.
    guess: Option<FolderId>,
    /// What is to tell whether it is that one.
    known_by: KnownBy,
    /// Messages that must be the ones that state knows; each of these sets by itself.
    samples: Vec<BTreeMap<Uid, Fingerprint>>,
    /// Messages of which only the flags are asked for.
    thin: UidSet,
    parts: Vec<Part>,
}

/// What tells whether a folder is the one that state knows (safety law R4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KnownBy {
    /// Its MAILBOXID.
    MailboxId,
    /// Its UIDVALIDITY: it alone had it when all folders were listed last, and has it now.
    UidValidity,
    /// The headers of some of its messages.
    #[default]
    Headers,
}

/// What state knows of a folder before it is opened.
#[derive(Debug, Default)]
pub struct Expected {
    /// The folder that state takes it for.
    pub guess: Option<FolderId>,
    /// Each pair of folders with what their links say of messages of this one.
    pub links: Vec<Vec<(Uid, Fingerprint)>>,
    /// Messages of which the flags are enough, if they are there.
    pub linked: UidSet,
    /// Dates are not needed of the others.
    pub is_undated: bool,
}

impl Outline {
    /// Asks for all messages of a folder, and, where nothing else tells, for as many headers as prove
    /// it to be the one that state knows.
    ///
    /// # Errors
    ///
    /// [`StateError`]: it cannot be read or written.
    pub fn new(
        expected: Expected,
        known_by: KnownBy,
        state: &mut dyn State,
    ) -> Result<Self, StateError> {
        let Expected { guess, links, linked, is_undated } = expected;
        let mut samples = Vec::new();
        if let (Some(id), KnownBy::Headers) = (guess, known_by) {
            let mut known = Vec::new();
            state.digests(id, &mut |uid, digest, basis| {
                known.push((uid, Fingerprint { digest, basis }));
            })?;
            samples.push(choose(known));
            if samples.iter().all(BTreeMap::is_empty) {
                samples = links.into_iter().map(choose).collect();
            }
            samples.retain(|sample| !sample.is_empty());
        }
        let is_short = linked.split_at_octets(THIN_OCTETS_MAX).len() <= 1;
        let thin = if is_short { linked } else { UidSet::new() };
        let all = UidSet::range(Uid::MIN, Uid::MAX);
        let flags = Items { flags: true, ..Items::default() };
        let facts = if is_undated {
            Items { size: true, ..flags }
        } else {
            Items { facts: true, ..Items::default() }
        };
        let mut sampled = UidSet::new();
        let mut parts = Vec::new();
        for (basis, header) in
            [(Basis::Key, HeaderFields::Key), (Basis::Headers, HeaderFields::Full)]
        {
            let of_basis = samples.iter().flatten().filter(|(_, known)| known.basis == basis);
            let uids: UidSet = of_basis.map(|(uid, _)| *uid).collect();
            let uids = uids.difference(&sampled);
            sampled.extend(uids.iter());
            let thick = uids.difference(&thin);
            parts.push(Part { items: Items { header, ..flags }, uids: uids.difference(&thick) });
            parts.push(Part { items: Items { header, ..facts }, uids: thick });
        }
        parts.push(Part { items: flags, uids: thin.difference(&sampled) });
        parts.push(Part { items: facts, uids: all.difference(&thin).difference(&sampled) });
        parts.retain(|part| !part.uids.is_empty());
        Ok(Self { guess, known_by, samples, thin, parts })
    }

    /// What is asked for, part by part.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Tells whether only the flags of this message were asked for.
    #[must_use]
    pub fn is_thin(&self, uid: Uid) -> bool {
        self.thin.contains(uid)
    }

    /// Tells whether state has a folder for it.
    #[must_use]
    pub const fn has_guess(&self) -> bool {
        self.guess.is_some()
    }

    /// Concludes what the folder holds, if nothing came that was not expected. Its entries ascend by
    /// UID.
    ///
    /// # Errors
    ///
    /// [`StateError`]: it cannot be read or written.
    pub fn conclude(
        &self,
        glimpse: Glimpse,
        seen: &SideSeen,
        wire: &WireName,
        state: &mut dyn State,
    ) -> Result<Option<(Opened, FolderRows, Rows)>, StateError> {
        let Glimpse { state: Some(folder), mut rows, headers, complete } = glimpse else {
            return Ok(None);
        };
        rows.entries.sort_unstable_by_key(Entry::uid);
        // What arrived since it was opened does not count.
        let is_old = |entry: &&Entry| folder.uid_next.is_none_or(|next| entry.uid() < next);
        let old = rows.entries.iter().filter(is_old).count();
        let is_whole = complete && u64::try_from(old) == Ok(folder.messages);
        let key = FolderKey {
            side: seen.side,
            wire: wire.clone(),
            uid_validity: folder.uid_validity,
            mailbox_id: folder.mailbox_id.clone(),
        };
        let id = state.folder(&key)?;
        let (uid_next, mod_seq) = state.high_water(id)?;
        let is_expected = match self.guess {
            Some(guess) => guess == id,
            None => is_unknown(state, id)?,
        } && (folder.mailbox_id.is_some() || self.known_by != KnownBy::MailboxId);
        let has_fallen = uid_next.zip(folder.uid_next).is_some_and(|(was, is)| is < was)
            || mod_seq.zip(folder.highest_mod_seq).is_some_and(|(was, is)| is < was);
        let mut certain = folder.mailbox_id.is_some() || self.known_by == KnownBy::UidValidity;
        let mut is_other = false;
        for sample in self.samples.iter().filter(|_| folder.mailbox_id.is_none()) {
            match judge(sample, &headers, folder.messages) {
                Sampled::Nothing => {}
                Sampled::Same => certain = true,
                Sampled::Other => is_other = true,
            }
        }
        if !is_whole || !is_expected || has_fallen || is_other {
            return Ok(None);
        }
        let opened = Opened {
            side: seen.side,
            wire: wire.clone(),
            state: folder,
            id: Some(id),
            relinked: None,
            certain,
        };
        let read = FolderRows {
            observed: observed(&opened, &rows.entries, true),
            complete: true,
            withheld: UidSet::new(),
        };
        if let Some(told) = opened.state.uid_next {
            state.raise_high_water(id, told, opened.state.highest_mod_seq)?;
        }
        if self.known_by == KnownBy::Headers && seen.alone.contains(&opened.state.uid_validity) {
            state.set_alone(id, true)?;
        }
        Ok(Some((opened, read, rows)))
    }
}

/// Tells whether state knows nothing of the messages of a folder.
fn is_unknown(state: &mut dyn State, id: FolderId) -> Result<bool, StateError> {
    let mut known = state.high_water(id)? != (None, None);
    state.digests(id, &mut |_, _, _| known = true)?;
    Ok(!known)
}

/// What came of one folder.
#[derive(Debug, Default)]
pub struct Glimpse {
    /// Its state; nothing where it could not be opened.
    state: Option<FolderState>,
    rows: Rows,
    /// What the headers of the messages of a sample stand for.
    headers: Vec<Header>,
    complete: bool,
}

impl Glimpse {
    /// How many messages are held.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.rows.entries.len()
    }
}

/// Puts together what a tour brings and hands it on, folder by folder.
pub struct Glimpses<'a> {
    /// Each folder: its number in its group, and what was asked of it.
    folders: Vec<(u16, &'a [Part])>,
    /// Waits until there is room for another folder.
    make_room: &'a mut dyn FnMut(),
    /// Takes a folder; false: no more of them are wanted.
    take: &'a mut dyn FnMut(Glimpse) -> bool,
    folder: u16,
    parts: &'a [Part],
    glimpse: Glimpse,
    header: Vec<u8>,
    stopped: bool,
}

impl<'a> Glimpses<'a> {
    /// Begins a tour of folders, each with its number in its group and what is asked of it.
    pub fn new(
        folders: Vec<(u16, &'a [Part])>,
        make_room: &'a mut dyn FnMut(),
        take: &'a mut dyn FnMut(Glimpse) -> bool,
    ) -> Self {
        Self {
            folders,
            make_room,
            take,
            folder: 0,
            parts: &[],
            glimpse: Glimpse::default(),
            header: Vec::new(),
            stopped: false,
        }
    }

    /// What was asked of a message.
    fn items(&self, uid: Uid) -> Items {
        let part = self.parts.iter().find(|part| part.uids.contains(uid));
        part.map(|part| part.items).unwrap_or_default()
    }

    fn hand_on(&mut self) {
        let glimpse = std::mem::take(&mut self.glimpse);
        self.stopped = self.stopped || !(self.take)(glimpse);
    }

    const fn flow(&self) -> Flow {
        if self.stopped { Flow::Stop } else { Flow::Go }
    }
}

impl FetchSink for Glimpses<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        self.header.clear();
        if !self.stopped {
            let date = head.internal_date.map(InternalDate::instant);
            let row = Row { uid, size: head.size, date, flags: &head.flags };
            self.glimpse.rows.push(self.folder, row);
        }
        self.flow()
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        keep(&mut self.header, octets);
        self.flow()
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let basis = match self.items(uid).header {
            HeaderFields::Key => Basis::Key,
            HeaderFields::Full => Basis::Headers,
            HeaderFields::None | HeaderFields::Received => return self.flow(),
        };
        let now = print(basis, &self.header);
        self.glimpse.headers.push(Header { uid, basis, now });
        self.flow()
    }
}

impl VisitSink for Glimpses<'_> {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        if !self.stopped {
            (self.make_room)();
        }
        (self.folder, self.parts) = self.folders.get(visit).copied().unwrap_or_default();
        self.glimpse = Glimpse { state: state.ok(), complete: true, ..Glimpse::default() };
        let is_open = self.glimpse.state.is_some();
        if !is_open {
            self.hand_on();
        }
        is_open
    }

    fn left(&mut self, _visit: usize, outcome: FetchOutcome) {
        self.glimpse.complete &= outcome.complete;
        self.hand_on();
    }
}

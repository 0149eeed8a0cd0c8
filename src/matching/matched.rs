//! What a matcher found.

use crate::mail::Uid;
use crate::matching::SizeRecord;
use crate::matching::sides;
use crate::snapshot::Entry;

/// What became of a source message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there, as state knew.
    Linked(Uid),
    /// It is there: this message of the other side is it.
    Found(Uid),
    /// No message of the other side is it.
    New,
    /// We copied it, and its copy is not there any more.
    Removed,
    /// A message with the same key is there, with other content.
    Differs,
    /// It cannot be told whether it is there.
    Ambiguous,
    /// An equal message of its folder counts in its place.
    Twin,
    /// The server once said OK to it and told no UID, and it does not show: never sent again by
    /// itself.
    NotVisible,
}

/// The messages of both sides, each by folder and UID, and what became of them.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    pub(super) source: Vec<Entry>,
    pub(super) destination: Vec<Entry>,
    pub(super) sizes: SizeRecord,
}

impl Matched {
    /// The source messages with what became of them, by folder and UID.
    pub fn fates(&self) -> impl Iterator<Item = (&Entry, Fate)> {
        self.source.iter().map(|entry| (entry, sides::fate(entry)))
    }

    /// The destination messages, by UID.
    #[must_use]
    pub fn destination(&self) -> &[Entry] {
        &self.destination
    }

    /// The destination message with this UID.
    #[must_use]
    pub fn destination_entry(&self, uid: Uid) -> Option<&Entry> {
        let at = self.destination.binary_search_by_key(&uid, Entry::uid).ok()?;
        self.destination.get(at)
    }

    /// The destination messages that no source message matches, by UID.
    pub fn extra(&self) -> impl Iterator<Item = &Entry> {
        self.destination.iter().filter(|entry| sides::is_open(entry))
    }

    /// How often sizes agreed among linked and uniquely keyed pairs here: to be kept, and given to
    /// the matchers of other folders.
    #[must_use]
    pub const fn sizes(&self) -> SizeRecord {
        self.sizes
    }
}

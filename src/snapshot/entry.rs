//! One message in 48 octets, and the messages of one side of a folder group.

use std::collections::BTreeMap;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::Fingerprint;
use crate::mail::FlagSet;
use crate::mail::Timestamp;
use crate::mail::Uid;

/// Rows that are made room for at once on the word of a server, which may lie.
const ROOM_MAX: usize = 1 << 21;

const NO_DATE: i64 = i64::MIN;
const NO_SIZE: u64 = u64::MAX;

/// The number of a set of flags in a [`FlagTable`]. Equal sets have the same number in every table,
/// but for chance; the other way round only within one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagsId(u32);

/// Different sets of flags, each once: a folder of a million messages has a few dozen.
#[derive(Clone, Debug, Default)]
pub struct FlagTable {
    sets: BTreeMap<FlagsId, FlagSet>,
    ids: BTreeMap<FlagSet, FlagsId>,
}

impl FlagTable {
    /// Returns the number of a set, the same for equal sets.
    pub fn id(&mut self, flags: &FlagSet) -> FlagsId {
        if let Some(&id) = self.ids.get(flags) {
            return id;
        }
        let digest = blake3::hash(flags.to_string().to_ascii_lowercase().as_bytes());
        let [first, second, third, fourth, ..] = *digest.as_bytes();
        let mut id = FlagsId(u32::from_le_bytes([first, second, third, fourth]));
        while self.sets.contains_key(&id) {
            id = FlagsId(id.0.wrapping_add(1));
        }
        self.sets.insert(id, flags.clone());
        self.ids.insert(flags.clone(), id);
        id
    }

    /// The set of this number; no flags for a number of another table.
    #[must_use]
    pub fn get(&self, id: FlagsId) -> &FlagSet {
        static NONE: FlagSet = FlagSet::new();
        self.sets.get(&id).unwrap_or(&NONE)
    }

    /// How many different sets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

/// What a server told of one message.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its UID.
    pub uid: Uid,
    /// RFC822.SIZE, where told.
    pub size: Option<u64>,
    /// INTERNALDATE, where told.
    pub date: Option<Timestamp>,
    /// Its flags.
    pub flags: &'a FlagSet,
}

/// One message, packed. There is room for eight octets more before a message costs 56.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    digest: Digest,
    size: u64,
    date: i64,
    uid: Uid,
    flags: FlagsId,
    /// What [`crate::matching`] found: a UID of the other side, or zero.
    pub(crate) partner: u32,
    folder: u16,
    basis: Basis,
    /// Marks of [`crate::matching`], and what rules said of the message.
    pub(crate) marks: u8,
}

impl Entry {
    /// The mark of a message that the author's search does not find.
    const NOT_FOUND: u8 = 0x80;

    /// The mark of a message that a rule leaves out.
    const LEFT_OUT: u8 = 0x40;

    /// Packs a row of the folder with this number.
    #[must_use]
    pub fn new(folder: u16, row: Row<'_>, flags: FlagsId) -> Self {
        Self {
            digest: Digest::default(),
            size: row.size.unwrap_or(NO_SIZE),
            date: row.date.map_or(NO_DATE, Timestamp::seconds),
            uid: row.uid,
            flags,
            partner: 0,
            folder,
            basis: Basis::Nothing,
            marks: 0,
        }
    }

    /// Its UID.
    #[must_use]
    pub const fn uid(&self) -> Uid {
        self.uid
    }

    /// The number of its folder among those of its group.
    #[must_use]
    pub const fn folder(&self) -> u16 {
        self.folder
    }

    /// RFC822.SIZE, where told.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        (self.size != NO_SIZE).then_some(self.size)
    }

    /// INTERNALDATE, where told.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        (self.date != NO_DATE).then(|| Timestamp::from_seconds(self.date))
    }

    /// Its flags, in the table of its [`Rows`].
    #[must_use]
    pub const fn flags(&self) -> FlagsId {
        self.flags
    }

    /// Its fingerprint as far as it is known.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        Fingerprint { digest: self.digest, basis: self.basis }
    }

    /// Sets its fingerprint.
    pub const fn set_fingerprint(&mut self, fingerprint: Fingerprint) {
        self.digest = fingerprint.digest;
        self.basis = fingerprint.basis;
    }

    /// Tells whether the author's search found it, or there is none.
    #[must_use]
    pub const fn found(&self) -> bool {
        self.marks & Self::NOT_FOUND == 0
    }

    /// Says that the author's search does not find it.
    pub const fn set_not_found(&mut self) {
        self.marks |= Self::NOT_FOUND;
    }

    /// Tells whether a rule leaves it out. It may still be matched: what is copied already stays
    /// paired, but messages that are taken come first.
    #[must_use]
    pub const fn left_out(&self) -> bool {
        self.marks & Self::LEFT_OUT != 0
    }

    /// Says that a rule leaves it out.
    pub const fn set_left_out(&mut self) {
        self.marks |= Self::LEFT_OUT;
    }
}

/// The messages of one side of a folder group.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The messages, in the order that they came.
    pub entries: Vec<Entry>,
    /// Their flags.
    pub flags: FlagTable,
}

impl Rows {
    /// No message yet, with room for as many as the server says there are.
    #[must_use]
    pub fn with_room(messages: u64) -> Self {
        let room = usize::try_from(messages).unwrap_or(ROOM_MAX).min(ROOM_MAX);
        Self { entries: Vec::with_capacity(room), flags: FlagTable::default() }
    }

    /// Adds a message of the folder with this number.
    pub fn push(&mut self, folder: u16, row: Row<'_>) {
        let flags = self.flags.id(row.flags);
        if self.entries.len() == self.entries.capacity() {
            // Doubling would cost as much again as is held.
            self.entries.reserve_exact(self.entries.len() / 8 + 64);
        }
        self.entries.push(Entry::new(folder, row, flags));
    }

    /// Adds the messages of another folder. Of both sides of a group only one may be added to: the same
    /// flags may have other numbers afterwards.
    pub fn add(&mut self, other: Self) {
        if self.entries.is_empty() && self.flags.is_empty() {
            *self = other;
            return;
        }
        self.entries.reserve_exact(other.entries.len());
        for mut entry in other.entries {
            entry.flags = self.flags.id(other.flags.get(entry.flags));
            self.entries.push(entry);
        }
    }

    /// Sets the fingerprint of the message that was added last.
    pub fn fingerprint_last(&mut self, fingerprint: Fingerprint) {
        if let Some(entry) = self.entries.last_mut() {
            entry.set_fingerprint(fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Flag;

    #[test]
    fn a_message_costs_48_octets() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    #[test]
    fn what_a_server_told_comes_back() {
        let seen: FlagSet = [Flag::Seen].into_iter().collect();
        let mut rows = Rows::with_room(u64::MAX);
        for uid in [1, 2, 3] {
            let flags = if uid == 2 { FlagSet::new() } else { seen.clone() };
            let (size, date) = (Some(u64::from(uid) * 10), None);
            rows.push(7, Row { uid: Uid::new(uid).unwrap(), size, date, flags: &flags });
        }
        assert_eq!(rows.flags.len(), 2);
        let third = rows.entries[2];
        assert_eq!((third.uid().get(), third.folder(), third.size()), (3, 7, Some(30)));
        assert_eq!((third.date(), rows.flags.get(third.flags())), (None, &seen));
        assert!(third.found());
        assert_eq!(third.fingerprint().basis, Basis::Nothing);
    }
}

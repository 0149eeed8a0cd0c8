//! How the destination spells the names of its folders.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

use crate::mail::WireName;
use crate::store::Listing;

/// Folders of the destination, by their octets, with what is known of each.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    folders: BTreeMap<WireName, Known>,
}

/// What the listing told of a folder.
#[derive(Clone, Copy, Debug)]
struct Known {
    subscribed: bool,
    /// How many messages it holds, where the listing told.
    messages: Option<u64>,
}

impl From<Listing> for Spellings {
    fn from(listing: Listing) -> Self {
        let folders = listing.rows.into_iter().filter(|row| row.selectable).map(|row| {
            let messages = row.status.and_then(|status| status.messages);
            (row.name, Known { subscribed: row.subscribed, messages })
        });
        Self { folders: folders.collect() }
    }
}

impl Spellings {
    /// The server's own octets for a folder: the same ones, or the only ones that differ by case or
    /// Unicode form alone and are none of `others`. A name that means two folders is none.
    pub(super) fn among(&self, wire: &WireName, others: &[WireName]) -> Option<WireName> {
        if self.folders.contains_key(wire) {
            return Some(wire.clone());
        }
        let wanted = folded(wire)?;
        let alike =
            |name: &&WireName| folded(name).as_ref() == Some(&wanted) && !others.contains(name);
        let mut alike = self.folders.keys().filter(alike);
        match (alike.next(), alike.next()) {
            (Some(name), None) => Some(name.clone()),
            _ => None,
        }
    }

    /// Tells whether the folder of these octets is subscribed to.
    pub(super) fn is_subscribed(&self, wire: &WireName) -> bool {
        self.folders.get(wire).is_some_and(|known| known.subscribed)
    }

    /// Tells whether the folder of these octets was listed as empty.
    pub(super) fn is_empty(&self, wire: &WireName) -> bool {
        self.folders.get(wire).is_some_and(|known| known.messages == Some(0))
    }
}

fn folded(wire: &WireName) -> Option<String> {
    wire.decode().map(|name| name.nfc().flat_map(char::to_lowercase).collect())
}

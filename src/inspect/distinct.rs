//! Whether source and destination are two accounts.

use std::panic::resume_unwind;
use std::thread;

use crate::inspect::account::{SideSeen, WITNESS_FOLDERS, counts, tree};
use crate::mail::{FolderName, Side, WireName};
use crate::rule::NameRules;
use crate::snapshot::folded;
use crate::store::{FolderStatus, Look, Source, StoreError};

/// How often a folder is asked again that differs in counts only: mail may come between two looks.
const LOOKS: usize = 3;

/// What comes of holding the two ends against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Two accounts.
    Distinct,
    /// One account, in which both roots are stated and neither lies inside the other. Mail may be
    /// copied; nothing at the source may be deleted.
    Apart,
    /// One account. Nothing may be written.
    Same {
        /// What tells.
        by: SameBy,
        /// The folders that tell.
        folders: Vec<WireName>,
    },
}

/// What tells that two ends are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameBy {
    /// A folder here and a folder there have the same MAILBOXID and UIDVALIDITY.
    MailboxId,
    /// Every compared folder that is not empty has the same UIDVALIDITY, UIDNEXT and count.
    Counts,
}

/// Sees the folders of both ends and tells whether these are two accounts. A fault comes with its side.
///
/// # Errors
///
/// Any [`StoreError`] of [`tree`] and [`distinct()`].
pub fn two(
    source: &mut dyn Source,
    destination: &mut dyn Source,
    (source_rules, destination_rules): (&NameRules, &NameRules),
) -> Result<(SideSeen, SideSeen, Ends), (Side, StoreError)> {
    // Both servers think at the same time.
    let (here, there) = thread::scope(|scope| {
        let here = scope.spawn(|| tree(source, Side::Source, source_rules));
        let there = tree(destination, Side::Destination, destination_rules);
        (here.join().unwrap_or_else(|panic| resume_unwind(panic)), there)
    });
    let here = here.map_err(|error| (Side::Source, error))?;
    let at_destination = |error| (Side::Destination, error);
    let there = there.map_err(at_destination)?;
    let ends = distinct(source, &here, destination, &there).map_err(at_destination)?;
    Ok((here, there, ends))
}

/// As [`two`], for those who know no rules: names are read as the servers tell.
///
/// # Errors
///
/// As [`two`].
pub fn meet_both(
    source: &mut dyn Source,
    destination: &mut dyn Source,
    (source_root, destination_root): (Option<FolderName>, Option<FolderName>),
) -> Result<(SideSeen, SideSeen, Ends), (Side, StoreError)> {
    let rules = |root| NameRules { root, ..NameRules::default() };
    two(source, destination, (&rules(source_root), &rules(destination_root)))
}

/// Tells whether source and destination are two accounts. Host names and ports are not looked at: a
/// name that was moved to the new server leads both sections of a manifest to one mailbox.
///
/// Folders whose names both ends have are compared, INBOX first and up to eight more. Two accounts in
/// which all of these are empty count as distinct: there, nothing could be taken for a copy.
///
/// # Errors
///
/// Any [`StoreError`]; a folder whose counts are refused is only not compared.
pub fn distinct(
    source: &mut dyn Look,
    source_seen: &SideSeen,
    destination: &mut dyn Look,
    destination_seen: &SideSeen,
) -> Result<Ends, StoreError> {
    let same = match by_mailbox_id(source_seen, destination_seen) {
        folders if !folders.is_empty() => Some((SameBy::MailboxId, folders)),
        _ => by_counts(source, source_seen, destination, destination_seen)?
            .map(|folders| (SameBy::Counts, folders)),
    };
    Ok(match same {
        None => Ends::Distinct,
        Some(_) if disjoint(source_seen, destination_seen) => Ends::Apart,
        Some((by, folders)) => Ends::Same { by, folders },
    })
}

/// Folders of the source that are folders of the destination. MAILBOXID alone is unique within a
/// server only, so it counts together with UIDVALIDITY, which one folder has once.
fn by_mailbox_id(source: &SideSeen, destination: &SideSeen) -> Vec<WireName> {
    let there: std::collections::BTreeSet<_> =
        destination.object_ids().map(|(uid_validity, id, _)| (id, uid_validity.get())).collect();
    let both = source
        .object_ids()
        .filter(|(uid_validity, id, _)| there.contains(&(id, uid_validity.get())))
        .map(|(.., wire)| wire.clone());
    both.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// The compared folders, if every one of them agrees that is not empty, and at least one does.
fn by_counts(
    source: &mut dyn Look,
    source_seen: &SideSeen,
    destination: &mut dyn Look,
    destination_seen: &SideSeen,
) -> Result<Option<Vec<WireName>>, StoreError> {
    let mut agreeing = Vec::new();
    for (here, there) in common(source_seen, destination_seen) {
        let listed = listed(source_seen, &here).zip(listed(destination_seen, &there));
        match compare((source, &here), (destination, &there), listed)? {
            Compared::Empty => {}
            Compared::Agrees => agreeing.push(here),
            Compared::Differs => return Ok(None),
        }
    }
    Ok((!agreeing.is_empty()).then_some(agreeing))
}

/// Names that both ends list, INBOX first.
fn common(source: &SideSeen, destination: &SideSeen) -> Vec<(WireName, WireName)> {
    let there: std::collections::BTreeMap<_, _> = destination
        .listing
        .rows
        .iter()
        .filter(|row| row.selectable)
        .map(|row| (key(&row.name), &row.name))
        .collect();
    let mut common: Vec<_> = source
        .listing
        .rows
        .iter()
        .filter(|row| row.selectable)
        .filter_map(|row| Some((row.name.clone(), (*there.get(&key(&row.name))?).clone())))
        .collect();
    common.sort_by(|(one, _), (other, _)| (!one.is_inbox(), one).cmp(&(!other.is_inbox(), other)));
    common.truncate(1 + WITNESS_FOLDERS);
    common
}

fn key(wire: &WireName) -> &[u8] {
    if wire.is_inbox() { b"INBOX" } else { wire.as_octets() }
}

enum Compared {
    Empty,
    Agrees,
    Differs,
}

/// What the listing told of a folder, if it told all that is compared.
fn listed(seen: &SideSeen, folder: &WireName) -> Option<FolderStatus> {
    let row = seen.listing.rows.iter().find(|row| row.name == *folder)?;
    row.status.clone().filter(|status| {
        status.uid_validity.is_some() && status.uid_next.is_some() && status.messages.is_some()
    })
}

/// Compares two folders, first by what the listings told.
fn compare(
    (source, here): (&mut dyn Look, &WireName),
    (destination, there): (&mut dyn Look, &WireName),
    mut listed: Option<(FolderStatus, FolderStatus)>,
) -> Result<Compared, StoreError> {
    for _ in 0..LOOKS {
        let (one, other) = match listed.take() {
            Some(both) => both,
            None => match (counts(source, here)?, counts(destination, there)?) {
                (Some(one), Some(other)) => (one, other),
                _ => return Ok(Compared::Empty),
            },
        };
        let is_empty = |status: &FolderStatus| status.messages == Some(0);
        if is_empty(&one) && is_empty(&other) {
            return Ok(Compared::Empty);
        }
        if one.uid_validity.is_none() || one.uid_validity != other.uid_validity {
            return Ok(Compared::Differs);
        }
        if (one.uid_next, one.messages) == (other.uid_next, other.messages) {
            return Ok(Compared::Agrees);
        }
    }
    Ok(Compared::Differs)
}

/// Tells whether both roots are stated and neither lies inside the other. Names are comparable only
/// where both sections read them alike.
fn disjoint(source: &SideSeen, destination: &SideSeen) -> bool {
    let (Some(one), Some(other)) = (&source.root, &destination.root) else { return false };
    let alike = source.tree.prefix == destination.tree.prefix
        && source.tree.delimiter == destination.tree.delimiter;
    let (one, other) = (folded(one) + "/", folded(other) + "/");
    alike && !one.starts_with(&other) && !other.starts_with(&one)
}

//! The folders of an account, and what proves it to be that account.

use std::collections::BTreeSet;

use crate::inspect::company;
use crate::mail::{FolderName, MailboxId, Side, UidValidity, WireName};
use crate::plan::Witness;
use crate::plan::WitnessFolder;
use crate::rule::NameRules;
use crate::snapshot::FolderTree;
use crate::store::{FolderStatus, Listing, Look, StoreError};

/// How many folders beside INBOX are part of a witness.
pub(crate) const WITNESS_FOLDERS: usize = 8;

/// One account as it is seen now.
#[derive(Clone, Debug)]
pub struct SideSeen {
    /// Which end it is.
    pub side: Side,
    /// All that LIST told.
    pub listing: Listing,
    /// Its folders under their canonical names.
    pub tree: FolderTree,
    /// What proves that a login leads here again.
    pub witness: Witness,
    /// The subtree that stands for the mailbox, if the author stated one.
    pub root: Option<FolderName>,
    /// The UIDVALIDITYs that one folder has alone; none where the listing did not tell those of all
    /// folders.
    pub alone: BTreeSet<UidValidity>,
}

impl SideSeen {
    /// UIDVALIDITY and MAILBOXID of every folder for which both are known.
    pub(super) fn object_ids(&self) -> impl Iterator<Item = (UidValidity, &MailboxId, &WireName)> {
        let listed = self.listing.rows.iter().filter_map(|row| {
            let status = row.status.as_ref()?;
            Some((status.uid_validity?, status.mailbox_id.as_ref()?, &row.name))
        });
        let witnessed = self.witness.folders.iter().filter_map(|folder| {
            Some((folder.uid_validity, folder.mailbox_id.as_ref()?, &folder.wire))
        });
        listed.chain(witnessed)
    }
}

/// Lists the folders of an account and reads its witness: UIDVALIDITY, and MAILBOXID where offered,
/// of INBOX and up to eight more folders. An empty folder proves nothing without MAILBOXID.
///
/// # Errors
///
/// Any [`StoreError`]; a folder whose counts are refused is only left out of the witness.
pub fn tree(look: &mut dyn Look, side: Side, rules: &NameRules) -> Result<SideSeen, StoreError> {
    let listing = look.list()?;
    let tree = FolderTree::build(side, &listing, rules);
    let witness = witness(look, &listing)?;
    let alone = company::alone(&listing);
    Ok(SideSeen { side, listing, tree, witness, root: rules.root.clone(), alone })
}

/// As [`tree`], for those who know no rules: names are read as the server tells.
///
/// # Errors
///
/// As [`tree`].
pub fn meet(
    look: &mut dyn Look,
    side: Side,
    root: Option<FolderName>,
) -> Result<SideSeen, StoreError> {
    tree(look, side, &NameRules { root, ..NameRules::default() })
}

/// In this order folders bear witness, as many as there may be: INBOX first.
pub(crate) fn witness_order(wire: &WireName) -> (bool, &WireName) {
    (!wire.is_inbox(), wire)
}

fn witness(look: &mut dyn Look, listing: &Listing) -> Result<Witness, StoreError> {
    let mut rows: Vec<_> = listing.rows.iter().filter(|row| row.selectable).collect();
    rows.sort_by_key(|row| witness_order(&row.name));
    let mut folders = Vec::new();
    for row in rows.into_iter().take(1 + WITNESS_FOLDERS) {
        let told = row.status.clone().filter(|status| is_enough(look, status));
        let status = match told {
            Some(status) => status,
            None => match counts(look, &row.name)? {
                Some(status) => status,
                None => continue,
            },
        };
        // Some servers make up another UIDVALIDITY for an empty folder each time they are asked.
        if status.messages == Some(0) && status.mailbox_id.is_none() {
            continue;
        }
        folders.extend(status.uid_validity.map(|uid_validity| WitnessFolder {
            wire: row.name.clone(),
            uid_validity,
            mailbox_id: status.mailbox_id,
        }));
    }
    let seen = look.seen();
    Ok(Witness {
        user: seen.user.clone(),
        server: seen.server.clone(),
        greeting: seen.greeting.clone(),
        id: seen.id.clone(),
        tls_key: seen.tls_key.clone(),
        folders,
    })
}

fn is_enough(look: &dyn Look, status: &FolderStatus) -> bool {
    status.uid_validity.is_some() && (status.mailbox_id.is_some() || !look.abilities().object_id)
}

/// The counts of a folder; nothing where the server refuses them.
pub(super) fn counts(
    look: &mut dyn Look,
    folder: &WireName,
) -> Result<Option<FolderStatus>, StoreError> {
    match look.status(folder) {
        Ok(status) => Ok(Some(status)),
        Err(StoreError::Refused(refusal)) if !refusal.asks_for_patience() => Ok(None),
        Err(error) => Err(error),
    }
}

//! Which folders of an account have a UIDVALIDITY of their own.
//!
//! Where there is no MAILBOXID, one that has it alone cannot be another one that was renamed onto its
//! name (safety law R4). That is noted when all folders are listed, and holds until the next time.

use std::collections::BTreeSet;

use crate::mail::{Side, UidValidity};
use crate::state::{State, StateError};
use crate::store::{ListRow, Listing};

/// The UIDVALIDITYs that one folder has alone; none where the listing did not tell those of all folders.
#[must_use]
pub fn alone(listing: &Listing) -> BTreeSet<UidValidity> {
    let (mut once, mut more) = (BTreeSet::new(), BTreeSet::new());
    for row in listing.rows.iter().filter(|row| row.selectable) {
        let Some(told) = uid_validity(row) else { return BTreeSet::new() };
        if !once.insert(told) {
            more.insert(told);
        }
    }
    once.retain(|told| !more.contains(told));
    once
}

/// Notes which folders do not have their UIDVALIDITY alone any more: one of them, chosen or not, may
/// have the name of another one next time, and then only headers tell them apart.
///
/// # Errors
///
/// [`StateError`]: it cannot be read or written.
pub fn note_company(
    state: &mut dyn State,
    side: Side,
    listing: &Listing,
    alone: &BTreeSet<UidValidity>,
) -> Result<(), StateError> {
    for row in &listing.rows {
        if uid_validity(row).is_some_and(|told| !alone.contains(&told))
            && let Some(id) = state.last_folder(side, &row.name)?
            && state.is_alone(id)?
        {
            state.set_alone(id, false)?;
        }
    }
    Ok(())
}

fn uid_validity(row: &ListRow) -> Option<UidValidity> {
    row.status.as_ref()?.uid_validity
}

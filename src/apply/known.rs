//! What state knows of a destination folder when it is opened.

use crate::apply::copy::{Trouble, at};
use crate::apply::group::{Group, Resent, Unplaced};
use crate::apply::look::look;
use crate::apply::run::Run;
use crate::mail::{Side, Uid, UidSet};
use crate::state::FolderId;
use crate::store::{FolderState, HeaderFields};

/// A link whose copy has a UID below the UIDNEXT that the plan saw, and above all that it saw.
struct Doubtful {
    pair: usize,
    source: Uid,
    destination: Uid,
}

impl Run<'_> {
    /// Takes off the list what state says this plan has copied already. A link counts only if its
    /// message lies above what the plan saw: the plan knew of what is below, and copies all the same.
    pub(super) fn take_off_what_is_linked(&mut self, group: &mut Group) -> Result<(), Trouble> {
        let Some(folder) = group.place.as_ref().map(|place| place.folder) else { return Ok(()) };
        let (from, certain) = (group.planned_from(), group.planned_uid_next());
        let mut linked = vec![UidSet::new(); group.pairs.len()];
        let mut doubtful = Vec::new();
        let mut unplaced = Vec::new();
        let mut above = 0;
        self.state.each_link_from(folder, from, &mut |source_folder, link| {
            above += u64::from(link.destination.is_some());
            let Some(pair) = group.pair_of(source_folder) else { return };
            match link.destination {
                Some(destination) if destination < certain => {
                    doubtful.push(Doubtful { pair, source: link.source, destination });
                    return;
                }
                Some(_) => {}
                None => {
                    unplaced.push(Unplaced { pair, link: link.clone(), from, looked: 0 });
                }
            }
            linked[pair].insert(link.source);
        })?;
        self.drop_gone(group, &doubtful, &mut linked)?;
        for (todo, linked) in group.pairs.iter_mut().zip(&linked) {
            let before = todo.left();
            todo.take_off(linked);
            self.done.found += before - todo.left();
        }
        group.must_look |= !unplaced.is_empty();
        group.unplaced = unplaced;
        if let Some(place) = &mut group.place {
            place.expected_messages += above;
        }
        self.remember_what_was_resent(group, folder)
    }

    /// The plan did not see these copies, although UIDNEXT was above them: they were gone by then, or
    /// UIDNEXT was told too high. Those that are there count.
    fn drop_gone(
        &mut self,
        group: &Group,
        doubtful: &[Doubtful],
        linked: &mut [UidSet],
    ) -> Result<(), Trouble> {
        let uids: UidSet = doubtful.iter().map(|link| link.destination).collect();
        if uids.is_empty() {
            return Ok(());
        }
        let wire = group.wire.clone();
        let destination = self.destination()?;
        let rows =
            look(destination, &wire, &uids, HeaderFields::None).map_err(at(Side::Destination))?;
        let there: UidSet = rows.iter().map(|row| row.uid).collect();
        for link in doubtful.iter().filter(|link| there.contains(link.destination)) {
            linked[link.pair].insert(link.source);
        }
        Ok(())
    }

    /// Messages that an earlier run sent more than once: their first copy may have arrived since.
    fn remember_what_was_resent(
        &mut self,
        group: &mut Group,
        folder: FolderId,
    ) -> Result<(), Trouble> {
        for (source_folder, source, from) in self.state.resent(folder)? {
            if let Some(pair) = group.pair_of(source_folder) {
                group.resent.push(Resent { pair, source, from, earlier: true, named: false });
            }
        }
        Ok(())
    }

    /// Tells whether the folder was put back to an earlier state: what state holds of it is then of
    /// other messages, or of none. Numbers that only grow have fallen.
    pub(super) fn was_put_back(
        &mut self,
        group: &Group,
        folder: FolderId,
        opened: &FolderState,
    ) -> Result<bool, Trouble> {
        let (_, mod_seq) = self.state.high_water(folder)?;
        if let (Some(recorded), Some(now)) = (mod_seq, opened.highest_mod_seq)
            && now < recorded
        {
            return Ok(true);
        }
        let Some(highest) = self.state.highest_stored(folder)? else { return Ok(false) };
        if opened.uid_next.is_none_or(|uid_next| uid_next > highest) {
            return Ok(false);
        }
        // UIDNEXT may be stale while the messages are there.
        let wire = group.wire.clone();
        let window = UidSet::range(highest, Uid::MAX);
        let destination = self.destination()?;
        let rows =
            look(destination, &wire, &window, HeaderFields::None).map_err(at(Side::Destination))?;
        Ok(rows.is_empty())
    }

    /// Records how far the folder has come, so that a folder that is put back is noticed.
    pub(super) fn note_height(
        &mut self,
        group: &Group,
        opened: &FolderState,
    ) -> Result<(), Trouble> {
        let Some(place) = &group.place else { return Ok(()) };
        let (uid_next, mod_seq) = self.state.high_water(place.folder)?;
        if uid_next < Some(place.from) || mod_seq < opened.highest_mod_seq {
            self.state.raise_high_water(place.folder, place.from, opened.highest_mod_seq)?;
        }
        Ok(())
    }
}

//! State in memory, for tests: fast, with a writer that fails when it is told to, and with copies
//! that a test can go back to.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::mail::{FlagSet, ModSeq, Side, Timestamp, Uid, UidSet, WireName};
use crate::plan::Witness;
pub use crate::state::effects::Effects;
use crate::state::port::{
    self, FolderId, FolderKey, Intent, IntentId, Item, Link, OpenIntent, Outcome, Owned, RunId,
    State, StateError, StoredCopy,
};

/// A copy of all that state held at one time.
#[derive(Clone, Debug)]
pub struct Checkpoint(Tables);

/// State of one account pair in memory. Clones are handles of the same state.
#[derive(Clone)]
pub struct MemoryState {
    tables: Arc<Mutex<Tables>>,
    effects: Effects,
    was_empty: bool,
}

impl fmt::Debug for MemoryState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryState")
            .field("tables", &*self.tables())
            .finish_non_exhaustive()
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self::with_effects(Effects::default())
    }
}

#[derive(Clone, Debug, Default)]
struct Tables {
    runs: Vec<(String, Timestamp)>,
    witness: BTreeMap<Side, Witness>,
    folders: Vec<Folder>,
    links: BTreeMap<(FolderId, FolderId, Uid), Link>,
    owned: BTreeMap<(FolderId, Uid), Owned>,
    digests: BTreeMap<(FolderId, Uid), (Digest, Basis)>,
    intents: BTreeMap<IntentId, OpenIntent>,
    last_intent: i64,
    resent: BTreeMap<(FolderId, FolderId, Uid), Uid>,
    items: BTreeMap<String, Vec<Item>>,
}

#[derive(Clone, Debug)]
struct Folder {
    id: FolderId,
    key: FolderKey,
    uid_next: Option<Uid>,
    mod_seq: Option<ModSeq>,
    highest_stored: Option<Uid>,
    alone: bool,
    identity_kept: Option<bool>,
}

impl Folder {
    fn is(&self, key: &FolderKey) -> bool {
        let same_name = match (&self.key.mailbox_id, &key.mailbox_id) {
            (Some(old), Some(new)) => old == new,
            (None, None) => self.key.identity_octets() == key.identity_octets(),
            _ => false,
        };
        self.key.side == key.side && self.key.uid_validity == key.uid_validity && same_name
    }
}

impl MemoryState {
    /// Empty state that asks a shared counter before every write.
    #[must_use]
    pub fn with_effects(effects: Effects) -> Self {
        Self { tables: Arc::default(), effects, was_empty: true }
    }

    /// The counter of writes; each call that writes is one, whatever it holds.
    #[must_use]
    pub const fn effects(&self) -> &Effects {
        &self.effects
    }

    /// Opens the same state once more, as the next run would.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let tables = self.tables();
        let was_empty =
            tables.links.is_empty() && tables.owned.is_empty() && tables.intents.is_empty();
        drop(tables);
        Self { tables: Arc::clone(&self.tables), effects: self.effects.clone(), was_empty }
    }

    /// Copies all that it holds.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.tables().clone())
    }

    /// Goes back to an earlier copy, for all handles.
    pub fn restore(&self, checkpoint: &Checkpoint) {
        *self.tables() = checkpoint.0.clone();
    }

    /// Every open intent, whatever its folder: empty when a run ended in good order.
    #[must_use]
    pub fn all_open_intents(&self) -> Vec<OpenIntent> {
        self.tables().intents.values().cloned().collect()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> Result<MutexGuard<'_, Tables>, StateError> {
        self.permit()?;
        Ok(self.tables())
    }

    fn permit(&self) -> Result<(), StateError> {
        if self.effects.pass() {
            Ok(())
        } else {
            Err(StateError::Io(io::Error::from(io::ErrorKind::StorageFull)))
        }
    }
}

impl Tables {
    fn folder_mut(&mut self, id: FolderId) -> Option<&mut Folder> {
        self.folders.iter_mut().find(|folder| folder.id == id)
    }

    fn intend(&mut self, intent: &Intent) -> IntentId {
        let same = |open: &&OpenIntent| {
            open.intent.destination_folder == intent.destination_folder
                && open.intent.source_folder == intent.source_folder
                && open.intent.source == intent.source
        };
        let before = self.intents.values().find(same).cloned();
        let times = before.as_ref().map_or(0, |open| open.times).saturating_add(1);
        let mut intent = intent.clone();
        if let Some(open) = before {
            // The earlier one may still be found, and only above its own floor.
            intent.uid_next = intent.uid_next.min(open.intent.uid_next);
            if open.may_arrive {
                let place = (intent.destination_folder, intent.source_folder, intent.source);
                let from = self.resent.entry(place).or_insert(intent.uid_next);
                *from = (*from).min(intent.uid_next);
            }
            self.intents.remove(&open.id);
        }
        self.last_intent += 1;
        let id = IntentId(self.last_intent);
        let open = OpenIntent { id, intent, times, may_arrive: true };
        self.intents.insert(id, open);
        id
    }

    fn store(&mut self, source: FolderId, destination: FolderId, copy: &StoredCopy) {
        let place = (source, destination, copy.link.source);
        let mut link = copy.link.clone();
        link.copied_by = link.copied_by.or(self.links.get(&place).and_then(|old| old.copied_by));
        self.links.insert(place, link);
        if let Some(owned) = &copy.owned {
            self.owned.insert((destination, owned.uid), owned.clone());
        }
        if let Some(folder) = self.folder_mut(destination) {
            folder.highest_stored = folder.highest_stored.max(copy.highest());
        }
    }

    fn settle(&mut self, id: IntentId, outcome: &Outcome) -> Result<(), StateError> {
        let Some(open) = self.intents.get_mut(&id) else {
            return Err(port::not_open(id));
        };
        let (source, destination) = (open.intent.source_folder, open.intent.destination_folder);
        match outcome {
            Outcome::Unknown { may_arrive } => {
                open.may_arrive = *may_arrive;
                return Ok(());
            }
            Outcome::NotStored => {}
            Outcome::Stored(copy) => self.store(source, destination, copy),
        }
        self.intents.remove(&id);
        Ok(())
    }
}

impl State for MemoryState {
    fn begin_run(&mut self, command: &str, now: Timestamp) -> Result<RunId, StateError> {
        let mut tables = self.write()?;
        tables.runs.push((command.to_owned(), now));
        Ok(RunId(i64::try_from(tables.runs.len()).unwrap_or(i64::MAX)))
    }

    fn was_empty(&self) -> bool {
        self.was_empty
    }

    fn gather(&mut self, _gather: bool) -> Result<(), StateError> {
        Ok(())
    }

    fn witness(&mut self, side: Side) -> Result<Option<Witness>, StateError> {
        Ok(self.tables().witness.get(&side).cloned())
    }

    fn set_witness(&mut self, side: Side, witness: &Witness) -> Result<(), StateError> {
        self.write()?.witness.insert(side, witness.clone());
        Ok(())
    }

    fn folder(&mut self, key: &FolderKey) -> Result<FolderId, StateError> {
        let mut tables = self.tables();
        let found = tables.folders.iter().position(|folder| folder.is(key));
        // Finding a folder as it was is no effect.
        if let Some(folder) = found.and_then(|position| tables.folders.get(position))
            && folder.key == *key
        {
            return Ok(folder.id);
        }
        self.permit()?;
        if let Some(folder) = found.and_then(|position| tables.folders.get_mut(position)) {
            folder.key = key.clone();
            return Ok(folder.id);
        }
        let id = FolderId(i64::try_from(tables.folders.len() + 1).unwrap_or(i64::MAX));
        let folder = Folder {
            id,
            key: key.clone(),
            uid_next: None,
            mod_seq: None,
            highest_stored: None,
            alone: false,
            identity_kept: None,
        };
        tables.folders.push(folder);
        Ok(id)
    }

    fn last_folder(&mut self, side: Side, wire: &WireName) -> Result<Option<FolderId>, StateError> {
        let has_name = |folder: &&Folder| {
            folder.key.side == side && folder.key.identity_octets() == port::identity_octets(wire)
        };
        Ok(self.tables().folders.iter().filter(has_name).map(|folder| folder.id).max())
    }

    fn is_alone(&mut self, folder: FolderId) -> Result<bool, StateError> {
        Ok(self.tables().folder_mut(folder).is_some_and(|folder| folder.alone))
    }

    fn set_alone(&mut self, folder: FolderId, alone: bool) -> Result<(), StateError> {
        if let Some(folder) = self.write()?.folder_mut(folder) {
            folder.alone = alone;
        }
        Ok(())
    }

    fn high_water(
        &mut self,
        folder: FolderId,
    ) -> Result<(Option<Uid>, Option<ModSeq>), StateError> {
        let mut tables = self.tables();
        let folder = tables.folder_mut(folder);
        Ok(folder.map(|folder| (folder.uid_next, folder.mod_seq)).unwrap_or_default())
    }

    fn raise_high_water(
        &mut self,
        folder: FolderId,
        uid_next: Uid,
        mod_seq: Option<ModSeq>,
    ) -> Result<(), StateError> {
        if let Some(folder) = self.write()?.folder_mut(folder) {
            folder.uid_next = folder.uid_next.max(Some(uid_next));
            folder.mod_seq = folder.mod_seq.max(mod_seq);
        }
        Ok(())
    }

    fn identity_kept(&mut self, folder: FolderId) -> Result<Option<bool>, StateError> {
        Ok(self.tables().folder_mut(folder).and_then(|folder| folder.identity_kept))
    }

    fn set_identity_kept(&mut self, folder: FolderId, kept: bool) -> Result<(), StateError> {
        let mut tables = self.write()?;
        if let Some(folder) = tables.folder_mut(folder) {
            folder.identity_kept = Some(kept);
        }
        Ok(())
    }

    fn forget_folder(&mut self, folder: FolderId) -> Result<(), StateError> {
        let mut tables = self.write()?;
        tables
            .links
            .retain(|&(source, destination, _), _| source != folder && destination != folder);
        tables.owned.retain(|&(of, _), _| of != folder);
        tables.digests.retain(|&(of, _), _| of != folder);
        if let Some(folder) = tables.folder_mut(folder) {
            (folder.uid_next, folder.mod_seq, folder.highest_stored) = (None, None, None);
            folder.alone = false;
        }
        Ok(())
    }

    fn each_link(
        &mut self,
        source: FolderId,
        destination: FolderId,
        each: &mut dyn FnMut(Link),
    ) -> Result<(), StateError> {
        let range = (source, destination, Uid::MIN)..=(source, destination, Uid::MAX);
        self.tables().links.range(range).for_each(|(_, link)| each(link.clone()));
        Ok(())
    }

    fn each_link_from(
        &mut self,
        destination: FolderId,
        from: Uid,
        each: &mut dyn FnMut(FolderId, Link),
    ) -> Result<(), StateError> {
        for (&(source, to, _), link) in &self.tables().links {
            if to == destination && link.destination.is_none_or(|uid| uid >= from) {
                each(source, link.clone());
            }
        }
        Ok(())
    }

    fn put_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        links: &[Link],
    ) -> Result<(), StateError> {
        let mut tables = self.write()?;
        for link in links {
            let place = (source, destination, link.source);
            let before = tables.links.get(&place).and_then(|old| old.copied_by);
            let link = Link { copied_by: before.or(link.copied_by), ..link.clone() };
            tables.links.insert(place, link);
        }
        Ok(())
    }

    fn drop_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError> {
        self.write()?.links.retain(|&(from, to, uid), _| {
            (from, to) != (source, destination) || !source_uids.contains(uid)
        });
        Ok(())
    }

    fn agree_flags(
        &mut self,
        destination: FolderId,
        flags: &[(Uid, FlagSet)],
    ) -> Result<(), StateError> {
        let mut tables = self.write()?;
        let flags: BTreeMap<_, _> = flags.iter().map(|(uid, flags)| (*uid, flags)).collect();
        for ((_, to, _), link) in &mut tables.links {
            let agreed = link.destination.and_then(|uid| flags.get(&uid));
            if let (true, Some(&agreed)) = (*to == destination, agreed) {
                link.flags = Some(agreed.clone());
            }
        }
        Ok(())
    }

    fn owned(&mut self, destination: FolderId) -> Result<Vec<Owned>, StateError> {
        let range = (destination, Uid::MIN)..=(destination, Uid::MAX);
        Ok(self.tables().owned.range(range).map(|(_, owned)| owned.clone()).collect())
    }

    fn digests(
        &mut self,
        folder: FolderId,
        each: &mut dyn FnMut(Uid, Digest, Basis),
    ) -> Result<(), StateError> {
        let tables = self.tables();
        for (&(_, uid), &(digest, basis)) in
            tables.digests.range((folder, Uid::MIN)..=(folder, Uid::MAX))
        {
            each(uid, digest, basis);
        }
        Ok(())
    }

    fn put_digests(
        &mut self,
        folder: FolderId,
        digests: &[(Uid, Digest, Basis)],
    ) -> Result<(), StateError> {
        let mut tables = self.write()?;
        for &(uid, digest, basis) in digests {
            tables.digests.insert((folder, uid), (digest, basis));
        }
        Ok(())
    }

    fn intend(&mut self, intents: &[Intent]) -> Result<Vec<IntentId>, StateError> {
        let mut tables = self.write()?;
        Ok(intents.iter().map(|intent| tables.intend(intent)).collect())
    }

    fn settle(&mut self, outcomes: &[(IntentId, Outcome)]) -> Result<(), StateError> {
        let mut tables = self.write()?;
        // One commit: checked to the end before anything is changed.
        let mut open: Vec<IntentId> = tables.intents.keys().copied().collect();
        for (id, outcome) in outcomes {
            let position = open.binary_search(id).map_err(|_| port::not_open(*id))?;
            if !matches!(outcome, Outcome::Unknown { .. }) {
                open.remove(position);
            }
        }
        outcomes.iter().try_for_each(|(id, outcome)| tables.settle(*id, outcome))
    }

    fn open_intents(&mut self, destination: FolderId) -> Result<Vec<OpenIntent>, StateError> {
        let of = |open: &&OpenIntent| open.intent.destination_folder == destination;
        let mut intents: Vec<_> = self.tables().intents.values().filter(of).cloned().collect();
        intents.sort_by_key(|open| (open.intent.source, open.intent.source_folder));
        Ok(intents)
    }

    fn resent(&mut self, destination: FolderId) -> Result<Vec<(FolderId, Uid, Uid)>, StateError> {
        let of_folder = (destination, FolderId(i64::MIN), Uid::MIN)
            ..=(destination, FolderId(i64::MAX), Uid::MAX);
        let tables = self.tables();
        let resent = tables.resent.range(of_folder);
        Ok(resent.map(|(&(_, source_folder, uid), &from)| (source_folder, uid, from)).collect())
    }

    fn forget_resent(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError> {
        let of = |place: &(FolderId, FolderId, Uid)| (place.1, place.0) == (source, destination);
        self.write()?.resent.retain(|place, _| !of(place) || !source_uids.contains(place.2));
        Ok(())
    }

    fn highest_stored(&mut self, destination: FolderId) -> Result<Option<Uid>, StateError> {
        let mut tables = self.tables();
        let recorded = tables.folder_mut(destination).and_then(|folder| folder.highest_stored);
        let of = |&(&(_, to, _), _): &(&(FolderId, FolderId, Uid), &Link)| to == destination;
        let linked = tables.links.iter().filter(of).filter_map(|(_, link)| link.destination).max();
        let range = (destination, Uid::MIN)..=(destination, Uid::MAX);
        let owned = tables.owned.range(range).next_back().map(|(&(_, uid), _)| uid);
        Ok(recorded.max(linked).max(owned))
    }

    fn forget_stored_above(
        &mut self,
        destination: FolderId,
        top: Option<Uid>,
    ) -> Result<(), StateError> {
        let mut tables = self.write()?;
        tables.owned.retain(|&(folder, uid), _| folder != destination || Some(uid) <= top);
        if let Some(folder) = tables.folder_mut(destination) {
            folder.highest_stored = folder.highest_stored.min(top);
        }
        Ok(())
    }

    fn replace_items(&mut self, command: &str, items: &[Item]) -> Result<(), StateError> {
        self.write()?.items.insert(command.to_owned(), items.to_vec());
        Ok(())
    }

    fn items(&mut self) -> Result<Vec<Item>, StateError> {
        let mut items: Vec<Item> = self.tables().items.values().flatten().cloned().collect();
        port::sort_items(&mut items);
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_put_back_to_an_earlier_copy_knows_nothing_of_what_came_after() {
        let mut state = MemoryState::default();
        let intent = |source| Intent {
            source_folder: FolderId(1),
            source,
            destination_folder: FolderId(2),
            uid_next: Uid::MIN,
        };
        state.intend(&[intent(Uid::MIN)]).unwrap();
        let earlier = state.checkpoint();
        state.intend(&[intent(Uid::MAX)]).unwrap();
        assert_eq!(state.all_open_intents().len(), 2);
        state.restore(&earlier);
        let open = state.reopen().all_open_intents();
        assert_eq!(open.iter().map(|open| open.intent.source).collect::<Vec<_>>(), [Uid::MIN]);
    }
}

//! State that several threads work with.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::identity::{Basis, Digest};
use crate::mail::{FlagSet, ModSeq, Side, Timestamp, Uid, UidSet, WireName};
use crate::plan::Witness;
use crate::state::port::{
    FolderId, FolderKey, Intent, IntentId, Item, Link, OpenIntent, Outcome, Owned, RunId, State,
    StateError,
};

/// State behind a lock. A shared reference of it is state itself: each call takes its turn.
pub struct SharedState<'s>(Mutex<&'s mut dyn State>);

impl<'s> SharedState<'s> {
    /// Shares this state.
    #[must_use]
    pub fn new(state: &'s mut dyn State) -> Self {
        Self(Mutex::new(state))
    }

    fn lock(&self) -> MutexGuard<'_, &'s mut dyn State> {
        // What a thread that panicked had begun was not committed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State for &SharedState<'_> {
    fn begin_run(&mut self, command: &str, now: Timestamp) -> Result<RunId, StateError> {
        self.lock().begin_run(command, now)
    }

    fn gather(&mut self, gather: bool) -> Result<(), StateError> {
        self.lock().gather(gather)
    }

    fn last_folder(&mut self, side: Side, wire: &WireName) -> Result<Option<FolderId>, StateError> {
        self.lock().last_folder(side, wire)
    }

    fn was_empty(&self) -> bool {
        self.lock().was_empty()
    }

    fn witness(&mut self, side: Side) -> Result<Option<Witness>, StateError> {
        self.lock().witness(side)
    }

    fn set_witness(&mut self, side: Side, witness: &Witness) -> Result<(), StateError> {
        self.lock().set_witness(side, witness)
    }

    fn folder(&mut self, key: &FolderKey) -> Result<FolderId, StateError> {
        self.lock().folder(key)
    }

    fn is_alone(&mut self, folder: FolderId) -> Result<bool, StateError> {
        self.lock().is_alone(folder)
    }

    fn set_alone(&mut self, folder: FolderId, alone: bool) -> Result<(), StateError> {
        self.lock().set_alone(folder, alone)
    }

    fn high_water(
        &mut self,
        folder: FolderId,
    ) -> Result<(Option<Uid>, Option<ModSeq>), StateError> {
        self.lock().high_water(folder)
    }

    fn raise_high_water(
        &mut self,
        folder: FolderId,
        uid_next: Uid,
        mod_seq: Option<ModSeq>,
    ) -> Result<(), StateError> {
        self.lock().raise_high_water(folder, uid_next, mod_seq)
    }

    fn identity_kept(&mut self, folder: FolderId) -> Result<Option<bool>, StateError> {
        self.lock().identity_kept(folder)
    }

    fn set_identity_kept(&mut self, folder: FolderId, kept: bool) -> Result<(), StateError> {
        self.lock().set_identity_kept(folder, kept)
    }

    fn forget_folder(&mut self, folder: FolderId) -> Result<(), StateError> {
        self.lock().forget_folder(folder)
    }

    fn each_link(
        &mut self,
        source: FolderId,
        destination: FolderId,
        each: &mut dyn FnMut(Link),
    ) -> Result<(), StateError> {
        self.lock().each_link(source, destination, each)
    }

    fn each_link_from(
        &mut self,
        destination: FolderId,
        from: Uid,
        each: &mut dyn FnMut(FolderId, Link),
    ) -> Result<(), StateError> {
        self.lock().each_link_from(destination, from, each)
    }

    fn put_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        links: &[Link],
    ) -> Result<(), StateError> {
        self.lock().put_links(source, destination, links)
    }

    fn drop_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError> {
        self.lock().drop_links(source, destination, source_uids)
    }

    fn agree_flags(
        &mut self,
        destination: FolderId,
        flags: &[(Uid, FlagSet)],
    ) -> Result<(), StateError> {
        self.lock().agree_flags(destination, flags)
    }

    fn owned(&mut self, destination: FolderId) -> Result<Vec<Owned>, StateError> {
        self.lock().owned(destination)
    }

    fn digests(
        &mut self,
        folder: FolderId,
        each: &mut dyn FnMut(Uid, Digest, Basis),
    ) -> Result<(), StateError> {
        self.lock().digests(folder, each)
    }

    fn put_digests(
        &mut self,
        folder: FolderId,
        digests: &[(Uid, Digest, Basis)],
    ) -> Result<(), StateError> {
        self.lock().put_digests(folder, digests)
    }

    fn intend(&mut self, intents: &[Intent]) -> Result<Vec<IntentId>, StateError> {
        self.lock().intend(intents)
    }

    fn settle(&mut self, outcomes: &[(IntentId, Outcome)]) -> Result<(), StateError> {
        self.lock().settle(outcomes)
    }

    fn journal(
        &mut self,
        outcomes: &[(IntentId, Outcome)],
        intents: &[Intent],
    ) -> Result<Vec<IntentId>, StateError> {
        self.lock().journal(outcomes, intents)
    }

    fn open_intents(&mut self, destination: FolderId) -> Result<Vec<OpenIntent>, StateError> {
        self.lock().open_intents(destination)
    }

    fn resent(&mut self, destination: FolderId) -> Result<Vec<(FolderId, Uid, Uid)>, StateError> {
        self.lock().resent(destination)
    }

    fn forget_resent(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError> {
        self.lock().forget_resent(source, destination, source_uids)
    }

    fn highest_stored(&mut self, destination: FolderId) -> Result<Option<Uid>, StateError> {
        self.lock().highest_stored(destination)
    }

    fn forget_stored_above(
        &mut self,
        destination: FolderId,
        top: Option<Uid>,
    ) -> Result<(), StateError> {
        self.lock().forget_stored_above(destination, top)
    }

    fn replace_items(&mut self, command: &str, items: &[Item]) -> Result<(), StateError> {
        self.lock().replace_items(command, items)
    }

    fn items(&mut self) -> Result<Vec<Item>, StateError> {
        self.lock().items()
    }
}

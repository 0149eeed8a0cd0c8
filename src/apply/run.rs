//! A run: the sections of a plan, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::TryLockError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::apply::event::{Event, SharedWatch, Watch};
use crate::apply::fatal::Fatal;
use crate::apply::folders::{Later, ToCreate};
use crate::apply::outlet::Company;
use crate::apply::quota::Quota;
use crate::apply::settings::Settings;
use crate::apply::spelling::Spellings;
use crate::apply::tally::Applied;
use crate::apply::work::Work;
use crate::mail::{FolderName, Side, UidValidity, WireName};
use crate::plan::{Reason, Witness};
use crate::session::{Clock, Held, NoSession, Patience, Stop};
use crate::state::{Item, RunId, SharedState, State};
use crate::store::{Connect, Destination, Listing, Source, StoreError};

/// Both ends of a migration, not yet connected.
pub struct Ends {
    /// Where mail is read. There is no way to change anything there.
    pub source: Box<dyn Connect<dyn Source>>,
    /// Where mail is written.
    pub destination: Box<dyn Connect<dyn Destination>>,
}

/// Which sections are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// Folders and subscriptions.
    Folders,
    /// Folders and copies.
    Copies,
    /// Flags.
    Flags,
}

impl Only {
    pub(super) const fn folders(self) -> bool {
        matches!(self, Self::All | Self::Folders | Self::Copies)
    }

    /// Tells whether messages are copied.
    #[must_use]
    pub const fn copies(self) -> bool {
        matches!(self, Self::All | Self::Copies)
    }

    pub(super) const fn flags(self) -> bool {
        matches!(self, Self::All | Self::Flags)
    }

    pub(super) const fn subscriptions(self) -> bool {
        matches!(self, Self::All | Self::Folders)
    }
}

/// What a run is given besides its plan and its ends.
pub struct Surroundings<'a> {
    /// The journal.
    pub state: &'a mut dyn State,
    /// How patient to be.
    pub settings: Settings,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The wish to stop.
    pub stop: &'a Stop,
    /// Who is told.
    pub watch: &'a mut dyn Watch,
    /// Which sections.
    pub only: Only,
    /// What the destination listed, where that was a moment ago, when the plan was made and both ends were
    /// proved to be its accounts: neither is listed again.
    pub listed: Option<Listing>,
}

/// What all lanes of a run share.
#[derive(Clone, Copy)]
pub(super) struct Common<'r, 's> {
    pub work: &'r Work,
    pub state: &'r SharedState<'s>,
    pub watch: &'r SharedWatch<'s>,
    pub quota: &'r Quota,
    pub tallies: &'r Tallies,
    pub settings: Settings,
    pub clock: &'r dyn Clock,
    pub stop: &'r Stop,
    pub only: Only,
    pub id: RunId,
}

/// What lanes tell each other.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    /// Items of all lanes.
    pub items: AtomicU64,
    /// A lane has ended with a fault that ends the run.
    pub ended: AtomicBool,
    folders: Mutex<Folders>,
    making: Mutex<()>,
}

/// What became of folders that the plan creates.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// Those that the destination did not make, and what it said.
    pub refused: BTreeMap<WireName, String>,
    /// Those that it made.
    pub made: BTreeMap<WireName, Made>,
    /// Those that lanes begin with: whoever comes first makes them all.
    pub first: Vec<ToCreate>,
    /// The UIDVALIDITYs that one folder had alone when they were listed behind the last creation.
    pub alone: BTreeSet<UidValidity>,
    /// The destination's witness, where no folder was in it yet: those that are filled go into it.
    pub witness: Option<Witness>,
}

/// A folder that the destination made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// How it spells its name.
    pub spelled: WireName,
    /// It was listed as empty afterwards.
    pub is_empty: bool,
}

impl Folders {
    /// Notes what was said of a folder; tells whether that is news, and no other lane has made it.
    pub(super) fn refuse(&mut self, wire: &WireName, said: &str) -> bool {
        let is_new = !self.is_known(wire);
        if is_new {
            self.refused.insert(wire.clone(), said.to_owned());
        }
        is_new
    }

    /// Tells whether this folder was to be created before.
    pub(super) fn is_known(&self, wire: &WireName) -> bool {
        self.made.contains_key(wire) || self.refused.contains_key(wire)
    }
}

impl Tallies {
    /// Waits until no other lane makes folders, and keeps it so.
    pub(super) fn making(&self) -> MutexGuard<'_, ()> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, if no other lane makes folders now.
    pub(super) fn try_making(&self) -> Option<MutexGuard<'_, ()>> {
        match self.making.try_lock() {
            Ok(making) => Some(making),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn folders(&self) -> MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One lane of a run over one account pair: a session on each side, used by one thread.
pub(super) struct Run<'r> {
    pub work: &'r Work,
    pub source: Held<dyn Source>,
    pub destination: Held<dyn Destination>,
    pub state: Box<dyn State + 'r>,
    pub settings: Settings,
    pub clock: &'r dyn Clock,
    pub stop: &'r Stop,
    pub watch: Box<dyn Watch + 'r>,
    pub only: Only,
    pub id: RunId,
    pub done: Applied,
    pub quota: &'r Quota,
    pub tallies: &'r Tallies,
    /// Both ends are the plan's: from here on items are this run's.
    pub met: bool,
    /// Both servers are near.
    pub are_near: bool,
}

impl<'r> Common<'r, '_> {
    /// A lane over these sessions.
    pub(super) fn lane(
        &self,
        source: Held<dyn Source>,
        destination: Held<dyn Destination>,
    ) -> Run<'r> {
        let Self { work, settings, clock, stop, only, id, quota, tallies, .. } = *self;
        Run {
            work,
            source,
            destination,
            state: Box::new(self.state),
            settings,
            clock,
            stop,
            watch: Box::new(self.watch),
            only,
            id,
            done: Applied::default(),
            quota,
            tallies,
            met: false,
            are_near: false,
        }
    }
}

/// Applies a plan: carries out what is in it, and nothing else. Whatever happens, what was done is in
/// the result and in the journal; the same plan may be applied again until it is done.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "a plan is carried out once")]
pub fn apply(work: Work, ends: Ends, surroundings: Surroundings<'_>) -> Applied {
    let Surroundings { state, settings, clock, stop, watch, only, listed } = surroundings;
    // Intents and outcomes are on disk when they are written down. What else is, can be found out again:
    // a commit of its own for each folder would be a wait for the disk each.
    let id = match state
        .begin_run("apply", clock.now())
        .and_then(|id| state.gather(true).map(|()| id))
    {
        Ok(id) => id,
        Err(fault) => {
            return Applied { fatal: Some(Fatal::State(fault)), ..Applied::default() };
        }
    };
    let (state, watch) = (SharedState::new(state), SharedWatch::new(watch));
    let (quota, tallies) = (Quota::default(), Tallies::default());
    let common = Common {
        work: &work,
        state: &state,
        watch: &watch,
        quota: &quota,
        tallies: &tallies,
        settings,
        clock,
        stop,
        only,
        id,
    };
    let mut run = common.lane(Held::new(ends.source), Held::new(ends.destination));
    if let Err(fatal) = run.carry_out(&common, listed) {
        let stopped = matches!(fatal, Fatal::Store { error: StoreError::Stopped, .. });
        run.done.fatal = Some(if stopped { Fatal::Stopped } else { fatal });
    }
    run.finish()
}

impl<'r> Run<'r> {
    fn carry_out(&mut self, common: &Common<'r, '_>, listed: Option<Listing>) -> Result<(), Fatal> {
        let listing = self.meet(listed)?;
        self.met = true;
        let recorded = self.state.witness(Side::Destination)?;
        self.tallies.folders().witness = recorded.filter(|witness| witness.folders.is_empty());
        if let Some(header) = &self.work.header {
            let totals = self.work.totals;
            self.watch.event(&Event::Started { plan: &header.plan, totals: &totals });
        }
        self.take_over_the_plans_own();
        let items = u64::try_from(self.done.items.len()).unwrap_or(u64::MAX);
        self.tallies.items.fetch_add(items, Ordering::Relaxed);
        let spellings = if self.only.copies() {
            self.copy_all(common, listing)?
        } else {
            self.spellings(listing.into(), &Later::new())?
        };
        if self.only.flags() {
            self.change_flags()?;
        }
        let seen = self.look_at_the_source_while(|run| {
            if run.only.subscriptions() { run.subscribe(&spellings) } else { Ok(()) }
        })?;
        self.see_whether_the_source_moved_on(&seen)
    }

    /// Makes the folders of the plan but those that are left for later; returns how the destination spells
    /// its names.
    pub(super) fn spellings(
        &mut self,
        spellings: Spellings,
        later: &Later,
    ) -> Result<Spellings, Fatal> {
        if self.only.folders() { self.create_folders(spellings, later) } else { Ok(spellings) }
    }

    /// Books what the plan itself leaves out or blocks.
    fn take_over_the_plans_own(&mut self) {
        for (&reason, &messages) in &self.work.skipped {
            self.done.leave_out(reason, messages);
        }
        for blocked in &self.work.blocked {
            let Some(pair) = self.work.pair(blocked.pair) else { continue };
            let item = Item {
                folder: pair.source.name.clone(),
                side: Side::Source,
                uid: blocked.uid,
                date: blocked.date,
                octets: blocked.octets,
                reason: blocked.reason,
                said: None,
            };
            self.done.leave_out(blocked.reason, 1);
            self.done.items.push(item);
        }
        for left_out in &self.work.left_out {
            if left_out.reason.leaves_a_folder_undone() {
                let item = folder_item(left_out.name.clone(), left_out.side, left_out.reason, None);
                self.done.items.push(item);
            }
        }
    }

    /// Ends the sessions of a lane; returns what it did.
    pub(super) fn end(mut self) -> Applied {
        self.done.reconnected += self.source.reconnected + self.destination.reconnected;
        self.source.close();
        self.destination.close();
        self.done
    }

    fn finish(mut self) -> Applied {
        self.done.source_compression = self.source.compression();
        self.done.destination_compression = self.destination.compression();
        self.tell_what_was_emptied();
        // A run that came no further than a login leaves what the last one found: it is as open as it was.
        let written =
            if self.met { self.state.replace_items("apply", &self.done.items) } else { Ok(()) };
        if let Err(fault) = written.and(self.state.gather(false))
            && self.done.fatal.is_none()
        {
            self.done.fatal = Some(Fatal::State(fault));
        }
        self.end()
    }

    /// Tells of folders into which the destination put an empty message when it was asked what it
    /// understands.
    fn tell_what_was_emptied(&mut self) {
        for wire in self.destination.take_emptied() {
            let planned = self.work.destination_name(&wire);
            let name = planned.unwrap_or_else(|| FolderName::from_undecodable(&wire));
            self.item(folder_item(name, Side::Destination, Reason::StoredNothing, None));
        }
    }

    /// What making sessions needs.
    pub(super) fn patience(&self) -> Patience<'r> {
        let reconnect_for = self.settings.reconnect_for;
        Patience { clock: self.clock, stop: self.stop, reconnect_for }
    }

    /// The source's session, made if need be.
    pub(super) fn source(&mut self) -> Result<&mut (dyn Source + 'static), Fatal> {
        let patience = self.patience();
        Ok(self.source.get(&patience, &mut telling(&mut *self.watch))?)
    }

    /// The destination's session, made if need be.
    pub(super) fn destination(&mut self) -> Result<&mut (dyn Destination + 'static), Fatal> {
        let patience = self.patience();
        Ok(self.destination.get(&patience, &mut telling(&mut *self.watch))?)
    }

    /// Both sessions at once.
    pub(super) fn both(
        &mut self,
    ) -> Result<(&mut (dyn Source + 'static), &mut (dyn Destination + 'static)), Fatal> {
        self.parts().map(|(source, destination, _)| (source, destination))
    }

    /// Both sessions at once, with everything else that a pass needs.
    pub(super) fn parts(&mut self) -> Result<Parts<'_>, Fatal> {
        let patience = self.patience();
        let source = self.source.get(&patience, &mut telling(&mut *self.watch))?;
        let destination = self.destination.get(&patience, &mut telling(&mut *self.watch))?;
        let with = Company {
            state: &mut *self.state,
            watch: &mut *self.watch,
            stop: self.stop,
            quota: self.quota,
        };
        Ok((source, destination, with))
    }

    /// The destination's session, with everything else that writing needs.
    pub(super) fn writing(
        &mut self,
    ) -> Result<(&mut (dyn Destination + 'static), Company<'_>), Fatal> {
        let patience = self.patience();
        let destination = self.destination.get(&patience, &mut telling(&mut *self.watch))?;
        let with = Company {
            state: &mut *self.state,
            watch: &mut *self.watch,
            stop: self.stop,
            quota: self.quota,
        };
        Ok((destination, with))
    }

    /// Books an item and tells it.
    pub(super) fn item(&mut self, item: Item) {
        self.tallies.items.fetch_add(1, Ordering::Relaxed);
        self.done.item(item, &mut *self.watch);
    }

    /// Tells whether nothing more is to be begun: a signal asked for it, or another lane has failed.
    pub(super) fn is_to_stop(&self) -> bool {
        self.stop.requested() || self.tallies.ended.load(Ordering::Relaxed)
    }

    /// Ends the run where the manifest's limit of items is exceeded.
    pub(super) fn mind_the_items(&self) -> Result<(), Fatal> {
        match self.settings.max_items {
            Some(limit) if self.tallies.items.load(Ordering::Relaxed) > limit => {
                Err(Fatal::TooManyItems(limit))
            }
            _ => Ok(()),
        }
    }
}

/// Both sessions, and what a pass needs besides.
pub(super) type Parts<'p> =
    (&'p mut (dyn Source + 'static), &'p mut (dyn Destination + 'static), Company<'p>);

pub(super) fn telling(watch: &mut dyn Watch) -> impl FnMut(Side, &str, Duration) {
    |side, why, after| watch.event(&Event::Reconnecting { side, why, after })
}

impl From<NoSession> for Fatal {
    fn from(none: NoSession) -> Self {
        match none {
            NoSession::Stopped => Self::Stopped,
            NoSession::Failed(side, error) => Self::Store { side, error },
        }
    }
}

/// An item for a whole folder.
pub(super) fn folder_item(
    folder: FolderName,
    side: Side,
    reason: Reason,
    said: Option<String>,
) -> Item {
    Item { folder, side, uid: None, date: None, octets: None, reason, said }
}

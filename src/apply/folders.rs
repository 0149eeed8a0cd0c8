//! The sections of a plan that concern whole folders: creating and subscribing.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply::copy::{Trouble, at};
use crate::apply::fatal::Fatal;
use crate::apply::group::Group;
use crate::apply::run::{Made, Run, folder_item};
use crate::apply::spelling::Spellings;
use crate::inspect;
use crate::mail::{FolderName, Role, Side, WireName};
use crate::plan::{Action, FolderPair, Reason};
use crate::store::{Destination, Listing, StoreError};

/// What became of each folder.
type Ends = Vec<Result<(), StoreError>>;

/// More folders than this are all made at once: each wave that makes some lists all that there are.
const LATER_MAX: usize = 1_000;

/// A folder that the plan creates.
#[derive(Clone, Debug)]
pub(super) struct ToCreate {
    pub name: FolderName,
    pub wire: WireName,
    pub role: Option<Role>,
}

/// Folders that are made when it comes to them, each behind those above it that are not there yet.
pub(super) type Later = BTreeMap<WireName, Vec<ToCreate>>;

/// What is between a destination folder and its mail.
#[derive(Clone, Debug, Default)]
pub(super) enum Absent {
    /// Nothing: it is there.
    #[default]
    No,
    /// These are to be made first, it itself as the last.
    ToCreate(Vec<ToCreate>),
    /// The server did not make it.
    Refused,
}

impl ToCreate {
    fn of(action: &Action) -> Option<Self> {
        let Action::CreateFolder { name, wire, role, .. } = action else { return None };
        Some(Self { name: name.clone(), wire: wire.clone(), role: *role })
    }
}

/// The names above a name, the nearest first.
fn above(name: &FolderName) -> impl Iterator<Item = FolderName> + use<> {
    std::iter::successors(name.parent(), FolderName::parent)
}

impl Run<'_> {
    /// Folders that need not be there before it comes to them: while they are made, their messages are
    /// read. And with each folder that is there, some servers take longer for every message, because they
    /// add up what all of them hold.
    pub(super) fn left_for_later(&self, before: &Spellings) -> Later {
        let lacking: BTreeMap<FolderName, ToCreate> =
            self.lacking(before).map(|create| (create.name.clone(), create)).collect();
        let with_those_above = |create: &ToCreate| {
            let mut path = vec![create.clone()];
            path.extend(above(&create.name).filter_map(|name| lacking.get(&name).cloned()));
            path.reverse();
            path
        };
        let pairs = self.work.pairs.iter();
        let filled: BTreeSet<&WireName> = pairs
            .filter(|pair| self.work.copies.contains_key(&pair.pair))
            .map(|pair| &pair.destination.wire)
            .collect();
        let filled = lacking.values().filter(|create| filled.contains(&create.wire));
        let later: Later =
            filled.map(|create| (create.wire.clone(), with_those_above(create))).collect();
        if later.len() <= LATER_MAX { later } else { Later::new() }
    }

    /// What the plan creates and the destination lacks.
    fn lacking(&self, before: &Spellings) -> impl Iterator<Item = ToCreate> {
        let wires = self.work.destination_wires();
        let creates = self.work.creates.iter().filter_map(ToCreate::of);
        creates.filter(move |create| before.among(&create.wire, &wires).is_none())
    }

    /// Creates what the plan creates and the destination lacks, but what is left for later and nothing
    /// that is made now lies below.
    pub(super) fn create_folders(
        &mut self,
        before: Spellings,
        later: &Later,
    ) -> Result<Spellings, Fatal> {
        let later: BTreeSet<&WireName> =
            later.values().flatten().map(|create| &create.wire).collect();
        let mut now: Vec<ToCreate> = self.lacking(&before).collect();
        let is_now = |create: &&ToCreate| !later.contains(&create.wire);
        let needed: BTreeSet<FolderName> =
            now.iter().filter(is_now).flat_map(|create| above(&create.name)).collect();
        now.retain(|create| is_now(&create) || needed.contains(&create.name));
        Ok(self.make(now)?.unwrap_or(before))
    }

    /// Creates the folders of these groups that were left for later, and with the first of them those of
    /// the groups that other lanes begin with: one round trip is enough for all.
    pub(super) fn create_absent(&mut self, groups: &mut [Group]) -> Result<(), Fatal> {
        let is_absent = |group: &&mut Group| matches!(group.absent, Absent::ToCreate(_));
        if !groups.iter_mut().any(|group| is_absent(&group)) {
            return Ok(());
        }
        let tallies = self.tallies;
        let making = if let Some(making) = tallies.try_making() {
            making
        } else {
            self.acquaint()?;
            tallies.making()
        };
        let mut wanted = std::mem::take(&mut tallies.folders().first);
        for group in groups.iter() {
            let Absent::ToCreate(path) = &group.absent else { continue };
            wanted.extend(path.iter().cloned());
        }
        let mut asked = BTreeSet::new();
        wanted.retain(|create| {
            !tallies.folders().is_known(&create.wire) && asked.insert(create.wire.clone())
        });
        self.make(wanted)?;
        drop(making);
        for group in groups.iter_mut().filter(is_absent) {
            let wire = group.wire.clone();
            let made = tallies.folders().made.get(&wire).cloned();
            let Some(Made { spelled, is_empty }) = made else {
                self.block_refused(group, &wire);
                continue;
            };
            group.absent = Absent::No;
            group.listed_empty = is_empty;
            group.wire = spelled;
        }
        Ok(())
    }

    /// The INBOX at the destination, which is always there, if messages are to go there.
    fn inbox(&self) -> Option<WireName> {
        let is_filled = |pair: &&FolderPair| {
            pair.destination.wire.is_inbox() && self.work.copies.contains_key(&pair.pair)
        };
        let pair = self.work.pairs.iter().filter(|_| self.only.copies()).find(is_filled);
        pair.map(|pair| pair.destination.wire.clone())
    }

    /// Finds out what the destination understands while another lane makes the folders.
    fn acquaint(&mut self) -> Result<(), Fatal> {
        let Some(inbox) = self.inbox() else { return Ok(()) };
        if let Err(error) = self.destination()?.acquaint(&inbox) {
            self.destination.note(&error);
        }
        Ok(())
    }

    /// Ends a folder that the server did not make.
    fn block_refused(&mut self, group: &mut Group, wire: &WireName) {
        group.absent = Absent::Refused;
        for todo in &mut group.pairs {
            todo.sets.clear();
            let said = self.said_of_folder(wire);
            self.block_pair(todo.pair.pair, Reason::FolderRefused, said);
        }
    }

    /// What the server said of a folder that it did not make.
    pub(super) fn said_of_folder(&self, wire: &WireName) -> Option<String> {
        self.tallies.folders().refused.get(wire).cloned()
    }

    /// Creates folders; returns what the destination lists afterwards, unless it made none of them. Listed
    /// it has to be, because the server's spelling of a name counts.
    fn make(&mut self, folders: Vec<ToCreate>) -> Result<Option<Spellings>, Fatal> {
        let wires = self.work.destination_wires();
        let asked: Vec<_> =
            folders.iter().map(|create| (create.wire.clone(), create.role)).collect();
        let mut listing = None;
        let inbox = self.inbox();
        let ends = self.each_or_all(
            &asked,
            |destination, asked| {
                let created = destination.create_all(asked, inbox.as_ref())?;
                listing = created.listing;
                Ok(created.ends)
            },
            |destination, (wire, role)| destination.create(wire, *role),
        )?;
        let mut created = Vec::new();
        for (create, end) in folders.into_iter().zip(ends) {
            match end {
                Ok(()) => created.push(create),
                Err(error) => self.refuse_folder(create, &crate::apply::said(&error)),
            }
        }
        if created.is_empty() {
            return Ok(None);
        }
        let listing = match listing {
            Some(listing) => listing,
            None => self.list_destination()?,
        };
        let mut folders = self.tallies.folders();
        folders.alone = inspect::alone(&listing);
        let side = Side::Destination;
        inspect::note_company(&mut *self.state, side, &listing, &folders.alone)?;
        drop(folders);
        let after = Spellings::from(listing);
        for create in created {
            if let Some(spelled) = after.among(&create.wire, &wires) {
                let is_empty = after.is_empty(&spelled);
                let made = Made { spelled, is_empty };
                let before = self.tallies.folders().made.insert(create.wire, made);
                self.done.created += u64::from(before.is_none());
            } else {
                self.refuse_folder(create, "the server said OK, but does not list the folder");
            }
        }
        Ok(Some(after))
    }

    /// Books a folder that the destination did not make: as an item of its own where no message waits
    /// for it, else with those that do.
    fn refuse_folder(&mut self, create: ToCreate, said: &str) {
        let ToCreate { name, wire, .. } = create;
        if !self.tallies.folders().refuse(&wire, said) {
            return;
        }
        let waits = |pair: &FolderPair| {
            pair.destination.wire == wire && self.work.copies.contains_key(&pair.pair)
        };
        if !self.only.copies() || !self.work.pairs.iter().any(waits) {
            let reason = Reason::FolderRefused;
            let item = folder_item(name, Side::Destination, reason, Some(said.to_owned()));
            self.item(item);
        }
    }

    fn list_destination(&mut self) -> Result<Listing, Fatal> {
        self.persist(|run| run.destination()?.list().map_err(at(Side::Destination)))
            .map_err(Trouble::into_fatal)
    }

    /// Subscribes to what is not subscribed to yet.
    pub(super) fn subscribe(&mut self, spellings: &Spellings) -> Result<(), Fatal> {
        let wires = self.work.destination_wires();
        let (mut names, mut asked) = (Vec::new(), Vec::new());
        for action in &self.work.subscriptions {
            let Action::Subscribe { name, wire, .. } = action.clone() else { continue };
            let folders = self.tallies.folders();
            if folders.refused.contains_key(&wire) {
                continue;
            }
            let spelled = folders.made.get(&wire).map(|made| made.spelled.clone());
            drop(folders);
            let wire = spelled.or_else(|| spellings.among(&wire, &wires)).unwrap_or(wire);
            if !spellings.is_subscribed(&wire) {
                names.push(name);
                asked.push(wire);
            }
        }
        let ends = self.each_or_all(
            &asked,
            |destination, asked| destination.subscribe_all(asked),
            |destination, wire| destination.subscribe(wire),
        )?;
        for (name, end) in names.into_iter().zip(ends) {
            match end {
                Ok(()) => self.done.subscribed += 1,
                Err(error) => {
                    let said = Some(crate::apply::said(&error));
                    let reason = Reason::SubscriptionRefused;
                    let item = folder_item(name, Side::Destination, reason, said);
                    self.item(item);
                }
            }
        }
        Ok(())
    }

    /// Does something to all folders at one go, or, where the connection does not live through that,
    /// to one after the other, so that a folder at which it ends stops only itself. Twice is once.
    fn each_or_all<T>(
        &mut self,
        asked: &[T],
        mut all: impl FnMut(&mut dyn Destination, &[T]) -> Result<Ends, StoreError>,
        each: impl Fn(&mut dyn Destination, &T) -> Result<(), StoreError>,
    ) -> Result<Ends, Fatal> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let at = at(Side::Destination);
        match self.persist(|run| all(run.destination()?, asked).map_err(&at)) {
            Ok(ends) => return Ok(ends),
            Err(Trouble::Fatal(fatal)) => return Err(fatal),
            Err(Trouble::Store(..)) => {}
        }
        let mut ends = Vec::new();
        for one in asked {
            match self.persist(|run| each(run.destination()?, one).map_err(&at)) {
                Ok(()) => ends.push(Ok(())),
                Err(Trouble::Fatal(fatal)) => return Err(fatal),
                Err(Trouble::Store(_, error)) => ends.push(Err(error)),
            }
        }
        Ok(ends)
    }

    /// Tries something that may be done twice until it is done, refused, or has failed too often.
    pub(super) fn persist<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut tries = 0;
        loop {
            match attempt(self) {
                Err(Trouble::Store(side, error)) => {
                    let dead = match side {
                        Side::Source => self.source.note(&error),
                        Side::Destination => self.destination.note(&error),
                    };
                    tries += 1;
                    if !dead || tries > self.settings.retries {
                        return Err(Trouble::Store(side, error));
                    }
                }
                other => return other,
            }
        }
    }
}

impl Trouble {
    /// The same, where there is no way round it.
    pub(super) fn into_fatal(self) -> Fatal {
        match self {
            Self::Fatal(fatal) => fatal,
            Self::Store(side, error) => Fatal::Store { side, error },
        }
    }
}

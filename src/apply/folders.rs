//! The sections of a plan that concern whole folders: creating and subscribing.

use crate::apply::copy::{Trouble, at};
use crate::apply::fatal::Fatal;
use crate::apply::run::{Run, folder_item};
use crate::apply::spelling::Spellings;
use crate::mail::{FolderName, Side, WireName};
use crate::plan::{Action, FolderPair, Reason};
use crate::store::{Destination, Listing, StoreError};

/// What became of each folder.
type Ends = Vec<Result<(), StoreError>>;

impl Run<'_> {
    /// Creates what the plan creates and the destination lacks; lists once more afterwards, since the
    /// server's spelling of a name counts.
    pub(super) fn create_folders(&mut self, listing: Listing) -> Result<Spellings, Fatal> {
        let before = Spellings::from(listing);
        let wires = self.work.destination_wires();
        let (mut names, mut asked) = (Vec::new(), Vec::new());
        for action in &self.work.creates {
            let Action::CreateFolder { name, wire, role, .. } = action.clone() else { continue };
            if before.among(&wire, &wires).is_none() {
                names.push(name);
                asked.push((wire, role));
            }
        }
        let mut listing = None;
        let ends = self.each_or_all(
            &asked,
            |destination, asked| {
                let created = destination.create_all(asked)?;
                listing = created.listing;
                Ok(created.ends)
            },
            |destination, (wire, role)| destination.create(wire, *role),
        )?;
        let mut created = Vec::new();
        for ((name, (wire, _)), end) in names.into_iter().zip(asked).zip(ends) {
            match end {
                Ok(()) => created.push((name, wire)),
                Err(error) => self.refuse_folder(name, wire, crate::apply::said(&error)),
            }
        }
        if created.is_empty() {
            return Ok(before);
        }
        let after = match listing {
            Some(listing) => listing.into(),
            None => self.list_destination()?,
        };
        for (name, wire) in created {
            if after.among(&wire, &wires).is_some() {
                self.done.created += 1;
            } else {
                let said = "the server said OK, but does not list the folder".to_owned();
                self.refuse_folder(name, wire, said);
            }
        }
        Ok(after)
    }

    /// Books a folder that the destination did not make: as an item of its own where no message waits
    /// for it, else with those that do.
    fn refuse_folder(&mut self, name: FolderName, wire: WireName, said: String) {
        let waits = |pair: &FolderPair| {
            pair.destination.wire == wire && self.work.copies.contains_key(&pair.pair)
        };
        if !self.only.copies() || !self.work.pairs.iter().any(waits) {
            let reason = Reason::FolderRefused;
            let item = folder_item(name, Side::Destination, reason, Some(said.clone()));
            self.item(item);
        }
        self.refused.insert(wire, said);
    }

    fn list_destination(&mut self) -> Result<Spellings, Fatal> {
        let listed = self.persist(|run| run.destination()?.list().map_err(at(Side::Destination)));
        match listed {
            Ok(listing) => Ok(listing.into()),
            Err(trouble) => Err(trouble.into_fatal()),
        }
    }

    /// Subscribes to what is not subscribed to yet.
    pub(super) fn subscribe(&mut self, spellings: &Spellings) -> Result<(), Fatal> {
        let wires = self.work.destination_wires();
        let (mut names, mut asked) = (Vec::new(), Vec::new());
        for action in &self.work.subscriptions {
            let Action::Subscribe { name, wire, .. } = action.clone() else { continue };
            if self.refused.contains_key(&wire) {
                continue;
            }
            let wire = spellings.among(&wire, &wires).unwrap_or(wire);
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

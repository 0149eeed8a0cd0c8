//! Meeting both ends: the right accounts, and two of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::thread;

use crate::apply::copy::{Trouble, at};
use crate::apply::fatal::Fatal;
use crate::apply::group::Group;
use crate::apply::run::{Run, telling};
use crate::apply::work::Work;
use crate::inspect;
use crate::inspect::SideSeen;
use crate::mail::{FolderName, Side, WireName};
use crate::plan::{Account, Reason, Witness, WitnessFolder};
use crate::session;
use crate::snapshot::FolderTree;
use crate::state::{Verdict, same_account};
use crate::store::{Listing, StoreError};

impl Run<'_> {
    /// Logs in on both sides and proves that these are the accounts of the plan, and two, unless that was
    /// seen when it was made, a moment ago. Returns what the destination lists.
    pub(super) fn meet(&mut self, listed: Option<Listing>) -> Result<Listing, Fatal> {
        if let Some(listing) = listed {
            session::begin_both(&mut self.source, &mut self.destination, self.stop)?;
            return Ok(listing);
        }
        let accounts = self.work.header.as_ref().and_then(|header| header.accounts.first());
        let accounts = accounts.cloned();
        let roots = accounts
            .as_ref()
            .map(|accounts| (accounts.source.root.clone(), accounts.destination.root.clone()));
        let roots = roots.unwrap_or_default();
        let (source, destination, ends) = self
            .persist(|run| {
                session::begin_both(&mut run.source, &mut run.destination, run.stop)
                    .map_err(Fatal::from)?;
                let (here, there) = run.both()?;
                inspect::meet_both(here, there, roots.clone())
                    .map_err(|(side, error)| Trouble::Store(side, error))
            })
            .map_err(Trouble::into_fatal)?;
        if let Some(accounts) = &accounts {
            is_the_plans(Side::Source, &accounts.source, &source.witness)?;
            is_the_plans(Side::Destination, &accounts.destination, &destination.witness)?;
        }
        if let inspect::Ends::Same { folders, .. } = ends {
            let names: Vec<_> = folders.iter().map(WireName::escaped).collect();
            return Err(Fatal::OneMailbox(names.join(", ")));
        }
        self.state.set_witness(Side::Source, &source.witness)?;
        self.state.set_witness(Side::Destination, &destination.witness)?;
        Ok(destination.listing)
    }

    /// Notes a folder into which messages went, where none proved yet which account the destination is: the
    /// next run may find it under another host.
    pub(super) fn bear_witness(&mut self, group: &Group) -> Result<(), Fatal> {
        let mut folders = self.tallies.folders();
        let Some(place) = group.place.as_ref().filter(|_| group.copied() > 0) else {
            return Ok(());
        };
        let Some(witness) = &mut folders.witness else { return Ok(()) };
        witness.folders.push(WitnessFolder {
            wire: group.wire.clone(),
            uid_validity: place.uid_validity,
            mailbox_id: place.mailbox_id.clone(),
        });
        // Those that the next run will look at.
        witness.folders.sort_by(|one, other| {
            inspect::witness_order(&one.wire).cmp(&inspect::witness_order(&other.wire))
        });
        witness.folders.truncate(1 + inspect::WITNESS_FOLDERS);
        self.state.set_witness(Side::Destination, witness)?;
        Ok(())
    }

    /// Lists the source once more, while `work` is done at the destination.
    pub(super) fn look_at_the_source_while(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), Fatal>,
    ) -> Result<SideSeen, Fatal> {
        let accounts = self.work.header.as_ref().and_then(|header| header.accounts.first());
        let root = accounts.and_then(|accounts| accounts.source.root.clone());
        let patience = self.patience();
        let taken = self.source.take(&patience, &mut telling(&mut *self.watch));
        let mut source = match taken {
            Ok(source) => source,
            Err(none) => return work(self).and(Err(none.into())),
        };
        let (seen, done) = thread::scope(|scope| {
            let look = scope.spawn(|| inspect::meet(&mut *source, Side::Source, root.clone()));
            let done = work(self);
            (look.join().unwrap_or_else(|panic| resume_unwind(panic)), done)
        });
        self.source.put_back(source);
        done?;
        let mut first = Some(seen);
        self.persist(|run| {
            let seen = match first.take() {
                Some(seen) => seen,
                None => inspect::meet(run.source()?, Side::Source, root.clone()),
            };
            seen.map_err(at(Side::Source))
        })
        .map_err(Trouble::into_fatal)
    }

    /// Sees whether mail came since the plan was made: it is left for the next plan, and then both sides
    /// are not equal.
    pub(super) fn see_whether_the_source_moved_on(&mut self, seen: &SideSeen) -> Result<(), Fatal> {
        self.done.source_moved_on |= has_a_new_folder(self.work, &seen.tree);
        let pairs: Vec<_> = self.work.pairs.iter().map(|pair| pair.source.clone()).collect();
        for folder in pairs {
            let listed = seen.listing.rows.iter().find(|row| row.name == folder.wire);
            let status = match listed.and_then(|row| row.status.clone()) {
                Some(status) if status.uid_next.is_some() => status,
                _ => match self
                    .persist(|run| run.source()?.status(&folder.wire).map_err(at(Side::Source)))
                {
                    Ok(status) => status,
                    Err(Trouble::Store(_, StoreError::Refused(_))) => {
                        self.done.source_moved_on = true;
                        continue;
                    }
                    Err(trouble) => return Err(trouble.into_fatal()),
                },
            };
            let moved = status.uid_next.is_some_and(|uid_next| uid_next > folder.seen.uid_next)
                || status.uid_validity.is_some_and(|validity| validity != folder.seen.uid_validity);
            self.done.source_moved_on |= moved;
        }
        Ok(())
    }
}

/// Tells whether the source has a folder that the plan neither copies nor leaves out. Nothing can be
/// told where names are read otherwise than the plan read them, by rules that are not in it.
fn has_a_new_folder(work: &Work, tree: &FolderTree) -> bool {
    let left_out: BTreeSet<&FolderName> = work
        .left_out
        .iter()
        .filter(|folder| folder.side == Side::Source && folder.reason != Reason::MissingFolder)
        .map(|folder| &folder.name)
        .collect();
    let paired: BTreeMap<&WireName, &FolderName> =
        work.pairs.iter().map(|pair| (&pair.source.wire, &pair.source.name)).collect();
    let outside = tree.outside.iter().map(|folder| &folder.name);
    let all: BTreeSet<&FolderName> =
        tree.folders.iter().map(|folder| &folder.name).chain(outside).collect();
    let is_read_alike = left_out.is_subset(&all)
        && paired
            .iter()
            .all(|(wire, name)| tree.by_wire(wire).is_none_or(|folder| folder.name == **name));
    is_read_alike
        && tree.folders.iter().any(|folder| {
            folder.selectable
                && !paired.contains_key(&folder.wire)
                && !left_out.contains(&folder.name)
        })
}

/// Tells whether a login leads where the plan says.
fn is_the_plans(side: Side, planned: &Account, met: &Witness) -> Result<(), Fatal> {
    match same_account(&planned.witness, met) {
        Verdict::Same | Verdict::Unknown if planned.witness.user == met.user => Ok(()),
        _ => {
            let (then, now) = (&planned.witness.user, &met.user);
            let detail = if then == now {
                "the user is called as in the plan, but its folders are others".to_owned()
            } else {
                let (then, now) = (crate::apply::escape(then), crate::apply::escape(now));
                format!("the plan was made for {then}, this is {now}")
            };
            Err(Fatal::OtherAccount { side, detail })
        }
    }
}

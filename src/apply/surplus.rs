//! Late copies: messages that were sent again and arrived twice.

use crate::apply::Fatal;
use crate::apply::book::message_item;
use crate::apply::copy::{Trouble, at};
use crate::apply::group::Group;
use crate::apply::look::look;
use crate::apply::run::Run;
use crate::mail::{Side, Uid, UidSet};
use crate::plan::Reason;
use crate::store::HeaderFields;

impl Run<'_> {
    /// Looks for copies that arrived although they had been given up and sent again.
    pub(super) fn look_for_surplus(&mut self, group: &mut Group) -> Result<(), Fatal> {
        let Some(from) = group.resent.iter().map(|resent| resent.from).min() else { return Ok(()) };
        match self.surplus(group, from) {
            Ok(()) => Ok(()),
            Err(Trouble::Fatal(fatal)) => Err(fatal),
            Err(Trouble::Store(side, error)) => {
                match side {
                    Side::Source => self.source.note(&error),
                    Side::Destination => self.destination.note(&error),
                };
                Ok(())
            }
        }
    }

    fn surplus(&mut self, group: &mut Group, from: Uid) -> Result<(), Trouble> {
        let wire = group.wire.clone();
        let window = UidSet::range(from, Uid::MAX);
        let destination = self.destination()?;
        let opened = destination.open(&wire).map_err(at(Side::Destination))?;
        if !group.is_same(&opened) {
            return Ok(());
        }
        let destination = self.destination()?;
        let mut found =
            look(destination, &wire, &window, HeaderFields::Full).map_err(at(Side::Destination))?;
        let (Some(place), Some(first)) = (&group.place, found.first()) else { return Ok(()) };
        let mut linked = UidSet::new();
        self.state.each_link_from(place.folder, first.uid, &mut |_, link| {
            linked.extend(link.destination);
        })?;
        found.retain(|candidate| !linked.contains(candidate.uid));
        let uids = |group: &Group, pair: usize| {
            let of_pair = group.resent.iter().filter(|resent| resent.pair == pair);
            of_pair.map(|resent| resent.source).collect()
        };
        let wanted = self.wanted(group, &uids, &found)?;
        for paired in self.pair_up(group, &wanted, &found)? {
            let (want, candidate) = (&wanted[paired.wanted], &found[paired.candidate]);
            let of_message = group
                .resent
                .iter_mut()
                .find(|resent| resent.pair == want.pair && resent.source == want.uid);
            if of_message.is_none_or(|resent| std::mem::replace(&mut resent.named, true)) {
                continue;
            }
            let said =
                format!("the destination has it twice; the surplus copy is UID {}", candidate.uid);
            let item = message_item(group, want.pair, want.uid, Reason::LateDuplicate, Some(said));
            self.item(item);
        }
        Ok(())
    }

    /// Forgets what an earlier run sent again and of which no second copy has come by now: the time in
    /// which one may still arrive is over.
    pub(super) fn forget_what_never_came(&mut self, group: &Group) -> Result<(), Fatal> {
        let Some(place) = &group.place else { return Ok(()) };
        for (index, todo) in group.pairs.iter().enumerate() {
            let over = group.resent.iter().filter(|resent| {
                resent.pair == index
                    && resent.earlier
                    && !resent.named
                    && !todo.is_pending(resent.source)
            });
            let uids: UidSet = over.map(|resent| resent.source).collect();
            if !uids.is_empty() {
                self.state.forget_resent(todo.source_folder, place.folder, &uids)?;
            }
        }
        Ok(())
    }
}

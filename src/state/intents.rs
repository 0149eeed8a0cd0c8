//! Intents without an outcome: rows on disk, and in memory which of their messages has which number.
//!
//! Messages that are about to be sent together stand in one row, by their UIDs: a row for each would take as
//! long to write and to take out as all else that is kept of them. Numbers are known in memory alone, since
//! nobody holds one longer than a run.
//!
//! # In, out
//!
//! In: outcomes and new intents. Out: the rows that change by them, first for the disk and then for memory.
//!
//! # Never
//!
//! * Never changes in memory what is not on disk.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use rusqlite::Connection;
use rusqlite::params;
use rusqlite::types::FromSqlError;

use crate::mail::{Uid, UidSet};
use crate::state::database::Fault;
use crate::state::port;
use crate::state::port::{FolderId, Intent, IntentId, OpenIntent, Outcome, StateError};

/// Messages of one row at most. A row that tells of more, or of none, is none of ours.
const MESSAGES_MAX: u64 = 1_024;

/// The number of a row.
type RowId = i64;

/// Intents that share everything but the message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    source_folder: FolderId,
    destination_folder: FolderId,
    uid_next: Uid,
    times: u32,
    may_arrive: bool,
    sources: UidSet,
}

impl Row {
    /// The same without any message.
    const fn emptied(&self) -> Self {
        Self { sources: UidSet::new(), ..*self }
    }

    /// The source and the destination folder.
    const fn folders(&self) -> (FolderId, FolderId) {
        (self.source_folder, self.destination_folder)
    }

    /// Tells whether it has this message.
    fn has(&self, intent: &Intent) -> bool {
        self.source_folder == intent.source_folder
            && self.destination_folder == intent.destination_folder
            && self.sources.contains(intent.source)
    }

    /// Tells whether a message of that kind may stand in it, too.
    fn takes(&self, kind: &Self) -> bool {
        let is_same = self.folders() == kind.folders()
            && (self.uid_next, self.times, self.may_arrive)
                == (kind.uid_next, kind.times, kind.may_arrive);
        is_same && self.sources.len() < MESSAGES_MAX
    }
}

/// The open intents of one state file.
#[derive(Debug, Default)]
pub(crate) struct Intents {
    rows: BTreeMap<RowId, Row>,
    open: BTreeMap<IntentId, (RowId, Uid)>,
    last: i64,
}

impl Intents {
    /// Reads them, and numbers them.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT id, source_folder, destination_folder, uid_next, times, may_arrive,
            source_uids FROM intents ORDER BY id";
        let mut statement = connection.prepare(sql)?;
        let mut found = statement.query(())?;
        let mut intents = Self::default();
        let mut seen = BTreeSet::new();
        while let Some(columns) = found.next()? {
            let row = Row {
                source_folder: columns.get(1)?,
                destination_folder: columns.get(2)?,
                uid_next: columns.get(3)?,
                times: columns.get(4)?,
                may_arrive: columns.get(5)?,
                sources: columns.get(6)?,
            };
            if !(1..=MESSAGES_MAX).contains(&row.sources.len()) {
                return Err(bad_sources());
            }
            let id = columns.get(0)?;
            for source in row.sources.iter() {
                if !seen.insert((row.folders(), source)) {
                    return Err(bad_sources());
                }
                intents.last += 1;
                intents.open.insert(IntentId(intents.last), (id, source));
            }
            intents.rows.insert(id, row);
        }
        Ok(intents)
    }

    /// Tells whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Those of a destination folder, ascending by source UID.
    pub(crate) fn of(&self, destination: FolderId) -> Vec<OpenIntent> {
        let mut found: Vec<_> = self
            .open
            .iter()
            .filter_map(|(&id, (row, source))| {
                let row = self.rows.get(row)?;
                let intent = Intent {
                    source_folder: row.source_folder,
                    source: *source,
                    destination_folder: row.destination_folder,
                    uid_next: row.uid_next,
                };
                let (times, may_arrive) = (row.times, row.may_arrive);
                Some(OpenIntent { id, intent, times, may_arrive })
            })
            .filter(|open| open.intent.destination_folder == destination)
            .collect();
        found.sort_by_key(|open| (open.intent.source, open.intent.source_folder));
        found
    }

    /// Begins a change.
    pub(crate) const fn draft(&self) -> Draft<'_> {
        Draft { intents: self, unknown: BTreeMap::new(), change: Change::new(self.last) }
    }

    /// Makes a change that is on disk by now. Returns the numbers of the intents that it made, in their
    /// order.
    pub(crate) fn take(&mut self, change: Change, written: Vec<RowId>) -> Vec<IntentId> {
        for id in &change.closed {
            self.open.remove(id);
        }
        for (number, row) in change.changed {
            if row.sources.is_empty() {
                self.rows.remove(&number);
            } else {
                self.rows.insert(number, row);
            }
        }
        let first = self.last + 1;
        self.last = change.last;
        for (number, made) in written.into_iter().zip(change.made) {
            self.open.extend(made.ids.into_iter().map(|(source, id)| (id, (number, source))));
            self.rows.insert(number, made.row);
        }
        (first..=change.last).map(IntentId).collect()
    }
}

/// Messages that no row of ours tells: too many, none, or one that another row has.
fn bad_sources() -> rusqlite::Error {
    let error = Box::new(FromSqlError::OutOfRange(0));
    rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, error)
}

/// A row that is to be made, and the numbers of its messages.
#[derive(Debug)]
struct Made {
    row: Row,
    ids: BTreeMap<Uid, IntentId>,
}

/// What one call changes.
#[derive(Debug)]
pub(crate) struct Change {
    /// Rows that have fewer messages now; without any they go.
    changed: BTreeMap<RowId, Row>,
    made: Vec<Made>,
    closed: Vec<IntentId>,
    /// Messages that are sent again and may have been stored, and the UID below which they are not.
    resent: Vec<(Intent, Uid)>,
    /// The highest number that was given.
    last: i64,
}

impl Change {
    const fn new(last: i64) -> Self {
        Self {
            changed: BTreeMap::new(),
            made: Vec::new(),
            closed: Vec::new(),
            resent: Vec::new(),
            last,
        }
    }

    /// Puts a message into a new row of its kind.
    fn add(&mut self, kind: &Row, source: Uid, id: IntentId) {
        if !self.made.last().is_some_and(|made| made.row.takes(kind)) {
            self.made.push(Made { row: kind.emptied(), ids: BTreeMap::new() });
        }
        if let Some(made) = self.made.last_mut() {
            made.row.sources.insert(source);
            made.ids.insert(source, id);
        }
    }

    /// Writes the rows. Returns the numbers of those that were made, in their order.
    ///
    /// # Errors
    ///
    /// The database's own; [`StateError::Database`] where somebody else works with the file: what is known
    /// of it is not what is there.
    pub(crate) fn write(&self, transaction: &Connection) -> Result<Vec<RowId>, Fault> {
        for (number, row) in &self.changed {
            let changed = if row.sources.is_empty() {
                let sql = "DELETE FROM intents WHERE id = ?1";
                transaction.prepare_cached(sql)?.execute([number])?
            } else {
                let sql = "UPDATE intents SET source_uids = ?2 WHERE id = ?1";
                transaction.prepare_cached(sql)?.execute(params![number, row.sources])?
            };
            if changed != 1 {
                let text =
                    "another program has changed its intents; the next run goes on".to_owned();
                return Err(StateError::Database(text).into());
            }
        }
        for (intent, from) in &self.resent {
            let sql = "INSERT INTO resent (destination_folder, source_folder, source_uid, uid_from)
                VALUES (?1, ?2, ?3, ?4)
                ON CONFLICT DO UPDATE SET uid_from = min(uid_from, excluded.uid_from)";
            transaction.prepare_cached(sql)?.execute(params![
                intent.destination_folder,
                intent.source_folder,
                intent.source,
                from,
            ])?;
        }
        let mut written = Vec::with_capacity(self.made.len());
        for Made { row, .. } in &self.made {
            let sql = "INSERT INTO intents (source_folder, destination_folder, uid_next, times,
                    may_arrive, source_uids) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            transaction.prepare_cached(sql)?.execute(params![
                row.source_folder,
                row.destination_folder,
                row.uid_next,
                row.times,
                row.may_arrive,
                row.sources,
            ])?;
            written.push(transaction.last_insert_rowid());
        }
        Ok(written)
    }
}

/// A change that is being made up.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    intents: &'a Intents,
    /// Those that stay open, and whether they may still arrive.
    unknown: BTreeMap<IntentId, bool>,
    change: Change,
}

impl Draft<'_> {
    /// The row as it is by now.
    fn row(&self, number: RowId) -> Option<&Row> {
        self.change.changed.get(&number).or_else(|| self.intents.rows.get(&number))
    }

    /// The same, to be changed.
    fn row_mut(&mut self, number: RowId) -> Option<&mut Row> {
        match self.change.changed.entry(number) {
            Entry::Occupied(changed) => Some(changed.into_mut()),
            Entry::Vacant(place) => Some(place.insert(self.intents.rows.get(&number)?.clone())),
        }
    }

    /// Takes a message out of its row. Returns the row, if it was there.
    fn take_out(&mut self, number: RowId, source: Uid) -> Option<&Row> {
        let row = self.row_mut(number)?;
        row.sources.remove(source).then_some(row)
    }

    /// Takes an outcome. Returns the source and the destination folder.
    ///
    /// # Errors
    ///
    /// [`StateError::Database`] where it is not open (any more).
    pub(crate) fn settle(
        &mut self,
        id: IntentId,
        outcome: &Outcome,
    ) -> Result<(FolderId, FolderId), StateError> {
        let not_open = || port::not_open(id);
        let (number, source) = *self.intents.open.get(&id).ok_or_else(not_open)?;
        if let Outcome::Unknown { may_arrive } = outcome {
            let row = self.row(number).filter(|row| row.sources.contains(source));
            let folders = row.map(Row::folders).ok_or_else(not_open)?;
            self.unknown.insert(id, *may_arrive);
            return Ok(folders);
        }
        let folders = self.take_out(number, source).map(Row::folders).ok_or_else(not_open)?;
        self.unknown.remove(&id);
        self.change.closed.push(id);
        Ok(folders)
    }

    /// After the last outcome: those that stay open keep their numbers, and go into other rows where that is
    /// another kind.
    fn end_outcomes(&mut self) {
        for (id, may_arrive) in std::mem::take(&mut self.unknown) {
            let Some(&(number, source)) = self.intents.open.get(&id) else { continue };
            let Some(row) = self.row(number).filter(|row| row.may_arrive != may_arrive) else {
                continue;
            };
            let kind = Row { may_arrive, ..row.emptied() };
            if self.take_out(number, source).is_some() {
                self.change.add(&kind, source, id);
            }
        }
    }

    /// Takes the message out of wherever it is open. Returns the row that it was in.
    fn close(&mut self, intent: &Intent) -> Option<Row> {
        let source = intent.source;
        if let Some(made) = self.change.made.iter_mut().find(|made| made.row.has(intent)) {
            made.row.sources.remove(source);
            self.change.closed.extend(made.ids.remove(&source));
            return Some(made.row.emptied());
        }
        let changed = &self.change.changed;
        let is_left = |number| changed.get(number).is_none_or(|row| row.sources.contains(source));
        let mut rows = self.intents.rows.iter();
        let (&number, row) = rows.find(|(number, row)| row.has(intent) && is_left(number))?;
        self.take_out(number, source);
        // Hardly ever is one open, so that no index pays.
        let open = self.intents.open.iter().find(|(_, place)| **place == (number, source));
        self.change.closed.extend(open.map(|(&id, _)| id));
        Some(row.emptied())
    }

    /// Takes a new intent, in place of an open one of the same message.
    fn intend(&mut self, intent: &Intent) {
        let before = self.close(intent);
        let mut kind = Row {
            source_folder: intent.source_folder,
            destination_folder: intent.destination_folder,
            uid_next: intent.uid_next,
            times: 1,
            may_arrive: true,
            sources: UidSet::new(),
        };
        if let Some(before) = before {
            // The earlier one may still be found, and only above its own floor.
            kind.uid_next = kind.uid_next.min(before.uid_next);
            kind.times = before.times.saturating_add(1);
            if before.may_arrive {
                self.change.resent.push((intent.clone(), kind.uid_next));
            }
        }
        self.change.last += 1;
        self.change.add(&kind, intent.source, IntentId(self.change.last));
    }

    /// Takes new intents, after the last outcome, and ends the draft.
    pub(crate) fn end(mut self, intents: &[Intent]) -> Change {
        self.end_outcomes();
        for intent in intents {
            self.intend(intent);
        }
        // What was sent twice in one call.
        self.change.made.retain(|made| !made.row.sources.is_empty());
        self.change
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::schema;

    const SOURCE: FolderId = FolderId(1);
    const DESTINATION: FolderId = FolderId(2);

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn intent(source: u32, uid_next: u32) -> Intent {
        Intent {
            source_folder: SOURCE,
            source: uid(source),
            destination_folder: DESTINATION,
            uid_next: uid(uid_next),
        }
    }

    /// A database that went through so many of the steps.
    fn database(steps: usize) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for step in &schema::STATE.steps[..steps] {
            connection.execute_batch(step).unwrap();
        }
        connection
    }

    fn new_database() -> Connection {
        database(schema::STATE.steps.len())
    }

    fn carry_out(
        intents: &mut Intents,
        connection: &Connection,
        outcomes: &[(IntentId, Outcome)],
        new: &[Intent],
    ) -> Vec<IntentId> {
        let mut draft = intents.draft();
        for (id, outcome) in outcomes {
            draft.settle(*id, outcome).unwrap();
        }
        let change = draft.end(new);
        let written = change.write(connection).ok().unwrap();
        intents.take(change, written)
    }

    /// The rows on disk: UIDs, floor, times, and whether they may arrive.
    fn rows(connection: &Connection) -> Vec<(String, u32, u32, bool)> {
        let sql = "SELECT source_uids, uid_next, times, may_arrive FROM intents ORDER BY id";
        let mut statement = connection.prepare(sql).unwrap();
        let rows =
            statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn messages_that_are_sent_together_stand_in_one_row_until_all_are_settled() {
        let connection = new_database();
        let mut intents = Intents::default();
        let new = [7, 8, 9, 12].map(|source| intent(source, 40));
        let ids = carry_out(&mut intents, &connection, &[], &new);
        assert_eq!(rows(&connection), [("7:9,12".to_owned(), 40, 1, true)]);
        carry_out(&mut intents, &connection, &[(ids[1], Outcome::NotStored)], &[]);
        assert_eq!(rows(&connection), [("7,9,12".to_owned(), 40, 1, true)]);
        let rest = [0, 2, 3].map(|at: usize| (ids[at], Outcome::NotStored));
        carry_out(&mut intents, &connection, &rest, &[]);
        assert_eq!(rows(&connection), []);
        assert!(intents.is_empty() && intents.rows.is_empty());
    }

    #[test]
    fn row_that_somebody_else_took_out_is_a_fault_and_no_other_row_is_touched() {
        let connection = new_database();
        let mut ours = Intents::default();
        let ids = carry_out(&mut ours, &connection, &[], &[intent(1, 40)]);
        let settled = [(ids[0], Outcome::NotStored)];
        let mut theirs = Intents::read(&connection).unwrap();
        carry_out(&mut theirs, &connection, &settled, &[intent(2, 41)]);
        let mut draft = ours.draft();
        draft.settle(ids[0], &Outcome::NotStored).unwrap();
        let refused = draft.end(&[]).write(&connection);
        assert!(matches!(refused, Err(Fault::State(StateError::Database(_)))));
        assert_eq!(rows(&connection), [("2".to_owned(), 41, 1, true)]);
    }

    #[test]
    fn those_that_cannot_arrive_any_more_get_a_row_of_their_own_and_keep_their_numbers() {
        let connection = new_database();
        let mut intents = Intents::default();
        let ids = carry_out(&mut intents, &connection, &[], &[1, 2, 3, 4].map(|n| intent(n, 40)));
        let gone = [1, 2].map(|at: usize| (ids[at], Outcome::Unknown { may_arrive: false }));
        let all = [&gone[..], &[(ids[3], Outcome::Unknown { may_arrive: true })]].concat();
        carry_out(&mut intents, &connection, &all, &[]);
        let expected = [("1,4".to_owned(), 40, 1, true), ("2:3".to_owned(), 40, 1, false)];
        assert_eq!(rows(&connection), expected);
        let found = intents.of(DESTINATION).into_iter().map(|open| open.id);
        assert!(found.eq(ids.iter().copied()));
        carry_out(&mut intents, &connection, &[(ids[2], Outcome::NotStored)], &[]);
        assert_eq!(rows(&connection)[1], ("2".to_owned(), 40, 1, false));
    }

    #[test]
    fn no_row_is_larger_than_what_is_read_again() {
        let connection = new_database();
        let mut intents = Intents::default();
        let new: Vec<_> = (1..=3_000).map(|source| intent(source, 40)).collect();
        carry_out(&mut intents, &connection, &[], &new);
        assert_eq!(rows(&connection).len(), 3);
        let read = Intents::read(&connection).unwrap();
        assert_eq!((read.of(DESTINATION).len(), read.of(SOURCE).len()), (3_000, 0));
        // The last one stands in another row, too.
        for broken in ["1:4294967295", "0", "1:x", "", "1:5,3000"] {
            let sql = "UPDATE intents SET source_uids = ?1 WHERE id = 1";
            connection.execute(sql, [broken]).unwrap();
            assert!(Intents::read(&connection).is_err(), "{broken}");
        }
    }

    #[test]
    fn intents_of_a_file_of_before_are_there_afterwards() {
        let connection = database(2);
        let sql = "INSERT INTO intents (source_folder, source_uid, destination_folder, uid_next,
            times, may_arrive) VALUES (1, 7, 2, 40, 3, 0), (1, 6, 2, 41, 1, 1)";
        connection.execute_batch(sql).unwrap();
        connection.execute_batch(schema::STATE.steps[2]).unwrap();
        let read = Intents::read(&connection).unwrap().of(DESTINATION);
        let found: Vec<_> =
            read.into_iter().map(|open| (open.intent, open.times, open.may_arrive)).collect();
        assert_eq!(found, [(intent(6, 41), 1, true), (intent(7, 40), 3, false)]);
    }

    proptest! {
        #[test]
        fn what_is_read_again_is_what_was_known(
            calls in proptest::collection::vec(
                (
                    proptest::collection::vec((0..30_usize, 0..4_u8), 0..8),
                    proptest::collection::vec((1..40_u32, 40..43_u32), 0..12),
                ),
                1..12,
            ),
        ) {
            let connection = new_database();
            let mut intents = Intents::default();
            let told = |intents: &Intents| -> Vec<_> {
                let open = intents.of(DESTINATION).into_iter();
                open.map(|open| (open.intent, open.times, open.may_arrive)).collect()
            };
            for (outcomes, new) in calls {
                let open = intents.of(DESTINATION);
                let mut seen = UidSet::new();
                let outcomes: Vec<_> = outcomes
                    .into_iter()
                    .filter_map(|(at, fate)| Some((open.get(at)?, fate)))
                    .filter(|(open, _)| {
                        let is_new = !seen.contains(open.intent.source);
                        seen.insert(open.intent.source);
                        is_new
                    })
                    .map(|(open, fate)| match fate {
                        0 | 1 => (open.id, Outcome::Unknown { may_arrive: fate == 1 }),
                        _ => (open.id, Outcome::NotStored),
                    })
                    .collect();
                let new: Vec<_> =
                    new.into_iter().map(|(source, floor)| intent(source, floor)).collect();
                carry_out(&mut intents, &connection, &outcomes, &new);
                prop_assert_eq!(told(&Intents::read(&connection).unwrap()), told(&intents));
            }
        }
    }
}

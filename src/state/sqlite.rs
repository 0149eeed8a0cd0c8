//! State in a database file.

use std::path::Path;

use rusqlite::OptionalExtension as _;
use rusqlite::params;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::VERSION;
use crate::mail::{FlagSet, ModSeq, Side, Timestamp, Uid, UidSet, WireName};
use crate::plan::Witness;
use crate::state::database::Database;
use crate::state::files::Lock;
use crate::state::intents::Intents;
use crate::state::port::{
    self, FolderId, FolderKey, Intent, IntentId, Item, Link, OpenIntent, Outcome, Owned, RunId,
    State, StateError,
};
use crate::state::rows;
use crate::state::schema;
use crate::state::value::{Json, Number};

/// State of one account pair in one `SQLite` file, in WAL mode. A commit is on disk when it returns;
/// another process may read meanwhile.
#[derive(Debug)]
pub struct SqliteState {
    database: Database,
    intents: Intents,
    was_empty: bool,
    /// After the database: closing writes to it.
    _lock: Option<Lock>,
}

impl SqliteState {
    /// Opens a state file, making it with mode 0600 where there is none. Nothing keeps another run
    /// off it: see [`Place`](crate::state::Place) for that.
    ///
    /// # Errors
    ///
    /// [`StateError::Newer`] for a file of a newer program, [`StateError::Database`] for a damaged
    /// one, [`StateError::Io`] where it cannot be made or read.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        Self::open_locked(path, None)
    }

    /// Opens a state file, and keeps a lock until it is closed.
    pub(crate) fn open_locked(path: &Path, lock: Option<Lock>) -> Result<Self, StateError> {
        let mut database = Database::open(path, &schema::STATE)?;
        let intents = database.read(|connection| Ok(Intents::read(connection)?))?;
        let is_new: bool = database.read(|connection| {
            let sql =
                "SELECT NOT EXISTS (SELECT 1 FROM links) AND NOT EXISTS (SELECT 1 FROM owned)";
            Ok(connection.query_row(sql, (), |row| row.get(0))?)
        })?;
        let was_empty = is_new && intents.is_empty();
        Ok(Self { database, intents, was_empty, _lock: lock })
    }

    #[cfg(test)]
    fn limit_pages(&mut self, pages: u32) {
        let limited = self.database.read(|connection| {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        });
        limited.unwrap();
    }

    #[cfg(test)]
    fn execute(&mut self, sql: &str) {
        self.database.write(|transaction| Ok(transaction.execute_batch(sql)?)).unwrap();
    }
}

impl State for SqliteState {
    fn begin_run(&mut self, command: &str, now: Timestamp) -> Result<RunId, StateError> {
        self.database.write(|transaction| {
            let sql = "INSERT INTO runs (command, began) VALUES (?1, ?2)";
            transaction.execute(sql, params![command, now])?;
            Ok(RunId(transaction.last_insert_rowid()))
        })
    }

    fn was_empty(&self) -> bool {
        self.was_empty
    }

    fn gather(&mut self, gather: bool) -> Result<(), StateError> {
        self.database.gather(gather)
    }

    fn witness(&mut self, side: Side) -> Result<Option<Witness>, StateError> {
        self.database.read(|connection| {
            let sql = "SELECT seen FROM witness WHERE side = ?1";
            let seen = connection.query_row(sql, [side.as_str()], |row| row.get(0)).optional()?;
            Ok(seen.map(|Json(witness)| witness))
        })
    }

    fn set_witness(&mut self, side: Side, witness: &Witness) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "INSERT INTO witness (side, seen) VALUES (?1, ?2)
                ON CONFLICT DO UPDATE SET seen = excluded.seen";
            transaction.execute(sql, params![side.as_str(), Json(witness)])?;
            Ok(())
        })
    }

    fn folder(&mut self, key: &FolderKey) -> Result<FolderId, StateError> {
        self.database.write(|transaction| Ok(rows::folder(transaction, key)?))
    }

    fn last_folder(&mut self, side: Side, wire: &WireName) -> Result<Option<FolderId>, StateError> {
        self.database.read(|connection| {
            let sql = "SELECT max(id) FROM folders WHERE side = ?1 AND wire = ?2";
            let key = params![side.as_str(), port::identity_octets(wire)];
            Ok(connection.prepare_cached(sql)?.query_row(key, |row| row.get(0))?)
        })
    }

    fn is_alone(&mut self, folder: FolderId) -> Result<bool, StateError> {
        self.database.read(|connection| {
            let sql = "SELECT alone FROM folders WHERE id = ?1";
            let alone = connection.prepare_cached(sql)?.query_row([folder], |row| row.get(0));
            Ok(alone.optional()?.flatten().unwrap_or_default())
        })
    }

    fn set_alone(&mut self, folder: FolderId, alone: bool) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "UPDATE folders SET alone = ?2 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![folder, alone])?;
            Ok(())
        })
    }

    fn high_water(
        &mut self,
        folder: FolderId,
    ) -> Result<(Option<Uid>, Option<ModSeq>), StateError> {
        self.database.read(|connection| Ok(rows::high_water(connection, folder)?))
    }

    fn raise_high_water(
        &mut self,
        folder: FolderId,
        uid_next: Uid,
        mod_seq: Option<ModSeq>,
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let old = rows::high_water(transaction, folder)?;
            let (uid_next, mod_seq) = (old.0.max(Some(uid_next)), old.1.max(mod_seq));
            if (uid_next, mod_seq) == old {
                return Ok(());
            }
            let mod_seq = mod_seq.map(|ModSeq(number)| Number(number));
            let sql = "UPDATE folders SET uid_next = ?2, mod_seq = ?3 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![folder, uid_next, mod_seq])?;
            Ok(())
        })
    }

    fn identity_kept(&mut self, folder: FolderId) -> Result<Option<bool>, StateError> {
        self.database.read(|connection| {
            let sql = "SELECT identity_kept FROM folders WHERE id = ?1";
            let kept = connection.prepare_cached(sql)?.query_row([folder], |row| row.get(0));
            Ok(kept.optional()?.flatten())
        })
    }

    fn set_identity_kept(&mut self, folder: FolderId, kept: bool) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "UPDATE folders SET identity_kept = ?2 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![folder, kept])?;
            Ok(())
        })
    }

    fn forget_folder(&mut self, folder: FolderId) -> Result<(), StateError> {
        self.database.write(|transaction| {
            for sql in [
                "DELETE FROM links WHERE source_folder = ?1",
                "DELETE FROM links WHERE destination_folder = ?1",
                "DELETE FROM owned WHERE folder = ?1",
                "DELETE FROM digests WHERE folder = ?1",
                "UPDATE folders SET uid_next = NULL, mod_seq = NULL, highest_stored = NULL,
                    alone = NULL
                    WHERE id = ?1",
            ] {
                transaction.execute(sql, [folder])?;
            }
            Ok(())
        })
    }

    fn each_link(
        &mut self,
        source: FolderId,
        destination: FolderId,
        each: &mut dyn FnMut(Link),
    ) -> Result<(), StateError> {
        self.database.read(|connection| {
            let sql = "SELECT source_uid, destination_uid, digest, basis, octets, flags, copied_by,
                    version FROM links WHERE source_folder = ?1 AND destination_folder = ?2
                ORDER BY source_uid";
            let mut statement = connection.prepare_cached(sql)?;
            let mut found = statement.query([source, destination])?;
            while let Some(row) = found.next()? {
                each(rows::link(row)?);
            }
            Ok(())
        })
    }

    fn each_link_from(
        &mut self,
        destination: FolderId,
        from: Uid,
        each: &mut dyn FnMut(FolderId, Link),
    ) -> Result<(), StateError> {
        self.database.read(|connection| {
            // Two queries in one: each finds its rows by the index, which an OR would not promise.
            let sql = "SELECT source_uid, destination_uid, digest, basis, octets, flags, copied_by,
                    version, source_folder
                FROM links WHERE destination_folder = ?1 AND destination_uid >= ?2
                UNION ALL SELECT source_uid, destination_uid, digest, basis, octets, flags,
                    copied_by, version, source_folder
                FROM links WHERE destination_folder = ?1 AND destination_uid IS NULL
                ORDER BY source_folder, source_uid";
            let mut statement = connection.prepare_cached(sql)?;
            let mut found = statement.query(params![destination, from])?;
            while let Some(row) = found.next()? {
                each(row.get(8)?, rows::link(row)?);
            }
            Ok(())
        })
    }

    fn put_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        links: &[Link],
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let links: Vec<_> = links.iter().map(|link| ((source, destination), link)).collect();
            Ok(rows::put_links(transaction, rows::PUT_FOUND, &links)?)
        })
    }

    fn drop_links(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "DELETE FROM links WHERE source_folder = ?1 AND destination_folder = ?2
                AND source_uid BETWEEN ?3 AND ?4";
            let mut statement = transaction.prepare_cached(sql)?;
            for (first, last) in source_uids.ranges() {
                statement.execute(params![source, destination, first, last])?;
            }
            Ok(())
        })
    }

    fn agree_flags(
        &mut self,
        destination: FolderId,
        flags: &[(Uid, FlagSet)],
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "UPDATE links SET flags = ?3
                WHERE destination_folder = ?1 AND destination_uid = ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            for (uid, flags) in flags {
                statement.execute(params![destination, uid, flags])?;
            }
            Ok(())
        })
    }

    fn owned(&mut self, destination: FolderId) -> Result<Vec<Owned>, StateError> {
        self.database.read(|connection| {
            // A digest of another version proves nothing of the message that is there now.
            let sql = "SELECT uid, octets, digest, date, flags FROM owned
                WHERE folder = ?1 AND version = ?2 ORDER BY uid";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![destination, VERSION], |row| {
                let Number(octets) = row.get(1)?;
                Ok(Owned {
                    uid: row.get(0)?,
                    octets,
                    digest: row.get(2)?,
                    date: row.get(3)?,
                    flags: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn digests(
        &mut self,
        folder: FolderId,
        each: &mut dyn FnMut(Uid, Digest, Basis),
    ) -> Result<(), StateError> {
        self.database.read(|connection| {
            let sql = "SELECT uid, digest, basis FROM digests
                WHERE folder = ?1 AND version = ?2 ORDER BY uid";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![folder, VERSION])?;
            while let Some(row) = rows.next()? {
                each(row.get(0)?, row.get(1)?, row.get(2)?);
            }
            Ok(())
        })
    }

    fn put_digests(
        &mut self,
        folder: FolderId,
        digests: &[(Uid, Digest, Basis)],
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "INSERT OR REPLACE INTO digests (folder, uid, digest, version, basis)
                VALUES (?1, ?2, ?3, ?4, ?5)";
            let mut statement = transaction.prepare_cached(sql)?;
            for (uid, digest, basis) in digests {
                statement.execute(params![folder, uid, digest, VERSION, basis])?;
            }
            Ok(())
        })
    }

    fn intend(&mut self, intents: &[Intent]) -> Result<Vec<IntentId>, StateError> {
        self.journal(&[], intents)
    }

    fn settle(&mut self, outcomes: &[(IntentId, Outcome)]) -> Result<(), StateError> {
        self.journal(outcomes, &[]).map(drop)
    }

    fn journal(
        &mut self,
        outcomes: &[(IntentId, Outcome)],
        intents: &[Intent],
    ) -> Result<Vec<IntentId>, StateError> {
        let mut draft = self.intents.draft();
        let mut stored = Vec::new();
        for (id, outcome) in outcomes {
            let pair = draft.settle(*id, outcome)?;
            if let Outcome::Stored(copy) = outcome {
                stored.push((pair, copy));
            }
        }
        let change = draft.end(intents);
        let written = self.database.write_through(|transaction| {
            rows::store(transaction, &stored)?;
            change.write(transaction)
        })?;
        Ok(self.intents.take(change, written))
    }

    fn open_intents(&mut self, destination: FolderId) -> Result<Vec<OpenIntent>, StateError> {
        // Nothing is told once something was lost.
        self.database.read(|_| Ok(()))?;
        Ok(self.intents.of(destination))
    }

    fn resent(&mut self, destination: FolderId) -> Result<Vec<(FolderId, Uid, Uid)>, StateError> {
        self.database.read(|connection| {
            let sql = "SELECT source_folder, source_uid, uid_from FROM resent
                WHERE destination_folder = ?1 ORDER BY source_folder, source_uid";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement
                .query_map([destination], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn forget_resent(
        &mut self,
        source: FolderId,
        destination: FolderId,
        source_uids: &UidSet,
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let sql = "DELETE FROM resent WHERE destination_folder = ?1 AND source_folder = ?2
                AND source_uid BETWEEN ?3 AND ?4";
            let mut statement = transaction.prepare_cached(sql)?;
            for (first, last) in source_uids.ranges() {
                statement.execute(params![destination, source, first, last])?;
            }
            Ok(())
        })
    }

    fn highest_stored(&mut self, destination: FolderId) -> Result<Option<Uid>, StateError> {
        self.database.read(|connection| {
            let sql = "SELECT max(uid) FROM (
                SELECT max(destination_uid) AS uid FROM links WHERE destination_folder = ?1
                UNION ALL SELECT max(uid) FROM owned WHERE folder = ?1
                UNION ALL SELECT highest_stored FROM folders WHERE id = ?1)";
            Ok(connection.prepare_cached(sql)?.query_row([destination], |row| row.get(0))?)
        })
    }

    fn forget_stored_above(
        &mut self,
        destination: FolderId,
        top: Option<Uid>,
    ) -> Result<(), StateError> {
        self.database.write(|transaction| {
            let top = top.map_or(0, Uid::get);
            let sql = "DELETE FROM owned WHERE folder = ?1 AND uid > ?2";
            transaction.prepare_cached(sql)?.execute(params![destination, top])?;
            let sql = "UPDATE folders SET highest_stored = nullif(?2, 0)
                WHERE id = ?1 AND highest_stored > ?2";
            transaction.prepare_cached(sql)?.execute(params![destination, top])?;
            Ok(())
        })
    }

    fn replace_items(&mut self, command: &str, items: &[Item]) -> Result<(), StateError> {
        self.database.write(|transaction| {
            transaction.execute("DELETE FROM items WHERE command = ?1", [command])?;
            let sql = "INSERT INTO items (command, position, item) VALUES (?1, ?2, ?3)";
            let mut statement = transaction.prepare_cached(sql)?;
            for (position, item) in (0_i64..).zip(items) {
                statement.execute(params![command, position, Json(item)])?;
            }
            Ok(())
        })
    }

    fn items(&mut self) -> Result<Vec<Item>, StateError> {
        let mut items = self.database.read(|connection| {
            let sql = "SELECT item FROM items ORDER BY command, position";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((), |row| row.get(0).map(|Json(item)| item))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        port::sort_items(&mut items);
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::io::Write as _;

    use rusqlite::Connection;

    use crate::mail::UidValidity;
    use crate::state::StoredCopy;

    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn folders(state: &mut SqliteState) -> (FolderId, FolderId) {
        let mut number = |side| {
            let wire = WireName::new(*b"INBOX");
            let uid_validity = UidValidity::new(7).unwrap();
            state.folder(&FolderKey { side, wire, uid_validity, mailbox_id: None }).unwrap()
        };
        (number(Side::Source), number(Side::Destination))
    }

    fn intent((source_folder, destination_folder): (FolderId, FolderId), source: u32) -> Intent {
        let (source, uid_next) = (uid(source), uid(1));
        Intent { source_folder, source, destination_folder, uid_next }
    }

    fn link(number: u32) -> Link {
        Link {
            source: uid(number),
            destination: Some(uid(number)),
            digest: Digest([7; 16]),
            basis: Basis::Key,
            octets: 9,
            flags: None,
            copied_by: None,
        }
    }

    #[test]
    fn a_full_disk_refuses_an_intent_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut state = SqliteState::open(&path).unwrap();
        let both = folders(&mut state);
        state.intend(&[intent(both, 1)]).unwrap();
        state.limit_pages(30);
        let many: Vec<_> = (2..40_000).step_by(2).map(|source| intent(both, source)).collect();
        let refused = state.intend(&many);
        let Err(StateError::Io(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("state.db"), "{error}");
        assert_eq!(state.open_intents(both.1).unwrap().len(), 1);
        drop(state);
        let mut state = SqliteState::open(&path).unwrap();
        assert_eq!(state.open_intents(both.1).unwrap().len(), 1);
        assert_eq!(state.intend(&many).unwrap().len(), many.len());
    }

    #[test]
    fn what_is_no_database_is_named_with_what_deleting_it_costs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        fs::write(&path, "Dear diary, ".repeat(500)).unwrap();
        let said = SqliteState::open(&path).unwrap_err().to_string();
        for part in ["state.db` is damaged", "may be deleted", "which copies are ours"] {
            assert!(said.contains(part), "{said}");
        }
        fs::remove_file(&path).unwrap();
        assert!(SqliteState::open(&path).unwrap().was_empty());
    }

    #[test]
    fn a_page_that_is_overwritten_is_a_fault_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut state = SqliteState::open(&path).unwrap();
        let (source, destination) = folders(&mut state);
        let links: Vec<_> = (1..5_000).map(link).collect();
        state.put_links(source, destination, &links).unwrap();
        drop(state);
        let octets = fs::metadata(&path).unwrap().len();
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        // The first page stays: the file can be opened.
        io::Seek::seek(&mut file, io::SeekFrom::Start(4096)).unwrap();
        file.write_all(&vec![0xa5; usize::try_from(octets - 4096).unwrap()]).unwrap();
        drop(file);
        let read = SqliteState::open(&path).and_then(|mut state| state.links(source, destination));
        assert!(read.unwrap_err().to_string().contains("is damaged"));
    }

    #[test]
    fn a_value_that_cannot_be_is_a_damaged_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = SqliteState::open(&folder.path().join("state.db")).unwrap();
        let (source, destination) = folders(&mut state);
        state.put_links(source, destination, &[link(1)]).unwrap();
        for broken in ["source_uid = 0", "digest = x'00'", "basis = 'faith'", "flags = 'a]b'"] {
            state.execute(&format!("UPDATE links SET {broken}"));
            let said = state.links(source, destination).unwrap_err().to_string();
            assert!(said.contains("is damaged"), "{broken}: {said}");
            state.execute("DELETE FROM links");
            state.put_links(source, destination, &[link(1)]).unwrap();
        }
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut state = SqliteState::open(&path).unwrap();
        state.execute("PRAGMA user_version = 4");
        drop(state);
        let before = fs::read(&path).unwrap();
        let refused = SqliteState::open(&path);
        assert!(matches!(refused, Err(StateError::Newer { found: 4, known: 3 })), "{refused:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE runs (id INTEGER)").unwrap();
        drop(connection);
        let said = SqliteState::open(&path).unwrap_err().to_string();
        assert!(said.contains("another program"), "{said}");
    }

    #[test]
    fn what_another_version_of_the_digest_left_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = SqliteState::open(&folder.path().join("state.db")).unwrap();
        let both = folders(&mut state);
        let (source, destination) = both;
        let id = state.intend(&[intent(both, 1)]).unwrap()[0];
        let owned = Owned {
            uid: uid(1),
            octets: 9,
            digest: Digest([7; 16]),
            date: None,
            flags: FlagSet::new(),
        };
        let copy = StoredCopy { link: link(1), owned: Some(owned) };
        state.settle(&[(id, Outcome::Stored(copy))]).unwrap();
        state.put_digests(source, &[(uid(1), Digest([7; 16]), Basis::Key)]).unwrap();
        for table in ["links", "owned", "digests"] {
            state.execute(&format!("UPDATE {table} SET version = version + 1"));
        }
        let known = Link { digest: Digest::default(), basis: Basis::Nothing, ..link(1) };
        assert_eq!(state.links(source, destination).unwrap(), [known]);
        assert_eq!(state.owned(destination).unwrap(), []);
        state.digests(source, &mut |uid, _, _| panic!("{uid} is of another version")).unwrap();
        state.put_links(source, destination, &[link(1)]).unwrap();
        assert_eq!(state.links(source, destination).unwrap(), [link(1)]);
    }

    #[test]
    fn commits_wait_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = SqliteState::open(&folder.path().join("state.db")).unwrap();
        let pragma = |connection: &Connection, name| -> rusqlite::Result<String> {
            connection.query_row(
                &format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
                (),
                |row| row.get(0),
            )
        };
        let set = state.database.read(|connection| {
            let names = ["journal_mode", "synchronous", "temp_store"];
            Ok(names.map(|name| pragma(connection, name).unwrap()))
        });
        assert_eq!(set.unwrap(), ["wal", "2", "2"]);
    }

    #[test]
    fn after_something_that_was_gathered_is_lost_nothing_is_told_or_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut state = SqliteState::open(&path).unwrap();
        let both = folders(&mut state);
        state.gather(true).unwrap();
        let key = |name: &str| FolderKey {
            side: Side::Source,
            wire: WireName::new(name.as_bytes()),
            uid_validity: UidValidity::new(9).unwrap(),
            mailbox_id: None,
        };
        let told = state.folder(&key("told")).unwrap();
        state.limit_pages(1);
        // One row a statement: of several, only the statement would be undone.
        let mut numbers = 1..;
        let mut write = || {
            let numbers = numbers.by_ref().take(500);
            let digests: Vec<_> =
                numbers.map(|number| (uid(number), Digest::default(), Basis::Key)).collect();
            state.put_digests(both.0, &digests).is_ok()
        };
        while write() {}
        assert!(state.folder(&key("other")).is_err());
        assert!(state.open_intents(both.1).is_err() && state.gather(false).is_err());
        drop(state);
        let mut state = SqliteState::open(&path).unwrap();
        assert!(
            state.folder(&key("other")).unwrap() <= told,
            "the number was lost with its folder"
        );
    }

    #[test]
    fn of_writes_that_are_gathered_one_that_fails_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut state = SqliteState::open(&path).unwrap();
        state.gather(true).unwrap();
        let both = folders(&mut state);
        let id = state.intend(&[intent(both, 1)]).unwrap()[0];
        state.put_links(both.0, both.1, &[link(1)]).unwrap();
        // It writes a link, and then cannot take the intent out.
        state.execute(
            "CREATE TEMP TRIGGER kept BEFORE DELETE ON intents
                BEGIN SELECT RAISE(ABORT, 'kept'); END",
        );
        let copy = StoredCopy { link: link(2), owned: None };
        let outcome = [(id, Outcome::Stored(copy))];
        assert!(state.settle(&outcome).is_err());
        assert_eq!(state.open_intents(both.1).unwrap().len(), 1);
        assert_eq!(state.links(both.0, both.1).unwrap(), [link(1)]);
        state.execute("DROP TRIGGER kept");
        // Another program sees only what is on disk.
        let mut other = SqliteState::open(&path).unwrap();
        assert_eq!(other.links(both.0, both.1).unwrap(), []);
        state.gather(false).unwrap();
        assert_eq!(other.links(both.0, both.1).unwrap(), [link(1)]);
        state.settle(&outcome).unwrap();
        assert_eq!(state.open_intents(both.1).unwrap(), []);
        assert_eq!(other.links(both.0, both.1).unwrap().len(), 2);
    }
}

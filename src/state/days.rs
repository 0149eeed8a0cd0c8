//! Octets of a day, counted in the catalogue for all processes together.

use std::path::Path;

use rusqlite::OptionalExtension as _;
use rusqlite::params;

use crate::limit::{Book, Row, Taken};
use crate::state::StateError;
use crate::state::database::Database;
use crate::state::files;
use crate::state::schema;
use crate::state::value::Number;

/// How much of its day one user at one host has used up. Each call is a transaction of its own.
#[derive(Debug)]
pub struct DayCounts {
    catalogue: Database,
    host: String,
    user: String,
}

impl DayCounts {
    /// Opens the counts of a user at a host in a state folder, which is made where there is none.
    ///
    /// # Errors
    ///
    /// As [`Place::open`](crate::state::Place::open).
    pub fn open(folder: &Path, host: &str, user: &str) -> Result<Self, StateError> {
        files::make_folder(folder)?;
        let catalogue = folder.join("catalogue.db");
        if !catalogue.exists() {
            files::make_file(&folder.join(".gitignore"), b"*\n")?;
        }
        let catalogue = Database::open(&catalogue, &schema::CATALOGUE)?;
        Ok(Self { catalogue, host: host.to_ascii_lowercase(), user: user.to_owned() })
    }
}

impl Book for DayCounts {
    fn take(&mut self, today: i64, wanted: u64, most: u64) -> Result<Taken, String> {
        let (host, user) = (&self.host, &self.user);
        let taken = self.catalogue.write(|transaction| {
            let sql = "SELECT day, latest, used FROM days WHERE host = ?1 AND user = ?2";
            let read = |row: &rusqlite::Row<'_>| {
                let Number(used) = row.get(2)?;
                Ok(Row { day: row.get(0)?, latest: row.get(1)?, used })
            };
            let row = transaction.query_row(sql, [host, user], read).optional()?;
            let (row, taken) = Row::take(row, today, wanted, most);
            let sql = "INSERT OR REPLACE INTO days (host, user, day, latest, used)
                VALUES (?1, ?2, ?3, ?4, ?5)";
            transaction.execute(sql, params![host, user, row.day, row.latest, Number(row.used)])?;
            Ok(taken)
        });
        taken.map_err(|fault| fault.to_string())
    }

    fn give_back(&mut self, day: i64, octets: u64) {
        let (host, user) = (&self.host, &self.user);
        let written = self.catalogue.write(|transaction| {
            let sql = "UPDATE days SET used = max(used - ?4, 0)
                WHERE host = ?1 AND user = ?2 AND day = ?3";
            transaction.execute(sql, params![host, user, day, Number(octets)])?;
            Ok(())
        });
        if let Err(fault) = written {
            tracing::debug!(%fault, "octets that did not pass stay counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mail::Timestamp;
    use crate::state::Place;

    const TODAY: i64 = 20_000;

    fn granted(book: &mut DayCounts, today: i64, wanted: u64) -> u64 {
        book.take(today, wanted, 1_000).unwrap().granted
    }

    #[test]
    fn counts_of_a_day_outlive_the_process_and_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let open = || DayCounts::open(folder.path(), "Old.example", "ann").unwrap();
        let (mut one, mut other) = (open(), open());
        assert_eq!(granted(&mut one, TODAY, 600), 600);
        assert_eq!(granted(&mut other, TODAY, 600), 400);
        one.give_back(TODAY, 100);
        drop((one, other));
        assert_eq!(granted(&mut open(), TODAY, 600), 100);
        assert_eq!(granted(&mut open(), TODAY - 40, 600), 0);
        assert_eq!(granted(&mut open(), TODAY + 1, 600), 600);
        open().give_back(TODAY, 600);
        assert_eq!(granted(&mut open(), TODAY + 1, 600), 400);
    }

    #[test]
    fn another_user_and_another_host_have_days_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        for (host, user) in [("old.example", "ann"), ("old.example", "Ann"), ("new.example", "ann")]
        {
            let mut book = DayCounts::open(folder.path(), host, user).unwrap();
            assert_eq!(granted(&mut book, TODAY, 2_000), 1_000, "{user} at {host}");
        }
        let mut again = DayCounts::open(folder.path(), "OLD.EXAMPLE", "ann").unwrap();
        assert_eq!(granted(&mut again, TODAY, 1), 0);
    }

    #[test]
    fn catalogue_of_an_earlier_program_is_carried_forward() {
        let folder = tempfile::tempdir().unwrap();
        drop(Place::open(folder.path()).unwrap());
        let file = rusqlite::Connection::open(folder.path().join("catalogue.db")).unwrap();
        file.execute_batch("DROP TABLE days; PRAGMA user_version = 1").unwrap();
        drop(file);
        let mut book = DayCounts::open(folder.path(), "old.example", "ann").unwrap();
        assert_eq!(granted(&mut book, TODAY, 5), 5);
        assert!(Place::open(folder.path()).unwrap().pairs().unwrap().is_empty());
    }

    #[test]
    fn a_lease_that_was_not_used_up_goes_back_when_a_run_ends() {
        let folder = tempfile::tempdir().unwrap();
        let open = || DayCounts::open(folder.path(), "old.example", "ann").unwrap();
        let noon = Timestamp::from_seconds(TODAY * 86_400 + 43_200);
        drop(crate::limit::Day::new(1_000, Box::new(open()), noon, Duration::ZERO));
        assert_eq!(granted(&mut open(), TODAY, 2_000), 1_000);
    }
}

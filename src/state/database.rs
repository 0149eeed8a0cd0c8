//! One database file: opened, brought up to date, worked with in transactions.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::TransactionBehavior;

use crate::state::StateError;
use crate::state::files;

/// How long a reader beside us, such as a backup, is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// Statements kept prepared.
const STATEMENTS: usize = 64;

/// How long gathered writes may be off the disk.
const GATHERED_MAX: Duration = Duration::from_secs(2);

/// What one kind of database is.
pub(crate) struct Kind {
    /// `PRAGMA application_id`: tells it from any other `SQLite` file.
    pub(crate) application: i32,
    /// Steps from an empty file; each raises `PRAGMA user_version` by one. Never changed once
    /// released, only added to.
    pub(crate) steps: &'static [&'static str],
    /// What deleting a damaged file costs.
    pub(crate) cost: &'static str,
}

impl Kind {
    fn version(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }
}

/// What ends a transaction without its being committed.
pub(crate) enum Fault {
    /// The database's own.
    Sqlite(rusqlite::Error),
    /// Ours.
    State(StateError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// A connection inside a transaction.
pub(crate) struct Writing<'a>(&'a Connection);

impl Deref for Writing<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

/// Whether writes are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gathered {
    /// Each is on disk when it returns.
    Never,
    /// They are, and all are on disk.
    Nothing,
    /// They are, and since then there are some that are not on disk.
    Since(Instant),
    /// Some that others go by were not written: nothing more can be told or written.
    Lost,
}

/// An open database.
pub(crate) struct Database {
    connection: Connection,
    gathered: Gathered,
    path: PathBuf,
    cost: &'static str,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens a database file, making it where there is none, and brings it up to date.
    pub(crate) fn open(path: &Path, kind: &Kind) -> Result<Self, StateError> {
        // The files that SQLite puts beside it take its mode.
        files::make_file(path, b"")?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| fault(path, kind.cost, &error))?;
        let path = path.to_owned();
        let mut database = Self { connection, gathered: Gathered::Never, path, cost: kind.cost };
        let prepared = database.prepare(kind);
        database.told(prepared)?;
        Ok(database)
    }

    fn prepare(&mut self, kind: &Kind) -> Result<(), Fault> {
        self.connection.busy_timeout(BUSY)?;
        self.connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Before anything else: a newer program's file is left as it is.
        check_version(&self.connection, kind)?;
        let mode: String =
            self.connection
                .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            let text = format!("`{}`: its file system cannot hold it", self.path.display());
            return Err(StateError::Database(text).into());
        }
        // Each commit is on disk when it returns: an intent is acknowledged by it.
        self.connection.pragma_update(None, "synchronous", "full")?;
        self.connection.pragma_update(None, "trusted_schema", false)?;
        // What a statement of many rows would undo stays off the disk: in files of its own it would be outside
        // of the state folder.
        self.connection.pragma_update(None, "temp_store", "memory")?;
        migrate(&mut self.connection, kind)
    }

    /// Reads.
    pub(crate) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        self.is_sound()?;
        let result = work(&self.connection);
        self.told(result)
    }

    /// Whoever was told of what was gathered and is lost must not go on: a number of a folder would come
    /// to mean another one.
    fn is_sound(&mut self) -> Result<(), StateError> {
        if matches!(self.gathered, Gathered::Since(_)) && self.connection.is_autocommit() {
            // A full disk may have ended the transaction, with all that was in it.
            self.gathered = Gathered::Lost;
        }
        if self.gathered == Gathered::Lost {
            let path = self.path.display();
            let text = format!("`{path}`: something could not be written; the next run goes on");
            return Err(StateError::Database(text));
        }
        Ok(())
    }

    /// Writes in one transaction; when this returns, it is on disk, or nothing of it is. While writes
    /// are gathered it is on disk with a later one, with others, or after a crash none of them.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        self.is_sound()?;
        let result = match self.gathered {
            Gathered::Never | Gathered::Lost => transaction(&mut self.connection, work),
            Gathered::Nothing | Gathered::Since(_) => self.gather_one(work),
        };
        let is_due =
            matches!(self.gathered, Gathered::Since(since) if since.elapsed() >= GATHERED_MAX);
        let result = self.told(result);
        if is_due {
            self.commit()?;
        }
        result
    }

    /// Likewise, and it is on disk when this returns, with all that was gathered.
    pub(crate) fn write_through<T>(
        &mut self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Fault>,
    ) -> Result<T, StateError> {
        if self.gathered == Gathered::Nothing {
            let written = transaction(&mut self.connection, work);
            return self.told(written);
        }
        let written = self.write(work)?;
        self.commit()?;
        Ok(written)
    }

    /// Begins to gather writes, or ends it; then all of them are on disk when this returns.
    pub(crate) fn gather(&mut self, gather: bool) -> Result<(), StateError> {
        if gather {
            if self.gathered == Gathered::Never {
                self.gathered = Gathered::Nothing;
            }
            return Ok(());
        }
        let committed = self.commit();
        if self.gathered != Gathered::Lost {
            self.gathered = Gathered::Never;
        }
        committed
    }

    fn gather_one<T>(
        &mut self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.gathered == Gathered::Nothing {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.gathered = Gathered::Since(Instant::now());
        }
        let savepoint = self.connection.savepoint()?;
        let value = work(&Writing(&savepoint))?;
        savepoint.commit()?;
        Ok(value)
    }

    /// Puts what was gathered on disk.
    fn commit(&mut self) -> Result<(), StateError> {
        self.is_sound()?;
        let Gathered::Since(_) = self.gathered else { return Ok(()) };
        self.gathered = Gathered::Nothing;
        let committed = self.connection.execute_batch("COMMIT");
        if committed.is_err() {
            self.gathered = Gathered::Lost;
            let rolled_back = self.connection.execute_batch("ROLLBACK");
            tracing::debug!(?rolled_back, "what was gathered is lost");
        }
        self.told(committed.map_err(Fault::from))
    }

    fn told<T>(&self, result: Result<T, Fault>) -> Result<T, StateError> {
        result.map_err(|stopped| match stopped {
            Fault::Sqlite(error) => fault(&self.path, self.cost, &error),
            Fault::State(error) => error,
        })
    }
}

fn transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Writing<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&Writing(&transaction))?;
    transaction.commit()?;
    Ok(value)
}

/// Reads the version of the format; a newer one, and a file of another program, is refused.
fn check_version(connection: &Connection, kind: &Kind) -> Result<i64, Fault> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let found = pragma("user_version")?;
    let application = pragma("application_id")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if tables > 0 && application != i64::from(kind.application) {
        let path = connection.path().unwrap_or_default();
        let text = format!("`{path}` is a database of another program");
        return Err(StateError::Database(text).into());
    }
    if found > kind.version() {
        return Err(StateError::Newer { found, known: kind.version() }.into());
    }
    Ok(found)
}

fn migrate(connection: &mut Connection, kind: &Kind) -> Result<(), Fault> {
    if check_version(connection, kind)? == kind.version() {
        return Ok(());
    }
    transaction(connection, |transaction| {
        // Again, inside: another process may have been here meanwhile.
        let found = check_version(transaction, kind)?;
        for (version, step) in (1_i64..).zip(kind.steps) {
            if version > found {
                transaction.execute_batch(step)?;
                transaction.pragma_update(None, "user_version", version)?;
            }
        }
        transaction.pragma_update(None, "application_id", kind.application)?;
        Ok(())
    })
}

/// Says which file, what is wrong, and what to do where something can be done.
fn fault(path: &Path, cost: &str, error: &rusqlite::Error) -> StateError {
    let path = path.display();
    let system = |kind| StateError::Io(io::Error::new(kind, format!("`{path}`: {error}")));
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => system(io::ErrorKind::StorageFull),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            system(io::ErrorKind::PermissionDenied)
        }
        Some(ErrorCode::SystemIoFailure) => system(io::ErrorKind::Other),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(&path, cost, error),
        None if is_bad_value(error) => damaged(&path, cost, error),
        _ => StateError::Database(format!("`{path}`: {error}")),
    }
}

fn damaged(path: &std::path::Display<'_>, cost: &str, error: &rusqlite::Error) -> StateError {
    StateError::Database(format!("`{path}` is damaged ({error}); it may be deleted: {cost}"))
}

const fn is_bad_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
    )
}

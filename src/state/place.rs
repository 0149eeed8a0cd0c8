//! The state folder: a catalogue, and one folder for each account pair.
//!
//! ```text
//! .mailferry/.gitignore
//! .mailferry/catalogue.db
//! .mailferry/pairs/3f2a90c1d4e5b687/state.db
//! .mailferry/pairs/3f2a90c1d4e5b687/lock
//! ```

use std::path::Path;
use std::path::PathBuf;

use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;
use sha2::Digest as _;
use sha2::Sha256;

use crate::mail::Timestamp;
use crate::plan::Witness;
use crate::state::SqliteState;
use crate::state::StateError;
use crate::state::database::Database;
use crate::state::files;
use crate::state::files::Lock;
use crate::state::files::Taken;
use crate::state::schema;

/// What names an account pair. The two users identify it; the rest is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairNames<'a> {
    /// The account's name in output.
    pub name: &'a str,
    /// The source's user as the server knows it, case kept.
    pub source_user: &'a str,
    /// The source's server.
    pub source_host: &'a str,
    /// The destination's user as the server knows it, case kept.
    pub destination_user: &'a str,
    /// The destination's server.
    pub destination_host: &'a str,
}

/// An account pair as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairRecord {
    /// The name of its folder below `pairs`.
    pub id: String,
    /// The account's name in output, as last given.
    pub name: String,
    /// The source's user.
    pub source_user: String,
    /// The source's server, as last given.
    pub source_host: String,
    /// The destination's user.
    pub destination_user: String,
    /// The destination's server, as last given.
    pub destination_host: String,
    /// When it was first worked on.
    pub created: Timestamp,
}

/// State of one account pair, locked for as long as `state` lives.
#[derive(Debug)]
pub struct OpenedPair {
    /// What it holds.
    pub state: SqliteState,
    /// Its folder.
    pub folder: PathBuf,
    /// What the catalogue had of it before; nothing for a pair that is new here. Another host in it
    /// is to be told, and is no other account.
    pub before: Option<PairRecord>,
}

/// A state folder.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    catalogue: Database,
}

impl Place {
    /// Opens a state folder; one that is not there is made, closed to others and ignored by git from
    /// its first moment.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`] where it cannot be made or read, [`StateError::Newer`] and
    /// [`StateError::Database`] for its catalogue.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        files::make_folder(folder)?;
        let catalogue = folder.join("catalogue.db");
        // Only at birth: whoever takes the file away later wants it away.
        if !catalogue.exists() {
            files::make_file(&folder.join(".gitignore"), b"*\n")?;
        }
        let catalogue = Database::open(&catalogue, &schema::CATALOGUE)?;
        Ok(Self { folder: folder.to_owned(), catalogue })
    }

    /// Opens the state of an account pair and locks it.
    ///
    /// # Errors
    ///
    /// [`StateError::Locked`] while another run has it; else as [`SqliteState::open`].
    pub fn open_pair(
        &mut self,
        names: &PairNames<'_>,
        now: Timestamp,
    ) -> Result<OpenedPair, StateError> {
        let id = short_hash(&[names.source_user, names.destination_user]);
        let folder = self.folder.join("pairs").join(&id);
        files::make_folder(&folder)?;
        let lock = match Lock::take(&folder.join("lock"))? {
            Taken::Held(lock) => lock,
            Taken::By(holder) => {
                let text = format!("`{}` ({holder})", folder.display());
                return Err(StateError::Locked(text));
            }
        };
        let state = SqliteState::open_locked(&folder.join("state.db"), Some(lock))?;
        let before = self.catalogue_pair(&id, names, now)?;
        Ok(OpenedPair { state, folder, before })
    }

    /// All account pairs ever worked on here, by name.
    ///
    /// # Errors
    ///
    /// [`StateError`] where the catalogue cannot be read.
    pub fn pairs(&mut self) -> Result<Vec<PairRecord>, StateError> {
        self.catalogue.read(|connection| {
            let sql = "SELECT id, name, source_user, source_host, destination_user,
                destination_host, created FROM pairs ORDER BY name, id";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map((), record)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn catalogue_pair(
        &mut self,
        id: &str,
        names: &PairNames<'_>,
        now: Timestamp,
    ) -> Result<Option<PairRecord>, StateError> {
        self.catalogue.write(|transaction| {
            let sql = "SELECT id, name, source_user, source_host, destination_user,
                destination_host, created FROM pairs WHERE id = ?1";
            let before = transaction.query_row(sql, [id], record).optional()?;
            let sql = "INSERT INTO pairs (id, name, source_user, source_host, destination_user,
                    destination_host, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT (id) DO UPDATE SET name = excluded.name,
                    source_host = excluded.source_host,
                    destination_host = excluded.destination_host";
            transaction.execute(
                sql,
                params![
                    id,
                    names.name,
                    names.source_user,
                    names.source_host,
                    names.destination_user,
                    names.destination_host,
                    now,
                ],
            )?;
            Ok(before)
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<PairRecord> {
    Ok(PairRecord {
        id: row.get(0)?,
        name: row.get(1)?,
        source_user: row.get(2)?,
        source_host: row.get(3)?,
        destination_user: row.get(4)?,
        destination_host: row.get(5)?,
        created: row.get(6)?,
    })
}

/// Keeps other runs of this host off a destination account, whatever their state folder.
#[derive(Debug)]
pub struct DestinationLock {
    _locks: Vec<Lock>,
}

/// Locks the destination account of this witness at this server for this user of this host. `folder` is
/// the user's runtime folder; one that is not there is made, and one that others could have prepared
/// is refused.
///
/// The account is locked by its user at this server, and by its user and inbox, UIDVALIDITY and
/// MAILBOXID, where these are known: a server has several names, and an inbox that is still empty has
/// no identity. Two accounts that agree in the latter on different servers lock each other out, which
/// costs time and no mail.
///
/// # Errors
///
/// [`StateError::DestinationLocked`] while another run has it, [`StateError::Io`] where the folder is
/// not ours alone.
pub fn lock_destination(
    folder: &Path,
    witness: &Witness,
    server: &str,
) -> Result<DestinationLock, StateError> {
    files::make_folder(folder)?;
    files::check_own_folder(folder)?;
    let mut names = vec![short_hash(&[&witness.user, "at", server])];
    let inbox = witness.folders.iter().find(|folder| folder.wire.is_inbox());
    if let Some(inbox) = inbox {
        let mailbox_id = inbox.mailbox_id.as_ref().map(crate::mail::MailboxId::as_str);
        let parts = [&inbox.uid_validity.to_string(), mailbox_id.unwrap_or_default()];
        names.push(short_hash(&[&witness.user, parts[0], parts[1]]));
    }
    let mut locks = Vec::new();
    for name in names {
        match Lock::take(&folder.join(format!("{name}.lock")))? {
            Taken::Held(lock) => locks.push(lock),
            Taken::By(holder) => return Err(StateError::DestinationLocked(holder)),
        }
    }
    Ok(DestinationLock { _locks: locks })
}

/// 16 hexadecimal digits of SHA-256 over the parts, each behind its length, so that no two lists of
/// parts read the same.
fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let octets = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hash.update(octets.to_be_bytes());
        hash.update(part.as_bytes());
    }
    let first = hash.finalize().iter().take(8).fold(0, |sum, octet| sum << 8 | u64::from(*octet));
    format!("{first:016x}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::mail::{MailboxId, UidValidity, WireName};
    use crate::plan::WitnessFolder;
    use crate::state::State as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000_000);

    const ANN: PairNames<'static> = PairNames {
        name: "ann",
        source_user: "ann@old.example",
        source_host: "old.example",
        destination_user: "ann@new.example",
        destination_host: "new.example",
    };

    fn inbox(user: &str, uid_validity: u32, mailbox_id: Option<&str>) -> Witness {
        let inbox = WitnessFolder {
            wire: WireName::new(*b"INBOX"),
            uid_validity: UidValidity::new(uid_validity).unwrap(),
            mailbox_id: mailbox_id.and_then(|id| MailboxId::from_wire(id.as_bytes())),
        };
        Witness { user: user.to_owned(), folders: vec![inbox], ..Witness::default() }
    }

    #[test]
    fn a_pair_is_found_again_by_its_users_whatever_its_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::open(&folder.path().join("state")).unwrap();
        let first = place.open_pair(&ANN, NOW).unwrap();
        let home = first.folder.clone();
        assert_eq!(first.before, None);
        drop(first);
        let moved = PairNames { source_host: "192.0.2.7", name: "Ann", ..ANN };
        let second = place.open_pair(&moved, NOW.plus(9)).unwrap();
        assert_eq!(second.folder, home);
        assert_eq!(second.before.unwrap().source_host, "old.example");
        let record = &place.pairs().unwrap()[0];
        assert_eq!((record.source_host.as_str(), record.created), ("192.0.2.7", NOW));
    }

    #[test]
    fn users_that_differ_in_case_or_order_are_other_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::open(folder.path()).unwrap();
        let pairs = [
            ANN,
            PairNames { source_user: "Ann@old.example", ..ANN },
            PairNames {
                source_user: ANN.destination_user,
                destination_user: ANN.source_user,
                ..ANN
            },
            PairNames {
                source_user: "ann@old.examplea",
                destination_user: "nn@new.example",
                ..ANN
            },
        ];
        let opened: Vec<_> =
            pairs.iter().map(|names| place.open_pair(names, NOW).unwrap()).collect();
        let mut folders: Vec<_> = opened.iter().map(|pair| pair.folder.clone()).collect();
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), pairs.len());
        assert_eq!(place.pairs().unwrap().len(), pairs.len());
    }

    #[test]
    fn a_second_opener_is_told_who_has_it_until_state_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::open(folder.path()).unwrap();
        let OpenedPair { mut state, .. } = place.open_pair(&ANN, NOW).unwrap();
        let second = Place::open(folder.path()).unwrap().open_pair(&ANN, NOW);
        let Err(StateError::Locked(said)) = second else { panic!("{second:?}") };
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        state.begin_run("plan", NOW).unwrap();
        drop(state);
        place.open_pair(&ANN, NOW).unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_dead_process_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::open(folder.path()).unwrap();
        let home = place.open_pair(&ANN, NOW).unwrap().folder;
        fs::write(home.join("lock"), "4194304\n").unwrap();
        place.open_pair(&ANN, NOW).unwrap();
        assert_eq!(
            fs::read_to_string(home.join("lock")).unwrap(),
            format!("{}\n", std::process::id())
        );
    }

    #[test]
    fn git_ignores_the_folder_from_birth_and_is_not_told_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b/state");
        Place::open(&state).unwrap();
        assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
        fs::remove_file(state.join(".gitignore")).unwrap();
        Place::open(&state).unwrap();
        assert!(!state.join(".gitignore").exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_what_is_made_here() {
        use std::os::unix::fs::PermissionsExt as _;

        fn check(path: &Path, seen: &mut Vec<String>) {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{}", path.display());
            seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
            if path.is_dir() {
                for entry in fs::read_dir(path).unwrap() {
                    check(&entry.unwrap().path(), seen);
                }
            }
        }

        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::open(&folder.path().join("state")).unwrap();
        let mut pair = place.open_pair(&ANN, NOW).unwrap();
        pair.state.begin_run("plan", NOW).unwrap();
        let mut seen = Vec::new();
        check(&folder.path().join("state"), &mut seen);
        for name in ["catalogue.db", "state.db", "state.db-wal", "lock", ".gitignore", "pairs"] {
            assert!(seen.iter().any(|seen| seen == name), "{name}: {seen:?}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let said = Place::open(&file.join("state")).unwrap_err().to_string();
        assert!(said.contains("file"), "{said}");
    }

    /// The superuser writes where others may not, so that for it another fault has to do.
    #[cfg(unix)]
    #[test]
    fn a_read_only_folder_is_a_fault_that_names_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut place = Place::open(&state).unwrap();
        fs::create_dir_all(state.join("pairs")).unwrap();
        fs::set_permissions(state.join("pairs"), fs::Permissions::from_mode(0o500)).unwrap();
        let by_superuser = tempfile::tempfile_in(state.join("pairs")).is_ok();
        if by_superuser {
            fs::remove_dir(state.join("pairs")).unwrap();
            fs::write(state.join("pairs"), "").unwrap();
        }
        let refused = place.open_pair(&ANN, NOW);
        let Err(StateError::Io(error)) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("pairs"), "{error}");
    }

    #[test]
    fn one_destination_is_locked_across_state_folders() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("runtime");
        let ann = inbox("ann", 7, Some("m1"));
        let held = lock_destination(&folder, &ann, "new.example:993").unwrap();
        let empty = Witness { folders: Vec::new(), ..ann.clone() };
        for (witness, server) in [(&ann, "alias.example:993"), (&empty, "new.example:993")] {
            let second = lock_destination(&folder, witness, server);
            let Err(StateError::DestinationLocked(said)) = second else { panic!("{second:?}") };
            assert_eq!(said, format!("process {}", std::process::id()));
        }
        for other in
            [inbox("Ann", 7, Some("m1")), inbox("ann", 8, Some("m1")), inbox("ann", 7, None), empty]
        {
            lock_destination(&folder, &other, "other.example:993").unwrap();
        }
        drop(held);
        lock_destination(&folder, &ann, "alias.example:993").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_runtime_folder_that_others_can_prepare_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (open, led) = (folder.path().join("open"), folder.path().join("led"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o707)).unwrap();
        let said =
            lock_destination(&open, &inbox("ann", 7, None), "a:993").unwrap_err().to_string();
        assert!(said.contains("0700"), "{said}");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(&open, &led).unwrap();
        let said = lock_destination(&led, &inbox("ann", 7, None), "a:993").unwrap_err().to_string();
        assert!(said.contains("only leads"), "{said}");
        lock_destination(&open, &inbox("ann", 7, None), "a:993").unwrap();
    }
}

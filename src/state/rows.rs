//! Single rows of state: read and written inside a transaction of the caller.

use std::collections::BTreeMap;
use std::iter;

use rusqlite::CachedStatement;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::ToSql;
use rusqlite::params;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::VERSION;
use crate::mail::{ModSeq, Uid};
use crate::state::database::Fault;
use crate::state::database::Writing;
use crate::state::port;
use crate::state::port::{FolderId, FolderKey, Intent, IntentId, Link, Outcome, StoredCopy};
use crate::state::value::Number;

const BY_MAILBOX_ID: &str =
    "SELECT id FROM folders WHERE side = ?1 AND uid_validity = ?2 AND mailbox_id = ?3";
const BY_NAME: &str = "SELECT id FROM folders
    WHERE side = ?1 AND uid_validity = ?2 AND mailbox_id IS NULL AND wire = ?3";

/// The number of a folder, with a row made where there is none.
pub(crate) fn folder(transaction: &Writing<'_>, key: &FolderKey) -> rusqlite::Result<FolderId> {
    let (side, wire) = (key.side.as_str(), key.identity_octets());
    let validity = key.uid_validity.get();
    let mailbox_id = key.mailbox_id.as_ref().map(crate::mail::MailboxId::as_str);
    // With a MAILBOXID the name does not matter.
    let found: Option<FolderId> = match mailbox_id {
        Some(mailbox_id) => transaction
            .prepare_cached(BY_MAILBOX_ID)?
            .query_row(params![side, validity, mailbox_id], |row| row.get(0)),
        None => transaction
            .prepare_cached(BY_NAME)?
            .query_row(params![side, validity, wire], |row| row.get(0)),
    }
    .optional()?;
    if let Some(id) = found {
        let sql = "UPDATE folders SET wire = ?2 WHERE id = ?1 AND wire <> ?2";
        transaction.prepare_cached(sql)?.execute(params![id, wire])?;
        return Ok(id);
    }
    let sql = "INSERT INTO folders (side, wire, uid_validity, mailbox_id) VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(sql)?.execute(params![side, wire, validity, mailbox_id])?;
    Ok(FolderId(transaction.last_insert_rowid()))
}

/// The recorded heights of a folder.
pub(crate) fn high_water(
    connection: &Connection,
    folder: FolderId,
) -> rusqlite::Result<(Option<Uid>, Option<ModSeq>)> {
    let sql = "SELECT uid_next, mod_seq FROM folders WHERE id = ?1";
    let found = connection.prepare_cached(sql)?.query_row([folder], |row| {
        let mod_seq: Option<Number> = row.get(1)?;
        Ok((row.get(0)?, mod_seq.map(|Number(number)| ModSeq(number))))
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Reads a link.
pub(crate) fn link(row: &Row<'_>) -> rusqlite::Result<Link> {
    let Number(octets) = row.get(4)?;
    // The link stands on both UIDs; only what another rule made of the message is worth nothing.
    let (digest, basis) = if row.get::<_, u8>(7)? == VERSION {
        (row.get(2)?, row.get(3)?)
    } else {
        (Digest::default(), Basis::Nothing)
    };
    Ok(Link {
        source: row.get(0)?,
        destination: row.get(1)?,
        digest,
        basis,
        octets,
        flags: row.get(5)?,
        copied_by: row.get(6)?,
    })
}

/// The end of the statement that writes links, with the expression for who copied a message that was
/// linked before.
macro_rules! put_links_end {
    ($copied_by:literal) => {
        concat!(
            " ON CONFLICT DO UPDATE SET destination_uid = excluded.destination_uid,
                digest = excluded.digest, version = excluded.version, basis = excluded.basis,
                octets = excluded.octets, flags = excluded.flags, copied_by = ",
            $copied_by
        )
    };
}

/// A link that was found says nothing of who copied the message.
pub(crate) const PUT_FOUND: &str = put_links_end!("coalesce(links.copied_by, excluded.copied_by)");

/// The run that copied it last counts.
const PUT_STORED: &str = put_links_end!("coalesce(excluded.copied_by, links.copied_by)");

/// How many rows one statement writes: to run one costs more than a row does. Few sizes, so that all
/// stay prepared.
const ROWS_AT_ONCE: [usize; 3] = [64, 8, 1];

/// All of these in parts of those sizes.
fn parts<T>(mut rest: &[T]) -> impl Iterator<Item = &[T]> {
    iter::from_fn(move || {
        let size = ROWS_AT_ONCE.into_iter().find(|size| *size <= rest.len())?;
        let (part, left) = rest.split_at(size);
        rest = left;
        Some(part)
    })
}

/// `(?, ?), (?, ?)` and so on, for so many rows of so many columns.
fn places(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

/// Binds the places of a statement in their order.
struct Binding<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    place: usize,
}

impl<'s, 'c> Binding<'s, 'c> {
    fn new(statement: &'s mut CachedStatement<'c>) -> Self {
        Self { statement, place: 0 }
    }

    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.place += 1;
        self.statement.raw_bind_parameter(self.place, value)
    }
}

/// A link, and the source and destination folder that it is of.
pub(crate) type Linked<'a> = ((FolderId, FolderId), &'a Link);

/// Writes links with [`PUT_FOUND`] or [`PUT_STORED`].
pub(crate) fn put_links(
    transaction: &Writing<'_>,
    end: &'static str,
    links: &[Linked<'_>],
) -> rusqlite::Result<()> {
    for part in parts(links) {
        let sql = format!(
            "INSERT INTO links (source_folder, destination_folder, source_uid, destination_uid,
                digest, version, basis, octets, flags, copied_by) VALUES {}{end}",
            places(part.len(), 10)
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut binding = Binding::new(&mut statement);
        for ((source, destination), link) in part {
            binding.bind(source)?;
            binding.bind(destination)?;
            binding.bind(link.source)?;
            binding.bind(link.destination)?;
            binding.bind(link.digest)?;
            binding.bind(VERSION)?;
            binding.bind(link.basis)?;
            binding.bind(Number(link.octets))?;
            binding.bind(&link.flags)?;
            binding.bind(link.copied_by)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Records intents, each in place of an open one of the same message.
pub(crate) fn intend(
    transaction: &Writing<'_>,
    intents: &[Intent],
) -> rusqlite::Result<Vec<IntentId>> {
    let mut made = Vec::with_capacity(intents.len());
    for part in parts(intents) {
        match insert_all(transaction, part)? {
            Some(ids) => made.extend(ids),
            // Hardly ever is one open: that is looked at only where it stands in the way.
            None => {
                for intent in part {
                    made.push(intend_one(transaction, intent)?);
                }
            }
        }
    }
    Ok(made)
}

/// Records intents at one go; nothing of them where one of the same message is open.
fn insert_all(
    transaction: &Writing<'_>,
    intents: &[Intent],
) -> rusqlite::Result<Option<impl Iterator<Item = IntentId> + use<>>> {
    let sql = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'intents'";
    let first: i64 = transaction.prepare_cached(sql)?.query_row((), |row| row.get(0))?;
    let sql = format!(
        "INSERT INTO intents (id, source_folder, source_uid, destination_folder, uid_next, times,
            may_arrive) VALUES {}",
        places(intents.len(), 7)
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut binding = Binding::new(&mut statement);
    for (id, intent) in (first..).zip(intents) {
        binding.bind(id)?;
        binding.bind(intent.source_folder)?;
        binding.bind(intent.source)?;
        binding.bind(intent.destination_folder)?;
        binding.bind(intent.uid_next)?;
        binding.bind(1)?;
        binding.bind(true)?;
    }
    match statement.raw_execute() {
        Ok(rows) if rows == intents.len() => Ok(Some((first..).map(IntentId).take(rows))),
        Ok(rows) => Err(rusqlite::Error::StatementChangedRows(rows)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Records one intent in place of an open one of the same message.
fn intend_one(transaction: &Writing<'_>, intent: &Intent) -> rusqlite::Result<IntentId> {
    match insert(transaction, intent, (intent.uid_next, 1))? {
        Some(id) => Ok(id),
        None => replace(transaction, intent),
    }
}

/// Records an intent with its floor and its number of times; nothing where one of the same message is
/// open.
fn insert(
    transaction: &Writing<'_>,
    intent: &Intent,
    (uid_next, times): (Uid, u32),
) -> rusqlite::Result<Option<IntentId>> {
    // RETURNING would cost every message a table of its own.
    let sql = "INSERT INTO intents (source_folder, source_uid, destination_folder, uid_next,
            times, may_arrive) VALUES (?1, ?2, ?3, ?4, ?5, true) ON CONFLICT DO NOTHING";
    let inserted = transaction.prepare_cached(sql)?.execute(params![
        intent.source_folder,
        intent.source,
        intent.destination_folder,
        uid_next,
        times,
    ])?;
    Ok((inserted > 0).then(|| IntentId(transaction.last_insert_rowid())))
}

/// Records an intent in place of the open one of its message.
fn replace(transaction: &Writing<'_>, intent: &Intent) -> rusqlite::Result<IntentId> {
    let sql = "SELECT times, uid_next, may_arrive, id FROM intents
        WHERE destination_folder = ?1 AND source_folder = ?2 AND source_uid = ?3";
    let key = params![intent.destination_folder, intent.source_folder, intent.source];
    let (times, old, may_arrive, id): (u32, Uid, bool, IntentId) = transaction
        .prepare_cached(sql)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    close(transaction, id)?;
    // The earlier one may still be found, and only above its own floor.
    let uid_next = old.min(intent.uid_next);
    if may_arrive {
        let sql = "INSERT INTO resent (destination_folder, source_folder, source_uid, uid_from)
            VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET uid_from = min(uid_from, excluded.uid_from)";
        transaction.prepare_cached(sql)?.execute(params![
            intent.destination_folder,
            intent.source_folder,
            intent.source,
            uid_next,
        ])?;
    }
    insert(transaction, intent, (uid_next, times.saturating_add(1)))?
        .ok_or(rusqlite::Error::StatementChangedRows(0))
}

/// Forgets an intent; tells whether it was open.
fn close(transaction: &Writing<'_>, id: IntentId) -> rusqlite::Result<bool> {
    Ok(transaction.prepare_cached("DELETE FROM intents WHERE id = ?1")?.execute([id])? > 0)
}

/// Source and destination folder of an open intent.
fn folders_of(
    transaction: &Writing<'_>,
    id: IntentId,
) -> rusqlite::Result<Option<(FolderId, FolderId)>> {
    let sql = "SELECT source_folder, destination_folder FROM intents WHERE id = ?1";
    let mut statement = transaction.prepare_cached(sql)?;
    statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Forgets intents. An inner error names the first of neighbours one of which is not open.
fn close_all(
    transaction: &Writing<'_>,
    mut ids: Vec<IntentId>,
) -> rusqlite::Result<Result<(), IntentId>> {
    ids.sort_unstable();
    let mut statement =
        transaction.prepare_cached("DELETE FROM intents WHERE id BETWEEN ?1 AND ?2")?;
    for run in ids.chunk_by(|one, next| one.0 + 1 == next.0) {
        let (first, last) = (run[0], run[run.len() - 1]);
        if statement.execute([first, last])? < run.len() {
            return Ok(Err(first));
        }
    }
    Ok(Ok(()))
}

/// Records outcomes, and how high the folders have come by them. Those of intents that are remembered are
/// in `folders`: the source's and the destination's.
pub(crate) fn settle(
    transaction: &Writing<'_>,
    folders: &BTreeMap<IntentId, (FolderId, FolderId)>,
    outcomes: &[(IntentId, Outcome)],
) -> Result<(), Fault> {
    let (mut closed, mut stored) = (Vec::new(), Vec::new());
    for (id, outcome) in outcomes {
        if let Outcome::Unknown { may_arrive } = outcome {
            let sql = "UPDATE intents SET may_arrive = ?2 WHERE id = ?1";
            let open = transaction.prepare_cached(sql)?.execute(params![id, may_arrive])?;
            if open == 0 || closed.contains(id) {
                return Err(port::not_open(*id).into());
            }
            continue;
        }
        let pair = match folders.get(id) {
            Some(pair) => *pair,
            None => folders_of(transaction, *id)?.ok_or_else(|| port::not_open(*id))?,
        };
        closed.push(*id);
        if let Outcome::Stored(copy) = outcome {
            stored.push((pair, copy));
        }
    }
    close_all(transaction, closed)?.map_err(port::not_open)?;
    store(transaction, &stored)?;
    let mut highest: BTreeMap<FolderId, Uid> = BTreeMap::new();
    for ((_, destination), copy) in stored {
        if let Some(uid) = copy.highest() {
            let known = highest.entry(destination).or_insert(uid);
            *known = uid.max(*known);
        }
    }
    for (folder, highest) in highest {
        raise_stored(transaction, folder, highest)?;
    }
    Ok(())
}

/// Records the highest UID that we stored in a folder, as far as the server told the truth.
fn raise_stored(
    transaction: &Connection,
    destination: FolderId,
    highest: Uid,
) -> rusqlite::Result<()> {
    let sql = "UPDATE folders SET highest_stored = max(coalesce(highest_stored, 0), ?2)
            WHERE id = ?1";
    transaction.prepare_cached(sql)?.execute(params![destination, highest])?;
    Ok(())
}

fn store(
    transaction: &Writing<'_>,
    stored: &[((FolderId, FolderId), &StoredCopy)],
) -> rusqlite::Result<()> {
    let links: Vec<_> = stored.iter().map(|(pair, copy)| (*pair, &copy.link)).collect();
    put_links(transaction, PUT_STORED, &links)?;
    for ((_, destination), copy) in stored {
        let Some(owned) = &copy.owned else { continue };
        let sql = "INSERT OR REPLACE INTO owned (folder, uid, octets, digest, version, date, flags)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        transaction.prepare_cached(sql)?.execute(params![
            destination,
            owned.uid,
            Number(owned.octets),
            owned.digest,
            VERSION,
            owned.date,
            owned.flags,
        ])?;
    }
    Ok(())
}

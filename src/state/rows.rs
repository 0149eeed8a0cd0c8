//! Single rows of state: read and written inside a transaction of the caller.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::params;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::VERSION;
use crate::mail::{ModSeq, Uid};
use crate::state::database::Fault;
use crate::state::database::Writing;
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

/// The statement that writes a link, with the expression for who copied a message that was linked
/// before.
macro_rules! put_link_sql {
    ($copied_by:literal) => {
        concat!(
            "INSERT INTO links (source_folder, destination_folder, source_uid, destination_uid,
                    digest, version, basis, octets, flags, copied_by)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                ON CONFLICT DO UPDATE SET destination_uid = excluded.destination_uid,
                    digest = excluded.digest, version = excluded.version, basis = excluded.basis,
                    octets = excluded.octets, flags = excluded.flags, copied_by = ",
            $copied_by
        )
    };
}

/// A link that was found says nothing of who copied the message.
pub(crate) const PUT_FOUND: &str = put_link_sql!("coalesce(links.copied_by, excluded.copied_by)");

/// The run that copied it last counts.
pub(crate) const PUT_STORED: &str = put_link_sql!("coalesce(excluded.copied_by, links.copied_by)");

/// Writes a link with [`PUT_FOUND`] or [`PUT_STORED`].
pub(crate) fn put_link(
    transaction: &Writing<'_>,
    sql: &'static str,
    (source, destination): (FolderId, FolderId),
    link: &Link,
) -> rusqlite::Result<()> {
    transaction.prepare_cached(sql)?.execute(params![
        source,
        destination,
        link.source,
        link.destination,
        link.digest,
        VERSION,
        link.basis,
        Number(link.octets),
        link.flags,
        link.copied_by,
    ])?;
    Ok(())
}

/// Records one intent in place of an open one of the same message.
pub(crate) fn intend(transaction: &Writing<'_>, intent: &Intent) -> rusqlite::Result<IntentId> {
    // Hardly ever is there one: it is looked at only where it stands in the way.
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

/// Records one outcome, all but how high the folder has come ([`raise_stored`]); returns its
/// destination folder, or nothing where the intent is not open. `folders` are those of the intent, where
/// they are remembered.
pub(crate) fn settle(
    transaction: &Writing<'_>,
    (id, folders): (IntentId, Option<(FolderId, FolderId)>),
    outcome: &Outcome,
) -> Result<Option<FolderId>, Fault> {
    if let Outcome::Unknown { may_arrive } = outcome {
        let sql = "UPDATE intents SET may_arrive = ?2 WHERE id = ?1 RETURNING destination_folder";
        let mut statement = transaction.prepare_cached(sql)?;
        return Ok(statement.query_row(params![id, may_arrive], |row| row.get(0)).optional()?);
    }
    let folders = match folders {
        Some(folders) => Some(folders),
        None => folders_of(transaction, id)?,
    };
    let Some((source, destination)) = folders else {
        return Ok(None);
    };
    if !close(transaction, id)? {
        return Ok(None);
    }
    if let Outcome::Stored(copy) = outcome {
        store(transaction, (source, destination), copy)?;
    }
    Ok(Some(destination))
}

/// Records the highest UID that we stored in a folder, as far as the server told the truth.
pub(crate) fn raise_stored(
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
    pair: (FolderId, FolderId),
    copy: &StoredCopy,
) -> rusqlite::Result<()> {
    put_link(transaction, PUT_STORED, pair, &copy.link)?;
    let (_, destination) = pair;
    if let Some(owned) = &copy.owned {
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

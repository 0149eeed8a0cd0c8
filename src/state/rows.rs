//! Single rows of state: read and written inside a transaction of the caller.

use std::collections::BTreeMap;
use std::iter;

use rusqlite::CachedStatement;
use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::ToSql;
use rusqlite::params;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::identity::VERSION;
use crate::mail::{FlagSet, ModSeq, Uid};
use crate::state::database::Writing;
use crate::state::port::{FolderId, FolderKey, Link, Owned, StoredCopy};
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
    let row = format!("({}), ", vec!["?"; columns].join(", "));
    let mut places = row.repeat(rows);
    places.truncate(places.len().saturating_sub(2));
    places
}

/// Binds the places of a statement in their order.
struct Binding<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    place: usize,
    /// Room for one text after the other.
    text: String,
}

impl<'s, 'c> Binding<'s, 'c> {
    fn new(statement: &'s mut CachedStatement<'c>) -> Self {
        Self { statement, place: 0, text: String::new() }
    }

    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.place += 1;
        self.statement.raw_bind_parameter(self.place, value)
    }

    /// Binds flags as they stand in a column, without a string for each.
    fn bind_flags(&mut self, flags: Option<&FlagSet>) -> rusqlite::Result<()> {
        let Some(flags) = flags else { return self.bind(None::<&str>) };
        self.text.clear();
        // To a string that cannot fail.
        let _ = flags.write_to(&mut self.text);
        self.place += 1;
        self.statement.raw_bind_parameter(self.place, self.text.as_str())
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
            binding.bind_flags(link.flags.as_ref())?;
            binding.bind(link.copied_by)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Writes what was stored, and how high the folders have come by it, with the source and destination folder of
/// each.
pub(crate) fn store(
    transaction: &Writing<'_>,
    stored: &[((FolderId, FolderId), &StoredCopy)],
) -> rusqlite::Result<()> {
    let links: Vec<_> = stored.iter().map(|(pair, copy)| (*pair, &copy.link)).collect();
    put_links(transaction, PUT_STORED, &links)?;
    let owned: Vec<_> = stored
        .iter()
        .filter_map(|((_, destination), copy)| Some((*destination, copy.owned.as_ref()?)))
        .collect();
    put_owned(transaction, &owned)?;
    let mut highest: BTreeMap<FolderId, Uid> = BTreeMap::new();
    for ((_, destination), copy) in stored {
        if let Some(uid) = copy.highest() {
            let known = highest.entry(*destination).or_insert(uid);
            *known = uid.max(*known);
        }
    }
    for (folder, highest) in highest {
        raise_stored(transaction, folder, highest)?;
    }
    Ok(())
}

fn put_owned(transaction: &Writing<'_>, owned: &[(FolderId, &Owned)]) -> rusqlite::Result<()> {
    for part in parts(owned) {
        let sql = format!(
            "INSERT OR REPLACE INTO owned (folder, uid, octets, digest, version, date, flags)
                VALUES {}",
            places(part.len(), 7)
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut binding = Binding::new(&mut statement);
        for (folder, owned) in part {
            binding.bind(folder)?;
            binding.bind(owned.uid)?;
            binding.bind(Number(owned.octets))?;
            binding.bind(owned.digest)?;
            binding.bind(VERSION)?;
            binding.bind(owned.date)?;
            binding.bind_flags(Some(&owned.flags))?;
        }
        statement.raw_execute()?;
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

//! The tables, step by step.
//!
//! Anything on disk outlives the program that wrote it: a released step is never changed. Numbers
//! that a server gave in 64 bits stand as signed ones of the same bits; times are seconds since
//! 1970; flags are text, blank-separated.

use crate::state::database::Kind;

/// State of one account pair.
pub(crate) const STATE: Kind = Kind {
    application: 0x4d66_5374,
    steps: &[STATE_1, STATE_2, STATE_3],
    cost: "no mail is lost by that, and none is copied twice where the destination keeps what tells \
           messages apart; what is lost is which copies are ours, the flags that both sides last \
           agreed on, what people removed at the destination, and appends without an outcome",
};

/// The catalogue of account pairs.
pub(crate) const CATALOGUE: Kind = Kind {
    application: 0x4d66_4361,
    steps: &[CATALOGUE_1, CATALOGUE_2],
    cost: "it is made again; what is lost is how much of a day's octets is used up",
};

const CATALOGUE_2: &str = "
CREATE TABLE days (
    host TEXT NOT NULL,
    user TEXT NOT NULL,
    day INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (host, user)
) STRICT, WITHOUT ROWID;
";

const CATALOGUE_1: &str = "
CREATE TABLE pairs (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    source_user TEXT NOT NULL,
    source_host TEXT NOT NULL,
    destination_user TEXT NOT NULL,
    destination_host TEXT NOT NULL,
    created INTEGER NOT NULL,
    UNIQUE (source_user, destination_user)
) STRICT;
";

const STATE_2: &str = "
ALTER TABLE folders ADD COLUMN alone INTEGER;
CREATE INDEX folders_by_wire ON folders (side, wire);
";

// One row for all messages that are about to be sent together, by their UIDs. Its number is never given
// twice: a row that somebody else took out must not be taken for another.
const STATE_3: &str = "
ALTER TABLE intents RENAME TO single_intents;
CREATE TABLE intents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_folder INTEGER NOT NULL,
    destination_folder INTEGER NOT NULL,
    uid_next INTEGER NOT NULL,
    times INTEGER NOT NULL,
    may_arrive INTEGER NOT NULL,
    source_uids TEXT NOT NULL
) STRICT;
INSERT INTO intents (source_folder, destination_folder, uid_next, times, may_arrive, source_uids)
    SELECT source_folder, destination_folder, uid_next, times, may_arrive,
        CAST(source_uid AS TEXT)
    FROM single_intents ORDER BY id;
DROP TABLE single_intents;
";

// Numbers of folders and intents are never given twice (AUTOINCREMENT): one that is still held
// somewhere must not come to mean another.
const STATE_1: &str = "
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    command TEXT NOT NULL,
    began INTEGER NOT NULL
) STRICT;

CREATE TABLE witness (
    side TEXT PRIMARY KEY,
    seen TEXT NOT NULL
) STRICT;

CREATE TABLE folders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    side TEXT NOT NULL,
    wire BLOB NOT NULL,
    uid_validity INTEGER NOT NULL,
    mailbox_id TEXT,
    uid_next INTEGER,
    mod_seq INTEGER,
    highest_stored INTEGER,
    identity_kept INTEGER
) STRICT;
CREATE UNIQUE INDEX folders_by_mailbox_id ON folders (side, mailbox_id, uid_validity)
    WHERE mailbox_id IS NOT NULL;
CREATE UNIQUE INDEX folders_by_name ON folders (side, wire, uid_validity)
    WHERE mailbox_id IS NULL;

CREATE TABLE links (
    source_folder INTEGER NOT NULL,
    destination_folder INTEGER NOT NULL,
    source_uid INTEGER NOT NULL,
    destination_uid INTEGER,
    digest BLOB NOT NULL,
    version INTEGER NOT NULL,
    basis TEXT NOT NULL,
    octets INTEGER NOT NULL,
    flags TEXT,
    copied_by INTEGER,
    PRIMARY KEY (source_folder, destination_folder, source_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_destination ON links (destination_folder, destination_uid);

CREATE TABLE owned (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    octets INTEGER NOT NULL,
    digest BLOB NOT NULL,
    version INTEGER NOT NULL,
    date INTEGER,
    flags TEXT NOT NULL,
    PRIMARY KEY (folder, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE digests (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    digest BLOB NOT NULL,
    version INTEGER NOT NULL,
    basis TEXT NOT NULL,
    PRIMARY KEY (folder, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE intents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_folder INTEGER NOT NULL,
    source_uid INTEGER NOT NULL,
    destination_folder INTEGER NOT NULL,
    uid_next INTEGER NOT NULL,
    times INTEGER NOT NULL,
    may_arrive INTEGER NOT NULL,
    UNIQUE (destination_folder, source_folder, source_uid)
) STRICT;

CREATE TABLE resent (
    destination_folder INTEGER NOT NULL,
    source_folder INTEGER NOT NULL,
    source_uid INTEGER NOT NULL,
    uid_from INTEGER NOT NULL,
    PRIMARY KEY (destination_folder, source_folder, source_uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
    command TEXT NOT NULL,
    position INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (command, position)
) STRICT, WITHOUT ROWID;
";

//! What the server holds, and what its other clients do to it.

use std::sync::Arc;

use crate::mail::{
    Flag, FlagSet, InternalDate, MailboxId, ModSeq, PermanentFlags, Role, Timestamp, Uid,
    UidValidity, WireName,
};
use crate::store::ability::{Abilities, AppendWays};
use crate::store::compression::Compression;
use crate::store::look::ServerSeen;

/// 2026-11-18, near enough; the clock of a new server.
const BEGINNING: i64 = 1_795_000_000;

/// A name as the server writes it, from its text.
#[must_use]
pub fn wire(name: &str) -> WireName {
    WireName::new(name.as_bytes())
}

/// What kind of server it is.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub struct Options {
    /// Tells this account from another one: UIDVALIDITY and MAILBOXID differ between numbers.
    pub number: u32,
    /// What it announces.
    pub abilities: Abilities,
    /// What its sessions tell about compression.
    pub compression: Compression,
    /// What it says of itself; the user name is in it.
    pub seen: ServerSeen,
    /// Prefix of the personal namespace, such as `INBOX.`.
    pub prefix: String,
    /// The hierarchy delimiter; nothing for a flat server.
    pub delimiter: Option<u8>,
    /// PERMANENTFLAGS of folders made from now on.
    pub permanent_flags: PermanentFlags,
    /// Flags that it accepts and does not keep, without a word.
    pub drops: FlagSet,
    /// Stores an empty message instead of refusing it.
    pub takes_empty: bool,
    /// Stores a NUL instead of refusing it.
    pub takes_nul: bool,
    /// Gives all folders made in one second the same UIDVALIDITY, as Cyrus does.
    pub same_uid_validity: bool,
    /// Gives 8-bit octets of header fields as `X`, as Cyrus does.
    pub masks_eight_bit: bool,
    /// Counts a bare LF as two octets in RFC822.SIZE.
    pub counts_line_ends: bool,
    /// How many appends may wait for their reply before one is read.
    pub window: usize,
    /// How many messages one append takes at most, where several are announced to be possible.
    pub batch: usize,
    /// The order of rows.
    pub row_order: RowOrder,
    /// It answers as if it were in the same house.
    pub is_near: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            number: 0,
            abilities: Abilities {
                namespace: true,
                list_extended: true,
                list_status: true,
                special_use: true,
                create_special_use: true,
                uid_plus: true,
                object_id: true,
                status_size: true,
                condstore: true,
                compress: false,
                append: AppendWays {
                    multi: false,
                    literal_plus: true,
                    literal_minus: false,
                    refuses_empty: true,
                },
                append_limit: None,
            },
            compression: Compression::NotOffered,
            seen: ServerSeen {
                greeting: "memory ready".to_owned(),
                id: Some("memory 1".to_owned()),
                user: "someone".to_owned(),
                server: "memory:143".to_owned(),
                tls_key: None,
                tls: "none".to_owned(),
                mechanism: "PLAIN".to_owned(),
            },
            prefix: String::new(),
            delimiter: Some(b'/'),
            permanent_flags: PermanentFlags::all(),
            drops: FlagSet::new(),
            takes_empty: false,
            takes_nul: true,
            same_uid_validity: false,
            masks_eight_bit: false,
            counts_line_ends: false,
            window: 8,
            batch: 4,
            row_order: RowOrder::Ascending,
            is_near: false,
        }
    }
}

impl Options {
    /// The usual kind of server, with an account of that number.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        Self { number, ..Self::default() }
    }
}

/// The order in which rows come; RFC 9051 promises none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// By ascending UID.
    Ascending,
    /// By descending UID.
    Descending,
}

/// What the server gives of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gives {
    /// All of it.
    #[default]
    All,
    /// Its facts, and no content: neither header nor body comes.
    Facts,
    /// NIL for a body, although its size is above 0.
    Nil,
    /// No row at all, although it counts.
    NoRow,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// Its UID.
    pub uid: Uid,
    /// Its flags.
    pub flags: FlagSet,
    /// INTERNALDATE.
    pub date: InternalDate,
    /// The octets.
    pub octets: Arc<[u8]>,
    /// MODSEQ.
    pub mod_seq: ModSeq,
    /// What the server gives of it.
    pub gives: Gives,
}

/// A folder.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its name.
    pub wire: WireName,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// UIDNEXT, the truth.
    pub uid_next: Uid,
    /// MAILBOXID; told only where the server offers it.
    pub mailbox_id: Option<MailboxId>,
    /// Special uses.
    pub roles: Vec<Role>,
    /// Subscribed.
    pub subscribed: bool,
    /// Can be opened.
    pub selectable: bool,
    /// Can have folders below it.
    pub may_have_children: bool,
    /// PERMANENTFLAGS.
    pub permanent_flags: PermanentFlags,
    /// HIGHESTMODSEQ.
    pub highest_mod_seq: ModSeq,
    /// The messages, ascending by UID.
    pub mails: Vec<Mail>,
}

impl Folder {
    /// The message of that UID.
    #[must_use]
    pub fn mail(&self, uid: Uid) -> Option<&Mail> {
        self.mails.binary_search_by_key(&uid, |mail| mail.uid).ok().map(|at| &self.mails[at])
    }

    /// How many messages the server says it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        octets_of(self.mails.len())
    }
}

/// All that the server holds for one user. Its methods are what other clients and the administrator
/// do: none is logged or counted.
#[derive(Clone, Debug)]
pub struct Account {
    /// What kind of server it is; sessions take it up when they connect.
    pub options: Options,
    /// The folders, in the order of LIST.
    pub folders: Vec<Folder>,
    /// The server's clock.
    pub now: Timestamp,
    made: u32,
    last_validity: u32,
    mod_seq: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Account {
    /// An account that holds an empty INBOX.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let mut account = Self {
            options,
            folders: Vec::new(),
            now: Timestamp::from_seconds(BEGINNING),
            made: 0,
            last_validity: 0,
            mod_seq: 1,
        };
        account.folder("INBOX");
        account
    }

    /// The folder of that name, made where there is none.
    pub fn folder(&mut self, name: &str) -> &mut Folder {
        self.folder_at(&wire(name))
    }

    /// The folder of that name in the server's octets, made where there is none.
    pub fn folder_at(&mut self, name: &WireName) -> &mut Folder {
        let at = self.position(name).unwrap_or_else(|| {
            let folder = self.new_folder(name.clone());
            self.folders.push(folder);
            self.folders.len() - 1
        });
        &mut self.folders[at]
    }

    /// The folder of that name, if there is one.
    #[must_use]
    pub fn find(&self, name: &WireName) -> Option<&Folder> {
        self.position(name).map(|at| &self.folders[at])
    }

    pub(super) fn position(&self, name: &WireName) -> Option<usize> {
        self.folders
            .iter()
            .position(|folder| folder.wire == *name || (folder.wire.is_inbox() && name.is_inbox()))
    }

    fn new_folder(&mut self, name: WireName) -> Folder {
        self.made += 1;
        let number = self.options.number;
        let by_clock = u32::try_from(self.now.seconds()).unwrap_or(1).wrapping_add(number << 20);
        self.last_validity = if self.options.same_uid_validity {
            by_clock
        } else {
            by_clock.max(self.last_validity.saturating_add(1))
        };
        Folder {
            wire: name,
            uid_validity: UidValidity::new(self.last_validity).unwrap_or(FIRST_VALIDITY),
            uid_next: Uid::MIN,
            mailbox_id: MailboxId::from_wire(format!("F{number}-{}", self.made).as_bytes()),
            roles: Vec::new(),
            subscribed: false,
            selectable: true,
            may_have_children: true,
            permanent_flags: self.options.permanent_flags.clone(),
            highest_mod_seq: ModSeq(self.mod_seq),
            mails: Vec::new(),
        }
    }

    /// Stores a message as its author sent it, and returns its UID.
    pub fn deliver(&mut self, folder: &str, octets: &[u8]) -> Uid {
        let date = InternalDate::new(self.now, 0);
        self.store(&wire(folder), &FlagSet::new(), date, octets)
    }

    /// Stores a message with flags and a date, and returns its UID.
    pub fn store(
        &mut self,
        folder: &WireName,
        flags: &FlagSet,
        date: InternalDate,
        octets: &[u8],
    ) -> Uid {
        let flags = flags.difference(&self.options.drops);
        let mod_seq = self.next_mod_seq();
        let folder = self.folder_at(folder);
        let (flags, _) = folder.permanent_flags.storable(&flags);
        let uid = folder.uid_next;
        folder.uid_next = uid.next();
        folder.highest_mod_seq = mod_seq;
        let octets = octets.into();
        folder.mails.push(Mail { uid, flags, date, octets, mod_seq, gives: Gives::All });
        uid
    }

    /// Removes messages for good; UIDs that are not there are passed over.
    pub fn expunge(&mut self, folder: &str, uids: impl IntoIterator<Item = u32>) {
        let mod_seq = self.next_mod_seq();
        let folder = self.folder(folder);
        for uid in uids {
            folder.mails.retain(|mail| mail.uid.get() != uid);
        }
        folder.highest_mod_seq = mod_seq;
    }

    /// Adds and takes away flags of one message; tells whether they changed.
    pub fn change(&mut self, folder: &WireName, uid: Uid, add: &FlagSet, remove: &FlagSet) -> bool {
        let mod_seq = ModSeq(self.mod_seq + 1);
        let drops = self.options.drops.clone();
        let folder = self.folder_at(folder);
        let (add, _) = folder.permanent_flags.storable(&add.difference(&drops));
        let (remove, _) = folder.permanent_flags.storable(remove);
        let Ok(at) = folder.mails.binary_search_by_key(&uid, |mail| mail.uid) else {
            return false;
        };
        let mail = &mut folder.mails[at];
        let flags = mail.flags.union(&add).difference(&remove);
        if mail.flags == flags {
            return false;
        }
        mail.flags = flags;
        mail.mod_seq = mod_seq;
        folder.highest_mod_seq = mod_seq;
        self.mod_seq += 1;
        true
    }

    /// Sets one flag of one message.
    pub fn mark(&mut self, folder: &str, uid: u32, flag: Flag) {
        if let Some(uid) = Uid::new(uid) {
            self.change(&wire(folder), uid, &[flag].into_iter().collect(), &FlagSet::new());
        }
    }

    /// Renames a folder; it keeps its identity and its messages. A folder that has the name goes.
    pub fn rename(&mut self, from: &str, to: &str) {
        if self.position(&wire(from)).is_some() {
            self.delete(to);
        }
        if let Some(at) = self.position(&wire(from)) {
            self.folders[at].wire = wire(to);
        }
    }

    /// Exchanges the names of two folders.
    pub fn swap(&mut self, one: &str, other: &str) {
        if let (Some(one), Some(other)) = (self.position(&wire(one)), self.position(&wire(other))) {
            let name = self.folders[one].wire.clone();
            self.folders[one].wire = std::mem::replace(&mut self.folders[other].wire, name);
        }
    }

    /// Deletes a folder with its messages.
    pub fn delete(&mut self, name: &str) {
        if let Some(at) = self.position(&wire(name)) {
            self.folders.remove(at);
        }
    }

    /// Deletes a folder and makes an empty one of the same name, with another identity.
    pub fn replace(&mut self, name: &str) {
        self.delete(name);
        self.folder(name);
    }

    /// Puts the folders back to what they were, UIDNEXT and HIGHESTMODSEQ included, as after a
    /// restore from a file snapshot.
    pub fn restore(&mut self, earlier: &Self) {
        self.folders.clone_from(&earlier.folders);
        self.mod_seq = earlier.mod_seq;
    }

    /// The octets of a folder's messages, ascending by UID; empty where there is no such folder.
    #[must_use]
    pub fn bodies(&self, folder: &str) -> Vec<Vec<u8>> {
        let folder = self.find(&wire(folder));
        folder
            .map(|folder| folder.mails.iter().map(|mail| mail.octets.to_vec()).collect())
            .unwrap_or_default()
    }

    fn next_mod_seq(&mut self) -> ModSeq {
        self.mod_seq += 1;
        ModSeq(self.mod_seq)
    }
}

const FIRST_VALIDITY: UidValidity = match UidValidity::new(1) {
    Some(validity) => validity,
    None => unreachable!(),
};

/// A length as a number of octets.
pub(super) fn octets_of(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

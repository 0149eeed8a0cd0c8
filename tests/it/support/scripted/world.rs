//! What the server keeps.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::support::scripted::Keywords;
use crate::support::scripted::ScriptedOptions;
use crate::support::scripted::UidNext;

/// How many servers there were: two with the same UIDVALIDITY would pass for one.
static SERVERS: AtomicU64 = AtomicU64::new(0);

/// All folders, and all that was noted.
#[derive(Debug)]
pub(super) struct World {
    pub(super) folders: BTreeMap<Vec<u8>, Folder>,
    pub(super) subscribed: BTreeSet<Vec<u8>>,
    pub(super) commands: Vec<String>,
    pub(super) numbered: usize,
    pub(super) violations: Vec<String>,
    pub(super) changes_forbidden: bool,
    separator: u8,
    prefix: Vec<u8>,
    next_validity: u64,
}

/// One folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// UIDVALIDITY.
    pub(crate) uid_validity: u64,
    /// UIDNEXT, the true one.
    pub(crate) uid_next: u64,
    /// HIGHESTMODSEQ.
    pub(crate) mod_seq: u64,
    /// MAILBOXID.
    pub(crate) mailbox_id: String,
    /// Special uses: `\Sent`.
    pub(crate) roles: Vec<String>,
    /// Can be opened.
    pub(crate) selectable: bool,
    /// Its messages by UID.
    pub(crate) messages: Vec<Message>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its UID.
    pub(crate) uid: u64,
    /// Its flags.
    pub(crate) flags: BTreeSet<String>,
    /// INTERNALDATE.
    pub(crate) date: String,
    /// Its octets.
    pub(crate) octets: Vec<u8>,
    /// MODSEQ.
    pub(crate) mod_seq: u64,
}

impl World {
    pub(super) fn new(options: &ScriptedOptions) -> Self {
        let mut world = Self {
            folders: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            commands: Vec::new(),
            numbered: 0,
            violations: Vec::new(),
            changes_forbidden: false,
            separator: u8::try_from(options.separator).unwrap(),
            prefix: options.prefix.clone().into_bytes(),
            next_validity: 1_700_000_001 + 1_000 * SERVERS.fetch_add(1, Ordering::Relaxed),
        };
        world.make(b"INBOX");
        world
    }

    /// Writes INBOX in capitals, alone and as the first component.
    pub(super) fn canonical(&self, name: &[u8]) -> Vec<u8> {
        let mut name = name.to_vec();
        let inbox = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"INBOX"));
        if inbox && (name.len() == 5 || name[5] == self.separator) {
            name[..5].copy_from_slice(b"INBOX");
        }
        name
    }

    /// Tells whether the name lies in the namespace.
    pub(super) fn belongs(&self, name: &[u8]) -> bool {
        name == b"INBOX" || name.starts_with(&self.prefix)
    }

    pub(super) fn folder_mut(&mut self, name: &[u8]) -> Option<&mut Folder> {
        let name = self.canonical(name);
        self.folders.get_mut(&name).filter(|folder| folder.selectable)
    }

    /// Makes a folder that can be opened, and parents that cannot.
    pub(super) fn make(&mut self, name: &[u8]) {
        let name = self.canonical(name);
        for (at, octet) in name.iter().enumerate() {
            let parent = &name[..at];
            if *octet == self.separator && !parent.is_empty() && !self.folders.contains_key(parent)
            {
                let folder = Folder { selectable: false, ..self.new_folder() };
                self.folders.insert(parent.to_vec(), folder);
            }
        }
        let fresh = self.new_folder();
        self.folders.entry(name).or_insert(fresh).selectable = true;
    }

    fn new_folder(&mut self) -> Folder {
        let uid_validity = self.next_validity;
        self.next_validity += 1;
        Folder {
            uid_validity,
            uid_next: 1,
            mod_seq: 1,
            mailbox_id: format!("F{uid_validity:x}"),
            roles: Vec::new(),
            selectable: true,
            messages: Vec::new(),
        }
    }
}

impl Folder {
    /// Adds a message and returns its UID.
    pub(crate) fn add(&mut self, flags: BTreeSet<String>, date: &str, octets: &[u8]) -> u64 {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.mod_seq += 1;
        let (date, octets, mod_seq) = (date.to_owned(), octets.to_vec(), self.mod_seq);
        self.messages.push(Message { uid, flags, date, octets, mod_seq });
        uid
    }

    /// Returns UIDNEXT as the server tells it.
    pub(super) fn told_uid_next(&self, lie: UidNext) -> Option<u64> {
        match lie {
            UidNext::Honest => Some(self.uid_next),
            UidNext::Absent => None,
            UidNext::Always(number) => Some(number),
            UidNext::Stale(less) => Some(self.uid_next.saturating_sub(less).max(1)),
            UidNext::High(more) => Some(self.uid_next + more),
        }
    }

    /// Returns the UIDs of a set that exist; `*` is the highest, also below the start of a range.
    pub(super) fn select(&self, set: &str) -> BTreeSet<u64> {
        let highest = self.messages.last().map_or(0, |message| message.uid);
        let end = |word: &str| if word == "*" { highest } else { word.parse().unwrap_or(0) };
        let ranges: Vec<(u64, u64)> = set
            .split(',')
            .map(|part| {
                let (first, last) = part.split_once(':').unwrap_or((part, part));
                let (first, last) = (end(first), end(last));
                (first.min(last), first.max(last))
            })
            .collect();
        let uids = self.messages.iter().map(|message| message.uid);
        uids.filter(|uid| ranges.iter().any(|(first, last)| first <= uid && uid <= last)).collect()
    }
}

/// What is kept of a list of flags; nothing where one of them is none.
pub(super) fn kept_flags(words: &[String], keywords: Keywords) -> Option<BTreeSet<String>> {
    const SYSTEM: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
    let mut kept = BTreeSet::new();
    for word in words {
        if word.starts_with('\\') {
            let known = SYSTEM.iter().find(|flag| flag.eq_ignore_ascii_case(word))?;
            kept.insert((*known).to_owned());
        } else if word.is_empty()
            || word
                .contains(|letter: char| !letter.is_ascii_graphic() || "(){%*\"]".contains(letter))
        {
            return None;
        } else if keywords == Keywords::Kept {
            kept.insert(word.clone());
        }
    }
    Some(kept)
}

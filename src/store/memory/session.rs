//! One session: the ports.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::mail::{FlagSet, MailboxId, Role, Uid, UidOrder, UidSet, UidValidity, WireName};
use crate::store::ability::Abilities;
use crate::store::append::{AppendOutcome, AppendQueue};
use crate::store::chunk::Chunk;
use crate::store::compression::Compression;
use crate::store::error::{Refusal, ResponseCode, StoreError};
use crate::store::fetch::{
    FetchOutcome, FetchSink, Flow, HeaderFields, Items, Missing, MissingWhy, RowHead,
};
use crate::store::look::{
    FlagChange, FlagOutcome, FolderState, FolderStatus, ListRow, Listing, Namespace, ServerSeen,
};
use crate::store::memory::account::{Folder, Gives, Mail, Options, RowOrder, octets_of};
use crate::store::memory::fault::UidNextLie;
use crate::store::memory::log::Operation;
use crate::store::memory::server::{Admitted, Inner, MemoryServer, lost, no_such_folder, refused};
use crate::store::memory::{append, field, search};
use crate::store::{Destination, Look, Source, Visit};

/// The largest piece that a sink is given.
const PIECE_OCTETS: usize = 64 * 1024;

/// One session of a [`MemoryServer`].
#[derive(Debug)]
pub struct MemorySession {
    pub(super) server: MemoryServer,
    pub(super) options: Options,
    pub(super) ended: bool,
    open: Option<WireName>,
    known: BTreeMap<WireName, (UidValidity, Option<MailboxId>)>,
}

impl MemorySession {
    pub(super) fn new(server: MemoryServer, options: Options) -> Self {
        Self { server, options, ended: false, open: None, known: BTreeMap::new() }
    }

    /// Ends the connection, and says so.
    pub(super) fn lose(&mut self) -> StoreError {
        self.ended = true;
        lost()
    }

    /// Carries out one operation that yields a value, with what is set to go wrong.
    fn perform<T>(
        &mut self,
        operation: &Operation,
        work: impl FnOnce(&mut Inner, &Options) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.ended {
            return Err(lost());
        }
        let server = self.server.clone();
        let mut inner = server.lock();
        match inner.admit(operation)? {
            Admitted::Go => work(&mut inner, &self.options),
            Admitted::ThenLost => {
                let _ = work(&mut inner, &self.options);
                Err(self.lose())
            }
            Admitted::Lost(_) => Err(self.lose()),
        }
    }

    /// Opens the folder if it is not the open one, and holds it to what it was before.
    fn enter(&mut self, folder: &WireName) -> Result<(), StoreError> {
        if self.open.as_ref() == Some(folder) {
            let now = self.server.lock().account.find(folder).map(identity);
            return match now {
                None => Err(no_such_folder()),
                now if now.as_ref() == self.known.get(folder) => Ok(()),
                Some(_) => Err(StoreError::Replaced),
            };
        }
        let before = self.known.get(folder).cloned();
        self.open(folder)?;
        match before {
            Some(before) if self.known.get(folder) != Some(&before) => Err(StoreError::Replaced),
            _ => Ok(()),
        }
    }

    /// The rows that are asked for, in the order in which they come, without holding the server.
    fn rows(
        &self,
        inner: &Inner,
        folder: &WireName,
        uids: &UidSet,
    ) -> Result<Vec<Mail>, StoreError> {
        let folder = inner.account.find(folder).ok_or_else(no_such_folder)?;
        let mut rows: Vec<Mail> =
            folder.mails.iter().filter(|mail| uids.contains(mail.uid)).cloned().collect();
        if self.options.row_order == RowOrder::Descending {
            rows.reverse();
        }
        Ok(rows)
    }

    /// The row's head, as far as it is asked for.
    fn head(&self, mail: &Mail, items: Items) -> RowHead {
        let Items { facts, .. } = items;
        let told = items.mod_seq && self.options.abilities.condstore;
        RowHead {
            flags: if facts || items.flags { mail.flags.clone() } else { FlagSet::new() },
            internal_date: (facts || items.date).then_some(mail.date),
            size: (facts || items.size).then(|| self.size(&mail.octets)),
            mod_seq: told.then_some(mail.mod_seq),
            body_octets: None,
        }
    }

    fn size(&self, octets: &[u8]) -> u64 {
        let bare = octets
            .iter()
            .enumerate()
            .filter(|&(at, octet)| *octet == b'\n' && (at == 0 || octets[at - 1] != b'\r'));
        let extra = if self.options.counts_line_ends { bare.count() } else { 0 };
        octets_of(octets.len() + extra)
    }

    /// Tells whether the connection is cut once these octets have passed.
    fn cut(&self, octets: usize) -> bool {
        let mut inner = self.server.lock();
        let Some(left) = inner.faults.fetch_octets else { return false };
        let left = left.checked_sub(octets_of(octets));
        inner.faults.fetch_octets = left;
        left.is_none()
    }

    fn pour(
        &mut self,
        uid: Uid,
        head: &RowHead,
        octets: &[u8],
        sink: &mut dyn FetchSink,
    ) -> Result<Flow, StoreError> {
        let mut flow = sink.begin(uid, head);
        for piece in octets.chunks(PIECE_OCTETS) {
            if head.body_octets.is_some() && self.cut(piece.len()) {
                let _ = sink.piece(&Chunk::from(&piece[..piece.len() / 2]));
                return Err(self.lose());
            }
            if sink.piece(&Chunk::from(piece)) == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(if sink.end(uid) == Flow::Stop { Flow::Stop } else { flow })
    }
}

/// What tells a folder from another one of its name.
fn identity(folder: &Folder) -> (UidValidity, Option<MailboxId>) {
    (folder.uid_validity, folder.mailbox_id.clone())
}

/// UIDNEXT as the server tells it.
fn told_uid_next(lie: UidNextLie, folder: &Folder) -> Option<Uid> {
    let truth = folder.uid_next;
    match lie {
        UidNextLie::Honest => Some(truth),
        UidNextLie::Absent => None,
        UidNextLie::Stale(below) => {
            Some(Uid::new(truth.get().saturating_sub(below)).unwrap_or(Uid::MIN))
        }
        UidNextLie::High(above) => Uid::new(truth.get().saturating_add(above)),
    }
}

fn status_of(folder: &Folder, lie: UidNextLie, abilities: &Abilities) -> FolderStatus {
    FolderStatus {
        messages: Some(folder.count()),
        uid_validity: Some(folder.uid_validity),
        uid_next: told_uid_next(lie, folder),
        highest_mod_seq: abilities.condstore.then_some(folder.highest_mod_seq),
        mailbox_id: folder.mailbox_id.clone().filter(|_| abilities.object_id),
        octets: abilities
            .status_size
            .then(|| folder.mails.iter().map(|mail| octets_of(mail.octets.len())).sum()),
    }
}

fn list_row(folder: &Folder, options: &Options, lie: UidNextLie) -> ListRow {
    let abilities = &options.abilities;
    let roles = if abilities.special_use { folder.roles.clone() } else { Vec::new() };
    ListRow {
        name: folder.wire.clone(),
        delimiter: options.delimiter,
        selectable: folder.selectable,
        may_have_children: folder.may_have_children,
        subscribed: folder.subscribed,
        roles,
        status: (abilities.list_status && folder.selectable)
            .then(|| status_of(folder, lie, abilities)),
    }
}

impl Look for MemorySession {
    fn seen(&self) -> &ServerSeen {
        &self.options.seen
    }

    fn abilities(&self) -> &Abilities {
        &self.options.abilities
    }

    fn compression(&self) -> Compression {
        self.options.compression
    }

    fn wants_measuring(&self) -> bool {
        self.options.compression == Compression::Undecided
    }

    fn is_near(&self) -> bool {
        self.options.is_near
    }

    fn list(&mut self) -> Result<Listing, StoreError> {
        self.perform(&Operation::List, |inner, options| {
            let lie = inner.faults.uid_next;
            let personal = Namespace {
                prefix: WireName::new(options.prefix.as_bytes()),
                delimiter: options.delimiter,
            };
            Ok(Listing {
                personal: options.abilities.namespace.then_some(personal).into_iter().collect(),
                others: Vec::new(),
                rows: inner
                    .account
                    .folders
                    .iter()
                    .map(|folder| list_row(folder, options, lie))
                    .collect(),
            })
        })
    }

    fn status(&mut self, folder: &WireName) -> Result<FolderStatus, StoreError> {
        self.perform(&Operation::Status(folder.clone()), |inner, options| {
            let found = inner.account.find(folder).filter(|folder| folder.selectable);
            let found = found.ok_or_else(no_such_folder)?;
            Ok(status_of(found, inner.faults.uid_next, &options.abilities))
        })
    }

    fn open(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        self.open = None;
        let (state, identity) =
            self.perform(&Operation::Open(folder.clone()), |inner, options| {
                let found = inner.account.find(folder).filter(|folder| folder.selectable);
                let found = found.ok_or_else(no_such_folder)?;
                let status = status_of(found, inner.faults.uid_next, &options.abilities);
                let used =
                    found.mails.iter().fold(FlagSet::new(), |used, mail| used.union(&mail.flags));
                let state = FolderState {
                    messages: found.count(),
                    uid_validity: found.uid_validity,
                    uid_next: status.uid_next,
                    highest_mod_seq: status.highest_mod_seq,
                    mailbox_id: status.mailbox_id,
                    permanent_flags: found.permanent_flags.clone(),
                    flags: used.union(&found.permanent_flags.listed),
                };
                Ok((state, identity(found)))
            })?;
        self.known.insert(folder.clone(), identity);
        self.open = Some(folder.clone());
        Ok(state)
    }

    fn scan(
        &mut self,
        folder: &WireName,
        uids: &UidSet,
        items: Items,
        sink: &mut dyn FetchSink,
    ) -> Result<FetchOutcome, StoreError> {
        self.enter(folder)?;
        let operation = Operation::Scan { folder: folder.clone(), uids: uids.clone(), items };
        let exists = self.server.lock().account.find(folder).map_or(0, Folder::count);
        self.perform(&operation, |_, _| Ok(()))?;
        let rows = self.rows(&self.server.lock(), folder, uids)?;
        let mut outcome = FetchOutcome { complete: true, ..FetchOutcome::default() };
        let mut flow = Flow::Go;
        for mail in &rows {
            if flow == Flow::Stop {
                outcome.missing.push(Missing { uid: mail.uid, why: MissingWhy::NotAsked });
                continue;
            }
            let asks_content = items.header != HeaderFields::None;
            if mail.gives == Gives::NoRow || (mail.gives == Gives::Facts && asks_content) {
                outcome.complete = false;
                continue;
            }
            let mut fields = match items.header {
                HeaderFields::None => Vec::new(),
                asked => field::select(&mail.octets, asked),
            };
            if self.options.masks_eight_bit {
                fields.iter_mut().filter(|octet| !octet.is_ascii()).for_each(|octet| *octet = b'X');
            }
            flow = self.pour(mail.uid, &self.head(mail, items), &fields, sink)?;
            outcome.came.insert(mail.uid);
        }
        if uids.len() <= exists {
            let known: UidSet = outcome
                .missing
                .iter()
                .map(|missing| missing.uid)
                .chain(outcome.came.iter())
                .collect();
            let there: UidSet = rows.iter().map(|mail| mail.uid).collect();
            outcome.missing.extend(uids.difference(&known).iter().map(|uid| Missing {
                uid,
                why: if there.contains(uid) { MissingWhy::Withheld } else { MissingWhy::Gone },
            }));
        }
        outcome.complete &= flow == Flow::Go;
        outcome.missing.sort_by_key(|missing| missing.uid);
        Ok(outcome)
    }

    fn search(&mut self, folder: &WireName, keys: &str) -> Result<UidSet, StoreError> {
        if keys.contains(['\r', '\n', '\0']) {
            return Err(StoreError::Unsayable("a search of more than one line".to_owned()));
        }
        self.enter(folder)?;
        let operation = Operation::Search { folder: folder.clone(), keys: keys.to_owned() };
        self.perform(&operation, |inner, _| {
            let program = search::parse(keys).ok_or_else(|| {
                StoreError::Refused(Refusal { bad: true, ..refused(None, "unknown search key") })
            })?;
            let found = inner.account.find(folder).ok_or_else(no_such_folder)?;
            let hits = found.mails.iter().filter(|mail| search::finds(&program, mail));
            Ok(hits.map(|mail| mail.uid).collect())
        })
    }

    fn close(self: Box<Self>) {}
}

impl Source for MemorySession {
    fn fetch(
        &mut self,
        visit: &Visit<'_>,
        sink: &mut dyn FetchSink,
    ) -> Result<FetchOutcome, StoreError> {
        let &Visit { folder, uids, order } = visit;
        self.enter(folder)?;
        let operation = Operation::Fetch { folder: folder.clone(), uids: uids.clone() };
        self.perform(&operation, |_, _| Ok(()))?;
        let mut rows = self.rows(&self.server.lock(), folder, uids)?;
        if order == UidOrder::NewestFirst {
            rows.sort_unstable_by_key(|mail| Reverse(mail.uid));
        }
        let mut outcome = FetchOutcome { complete: true, ..FetchOutcome::default() };
        let mut flow = Flow::Go;
        let there: UidSet = rows.iter().map(|mail| mail.uid).collect();
        for uid in uids.difference(&there).iter() {
            outcome.missing.push(Missing { uid, why: MissingWhy::Gone });
        }
        for mail in rows {
            let why = match (flow, mail.gives) {
                (Flow::Stop, _) => Some(MissingWhy::NotAsked),
                (Flow::Go, Gives::NoRow | Gives::Facts) => Some(MissingWhy::Withheld),
                (Flow::Go, Gives::Nil) => Some(MissingWhy::NoContent),
                (Flow::Go, Gives::All) => None,
            };
            if let Some(why) = why {
                outcome.missing.push(Missing { uid: mail.uid, why });
                continue;
            }
            let items = Items { facts: true, ..Items::default() };
            let body_octets = Some(octets_of(mail.octets.len()));
            let head = RowHead { body_octets, ..self.head(&mail, items) };
            flow = self.pour(mail.uid, &head, &mail.octets, sink)?;
            outcome.came.insert(mail.uid);
        }
        outcome.complete = flow == Flow::Go;
        outcome.missing.sort_by_key(|missing| missing.uid);
        Ok(outcome)
    }
}

impl Destination for MemorySession {
    fn create(&mut self, folder: &WireName, role: Option<Role>) -> Result<(), StoreError> {
        let operation = Operation::Create { folder: folder.clone(), role };
        self.perform(&operation, |inner, options| {
            if inner.account.find(folder).is_some() {
                return Ok(());
            }
            let name = folder.as_octets();
            let inside = options.prefix.is_empty()
                || name
                    .strip_prefix(options.prefix.as_bytes())
                    .is_some_and(|rest| !rest.is_empty());
            if name.is_empty() || !inside {
                let no = refused(Some(ResponseCode::Cannot), "no folder can have this name");
                return Err(StoreError::Refused(no));
            }
            let role = role.filter(|_| options.abilities.create_special_use);
            inner.account.folder_at(folder).roles.extend(role);
            Ok(())
        })
    }

    fn subscribe(&mut self, folder: &WireName) -> Result<(), StoreError> {
        self.perform(&Operation::Subscribe(folder.clone()), |inner, _| {
            let at = inner.account.position(folder).ok_or_else(no_such_folder)?;
            inner.account.folders[at].subscribed = true;
            Ok(())
        })
    }

    fn prepare(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        self.perform(&Operation::Prepare(folder.clone()), |_, _| Ok(()))?;
        self.open(folder)
    }

    fn append(&mut self, queue: &mut dyn AppendQueue) -> Result<AppendOutcome, StoreError> {
        append::append(self, queue)
    }

    fn change_flags(
        &mut self,
        folder: &WireName,
        uids: &UidSet,
        change: &FlagChange,
    ) -> Result<FlagOutcome, StoreError> {
        if uids.is_empty() || (change.add.is_empty() && change.remove.is_empty()) {
            return Ok(FlagOutcome::default());
        }
        self.enter(folder)?;
        let operation = Operation::ChangeFlags {
            folder: folder.clone(),
            uids: uids.clone(),
            change: change.clone(),
        };
        self.perform(&operation, |inner, options| {
            let found = inner.account.find(folder).ok_or_else(no_such_folder)?;
            let asked = found.mails.iter().filter(|mail| uids.contains(mail.uid));
            let since = change.unchanged_since.filter(|_| options.abilities.condstore);
            let (modified, plain): (Vec<_>, Vec<_>) = asked
                .map(|mail| (mail.uid, mail.mod_seq))
                .partition(|(_, mod_seq)| since.is_some_and(|since| *mod_seq > since));
            let mut outcome = FlagOutcome::default();
            for (uid, _) in plain {
                inner.account.change(folder, uid, &change.add, &change.remove);
                let flags = inner.account.find(folder).and_then(|folder| folder.mail(uid));
                outcome.reported.extend(flags.map(|mail| (uid, mail.flags.clone())));
            }
            outcome.modified = modified.into_iter().map(|(uid, _)| uid).collect();
            Ok(outcome)
        })
    }
}

//! Looking at folders: NAMESPACE, LIST, LSUB, STATUS.
//!
//! # Never
//!
//! * Never leaves a row out in silence: one that cannot be read ends the listing with an error.
//! * Never changes a name: the octets of LIST are what commands use.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::imap::ahead::Answers;
use crate::imap::greet::id_of;
use crate::imap::reader;
use crate::imap::reader::Data;
use crate::imap::reader::ListLine;
use crate::imap::reader::Parsed;
use crate::imap::request::Command;
use crate::imap::session::Namespaces;
use crate::imap::session::Reply;
use crate::imap::session::Session;
use crate::mail::Role;
use crate::mail::WireName;
use crate::store::Abilities;
use crate::store::FolderStatus;
use crate::store::ListRow;
use crate::store::Listing;
use crate::store::Namespace;
use crate::store::Refusal;
use crate::store::StoreError;

/// Most personal namespaces that are listed one by one.
const NAMESPACES_MAX: usize = 16;

/// What STATUS always has (RFC 3501 §6.3.10).
const BASE_ITEMS: &str = "MESSAGES UIDNEXT UIDVALIDITY";

impl Session {
    /// Lists namespaces and the folders of the personal ones.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]; then nothing of the listing is told.
    pub(super) fn list(&mut self) -> Result<Listing, StoreError> {
        let mut gathered = Gathered::default();
        self.list_under(&everything(), &mut gathered)?;
        self.listing(gathered)
    }

    /// The listing that was gathered, with what servers keep out of `LIST "" *`.
    pub(super) fn listing(&mut self, mut gathered: Gathered) -> Result<Listing, StoreError> {
        let (personal, others) = self.namespaces().cloned().unwrap_or_default();
        for namespace in personal.iter().take(NAMESPACES_MAX) {
            let prefix = namespace.prefix.as_octets();
            let plain = !prefix.is_empty() && !prefix.iter().any(|octet| b"*%".contains(octet));
            // Such as `#mh/`.
            if plain && !gathered.has_below(prefix) {
                self.list_under(&namespace.prefix, &mut gathered)?;
            }
        }
        if !gathered.has(&WireName::new(*b"INBOX")) {
            let reply = self.run(&Command::new("LIST \"\" INBOX"))?;
            gathered.take(&reply)?;
        }
        let rows = gathered.into_rows(&personal, &others);
        Ok(Listing { personal, others, rows })
    }

    /// Runs commands behind [others](Self::run_all_behind), and lists all folders behind them without
    /// waiting. Nothing of the listing is told where it has to be asked for otherwise.
    pub(super) fn run_all_and_list(
        &mut self,
        others: &[Command],
        tell: &mut dyn FnMut(usize, Result<Reply, Refusal>),
        mut commands: Vec<Command>,
    ) -> Result<(Answers, Option<Gathered>), StoreError> {
        let before = commands.len();
        let asks = self.asks_for_namespaces();
        if asks {
            commands.push(Command::new("NAMESPACE"));
        }
        commands.extend(self.to_list(&everything()));
        let mut answers = self.run_all_behind(others, tell, &commands)?;
        let mut listed = answers.split_off(before).into_iter();
        if asks {
            self.take_namespaces(&mut listed);
        }
        let listed: Answers = listed.collect();
        let mut gathered = self.namespaces().is_some().then(Gathered::default);
        // A row may come while an earlier command is still to be answered.
        let earlier = answers.iter().filter(|answer| answer.is_ok());
        for answer in earlier.chain(&listed) {
            let took = |all: &mut Gathered| answer.as_ref().is_ok_and(|it| all.take(it).is_ok());
            gathered = gathered.take_if(took);
        }
        Ok((answers, gathered))
    }

    fn asks_for_namespaces(&self) -> bool {
        self.namespaces().is_none() && self.abilities().namespace
    }

    /// Takes the answer to NAMESPACE, which is the first of these.
    fn take_namespaces(&mut self, answers: &mut impl Iterator<Item = Result<Reply, Refusal>>) {
        if let Some(answer) = answers.next() {
            self.set_namespaces(answer.as_ref().map(namespaces).unwrap_or_default());
        }
    }

    /// Lists all that begins with `prefix`: at one go where the server can, else with LSUB. The first time
    /// the namespaces are asked for along with it: they stay what they are as long as the session.
    fn list_under(&mut self, prefix: &WireName, gathered: &mut Gathered) -> Result<(), StoreError> {
        let mut commands = self.to_list(prefix);
        let asks = self.asks_for_namespaces();
        if asks {
            commands.insert(0, Command::new("NAMESPACE"));
        }
        let answers = self.run_all(&commands)?;
        if self.seen().id.is_none() {
            // What was not waited for at login comes before the first answer.
            let told = answers.iter().flatten().find_map(id_of);
            if told.is_some() {
                self.learn_id(told);
            }
        }
        let mut answers = answers.into_iter();
        if asks {
            self.take_namespaces(&mut answers);
        }
        for answer in answers {
            match answer {
                Ok(reply) => gathered.take(&reply)?,
                // It announced what it then does not take; the old way works everywhere.
                Err(_) if self.abilities().list_extended => {
                    for command in by_two(prefix) {
                        gathered.take(&self.run(&command)?)?;
                    }
                }
                Err(refusal) => return Err(StoreError::Refused(refusal)),
            }
        }
        Ok(())
    }

    /// The commands that list all that begins with `prefix`.
    fn to_list(&self, prefix: &WireName) -> Vec<Command> {
        if !self.abilities().list_extended {
            return by_two(prefix).into();
        }
        let command = Command::new("LIST \"\"").string(&pattern_of(prefix));
        vec![command.words(&return_options(&self.at_status()))]
    }

    /// Reads counts of a folder without opening it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the folder cannot be looked at.
    pub(super) fn status(&mut self, folder: &WireName) -> Result<FolderStatus, StoreError> {
        let items = status_items(&self.at_status());
        let asked =
            |items: &str| Command::new("STATUS").folder(folder).words(&format!("({items})"));
        let reply = match self.run(&asked(&items)) {
            Err(StoreError::Refused(refusal)) if refusal.bad && items != BASE_ITEMS => {
                self.run(&asked(BASE_ITEMS))?
            }
            ran => ran?,
        };
        self.accepted(folder);
        let mut told: Vec<(WireName, FolderStatus)> = reply
            .data()
            .filter_map(|data| match data {
                Data::StatusOf { name, status } => Some((name, status)),
                _ => None,
            })
            .collect();
        // One answer is the answer, however the server spells the name in it.
        let at = told.iter().position(|(name, _)| same(name, folder));
        match (at, told.len()) {
            (Some(at), _) => Ok(told.swap_remove(at).1),
            (None, 1) => Ok(told.swap_remove(0).1),
            (None, _) => Err(StoreError::Protocol("STATUS without an answer".to_owned())),
        }
    }

    /// What the server is able to, as far as STATUS goes.
    fn at_status(&self) -> Abilities {
        Abilities { object_id: self.status_tells_id(), ..self.abilities().clone() }
    }

    /// Tells whether STATUS can be asked for MAILBOXID (RFC 8474). Cyrus 3.6 answers with memory that it
    /// has freed before: any octets, a line end among them every so often, after which nothing can be
    /// understood. What EXAMINE tells there is right.
    pub(super) fn status_tells_id(&self) -> bool {
        let seen = self.seen();
        let told = [Some(&seen.greeting), seen.id.as_ref()];
        self.abilities().object_id
            && !told.into_iter().flatten().any(|text| text.contains("Cyrus IMAP"))
    }
}

/// The prefix of every name.
fn everything() -> WireName {
    WireName::new(*b"")
}

/// All that begins with a prefix, as LIST asks for it.
fn pattern_of(prefix: &WireName) -> Vec<u8> {
    [prefix.as_octets(), b"*"].concat()
}

/// The commands that list folders and then subscriptions.
fn by_two(prefix: &WireName) -> [Command; 2] {
    ["LIST \"\"", "LSUB \"\""].map(|verb| Command::new(verb).string(&pattern_of(prefix)))
}

/// What NAMESPACE told: the personal ones, and all others.
fn namespaces(reply: &Reply) -> Namespaces {
    let mut told = reply.data().filter_map(|data| match data {
        Data::Namespace { personal, others } => Some((personal, others)),
        _ => None,
    });
    told.next().unwrap_or_default()
}

fn return_options(abilities: &Abilities) -> String {
    let mut options = vec!["SUBSCRIBED".to_owned()];
    if abilities.special_use {
        options.push("SPECIAL-USE".to_owned());
    }
    if abilities.list_status {
        options.push(format!("STATUS ({})", status_items(abilities)));
    }
    format!("RETURN ({})", options.join(" "))
}

fn status_items(abilities: &Abilities) -> String {
    let mut items = BASE_ITEMS.to_owned();
    for (offered, item) in [
        (abilities.condstore, " HIGHESTMODSEQ"),
        (abilities.object_id, " MAILBOXID"),
        (abilities.status_size, " SIZE"),
    ] {
        if offered {
            items.push_str(item);
        }
    }
    items
}

/// Tells whether two names are one folder: octet by octet, but for INBOX.
fn same(one: &WireName, other: &WireName) -> bool {
    one == other || (one.is_inbox() && other.is_inbox())
}

/// The name by which a folder is found again.
fn folded(name: &WireName) -> WireName {
    if name.is_inbox() { WireName::new(*b"INBOX") } else { name.clone() }
}

/// Rows as they come, in any order and number.
#[derive(Default)]
pub(super) struct Gathered {
    rows: Vec<ListRow>,
    /// Where in `rows` each folder is.
    places: BTreeMap<WireName, usize>,
    subscribed: BTreeSet<WireName>,
    counts: BTreeMap<WireName, FolderStatus>,
}

impl Gathered {
    /// Takes what LIST or LSUB brought.
    fn take(&mut self, reply: &Reply) -> Result<(), StoreError> {
        for raw in &reply.untagged {
            match reader::parse(raw) {
                Parsed::Untagged(Data::List(line)) => self.row(line),
                Parsed::Untagged(Data::Lsub(line)) => {
                    self.subscribed.insert(folded(&line.name));
                }
                Parsed::Untagged(Data::StatusOf { name, status }) => {
                    self.counts.insert(folded(&name), status);
                }
                _ if is_row(raw) => {
                    let told: Vec<u8> = raw.iter().copied().take(200).collect();
                    return Err(StoreError::Protocol(format!(
                        "a folder in a listing: {}",
                        told.escape_ascii()
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn row(&mut self, line: ListLine) {
        // `LIST "" ""` is answered so; it is no folder.
        if line.name.as_octets().is_empty() {
            return;
        }
        let has = |word: &str| {
            line.attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(word))
        };
        let mut row = ListRow {
            delimiter: line.delimiter,
            selectable: !has("\\Noselect") && !has("\\NonExistent"),
            may_have_children: !has("\\Noinferiors"),
            subscribed: has("\\Subscribed"),
            roles: Vec::new(),
            status: None,
            name: line.name,
        };
        for role in line.attributes.iter().filter_map(|word| Role::from_attribute(word)) {
            if !row.roles.contains(&role) {
                row.roles.push(role);
            }
        }
        if let Some(known) =
            self.places.get(&folded(&row.name)).and_then(|place| self.rows.get_mut(*place))
        {
            join(known, row);
        } else {
            self.places.insert(folded(&row.name), self.rows.len());
            self.rows.push(row);
        }
    }

    /// Tells whether there is a folder of this name.
    fn has(&self, name: &WireName) -> bool {
        self.places.contains_key(&folded(name))
    }

    /// Tells whether there is a folder of this name that can be opened.
    pub(super) fn has_selectable(&self, name: &WireName) -> bool {
        let row = self.places.get(&folded(name)).and_then(|place| self.rows.get(*place));
        row.is_some_and(|row| row.selectable)
    }

    /// Tells whether any folder is below a prefix such as `INBOX.`.
    fn has_below(&self, prefix: &[u8]) -> bool {
        self.rows.iter().any(|row| row.name.as_octets().starts_with(prefix))
    }

    fn into_rows(self, personal: &[Namespace], others: &[Namespace]) -> Vec<ListRow> {
        let Self { rows, subscribed, mut counts, .. } = self;
        rows.into_iter()
            .filter(|row| is_personal(&row.name, personal, others))
            .map(|mut row| {
                let name = folded(&row.name);
                row.subscribed |= subscribed.contains(&name);
                row.status = counts.remove(&name);
                row
            })
            .collect()
    }
}

/// Joins a folder that was told twice: what either told holds, and it can be opened if either can.
fn join(known: &mut ListRow, again: ListRow) {
    known.selectable |= again.selectable;
    known.may_have_children |= again.may_have_children;
    known.subscribed |= again.subscribed;
    known.delimiter = known.delimiter.or(again.delimiter);
    for role in again.roles {
        if !known.roles.contains(&role) {
            known.roles.push(role);
        }
    }
}

/// Tells whether a folder belongs to the account: the longest prefix that fits it decides.
fn is_personal(name: &WireName, personal: &[Namespace], others: &[Namespace]) -> bool {
    if name.is_inbox() {
        return true;
    }
    let longest = |namespaces: &[Namespace]| {
        namespaces.iter().filter_map(|namespace| fit(name, namespace)).max()
    };
    longest(others).is_none_or(|foreign| longest(personal).is_some_and(|own| own >= foreign))
}

/// How much of the name a namespace covers; its root, which has no delimiter at the end, is in it.
fn fit(name: &WireName, namespace: &Namespace) -> Option<usize> {
    let (name, prefix) = (name.as_octets(), namespace.prefix.as_octets());
    let root = match (prefix.split_last(), namespace.delimiter) {
        (Some((last, root)), Some(delimiter)) if *last == delimiter => root,
        _ => prefix,
    };
    (name.starts_with(prefix) || name == root).then_some(prefix.len())
}

/// Tells whether a response is a row of LIST or LSUB, whatever may follow.
fn is_row(raw: &[u8]) -> bool {
    let mut words = raw.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).skip(1);
    words.next().is_some_and(|word| {
        word.eq_ignore_ascii_case(b"LIST") || word.eq_ignore_ascii_case(b"LSUB")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(lines: &[&[u8]]) -> Result<Gathered, StoreError> {
        let untagged = lines.iter().map(|line| line.to_vec()).collect();
        let mut gathered = Gathered::default();
        gathered.take(&Reply { untagged, code: None })?;
        Ok(gathered)
    }

    /// One word a row: its name, `!` if it cannot be opened, `+` if subscribed, its roles.
    fn rows(lines: &[&[u8]], personal: &[&str], others: &[&str]) -> String {
        let spaces = |prefixes: &[&str]| -> Vec<Namespace> {
            let space = |prefix: &&str| Namespace {
                prefix: WireName::new(prefix.as_bytes()),
                delimiter: prefix.as_bytes().last().copied(),
            };
            prefixes.iter().map(space).collect()
        };
        let rows = gathered(lines).unwrap().into_rows(&spaces(personal), &spaces(others));
        let word = |row: &ListRow| {
            let mut word = row.name.escaped();
            word.push_str(if row.selectable { "" } else { "!" });
            word.push_str(if row.subscribed { "+" } else { "" });
            for role in &row.roles {
                word.push_str(&format!(":{role}"));
            }
            word
        };
        rows.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn attributes_become_facts() {
        let listed = rows(
            &[
                b"* LIST (\\Subscribed \\HasNoChildren \\Sent) \"/\" Sent",
                b"* LIST (\\noselect) \"/\" up",
                b"* LIST (\\NonExistent \\Subscribed) \"/\" gone",
            ],
            &[],
            &[],
        );
        assert_eq!(listed, "Sent+:sent up! gone!+");
    }

    #[test]
    fn the_inbox_is_told_once_whatever_its_case() {
        let listed = rows(
            &[b"* LIST () \".\" Inbox", b"* LIST () \".\" INBOX", b"* LSUB () \".\" inbox"],
            &[],
            &[],
        );
        assert_eq!(listed, "Inbox+");
    }

    #[test]
    fn other_names_keep_their_case() {
        assert_eq!(rows(&[b"* LIST () NIL Kid", b"* LIST () NIL kid"], &[], &[]), "Kid kid");
    }

    #[test]
    fn folders_of_others_are_left_out() {
        let lines: [&[u8]; 5] = [
            b"* LIST () \".\" INBOX",
            b"* LIST () \".\" INBOX.a",
            b"* LIST () \".\" user.ann",
            b"* LIST (\\Noselect) \".\" user",
            b"* LIST () \".\" users",
        ];
        assert_eq!(rows(&lines, &["INBOX."], &["user."]), "INBOX INBOX.a users");
        assert_eq!(rows(&lines[..2], &["INBOX.a."], &["INBOX."]), "INBOX INBOX.a");
        assert_eq!(rows(&lines, &["INBOX."], &["user.", ""]), "INBOX INBOX.a");
        assert_eq!(rows(&lines[..2], &[""], &[""]), "INBOX INBOX.a");
    }

    #[test]
    fn counts_find_their_folder() {
        let gathered =
            gathered(&[b"* STATUS inbox (MESSAGES 3 UIDNEXT 9)", b"* LIST () \"/\" INBOX"]);
        let rows = gathered.unwrap().into_rows(&[], &[]);
        assert_eq!(rows[0].status.as_ref().unwrap().messages, Some(3));
    }

    #[test]
    fn a_row_that_cannot_be_read_ends_the_listing() {
        for line in [&b"* LIST"[..], b"* LIST (", b"* list () \"/\"", b"* LSUB x"] {
            assert!(gathered(&[line]).is_err(), "{}", line.escape_ascii());
        }
        assert!(gathered(&[b"*  633 EXISTS", b"* NO [ALERT] full", b"* whatever LIST"]).is_ok());
    }

    #[test]
    fn only_what_is_offered_is_asked_for() {
        let mut abilities = Abilities { list_extended: true, ..Abilities::default() };
        assert_eq!(return_options(&abilities), "RETURN (SUBSCRIBED)");
        abilities.special_use = true;
        abilities.list_status = true;
        abilities.status_size = true;
        assert_eq!(
            return_options(&abilities),
            "RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY SIZE))"
        );
    }
}

//! Commands on folders: LIST, LSUB, NAMESPACE, STATUS, EXAMINE, CREATE and their kin.

use std::fmt::Write;

use crate::support::scripted::Folder;
use crate::support::scripted::Keywords;
use crate::support::scripted::lock;
use crate::support::scripted::session::Answer;
use crate::support::scripted::session::Opened;
use crate::support::scripted::session::Session;
use crate::support::syntax::Value;
use crate::support::syntax::quoted;

impl Session {
    pub(super) fn folder_command(&mut self, verb: &str, values: &[Value]) -> Answer {
        let offers = |capability| self.shared.options.offers(capability);
        let name = values.first().map(Value::octets).unwrap_or_default().to_vec();
        let name = lock(&self.shared.world).canonical(&name);
        match verb {
            "NAMESPACE" if offers("NAMESPACE") => self.namespace(),
            "LIST" => self.list(values),
            "LSUB" => self.list_subscribed(values),
            "STATUS" => self.status(&name, values.get(1)),
            "SELECT" | "EXAMINE" if values.len() > 1 && !offers("CONDSTORE") => {
                Answer::bad("unknown parameter")
            }
            "SELECT" => self.open(name, true),
            "EXAMINE" => self.open(name, false),
            "CLOSE" => {
                if self.opened.as_ref().is_some_and(|opened| opened.writable) {
                    self.expunge("1:*");
                }
                self.opened = None;
                Answer::ok("", "closed")
            }
            "UNSELECT" if offers("UNSELECT") => {
                self.opened = None;
                Answer::ok("", "closed")
            }
            "CREATE" => self.create(&name, values.get(1)),
            "DELETE" => match lock(&self.shared.world).folders.remove(&name) {
                Some(_) => Answer::ok("", "deleted"),
                None => Answer::no("[NONEXISTENT] no such folder"),
            },
            "RENAME" => self.rename(&name, values.get(1)),
            "SUBSCRIBE" => {
                lock(&self.shared.world).subscribed.insert(name);
                Answer::ok("", "subscribed")
            }
            "UNSUBSCRIBE" => {
                lock(&self.shared.world).subscribed.remove(&name);
                Answer::ok("", "unsubscribed")
            }
            _ => Answer::bad("unknown command"),
        }
    }

    fn namespace(&self) -> Answer {
        let options = &self.shared.options;
        let line =
            format!("* NAMESPACE ((\"{}\" \"{}\")) NIL NIL\r\n", options.prefix, options.separator);
        Answer::ok(line, "done")
    }

    fn create(&self, name: &[u8], with: Option<&Value>) -> Answer {
        let separator = u8::try_from(self.shared.options.separator).unwrap();
        let name = name.strip_suffix(&[separator]).unwrap_or(name);
        let mut world = lock(&self.shared.world);
        if !world.belongs(name) {
            return Answer::no("[CANNOT] no such namespace");
        }
        if world.folder_mut(name).is_some() {
            return Answer::no("[ALREADYEXISTS] it is there");
        }
        let roles: Vec<String> = match with.map(Value::items) {
            Some([key, roles]) if key.upper() == "USE" => {
                if !self.shared.options.offers("CREATE-SPECIAL-USE") {
                    return Answer::bad("unknown parameter");
                }
                roles.items().iter().map(Value::text).collect()
            }
            Some(_) => return Answer::bad("unknown parameter"),
            None => Vec::new(),
        };
        world.make(name);
        if let Some(folder) = world.folder_mut(name) {
            folder.roles = roles;
            let code = if self.shared.options.offers("OBJECTID") {
                format!("[MAILBOXID ({})] ", folder.mailbox_id)
            } else {
                String::new()
            };
            return Answer::ok("", &format!("{code}created"));
        }
        Answer::no("could not create it")
    }

    fn rename(&self, name: &[u8], to: Option<&Value>) -> Answer {
        let mut world = lock(&self.shared.world);
        let to = world.canonical(to.map(Value::octets).unwrap_or_default());
        if to.is_empty() || world.folders.contains_key(&to) {
            return Answer::no("[ALREADYEXISTS] it is there");
        }
        match world.folders.remove(name) {
            Some(folder) => {
                world.folders.insert(to, folder);
                Answer::ok("", "renamed")
            }
            None => Answer::no("[NONEXISTENT] no such folder"),
        }
    }

    fn open(&mut self, name: Vec<u8>, writable: bool) -> Answer {
        self.opened = None;
        let options = &self.shared.options;
        let world = lock(&self.shared.world);
        let Some(folder) = world.folders.get(&name).filter(|folder| folder.selectable) else {
            return Answer::no("[NONEXISTENT] no such folder");
        };
        let mut flags = String::from("\\Answered \\Flagged \\Deleted \\Seen \\Draft");
        let used: std::collections::BTreeSet<_> =
            folder.messages.iter().flat_map(|message| &message.flags).collect();
        for keyword in used.into_iter().filter(|flag| !flag.starts_with('\\')) {
            flags += " ";
            flags += keyword;
        }
        let any = if options.keywords == Keywords::Kept { " \\*" } else { "" };
        let mut text = format!(
            "* {} EXISTS\r\n* 0 RECENT\r\n* FLAGS ({flags})\r\n\
             * OK [PERMANENTFLAGS ({flags}{any})] kept\r\n\
             * OK [UIDVALIDITY {}] valid\r\n",
            folder.messages.len(),
            folder.uid_validity
        );
        if let Some(uid_next) = folder.told_uid_next(options.uid_next) {
            write!(text, "* OK [UIDNEXT {uid_next}] next\r\n").unwrap();
        }
        if options.offers("CONDSTORE") {
            write!(text, "* OK [HIGHESTMODSEQ {}] highest\r\n", folder.mod_seq).unwrap();
        }
        if options.offers("OBJECTID") {
            write!(text, "* OK [MAILBOXID ({})] id\r\n", folder.mailbox_id).unwrap();
        }
        drop(world);
        self.opened = Some(Opened { name, writable });
        Answer::ok(text, if writable { "[READ-WRITE] open" } else { "[READ-ONLY] open" })
    }

    fn status(&self, name: &[u8], items: Option<&Value>) -> Answer {
        let world = lock(&self.shared.world);
        let Some(folder) = world.folders.get(name).filter(|folder| folder.selectable) else {
            return Answer::no("[NONEXISTENT] no such folder");
        };
        match self.status_items(folder, items) {
            Ok(items) => Answer::ok(status_row(name, &items), "done"),
            Err(item) => Answer::bad(&format!("unknown item {item}")),
        }
    }

    fn status_items(&self, folder: &Folder, items: Option<&Value>) -> Result<String, String> {
        let options = &self.shared.options;
        let mut words = Vec::new();
        for item in items.map(Value::items).unwrap_or_default() {
            let item = item.upper();
            let number = match item.as_str() {
                "MESSAGES" => folder.messages.len().to_string(),
                "RECENT" => "0".to_owned(),
                "UNSEEN" => {
                    let unseen =
                        |flags: &std::collections::BTreeSet<String>| !flags.contains("\\Seen");
                    folder
                        .messages
                        .iter()
                        .filter(|message| unseen(&message.flags))
                        .count()
                        .to_string()
                }
                "UIDVALIDITY" => folder.uid_validity.to_string(),
                "UIDNEXT" => match folder.told_uid_next(options.uid_next) {
                    Some(number) => number.to_string(),
                    None => continue,
                },
                "HIGHESTMODSEQ" if options.offers("CONDSTORE") => folder.mod_seq.to_string(),
                "MAILBOXID" if options.offers("OBJECTID") => format!("({})", folder.mailbox_id),
                "SIZE" if options.offers("STATUS=SIZE") => folder
                    .messages
                    .iter()
                    .map(|message| message.octets.len())
                    .sum::<usize>()
                    .to_string(),
                _ => return Err(item),
            };
            words.push(format!("{item} {number}"));
        }
        Ok(words.join(" "))
    }

    fn list_subscribed(&self, values: &[Value]) -> Answer {
        let Some(pattern) = pattern(values) else { return Answer::bad("what?") };
        let world = lock(&self.shared.world);
        let mut rows = Vec::new();
        for name in world.subscribed.iter().filter(|name| self.matches(&pattern, name)) {
            rows.extend(self.list_row("LSUB", "", name));
        }
        Answer::ok(rows, "done")
    }

    fn list(&self, values: &[Value]) -> Answer {
        let options = &self.shared.options;
        let extended = matches!(values.first(), Some(Value::List(_)))
            || matches!(values.get(1), Some(Value::List(_)))
            || values.len() > 2;
        if extended && !options.offers("LIST-EXTENDED") {
            return Answer::bad("no LIST-EXTENDED here");
        }
        let (selection, rest) = match values.split_first() {
            Some((Value::List(items), rest)) => (items.iter().map(Value::upper).collect(), rest),
            _ => (Vec::new(), values),
        };
        let patterns: Vec<Vec<u8>> = match rest.get(1) {
            Some(Value::List(items)) => items.iter().map(|item| item.octets().to_vec()).collect(),
            _ => pattern(rest).into_iter().collect(),
        };
        let returns = rest.get(3).map(Value::items).unwrap_or_default();
        if patterns == [b""] {
            let row = format!("* LIST (\\Noselect) \"{}\" \"\"\r\n", options.separator);
            return Answer::ok(row, "done");
        }
        let world = lock(&self.shared.world);
        let wants = |word: &str| returns.iter().any(|item| item.upper() == word);
        let only_subscribed = selection.iter().any(|word: &String| word == "SUBSCRIBED");
        let mut rows = Vec::new();
        for (name, folder) in &world.folders {
            let subscribed = world.subscribed.contains(name);
            if !patterns.iter().any(|pattern| self.matches(pattern, name))
                || (only_subscribed && !subscribed)
            {
                continue;
            }
            let mut attributes = Vec::new();
            if !folder.selectable {
                attributes.push("\\Noselect");
            }
            if subscribed && (wants("SUBSCRIBED") || only_subscribed) {
                attributes.push("\\Subscribed");
            }
            if options.offers("SPECIAL-USE") {
                attributes.extend(folder.roles.iter().map(String::as_str));
            }
            rows.extend(self.list_row("LIST", &attributes.join(" "), name));
            let at = returns.iter().position(|item| item.upper() == "STATUS");
            if let Some(at) = at.filter(|_| folder.selectable) {
                if !options.offers("LIST-STATUS") {
                    return Answer::bad("no LIST-STATUS here");
                }
                match self.status_items(folder, returns.get(at + 1)) {
                    Ok(items) => rows.extend(status_row(name, &items)),
                    Err(item) => return Answer::bad(&format!("unknown item {item}")),
                }
            }
        }
        Answer::ok(rows, "done")
    }

    fn list_row(&self, verb: &str, attributes: &str, name: &[u8]) -> Vec<u8> {
        let separator = self.shared.options.separator;
        let mut row = format!("* {verb} ({attributes}) \"{separator}\" ").into_bytes();
        row.extend(quoted(name));
        row.extend(b"\r\n");
        row
    }

    fn matches(&self, pattern: &[u8], name: &[u8]) -> bool {
        let separator = u8::try_from(self.shared.options.separator).unwrap();
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| self.matches(rest, &name[at..])),
            Some((b'%', rest)) => (0..=name.len())
                .take_while(|at| !name[..*at].contains(&separator))
                .any(|at| self.matches(rest, &name[at..])),
            Some((octet, rest)) => name.first() == Some(octet) && self.matches(rest, &name[1..]),
        }
    }
}

/// Joins reference and pattern.
fn pattern(values: &[Value]) -> Option<Vec<u8>> {
    let [reference, pattern, ..] = values else { return None };
    Some([reference.octets(), pattern.octets()].concat())
}

fn status_row(name: &[u8], items: &str) -> Vec<u8> {
    let mut row = b"* STATUS ".to_vec();
    row.extend(quoted(name));
    row.extend(format!(" ({items})\r\n").bytes());
    row
}

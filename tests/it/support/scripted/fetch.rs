//! FETCH, STORE and EXPUNGE by UID.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::support::scripted::session::Answer;
use crate::support::scripted::session::Session;
use crate::support::scripted::world::Message;
use crate::support::scripted::world::kept_flags;
use crate::support::syntax::Value;

impl Session {
    pub(super) fn fetch(&mut self, values: &[Value]) -> Answer {
        let [set, items, modifiers @ ..] = values else { return Answer::bad("what?") };
        let items: Vec<String> = match items {
            Value::List(items) => items.iter().map(Value::text).collect(),
            one => vec![one.text()],
        };
        let writable = self.opened.as_ref().is_some_and(|opened| opened.writable);
        let since = modifier(modifiers, "CHANGEDSINCE").unwrap_or(0);
        self.with_opened(|world, name| {
            let Some(folder) = world.folder_mut(name) else { return Answer::no("gone") };
            let uids = folder.select(&set.text());
            let mut untagged = Vec::new();
            for (at, message) in folder.messages.iter_mut().enumerate() {
                if !uids.contains(&message.uid) || message.mod_seq <= since {
                    continue;
                }
                let marks = |item: &String| item.to_ascii_uppercase().starts_with("BODY[");
                if writable && items.iter().any(marks) {
                    message.flags.insert("\\Seen".to_owned());
                }
                match row(message, &items) {
                    Ok(row) => {
                        untagged.extend(format!("* {} FETCH (", at + 1).bytes());
                        untagged.extend(row);
                        untagged.extend(b")\r\n");
                    }
                    Err(item) => return Answer::bad(&format!("unknown item {item}")),
                }
            }
            Answer::ok(untagged, "FETCH completed")
        })
    }

    pub(super) fn store(&mut self, values: &[Value]) -> Answer {
        let keywords = self.shared.options.keywords;
        if self.opened.as_ref().is_some_and(|opened| !opened.writable) {
            return Answer::no("[READ-ONLY] opened with EXAMINE");
        }
        let Some((set, rest)) = values.split_first() else { return Answer::bad("what?") };
        let since = modifier(rest, "UNCHANGEDSINCE");
        let rest = if since.is_some() { &rest[1..] } else { rest };
        let [verb, flags] = rest else { return Answer::bad("what?") };
        let words: Vec<String> = flags.items().iter().map(Value::text).collect();
        let Some(flags) = kept_flags(&words, keywords) else { return Answer::bad("invalid flag") };
        let verb = verb.upper();
        let (verb, silent) = match verb.strip_suffix(".SILENT") {
            Some(verb) => (verb.to_owned(), true),
            None => (verb, false),
        };
        self.with_opened(|world, name| {
            let Some(folder) = world.folder_mut(name) else { return Answer::no("gone") };
            let uids = folder.select(&set.text());
            let (mut untagged, mut modified) = (String::new(), Vec::new());
            for (at, message) in folder.messages.iter_mut().enumerate() {
                if !uids.contains(&message.uid) {
                    continue;
                }
                if since.is_some_and(|since| message.mod_seq > since) {
                    modified.push(message.uid.to_string());
                    continue;
                }
                match verb.as_str() {
                    "+FLAGS" => message.flags.extend(flags.iter().cloned()),
                    "-FLAGS" => message.flags.retain(|flag| !flags.contains(flag)),
                    "FLAGS" => message.flags.clone_from(&flags),
                    _ => return Answer::bad("unknown item"),
                }
                folder.mod_seq += 1;
                message.mod_seq = folder.mod_seq;
                let (uid, written) = (message.uid, flag_list(&message.flags));
                if since.is_some() {
                    let mod_seq = message.mod_seq;
                    write!(
                        untagged,
                        "* {} FETCH (UID {uid} MODSEQ ({mod_seq}) FLAGS {written})\r\n",
                        at + 1
                    )
                    .unwrap();
                } else if !silent {
                    write!(untagged, "* {} FETCH (UID {uid} FLAGS {written})\r\n", at + 1).unwrap();
                }
            }
            let code = if modified.is_empty() {
                String::new()
            } else {
                format!("[MODIFIED {}] ", modified.join(","))
            };
            Answer::ok(untagged, &format!("{code}STORE completed"))
        })
    }

    pub(super) fn expunge(&mut self, set: &str) -> Answer {
        if self.opened.as_ref().is_some_and(|opened| !opened.writable) {
            return Answer::no("[READ-ONLY] opened with EXAMINE");
        }
        self.with_opened(|world, name| {
            let Some(folder) = world.folder_mut(name) else { return Answer::no("gone") };
            let uids = folder.select(set);
            let (mut untagged, mut at) = (String::new(), 0);
            folder.messages.retain(|message| {
                let goes = uids.contains(&message.uid) && message.flags.contains("\\Deleted");
                if goes {
                    write!(untagged, "* {} EXPUNGE\r\n", at + 1).unwrap();
                } else {
                    at += 1;
                }
                !goes
            });
            Answer::ok(untagged, "EXPUNGE completed")
        })
    }
}

fn modifier(values: &[Value], name: &str) -> Option<u64> {
    let Some(Value::List(items)) = values.first() else { return None };
    let at = items.iter().position(|item| item.upper() == name)?;
    items.get(at + 1)?.number()
}

pub(super) fn flag_list(flags: &BTreeSet<String>) -> String {
    format!("({})", flags.iter().cloned().collect::<Vec<_>>().join(" "))
}

fn row(message: &Message, items: &[String]) -> Result<Vec<u8>, String> {
    let mut row = format!("UID {}", message.uid).into_bytes();
    for item in items {
        let upper = item.to_ascii_uppercase();
        match upper.as_str() {
            "UID" => {}
            "FLAGS" => row.extend(format!(" FLAGS {}", flag_list(&message.flags)).bytes()),
            "INTERNALDATE" => row.extend(format!(" INTERNALDATE \"{}\"", message.date).bytes()),
            "RFC822.SIZE" => {
                row.extend(format!(" RFC822.SIZE {}", message.octets.len()).bytes());
            }
            "MODSEQ" => row.extend(format!(" MODSEQ ({})", message.mod_seq).bytes()),
            "EMAILID" => row.extend(format!(" EMAILID (M{})", message.uid).bytes()),
            _ => section(message, &upper, &mut row)?,
        }
    }
    Ok(row)
}

/// Writes `BODY[...]` and `BODY.PEEK[...]`, with `<start.octets>`.
fn section(message: &Message, item: &str, row: &mut Vec<u8>) -> Result<(), String> {
    let inner = item.strip_prefix("BODY.PEEK[").or_else(|| item.strip_prefix("BODY["));
    let Some((inner, partial)) = inner.and_then(|inner| inner.rsplit_once(']')) else {
        return Err(item.to_owned());
    };
    let (header, text) = split_message(&message.octets);
    let mut octets = match inner {
        "" => message.octets.clone(),
        "HEADER" => header.to_vec(),
        "TEXT" => text.to_vec(),
        _ => {
            let fields =
                inner.strip_prefix("HEADER.FIELDS (").and_then(|rest| rest.strip_suffix(')'));
            let Some(fields) = fields else { return Err(item.to_owned()) };
            header_fields(header, &fields.split(' ').collect::<Vec<_>>())
        }
    };
    let mut shown = String::new();
    if let Some(range) = partial.strip_prefix('<').and_then(|range| range.strip_suffix('>')) {
        let (start, length) = range.split_once('.').unwrap_or((range, ""));
        let start = start.parse::<usize>().unwrap_or(0).min(octets.len());
        let length = length.parse::<usize>().unwrap_or(octets.len());
        octets = octets[start..octets.len().min(start + length)].to_vec();
        shown = format!("<{start}>");
    }
    row.extend(format!(" BODY[{inner}]{shown} {{{}}}\r\n", octets.len()).bytes());
    row.extend(octets);
    Ok(())
}

/// Cuts behind the empty line; all is header where there is none.
pub(super) fn split_message(octets: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        start += line.len();
        if line.trim_ascii().is_empty() {
            return octets.split_at(start);
        }
    }
    (octets, &[])
}

fn header_fields(header: &[u8], wanted: &[&str]) -> Vec<u8> {
    let (mut kept, mut keeping) = (Vec::new(), false);
    for line in header.split_inclusive(|octet| *octet == b'\n') {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
            keeping =
                wanted.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name.trim_ascii()));
        }
        if keeping {
            kept.extend_from_slice(line);
        }
    }
    kept.extend_from_slice(b"\r\n");
    kept
}

//! APPEND (RFC 3501 §6.3.11), with MULTIAPPEND (RFC 3502) and APPENDUID (RFC 4315).

use std::collections::BTreeSet;

use crate::support::scripted::AppendUid;
use crate::support::scripted::EmptyAppend;
use crate::support::scripted::lock;
use crate::support::scripted::session::Answer;
use crate::support::scripted::session::Session;
use crate::support::scripted::world::kept_flags;
use crate::support::syntax::Value;

/// Why an APPEND is refused by its line.
pub(super) enum Fault {
    Bad(String),
    No(String),
}

#[derive(Debug, Default)]
struct Part {
    flags: Vec<String>,
    date: Option<String>,
    octets: Vec<u8>,
}

impl Session {
    /// Judges an APPEND whose line has come up to a literal of `length` octets.
    pub(super) fn append_fault(&self, octets: &[u8], length: usize) -> Option<Fault> {
        let values = Value::read_all(octets);
        let is_append = values.get(1).is_some_and(|verb| verb.upper() == "APPEND");
        // The folder's name may itself be the literal.
        if !is_append || values.len() < 4 {
            return None;
        }
        let mut parts = match parts(&values[3..]) {
            Ok(parts) => parts,
            Err(text) => return Some(Fault::Bad(text)),
        };
        // The literal that is announced stands there as an empty one.
        let last = parts.pop()?;
        if kept_flags(&last.flags, self.shared.options.keywords).is_none() {
            return Some(Fault::Bad("invalid flag".to_owned()));
        }
        if last.date.is_some_and(|date| !is_date(&date)) {
            return Some(Fault::Bad("invalid date".to_owned()));
        }
        let limit = self.shared.options.append_limit();
        if limit.is_some_and(|limit| u64::try_from(length).unwrap() > limit) {
            return Some(Fault::No("[TOOBIG] above APPENDLIMIT".to_owned()));
        }
        let mut world = lock(&self.shared.world);
        if world.folder_mut(values[2].octets()).is_none() {
            return Some(Fault::No("[TRYCREATE] no such folder".to_owned()));
        }
        None
    }

    /// Stores all messages of one APPEND, or none.
    pub(super) fn append(&mut self, values: &[Value]) -> Answer {
        let Some((name, rest)) = values.split_first() else { return Answer::bad("no folder") };
        let parts = match parts(rest) {
            Ok(parts) if !parts.is_empty() => parts,
            Ok(_) => return Answer::bad("no message"),
            Err(text) => return Answer::bad(&text),
        };
        let options = &self.shared.options;
        if parts.len() > 1 && !options.offers("MULTIAPPEND") {
            return Answer::bad("one message only");
        }
        let mut flags = Vec::new();
        for part in &parts {
            if part.octets.is_empty() && options.empty == EmptyAppend::Refused {
                return Answer::no("cannot store an empty message");
            }
            let length = u64::try_from(part.octets.len()).unwrap();
            if options.append_limit().is_some_and(|limit| length > limit) {
                return Answer::no("[TOOBIG] above APPENDLIMIT");
            }
            let refusal = lock(&self.shared.refusal);
            if let Some(text) = refusal.as_ref().and_then(|refusal| refusal(&part.octets)) {
                return Answer::no(&text);
            }
            flags.push(kept_flags(&part.flags, options.keywords).unwrap_or_default());
        }
        let mut world = lock(&self.shared.world);
        let Some(folder) = world.folder_mut(name.octets()) else {
            return Answer::no("[TRYCREATE] no such folder");
        };
        let now = "20-Nov-2026 12:00:00 +0000";
        let uids: Vec<u64> = parts
            .iter()
            .zip(flags)
            .map(|(part, flags): (&Part, BTreeSet<String>)| {
                folder.add(flags, part.date.as_deref().unwrap_or(now), &part.octets)
            })
            .collect();
        let validity = folder.uid_validity;
        let code = if options.offers("UIDPLUS") {
            code(options.append_uid, validity, &uids)
        } else {
            String::new()
        };
        Answer::ok("", &format!("{code}APPEND completed"))
    }
}

fn code(lie: AppendUid, validity: u64, uids: &[u64]) -> String {
    let written = |uids: &[u64]| uids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let (validity, uids) = match lie {
        AppendUid::Missing => return String::new(),
        AppendUid::Honest => (validity, written(uids)),
        AppendUid::Foreign => (validity + 7, written(uids)),
        AppendUid::Short => (validity, written(&uids[..1])),
        AppendUid::Swapped if uids.len() > 1 => {
            let reversed: Vec<u64> = uids.iter().rev().copied().collect();
            (validity, written(&reversed))
        }
        AppendUid::Swapped => (validity, written(&[uids[0].saturating_sub(1).max(1)])),
    };
    format!("[APPENDUID {validity} {uids}] ")
}

/// Reads `[(flags)] ["date"] literal` as often as it comes.
fn parts(values: &[Value]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = values;
    while !rest.is_empty() {
        let mut part = Part::default();
        if let Some((Value::List(flags), after)) = rest.split_first() {
            part.flags = flags.iter().map(Value::text).collect();
            rest = after;
        }
        let Some((Value::Text(first), after)) = rest.split_first() else {
            return Err("expected a date or a literal".to_owned());
        };
        rest = after;
        match rest.split_first() {
            // Two strings in a row: the first is the date.
            Some((Value::Text(octets), after)) => {
                part.date = Some(String::from_utf8_lossy(first).into_owned());
                part.octets.clone_from(octets);
                rest = after;
            }
            _ => part.octets.clone_from(first),
        }
        parts.push(part);
    }
    Ok(parts)
}

fn is_date(text: &str) -> bool {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let model = "dd-MMM-dddd dd:dd:dd sdddd";
    let shape = text.len() == model.len()
        && text.chars().zip(model.chars()).enumerate().all(|(at, (letter, kind))| match kind {
            'd' => letter.is_ascii_digit() || (at == 0 && letter == ' '),
            'M' => letter.is_ascii_alphabetic(),
            's' => letter == '+' || letter == '-',
            _ => letter == kind,
        });
    let day = text.get(..2).and_then(|day| day.trim().parse::<u8>().ok());
    let month = text.get(3..6).and_then(|month| MONTHS.find(month));
    shape && day.is_some_and(|day| (1..=31).contains(&day)) && month.is_some_and(|at| at % 3 == 0)
}

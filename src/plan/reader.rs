//! Reads a plan: once to check all of it, once more to act on its lines.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::mail::UidSet;
use crate::plan::Line;
use crate::plan::action::{Action, Section};
use crate::plan::header::{FORMAT, Footer, Header, Totals};
use crate::plan::writer::{footer_line, hexadecimal};

/// Longest line that is read, in octets, its end included. Actions are cut far below; what is left
/// of it is for headers with many folders in their witnesses.
pub const LINE_OCTETS_MAX: usize = 1024 * 1024;

/// Why a file cannot be used as a plan. A plan with any of these does nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanFault {
    /// The first line is not the header of a plan.
    #[error("not a plan: the first line is not the header of one")]
    NotAPlan,
    /// Another format.
    #[error("a plan of format {found}, and this program knows format {known}")]
    OtherFormat {
        /// The number found.
        found: u32,
        /// The number that is known.
        known: u32,
    },
    /// The file ends before the footer.
    #[error("the plan is cut: it ends in line {line} without its footer")]
    Cut {
        /// Where it ends, from 1.
        line: u64,
    },
    /// Something in the file is not as it was written.
    #[error("the plan was altered: line {line}: {what}")]
    Altered {
        /// Where this shows, from 1.
        line: u64,
        /// What is wrong, without any text of the file.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error("the plan cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Tells a plan from a manifest by the file's first line: no TOML document begins with a brace.
#[must_use]
pub fn is_plan(first_line: &[u8]) -> bool {
    first_line.starts_with(b"{")
}

/// A plan that was read to its end and is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The first line.
    pub header: Header,
    /// The last line.
    pub footer: Footer,
    /// How many folder pairs there are; they are numbered from 0.
    pub pairs: u32,
}

/// Reads a plan to its end and checks all of it: format number, order of lines, numbers that lines
/// refer to, counts, totals, hash.
///
/// # Errors
///
/// [`PlanFault`] for the first thing that is wrong.
pub fn check(reader: &mut dyn BufRead) -> Result<Checked, PlanFault> {
    let mut lines = PlanLines::new(reader)?;
    let mut seen = Seen::default();
    let mut footer = None;
    while let Some(line) = lines.next_line()? {
        let at = lines.line;
        seen.line(&line, &lines.header).map_err(|what| PlanFault::Altered { line: at, what })?;
        if let Line::Footer(found) = line {
            footer = Some(found);
        }
    }
    let footer = footer.ok_or(PlanFault::Cut { line: lines.line })?;
    Ok(Checked { header: lines.header, footer, pairs: seen.pairs })
}

/// The lines of a plan after its header, one at a time, footer included.
///
/// Does not look at what lines refer to: [`check`] did. Compares the hash with the footer once more,
/// so that a file that changed between the two readings is at least noticed at its end; who writes
/// plans puts a new file in the place of the old one and never writes into it.
pub struct PlanLines<R> {
    reader: R,
    header: Header,
    hash: Sha256,
    buffer: Vec<u8>,
    line: u64,
    ended: bool,
}

impl<R: BufRead> PlanLines<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`PlanFault`]: not a plan, another format, or unreadable.
    pub fn new(mut reader: R) -> Result<Self, PlanFault> {
        let mut buffer = Vec::new();
        match read_line(&mut reader, &mut buffer)? {
            Ended::Line => {}
            Ended::WithoutNewline if is_plan(&buffer) => return Err(PlanFault::Cut { line: 1 }),
            Ended::Nothing | Ended::TooLong | Ended::WithoutNewline => {
                return Err(PlanFault::NotAPlan);
            }
        }
        // The number comes first: the header of another format may have other fields.
        let Ok(format) = serde_json::from_slice::<FormatOnly>(&buffer) else {
            return Err(PlanFault::NotAPlan);
        };
        if format.mailferry_plan != FORMAT {
            return Err(PlanFault::OtherFormat { found: format.mailferry_plan, known: FORMAT });
        }
        let Ok(Line::Header(header)) = serde_json::from_slice(&buffer) else {
            return Err(PlanFault::Altered { line: 1, what: "not a header of this format" });
        };
        let mut hash = Sha256::new();
        hash.update(&buffer);
        Ok(Self { reader, header, hash, buffer, line: 1, ended: false })
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next line; nothing after the footer.
    ///
    /// # Errors
    ///
    /// [`PlanFault`] where the line is none of a plan, the file ends before the footer or goes on
    /// after it, or the hash is another one.
    pub fn next_line(&mut self) -> Result<Option<Line>, PlanFault> {
        if self.ended {
            return Ok(None);
        }
        let ended = read_line(&mut self.reader, &mut self.buffer)?;
        if matches!(ended, Ended::Nothing) {
            return Err(PlanFault::Cut { line: self.line });
        }
        self.line += 1;
        match ended {
            Ended::Nothing | Ended::WithoutNewline => {
                return Err(PlanFault::Cut { line: self.line });
            }
            Ended::TooLong => return Err(self.altered("longer than a line may be")),
            Ended::Line => {}
        }
        let line: Line = serde_json::from_slice(&self.buffer)
            .map_err(|_| self.altered("not a line of a plan"))?;
        if let Line::Footer(footer) = &line {
            self.check_end(footer)?;
            self.ended = true;
        } else {
            self.hash.update(&self.buffer);
        }
        Ok(Some(line))
    }

    fn check_end(&mut self, footer: &Footer) -> Result<(), PlanFault> {
        // Octet for octet, so that no other spelling of the same values passes.
        if footer_line(footer)? != self.buffer {
            return Err(self.altered("not a footer as it is written"));
        }
        if footer.sha256 != hexadecimal(&self.hash.clone().finalize()) {
            return Err(self.altered("the hash is not that of the lines above"));
        }
        if !self.reader.fill_buf()?.is_empty() {
            return Err(self.altered("something follows the footer"));
        }
        Ok(())
    }

    const fn altered(&self, what: &'static str) -> PlanFault {
        PlanFault::Altered { line: self.line, what }
    }
}

impl<R: BufRead> Iterator for PlanLines<R> {
    type Item = Result<Line, PlanFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.next_line().transpose();
        if matches!(line, Some(Err(_))) {
            self.ended = true;
        }
        line
    }
}

/// The one field that every format has.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FormatOnly {
    mailferry_plan: u32,
}

enum Ended {
    Line,
    WithoutNewline,
    TooLong,
    Nothing,
}

/// Reads one line, its end included, and never more than [`LINE_OCTETS_MAX`] octets.
fn read_line(reader: &mut dyn BufRead, buffer: &mut Vec<u8>) -> io::Result<Ended> {
    buffer.clear();
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
            Err(fault) => return Err(fault),
        };
        if available.is_empty() {
            return Ok(if buffer.is_empty() { Ended::Nothing } else { Ended::WithoutNewline });
        }
        let end = memchr::memchr(b'\n', available);
        let taken = end.map_or(available.len(), |end| end + 1);
        if buffer.len() + taken > LINE_OCTETS_MAX {
            return Ok(Ended::TooLong);
        }
        buffer.extend_from_slice(&available[..taken]);
        reader.consume(taken);
        if end.is_some() {
            return Ok(Ended::Line);
        }
    }
}

/// The parts of a plan in the order of the file.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    #[default]
    Folders,
    LeftOut,
    Recipes,
    Actions(Section),
    End,
}

/// What was seen so far: enough to check the next line.
#[derive(Default)]
struct Seen {
    place: Place,
    pairs: u32,
    recipes: BTreeSet<u32>,
    totals: Totals,
}

impl Seen {
    fn line(&mut self, line: &Line, header: &Header) -> Result<(), &'static str> {
        let place = match line {
            Line::Header(_) => return Err("a second header"),
            Line::Folder(_) => Place::Folders,
            Line::LeftOut(_) => Place::LeftOut,
            Line::Recipe(_) => Place::Recipes,
            Line::Action(action) => Place::Actions(action.section()),
            Line::Footer(_) => Place::End,
        };
        if place < self.place {
            return Err("out of the order of sections");
        }
        self.place = place;
        let account = |number: u32| match usize::try_from(number) {
            Ok(number) if number < header.accounts.len() => Ok(()),
            _ => Err("names an account pair that the header lacks"),
        };
        match line {
            Line::Folder(pair) => {
                account(pair.account)?;
                if pair.pair != self.pairs {
                    return Err("folder pairs are not numbered from 0 on");
                }
                self.pairs += 1;
                self.totals.add_pair(pair);
            }
            Line::LeftOut(folder) => account(folder.account)?,
            Line::Recipe(recipe) => {
                if !self.recipes.insert(recipe.recipe) {
                    return Err("a recipe's number is there twice");
                }
            }
            Line::Action(action) => {
                self.action(action, &account)?;
                self.totals.add_action(action);
            }
            Line::Footer(footer) if footer.totals != self.totals => {
                return Err("the totals are not those of the lines above");
            }
            Line::Header(_) | Line::Footer(_) => {}
        }
        Ok(())
    }

    fn action(
        &self,
        action: &Action,
        account: &dyn Fn(u32) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let counted = |uids: &UidSet, messages: u64| {
            if uids.is_empty() || uids.len() != messages {
                Err("a count of messages is not that of the UIDs")
            } else {
                Ok(())
            }
        };
        let pair = match action {
            Action::CreateFolder { account: number, .. }
            | Action::Subscribe { account: number, .. } => return account(*number),
            Action::Copy { pair, uids, messages, recipe, .. } => {
                counted(uids, *messages)?;
                if !self.recipes.contains(recipe) {
                    return Err("names a recipe that is not there");
                }
                pair
            }
            Action::Skip { pair, uids, messages, .. }
            | Action::Flags { pair, uids, messages, .. } => {
                counted(uids, *messages)?;
                pair
            }
            Action::Blocked { pair, .. } => pair,
        };
        if *pair < self.pairs { Ok(()) } else { Err("names a folder pair that is not there") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENING: &[u8] = include_bytes!("../../tests/plans/evening.plan");

    /// The plan with one line replaced, and the hash of the footer made anew: what only a careful
    /// hand could do.
    fn with_line(line: usize, change: impl Fn(&str) -> String) -> Vec<u8> {
        let text = std::str::from_utf8(EVENING).unwrap();
        let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
        lines[line] = change(&lines[line]);
        let footer = lines.pop().unwrap();
        let body = lines.concat();
        let old = footer.split("sha256\":\"").nth(1).unwrap().trim_end_matches("\"}\n").to_owned();
        let new = hexadecimal(&Sha256::digest(body.as_bytes()));
        (body + &footer.replace(&old, &new)).into_bytes()
    }

    #[track_caller]
    fn altered(plan: &[u8], line: u64, what: &str) {
        match check(&mut { plan }) {
            Err(PlanFault::Altered { line: at, what: found }) => {
                assert_eq!((at, found), (line, what));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plan_cut_anywhere_is_refused() {
        for end in 0..EVENING.len() {
            let fault = check(&mut &EVENING[..end]).unwrap_err();
            let at_line_end = end > 0 && EVENING[end - 1] == b'\n';
            match fault {
                PlanFault::NotAPlan if end == 0 => {}
                PlanFault::Cut { line } if line > 0 => {}
                other => panic!("cut at {end}, line end {at_line_end}: {other}"),
            }
        }
        assert!(check(&mut { EVENING }).is_ok());
    }

    #[test]
    fn a_flip_of_any_octet_is_refused() {
        let mut plan = EVENING.to_vec();
        for (at, octet) in EVENING.iter().enumerate() {
            // One bit that goes round, and the bit that is upper and lower case.
            for bit in [at % 8, 5] {
                plan[at] ^= 1 << bit;
                assert!(check(&mut plan.as_slice()).is_err(), "octet {at}, bit {bit}");
                plan[at] = *octet;
            }
        }
    }

    #[test]
    fn a_plan_with_lines_taken_out_doubled_or_behind_is_refused() {
        let lines: Vec<&[u8]> = EVENING.split_inclusive(|octet| *octet == b'\n').collect();
        for at in 0..lines.len() {
            let mut less = lines.clone();
            less.remove(at);
            assert!(check(&mut less.concat().as_slice()).is_err(), "without line {at}");
            let mut more = lines.clone();
            more.insert(at, lines[at]);
            assert!(check(&mut more.concat().as_slice()).is_err(), "line {at} twice");
        }
        for behind in ["\n", " ", "{}\n", "x"] {
            let plan = [EVENING, behind.as_bytes()].concat();
            altered(&plan, 20, "something follows the footer");
        }
    }

    #[test]
    fn a_new_hash_does_not_help_what_contradicts_itself() {
        altered(
            &with_line(1, |line| line.replace("\"pair\":0", "\"pair\":7")),
            2,
            "folder pairs are not numbered from 0 on",
        );
        altered(
            &with_line(1, |line| line.replace("\"account\":0", "\"account\":1")),
            2,
            "names an account pair that the header lacks",
        );
        altered(&with_line(8, |line| line.repeat(2)), 10, "a recipe's number is there twice");
        altered(
            &with_line(11, |line| line.replace("\"recipe\":0", "\"recipe\":1")),
            12,
            "names a recipe that is not there",
        );
        altered(
            &with_line(11, |line| line.replace("\"pair\":0", "\"pair\":5")),
            12,
            "names a folder pair that is not there",
        );
        altered(
            &with_line(11, |line| line.replace("1:31199", "1:31198")),
            12,
            "a count of messages is not that of the UIDs",
        );
        altered(
            &with_line(11, |line| line.replace("6120328499", "6120328498")),
            20,
            "the totals are not those of the lines above",
        );
        altered(
            &with_line(9, |_| {
                String::from_utf8_lossy(EVENING).lines().nth(11).unwrap().to_owned() + "\n"
            }),
            11,
            "out of the order of sections",
        );
        altered(
            &with_line(1, |line| line.replace("\"pair\":0", "\"rule\":1,\"pair\":0")),
            2,
            "not a line of a plan",
        );
    }

    #[test]
    fn another_format_is_named_even_if_its_header_is_another() {
        let newer = b"{\"line\":\"header\",\"mailferry-plan\":2,\"anything\":[]}\n";
        let fault = check(&mut newer.as_slice()).unwrap_err();
        assert!(matches!(fault, PlanFault::OtherFormat { found: 2, known: FORMAT }), "{fault}");
    }

    #[test]
    fn what_is_no_plan_is_said_to_be_none() {
        for text in
            ["", "version = 1\n", "{}\n", "{\"line\":\"header\"}\n", "[source]", "\u{feff}{"]
        {
            let fault = check(&mut text.as_bytes()).unwrap_err();
            assert!(matches!(fault, PlanFault::NotAPlan), "{text:?}: {fault}");
        }
        assert!(is_plan(EVENING) && !is_plan(b"version = 1") && !is_plan(b""));
    }

    #[test]
    fn a_line_without_end_needs_no_memory() {
        let mut endless = io::BufReader::new(io::repeat(b'{'));
        assert!(matches!(check(&mut endless), Err(PlanFault::NotAPlan)));
        let header = EVENING.split_inclusive(|octet| *octet == b'\n').next().unwrap();
        let mut endless = io::BufReader::new(io::Read::chain(header, io::repeat(b'{')));
        let fault = check(&mut endless).unwrap_err();
        assert!(
            matches!(fault, PlanFault::Altered { line: 2, what: "longer than a line may be" }),
            "{fault}"
        );
    }

    #[test]
    fn a_file_that_changed_after_the_check_is_noticed_at_its_end() {
        let plan = String::from_utf8(EVENING.to_vec())
            .unwrap()
            .replace("\"pair\":4,\"uids\"", "\"pair\":3,\"uids\"");
        let lines: Vec<_> = PlanLines::new(plan.as_bytes()).unwrap().collect();
        assert!(lines.last().unwrap().is_err());
        assert!(lines[..lines.len() - 1].iter().all(Result::is_ok));
    }
}

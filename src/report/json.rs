//! What `--json` prints: one versioned document a command.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use schemars::JsonSchema;
use schemars::Schema;
use serde::Serialize;

use crate::report::model::{ApplyReport, PlanReport, VerifyReport};
use crate::report::problem::Problem;
use crate::report::text::is_hazard;

/// The number of the format of these documents. Fields may be added under the same number; nothing is
/// taken away or given another meaning.
const VERSION: u32 = 1;

/// A document, told apart by its command.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "command", rename_all = "kebab-case")]
#[schemars(title = "mailferry report")]
pub enum Document {
    /// Of `plan`.
    Plan(Body<PlanReport>),
    /// Of `show`.
    Show(Body<PlanReport>),
    /// Of `apply`.
    Apply(Body<ApplyReport>),
    /// Of `verify`.
    Verify(Body<VerifyReport>),
}

/// What every document has.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Body<T> {
    /// The number of the document's format.
    pub version: u32,
    /// Program and version that wrote it.
    pub program: String,
    /// The exit code of the command: the worst of all accounts.
    pub exit: u8,
    /// What the command could not get past.
    pub problems: Vec<Problem>,
    /// One report for each account pair.
    pub accounts: Vec<T>,
}

impl<T> Body<T> {
    /// Makes a document's body in the format of this program.
    #[must_use]
    pub fn new(exit: u8, problems: Vec<Problem>, accounts: Vec<T>) -> Self {
        let program = concat!("mailferry ", env!("CARGO_PKG_VERSION")).to_owned();
        Self { version: VERSION, program, exit, problems, accounts }
    }
}

/// Writes a document. Characters that could act on a terminal are written as `\u001b`.
///
/// # Errors
///
/// Those of `out`.
pub fn write_json(out: &mut dyn Write, document: &Document) -> io::Result<()> {
    let text = serde_json::to_string_pretty(document)?;
    // Structure is ASCII and its line ends are the only controls that serde_json lets through, so
    // that every other hazard stands inside a string.
    let mut safe = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character == '\n' || !is_hazard(character) {
            safe.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe.push('\n');
    out.write_all(safe.as_bytes())
}

/// The JSON Schema of all documents.
#[must_use]
pub fn document_schema() -> Schema {
    schemars::schema_for!(Document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_on_a_terminal_is_escaped_and_reads_back_the_same() {
        let text = "a\u{1b}[31m \u{9b}0m \u{202e}b \u{e0001}c ü";
        let problem = Problem::new("x").detail("it said", text);
        let document = Document::Verify(Body::new(9, vec![problem], Vec::new()));
        let mut out = Vec::new();
        write_json(&mut out, &document).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(!written.trim_end().chars().any(|c| c != '\n' && is_hazard(c)), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read["problems"][0]["details"][0]["text"], text);
        assert_eq!((&read["version"], &read["command"]), (&1.into(), &"verify".into()));
    }
}

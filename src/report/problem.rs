//! Faults as people read them: a sentence, details, hints.

use std::io;
use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::PlanFault;
use crate::report::screen::Screen;
use crate::report::text::{escape, wrap};

/// Columns of a detail's label.
const LABEL: usize = 9;

/// A fault of a command: what is wrong in one sentence that holds no text of a user or server, the
/// details, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Problem {
    /// The sentence, without a full stop.
    pub sentence: String,
    /// What is known of it, each with a label such as `host` or `it said`.
    pub details: Vec<Detail>,
    /// What to do next.
    pub hints: Vec<String>,
}

/// One detail of a [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Detail {
    /// A word or two.
    pub label: String,
    /// The text; escaped when it is shown.
    pub text: String,
}

impl Problem {
    /// Makes a fault of a sentence alone.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// Adds a detail.
    #[must_use]
    pub fn detail(mut self, label: impl Into<String>, text: impl Into<String>) -> Self {
        self.details.push(Detail { label: label.into(), text: text.into() });
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What is wrong with a plan file.
    #[must_use]
    pub fn of_plan(path: &str, fault: &PlanFault) -> Self {
        let again = "make a new one: mailferry plan -o FILE";
        let whole = "nothing of it is applied; copy the file again, or make a new one";
        let (sentence, wrong, hint) = match fault {
            PlanFault::NotAPlan => (
                "the file is not a plan",
                "its first line is not a plan's header".to_owned(),
                again,
            ),
            PlanFault::OtherFormat { found, known } => (
                "the plan has another format than this program knows",
                format!("format {found}; this program knows {known}"),
                "use the program that made it, or make a new one: mailferry plan -o FILE",
            ),
            PlanFault::Cut { line } => (
                "the plan is cut: its last line is missing",
                format!("it ends in line {line} without a footer"),
                whole,
            ),
            PlanFault::Altered { line, what } => {
                ("the plan was altered after it was made", format!("line {line}: {what}"), whole)
            }
            PlanFault::Io(fault) => {
                ("the plan cannot be read", fault.to_string(), "check the file and its rights")
            }
        };
        Self::new(sentence).detail("file", path).detail("wrong", wrong).hint(hint)
    }

    /// Writes the fault.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write, screen: &Screen) -> io::Result<()> {
        let width = screen.columns();
        hanging(out, "error: ", &self.sentence, width)?;
        for detail in &self.details {
            let label = format!("  {:LABEL$}  ", escape(&detail.label));
            hanging(out, &label, &detail.text, width)?;
        }
        for hint in &self.hints {
            hanging(out, "hint: ", hint, width)?;
        }
        Ok(())
    }
}

/// Writes a text behind a label; further lines of it stand below its beginning. Line ends inside
/// the text are kept, every other control is escaped.
pub(super) fn hanging(
    out: &mut dyn Write,
    label: &str,
    text: &str,
    width: usize,
) -> io::Result<()> {
    let indent = label.chars().count();
    let room = width.saturating_sub(indent).max(20);
    let mut lead = label.to_owned();
    for line in text.split('\n').flat_map(|line| wrap(&escape(line), room)) {
        writeln!(out, "{}", format!("{lead}{line}").trim_end())?;
        lead = " ".repeat(indent);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::report::screen::Colour;

    #[test]
    fn a_fault_has_a_sentence_details_and_hints() {
        let problem = Problem::new("the destination refused the login")
            .detail("login", "anna@new.example by PLAIN, password asked for")
            .detail("it said", "NO [AUTHENTICATIONFAILED] Authentication \u{1b}[31mfailed.")
            .hint("try the same name and password in a mail program first");
        let mut out = Vec::new();
        let screen = Screen { width: 80, colour: Colour::Always, zone: Some(TimeZone::UTC) };
        problem.write(&mut out, &screen).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "error: the destination refused the login\n  \
             login      anna@new.example by PLAIN, password asked for\n  \
             it said    NO [AUTHENTICATIONFAILED] Authentication \\x1b[31mfailed.\n\
             hint: try the same name and password in a mail program first\n"
        );
    }
}

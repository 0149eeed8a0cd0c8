//! A command that ended before its work, as people and programs are told.

use crate::cli::exit::ExitStatus;
use crate::cli::output::Output;
use crate::report::{Body, Document, Problem};

/// Which document a failed command prints; nothing where none was asked for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text for people only.
    Text,
    Plan,
    Show,
    Apply,
    Verify,
}

impl Kind {
    /// The kind, where `--json` was given.
    pub(super) const fn if_json(self, json: bool) -> Self {
        if json { self } else { Self::Text }
    }

    /// Prints the document of a command that got nowhere, and returns its code.
    pub(super) fn print(
        self,
        problems: Vec<Problem>,
        status: ExitStatus,
        output: &Output,
    ) -> ExitStatus {
        let code = status.code();
        let document = match self {
            Self::Text => return status,
            Self::Plan => Document::Plan(Body::new(code, problems, Vec::new())),
            Self::Show => Document::Show(Body::new(code, problems, Vec::new())),
            Self::Apply => Document::Apply(Body::new(code, problems, Vec::new())),
            Self::Verify => Document::Verify(Body::new(code, problems, Vec::new())),
        };
        if output.json(&document).is_ok() { status } else { ExitStatus::Fault }
    }
}

/// Why a command ended before its work, and its code.
pub(super) struct Failed {
    pub problem: Problem,
    pub status: ExitStatus,
}

impl From<(Problem, ExitStatus)> for Failed {
    fn from((problem, status): (Problem, ExitStatus)) -> Self {
        Self { problem, status }
    }
}

impl Failed {
    /// Tells it on stderr, and as a document where one was asked for.
    pub(super) fn tell(self, kind: Kind, output: &Output) -> ExitStatus {
        output.problem(&self.problem);
        output.tell(|out, _| writeln!(out, "Nothing was changed."));
        kind.print(vec![self.problem], self.status, output)
    }
}

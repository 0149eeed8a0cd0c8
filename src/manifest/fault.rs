//! Faults of a manifest, all at once, each with its place and what to do.

use std::ops::Range;

use crate::manifest::document::Document;
use crate::manifest::document::Excerpt;

/// Everything that is wrong, sorted by place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", crate::manifest::render::faults(self, crate::manifest::render::Colour::Never))]
pub struct Faults {
    /// The faults, never empty.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A sentence without a full stop; holds no value that an author wrote.
    pub message: String,
    /// Where it is.
    pub place: Place,
    /// Stands beside the carets, or as a hint where there are none.
    pub label: Option<String>,
    /// What to do.
    pub hints: Vec<String>,
}

/// Where a fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, or in a profile of the program's own.
    File {
        /// As people are shown it.
        file: String,
        /// Where in it; absent where the fault is that something is not there.
        spot: Option<Spot>,
    },
    /// In an environment variable of this name.
    Variable(String),
    /// In a `--set` of this key.
    Set(String),
}

/// A place inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// In octets from the start of the file.
    pub span: Range<usize>,
    /// The line, safe to show.
    pub excerpt: Excerpt,
}

/// Where a fault is, before the documents are complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum At {
    File { document: usize, start: Option<usize>, end: usize },
    Variable(String),
    Set(String),
}

impl At {
    pub(crate) fn span(document: usize, span: &Range<usize>) -> Self {
        Self::File { document, start: Some(span.start), end: span.end }
    }

    pub(crate) const fn whole(document: usize) -> Self {
        Self::File { document, start: None, end: 0 }
    }

    /// Whether it touches one of these spans of its file.
    pub(crate) fn is_within(&self, spans: &[Range<usize>]) -> bool {
        match self {
            Self::File { start: Some(start), end, .. } => spans.iter().any(|span| {
                *start < span.end.max(span.start + 1) && span.start < (*end).max(start + 1)
            }),
            _ => false,
        }
    }
}

/// A fault in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) message: String,
    pub(crate) at: At,
    pub(crate) label: Option<String>,
    pub(crate) hints: Vec<String>,
}

impl Draft {
    pub(crate) fn new(at: At, message: impl Into<String>) -> Self {
        Self { message: message.into(), at, label: None, hints: Vec::new() }
    }

    /// Says something beside the carets that tells nothing of the value.
    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// Says something that gives the value away: only where the value stands in a file anyway.
    pub(crate) fn label_with_value(self, label: impl Into<String>) -> Self {
        match self.at {
            At::File { .. } => self.label(label),
            At::Variable(_) | At::Set(_) => self,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// As [`Self::hint`], for a hint that gives the value away.
    pub(crate) fn hint_with_value(self, hint: impl Into<String>) -> Self {
        match self.at {
            At::File { .. } => self.hint(hint),
            At::Variable(_) | At::Set(_) => self,
        }
    }

    fn finish(self, documents: &[Document]) -> Fault {
        let place = match self.at {
            At::Variable(name) => Place::Variable(name),
            At::Set(key) => Place::Set(key),
            At::File { document, start, end } => {
                let document = documents.get(document);
                let spot = document.zip(start).map(|(document, start)| {
                    let span = document.unmasked(start..end.max(start));
                    let (line, column) = document.position(span.start);
                    let excerpt = document.excerpt(&span);
                    Spot { line, column, span, excerpt }
                });
                let file = document.map(|document| document.name.clone()).unwrap_or_default();
                Place::File { file, spot }
            }
        };
        Fault { message: self.message, place, label: self.label, hints: self.hints }
    }
}

impl Faults {
    /// Sorts by place and draws excerpts. The same fault at the same place is one.
    pub(crate) fn new(mut drafts: Vec<Draft>, documents: &[Document]) -> Self {
        drafts.sort_by(|a, b| a.at.cmp(&b.at));
        drafts.dedup();
        Self { faults: drafts.into_iter().map(|draft| draft.finish(documents)).collect() }
    }
}

impl Place {
    /// The file, variable or key, for the line that counts the faults.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File { file, .. } => file.clone(),
            Self::Variable(name) => name.clone(),
            Self::Set(key) => format!("--set {key}"),
        }
    }
}

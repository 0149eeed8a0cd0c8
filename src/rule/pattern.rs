//! Folder patterns: a name, a glob, `re:…` or `role:…`.

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

use crate::mail::{FolderName, Role};

/// Largest compiled regular expression, in octets: a bad one is a fault of the manifest, found
/// before anything is contacted.
const REGEX_OCTETS_MAX: usize = 1 << 20;

/// Chooses folders by their canonical name or special use. Case counts, except in INBOX.
#[derive(Clone, Debug)]
pub enum FolderPattern {
    /// One folder.
    Name(FolderName),
    /// `*` and `?` stay inside a level, `**` crosses levels; a final `/**` takes the folder and all
    /// below it.
    Glob(Box<GlobPattern>),
    /// An unanchored regular expression on the canonical name.
    Regex(Box<Regex>),
    /// Folders with this special use.
    Role(Role),
}

/// A compiled glob.
#[derive(Clone, Debug)]
pub struct GlobPattern {
    text: String,
    matcher: GlobMatcher,
    /// What a final `/**` stands below, which it takes as well.
    top: Option<GlobMatcher>,
}

/// Why a text is no pattern. Display is a lower-case fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    /// A `role:` that is none.
    #[error("no such role")]
    NoRole,
    /// Not a regular expression.
    #[error("{0}")]
    Regex(String),
    /// Not a glob.
    #[error("{0}")]
    Glob(String),
    /// Not a folder name: empty, an empty level, a control character or a lone backslash.
    #[error("not a folder name")]
    NotName,
}

impl FolderPattern {
    /// Reads a pattern as it stands in a manifest.
    ///
    /// # Errors
    ///
    /// A [`PatternFault`] that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if let Some(word) = text.strip_prefix("role:") {
            return Role::from_word(word).map(Self::Role).ok_or(PatternFault::NoRole);
        }
        if let Some(expression) = text.strip_prefix("re:") {
            return RegexBuilder::new(expression)
                .size_limit(REGEX_OCTETS_MAX)
                .build()
                .map(|regex| Self::Regex(Box::new(regex)))
                .map_err(|fault| PatternFault::Regex(last_line(&fault.to_string())));
        }
        if text.contains(['*', '?']) {
            return GlobPattern::parse(text).map(|glob| Self::Glob(Box::new(glob)));
        }
        FolderName::parse(text).map(Self::Name).ok_or(PatternFault::NotName)
    }

    /// Tells whether the pattern takes a folder.
    #[must_use]
    pub fn matches(&self, name: &FolderName, roles: &[Role]) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(glob) => glob.matches(name),
            Self::Regex(regex) => regex.is_match(name.as_str()),
            Self::Role(Role::Inbox) => name.is_inbox(),
            Self::Role(role) => roles.contains(role),
        }
    }
}

/// The pattern as the manifest has it.
impl std::fmt::Display for FolderPattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => write!(formatter, "{name}"),
            Self::Glob(glob) => formatter.write_str(&glob.text),
            Self::Regex(regex) => write!(formatter, "re:{regex}"),
            Self::Role(role) => write!(formatter, "role:{role}"),
        }
    }
}

impl GlobPattern {
    fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(PatternFault::NotName);
        }
        let top = match text.strip_suffix("/**") {
            Some("") | None => None,
            Some(top) => Some(compile(top)?),
        };
        Ok(Self { text: text.to_owned(), matcher: compile(text)?, top })
    }

    fn matches(&self, name: &FolderName) -> bool {
        let name = name.as_str();
        self.matcher.is_match(name) || self.top.as_ref().is_some_and(|top| top.is_match(name))
    }
}

fn compile(text: &str) -> Result<GlobMatcher, PatternFault> {
    // Brackets and braces are plain characters in folder names: `[Gmail]/**` means what it says.
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '[' => plain.push_str("[[]"),
            ']' => plain.push_str("[]]"),
            '{' => plain.push_str("[{]"),
            '}' => plain.push_str("[}]"),
            other => plain.push(other),
        }
    }
    GlobBuilder::new(&inbox_folded(&plain))
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|fault| PatternFault::Glob(fault.kind().to_string()))
}

/// INBOX has no case as the first level of a name, nor of a pattern.
fn inbox_folded(text: &str) -> String {
    let (first, rest) = match text.find('/') {
        Some(slash) => text.split_at(slash),
        None => (text, ""),
    };
    if first.eq_ignore_ascii_case("INBOX") { format!("INBOX{rest}") } else { text.to_owned() }
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, taken: &[&str], left: &[&str]) {
        let compiled = FolderPattern::parse(pattern).unwrap();
        for (names, expected) in [(taken, true), (left, false)] {
            for name in names {
                let folder = FolderName::parse(name).unwrap();
                assert_eq!(compiled.matches(&folder, &[]), expected, "{pattern} on {name}");
            }
        }
    }

    #[test]
    fn a_star_stays_inside_a_level() {
        check("Lists/*", &["Lists/a"], &["Lists", "Lists/a/b", "Other/a"]);
        check("Lists/?", &["Lists/a"], &["Lists/ab"]);
    }

    #[test]
    fn a_final_double_star_takes_the_folder_itself_too() {
        check("Junk/**", &["Junk", "Junk/a", "Junk/a/b"], &["Junkyard", "a/Junk"]);
        check("**/old", &["old", "a/old", "a/b/old"], &["a/old/b", "a/bold"]);
    }

    #[test]
    fn brackets_and_braces_are_plain_characters() {
        check("[Gmail]/**", &["[Gmail]", "[Gmail]/All Mail"], &["G", "G/All Mail"]);
        check("{a,b}*", &["{a,b}c"], &["a", "b"]);
        check("a[!b]*", &["a[!b]"], &["ac"]);
    }

    #[test]
    fn case_counts_except_in_the_inbox() {
        check("inbox", &["INBOX"], &["a"]);
        check("inbox/*", &["INBOX/a"], &["Inbox2/a"]);
        check("work", &["work"], &["Work"]);
        check("re:(?i)^work$", &["work", "Work"], &["Works"]);
    }

    #[test]
    fn roles_are_asked_of_the_server_and_not_of_the_name() {
        let junk = FolderPattern::parse("role:junk").unwrap();
        assert!(junk.matches(&FolderName::parse("Spam").unwrap(), &[Role::Junk]));
        assert!(!junk.matches(&FolderName::parse("Junk").unwrap(), &[]));
        assert!(FolderPattern::parse("role:inbox").unwrap().matches(&FolderName::inbox(), &[]));
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        assert_eq!(FolderPattern::parse("role:spam").unwrap_err(), PatternFault::NoRole);
        assert!(matches!(FolderPattern::parse("re:(").unwrap_err(), PatternFault::Regex(_)));
        assert!(matches!(
            FolderPattern::parse(r"re:(\w{1000}){1000}").unwrap_err(),
            PatternFault::Regex(_)
        ));
        assert_eq!(FolderPattern::parse("a//b").unwrap_err(), PatternFault::NotName);
    }
}

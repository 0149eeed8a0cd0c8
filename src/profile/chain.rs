//! How profiles stand on each other.

use std::collections::BTreeMap;
use std::fmt;

use crate::profile::builtin::GENERIC;

/// How many profiles may stand on each other.
const DEPTH_MAX: usize = 32;

/// A profile as a manifest names it: `dovecot`, or `dovecot@1` for exactly that revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The profile.
    pub name: String,
    /// The revision that it must have.
    pub revision: Option<u32>,
}

impl Reference {
    /// Reads a reference. Nothing for a name that is not of letters, digits, `-` and `_`: names become
    /// file names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision.parse().ok()?)),
            None => (text, None),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let well_formed = (1..=64).contains(&name.len()) && name.chars().all(fits);
        well_formed.then(|| Self { name: name.to_owned(), revision })
    }
}

/// What of a profile decides which others are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// For `NAME@REVISION`.
    pub revision: u32,
    /// Profiles that it stands on, later ones win; absent stands for `generic`.
    pub extends: Option<Vec<String>>,
}

/// Why profiles do not make a chain, and where the fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// The profile whose `extends` is at fault, and the position there; nothing where the manifest
    /// itself names the profile.
    pub by: Option<(String, usize)>,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a reference to a profile. Display is a lower-case fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Not a name, or not a revision.
    NotName,
    /// There is none of this name.
    Unknown(String),
    /// It stands on itself, by these steps.
    Cycle(Vec<String>),
    /// It stands on so many others that nobody can have meant it.
    Deep,
    /// It has another revision.
    Revision {
        /// The profile.
        name: String,
        /// What it has.
        has: u32,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotName => formatter.write_str("not the name of a profile"),
            Self::Unknown(name) => write!(formatter, "no such profile: {name}"),
            Self::Cycle(steps) => {
                write!(formatter, "a profile stands on itself: {}", steps.join(" -> "))
            }
            Self::Deep => formatter.write_str("too many profiles stand on each other"),
            Self::Revision { name, has } => {
                write!(formatter, "the profile `{name}` has another revision, {has}")
            }
        }
    }
}

/// The profiles that `reference` stands on and itself, in the order of their layers: `generic` first,
/// each once.
///
/// # Errors
///
/// The first [`ChainFault`]; [`Why::Unknown`] may be answered by adding that profile to `heads`.
pub fn chain(reference: &str, heads: &BTreeMap<String, Head>) -> Result<Vec<String>, ChainFault> {
    let mut order = Vec::new();
    if heads.contains_key(GENERIC) {
        order.push(GENERIC.to_owned());
    }
    visit(reference, None, heads, &mut Vec::new(), &mut order)?;
    Ok(order)
}

fn visit(
    reference: &str,
    by: Option<(&str, usize)>,
    heads: &BTreeMap<String, Head>,
    open: &mut Vec<String>,
    order: &mut Vec<String>,
) -> Result<(), ChainFault> {
    let fault = |why| ChainFault { by: by.map(|(name, at)| (name.to_owned(), at)), why };
    let Some(Reference { name, revision }) = Reference::parse(reference) else {
        return Err(fault(Why::NotName));
    };
    if open.contains(&name) {
        let steps = open.iter().skip_while(|step| **step != name).cloned();
        return Err(fault(Why::Cycle(steps.chain([name.clone()]).collect())));
    }
    let Some(head) = heads.get(&name) else { return Err(fault(Why::Unknown(name))) };
    if revision.is_some_and(|revision| revision != head.revision) {
        return Err(fault(Why::Revision { name, has: head.revision }));
    }
    if order.contains(&name) {
        return Ok(());
    }
    if open.len() == DEPTH_MAX {
        return Err(fault(Why::Deep));
    }
    open.push(name.clone());
    for (position, below) in head.extends.iter().flatten().enumerate() {
        visit(below, Some((&name, position)), heads, open, order)?;
    }
    open.pop();
    order.push(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `"own:gmail,fast gmail"`: profiles, each with what it stands on.
    fn heads(text: &str) -> BTreeMap<String, Head> {
        let entry = |entry: &str| {
            let (name, below) = entry.split_once(':').unwrap_or((entry, ""));
            let extends: Vec<_> =
                below.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            (name.to_owned(), Head { revision: 2, extends: Some(extends) })
        };
        text.split_whitespace().map(entry).collect()
    }

    #[track_caller]
    fn check(text: &str, reference: &str, expected: &str) {
        let outcome = match chain(reference, &heads(text)) {
            Ok(order) => order.join(" "),
            Err(ChainFault { by: Some((name, at)), why }) => format!("{name} {at}: {why}"),
            Err(ChainFault { by: None, why }) => why.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn what_is_stood_on_comes_first_and_once() {
        check("generic gmail own:gmail", "own", "generic gmail own");
        check("generic a:generic b:a c:a own:b,c", "own@2", "generic a b c own");
        check("generic", "generic", "generic");
    }

    #[test]
    fn faults_say_where_they_are() {
        check("own:gmial", "own", "own 0: no such profile: gmial");
        check("a:c,b b:a c", "a", "b 0: a profile stands on itself: a -> b -> a");
        check("a:a", "a", "a 0: a profile stands on itself: a -> a");
        check("a", "a@3", "the profile `a` has another revision, 2");
        check("a", "../a", "not the name of a profile");
        check("a", "a@x", "not the name of a profile");
    }
}

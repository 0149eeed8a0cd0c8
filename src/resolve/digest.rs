//! The digest of what decides actions: a plan is stale if it is another one.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use crate::mail::FolderName;
use crate::mail::Timestamp;
use crate::mail::UidOrder;
use crate::manifest::model::Age;
use crate::manifest::model::Manifest;
use crate::manifest::model::MessagesTable;
use crate::rule::FolderPattern;
use crate::rule::MapFrom;
use crate::rule::NameRules;
use crate::rule::Ruled;
use crate::rule::Rules;
use crate::rule::policy::Deleted;
use crate::rule::policy::Duplicates;
use crate::rule::policy::Empty;
use crate::rule::policy::Missing;
use crate::rule::policy::Mode;
use crate::rule::policy::OnExisting;
use crate::rule::policy::Quirk;
use crate::rule::policy::Subscribe;

/// What decides actions, in an order that is part of the format. Not in it: hosts, passwords, tls,
/// compression, limits, errors, state, and which profile or place a value is from.
#[derive(Serialize)]
struct Deciding<'a> {
    /// Of this list; another list is another digest.
    format: u8,
    mode: Mode,
    source: Side<'a>,
    destination: Side<'a>,
    include: Option<Vec<String>>,
    exclude: Vec<String>,
    only_subscribed: bool,
    missing: Missing,
    map: Vec<(String, String)>,
    empty: Empty,
    first: Vec<String>,
    last: Vec<String>,
    subscribe: Subscribe,
    newer_than: Option<String>,
    older_than: Option<String>,
    since: Option<i64>,
    before: Option<i64>,
    larger_than: Option<u64>,
    smaller_than: Option<u64>,
    search: Option<&'a str>,
    deleted: Deleted,
    duplicates: Duplicates,
    order: UidOrder,
    on_existing_flags: OnExisting,
    message_ceiling: Option<u64>,
}

#[derive(Serialize)]
struct Side<'a> {
    user: &'a str,
    root: Option<&'a str>,
    prefix: Option<&'a str>,
    delimiter: Option<char>,
    quirks: Vec<Quirk>,
}

impl<'a> Side<'a> {
    fn new(user: &'a str, names: &'a NameRules) -> Self {
        let mut quirks = names.quirks.clone();
        quirks.sort_unstable();
        Self {
            user,
            root: names.root.as_ref().map(FolderName::as_str),
            prefix: names.prefix.as_deref(),
            delimiter: names.delimiter,
            quirks,
        }
    }
}

/// SHA-256 over what decides actions, in hexadecimal. `manifest` gives ages as written.
pub(crate) fn digest(
    manifest: &Manifest,
    mode: Mode,
    (source, destination): (&str, &str),
    rules: &Rules,
) -> String {
    let (folders, messages) = (&rules.folders, &rules.messages);
    let age = |age: fn(&MessagesTable) -> Option<Age>| {
        manifest.messages.as_ref().and_then(age).map(|age| age.to_string())
    };
    let from = |from: &MapFrom| match from {
        MapFrom::Name(name) => name.to_string(),
        MapFrom::Role(role) => format!("role:{role}"),
    };
    let deciding = Deciding {
        format: 1,
        mode,
        source: Side::new(source, &rules.source),
        destination: Side::new(destination, &rules.destination),
        include: folders.include.as_deref().map(texts),
        exclude: texts(&folders.exclude),
        only_subscribed: folders.only_subscribed,
        missing: folders.missing,
        map: folders
            .map
            .iter()
            .map(|mapping| (from(&mapping.value.from), mapping.value.to.to_string()))
            .collect(),
        empty: folders.empty,
        first: texts(&folders.first),
        last: texts(&folders.last),
        subscribe: folders.subscribe,
        newer_than: age(|messages| messages.newer_than),
        older_than: age(|messages| messages.older_than),
        since: messages.since.map(Timestamp::seconds),
        before: messages.before.map(Timestamp::seconds),
        larger_than: messages.larger_than,
        smaller_than: messages.smaller_than,
        search: messages.search.as_deref(),
        deleted: messages.deleted,
        duplicates: messages.duplicates,
        order: messages.order,
        on_existing_flags: rules.on_existing_flags,
        message_ceiling: rules.message_ceiling,
    };
    // Structs of plain values always have a JSON form.
    let json = serde_json::to_vec(&deciding).unwrap_or_default();
    let mut text = String::new();
    for octet in Sha256::digest(&json) {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

fn texts(patterns: &[Ruled<FolderPattern>]) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.value.to_string()).collect()
}

//! One account pair, with everything said.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::mail::Side;
use crate::mail::Timestamp;
use crate::manifest::model::Compress;
use crate::manifest::model::Manifest;
use crate::manifest::model::Period;
use crate::manifest::model::TlsMode;
use crate::resolve::digest::digest;
use crate::resolve::endpoint;
use crate::resolve::fault::On;
use crate::resolve::fault::RuleFault;
use crate::resolve::folders;
use crate::resolve::limits;
use crate::resolve::limits::EndpointLimits;
use crate::resolve::limits::RunLimits;
use crate::resolve::messages;
use crate::rule::Rules;
use crate::rule::policy::Mode;
use crate::rule::policy::Quirk;

/// One account pair: what is moved, from where, to where.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The account in output: the user at the source.
    pub account: String,
    /// The named set of settings.
    pub mode: Mode,
    /// Where mail is read.
    pub source: Endpoint,
    /// Where mail is written.
    pub destination: Endpoint,
    /// What decides actions.
    pub rules: Rules,
    /// How long and how fast a run may go on.
    pub limits: RunLimits,
    /// How much goes wrong before it counts.
    pub errors: ErrorRules,
    /// Where state is kept, seen from the current folder.
    pub state_dir: PathBuf,
    /// Values that did not come from a file.
    pub foreign_values: Vec<ForeignValue>,
    /// SHA-256 over what decides actions, in hexadecimal. Ages are in it as written, not as instants.
    pub digest: String,
}

/// One server, and the login there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The profile, as the manifest names it.
    pub profile: String,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// Where the password is; asked for if absent.
    pub password: Option<SecretSource>,
    /// Longest silence.
    pub timeout: Duration,
    /// Whether the connection is compressed.
    pub compress: Compress,
    /// How the connection is protected.
    pub tls: Tls,
    /// Departures from the RFCs.
    pub quirks: Vec<Quirk>,
    /// Words in a NO to APPEND which prove that nothing was stored.
    pub refusals: Vec<String>,
    /// How hard the server may be pressed.
    pub limits: EndpointLimits,
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Whether at all.
    pub mode: TlsMode,
    /// Certificate and name are checked.
    pub verify: bool,
    /// PEM file with the issuers to trust, seen from the current folder; else the platform's.
    pub ca: Option<PathBuf>,
    /// Name that the certificate must have, if it is not the host.
    pub server_name: Option<String>,
}

/// Where a password is. It is read when it is needed, and never before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// The first line of a file, seen from the current folder.
    File(PathBuf),
    /// The first line that a program writes.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// The folder it runs in: the manifest's.
        folder: PathBuf,
    },
}

/// How much goes wrong before it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRules {
    /// Tries again.
    pub retries: u32,
    /// How long an append without a reply may still arrive.
    pub settle: Duration,
    /// How long a server may be away.
    pub reconnect_for: Duration,
    /// Items in one account before it is given up.
    pub max_items: Option<u64>,
}

/// A value that did not come from a file; every plan shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignValue {
    /// The key, such as `source.port`.
    pub key: String,
    /// The variable, or `--set`.
    pub from: String,
    /// The value as TOML, unless it has to do with a secret.
    pub value: Option<String>,
}

/// What [`resolve`] works from.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// All layers in one, with defaults.
    pub manifest: &'a Manifest,
    /// For people, by path: `line 14`, `profile gmail`, `--set` or a variable.
    pub places: &'a BTreeMap<Vec<String>, String>,
    /// Values that did not come from a file.
    pub foreign_values: &'a [ForeignValue],
    /// The manifest's folder, which relative paths start from.
    pub folder: &'a Path,
    /// The time that ages count from.
    pub now: Timestamp,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// One for each account pair; to be used only if there is no fault.
    pub migrations: Vec<Migration>,
    /// Everything that is wrong.
    pub faults: Vec<RuleFault>,
    /// What is allowed and most likely not meant.
    pub hints: Vec<String>,
}

/// Makes migrations of a manifest, or says everything that is wrong across its keys.
#[must_use]
pub fn resolve(given: Given<'_>) -> Resolution {
    let mut faults = Vec::new();
    let mut hints = Vec::new();
    let manifest = given.manifest;
    let source = endpoint::resolve(given, Side::Source, &mut faults, &mut hints);
    let destination = endpoint::resolve(given, Side::Destination, &mut faults, &mut hints);
    let folders = folders::resolve(given, &mut faults, &mut hints);
    let messages = messages::resolve(manifest.messages.as_ref(), given.now, &mut faults);
    let errors = error_rules(manifest);
    let limits = limits::of_run(manifest, &mut faults);
    let state_dir = manifest.state.as_ref().and_then(|state| state.dir.clone()).unwrap_or_default();
    if state_dir.is_empty() {
        let fault = RuleFault::new(&["state", "dir"], "`dir` is empty");
        faults.push(fault.label("name a folder"));
    }
    let (Some(source), Some(destination)) = (source, destination) else {
        return Resolution { migrations: Vec::new(), faults, hints };
    };
    let (source, source_names) = source;
    let (destination, destination_names) = destination;
    limits::check_both(
        (&source.host, &source.limits),
        (&destination.host, &destination.limits),
        &mut faults,
    );
    if messages.search.is_some() && source_names.quirks.contains(&Quirk::NoSearch) {
        let fault = RuleFault::new(&["messages", "search"], "`search` asks a server that cannot");
        faults.push(fault.label("the source has the quirk `no-search`").on(On::Key));
    }
    let table = manifest.errors.as_ref();
    let rules = Rules {
        source: source_names,
        destination: destination_names,
        folders,
        messages,
        on_existing_flags: manifest
            .flags
            .as_ref()
            .and_then(|flags| flags.on_existing)
            .unwrap_or_default(),
        message_ceiling: None,
        allow_empty_source: table.and_then(|table| table.allow_empty_source).unwrap_or_default(),
    };
    let mode = manifest.mode.unwrap_or_default();
    let digest = digest(manifest, mode, (&source.user, &destination.user), &rules);
    let migration = Migration {
        account: source.user.clone(),
        mode,
        source,
        destination,
        rules,
        limits,
        errors,
        state_dir: given.folder.join(state_dir),
        foreign_values: given.foreign_values.to_vec(),
        digest,
    };
    Resolution { migrations: vec![migration], faults, hints }
}

fn error_rules(manifest: &Manifest) -> ErrorRules {
    let table = manifest.errors.clone().unwrap_or_default();
    ErrorRules {
        retries: table.retries.unwrap_or_default(),
        settle: table.settle.map(Period::duration).unwrap_or_default(),
        reconnect_for: table.reconnect_for.map(Period::duration).unwrap_or_default(),
        max_items: table.max_items,
    }
}

/// A table or a key that has to be there.
pub(crate) fn missing(path: &[&str], message: String) -> RuleFault {
    RuleFault::new(path, message).on(On::Missing)
}

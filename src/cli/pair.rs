//! State of an account pair, and faults of both sides as people read them.

use std::env;
use std::path::PathBuf;

use crate::cli::exit::ExitStatus;
use crate::mail::{Side, Timestamp, WireName};
use crate::report::Problem;
use crate::resolve::{Endpoint, Migration};
use crate::state::{OpenedPair, PairNames, Place, StateError};
use crate::store::StoreError;

/// Opens and locks the state of a migration.
pub(super) fn open(migration: &Migration, now: Timestamp) -> Result<OpenedPair, StateError> {
    let names = PairNames {
        name: &migration.account,
        source_user: &migration.source.user,
        source_host: &migration.source.host,
        destination_user: &migration.destination.user,
        destination_host: &migration.destination.host,
    };
    Place::open(&migration.state_dir)?.open_pair(&names, now)
}

/// The folder of the user that locks between runs with other state lie in.
pub(super) fn runtime_folder() -> PathBuf {
    let given = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let given = given.filter(|folder| folder.is_absolute() && folder.is_dir());
    let folder = given.unwrap_or_else(|| env::temp_dir().join(format!("mailferry-{}", user())));
    folder.join("mailferry")
}

/// The number of the user that this process runs as, as the system shows it.
fn user() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid())
}

/// A fault of state, and its code.
pub(super) fn state_problem(fault: &StateError) -> (Problem, ExitStatus) {
    let (sentence, status, hint) = match fault {
        StateError::Locked(_) => (
            "another run is working on this account",
            ExitStatus::Locked,
            "wait for it to end; it is safe to end it with Ctrl-C",
        ),
        StateError::DestinationLocked(_) => (
            "another run writes to the same destination account",
            ExitStatus::Locked,
            "wait for it to end: two of them would copy everything twice",
        ),
        StateError::Newer { .. } => (
            "a newer mailferry wrote this state",
            ExitStatus::Fault,
            "use that version, or another folder with [state] dir",
        ),
        _ => (
            "state cannot be read or written",
            ExitStatus::Fault,
            "look at the disk and the folder's owner; nothing is sent without a journal",
        ),
    };
    (Problem::new(sentence).detail("fault", fault.to_string()).hint(hint), status)
}

/// The source has nothing that the manifest takes, and its code.
pub(super) fn nothing_selected() -> (Problem, ExitStatus) {
    let problem = Problem::new("no folder of the source is selected")
        .hint("look at include, exclude and only-subscribed in [folders]")
        .hint("if that is meant: allow-empty-source = true in [errors]");
    (problem, ExitStatus::Unavailable)
}

/// Both ends are one mailbox, and its code.
pub(super) fn one_mailbox(folders: &[WireName]) -> (Problem, ExitStatus) {
    let names: Vec<_> = folders.iter().map(WireName::escaped).collect();
    one_mailbox_with("folders", names.join(", "))
}

/// As [`one_mailbox`], with what was found out as `text`.
pub(super) fn one_mailbox_with(label: &str, text: String) -> (Problem, ExitStatus) {
    let problem = Problem::new("source and destination are one mailbox")
        .detail(label, text)
        .hint(
            "one host name may lead to both servers after the move: name the old server otherwise",
        )
        .hint("to copy within one mailbox, state a root on both sides, neither inside the other");
    (problem, ExitStatus::WrongAccount)
}

/// A fault of one side, and its code.
pub(super) fn store_problem(
    side: Side,
    end: &Endpoint,
    fault: &StoreError,
) -> (Problem, ExitStatus) {
    let host = format!("{}:{}", end.host, end.port);
    match fault {
        StoreError::Login(refusal) if !fault.is_refused_login() => (
            Problem::new(format!("the {side} lets nobody in at the moment"))
                .detail("login", &end.user)
                .detail("host", host)
                .detail("it said", refusal.to_string())
                .hint(format!("fewer connections or logins: [{side}.limits]"))
                .hint("the same command may be run again: it goes on where this one stopped"),
            ExitStatus::Unavailable,
        ),
        StoreError::Login(refusal) => (
            Problem::new(format!("the {side} refused the login"))
                .detail("login", &end.user)
                .detail("host", host)
                .detail("it said", refusal.to_string())
                .hint("try the same name and password in a mail program first")
                .hint("providers with two-step login want an app password"),
            ExitStatus::LoginRefused,
        ),
        StoreError::NoMechanism(offered) => (
            Problem::new(format!("the {side} offers no way to log in that is known here"))
                .detail("host", host)
                .detail("offered", offered)
                .hint("many servers allow a login only under TLS: tls.mode = \"implicit\""),
            ExitStatus::LoginRefused,
        ),
        StoreError::Tls(why) => (
            Problem::new(format!("no trusted connection to the {side}"))
                .detail("host", host)
                .detail("wrong", why)
                .hint("if the certificate has another name of this server: tls.server-name")
                .hint("if its issuer is your own: tls.ca with the issuer's PEM file"),
            ExitStatus::Unavailable,
        ),
        StoreError::Refused(refusal) => (
            Problem::new(format!("the {side} refused what is needed"))
                .detail("host", host)
                .detail("it said", refusal.to_string()),
            ExitStatus::Unavailable,
        ),
        other => (
            Problem::new(format!("the {side} cannot be reached"))
                .detail("host", host)
                .detail("fault", other.to_string())
                .hint(format!("look at host and port in [{side}], and whether the server runs"))
                .hint("the same command may be run again: it goes on where this one stopped"),
            ExitStatus::Unavailable,
        ),
    }
}

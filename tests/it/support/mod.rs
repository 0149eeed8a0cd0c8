//! What integration tests stand on: real servers, a proxy that breaks connections, a server that
//! lies on demand, a raw client and sample mail. None of it names `mailferry`'s own modules, so that
//! a fault there cannot hide itself.
#![allow(dead_code, reason = "a toolbox: not every tool is in a test's hand at all times")]

pub(crate) mod census;
pub(crate) mod client;
pub(crate) mod dovecot;
pub(crate) mod job;
pub(crate) mod mail;
pub(crate) mod meddler;
pub(crate) mod proxy;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod syntax;

use std::path::PathBuf;

/// Returns the top of the project. `scripts/test.sh` sets the variable when it runs the tests from a
/// copy, as another user.
pub(crate) fn project() -> PathBuf {
    std::env::var_os("MAILFERRY_TEST_PROJECT")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// Returns the program under test.
pub(crate) fn mailferry() -> PathBuf {
    std::env::var_os("MAILFERRY_TEST_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_mailferry")), PathBuf::from)
}

/// Makes a short temporary folder, in memory where there is plenty. Servers keep sockets in it,
/// whose paths may not be long, and root's servers run as another user, who must get in.
pub(crate) fn short_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder_in_memory("mf-", "/tmp".as_ref());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Makes a temporary folder in memory where there is plenty, else in another one. Containers often have
/// 64 MB only: too little for two servers and a large message.
pub(crate) fn folder_in_memory(prefix: &str, other: &std::path::Path) -> tempfile::TempDir {
    const PLENTY: u64 = 2 << 30;
    let roomy = rustix::fs::statvfs("/dev/shm")
        .is_ok_and(|seen| seen.f_bavail.saturating_mul(seen.f_frsize) > PLENTY);
    let make =
        |parent: &std::path::Path| tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    let in_memory = roomy.then(|| make("/dev/shm".as_ref()).ok()).flatten();
    in_memory.unwrap_or_else(|| make(other).unwrap())
}

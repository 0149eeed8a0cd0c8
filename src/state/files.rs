//! Files and folders that nobody else can read, and locks that end with their process.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;

use crate::state::StateError;

/// Puts the path into the text of a fault of the system.
pub(crate) fn named(path: &Path, error: &io::Error) -> StateError {
    StateError::Io(io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))
}

/// Makes a folder and those above it, with mode 0700 from birth. One that is there stays as it is.
pub(crate) fn make_folder(path: &Path) -> Result<(), StateError> {
    if path.is_dir() {
        return Ok(());
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => make_folder(parent)?,
        _ => {}
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(named(path, &error)),
        Ok(()) => sync_folder_of(path),
    }
}

/// Makes a file with mode 0600 from birth; tells whether it was not there.
///
/// A file that is there is not opened: closing it would end locks that `SQLite` holds on it in this
/// process.
pub(crate) fn make_file(path: &Path, content: &[u8]) -> Result<bool, StateError> {
    let made = options().write(true).create_new(true).open(path);
    let mut file = match made {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(named(path, &error)),
    };
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| named(path, &error))?;
    sync_folder_of(path)?;
    Ok(true)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A new name is durable only when its folder is: a database whose name is lost with the power is
/// lost as a whole.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> Result<(), StateError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| named(folder, &error))
}

#[cfg(not(unix))]
fn sync_folder_of(_: &Path) -> Result<(), StateError> {
    Ok(())
}

/// Refuses a folder that somebody else could have prepared: it has to be a folder itself, ours, and
/// closed to others. In a folder for everybody such as `/tmp` any name may have been taken first.
#[cfg(unix)]
pub(crate) fn check_own_folder(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::MetadataExt as _;

    let fault = |error: io::Error| named(path, &error);
    let seen = fs::symlink_metadata(path).map_err(fault)?;
    if !seen.is_dir() {
        return Err(fault(io::Error::other("is not a folder, or only leads to one")));
    }
    if seen.mode() & 0o077 != 0 {
        return Err(fault(io::Error::other("is open to others; its mode has to be 0700")));
    }
    // Whoever owns a file that is made now is who runs this.
    let probe = tempfile::tempfile_in(path).map_err(fault)?;
    if probe.metadata().map_err(fault)?.uid() != seen.uid() {
        return Err(fault(io::Error::other("belongs to another user")));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check_own_folder(path: &Path) -> Result<(), StateError> {
    fs::symlink_metadata(path).map(drop).map_err(|error| named(path, &error))
}

/// A lock that is held until this is dropped or the process ends, however it ends. The file stays:
/// taking it away would let two processes lock two files of one name.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is ours.
    Held(Lock),
    /// Another has it: which process, for people.
    By(String),
}

impl Lock {
    /// Takes the lock on a file, without waiting.
    pub(crate) fn take(path: &Path) -> Result<Taken, StateError> {
        let fault = |error: io::Error| named(path, &error);
        let mut file = options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Taken::By(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(fault(error)),
        }
        file.set_len(0).map_err(fault)?;
        writeln!(file, "{}", std::process::id()).map_err(fault)?;
        Ok(Taken::Held(Self { _file: file }))
    }
}

/// The number may be missing for a moment after its process took the lock.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(number)) => format!("process {number}"),
        _ => "process unknown".to_owned(),
    }
}

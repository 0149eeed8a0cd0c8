//! Reads a password from where the manifest says it is. The only reader of secrets.

use std::env;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::resolve::SecretSource;

/// How long a command may take.
const COMMAND_TIME: Duration = Duration::from_mins(1);
/// No password is longer, nor the line that holds it.
const OCTETS_MAX: u64 = 64 << 10;

/// Why there is no secret. Display is a sentence without a full stop, and never holds the secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFault {
    /// The variable is not set, or not text.
    #[error("the environment variable `{0}` is not set")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("`{}` cannot be read: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        fault: io::Error,
    },
    /// The file is open to others.
    #[error("`{}` is open to others than its owner", .0.display())]
    OpenToOthers(PathBuf),
    /// The file is a folder, a socket or a device.
    #[error("`{}` is not a file", .0.display())]
    NotFile(PathBuf),
    /// The command cannot be started.
    #[error("`{program}` cannot be started: {fault}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        fault: io::Error,
    },
    /// The command did not end in time.
    #[error("`{0}` did not end within 60 s")]
    Slow(String),
    /// The command ended with a failure.
    #[error("`{program}` failed: {status}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
    },
    /// The first line is empty, too long, or not text.
    #[error("{0} gives no password in its first line")]
    Empty(String),
    /// It had to be asked for and was not answered.
    #[error("no password was given: {0}")]
    NotAnswered(io::Error),
}

impl SecretFault {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoVariable(name) => Some(format!("set {name}, and export it")),
            Self::OpenToOthers(path) => Some(format!("chmod 600 {}", path.display())),
            Self::Start { .. } => Some("a command is a list: program and arguments, no shell".into()),
            Self::NotAnswered(_) => Some(
                "without a terminal, write password = { file = \"…\" }, { env = \"…\" } or { command = […] }"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Reads the secret, or asks for it where the manifest leaves it out.
///
/// # Errors
///
/// A [`SecretFault`] that says why there is none.
pub fn read(
    source: Option<&SecretSource>,
    ask: &mut dyn FnMut() -> io::Result<SecretString>,
) -> Result<SecretString, SecretFault> {
    match source {
        None => ask().map_err(SecretFault::NotAnswered),
        Some(SecretSource::Env(name)) => match env::var(name) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                first_line(text.as_bytes(), || format!("the variable `{name}`"))
            }
            Err(_) => Err(SecretFault::NoVariable(name.clone())),
        },
        Some(SecretSource::File(path)) => from_file(path),
        Some(SecretSource::Command { argv, folder }) => from_command(argv, folder, COMMAND_TIME),
    }
}

fn first_line(octets: &[u8], from: impl Fn() -> String) -> Result<SecretString, SecretFault> {
    let line = octets.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(SecretString::from(text)),
        _ => Err(SecretFault::Empty(from())),
    }
}

fn from_file(path: &Path) -> Result<SecretString, SecretFault> {
    let fault = |fault| SecretFault::File { path: path.to_owned(), fault };
    // Looked at before it is opened: opening a pipe or a device may wait or act.
    if !std::fs::metadata(path).map_err(fault)?.is_file() {
        return Err(SecretFault::NotFile(path.to_owned()));
    }
    let file = File::open(path).map_err(fault)?;
    // And again what was opened: the name may lead elsewhere by now.
    let metadata = file.metadata().map_err(fault)?;
    if !metadata.is_file() {
        return Err(SecretFault::NotFile(path.to_owned()));
    }
    if is_open_to_others(&metadata) {
        return Err(SecretFault::OpenToOthers(path.to_owned()));
    }
    let octets = read_some(file).map_err(fault)?;
    first_line(&octets, || format!("`{}`", path.display()))
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

fn read_some(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // Made large enough at once: growing would leave copies behind.
    let capacity = usize::try_from(OCTETS_MAX).unwrap_or_default();
    let mut octets = Zeroizing::new(Vec::with_capacity(capacity));
    from.take(OCTETS_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

fn from_command(
    argv: &[String],
    folder: &Path,
    time: Duration,
) -> Result<SecretString, SecretFault> {
    let program = argv.first().cloned().unwrap_or_default();
    let start = |fault| SecretFault::Start { program: program.clone(), fault };
    let mut command = Command::new(located(&program, folder).map_err(start)?);
    command.args(argv.iter().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped());
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    let mut child = command.spawn().map_err(start)?;
    let output = child.stdout.take();
    let until = Instant::now() + time;
    let (sender, receiver) = mpsc::channel();
    // A thread of its own: a grandchild that keeps the pipe open must not hold us beyond the time.
    thread::spawn(move || {
        let read = output.map_or_else(|| Ok(Zeroizing::default()), read_some);
        let _ = sender.send(read);
    });
    let octets = match receiver.recv_timeout(time) {
        Ok(octets) => octets.map_err(start)?,
        Err(_) => return Err(stopped(child, program)),
    };
    loop {
        match child.try_wait().map_err(start)? {
            Some(status) if status.success() => {
                return first_line(&octets, || format!("`{program}`"));
            }
            Some(status) => {
                return Err(SecretFault::Failed { program, status: status.to_string() });
            }
            None if Instant::now() >= until => return Err(stopped(child, program)),
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A program with a slash in its name is beside the manifest; one without is searched for.
fn located(program: &str, folder: &Path) -> io::Result<PathBuf> {
    if program.contains('/') {
        std::path::absolute(folder.join(program))
    } else {
        Ok(PathBuf::from(program))
    }
}

fn stopped(mut child: Child, program: String) -> SecretFault {
    // It is too late for either to be of use if it fails.
    let _ = child.kill();
    let _ = child.wait();
    SecretFault::Slow(program)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn get(source: &SecretSource) -> Result<String, SecretFault> {
        let mut ask = || -> io::Result<SecretString> { panic!("asked") };
        read(Some(source), &mut ask).map(|secret| secret.expose_secret().to_owned())
    }

    fn shell(script: &str) -> SecretSource {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        SecretSource::Command { argv, folder: PathBuf::new() }
    }

    #[cfg(unix)]
    fn file(text: &str, mode: u32) -> (tempfile::TempDir, SecretSource) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, SecretSource::File(path))
    }

    #[cfg(unix)]
    #[test]
    fn a_file_gives_its_first_line() {
        let (_folder, source) = file("pass word \r\nsecond", 0o600);
        assert_eq!(get(&source).unwrap(), "pass word ");
        let (_folder, source) = file("\nsecond", 0o400);
        assert!(matches!(get(&source), Err(SecretFault::Empty(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        for mode in [0o640, 0o604, 0o620] {
            let (_folder, source) = file("x", mode);
            let fault = get(&source).unwrap_err();
            assert!(matches!(fault, SecretFault::OpenToOthers(_)), "{fault}");
            assert!(fault.hint().unwrap().starts_with("chmod 600 /"));
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let source = SecretSource::File(folder.path().to_owned());
        assert!(matches!(get(&source), Err(SecretFault::NotFile(_))));
        let source = SecretSource::File(folder.path().join("none"));
        assert!(matches!(get(&source), Err(SecretFault::File { .. })));
    }

    #[test]
    fn a_command_gives_its_first_line_and_must_end_well() {
        assert_eq!(get(&shell("echo 'a b'; echo c")).unwrap(), "a b");
        assert!(matches!(get(&shell("echo x; exit 3")), Err(SecretFault::Failed { .. })));
        assert!(matches!(get(&shell(":")), Err(SecretFault::Empty(_))));
        let none = SecretSource::Command {
            argv: vec!["no-such-program-here".to_owned()],
            folder: PathBuf::new(),
        };
        assert!(matches!(get(&none), Err(SecretFault::Start { .. })));
    }

    #[test]
    fn a_command_runs_in_the_folder_of_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("word"), "beside\n").unwrap();
        let argv = ["cat", "word"].map(str::to_owned).to_vec();
        let source = SecretSource::Command { argv, folder: folder.path().to_owned() };
        assert_eq!(get(&source).unwrap(), "beside");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        for script in ["sleep 30", "exec >&-; sleep 30", "sleep 30 & echo x"] {
            let argv = ["sh", "-c", script].map(str::to_owned);
            let began = Instant::now();
            let outcome = from_command(&argv, Path::new(""), Duration::from_millis(300));
            assert!(matches!(outcome, Err(SecretFault::Slow(_))), "{script}");
            assert!(began.elapsed() < Duration::from_secs(10), "{script}");
        }
    }

    #[test]
    fn a_command_that_writes_without_end_is_cut() {
        let outcome = from_command(
            &["sh", "-c", "yes"].map(str::to_owned),
            Path::new(""),
            Duration::from_secs(20),
        );
        assert!(matches!(outcome, Err(SecretFault::Failed { .. })), "{outcome:?}");
    }

    #[test]
    fn what_is_left_out_is_asked_for() {
        let mut ask = || Ok(SecretString::from("typed"));
        assert_eq!(read(None, &mut ask).unwrap().expose_secret(), "typed");
        let mut ask = || Err(io::Error::other("no terminal"));
        assert!(matches!(read(None, &mut ask), Err(SecretFault::NotAnswered(_))));
    }

    #[test]
    fn no_fault_holds_the_secret() {
        let outcome = get(&shell("echo hunter2; exit 1"));
        assert!(!format!("{outcome:?}").contains("hunter2"));
    }
}

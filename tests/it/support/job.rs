//! A migration as its user runs it: a folder with a manifest, and the program.
//!
//! The only place of the tests that runs the program and waits for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::support::folder_in_memory;
use crate::support::mailferry;
use crate::support::scripted::Scripted;
use crate::support::server::PASSWORD;
use crate::support::server::Server;

/// No command of these tests takes longer than this; one that does hangs.
const LONGEST: Duration = Duration::from_mins(4);

/// Where state lies unless the manifest says otherwise.
const STATE: &str = ".mailferry";

/// One end, as the manifest has it.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The host.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The login.
    pub(crate) user: String,
    /// The password, which gets to the program in a variable.
    pub(crate) password: String,
    /// More lines of the section.
    pub(crate) more: String,
    /// Connections, where `more` says nothing of them: as many as a server elsewhere gets.
    pub(crate) connections: Option<u16>,
}

impl End {
    /// The user `ann` of a scripted server.
    pub(crate) fn scripted(server: &Scripted) -> Self {
        Self::at(&server.host, server.port, "ann")
    }

    /// A user of a server, without TLS.
    pub(crate) fn of(server: &dyn Server, user: &str) -> Self {
        Self::at(server.host(), server.port(), user)
    }

    /// A user of whoever serves there, without TLS.
    pub(crate) fn at(host: &str, port: u16, user: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            user: user.to_owned(),
            password: PASSWORD.to_owned(),
            more: "tls.mode = \"none\"\n".to_owned(),
            connections: Some(4),
        }
    }

    /// The same with another password.
    pub(crate) fn password(self, password: &str) -> Self {
        Self { password: password.to_owned(), ..self }
    }

    /// The same with more lines of the section.
    pub(crate) fn more(self, lines: &str) -> Self {
        Self { more: format!("{}{lines}\n", self.more), ..self }
    }

    fn section(&self, name: &str) -> String {
        let Self { host, port, user, more, .. } = self;
        let silent = more.contains("limits.connections");
        let connections = self.connections.filter(|_| !silent);
        let connections = connections.map(|many| format!("limits.connections = {many}\n"));
        format!(
            "[{name}]\nhost = \"{host}\"\nport = {port}\nuser = \"{user}\"\n\
             password = {{ env = \"{}\" }}\n{more}\n{}\n",
            password_variable(name),
            connections.unwrap_or_default()
        )
    }
}

/// The variable that holds the password of a side.
fn password_variable(side: &str) -> String {
    format!("PASSWORD_OF_{}", side.to_uppercase())
}

/// A migration.
#[derive(Debug)]
pub(crate) struct Job {
    /// Where mail is read.
    pub(crate) source: End,
    /// Where mail is written.
    pub(crate) destination: End,
    /// What `[errors]` holds.
    pub(crate) errors: String,
    /// The rest of the manifest.
    pub(crate) more: String,
    /// Where state lies, below the job's folder.
    pub(crate) state: String,
    /// What `MAILFERRY_LOG` says.
    log: Option<&'static str>,
    runtime: PathBuf,
    folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; nothing after a signal that was not caught.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it told.
    pub(crate) stderr: String,
    /// The most memory that it held, in KiB.
    pub(crate) peak: u64,
    /// How long it took.
    pub(crate) time: Duration,
}

impl Ran {
    /// Demands an exit code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document that was printed.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|fault| panic!("{fault}: {}\n{}", self.stdout, self.stderr))
    }

    /// The reasons of all items, with their counts, of an `apply --json`.
    #[track_caller]
    pub(crate) fn item_reasons(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for item in self.json()["accounts"][0]["items"].as_array().unwrap() {
            *reasons.entry(item["reason"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        reasons
    }
}

impl Job {
    /// A job whose waits for late appends take a second.
    pub(crate) fn new(source: End, destination: End) -> Self {
        // The journal waits for its disk at each commit, which tells nothing here.
        let folder = folder_in_memory("mf-job-", &std::env::temp_dir());
        let runtime = folder.path().join("run");
        std::fs::create_dir(&runtime).unwrap();
        let job = Self {
            source,
            destination,
            errors: "settle = \"1 s\"\nreconnect-for = \"20 s\"\n".to_owned(),
            more: String::new(),
            state: STATE.to_owned(),
            log: None,
            runtime,
            folder,
        };
        job.write();
        job
    }

    /// A job that waits for a server that is away for two seconds only; `more` are further lines of
    /// `[errors]`, and tables after it.
    pub(crate) fn hasty(source: End, destination: End, more: &str) -> Self {
        let mut job = Self::new(source, destination);
        job.errors = format!("settle = \"1 s\"\nreconnect-for = \"2 s\"\n{more}\n");
        job.write();
        job
    }

    /// The same with everything logged that any part of the program logs, the libraries included.
    pub(crate) fn logging_all(self) -> Self {
        Self { log: Some("trace"), ..self }
    }

    /// Writes the manifest anew, after a field was changed.
    pub(crate) fn write(&self) {
        std::fs::write(self.path("mailferry.toml"), self.manifest()).unwrap();
    }

    /// The manifest.
    pub(crate) fn manifest(&self) -> String {
        format!(
            "version = 1\n\n{}{}[errors]\n{}\n{}\n",
            self.source.section("source"),
            self.destination.section("destination"),
            self.errors,
            self.more
        )
    }

    /// The job's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the job's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where state lies.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.path(&self.state)
    }

    /// Lets this job use another one's runtime folder, as two runs of one user on one host do.
    pub(crate) fn shares_host_with(&mut self, other: &Self) {
        self.runtime.clone_from(&other.runtime);
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).wait()
    }

    /// Runs a command, which has to end with this code.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Ran {
        self.run(arguments).ends(code)
    }

    /// Saves a plan as `plan`.
    #[track_caller]
    pub(crate) fn plan(&self) -> Ran {
        self.run(&["plan", "-o", "plan"]).ends(0)
    }

    /// Applies the saved plan.
    #[track_caller]
    pub(crate) fn apply(&self) -> Ran {
        self.run(&["apply", "plan", "--json"])
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(mailferry());
        self.equip(command.args(arguments));
        begin(self.folder(), command)
    }

    /// Gives a command what this job's manifest asks of its surroundings.
    pub(crate) fn equip(&self, command: &mut Command) {
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        if self.state != STATE {
            command.env("MAILFERRY__STATE__DIR", &self.state);
        }
        for (side, end) in [("source", &self.source), ("destination", &self.destination)] {
            command.env(password_variable(side), &end.password);
        }
        if let Some(log) = self.log {
            command.env("MAILFERRY_LOG", log);
        }
    }

    /// All files below the folder, with what is in them.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let octets = std::fs::read(&path).unwrap();
                    files.push((path, octets));
                }
            }
        }
        files.sort();
        files
    }

    /// How many intents without outcome the journals of this job hold.
    pub(crate) fn open_intents(&self) -> u64 {
        databases(&self.state_folder()).iter().map(|path| count(path, "intents")).sum()
    }

    /// How many links the journals of this job hold.
    pub(crate) fn links(&self) -> u64 {
        databases(&self.state_folder()).iter().map(|path| count(path, "links")).sum()
    }
}

/// Runs the program in a folder to its end, without any job.
#[track_caller]
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(mailferry());
    command.args(arguments);
    begin(folder, command).wait()
}

/// Starts a command in a folder, without a terminal.
fn begin(folder: &Path, mut command: Command) -> Running {
    let output = folder_in_memory("mf-out-", &std::env::temp_dir());
    let file = |name: &str| std::fs::File::create(output.path().join(name)).unwrap();
    let child = command
        .current_dir(folder)
        .env("TZ", "UTC")
        .env("NO_COLOR", "1")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap();
    Running { child, output, peak: 0, began: Instant::now() }
}

fn databases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(databases(&entry.path()));
        } else if entry.file_name() == "state.db" {
            found.push(entry.path());
        }
    }
    found
}

fn count(path: &Path, table: &str) -> u64 {
    let database = rusqlite::Connection::open(path).unwrap();
    let rows: i64 =
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    u64::try_from(rows).unwrap()
}

/// A command that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    output: TempDir,
    peak: u64,
    began: Instant,
}

impl Running {
    /// Kills it at once.
    pub(crate) fn kill(mut self) -> Ran {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and watches its memory meanwhile.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ran {
        let status = PathBuf::from(format!("/proc/{}/status", self.child.id()));
        let ended = loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                break ended;
            }
            // Grows only, so that the last look is the one that counts.
            self.peak = self.peak.max(high_water_mark(&status).unwrap_or_default());
            assert!(self.began.elapsed() < LONGEST, "hangs: {}", self.read("stderr"));
            std::thread::sleep(Duration::from_millis(2));
        };
        let ran = Ran {
            code: ended.code(),
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
            peak: self.peak,
            time: self.began.elapsed(),
        };
        assert!(!ran.stderr.contains("panicked at") && ran.code != Some(101), "{ran:#?}");
        ran
    }

    /// What it has told so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        let octets = std::fs::read(self.output.path().join(name)).unwrap();
        String::from_utf8_lossy(&octets).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is as good.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The most memory that a process held, in KiB.
fn high_water_mark(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

//! What tests ask of any throwaway server: where it is, and how it names folders.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::project;
use crate::support::short_folder;

/// The password of every user.
pub(crate) const PASSWORD: &str = "pass";

/// A server without TLS, at which any user may log in.
pub(crate) trait Server: Sync {
    /// The address.
    fn host(&self) -> &str;

    /// The port without TLS.
    fn port(&self) -> u16;

    /// The hierarchy delimiter.
    fn separator(&self) -> char;

    /// The prefix of the personal namespace.
    fn prefix(&self) -> &str;

    /// Logs in with the raw client.
    fn login(&self, user: &str) -> Client {
        let mut client = Client::connect(self.host(), self.port());
        client.login(user, PASSWORD);
        client
    }

    /// Returns a folder's name on this server, from components: prefix and delimiter put in.
    fn name(&self, components: &[&str]) -> String {
        if components == ["INBOX"] {
            return "INBOX".to_owned();
        }
        format!("{}{}", self.prefix(), components.join(&self.separator().to_string()))
    }

    /// Returns the components of a folder's name on this server.
    fn components(&self, name: &str) -> Vec<String> {
        let name = name.strip_prefix(self.prefix()).unwrap_or(name);
        name.split(self.separator()).map(str::to_owned).collect()
    }
}

/// A server that one of the project's scripts runs. It is gone when this is dropped or the test
/// process dies.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The address.
    pub(crate) host: String,
    /// The port without TLS.
    pub(crate) port: u16,
    /// The port with TLS; 0 where there is none.
    pub(crate) tls_port: u16,
    keeper: Child,
}

impl Kept {
    /// Runs `scripts/NAME.sh run ...`, of which `program` has to be there.
    pub(crate) fn start(name: &str, program: &str, command: &mut Command) -> Self {
        let servers = project().join(".servers");
        let there = servers.join(program).exists();
        assert!(there, "no {name} below {}: run scripts/servers.sh", servers.display());
        // The keeper ends the server when this pipe closes: on drop, and by whatever death of ours.
        let mut keeper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["ready", host, port, tls_port] = words[..] else {
            let mut text = String::new();
            keeper.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("{name} did not start: {line}{text}");
        };
        Self {
            host: host.to_owned(),
            port: port.parse().unwrap(),
            tls_port: tls_port.parse().unwrap(),
            keeper,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing to do about a keeper that cannot be waited for, least of all while panicking.
        let _ended = self.keeper.wait();
    }
}

/// A running Cyrus: `/`, no prefix.
#[derive(Debug)]
pub(crate) struct Cyrus {
    kept: Kept,
    _folder: TempDir,
}

impl Cyrus {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let (kept, folder) = run("cyrus", "cyrus/usr/lib/cyrus/bin/imapd");
        Self { kept, _folder: folder }
    }
}

impl Server for Cyrus {
    fn host(&self) -> &str {
        &self.kept.host
    }

    fn port(&self) -> u16 {
        self.kept.port
    }

    fn separator(&self) -> char {
        '/'
    }

    fn prefix(&self) -> &'static str {
        ""
    }
}

/// A running Courier: `.`, prefix `INBOX.`.
#[derive(Debug)]
pub(crate) struct Courier {
    kept: Kept,
    _folder: TempDir,
}

impl Courier {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let (kept, folder) = run("courier", "courier/usr/bin/imapd");
        Self { kept, _folder: folder }
    }
}

impl Server for Courier {
    fn host(&self) -> &str {
        &self.kept.host
    }

    fn port(&self) -> u16 {
        self.kept.port
    }

    fn separator(&self) -> char {
        '.'
    }

    fn prefix(&self) -> &'static str {
        "INBOX."
    }
}

fn run(name: &str, program: &str) -> (Kept, TempDir) {
    let folder = short_folder();
    let mut command = Command::new("bash");
    command.arg(project().join(format!("scripts/{name}.sh")));
    command.arg("run").arg(folder.path().join("d"));
    (Kept::start(name, program, &mut command), folder)
}

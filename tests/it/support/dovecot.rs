//! Throwaway Dovecots, started by `scripts/dovecot.sh`, gone when the value is dropped or the test
//! process dies.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use crate::support::client::Client;
use crate::support::project;
use crate::support::server::Kept;
pub(crate) use crate::support::server::PASSWORD;
use crate::support::server::Server;
use crate::support::short_folder;

/// How messages lie on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// One file a message.
    Maildir,
    /// Dovecot's own.
    Sdbox,
}

/// Whether there is a port with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// The plain port only.
    No,
    /// A second port, with a certificate from an authority made for this server.
    Implicit,
}

/// Whether passwords may go over the plain port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plaintext {
    /// They may.
    Allowed,
    /// The server announces LOGINDISABLED and refuses them.
    LoginDisabled,
}

/// Whether folders with well-known names announce a special use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpecialUse {
    /// `Drafts`, `Junk`, `Trash`, `Sent` and `Archive` do, once they exist.
    Announced,
    /// None does.
    None,
}

/// What kind of Dovecot to start.
#[derive(Clone, Debug)]
pub(crate) struct DovecotOptions {
    /// The hierarchy delimiter.
    pub(crate) separator: char,
    /// The prefix of the personal namespace.
    pub(crate) prefix: String,
    /// How messages lie on disk.
    pub(crate) storage: Storage,
    /// Special uses.
    pub(crate) special_use: SpecialUse,
    /// TLS.
    pub(crate) tls: Tls,
    /// Passwords over the plain port.
    pub(crate) plaintext: Plaintext,
    /// How many octets an account may hold.
    pub(crate) quota: Option<u64>,
    /// Whether access rights hide every folder, INBOX too, from everybody.
    pub(crate) hidden: bool,
    /// Whether COMPRESS=DEFLATE is offered after login.
    pub(crate) compress: bool,
}

impl DovecotOptions {
    /// `/` and no prefix, maildir.
    pub(crate) fn slash() -> Self {
        Self {
            separator: '/',
            prefix: String::new(),
            storage: Storage::Maildir,
            special_use: SpecialUse::Announced,
            tls: Tls::No,
            plaintext: Plaintext::Allowed,
            quota: None,
            hidden: false,
            compress: false,
        }
    }

    /// `.` and the prefix `INBOX.`, sdbox.
    pub(crate) fn dot() -> Self {
        Self {
            separator: '.',
            prefix: "INBOX.".to_owned(),
            storage: Storage::Sdbox,
            ..Self::slash()
        }
    }
}

/// A running Dovecot.
#[derive(Debug)]
pub(crate) struct Dovecot {
    /// The address.
    pub(crate) host: String,
    /// The port without TLS.
    pub(crate) imap_port: u16,
    /// The port with TLS, where there is one.
    pub(crate) imaps_port: Option<u16>,
    /// The certificate of the authority that signed the server's, where there is TLS.
    pub(crate) ca_pem_path: Option<PathBuf>,
    options: DovecotOptions,
    // Before the folder, so that it ends before what it keeps there is removed.
    _kept: Kept,
    folder: TempDir,
}

impl Server for Dovecot {
    fn host(&self) -> &str {
        &self.host
    }

    fn port(&self) -> u16 {
        self.imap_port
    }

    fn separator(&self) -> char {
        self.options.separator
    }

    fn prefix(&self) -> &str {
        &self.options.prefix
    }
}

impl Dovecot {
    /// Starts one.
    pub(crate) fn start(options: DovecotOptions) -> Self {
        let folder = short_folder();
        let mut command = Command::new("bash");
        command.arg(project().join("scripts/dovecot.sh")).arg("run").arg(folder.path().join("d"));
        command.args(["--sep", &options.separator.to_string(), "--prefix", &options.prefix]);
        command.args([
            "--storage",
            match options.storage {
                Storage::Maildir => "maildir",
                Storage::Sdbox => "sdbox",
            },
        ]);
        command.args([
            "--special",
            if options.special_use == SpecialUse::Announced { "yes" } else { "no" },
            "--plaintext",
            if options.plaintext == Plaintext::Allowed { "yes" } else { "no" },
        ]);
        if let Some(quota) = options.quota {
            command.args(["--quota", &quota.to_string()]);
        }
        command.args(["--hidden", if options.hidden { "yes" } else { "no" }]);
        command.args(["--compress", if options.compress { "yes" } else { "no" }]);
        let ca_pem_path = (options.tls == Tls::Implicit).then(|| {
            let certificates = Certificates::make(folder.path());
            command.arg("--cert").arg(&certificates.certificate);
            command.arg("--key").arg(&certificates.key);
            certificates.authority
        });
        let kept = Kept::start("dovecot", "usr/sbin/dovecot", &mut command);
        Self {
            host: kept.host.clone(),
            imap_port: kept.port,
            imaps_port: ca_pem_path.is_some().then_some(kept.tls_port),
            ca_pem_path,
            options,
            _kept: kept,
            folder,
        }
    }

    /// Logs in over the plain port with the raw client.
    pub(crate) fn login(&self, user: &str) -> Client {
        Server::login(self, user)
    }

    /// Returns a folder's name on this server, from components: prefix and delimiter put in.
    pub(crate) fn name(&self, components: &[&str]) -> String {
        Server::name(self, components)
    }

    /// What the server wrote about itself.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("d/dovecot.log")).unwrap_or_default()
    }

    /// Ends every IMAP session in order, as an administrator does: the server says goodbye. Returns
    /// how many there were.
    pub(crate) fn end_sessions(&self) -> usize {
        let master = std::fs::read_to_string(self.folder.path().join("d/run/master.pid")).unwrap();
        let master: i32 = master.trim().parse().unwrap();
        let mut ended = 0;
        for process in std::fs::read_dir("/proc").unwrap().map(Result::unwrap) {
            let name = process.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(parent) = parent(&process.path()) else { continue };
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            if parent == master && line.ends_with(b"/imap\0") {
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
                ended += 1;
            }
        }
        ended
    }

    /// Returns where a user's mail lies on disk.
    pub(crate) fn home(&self, user: &str) -> PathBuf {
        self.folder.path().join("d/mail").join(user)
    }

    /// Puts a message into an existing maildir folder as a file, octet for octet: for what APPEND
    /// would refuse or repair. `components` is the folder's path, empty for INBOX.
    pub(crate) fn put_file(&self, user: &str, components: &[&str], octets: &[u8]) {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        assert_eq!(self.options.storage, Storage::Maildir, "only a maildir takes files");
        let mut maildir = self.home(user).join("Maildir");
        maildir.extend(components);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = maildir.join("new").join(format!("{}.M{number}P1.test", 1_600_000_000 + number));
        std::fs::write(&file, octets).unwrap();
        own_like(&maildir, &file);
    }

    /// Copies everything that a user has on disk to `to`, as a backup taken behind the server's back.
    pub(crate) fn back_up(&self, user: &str, to: &Path) {
        copy_tree(&self.home(user), to);
    }

    /// Puts a backup back in place of what is there. Let no session of the user be open.
    pub(crate) fn restore(&self, user: &str, from: &Path) {
        std::fs::remove_dir_all(self.home(user)).unwrap();
        copy_tree(from, &self.home(user));
    }
}

/// The parent of a process; nothing for one that has ended.
fn parent(process: &Path) -> Option<i32> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

fn own_like(model: &Path, file: &Path) {
    let seen = std::fs::metadata(model).unwrap();
    std::os::unix::fs::chown(file, Some(seen.uid()), Some(seen.gid())).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg("-T").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}

struct Certificates {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn make(folder: &Path) -> Self {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "mailferry test authority");
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let server_key = rcgen::KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1", "127.0.0.2"].map(str::to_owned).to_vec();
        let server =
            rcgen::CertificateParams::new(names).unwrap().signed_by(&server_key, &issuer).unwrap();
        let made = Self {
            authority: folder.join("ca.pem"),
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        std::fs::write(&made.authority, authority_certificate.pem()).unwrap();
        std::fs::write(&made.certificate, server.pem()).unwrap();
        std::fs::write(&made.key, server_key.serialize_pem()).unwrap();
        made
    }
}

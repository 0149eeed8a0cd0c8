//! A small `IMAP4rev1` server in memory that can be told to lie, to refuse and to break off.
//!
//! It keeps one mailbox for whoever logs in with the right password, offers just the capabilities
//! that a test names, and notes every command. After [`Scripted::forbid_changes`] anything that
//! changes state is a violation, and so is a FETCH that would set `\Seen`; a test with violations
//! fails when the server is dropped, if it has not taken them before.

mod append;
mod fetch;
mod folders;
mod search;
mod session;
mod world;

use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

pub(crate) use crate::support::scripted::world::Folder;

use crate::support::scripted::session::Session;
use crate::support::scripted::world::World;

/// What the server is like.
#[derive(Clone, Debug)]
pub(crate) struct ScriptedOptions {
    /// What CAPABILITY says beside `IMAP4rev1`. `STATUS=SIZE`, `APPENDLIMIT=n` and the like change
    /// what it does; what is not named here is refused.
    pub(crate) capabilities: Vec<String>,
    /// The hierarchy delimiter.
    pub(crate) separator: char,
    /// The prefix of the personal namespace.
    pub(crate) prefix: String,
    /// What becomes of keywords.
    pub(crate) keywords: Keywords,
    /// What becomes of an empty message.
    pub(crate) empty: EmptyAppend,
    /// What happens to a non-synchronising literal behind a bad APPEND line.
    pub(crate) bad_literal: BadLiteral,
    /// What APPENDUID says.
    pub(crate) append_uid: AppendUid,
    /// What UIDNEXT says.
    pub(crate) uid_next: UidNext,
    /// The password that opens the mailbox, whoever logs in.
    pub(crate) password: String,
}

/// What becomes of keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keywords {
    /// They are kept.
    Kept,
    /// They are dropped in silence; PERMANENTFLAGS has no `\*`.
    Dropped,
}

/// What becomes of an empty message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyAppend {
    /// Refused with NO, as Dovecot and Cyrus do.
    Refused,
    /// Stored.
    Stored,
}

/// What happens to a non-synchronising literal behind a bad APPEND line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLiteral {
    /// Its octets are read as commands, as Dovecot does. Each is a violation.
    Executed,
    /// Its octets are skipped, as Cyrus does.
    Skipped,
}

/// What APPENDUID says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendUid {
    /// The truth.
    Honest,
    /// Nothing.
    Missing,
    /// For a set: the UIDs in the wrong order. For one: the UID before it.
    Swapped,
    /// Another UIDVALIDITY.
    Foreign,
    /// One UID, for however many messages.
    Short,
}

/// What UIDNEXT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UidNext {
    /// The truth.
    Honest,
    /// Nothing.
    Absent,
    /// Always this.
    Always(u64),
    /// So much less than the truth.
    Stale(u64),
    /// So much more than the truth.
    High(u64),
}

impl ScriptedOptions {
    /// A server with all that the program knows how to use.
    pub(crate) fn full() -> Self {
        Self::offering(&[
            "SASL-IR",
            "AUTH=PLAIN",
            "AUTH=LOGIN",
            "ID",
            "ENABLE",
            "NAMESPACE",
            "UNSELECT",
            "LITERAL+",
            "MULTIAPPEND",
            "UIDPLUS",
            "LIST-EXTENDED",
            "LIST-STATUS",
            "SPECIAL-USE",
            "CREATE-SPECIAL-USE",
            "OBJECTID",
            "STATUS=SIZE",
            "CONDSTORE",
        ])
    }

    /// A server with nothing but `IMAP4rev1` and the LOGIN command.
    pub(crate) fn bare() -> Self {
        Self::offering(&[])
    }

    /// A server with these capabilities.
    pub(crate) fn offering(capabilities: &[&str]) -> Self {
        Self {
            capabilities: capabilities.iter().map(|word| (*word).to_owned()).collect(),
            separator: '/',
            prefix: String::new(),
            keywords: Keywords::Kept,
            empty: EmptyAppend::Refused,
            bad_literal: BadLiteral::Executed,
            append_uid: AppendUid::Honest,
            uid_next: UidNext::Honest,
            password: "pass".to_owned(),
        }
    }

    fn offers(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|word| word.eq_ignore_ascii_case(capability))
    }

    fn append_limit(&self) -> Option<u64> {
        self.capabilities.iter().find_map(|word| word.strip_prefix("APPENDLIMIT=")?.parse().ok())
    }
}

/// A command that has been read whole, as a hook sees it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Which command it is, over all connections, from 1; 0 for a new connection, whose verb is
    /// `GREETING`.
    pub(crate) number: usize,
    /// Which connection it came over, from 1.
    pub(crate) connection: usize,
    /// The verb in upper case, such as `UID FETCH`.
    pub(crate) verb: String,
    /// The command without tag, literals shortened to `{n}`.
    pub(crate) line: String,
}

/// What a hook makes of a command.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// What the server would do anyway.
    Normal,
    /// Nothing is done; this is sent. `{tag}` stands for the tag.
    Instead(Vec<u8>),
    /// Nothing is done; tagged NO with this text.
    No(String),
    /// Nothing is done; tagged BAD with this text.
    Bad(String),
    /// Nothing is done; the connection is closed.
    Close,
    /// It is done; the reply is lost and the connection closed.
    DoAndClose,
    /// It is done; this is sent in place of the reply. `{tag}` stands for the tag.
    DoAndSay(Vec<u8>),
    /// This is sent first, then the normal reply.
    SayFirst(Vec<u8>),
    /// The server is silent for so long, then goes on.
    Wait(Duration),
    /// Nothing is done; this is sent again and again, as long as anybody takes it.
    Forever(Vec<u8>),
    /// Nothing is done; this is sent octet by octet, again and again, with this pause.
    Drip(Vec<u8>, Duration),
}

type Hook = Box<dyn FnMut(&Event) -> Reaction + Send>;
type Refusal = Box<dyn Fn(&[u8]) -> Option<String> + Send>;

/// A running server.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    options: ScriptedOptions,
    world: Mutex<World>,
    hook: Mutex<Option<Hook>>,
    refusal: Mutex<Option<Refusal>>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    stopped: bool,
    streams: Vec<TcpStream>,
}

impl Scripted {
    /// Starts one, with an empty INBOX.
    pub(crate) fn start(options: ScriptedOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = World::new(&options);
        let shared = Arc::new(Shared {
            options,
            world: Mutex::new(world),
            hook: Mutex::default(),
            refusal: Mutex::default(),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for (number, stream) in (1..).zip(listener.incoming()) {
                let Ok(stream) = stream else { return };
                {
                    let mut open = lock(&serving.open);
                    if open.stopped {
                        return;
                    }
                    open.streams.extend(stream.try_clone());
                }
                let shared = Arc::clone(&serving);
                // A client that has gone ends its session; there is nobody to tell.
                std::thread::spawn(move || Session::new(shared, stream, number).serve().ok());
            }
        });
        Self { host: "127.0.0.1".to_owned(), port, shared }
    }

    /// Makes a folder, given in wire form, unless it is there.
    pub(crate) fn add_folder(&self, name: &str) {
        self.world().make(name.as_bytes());
    }

    /// Makes a folder with a special use.
    pub(crate) fn add_role(&self, name: &str, role: &str) {
        let mut world = self.world();
        world.make(name.as_bytes());
        world.folder_mut(name.as_bytes()).unwrap().roles.push(role.to_owned());
    }

    /// Subscribes to a folder.
    pub(crate) fn subscribe(&self, name: &str) {
        self.world().subscribed.insert(name.as_bytes().to_vec());
    }

    /// Puts a message into a folder that exists, and returns its UID.
    pub(crate) fn put(&self, folder: &str, flags: &[&str], date: &str, octets: &[u8]) -> u64 {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut world = self.world();
        world.folder_mut(folder.as_bytes()).unwrap().add(flags, date, octets)
    }

    /// Returns a copy of a folder.
    pub(crate) fn folder(&self, name: &str) -> Option<Folder> {
        self.world().folders.get(name.as_bytes()).cloned()
    }

    /// Returns the names of all folders that can be opened, sorted.
    pub(crate) fn folders(&self) -> Vec<String> {
        let world = self.world();
        let selectable = world.folders.iter().filter(|(_, folder)| folder.selectable);
        selectable.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// Changes a folder behind every session's back.
    pub(crate) fn alter(&self, name: &str, change: impl FnOnce(&mut Folder)) {
        change(self.world().folder_mut(name.as_bytes()).unwrap());
    }

    /// Deletes a folder behind every session's back.
    pub(crate) fn remove_folder(&self, name: &str) {
        self.world().folders.remove(name.as_bytes());
    }

    /// Sets the hook that sees every command before it is carried out.
    pub(crate) fn on_command(&self, hook: impl FnMut(&Event) -> Reaction + Send + 'static) {
        *lock(&self.shared.hook) = Some(Box::new(hook));
    }

    /// Takes the hook away.
    pub(crate) fn be_normal(&self) {
        *lock(&self.shared.hook) = None;
    }

    /// Refuses messages for which the function returns a text: `NO text`. A response code may
    /// stand at its start.
    pub(crate) fn refuse_messages(
        &self,
        refusal: impl Fn(&[u8]) -> Option<String> + Send + 'static,
    ) {
        *lock(&self.shared.refusal) = Some(Box::new(refusal));
    }

    /// From here on every command that changes anything is a violation (and still carried out).
    pub(crate) fn forbid_changes(&self) {
        self.world().changes_forbidden = true;
    }

    /// Takes back [`Scripted::forbid_changes`].
    pub(crate) fn permit_changes(&self) {
        self.world().changes_forbidden = false;
    }

    /// Returns all commands so far, over all connections, without tags, literals as `{n}`.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.world().commands.clone()
    }

    /// Forgets the commands so far.
    pub(crate) fn forget_commands(&self) {
        self.world().commands.clear();
    }

    /// Takes the violations out: they no longer fail the test.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.world().violations)
    }

    /// Closes all connections; new ones are served.
    pub(crate) fn drop_connections(&self) {
        for stream in lock(&self.shared.open).streams.drain(..) {
            // Already closed is as good.
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        lock(&self.shared.open).stopped = true;
        self.drop_connections();
        // Wakes the listener, so that it sees that it is over.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        let violations = self.take_violations();
        if !std::thread::panicking() {
            assert!(violations.is_empty(), "against the rules:\n{}", violations.join("\n"));
        }
    }
}

/// Locks also what a panicking thread held: the test wants to see it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

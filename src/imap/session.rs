//! One session: from the greeting to LOGOUT, one command at a time.
//!
//! # In, out
//!
//! In: commands as [`Command`] values. Out: raw responses, read by [`reader`].
//! The protocol crate gives the tags and watches the answers; commands that need a literal, and the
//! transfer path, use the same wire while it is idle.
//!
//! # Never
//!
//! * Never uses the connection after anything but OK, NO or BAD.
//! * Never sends a non-synchronising literal here, but one of nothing.

mod appending;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::imap::ability;
use crate::imap::append;
use crate::imap::append::Proof;
use crate::imap::append::Trials;
use crate::imap::command::foreign_tag;
use crate::imap::compress::Compressor;
use crate::imap::fetch::Opened;
use crate::imap::gated;
use crate::imap::known::{Known, Met};
use crate::imap::login::Redactor;
use crate::imap::open::Access;
use crate::imap::pace::Pace;
use crate::imap::pace::Way;
use crate::imap::reader;
use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::reader::Parsed;
use crate::imap::reader::Status;
use crate::imap::request::Command;
use crate::imap::request::Part;
use crate::imap::tap::Answer;
use crate::imap::tap::Exchange;
use crate::imap::tap::Tap;
use crate::imap::wire::Wire;
use crate::limit::Gate;
use crate::limit::Slot;
use crate::mail::MailboxId;
use crate::mail::UidValidity;
use crate::mail::WireName;
use crate::store::Abilities;
use crate::store::Compression;
use crate::store::FolderState;
use crate::store::Namespace;
use crate::store::Refusal;
use crate::store::ServerSeen;
use crate::store::StoreError;

/// How often a command is sent again that the server put off.
const PUT_OFF_MAX: u32 = 3;

/// The personal namespaces, and those of others (RFC 2342).
pub(super) type Namespaces = (Vec<Namespace>, Vec<Namespace>);

/// The folder that is open.
#[derive(Clone, Debug)]
pub(super) struct OpenFolder {
    /// Its name.
    pub(super) name: WireName,
    /// Its state when it was opened.
    pub(super) state: FolderState,
    /// How many messages it holds, kept up since.
    pub(super) opened: Opened,
    /// How it was opened.
    pub(super) access: Access,
    /// It was opened by whoever uses the session now: nobody goes by what another one saw.
    pub(super) of_now: bool,
}

/// What a command brought that ended OK.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    /// Untagged responses, raw, in order.
    pub(super) untagged: Vec<Vec<u8>>,
    /// The code of the tagged OK.
    pub(super) code: Option<Code>,
}

impl Reply {
    /// The untagged responses, read.
    pub(super) fn data(&self) -> impl Iterator<Item = Data> + '_ {
        self.untagged.iter().filter_map(|raw| match reader::parse(raw) {
            Parsed::Untagged(data) => Some(data),
            _ => None,
        })
    }
}

/// A session that is logged in.
pub(super) struct Session {
    imap: imap::Session<Tap>,
    tap: Tap,
    seen: ServerSeen,
    abilities: Abilities,
    known: Known,
    redactor: Redactor,
    open: Option<OpenFolder>,
    can_unselect: bool,
    /// Once they were asked for.
    namespaces: Option<Namespaces>,
    /// Counts the connection; nothing where nobody counts.
    slot: Option<Slot>,
    /// What this server has accepted in an APPEND on this connection.
    proof: Proof,
    /// Folders that were opened in this session: a later opening must find the same ones.
    identities: BTreeMap<WireName, (UidValidity, Option<MailboxId>)>,
    pub(super) compressor: Compressor,
}

impl Session {
    /// Takes over what is logged in. Abilities and ID are still to be told.
    pub(super) fn new(
        imap: imap::Session<Tap>,
        tap: Tap,
        seen: ServerSeen,
        known: Known,
        redactor: Redactor,
    ) -> Self {
        let proof = Proof::with(Arc::clone(&known.kept));
        Self {
            imap,
            tap,
            seen,
            abilities: Abilities::default(),
            known,
            redactor,
            open: None,
            can_unselect: false,
            namespaces: None,
            slot: None,
            proof,
            identities: BTreeMap::new(),
            compressor: Compressor::default(),
        }
    }

    /// Takes what the server announced.
    pub(super) fn learn(&mut self, capabilities: &[String]) {
        self.abilities = ability::read(capabilities, &self.known);
        self.can_unselect = capabilities.iter().any(|word| word == "UNSELECT");
        self.compressor = Compressor::new(&self.known.compression, self.abilities.compress);
    }

    /// Takes who the server said it is, as the first session with it or as one that another one told.
    pub(super) fn learn_id(&mut self, id: Option<String>) {
        let round_trip = self.with_pace(|pace| pace.round_trip());
        let met = self.known.met.get_or_init(|| Met { id, round_trip }).clone();
        self.with_pace(|pace| pace.take_round_trip(met.round_trip));
        self.seen.id = met.id.map(|id| self.redactor.clean(id));
    }

    /// Whether the session compresses, and why.
    pub(super) const fn compression(&self) -> Compression {
        self.compressor.state()
    }

    /// Tells whether the server answers so soon that it must be in the same house.
    pub(super) fn is_near(&self) -> bool {
        self.with_pace(|pace| pace.is_near())
    }

    /// Tells whether it is open if the session is to compress, and nothing was measured yet that
    /// decides it.
    pub(super) fn wants_measuring(&self) -> bool {
        self.compressor.state() == Compression::Undecided
            && !self.compressor.is_due(self.tap.exchange().wire_mut())
    }

    /// Has the session compress, if enough is known by now to say that it is worth it. To be called
    /// between commands, as often as one likes.
    ///
    /// # Errors
    ///
    /// Those of a connection, which is then given up.
    pub(super) fn consider_compression(&mut self) -> Result<(), StoreError> {
        let mut exchange = self.tap.exchange();
        if exchange.is_dead() {
            return Err(given_up());
        }
        let open = &mut self.open;
        let connections = self.known.connections();
        let considered = self.compressor.consider(exchange.wire_mut(), connections, &mut |data| {
            if let Some(open) = open {
                open.opened.note(&data);
            }
        });
        drop(exchange);
        considered.map_err(|fault| self.settle(fault))
    }

    pub(super) const fn seen(&self) -> &ServerSeen {
        &self.seen
    }

    pub(super) const fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// The folder that is open, as it was when it was opened.
    pub(super) const fn open_folder(&self) -> Option<&OpenFolder> {
        self.open.as_ref()
    }

    /// Takes over what counts its connection.
    pub(super) fn occupy(&mut self, slot: Option<Slot>) {
        self.slot = slot;
    }

    /// Lends the wire and the open folder's count to the transfer path, if the connection stands. `way`
    /// is what moves meanwhile, if it is much.
    ///
    /// # Errors
    ///
    /// Those of `transfer`, after which a connection that is not good is given up.
    pub(super) fn transfer<T>(
        &mut self,
        way: Option<Way>,
        transfer: impl FnOnce(&mut Wire, &mut Opened) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pass_the_gate()?;
        let mut exchange = self.tap.exchange();
        let Some(open) = self.open.as_mut().filter(|_| !exchange.is_dead()) else {
            return Err(given_up());
        };
        exchange.begin();
        exchange.wire_mut().pace_mut().moves(way);
        let done = transfer(exchange.wire_mut(), &mut open.opened);
        exchange.wire_mut().pace_mut().moves(None);
        drop(exchange);
        done.map_err(|fault| self.settle(fault))
    }

    /// Lends the wire to commands that are sent ahead, with the session beside it. They must not run
    /// a command by [`run`](Self::run) meanwhile. `way` is what moves meanwhile, if it is much.
    ///
    /// # Errors
    ///
    /// Those of `work`, after which a connection that is not good is given up.
    pub(super) fn ahead<T>(
        &mut self,
        way: Option<Way>,
        work: impl FnOnce(&mut Self, &mut Exchange) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.pass_the_gate()?;
        let tap = self.tap.clone();
        let mut exchange = tap.exchange();
        if exchange.is_dead() {
            return Err(given_up());
        }
        exchange.begin();
        exchange.wire_mut().pace_mut().moves(way);
        let done = work(self, &mut exchange);
        exchange.wire_mut().pace_mut().moves(None);
        drop(exchange);
        done.map_err(|fault| self.settle(fault))
    }

    /// How fast the line is.
    pub(super) fn with_pace<T>(&self, deed: impl FnOnce(&mut Pace) -> T) -> T {
        deed(self.tap.exchange().wire_mut().pace_mut())
    }

    /// Sends a command, given without tag and line end, along with the next one. Nobody waits for what
    /// becomes of it.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn say_aside(&mut self, command: &str) -> Result<(), StoreError> {
        self.pass_the_gate()?;
        let said = self.tap.exchange().wire_mut().put_aside(command);
        said.map_err(|fault| self.settle(fault))
    }

    /// Tells whether appends may go without waiting for their literals, once they are proved.
    fn has_windows(&self) -> bool {
        let ways = &self.abilities.append;
        let is_stopped = self.known.windows_stopped.load(Ordering::Relaxed);
        (ways.literal_plus || ways.literal_minus) && !is_stopped
    }

    /// What is to be asked by probes before the first message goes, each once in a session; nothing once
    /// all was asked, or where nothing may be.
    pub(super) fn probes_due(&mut self) -> Option<append::Asked> {
        let may = self.has_windows() && self.abilities.append.refuses_empty;
        if may { self.proof.begin_probes() } else { None }
    }

    /// Takes what was said to probes.
    pub(super) fn take_probes(
        &mut self,
        asked: append::Asked,
        answers: &[Option<Result<Reply, Refusal>>],
        folder: &WireName,
    ) {
        append::take_probes(asked, answers, folder, &mut self.proof);
    }

    /// Trials of flags, in folders that are opened and left again; none where they would be of no use.
    pub(super) fn trials(&self) -> Trials {
        Trials::new(&self.proof, self.has_windows() && self.can_unselect())
    }

    /// Takes what was said to trials.
    pub(super) fn take_trials(&mut self, trials: Trials) {
        trials.conclude(&mut self.proof);
    }

    /// Notes that a command with this name's octets was answered OK.
    pub(super) fn accepted(&mut self, folder: &WireName) {
        self.proof.accept_mailbox(folder);
    }

    /// A refusal without secrets.
    pub(super) fn clean_refusal(&self, refusal: Refusal) -> Refusal {
        self.redactor.clean_refusal(refusal)
    }

    /// A fault without secrets.
    pub(super) fn clean(&self, fault: StoreError) -> StoreError {
        self.redactor.clean_fault(fault)
    }

    /// Gives the connection up: whatever follows fails at once.
    pub(super) fn give_up(&mut self) {
        self.open = None;
        self.tap.exchange().set_dead();
    }

    /// The fault without secrets; after one that ends the connection, nothing is sent any more.
    pub(super) fn settle(&mut self, fault: StoreError) -> StoreError {
        gated::heed(self.known.gate.as_ref(), &fault);
        if !fault.connection_is_good() {
            self.give_up();
        }
        self.redactor.clean_fault(fault)
    }

    /// Waits until the next command may be sent.
    fn pass_the_gate(&mut self) -> Result<(), StoreError> {
        gated::before_command(self.known.gate.as_ref()).inspect_err(|_| self.give_up())
    }

    /// The gate that connections to this server pass.
    pub(super) fn gate(&self) -> Option<Gate> {
        self.known.gate.clone()
    }

    /// Runs a command. One that the server puts off is sent again when it is asked to be.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] for NO and BAD.
    pub(super) fn run(&mut self, command: &Command) -> Result<Reply, StoreError> {
        let mut tries = 0;
        loop {
            self.pass_the_gate()?;
            match self.run_once(command) {
                Err(StoreError::Refused(refusal))
                    if self.known.gate.is_some()
                        && refusal.asks_for_patience()
                        && tries < PUT_OFF_MAX =>
                {
                    tries += 1;
                }
                ran => return ran,
            }
        }
    }

    fn run_once(&mut self, command: &Command) -> Result<Reply, StoreError> {
        let ran = match command.line() {
            Some(line) => self.run_line(&line),
            None => self.run_parts(command),
        };
        match ran {
            Ok(reply) => {
                // What came and went in the open folder meanwhile.
                if let Some(open) = &mut self.open {
                    reply.data().for_each(|data| open.opened.note(&data));
                }
                Ok(reply)
            }
            Err(fault) => Err(self.settle(fault)),
        }
    }

    fn run_line(&mut self, line: &str) -> Result<Reply, StoreError> {
        self.tap.exchange().begin();
        let ended = self.imap.run_command_and_check_ok(line);
        reply_of(&self.tap, ended)
    }

    /// Runs a command with literals; the server's `+` is awaited before each.
    fn run_parts(&mut self, command: &Command) -> Result<Reply, StoreError> {
        let mut exchange = self.tap.exchange();
        exchange.begin();
        if exchange.is_dead() {
            return Err(given_up());
        }
        if !command.is_sayable() {
            return Err(StoreError::Unsayable("a line break or NUL inside a command".to_owned()));
        }
        tracing::trace!(command = %command.traced(), "sent");
        let tag = exchange.wire_mut().tag();
        exchange.wire_mut().put(tag.as_bytes())?;
        exchange.wire_mut().put(b" ")?;
        for part in command.parts() {
            match part {
                Part::Text(text) => exchange.wire_mut().put(text)?,
                Part::Nothing => {
                    let text = "a literal of nothing is only sent ahead".to_owned();
                    return Err(StoreError::Unsayable(text));
                }
                Part::Literal(octets) => {
                    exchange.wire_mut().put(format!("{{{}}}\r\n", octets.len()).as_bytes())?;
                    exchange.wire_mut().flush()?;
                    if let Answer::Tagged = exchange.next()? {
                        return match end_of(&mut exchange)? {
                            (answered, _) if answered != tag => Err(foreign_tag(&answered)),
                            // OK in place of `+`: what it agreed to is not what was asked.
                            (_, Ok(_)) => {
                                Err(StoreError::Protocol("OK to half a command".to_owned()))
                            }
                            (_, Err(refusal)) => Err(StoreError::Refused(refusal)),
                        };
                    }
                    exchange.wire_mut().put(octets)?;
                }
            }
        }
        exchange.wire_mut().put(b"\r\n")?;
        exchange.wire_mut().flush()?;
        answer_to(&mut exchange, &tag)?.map_err(StoreError::Refused)
    }

    /// Remembers a folder that was opened.
    pub(super) fn set_open(&mut self, open: Option<OpenFolder>) {
        self.open = open;
    }

    /// How many messages the open folder holds.
    pub(super) fn opened_mut(&mut self) -> Option<&mut Opened> {
        self.open.as_mut().map(|open| &mut open.opened)
    }

    /// The namespaces, once they were asked for.
    pub(super) const fn namespaces(&self) -> Option<&Namespaces> {
        self.namespaces.as_ref()
    }

    pub(super) fn set_namespaces(&mut self, namespaces: Namespaces) {
        self.namespaces = Some(namespaces);
    }

    /// Tells whether the server knows UNSELECT (RFC 3691).
    pub(super) const fn can_unselect(&self) -> bool {
        self.can_unselect
    }

    pub(super) const fn identities(
        &mut self,
    ) -> &mut BTreeMap<WireName, (UidValidity, Option<MailboxId>)> {
        &mut self.identities
    }

    /// Tells whether the connection can be used, as far as is known.
    pub(super) fn is_alive(&self) -> bool {
        !self.tap.exchange().is_dead()
    }

    /// Begins anew for another user of it: what was seen of folders is forgotten.
    pub(super) fn renew(&mut self, known: Known) {
        self.known = known;
        self.identities.clear();
        if let Some(open) = &mut self.open {
            open.of_now = false;
        }
    }

    /// Says LOGOUT, if the connection still stands; its answer is of no interest, and not waited for.
    pub(super) fn close(&mut self) {
        let mut exchange = self.tap.exchange();
        if exchange.is_dead() {
            return;
        }
        let wire = exchange.wire_mut();
        let line = format!("{} LOGOUT\r\n", wire.tag());
        if wire.put(line.as_bytes()).and_then(|()| wire.flush()).is_err() {
            tracing::debug!("the server did not take LOGOUT");
        } else if self.known.gate.as_ref().is_some_and(Gate::counts_days) {
            // What it answers counts for the day as well.
            while let Ok(Answer::Continue(_)) = exchange.next() {}
        }
        drop(exchange);
        self.give_up();
    }
}

/// The fault of a connection that is not to be used any more.
pub(super) fn given_up() -> StoreError {
    StoreError::Connection("it was given up before".to_owned())
}

/// Reads up to the answer of a command with this tag: the next one, or it is no answer to it.
///
/// # Errors
///
/// Those that end the connection.
pub(super) fn answer_to(
    exchange: &mut Exchange,
    tag: &str,
) -> Result<Result<Reply, Refusal>, StoreError> {
    let (answered, end) = next_answer(exchange)?;
    if tag == answered { Ok(end) } else { Err(foreign_tag(&answered)) }
}

/// Reads up to the next answer of a command; returns also its tag.
///
/// # Errors
///
/// Those that end the connection.
pub(super) fn next_answer(
    exchange: &mut Exchange,
) -> Result<(String, Result<Reply, Refusal>), StoreError> {
    while let Answer::Continue(_) = exchange.next()? {}
    end_of(exchange)
}

/// Reads how a command ended that `imap` ran.
pub(super) fn reply_of(tap: &Tap, ended: Result<(), imap::Error>) -> Result<Reply, StoreError> {
    let mut exchange = tap.exchange();
    match ended {
        Ok(()) | Err(imap::Error::No(_) | imap::Error::Bad(_)) => {
            end_of(&mut exchange)?.1.map_err(StoreError::Refused)
        }
        Err(fault) => Err(exchange.take_fault().unwrap_or_else(|| match fault {
            imap::Error::TagMismatch(_) => {
                StoreError::Protocol("an answer to a command that was not sent".to_owned())
            }
            imap::Error::Validate(_) => {
                StoreError::Unsayable("a line break inside a command".to_owned())
            }
            imap::Error::Io(_) | imap::Error::ConnectionLost => given_up(),
            _ => StoreError::Protocol("an answer that fits no command".to_owned()),
        })),
    }
}

/// Reads the tagged line: its tag, and a reply for OK, a refusal for NO and BAD.
fn end_of(exchange: &mut Exchange) -> Result<(String, Result<Reply, Refusal>), StoreError> {
    let Parsed::Tagged { tag, status, code, text } = reader::parse(exchange.tagged()) else {
        return Err(StoreError::Protocol("neither OK, NO nor BAD for an answer".to_owned()));
    };
    tracing::trace!(?status, "answered");
    let end = match status {
        Status::Ok => Ok(Reply { untagged: exchange.take_seen(), code }),
        Status::No => Err(reader::refusal(false, code, text, &[])),
        Status::Bad => Err(reader::refusal(true, code, text, &[])),
    };
    Ok((tag, end))
}

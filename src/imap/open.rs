//! Opening folders: EXAMINE and SELECT (RFC 9051 §6.3.2, §6.3.3).
//!
//! # Never
//!
//! * Never opens for writing but to change flags, and an empty folder that is about to be written to.
//! * Never goes on in a folder that took the place of the one that was opened before.

use crate::imap::ahead;
use crate::imap::append;
use crate::imap::append::Trials;
use crate::imap::fetch::Opened;
use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::request::Command;
use crate::imap::session::OpenFolder;
use crate::imap::session::Reply;
use crate::imap::session::Session;
use crate::mail::Flag;
use crate::mail::MailboxId;
use crate::mail::ModSeq;
use crate::mail::PermanentFlags;
use crate::mail::Uid;
use crate::mail::UidValidity;
use crate::mail::WireName;
use crate::store::Coming;
use crate::store::FolderState;
use crate::store::ResponseCode;
use crate::store::StoreError;

/// How a folder is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// EXAMINE: leaves no mark.
    Read,
    /// SELECT.
    Write,
}

/// What is sent along with the opening of folders.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// To open the folder at this place.
    Open(usize),
    /// To open it only to be read, before that.
    Peek(usize),
    /// To find out about flags, in the folder at this place: the trial of this number.
    Trial { place: usize, number: usize },
    /// To find out about appends: the probe of this number.
    Probe(usize),
    /// To leave the last folder.
    Leave,
}

/// What is sent to open folders one after the other.
struct Opening {
    commands: Vec<Command>,
    /// What each command is sent for.
    purposes: Vec<Purpose>,
    /// What is asked by probes, and the place of the folder in which.
    asked: Option<(append::Asked, usize)>,
    trials: Trials,
}

impl Opening {
    fn add(&mut self, command: Command, purpose: Purpose) {
        self.commands.push(command);
        self.purposes.push(purpose);
    }

    fn try_out(&mut self, place: usize, trials: Vec<(usize, Command)>) {
        for (number, trial) in trials {
            self.add(trial, Purpose::Trial { place, number });
        }
    }
}

impl Session {
    /// Opens a folder anew with EXAMINE, and takes it for what it is now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where it cannot be opened, [`StoreError::Unusable`] where it has no
    /// UIDVALIDITY.
    pub(super) fn examine(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        self.identities().remove(folder);
        self.open_as(folder, Access::Read)
    }

    /// Sees to it that the folder is open, in either way.
    ///
    /// # Errors
    ///
    /// As [`examine`](Self::examine), and [`StoreError::Replaced`] where another folder has taken
    /// the place of the one that this session opened under this name.
    pub(super) fn ensure_open(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        match self.open_folder() {
            Some(open) if open.name == *folder && open.of_now => Ok(open.state.clone()),
            _ => self.open_as(folder, Access::Read),
        }
    }

    /// Sees to it that the folder is open for writing.
    ///
    /// # Errors
    ///
    /// As [`ensure_open`](Self::ensure_open).
    pub(super) fn select(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        match self.open_folder() {
            Some(open) if open.name == *folder && open.of_now && open.access == Access::Write => {
                Ok(open.state.clone())
            }
            _ => self.open_as(folder, Access::Write),
        }
    }

    /// Sees to it that this folder is not open. Courier refuses to append to one that is open for
    /// reading, and any server would report each message that is appended to an open one.
    ///
    /// # Errors
    ///
    /// Those of a connection.
    pub(super) fn leave(&mut self, folder: &WireName) -> Result<(), StoreError> {
        let Some(open) = self.open_folder().filter(|open| open.name == *folder) else {
            return Ok(());
        };
        let left = if self.can_unselect() {
            self.run(&Command::new("UNSELECT"))
        } else if open.access == Access::Read {
            // Of a folder that was opened with EXAMINE, CLOSE removes nothing (RFC 3501 §6.4.2).
            self.run(&Command::new("CLOSE"))
        } else {
            self.run(&Command::new("EXAMINE").folder(folder))
                .and_then(|_| self.run(&Command::new("CLOSE")))
        };
        self.set_open(None);
        match left {
            Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Opens a folder for writing and leaves it again.
    ///
    /// # Errors
    ///
    /// As [`ensure_open`](Self::ensure_open).
    pub(super) fn prepare(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        let state = self.select(folder)?;
        self.leave(folder)?;
        Ok(state)
    }

    /// Opens folders for writing, as [`prepare`](Self::prepare) does each, and leaves the last one. In those
    /// to which messages are coming it is found out along with that which of their flags the server
    /// understands.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn prepare_all(
        &mut self,
        folders: &[WireName],
        coming: &[Coming],
    ) -> Result<Vec<Result<FolderState, StoreError>>, StoreError> {
        let mut states: Vec<Option<FolderState>> = vec![None; folders.len()];
        let Opening { commands, purposes, asked, mut trials } = self.opening(folders, coming);
        let probed = asked.map(|(asked, place)| append::probes(asked, &folders[place]).len());
        let mut probes = vec![None; probed.unwrap_or_default()];
        let (mut turn, mut open) = (0, None);
        self.set_open(None);
        let ran = self.run_ahead(&commands, &mut |session, at, answer| {
            if let Purpose::Trial { place, number } = purposes[at] {
                // Some servers answer what they refuse before what they accept.
                if open == Some(place) {
                    trials.take(number, answer.as_ref().err());
                }
                return Ok(());
            }
            if let Purpose::Probe(number) = purposes[at] {
                probes[number] = Some(answer);
                return Ok(());
            }
            let is_question =
                |purpose: &Purpose| matches!(purpose, Purpose::Trial { .. } | Purpose::Probe(_));
            turn += purposes[turn..].iter().take_while(|purpose| is_question(purpose)).count();
            if at != turn {
                return Err(StoreError::Protocol("folders were opened out of turn".to_owned()));
            }
            turn += 1;
            match purposes[at] {
                Purpose::Trial { .. } | Purpose::Probe(_) | Purpose::Leave => {
                    session.set_open(None);
                }
                Purpose::Peek(place) => {
                    session.set_open(None);
                    open = answer.is_ok().then_some(place);
                }
                Purpose::Open(place) => {
                    session.set_open(None);
                    open = answer.is_ok().then_some(place);
                    let Ok(reply) = answer else { return Ok(()) };
                    states[place] = session.opened_ahead(&folders[place], &reply);
                }
            }
            Ok(())
        });
        // Also where the line was lost behind them: what was stored is to be told.
        if let Some((asked, place)) = asked {
            self.take_probes(asked, &probes, &folders[place]);
        }
        ran?;
        self.take_trials(trials);
        if let Some(open) = self.open_folder().map(|open| open.name.clone()) {
            self.leave(&open)?;
        }
        let mut prepared = Vec::new();
        for (folder, state) in folders.iter().zip(states) {
            let state = state.map_or_else(|| self.prepare(folder), Ok);
            match state {
                Err(fault) if !fault.connection_is_good() => return Err(fault),
                done => prepared.push(done),
            }
        }
        Ok(prepared)
    }

    /// Finds out what the server understands of appends, by probes in this folder, as far as that is due.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn acquaint(&mut self, folder: &WireName) -> Result<(), StoreError> {
        let Some(asked) = self.probes_due() else { return Ok(()) };
        let mut commands = append::probes(asked, folder);
        let mut answers = vec![None; commands.len()];
        commands.push(Command::new("NOOP"));
        let ran = self.run_ahead(&commands, &mut |_, at, answer| {
            if let Some(place) = answers.get_mut(at) {
                *place = Some(answer);
            }
            Ok(())
        });
        // Also where the line was lost behind them: what was stored is to be told.
        self.take_probes(asked, &answers, folder);
        ran
    }

    /// What to send to open folders for writing, one after the other. What is to be known before the first
    /// message goes takes no round trip of its own.
    fn opening(&mut self, folders: &[WireName], coming: &[Coming]) -> Opening {
        let trials = self.trials();
        let (commands, purposes) = (Vec::new(), Vec::new());
        let mut opening = Opening { commands, purposes, asked: None, trials };
        let mut first = None;
        if opening.trials.may_be() && self.open_folder().is_some() {
            // A server may keep what is open where it refuses to open another folder: nothing is tried in
            // one that is not new.
            opening.add(Command::new("UNSELECT"), Purpose::Leave);
        }
        let mut is_new = true;
        for (place, folder) in folders.iter().enumerate() {
            let open = self.to_open(folder, Access::Write);
            if !ahead::is_short(&open) {
                continue;
            }
            first = first.or(Some(place));
            let trials = opening.trials.in_folder(folder, coming);
            if !trials.is_empty() && !is_new {
                opening.add(Command::new("UNSELECT"), Purpose::Leave);
            }
            is_new = coming.iter().any(|coming| coming.is_made && coming.folder == *folder);
            if !is_new && !trials.is_empty() {
                opening.add(self.to_open(folder, Access::Read), Purpose::Peek(place));
                opening.try_out(place, trials);
                opening.add(open, Purpose::Open(place));
            } else {
                opening.add(open, Purpose::Open(place));
                opening.try_out(place, trials);
            }
        }
        if let Some(first) = first.filter(|_| self.can_unselect()) {
            opening.asked = self.probes_due().map(|asked| (asked, first));
            if let Some((asked, _)) = opening.asked {
                let probes = append::probes(asked, &folders[first]);
                for (number, probe) in probes.into_iter().enumerate() {
                    opening.add(probe, Purpose::Probe(number));
                }
            }
            opening.add(Command::new("UNSELECT"), Purpose::Leave);
        }
        opening
    }

    /// Takes what was said to a SELECT that was sent ahead. What is not as expected is opened once more by
    /// itself, and told as it is then.
    fn opened_ahead(&mut self, folder: &WireName, reply: &Reply) -> Option<FolderState> {
        self.accepted(folder);
        let state = read(reply, Access::Write).ok()?;
        let is_told = state.mailbox_id.is_some() || !self.abilities().object_id;
        let is_entered = is_told && self.enter(folder, Access::Write, state.clone()).is_ok();
        is_entered.then_some(state)
    }

    /// Leaves the open folder as [`leave`](Self::leave) does; where one word does it, that is returned,
    /// to be sent together with what follows. From then on no folder is open.
    ///
    /// # Errors
    ///
    /// Those that end a connection.
    pub(super) fn leave_with_next(&mut self) -> Result<Option<&'static str>, StoreError> {
        let Some(open) = self.open_folder() else { return Ok(None) };
        let (name, access) = (open.name.clone(), open.access);
        let word = match access {
            _ if self.can_unselect() => "UNSELECT",
            Access::Read => "CLOSE",
            Access::Write => return self.leave(&name).map(|()| None),
        };
        self.set_open(None);
        Ok(Some(word))
    }

    fn open_as(&mut self, folder: &WireName, access: Access) -> Result<FolderState, StoreError> {
        // A refused EXAMINE leaves no folder open (RFC 9051 §6.3.2).
        self.set_open(None);
        let reply = match self.run(&self.to_open(folder, access)) {
            Err(StoreError::Refused(refusal)) if refusal.bad && self.abilities().condstore => {
                self.run(&access.command(folder))?
            }
            ran => ran?,
        };
        self.accepted(folder);
        let mut state = read(&reply, access)?;
        if state.mailbox_id.is_none() && self.status_tells_id() {
            state.mailbox_id = match self.run(&to_identify(folder)) {
                Ok(reply) => mailbox_id(&reply),
                Err(StoreError::Refused(_)) => None,
                Err(fault) => return Err(fault),
            };
        }
        self.enter(folder, access, state.clone())?;
        Ok(state)
    }

    /// The command that opens a folder.
    pub(super) fn to_open(&self, folder: &WireName, access: Access) -> Command {
        let plain = access.command(folder);
        // Dovecot tells HIGHESTMODSEQ only to who has asked for it before (RFC 7162 §3.1.8).
        if self.abilities().condstore { plain.words("(CONDSTORE)") } else { plain }
    }

    /// Takes a folder that the server has opened for the open one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replaced`], as [`ensure_open`](Self::ensure_open).
    pub(super) fn enter(
        &mut self,
        folder: &WireName,
        access: Access,
        state: FolderState,
    ) -> Result<(), StoreError> {
        // An empty folder has no identity but a MAILBOXID: see `Destination::prepare`.
        if state.messages > 0 || state.mailbox_id.is_some() {
            let identity = (state.uid_validity, state.mailbox_id.clone());
            let known = self.identities().entry(folder.clone());
            if *known.or_insert_with(|| identity.clone()) != identity {
                return Err(StoreError::Replaced);
            }
        }
        let opened = Opened::new(&state);
        let name = folder.clone();
        self.set_open(Some(OpenFolder { name, state, opened, access, of_now: true }));
        Ok(())
    }
}

impl Access {
    fn command(self, folder: &WireName) -> Command {
        let verb = match self {
            Self::Read => "EXAMINE",
            Self::Write => "SELECT",
        };
        Command::new(verb).folder(folder)
    }
}

/// The command that asks for the MAILBOXID of a folder whose opening did not tell it.
fn to_identify(folder: &WireName) -> Command {
    Command::new("STATUS").folder(folder).words("(MAILBOXID)")
}

/// What [`to_identify`] was answered.
fn mailbox_id(reply: &Reply) -> Option<MailboxId> {
    reply.data().find_map(|data| match data {
        Data::StatusOf { status, .. } => status.mailbox_id,
        _ => None,
    })
}

/// Reads what EXAMINE or SELECT told.
///
/// # Errors
///
/// [`StoreError::Unusable`] where messages cannot be told apart by what it told.
pub(super) fn read(reply: &Reply, access: Access) -> Result<FolderState, StoreError> {
    let mut messages = None;
    let mut uid_validity = None;
    let mut uid_next = None;
    let mut highest_mod_seq = None;
    let mut mailbox_id = None;
    let mut permanent_flags = None;
    let mut flags = Vec::new();
    let mut codes: Vec<Code> = Vec::new();
    for data in reply.data() {
        match data {
            Data::Exists(count) => messages = Some(count),
            Data::Flags(list) => flags = list,
            Data::Status { code: Some(code), .. } => codes.push(code),
            _ => {}
        }
    }
    codes.extend(reply.code.clone());
    for code in codes {
        match code {
            Code::UidValidity(number) => uid_validity = UidValidity::new(number),
            Code::UidNext(number) => uid_next = Uid::new(number),
            Code::HighestModSeq(number) => highest_mod_seq = Some(ModSeq(number)),
            Code::NoModSeq => highest_mod_seq = None,
            Code::MailboxId(id) => mailbox_id = Some(id),
            Code::PermanentFlags(list) => permanent_flags = Some(list),
            Code::Other(ResponseCode::Other(word)) if word == "UIDNOTSTICKY" => {
                return Err(StoreError::Unusable("its UIDs do not last (UIDNOTSTICKY)".to_owned()));
            }
            _ => {}
        }
    }
    let unusable = |what: &str| StoreError::Unusable(what.to_owned());
    Ok(FolderState {
        messages: messages.ok_or_else(|| unusable("the server does not count its messages"))?,
        uid_validity: uid_validity.ok_or_else(|| unusable("it has no UIDVALIDITY"))?,
        uid_next,
        highest_mod_seq: highest_mod_seq.filter(|number| number.0 > 0),
        mailbox_id,
        permanent_flags: permanent(permanent_flags, access),
        flags: flags.iter().filter_map(|flag| Flag::from_wire(flag)).collect(),
    })
}

/// What can be kept. Servers answer EXAMINE with an empty list, since nothing can be changed in a
/// folder that is open for reading: that tells nothing of the folder.
fn permanent(list: Option<Vec<Vec<u8>>>, access: Access) -> PermanentFlags {
    match list {
        None => PermanentFlags::all(),
        Some(list) if list.is_empty() && access == Access::Read => PermanentFlags::all(),
        Some(list) => PermanentFlags {
            any_keyword: list.iter().any(|flag| flag == b"\\*"),
            listed: list.iter().filter_map(|flag| Flag::from_wire(flag)).collect(),
        },
    }
}

//! Making folders and subscribing to them.

use crate::imap::ahead::Answers;
use crate::imap::append;
use crate::imap::look::Gathered;
use crate::imap::request::Command;
use crate::imap::session::Session;
use crate::mail::Role;
use crate::mail::WireName;
use crate::store::Created;
use crate::store::Refusal;
use crate::store::ResponseCode;
use crate::store::StoreError;

impl Session {
    /// Creates a folder, with its special use where the server can (RFC 6154 §3). One that is
    /// there already is as good.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where it is not made and not there.
    pub(super) fn create(
        &mut self,
        folder: &WireName,
        role: Option<Role>,
    ) -> Result<(), StoreError> {
        let plain = self.to_create(folder, None);
        let with_use = self.to_create(folder, role);
        if with_use != plain {
            match self.run(&with_use) {
                // The folder matters more than its use: another one may have that already.
                Err(StoreError::Refused(refusal)) if !is_there(&refusal) => {}
                Ok(_) => {
                    self.accepted(folder);
                    return Ok(());
                }
                Err(StoreError::Refused(_)) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        }
        match self.run(&plain) {
            Ok(_) => {
                self.accepted(folder);
                Ok(())
            }
            Err(StoreError::Refused(refusal)) if is_there(&refusal) => Ok(()),
            Err(StoreError::Refused(refusal)) if refusal.code.is_none() && !refusal.bad => {
                // Not every server has a code for it: one that can be looked at is there.
                match self.status(folder) {
                    Ok(_) => Ok(()),
                    Err(StoreError::Refused(_)) => Err(StoreError::Refused(refusal)),
                    Err(fault) => Err(fault),
                }
            }
            Err(fault) => Err(fault),
        }
    }

    /// Creates folders in this order, as [`create`](Self::create) does each, and tells what became of
    /// each. What the server refuses at first is tried again one by one, behind all others. A listing is
    /// asked for in the same breath; a server that looks before it has made all of them is not
    /// listened to.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn create_all(
        &mut self,
        folders: &[(WireName, Option<Role>)],
        acquaint: Option<&WireName>,
    ) -> Result<Created, StoreError> {
        let commands: Vec<_> =
            folders.iter().map(|(folder, role)| self.to_create(folder, *role)).collect();
        let asked = acquaint.and_then(|folder| Some((self.probes_due()?, folder)));
        let probes = asked.map_or_else(Vec::new, |(asked, folder)| append::probes(asked, folder));
        let mut said = vec![None; probes.len()];
        let mut tell = |place: usize, answer| said[place] = Some(answer);
        let ran = self.run_all_and_list(&probes, &mut tell, commands);
        // Also where the line was lost behind them: what was stored is to be told.
        if let Some((asked, folder)) = asked {
            self.take_probes(asked, &said, folder);
        }
        let (answers, mut gathered) = ran?;
        let are_made = answers.iter().all(|answer| answer.as_ref().err().is_none_or(is_there));
        let are_listed = |gathered: &mut Gathered| {
            are_made && folders.iter().all(|(folder, _)| gathered.has_selectable(folder))
        };
        let listing = match gathered.take_if(are_listed) {
            Some(gathered) => Some(self.listing(gathered)?),
            None => None,
        };
        for ((folder, _), answer) in folders.iter().zip(&answers) {
            if answer.is_ok() {
                self.accepted(folder);
            }
        }
        let ends = self.ends(answers, is_there, |session, place| {
            let (folder, role) = &folders[place];
            session.create(folder, *role)
        })?;
        Ok(Created { ends, listing })
    }

    fn to_create(&self, folder: &WireName, role: Option<Role>) -> Command {
        let plain = Command::new("CREATE").folder(folder);
        match role.filter(|_| self.abilities().create_special_use).and_then(attribute) {
            Some(attribute) => plain.words(&format!("(USE ({attribute}))")),
            None => plain,
        }
    }

    /// Subscribes to folders, as [`subscribe`](Self::subscribe) does to each, and tells what became of
    /// each.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn subscribe_all(
        &mut self,
        folders: &[WireName],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let commands: Vec<_> =
            folders.iter().map(|folder| Command::new("SUBSCRIBE").folder(folder)).collect();
        let answers = self.run_all(&commands)?;
        self.ends(answers, |_| false, |session, place| session.subscribe(&folders[place]))
    }

    /// What became of commands that were run together: what was refused, and is not as good as done, is
    /// done again by itself.
    fn ends(
        &mut self,
        answers: Answers,
        is_as_good: impl Fn(&Refusal) -> bool,
        mut alone: impl FnMut(&mut Self, usize) -> Result<(), StoreError>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let mut ends = Vec::new();
        for (place, answer) in answers.into_iter().enumerate() {
            let is_done = answer.as_ref().err().is_none_or(&is_as_good);
            match if is_done { Ok(()) } else { alone(self, place) } {
                Err(fault) if !fault.connection_is_good() => return Err(fault),
                end => ends.push(end),
            }
        }
        Ok(ends)
    }

    /// Subscribes to a folder.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] where the server does not.
    pub(super) fn subscribe(&mut self, folder: &WireName) -> Result<(), StoreError> {
        self.run(&Command::new("SUBSCRIBE").folder(folder)).map(drop)
    }
}

fn is_there(refusal: &Refusal) -> bool {
    refusal.code == Some(ResponseCode::AlreadyExists)
}

/// The attribute of a role; the inbox has none.
const fn attribute(role: Role) -> Option<&'static str> {
    Some(match role {
        Role::Inbox => return None,
        Role::All => "\\All",
        Role::Archive => "\\Archive",
        Role::Drafts => "\\Drafts",
        Role::Flagged => "\\Flagged",
        Role::Important => "\\Important",
        Role::Junk => "\\Junk",
        Role::Sent => "\\Sent",
        Role::Trash => "\\Trash",
    })
}

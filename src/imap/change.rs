//! Making folders and subscribing to them.

use crate::imap::ahead;
use crate::imap::request::Command;
use crate::imap::session::Session;
use crate::mail::Role;
use crate::mail::WireName;
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
    /// each. What the server refuses at first is tried again one by one, behind all others.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn create_all(
        &mut self,
        folders: &[(WireName, Option<Role>)],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let commands: Vec<_> =
            folders.iter().map(|(folder, role)| self.to_create(folder, *role)).collect();
        self.each_ahead(
            &commands,
            &mut |refusal| is_there(refusal),
            &mut |session, place| {
                let (folder, role) = &folders[place];
                session.create(folder, *role)
            },
            &mut |session, place| session.accepted(&folders[place].0),
        )
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
        self.each_ahead(
            &commands,
            &mut |_| false,
            &mut |session, place| session.subscribe(&folders[place]),
            &mut |_, _| {},
        )
    }

    /// Sends commands ahead where they can be, and does by itself what was refused, or cannot be sent
    /// ahead.
    fn each_ahead(
        &mut self,
        commands: &[Command],
        is_as_good: &mut dyn FnMut(&Refusal) -> bool,
        alone: &mut dyn FnMut(&mut Self, usize) -> Result<(), StoreError>,
        done: &mut dyn FnMut(&mut Self, usize),
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let places: Vec<usize> =
            (0..commands.len()).filter(|place| ahead::is_short(&commands[*place])).collect();
        let short: Vec<_> = places.iter().map(|place| commands[*place].clone()).collect();
        let mut is_done = vec![false; commands.len()];
        self.run_ahead(&short, &mut |session, at, answer| {
            let place = places[at];
            is_done[place] = match answer {
                Ok(_) => {
                    done(session, place);
                    true
                }
                Err(refusal) => is_as_good(&refusal),
            };
            Ok(())
        })?;
        let mut ends = Vec::new();
        for (place, is_done) in is_done.into_iter().enumerate() {
            let end = if is_done { Ok(()) } else { alone(self, place) };
            match end {
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

//! Making folders and subscribing to them.

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
        let attribute = role.filter(|_| self.abilities().create_special_use).and_then(attribute);
        if let Some(attribute) = attribute {
            let with_use =
                Command::new("CREATE").folder(folder).words(&format!("(USE ({attribute}))"));
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
        match self.run(&Command::new("CREATE").folder(folder)) {
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

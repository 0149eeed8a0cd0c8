//! A folder as it is now, and whether what state knows of it still holds.

use crate::identity::Fingerprint;
use crate::inspect::InspectError;
use crate::inspect::account::SideSeen;
use crate::inspect::sample::{Sampled, sample};
use crate::mail::{Side, Uid, UidSet, WireName};
use crate::state::{FolderId, FolderKey, State};
use crate::store::{Chunk, FetchSink, Flow, FolderState, Items, Look, RowHead};

/// A folder that was opened just now.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Which end it is at.
    pub side: Side,
    /// Its name in the server's octets.
    pub wire: WireName,
    /// Its state.
    pub state: FolderState,
    /// Its number in state; nothing without state.
    pub id: Option<FolderId>,
    /// Why everything that state knew of it was forgotten, if it was.
    pub relinked: Option<Relinked>,
    /// It is proved to be the folder that state knows.
    pub(super) certain: bool,
}

/// Says that links of a folder were dropped: it is matched anew, nothing in it is owned any more, and
/// nothing is deleted there in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relinked {
    /// Which of the two folders.
    pub side: Side,
    /// Why.
    pub why: RelinkedWhy,
}

/// Why links were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelinkedWhy {
    /// UIDNEXT is below what was recorded: the folder was put back to an earlier state.
    UidNextFell,
    /// HIGHESTMODSEQ is below what was recorded.
    ModSeqFell,
    /// Messages are other ones than those that had their UIDs: another folder has the name now.
    OtherMessages,
}

/// Opens a folder and holds it against what state recorded. Where it may have been put back, or where
/// its cached headers turn out to be of other messages, everything that state knew of it is forgotten.
///
/// A folder is the one that state knows if MAILBOXID is the same, where offered. Where not, name and
/// UIDVALIDITY prove little: Cyrus gives the same UIDVALIDITY to all folders made in one second, and
/// one of them may have been renamed onto another one's name without a trace. So the first, the last
/// and 14 other messages whose headers state has are read again: one command for a folder.
///
/// # Errors
///
/// [`InspectError::Store`] where the folder cannot be opened or read, [`InspectError::State`] where
/// state cannot.
pub fn open(
    look: &mut dyn Look,
    seen: &SideSeen,
    wire: &WireName,
    state: Option<&mut dyn State>,
) -> Result<Opened, InspectError> {
    let folder = look.open(wire)?;
    let key = FolderKey {
        side: seen.side,
        wire: wire.clone(),
        uid_validity: folder.uid_validity,
        mailbox_id: folder.mailbox_id.clone(),
    };
    let mut opened = Opened {
        side: seen.side,
        wire: wire.clone(),
        certain: folder.mailbox_id.is_some(),
        state: folder,
        id: None,
        relinked: None,
    };
    let Some(state) = state else { return Ok(opened) };
    let id = state.folder(&key)?;
    opened.id = Some(id);
    let mut why = fallen(look, &opened, state, id)?;
    if why.is_none() && !opened.certain {
        let mut known = Vec::new();
        state.digests(id, &mut |uid, digest, basis| {
            known.push((uid, Fingerprint { digest, basis }));
        })?;
        match sample(look, wire, opened.state.messages, known)? {
            Sampled::Nothing => {}
            Sampled::Same => opened.certain = true,
            Sampled::Other => why = Some(RelinkedWhy::OtherMessages),
        }
    }
    if let Some(why) = why {
        state.forget_folder(id)?;
        opened.relinked = Some(Relinked { side: seen.side, why });
    }
    Ok(opened)
}

/// Tells whether a number fell that never falls in one and the same folder.
fn fallen(
    look: &mut dyn Look,
    opened: &Opened,
    state: &mut dyn State,
    id: FolderId,
) -> Result<Option<RelinkedWhy>, InspectError> {
    let (uid_next, mod_seq) = state.high_water(id)?;
    if let (Some(recorded), Some(now)) = (mod_seq, opened.state.highest_mod_seq)
        && now < recorded
    {
        return Ok(Some(RelinkedWhy::ModSeqFell));
    }
    // A server that tells no UIDNEXT cannot be caught by it.
    let (Some(recorded), Some(now)) = (uid_next, opened.state.uid_next) else { return Ok(None) };
    if now >= recorded {
        return Ok(None);
    }
    // UIDNEXT may be stale while the messages are there.
    let Some(last) = recorded.get().checked_sub(1).and_then(Uid::new) else { return Ok(None) };
    let mut found = Found { from: last, found: false };
    look.scan(&opened.wire, &UidSet::range(last, Uid::MAX), Items::default(), &mut found)?;
    Ok((!found.found).then_some(RelinkedWhy::UidNextFell))
}

/// Notes whether any message comes.
struct Found {
    from: Uid,
    found: bool,
}

impl FetchSink for Found {
    fn begin(&mut self, uid: Uid, _head: &RowHead) -> Flow {
        self.found |= uid >= self.from;
        Flow::Go
    }

    fn piece(&mut self, _octets: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _uid: Uid) -> Flow {
        Flow::Go
    }
}

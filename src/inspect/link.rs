//! The links between two folders that still hold.

use crate::identity::Fingerprint;
use crate::inspect::InspectError;
use crate::inspect::folder::{Opened, Relinked, RelinkedWhy};
use crate::inspect::sample::{Sampled, sample};
use crate::mail::{Side, Uid};
use crate::state::{Link, State};
use crate::store::Look;

/// Hands the links between two opened folders to `each`, ascending by source UID, if both are the
/// folders that the links are of; else tells why they were dropped. Links whose message is gone on a
/// side are among them, and end alone.
///
/// Both folders were held against state when they were [opened](crate::inspect::open). Where that did
/// not prove a folder to be the one that state knows, the first, the last and 14 other linked messages
/// of it are read again; one that is another message drops all links and ownership of that folder.
///
/// # Errors
///
/// [`InspectError`] of either server, or of state; `each` may then have been called.
pub fn links(
    state: &mut dyn State,
    source: &mut dyn Look,
    source_folder: &Opened,
    destination: &mut dyn Look,
    destination_folder: &Opened,
    each: &mut dyn FnMut(Link),
) -> Result<Option<Relinked>, InspectError> {
    let relinked = source_folder.relinked.or(destination_folder.relinked);
    let (Some(source_id), Some(destination_id)) = (source_folder.id, destination_folder.id) else {
        return Ok(relinked);
    };
    let sides: [(&mut dyn Look, &Opened); 2] =
        [(source, source_folder), (destination, destination_folder)];
    for (look, folder) in sides {
        if folder.certain {
            continue;
        }
        let mut known: Vec<(Uid, Fingerprint)> = Vec::new();
        state.each_link(source_id, destination_id, &mut |link| {
            let uid = match folder.side {
                Side::Source => Some(link.source),
                Side::Destination => link.destination,
            };
            let print = Fingerprint { digest: link.digest, basis: link.basis };
            known.extend(uid.map(|uid| (uid, print)));
        })?;
        known.sort_unstable_by_key(|(uid, _)| *uid);
        if sample(look, &folder.wire, folder.state.messages, known)? == Sampled::Other {
            if let Some(id) = folder.id {
                state.forget_folder(id)?;
            }
            let why = RelinkedWhy::OtherMessages;
            return Ok(Some(Relinked { side: folder.side, why }));
        }
    }
    state.each_link(source_id, destination_id, each)?;
    Ok(relinked)
}

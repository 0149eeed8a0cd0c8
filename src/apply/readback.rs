//! Reading back the first messages of a folder, before more goes in.
//!
//! A server that changes what tells messages apart would be filled again by every run. It is noticed
//! after ten messages.

use crate::apply::copy::{Trouble, at};
use crate::apply::group::Group;
use crate::apply::look::{Candidate, look};
use crate::apply::outlet::Sent;
use crate::apply::run::Run;
use crate::apply::tally::Note;
use crate::identity::Basis;
use crate::mail::{Side, UidSet};
use crate::plan::Reason;
use crate::store::HeaderFields;

/// How far a date may be off and still count as kept, in seconds.
const DATE_SLACK_SECONDS: i64 = 1;

impl Run<'_> {
    /// Reads the first messages back, once a run and folder. Tells whether the folder keeps what
    /// tells messages apart.
    pub(super) fn read_back(&mut self, group: &mut Group) -> Result<bool, Trouble> {
        if group.proved || group.first.is_empty() {
            return Ok(true);
        }
        let uids: UidSet = group.first.iter().filter_map(|stored| stored.at).collect();
        let wire = group.wire.clone();
        let destination = self.destination()?;
        let rows =
            look(destination, &wire, &uids, HeaderFields::Full).map_err(at(Side::Destination))?;
        self.judge_first(group, &rows)
    }

    /// Holds the first messages that were stored against what is there, and records whether the folder
    /// keeps what tells messages apart.
    pub(super) fn judge_first(
        &mut self,
        group: &mut Group,
        rows: &[Candidate],
    ) -> Result<bool, Trouble> {
        let first = std::mem::take(&mut group.first);
        group.proved = true;
        // The server told no UIDs, and although as much is there as was sent, nothing of it is like
        // what was sent.
        let missed = group.unplaced.iter().filter(|unplaced| unplaced.looked > 0).count();
        let told = first.iter().any(|stored| stored.at.is_some());
        let mut kept = told || missed < first.len() || group.strangers < missed;
        for stored in &first {
            let row = rows.iter().find(|row| Some(row.uid) == stored.at);
            if let Some(row) = row {
                kept &= is_kept(stored, row);
                self.note_what_changed(group, stored, row);
            }
        }
        if let Some(place) = &group.place
            && self.state.identity_kept(place.folder)? != Some(kept)
        {
            // Else each run would put ten more messages there before it notices again.
            self.state.set_identity_kept(place.folder, kept)?;
        }
        Ok(kept)
    }

    fn note_what_changed(&mut self, group: &Group, stored: &Sent, row: &Candidate) {
        let sent = stored.passenger.date.instant().seconds();
        let off = row.date.is_some_and(|date| (date.seconds() - sent).abs() > DATE_SLACK_SECONDS);
        let lost = stored.passenger.flags.difference(&row.flags);
        let folder = || group.name.clone();
        if off {
            let detail = Some("seen in the first messages".to_owned());
            self.done.note(Note {
                folder: folder(),
                reason: Reason::DatesNotKept,
                messages: 1,
                detail,
            });
        }
        if !lost.is_empty() {
            let detail = Some(lost.to_string());
            self.done.note(Note {
                folder: folder(),
                reason: Reason::FlagsNotKept,
                messages: 1,
                detail,
            });
        }
    }
}

/// Tells whether the message that is there has the identity of the one that was sent.
fn is_kept(stored: &Sent, row: &Candidate) -> bool {
    match stored.seen.basis {
        Basis::Key => row.seen.basis == Basis::Key && row.seen.digest == stored.seen.digest,
        // A server may add a Message-ID or a Received line where there is no key: that is not
        // rewriting, and such messages are told apart by their content.
        Basis::Headers | Basis::Content | Basis::Nothing => true,
    }
}

//! Reading what answers commands that were sent already, with other folders asked for behind them.

use crate::imap::fetch::pass::Manner;
use crate::imap::fetch::pass::Pass;
use crate::imap::fetch::row::Wanted;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::store::StoreError;

/// A command that was sent: its tag, and what it asks of which messages.
pub(in crate::imap::fetch) type SentPart = (String, UidSet, Wanted);

impl Pass<'_> {
    /// Reads the answers of commands that were sent. What is refused is not asked for again. Servers
    /// answer such commands side by side, so each message is asked for by one of them only: then it
    /// is known of each row what it answers.
    pub(in crate::imap::fetch) fn read(&mut self, sent: Vec<SentPart>) -> Result<(), StoreError> {
        self.manner = Manner::Ahead;
        for (tag, uids, wanted) in sent {
            self.in_flight.push_back((tag, uids.clone()));
            self.parts.push((uids, wanted));
        }
        self.ask(Vec::new())
    }

    /// Likewise, and nothing of it reaches the sink. So many octets were discarded before; returns
    /// how many it are now.
    pub(in crate::imap::fetch) fn discard_all(
        &mut self,
        sent: Vec<SentPart>,
        before: u64,
    ) -> Result<u64, StoreError> {
        self.stopped = true;
        self.discarded = before;
        self.read(sent)?;
        Ok(self.discarded)
    }

    /// What is wanted of a message.
    pub(super) fn wanted_of(&self, uid: Uid) -> Wanted {
        let part = self.parts.iter().find(|(uids, _)| uids.contains(uid));
        part.map_or(self.wanted, |(_, wanted)| *wanted)
    }
}

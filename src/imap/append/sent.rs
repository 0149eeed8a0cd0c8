//! What was sent and is not answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::imap::append::Literal;
use crate::imap::append::proof::Line;
use crate::imap::reader::Code;
use crate::limit::Gate;
use crate::mail::Uid;
use crate::mail::UidValidity;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::Batch;
use crate::store::Refusal;
use crate::store::Ticket;

/// Most octets of the bodies of one batch.
const BATCH_OCTETS_MAX: u64 = 8 << 20;

/// Most messages of one batch. Small ones go in at ten times the rate of single appends (2 kB each,
/// Dovecot on maildir and sdbox); a batch of 500 gained nothing over this one, one of 50 lost a third.
const BATCH_MESSAGES_MAX: usize = 200;

/// How long a batch is added to: its messages are stored only when it is closed.
const BATCH_TIME_MAX: Duration = Duration::from_secs(2);

/// Most octets of unanswered bodies: a batch that is stored, and one that arrives meanwhile.
const OCTETS_MAX: u64 = 16 << 20;

/// Most unanswered messages of all connections together, but while another one is being opened. What
/// somebody else copies at the same time is seen in an answer: so many may be there twice by then. More
/// would be worth something only beyond 10,000 messages a second at a round trip of 100 ms.
const MESSAGES_MAX: usize = 1_024;

/// An answer, in octets, without the UIDs that it tells.
const ANSWER_OCTETS: usize = 109;

/// A UID in a list of such.
const UID_OCTETS: usize = 11;

/// Most octets of answers that may be on their way. They fit into socket buffers, so that the server
/// never stops reading because nobody reads its answers: 256 commands of one message each.
const ANSWERS_MAX: usize = 256 * (ANSWER_OCTETS + UID_OCTETS);

/// A command that is not answered, with the messages that it appends: one, several in a batch, or
/// none where it is no APPEND.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) tag: String,
    pub(super) folder: Arc<WireName>,
    pub(super) literal: Literal,
    pub(super) tickets: Vec<Ticket>,
    pub(super) octets: u64,
    /// What an OK proves, where it proves anything new.
    pub(super) proves: Option<Line>,
    /// How much was put to the wire when it was complete.
    pub(super) end: u64,
    /// It was refused before it was complete: its end is still sent, nothing of it is stored.
    pub(super) refused: Option<Refusal>,
    company: u32,
    since: Instant,
}

impl Sent {
    /// A command that appends nothing yet. Its messages may have at most this company.
    pub(super) fn new(tag: String, folder: Arc<WireName>, literal: Literal, company: u32) -> Self {
        Self {
            tag,
            folder,
            literal,
            tickets: Vec::new(),
            octets: 0,
            proves: None,
            end: 0,
            refused: None,
            company,
            since: Instant::now(),
        }
    }

    /// Adds a message whose body was put to the wire.
    pub(super) fn add(&mut self, ticket: Ticket, octets: u64) {
        self.tickets.push(ticket);
        self.octets += octets;
    }

    /// Tells whether this message, whose literal need not wait, may go in the same batch at this time.
    pub(super) fn takes(&self, message: &AppendMessage, now: Instant) -> bool {
        let company = usize::try_from(self.company).unwrap_or(usize::MAX);
        self.refused.is_none()
            && self.literal == Literal::NonSynchronising
            && self.folder == message.folder
            && self.company == message.company
            && self.tickets.len() < company.min(BATCH_MESSAGES_MAX)
            && self.octets.saturating_add(message.octets) <= BATCH_OCTETS_MAX
            && now.saturating_duration_since(self.since) < BATCH_TIME_MAX
    }

    /// Tells whether it is there to see a batch before it through.
    pub(super) fn is_seeing_through(&self) -> bool {
        self.tickets.is_empty() && self.literal == Literal::NonSynchronising
    }

    /// What it is called in the results of its messages, if it has several.
    pub(super) fn batch(&self) -> Option<Batch> {
        let (&first, rest) = self.tickets.split_first()?;
        let messages = u32::try_from(rest.len()).ok()?.checked_add(1)?;
        (messages > 1).then_some(Batch { first, messages })
    }

    /// Where its messages are, as an APPENDUID tells. A set that has not exactly as many UIDs tells of
    /// none of them (RFC 3502, RFC 4315 §3).
    pub(super) fn places(&self, code: Option<Code>) -> Vec<Option<(UidValidity, Uid)>> {
        match code {
            Some(Code::AppendUid { uid_validity, uids }) if uids.len() == self.tickets.len() => {
                let place = |uid: u32| Some((UidValidity::new(uid_validity)?, Uid::new(uid)?));
                uids.into_iter().map(place).collect()
            }
            _ => vec![None; self.tickets.len()],
        }
    }
}

/// All commands that are complete and not answered, in the order in which they were sent.
///
/// Half of what all connections may have unanswered is dealt out evenly; the other half is lent to whoever
/// needs it, so that the last one that has something to send does not wait for room that nobody uses.
pub(super) struct Unanswered<'a> {
    commands: VecDeque<Sent>,
    octets: u64,
    messages: usize,
    /// Who lends; nobody where connections are not counted.
    gate: Option<&'a Gate>,
    /// Messages that are this connection's by right, since room was asked for last.
    own: usize,
    lent: usize,
}

impl<'a> Unanswered<'a> {
    pub(super) const fn new(gate: Option<&'a Gate>) -> Self {
        Self { commands: VecDeque::new(), octets: 0, messages: 0, gate, own: MESSAGES_MAX, lent: 0 }
    }

    pub(super) fn push(&mut self, sent: Sent) {
        self.octets += sent.octets;
        self.messages += sent.tickets.len();
        self.commands.push_back(sent);
    }

    /// Takes out the command with this tag.
    pub(super) fn take(&mut self, tag: &str) -> Option<Sent> {
        let at = self.commands.iter().position(|sent| sent.tag == tag)?;
        let sent = self.commands.remove(at)?;
        self.octets -= sent.octets;
        self.messages -= sent.tickets.len();
        Some(sent)
    }

    /// Takes out all of them.
    pub(super) fn take_all(&mut self) -> VecDeque<Sent> {
        (self.octets, self.messages) = (0, 0);
        std::mem::take(&mut self.commands)
    }

    /// How many messages they append.
    pub(super) const fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sent> {
        self.commands.iter()
    }

    /// Tells whether one more message of so many octets may go before an answer is read, for which it
    /// borrows if need be; `open` is the batch that is being written.
    pub(super) fn has_room(&mut self, open: Option<&Sent>, octets: u64) -> bool {
        let dealt_out = |gate: &Gate| MESSAGES_MAX / 2 / usize::from(gate.open().max(1));
        self.own = self.gate.map_or(MESSAGES_MAX, dealt_out);
        let (open_octets, open_messages) =
            open.map_or((0, 0), |open| (open.octets, open.tickets.len()));
        let commands = self.commands.len() + 1;
        let messages = self.messages + open_messages + 1;
        self.octets.saturating_add(open_octets).saturating_add(octets) <= OCTETS_MAX
            && commands * ANSWER_OCTETS + messages * UID_OCTETS <= ANSWERS_MAX
            && self.borrow_for(messages)
    }

    /// Borrows what so many messages take beyond its own share; tells whether it has it.
    fn borrow_for(&mut self, messages: usize) -> bool {
        let lacking = messages.saturating_sub(self.own).saturating_sub(self.lent);
        let has_it = lacking == 0
            || self.gate.is_some_and(|gate| gate.lend_unanswered(lacking, MESSAGES_MAX / 2));
        if has_it {
            self.lent += lacking;
        }
        has_it
    }

    /// Gives back what is not needed any more; so many messages of an open batch still count.
    pub(super) fn give_back(&mut self, open_messages: usize) {
        let needed = (self.messages + open_messages).saturating_sub(self.own);
        let idle = self.lent.saturating_sub(needed);
        if let Some(gate) = self.gate.filter(|_| idle > 0) {
            gate.take_back_unanswered(idle);
            self.lent -= idle;
        }
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        (self.octets, self.messages) = (0, 0);
        self.give_back(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::simulated::crowded;

    /// Sends messages of one octet until there is no room; tells how many.
    fn fill(sent: &mut Unanswered<'_>) -> u64 {
        let folder = Arc::new(WireName::new(*b"a"));
        let mut open = Sent::new("A".to_owned(), folder, Literal::NonSynchronising, 1);
        let mut messages: u64 = 0;
        while sent.has_room(Some(&open), 1) {
            open.add(Ticket(messages), 1);
            messages += 1;
        }
        sent.push(open);
        messages
    }

    #[test]
    fn one_connection_alone_has_all_that_may_be_unanswered() {
        assert_eq!(fill(&mut Unanswered::new(None)), 1_024);
        let (gate, _slots) = crowded(1);
        assert_eq!(fill(&mut Unanswered::new(Some(&gate))), 1_024);
    }

    #[test]
    fn connections_share_what_may_be_unanswered_and_borrow_what_others_do_not_use() {
        let (gate, _slots) = crowded(4);
        let mut all: Vec<_> = (0..4).map(|_| Unanswered::new(Some(&gate))).collect();
        assert_eq!(fill(&mut all[0]), 128 + 512);
        let rest: Vec<u64> = all[1..].iter_mut().map(fill).collect();
        assert_eq!(rest, [128; 3], "each has its own; together as many as one alone");
        // What was lent is there for another one once it was answered, or nobody is left to answer it.
        all[0].take("A").unwrap();
        all[0].give_back(100);
        assert_eq!(all[0].lent, 0);
        assert_eq!(fill(&mut all[1]), 512);
        all.remove(1);
        assert_eq!(fill(&mut all[1]), 512);
    }

    #[test]
    fn what_an_open_batch_needs_is_not_given_back() {
        let (gate, _slots) = crowded(2);
        let mut sent = Unanswered::new(Some(&gate));
        assert_eq!(fill(&mut sent), 256 + 512);
        sent.take("A").unwrap();
        sent.give_back(300);
        assert_eq!(sent.lent, 44);
    }
}

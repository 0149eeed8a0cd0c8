//! What becomes of a row that was read to its end.

use crate::imap::fetch::pass::Pass;
use crate::imap::fetch::row::Body;
use crate::imap::fetch::row::Wanted;
use crate::imap::fetch::row::head;
use crate::imap::fetch::row::held_content;
use crate::imap::reader::Content;
use crate::imap::reader::FetchRow;
use crate::imap::reader::Item;
use crate::imap::wire::BUFFER_OCTETS;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::store::Chunk;
use crate::store::Flow;

/// Most rows that wait for the rest of them.
const PARTIAL_ROWS_MAX: usize = 1_000;

impl Pass<'_> {
    /// A row is read to its end.
    pub(super) fn finish(&mut self, mut row: FetchRow, body: Body) {
        let body = held_content(body, &mut row);
        let wanted = row.uid.map_or(self.wanted, |uid| self.wanted_of(uid));
        let says_something = wanted.is_answered_by(&row) && wanted != Wanted::Presence;
        let Some(uid) = row.uid else {
            // Without a UID it may be news of flags (RFC 9051 §7.5.2), or an answer that is lost.
            self.complete &= !says_something || is_news(&row);
            return;
        };
        if !self.in_flight.iter().any(|(_, set)| set.contains(uid)) {
            return;
        }
        if !self.is_awaited(uid) {
            self.complete &= !says_something || is_news(&row);
            return;
        }
        if self.stopped && body != Body::Streamed {
            return;
        }
        let mut row = self.joined(uid, row);
        match body {
            Body::Streamed => {
                if !self.stopped {
                    self.settle(uid);
                }
            }
            Body::TooLarge if self.is_alone() => {
                self.withheld.insert(uid);
            }
            Body::TooLarge => {
                self.too_large.insert(uid);
                self.partial.insert(uid, row.without_content());
            }
            Body::Held(octets) if self.wanted == Wanted::Body => self.held_body(uid, &row, &octets),
            Body::Held(octets) => {
                row.content = Some(Content::Octets(octets));
                self.finish_scanned(uid, row);
            }
            Body::None | Body::Discarded if self.wanted == Wanted::Body => {
                if row.saw(Item::Body) {
                    self.empty.insert(uid);
                } else {
                    self.keep(uid, row);
                }
            }
            Body::None | Body::Discarded => self.finish_scanned(uid, row),
        }
    }

    fn held_body(&mut self, uid: Uid, row: &FetchRow, octets: &[u8]) {
        // Nothing in place of a message: a server that cannot render it, not an empty mail.
        if octets.is_empty() && row.size != Some(0) {
            self.empty.insert(uid);
        } else if self.is_in_turn(uid) {
            self.deliver(uid, row, u64::try_from(octets.len()).ok(), octets);
        } else {
            self.hold(uid, row.clone(), octets);
        }
    }

    fn finish_scanned(&mut self, uid: Uid, row: FetchRow) {
        if self.wanted_of(uid).is_all_in(&row) {
            self.hand_on(uid, row);
        } else {
            self.keep(uid, row);
        }
    }

    /// Keeps a part of a row until the rest comes, or the command ends.
    fn keep(&mut self, uid: Uid, row: FetchRow) {
        let held = match &row.content {
            Some(Content::Octets(octets)) => octets.len(),
            _ => 0,
        };
        let fits = held <= BUFFER_OCTETS
            && (self.partial.len() < PARTIAL_ROWS_MAX || self.partial.contains_key(&uid));
        if fits {
            self.partial.insert(uid, row);
        } else {
            self.hand_on_if_answered(uid, row);
        }
    }

    /// Hands on rows of a command that has ended: nothing more will come of them.
    pub(super) fn flush_partial(&mut self, set: &UidSet) {
        let ended: Vec<Uid> =
            self.partial.keys().copied().filter(|uid| set.contains(*uid)).collect();
        for uid in ended {
            if self.too_large.contains(uid) {
                continue;
            }
            if let Some(row) = self.partial.remove(&uid)
                && !self.stopped
            {
                self.hand_on_if_answered(uid, row);
            }
        }
    }

    fn hand_on_if_answered(&mut self, uid: Uid, row: FetchRow) {
        if self.wanted != Wanted::Body && self.wanted_of(uid).is_answered_by(&row) {
            self.hand_on(uid, row);
        }
    }

    /// Hands a scanned row on, with what it has of header fields.
    fn hand_on(&mut self, uid: Uid, mut row: FetchRow) {
        let octets = match row.content.take() {
            Some(Content::Octets(octets)) => octets,
            Some(Content::Nil) | None => Vec::new(),
        };
        self.deliver(uid, &row, None, &octets);
    }

    pub(super) fn deliver(
        &mut self,
        uid: Uid,
        row: &FetchRow,
        body_octets: Option<u64>,
        octets: &[u8],
    ) {
        let mut flow = self.sink.begin(uid, &head(row, body_octets));
        for piece in octets.chunks(BUFFER_OCTETS) {
            if flow == Flow::Go {
                flow = self.sink.piece(&Chunk::from(piece));
            }
        }
        self.stopped = flow == Flow::Stop;
        if !self.stopped {
            self.settle(uid);
        }
    }

    fn settle(&mut self, uid: Uid) {
        self.stopped = self.sink.end(uid) == Flow::Stop;
        self.came.insert(uid);
        self.settled += 1;
        self.partial.remove(&uid);
    }
}

/// Tells whether a row can be no more than news of flags.
fn is_news(row: &FetchRow) -> bool {
    row.saw(Item::Flags) && !row.saw(Item::Body) && !row.saw(Item::Header) && !row.saw(Item::Size)
}

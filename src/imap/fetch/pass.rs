//! Commands in flight, and the rows that answer them.

mod ahead;
mod rows;
mod turn;

pub(super) use crate::imap::fetch::pass::ahead::SentPart;

use std::collections::BTreeMap;
use std::collections::VecDeque;

use crate::imap::command::count;
use crate::imap::command::foreign_tag;
use crate::imap::command::refuse_bye;
use crate::imap::command::run;
use crate::imap::command::set_lines;
use crate::imap::fetch::Line;
use crate::imap::fetch::Nobody;
use crate::imap::fetch::Opened;
use crate::imap::fetch::pass::turn::Turn;
use crate::imap::fetch::row::Body;
use crate::imap::fetch::row::Wanted;
use crate::imap::fetch::row::facts_are_in;
use crate::imap::fetch::row::head;
use crate::imap::reader::Code;
use crate::imap::reader::FetchRow;
use crate::imap::reader::Item;
use crate::imap::reader::Parsed;
use crate::imap::reader::RowReader;
use crate::imap::reader::Status;
use crate::imap::reader::parse;
use crate::imap::reader::refusal;
use crate::imap::reader::row_start;
use crate::imap::wire::BUFFER_OCTETS;
use crate::imap::wire::LineEnd;
use crate::imap::wire::Wire;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::store::FetchSink;
use crate::store::Flow;
use crate::store::Refusal;
use crate::store::StoreError;

/// Commands of a scan that are sent before the first of them is answered. Servers may answer them
/// side by side (RFC 9051 §5.5), so that rows come in any order.
const SCANS_IN_FLIGHT: usize = 3;

/// Octets of bodies and rows that are discarded after a stop before the connection is given up instead: above
/// this, a new login is cheaper.
const DISCARD_OCTETS_MAX: u64 = 4 << 20;

/// Largest part of a body between two looks at whether the rest is worth reading.
const PART_OCTETS: u64 = 256 * 1024;

/// Most of a content that is held, in octets: a body that comes before its facts, header fields.
const HELD_OCTETS_MAX: u64 = 1 << 20;

/// Most refused commands of a scan, whose ranges may be wide, before the refusal is the fault; and
/// fewer where no row came at all.
const REFUSALS_MAX: usize = 500;
const REFUSALS_MAX_WITHOUT_ROWS: usize = 40;

/// Most literals in one row besides the content.
const LITERALS_MAX: usize = 1_000;

/// How UIDs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Many in one command.
    Many,
    /// Each command asks for one UID, so that a body may go on before its facts.
    Alone,
    /// Other folders are asked for behind these commands: nothing can be asked again.
    Ahead,
}

/// One reading: everything about it, until each UID is settled.
pub(super) struct Pass<'a> {
    wire: &'a mut Wire,
    opened: &'a mut Opened,
    sink: &'a mut dyn FetchSink,
    wanted: Wanted,
    /// What is wanted of some messages instead, where commands in flight ask for several things.
    parts: Vec<(UidSet, Wanted)>,
    waiting: VecDeque<UidSet>,
    in_flight: VecDeque<(String, UidSet)>,
    manner: Manner,
    /// Where the newest go first.
    turn: Option<Turn>,
    /// The body that began last.
    began: Option<Uid>,
    /// Octets that were discarded since the stop.
    discarded: u64,
    /// Where the connection stands: too much may still have been to come after the stop.
    left: Line,
    came: UidSet,
    /// How many UIDs came.
    settled: u64,
    withheld: UidSet,
    empty: UidSet,
    /// Bodies that came before their UID and were too large to be held.
    too_large: UidSet,
    /// Rows of which a part came.
    partial: BTreeMap<Uid, FetchRow>,
    complete: bool,
    stopped: bool,
    refusals: usize,
    fault: Option<Refusal>,
    line: Vec<u8>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        wire: &'a mut Wire,
        opened: &'a mut Opened,
        sink: &'a mut dyn FetchSink,
        wanted: Wanted,
    ) -> Self {
        Self {
            wire,
            opened,
            sink,
            wanted,
            parts: Vec::new(),
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            manner: Manner::Many,
            turn: None,
            began: None,
            discarded: 0,
            left: Line::Idle,
            came: UidSet::new(),
            settled: 0,
            withheld: UidSet::new(),
            empty: UidSet::new(),
            too_large: UidSet::new(),
            partial: BTreeMap::new(),
            complete: true,
            stopped: false,
            refusals: 0,
            fault: None,
            line: Vec::new(),
        }
    }

    fn is_alone(&self) -> bool {
        self.manner == Manner::Alone
    }

    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Where the connection stands.
    pub(super) const fn left(&self) -> Line {
        self.left
    }

    /// The UIDs that came, and whether nothing speaks against the listing.
    pub(super) fn into_listing(self) -> (UidSet, bool) {
        (self.came, self.complete)
    }

    /// Those of `uids` that neither came nor were refused. What had nothing for content is among them,
    /// and may be asked for again.
    pub(super) fn take_doubtful(&mut self, uids: &UidSet) -> UidSet {
        self.empty = UidSet::new();
        self.unsettled(uids)
    }

    fn unsettled(&self, uids: &UidSet) -> UidSet {
        uids.difference(&self.came).difference(&self.withheld).difference(&self.empty)
    }

    /// UIDs whose content the server refuses, or gives in an order that cannot be used.
    pub(super) const fn withheld(&self) -> &UidSet {
        &self.withheld
    }

    /// UIDs that had nothing for content.
    pub(super) const fn empty(&self) -> &UidSet {
        &self.empty
    }

    /// Lets the server tell its news (RFC 9051 §6.1.2).
    pub(super) fn noop(&mut self) -> Result<(), StoreError> {
        let opened = &mut *self.opened;
        run(self.wire, "NOOP", &mut |data| opened.note(&data)).map(drop)
    }

    /// Which of these UIDs the folder has. Those that the server does not tell of in peace count as
    /// there: gone is what is proved.
    pub(super) fn present(&mut self, uids: &UidSet) -> Result<UidSet, StoreError> {
        let mut nobody = Nobody;
        let mut pass = Pass::new(self.wire, self.opened, &mut nobody, Wanted::Presence);
        pass.ask(set_lines(uids))?;
        let mut present = pass.came;
        present.extend(pass.withheld.iter());
        Ok(present)
    }

    /// Asks again, one by one, for what was too large to be held.
    pub(super) fn ask_alone(&mut self) -> Result<(), StoreError> {
        let large = std::mem::take(&mut self.too_large);
        if large.is_empty() || self.stopped {
            return Ok(());
        }
        self.manner = Manner::Alone;
        let asked = self.ask(large.split_at_count(1));
        self.manner = Manner::Many;
        asked
    }

    /// Asks for these sets, a few at a time, and reads until all are answered. Bodies are asked for
    /// one command after the other, so that they come in the order of UIDs wherever the server
    /// answers one command in order: messages are appended as they come.
    pub(super) fn ask(&mut self, sets: Vec<UidSet>) -> Result<(), StoreError> {
        self.waiting.extend(sets.into_iter().filter(|set| !set.is_empty()));
        loop {
            if self.stopped || self.fault.is_some() {
                self.waiting.clear();
                self.turn.iter_mut().for_each(Turn::stop);
            }
            self.send_more()?;
            if self.in_flight.is_empty() {
                break;
            }
            match self.response() {
                Err(_) if self.left == Line::Inside => self.in_flight.clear(),
                done => done?,
            }
            self.hand_on_in_turn();
        }
        self.fault.take().map_or(Ok(()), |refusal| Err(StoreError::Refused(refusal)))
    }

    fn send_more(&mut self) -> Result<(), StoreError> {
        if self.turn.as_ref().is_some_and(|turn| !turn.begins_to_send(self.in_flight.len())) {
            return Ok(());
        }
        while self.may_send() {
            self.send_next()?;
        }
        Ok(())
    }

    fn may_send(&self) -> bool {
        if let Some(turn) = &self.turn {
            return turn.may_send(self.in_flight.len());
        }
        let there_is_room = match (self.wanted, self.in_flight.len()) {
            (_, 0) => true,
            // What is asked for once the last body has begun comes after it.
            (Wanted::Body, 1) => {
                let last = self.in_flight.back().and_then(|(_, set)| set.last());
                last.is_some() && last == self.began
            }
            (Wanted::Body, _) => false,
            (_, others) => others < SCANS_IN_FLIGHT,
        };
        there_is_room && !self.waiting.is_empty()
    }

    fn send_next(&mut self) -> Result<(), StoreError> {
        let in_turn = || self.turn.as_mut()?.next();
        let Some(set) = self.waiting.pop_front().or_else(in_turn) else { return Ok(()) };
        let (tag, items) = (self.wire.tag(), self.wanted.items());
        self.wire.put(format!("{tag} UID FETCH {set} {items}\r\n").as_bytes())?;
        self.in_flight.push_back((tag, set));
        Ok(())
    }

    fn response(&mut self) -> Result<(), StoreError> {
        self.line.clear();
        let end = self.wire.line(&mut self.line)?;
        if row_start(&self.line).is_some() {
            return self.row(end);
        }
        self.wire.rest_of_response(end, &mut self.line)?;
        if self.wire.is_owed(&self.line) {
            return Ok(());
        }
        let parsed = parse(&self.line);
        refuse_bye(&parsed)?;
        count(self.wire, &parsed, self.line.len())?;
        match parsed {
            Parsed::Untagged(data) => self.opened.note(&data),
            Parsed::Tagged { tag, status, code, text } => {
                let found = self.in_flight.iter().position(|(own, _)| *own == tag);
                let Some((_, set)) = found.and_then(|at| self.in_flight.remove(at)) else {
                    return Err(foreign_tag(&tag));
                };
                self.ended(&set, status, code, text);
            }
            Parsed::Continue | Parsed::Unknown => {}
        }
        Ok(())
    }

    /// A command ended. What was refused is asked for again in halves, so that one bad message costs
    /// only itself.
    fn ended(&mut self, set: &UidSet, status: Status, code: Option<Code>, text: String) {
        self.flush_partial(set);
        if status == Status::Ok {
            return;
        }
        // What came before its turn came all the same.
        let is_held = set.first().is_some_and(|uid| self.is_held(uid));
        if self.manner == Manner::Ahead || is_held {
            self.complete = false;
            return;
        }
        self.refusals += 1;
        let refusal = refusal(status == Status::Bad, code, text, &[]);
        let left = self.unsettled(set).difference(&self.too_large);
        let most = if self.came.is_empty() { REFUSALS_MAX_WITHOUT_ROWS } else { REFUSALS_MAX };
        let too_many = matches!(self.wanted, Wanted::Scan(_)) && self.refusals > most;
        if refusal.asks_for_patience() || too_many {
            self.fault = Some(refusal);
        } else if set.len() == 1 && !left.is_empty() {
            self.withheld.extend(left.iter());
            self.complete = false;
        } else {
            let half = u32::try_from(left.len().div_ceil(2)).unwrap_or(u32::MAX);
            for half in left.split_at_count(half).into_iter().rev() {
                self.waiting.push_front(half);
            }
        }
    }

    /// Reads the rest of a row, whose first line is read up to `end`.
    fn row(&mut self, mut end: LineEnd) -> Result<(), StoreError> {
        let settled = self.settled;
        let mut octets_of_lines = self.line.len();
        let mut line = std::mem::take(&mut self.line);
        let mut reader = RowReader::new(self.wanted.content());
        reader.segment(row_start(&line).unwrap_or_default());
        let mut body = Body::None;
        let mut literals = 0;
        while let LineEnd::Literal(octets) = end {
            literals += 1;
            if literals > LITERALS_MAX {
                return Err(StoreError::Protocol(format!("over {LITERALS_MAX} literals in a row")));
            }
            let item = reader.awaits();
            if Some(item) == self.wanted.content() && body == Body::None && !reader.row().saw(item)
            {
                body = self.content(reader.row(), octets)?;
                reader.content_went();
            } else {
                line.clear();
                self.skip(item, octets, &mut line)?;
                reader.literal(&line);
            }
            line.clear();
            end = self.wire.line(&mut line)?;
            octets_of_lines = octets_of_lines.saturating_add(line.len());
            reader.segment(&line);
        }
        self.line = line;
        if self.manner == Manner::Ahead {
            self.count_discarded(u64::try_from(octets_of_lines).unwrap_or(u64::MAX))?;
        }
        self.finish(reader.into_row(), body);
        if self.settled > settled {
            self.wire.note_answer();
            return Ok(());
        }
        self.wire.note_chatter(u64::try_from(octets_of_lines).unwrap_or(u64::MAX))
    }

    /// Reads a literal that is not the content: keeps what can be a fact.
    fn skip(&mut self, item: Item, octets: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        if item.is_content() {
            return self.discard(octets);
        }
        self.wire.literal(octets, &mut |piece| {
            let room = BUFFER_OCTETS.saturating_sub(into.len()).min(piece.len());
            into.extend_from_slice(&piece[..room]);
        })
    }

    /// Reads the content: straight to the sink if all is known that comes before it.
    fn content(&mut self, row: &FetchRow, octets: u64) -> Result<Body, StoreError> {
        let uid = match row.uid {
            Some(uid) if !self.is_awaited(uid) => {
                self.wire.note_chatter(octets)?;
                self.discard(octets)?;
                return Ok(Body::Discarded);
            }
            uid => uid,
        };
        if self.wanted == Wanted::Body
            && octets > 0
            && !self.stopped
            && let Some(uid) = uid
        {
            let row = self.joined(uid, row.clone());
            let may_begin = facts_are_in(&row) && self.is_in_turn(uid);
            if may_begin || (self.is_alone() && octets > HELD_OCTETS_MAX) {
                return self.stream(uid, &row, octets);
            }
        }
        let is_body = self.wanted == Wanted::Body;
        if self.stopped || (is_body && octets > HELD_OCTETS_MAX) {
            self.discard(octets)?;
            return Ok(if self.stopped { Body::Discarded } else { Body::TooLarge });
        }
        // Header fields beyond the limit are cut: no honest header has a megabyte of them, and cut
        // the same on both sides they still are equal where the messages are.
        let most = usize::try_from(HELD_OCTETS_MAX).unwrap_or(usize::MAX);
        let mut held = Vec::new();
        self.wire.literal(octets, &mut |piece| {
            let room = most.saturating_sub(held.len()).min(piece.len());
            held.extend_from_slice(&piece[..room]);
        })?;
        Ok(Body::Held(held))
    }

    fn stream(&mut self, uid: Uid, row: &FetchRow, octets: u64) -> Result<Body, StoreError> {
        self.stopped = self.sink.begin(uid, &head(row, Some(octets))) == Flow::Stop;
        self.began = Some(uid);
        if !self.stopped {
            self.send_more()?;
        }
        let mut left = octets;
        while left > 0 && !self.stopped {
            let part = left.min(PART_OCTETS);
            left -= part;
            let Self { wire, sink, stopped, .. } = self;
            wire.literal(part, &mut |piece| {
                if !*stopped {
                    *stopped = sink.piece(piece) == Flow::Stop;
                }
            })?;
        }
        self.discard(left)?;
        Ok(Body::Streamed)
    }

    /// Reads a literal that nobody wants. After a stop it need not be read to its end.
    fn discard(&mut self, octets: u64) -> Result<(), StoreError> {
        self.count_discarded(octets)?;
        self.wire.literal(octets, &mut |_| {})
    }

    /// Counts what is read for nothing after a stop; above the limit the connection is left where it
    /// stands.
    fn count_discarded(&mut self, octets: u64) -> Result<(), StoreError> {
        if self.stopped {
            self.discarded = self.discarded.saturating_add(octets);
            if self.discarded > DISCARD_OCTETS_MAX {
                self.left = Line::Inside;
                return Err(StoreError::Connection("it was left inside of an answer".to_owned()));
            }
        }
        Ok(())
    }

    /// Tells whether this UID was asked for and has not been settled.
    fn is_awaited(&self, uid: Uid) -> bool {
        self.in_flight.iter().any(|(_, set)| set.contains(uid))
            && !self.came.contains(uid)
            && !self.withheld.contains(uid)
            && !self.empty.contains(uid)
            && !self.is_held(uid)
    }

    /// A row with what came of it in earlier rows.
    fn joined(&self, uid: Uid, mut row: FetchRow) -> FetchRow {
        if let Some(earlier) = self.partial.get(&uid) {
            row.add(earlier);
        }
        row
    }
}

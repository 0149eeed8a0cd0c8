//! What the cases share: the ground, samples, a sink and a queue.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mailferry::mail::{Flag, FlagSet, Timestamp, Uid, UidSet, WireName};
use mailferry::store::{
    AppendMessage, AppendOutcome, AppendQueue, AppendResult, BodyLost, Chunk, Destination,
    FetchOutcome, FetchSink, Flow, Items, Look, RowHead, Source, StoreError, Ticket, Visit, Wait,
};

/// One account on one server.
pub(crate) trait Ground {
    /// A new session that reads.
    fn source(&mut self) -> Box<dyn Source>;

    /// A new session that writes, to the same account.
    fn destination(&mut self) -> Box<dyn Destination>;

    /// The wire name of a folder of these levels: prefix, encoding and delimiter as the server has
    /// them.
    fn name(&self, levels: &[&str]) -> WireName;

    /// Makes the folder where it is not there, and stores messages in it, by other means than the
    /// ports.
    fn fill(&mut self, folder: &WireName, samples: &[Sample]);

    /// All messages of a folder, ascending by UID, by other means than the ports.
    fn read_back(&mut self, folder: &WireName) -> Vec<Kept>;

    /// Removes messages for good, by other means than the ports.
    fn expunge(&mut self, folder: &WireName, uids: &[u32]);

    /// A message that this server refuses whatever the folder, and keeps none of.
    fn refused_message(&self) -> Vec<u8>;
}

/// A message to store.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Blank-separated flags.
    pub(crate) flags: &'static str,
    /// INTERNALDATE in seconds since 1970.
    pub(crate) date: i64,
    /// The octets.
    pub(crate) octets: Vec<u8>,
}

impl Sample {
    /// A small message of that subject.
    pub(crate) fn new(subject: &str) -> Self {
        Self { flags: "", date: 1_600_000_000, octets: message(subject, b"text\r\n") }
    }

    /// The same with flags.
    pub(crate) fn flags(self, flags: &'static str) -> Self {
        Self { flags, ..self }
    }

    /// The same with a date.
    pub(crate) fn date(self, date: i64) -> Self {
        Self { date, ..self }
    }

    /// The same with other octets.
    pub(crate) fn octets(self, octets: Vec<u8>) -> Self {
        Self { octets, ..self }
    }
}

/// A message as the server keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Its UID.
    pub(crate) uid: u32,
    /// Its flags, without `\Recent`.
    pub(crate) flags: FlagSet,
    /// INTERNALDATE.
    pub(crate) date: Timestamp,
    /// The octets.
    pub(crate) octets: Vec<u8>,
}

/// A message of that subject and body, with CRLF.
pub(crate) fn message(subject: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(
        "Received: from a by b;\r\n\tMon, 7 Feb 2022 21:52:25 +0000\r\n\
         Message-ID: <{subject}@example.org>\r\nDate: Mon, 7 Feb 2022 21:52:25 +0000\r\n\
         From: Someone <someone@example.org>\r\nTo: other@example.org\r\n\
         Subject: {subject}\r\nX-Other: not asked\r\n\r\n"
    );
    [header.as_bytes(), body].concat()
}

/// A body of that many octets, in lines, with an 8-bit octet in each.
pub(crate) fn long_body(octets: usize) -> Vec<u8> {
    let line: Vec<u8> = [&[b'x'; 70][..], b"\xe9\r\n"].concat();
    line.iter().copied().cycle().take(octets - octets % line.len()).collect()
}

pub(crate) fn flags(text: &str) -> FlagSet {
    text.split_whitespace().map(|flag| Flag::from_wire(flag.as_bytes()).unwrap()).collect()
}

pub(crate) fn set(uids: &[u32]) -> UidSet {
    uids.iter().copied().filter_map(Uid::new).collect()
}

pub(crate) fn all() -> UidSet {
    UidSet::range(Uid::MIN, Uid::MAX)
}

/// Flags, dates and sizes.
pub(crate) const FACTS: Items = Items {
    facts: true,
    flags: false,
    size: false,
    date: false,
    mod_seq: false,
    header: mailferry::store::HeaderFields::None,
};

/// Collects rows, and holds who fills it to the sink's contract.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) by_uid: BTreeMap<u32, (RowHead, Vec<u8>)>,
    /// UIDs as they came.
    pub(crate) order: Vec<u32>,
    pub(crate) largest_piece: usize,
    /// Says stop at the end of that many rows.
    pub(crate) stop_after: Option<usize>,
    open: Option<Uid>,
}

impl Rows {
    pub(crate) fn uids(&self) -> Vec<u32> {
        self.by_uid.keys().copied().collect()
    }

    pub(crate) fn head(&self, uid: u32) -> &RowHead {
        &self.by_uid[&uid].0
    }

    pub(crate) fn octets(&self, uid: u32) -> &[u8] {
        &self.by_uid[&uid].1
    }

    fn flow(&self) -> Flow {
        let enough = self.stop_after.is_some_and(|count| self.by_uid.len() >= count);
        if enough { Flow::Stop } else { Flow::Go }
    }
}

impl FetchSink for Rows {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        assert_eq!(self.open.replace(uid), None, "a row begins within another");
        let before = self.by_uid.insert(uid.get(), (head.clone(), Vec::new()));
        assert!(before.is_none(), "UID {uid} came twice");
        self.order.push(uid.get());
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        let uid = self.open.expect("a piece within a row");
        assert!(octets.len() <= 64 * 1024, "a piece of {} octets", octets.len());
        self.largest_piece = self.largest_piece.max(octets.len());
        self.by_uid.get_mut(&uid.get()).unwrap().1.extend_from_slice(octets);
        Flow::Go
    }

    fn end(&mut self, uid: Uid) -> Flow {
        assert_eq!(self.open.take(), Some(uid), "another row ends than began");
        let (head, octets) = &self.by_uid[&uid.get()];
        if let Some(announced) = head.body_octets {
            assert_eq!(octets.len() as u64, announced, "the body of UID {uid}");
        }
        self.flow()
    }
}

pub(crate) fn scan(
    session: &mut (impl Look + ?Sized),
    folder: &WireName,
    uids: &UidSet,
    items: Items,
) -> (Rows, FetchOutcome) {
    let mut rows = Rows::default();
    let outcome = session.scan(folder, uids, items, &mut rows).unwrap();
    assert_eq!(outcome.came, set(&rows.uids()));
    (rows, outcome)
}

pub(crate) fn fetch(
    session: &mut (impl Source + ?Sized),
    folder: &WireName,
    uids: &UidSet,
    stop_after: Option<usize>,
) -> (Rows, FetchOutcome) {
    visit(session, &Visit::new(folder, uids), stop_after)
}

pub(crate) fn visit(
    session: &mut (impl Source + ?Sized),
    visit: &Visit<'_>,
    stop_after: Option<usize>,
) -> (Rows, FetchOutcome) {
    let uids = visit.uids;
    let mut rows = Rows { stop_after, ..Rows::default() };
    let outcome = session.fetch(visit, &mut rows).unwrap();
    assert_eq!(outcome.came, set(&rows.uids()));
    let missing: UidSet = outcome.missing.iter().map(|missing| missing.uid).collect();
    assert_eq!(missing.len(), outcome.missing.len() as u64, "a UID is missing twice");
    assert!(outcome.missing.is_sorted_by_key(|missing| missing.uid));
    assert_eq!(uids.difference(&outcome.came), missing, "every UID is accounted for once");
    (rows, outcome)
}

/// A message to append.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) flags: FlagSet,
    pub(crate) date: Option<String>,
    pub(crate) octets: Vec<u8>,
    /// The source is lost after so many octets.
    pub(crate) lost_after: Option<usize>,
    /// In how large a batch it may go, if not in any.
    pub(crate) company: Option<u32>,
}

impl Outgoing {
    pub(crate) fn new(octets: Vec<u8>) -> Self {
        Self { octets, ..Self::default() }
    }
}

/// A queue of messages that are all there, and the results; holds the adapter to the contract.
#[derive(Debug)]
pub(crate) struct Queue {
    folder: Arc<WireName>,
    messages: Vec<Outgoing>,
    taken: usize,
    poured: usize,
    pub(crate) results: BTreeMap<u64, AppendResult>,
}

impl AppendQueue for Queue {
    fn next(&mut self, _wait: Wait) -> Option<AppendMessage> {
        assert_eq!(self.taken, self.poured, "the body comes before the next message");
        let message = self.messages.get(self.taken)?;
        self.taken += 1;
        Some(AppendMessage {
            ticket: Ticket(self.taken as u64),
            folder: Arc::clone(&self.folder),
            flags: message.flags.clone(),
            date: message.date.clone(),
            octets: message.octets.len() as u64,
            company: message.company.unwrap_or(AppendMessage::ANY_COMPANY),
        })
    }

    fn ended(&self) -> bool {
        self.taken == self.messages.len()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        self.poured += 1;
        assert_eq!(self.taken, self.poured, "a body is poured once");
        let message = &self.messages[self.taken - 1];
        let octets = &message.octets[..message.lost_after.unwrap_or(message.octets.len())];
        octets.chunks(64 * 1024).try_for_each(|piece| sink(&Chunk::from(piece)))?;
        if message.lost_after.is_some() { Err(io::Error::other(BodyLost)) } else { Ok(()) }
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        assert!((1..=self.taken as u64).contains(&ticket.0), "a result of no message");
        let before = self.results.insert(ticket.0, result);
        assert!(before.is_none(), "two results of one message");
    }
}

impl Queue {
    /// The results in the order of the messages that were taken.
    pub(crate) fn results(&self) -> Vec<&AppendResult> {
        self.results.values().collect()
    }
}

/// Appends, and sees that every message that was taken has a result.
pub(crate) fn append(
    session: &mut (impl Destination + ?Sized),
    folder: &WireName,
    messages: Vec<Outgoing>,
) -> (Queue, Result<AppendOutcome, StoreError>) {
    let mut queue = Queue {
        folder: Arc::new(folder.clone()),
        messages,
        taken: 0,
        poured: 0,
        results: BTreeMap::new(),
    };
    let outcome = session.append(&mut queue);
    assert_eq!(queue.results.len(), queue.taken, "every message taken has a result");
    if outcome.is_ok() {
        assert_eq!(queue.taken, queue.messages.len(), "every message is taken");
    }
    (queue, outcome)
}

/// Appends, and sends again what was refused in company, in smaller one, as every filler of a queue has
/// to do. Returns what became of each message in the end.
pub(crate) fn append_apart(
    session: &mut (impl Destination + ?Sized),
    folder: &WireName,
    mut messages: Vec<Outgoing>,
) -> Vec<AppendResult> {
    let mut ended = BTreeMap::new();
    let mut open: Vec<usize> = (0..messages.len()).collect();
    while !open.is_empty() {
        let outgoing = open.iter().map(|&at| messages[at].clone()).collect();
        let (queue, outcome) = append(session, folder, outgoing);
        outcome.unwrap();
        let results = queue.results().into_iter().cloned();
        for (at, result) in std::mem::take(&mut open).into_iter().zip(results) {
            if let AppendResult::RefusedTogether(_, batch) = result {
                let company = messages[at].company.replace(batch.half());
                assert!(company.is_none_or(|company| batch.half() < company), "{batch:?}");
                open.push(at);
            } else {
                ended.insert(at, result);
            }
        }
    }
    ended.into_values().collect()
}

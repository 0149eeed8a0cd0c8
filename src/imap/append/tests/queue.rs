//! A queue of messages in memory.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::WireName;
use crate::store::AppendMessage;
use crate::store::AppendQueue;
use crate::store::AppendResult;
use crate::store::Batch;
use crate::store::BodyLost;
use crate::store::Chunk;
use crate::store::Ticket;
use crate::store::Unknown;
use crate::store::Wait;

/// Messages in memory, and their results.
pub(super) struct Messages {
    pub(super) waiting: VecDeque<(AppendMessage, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) ticket: u64,
    pub(super) body_is_due: bool,
    /// The body of this ticket breaks off.
    pub(super) lost_in: Option<u64>,
    /// Nothing is ready at first when so many messages are left, the most first.
    pub(super) pauses: Vec<usize>,
    /// What waits is seen from when on fewer than so many wait.
    pub(super) seen_below: usize,
    pub(super) waits: Vec<Wait>,
    pub(super) results: Vec<(u64, AppendResult)>,
}

impl Messages {
    /// From words such as `\Seen,$A|date|body`.
    pub(super) fn new(words: &[&str]) -> Self {
        let message = |(at, words): (usize, &&str)| {
            let mut parts = words.splitn(3, '|');
            let flags = parts.next().unwrap().split(',');
            let flags = flags.filter_map(|flag| Flag::from_wire(flag.as_bytes())).collect();
            let date = Some(parts.next().unwrap()).filter(|date| !date.is_empty());
            let body = parts.next().unwrap().as_bytes().to_vec();
            let message = AppendMessage {
                ticket: Ticket(at as u64),
                folder: Arc::new(WireName::new(*b"INBOX")),
                flags,
                date: date.map(|day| format!("\"{day}-Feb-2020 01:02:03 +0000\"")),
                octets: body.len() as u64,
                company: AppendMessage::ANY_COMPANY,
            };
            (message, body)
        };
        Self::of(words.iter().enumerate().map(message).collect())
    }

    pub(super) fn of(waiting: VecDeque<(AppendMessage, Vec<u8>)>) -> Self {
        Self {
            waiting,
            body: Vec::new(),
            ticket: 0,
            body_is_due: false,
            lost_in: None,
            pauses: Vec::new(),
            seen_below: usize::MAX,
            waits: Vec::new(),
            results: Vec::new(),
        }
    }

    pub(super) fn same(count: u64, octets: usize) -> Self {
        let message = |at: u64| {
            let mut body = vec![b'x'; octets];
            body[..5].copy_from_slice(format!("{at:05}").as_bytes());
            let flags = [Flag::Seen].into_iter().collect();
            let folder = Arc::new(WireName::new(*b"INBOX"));
            let octets = octets as u64;
            let (ticket, company) = (Ticket(at), AppendMessage::ANY_COMPANY);
            (AppendMessage { ticket, folder, flags, date: None, octets, company }, body)
        };
        Self::of((0..count).map(message).collect())
    }

    pub(super) fn result(&self, ticket: u64) -> &AppendResult {
        let mut found = self.results.iter().filter(|(own, _)| *own == ticket);
        let (_, result) = found.next().expect("every message has its result");
        assert!(found.next().is_none(), "a result came twice");
        result
    }

    pub(super) fn words(&self) -> Vec<String> {
        let mut results = self.results.clone();
        results.sort_by_key(|(ticket, _)| *ticket);
        let word = |(ticket, result): (u64, AppendResult)| match result {
            AppendResult::Stored(stored) => {
                let uid = stored.at.map_or("-".to_owned(), |(_, uid)| uid.to_string());
                format!("{ticket} stored {uid}")
            }
            AppendResult::Refused(refusal) => format!("{ticket} {refusal}"),
            AppendResult::RefusedTogether(refusal, Batch { first, messages }) => {
                format!("{ticket} {refusal} ({messages} from {})", first.0)
            }
            AppendResult::Unknown(Unknown { handed_over }) => {
                format!("{ticket} unknown {}", if handed_over { "handed over" } else { "kept" })
            }
        };
        results.into_iter().map(word).collect()
    }
}

impl AppendQueue for Messages {
    fn next(&mut self, wait: Wait) -> Option<AppendMessage> {
        assert!(!self.body_is_due, "the body before was not asked for");
        self.waits.push(wait);
        if self.pauses.first() == Some(&self.waiting.len()) && wait != Wait::UntilEnd {
            self.pauses.remove(0);
            return None;
        }
        let (message, body) = self.waiting.pop_front()?;
        self.body = body;
        self.ticket = message.ticket.0;
        self.body_is_due = true;
        Some(message)
    }

    fn coming(&self, each: &mut dyn FnMut(&WireName, &FlagSet)) {
        if self.waiting.len() < self.seen_below {
            self.waiting.iter().for_each(|(message, _)| each(&message.folder, &message.flags));
        }
    }

    fn ended(&self) -> bool {
        self.waiting.is_empty()
    }

    fn body(&mut self, sink: &mut dyn FnMut(&Chunk) -> io::Result<()>) -> io::Result<()> {
        assert!(std::mem::take(&mut self.body_is_due), "a body was asked for twice");
        let body = std::mem::take(&mut self.body);
        let lost = self.lost_in == Some(self.ticket);
        let end = if lost { body.len() / 2 } else { body.len() };
        for piece in body[..end].chunks(1_000) {
            sink(&Chunk::from(piece))?;
        }
        if lost { Err(io::Error::other(BodyLost)) } else { Ok(()) }
    }

    fn done(&mut self, ticket: Ticket, result: AppendResult) {
        self.results.push((ticket.0, result));
    }
}

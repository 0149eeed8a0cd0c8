//! Tours: folders that are opened one after the other and read, with the commands for the next ones
//! sent ahead of the answers for the first.
//!
//! EXAMINE stands between the folders: a server answers in the order of the commands (RFC 9051 §5.5),
//! so what comes belongs to the folder whose opening was answered last.
//!
//! # Never
//!
//! * Never takes rows for a folder whose opening was not answered with OK.
//! * Never asks again: a folder is behind us when its answers are read.
//! * Never has more commands on the way than both sides' buffers hold, so that nobody blocks.

use std::collections::VecDeque;

use crate::imap::ahead;
use crate::imap::ahead::AHEAD_OCTETS_MAX;
use crate::imap::command::set_lines;
use crate::imap::fetch::Line;
use crate::imap::fetch::Nobody;
use crate::imap::fetch::Opened;
use crate::imap::fetch::pass::Pass;
use crate::imap::fetch::row::Wanted;
use crate::imap::open;
use crate::imap::open::Access;
use crate::imap::request::Command;
use crate::imap::session;
use crate::imap::session::Session;
use crate::imap::tap::Exchange;
use crate::mail::UidSet;
use crate::store::FetchOutcome;
use crate::store::Flow;
use crate::store::FolderState;
use crate::store::Items;
use crate::store::Missing;
use crate::store::MissingWhy;
use crate::store::StoreError;
use crate::store::Visit;
use crate::store::VisitSink;

/// Most octets of the commands of one visit: twice a name, a set of UIDs, and our own words.
const VISIT_OCTETS_MAX: usize = 4 * 1024;

/// Longest command that names a folder and nothing else, in octets.
const NAME_OCTETS_MAX: usize = 700;

/// Longest written set of UIDs of a visit that is sent ahead, in octets.
const SET_OCTETS_MAX: usize = 2 * 1024;

/// How many visits from the first on can be sent ahead. Others are made by themselves: a name that
/// needs a literal waits for its `+`, and a long set fills the buffers.
pub(in crate::imap) fn count_ahead(visits: &[Visit<'_>]) -> usize {
    let is_short = |visit: &&Visit<'_>| {
        open::to_identify(visit.folder).line().is_some_and(|line| line.len() <= NAME_OCTETS_MAX)
            && visit.uids.split_at_octets(SET_OCTETS_MAX).len() <= 1
    };
    visits.iter().take_while(is_short).count()
}

impl Session {
    /// Opens folders and reads rows of each, all of which [`count_ahead`] counts; the first one has
    /// this number. Tells whether the sink asked to stop.
    ///
    /// # Errors
    ///
    /// Those that end the connection; the sink may then hold a part.
    pub(in crate::imap) fn scan_ahead(
        &mut self,
        visits: (usize, &[Visit<'_>]),
        items: Items,
        sink: &mut dyn VisitSink,
    ) -> Result<Flow, StoreError> {
        self.tour(visits, Wanted::Scan(items), sink)
    }

    /// Likewise, and reads whole messages, each folder's in ascending order of UIDs from a server that
    /// answers a command in order.
    ///
    /// # Errors
    ///
    /// As [`scan_ahead`](Self::scan_ahead).
    pub(in crate::imap) fn fetch_ahead(
        &mut self,
        visits: (usize, &[Visit<'_>]),
        sink: &mut dyn VisitSink,
    ) -> Result<Flow, StoreError> {
        self.tour(visits, Wanted::Body, sink)
    }

    fn tour(
        &mut self,
        (first, visits): (usize, &[Visit<'_>]),
        wanted: Wanted,
        sink: &mut dyn VisitSink,
    ) -> Result<Flow, StoreError> {
        let (line, flow) = self.ahead(|session, exchange| {
            let mut tour = Tour {
                session,
                exchange,
                visits,
                first,
                wanted,
                next: 0,
                ahead: VecDeque::new(),
                octets: 0,
                stopped: false,
                discarded: 0,
            };
            tour.go(sink)
        })?;
        if line == Line::Inside {
            self.give_up();
            if flow == Flow::Go {
                let text = "it was left inside of an answer that nobody wanted";
                return Err(StoreError::Connection(text.to_owned()));
            }
        }
        Ok(flow)
    }
}

/// The commands of one visit that are on the way.
struct Sent {
    place: usize,
    examine: String,
    identify: Option<String>,
    /// At most one, as a pass takes them.
    fetches: Vec<(String, UidSet)>,
    octets: usize,
}

/// One tour, until every command that was sent is answered.
struct Tour<'a> {
    session: &'a mut Session,
    exchange: &'a mut Exchange,
    visits: &'a [Visit<'a>],
    /// The number of the first visit.
    first: usize,
    wanted: Wanted,
    /// The visit whose commands leave next.
    next: usize,
    ahead: VecDeque<Sent>,
    /// Octets of the commands in `ahead`.
    octets: usize,
    /// The sink asked to stop: what still comes is read and told to nobody.
    stopped: bool,
    /// Octets of bodies that were read for nobody.
    discarded: u64,
}

impl Tour<'_> {
    fn go(&mut self, sink: &mut dyn VisitSink) -> Result<(Line, Flow), StoreError> {
        // A refused EXAMINE leaves no folder open.
        self.session.set_open(None);
        let mut line = Line::Idle;
        loop {
            self.send_ahead()?;
            let Some(sent) = self.ahead.pop_front() else { break };
            self.octets -= sent.octets;
            line = self.visit(sent, sink)?;
            if line == Line::Inside {
                break;
            }
        }
        Ok((line, if self.stopped { Flow::Stop } else { Flow::Go }))
    }

    /// Sends the commands of the next visits, many at a time.
    fn send_ahead(&mut self) -> Result<(), StoreError> {
        if self.octets > AHEAD_OCTETS_MAX / 2 {
            return Ok(());
        }
        while !self.stopped && self.octets <= AHEAD_OCTETS_MAX - VISIT_OCTETS_MAX {
            let Some(visit) = self.visits.get(self.next) else { break };
            let sent = self.send(self.next, visit)?;
            self.next += 1;
            self.octets += sent.octets;
            self.ahead.push_back(sent);
        }
        self.exchange.wire_mut().flush()
    }

    fn send(&mut self, place: usize, visit: &Visit<'_>) -> Result<Sent, StoreError> {
        let mut octets = 0;
        let examine = self.session.to_open(visit.folder, Access::Read);
        let examine = self.put(&examine, &mut octets)?;
        let identify = if self.session.abilities().object_id {
            Some(self.put(&open::to_identify(visit.folder), &mut octets)?)
        } else {
            None
        };
        let mut fetches = Vec::new();
        for set in set_lines(visit.uids) {
            let line = Command::new(&format!("UID FETCH {set} {}", self.wanted.items()));
            fetches.push((self.put(&line, &mut octets)?, set));
        }
        Ok(Sent { place, examine, identify, fetches, octets })
    }

    /// Queues one line; returns its tag.
    fn put(&mut self, command: &Command, octets: &mut usize) -> Result<String, StoreError> {
        let (tag, length) = ahead::put(self.exchange, command)?;
        *octets += length;
        Ok(tag)
    }

    fn visit(&mut self, sent: Sent, sink: &mut dyn VisitSink) -> Result<Line, StoreError> {
        let visit = self.visits[sent.place];
        let number = self.first + sent.place;
        let opened = self.opened(&visit, &sent)?;
        let opened = opened.map_err(|fault| self.session.clean(fault));
        let is_open = opened.is_ok();
        let is_wanted = !self.stopped && sink.opened(number, opened) && is_open;
        if !is_wanted {
            return self.discard(sent.fetches);
        }
        let Some(opened) = self.session.opened_mut() else { return self.discard(sent.fetches) };
        let known_each = opened.may_hold_each(visit.uids);
        let mut pass = Pass::new(self.exchange.wire_mut(), opened, sink, self.wanted);
        pass.read(sent.fetches)?;
        self.stopped = pass.is_stopped();
        let line = pass.left();
        let (came, mut complete) = pass.into_listing();
        if self.wanted != Wanted::Body {
            complete &= opened.is_listed_by(visit.uids, &came);
        }
        let absent = if known_each { visit.uids.difference(&came) } else { UidSet::new() };
        let missing = absent.iter().map(|uid| Missing { uid, why: MissingWhy::NotAsked });
        sink.left(number, FetchOutcome { missing: missing.collect(), came, complete });
        Ok(line)
    }

    /// Reads what the opening of a folder told; the inner fault is of this folder alone.
    fn opened(
        &mut self,
        visit: &Visit<'_>,
        sent: &Sent,
    ) -> Result<Result<FolderState, StoreError>, StoreError> {
        self.session.set_open(None);
        self.exchange.begin();
        let examined = session::answer_to(self.exchange, &sent.examine)?;
        self.exchange.begin();
        let identified = match &sent.identify {
            Some(tag) => session::answer_to(self.exchange, tag)?.ok(),
            None => None,
        };
        let read = match examined {
            Ok(reply) => {
                self.session.accepted(visit.folder);
                open::read(&reply, Access::Read)
            }
            Err(refusal) => Err(StoreError::Refused(refusal)),
        };
        let mut state = match read {
            Ok(state) => state,
            Err(fault) => return Ok(Err(fault)),
        };
        state.mailbox_id =
            state.mailbox_id.or_else(|| identified.as_ref().and_then(open::mailbox_id));
        // It is opened anew, and taken for what it is now.
        self.session.identities().remove(visit.folder);
        if let Err(fault) = self.session.enter(visit.folder, Access::Read, state.clone()) {
            return Ok(Err(fault));
        }
        if let (Some(opened), Some(reply)) = (self.session.opened_mut(), &identified) {
            reply.data().for_each(|data| opened.note(&data));
        }
        Ok(Ok(state))
    }

    /// Reads the answers of a visit whose rows nobody wants, or that is none.
    fn discard(&mut self, fetches: Vec<(String, UidSet)>) -> Result<Line, StoreError> {
        let (mut nobody, mut nothing) =
            (Nobody, Opened { uid_next: None, messages: 0, arrived: 0 });
        let opened = self.session.opened_mut().unwrap_or(&mut nothing);
        let mut pass = Pass::new(self.exchange.wire_mut(), opened, &mut nobody, self.wanted);
        self.discarded = pass.discard_all(fetches, self.discarded)?;
        Ok(pass.left())
    }
}

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

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::imap::ahead;
use crate::imap::ahead::AHEAD_OCTETS_MAX;
use crate::imap::fetch::Line;
use crate::imap::fetch::Nobody;
use crate::imap::fetch::Opened;
use crate::imap::fetch::pass::Pass;
use crate::imap::fetch::pass::SentPart;
use crate::imap::fetch::row::Wanted;
use crate::imap::open;
use crate::imap::open::Access;
use crate::imap::pace::Way;
use crate::imap::request::Command;
use crate::imap::session;
use crate::imap::session::Session;
use crate::imap::tap::Exchange;
use crate::imap::wire::Wire;
use crate::mail::UidOrder;
use crate::mail::UidSet;
use crate::mail::WireName;
use crate::store::FetchOutcome;
use crate::store::Flow;
use crate::store::FolderState;
use crate::store::Missing;
use crate::store::MissingWhy;
use crate::store::StoreError;
use crate::store::Survey;
use crate::store::Visit;
use crate::store::VisitSink;

/// Most octets of the commands of one stop: a name, sets of UIDs, and our own words.
const STOP_OCTETS_MAX: usize = 4 * 1024;

/// Longest command that names a folder and nothing else, in octets.
const NAME_OCTETS_MAX: usize = 700;

/// Longest written sets of UIDs of a stop that is sent ahead, in octets, all together.
const SETS_OCTETS_MAX: usize = 2 * 1024;

/// Most commands for one message each of a stop that is sent ahead.
const SINGLES_MAX: u64 = 16;

/// Stops that are sent ahead: what comes of them after a wish to stop is read for nothing.
const STOPS_AHEAD_MAX: usize = 40;

/// One folder of a tour, and what is asked of it while it is open: either bodies, or several things of
/// different messages.
pub(in crate::imap) struct Stop<'a> {
    folder: &'a WireName,
    parts: Vec<(Cow<'a, UidSet>, Wanted)>,
}

/// A stop that looks; nothing where it can only be made by itself: whether a folder keeps MODSEQ is
/// known when it is open.
pub(in crate::imap) fn to_look<'a>(survey: &Survey<'a>) -> Option<Stop<'a>> {
    let parts = survey.parts.iter();
    let parts = parts.map(|part| (!part.items.mod_seq).then_some((&part.uids, part.items)));
    let parts: Option<Vec<_>> = parts.collect();
    let scans = parts?.into_iter().map(|(uids, items)| (Cow::Borrowed(uids), Wanted::Scan(items)));
    Some(Stop { folder: survey.folder, parts: scans.collect() })
}

/// A stop at which whole messages are read, in the order of the visit from a server that answers in
/// order; nothing where it can only be made by itself: in another order than that of UIDs each message
/// takes a command.
pub(in crate::imap) fn to_read<'a>(visit: &Visit<'a>) -> Option<Stop<'a>> {
    let &Visit { folder, uids, order } = visit;
    let sets = match order {
        UidOrder::OldestFirst => vec![Cow::Borrowed(uids)],
        UidOrder::NewestFirst if uids.len() > SINGLES_MAX => return None,
        UidOrder::NewestFirst => {
            order.iter(uids).map(|uid| Cow::Owned(UidSet::range(uid, uid))).collect()
        }
    };
    Some(Stop { folder, parts: sets.into_iter().map(|uids| (uids, Wanted::Body)).collect() })
}

/// How many stops from the first on can be sent ahead. Others are made by themselves: a name that
/// needs a literal waits for its `+`, and long sets fill the buffers.
pub(in crate::imap) fn count_ahead<'a>(stops: impl Iterator<Item = Stop<'a>>) -> usize {
    let is_short = |stop: &Stop<'_>| {
        let name = Command::new("EXAMINE").folder(stop.folder);
        let sets = stop.parts.iter().map(|(uids, _)| set_octets(uids));
        name.line().is_some_and(|line| line.len() <= NAME_OCTETS_MAX)
            && sets.sum::<usize>() <= SETS_OCTETS_MAX
    };
    stops.take_while(is_short).count()
}

/// How long a written set is; one that is too long by far is not measured to its end.
fn set_octets(uids: &UidSet) -> usize {
    let room = SETS_OCTETS_MAX;
    if uids.ranges().nth(room).is_some() { room + 1 } else { uids.to_string().len() }
}

/// What is wanted of all messages together: each row may hold what any part asks for.
fn together(parts: &[(Cow<'_, UidSet>, Wanted)]) -> Wanted {
    let wanted = parts.iter().map(|(_, wanted)| *wanted);
    let with_content = wanted.clone().find(|wanted| wanted.content().is_some());
    with_content.or_else(|| wanted.into_iter().next()).unwrap_or(Wanted::Presence)
}

impl Session {
    /// Opens folders and reads what is asked of each, all of which [`count_ahead`] counts; the first
    /// one has this number, and `way` is what it moves. Tells whether the sink asked to stop.
    ///
    /// # Errors
    ///
    /// Those that end the connection; the sink may then hold a part.
    pub(in crate::imap) fn tour(
        &mut self,
        way: Way,
        (first, stops): (usize, &[Stop<'_>]),
        sink: &mut dyn VisitSink,
    ) -> Result<Flow, StoreError> {
        let (line, flow) = self.ahead(Some(way), |session, exchange| {
            let begun = Begun::default();
            go(session, exchange, (first, stops), begun, sink)
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

/// Goes on with a tour from the stops whose commands are on the way.
///
/// # Errors
///
/// Those that end the connection.
pub(in crate::imap) fn go(
    session: &mut Session,
    exchange: &mut Exchange,
    (first, stops): (usize, &[Stop<'_>]),
    begun: Begun,
    sink: &mut dyn VisitSink,
) -> Result<(Line, Flow), StoreError> {
    let next = begun.ahead.len();
    let mut tour =
        Tour { session, exchange, stops, first, next, begun, stopped: false, discarded: 0 };
    tour.go(sink)
}

/// What is said at one stop.
pub(in crate::imap) struct Lines {
    examine: Command,
    /// Nothing for a part that asks for nothing.
    parts: Vec<Option<Command>>,
}

/// What a session says at a stop.
pub(in crate::imap) fn lines(session: &Session, stop: &Stop<'_>) -> Lines {
    let fetch = |(uids, wanted): &(Cow<'_, UidSet>, Wanted)| {
        let is_wanted = !uids.is_empty();
        is_wanted.then(|| Command::new(&format!("UID FETCH {uids} {}", wanted.items())))
    };
    let examine = session.to_open(stop.folder, Access::Read);
    Lines { examine, parts: stop.parts.iter().map(fetch).collect() }
}

/// Stops whose commands are on the way.
#[derive(Default)]
pub(in crate::imap) struct Begun {
    ahead: VecDeque<Sent>,
    /// Octets of the commands in `ahead`.
    octets: usize,
}

impl Begun {
    /// Tells whether one more stop may be sent before the first one is answered.
    pub(in crate::imap) fn has_room(&self) -> bool {
        self.ahead.len() < STOPS_AHEAD_MAX && self.octets <= AHEAD_OCTETS_MAX - STOP_OCTETS_MAX
    }

    /// The tag of the first command that is on the way.
    pub(in crate::imap) fn first(&self) -> Option<&str> {
        self.ahead.front().map(|sent| sent.examine.as_str())
    }

    fn is_enough(&self) -> bool {
        self.ahead.len() > STOPS_AHEAD_MAX / 2 || self.octets > AHEAD_OCTETS_MAX / 2
    }

    /// Queues what is said at the stop with this place.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(in crate::imap) fn send(
        &mut self,
        wire: &mut Wire,
        place: usize,
        lines: &Lines,
    ) -> Result<(), StoreError> {
        let mut octets = 0;
        let mut put = |command: &Command| {
            let (tag, length) = ahead::put(wire, command)?;
            octets += length;
            Ok::<_, StoreError>(tag)
        };
        let examine = put(&lines.examine)?;
        let parts: Result<Vec<_>, _> =
            lines.parts.iter().map(|part| part.as_ref().map(&mut put).transpose()).collect();
        let parts = parts?;
        self.octets += octets;
        self.ahead.push_back(Sent { place, examine, parts, octets });
        Ok(())
    }

    fn pop(&mut self) -> Option<Sent> {
        let sent = self.ahead.pop_front()?;
        self.octets -= sent.octets;
        Some(sent)
    }
}

/// The commands of one stop that are on the way.
struct Sent {
    place: usize,
    examine: String,
    /// The tag of each part; nothing for one that asks for nothing.
    parts: Vec<Option<String>>,
    octets: usize,
}

/// One tour, until every command that was sent is answered.
struct Tour<'a> {
    session: &'a mut Session,
    exchange: &'a mut Exchange,
    stops: &'a [Stop<'a>],
    /// The number of the first stop.
    first: usize,
    /// The stop whose commands leave next.
    next: usize,
    begun: Begun,
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
            let Some(sent) = self.begun.pop() else { break };
            line = self.stop(&sent, sink)?;
            if line == Line::Inside {
                break;
            }
        }
        Ok((line, if self.stopped { Flow::Stop } else { Flow::Go }))
    }

    /// Sends the commands of the next stops, many at a time.
    fn send_ahead(&mut self) -> Result<(), StoreError> {
        if self.begun.is_enough() {
            return Ok(());
        }
        while !self.stopped && self.begun.has_room() {
            let Some(stop) = self.stops.get(self.next) else { break };
            let lines = lines(self.session, stop);
            self.begun.send(self.exchange.wire_mut(), self.next, &lines)?;
            self.next += 1;
        }
        self.exchange.wire_mut().flush()
    }

    fn stop(&mut self, sent: &Sent, sink: &mut dyn VisitSink) -> Result<Line, StoreError> {
        let stops = self.stops;
        let Some(stop) = stops.get(sent.place) else { return Ok(Line::Idle) };
        let number = self.first + sent.place;
        let opened = self.opened(stop.folder, sent)?.map_err(|fault| self.session.clean(fault));
        let is_open = opened.is_ok();
        let is_wanted = !self.stopped && sink.opened(number, opened) && is_open;
        let parts = stop.parts.iter().zip(&sent.parts);
        let on_the_way = parts.filter_map(|((uids, wanted), tag)| {
            Some((tag.clone()?, uids.clone().into_owned(), *wanted))
        });
        let on_the_way: Vec<_> = on_the_way.collect();
        let wanted = together(&stop.parts);
        if !is_wanted {
            return self.discard(wanted, on_the_way);
        }
        let Some(opened) = self.session.opened_mut() else {
            return self.discard(wanted, on_the_way);
        };
        let sets = || stop.parts.iter().map(|(uids, _)| &**uids);
        let known_each = opened.may_hold_each(sets().map(UidSet::len).sum());
        let mut pass = Pass::new(self.exchange.wire_mut(), opened, sink, wanted);
        if wanted == Wanted::Body && stop.parts.len() > 1 {
            pass = pass.newest_first();
        }
        pass.read(on_the_way)?;
        self.stopped = pass.is_stopped();
        let line = pass.left();
        let (came, mut complete) = pass.into_listing();
        if wanted != Wanted::Body {
            complete &= opened.is_listed_by(sets(), &came);
        }
        let mut missing = Vec::new();
        if known_each {
            for absent in sets().map(|uids| uids.difference(&came)) {
                let why = MissingWhy::NotAsked;
                missing.extend(absent.iter().map(|uid| Missing { uid, why }));
            }
            missing.sort_unstable_by_key(|missing| missing.uid);
        }
        sink.left(number, FetchOutcome { missing, came, complete });
        Ok(line)
    }

    /// Reads what the opening of a folder told; the inner fault is of this folder alone.
    fn opened(
        &mut self,
        folder: &WireName,
        sent: &Sent,
    ) -> Result<Result<FolderState, StoreError>, StoreError> {
        self.session.set_open(None);
        self.exchange.begin();
        let examined = session::answer_to(self.exchange, &sent.examine)?;
        let read = match examined {
            Ok(reply) => {
                self.session.accepted(folder);
                open::read(&reply, Access::Read)
            }
            Err(refusal) => Err(StoreError::Refused(refusal)),
        };
        // A MAILBOXID comes with it where there are any (RFC 8474 §4.1). It is not asked for besides, as
        // when one folder is opened: servers answer STATUS and what follows side by side.
        let state = match read {
            Ok(state) => state,
            Err(fault) => return Ok(Err(fault)),
        };
        // It is opened anew, and taken for what it is now.
        self.session.identities().remove(folder);
        if let Err(fault) = self.session.enter(folder, Access::Read, state.clone()) {
            return Ok(Err(fault));
        }
        Ok(Ok(state))
    }

    /// Reads the answers of a stop whose rows nobody wants, or that has none.
    fn discard(&mut self, wanted: Wanted, on_the_way: Vec<SentPart>) -> Result<Line, StoreError> {
        let (mut nobody, mut nothing) =
            (Nobody, Opened { uid_next: None, messages: 0, arrived: 0 });
        let opened = self.session.opened_mut().unwrap_or(&mut nothing);
        let mut pass = Pass::new(self.exchange.wire_mut(), opened, &mut nobody, wanted);
        self.discarded = pass.discard_all(on_the_way, self.discarded)?;
        Ok(pass.left())
    }
}

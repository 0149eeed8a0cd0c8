//! Dates of the few messages that a plan names one by one, where a tour did not ask for those of all.
//!
//! To tell an INTERNALDATE takes some servers longer than all else that is asked of a message, and a copy
//! as a whole needs none. So lines wait until the tour is over, and what lacks a date is asked for together.

use std::collections::BTreeMap;
use std::io;

use crate::mail::{InternalDate, MailboxId, Side, Timestamp, Uid, UidSet, UidValidity, WireName};
use crate::plan::{Action, Observed, PlanWriter, Reason};
use crate::planning::make::{Making, PlanningFault};
use crate::session::{at, persist};
use crate::store::{
    Chunk, FetchOutcome, FetchSink, Flow, FolderState, Items, Part, RowHead, StoreError, Survey,
    VisitSink,
};

/// Most messages of one tour whose dates are asked for later, as far as the server tells how many there are.
pub(super) const MESSAGES_MAX: u64 = 50_000;

/// Most lines that wait, whatever it tells.
const LINES_MAX: usize = 50_000;

/// Lines that wait, and the source folders of their pairs.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: Vec<Action>,
    folders: BTreeMap<u32, Folder>,
}

/// A source folder as it was read.
#[derive(Debug)]
struct Folder {
    wire: WireName,
    uid_validity: UidValidity,
    mailbox_id: Option<MailboxId>,
}

impl Waiting {
    /// Notes the source folder of a pair as it was read.
    pub(super) fn note(&mut self, pair: u32, wire: &WireName, seen: &Observed) {
        let (uid_validity, mailbox_id) = (seen.uid_validity, seen.mailbox_id.clone());
        self.folders.insert(pair, Folder { wire: wire.clone(), uid_validity, mailbox_id });
    }
}

/// Writes a line, or lets it wait where lines do. Where they are far more than the server said that there
/// are messages, they wait no longer, and have no dates.
pub(super) fn put(
    waiting: &mut Option<Waiting>,
    writer: &mut PlanWriter,
    action: Action,
) -> io::Result<()> {
    if let Some(waiting) = waiting.as_mut().filter(|waiting| waiting.lines.len() < LINES_MAX) {
        waiting.lines.push(action);
        return Ok(());
    }
    let given_up = waiting.take().into_iter().flat_map(|waiting| waiting.lines);
    given_up.chain([action]).try_for_each(|action| writer.action(&action))
}

impl Making<'_> {
    /// Writes lines that waited, with the dates that they lack.
    pub(super) fn put_dated(
        &mut self,
        waiting: Waiting,
        writer: &mut PlanWriter,
    ) -> Result<(), PlanningFault> {
        let mut undated: BTreeMap<u32, UidSet> = BTreeMap::new();
        for (pair, uid) in waiting.lines.iter().filter_map(lacks_date) {
            undated.entry(pair).or_default().insert(uid);
        }
        let dates = self.dates(&undated, &waiting.folders)?;
        for mut action in waiting.lines {
            let found = lacks_date(&action).and_then(|key| dates.get(&key));
            if let Action::Skip { date, .. } | Action::Blocked { date, .. } = &mut action {
                *date = date.or(found.copied());
            }
            writer.action(&action)?;
        }
        Ok(())
    }

    fn dates(
        &mut self,
        undated: &BTreeMap<u32, UidSet>,
        folders: &BTreeMap<u32, Folder>,
    ) -> Result<BTreeMap<(u32, Uid), Timestamp>, PlanningFault> {
        let items = Items { date: true, ..Items::default() };
        let asked: Vec<(u32, &Folder, [Part; 1])> = undated
            .iter()
            .filter_map(|(&pair, uids)| {
                Some((pair, folders.get(&pair)?, [Part { uids: uids.clone(), items }]))
            })
            .collect();
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let surveys: Vec<Survey<'_>> =
            asked.iter().map(|(_, asked, parts)| Survey { folder: &asked.wire, parts }).collect();
        let folders = asked.iter().map(|(pair, folder, _)| (*pair, *folder)).collect();
        let mut dates = Dates { folders, pair: 0, found: BTreeMap::new() };
        let read = persist(
            self,
            |making| &mut making.reading,
            |making| {
                let (source, _) = making.reading.both()?;
                source.survey(&surveys, &mut dates).map_err(at(Side::Source))
            },
        );
        match read {
            // They are for people: a plan without them is none the worse.
            Err(PlanningFault::Store(side, error)) => {
                tracing::debug!(%side, %error, "dates cannot be had");
            }
            read => read?,
        }
        Ok(dates.found)
    }
}

/// The message of a line that names one and tells no date. What a filter leaves out stands there as sets.
fn lacks_date(action: &Action) -> Option<(u32, Uid)> {
    match action {
        Action::Skip {
            reason: Reason::OutsideDates | Reason::OutsideSizes | Reason::NotInSearch,
            ..
        } => None,
        Action::Skip { pair, uids, messages: 1, date: None, .. } => Some((*pair, uids.first()?)),
        Action::Blocked { pair, uid: Some(uid), date: None, .. } => Some((*pair, *uid)),
        _ => None,
    }
}

/// Takes dates.
struct Dates<'a> {
    /// Each folder with its pair.
    folders: Vec<(u32, &'a Folder)>,
    pair: u32,
    found: BTreeMap<(u32, Uid), Timestamp>,
}

impl FetchSink for Dates<'_> {
    fn begin(&mut self, uid: Uid, head: &RowHead) -> Flow {
        let date = head.internal_date.map(InternalDate::instant);
        self.found.extend(date.map(|date| ((self.pair, uid), date)));
        Flow::Go
    }

    fn piece(&mut self, _: &Chunk) -> Flow {
        Flow::Go
    }

    fn end(&mut self, _: Uid) -> Flow {
        Flow::Go
    }
}

impl VisitSink for Dates<'_> {
    fn opened(&mut self, visit: usize, state: Result<FolderState, StoreError>) -> bool {
        let Some(&(pair, then)) = self.folders.get(visit) else { return false };
        self.pair = pair;
        state.is_ok_and(|state| {
            state.uid_validity == then.uid_validity
                && then.mailbox_id.as_ref().is_none_or(|id| state.mailbox_id.as_ref() == Some(id))
        })
    }

    fn left(&mut self, _: usize, _: FetchOutcome) {}
}

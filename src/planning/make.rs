//! The plan of one account pair.

use std::io;
use std::time::Duration;

use crate::inspect;
use crate::inspect::InspectError;
use crate::inspect::SideSeen;
use crate::mail::{FolderName, Side, Timestamp, WireName};
use crate::matching::SizeRecord;
use crate::plan::{
    Account, AccountPair, FORMAT, ForeignValue, Header, LeftOut, PlanId, PlanWriter, Reason, Spool,
    Witness, WitnessFolder,
};
use crate::planner;
use crate::planner::{FolderPlan, Group, RecipeTable};
use crate::planning::draft::Draft;
use crate::rule::Rules;
use crate::session::{Clock, Ends, NoSession, Patience, Reading, Stop, Trouble, persist};
use crate::state::{State, StateError, Verdict, same_account};
use crate::store::{AppendWays, Listing, StoreError};

/// So many tours that ended before their time are made: each reads some folders for nothing.
const SURPRISES_MAX: usize = 8;

/// After a change of so large a part of the source without state, the plan says what that costs.
const KNOWN_PART: (u64, u64) = (1, 5);

/// What a plan says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// The manifest's path as given.
    pub manifest: String,
    /// SHA-256 over what decides actions.
    pub digest: String,
    /// The account's name in output.
    pub account: String,
    /// The source's server, for people.
    pub source: (String, u16),
    /// The destination's server, for people.
    pub destination: (String, u16),
    /// Every value that did not come from a file.
    pub foreign_values: Vec<ForeignValue>,
    /// The time that ages were counted from.
    pub now: Timestamp,
}

/// What making a plan needs besides its ends.
pub struct Order<'a> {
    /// What the author asked for.
    pub rules: &'a Rules,
    /// What the plan says of itself.
    pub about: About,
    /// State, as a cache of what was read before.
    pub state: &'a mut dyn State,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The wish to stop.
    pub stop: &'a Stop,
    /// How often a folder is tried again after a lost connection.
    pub retries: u32,
    /// How long a server may be away.
    pub reconnect_for: Duration,
    /// Makes a spool for lines that are joined at the end.
    pub make_spool: &'a mut dyn FnMut() -> io::Result<Box<dyn Spool>>,
    /// Takes sentences about what goes on.
    pub tell: &'a mut dyn FnMut(&str),
    /// Is told what is to be expected, as soon as that is known.
    pub foretell: &'a mut dyn FnMut(&Forecast),
}

/// What a plan will be about, before it is known message by message.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    /// Messages of source folders whose destination folders are not there or are empty.
    pub messages: u64,
    /// Destination folders that these go to.
    pub folders: usize,
    /// How the destination lets messages be appended.
    pub append: AppendWays,
    /// One of the servers is near.
    pub is_near: bool,
}

/// A plan whose lines are written and not yet joined.
pub struct Planned {
    /// The lines.
    pub writer: PlanWriter,
    /// Sentences that a reader should know.
    pub notes: Vec<String>,
    /// What the destination listed when planning began.
    pub listed: Listing,
}

/// Why no plan came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanningFault {
    /// A side cannot be had.
    #[error("the {0}: {1}")]
    Store(Side, StoreError),
    /// State cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The plan's lines cannot be written.
    #[error("the plan cannot be written: {0}")]
    Write(#[from] io::Error),
    /// Both ends are one mailbox.
    #[error("source and destination are one mailbox")]
    OneMailbox(Vec<WireName>),
    /// The login leads to another account than last time.
    #[error("the {side} login leads to another account than last time")]
    OtherAccount {
        /// Which side.
        side: Side,
        /// The folders that were recorded.
        recorded: Vec<WitnessFolder>,
        /// The folders that are seen.
        seen: Vec<WitnessFolder>,
    },
    /// INBOX is not listed, or cannot be opened.
    #[error("the {0} lists no INBOX that can be opened")]
    NoInbox(Side),
    /// No folder is selected at the source.
    #[error("no folder of the source is selected")]
    NothingSelected,
    /// `include` names folders that the source does not have; each with the place in the manifest.
    #[error("`include` names folders that the source does not have")]
    MissingFolders(Vec<(FolderName, Option<String>)>),
    /// A signal asked to stop.
    #[error("stopped as asked")]
    Stopped,
}

impl From<NoSession> for PlanningFault {
    fn from(none: NoSession) -> Self {
        match none {
            NoSession::Stopped => Self::Stopped,
            NoSession::Failed(side, error) => Self::Store(side, error),
        }
    }
}

/// A plan in the making.
pub(super) struct Making<'a> {
    pub draft: Draft<'a>,
    pub reading: Reading<'a>,
}

/// Makes the plan of one account pair. Nothing is changed on either server.
///
/// # Errors
///
/// [`PlanningFault`] where no plan can be made.
pub fn make(ends: Ends, given: Order<'_>) -> Result<Planned, PlanningFault> {
    let Order {
        rules,
        about,
        state,
        clock,
        stop,
        retries,
        reconnect_for,
        make_spool,
        tell,
        foretell,
    } = given;
    let draft = Draft {
        rules,
        state,
        recipes: RecipeTable::default(),
        sizes: SizeRecord::default(),
        next_pair: 0,
        messages: (0, 0),
        notes: Vec::new(),
        waiting: None,
    };
    let patience = Patience { clock, stop, reconnect_for };
    let mut making = Making { draft, reading: Reading::new(ends, patience, retries, tell) };
    // All that a plan writes down can be found out again.
    making.draft.state.gather(true)?;
    let writer = making.all(&about, make_spool, foretell);
    let gathered = making.draft.state.gather(false);
    making.reading.close();
    let (writer, listed) = writer?;
    gathered?;
    Ok(Planned { writer, notes: making.draft.notes, listed })
}

impl Making<'_> {
    fn all(
        &mut self,
        about: &About,
        make_spool: &mut dyn FnMut() -> io::Result<Box<dyn Spool>>,
        foretell: &mut dyn FnMut(&Forecast),
    ) -> Result<(PlanWriter, Listing), PlanningFault> {
        let was_empty = self.draft.state.was_empty();
        self.draft.state.begin_run("plan", about.now)?;
        let (here, there) = persist(self, |making| &mut making.reading, Self::meet)?;
        self.is_the_account_of_last_time(&here)?;
        self.is_the_account_of_last_time(&there)?;
        for seen in [&here, &there] {
            inspect::note_company(self.draft.state, seen.side, &seen.listing, &seen.alone)?;
        }
        has_inbox(&here)?;
        has_inbox(&there)?;
        let folders = planner::plan_folders(self.draft.rules, &here.tree, &there.tree);
        let missing =
            folders.blocked.iter().filter(|folder| folder.reason == Reason::MissingFolder);
        let missing: Vec<_> =
            missing.map(|folder| (folder.name.clone(), folder.rule.clone())).collect();
        if !missing.is_empty() {
            return Err(PlanningFault::MissingFolders(missing));
        }
        if folders.groups.is_empty() && !self.draft.rules.allow_empty_source {
            return Err(PlanningFault::NothingSelected);
        }
        foretell(&self.forecast(&folders, &there)?);
        let mut writer = PlanWriter::new(self.header(about, &here, &there)?, make_spool)?;
        for left_out in folders.left_out.iter().chain(&folders.blocked) {
            writer.left_out(left_out)?;
        }
        self.note_unused(&folders);
        let mut skipped = vec![false; folders.groups.len()];
        self.groups(&folders.groups, (&here, &there), &mut writer, &mut skipped)?;
        for action in folders.actions(0, &|place| skipped.get(place).copied().unwrap_or_default()) {
            writer.action(&action)?;
        }
        for recipe in self.draft.recipes.recipes() {
            writer.recipe(recipe)?;
        }
        self.draft.state.set_witness(Side::Source, &here.witness)?;
        self.draft.state.set_witness(Side::Destination, &there.witness)?;
        let (source, destination) = self.draft.messages;
        if was_empty && destination > 0 && destination * KNOWN_PART.1 > source * KNOWN_PART.0 {
            self.draft.notes.insert(0, NO_STATE.to_owned());
        }
        Ok((writer, there.listing))
    }

    /// Plans all groups: as many as can be together, others one by one with more care.
    fn groups(
        &mut self,
        groups: &[Group],
        (here, there): (&SideSeen, &SideSeen),
        writer: &mut PlanWriter,
        skipped: &mut [bool],
    ) -> Result<(), PlanningFault> {
        let (mut place, mut surprises) = (0, 0);
        while place < groups.len() {
            if self.reading.is_to_stop() {
                return Err(PlanningFault::Stopped);
            }
            if surprises < SURPRISES_MAX {
                let toured = self.tour(&groups[place..], (here, there), writer)?;
                skipped[place..].iter_mut().zip(&toured.skipped).for_each(|(to, from)| *to = *from);
                place += toured.skipped.len();
                surprises += usize::from(toured.surprised);
                if !toured.skipped.is_empty() && !toured.surprised {
                    continue;
                }
            }
            let Some(group) = groups.get(place) else { continue };
            skipped[place] = self.group(group, here, there, writer)?;
            place += 1;
        }
        Ok(())
    }

    fn meet(&mut self) -> Result<(SideSeen, SideSeen), Trouble<PlanningFault>> {
        let (source, destination) = self.reading.both()?;
        let rules = (&self.draft.rules.source, &self.draft.rules.destination);
        match inspect::two(source, destination, rules) {
            Ok((here, there, inspect::Ends::Distinct | inspect::Ends::Apart)) => Ok((here, there)),
            Ok((_, _, inspect::Ends::Same { folders, .. })) => {
                Err(Trouble::Fault(PlanningFault::OneMailbox(folders)))
            }
            Err((side, error)) => Err(Trouble::Store(side, error)),
        }
    }

    fn is_the_account_of_last_time(&mut self, seen: &SideSeen) -> Result<(), PlanningFault> {
        let Some(recorded) = self.draft.state.witness(seen.side)? else { return Ok(()) };
        match same_account(&recorded, &seen.witness) {
            Verdict::Same | Verdict::Unknown => Ok(()),
            Verdict::Contradiction { recorded, seen: now } => {
                Err(PlanningFault::OtherAccount { side: seen.side, recorded, seen: now })
            }
        }
    }

    fn header(
        &mut self,
        about: &About,
        here: &SideSeen,
        there: &SideSeen,
    ) -> Result<Header, PlanningFault> {
        let (source, destination) = self.reading.both()?;
        let tls = (source.seen().tls.clone(), destination.seen().tls.clone());
        let account = |(host, port): &(String, u16), tls: String, root, witness: &Witness| {
            Account { host: host.clone(), port: *port, tls, root, witness: witness.clone() }
        };
        Ok(Header {
            mailferry_plan: FORMAT,
            program: concat!("mailferry ", env!("CARGO_PKG_VERSION")).to_owned(),
            plan: PlanId::from_time(about.now),
            time: about.now,
            digest: about.digest.clone(),
            manifest: about.manifest.clone(),
            accounts: vec![AccountPair {
                name: about.account.clone(),
                source: account(&about.source, tls.0, here.root.clone(), &here.witness),
                destination: account(&about.destination, tls.1, there.root.clone(), &there.witness),
            }],
            foreign_values: about.foreign_values.clone(),
        })
    }

    fn forecast(
        &mut self,
        folders: &FolderPlan,
        there: &SideSeen,
    ) -> Result<Forecast, PlanningFault> {
        let (source, destination) = self.reading.both()?;
        let (append, is_near) =
            (destination.abilities().append, source.is_near() || destination.is_near());
        let holds_mail = |group: &Group| {
            let row = there.listing.rows.iter().find(|row| row.name == group.wire);
            let status = row.and_then(|row| row.status.as_ref());
            group.exists && status.and_then(|status| status.messages) != Some(0)
        };
        let fresh: Vec<&Group> = folders.groups.iter().filter(|group| !holds_mail(group)).collect();
        let messages = fresh.iter().flat_map(|group| &group.sources);
        let messages = messages.filter_map(|source| source.messages).sum();
        Ok(Forecast { messages, folders: fresh.len(), append, is_near })
    }

    fn note_unused(&mut self, folders: &FolderPlan) {
        for unused in &folders.unused {
            let note = format!(
                "\"{}\" matches no folder at the source ({})",
                unused.pattern, unused.place
            );
            self.draft.notes.push(note);
        }
    }
}

/// What losing state costs, said where it is lost.
const NO_STATE: &str = "there is no state, but the destination holds mail: what people removed there \
    is copied again, and flags are only added";

/// INBOX must be there and be a folder that can be opened: else success would mean nothing.
fn has_inbox(seen: &SideSeen) -> Result<(), PlanningFault> {
    let mut rows = seen.listing.rows.iter();
    match rows.find(|row| row.name.is_inbox()) {
        Some(row) if row.selectable => Ok(()),
        _ => Err(PlanningFault::NoInbox(seen.side)),
    }
}

/// A folder that could not be read.
pub(super) fn unreadable(name: FolderName, messages: Option<u64>, reason: Reason) -> LeftOut {
    LeftOut { account: 0, side: Side::Source, name, messages, reason, rule: None }
}

impl From<StateError> for Trouble<PlanningFault> {
    fn from(fault: StateError) -> Self {
        Self::Fault(PlanningFault::State(fault))
    }
}

/// Marks a fault of inspection with its side.
pub(super) fn inspected(side: Side) -> impl Fn(InspectError) -> Trouble<PlanningFault> {
    move |error| match error {
        InspectError::Store(error) => Trouble::Store(side, error),
        InspectError::State(fault) => fault.into(),
    }
}

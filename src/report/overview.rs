//! What a plan comes to, gathered from its lines: the plan that is shown is the plan in the file.

use std::collections::BTreeMap;
use std::io::BufRead;

use schemars::JsonSchema;
use serde::Serialize;

use crate::mail::{FolderName, Timestamp, Uid};
use crate::plan::{
    Action, FolderPair, Header, LeftOut, Line, PlanFault, PlanLines, Reason, Totals,
};

/// How many blocked messages are kept to be listed; the rest is counted and stands in the file.
const BLOCKED_MAX: usize = 1_000;

/// A plan without its sets of UIDs: as large as its folders are many, not its messages.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The first line.
    pub header: Header,
    /// Folder pairs, in the order of work.
    pub pairs: Vec<FolderPair>,
    /// Folders that no pair holds.
    pub left_out: Vec<LeftOut>,
    /// Folders to create.
    pub creates: Vec<CreatedFolder>,
    /// Folders to subscribe to.
    pub subscriptions: Vec<CreatedFolder>,
    /// The first of the messages and folders that cannot be copied.
    pub blocked: Vec<BlockedLine>,
    /// Messages left out by rule, by reason.
    pub skipped: BTreeMap<Reason, u64>,
    /// What all comes to.
    pub totals: Totals,
}

/// A folder to create, or to subscribe to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreatedFolder {
    /// The account pair in the header.
    pub account: u32,
    /// Its canonical name.
    pub name: FolderName,
    /// Why.
    pub reason: Reason,
}

/// A message, or with no UID a whole folder, that cannot be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BlockedLine {
    /// The folder pair.
    pub pair: u32,
    /// The source folder.
    pub folder: FolderName,
    /// The source UID.
    pub uid: Option<Uid>,
    /// Its octets.
    pub octets: Option<u64>,
    /// Its INTERNALDATE.
    pub date: Option<Timestamp>,
    /// The limit that it exceeds, in octets.
    pub limit: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// What the reader can do about it; empty where nothing is to be done.
    pub remedy: String,
}

impl Overview {
    /// Begins with a plan's header.
    #[must_use]
    pub fn new(header: Header) -> Self {
        Self {
            header,
            pairs: Vec::new(),
            left_out: Vec::new(),
            creates: Vec::new(),
            subscriptions: Vec::new(),
            blocked: Vec::new(),
            skipped: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Gathers all lines of a plan.
    ///
    /// # Errors
    ///
    /// [`PlanFault`] where the plan is not whole.
    pub fn read<R: BufRead>(mut lines: PlanLines<R>) -> Result<Self, PlanFault> {
        let mut overview = Self::new(lines.header().clone());
        while let Some(line) = lines.next_line()? {
            overview.add(line);
        }
        Ok(overview)
    }

    /// Adds one line.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Header(_) | Line::Recipe(_) => {}
            Line::Folder(pair) => {
                self.totals.add_pair(&pair);
                self.pairs.push(pair);
            }
            Line::LeftOut(folder) => self.left_out.push(folder),
            Line::Action(action) => self.add_action(action),
            Line::Footer(footer) => self.totals = footer.totals,
        }
    }

    fn add_action(&mut self, action: Action) {
        self.totals.add_action(&action);
        match action {
            Action::CreateFolder { account, name, reason, .. } => {
                self.creates.push(CreatedFolder { account, name, reason });
            }
            Action::Subscribe { account, name, reason, .. } => {
                self.subscriptions.push(CreatedFolder { account, name, reason });
            }
            Action::Skip { messages, reason, .. } => {
                *self.skipped.entry(reason).or_default() += messages;
            }
            Action::Blocked { pair, uid, octets, date, limit, reason } => {
                if self.blocked.len() < BLOCKED_MAX
                    && let Some(folder) = self.pair(pair).map(|pair| pair.source.name.clone())
                {
                    let remedy = reason.remedy().to_owned();
                    self.blocked.push(BlockedLine {
                        pair,
                        folder,
                        uid,
                        octets,
                        date,
                        limit,
                        reason,
                        remedy,
                    });
                }
            }
            Action::Copy { .. } | Action::Flags { .. } => {}
        }
    }

    /// Tells whether the plan leaves something undone that was to be done: without it, a plan that
    /// changes nothing means that both ends are equal.
    #[must_use]
    pub fn leaves_something_undone(&self) -> bool {
        self.totals.blocked > 0
            || self.left_out.iter().any(|folder| folder.reason.leaves_a_folder_undone())
    }

    /// The folder pair of that number.
    #[must_use]
    pub fn pair(&self, number: u32) -> Option<&FolderPair> {
        self.pairs.get(usize::try_from(number).ok()?)
    }

    /// Why the plan creates a pair's destination folder; nothing where it does not.
    #[must_use]
    pub fn created(&self, pair: &FolderPair) -> Option<&CreatedFolder> {
        self.creates.iter().find(|created| {
            created.account == pair.account && created.name == pair.destination.name
        })
    }

    /// How many messages and folders cannot be copied beyond those in `blocked`.
    #[must_use]
    pub fn blocked_beyond(&self) -> u64 {
        let kept = u64::try_from(self.blocked.len()).unwrap_or(u64::MAX);
        self.totals.blocked.saturating_sub(kept)
    }
}

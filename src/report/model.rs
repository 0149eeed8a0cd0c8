//! What `apply` and `verify` tell: plain data, shown as screens and as JSON.
//!
//! `apply` and `verify` make these values; nothing here knows how they came to be. Sizes are octets,
//! times UTC.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::mail::{FolderName, Side, Timestamp, Uid};
use crate::plan::{AccountPair, Action, Counts, ForeignValue, LeftOut, PlanId, Reason, Totals};
use crate::report::overview::{BlockedLine, CreatedFolder, Overview};
use crate::state::Item;
use crate::store::Compression;

/// What a plan comes to, for one account pair.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlanReport {
    /// The account's name in output.
    pub account: String,
    /// The code of this account alone.
    pub exit: u8,
    /// The plan's name.
    pub plan: PlanId,
    /// The file that holds it.
    pub saved: Option<String>,
    /// When it was made.
    pub time: Timestamp,
    /// What decides actions in the manifest, hashed.
    pub digest: String,
    /// Every value that did not come from a file.
    pub foreign_values: Vec<ForeignValue>,
    /// What all actions come to.
    pub totals: Totals,
    /// Folder pairs, in the order of work.
    pub folders: Vec<PlanFolder>,
    /// Folders to create.
    pub creates: Vec<CreatedFolder>,
    /// Folders to subscribe to.
    pub subscriptions: Vec<CreatedFolder>,
    /// Folders that no pair holds.
    pub left_out: Vec<LeftOut>,
    /// Messages left out by rule, by reason.
    pub skipped: BTreeMap<Reason, u64>,
    /// Messages and folders that cannot be copied; at most a thousand, all are in the plan file.
    pub blocked: Vec<BlockedLine>,
    /// How many more there are.
    pub blocked_beyond: u64,
    /// Every action, where it was asked for.
    pub actions: Option<Vec<Action>>,
    /// Sentences that a reader should know.
    pub notes: Vec<String>,
}

/// One folder pair of a [`PlanReport`].
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlanFolder {
    /// The source folder.
    pub source: FolderName,
    /// The destination folder.
    pub destination: FolderName,
    /// What was found and is planned.
    pub counts: Counts,
}

impl PlanReport {
    /// One report for each account pair of a plan. Totals are those of the whole plan, which is the
    /// same as long as a plan has one pair.
    #[must_use]
    pub fn of(overview: &Overview, exit: u8, saved: Option<&str>, notes: &[String]) -> Vec<Self> {
        let report = |(number, pair): (u32, &AccountPair)| Self {
            account: pair.name.clone(),
            exit,
            plan: overview.header.plan.clone(),
            saved: saved.map(str::to_owned),
            time: overview.header.time,
            digest: overview.header.digest.clone(),
            foreign_values: overview.header.foreign_values.clone(),
            totals: overview.totals,
            folders: overview
                .pairs
                .iter()
                .filter(|folder| folder.account == number)
                .map(|folder| PlanFolder {
                    source: folder.source.name.clone(),
                    destination: folder.destination.name.clone(),
                    counts: folder.counts,
                })
                .collect(),
            creates: of_account(&overview.creates, |folder| folder.account == number),
            subscriptions: of_account(&overview.subscriptions, |folder| folder.account == number),
            left_out: of_account(&overview.left_out, |folder| folder.account == number),
            skipped: overview.skipped.clone(),
            blocked: overview.blocked.clone(),
            blocked_beyond: overview.blocked_beyond(),
            actions: None,
            notes: notes.to_vec(),
        };
        (0..).zip(&overview.header.accounts).map(report).collect()
    }
}

fn of_account<T: Clone>(all: &[T], of_it: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| of_it(one)).cloned().collect()
}

/// What an `apply` did, for one account pair.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ApplyReport {
    /// The plan's name.
    pub plan: PlanId,
    /// The account's name in output.
    pub account: String,
    /// The word of `--only`, where only a part of the plan was to be carried out.
    pub only: Option<&'static str>,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub seconds: u64,
    /// The code of this account alone.
    pub exit: u8,
    /// Messages copied.
    pub copied: Copied,
    /// Folders made.
    pub folders: FoldersDone,
    /// Messages whose flags were changed.
    pub flags: FlagsDone,
    /// Messages deleted: none, until deletion is built.
    pub deleted: Deleted,
    /// Whether the connections were compressed.
    pub compression: CompressionDone,
    /// What was not copied, by reason: what the plan left out, and what failed.
    pub left_out: BTreeMap<Reason, u64>,
    /// Requests that were made again after a fault.
    pub retried: u64,
    /// Time spent waiting because a server asked for it, or for a late append.
    pub waited_seconds: u64,
    /// Whom was waited for, all connections together.
    pub waited_for: WaitedFor,
    /// Sentences that a reader should know.
    pub notes: Vec<String>,
    /// Every message and folder that was not copied, or not as planned.
    #[serde(serialize_with = "item_rows")]
    #[schemars(with = "Vec<ItemRow>")]
    pub items: Vec<Item>,
}

/// Time that was waited, summed over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitedFor {
    /// Because the source asked for it.
    pub source_seconds: u64,
    /// Because the destination asked for it.
    pub destination_seconds: u64,
    /// At limits of the manifest.
    pub limits_seconds: u64,
}

impl WaitedFor {
    /// Because a server asked for it.
    #[must_use]
    pub const fn servers(&self) -> u64 {
        self.source_seconds.saturating_add(self.destination_seconds)
    }
}

/// Messages copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Copied {
    /// Messages that are at the destination now and were sent by this run.
    pub messages: u64,
    /// Their octets, as sent.
    pub octets: u64,
    /// Messages that were copied after ones of their folder that go behind them: they had been refused or
    /// lost at first, or the source gave them later.
    pub out_of_order: u64,
    /// Messages that the plan copies and that were not there when this run began.
    pub of: u64,
}

/// Folders made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoldersDone {
    /// Folders created.
    pub created: u64,
    /// Folders subscribed to.
    pub subscribed: u64,
}

/// Flags changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FlagsDone {
    /// Messages whose flags were changed.
    pub changed: u64,
}

/// Messages deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Deleted {
    /// At the destination.
    pub destination: u64,
    /// At the source.
    pub source: u64,
}

/// Whether the connections were compressed (COMPRESS=DEFLATE, RFC 4978) at the end of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CompressionDone {
    /// To the source; nothing where there was no connection.
    pub source: Option<Compressed>,
    /// To the destination; nothing where there was no connection.
    pub destination: Option<Compressed>,
}

/// Whether a connection was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Compressed {
    /// Whether it was.
    pub on: bool,
    /// Why.
    pub why: CompressedWhy,
    /// What the line gave, where that decided.
    pub octets_per_second: Option<u64>,
}

/// Why a connection was compressed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CompressedWhy {
    /// The manifest says so.
    Manifest,
    /// The server does not offer it.
    NotOffered,
    /// The server offers it and does not do it.
    Refused,
    /// The speed of the line.
    Line,
    /// The server answers so quickly that there is no line to speak of.
    Near,
    /// Too little was moved to measure the line.
    Undecided,
}

impl From<Compression> for Compressed {
    fn from(compression: Compression) -> Self {
        let (why, octets_per_second) = match compression {
            Compression::Undecided => (CompressedWhy::Undecided, None),
            Compression::NotOffered => (CompressedWhy::NotOffered, None),
            Compression::Refused => (CompressedWhy::Refused, None),
            Compression::Forbidden | Compression::Demanded => (CompressedWhy::Manifest, None),
            Compression::Near => (CompressedWhy::Near, None),
            Compression::Worth(rate) | Compression::NotWorth(rate) => {
                (CompressedWhy::Line, Some(rate))
            }
        };
        Self { on: compression.is_on(), why, octets_per_second }
    }
}

/// One item, as JSON has it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ItemRow {
    /// The folder.
    pub folder: FolderName,
    /// Which side `folder` and `uid` belong to.
    pub side: Side,
    /// The message; nothing for the whole folder.
    pub uid: Option<Uid>,
    /// INTERNALDATE.
    pub date: Option<Timestamp>,
    /// Octets.
    pub octets: Option<u64>,
    /// Why.
    pub reason: Reason,
    /// What the server said, or a detail.
    pub said: Option<String>,
    /// What the reader can do about it; empty where nothing is to be done.
    pub remedy: &'static str,
}

impl From<&Item> for ItemRow {
    fn from(item: &Item) -> Self {
        Self {
            folder: item.folder.clone(),
            side: item.side,
            uid: item.uid,
            date: item.date,
            octets: item.octets,
            reason: item.reason,
            said: item.said.clone(),
            remedy: item.reason.remedy(),
        }
    }
}

fn item_rows<S: Serializer>(items: &[Item], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.iter().map(ItemRow::from))
}

/// How deep a verification goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyLevel {
    /// Messages are counted on both sides.
    Counts,
    /// Messages are matched and read on both sides.
    Content,
}

impl VerifyLevel {
    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Content => "content",
        }
    }
}

/// What a `verify` found, for one account pair.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VerifyReport {
    /// The account's name in output.
    pub account: String,
    /// How deep it went.
    pub level: VerifyLevel,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub seconds: u64,
    /// The code of this account alone.
    pub exit: u8,
    /// Folder pairs, in the order of work.
    pub folders: Vec<VerifiedFolder>,
    /// Every difference.
    pub differences: Vec<Difference>,
    /// Sentences that a reader should know.
    pub notes: Vec<String>,
}

/// One folder pair of a [`VerifyReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VerifiedFolder {
    /// The source folder.
    pub source: FolderName,
    /// The destination folder.
    pub destination: FolderName,
    /// Messages of the source folder that the manifest selects.
    pub selected: u64,
    /// How many of them were found at the destination.
    pub found: u64,
    /// How many were read on both sides and compared.
    pub read: u64,
    /// How many are missing at the destination.
    pub missing: u64,
    /// How many are there with other content.
    pub differ: u64,
}

/// One difference between source and destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// The source folder.
    pub folder: FolderName,
    /// The source message; nothing for the whole folder.
    pub uid: Option<Uid>,
    /// The destination folder, where the message is there.
    pub destination_folder: Option<FolderName>,
    /// The destination message.
    pub destination_uid: Option<Uid>,
    /// What is wrong.
    pub reason: Reason,
    /// Octets of the source message.
    pub octets: Option<u64>,
    /// The first octet that differs, counted from 1.
    pub first_octet: Option<u64>,
    /// Whether an open item explains it.
    pub known_item: bool,
}

/// What happens during an `apply`, as it happens.
#[derive(Clone, Copy, Debug)]
pub enum ApplyEvent<'a> {
    /// The plan is checked and work begins.
    Started {
        /// The plan's name.
        plan: &'a PlanId,
        /// Messages that it copies.
        messages: u64,
        /// Their octets.
        octets: u64,
    },
    /// A folder is begun.
    Folder {
        /// The source folder.
        name: &'a FolderName,
        /// Messages that are still to be copied.
        messages: u64,
        /// Their octets.
        octets: u64,
    },
    /// So much is done by this run, all folders together. May be told for every message.
    Advanced {
        /// Messages that the plan has and that are done, by this run or found.
        messages: u64,
        /// Their octets.
        octets: u64,
        /// Octets that this run sent: what the rate is measured by.
        sent_octets: u64,
    },
    /// Something was not done.
    Item(&'a Item),
    /// Waiting.
    Waiting {
        /// How long.
        seconds: u64,
        /// Why: `the destination asks for patience`.
        why: &'a str,
    },
    /// Something worth knowing.
    Note(&'a str),
    /// A folder is done.
    FolderDone {
        /// The source folder.
        name: &'a FolderName,
        /// Messages copied.
        copied: u64,
        /// Messages not copied.
        items: u64,
    },
    /// All is done that could be done.
    Finished {
        /// The exit code.
        exit: u8,
    },
}

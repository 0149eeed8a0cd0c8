//! The plan: a file of JSON lines that says everything `apply` needs.
//!
//! Order of lines: header, one line for each folder pair, folders left out, recipes, actions in
//! sections, footer. Actions carry sets of UIDs, so that a million messages need no memory; what is
//! unusual about one message has a line of its own. No password, no header text and no body of any
//! message is in it.
//!
//! The writer takes lines as they come, the reader gives them one at a time; both work on anything
//! that can be written or read, and whoever calls them opens files.
//!
//! # Never
//!
//! * Never opens a file.
//! * Never knows who makes a plan or who carries it out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod cut;
mod folder;
mod header;
mod reader;
mod reason;
mod recipe;
mod totals;
mod writer;

pub use action::{Action, Section};
pub use cut::ACTION_OCTETS_MAX;
pub use folder::{Counts, DestinationFolder, FolderPair, LeftOut, Observed, SourceFolder};
pub use header::{
    Account, AccountPair, FORMAT, Footer, ForeignValue, Header, PlanId, Totals, Witness,
    WitnessFolder,
};
pub use reader::{Checked, LINE_OCTETS_MAX, PlanFault, PlanLines, check, is_plan};
pub use reason::Reason;
pub use recipe::{DateFrom, Recipe};
pub use writer::{PlanWriter, Spool};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of a plan file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Header(Header),
    /// One source folder and the destination folder that it goes to.
    Folder(FolderPair),
    /// A folder that no pair holds, on either side, with its count.
    LeftOut(LeftOut),
    /// How messages are treated on the way.
    Recipe(Recipe),
    /// One thing to do, or one that is not done and why.
    Action(Action),
    /// The last line.
    Footer(Footer),
}

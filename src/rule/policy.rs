//! What to do when a case arises. Written the same in TOML as here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a named set of settings is for. Only the first is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Copies what is missing and deletes nothing.
    #[default]
    Migrate,
}

/// Folders for which no message is selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Empty {
    /// Create them all the same.
    #[default]
    Create,
    /// Leave them out.
    Skip,
}

/// A plain name in `include` that the source does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Blocks the account: a typo must not pass for success.
    #[default]
    Error,
    /// Is a note.
    Skip,
}

/// Which folders are subscribed to at the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subscribe {
    /// Those that are subscribed at the source.
    #[default]
    Source,
    /// All that are taken.
    All,
    /// None.
    None,
}

/// Messages marked `\Deleted` at the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deleted {
    /// Leave them.
    #[default]
    Skip,
    /// Copy them with the mark.
    Keep,
    /// Copy them without the mark.
    Undelete,
    /// Copy them with the mark, and set the mark on copies that exist.
    Mirror,
}

/// Equal messages in one source folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// As many at the destination as at the source.
    #[default]
    Keep,
    /// Only the first one.
    First,
}

/// Flags of messages that are at the destination already. `\Deleted` is never set on them, unless
/// `messages.deleted = "mirror"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnExisting {
    /// Three-way against what we last left; without that base only additions.
    #[default]
    Merge,
    /// As the source has them.
    Mirror,
    /// Only added to.
    Add,
    /// Left alone.
    Keep,
}

/// A departure from the RFCs that a profile knows of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// SEARCH is not used; dates come from FETCH.
    NoSearch,
    /// One CREATE makes the whole path; parents are not made first.
    CreateWholePath,
    /// An APPEND of an empty literal is refused and stores nothing: combinations of flags may be
    /// proved with it.
    RefusesEmptyAppend,
    /// RFC822.SIZE is not to be believed.
    SizesLie,
}

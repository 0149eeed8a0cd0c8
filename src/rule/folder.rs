//! Which folders are taken, and where they go.

use crate::mail::{FolderName, Role};
use crate::rule::pattern::FolderPattern;
use crate::rule::policy::{Empty, Missing, Subscribe};

/// A value and the place in the manifest that it came from, for people.
#[derive(Clone, Debug)]
pub struct Ruled<T> {
    /// The value.
    pub value: T,
    /// Such as `exclude, line 14`, `exclude, profile gmail` or `exclude, --set`.
    pub place: String,
}

/// The `[folders]` table, compiled.
#[derive(Clone, Debug, Default)]
pub struct FolderRules {
    /// Taken; all folders if absent.
    pub include: Option<Vec<Ruled<FolderPattern>>>,
    /// Left out; the last word.
    pub exclude: Vec<Ruled<FolderPattern>>,
    /// Only what is subscribed at the source.
    pub only_subscribed: bool,
    /// A plain name in `include` that the source does not have.
    pub missing: Missing,
    /// Where folders go that do not keep their name.
    pub map: Vec<Ruled<Mapping>>,
    /// Folders for which no message is selected.
    pub empty: Empty,
    /// Done first, in this order.
    pub first: Vec<Ruled<FolderPattern>>,
    /// Done last, in this order.
    pub last: Vec<Ruled<FolderPattern>>,
    /// What to subscribe to.
    pub subscribe: Subscribe,
}

/// One entry of `[folders.map]`: this folder, and its children unless mapped themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Which folder.
    pub from: MapFrom,
    /// Its name at the destination.
    pub to: FolderName,
}

/// What a mapping starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapFrom {
    /// A folder by name.
    Name(FolderName),
    /// The folder with this special use.
    Role(Role),
}

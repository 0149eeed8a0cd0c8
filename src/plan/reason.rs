//! The closed list of reasons, shared by plan, items and output.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $remedy:literal;)+) => {
        /// Why something is done, or is not. For people to read: `apply` never branches on it.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All reasons, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in files and output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What it means, in a sentence or two.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }

            /// What the reader can do about it; empty where nothing is to be done.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),+ }
            }
        }
    };
}

reasons! {
    /// No message at the destination has this identity.
    NewAtSource = "new-at-source", "";
    /// A message with the same key is there, with other content.
    ContentDiffers = "content-differs", "";
    /// It cannot be told whether the message is there: better twice than lost.
    Ambiguous = "ambiguous", "";
    /// We copied it, and it is not at the destination any more.
    RemovedAtDestination = "removed-at-destination", "";
    /// The destination lacks the folder.
    MissingAtDestination = "missing-at-destination", "";
    /// A folder that is needed above another one.
    ParentFolder = "parent-folder", "";
    /// The source's flags changed, or differ.
    FlagsChangedAtSource = "flags-changed-at-source", "";
    /// The folder is subscribed at the source.
    SubscribedAtSource = "subscribed-at-source", "";
    /// The manifest subscribes to all folders.
    SubscribeAll = "subscribe-all", "";
    /// The message is marked `\Deleted` at the source.
    MarkedDeleted = "marked-deleted", "copy such mail with deleted = \"keep\" in [messages]";
    /// Its date is outside of the manifest's.
    OutsideDates = "outside-dates", "";
    /// Its size is outside of the manifest's.
    OutsideSizes = "outside-sizes", "";
    /// The manifest's search does not find it.
    NotInSearch = "not-in-search", "";
    /// An equal message of the same folder is copied, and `duplicates = "first"`.
    DuplicateInFolder = "duplicate-in-folder", "";
    /// It is larger than the destination takes.
    TooLarge = "too-large", "have the destination's limit raised, or leave such mail out by rule: smaller-than in [messages]";
    /// The folder is excluded by the manifest.
    ExcludedFolder = "excluded-folder", "";
    /// `include` does not take the folder.
    NotIncluded = "not-included", "";
    /// The folder is not subscribed, and `only-subscribed` is set.
    NotSubscribed = "not-subscribed", "";
    /// The folder holds no messages: it cannot be opened (`\Noselect`).
    NotSelectable = "not-selectable", "";
    /// No message of the folder is selected, and `empty = "skip"`.
    EmptyFolder = "empty-folder", "";
    /// The folder is only at the destination, and is left alone.
    OnlyAtDestination = "only-at-destination", "";
    /// The folder lies outside of `root`.
    OutsideRoot = "outside-root", "";
    /// The folder belongs to other users or is shared: only personal folders are taken.
    OtherNamespace = "other-namespace", "";
    /// `include` names a folder that the source does not have.
    MissingFolder = "missing-folder", "correct the name in include, or set missing = \"skip\" in [folders]";
    /// Several source folders end on this name at the destination.
    NameCollision = "name-collision", "give each folder a name of its own in [folders.map]";
    /// The name cannot be written at the destination.
    NameNotPossible = "name-not-possible", "give the folder another name in [folders.map]";
    /// The folder could not be opened or listed.
    FolderUnreadable = "folder-unreadable", "ask the server's administrator, or leave the folder out with exclude";
    /// The source did not list the whole folder.
    ListingIncomplete = "listing-incomplete", "plan again; if it stays, ask the server's administrator";
    /// Both ends do not keep what tells messages apart, and state is missing.
    IdentityNotKept = "identity-not-kept", "the destination changes header lines; plan with state, or compare both folders by hand";
    /// The destination refused the message.
    RefusedByDestination = "refused-by-destination", "read what the server said; leave the message out by rule if it stays so";
    /// The destination is full.
    Quota = "quota", "have the quota raised, or take less: newer-than in [messages], exclude in [folders]";
    /// The message is not at the source any more.
    GoneAtSource = "gone-at-source", "";
    /// The source lists the message but does not give it.
    WithheldBySource = "withheld-by-source", "open the message at the source; ask the server's administrator if it cannot be read";
    /// The source gave no content for a message that has a size.
    NoContent = "no-content", "open the message at the source; ask the server's administrator if it cannot be read";
    /// The destination said OK, but the message is not in the folder.
    AcceptedNotVisible = "accepted-not-visible", "look for it at the destination; it is not sent again by itself";
    /// An append that was thought lost arrived after it was sent again: the message is there twice.
    LateDuplicate = "late-duplicate", "remove the surplus copy by hand";
    /// The destination stored an empty message with which it was asked what it understands.
    StoredNothing = "stored-nothing", "remove the message without content by hand; use a profile of your own without the quirk refuses-empty-append";
    /// Nobody knows whether it was stored: the line was lost too often.
    UnknownOutcome = "unknown-outcome", "apply the same plan again: it looks first";
    /// The folder was replaced or renamed since the plan was made.
    FolderStale = "folder-stale", "plan again";
    /// The folder could not be created.
    FolderRefused = "folder-refused", "create it by hand, or map the folder elsewhere";
    /// Somebody else is copying into the same folder.
    SomebodyElseCopies = "somebody-else-copies", "stop the other run, then apply again";
    /// The destination did not take the flags.
    FlagsRefused = "flags-refused", "";
    /// Somebody changed the flags since the plan was made.
    FlagsChangedMeanwhile = "flags-changed-meanwhile", "plan again";
    /// The destination cannot keep some flags.
    FlagsNotKept = "flags-not-kept", "";
    /// The destination changed dates by more than a second.
    DatesNotKept = "dates-not-kept", "";
    /// The destination did not take the subscription.
    SubscriptionRefused = "subscription-refused", "subscribe in a mail program";
    /// The destination's copy differs from what was sent.
    AlteredByDestination = "altered-by-destination", "";
    /// The message is at the source and not at the destination.
    Missing = "missing", "plan and apply";
    /// Content differs.
    Differs = "differs", "";
}

impl Reason {
    /// Tells whether a folder that a plan leaves out for this reason stands for something wrong, and
    /// not for what the author asked for.
    #[must_use]
    pub const fn leaves_a_folder_undone(self) -> bool {
        matches!(
            self,
            Self::MissingFolder
                | Self::NameCollision
                | Self::NameNotPossible
                | Self::FolderUnreadable
                | Self::ListingIncomplete
                | Self::IdentityNotKept
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_reason_is_what_files_hold() {
        for reason in Reason::ALL {
            let word = serde_json::to_value(reason).unwrap();
            assert_eq!(word, reason.as_str());
        }
    }
}

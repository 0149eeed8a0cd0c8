//! Special uses of mailboxes (RFC 6154, RFC 8457).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a mailbox is for. The words are those of `role:…` patterns in the manifest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The inbox, which every account has.
    Inbox,
    /// `\All`: a view of all messages.
    All,
    /// `\Archive`.
    Archive,
    /// `\Drafts`.
    Drafts,
    /// `\Flagged`: a view of flagged messages.
    Flagged,
    /// `\Important` (RFC 8457).
    Important,
    /// `\Junk`.
    Junk,
    /// `\Sent`.
    Sent,
    /// `\Trash`.
    Trash,
}

impl Role {
    /// All roles, in the order of the words in the manifest.
    pub const ALL: [Self; 9] = [
        Self::Inbox,
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Flagged,
        Self::Important,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// The word in `role:…` patterns.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::All => "all",
            Self::Archive => "archive",
            Self::Drafts => "drafts",
            Self::Flagged => "flagged",
            Self::Important => "important",
            Self::Junk => "junk",
            Self::Sent => "sent",
            Self::Trash => "trash",
        }
    }

    /// Reads the word of a `role:…` pattern.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Reads a special-use attribute of LIST such as `\Sent`, without regard to case.
    #[must_use]
    pub fn from_attribute(attribute: &str) -> Option<Self> {
        let name = attribute.strip_prefix('\\')?;
        Self::ALL
            .into_iter()
            .filter(|role| *role != Self::Inbox)
            .find(|role| role.as_str().eq_ignore_ascii_case(name))
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

//! The first and the last line of a plan.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::{FolderName, MailboxId, Timestamp, UidValidity, WireName};

/// The number of the plan file's format. Another number is refused.
pub const FORMAT: u32 = 1;

/// Says what the plan is, and under which conditions it may be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Header {
    /// [`FORMAT`].
    pub mailferry_plan: u32,
    /// Program and version that wrote it.
    pub program: String,
    /// The plan's name in output.
    pub plan: PlanId,
    /// When it was made.
    pub time: Timestamp,
    /// SHA-256 over what decides actions in the manifest, 64 hexadecimal digits.
    pub digest: String,
    /// The manifest's path as it was given.
    pub manifest: String,
    /// Account pairs, by the number that other lines use.
    pub accounts: Vec<AccountPair>,
    /// Every value that did not come from a file.
    pub foreign_values: Vec<ForeignValue>,
}

/// A short name for a plan, from the time it was made: 8 characters of Crockford's base 32.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl PlanId {
    /// Makes the name of a plan made at this time. Plans of one second share it; nothing depends on
    /// its being unique.
    #[must_use]
    pub fn from_time(time: Timestamp) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let milliseconds =
            u64::try_from(time.seconds().max(0)).unwrap_or_default().saturating_mul(1000);
        let digits = (0..8_u32).rev().map(|place| {
            let index =
                usize::try_from((milliseconds >> (10 + 5 * place)) & 31).unwrap_or_default();
            char::from(DIGITS[index])
        });
        Self(digits.collect())
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The two accounts of one migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccountPair {
    /// The account's name in output.
    pub name: String,
    /// Where mail is read.
    pub source: Account,
    /// Where mail is written.
    pub destination: Account,
}

/// One account as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Account {
    /// Server, for people.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `TLS 1.3`, `TLS 1.2` or `none`.
    pub tls: String,
    /// Subtree that stands for the mailbox.
    pub root: Option<FolderName>,
    /// What proves that a login leads here again.
    pub witness: Witness,
}

/// What an account is: its user name as the server knows it, and what was seen in it. Host and port
/// count only where no folder can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Witness {
    /// The user name, case kept.
    pub user: String,
    /// Host and port, as they were given.
    pub server: String,
    /// The greeting's text.
    pub greeting: String,
    /// The ID reply, where given.
    pub id: Option<String>,
    /// SHA-256 of the server's public key, with TLS.
    pub tls_key: Option<String>,
    /// INBOX and up to eight more folders.
    pub folders: Vec<WitnessFolder>,
}

/// One folder of a witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WitnessFolder {
    /// The name in the server's octets.
    pub wire: WireName,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Its MAILBOXID, where offered.
    pub mailbox_id: Option<MailboxId>,
}

/// A value of the manifest that did not come from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ForeignValue {
    /// The key, such as `source.port`.
    pub key: String,
    /// Where it came from: the variable's name, or `--set`.
    pub from: String,
    /// The value as given; nothing where it may be a secret.
    pub value: Option<String>,
}

/// The last line: without it, or with another hash, the file is cut or altered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Footer {
    /// What all actions come to.
    pub totals: Totals,
    /// SHA-256 over all octets of the file before this line, 64 hexadecimal digits.
    pub sha256: String,
}

/// What a plan comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Totals {
    /// Folder pairs.
    pub pairs: u64,
    /// Messages that are on both sides already.
    pub equal: u64,
    /// Folders to create.
    pub creates: u64,
    /// Messages to copy.
    pub copies: u64,
    /// Their octets, as the source tells sizes.
    pub octets: u64,
    /// Messages whose flags change.
    pub flags: u64,
    /// Messages left out by a rule.
    pub skipped: u64,
    /// Messages and folders that cannot be copied.
    pub blocked: u64,
    /// Folders to subscribe to.
    pub subscriptions: u64,
}

impl Totals {
    /// Tells whether applying the plan changes nothing.
    #[must_use]
    pub const fn changes_nothing(&self) -> bool {
        self.creates == 0 && self.copies == 0 && self.flags == 0 && self.subscriptions == 0
    }
}

//! The manifest as an author writes it. Doc comments are the schema's descriptions; every key is
//! optional here, since layers fill each other in, and `resolve` says what is missing at the end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::UidOrder;
pub use crate::manifest::value::{Age, Day, Period, Rate, Size};
use crate::rule::policy::{
    Deleted, Duplicates, Empty, Missing, Mode, OnExisting, Quirk, Subscribe,
};

/// Moves one mailbox from a source to a destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// Format of the manifest, `1`.
    #[schemars(required, range(min = 1, max = 1))]
    pub version: Option<u32>,
    /// Named set of settings.
    pub mode: Option<Mode>,
    /// Where mail is read. Nothing here is ever changed by a copy.
    pub source: Option<EndpointTable>,
    /// Where mail is written.
    pub destination: Option<EndpointTable>,
    /// Which folders are taken, and where they go.
    pub folders: Option<FoldersTable>,
    /// Which messages are taken: those for which all keys hold.
    pub messages: Option<MessagesTable>,
    /// What happens to flags.
    pub flags: Option<FlagsTable>,
    /// How long and how fast a run may go on.
    pub limits: Option<LimitsTable>,
    /// How much goes wrong before it counts.
    pub errors: Option<ErrorsTable>,
    /// Where state is kept.
    pub state: Option<StateTable>,
    /// What is known beforehand of kinds of servers, by name.
    pub profiles: Option<BTreeMap<String, ProfileTable>>,
}

/// One server, and the login there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndpointTable {
    /// What is known of this server: `"dovecot"`; `"dovecot@1"` pins a revision. Default `"generic"`.
    pub profile: Option<String>,
    /// Name or address.
    pub host: Option<String>,
    /// TCP port. Default 993, or 143 without TLS.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Login name, and whose mailbox.
    pub user: Option<String>,
    /// Where the password is; left out, it is asked for on a terminal.
    pub password: Option<SecretTable>,
    /// Subtree that stands for the whole mailbox.
    pub root: Option<String>,
    /// Personal namespace prefix as the server writes it; `""` is none. Default: asked of the server.
    pub prefix: Option<String>,
    /// Hierarchy delimiter. Default: asked of the server.
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// Longest silence while waiting for the server; also for connecting. Default `"2 min"`.
    pub timeout: Option<Period>,
    /// Whether the connection is compressed (COMPRESS=DEFLATE). Default `"auto"`.
    pub compress: Option<Compress>,
    /// How the connection is protected.
    pub tls: Option<TlsTable>,
    /// How hard this server may be pressed.
    pub limits: Option<EndpointLimitsTable>,
    /// Words in a NO to APPEND which prove that nothing was stored (`"Over quota"`).
    #[schemars(extend("x-adds" = true))]
    pub refusals: Option<Vec<String>>,
    /// Departures from the RFCs.
    #[schemars(extend("x-adds" = true))]
    pub quirks: Option<Vec<Quirk>>,
}

/// How a connection is protected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsTable {
    /// Never downgraded. Default `"implicit"`.
    pub mode: Option<TlsMode>,
    /// Certificate and name are checked. Default `true`.
    pub verify: Option<bool>,
    /// PEM file with the issuers to trust. Default: the platform's.
    pub ca: Option<String>,
    /// Name that the certificate must have. Default: `host`.
    pub server_name: Option<String>,
}

/// How a connection becomes protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// TLS from the first octet.
    #[default]
    Implicit,
    /// No TLS at all; every plan shows it.
    None,
}

/// Whether a connection is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compress {
    /// Where the server offers it and the line, which is measured, is slow enough that it pays.
    #[default]
    Auto,
    /// Wherever the server offers it.
    On,
    /// Never.
    Off,
}

/// How hard one server may be pressed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndpointLimitsTable {
    /// Connections at once of one account. Default: as many as help, at most 4.
    #[schemars(range(min = 1))]
    pub connections: Option<u16>,
    /// Connections at once of all accounts at this host. Default: no limit.
    #[schemars(range(min = 1))]
    pub total_connections: Option<u32>,
    /// Logins a minute of all accounts at this host. Default: no limit.
    pub logins_per_minute: Option<Rate>,
    /// Messages fetched or appended a second. Default: no limit.
    pub messages_per_second: Option<Rate>,
    /// All octets of the connections a second, both directions. Default: no limit.
    pub bytes_per_second: Option<Size>,
    /// Octets before `bytes-per-second` bites. Default: one second's worth.
    pub burst: Option<Size>,
    /// All octets of a day (UTC), counted over restarts; then the run pauses until the day is over, or
    /// ends with exit code 11 if `stop-after` is nearer. Default: no limit.
    pub bytes_per_day: Option<Size>,
}

/// How long and how fast a run may go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitsTable {
    /// All octets of all connections a second. Default: no limit.
    pub bytes_per_second: Option<Size>,
    /// `apply` ends cleanly, with exit code 11, when messages of so many octets were handed to the
    /// destination. Default: no limit.
    pub stop_after_bytes: Option<Size>,
    /// `apply` ends cleanly, with exit code 11, so long after it began. Default: no limit.
    pub stop_after: Option<Period>,
    /// Messages in flight, all accounts. Default `"32 MiB"`.
    pub memory: Option<Size>,
}

/// Where a secret is; exactly one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct SecretTable {
    /// Name of an environment variable.
    pub env: Option<String>,
    /// File whose first line it is; nobody else may read it (`chmod 600`).
    pub file: Option<String>,
    /// Program and arguments, no shell; the first line of the output. It has 60 s.
    #[schemars(length(min = 1), extend("x-items" = "any"))]
    pub command: Option<Vec<String>>,
}

/// Which folders are taken, and where they go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FoldersTable {
    /// Taken: names, globs, `re:…`, `role:…`. Default: all folders.
    #[schemars(extend("x-items" = "pattern"))]
    pub include: Option<Vec<String>>,
    /// Left out; the last word.
    #[schemars(extend("x-adds" = true), extend("x-items" = "pattern"))]
    pub exclude: Option<Vec<String>>,
    /// And subscribed at the source. Default `false`.
    pub only_subscribed: Option<bool>,
    /// A plain name in `include` that the source does not have. Default `"error"`.
    pub missing: Option<Missing>,
    /// This folder (a name or `role:…`), and its children unless mapped themselves, goes there.
    pub map: Option<BTreeMap<String, String>>,
    /// Folders for which no message is selected. Default `"create"`.
    pub empty: Option<Empty>,
    /// Done first. Begins with `"INBOX"`.
    #[schemars(extend("x-adds" = true), extend("x-items" = "pattern"))]
    pub first: Option<Vec<String>>,
    /// Done last.
    #[schemars(extend("x-adds" = true), extend("x-items" = "pattern"))]
    pub last: Option<Vec<String>>,
    /// What is subscribed to at the destination. Default `"source"`.
    pub subscribe: Option<Subscribe>,
}

/// Which messages are taken: those for which all keys hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MessagesTable {
    /// Age at the start of `plan` is less.
    pub newer_than: Option<Age>,
    /// Age at the start of `plan` is that or more.
    pub older_than: Option<Age>,
    /// From the beginning of this day, UTC.
    pub since: Option<Day>,
    /// Up to, not with, this day, UTC.
    pub before: Option<Day>,
    /// Strictly larger.
    pub larger_than: Option<Size>,
    /// Strictly smaller.
    pub smaller_than: Option<Size>,
    /// IMAP SEARCH on the source; all other keys hold as well.
    pub search: Option<String>,
    /// Messages marked `\Deleted`. Default `"skip"`.
    pub deleted: Option<Deleted>,
    /// Equal messages in one source folder. Default `"keep"`.
    pub duplicates: Option<Duplicates>,
    /// The order in which the messages of a folder are copied. `"newest-first"` turns the order of UIDs
    /// round at the destination. Default `"oldest-first"`.
    pub order: Option<UidOrder>,
}

/// What happens to flags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FlagsTable {
    /// Flags of messages that are at the destination already. Default `"merge"`.
    pub on_existing: Option<OnExisting>,
}

/// How much goes wrong before it counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ErrorsTable {
    /// Tries of one message, flag or folder again, before it is an item. Default 3.
    #[schemars(range(max = 100))]
    pub retries: Option<u32>,
    /// A source in which no folder is selected is not a fault. Default `false`.
    pub allow_empty_source: Option<bool>,
    /// How long an append without a reply may still arrive before it is sent again. Default `"60 s"`.
    pub settle: Option<Period>,
    /// How long a server may be away. Default `"15 min"`.
    pub reconnect_for: Option<Period>,
    /// Items in one account before it is given up. Default: no limit.
    #[schemars(range(min = 1))]
    pub max_items: Option<u64>,
}

/// Where state is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StateTable {
    /// Folder, relative to the manifest. Default `".mailferry"`.
    pub dir: Option<String>,
}

/// What is known beforehand of a kind of server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProfileTable {
    /// Format, `1`; required in a file of its own.
    #[schemars(range(min = 1, max = 1))]
    pub version: Option<u32>,
    /// For `NAME@REVISION`. Default 1.
    #[schemars(range(min = 1))]
    pub revision: Option<u32>,
    /// Profiles that this one stands on; later ones win. Default `["generic"]`.
    pub extends: Option<Vec<String>>,
    /// Holds on both sides.
    pub server: Option<ServerTable>,
    /// Holds where the server is the source.
    pub as_source: Option<SourceSideTable>,
    /// Holds where the server is the destination.
    pub as_destination: Option<DestinationSideTable>,
    /// Where each value is from.
    pub facts: Option<Vec<FactTable>>,
}

/// What a profile says of a server: an endpoint without a login.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServerTable {
    /// Name or address.
    pub host: Option<String>,
    /// TCP port.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// Personal namespace prefix as the server writes it; `""` is none.
    pub prefix: Option<String>,
    /// Hierarchy delimiter.
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// Longest silence while waiting for the server; also for connecting.
    pub timeout: Option<Period>,
    /// Whether the connection is compressed (COMPRESS=DEFLATE).
    pub compress: Option<Compress>,
    /// How the connection is protected.
    pub tls: Option<TlsTable>,
    /// How hard this server may be pressed.
    pub limits: Option<EndpointLimitsTable>,
    /// Words in a NO to APPEND which prove that nothing was stored.
    #[schemars(extend("x-adds" = true))]
    pub refusals: Option<Vec<String>>,
    /// Departures from the RFCs.
    #[schemars(extend("x-adds" = true))]
    pub quirks: Option<Vec<Quirk>>,
}

/// What a profile says where the server is the source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SourceSideTable {
    /// As `server`, for this side only.
    pub server: Option<ServerTable>,
    /// As in the manifest.
    pub folders: Option<FoldersTable>,
    /// As in the manifest.
    pub messages: Option<MessagesTable>,
    /// As in the manifest.
    pub flags: Option<FlagsTable>,
}

/// What a profile says where the server is the destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DestinationSideTable {
    /// As `server`, for this side only.
    pub server: Option<ServerTable>,
    /// As in the manifest.
    pub folders: Option<FoldersTable>,
    /// As in the manifest.
    pub messages: Option<MessagesTable>,
    /// As in the manifest.
    pub flags: Option<FlagsTable>,
    /// As in the manifest, `settle` only.
    pub errors: Option<SettleTable>,
}

/// The one key of `[errors]` that is a fact of a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SettleTable {
    /// How long an append without a reply may still arrive before it is sent again.
    pub settle: Option<Period>,
}

/// Where a value of a profile is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FactTable {
    /// The key that it is about.
    pub key: String,
    /// Where it is said, or how it was measured.
    pub source: String,
    /// When it was looked at.
    pub checked: Day,
}

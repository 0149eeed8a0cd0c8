//! What a server offers.

use serde::{Deserialize, Serialize};

/// Abilities of one logged-in session. Each is what the server announced and what was proved, never
/// what its name suggests. Missing ones are lived without.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, asked by name")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// NAMESPACE (RFC 2342).
    pub namespace: bool,
    /// LIST-EXTENDED (RFC 5258).
    pub list_extended: bool,
    /// LIST-STATUS (RFC 5819).
    pub list_status: bool,
    /// SPECIAL-USE (RFC 6154).
    pub special_use: bool,
    /// CREATE-SPECIAL-USE (RFC 6154 §3).
    pub create_special_use: bool,
    /// UIDPLUS (RFC 4315): APPENDUID, UID EXPUNGE.
    pub uid_plus: bool,
    /// OBJECTID (RFC 8474): MAILBOXID, EMAILID.
    pub object_id: bool,
    /// STATUS=SIZE (RFC 8438).
    pub status_size: bool,
    /// CONDSTORE (RFC 7162).
    pub condstore: bool,
    /// COMPRESS=DEFLATE (RFC 4978).
    pub compress: bool,
    /// How messages can be appended.
    pub append: AppendWays,
    /// Largest message that the server says it takes, in octets (APPENDLIMIT, RFC 7889).
    pub append_limit: Option<u64>,
}

/// Ways to append that a server announces.
#[expect(clippy::struct_excessive_bools, reason = "each is an extension of its own")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendWays {
    /// MULTIAPPEND (RFC 3502).
    pub multi: bool,
    /// LITERAL+ (RFC 7888): non-synchronising literals of any size.
    pub literal_plus: bool,
    /// LITERAL- (RFC 7888): non-synchronising literals up to 4096 octets.
    pub literal_minus: bool,
    /// An append of nothing is refused and stores nothing, so that combinations of mailbox, flags
    /// and date can be proved with one (a fact of the profile).
    pub refuses_empty: bool,
}

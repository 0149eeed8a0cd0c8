//! Whether a session compresses what it sends and receives.

use serde::{Deserialize, Serialize};

/// Whether a session compresses (COMPRESS=DEFLATE, RFC 4978), and why. Rates are octets a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Not yet: too little was moved to say how fast the line is.
    #[default]
    Undecided,
    /// The server does not offer it.
    NotOffered,
    /// The server offers it and does not do it.
    Refused,
    /// Not to be used.
    Forbidden,
    /// To be used wherever it is offered: it is.
    Demanded,
    /// The line gives no more than this, so it is used.
    Worth(u64),
    /// The line gives so much that it would be slower.
    NotWorth(u64),
    /// The server is so near that what is waited for is the server, and no line.
    Near,
}

impl Compression {
    /// Tells whether the session compresses.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Self::Demanded | Self::Worth(_))
    }
}

//! What a session needs to know of a server before it connects.

use std::time::Duration;

pub use crate::imap::tls::Trust;

/// A server and how to speak to it; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What protects the connection.
    pub tls: TlsMode,
    /// Who logs in.
    pub user: String,
    /// How long to connect, and how long one read or write, may take.
    pub timeout: Duration,
    /// Words in a NO to APPEND which prove that nothing was stored.
    pub refusals: Vec<String>,
    /// What it does with an APPEND of nothing.
    pub empty_append: EmptyAppend,
    /// Whether what is sent and received is compressed.
    pub compress: Compress,
}

/// Whether what is sent and received is compressed (RFC 4978).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// Where the line is slow enough that it pays.
    #[default]
    Auto,
    /// Wherever the server offers it.
    On,
    /// Never.
    Off,
}

/// What protects a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first octet.
    Implicit {
        /// Which certificates are accepted.
        trust: Trust,
        /// The name that the certificate must have, where it is not the host.
        server_name: Option<String>,
    },
    /// Nothing.
    None,
}

/// What a server does with an APPEND of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyAppend {
    /// Nobody knows; it may store an empty message.
    #[default]
    Unknown,
    /// It answers NO and stores nothing: combinations of mailbox, flags and date can be proved
    /// with one.
    Refused,
}

//! Faults of a server, and what to do next.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::mail::Side;
use crate::mail::WireName;
use crate::store::patience;

/// Response codes that decide something (RFC 9051 §7.1, RFC 5530, RFC 3501, provider's own). Kept as
/// values, never as text; what is not among them is [`Other`](Self::Other).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseCode {
    /// The folder does not exist; CREATE might help.
    TryCreate,
    /// Over quota.
    OverQuota,
    /// Some limit was hit.
    Limit,
    /// The message is too large.
    TooBig,
    /// Not permitted.
    NoPerm,
    /// Cannot be done, ever.
    Cannot,
    /// No such folder.
    NonExistent,
    /// It exists already.
    AlreadyExists,
    /// The credentials were refused.
    AuthenticationFailed,
    /// The credentials have expired.
    Expired,
    /// The login is right but may not do this.
    AuthorizationFailed,
    /// A backend is away; try later.
    Unavailable,
    /// The folder or account is in use; try later.
    InUse,
    /// Asked too much; try later.
    Throttled,
    /// The server has a bug and says so.
    ServerBug,
    /// The server asks to close this session.
    ContactAdmin,
    /// Anything else, upper case, at most 64 octets, printable ASCII.
    Other(String),
}

/// A tagged NO or BAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// It was BAD: the server did not understand the command.
    pub bad: bool,
    /// Its response code.
    pub code: Option<ResponseCode>,
    /// Its text, as sent, at most 1,000 octets, without the code. Untrusted: escape it for people.
    pub text: String,
    /// The profile says that these words prove that nothing was stored.
    pub known_words: bool,
}

impl Refusal {
    /// Tells whether a refused APPEND surely stored nothing. Any other refusal is an unknown outcome,
    /// and is looked at before anything is sent again.
    #[must_use]
    pub fn proves_not_stored(&self) -> bool {
        use ResponseCode::{Cannot, Limit, NoPerm, NonExistent, OverQuota, TooBig, TryCreate};
        !self.bad
            && (self.known_words
                || matches!(
                    self.code,
                    Some(TryCreate | OverQuota | Limit | TooBig | NoPerm | Cannot | NonExistent)
                ))
    }

    /// Tells whether the folder itself was refused, and not the message.
    #[must_use]
    pub fn folder_is_gone(&self) -> bool {
        matches!(self.code, Some(ResponseCode::TryCreate | ResponseCode::NonExistent))
    }

    /// Tells whether the server asks for patience, which is never a fault of a message: by its code,
    /// by a time that it names, or by words about too many connections or commands.
    #[must_use]
    pub fn asks_for_patience(&self) -> bool {
        use ResponseCode::{
            AuthenticationFailed, AuthorizationFailed, Cannot, ContactAdmin, Expired, InUse,
            NoPerm, Throttled, TooBig, Unavailable,
        };
        match self.code {
            Some(Unavailable | InUse | Throttled) => true,
            // What is refused for good is not to be tried again, whatever the words.
            Some(
                AuthenticationFailed | AuthorizationFailed | Expired | NoPerm | ContactAdmin
                | Cannot | TooBig,
            ) => false,
            _ => patience::is_asked_for(&self.text),
        }
    }

    /// The same for the answer to a login, where a limit is never one of a message.
    #[must_use]
    pub fn asks_for_patience_at_login(&self) -> bool {
        self.code == Some(ResponseCode::Limit) || self.asks_for_patience()
    }

    /// How long the server asks to be left alone; nothing where it does not ask.
    #[must_use]
    pub fn backoff(&self) -> Option<Duration> {
        self.asks_for_patience_at_login()
            .then(|| patience::suggested(&self.text).unwrap_or(patience::UNSAID))
    }

    /// What it asks for patience with, in a word or two: `throttled`, or the server's own words.
    #[must_use]
    pub fn patience_words(&self) -> String {
        match &self.code {
            Some(code) if !matches!(code, ResponseCode::Other(_)) => {
                code.as_str().to_ascii_lowercase()
            }
            _ => self.text.chars().take(60).collect(),
        }
    }

    /// Tells whether the account is full. Some servers say it without a code; the profile lists their
    /// words.
    #[must_use]
    pub fn is_quota(&self) -> bool {
        let words = self.known_words && self.text.to_ascii_lowercase().contains("quota");
        self.code == Some(ResponseCode::OverQuota) || words
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.bad { "BAD" } else { "NO" };
        match &self.code {
            Some(code) => write!(formatter, "{word} [{}] {}", code.as_str(), self.text),
            None => write!(formatter, "{word} {}", self.text),
        }
    }
}

impl ResponseCode {
    /// The code's word, upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::TryCreate => "TRYCREATE",
            Self::OverQuota => "OVERQUOTA",
            Self::Limit => "LIMIT",
            Self::TooBig => "TOOBIG",
            Self::NoPerm => "NOPERM",
            Self::Cannot => "CANNOT",
            Self::NonExistent => "NONEXISTENT",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::Expired => "EXPIRED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::Unavailable => "UNAVAILABLE",
            Self::InUse => "INUSE",
            Self::Throttled => "THROTTLED",
            Self::ServerBug => "SERVERBUG",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::Other(word) => word,
        }
    }

    /// Reads a code's word; nothing for what cannot be one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_uppercase();
        let known = [
            Self::TryCreate,
            Self::OverQuota,
            Self::Limit,
            Self::TooBig,
            Self::NoPerm,
            Self::Cannot,
            Self::NonExistent,
            Self::AlreadyExists,
            Self::AuthenticationFailed,
            Self::Expired,
            Self::AuthorizationFailed,
            Self::Unavailable,
            Self::InUse,
            Self::Throttled,
            Self::ServerBug,
            Self::ContactAdmin,
        ];
        let fits =
            (1..=64).contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_graphic());
        known.into_iter().find(|code| code.as_str() == word).or(fits.then_some(Self::Other(word)))
    }
}

/// A fault of a port. Display is a lower-case fragment; the side and the folder are told by who
/// reports it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A command was refused; the connection is good.
    #[error("the server said {0}")]
    Refused(Refusal),
    /// The login was refused. Never tried again in the run: accounts get locked.
    #[error("the login was refused: {0}")]
    Login(Refusal),
    /// There is no way to log in: LOGINDISABLED, or no mechanism that is known here.
    #[error("the server offers no way to log in: {0}")]
    NoMechanism(String),
    /// The connection ended, stalled, or said BYE.
    #[error("the connection was lost: {0}")]
    Connection(String),
    /// It could not be made at all.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// TLS did not come about: certificate, name, or version.
    #[error("no TLS: {0}")]
    Tls(String),
    /// The server sent what no reading makes sense of; the connection is dead.
    #[error("the server sent something that cannot be understood: {0}")]
    Protocol(String),
    /// The folder's UIDVALIDITY or MAILBOXID is another one than before, within one session.
    #[error("the folder was replaced by another one")]
    Replaced,
    /// The folder can be opened, but not be worked with safely: no UIDVALIDITY, UIDs that do not last.
    #[error("the folder cannot be worked with: {0}")]
    Unusable(String),
    /// The run is to stop, and a wait before this call was cut short; nothing was sent.
    #[error("stopped while waiting")]
    Stopped,
    /// What was asked cannot be said in IMAP: a line break in a search, a name that no line holds.
    #[error("cannot be sent: {0}")]
    Unsayable(String),
}

/// What to do after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Connect anew, after at least this long, and go on from the journal.
    Reconnect(Duration),
    /// Try the same again on this connection, after at least this long.
    After(Duration),
    /// Not this message, flag or folder; the rest goes on.
    Skip,
    /// Nothing more on this side in this run.
    Never,
}

impl StoreError {
    /// What to do next. The one place where that is decided.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused(refusal) if refusal.asks_for_patience() => {
                Retry::After(refusal.backoff().unwrap_or(patience::UNSAID))
            }
            Self::Refused(_) | Self::Replaced | Self::Unusable(_) | Self::Unsayable(_) => {
                Retry::Skip
            }
            Self::Login(refusal) if refusal.asks_for_patience_at_login() => {
                Retry::Reconnect(refusal.backoff().unwrap_or(patience::UNSAID))
            }
            Self::Login(_) | Self::NoMechanism(_) | Self::Tls(_) | Self::Stopped => Retry::Never,
            Self::Connection(_) => {
                Retry::Reconnect(self.backoff().unwrap_or(Duration::from_secs(1)))
            }
            Self::Connect(_) | Self::Protocol(_) => Retry::Reconnect(Duration::from_secs(1)),
        }
    }

    /// How long the server asks to be left alone; nothing where it does not ask.
    #[must_use]
    pub fn backoff(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) if refusal.asks_for_patience() => refusal.backoff(),
            Self::Login(refusal) => refusal.backoff(),
            // A BYE has no code that is kept.
            Self::Connection(said) if patience::is_asked_for(said) => {
                Some(patience::suggested(said).unwrap_or(patience::UNSAID))
            }
            _ => None,
        }
    }

    /// Tells whether the login itself was refused, and not only at this moment.
    #[must_use]
    pub fn is_refused_login(&self) -> bool {
        match self {
            Self::Login(refusal) => !refusal.asks_for_patience_at_login(),
            Self::NoMechanism(_) => true,
            _ => false,
        }
    }

    /// Tells whether the connection can still be used.
    #[must_use]
    pub const fn connection_is_good(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unsayable(_) | Self::Replaced | Self::Unusable(_))
    }
}

/// Opens sessions of one side; a pool of one until connections are counted.
pub trait Connect<S: ?Sized>: Send {
    /// Connects and logs in.
    ///
    /// # Errors
    ///
    /// [`StoreError`], of which [`StoreError::retry`] tells what to do.
    fn connect(&mut self) -> Result<Box<S>, StoreError>;

    /// Another connector of the same server and login, for a second session beside the first. What one
    /// of them learns holds for both.
    fn another(&self) -> Box<dyn Connect<S>>;

    /// Which side this is, for reports.
    fn side(&self) -> Side;

    /// Folders that got an empty message, on any connection, and were not told of before: the server was
    /// asked what it understands by an append of nothing, and did not refuse it as it was expected to.
    fn take_emptied(&self) -> Vec<WireName>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_of_a_full_account_only_where_the_profile_lists_them() {
        let refusal = |text: &str, known_words| Refusal {
            bad: false,
            code: None,
            text: text.to_owned(),
            known_words,
        };
        assert!(refusal("Over quota", true).is_quota());
        assert!(!refusal("Over quota", false).is_quota());
        assert!(!refusal("Message contains NUL", true).is_quota());
    }
}

//! The beginning of a session: greeting, capabilities, login, ID.
//!
//! # Never
//!
//! * Never logs in to a server that greets as logged in already: nobody knows as whom.

use std::time::Duration;

use crate::imap::connect::Secured;
use crate::imap::known::Known;
use crate::imap::login;
use crate::imap::login::Cover;
use crate::imap::login::Credentials;
use crate::imap::login::Redactor;
use crate::imap::pace::Pace;
use crate::imap::reader;
use crate::imap::reader::Code;
use crate::imap::reader::Data;
use crate::imap::reader::Parsed;
use crate::imap::reader::StatusKind;
use crate::imap::request::Command;
use crate::imap::session::Reply;
use crate::imap::session::Session;
use crate::imap::session::given_up;
use crate::imap::session::reply_of;
use crate::imap::tap::Stage;
use crate::imap::tap::Tap;
use crate::imap::wire::Wire;
use crate::store::ServerSeen;
use crate::store::StoreError;

/// A server that never answered sooner than this is not near.
const FAR: Duration = Duration::from_millis(10);

/// Greets and logs in over a connection that nothing was read from.
///
/// # Errors
///
/// [`StoreError::Login`] where the login is refused, and all that a connection can bring.
pub(super) fn begin(
    wire: Wire,
    secured: &Secured,
    credentials: &Credentials,
    known: Known,
) -> Result<Session, StoreError> {
    log_in(wire, secured, credentials, known)
        .map_err(|fault| Redactor::new(credentials).clean_fault(fault))
}

fn log_in(
    wire: Wire,
    secured: &Secured,
    credentials: &Credentials,
    known: Known,
) -> Result<Session, StoreError> {
    let tap = Tap::new(wire);
    let hello = hello(&tap)?;
    let cover = if secured.version == "none" { Cover::Plain } else { Cover::Encrypted };
    let (imap, capabilities, mechanism) =
        authenticate(&tap, hello.client, &hello.capabilities, cover, credentials)?;
    let redactor = Redactor::new(credentials);
    let is_known = known.met.get().is_some();
    let seen = ServerSeen {
        greeting: redactor.clean(hello.greeting),
        id: None,
        user: credentials.user().to_owned(),
        server: known.server.clone(),
        tls_key: secured.key.clone(),
        tls: secured.version.to_owned(),
        mechanism: mechanism.as_str().to_owned(),
    };
    let mut session = Session::new(imap, tap, seen, known, redactor);
    let capabilities = match capabilities {
        Some(capabilities) => capabilities,
        None => capabilities_of(&session.run(&Command::new("CAPABILITY"))?).unwrap_or_default(),
    };
    let has_id = capabilities.iter().any(|word| word == "ID");
    session.learn(&capabilities);
    if has_id {
        exchange_ids(&mut session, is_known)?;
    }
    session.with_pace(Pace::logged_in);
    session.consider_compression()?;
    Ok(session)
}

/// Exchanges ID (RFC 2971), which a server may refuse. The answer is waited for only as long as it is not
/// known who the server is, and something depends on it: how to ask for MAILBOXID, or whether the
/// server, which was quick so far, is near. It is heard behind the next command otherwise.
fn exchange_ids(session: &mut Session, is_known: bool) -> Result<(), StoreError> {
    let own = format!("ID (\"name\" \"mailferry\" \"version\" \"{}\")", env!("CARGO_PKG_VERSION"));
    let is_far =
        session.with_pace(|pace| pace.round_trip()).is_some_and(|quickest| quickest >= FAR);
    if is_known {
        session.say_aside(&own)?;
        session.learn_id(None);
    } else if is_far && !session.abilities().object_id {
        session.say_aside(&own)?;
    } else {
        let id = match session.run(&Command::new(&own)) {
            Ok(reply) => id_of(&reply),
            Err(StoreError::Refused(_)) => None,
            Err(fault) => return Err(fault),
        };
        session.learn_id(id);
    }
    Ok(())
}

/// What came before the login.
struct Hello {
    client: imap::Client<Tap>,
    greeting: String,
    capabilities: Vec<String>,
}

/// Reads the greeting, and asks for capabilities where it did not tell them.
fn hello(tap: &Tap) -> Result<Hello, StoreError> {
    let mut client = imap::Client::new(tap.clone());
    let greeted = client.read_greeting();
    let mut exchange = tap.exchange();
    if greeted.is_err() {
        return Err(exchange.take_fault().unwrap_or_else(given_up));
    }
    let raw = exchange.take_seen().pop().unwrap_or_default();
    exchange.begin();
    exchange.enter(Stage::Ready);
    drop(exchange);
    let Parsed::Untagged(Data::Status { kind, code, text }) = reader::parse(&raw) else {
        return Err(StoreError::Protocol("no greeting of an IMAP server".to_owned()));
    };
    match kind {
        StatusKind::Ok => {}
        StatusKind::Preauth => {
            return Err(StoreError::NoMechanism(
                "it greets as logged in already (PREAUTH), so nobody knows as whom".to_owned(),
            ));
        }
        StatusKind::Bye => {
            return Err(StoreError::Connection(format!("the server said BYE {text}")));
        }
        StatusKind::No | StatusKind::Bad => {
            return Err(StoreError::Connection(format!("the server greeted with a fault: {text}")));
        }
    }
    let capabilities = if let Some(Code::Capability(capabilities)) = code {
        capabilities
    } else {
        let ended = client.capabilities().map(drop);
        capabilities_of(&reply_of(tap, ended)?).unwrap_or_default()
    };
    Ok(Hello { client, greeting: text, capabilities })
}

type LoggedIn = (imap::Session<Tap>, Option<Vec<String>>, login::Mechanism);

/// Logs in; returns also the capabilities that came with it.
fn authenticate(
    tap: &Tap,
    client: imap::Client<Tap>,
    capabilities: &[String],
    cover: Cover,
    credentials: &Credentials,
) -> Result<LoggedIn, StoreError> {
    {
        let mut exchange = tap.exchange();
        exchange.begin();
        exchange.enter(Stage::Login);
    }
    let (logged_in, mechanism) = login::log_in(client, capabilities, cover, credentials)?;
    tap.exchange().enter(Stage::Ready);
    let (session, ended) = match logged_in {
        Ok(session) => (Some(session), Ok(())),
        Err(fault) => (None, Err(fault)),
    };
    let reply = reply_of(tap, ended).map_err(|fault| match fault {
        StoreError::Refused(refusal) => StoreError::Login(refusal),
        other => other,
    })?;
    let session = session.ok_or_else(given_up)?;
    Ok((session, capabilities_of(&reply), mechanism))
}

/// The last capabilities that a command brought, tagged or not.
fn capabilities_of(reply: &Reply) -> Option<Vec<String>> {
    if let Some(Code::Capability(capabilities)) = &reply.code {
        return Some(capabilities.clone());
    }
    reply
        .data()
        .filter_map(|data| match data {
            Data::Capability(capabilities)
            | Data::Status { code: Some(Code::Capability(capabilities)), .. } => Some(capabilities),
            _ => None,
        })
        .last()
}

/// The server's name and version, if it told them.
pub(super) fn id_of(reply: &Reply) -> Option<String> {
    let fields = reply.data().find_map(|data| match data {
        Data::Id(fields) => Some(fields),
        _ => None,
    })?;
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let words: Vec<&str> = [field("name"), field("version")].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

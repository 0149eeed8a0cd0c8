//! Logging in: the choice of a mechanism, the dialogue, and what hides the password again.
//!
//! # Never
//!
//! * Never tries a second mechanism or a second time after a refusal: accounts get locked.
//! * Never puts the password, in any of its forms, into an error, a trace or `Debug`.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use imap::Authenticator as _;
use rsasl::callback::Context;
use rsasl::callback::Request;
use rsasl::callback::SessionCallback;
use rsasl::callback::SessionData;
use rsasl::mechanisms::login::LOGIN;
use rsasl::mechanisms::plain::PLAIN;
use rsasl::prelude::Mechanism as SaslMechanism;
use rsasl::prelude::Mechname;
use rsasl::prelude::Registry;
use rsasl::prelude::SASLClient;
use rsasl::prelude::SASLConfig;
use rsasl::prelude::Session as SaslSession;
use rsasl::prelude::SessionError;
use rsasl::property::AuthId;
use rsasl::property::Password;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::imap::tap::Tap;
use crate::imap::tap::is_one_line;
use crate::store::Refusal;
use crate::store::ResponseCode;
use crate::store::StoreError;

/// A password below this is not cut out of a text, since the gaps would tell it: the whole text is
/// withheld.
const CUT_OCTETS_MIN: usize = 4;

/// What stands in place of a secret.
const REDACTED: &str = "[secret]";

/// What stands in place of a text that may tell a short secret.
const WITHHELD: &str = "(text withheld, since it may hold the password)";

static MECHANISMS: &[SaslMechanism] = &[PLAIN, LOGIN];

/// Who logs in. `Debug` shows the user only.
#[derive(Clone)]
pub(super) struct Credentials {
    user: String,
    password: SecretString,
}

impl Credentials {
    pub(super) const fn new(user: String, password: SecretString) -> Self {
        Self { user, password }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl SessionCallback for Credentials {
    fn callback(
        &self,
        _session: &SessionData,
        _context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request
            .satisfy::<AuthId>(&self.user)?
            .satisfy::<Password>(self.password.expose_secret().as_bytes())?;
        Ok(())
    }
}

/// Whether what is sent can be read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// TLS.
    Encrypted,
    /// None.
    Plain,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    /// AUTHENTICATE PLAIN (RFC 4616).
    Plain,
    /// AUTHENTICATE LOGIN.
    Login,
    /// The LOGIN command (RFC 9051 §6.2.3).
    LoginCommand,
}

impl Mechanism {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::LoginCommand => "LOGIN command",
        }
    }

    /// Chooses by what the server offers and what the credentials can be sent by.
    fn choose(
        capabilities: &[String],
        cover: Cover,
        credentials: &Credentials,
    ) -> Result<Self, StoreError> {
        let offers = |word: &str| capabilities.iter().any(|offered| offered == word);
        let refuse = |why: &str| Err(StoreError::NoMechanism(why.to_owned()));
        let both = [credentials.user.as_str(), credentials.password.expose_secret()];
        if both.iter().any(|text| text.is_empty()) {
            return refuse("the user or the password is empty");
        }
        if both.iter().any(|text| text.contains('\0')) {
            return refuse("a user or password with a NUL cannot be sent");
        }
        if cover == Cover::Plain && offers("LOGINDISABLED") {
            return refuse("it wants TLS first (LOGINDISABLED)");
        }
        if offers("AUTH=PLAIN") {
            return Ok(Self::Plain);
        }
        if offers("AUTH=LOGIN") {
            return Ok(Self::Login);
        }
        if offers("LOGINDISABLED") {
            let offered: Vec<&str> =
                capabilities.iter().filter_map(|word| word.strip_prefix("AUTH=")).collect();
            return Err(StoreError::NoMechanism(if offered.is_empty() {
                "LOGINDISABLED, and no mechanism is offered".to_owned()
            } else {
                format!("LOGINDISABLED, and only {} is offered", offered.join(", "))
            }));
        }
        let fits = |text: &&str| text.is_ascii() && is_one_line(text.as_bytes());
        if !both.iter().all(fits) {
            return refuse(
                "it knows the LOGIN command only, which cannot send a user or password with a line \
                 break or with characters beyond ASCII",
            );
        }
        Ok(Self::LoginCommand)
    }
}

/// The SASL dialogue, as `imap` asks for it.
struct Dialogue(RefCell<SaslSession>);

impl Dialogue {
    fn new(mechanism: Mechanism, credentials: &Credentials) -> Result<Self, StoreError> {
        let cannot = || StoreError::NoMechanism("the dialogue cannot be begun".to_owned());
        let config = SASLConfig::builder()
            .with_registry(Registry::with_mechanisms(MECHANISMS))
            .with_callback(credentials.clone())
            .map_err(|_| cannot())?;
        let name = Mechname::parse(mechanism.as_str().as_bytes()).map_err(|_| cannot())?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(|_| cannot())?;
        Ok(Self(RefCell::new(session)))
    }
}

impl imap::Authenticator for Dialogue {
    type Response = Zeroizing<Vec<u8>>;

    fn process(&self, challenge: &[u8]) -> Self::Response {
        let mut session = self.0.borrow_mut();
        // Without SASL-IR the first challenge of a mechanism that begins with the client is empty.
        let input = if session.are_we_first() { None } else { Some(challenge) };
        let mut answer = Zeroizing::new(Vec::new());
        if session.step(input, &mut *answer).is_err() {
            // There is no way to cancel from here; an empty answer is refused by the server.
            answer.clear();
        }
        answer
    }
}

/// The first response of the client, in base64, where the mechanism begins with it and the server takes
/// it with the command (SASL-IR, RFC 4959).
fn initial_response(
    mechanism: Mechanism,
    capabilities: &[String],
    credentials: &Credentials,
) -> Result<Option<Zeroizing<String>>, StoreError> {
    if mechanism != Mechanism::Plain || !capabilities.iter().any(|word| word == "SASL-IR") {
        return Ok(None);
    }
    let response = Dialogue::new(mechanism, credentials)?.process(b"");
    Ok(Some(Zeroizing::new(STANDARD.encode(&*response))))
}

/// Logs in with the one mechanism that fits.
///
/// # Errors
///
/// [`StoreError::NoMechanism`] before anything was sent; else what `imap` says, which the caller
/// reads together with the tagged line.
pub(super) fn log_in(
    client: imap::Client<Tap>,
    capabilities: &[String],
    cover: Cover,
    credentials: &Credentials,
) -> Result<(Result<imap::Session<Tap>, imap::Error>, Mechanism), StoreError> {
    let mechanism = Mechanism::choose(capabilities, cover, credentials)?;
    let logged_in = match mechanism {
        Mechanism::Plain | Mechanism::Login => {
            // A server that asks all the same is answered.
            let dialogue = Dialogue::new(mechanism, credentials)?;
            match initial_response(mechanism, capabilities, credentials)? {
                Some(response) => {
                    let words = [mechanism.as_str(), " ", response.as_str()];
                    client.authenticate(Zeroizing::new(words.concat()).as_str(), &dialogue)
                }
                None => client.authenticate(mechanism.as_str(), &dialogue),
            }
        }
        Mechanism::LoginCommand => {
            client.login(&credentials.user, credentials.password.expose_secret())
        }
    };
    Ok((logged_in.map_err(|(fault, _)| fault), mechanism))
}

/// Takes a secret out of texts, in every form in which a server could echo it.
pub(super) struct Redactor {
    needles: Vec<SecretString>,
    short: bool,
}

impl Redactor {
    pub(super) fn new(credentials: &Credentials) -> Self {
        let password = credentials.password.expose_secret();
        let plain = Zeroizing::new(format!("\0{}\0{password}", credentials.user));
        let mut needles: Vec<SecretString> = [
            STANDARD.encode(plain.as_bytes()),
            STANDARD_NO_PAD.encode(plain.as_bytes()),
            STANDARD.encode(password),
            STANDARD_NO_PAD.encode(password),
            password.replace('\\', "\\\\").replace('"', "\\\""),
            password.to_owned(),
        ]
        .into_iter()
        .filter(|form| !form.is_empty())
        .map(SecretString::from)
        .collect();
        needles.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        Self { needles, short: password.len() < CUT_OCTETS_MIN }
    }

    /// The text without the secret.
    pub(super) fn clean(&self, text: String) -> String {
        let mut text = text;
        for needle in &self.needles {
            let needle = needle.expose_secret();
            if text.contains(needle) {
                if self.short {
                    return WITHHELD.to_owned();
                }
                text = text.replace(needle, REDACTED);
            }
            // A text that was cut may end within the secret.
            let begin = (CUT_OCTETS_MIN..needle.len())
                .rev()
                .filter_map(|length| needle.get(..length))
                .find(|begin| text.ends_with(begin));
            if let Some(begin) = begin {
                text.truncate(text.len() - begin.len());
                text.push_str(REDACTED);
            }
        }
        text
    }

    /// The refusal without the secret.
    pub(super) fn clean_refusal(&self, refusal: Refusal) -> Refusal {
        let code = match refusal.code {
            // Codes are upper case: the secret could not be told from others by its letters.
            Some(ResponseCode::Other(word)) if self.has_without_case(&word) => None,
            code => code,
        };
        Refusal { code, text: self.clean(refusal.text), ..refusal }
    }

    fn has_without_case(&self, word: &str) -> bool {
        let word = word.to_ascii_uppercase();
        self.needles
            .iter()
            .any(|needle| word.contains(&needle.expose_secret().to_ascii_uppercase()))
    }

    /// The fault without the secret.
    pub(super) fn clean_fault(&self, fault: StoreError) -> StoreError {
        match fault {
            StoreError::Refused(refusal) => StoreError::Refused(self.clean_refusal(refusal)),
            StoreError::Login(refusal) => StoreError::Login(self.clean_refusal(refusal)),
            StoreError::Connection(text) => StoreError::Connection(self.clean(text)),
            StoreError::Protocol(text) => StoreError::Protocol(self.clean(text)),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joe(password: &str) -> Credentials {
        Credentials::new("joe".to_owned(), SecretString::from(password))
    }

    /// What is chosen for capabilities separated by blanks, or why nothing is.
    fn chosen(capabilities: &str, cover: Cover, password: &str) -> String {
        let words: Vec<String> = capabilities.split_whitespace().map(str::to_owned).collect();
        match Mechanism::choose(&words, cover, &joe(password)) {
            Ok(mechanism) => mechanism.as_str().to_owned(),
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn plain_comes_before_login_before_the_command() {
        assert_eq!(chosen("AUTH=LOGIN AUTH=PLAIN", Cover::Encrypted, "x"), "PLAIN");
        assert_eq!(chosen("AUTH=LOGIN", Cover::Plain, "x"), "LOGIN");
        assert_eq!(chosen("IMAP4REV1", Cover::Plain, "x"), "LOGIN command");
    }

    #[test]
    fn logindisabled_is_respected() {
        let refused = chosen("AUTH=PLAIN LOGINDISABLED", Cover::Plain, "x");
        assert!(refused.contains("wants TLS first"), "{refused}");
        let refused = chosen("LOGINDISABLED AUTH=GSSAPI", Cover::Encrypted, "x");
        assert!(refused.contains("only GSSAPI is offered"), "{refused}");
        assert_eq!(chosen("LOGINDISABLED AUTH=PLAIN", Cover::Encrypted, "x"), "PLAIN");
    }

    #[test]
    fn a_password_that_the_command_cannot_carry_is_refused_and_not_told() {
        for password in ["pass\r\nX1 DELETE INBOX", "pass\u{e9}", "pass\0"] {
            let refused = chosen("IMAP4REV1", Cover::Encrypted, password);
            assert!(refused.starts_with("the server offers no way"), "{refused}");
            assert!(!refused.contains("pass\u{e9}") && !refused.contains("DELETE"), "{refused}");
        }
    }

    #[test]
    fn an_echoed_password_is_taken_out_in_every_form() {
        let redactor = Redactor::new(&joe("hunter\"2"));
        for echo in
            ["hunter\"2", "hunter\\\"2", "aHVudGVyIjI=", "aHVudGVyIjI", "AGpvZQBodW50ZXIiMg=="]
        {
            assert_eq!(redactor.clean(format!("bad {echo}.")), "bad [secret].");
        }
        assert_eq!(redactor.clean("cut at hunt".to_owned()), "cut at [secret]");
        assert_eq!(redactor.clean("hunted".to_owned()), "hunted");
        assert_eq!(Redactor::new(&joe("a")).clean("bad a".to_owned()), WITHHELD);
    }

    #[test]
    fn an_echo_in_a_code_is_dropped() {
        let refusal = Refusal {
            bad: false,
            code: ResponseCode::from_word("hunter2"),
            text: String::new(),
            known_words: false,
        };
        let fault = Redactor::new(&joe("Hunter2")).clean_fault(StoreError::Login(refusal));
        assert_eq!(fault.to_string(), "the login was refused: NO ");
    }

    #[test]
    fn debug_does_not_tell_the_password() {
        assert_eq!(format!("{:?}", joe("hunter2")), "Credentials { user: \"joe\", .. }");
    }

    #[test]
    fn the_dialogues_say_what_the_mechanisms_want() {
        let plain = Dialogue::new(Mechanism::Plain, &joe("pass")).unwrap();
        assert_eq!(plain.process(b"").as_slice(), b"\0joe\0pass");
        let login = Dialogue::new(Mechanism::Login, &joe("pass")).unwrap();
        assert_eq!(login.process(b"User Name").as_slice(), b"joe");
        assert_eq!(login.process(b"Password").as_slice(), b"pass");
    }
}

//! Words with which servers ask for patience. They have no code for it, or use one for other things.

use std::time::Duration;

/// How long a server is left alone that asks for patience and names no time.
pub(super) const UNSAID: Duration = Duration::from_secs(5);

/// Longest time that is believed.
const LONGEST: Duration = Duration::from_hours(1);

/// What stands before the number of milliseconds, in small letters.
const SUGGESTED: &str = "suggested backoff time:";

/// Words about how much is asked of the server at once, in small letters. None is about a message.
const ABOUT_LOAD: [&str; 8] = [
    "too many connections",
    "too many simultaneous connections",
    "too many concurrent connections",
    "maximum number of connections",
    "number of connections exceeded",
    "connection limit",
    "too many commands",
    "request is throttled",
];

/// Tells whether a text asks for patience.
pub(super) fn is_asked_for(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    suggested(&text).is_some() || ABOUT_LOAD.iter().any(|words| text.contains(words))
}

/// The time that a text suggests, such as `Suggested Backoff Time: 299961 milliseconds`: never nought,
/// and at most an hour.
pub(super) fn suggested(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let (_, rest) = text.split_once(SUGGESTED)?;
    let rest = rest.trim_start();
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, unit) = rest.split_at(end);
    if digits.is_empty() || !unit.trim_start().starts_with("millisecond") {
        return None;
    }
    // More digits than a number holds are more than an hour as well.
    let time = digits.parse().map_or(LONGEST, Duration::from_millis);
    Some(time.clamp(Duration::from_millis(1), LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Refusal, ResponseCode, Retry, StoreError};

    fn refusal(code: Option<ResponseCode>, text: &str) -> Refusal {
        Refusal { bad: false, code, text: text.to_owned(), known_words: false }
    }

    #[test]
    fn suggested_time_is_read_in_any_case_and_bounded_to_an_hour() {
        let millis = |text: &str| suggested(text).map(|time| time.as_millis());
        let said = "Request is throttled. Suggested Backoff Time: 299961 milliseconds";
        assert_eq!(millis(said), Some(299_961));
        assert_eq!(millis("SUGGESTED BACKOFF TIME:5 Milliseconds."), Some(5));
        assert_eq!(millis("suggested backoff time: 0 milliseconds"), Some(1));
        for many in ["3600001", "99999999999999999999999"] {
            let said = format!("Suggested Backoff Time: {many} milliseconds");
            assert_eq!(millis(&said), Some(3_600_000), "{many}");
        }
        for none in ["Suggested Backoff Time: soon", "Suggested Backoff Time: 5 minutes", ""] {
            assert_eq!(millis(none), None, "{none}");
        }
    }

    #[test]
    fn patience_is_told_from_refusals_for_good_and_from_sizes() {
        use ResponseCode::{AuthenticationFailed, InUse, Limit, OverQuota, Throttled};
        let cases = [
            (Some(Throttled), "slow down", true, true),
            (Some(InUse), "locked", true, true),
            (None, "Too many simultaneous connections. (Failure)", true, true),
            (None, "Maximum number of connections from user+IP exceeded", true, true),
            (None, "Suggested Backoff Time: 7 milliseconds", true, true),
            (Some(Limit), "message exceeds the limit", false, true),
            (Some(Limit), "too many commands", true, true),
            (Some(OverQuota), "mailbox is full", false, false),
            (Some(AuthenticationFailed), "too many connections", false, false),
            (None, "too many failed logins", false, false),
            (None, "message too large", false, false),
        ];
        for (code, text, anywhere, at_login) in cases {
            let refusal = refusal(code, text);
            assert_eq!(refusal.asks_for_patience(), anywhere, "{refusal}");
            assert_eq!(refusal.asks_for_patience_at_login(), at_login, "{refusal}");
            let login = StoreError::Login(refusal);
            assert_eq!(login.is_refused_login(), !at_login, "{login}");
            assert_eq!(login.retry() == Retry::Never, !at_login, "{login}");
        }
    }

    #[test]
    fn retries_wait_as_long_as_the_server_suggests() {
        let said = "Request is throttled. Suggested Backoff Time: 23000 milliseconds";
        let time = Duration::from_secs(23);
        let refused = StoreError::Refused(refusal(None, said));
        assert_eq!(refused.retry(), Retry::After(time));
        assert_eq!(StoreError::Login(refusal(None, said)).retry(), Retry::Reconnect(time));
        let bye = StoreError::Connection("the server said BYE too many connections".to_owned());
        assert_eq!(bye.retry(), Retry::Reconnect(UNSAID));
        let lost = StoreError::Connection("the server closed it".to_owned());
        assert_eq!(
            (lost.retry(), lost.backoff()),
            (Retry::Reconnect(Duration::from_secs(1)), None)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_no_time_is_longer_than_an_hour(text in "\\PC{0,60}") {
            prop_assert!(suggested(&text).is_none_or(|time| time <= LONGEST));
            let said = format!("Suggested Backoff Time: {text}");
            prop_assert!(suggested(&said).is_none_or(|time| time <= LONGEST));
        }
    }
}

//! Whether the destination is full.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::store::Refusal;

/// After so many refusals for quota in a row nothing more is sent in this run.
const STREAK: u32 = 3;

/// Refusals for quota in a row, over all folders of a run and all its connections.
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<Streak>);

#[derive(Clone, Copy, Debug, Default)]
struct Streak {
    streak: u32,
    /// Octets of the largest message that was accepted.
    largest: Option<u64>,
}

impl Quota {
    /// Books a message that was stored.
    pub(super) fn accepted(&self, octets: u64) {
        self.change(|quota| {
            quota.streak = 0;
            quota.largest = quota.largest.max(Some(octets));
        });
    }

    /// Books a refusal. One of a message larger than all that were accepted may be for its size.
    pub(super) fn refused(&self, refusal: &Refusal, octets: u64) {
        self.change(|quota| {
            if refusal.is_quota() && quota.largest.is_none_or(|largest| octets <= largest) {
                quota.streak += 1;
            }
        });
    }

    /// Tells whether nothing more is to be sent.
    pub(super) fn is_full(&self) -> bool {
        self.change(|quota| quota.streak >= STREAK)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Streak) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ResponseCode;

    fn refusal(code: Option<ResponseCode>, text: &str, known_words: bool) -> Refusal {
        Refusal { bad: false, code, text: text.to_owned(), known_words }
    }

    #[test]
    fn three_refusals_in_a_row_of_messages_that_would_fit_are_enough() {
        let over = refusal(Some(ResponseCode::OverQuota), "full", false);
        let quota = Quota::default();
        quota.accepted(100);
        quota.refused(&over, 1_000);
        quota.refused(&over, 1_000);
        quota.refused(&over, 1_000);
        assert!(!quota.is_full(), "larger than anything accepted");
        quota.refused(&over, 100);
        quota.refused(&over, 90);
        quota.accepted(5);
        quota.refused(&over, 90);
        quota.refused(&over, 90);
        assert!(!quota.is_full(), "not in a row");
        quota.refused(&over, 90);
        assert!(quota.is_full());
    }
}

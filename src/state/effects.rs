//! A counter that stops a run before a chosen effect, for tests.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Counts effects, and refuses them from a certain one on. Clones count together, so that one can be
/// shared by state and by a server in memory.
#[derive(Clone, Debug)]
pub struct Effects {
    done: Arc<AtomicU64>,
    fails_at: Arc<AtomicU64>,
}

impl Default for Effects {
    fn default() -> Self {
        Self { done: Arc::default(), fails_at: Arc::new(AtomicU64::new(u64::MAX)) }
    }
}

impl Effects {
    /// How many effects went through so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Lets the effects before number `nth`, counted from 1, go through; that one and all after it
    /// fail, as on a full disk or after a kill. [`heal`](Self::heal) ends it.
    pub fn fail_at(&self, nth: u64) {
        self.fails_at.store(nth, Ordering::SeqCst);
    }

    /// Lets all effects go through from now on.
    pub fn heal(&self) {
        self.fail_at(u64::MAX);
    }

    /// Asks for one effect: counts it and tells that it may be done, or that it fails.
    #[must_use]
    pub fn pass(&self) -> bool {
        let limit = self.fails_at.load(Ordering::SeqCst);
        let step = |done: u64| (done + 1 < limit).then_some(done + 1);
        self.done.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_effect_and_all_after_it_fail_for_all_clones_until_healed() {
        let effects = Effects::default();
        let shared = effects.clone();
        effects.fail_at(3);
        let passed = [effects.pass(), shared.pass(), effects.pass(), shared.pass()];
        assert_eq!(passed, [true, true, false, false]);
        assert_eq!(shared.count(), 2);
        shared.heal();
        assert!(effects.pass());
        assert_eq!(effects.count(), 3);
    }
}

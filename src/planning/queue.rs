//! Folders on their way from a thread that reads to the one that plans.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Messages that may wait, in all folders together; one folder may hold more.
const MESSAGES_MAX: usize = 20_000;

/// Folders that may wait.
const FOLDERS_MAX: usize = 64;

/// A queue that holds few messages. Whoever waits on either end is woken when the other end is gone.
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

struct Inner<T> {
    folders: VecDeque<(T, usize)>,
    messages: usize,
    /// Nothing more comes.
    ended: bool,
    /// Nobody takes anything more.
    refused: bool,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        let inner = Inner { folders: VecDeque::new(), messages: 0, ended: false, refused: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another folder may be read.
    pub(super) fn wait_for_room(&self) {
        let is_full = |inner: &mut Inner<T>| {
            !inner.refused && (inner.messages > MESSAGES_MAX || inner.folders.len() >= FOLDERS_MAX)
        };
        drop(
            self.changed.wait_while(self.inner(), is_full).unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Adds a folder of so many messages; tells whether more are wanted.
    pub(super) fn push(&self, folder: T, messages: usize) -> bool {
        let mut inner = self.inner();
        if inner.refused {
            return false;
        }
        inner.messages += messages;
        inner.folders.push_back((folder, messages));
        drop(inner);
        self.changed.notify_all();
        true
    }

    /// Says that nothing more comes, when it is dropped, be it by a panic.
    pub(super) const fn ending(&self) -> Ending<'_, T> {
        Ending(self)
    }

    /// Says that nothing more is taken, when it is dropped.
    pub(super) const fn refusing(&self) -> Refusing<'_, T> {
        Refusing(self)
    }

    fn end(&self) {
        self.inner().ended = true;
        self.changed.notify_all();
    }

    fn refuse(&self) {
        let mut inner = self.inner();
        inner.refused = true;
        inner.folders.clear();
        drop(inner);
        self.changed.notify_all();
    }

    /// The next folder, when it is there; nothing if none comes.
    pub(super) fn pop(&self) -> Option<T> {
        let is_empty = |inner: &mut Inner<T>| inner.folders.is_empty() && !inner.ended;
        let waited = self.changed.wait_while(self.inner(), is_empty);
        let mut inner = waited.unwrap_or_else(PoisonError::into_inner);
        let (folder, messages) = inner.folders.pop_front()?;
        inner.messages -= messages;
        drop(inner);
        self.changed.notify_all();
        Some(folder)
    }
}

/// The end of what comes.
pub(super) struct Ending<'a, T>(&'a Queue<T>);

impl<T> Drop for Ending<'_, T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The end of what is taken.
pub(super) struct Refusing<'a, T>(&'a Queue<T>);

impl<T> Drop for Refusing<'_, T> {
    fn drop(&mut self) {
        self.0.refuse();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn few_messages_wait_however_many_there_are() {
        let queue = Queue::new();
        let read = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ending = queue.ending();
                for folder in 0..100 {
                    queue.wait_for_room();
                    read.store(folder, Ordering::SeqCst);
                    assert!(queue.push(folder, MESSAGES_MAX / 2));
                }
            });
            for folder in 0..100 {
                assert_eq!(queue.pop(), Some(folder));
                assert!(read.load(Ordering::SeqCst) <= folder + 5, "too many are read");
            }
            assert_eq!(queue.pop(), None);
        });
    }

    #[test]
    fn who_reads_is_woken_when_nothing_more_is_taken() {
        let queue = Queue::new();
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                queue.push(1, MESSAGES_MAX + 1);
                queue.wait_for_room();
                queue.push(2, 1)
            });
            thread::sleep(Duration::from_millis(20));
            assert!(!reader.is_finished());
            drop(queue.refusing());
            assert!(!reader.join().unwrap());
        });
    }
}

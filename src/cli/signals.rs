//! Ctrl-C, SIGTERM, SIGHUP: once finishes what is in flight, twice ends at once; while a question is
//! asked, once is enough.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::exit::ExitStatus;
use crate::cli::limits;
use crate::session::{Stop, Wish};

/// The wish to stop, as signals tell it.
pub(super) struct Interrupts {
    pub stop: Stop,
    signal: Arc<AtomicI32>,
    question: Arc<Mutex<Question>>,
    deadline: OnceLock<Instant>,
}

/// Whether somebody is being asked something.
enum Question {
    None,
    /// How the terminal was before, where it could be told.
    Asked(Option<Box<Termios>>),
}

impl Interrupts {
    /// Begins to listen. Where that is not possible signals end the program as they always do, which
    /// is safe as well.
    pub(super) fn listen() -> Self {
        let stop = Stop::default();
        let signal = Arc::new(AtomicI32::new(0));
        let question = Arc::new(Mutex::new(Question::None));
        if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
            let (wish, first) = (stop.clone(), Arc::clone(&signal));
            let question = Arc::clone(&question);
            thread::spawn(move || {
                for number in signals.forever() {
                    let question = question.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Question::Asked(terminal) = &*question {
                        put_back(terminal.as_deref());
                    }
                    let is_second = wish.wish() == Some(Wish::Signal);
                    if is_second || matches!(*question, Question::Asked(_)) {
                        signal_hook::low_level::exit(status_of(number).code().into());
                    }
                    first.store(number, Ordering::SeqCst);
                    wish.request();
                }
            });
        }
        Self { stop, signal, question, deadline: OnceLock::new() }
    }

    /// Asks something on the terminal: nothing is in flight meanwhile, so that a signal ends the
    /// program at once, with a terminal that shows again what is typed.
    pub(super) fn while_asking<T>(&self, ask: impl FnOnce() -> T) -> T {
        let set = |question| {
            *self.question.lock().unwrap_or_else(PoisonError::into_inner) = question;
        };
        set(Question::Asked(tcgetattr(io::stdin()).ok().map(Box::new)));
        let answer = ask();
        set(Question::None);
        answer
    }

    /// Has the run stopped so long from now, if at all. Only the first call counts.
    pub(super) fn stop_after(&self, time: Option<Duration>) {
        let Some(deadline) = time.and_then(|time| Instant::now().checked_add(time)) else { return };
        if self.deadline.set(deadline).is_ok() {
            limits::stop_at(deadline, self.stop.clone());
        }
    }

    /// When the run is to stop.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// How a run that was asked to stop ends.
    pub(super) fn status(&self) -> ExitStatus {
        match self.stop.wish() {
            Some(Wish::Bytes | Wish::Deadline | Wish::Day) => ExitStatus::Limit,
            Some(Wish::Signal) | None => status_of(self.signal.load(Ordering::SeqCst)),
        }
    }
}

fn put_back(terminal: Option<&Termios>) {
    if let Some(terminal) = terminal {
        // The program ends next, whether or not it worked; the line of the question ends as well.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
        let _ = io::Write::write_all(&mut io::stderr(), b"\n");
    }
}

fn status_of(signal: i32) -> ExitStatus {
    if signal == SIGTERM { ExitStatus::Terminated } else { ExitStatus::Interrupted }
}

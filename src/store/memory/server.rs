//! The handle that tests and sessions share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mail::{Side, WireName};
use crate::store::error::{Connect, Refusal, ResponseCode, StoreError};
use crate::store::memory::account::{Account, Options};
use crate::store::memory::fault::{
    AppendUidLie, Faults, Incoming, Loss, RefusedMessage, Stop, Then, UidNextLie,
};
use crate::store::memory::log::Operation;
use crate::store::memory::session::MemorySession;
use crate::store::{Destination, Source};

/// A mail server in memory. Clones are handles of the same server.
#[derive(Clone, Default)]
pub struct MemoryServer {
    inner: Arc<Mutex<Inner>>,
}

/// What the handles share.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) account: Account,
    pub(super) faults: Faults,
    pub(super) log: Vec<Operation>,
    pub(super) effects: u64,
}

impl std::fmt::Debug for MemoryServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lock().account.fmt(formatter)
    }
}

impl MemoryServer {
    /// A server of that kind, with an empty INBOX.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let inner = Inner { account: Account::new(options), ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Two servers of the usual kind that hold different accounts: a source and a destination.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        (Self::new(Options::numbered(1)), Self::new(Options::numbered(2)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the account as another client or the administrator would. Must not call
    /// the server again from inside.
    pub fn with<T>(&self, deed: impl FnOnce(&mut Account) -> T) -> T {
        deed(&mut self.lock().account)
    }

    /// Logs in.
    ///
    /// # Errors
    ///
    /// What [`fail_connect`](Self::fail_connect) asked for.
    pub fn session(&self) -> Result<MemorySession, StoreError> {
        let mut inner = self.lock();
        if let Some(error) = inner.faults.connects.pop_front() {
            return Err(error);
        }
        inner.log.push(Operation::Connect);
        let options = inner.account.options.clone();
        drop(inner);
        Ok(MemorySession::new(self.clone(), options))
    }

    /// Opens sessions for one side.
    #[must_use]
    pub fn connector(&self, side: Side) -> MemoryConnector {
        MemoryConnector { server: self.clone(), side }
    }

    /// What reached the server so far.
    #[must_use]
    pub fn log(&self) -> Vec<Operation> {
        self.lock().log.clone()
    }

    /// What changed or was to change something, of all that reached the server.
    #[must_use]
    pub fn effect_log(&self) -> Vec<Operation> {
        self.lock().log.iter().filter(|operation| operation.is_effect()).cloned().collect()
    }

    /// How many effects reached the server: folders created, subscriptions, messages appended,
    /// changes of flags.
    #[must_use]
    pub fn effects(&self) -> u64 {
        self.lock().effects
    }

    /// Begins log and count anew.
    pub fn forget_log(&self) {
        let mut inner = self.lock();
        inner.log.clear();
        inner.effects = 0;
    }

    /// Loses the connection once, at the effect of that number, counted from 0 as
    /// [`effects`](Self::effects) does.
    pub fn stop_at(&self, effect: u64, loss: Loss) {
        self.lock().faults.stop = Some(Stop { effect, loss });
    }

    /// Asks before every effect from now on whether it may happen; where not, the connection is lost
    /// before anything of it leaves. So effects here and elsewhere can be counted together.
    pub fn guard_effects(&self, may_happen: impl FnMut() -> bool + Send + 'static) {
        self.lock().faults.guard = Some(Box::new(may_happen));
    }

    /// Once, right before an operation that `awaited` tells: lets others do something, and decides
    /// what becomes of the operation.
    pub fn when(
        &self,
        awaited: impl FnMut(&Operation) -> bool + Send + 'static,
        deed: impl FnOnce(&mut Account) -> Then + Send + 'static,
    ) {
        self.lock().faults.hooks.push((Box::new(awaited), Box::new(deed)));
    }

    /// Refuses messages for as long as the test lasts.
    pub fn refuse_messages(
        &self,
        refuses: impl FnMut(&Incoming<'_>) -> Option<RefusedMessage> + Send + 'static,
    ) {
        self.lock().faults.refuses = Some(Box::new(refuses));
    }

    /// Is asked by an append of nothing what it understands, before the next message, and stores it.
    pub fn keep_an_append_of_nothing(&self) {
        self.lock().faults.keeps_nothing = true;
    }

    /// Alters every message that is appended.
    pub fn rewrite_messages(&self, rewrites: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) {
        self.lock().faults.rewrites = Some(Box::new(rewrites));
    }

    /// Lies about UIDNEXT from now on.
    pub fn lie_about_uid_next(&self, lie: UidNextLie) {
        self.lock().faults.uid_next = lie;
    }

    /// Lies in APPENDUID from now on.
    pub fn lie_in_append_uid(&self, lie: AppendUidLie) {
        self.lock().faults.append_uid = lie;
    }

    /// Whenever a connection is lost, so many replies of the window are read before it ends.
    pub fn read_before_loss(&self, replies: usize) {
        self.lock().faults.read_before_loss = replies;
    }

    /// Loses the connection once, when so many octets of bodies have been read from now on.
    pub fn cut_fetch_after(&self, octets: u64) {
        self.lock().faults.fetch_octets = Some(octets);
    }

    /// Loses the connection once, inside a literal, when so many octets have been appended from now
    /// on. The message that it falls into is not stored.
    pub fn cut_append_after(&self, octets: u64) {
        self.lock().faults.append_octets = Some(octets);
    }

    /// Lets the next attempt to connect fail; several are used up one after the other.
    pub fn fail_connect(&self, error: StoreError) {
        self.lock().faults.connects.push_back(error);
    }

    /// Lets the server's clock go on; late messages that are due arrive.
    pub fn advance(&self, seconds: i64) {
        let mut inner = self.lock();
        let Inner { account, faults, .. } = &mut *inner;
        account.now = account.now.plus(seconds);
        faults.arrive(account, None);
    }

    /// How many messages are still on their way.
    #[must_use]
    pub fn late(&self) -> usize {
        self.lock().faults.late.len()
    }
}

/// What the server makes of an operation before it is carried out.
pub(super) enum Admitted {
    /// It is carried out.
    Go,
    /// It is carried out, and the connection is lost.
    ThenLost,
    /// The connection is lost in this way, and nothing else happens now.
    Lost(Loss),
}

impl Inner {
    /// Logs an operation, lets others act before it, and counts it if it is an effect.
    pub(super) fn admit(&mut self, operation: &Operation) -> Result<Admitted, StoreError> {
        self.faults.arrive(&mut self.account, operation.looks_at());
        let stop =
            self.faults.stop.filter(|stop| operation.is_effect() && stop.effect == self.effects);
        if stop.is_some() {
            self.faults.stop = None;
        }
        if let Some(Stop { loss: Loss::BeforeSending, .. }) = stop {
            return Ok(Admitted::Lost(Loss::BeforeSending));
        }
        let guard = self.faults.guard.as_mut().filter(|_| operation.is_effect());
        if guard.is_some_and(|may_happen| !may_happen()) {
            return Ok(Admitted::Lost(Loss::BeforeSending));
        }
        let hook = self.faults.hooks.iter_mut().position(|(awaited, _)| awaited(operation));
        let then = match hook {
            Some(at) => self.faults.hooks.remove(at).1(&mut self.account),
            None => Then::Go,
        };
        if matches!(then, Then::Lose(Loss::BeforeSending)) {
            return Ok(Admitted::Lost(Loss::BeforeSending));
        }
        self.log.push(operation.clone());
        if operation.is_effect() {
            self.effects += 1;
        }
        let then = stop.map_or(then, |stop| Then::Lose(stop.loss));
        match then {
            Then::Go => Ok(Admitted::Go),
            Then::Refuse(refusal) => Err(StoreError::Refused(refusal)),
            Then::Lose(Loss::Reply) => Ok(Admitted::ThenLost),
            Then::Lose(loss) => Ok(Admitted::Lost(loss)),
        }
    }
}

/// A NO with a code.
pub(super) fn refused(code: Option<ResponseCode>, text: &str) -> Refusal {
    Refusal { bad: false, code, text: text.to_owned(), known_words: false }
}

/// The NO to a folder that is not there.
pub(super) fn no_such_folder() -> StoreError {
    StoreError::Refused(refused(Some(ResponseCode::NonExistent), "no such folder"))
}

/// The end of a connection.
pub(super) fn lost() -> StoreError {
    StoreError::Connection("it ended".to_owned())
}

/// Opens sessions of a [`MemoryServer`] for one side.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    server: MemoryServer,
    side: Side,
}

impl Connect<dyn Source> for MemoryConnector {
    fn connect(&mut self) -> Result<Box<dyn Source>, StoreError> {
        Ok(Box::new(self.server.session()?))
    }

    fn another(&self) -> Box<dyn Connect<dyn Source>> {
        Box::new(self.clone())
    }

    fn side(&self) -> Side {
        self.side
    }

    fn take_emptied(&self) -> Vec<WireName> {
        std::mem::take(&mut self.server.lock().faults.emptied)
    }
}

impl Connect<dyn Destination> for MemoryConnector {
    fn connect(&mut self) -> Result<Box<dyn Destination>, StoreError> {
        Ok(Box::new(self.server.session()?))
    }

    fn another(&self) -> Box<dyn Connect<dyn Destination>> {
        Box::new(self.clone())
    }

    fn side(&self) -> Side {
        self.side
    }

    fn take_emptied(&self) -> Vec<WireName> {
        std::mem::take(&mut self.server.lock().faults.emptied)
    }
}

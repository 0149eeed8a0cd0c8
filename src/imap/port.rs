//! The ports of [`crate::store`] over a session, and the connector that opens sessions.
//!
//! # Never
//!
//! * Never sends a login again that was refused: accounts get locked.
//! * Never answers from a session after its connection has failed.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;

use secrecy::SecretString;

use crate::imap::compress::Agreement;
use crate::imap::connect;
use crate::imap::fetch;
use crate::imap::flags;
use crate::imap::gated;
use crate::imap::gated::GatedSink;
use crate::imap::greet;
use crate::imap::known::Known;
use crate::imap::login::Credentials;
use crate::imap::lot::Lot;
use crate::imap::pace::Way;
use crate::imap::server::EmptyAppend;
use crate::imap::server::Server;
use crate::imap::session::Session;
use crate::limit::Gate;
use crate::limit::Slot;
use crate::mail::Role;
use crate::mail::Side;
use crate::mail::UidSet;
use crate::mail::WireName;
use crate::store;
use crate::store::Abilities;
use crate::store::AppendOutcome;
use crate::store::AppendQueue;
use crate::store::Coming;
use crate::store::Compression;
use crate::store::Connect;
use crate::store::Created;
use crate::store::Destination;
use crate::store::FetchOutcome;
use crate::store::FetchSink;
use crate::store::FlagChange;
use crate::store::FlagOutcome;
use crate::store::Flow;
use crate::store::FolderState;
use crate::store::FolderStatus;
use crate::store::Items;
use crate::store::Listing;
use crate::store::Look;
use crate::store::Refusal;
use crate::store::ServerSeen;
use crate::store::Source;
use crate::store::StoreError;
use crate::store::Survey;
use crate::store::Visit;
use crate::store::VisitSink;

/// Marks a port that only reads.
#[derive(Clone, Copy, Debug)]
pub enum Reads {}

/// Marks a port that also adds.
#[derive(Clone, Copy, Debug)]
pub enum Adds {}

/// One session as a port; `M` says what may be done with it.
pub struct Port<M> {
    session: Session,
    /// Where the session goes when it is done with.
    lot: Option<Lot>,
    may: PhantomData<M>,
}

/// A session that only reads.
pub type ImapSource = Port<Reads>;

/// A session that reads and adds.
pub type ImapDestination = Port<Adds>;

impl<M: Send> Look for Port<M> {
    fn seen(&self) -> &ServerSeen {
        self.session.seen()
    }

    fn abilities(&self) -> &Abilities {
        self.session.abilities()
    }

    fn compression(&self) -> Compression {
        self.session.compression()
    }

    fn wants_measuring(&self) -> bool {
        self.session.wants_measuring()
    }

    fn is_near(&self) -> bool {
        self.session.is_near()
    }

    fn list(&mut self) -> Result<Listing, StoreError> {
        self.session.list()
    }

    fn status(&mut self, folder: &WireName) -> Result<FolderStatus, StoreError> {
        self.session.status(folder)
    }

    fn open(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        self.session.examine(folder)
    }

    fn scan(
        &mut self,
        folder: &WireName,
        uids: &UidSet,
        items: Items,
        sink: &mut dyn FetchSink,
    ) -> Result<FetchOutcome, StoreError> {
        self.session.consider_compression()?;
        let keeps_mod_seq = self.session.ensure_open(folder)?.highest_mod_seq.is_some();
        // Asked for where there is none, it makes a server refuse the whole row.
        let items = Items { mod_seq: items.mod_seq && keeps_mod_seq, ..items };
        self.session
            .transfer(Some(Way::Rows), |wire, opened| fetch::scan(wire, opened, uids, items, sink))
    }

    fn survey(
        &mut self,
        folders: &[Survey<'_>],
        sink: &mut dyn VisitSink,
    ) -> Result<(), StoreError> {
        self.session.consider_compression()?;
        let mut from = 0;
        while let Some(first) = folders.get(from) {
            let ahead = fetch::count_ahead(folders[from..].iter().map_while(fetch::to_look));
            if ahead == 0 {
                store::survey_alone(self, from, first, sink)?;
                from += 1;
                continue;
            }
            let stops = folders[from..from + ahead].iter().filter_map(fetch::to_look);
            let stops: Vec<_> = stops.collect();
            if self.session.tour(Way::Rows, (from, &stops), sink)? == Flow::Stop {
                break;
            }
            from += ahead;
        }
        Ok(())
    }

    fn search(&mut self, folder: &WireName, keys: &str) -> Result<UidSet, StoreError> {
        self.session.search(folder, keys)
    }

    fn close(self: Box<Self>) {
        let Self { mut session, lot, .. } = *self;
        match lot {
            Some(lot) if session.is_alive() => lot.park(session),
            _ => session.close(),
        }
    }
}

impl<M: Send> Source for Port<M> {
    fn fetch(
        &mut self,
        visit: &Visit<'_>,
        sink: &mut dyn FetchSink,
    ) -> Result<FetchOutcome, StoreError> {
        self.session.consider_compression()?;
        self.session.ensure_open(visit.folder)?;
        let gate = self.session.gate();
        let mut sink = GatedSink::new(sink, gate.as_ref());
        let (outcome, line) = self.session.transfer(Some(Way::Down), |wire, opened| {
            fetch::fetch(wire, opened, visit, &mut sink)
        })?;
        if line == fetch::Line::Inside {
            self.session.give_up();
        }
        Ok(outcome)
    }

    fn fetch_visits(
        &mut self,
        visits: &[Visit<'_>],
        sink: &mut dyn VisitSink,
    ) -> Result<(), StoreError> {
        self.session.consider_compression()?;
        let mut from = 0;
        while let Some(visit) = visits.get(from) {
            let ahead = fetch::count_ahead(visits[from..].iter().map_while(fetch::to_read));
            let flow = if ahead == 0 {
                from += 1;
                store::fetch_visit(self, from - 1, visit, sink)?
            } else {
                let stops = visits[from..from + ahead].iter().filter_map(fetch::to_read);
                let stops: Vec<_> = stops.collect();
                from += ahead;
                let gate = self.session.gate();
                let sink = &mut GatedSink::new(sink, gate.as_ref());
                self.session.tour(Way::Down, (from - ahead, &stops), sink)?
            };
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

impl Destination for Port<Adds> {
    fn create(&mut self, folder: &WireName, role: Option<Role>) -> Result<(), StoreError> {
        self.session.create(folder, role)
    }

    fn create_all(
        &mut self,
        folders: &[(WireName, Option<Role>)],
        acquaint: Option<&WireName>,
    ) -> Result<Created, StoreError> {
        self.session.create_all(folders, acquaint)
    }

    fn acquaint(&mut self, folder: &WireName) -> Result<(), StoreError> {
        self.session.acquaint(folder)
    }

    fn subscribe_all(
        &mut self,
        folders: &[WireName],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.session.subscribe_all(folders)
    }

    fn subscribe(&mut self, folder: &WireName) -> Result<(), StoreError> {
        self.session.subscribe(folder)
    }

    fn prepare(&mut self, folder: &WireName) -> Result<FolderState, StoreError> {
        self.session.prepare(folder)
    }

    fn prepare_all(
        &mut self,
        folders: &[WireName],
        coming: &[Coming],
    ) -> Result<Vec<Result<FolderState, StoreError>>, StoreError> {
        self.session.prepare_all(folders, coming)
    }

    fn append(&mut self, queue: &mut dyn AppendQueue) -> Result<AppendOutcome, StoreError> {
        self.session.consider_compression()?;
        self.session.append(queue, None)
    }

    fn append_and_survey(
        &mut self,
        queue: &mut dyn AppendQueue,
        folders: &[Survey<'_>],
        sink: &mut dyn VisitSink,
    ) -> Result<AppendOutcome, StoreError> {
        self.session.consider_compression()?;
        let ahead = fetch::count_ahead(folders.iter().map_while(fetch::to_look));
        let stops: Vec<_> = folders[..ahead].iter().filter_map(fetch::to_look).collect();
        self.session.append(queue, Some((&stops, sink)))
    }

    fn change_flags(
        &mut self,
        folder: &WireName,
        uids: &UidSet,
        change: &FlagChange,
    ) -> Result<FlagOutcome, StoreError> {
        let keeps_mod_seq = self.session.select(folder)?.highest_mod_seq.is_some();
        let unchanged_since = change.unchanged_since.filter(|_| keeps_mod_seq);
        let change = FlagChange { unchanged_since, ..change.clone() };
        self.session.transfer(None, |wire, _| flags::change(wire, uids, &change))
    }
}

/// Opens sessions with one server. Clones share what they learn of it.
#[derive(Clone)]
pub struct Connector {
    server: Server,
    side: Side,
    credentials: Credentials,
    known: Known,
    refused: Arc<Mutex<Option<Refusal>>>,
    /// It opens connections beside those of another connector.
    beside: bool,
    lot: Option<Lot>,
}

impl Connector {
    /// Takes a server and the password of its user. Nothing is sent yet.
    #[must_use]
    pub fn new(server: Server, side: Side, password: SecretString) -> Self {
        let credentials = Credentials::new(server.user.clone(), password);
        let known = Known {
            server: format!("{}:{}", server.host, server.port),
            refusals: server.refusals.iter().cloned().collect(),
            refuses_empty: server.empty_append == EmptyAppend::Refused,
            kept: Arc::default(),
            windows_stopped: Arc::default(),
            compression: Agreement::new(server.compress),
            gate: None,
            met: Arc::default(),
        };
        let refused = Arc::default();
        Self { server, side, credentials, known, refused, beside: false, lot: None }
    }

    /// Lets all connections and messages pass a gate.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.known.gate = Some(gate);
        self
    }

    /// Keeps a session that is closed for whoever connects next by this connector or a clone of it:
    /// one part of a run hands it on to the next. It is ended when the last of them goes.
    #[must_use]
    pub fn handing_on(mut self) -> Self {
        self.lot = Some(Lot::default());
        self
    }

    /// Tells whether a session waits that was handed on.
    #[must_use]
    pub fn holds_session(&self) -> bool {
        self.lot.as_ref().is_some_and(Lot::holds_one)
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a connection may be made; one beside another one is made at once or not at all.
    fn admit(&self, gate: &Gate) -> Result<Slot, StoreError> {
        if !self.beside {
            return gate.admit().map_err(gated::halted);
        }
        let slot = gate.admit_beside().map_err(gated::halted)?;
        slot.ok_or_else(|| StoreError::Connection("no further connection is allowed".to_owned()))
    }

    fn port<M>(&self) -> Result<Box<Port<M>>, StoreError> {
        let handed_on = match &self.lot {
            Some(lot) if self.beside => lot.take_ahead()?,
            Some(lot) => lot.take(),
            None => None,
        };
        let session = match handed_on {
            Some(mut session) => {
                session.renew(self.known.clone());
                session
            }
            None => self.log_in()?,
        };
        let lot = self.lot.clone().filter(|_| !self.beside);
        Ok(Box::new(Port { session, lot, may: PhantomData }))
    }

    fn beside(&self) -> Self {
        Self { beside: true, ..self.clone() }
    }

    /// Logs in so many times in the background, where sessions are handed on: those who connect beside
    /// this connector find their sessions made, or wait for them.
    pub fn log_in_ahead(&self, sessions: usize) {
        let Some(lot) = &self.lot else { return };
        for _ in 0..sessions {
            let (beside, coming) = (self.beside(), lot.expect());
            let log_in = move || coming.arrive(beside.log_in());
            if let Err(fault) = thread::Builder::new().spawn(log_in) {
                tracing::debug!(%fault, "no thread to log in ahead");
            }
        }
    }

    fn log_in(&self) -> Result<Session, StoreError> {
        if let Some(refusal) = &*self.refused() {
            return Err(StoreError::Login(refusal.clone()));
        }
        let gate = self.known.gate.as_ref();
        let slot = gate.map(|gate| self.admit(gate)).transpose()?;
        let (wire, secured) = connect::connect(&self.server, gate)?;
        let mut begun = greet::begin(wire, &secured, &self.credentials, self.known.clone());
        match &mut begun {
            Ok(session) => session.occupy(slot),
            Err(fault) => {
                // One more that is not let in is no reason for those that are to wait.
                if !self.beside {
                    gated::heed(gate, fault);
                }
                if let StoreError::Login(refusal) = &*fault
                    && fault.is_refused_login()
                {
                    *self.refused() = Some(refusal.clone());
                }
            }
        }
        begun
    }
}

impl Connect<dyn Source> for Connector {
    fn connect(&mut self) -> Result<Box<dyn Source>, StoreError> {
        Ok(self.port::<Reads>()?)
    }

    fn another(&self) -> Box<dyn Connect<dyn Source>> {
        Box::new(self.beside())
    }

    fn side(&self) -> Side {
        self.side
    }

    fn take_emptied(&self) -> Vec<WireName> {
        self.known.kept.take()
    }
}

impl Connect<dyn Destination> for Connector {
    fn connect(&mut self) -> Result<Box<dyn Destination>, StoreError> {
        Ok(self.port::<Adds>()?)
    }

    fn another(&self) -> Box<dyn Connect<dyn Destination>> {
        Box::new(self.beside())
    }

    fn side(&self) -> Side {
        self.side
    }

    fn take_emptied(&self) -> Vec<WireName> {
        self.known.kept.take()
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::io::BufReader;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::imap::scripted;
    use crate::imap::server::Compress;
    use crate::imap::server::TlsMode;
    use crate::mail::Uid;
    use crate::store::Chunk;
    use crate::store::Retry;
    use crate::store::RowHead;

    /// A server on loopback that refuses every login with these words; its port, and its logins.
    fn refusing(words: &'static str) -> (u16, Arc<Mutex<u32>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let logins = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&logins);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                socket.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n").unwrap();
                let mut line = String::new();
                BufReader::new(socket.try_clone().unwrap()).read_line(&mut line).unwrap();
                *counted.lock().unwrap() += u32::from(line.contains(" LOGIN "));
                socket.write_all(format!("a1 NO {words}\r\n").as_bytes()).unwrap();
            }
        });
        (port, logins)
    }

    fn connector(port: u16) -> Connector {
        let server = Server {
            host: "127.0.0.1".to_owned(),
            port,
            tls: TlsMode::None,
            user: "joe".to_owned(),
            timeout: Duration::from_secs(5),
            refusals: Vec::new(),
            empty_append: EmptyAppend::Unknown,
            compress: Compress::Auto,
        };
        Connector::new(server, Side::Source, SecretString::from("hunter2"))
    }

    fn fault(connector: &mut Connector) -> StoreError {
        let connect: &mut dyn Connect<dyn Source> = connector;
        connect.connect().err().unwrap()
    }

    #[test]
    fn refused_login_is_not_sent_twice_in_a_run() {
        let (port, logins) = refusing("[AUTHENTICATIONFAILED] no");
        let mut connector = connector(port);
        for _ in 0..3 {
            let fault = fault(&mut connector);
            assert_eq!(fault.to_string(), "the login was refused: NO [AUTHENTICATIONFAILED] no");
            assert_eq!(fault.retry(), Retry::Never);
        }
        assert_eq!(*logins.lock().unwrap(), 1);
    }

    #[test]
    fn login_that_is_to_come_later_is_sent_again() {
        let (port, logins) = refusing("[UNAVAILABLE] later");
        let mut connector = connector(port);
        for _ in 0..2 {
            assert!(matches!(fault(&mut connector).retry(), Retry::Reconnect(_)));
        }
        assert_eq!(*logins.lock().unwrap(), 2);
    }

    struct Drain;

    impl FetchSink for Drain {
        fn begin(&mut self, _: Uid, _: &RowHead) -> Flow {
            Flow::Go
        }

        fn piece(&mut self, _: &Chunk) -> Flow {
            Flow::Go
        }

        fn end(&mut self, _: Uid) -> Flow {
            Flow::Go
        }
    }

    #[test]
    fn mod_seq_is_asked_for_only_where_the_folder_keeps_one() {
        let (wire, sent) = scripted::wire(
            &[
                b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
                b"$T OK [CAPABILITY IMAP4rev1] in\r\n",
                b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [NOMODSEQ] x\r\n$T OK\r\n",
                b"$T OK\r\n",
                b"* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [HIGHESTMODSEQ 7] x\r\n$T OK\r\n",
                b"$T OK\r\n",
            ],
            scripted::Then::Silence,
        );
        let secured = connect::Secured { version: "none", key: None };
        let connector = connector(1);
        let session = greet::begin(wire, &secured, &connector.credentials, connector.known);
        let mut source: ImapSource =
            Port { session: session.unwrap(), lot: None, may: PhantomData };
        let items = Items { mod_seq: true, ..Items::default() };
        for folder in [&b"plain"[..], b"keeping"] {
            let all = UidSet::range(Uid::MIN, Uid::MAX);
            source.scan(&WireName::new(folder), &all, items, &mut Drain).unwrap();
        }
        assert!(sent.lines()[2].ends_with("(UID)"), "{:?}", sent.lines());
        assert!(sent.lines()[4].ends_with("(UID MODSEQ)"), "{:?}", sent.lines());
    }

    /// A server on loopback that lets everybody in and answers all with OK; its port, and what it was
    /// sent, line by line, a number of the connection in front.
    fn friendly() -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let (mut socket, kept) = (socket.unwrap(), Arc::clone(&kept));
                thread::spawn(move || {
                    socket.write_all(b"* OK [CAPABILITY IMAP4rev1] ready\r\n").unwrap();
                    for line in BufReader::new(socket.try_clone().unwrap()).lines() {
                        let Ok(line) = line else { break };
                        let (tag, command) = line.split_once(' ').unwrap();
                        kept.lock().unwrap().push(format!("{number} {command}"));
                        let opened = "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n";
                        let data = if command.starts_with("EXAMINE") { opened } else { "" };
                        let answer = format!("{data}{tag} OK [CAPABILITY IMAP4rev1] yes\r\n");
                        if socket.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (port, lines)
    }

    fn source(connector: &mut Connector) -> Box<dyn Source> {
        let connect: &mut dyn Connect<dyn Source> = connector;
        connect.connect().unwrap()
    }

    /// What the server was sent, once so many connections were ended.
    fn sent_until(lines: &Mutex<Vec<String>>, logouts: usize) -> Vec<String> {
        for _ in 0..200 {
            let lines = lines.lock().unwrap().clone();
            if lines.iter().filter(|line| line.ends_with("LOGOUT")).count() == logouts {
                return lines;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{:?}", lines.lock().unwrap());
    }

    #[test]
    fn a_session_is_handed_on_and_ended_with_the_last_connector() {
        let (port, lines) = friendly();
        let mut planning = connector(port).handing_on();
        let mut applying = planning.clone();
        let inbox = WireName::new(*b"INBOX");
        let mut first = source(&mut planning);
        first.open(&inbox).unwrap();
        first.close();
        drop(planning);
        assert!(applying.holds_session());
        let connect: &mut dyn Connect<dyn Destination> = &mut applying;
        let mut second = connect.connect().unwrap();
        assert!(!applying.holds_session(), "it is taken");
        // What another one saw of a folder is no longer gone by.
        let all = UidSet::range(Uid::MIN, Uid::MAX);
        second.scan(&inbox, &all, Items::default(), &mut Drain).unwrap();
        let mut other = source(&mut applying);
        other.open(&inbox).unwrap();
        second.close();
        other.close();
        drop(applying);
        let lines = sent_until(&lines, 2);
        assert_eq!(
            lines[..6],
            [
                "0 LOGIN \"joe\" \"hunter2\"",
                "0 EXAMINE \"INBOX\"",
                "0 EXAMINE \"INBOX\"",
                "0 UID FETCH 1:4294967295 (UID)",
                "1 LOGIN \"joe\" \"hunter2\"",
                "1 EXAMINE \"INBOX\"",
            ]
        );
    }

    #[test]
    fn who_connects_beside_finds_the_sessions_that_were_made_ahead_and_no_more() {
        let (port, lines) = friendly();
        let connector = connector(port).handing_on();
        let beside = || Connect::<dyn Source>::another(&connector);
        connector.log_in_ahead(2);
        let (mut one, mut two, mut three) = (beside(), beside(), beside());
        let sessions = [one.connect().unwrap(), two.connect().unwrap(), three.connect().unwrap()];
        assert!(!connector.holds_session());
        for session in sessions {
            session.close();
        }
        assert!(!connector.holds_session(), "what was made beside is not handed on");
        let lines = sent_until(&lines, 3);
        assert_eq!(lines.iter().filter(|line| line.contains("LOGIN")).count(), 3);
    }

    #[test]
    fn the_session_that_was_handed_on_is_not_mixed_up_with_those_that_were_made_ahead() {
        let (port, lines) = friendly();
        let mut planning = connector(port).handing_on();
        let mut applying = planning.clone();
        let mut first = source(&mut planning);
        first.open(&WireName::new(*b"INBOX")).unwrap();
        planning.log_in_ahead(1);
        while lines.lock().unwrap().iter().filter(|line| line.contains("LOGIN")).count() < 2 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!applying.holds_session(), "what was made ahead has proved nothing");
        first.close();
        assert!(applying.holds_session());
        let mut second = source(&mut applying);
        second.open(&WireName::new(*b"INBOX")).unwrap();
        let opened = lines.lock().unwrap().clone();
        let opened = opened.iter().filter(|line| line.ends_with("EXAMINE \"INBOX\""));
        assert_eq!(opened.collect::<Vec<_>>(), ["0 EXAMINE \"INBOX\"", "0 EXAMINE \"INBOX\""]);
    }

    #[test]
    fn what_was_made_ahead_and_nobody_takes_is_ended_with_the_last_connector() {
        let (port, lines) = friendly();
        let connector = connector(port).handing_on();
        connector.log_in_ahead(3);
        drop(connector);
        sent_until(&lines, 3);
    }

    #[test]
    fn login_that_was_refused_ahead_is_told_to_one_that_waits_and_sent_once() {
        let (port, logins) = refusing("[LIMIT] too many");
        let connector = connector(port).handing_on();
        connector.log_in_ahead(1);
        let mut beside = Connect::<dyn Source>::another(&connector);
        let told = beside.connect().err().unwrap().to_string();
        assert!(told.contains("too many"), "{told}");
        assert_eq!(*logins.lock().unwrap(), 1);
    }

    #[test]
    fn a_session_that_is_not_handed_on_is_ended() {
        let (port, lines) = friendly();
        let mut connector = connector(port);
        source(&mut connector).close();
        source(&mut connector).close();
        let lines = sent_until(&lines, 2);
        assert!(lines.contains(&"0 LOGOUT".to_owned()), "{lines:?}");
    }

    #[test]
    fn a_dead_session_is_not_handed_on() {
        let (port, lines) = friendly();
        let mut connector = connector(port).handing_on();
        let (wire, _) = scripted::wire(
            &[b"* OK [CAPABILITY IMAP4rev1] ready\r\n", b"$T OK [CAPABILITY IMAP4rev1] in\r\n"],
            scripted::Then::Close,
        );
        let secured = connect::Secured { version: "none", key: None };
        let known = connector.known.clone();
        let session = greet::begin(wire, &secured, &connector.credentials, known).unwrap();
        let mut dead: Box<ImapSource> =
            Box::new(Port { session, lot: connector.lot.clone(), may: PhantomData });
        assert!(dead.open(&WireName::new(*b"INBOX")).is_err());
        dead.close();
        source(&mut connector).close();
        drop(connector);
        assert_eq!(sent_until(&lines, 1).len(), 2);
    }

    #[test]
    fn port_that_nobody_listens_on_is_told_with_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let fault = fault(&mut connector(port));
        assert!(fault.to_string().contains(&format!("127.0.0.1:{port}")), "{fault}");
    }
}

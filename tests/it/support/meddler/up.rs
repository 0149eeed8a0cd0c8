//! From the client to the server.

use std::collections::VecDeque;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use crate::support::meddler::Shared;
use crate::support::meddler::down::Down;
use crate::support::meddler::reading;
use crate::support::meddler::reading::Command;
use crate::support::meddler::reading::Go;
use crate::support::meddler::trouble::Armed;
use crate::support::meddler::trouble::Counted;
use crate::support::meddler::trouble::Kind;
use crate::support::syntax::Literal;

/// How long a late message is under way: less than any `settle` of these tests.
const LATE: Duration = Duration::from_millis(300);

/// How long a reply is waited for at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the two directions of a connection share.
pub(super) struct Both {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Mutex<TcpStream>,
    pub(super) server: TcpStream,
    pub(super) waiting: Mutex<Waiting>,
    pub(super) answered: Condvar,
}

/// Commands that the server has not answered yet.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) commands: VecDeque<Expected>,
    /// Nothing goes to the client any more.
    pub(super) mute: bool,
    /// The server's end has closed.
    pub(super) over: bool,
}

/// A command that the server has not answered yet.
pub(super) struct Expected {
    pub(super) tag: String,
    pub(super) verb: String,
    /// What becomes of its reply.
    pub(super) fault: Option<Armed>,
}

impl Both {
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn tell(&self, octets: &[u8]) -> std::io::Result<()> {
        let mut client = self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        client.write_all(octets)
    }

    /// Says goodbye to the client, and closes its end.
    pub(super) fn bye(&self) {
        // It may have gone before.
        let _told = self.tell(b"* BYE going down for a moment\r\n");
        self.leave_client();
    }

    pub(super) fn leave_client(&self) {
        self.waiting().mute = true;
        let client = self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Already closed is as good.
        let _closed = client.shutdown(Shutdown::Both);
    }

    fn leave_server(&self) {
        // Already closed is as good.
        let _closed = self.server.shutdown(Shutdown::Both);
    }

    /// Waits until the server has answered all but `left` commands.
    fn wait_for_answers(&self, left: usize) {
        let waiting = self.waiting();
        let pending = |waiting: &mut Waiting| !waiting.over && waiting.commands.len() > left;
        let waited = self.answered.wait_timeout_while(waiting, PATIENCE, pending);
        drop(waited.unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

/// The direction from the client to the server.
pub(crate) struct Up {
    both: Arc<Both>,
    from: BufReader<TcpStream>,
}

/// What becomes of the connection after a command.
enum Next {
    On,
    End,
}

impl Up {
    /// Both directions of a connection.
    pub(super) fn and_down(
        shared: &Arc<Shared>,
        client: &TcpStream,
        server: &TcpStream,
    ) -> std::io::Result<(Self, Down)> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let both = Arc::new(Both {
            shared: Arc::clone(shared),
            client: Mutex::new(client.try_clone()?),
            server: server.try_clone()?,
            waiting: Mutex::default(),
            answered: Condvar::new(),
        });
        let down = Down::new(Arc::clone(&both), server.try_clone()?);
        Ok((Self { both, from: BufReader::new(client.try_clone()?) }, down))
    }

    /// Passes commands on until the connection ends.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let ended = self.pass();
        self.both.leave_server();
        self.both.leave_client();
        ended
    }

    fn pass(&mut self) -> std::io::Result<()> {
        loop {
            let mut strikes = None;
            let both = Arc::clone(&self.both);
            let mut literal = |kind, message| {
                if kind == Literal::Synchronising {
                    // A server reads one command after the other.
                    both.wait_for_answers(0);
                    both.tell(b"+ go on\r\n")?;
                }
                if message {
                    let mut state = both.shared.lock();
                    let another = state.comes(Counted::Message);
                    // One fault a command; the others have to wait.
                    let (strike, other) = match (strikes, another) {
                        (Some(one), Some(another)) if another.first => (Some(another), Some(one)),
                        (one @ Some(_), another) => (one, another),
                        (None, another) => (another, None),
                    };
                    strikes = strike;
                    if let Some(other) = other {
                        state.put_off(other);
                    }
                }
                let kind = strikes.map(|fault| fault.kind);
                let cut = matches!(kind, Some(Kind::CutInMessage | Kind::ResetInMessage));
                Ok(if cut { Go::Half } else { Go::On })
            };
            let command = match reading::command(&mut self.from, &mut literal) {
                Err(gone) => {
                    // The client went in the middle of what it was to strike: the next one is as good.
                    let strike = strikes.into_iter();
                    strike.for_each(|armed| self.both.shared.lock().put_off(armed));
                    return Err(gone);
                }
                Ok(Ok(command)) => command,
                Ok(Err(half)) => {
                    (&self.both.server).write_all(&half)?;
                    let kind = strikes.map_or(Kind::CutInMessage, |fault| fault.kind);
                    if kind == Kind::ResetInMessage {
                        // A disconnected socket tells its peer by RST.
                        rustix::net::connect_unspec(self.from.get_ref())?;
                    }
                    self.took(kind);
                    return Ok(());
                }
            };
            if command.verb() == "AUTHENTICATE" {
                self.expect(&command, None);
                (&self.both.server).write_all(&command.octets)?;
                self.authenticate()?;
                continue;
            }
            let kind =
                if command.messages.is_empty() { self.at_command(&command) } else { strikes };
            if let Next::End = self.carry_out(&command, kind)? {
                return Ok(());
            }
        }
    }

    /// Passes on what a client says between AUTHENTICATE and the reply.
    fn authenticate(&mut self) -> std::io::Result<()> {
        // One line answers each challenge; with an initial response there is none.
        loop {
            let mut waiting = self.both.waiting();
            while !waiting.over
                && !waiting.commands.is_empty()
                && !waiting.commands[0].verb.ends_with('+')
            {
                waiting = self
                    .both
                    .answered
                    .wait(waiting)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            if waiting.over {
                return Ok(());
            }
            let Some(expected) = waiting.commands.front_mut() else { return Ok(()) };
            expected.verb.pop();
            drop(waiting);
            let mut line = Vec::new();
            std::io::BufRead::read_until(&mut self.from, b'\n', &mut line)?;
            (&self.both.server).write_all(&line)?;
        }
    }

    /// What strikes at a command without a message.
    fn at_command(&self, command: &Command) -> Option<Armed> {
        let quiet = ["LOGIN", "CAPABILITY", "ID", "LOGOUT"].contains(&command.verb().as_str());
        if quiet { None } else { self.both.shared.lock().comes(Counted::Command) }
    }

    fn took(&self, kind: Kind) {
        self.both.shared.lock().took(kind);
    }

    fn expect(&self, command: &Command, fault: Option<Armed>) {
        let expected = Expected { tag: command.tag(), verb: command.verb(), fault };
        self.both.waiting().commands.push_back(expected);
    }

    fn forward(&self, command: &Command, fault: Option<Armed>) -> std::io::Result<()> {
        self.expect(command, fault);
        (&self.both.server).write_all(&command.octets)
    }

    /// Answers in place of the server, after all that it still has to answer.
    fn answer(&self, command: &Command, text: &str) -> std::io::Result<()> {
        self.both.wait_for_answers(0);
        self.both.tell(format!("{} {text}\r\n", command.tag()).as_bytes())
    }

    fn carry_out(&mut self, command: &Command, fault: Option<Armed>) -> std::io::Result<Next> {
        if !command.messages.is_empty() {
            let refusal = self.both.shared.lock().refusal(&command.contents());
            if let Some(text) = refusal {
                if let Some(fault) = fault {
                    self.both.shared.lock().put_off(fault);
                }
                self.answer(command, &format!("NO {text}"))?;
                return Ok(Next::On);
            }
        }
        let Some(fault) = fault else {
            self.forward(command, None)?;
            return Ok(Next::On);
        };
        let kind = fault.kind;
        match kind {
            Kind::ReplyLost => {
                self.took(kind);
                self.both.leave_client();
                self.forward(command, None)?;
                self.both.wait_for_answers(0);
                Ok(Next::End)
            }
            Kind::Late => {
                self.took(kind);
                self.both.leave_client();
                std::thread::sleep(LATE);
                self.forward(command, None)?;
                self.both.wait_for_answers(0);
                Ok(Next::End)
            }
            Kind::StallBefore => {
                self.took(kind);
                self.hang()
            }
            Kind::StallAfter => {
                self.took(kind);
                self.both.wait_for_answers(0);
                self.both.waiting().mute = true;
                self.forward(command, None)?;
                self.hang()
            }
            Kind::ByeBefore => {
                self.took(kind);
                self.both.wait_for_answers(0);
                self.both.bye();
                Ok(Next::End)
            }
            Kind::ByeAfter => {
                self.took(kind);
                self.both.wait_for_answers(0);
                self.both.waiting().mute = true;
                self.forward(command, None)?;
                self.both.wait_for_answers(0);
                self.both.bye();
                Ok(Next::End)
            }
            Kind::NoOnce => {
                self.took(kind);
                self.answer(command, "NO cannot do this now")?;
                Ok(Next::On)
            }
            Kind::ProvedNoOnce => {
                self.took(kind);
                self.answer(command, "NO [CANNOT] not in this shape")?;
                Ok(Next::On)
            }
            Kind::CutAtCommand => {
                self.took(kind);
                Ok(Next::End)
            }
            // These are the reply's.
            _ => {
                self.forward(command, Some(fault))?;
                Ok(Next::On)
            }
        }
    }

    /// Takes what the client says, and does nothing about it, until it goes.
    fn hang(&mut self) -> std::io::Result<Next> {
        let mut buffer = [0; 4_096];
        while self.from.read(&mut buffer)? > 0 {}
        Ok(Next::End)
    }
}

//! Commands of one line that are sent before the first of them is answered.
//!
//! # Never
//!
//! * Never has more on the way than both sides' buffers hold, so that nobody blocks.
//! * Never sends a literal that waits for its `+`; of those that do not, only one of nothing.

use std::collections::VecDeque;

use crate::imap::request::Command;
use crate::imap::session;
use crate::imap::session::Reply;
use crate::imap::session::Session;
use crate::imap::wire::Wire;
use crate::store::Refusal;
use crate::store::StoreError;

/// Octets of commands that are sent before the first of them is answered. The smallest socket buffers
/// hold as much, whatever else the server is writing.
pub(super) const AHEAD_OCTETS_MAX: usize = 16 * 1024;

/// Longest line that is sent ahead by [`Session::run_ahead`], in octets.
const LINE_OCTETS_MAX: usize = 2 * 1024;

/// Tells whether a command can be sent ahead.
pub(super) fn is_short(command: &Command) -> bool {
    command.is_sayable() && command.line().is_some_and(|line| line.len() <= LINE_OCTETS_MAX)
}

/// Queues one command of one line; returns its tag and its octets.
///
/// # Errors
///
/// [`StoreError::Unsayable`] for a command that is not one line, and whatever the wire says.
pub(super) fn put(wire: &mut Wire, command: &Command) -> Result<(String, usize), StoreError> {
    let line = command.line().filter(|_| command.is_sayable());
    let line = line.ok_or_else(|| {
        StoreError::Unsayable("more than a line in a command that is sent ahead".to_owned())
    })?;
    tracing::trace!(command = %command.traced(), "sent ahead");
    let tag = wire.tag();
    let line = format!("{tag} {line}\r\n");
    wire.put(line.as_bytes())?;
    Ok((tag, line.len()))
}

/// Takes what became of the command at this place.
type Each<'a> =
    dyn FnMut(&mut Session, usize, Result<Reply, Refusal>) -> Result<(), StoreError> + 'a;

/// What became of each of several commands.
pub(super) type Answers = Vec<Result<Reply, Refusal>>;

impl Session {
    /// Runs commands, each of which [`is_short`], without waiting for one before the next is sent, and
    /// hands on what became of each, in the order of the answers.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn run_ahead(
        &mut self,
        commands: &[Command],
        each: &mut Each<'_>,
    ) -> Result<(), StoreError> {
        self.ahead(None, |session, exchange| {
            let mut ahead: VecDeque<(String, usize, usize)> = VecDeque::new();
            let mut octets = 0;
            let mut waiting = commands.iter().enumerate().peekable();
            loop {
                if octets <= AHEAD_OCTETS_MAX / 2 {
                    while octets <= AHEAD_OCTETS_MAX - LINE_OCTETS_MAX
                        && let Some((place, command)) = waiting.next()
                    {
                        let (tag, length) = put(exchange.wire_mut(), command)?;
                        octets += length;
                        ahead.push_back((tag, place, length));
                    }
                    exchange.wire_mut().flush()?;
                }
                if ahead.is_empty() {
                    return Ok(());
                }
                exchange.begin();
                let (tag, answer) = session::next_answer(exchange)?;
                // Servers may answer what does not depend on each other in any order.
                let found = ahead.iter().position(|(own, ..)| *own == tag);
                let Some((_, place, length)) = found.and_then(|at| ahead.remove(at)) else {
                    return Err(crate::imap::command::foreign_tag(&tag));
                };
                octets -= length;
                if let Ok(reply) = &answer
                    && let Some(opened) = session.opened_mut()
                {
                    reply.data().for_each(|data| opened.note(&data));
                }
                let answer = answer.map_err(|refusal| session.clean_refusal(refusal));
                each(session, place, answer)?;
            }
        })
    }

    /// Runs commands that do not depend on each other, without waiting for one before the next is sent
    /// where that can be, and returns what became of each. One that was put off is run again by itself.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn run_all(&mut self, commands: &[Command]) -> Result<Answers, StoreError> {
        self.run_all_behind(&[], &mut |_, _| {}, commands)
    }

    /// The same behind others, of which each is told its answer by its place as it comes.
    ///
    /// # Errors
    ///
    /// Those that end the connection.
    pub(super) fn run_all_behind(
        &mut self,
        others: &[Command],
        tell: &mut dyn FnMut(usize, Result<Reply, Refusal>),
        commands: &[Command],
    ) -> Result<Answers, StoreError> {
        let mut ends: Vec<Option<Result<Reply, Refusal>>> = vec![None; commands.len()];
        let short = |place: &usize| commands.get(*place).is_some_and(is_short);
        let places: Vec<usize> = (0..commands.len()).filter(short).collect();
        let ahead = others.iter().chain(places.iter().map(|place| &commands[*place]));
        let ahead: Vec<Command> = ahead.cloned().collect();
        self.run_ahead(&ahead, &mut |_, at, answer| {
            let Some(at) = at.checked_sub(others.len()) else {
                tell(at, answer);
                return Ok(());
            };
            let is_put_off = answer.as_ref().is_err_and(Refusal::asks_for_patience);
            ends[places[at]] = (!is_put_off).then_some(answer);
            Ok(())
        })?;
        let mut all = Vec::new();
        for (command, end) in commands.iter().zip(ends) {
            all.push(match end.map_or_else(|| self.run(command).map(Ok), Ok) {
                Ok(end) => end,
                Err(StoreError::Refused(refusal)) => Err(refusal),
                Err(fault) => return Err(fault),
            });
        }
        Ok(all)
    }
}

//! Appending in a session, and looking behind it.

use crate::imap::append;
use crate::imap::append::Appended;
use crate::imap::append::Behind;
use crate::imap::append::Knowledge;
use crate::imap::append::Terms;
use crate::imap::clean::CleanQueue;
use crate::imap::fetch;
use crate::imap::fetch::Begun;
use crate::imap::fetch::Line;
use crate::imap::fetch::Lines;
use crate::imap::fetch::Stop;
use crate::imap::gated::GatedQueue;
use crate::imap::pace::Way;
use crate::imap::session::Session;
use crate::imap::tap::Exchange;
use crate::imap::wire::Wire;
use crate::store::AppendOutcome;
use crate::store::AppendQueue;
use crate::store::StoreError;
use crate::store::VisitSink;

impl Session {
    /// Appends what the queue hands out. What is looked for behind it is asked for with the last message,
    /// as far as it can be sent ahead; a fault of that is told by whatever is done next.
    ///
    /// # Errors
    ///
    /// Any means that the connection is given up; every message that was taken has its result.
    pub(in crate::imap) fn append(
        &mut self,
        queue: &mut dyn AppendQueue,
        behind: Option<(&[Stop<'_>], &mut dyn VisitSink)>,
    ) -> Result<AppendOutcome, StoreError> {
        let leaves = self.leave_with_next()?;
        let (stops, sink) = behind.unzip();
        let stops = stops.unwrap_or_default();
        let way = if queue.is_bulk() { Way::Up } else { Way::First };
        let (outcome, line) = self.ahead(Some(way), |session, exchange| {
            let (appended, begun) = session.append_ahead(exchange, queue, leaves, stops)?;
            let Appended { outcome, followers_are_lost } = appended;
            let line = match sink {
                _ if followers_are_lost => Ok(Line::Inside),
                Some(sink) if begun.first().is_some() => {
                    exchange.wire_mut().pace_mut().moves(Some(Way::Rows));
                    fetch::go(session, exchange, (0, stops), begun, sink).map(|(line, _)| line)
                }
                _ => Ok(Line::Idle),
            };
            Ok((outcome, line))
        })?;
        match line.map_err(|fault| self.settle(fault)) {
            Ok(Line::Idle) => {}
            Ok(Line::Inside) => self.give_up(),
            Err(fault) => tracing::debug!(%fault, "lost behind an append"),
        }
        Ok(outcome)
    }

    /// Appends, and sends behind it what is said at these stops; returns those that are on the way.
    fn append_ahead(
        &mut self,
        exchange: &mut Exchange,
        queue: &mut dyn AppendQueue,
        leaves: Option<&str>,
        stops: &[Stop<'_>],
    ) -> Result<(Appended, Begun), StoreError> {
        let said: Vec<Lines> = stops.iter().map(|stop| fetch::lines(self, stop)).collect();
        let mut begun = Begun::default();
        let mut follow = |wire: &mut Wire| {
            for (place, lines) in said.iter().enumerate() {
                if !begun.has_room() {
                    break;
                }
                begun.send(wire, place, lines)?;
            }
            wire.flush()?;
            Ok(begun.first().map(str::to_owned))
        };
        let terms = Terms {
            ways: self.abilities.append,
            limit: self.abilities.append_limit,
            refusals: &self.known.refusals,
            windows_stopped: &self.known.windows_stopped,
            gate: self.known.gate.as_ref(),
        };
        let mut queue = CleanQueue { queue, redactor: &self.redactor };
        let mut queue = GatedQueue::new(&mut queue, self.known.gate.as_ref());
        let knowledge = Knowledge { proof: &mut self.proof, compressor: &mut self.compressor };
        let around = (leaves, (!said.is_empty()).then_some(&mut follow as Behind<'_>));
        let done = append::append(exchange.wire_mut(), &terms, knowledge, around, &mut queue);
        done.map(|appended| (appended, begun))
    }
}

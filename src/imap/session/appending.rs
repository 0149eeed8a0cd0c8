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
use crate::imap::session::given_up;
use crate::imap::wire::Wire;
use crate::store::AppendOutcome;
use crate::store::AppendQueue;
use crate::store::Flow;
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
        self.pass_the_gate()?;
        let tap = self.tap.clone();
        let mut exchange = tap.exchange();
        if exchange.is_dead() {
            return Err(given_up());
        }
        exchange.begin();
        let (stops, sink) = behind.unzip();
        let stops = stops.unwrap_or_default();
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
        let way = if queue.is_bulk() { Way::Up } else { Way::First };
        let knowledge = Knowledge { proof: &mut self.proof, compressor: &mut self.compressor };
        let around = (leaves, (!said.is_empty()).then_some(&mut follow as Behind<'_>));
        exchange.wire_mut().pace_mut().moves(Some(way));
        let done = append::append(exchange.wire_mut(), &terms, knowledge, around, &mut queue);
        exchange.wire_mut().pace_mut().moves(None);
        let followed = match (&done, sink) {
            (Ok(Appended { followers_are_lost: true, .. }), _) => Ok((Line::Inside, Flow::Go)),
            (Ok(_), Some(sink)) if begun.first().is_some() => {
                fetch::go(self, &mut exchange, (0, stops), begun, sink)
            }
            _ => Ok((Line::Idle, Flow::Go)),
        };
        drop(exchange);
        let Appended { outcome, .. } = done.map_err(|fault| self.settle(fault))?;
        match followed.map_err(|fault| self.settle(fault)) {
            Ok((Line::Idle, _)) => {}
            Ok((Line::Inside, _)) => self.give_up(),
            Err(fault) => tracing::debug!(%fault, "lost behind an append"),
        }
        Ok(outcome)
    }
}

//! The faults, and when they strike.

use crate::support::meddler::State;

/// One way to meddle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The connection ends in the middle of a message on its way to the server.
    CutInMessage,
    /// The same, with a reset in place of an orderly end.
    ResetInMessage,
    /// A message is handed to the server whole; the connection ends before the reply.
    ReplyLost,
    /// The client's connection ends; the message gets to the server only a moment later.
    Late,
    /// Nothing more goes any way, and the message has not got to the server.
    StallBefore,
    /// Nothing more comes back, though the message has got to the server.
    StallAfter,
    /// The reply comes octet by octet.
    DripReply,
    /// `* BYE` in place of the command, and the end.
    ByeBefore,
    /// `* BYE` in place of the reply, and the end.
    ByeAfter,
    /// A NO that proves nothing, once; nothing was stored.
    NoOnce,
    /// A NO that proves that nothing was stored, once.
    ProvedNoOnce,
    /// A NO that proves nothing, once; all was stored.
    NoAfterStored,
    /// An APPENDUID that is not true.
    Lying(Lie),
    /// The connection ends at a command that carries no message.
    CutAtCommand,
    /// The connection ends in the middle of a body on its way from the server.
    CutInBody,
    /// A body stops in its middle, and nothing more comes.
    StallInBody,
    /// A body comes octet by octet.
    DripBody,
    /// `* BYE` in place of a body, and the end.
    ByeInFetch,
    /// NO to the command that asked for a body, which does not come.
    NoToFetch,
    /// A body does not come, though the command succeeds.
    BodyWithheld,
    /// A message is refused whenever it comes, by a NO that proves it.
    Refused,
    /// A message is refused whenever it comes, by a NO that proves nothing.
    RefusedUnproved,
    /// There is no more room.
    Quota,
}

/// What is wrong with an APPENDUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// Two messages have each other's UIDs.
    Swapped,
    /// There is none.
    Missing,
    /// It has another UIDVALIDITY.
    Foreign,
    /// The last UID is left out.
    Short,
}

/// What a fault is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Message,
    Body,
    Command,
}

/// A fault that has not struck yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    pub(super) kind: Kind,
    pub(super) at: u32,
    /// It was armed before all others: where two meet at one command, this one strikes.
    pub(super) first: bool,
}

impl Kind {
    pub(super) const fn counted(self) -> Counted {
        match self {
            Self::CutAtCommand => Counted::Command,
            Self::CutInBody
            | Self::StallInBody
            | Self::DripBody
            | Self::ByeInFetch
            | Self::NoToFetch
            | Self::BodyWithheld => Counted::Body,
            _ => Counted::Message,
        }
    }
}

impl State {
    pub(super) const fn count(&self, kind: Kind) -> u32 {
        match kind.counted() {
            Counted::Message => self.messages,
            Counted::Body => self.bodies,
            Counted::Command => self.commands,
        }
    }

    /// Notes one more message, body or command that comes by, and returns what strikes there.
    pub(super) fn comes(&mut self, what: Counted) -> Option<Armed> {
        if self.resting {
            return None;
        }
        let now = match what {
            Counted::Message => &mut self.messages,
            Counted::Body => &mut self.bodies,
            Counted::Command => &mut self.commands,
        };
        *now += 1;
        let now = *now;
        let at =
            self.armed.iter().position(|armed| armed.kind.counted() == what && armed.at <= now)?;
        Some(self.armed.remove(at))
    }

    /// Lets a fault strike at the next occasion, because there was no room for it at this one.
    pub(super) fn put_off(&mut self, armed: Armed) {
        let place = if armed.first { 0 } else { self.armed.len() };
        self.armed.insert(place, Armed { at: 0, ..armed });
    }

    /// Notes that a fault took effect.
    pub(super) fn took(&mut self, kind: Kind) {
        self.took.push(kind);
    }

    /// Tells how a command with these messages is refused, if it is.
    pub(super) fn refusal(&mut self, messages: &[&[u8]]) -> Option<String> {
        if let Some((after, with)) = &self.full
            && self.messages > *after
        {
            let with = with.clone();
            self.took.push(Kind::Quota);
            return Some(with);
        }
        let holds = |text: &[u8]| {
            messages.iter().any(|message| message.windows(text.len()).any(|part| part == text))
        };
        let (_, with) = self.refused.iter().find(|(text, _)| holds(text))?;
        let with = with.clone();
        let proved = with.starts_with('[');
        self.took.push(if proved { Kind::Refused } else { Kind::RefusedUnproved });
        Some(with)
    }
}

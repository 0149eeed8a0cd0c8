//! One row, as it is put together: its facts, its content, and whether it answers what was asked.

use crate::imap::reader::Content;
use crate::imap::reader::FetchRow;
use crate::imap::reader::Item;
use crate::store::HeaderFields;
use crate::store::Items;
use crate::store::RowHead;

/// What is asked of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole message.
    Body,
    /// Facts and header fields.
    Scan(Items),
    /// Only whether it is there.
    Presence,
}

impl Wanted {
    /// The items of the command. Facts come before the content, so that servers that answer in the
    /// order of the question tell them first; none sets `\Seen` (RFC 9051 §6.4.5).
    pub(super) fn items(self) -> String {
        match self {
            Self::Body => "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])".to_owned(),
            Self::Presence => "(UID FLAGS)".to_owned(),
            Self::Scan(items) => {
                let mut words = String::from("(UID");
                let asked = [
                    (items.flags, " FLAGS"),
                    (items.date, " INTERNALDATE"),
                    (items.size, " RFC822.SIZE"),
                ];
                asked
                    .iter()
                    .filter(|(alone, _)| items.facts || *alone)
                    .for_each(|(_, word)| words.push_str(word));
                if items.mod_seq {
                    words.push_str(" MODSEQ");
                }
                let fields = match items.header {
                    HeaderFields::None => "",
                    HeaderFields::Key => "MESSAGE-ID DATE FROM SUBJECT",
                    HeaderFields::Full => {
                        "DATE FROM TO CC SUBJECT SENDER REPLY-TO IN-REPLY-TO REFERENCES \
                         MESSAGE-ID RECEIVED"
                    }
                    HeaderFields::Received => "RECEIVED",
                };
                if !fields.is_empty() {
                    words.push_str(" BODY.PEEK[HEADER.FIELDS (");
                    words.push_str(fields);
                    words.push_str(")]");
                }
                words.push(')');
                words
            }
        }
    }

    /// The item whose value goes to the sink.
    pub(super) fn content(self) -> Option<Item> {
        match self {
            Self::Body => Some(Item::Body),
            Self::Scan(items) if items.header != HeaderFields::None => Some(Item::Header),
            Self::Scan(_) | Self::Presence => None,
        }
    }

    /// Tells whether a row holds all that was asked.
    pub(super) fn is_all_in(self, row: &FetchRow) -> bool {
        let content = self.content().is_none_or(|item| row.saw(item));
        match self {
            Self::Presence => true,
            Self::Body => content && facts_are_in(row),
            Self::Scan(items) => {
                let mod_seq = !items.mod_seq || row.saw(Item::ModSeq);
                let flags = !items.flags || row.saw(Item::Flags);
                let size = !items.size || row.saw(Item::Size);
                let date = !items.date || row.saw(Item::InternalDate);
                let facts = !items.facts || facts_are_in(row);
                content && mod_seq && flags && size && date && facts
            }
        }
    }

    /// Tells whether a row is an answer at all, and not news of somebody's change of flags. Servers
    /// leave items out that they lack.
    pub(super) fn is_answered_by(self, row: &FetchRow) -> bool {
        match self {
            Self::Presence => true,
            Self::Body => row.saw(Item::Body),
            Self::Scan(items) => match self.content() {
                Some(item) => row.saw(item),
                None if items.facts => row.saw(Item::Size) || row.saw(Item::InternalDate),
                None if items.size => row.saw(Item::Size),
                None if items.date => row.saw(Item::InternalDate),
                None if items.flags => row.saw(Item::Flags),
                None => true,
            },
        }
    }
}

/// Tells whether all facts came that are known before a body.
pub(super) fn facts_are_in(row: &FetchRow) -> bool {
    row.saw(Item::Flags) && row.saw(Item::InternalDate) && row.saw(Item::Size)
}

/// What the sink is told before the content.
pub(super) fn head(row: &FetchRow, body_octets: Option<u64>) -> RowHead {
    RowHead {
        flags: row.flags.clone().unwrap_or_default(),
        internal_date: row.internal_date,
        size: row.size,
        mod_seq: row.mod_seq,
        body_octets,
    }
}

/// What became of the content of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// None came as a literal.
    None,
    /// It went to the sink, piece by piece, between `begin` and now.
    Streamed,
    /// It came before what has to be known first, and is held.
    Held(Vec<u8>),
    /// It came before what has to be known first, and is too large to be held.
    TooLarge,
    /// It is nobody's: of a message that was not asked for, that came already, or after a stop.
    Discarded,
}

/// The content of a finished row.
pub(super) fn held_content(body: Body, row: &mut FetchRow) -> Body {
    match (body, row.content.take()) {
        (Body::None, Some(Content::Octets(octets))) => Body::Held(octets),
        (body, _) => body,
    }
}

//! Reads what a server sends: one response after the other, tolerantly.
//!
//! # In, out
//!
//! In: the octets of one response as the [wire](crate::imap::wire) gives them, literals inline. Out:
//! a [`Parsed`]. Rows of FETCH can also be read in segments, so that a body never is held.
//!
//! # Never
//!
//! * Never panics, never fails: what makes no sense is [`Parsed::Unknown`] or [`Data::Other`].
//! * Never takes more than linear time, and never recurses.
//! * Never believes a number: what is out of range is as good as missing.

mod code;
mod cursor;
mod folder;
mod response;
mod row;

pub(super) use code::{Code, refusal};
pub(super) use folder::ListLine;
pub(super) use response::{Data, Parsed, Status, StatusKind, parse, row_start};
pub(super) use row::{Content, FetchRow, Item, RowReader};

/// Reads one response with its literals inline, and tells whether it is one that IMAP knows. For
/// measurements: sessions read by other ways.
#[cfg(feature = "testing")]
#[must_use]
pub fn is_understood(response: &[u8]) -> bool {
    !matches!(parse(response), Parsed::Unknown | Parsed::Untagged(Data::Other))
}

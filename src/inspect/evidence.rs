//! Further evidence about some messages, where keys do not decide.

use crate::identity::Content;
use crate::identity::Digest;
use crate::identity::date_header;
use crate::identity::first_received_date;
use crate::identity::full;
use crate::inspect::sample::scan_headers;
use crate::mail::{Timestamp, Uid, UidSet, WireName};
use crate::store::{
    Chunk, FetchSink, Flow, HeaderFields, Look, RowHead, Source, StoreError, Visit,
};

/// Digests the longer list of header fields of each message. Every UID is answered once, with nothing
/// where the message is gone, withheld, or has none of these fields.
///
/// # Errors
///
/// Any [`StoreError`]; some UIDs may then have been answered.
pub fn headers(
    look: &mut dyn Look,
    folder: &WireName,
    uids: &UidSet,
    answer: &mut dyn FnMut(Uid, Option<Digest>),
) -> Result<(), StoreError> {
    from_headers(look, folder, uids, HeaderFields::Full, full, answer)
}

/// Digests the Received lines of each message. Every UID is answered once, with nothing where the
/// message is gone, withheld, or has no such line.
///
/// # Errors
///
/// Any [`StoreError`]; some UIDs may then have been answered.
pub fn received(
    look: &mut dyn Look,
    folder: &WireName,
    uids: &UidSet,
    answer: &mut dyn FnMut(Uid, Option<Digest>),
) -> Result<(), StoreError> {
    let digest = crate::identity::received;
    from_headers(look, folder, uids, HeaderFields::Received, digest, answer)
}

fn from_headers(
    look: &mut dyn Look,
    folder: &WireName,
    uids: &UidSet,
    fields: HeaderFields,
    digest: fn(&[u8]) -> Option<Digest>,
    answer: &mut dyn FnMut(Uid, Option<Digest>),
) -> Result<(), StoreError> {
    let outcome = scan_headers(look, folder, uids, fields, |uid, header| {
        answer(uid, digest(header));
        Flow::Go
    })?;
    uids.difference(&outcome.came).iter().for_each(|uid| answer(uid, None));
    Ok(())
}

/// Digests the whole content of each message. Every UID is answered once, with nothing where the
/// content cannot be had in full.
///
/// # Errors
///
/// Any [`StoreError`]; some UIDs may then have been answered.
pub fn content(
    source: &mut dyn Source,
    folder: &WireName,
    uids: &UidSet,
    answer: &mut dyn FnMut(Uid, Option<Digest>),
) -> Result<(), StoreError> {
    if uids.is_empty() {
        return Ok(());
    }
    let mut sink = ContentSink { content: Content::new(), announced: None, answer };
    let outcome = source.fetch(&Visit::new(folder, uids), &mut sink)?;
    uids.difference(&outcome.came).iter().for_each(|uid| answer(uid, None));
    Ok(())
}

struct ContentSink<'a> {
    content: Content,
    announced: Option<u64>,
    answer: &'a mut dyn FnMut(Uid, Option<Digest>),
}

impl FetchSink for ContentSink<'_> {
    fn begin(&mut self, _uid: Uid, head: &RowHead) -> Flow {
        self.content = Content::new();
        self.announced = head.body_octets;
        Flow::Go
    }

    fn piece(&mut self, octets: &Chunk) -> Flow {
        self.content.update(octets);
        Flow::Go
    }

    fn end(&mut self, uid: Uid) -> Flow {
        let whole = self.announced.is_none_or(|announced| announced == self.content.octets());
        (self.answer)(uid, whole.then(|| self.content.digest()));
        Flow::Go
    }
}

/// Dates that stand in for an INTERNALDATE which cannot be sent, in the order of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FallbackDates {
    /// Of the Date field.
    pub date: Option<Timestamp>,
    /// Of the first Received line.
    pub received: Option<Timestamp>,
}

/// Reads the dates in the headers of messages. UIDs that do not come are not answered.
///
/// # Errors
///
/// Any [`StoreError`]; some UIDs may then have been answered.
pub fn dates(
    look: &mut dyn Look,
    folder: &WireName,
    uids: &UidSet,
    answer: &mut dyn FnMut(Uid, FallbackDates),
) -> Result<(), StoreError> {
    scan_headers(look, folder, uids, HeaderFields::Full, |uid, header| {
        let dates =
            FallbackDates { date: date_header(header), received: first_received_date(header) };
        answer(uid, dates);
        Flow::Go
    })?;
    Ok(())
}

//! Rows of FETCH, read in segments: what stands between literals, and the literals themselves.

use crate::imap::reader::cursor::Cursor;
use crate::imap::reader::cursor::Token;
use crate::imap::reader::cursor::number;
use crate::imap::reader::cursor::number32;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::InternalDate;
use crate::mail::ModSeq;
use crate::mail::Uid;

/// Most flags of one message that are believed.
const FLAGS_MAX: usize = 1_000;

/// The items of one row. An item that came without a value that makes sense is seen, and missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::imap) struct FetchRow {
    /// UID.
    pub(in crate::imap) uid: Option<Uid>,
    /// FLAGS, without those that no client may set.
    pub(in crate::imap) flags: Option<FlagSet>,
    /// INTERNALDATE; nothing for NIL and for dates that the calendar lacks.
    pub(in crate::imap) internal_date: Option<InternalDate>,
    /// RFC822.SIZE; nothing for -1.
    pub(in crate::imap) size: Option<u64>,
    /// MODSEQ.
    pub(in crate::imap) mod_seq: Option<ModSeq>,
    /// The content that is wanted, where it came inside the line.
    pub(in crate::imap) content: Option<Content>,
    /// The items that came, whether or not their values made sense.
    seen: Items,
}

/// A set of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Items(u8);

impl Items {
    const fn contains(self, item: Item) -> bool {
        self.0 & item.bit() != 0
    }

    const fn insert(&mut self, item: Item) {
        self.0 |= item.bit();
    }

    const fn remove(&mut self, item: Item) {
        self.0 &= !item.bit();
    }
}

/// Content that is no literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Content {
    /// NIL.
    Nil,
    /// A quoted string.
    Octets(Vec<u8>),
}

/// What an item is for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Item {
    /// UID.
    Uid,
    /// FLAGS.
    Flags,
    /// INTERNALDATE.
    InternalDate,
    /// RFC822.SIZE.
    Size,
    /// MODSEQ.
    ModSeq,
    /// `BODY[]`, whole.
    Body,
    /// `BODY[HEADER.FIELDS (…)]`.
    Header,
    /// Anything else.
    Other,
}

impl Item {
    const ALL: [Self; 8] = [
        Self::Uid,
        Self::Flags,
        Self::InternalDate,
        Self::Size,
        Self::ModSeq,
        Self::Body,
        Self::Header,
        Self::Other,
    ];

    /// Its place in [`Items`].
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    fn from_name(name: &[u8]) -> Self {
        const NAMES: [(&[u8], Item); 6] = [
            (b"UID", Item::Uid),
            (b"FLAGS", Item::Flags),
            (b"INTERNALDATE", Item::InternalDate),
            (b"RFC822.SIZE", Item::Size),
            (b"MODSEQ", Item::ModSeq),
            (b"BODY[]", Item::Body),
        ];
        let known = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        let header: &[u8] = b"BODY[HEADER.FIELDS ";
        let is_header = || {
            name.get(..header.len()).is_some_and(|start| start.eq_ignore_ascii_case(header))
                && name.ends_with(b"]")
        };
        match known {
            Some((_, item)) => *item,
            None if is_header() => Self::Header,
            None => Self::Other,
        }
    }

    /// Tells whether the value of this item may be large, and is for who asked.
    pub(in crate::imap) const fn is_content(self) -> bool {
        matches!(self, Self::Body | Self::Header)
    }
}

impl FetchRow {
    /// Tells whether an item came, whatever its value.
    pub(in crate::imap) fn saw(&self, item: Item) -> bool {
        self.seen.contains(item)
    }

    /// Adds items that came in an earlier row of the same message and lack in this one.
    pub(in crate::imap) fn add(&mut self, earlier: &Self) {
        for item in Item::ALL {
            if !earlier.saw(item) || self.saw(item) {
                continue;
            }
            self.seen.insert(item);
            match item {
                Item::Uid => self.uid = earlier.uid,
                Item::Flags => self.flags.clone_from(&earlier.flags),
                Item::InternalDate => self.internal_date = earlier.internal_date,
                Item::Size => self.size = earlier.size,
                Item::ModSeq => self.mod_seq = earlier.mod_seq,
                Item::Body | Item::Header => self.content.clone_from(&earlier.content),
                Item::Other => {}
            }
        }
    }

    /// The facts alone, as if no content had come.
    pub(in crate::imap) fn without_content(mut self) -> Self {
        self.content = None;
        self.seen.remove(Item::Body);
        self.seen.remove(Item::Header);
        self
    }
}

/// Reads one row, segment by segment.
#[derive(Debug)]
pub(in crate::imap) struct RowReader {
    wanted: Option<Item>,
    row: FetchRow,
    state: State,
    flags: FlagSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the parenthesis that opens the row.
    Before,
    /// Before the name of an item.
    Name,
    /// Before the value of an item.
    Value(Item),
    /// Inside a value that is a list, so many lists deep.
    List(Item, usize),
    /// After the row.
    After,
}

impl RowReader {
    /// Begins a row; `FETCH` is taken already. Only the item that is `wanted` is kept as content.
    pub(in crate::imap) fn new(wanted: Option<Item>) -> Self {
        Self { wanted, row: FetchRow::default(), state: State::Before, flags: FlagSet::new() }
    }

    /// Reads a row that stands whole in a response, with its literals.
    pub(super) fn read_whole(cursor: Cursor<'_>) -> FetchRow {
        let mut reader = Self::new(None);
        reader.read(cursor);
        reader.row
    }

    /// Takes the next segment: up to a literal's announcement, or up to the line's end.
    pub(in crate::imap) fn segment(&mut self, octets: &[u8]) {
        self.read(Cursor::new(octets));
    }

    /// Which item the literal that comes next is the value of.
    pub(in crate::imap) const fn awaits(&self) -> Item {
        match self.state {
            State::Value(item) => item,
            _ => Item::Other,
        }
    }

    /// Takes a small literal.
    pub(in crate::imap) fn literal(&mut self, octets: &[u8]) {
        if let State::Value(item) = self.state {
            self.value(item, Some(octets));
        }
    }

    /// Notes that the content came as a literal and went elsewhere.
    pub(in crate::imap) fn content_went(&mut self) {
        if let State::Value(item) = self.state {
            self.note(item);
            self.state = State::Name;
        }
    }

    /// What was read so far.
    pub(in crate::imap) const fn row(&self) -> &FetchRow {
        &self.row
    }

    /// Ends the row.
    pub(in crate::imap) fn into_row(self) -> FetchRow {
        self.row
    }

    fn read(&mut self, mut cursor: Cursor<'_>) {
        loop {
            match self.state {
                State::After => return,
                State::Before => {
                    if !cursor.take(b'(') {
                        return;
                    }
                    self.state = State::Name;
                }
                State::Name => {
                    if cursor.take(b')') {
                        self.state = State::After;
                        return;
                    }
                    let name = cursor.item();
                    if name.is_empty() {
                        // A value without a name: skip it, there may be sense behind it.
                        match cursor.token() {
                            None => return,
                            Some(Token::Open) => self.state = State::List(Item::Other, 1),
                            Some(_) => {}
                        }
                    } else {
                        self.state = State::Value(Item::from_name(name));
                    }
                }
                State::Value(item) => match cursor.token() {
                    None => return,
                    Some(Token::Open) => {
                        self.flags = FlagSet::new();
                        self.state = State::List(item, 1);
                    }
                    Some(Token::Close) => {
                        self.note(item);
                        self.state = State::After;
                    }
                    Some(token) => self.value(item, token.octets().as_deref()),
                },
                State::List(item, depth) => match cursor.token() {
                    None => return,
                    Some(Token::Open) => self.state = State::List(item, depth.saturating_add(1)),
                    Some(Token::Close) if depth > 1 => self.state = State::List(item, depth - 1),
                    Some(Token::Close) => self.end_of_list(item),
                    Some(token) => self.member(item, token.octets().as_deref()),
                },
            }
        }
    }

    fn value(&mut self, item: Item, octets: Option<&[u8]>) {
        let first = !self.row.saw(item);
        self.note(item);
        self.state = State::Name;
        if !first {
            return;
        }
        let row = &mut self.row;
        match item {
            Item::Uid => row.uid = octets.and_then(number32).and_then(Uid::new),
            Item::InternalDate => row.internal_date = octets.and_then(InternalDate::from_wire),
            Item::Size => row.size = octets.and_then(number),
            Item::ModSeq => row.mod_seq = octets.and_then(number).map(ModSeq),
            Item::Body | Item::Header if self.wanted == Some(item) => {
                row.content = Some(match octets {
                    Some(octets) => Content::Octets(octets.to_vec()),
                    None => Content::Nil,
                });
            }
            _ => {}
        }
    }

    fn member(&mut self, item: Item, octets: Option<&[u8]>) {
        let Some(octets) = octets else { return };
        match item {
            Item::Flags => {
                if self.flags.len() < FLAGS_MAX
                    && let Some(flag) = Flag::from_wire(octets)
                {
                    self.flags.insert(flag);
                }
            }
            Item::ModSeq if self.row.mod_seq.is_none() => {
                self.row.mod_seq = number(octets).map(ModSeq);
            }
            _ => {}
        }
    }

    fn end_of_list(&mut self, item: Item) {
        if item == Item::Flags && !self.row.saw(Item::Flags) {
            self.row.flags = Some(std::mem::take(&mut self.flags));
        }
        self.note(item);
        self.state = State::Name;
    }

    fn note(&mut self, item: Item) {
        self.row.seen.insert(item);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn content_is_awaited_only_as_the_value_of_its_item() {
        let mut reader = RowReader::new(Some(Item::Body));
        reader.segment(b" (UID 5 X-GM-LABELS (");
        assert_eq!(reader.awaits(), Item::Other);
        reader.literal(b"a) UID 6 (");
        reader.segment(b" b) BODY[] ");
        assert_eq!(reader.awaits(), Item::Body);
        assert_eq!(reader.row().uid, Uid::new(5));
        reader.content_went();
        reader.segment(b" RFC822.SIZE 12)");
        assert_eq!(reader.row().size, Some(12));
        assert!(reader.row().saw(Item::Body));
        assert_eq!(reader.into_row().content, None);
    }

    #[test]
    fn section_of_header_fields_is_known_in_every_spelling() {
        for name in [
            "BODY[HEADER.FIELDS (DATE FROM)]",
            "body[header.fields (\"Date\" From)]",
            "BODY[HEADER.FIELDS (\"A]\")]",
        ] {
            let mut reader = RowReader::new(Some(Item::Body));
            reader.segment(format!("(UID 5 {name} ").as_bytes());
            assert_eq!(reader.awaits(), Item::Header, "{name}");
        }
        for name in ["BODY[]<0>", "BODY[1]", "BODY", "BODY[HEADER]", "RFC822", "BODY[] UID"] {
            let mut reader = RowReader::new(Some(Item::Body));
            reader.segment(format!("(UID 5 {name} ").as_bytes());
            assert!(!reader.awaits().is_content(), "{name}");
        }
    }

    #[test]
    fn content_inside_the_line_is_kept_and_nil_is_told_apart() {
        let content = |text: &str| {
            let mut reader = RowReader::new(Some(Item::Body));
            reader.segment(text.as_bytes());
            reader.into_row().content
        };
        assert_eq!(content("(BODY[] NIL)"), Some(Content::Nil));
        assert_eq!(content("(BODY[] \"\")"), Some(Content::Octets(Vec::new())));
        assert_eq!(content("(BODY[] \"a\\\"b\")"), Some(Content::Octets(b"a\"b".to_vec())));
        assert_eq!(content("(UID 1)"), None);
        assert_eq!(content("(BODY[HEADER.FIELDS (DATE)] \"x\")"), None);
    }

    proptest! {
        #[test]
        fn segments_are_read_as_the_whole_is(
            label in "[ -~]{0,9}", body in "[ -~]{0,9}", uid in 1_u32..99, size in 0_u64..99,
        ) {
            let mut reader = RowReader::new(Some(Item::Body));
            reader.segment(format!(" (UID {uid} X-GM-LABELS (a ").as_bytes());
            reader.literal(label.as_bytes());
            reader.segment(b") BODY[] ");
            reader.literal(body.as_bytes());
            reader.segment(format!(" RFC822.SIZE {size})").as_bytes());
            let whole = format!(
                " (UID {uid} X-GM-LABELS (a {{{}}}\r\n{label}) BODY[] {{{}}}\r\n{body} RFC822.SIZE {size})",
                label.len(), body.len(),
            );
            let mut at_once = RowReader::new(Some(Item::Body));
            at_once.segment(whole.as_bytes());
            prop_assert_eq!(reader.into_row(), at_once.into_row());
        }
    }
}

//! One response: tagged, untagged, continuation.

use crate::imap::reader::code;
use crate::imap::reader::code::Code;
use crate::imap::reader::cursor;
use crate::imap::reader::cursor::Cursor;
use crate::imap::reader::cursor::Token;
use crate::imap::reader::cursor::number;
use crate::imap::reader::cursor::number32;
use crate::imap::reader::folder;
use crate::imap::reader::folder::ListLine;
use crate::imap::reader::row::FetchRow;
use crate::imap::reader::row::RowReader;
use crate::mail::WireName;
use crate::store::FolderStatus;
use crate::store::Namespace;

/// Most numbers that a set in an ESEARCH is written out to; without RETURN none is ever sent.
const FOUND_MAX: usize = 1 << 20;

/// Longest tag that can be one of ours, in octets.
const TAG_OCTETS_MAX: usize = 64;

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Parsed {
    /// The end of a command.
    Tagged {
        /// Which command's.
        tag: String,
        /// How it ended.
        status: Status,
        /// The response code.
        code: Option<Code>,
        /// The text, at most 1,000 octets, without the code.
        text: String,
    },
    /// Data or a status that the server told by itself.
    Untagged(Data),
    /// The server waits for the rest of a command.
    Continue,
    /// Nothing that IMAP knows: an empty line, noise.
    Unknown,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Status {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
}

/// The kind of an untagged status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::imap) enum StatusKind {
    /// Information.
    Ok,
    /// A warning.
    No,
    /// A fault that belongs to no command.
    Bad,
    /// The connection ends.
    Bye,
    /// A greeting that needs no login.
    Preauth,
}

/// Untagged data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Data {
    /// OK, NO, BAD, BYE, PREAUTH.
    Status {
        /// Which.
        kind: StatusKind,
        /// The response code.
        code: Option<Code>,
        /// The text, at most 1,000 octets, without the code.
        text: String,
    },
    /// CAPABILITY, upper case.
    Capability(Vec<String>),
    /// LIST and XLIST.
    List(ListLine),
    /// LSUB.
    Lsub(ListLine),
    /// STATUS.
    StatusOf {
        /// The folder.
        name: WireName,
        /// Its counts.
        status: FolderStatus,
    },
    /// NAMESPACE.
    Namespace {
        /// Personal ones.
        personal: Vec<Namespace>,
        /// Other users' and shared ones.
        others: Vec<Namespace>,
    },
    /// EXISTS.
    Exists(u64),
    /// RECENT.
    Recent,
    /// EXPUNGE, by sequence number.
    Expunge(u32),
    /// FLAGS of a folder, as sent.
    Flags(Vec<Vec<u8>>),
    /// SEARCH and ESEARCH, in the server's order.
    Search(Vec<u32>),
    /// ID, without fields that are NIL.
    Id(Vec<(String, String)>),
    /// A row of FETCH.
    Fetch {
        /// The sequence number.
        sequence: u32,
        /// The items.
        row: FetchRow,
    },
    /// Anything else.
    Other,
}

/// Reads one response, given without its line end.
pub(in crate::imap) fn parse(octets: &[u8]) -> Parsed {
    let mut cursor = Cursor::new(octets);
    match cursor.peek() {
        None => Parsed::Unknown,
        Some(b'+') => Parsed::Continue,
        Some(b'*') => {
            cursor.take(b'*');
            untagged(cursor).map_or(Parsed::Unknown, Parsed::Untagged)
        }
        Some(_) => tagged(cursor).unwrap_or(Parsed::Unknown),
    }
}

fn tagged(mut cursor: Cursor<'_>) -> Option<Parsed> {
    let tag = cursor.word();
    if tag.len() > TAG_OCTETS_MAX || !tag.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let tag = String::from_utf8_lossy(tag).into_owned();
    let status = match cursor.word().to_ascii_uppercase().as_slice() {
        b"OK" => Status::Ok,
        b"NO" => Status::No,
        b"BAD" => Status::Bad,
        _ => return None,
    };
    let (code, text) = code::read(cursor.rest());
    Some(Parsed::Tagged { tag, status, code, text: cursor::text(text) })
}

fn untagged(mut cursor: Cursor<'_>) -> Option<Data> {
    let word = cursor.word();
    if word.is_empty() {
        return None;
    }
    if word.iter().all(u8::is_ascii_digit) {
        return Some(numbered(word, cursor).unwrap_or(Data::Other));
    }
    let data = match word.to_ascii_uppercase().as_slice() {
        b"OK" => Some(status(StatusKind::Ok, cursor)),
        b"NO" => Some(status(StatusKind::No, cursor)),
        b"BAD" => Some(status(StatusKind::Bad, cursor)),
        b"BYE" => Some(status(StatusKind::Bye, cursor)),
        b"PREAUTH" => Some(status(StatusKind::Preauth, cursor)),
        b"CAPABILITY" => Some(Data::Capability(code::words(cursor.rest()))),
        b"LIST" | b"XLIST" => folder::list(&mut cursor).map(Data::List),
        b"LSUB" => folder::list(&mut cursor).map(Data::Lsub),
        b"STATUS" => {
            folder::status(&mut cursor).map(|(name, status)| Data::StatusOf { name, status })
        }
        b"NAMESPACE" => folder::namespace(&mut cursor)
            .map(|(personal, others)| Data::Namespace { personal, others }),
        b"FLAGS" => cursor.list().map(|flags| {
            Data::Flags(flags.into_iter().map(std::borrow::Cow::into_owned).collect())
        }),
        b"SEARCH" => Some(search(cursor)),
        b"ESEARCH" => extended_search(cursor),
        b"ID" => Some(Data::Id(identification(cursor))),
        _ => None,
    };
    Some(data.unwrap_or(Data::Other))
}

fn numbered(word: &[u8], mut cursor: Cursor<'_>) -> Option<Data> {
    match cursor.word().to_ascii_uppercase().as_slice() {
        b"EXISTS" => number(word).map(Data::Exists),
        b"RECENT" => Some(Data::Recent),
        b"EXPUNGE" => number32(word).map(Data::Expunge),
        b"FETCH" => {
            Some(Data::Fetch { sequence: number32(word)?, row: RowReader::read_whole(cursor) })
        }
        _ => None,
    }
}

/// Tells whether a line begins a row of FETCH, and returns what follows the word.
pub(in crate::imap) fn row_start(octets: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(octets);
    if !cursor.take(b'*') {
        return None;
    }
    let number = cursor.word();
    let is_row = !number.is_empty()
        && number.iter().all(u8::is_ascii_digit)
        && cursor.word().eq_ignore_ascii_case(b"FETCH");
    is_row.then(|| cursor.rest())
}

fn status(kind: StatusKind, cursor: Cursor<'_>) -> Data {
    let (code, text) = code::read(cursor.rest());
    Data::Status { kind, code, text: cursor::text(text) }
}

/// Reads numbers up to the end, or to `(MODSEQ n)` (RFC 7162 §3.1.5).
fn search(mut cursor: Cursor<'_>) -> Data {
    let mut found = Vec::new();
    while let Some(Token::Atom(word)) = cursor.token() {
        found.extend(number32(word).filter(|number| *number > 0));
    }
    Data::Search(found)
}

/// Reads ALL out of an ESEARCH (RFC 4731); one without ALL found nothing.
fn extended_search(mut cursor: Cursor<'_>) -> Option<Data> {
    if cursor.peek() == Some(b'(') {
        cursor.list();
    }
    let mut found = Vec::new();
    while let Some(token) = cursor.token() {
        let Token::Atom(word) = token else { continue };
        if word.eq_ignore_ascii_case(b"ALL")
            && let Some(Token::Atom(set)) = cursor.token()
        {
            found = code::expand(set, FOUND_MAX)?;
        }
    }
    Some(Data::Search(found))
}

fn identification(mut cursor: Cursor<'_>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    if !cursor.take(b'(') {
        return fields;
    }
    while let (Some(Token::Text(field)), Some(value)) = (cursor.token(), cursor.token()) {
        if let Some(value) = value.octets() {
            fields.push((cursor::text(&field), cursor::text(&value)));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::Flag;
    use crate::mail::MailboxId;
    use crate::mail::ModSeq;
    use crate::mail::Uid;
    use crate::mail::UidValidity;
    use crate::store::ResponseCode;

    /// Real and reported lines with what they are read as, in a short notation.
    const TABLE: &[(&[u8], &str)] = &[
        (b"", "unknown"),
        (b"   ", "unknown"),
        (b"*", "unknown"),
        (b"* ", "unknown"),
        (b"noise without sense", "unknown"),
        (b"X1", "unknown"),
        (b"X1 PREAUTH x", "unknown"),
        (b"+", "continue"),
        (b"+ OK", "continue"),
        (b"+idling", "continue"),
        (b"X1 OK done", "tagged X1 Ok - done"),
        (b"X1 OK", "tagged X1 Ok - "),
        (b"X1 no [OVERQUOTA] Quota exceeded", "tagged X1 No OVERQUOTA Quota exceeded"),
        (b"X1 NO [TRYCREATE]none", "tagged X1 No TRYCREATE none"),
        (b"X1 OK[READ-ONLY] x", "tagged X1 Ok ReadOnly x"),
        (b"X1 BAD caf\xe9", "tagged X1 Bad - caf\u{fffd}"),
        ("X1 OK [ALERT]é".as_bytes(), "tagged X1 Ok ALERT é"),
        (b"X1 NO [X-LIMIT now] slow", "tagged X1 No X-LIMIT slow"),
        (b"* OK Postf\xfccher ready", "Ok - Postf\u{fffd}cher ready"),
        (b"* NO [ALERT] quota 99%", "No ALERT quota 99%"),
        (b"* BAD what", "Bad - what"),
        (b"* BYE [UNAVAILABLE] later", "Bye UNAVAILABLE later"),
        (b"* PREAUTH hello", "Preauth - hello"),
        (b"* OK [UIDNEXT 4392] next", "Ok UidNext(4392) next"),
        (b"* OK", "Ok - "),
        (b"*  633 EXISTS", "exists 633"),
        (b"* 633 exists ", "exists 633"),
        (b"* 4294967296 EXISTS", "exists 4294967296"),
        (b"* 99999999999999999999999 EXISTS", "other"),
        (b"* 5 RECENT", "recent"),
        (b"* 3 EXPUNGE", "expunge 3"),
        (b"* 3 VANISHED", "other"),
        (b"* VANISHED 1:4", "other"),
        (b"* X-UNHEARD-OF (of) {", "other"),
        (b"* METADATA INBOX (/shared/x \"v\")", "other"),
        (b"* ENABLED", "other"),
        (b"* CAPABILITY IMAP4rev2", "capability IMAP4REV2"),
        (b"* CAPABILITY  IMAP4rev1  APPENDLIMIT=35 ", "capability IMAP4REV1 APPENDLIMIT=35"),
        (b"* FLAGS (\\Seen \\*)", "flags \\Seen \\*"),
        (b"* FLAGS(\\Seen)", "flags \\Seen"),
        (b"* FLAGS ()", "flags "),
        (b"* FLAGS()", "flags "),
        (b"* FLAGS (caf\xe9 a]b a\"b)", "flags caf\\xe9 a]b a\"b"),
        (b"* FLAGS", "other"),
        (b"* SEARCH", "search []"),
        (b"* SEARCH 2 84 882", "search [2, 84, 882]"),
        (b"* SEARCH 2 5 (MODSEQ 917162500)", "search [2, 5]"),
        (b"* SEARCH 0 x 4294967296 7", "search [7]"),
        (b"* ESEARCH (TAG \"X1\") UID COUNT 3 ALL 4:5,1", "search [4, 5, 1]"),
        (b"* ESEARCH (TAG \"X1\") UID", "search []"),
        (b"* ESEARCH ALL 1:4294967295", "other"),
        (b"* ID NIL", "id []"),
        (b"* ID (\"name\" \"Dovecot\" \"os\" NIL)", "id [(\"name\", \"Dovecot\")]"),
        (b"* ID (\"name\"", "id []"),
        (b"* LIST (\\HasNoChildren) \"/\" INBOX", "list [\\HasNoChildren] / INBOX"),
        (b"* LIST () NIL foo", "list [] - foo"),
        (b"* LIST () \"\" foo", "list [] - foo"),
        (b"* LIST NIL \"/\" foo", "list [] / foo"),
        (b"* LIST () / foo", "list [] / foo"),
        (b"* LIST () \"\\\\\" \"a\\\\b\"", "list [] \\ a\\x5cb"),
        (b"* LIST () \"/\" \"we \\\"ird\"", "list [] / we \"ird"),
        (b"* LIST () \"/\" \"we \"ird\"", "list [] / we \"ird"),
        (b"* LIST () \"/\" My Folder", "list [] / My Folder"),
        (b"* LIST () \"/\" A (old) one", "list [] / A (old) one"),
        (b"* LIST () \"/\" caf\xe9", "list [] / caf\\xe9"),
        (b"* LIST () \"/\" \"caf\xc3\xa9\"", "list [] / caf\\xc3\\xa9"),
        (b"* LIST () \"/\" {5}\r\na\r\nbc", "list [] / a\\x0d\\x0abc"),
        (b"* LIST () \"/\" {9}\r\nabc", "list [] / abc"),
        (b"* LIST () \".\" \"\"", "list [] . "),
        (b"* LIST () \"/\" foo (\"CHILDINFO\" (\"SUBSCRIBED\"))", "list [] / foo"),
        (b"* LIST () \"/\" \"a b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))", "list [] / a b"),
        (b"* LIST (\\Noselect \\Sent) \".\" \"Sent\"", "list [\\Noselect \\Sent] . Sent"),
        (b"* XLIST (\\AllMail) \"/\" \"[Gmail]/All\"", "list [\\All] / [Gmail]/All"),
        (b"* LIST () \"/\"", "other"),
        (b"* LIST", "other"),
        (b"* LIST () ( foo", "other"),
        (b"* LSUB () \"/\" a", "lsub [] / a"),
        (b"* STATUS INBOX (MESSAGES 3 UIDNEXT 9)", "status INBOX 3 9 - - -"),
        (b"* STATUS \"a b\" (messages 3)", "status a b 3 - - - -"),
        (b"* STATUS a b (MESSAGES 3)", "status a b 3 - - - -"),
        (b"* STATUS a(b) (MESSAGES 3)", "status a(b) 3 - - - -"),
        (b"* STATUS {3}\r\na b (MESSAGES 3)", "status a b 3 - - - -"),
        (b"* STATUS a (SIZE 5000000000 X-NEW (1 2) UIDNEXT 4)", "status a - 4 - 5000000000 -"),
        (b"* STATUS a (MAILBOXID (F1) APPENDLIMIT NIL MESSAGES 1)", "status a 1 - - - F1"),
        (b"* STATUS \"a\" (MAILBOXID () MESSAGES -1 UIDVALIDITY 0)", "status a - - - - -"),
        (b"* STATUS a (UIDVALIDITY 7 HIGHESTMODSEQ 0", "other"),
        (b"* STATUS \"a\" (UIDVALIDITY 7", "status a - - 7 - -"),
        (b"* STATUS a", "other"),
        (b"* NAMESPACE ((\"\" \"/\")) NIL NIL", "namespace [ /] []"),
        (b"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"a.\" \".\"))", "namespace [INBOX. .] [a. .]"),
        (b"* NAMESPACE ((\"\" NIL \"X\" (\"y\"))(\"#\" \"/\")) NIL", "namespace [ -, # /] []"),
        (b"* NAMESPACE NIL NIL NIL", "namespace [] []"),
        (b"* NAMESPACE", "other"),
        (b"* 12 FETCH (FLAGS (\\Seen) UID 7)", "fetch 12 7 \\Seen - -"),
        (b"* 12 FETCH(FLAGS(\\Seen)UID 7)", "fetch 12 7 \\Seen - -"),
        (b"* 12 FETCH (UID 7 RFC822.SIZE 5000000000)", "fetch 12 7 ? 5000000000 -"),
        (b"* 12 FETCH (UID 7 RFC822.SIZE -1 FLAGS ())", "fetch 12 7  - -"),
        (b"* 12 FETCH (UID 7 INTERNALDATE NIL FLAGS ())", "fetch 12 7  - -"),
        (b"* 12 FETCH (UID 7 FLAGS (\\Recent caf\xe9 $A))", "fetch 12 7 $A - -"),
        (b"* 1 FETCH (X-GM-LABELS (\"\\\\Inbox\" {3}\r\na b) UID 7)", "fetch 1 7 ? - -"),
        (b"* 1 FETCH (BINARY[1] ~{3}\r\n\0ab UID 7)", "fetch 1 7 ? - -"),
        (b"* 1 FETCH (ENVELOPE (((\"a\" NIL))) UID 7 MODSEQ (12))", "fetch 1 7 ? - 12"),
        (b"* 1 FETCH (EMAILID (M1) THREADID NIL UID 7)", "fetch 1 7 ? - -"),
        (b"* 1 FETCH (BODY[HEADER.FIELDS (\"A) B\" C)] \"UID 9\" UID 7)", "fetch 1 7 ? - -"),
        (b"* 1 FETCH (\"x\" (1) UID 7)", "fetch 1 7 ? - -"),
        (b"* 1 FETCH (UID 7 UID 8)", "fetch 1 7 ? - -"),
        (b"* 1 FETCH (UID)", "fetch 1 - ? - -"),
        (b"* 1 FETCH (UID 0)", "fetch 1 - ? - -"),
        (b"* 1 FETCH", "fetch 1 - ? - -"),
        (b"* 4294967296 FETCH (UID 1)", "other"),
    ];

    fn code_word(code: Option<&Code>) -> String {
        match code {
            None => "-".to_owned(),
            Some(Code::Other(code)) => code.as_str().to_owned(),
            Some(code) => format!("{code:?}"),
        }
    }

    fn or_dash<T: std::fmt::Display>(value: Option<T>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }

    fn list_words(line: &ListLine) -> String {
        let delimiter = or_dash(line.delimiter.map(char::from));
        format!("[{}] {delimiter} {}", line.attributes.join(" "), line.name.escaped())
    }

    fn namespace_words(all: &[Namespace]) -> String {
        let words = |one: &Namespace| {
            format!("{} {}", one.prefix.escaped(), or_dash(one.delimiter.map(char::from)))
        };
        all.iter().map(words).collect::<Vec<_>>().join(", ")
    }

    fn words(parsed: &Parsed) -> String {
        let data = match parsed {
            Parsed::Unknown => return "unknown".to_owned(),
            Parsed::Continue => return "continue".to_owned(),
            Parsed::Tagged { tag, status, code, text } => {
                return format!("tagged {tag} {status:?} {} {text}", code_word(code.as_ref()));
            }
            Parsed::Untagged(data) => data,
        };
        match data {
            Data::Status { kind, code, text } => {
                format!("{kind:?} {} {text}", code_word(code.as_ref()))
            }
            Data::Capability(words) => format!("capability {}", words.join(" ")),
            Data::List(line) => format!("list {}", list_words(line)),
            Data::Lsub(line) => format!("lsub {}", list_words(line)),
            Data::StatusOf { name, status } => format!(
                "status {} {} {} {} {} {}",
                name.escaped(),
                or_dash(status.messages),
                or_dash(status.uid_next),
                or_dash(status.uid_validity),
                or_dash(status.octets),
                or_dash(status.mailbox_id.as_ref().map(MailboxId::as_str)),
            ),
            Data::Namespace { personal, others } => {
                format!("namespace [{}] [{}]", namespace_words(personal), namespace_words(others))
            }
            Data::Exists(count) => format!("exists {count}"),
            Data::Recent => "recent".to_owned(),
            Data::Expunge(sequence) => format!("expunge {sequence}"),
            Data::Flags(flags) => {
                let escaped =
                    |flag: &Vec<u8>| String::from_utf8_lossy(flag).replace('\u{fffd}', "\\xe9");
                format!("flags {}", flags.iter().map(escaped).collect::<Vec<_>>().join(" "))
            }
            Data::Search(found) => format!("search {found:?}"),
            Data::Id(fields) => format!("id {fields:?}"),
            Data::Fetch { sequence, row } => format!(
                "fetch {sequence} {} {} {} {}",
                or_dash(row.uid),
                row.flags.as_ref().map_or_else(|| "?".to_owned(), ToString::to_string),
                or_dash(row.size),
                or_dash(row.mod_seq.map(|mod_seq| mod_seq.0)),
            ),
            Data::Other => "other".to_owned(),
        }
    }

    #[test]
    fn every_line_of_the_table_is_read_as_it_says() {
        for (line, expected) in TABLE {
            assert_eq!(words(&parse(line)), *expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn values_of_a_row_have_their_types() {
        let line = b"* 2 FETCH (UID 9 INTERNALDATE \" 7-Feb-1994 21:52:25 -0800\" FLAGS (\\seen))";
        let Parsed::Untagged(Data::Fetch { row, .. }) = parse(line) else { panic!() };
        assert_eq!(row.uid, Uid::new(9));
        assert!(row.flags.unwrap().contains(&Flag::Seen));
        assert_eq!(row.internal_date.unwrap().instant().seconds(), 760_686_745);
    }

    #[test]
    fn counts_of_a_folder_have_their_types() {
        let line = b"* STATUS a (UIDVALIDITY 7 HIGHESTMODSEQ 12)";
        let Parsed::Untagged(Data::StatusOf { status, .. }) = parse(line) else { panic!() };
        assert_eq!(status.uid_validity, UidValidity::new(7));
        assert_eq!(status.highest_mod_seq, Some(ModSeq(12)));
    }

    #[test]
    fn long_texts_and_deep_lists_are_bounded() {
        let mut line = b"X1 NO ".to_vec();
        line.resize(100_000, 0xff);
        let Parsed::Tagged { text, .. } = parse(&line) else { panic!() };
        assert!(text.len() <= 1_000);
        let mut line = b"* 1 FETCH (X ".to_vec();
        line.resize(1 << 20, b'(');
        assert!(matches!(parse(&line), Parsed::Untagged(Data::Fetch { .. })));
        let long = "A".repeat(65);
        let line = format!("X1 NO [{long}] x");
        assert!(matches!(parse(line.as_bytes()), Parsed::Tagged { code: None, .. }));
        assert_eq!(ResponseCode::from_word(&long), None);
    }

    /// Cuts, doubles, swaps and overwrites octets of a line of the table.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let line = (0..TABLE.len()).prop_map(|at| TABLE[at].0.to_vec());
        let edits = proptest::collection::vec((any::<usize>(), 0..4_u8, any::<u8>()), 0..6);
        (line, edits).prop_map(|(mut line, edits)| {
            for (at, kind, octet) in edits {
                if line.is_empty() {
                    break;
                }
                let at = at % line.len();
                match kind {
                    0 => line.truncate(at),
                    1 => line.insert(at, octet),
                    2 => line[at] = octet,
                    _ => {
                        let tail = line[at..].to_vec();
                        line.extend(tail);
                    }
                }
            }
            line
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_octets_panic(octets: Vec<u8>) {
            parse(&octets);
            parse(&[b"* ", octets.as_slice()].concat());
            parse(&[b"* 1 FETCH (", octets.as_slice()].concat());
            parse(&[b"* LIST () \"/\" ", octets.as_slice()].concat());
        }

        #[test]
        fn no_mutation_panics(line in mutated()) {
            parse(&line);
        }
    }
}

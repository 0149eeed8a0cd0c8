//! Response codes (RFC 9051 §7.1).

use crate::imap::reader::cursor::Cursor;
use crate::imap::reader::cursor::number;
use crate::imap::reader::cursor::number32;
use crate::mail::MailboxId;
use crate::mail::UidSet;
use crate::store::Refusal;
use crate::store::ResponseCode;

/// Most UIDs that an APPENDUID may name: far above any batch.
const APPENDED_MAX: usize = 10_000;

/// A response code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::imap) enum Code {
    /// UIDVALIDITY.
    UidValidity(u32),
    /// UIDNEXT.
    UidNext(u32),
    /// HIGHESTMODSEQ (RFC 7162).
    HighestModSeq(u64),
    /// NOMODSEQ (RFC 7162).
    NoModSeq,
    /// PERMANENTFLAGS, `\*` included, as sent.
    PermanentFlags(Vec<Vec<u8>>),
    /// MAILBOXID (RFC 8474).
    MailboxId(MailboxId),
    /// APPENDUID (RFC 4315): the UIDs in the order of the set.
    AppendUid {
        /// UIDVALIDITY of the folder.
        uid_validity: u32,
        /// One UID a message, if the server is honest.
        uids: Vec<u32>,
    },
    /// CAPABILITY, upper case.
    Capability(Vec<String>),
    /// READ-ONLY.
    ReadOnly,
    /// READ-WRITE.
    ReadWrite,
    /// MODIFIED (RFC 7162): what a conditional STORE left alone.
    Modified(UidSet),
    /// Any other word, and any of the above whose value makes no sense.
    Other(ResponseCode),
}

/// Reads the text that follows a status: code, if there is one, and the text after it.
pub(in crate::imap) fn read(octets: &[u8]) -> (Option<Code>, &[u8]) {
    let octets = octets.trim_ascii();
    let Some(inner) = octets.strip_prefix(b"[") else { return (None, octets) };
    let Some(end) = end_of_code(inner) else { return (None, octets) };
    (code(&inner[..end]), inner[end + 1..].trim_ascii())
}

/// Finds the closing bracket: the first one outside of parentheses and quotes, else the first one.
fn end_of_code(inner: &[u8]) -> Option<usize> {
    let (mut depth, mut in_quotes) = (0_usize, false);
    for (at, octet) in inner.iter().enumerate() {
        match octet {
            b'"' => in_quotes = !in_quotes,
            b'(' if !in_quotes => depth += 1,
            b')' if !in_quotes => depth = depth.saturating_sub(1),
            b']' if !in_quotes && depth == 0 => return Some(at),
            _ => {}
        }
    }
    memchr::memchr(b']', inner)
}

fn code(inner: &[u8]) -> Option<Code> {
    let mut cursor = Cursor::new(inner);
    let word = std::str::from_utf8(cursor.word()).ok()?.to_ascii_uppercase();
    let known = match word.as_str() {
        "UIDVALIDITY" => number32(cursor.rest()).map(Code::UidValidity),
        "UIDNEXT" => number32(cursor.rest()).map(Code::UidNext),
        "HIGHESTMODSEQ" => number(cursor.rest()).map(Code::HighestModSeq),
        "NOMODSEQ" => Some(Code::NoModSeq),
        "READ-ONLY" => Some(Code::ReadOnly),
        "READ-WRITE" => Some(Code::ReadWrite),
        "PERMANENTFLAGS" => cursor.list().map(|flags| {
            Code::PermanentFlags(flags.into_iter().map(std::borrow::Cow::into_owned).collect())
        }),
        "MAILBOXID" => {
            let id = cursor.list().and_then(|ids| MailboxId::from_wire(ids.first()?));
            id.map(Code::MailboxId)
        }
        "CAPABILITY" => Some(Code::Capability(words(cursor.rest()))),
        "APPENDUID" => append_uid(cursor.rest()),
        "MODIFIED" => std::str::from_utf8(cursor.rest())
            .ok()
            .and_then(|set| set.parse().ok())
            .map(Code::Modified),
        _ => None,
    };
    known.or_else(|| ResponseCode::from_word(&word).map(Code::Other))
}

/// Capabilities and the like: words of printable ASCII, upper case.
pub(in crate::imap) fn words(octets: &[u8]) -> Vec<String> {
    octets
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))
        .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
        .collect()
}

fn append_uid(octets: &[u8]) -> Option<Code> {
    let mut parts = octets.split(u8::is_ascii_whitespace).filter(|part| !part.is_empty());
    let (uid_validity, set) = (number32(parts.next()?)?, parts.next()?);
    let uids = expand(set, APPENDED_MAX)?;
    Some(Code::AppendUid { uid_validity, uids })
}

/// Writes out a set such as `5,1:3` in its order; nothing if it is none, or has too many members.
pub(in crate::imap) fn expand(set: &[u8], most: usize) -> Option<Vec<u32>> {
    let mut uids = Vec::new();
    for part in set.split(|octet| *octet == b',') {
        let (first, last) = match memchr::memchr(b':', part) {
            Some(colon) => (number32(&part[..colon])?, number32(&part[colon + 1..])?),
            None => (number32(part)?, number32(part)?),
        };
        let (first, last) = (first.min(last), first.max(last));
        let count = usize::try_from(last - first).ok()?;
        if first == 0 || count >= most - uids.len() {
            return None;
        }
        uids.extend(first..=last);
    }
    Some(uids)
}

/// Makes a refusal of a tagged NO or BAD. `known` are the profile's words for refusals that prove
/// that nothing was stored, compared without regard to case.
pub(in crate::imap) fn refusal(
    bad: bool,
    code: Option<Code>,
    text: String,
    known: &[String],
) -> Refusal {
    let lower = text.to_lowercase();
    let known_words = known
        .iter()
        .any(|words| !words.trim().is_empty() && lower.contains(&words.trim().to_lowercase()));
    let code = match code {
        Some(Code::Other(code)) => Some(code),
        _ => None,
    };
    Refusal { bad, code, text, known_words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(octets: &[u8], code: Option<Code>, text: &[u8]) {
        assert_eq!(read(octets), (code, text), "{}", String::from_utf8_lossy(octets));
    }

    fn other(word: &str) -> Option<Code> {
        ResponseCode::from_word(word).map(Code::Other)
    }

    #[test]
    fn codes_are_read_and_the_text_is_left() {
        check(b"done", None, b"done");
        check(b"", None, b"");
        check(b"[UIDVALIDITY 3857529045] ok", Some(Code::UidValidity(3_857_529_045)), b"ok");
        check(b"[uidnext 4392]", Some(Code::UidNext(4392)), b"");
        check(b"[UIDNEXT 4294967296] x", other("UIDNEXT"), b"x");
        check(b"[HIGHESTMODSEQ 715194045007]", Some(Code::HighestModSeq(715_194_045_007)), b"");
        check(b"[NOMODSEQ] Sorry", Some(Code::NoModSeq), b"Sorry");
        check(b"[READ-WRITE] Selected", Some(Code::ReadWrite), b"Selected");
        check(b"[OVERQUOTA] Full", other("OVERQUOTA"), b"Full");
        check(b"[TRYCREATE]no blank", other("TRYCREATE"), b"no blank");
        check(b"[ALERT]\xc3\xa9", other("ALERT"), "é".as_bytes());
        check(b"[BADCHARSET (UTF-8)] x", other("BADCHARSET"), b"x");
        check(b"[never closed", None, b"[never closed");
        check(b"[open (] x", other("OPEN"), b"x");
        check(b"[] x", None, b"x");
        check(
            b"[MODIFIED 7,9:10] Conditional STORE failed",
            Some(Code::Modified("7,9:10".parse().unwrap())),
            b"Conditional STORE failed",
        );
        check(
            b"[MAILBOXID (F2212ea87-6097)] Completed",
            MailboxId::from_wire(b"F2212ea87-6097").map(Code::MailboxId),
            b"Completed",
        );
        check(b"[MAILBOXID ()] x", other("MAILBOXID"), b"x");
        check(
            b"[CAPABILITY IMAP4rev1 LITERAL+] hi",
            Some(Code::Capability(vec!["IMAP4REV1".to_owned(), "LITERAL+".to_owned()])),
            b"hi",
        );
        check(
            b"[PERMANENTFLAGS (\\Seen a]b \\*)] Limited",
            Some(Code::PermanentFlags(vec![b"\\Seen".to_vec(), b"a]b".to_vec(), b"\\*".to_vec()])),
            b"Limited",
        );
    }

    #[test]
    fn append_uid_keeps_its_order_and_is_bounded() {
        let uids = |set: &str| match read(format!("[APPENDUID 38 {set}] ok").as_bytes()).0 {
            Some(Code::AppendUid { uid_validity: 38, uids }) => Some(uids),
            Some(Code::Other(_)) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(uids("3955"), Some(vec![3955]));
        assert_eq!(uids("7,3:5,4"), Some(vec![7, 3, 4, 5, 4]));
        assert_eq!(uids("5:3"), Some(vec![3, 4, 5]));
        for odd in ["", "0", "1:4294967295", "*", "1:*", "a", "4294967296", "1,", "-1"] {
            assert_eq!(uids(odd), None, "{odd}");
        }
    }

    #[test]
    fn words_of_the_profile_are_found_without_regard_to_case() {
        let known = ["over quota".to_owned(), " ".to_owned()];
        assert!(refusal(false, None, "Over Quota".to_owned(), &known).known_words);
        assert!(!refusal(false, None, "Server busy".to_owned(), &known).known_words);
    }
}

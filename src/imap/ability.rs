//! From capabilities to abilities.

use std::sync::atomic::Ordering;

use crate::imap::known::Known;
use crate::store::Abilities;
use crate::store::AppendWays;

/// Reads what a logged-in server announced, and what is known of it beforehand.
pub(super) fn read(capabilities: &[String], known: &Known) -> Abilities {
    let has = |word: &str| capabilities.iter().any(|offered| offered == word);
    // A server of revision 2 only has these without naming them (RFC 9051 appendix E); one that
    // speaks both revisions has them once they are named.
    let revision_2 = has("IMAP4REV2") && !has("IMAP4REV1");
    let windows = !known.windows_stopped.load(Ordering::Relaxed);
    Abilities {
        namespace: revision_2 || has("NAMESPACE"),
        list_extended: revision_2 || has("LIST-EXTENDED"),
        list_status: revision_2 || has("LIST-STATUS"),
        special_use: revision_2 || has("SPECIAL-USE"),
        create_special_use: has("CREATE-SPECIAL-USE"),
        uid_plus: revision_2 || has("UIDPLUS"),
        object_id: has("OBJECTID"),
        status_size: revision_2 || has("STATUS=SIZE"),
        condstore: has("CONDSTORE") || has("QRESYNC"),
        compress: has("COMPRESS=DEFLATE"),
        append: AppendWays {
            multi: windows && has("MULTIAPPEND"),
            literal_plus: windows && has("LITERAL+"),
            literal_minus: windows && (revision_2 || has("LITERAL-")),
            refuses_empty: known.refuses_empty,
        },
        append_limit: capabilities
            .iter()
            .find_map(|word| word.strip_prefix("APPENDLIMIT=")?.parse().ok()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::imap::compress::Agreement;

    fn abilities(capabilities: &str, stopped: bool) -> Abilities {
        let words: Vec<String> = capabilities.split_whitespace().map(str::to_owned).collect();
        let windows_stopped = Arc::new(AtomicBool::new(stopped));
        read(
            &words,
            &Known {
                gate: None,
                met: Arc::default(),
                server: String::new(),
                refusals: Arc::from([]),
                refuses_empty: true,
                kept: Arc::default(),
                windows_stopped,
                compression: Agreement::default(),
            },
        )
    }

    #[test]
    fn nothing_is_there_that_was_not_announced() {
        let none = abilities("IMAP4REV1", false);
        let append = AppendWays { refuses_empty: true, ..AppendWays::default() };
        assert_eq!(none, Abilities { append, ..Abilities::default() });
    }

    #[test]
    fn revision_2_alone_has_what_it_took_in() {
        assert!(abilities("IMAP4REV2", false).list_extended);
        assert!(!abilities("IMAP4REV1 IMAP4REV2", false).list_extended);
    }

    #[test]
    fn a_limit_that_is_no_number_is_no_limit() {
        assert_eq!(abilities("APPENDLIMIT=1000", false).append_limit, Some(1000));
        assert_eq!(abilities("APPENDLIMIT APPENDLIMIT=x", false).append_limit, None);
    }

    #[test]
    fn windows_once_stopped_stay_stopped() {
        let append = abilities("LITERAL+ MULTIAPPEND", true).append;
        assert!(!append.literal_plus && !append.multi);
    }
}

//! "Did you mean".

/// The candidate that a word most likely stands for, if any is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Nobody misspells a key of this length into one of ours, and the comparison is quadratic.
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    // One slip, and one more for every third letter.
    let limit = 1 + word.chars().count() / 3;
    let folded = word.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit.min(candidate.chars().count() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let keys = ["exclude", "include", "port", "only-subscribed"];
        assert_eq!(nearest("exlude", keys), Some("exclude"));
        assert_eq!(nearest("Only_Subscribed", keys), Some("only-subscribed"));
        assert_eq!(nearest("prot", keys), Some("port"));
        assert_eq!(nearest("smtp", keys), None);
        assert_eq!(nearest("x", keys), None);
        assert_eq!(nearest(&"exclude".repeat(100), keys), None);
    }
}

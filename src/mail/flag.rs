//! Flags and keywords (RFC 9051 §2.3.2).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest keyword that is believed and sent, in octets. Servers cut or refuse far earlier.
const KEYWORD_OCTETS_MAX: usize = 200;

/// One flag of a message: one of the five system flags that a client may set, or a keyword.
///
/// A value that exists can be written into a command: a keyword holds atom characters only. `\Recent`
/// is no value of this type, since no client may set it (RFC 3501 §2.3.2). Keywords are equal and
/// ordered without regard to case (RFC 9051 §2.3.2) and keep the spelling they came in.
#[derive(Clone, Debug)]
pub enum Flag {
    /// `\Seen`.
    Seen,
    /// `\Answered`.
    Answered,
    /// `\Flagged`.
    Flagged,
    /// `\Deleted`.
    Deleted,
    /// `\Draft`.
    Draft,
    /// A keyword, such as `$Forwarded`; atom characters only.
    Keyword(Arc<str>),
}

impl Flag {
    /// Reads a flag as a server wrote it. Nothing for `\Recent`, `\*`, unknown system flags, and
    /// keywords with characters that an atom cannot hold.
    #[must_use]
    pub fn from_wire(octets: &[u8]) -> Option<Self> {
        if octets.starts_with(b"\\") {
            let is_spelled = |flag: &&Self| flag.as_str().as_bytes().eq_ignore_ascii_case(octets);
            return SYSTEM.iter().find(is_spelled).cloned();
        }
        let fits = (1..=KEYWORD_OCTETS_MAX).contains(&octets.len())
            && octets.iter().copied().all(is_atom_octet);
        let keyword = std::str::from_utf8(octets).ok().filter(|_| fits)?;
        Some(Self::Keyword(keyword.into()))
    }

    /// The flag as commands and people write it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Keyword(name) => name,
        }
    }

    /// Tells whether this is a keyword and not a system flag.
    #[must_use]
    pub const fn is_keyword(&self) -> bool {
        matches!(self, Self::Keyword(_))
    }

    /// Its bit, if it is a system flag.
    fn bit(&self) -> Option<u8> {
        self.rank().map(|rank| 1 << rank)
    }

    /// Where a system flag stands among the others; nothing for a keyword.
    const fn rank(&self) -> Option<u8> {
        Some(match self {
            Self::Answered => 0,
            Self::Deleted => 1,
            Self::Draft => 2,
            Self::Flagged => 3,
            Self::Seen => 4,
            Self::Keyword(_) => return None,
        })
    }

    /// Its octets without regard to case. Nothing is allocated: whoever lists a folder compares each
    /// message's flags with those that were met before.
    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.as_str().bytes().map(|octet| octet.to_ascii_lowercase())
    }
}

/// `ATOM-CHAR` of RFC 9051 §9, the strict reading: no `]` either, and no 8-bit octets.
const fn is_atom_octet(octet: u8) -> bool {
    octet.is_ascii_graphic()
        && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

impl PartialEq for Flag {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for Flag {}

impl PartialOrd for Flag {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Flag {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.rank(), other.rank()) {
            (Some(own), Some(others)) => own.cmp(&others),
            _ => self.folded().cmp(other.folded()),
        }
    }
}

impl std::hash::Hash for Flag {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded().for_each(|octet| octet.hash(state));
        0xff_u8.hash(state);
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_wire(text.as_bytes())
            .ok_or_else(|| serde::de::Error::custom("not a flag that a client may set"))
    }
}

impl JsonSchema for Flag {
    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A system flag such as \\Seen, or a keyword of atom characters",
            "type": "string"
        })
    }
}

/// The system flags, ordered.
static SYSTEM: [Flag; 5] = [Flag::Answered, Flag::Deleted, Flag::Draft, Flag::Flagged, Flag::Seen];

/// The flags of one message.
///
/// Most messages have system flags alone: these are bits, and a copy of them costs nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FlagSet {
    /// A bit for each of [`SYSTEM`].
    system: u8,
    /// Ordered.
    keywords: Vec<Flag>,
}

impl FlagSet {
    /// No flag.
    #[must_use]
    pub const fn new() -> Self {
        Self { system: 0, keywords: Vec::new() }
    }

    /// Adds a flag; tells whether it was not there.
    pub fn insert(&mut self, flag: Flag) -> bool {
        let is_new = !self.contains(&flag);
        match flag.bit() {
            Some(bit) => self.system |= bit,
            None if is_new => {
                let place = self.keywords.partition_point(|own| *own < flag);
                self.keywords.insert(place, flag);
            }
            None => {}
        }
        is_new
    }

    /// Takes a flag out; tells whether it was there.
    pub fn remove(&mut self, flag: &Flag) -> bool {
        let was_there = self.contains(flag);
        self.system &= !flag.bit().unwrap_or_default();
        self.keywords.retain(|own| own != flag);
        was_there
    }

    /// Tells whether the flag is set.
    #[must_use]
    pub fn contains(&self, flag: &Flag) -> bool {
        match flag.bit() {
            Some(bit) => self.system & bit != 0,
            None => self.keywords.binary_search(flag).is_ok(),
        }
    }

    /// Tells whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.system == 0 && self.keywords.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.system.count_ones() as usize + self.keywords.len()
    }

    /// The flags, ordered.
    pub fn iter(&self) -> impl Iterator<Item = &Flag> {
        let place = self.keywords.partition_point(|own| *own < SYSTEM[0]);
        let (before, behind) = self.keywords.split_at(place);
        let system = SYSTEM.iter().enumerate();
        let system = system.filter(|(rank, _)| self.system >> rank & 1 != 0);
        before.iter().chain(system.map(|(_, flag)| flag)).chain(behind)
    }

    /// Writes the flags with a blank between each two.
    ///
    /// # Errors
    ///
    /// Those of `out`; a string has none.
    pub(crate) fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        for (position, flag) in self.iter().enumerate() {
            if position > 0 {
                out.write_char(' ')?;
            }
            out.write_str(flag.as_str())?;
        }
        Ok(())
    }

    /// Flags of this set that `other` lacks.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let system = self.system & !other.system;
        Self { system, keywords: self.keywords_that(|flag| !other.contains(flag)) }
    }

    /// Flags of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.extend(other.iter().cloned());
        all
    }

    /// Flags of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let system = self.system & other.system;
        Self { system, keywords: self.keywords_that(|flag| other.contains(flag)) }
    }

    fn keywords_that(&self, fits: impl Fn(&Flag) -> bool) -> Vec<Flag> {
        self.keywords.iter().filter(|flag| fits(flag)).cloned().collect()
    }
}

impl Extend<Flag> for FlagSet {
    fn extend<T: IntoIterator<Item = Flag>>(&mut self, flags: T) {
        for flag in flags {
            self.insert(flag);
        }
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<T: IntoIterator<Item = Flag>>(flags: T) -> Self {
        let mut set = Self::new();
        for flag in flags {
            match flag.bit() {
                Some(bit) => set.system |= bit,
                None => set.keywords.push(flag),
            }
        }
        set.keywords.sort();
        set.keywords.dedup();
        set
    }
}

/// By their flags, one after the other.
impl Ord for FlagSet {
    fn cmp(&self, other: &Self) -> Ordering {
        if !self.keywords.is_empty() || !other.keywords.is_empty() {
            return self.iter().cmp(other.iter());
        }
        // The first flag that only one of them has comes before whatever the other one has from there on,
        // if that has anything.
        let differ = self.system ^ other.system;
        let first = differ & differ.wrapping_neg();
        if first == 0 {
            Ordering::Equal
        } else if self.system & first != 0 {
            if other.system > first { Ordering::Less } else { Ordering::Greater }
        } else if self.system > first {
            Ordering::Greater
        } else {
            Ordering::Less
        }
    }
}

impl PartialOrd for FlagSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for FlagSet {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.system.hash(state);
        self.keywords.hash(state);
    }
}

impl fmt::Debug for FlagSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for FlagSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for FlagSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into_iter().collect())
    }
}

impl JsonSchema for FlagSet {
    fn schema_name() -> Cow<'static, str> {
        "FlagSet".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = BTreeSet::<Flag>::json_schema(generator);
        schema.insert("description".to_owned(), "The flags of one message.".into());
        schema
    }
}

/// Blank-separated, as people and commands write a list of flags.
impl fmt::Display for FlagSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(formatter)
    }
}

/// What a mailbox lets a client change for good (`PERMANENTFLAGS`, RFC 9051 §7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PermanentFlags {
    /// The flags that the server named.
    pub listed: FlagSet,
    /// Whether new keywords may be made (`\*`).
    pub any_keyword: bool,
}

impl PermanentFlags {
    /// Everything can be kept: what is assumed of a mailbox that does not say (RFC 9051 §7.1).
    #[must_use]
    pub fn all() -> Self {
        let listed = [Flag::Seen, Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Draft];
        Self { listed: listed.into_iter().collect(), any_keyword: true }
    }

    /// Tells whether the mailbox keeps this flag.
    #[must_use]
    pub fn keeps(&self, flag: &Flag) -> bool {
        self.listed.contains(flag) || (self.any_keyword && flag.is_keyword())
    }

    /// Returns the flags that the mailbox keeps, and those that it cannot keep. What cannot be kept
    /// is returned so that it can be reported; it is never dropped in silence.
    #[must_use]
    pub fn storable(&self, wanted: &FlagSet) -> (FlagSet, FlagSet) {
        if wanted.iter().all(|flag| self.keeps(flag)) {
            return (wanted.clone(), FlagSet::new());
        }
        wanted.iter().cloned().partition(|flag| self.keeps(flag))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{Hash as _, Hasher as _};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keywords_compare_without_case_and_keep_their_spelling() {
        let sent = Flag::from_wire(b"$MdnSent").unwrap();
        assert_eq!(sent, Flag::from_wire(b"$MDNSENT").unwrap());
        assert_eq!(sent.as_str(), "$MdnSent");
    }

    #[test]
    fn what_no_client_may_set_or_write_is_no_flag() {
        let bad: [&[u8]; 9] =
            [b"\\Recent", b"\\*", b"\\Bogus", b"", b"a b", b"a]b", b"a\"b", b"a\r\nX", b"caf\xe9"];
        for octets in bad {
            assert!(Flag::from_wire(octets).is_none(), "{octets:?}");
        }
    }

    #[test]
    fn sets_are_ordered_by_text_without_case_and_hold_each_flag_once() {
        let words = [
            "\\Seen",
            "\\Draft",
            "\\Answered",
            "\\Deleted",
            "\\Flagged",
            "$A",
            "Zebra",
            "a",
            "ab",
            "1",
            "_x",
            "~",
        ];
        let flags: Vec<Flag> =
            words.iter().filter_map(|word| Flag::from_wire(word.as_bytes())).collect();
        assert_eq!(flags.len(), words.len());
        for (one, word) in flags.iter().zip(words) {
            for (other, text) in flags.iter().zip(words) {
                let expected = word.to_ascii_lowercase().cmp(&text.to_ascii_lowercase());
                assert_eq!(one.cmp(other), expected, "{one} {other}");
            }
        }
        let shouted = flags
            .iter()
            .filter_map(|flag| Flag::from_wire(flag.as_str().to_ascii_uppercase().as_bytes()));
        let set: FlagSet = flags.iter().cloned().chain(shouted).collect();
        let mut grown = FlagSet::new();
        assert!(flags.iter().rev().all(|flag| grown.insert(flag.clone())));
        assert!(!grown.insert(flags[0].clone()));
        assert_eq!((&set, set.len()), (&grown, words.len()));
        let read: FlagSet = serde_json::from_str("[\"b\",\"\\\\Seen\",\"B\"]").unwrap();
        assert_eq!(read.to_string(), "\\Seen b");
        assert_eq!(set.difference(&read).len(), words.len() - 1);
        assert_eq!(set.union(&read).len(), words.len() + 1);
        assert_eq!(set.intersection(&read).to_string(), "\\Seen");
        assert!(grown.remove(&Flag::Seen) && !grown.remove(&Flag::Seen));
    }

    fn any_flag() -> impl Strategy<Value = Flag> {
        let words = [
            "\\Seen",
            "\\Answered",
            "\\Flagged",
            "\\Deleted",
            "\\Draft",
            "$A",
            "$a",
            "Zed",
            "zED",
            "1",
            "~",
        ];
        proptest::sample::select(words.to_vec())
            .prop_map(|word| Flag::from_wire(word.as_bytes()).unwrap())
    }

    proptest! {
        #[test]
        fn a_set_of_flags_is_what_a_tree_of_them_is(
            ours in vec(any_flag(), 0..9),
            others in vec(any_flag(), 0..9),
            gone in any_flag(),
        ) {
            let (mut tree, other_tree): (BTreeSet<Flag>, BTreeSet<Flag>) =
                (ours.iter().cloned().collect(), others.iter().cloned().collect());
            let (mut set, other): (FlagSet, FlagSet) =
                (ours.into_iter().collect(), others.into_iter().collect());
            let same = |set: &FlagSet, tree: &BTreeSet<Flag>| {
                set.iter().eq(tree)
                    && (set.len(), set.is_empty()) == (tree.len(), tree.is_empty())
                    && *set == tree.iter().cloned().collect()
            };
            prop_assert!(same(&set, &tree));
            prop_assert!(same(&set.union(&other), &(&tree | &other_tree)));
            prop_assert!(same(&set.difference(&other), &(&tree - &other_tree)));
            prop_assert!(same(&set.intersection(&other), &(&tree & &other_tree)));
            prop_assert_eq!(set.cmp(&other), tree.cmp(&other_tree));
            prop_assert_eq!(set == other, tree == other_tree);
            let hash = |set: &FlagSet| {
                let mut hasher = std::hash::DefaultHasher::new();
                set.hash(&mut hasher);
                hasher.finish()
            };
            prop_assert!(set != other || hash(&set) == hash(&other));
            prop_assert_eq!(set.contains(&gone), tree.contains(&gone));
            prop_assert_eq!(set.remove(&gone), tree.remove(&gone));
            prop_assert!(same(&set, &tree));
        }
    }

    #[test]
    fn flags_that_cannot_be_kept_come_back() {
        let permanent = PermanentFlags { any_keyword: false, ..PermanentFlags::all() };
        let wanted: FlagSet = [Flag::Seen, Flag::Keyword("Work".into())].into_iter().collect();
        let (kept, refused) = permanent.storable(&wanted);
        assert_eq!((kept.to_string(), refused.to_string()), ("\\Seen".into(), "Work".into()));
    }
}

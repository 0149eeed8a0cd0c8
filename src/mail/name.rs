//! Names of mailboxes: as the server writes them, and as rules and people see them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::mail::utf7;

/// A mailbox name in the octets that the server sent, without quoting. Commands use these octets
/// and nothing else; two folders are the same if these are.
///
/// In files it is a string where it is plain printable ASCII, else an object with the octets in
/// base64.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireName(Box<[u8]>);

impl WireName {
    /// Takes octets as they came.
    #[must_use]
    pub fn new(octets: impl Into<Box<[u8]>>) -> Self {
        Self(octets.into())
    }

    /// Encodes levels of a decoded name for a server: modified UTF-7, joined by its delimiter.
    ///
    /// Without a delimiter (a flat server, RFC 9051 §7.3.1) only a single level can be written.
    #[must_use]
    pub fn from_levels<'a>(
        prefix: &str,
        levels: impl IntoIterator<Item = &'a str>,
        delimiter: Option<u8>,
    ) -> Option<Self> {
        let mut octets = utf7::encode(prefix);
        for (position, level) in levels.into_iter().enumerate() {
            if position > 0 {
                octets.push(delimiter?);
            }
            let encoded = utf7::encode(level);
            if delimiter.is_some_and(|delimiter| encoded.contains(&delimiter)) {
                return None;
            }
            octets.extend_from_slice(&encoded);
        }
        Some(Self::new(octets))
    }

    /// The octets.
    #[must_use]
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }

    /// The decoded name, where it is valid modified UTF-7 and encodes back to the same octets.
    #[must_use]
    pub fn decode(&self) -> Option<String> {
        utf7::decode(&self.0)
    }

    /// Tells whether this is the inbox, whose name has no case (RFC 9051 §5.1).
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        self.0.eq_ignore_ascii_case(b"INBOX")
    }

    /// Tells whether the name holds an octet that no command line can carry inside quotes.
    #[must_use]
    pub fn has_controls(&self) -> bool {
        self.0.iter().any(u8::is_ascii_control)
    }

    /// The name with everything but printable ASCII, and the backslash, written as `\xNN`: safe on
    /// a terminal and in a log, and reversible.
    #[must_use]
    pub fn escaped(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for &octet in &self.0 {
            if matches!(octet, b' '..=b'~') && octet != b'\\' {
                text.push(char::from(octet));
            } else {
                text.push_str(&format!("\\x{octet:02x}"));
            }
        }
        text
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WireName({})", self.escaped())
    }
}

/// How a [`WireName`] stands in a file when it is not plain ASCII.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Base64Name {
    /// The octets, in base64.
    base64: String,
}

impl Serialize for WireName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if text.bytes().all(|octet| matches!(octet, b' '..=b'~')) => {
                serializer.serialize_str(text)
            }
            _ => Base64Name { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for WireName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = WireName;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mailbox name, or its octets in base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WireName, E> {
                Ok(WireName::new(text.as_bytes()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<WireName, A::Error> {
                let name =
                    Base64Name::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let octets = STANDARD.decode(name.base64).map_err(serde::de::Error::custom)?;
                Ok(WireName::new(octets))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for WireName {
    fn schema_name() -> Cow<'static, str> {
        "WireName".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A mailbox name as the server writes it",
            "anyOf": [{ "type": "string" }, generator.subschema_for::<Base64Name>()]
        })
    }
}

/// The canonical name of a folder: what rules match, people see and the manifest says.
///
/// Decoded Unicode, `/` between levels whatever the server uses, without the namespace prefix,
/// relative to `root`; the inbox is always `INBOX`. A `/` inside a level is written `\/`, a backslash
/// `\\`. A name that is not valid modified UTF-7 is `wire:` and its octets, escaped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FolderName(String);

impl FolderName {
    /// The inbox.
    #[must_use]
    pub fn inbox() -> Self {
        Self("INBOX".to_owned())
    }

    /// Joins levels; `INBOX` in any case as the first level is written `INBOX`.
    #[must_use]
    pub fn from_levels<'a>(levels: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::new();
        for (position, level) in levels.into_iter().enumerate() {
            if position > 0 {
                text.push('/');
            }
            if position == 0 && level.eq_ignore_ascii_case("INBOX") {
                text.push_str("INBOX");
                continue;
            }
            for character in level.chars() {
                if matches!(character, '/' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
        }
        Self(text)
    }

    /// The name of a folder whose octets do not decode.
    #[must_use]
    pub fn from_undecodable(wire: &WireName) -> Self {
        Self(format!("wire:{}", wire.escaped()))
    }

    /// Reads a name as it stands in a manifest. Nothing for an empty name, an empty level, a lone
    /// backslash, or a control character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.strip_prefix("wire:").is_some_and(|rest| !rest.is_empty()) {
            return Some(Self(text.to_owned()));
        }
        let levels = split_levels(text)?;
        let fits = |level: &String| !level.is_empty() && !level.chars().any(char::is_control);
        levels.iter().all(fits).then(|| Self::from_levels(levels.iter().map(String::as_str)))
    }

    /// The levels, unescaped; nothing for a name that does not decode (`wire:`).
    #[must_use]
    pub fn levels(&self) -> Option<Vec<String>> {
        if self.is_wire() { None } else { split_levels(&self.0) }
    }

    /// Tells whether the name stands for octets that do not decode.
    #[must_use]
    pub fn is_wire(&self) -> bool {
        self.0.starts_with("wire:")
    }

    /// Tells whether this is the inbox.
    #[must_use]
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The folder one level up; nothing for a top level folder and for a `wire:` name.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let levels = self.levels()?;
        let (_, above) = levels.split_last()?;
        (!above.is_empty()).then(|| Self::from_levels(above.iter().map(String::as_str)))
    }

    /// The text. Safe to match; for a terminal, controls and bidi marks still are to be escaped.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn split_levels(text: &str) -> Option<Vec<String>> {
    let mut levels = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '/' => levels.push(String::new()),
            '\\' => {
                let escaped = characters.next().filter(|next| matches!(next, '/' | '\\'))?;
                levels.last_mut()?.push(escaped);
            }
            other => levels.last_mut()?.push(other),
        }
    }
    Some(levels)
}

impl fmt::Debug for FolderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0)
    }
}

impl fmt::Display for FolderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A mailbox's object identifier (MAILBOXID, RFC 8474 §4): survives renames, never used again.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct MailboxId(String);

impl MailboxId {
    /// Reads an object identifier: 1 to 255 of letters, digits, `_` and `-` (RFC 8474 §7).
    #[must_use]
    pub fn from_wire(octets: &[u8]) -> Option<Self> {
        let fits = (1..=255).contains(&octets.len())
            && octets.iter().all(|octet| octet.is_ascii_alphanumeric() || b"_-".contains(octet));
        fits.then(|| String::from_utf8_lossy(octets).into_owned()).map(Self)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn levels_with_slash_and_backslash_are_escaped() {
        let name = FolderName::from_levels(["a/b", "c\\d"]);
        assert_eq!(name.as_str(), "a\\/b/c\\\\d");
        assert_eq!(name.levels().unwrap(), ["a/b", "c\\d"]);
        assert_eq!(FolderName::parse(name.as_str()), Some(name));
    }

    #[test]
    fn inbox_has_no_case_as_a_first_level_only() {
        assert_eq!(FolderName::parse("inbox/Kid").unwrap().as_str(), "INBOX/Kid");
        assert_eq!(FolderName::parse("a/inbox").unwrap().as_str(), "a/inbox");
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        for text in ["", "/a", "a/", "a//b", "a\\", "a\\x", "a\nb"] {
            assert_eq!(FolderName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn octets_that_do_not_decode_keep_a_reversible_name() {
        let wire = WireName::new(*b"caf\xe9\\\r\n");
        assert_eq!(wire.decode(), None);
        assert_eq!(FolderName::from_undecodable(&wire).as_str(), "wire:caf\\xe9\\x5c\\x0d\\x0a");
        let file = serde_json::to_string(&wire).unwrap();
        assert_eq!(serde_json::from_str::<WireName>(&file).unwrap(), wire);
    }

    #[test]
    fn a_level_that_holds_the_delimiter_cannot_be_written() {
        assert_eq!(WireName::from_levels("", ["a.b"], Some(b'.')), None);
        assert_eq!(WireName::from_levels("", ["a", "b"], None), None);
        let wire = WireName::from_levels("INBOX.", ["a", "é"], Some(b'.')).unwrap();
        assert_eq!(wire.as_octets(), b"INBOX.a.&AOk-");
    }

    proptest! {
        #[test]
        fn levels_come_back(levels in proptest::collection::vec("[a-z/\\\\ é.]{1,6}", 1..4)) {
            let name = FolderName::from_levels(levels.iter().map(String::as_str));
            prop_assert_eq!(name.levels().unwrap(), levels);
        }
    }
}

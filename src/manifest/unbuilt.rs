//! Keys and values that the manifest will have and this version has not. They are refused by name, so
//! that nobody takes silence for support and nobody hunts for a typo that is none.

/// Keys, by the table of the schema that they will stand in.
const KEYS: &[(&str, &[&str])] = &[
    (
        "Manifest",
        &[
            "accounts-file",
            "allow-commands",
            "accounts",
            "sources",
            "destinations",
            "dates",
            "labels",
            "delete",
            "report",
            "cutover",
        ],
    ),
    ("EndpointTable", ENDPOINT),
    ("ServerTable", ENDPOINT),
    ("TlsTable", &["pin", "min-version", "certificate", "key"]),
    ("LimitsTable", &["accounts-at-once"]),
    ("SecretTable", &["keyring", "csv", "column", "prompt"]),
    ("FoldersTable", &["roles", "mark-roles", "into", "collisions", "existing", "acl", "rename"]),
    (
        "MessagesTable",
        &["age-by", "tail", "removed", "across-folders", "skip", "identity", "transform"],
    ),
    ("FlagsTable", &["only", "remove", "rename", "unsupported"]),
    ("SourceSideTable", &["dates", "labels"]),
    ("DestinationSideTable", &["dates", "labels"]),
];

const ENDPOINT: &[&str] = &[
    "without",
    "namespaces",
    "list-reference",
    "list-pattern",
    "ip",
    "proxy",
    "send-id",
    "max-message",
    "max-line",
    "auth",
    "oauth",
    "names",
];

/// Values, by the choice of the schema that they will belong to.
const VALUES: &[(&str, &[&str])] = &[
    ("Mode", &["mirror", "archive", "tail"]),
    ("TlsMode", &["starttls"]),
    (
        "Quirk",
        &[
            "flags-after-append",
            "flagged-after-append",
            "case-insensitive-names",
            "merges-equal",
            "suggested-uids",
            "view-limit",
            "force-index",
        ],
    ),
];

/// The keys that the table `definition` of the schema will have.
pub(crate) fn keys(definition: &str) -> &'static [&'static str] {
    find(KEYS, definition)
}

/// The values that the choice `definition` of the schema will have.
pub(crate) fn values(definition: &str) -> &'static [&'static str] {
    find(VALUES, definition)
}

fn find(table: &[(&str, &'static [&'static str])], definition: &str) -> &'static [&'static str] {
    table.iter().find(|(name, _)| *name == definition).map_or(&[], |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unbuilt_belongs_to_the_schema_and_is_not_in_it() {
        let schema = serde_json::to_value(crate::manifest::schema()).unwrap();
        let text = schema.to_string();
        assert!(!text.contains("\"null\""));
        for (definition, words) in KEYS {
            let table =
                if *definition == "Manifest" { &schema } else { &schema["$defs"][definition] };
            for word in *words {
                let known = table["properties"].as_object().unwrap();
                assert!(!known.contains_key(*word), "{definition}.{word}");
            }
        }
        for (definition, words) in VALUES {
            let choice = schema["$defs"][definition]["oneOf"].to_string();
            for word in *words {
                assert!(choice.contains("const") && !choice.contains(word), "{definition} {word}");
            }
        }
    }
}

//! `docs/reference/manifest.md`, made from the schema: each key with its type, default and meaning,
//! and what is not supported yet.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::manifest::unbuilt;

const HEAD: &str = "\
# The manifest

Every key of this version. Made from the program's types by a test; the JSON Schema for editors is
`schemas/manifest.schema.json`, also printed by `mailferry schema`. Ready manifests are in
[`examples/manifests`](../../examples/manifests/README.md).

## Rules that hold everywhere

- TOML 1.0. Keys are in kebab-case. An unknown key is a fault with a suggestion, one that is not built
  yet is refused as \"not supported yet\": nothing is passed over in silence.
- A folder name is decoded Unicode with `/` between levels, whatever the server uses, without the
  personal prefix (`INBOX.`), relative to `root`. The inbox is always `INBOX`. A `/` inside a level is
  written `\\/`, a backslash `\\\\`. `mailferry plan` shows names in this form.
- A folder pattern is a name, a glob (`*` and `?` stay inside a level, `**` crosses levels, a final `/**`
  takes the folder and all below it), `re:…` (a regular expression, unanchored) or `role:…` (`inbox`, `all`,
  `archive`, `drafts`, `flagged`, `important`, `junk`, `sent`, `trash`, by the server's SPECIAL-USE
  attributes). Case counts, except in INBOX. Regular expressions belong in single quotes.
- Sizes, ages and periods are strings with a unit; a bare number is a fault that names the two likeliest
  spellings. Days are TOML dates without quotes and begin at 0:00 UTC.
- Layers, a later one wins: built in, the destination's profile, the source's profile, the manifest, the
  environment, `--set`. Tables merge key by key, values replace; lists marked *adds* are joined.
- In the environment `MAILFERRY__SOURCE__TLS__SERVER_NAME` is `source.tls.server-name`: two underscores part
  levels, one stands for `-`. `--set source.port=1143` does the same. The header of a plan lists every
  value that did not come from a file.
- A password never stands in a manifest. Left out, it is asked for on a terminal.
- Nothing is ever deleted: the keys that will switch deletion on are not supported yet.
- Paths are relative to the manifest's folder.
";

/// Tables of the page: heading, definition in the schema (nothing for the top), keys that are tables
/// and have a heading of their own.
const TABLES: &[(&str, &str)] = &[
    ("Top level", "Manifest"),
    ("`[source]` and `[destination]`", "EndpointTable"),
    ("`tls` of an endpoint", "TlsTable"),
    ("`limits` of an endpoint", "EndpointLimitsTable"),
    ("`password` of an endpoint", "SecretTable"),
    ("`[folders]`", "FoldersTable"),
    ("`[messages]`", "MessagesTable"),
    ("`[flags]`", "FlagsTable"),
    ("`[limits]`", "LimitsTable"),
    ("`[errors]`", "ErrorsTable"),
    ("`[state]`", "StateTable"),
    ("`[profiles.NAME]`, or a file `profiles/NAME.toml`", "ProfileTable"),
    ("`server` of a profile", "ServerTable"),
    ("`as-source` of a profile", "SourceSideTable"),
    ("`as-destination` of a profile", "DestinationSideTable"),
    ("`[[facts]]` of a profile", "FactTable"),
];

const CHOICES: &[&str] = &[
    "Mode",
    "TlsMode",
    "Compress",
    "Missing",
    "Empty",
    "Subscribe",
    "Deleted",
    "Duplicates",
    "UidOrder",
    "OnExisting",
    "Quirk",
];

/// Defaults that no description tells.
const SAID: &[(&str, &str, &str)] = &[
    ("Manifest", "mode", "`\"migrate\"`"),
    ("Manifest", "source", "required"),
    ("Manifest", "destination", "required"),
    ("EndpointTable", "host", "required, or from the profile"),
    ("EndpointTable", "user", "required"),
    ("EndpointTable", "password", "asked for"),
    ("EndpointTable", "root", "the whole mailbox"),
];

fn page() -> String {
    let schema = serde_json::to_value(crate::manifest::schema()).unwrap();
    let definitions = &schema["$defs"];
    let mut page = HEAD.to_owned();
    for (heading, definition) in TABLES {
        let table = if *definition == "Manifest" { &schema } else { &definitions[definition] };
        write!(page, "\n## {heading}\n\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n")
            .unwrap();
        let required = table["required"].as_array().cloned().unwrap_or_default();
        for (key, value) in table["properties"].as_object().unwrap() {
            let (meaning, mut default) = meaning(text_of(value, definitions));
            if let Some((_, _, said)) =
                SAID.iter().find(|(table, known, _)| table == definition && known == key)
            {
                default = (*said).to_owned();
            }
            if required.contains(&Value::from(key.as_str())) {
                default = "required".to_owned();
            }
            let kind = kind_of(value, definitions);
            writeln!(page, "| `{key}` | {kind} | {default} | {meaning} |").unwrap();
        }
    }
    page.push_str("\n## Choices\n\n| Choice | Value | Meaning |\n|---|---|---|\n");
    for definition in CHOICES {
        let used: Vec<String> = users_of(definition, &schema);
        for option in definitions[definition]["oneOf"].as_array().unwrap() {
            let word = option["const"].as_str().unwrap();
            let meaning = one_line(option["description"].as_str().unwrap());
            writeln!(page, "| {} | `{word}` | {meaning} |", used.join(", ")).unwrap();
        }
    }
    page.push_str("\n## Not supported yet\n\nThese are known and refused by name.\n\n| Where | Keys or values |\n|---|---|\n");
    for (heading, definition) in TABLES {
        let keys = unbuilt::keys(definition);
        if !keys.is_empty() {
            writeln!(page, "| {heading} | {} |", listed(keys)).unwrap();
        }
    }
    for definition in CHOICES {
        let values = unbuilt::values(definition);
        if !values.is_empty() {
            writeln!(page, "| {} | {} |", users_of(definition, &schema).join(", "), listed(values))
                .unwrap();
        }
    }
    page
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The keys that take a choice.
fn users_of(definition: &str, schema: &Value) -> Vec<String> {
    let wanted = format!("#/$defs/{definition}");
    let mut users = Vec::new();
    for (_, table) in TABLES {
        let table = if *table == "Manifest" { schema } else { &schema["$defs"][table] };
        for (key, value) in table["properties"].as_object().unwrap() {
            let key =
                if definition == "TlsMode" { format!("`tls.{key}`") } else { format!("`{key}`") };
            if (value["$ref"] == *wanted || value["items"]["$ref"] == *wanted)
                && !users.contains(&key)
            {
                users.push(key);
            }
        }
    }
    assert!(!users.is_empty(), "nothing takes {definition}");
    users
}

fn text_of<'a>(value: &'a Value, definitions: &'a Value) -> &'a str {
    value["description"].as_str().unwrap_or_else(|| {
        let name = value["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        definitions[name]["description"].as_str().unwrap()
    })
}

/// What a description says, and the default that its last sentence tells.
fn meaning(description: &str) -> (String, String) {
    let description = one_line(description);
    let cut = [". Default: ", ". Default "].iter().find_map(|mark| {
        let (meaning, default) = description.rsplit_once(mark)?;
        Some((format!("{meaning}."), default.strip_suffix('.').unwrap_or(default)))
    });
    match cut {
        None => (description, "-".to_owned()),
        Some((meaning, default)) if default.starts_with(['"', '[']) || is_plain(default) => {
            (meaning, format!("`{default}`"))
        }
        Some((meaning, default)) => (meaning, default.to_owned()),
    }
}

/// One word: a number or a truth.
fn is_plain(default: &str) -> bool {
    default.bytes().all(|octet| octet.is_ascii_digit()) || ["true", "false"].contains(&default)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn kind_of(value: &Value, definitions: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|link| link.rsplit('/').next()) {
        let target = &definitions[name];
        if let Some(options) = target["oneOf"].as_array() {
            let words: Vec<String> = options
                .iter()
                .map(|option| format!("`\"{}\"`", option["const"].as_str().unwrap()))
                .collect();
            return words.join(" / ");
        }
        return match target["x-kind"].as_str() {
            Some(kind) => kind.to_owned(),
            None => "table, below".to_owned(),
        };
    }
    match value["type"].as_str().unwrap() {
        "array" => {
            let of = match value["x-items"].as_str() {
                Some("pattern") => "folder patterns",
                _ if value["items"]["$ref"] == "#/$defs/FactTable" => "tables",
                _ if value["items"]["$ref"].is_string() => "choices",
                _ => "strings",
            };
            let adds = if value["x-adds"] == true { ", adds" } else { "" };
            format!("list of {of}{adds}")
        }
        "object" if value["additionalProperties"]["$ref"].is_string() => {
            "tables, by name".to_owned()
        }
        "object" => "table of strings".to_owned(),
        other => other.to_owned(),
    }
}

#[test]
fn the_reference_of_the_manifest_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/manifest.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "run `BLESS=1 cargo test reference` and commit the page");
}

#[test]
fn every_table_and_choice_of_the_schema_is_on_the_page() {
    let schema = serde_json::to_value(crate::manifest::schema()).unwrap();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let here =
            TABLES.iter().any(|(_, table)| table == name) || CHOICES.contains(&name.as_str());
        let value = definition["x-kind"].is_string();
        assert!(here || value || name == "SettleTable", "{name} has no place on the page");
    }
}

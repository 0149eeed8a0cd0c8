//! Committed schemas are those of the types.

use std::env;
use std::fs;

/// Compares `schemas/<name>` with `schema`; writes it instead when `BLESS` is set.
#[track_caller]
pub(crate) fn check(name: &str, schema: &schemars::Schema) {
    let path = crate::support::project().join("schemas").join(name);
    let fresh = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, fresh, "run `BLESS=1 cargo test schemas` and commit {name}");
}

#[test]
fn manifest_schema_is_that_of_the_types() {
    check("manifest.schema.json", &mailferry::manifest::schema());
}

#[test]
fn manifest_schema_is_a_schema() {
    let schema = serde_json::to_value(mailferry::manifest::schema()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
}

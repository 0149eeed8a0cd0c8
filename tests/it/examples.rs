//! Every example is a manifest without a fault and without a hint.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use mailferry::mail::Timestamp;
use mailferry::manifest::LoadRequest;
use mailferry::manifest::load;

pub(crate) fn folder(name: &str) -> PathBuf {
    crate::support::project().join(name)
}

/// The files of a folder with this ending, by name.
pub(crate) fn files(name: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "no .{ending} in {name}");
    files
}

pub(crate) fn request(path: &Path) -> LoadRequest {
    LoadRequest {
        path: path.to_owned(),
        env: Vec::new(),
        set: Vec::new(),
        now: Timestamp::from_seconds(1_795_000_000),
    }
}

/// The TOML of a manifest as a JSON Schema sees it: a date is a string.
pub(crate) fn as_json(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(array) => array.iter().map(as_json).collect(),
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), as_json(value))).collect()
        }
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
    }
}

#[track_caller]
pub(crate) fn conforms(path: &Path) -> bool {
    let schema = serde_json::to_value(mailferry::manifest::schema()).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    jsonschema::validator_for(&schema).unwrap().is_valid(&as_json(&toml::Value::Table(manifest)))
}

#[test]
fn every_example_is_valid_and_conforms_to_the_schema() {
    for path in files("examples/manifests", "toml") {
        match load(&request(&path)) {
            Ok(loaded) => assert_eq!(loaded.hints, [""; 0], "{}", path.display()),
            Err(faults) => panic!("{faults}"),
        }
        assert!(conforms(&path), "{}", path.display());
    }
}

#[test]
fn every_example_is_in_the_list() {
    let list = fs::read_to_string(folder("examples/manifests/README.md")).unwrap();
    for path in files("examples/manifests", "toml") {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(list.matches(&format!("`{name}`:")).count(), 1, "{name}");
    }
}

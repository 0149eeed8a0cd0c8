//! Manifests that are taken, and manifests that are refused with the text beside them.

use std::env;
use std::fs;
use std::path::Path;

use mailferry::manifest::Faults;
use mailferry::manifest::LoadRequest;
use mailferry::manifest::Loaded;
use mailferry::manifest::Place;
use mailferry::manifest::load;
use mailferry::manifest::render;
use mailferry::manifest::render::Colour;

use crate::examples::conforms;
use crate::examples::files;
use crate::examples::folder;
use crate::examples::request;

/// Reads the first lines of a manifest: `# env NAME=VALUE` and `# set key=value`.
fn request_of(path: &Path) -> LoadRequest {
    let text = fs::read_to_string(path).unwrap();
    let mut request = request(path);
    for line in text.lines() {
        if let Some((name, value)) =
            line.strip_prefix("# env ").and_then(|setting| setting.split_once('='))
        {
            request.env.push((name.to_owned(), value.to_owned()));
        } else if let Some(setting) = line.strip_prefix("# set ") {
            request.set.push(setting.to_owned());
        }
    }
    request
}

/// The text for people, with the folder of the tests taken out.
fn shown(faults: &Faults) -> String {
    let here = format!("{}/", folder("tests/manifests/invalid").display());
    render::faults(faults, Colour::Never).replace(&here, "")
}

fn loaded(path: &Path) -> Loaded {
    load(&request_of(path)).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn every_fault_has_the_text_beside_it() {
    for path in files("tests/manifests/invalid", "toml") {
        let Err(faults) = load(&request_of(&path)) else { panic!("{} is valid", path.display()) };
        let expected = path.with_extension("stderr");
        let fresh = shown(&faults);
        if env::var_os("BLESS").is_some() {
            fs::write(&expected, &fresh).unwrap();
        }
        let committed = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(committed, fresh, "{}: run `BLESS=1 cargo test manifests`", path.display());
        assert!(!fresh.contains("hunter2"), "{} shows a secret", path.display());
    }
}

#[test]
fn every_valid_manifest_conforms_and_its_resolved_form_says_the_same() {
    for path in files("tests/manifests/valid", "toml")
        .into_iter()
        .chain(files("examples/manifests", "toml"))
    {
        let first = loaded(&path);
        assert!(conforms(&path), "{}", path.display());
        let golden = folder("tests/manifests/resolved").join(path.file_name().unwrap());
        let here = format!("{}/", folder("").display().to_string().trim_end_matches('/'));
        let fresh = first.resolved_toml().replace(&here, "");
        if env::var_os("BLESS").is_some() {
            fs::write(&golden, &fresh).unwrap();
        }
        let committed = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(committed, fresh, "{}: run `BLESS=1 cargo test manifests`", path.display());
        let beside = tempfile::tempdir().unwrap();
        let again = beside.path().join("mailferry.toml");
        fs::write(&again, first.resolved_toml()).unwrap();
        let second =
            load(&request(&again)).unwrap_or_else(|faults| panic!("{}\n{faults}", path.display()));
        assert!(conforms(&again), "{}", first.resolved_toml());
        let body = |loaded: &Loaded| {
            let text = loaded.resolved_toml();
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(body(&first), body(&second), "{}", path.display());
        for (first, second) in first.migrations.iter().zip(&second.migrations) {
            assert_eq!(first.digest, second.digest, "{}", path.display());
            assert_eq!(first.errors, second.errors);
            assert_eq!(first.source.tls.mode, second.source.tls.mode);
            assert_eq!(first.destination.quirks, second.destination.quirks);
        }
    }
}

#[test]
fn ten_faults_on_three_levels_and_in_two_files_are_ten_places() {
    let path = folder("tests/manifests/invalid/ten_faults.toml");
    let faults = load(&request_of(&path)).unwrap_err().faults;
    let mut places: Vec<String> = faults
        .iter()
        .map(|fault| match &fault.place {
            Place::File { file, spot: Some(spot) } => {
                format!("{file}:{}:{}", spot.line, spot.column)
            }
            other => other.name(),
        })
        .collect();
    assert_eq!(places.len(), 10);
    let lines = |file: &str| {
        let spots = faults.iter().filter_map(|fault| match &fault.place {
            Place::File { file: found, spot: Some(spot) } if found.ends_with(file) => {
                Some((spot.line, spot.column))
            }
            _ => None,
        });
        spots.collect::<Vec<_>>()
    };
    assert!(lines("/ten_faults.toml").is_sorted() && lines("/ten.toml").is_sorted(), "{places:?}");
    assert_eq!(lines("/ten_faults.toml").len() + lines("/ten.toml").len(), 10);
    places.dedup();
    assert_eq!(places.len(), 10, "{places:?}");
    let mut files: Vec<String> = faults.iter().map(|fault| fault.place.name()).collect();
    files.dedup();
    assert_eq!(files.len(), 2, "{files:?}");
}

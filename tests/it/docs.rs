//! What documents, help and screens say of the program and the project is true.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{mailferry, project};

/// Words that follow the program's name in sentences and are no commands.
const PROSE: &[&str] = &["identity", "report", "wrote"];

/// All files below these places of the project with one of these endings.
fn files(places: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = places.iter().map(|place| project().join(place)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path
            .extension()
            .is_some_and(|ending| endings.iter().any(|known| ending == *known))
        {
            found.push(path);
        }
    }
    found.sort();
    assert!(found.len() >= places.len(), "{places:?}");
    found
}

fn papers() -> Vec<PathBuf> {
    let places =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "examples"];
    files(&places, &["md", "toml"])
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn help_of(line: &[&str]) -> String {
    let output = Command::new(mailferry()).args(line).arg("--help").output().unwrap();
    assert!(output.status.success(), "{line:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the program has, with the text of their help.
fn commands() -> BTreeMap<String, String> {
    let help = help_of(&[]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines.take_while(|line| !line.is_empty());
    names
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(|name| (name.to_owned(), help_of(&[name])))
        .collect()
}

/// The words after each `mailferry ` of a text.
fn words_after(text: &str) -> impl Iterator<Item = &str> {
    text.split("mailferry ").skip(1).filter_map(|rest| {
        let word = rest.split(|letter: char| !letter.is_ascii_lowercase() && letter != '-').next();
        word.filter(|word| !word.is_empty() && !word.starts_with('-'))
    })
}

/// The parts of a Markdown text that are code: between backticks, and lines of fenced blocks that
/// begin with the program or a prompt.
fn code_of(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let line = line.trim().trim_start_matches("$ ");
            if line.starts_with("mailferry ") || line.contains("Next: mailferry ") {
                parts.push(line.to_owned());
            }
        } else {
            parts.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    parts
}

#[test]
fn every_command_that_is_named_anywhere_exists() {
    let commands = commands();
    assert_eq!(commands.len(), 6, "{commands:#?}");
    let mut faults = BTreeSet::new();
    let mut seen = 0;
    let mut judge = |path: &Path, text: &str| {
        for word in words_after(text) {
            seen += 1;
            if !commands.contains_key(word) && !PROSE.contains(&word) && word != "help" {
                faults.insert(format!("{}: mailferry {word}", path.display()));
            }
        }
    };
    for path in papers() {
        let text = read(&path);
        if path.extension().is_some_and(|ending| ending == "md") {
            for part in code_of(&text) {
                judge(&path, &part);
            }
        } else {
            judge(&path, &text);
        }
    }
    for path in files(&["src", "scripts/demo.sh"], &["rs", "sh"]) {
        let text = read(&path);
        let spoken = text.lines().filter(|line| {
            let line = line.trim_start();
            !line.starts_with("//") && !line.starts_with('#')
        });
        for line in spoken {
            judge(&path, line);
        }
    }
    for help in commands.values() {
        judge(Path::new("--help"), help);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(seen > 50, "{seen}: nothing was looked at");
}

#[test]
fn every_flag_of_a_command_line_in_a_document_exists() {
    let commands = commands();
    let mut seen = 0;
    let mut faults = Vec::new();
    for path in papers().iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
        for part in code_of(&read(path)) {
            let Some(rest) = part.strip_prefix("mailferry ") else { continue };
            let mut words = rest.split_whitespace();
            let Some(help) = words.next().and_then(|name| commands.get(name)) else { continue };
            for flag in words.filter(|word| word.starts_with('-')) {
                let flag = flag.split('=').next().unwrap().trim_end_matches([',', '.', ']']);
                seen += 1;
                let known = help.split([' ', ',', '\n']).any(|word| word == flag);
                if !known {
                    faults.push(format!("{}: {part}: {flag}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(seen > 6, "{seen}: nothing was looked at");
}

#[test]
fn every_link_inside_the_project_leads_somewhere() {
    let mut faults = Vec::new();
    for path in papers() {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap();
            if !path.parent().unwrap().join(file).exists() {
                faults.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_map_of_the_code_has_every_module_and_fits_its_length() {
    let text = read(&project().join("docs/architecture.md"));
    assert!(text.lines().count() < 300);
    for entry in fs::read_dir(project().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(text.contains(&format!("`src/{name}`")), "src/{name} is not on the map");
        }
    }
    for named in text.split('`').skip(1).step_by(2).filter(|part| part.contains('/')) {
        let is_path = ["src/", "tests/", "docs/", "schemas/", "scripts/", "examples/"];
        if is_path.iter().any(|start| named.starts_with(start)) {
            assert!(project().join(named).exists(), "{named} is on the map and not there");
        }
    }
}

#[test]
fn every_document_is_in_the_index() {
    let index = read(&project().join("docs/README.md"));
    let decisions = read(&project().join("docs/decisions/README.md"));
    for path in files(&["docs"], &["md"]) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let list = if path.parent().unwrap().ends_with("decisions") { &decisions } else { &index };
        assert!(name == "README.md" || list.contains(name), "{name} is in no index");
    }
}

#[test]
fn no_dependency_is_without_use() {
    let manifest: toml::Table = read(&project().join("Cargo.toml")).parse().unwrap();
    let sources: Vec<String> =
        files(&["src", "tests", "benches"], &["rs"]).iter().map(|path| read(path)).collect();
    for part in ["dependencies", "dev-dependencies"] {
        for name in manifest[part].as_table().unwrap().keys() {
            let path = name.replace('-', "_") + "::";
            let used = sources.iter().any(|text| text.contains(&path));
            assert!(used, "{name} of [{part}] is used nowhere");
        }
    }
}

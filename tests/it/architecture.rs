//! The directions between modules, and the rules of form that a compiler does not keep.

use std::path::Path;
use std::path::PathBuf;

use crate::support::project;

/// What each module may name besides itself; `store::{..}` in part, by item.
const MAY_NAME: &[(&str, &[&str])] = &[
    // The core: no input or output, cannot fail.
    ("mail", &[]),
    ("identity", &["mail"]),
    (
        "snapshot",
        &[
            "mail",
            "identity",
            "rule::NameRules",
            "store::FolderStatus",
            "store::ListRow",
            "store::Listing",
        ],
    ),
    ("rule", &["mail"]),
    ("profile", &["mail", "rule"]),
    ("matching", &["mail", "identity", "snapshot"]),
    ("plan", &["mail"]),
    (
        "planner",
        &[
            "mail",
            "identity",
            "snapshot",
            "rule",
            "plan",
            "matching",
            "store::Abilities",
            "store::AppendWays",
            "store::FolderState",
            "store::FolderStatus",
            "store::ListRow",
            "store::Listing",
            "store::Namespace",
            "store::ServerSeen",
        ],
    ),
    ("resolve", &["mail", "rule", "profile", "manifest"]),
    // The port.
    ("store", &["mail"]),
    // The edges.
    // Its `load` has `resolve` look across keys, so that all faults come at once.
    ("manifest", &["mail", "rule", "profile", "resolve"]),
    ("state", &["mail", "plan", "identity", "store", "limit"]),
    ("session", &["store", "mail"]),
    ("limit", &["session", "mail"]),
    ("inspect", &["store", "snapshot", "identity", "mail", "rule", "matching", "state", "plan"]),
    ("imap", &["store", "mail", "limit"]),
    (
        "planning",
        &[
            "store", "plan", "state", "mail", "identity", "matching", "inspect", "snapshot",
            "rule", "planner", "session",
        ],
    ),
    (
        "apply",
        &[
            "store", "plan", "state", "mail", "identity", "matching", "inspect", "snapshot",
            "session",
        ],
    ),
    (
        "verify",
        &[
            "store",
            "plan",
            "state",
            "mail",
            "identity",
            "matching",
            "inspect",
            "snapshot",
            "rule",
            "planner",
            "session",
            "report::model",
        ],
    ),
    ("report", &["plan", "state", "apply", "verify", "mail", "manifest", "store"]),
    (
        "cli",
        &[
            "mail", "identity", "snapshot", "rule", "profile", "matching", "plan", "planner",
            "resolve", "store", "manifest", "state", "inspect", "imap", "planning", "apply",
            "verify", "report", "session", "limit",
        ],
    ),
];

/// The modules under the lint fence.
const PURE: [&str; 9] =
    ["mail", "identity", "snapshot", "rule", "profile", "resolve", "matching", "plan", "planner"];

const FENCE: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";

/// How many lines a file may have without its tests.
const CEILING: usize = 600;

/// One source file, without comments and without its unit tests.
struct Source {
    /// Relative to the project.
    path: String,
    /// The module that it belongs to; `main` and `lib` for the two roots.
    module: String,
    /// Line number and text of each line with code.
    code: Vec<(usize, String)>,
    /// All lines up to the tests.
    lines: usize,
    whole: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let inner = path.strip_prefix("src/").unwrap_or(path);
        let module = inner.split(['/', '.']).next().unwrap_or_default().to_owned();
        let lines: Vec<&str> = text.lines().collect();
        // Only a module that follows the attribute at once is the tests below the code.
        let tests = (0..lines.len()).find(|at| {
            lines[*at] == "#[cfg(test)]"
                && lines.get(at + 1).is_some_and(|next| next.starts_with("mod tests {"))
        });
        let kept = tests.unwrap_or(lines.len());
        let code = (1..)
            .zip(&lines[..kept])
            .map(|(number, line)| (number, line.split("//").next().unwrap_or_default().trim()))
            .filter(|(_, line)| !line.is_empty())
            .map(|(number, line)| (number, line.to_owned()))
            .collect();
        Self { path: path.to_owned(), module, code, lines: kept, whole: text.to_owned() }
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn sources(folder: &str) -> Vec<Source> {
    let project = project();
    let files = files_below(&project.join(folder), ".rs");
    assert!(!files.is_empty(), "no sources below {}", project.join(folder).display());
    files
        .iter()
        .filter(|file| !is_test_module(file))
        .map(|file| {
            let path = file.strip_prefix(&project).unwrap().to_string_lossy().into_owned();
            Source::new(&path, &std::fs::read_to_string(file).unwrap())
        })
        .collect()
}

/// Tells whether the file is declared as a module for tests only.
fn is_test_module(file: &Path) -> bool {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parent = file.with_file_name("mod.rs");
    std::fs::read_to_string(parent)
        .is_ok_and(|text| text.contains(&format!("#[cfg(test)]\nmod {name};")))
}

fn check(sources: &[Source], find: impl Fn(&Source, &mut Vec<String>)) {
    let mut faults = Vec::new();
    for source in sources {
        find(source, &mut faults);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Finds a word that stands free: no letter before it and, behind a path, no `::`.
fn names_crate(line: &str, name: &str) -> bool {
    let pattern = format!("{name}::");
    line.match_indices(&pattern).any(|(at, _)| {
        let before = &line[..at];
        // `::imap::` is the outside crate again, `crate::imap::` is our module.
        let path = before.strip_suffix("::").is_some_and(|path| path.ends_with(is_word));
        !path && !before.ends_with(is_word)
    })
}

fn wrong_directions(source: &Source, faults: &mut Vec<String>) {
    if ["main", "lib"].contains(&&*source.module) {
        return;
    }
    let Some((_, allowed)) = MAY_NAME.iter().find(|(module, _)| *module == source.module) else {
        faults.push(format!("{}: module `{}` is not in the table", source.path, source.module));
        return;
    };
    for (number, line) in &source.code {
        for path in line.split("crate::").skip(1) {
            let mut words = path
                .split("::")
                .map(|word| word.split(|letter: char| !is_word(letter)).next().unwrap_or_default());
            let module = words.next().unwrap_or_default();
            let item = format!("{module}::{}", words.next().unwrap_or_default());
            if module != source.module && !allowed.contains(&module) && !allowed.contains(&&*item) {
                faults.push(format!("{}: names crate::{path}", source.place(*number)));
            }
        }
        if line.contains("super::super") {
            faults.push(format!("{}: super::super", source.place(*number)));
        }
    }
}

fn misplaced_crates_and_prints(source: &Source, faults: &mut Vec<String>) {
    for (number, line) in &source.code {
        for name in ["imap", "imap_proto"] {
            if source.module != "imap" && names_crate(line, name) {
                faults
                    .push(format!("{}: the crate {name} outside src/imap", source.place(*number)));
            }
        }
        let prints = ["print!(", "println!(", "dbg!(", "io::stdout(", "io::stderr("];
        let may_print = ["report", "cli", "main"].contains(&&*source.module);
        if !may_print && prints.iter().any(|print| line.contains(print)) {
            faults.push(format!("{}: only `report` prints", source.place(*number)));
        }
    }
}

#[test]
fn modules_name_only_what_they_may() {
    check(&sources("src"), wrong_directions);
}

#[test]
fn table_and_library_have_the_same_modules() {
    let text = std::fs::read_to_string(project().join("src/lib.rs")).unwrap();
    let declared = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let mut listed: Vec<&str> = MAY_NAME.iter().map(|(module, _)| *module).collect();
    listed.sort_unstable();
    assert_eq!(declared.collect::<Vec<_>>(), listed);
    let known = |name: &str| MAY_NAME.iter().any(|(module, _)| *module == name);
    for name in MAY_NAME.iter().flat_map(|(_, allowed)| *allowed) {
        assert!(known(name.split("::").next().unwrap_or_default()), "{name}");
    }
    assert!(!MAY_NAME.iter().any(|(_, allowed)| allowed.contains(&"cli")));
}

#[test]
fn imap_crate_and_printing_stay_in_their_modules() {
    check(&sources("src"), misplaced_crates_and_prints);
}

#[test]
fn pure_modules_stand_behind_the_fence() {
    check(&sources("src"), |source, faults| {
        let head = PURE.iter().any(|module| {
            source.path == format!("src/{module}/mod.rs")
                || source.path == format!("src/{module}.rs")
        });
        // A file without code has nothing to fence in.
        if head && !source.code.is_empty() && !source.whole.contains(FENCE) {
            faults.push(format!("{}: lacks {FENCE}", source.path));
        }
        let lifts = ["allow(clippy::disallowed", "expect(clippy::disallowed"];
        if PURE.contains(&&*source.module) {
            for (number, line) in &source.code {
                if lifts.iter().any(|lift| line.contains(lift)) {
                    faults.push(format!("{}: lifts the fence", source.place(*number)));
                }
            }
        }
    });
}

#[test]
fn files_stay_below_the_ceiling() {
    let sources: Vec<Source> = sources("src").into_iter().chain(sources("tests")).collect();
    check(&sources, |source, faults| {
        if source.lines > CEILING {
            faults.push(format!("{}: {} lines, at most {CEILING}", source.path, source.lines));
        }
    });
}

#[test]
fn nothing_is_left_for_later() {
    let project = project();
    let mut faults = Vec::new();
    let folders = [("src", ".rs"), ("tests", ".rs"), ("scripts", ".sh"), ("docs", ".md")];
    for file in
        folders.iter().flat_map(|(folder, ending)| files_below(&project.join(folder), ending))
    {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["#[ig", "nore"]];
            if marks.iter().any(|mark| line.contains(&mark.concat())) {
                faults.push(format!("{}:{number}: {line}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn tests_find_project_and_program_through_support() {
    // Otherwise they fail where they run from a copy, as another user.
    check(&sources("tests/it"), |source, faults| {
        let direct = [["CARGO_BIN_", "EXE"], ["CARGO_MANI", "FEST_DIR"]];
        for (number, line) in &source.code {
            if source.path != "tests/it/support/mod.rs"
                && direct.iter().any(|name| line.contains(&name.concat()))
            {
                faults.push(format!("{}: use support::", source.place(*number)));
            }
        }
    });
}

#[test]
fn each_fence_lets_nothing_through() {
    let faults = |path: &str, text: &str| {
        let (source, mut faults) = (Source::new(path, text), Vec::new());
        wrong_directions(&source, &mut faults);
        misplaced_crates_and_prints(&source, &mut faults);
        faults.len()
    };
    assert_eq!(faults("src/mail/uid.rs", "use crate::mail::Flag;\n// crate::cli\n"), 0);
    assert_eq!(faults("src/mail/uid.rs", "use crate::store::Look;\n"), 1);
    assert_eq!(faults("src/planner/mod.rs", "use crate::store::Listing;\n"), 0);
    assert_eq!(faults("src/planner/mod.rs", "use crate::store::Source;\n"), 1);
    assert_eq!(faults("src/planner/mod.rs", "use crate::store::{Listing, Source};\n"), 1);
    assert_eq!(faults("src/apply/mod.rs", "let x = crate::cli::run();\n"), 1);
    assert_eq!(faults("src/newcomer/mod.rs", "struct New;\n"), 1);
    assert_eq!(faults("src/rule/mod.rs", "use super::super::mail;\n"), 1);
    assert_eq!(faults("src/apply/mod.rs", "use imap::Session;\n"), 1);
    assert_eq!(faults("src/apply/mod.rs", "type T = ::imap::Session<u8>;\n"), 1);
    assert_eq!(faults("src/cli/mod.rs", "use crate::imap::connect;\nprintln!();\n"), 0);
    assert_eq!(faults("src/state/mod.rs", "eprintln!(\"x\");\n"), 1);
    let tests = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::cli::x;\n}\n";
    assert_eq!(faults("src/mail/mod.rs", tests), 0);
}

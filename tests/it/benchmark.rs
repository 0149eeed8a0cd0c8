//! `scripts/bench.sh` is no test and is run by none; what it says of itself is true.

use std::process::Command;
use std::process::Output;

use crate::support::project;

fn bench(arguments: &[&str]) -> Output {
    let script = project().join("scripts/bench.sh");
    Command::new("bash").arg(script).args(arguments).output().unwrap()
}

/// The options in a text: words that begin with two hyphens.
fn options(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2)
}

#[test]
fn every_option_of_the_benchmark_in_its_document_exists() {
    let help = bench(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let document = std::fs::read_to_string(project().join("docs/performance.md")).unwrap();
    let lines: Vec<&str> =
        document.lines().filter(|line| line.trim_start().starts_with("scripts/bench.sh")).collect();
    let named: Vec<&str> = lines.iter().flat_map(|line| options(line)).collect();
    assert!(named.len() > 5, "{named:?}");
    for option in named {
        assert!(options(&help).any(|known| known == option), "{option} is not in --help");
    }
}

#[test]
fn benchmark_refuses_what_it_does_not_know_before_it_starts_anything() {
    let wrong: [(&[&str], &str); 8] = [
        (&["--size", "X"], "--size"),
        (&["--rounds", "0"], "--rounds"),
        (&["--rounds", "many"], "--rounds"),
        (&["--rtt", "-1"], "--rtt"),
        (&["--peers", "floor,nobody"], "'nobody'"),
        (&["--peers", "other"], "--other"),
        (&["--again", "perhaps"], "--again"),
        (&["--speed", "high"], "--speed"),
    ];
    for (arguments, named) in wrong {
        let output = bench(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("scripts/bench.sh: ") && said.contains(named), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

//! What may not come in among the dependencies, read from `Cargo.lock`.

use crate::support::project;

/// Packages that may not be there, and why.
const BANNED: [(&str, &str); 6] = [
    ("aws-lc-rs", "needs a C++ tool chain; ring does the cryptography"),
    ("aws-lc-sys", "needs a C++ tool chain; ring does the cryptography"),
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("utf7-imap", "panics on names that a server may send; `mail` has its own"),
    ("rustls-connector", "draws in a rustls that has known holes"),
];

/// Packages that may be there in these versions only, and why.
const HELD: [(&str, &str, &str); 3] = [
    ("rustls", "0.23.", "0.22 has known holes"),
    ("rusqlite", "0.39.0", "later ones cannot be in one lock file with sqlx"),
    ("imap", "3.0.0-alpha.15", "the next release may have another interface"),
];

struct Package {
    name: String,
    version: String,
}

fn packages(lock: &str) -> Vec<Package> {
    let table: toml::Table = lock.parse().unwrap();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    let packages = table["package"].as_array().unwrap().iter();
    packages
        .map(|package| Package { name: text(package, "name"), version: text(package, "version") })
        .collect()
}

fn faults(lock: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for Package { name, version } in packages(lock) {
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            faults.push(format!("{name} {version}: {why}"));
        }
        if let Some((_, held, why)) = HELD.iter().find(|(held, ..)| *held == name)
            && !version.starts_with(held)
        {
            faults.push(format!("{name} {version}, not {held}: {why}"));
        }
    }
    faults
}

#[test]
fn no_banned_package_is_locked() {
    let lock = std::fs::read_to_string(project().join("Cargo.lock")).unwrap();
    assert!(packages(&lock).len() > 100);
    let faults = faults(&lock);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn banned_packages_and_versions_are_found() {
    let lock = "[[package]]\nname = \"openssl-sys\"\nversion = \"0.9.1\"\n\
                [[package]]\nname = \"rustls\"\nversion = \"0.22.4\"\n\
                [[package]]\nname = \"rusqlite\"\nversion = \"0.40.0\"\n\
                [[package]]\nname = \"imap\"\nversion = \"3.0.0-alpha.15\"\n";
    assert_eq!(faults(lock).len(), 3);
}

//! Layers, profiles, defaults and the digest, through texts in memory.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use mailferry::mail::Timestamp;
use mailferry::manifest::Faults;
use mailferry::manifest::LoadRequest;
use mailferry::manifest::Loaded;
use mailferry::manifest::load_with;
use mailferry::manifest::render;
use mailferry::manifest::render::Colour;
use mailferry::resolve::EndpointLimits;
use mailferry::resolve::ForeignValue;
use mailferry::resolve::Migration;
use mailferry::resolve::SecretSource;
use mailferry::rule::policy::Quirk;
use proptest::prelude::*;

const MINIMAL: &str = "version = 1
[source]
host = \"old\"
user = \"anna\"
[destination]
host = \"new\"
user = \"anna@new\"
";

/// Files by name, variables and settings as `NAME=VALUE`.
#[derive(Clone, Default)]
struct World<'a> {
    manifest: &'a str,
    files: &'a [(&'a str, &'a str)],
    env: &'a [&'a str],
    set: &'a [&'a str],
    now: i64,
}

impl World<'_> {
    fn load(&self) -> Result<Loaded, Faults> {
        let pair = |text: &&str| {
            let (name, value) = text.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        let request = LoadRequest {
            path: PathBuf::from("conf/mailferry.toml"),
            env: self.env.iter().map(pair).collect(),
            set: self.set.iter().map(|&set| set.to_owned()).collect(),
            now: Timestamp::from_seconds(self.now),
        };
        load_with(&request, &|path: &Path| {
            if path == Path::new("conf/mailferry.toml") {
                return Ok(self.manifest.to_owned());
            }
            let known = self.files.iter().find(|(name, _)| path == Path::new("conf").join(name));
            known.map(|(_, text)| (*text).to_owned()).ok_or(io::ErrorKind::NotFound.into())
        })
    }

    #[track_caller]
    fn migration(&self) -> Migration {
        self.load().unwrap_or_else(|faults| panic!("{faults}")).migrations.remove(0)
    }

    #[track_caller]
    fn messages(&self) -> Vec<String> {
        let faults = self.load().map(|_| ()).unwrap_err().faults;
        faults
            .into_iter()
            .map(|fault| format!("{}: {}", fault.place.name(), fault.message))
            .collect()
    }
}

/// The manifest of one account with more below it.
fn with(more: &str) -> String {
    format!("{MINIMAL}{more}")
}

fn migration(more: &str) -> Migration {
    World { manifest: &with(more), ..World::default() }.migration()
}

#[test]
fn what_is_not_said_has_its_default() {
    let migration = migration("");
    assert_eq!(migration.account, "anna");
    assert_eq!(migration.source.profile, "generic");
    assert_eq!(migration.source.port, 993);
    assert_eq!(migration.source.timeout, Duration::from_mins(2));
    assert_eq!(migration.source.password, None);
    assert!(migration.source.tls.verify);
    assert_eq!(migration.source.limits, EndpointLimits::default());
    assert_eq!(migration.limits.stop_after, None);
    assert_eq!(migration.limits.memory, 32 << 20);
    assert_eq!(migration.errors.retries, 3);
    assert_eq!(migration.errors.settle, Duration::from_mins(1));
    assert_eq!(migration.errors.reconnect_for, Duration::from_mins(15));
    assert_eq!(migration.errors.max_items, None);
    assert_eq!(migration.state_dir, Path::new("conf/.mailferry"));
    let folders = &migration.rules.folders;
    assert!(folders.include.is_none() && folders.exclude.is_empty() && folders.last.is_empty());
    let first: Vec<_> =
        folders.first.iter().map(|first| (first.value.to_string(), first.place.as_str())).collect();
    assert_eq!(first, [("INBOX".to_owned(), "first, profile generic")]);
}

#[test]
fn a_port_follows_from_the_mode_of_tls() {
    let manifest = MINIMAL.replace("host = \"new\"", "host = \"new\"\ntls.mode = \"none\"");
    let migration = World { manifest: &manifest, ..World::default() }.migration();
    assert_eq!((migration.source.port, migration.destination.port), (993, 143));
}

#[test]
fn rule_lists_add_up_and_say_where_each_entry_is_from() {
    let manifest = MINIMAL.replace("host = \"old\"", "profile = \"own\"\nhost = \"old\"")
        + "[folders]\nexclude = [\"b\",\n  \"a\", \"c\"]\nfirst = [\"d\"]\ninclude = [\"x\"]\n";
    let own = "version = 1
[as-source.folders]
exclude = [\"a\"]
include = [\"never\"]
[as-destination.folders]
exclude = [\"not here\"]
";
    let world = World {
        manifest: &manifest,
        files: &[("profiles/own.toml", own)],
        env: &["MAILFERRY__FOLDERS__EXCLUDE=['e']", "MAILFERRY__FOLDERS__INCLUDE=['y']"],
        set: &["folders.exclude=['f']"],
        ..World::default()
    };
    let folders = world.migration().rules.folders;
    let exclude: Vec<_> =
        folders.exclude.iter().map(|rule| format!("{} ({})", rule.value, rule.place)).collect();
    assert_eq!(
        exclude,
        [
            "a (exclude, profile own)",
            "b (exclude, line 10)",
            "c (exclude, line 11)",
            "e (exclude, MAILFERRY__FOLDERS__EXCLUDE)",
            "f (exclude, --set)",
        ]
    );
    let include: Vec<_> =
        folders.include.unwrap().iter().map(|rule| rule.value.to_string()).collect();
    assert_eq!(include, ["y"]);
}

#[test]
fn later_layers_win_and_the_sources_profile_lies_above_the_destinations() {
    let manifest = MINIMAL
        .replace("host = \"old\"", "profile = \"left\"\nhost = \"old\"")
        .replace("host = \"new\"", "profile = \"right\"\nhost = \"new\"")
        + "[profiles.left]
extends = [\"base\"]
[profiles.left.server]
port = 3
[profiles.left.as-source.folders]
empty = \"skip\"
[profiles.base.server]
port = 1
timeout = \"1 h\"
[profiles.right.as-destination.folders]
empty = \"create\"
missing = \"skip\"
[profiles.right.as-destination.errors]
settle = \"5 min\"
";
    let world = World { manifest: &manifest, ..World::default() };
    let first = world.migration();
    assert_eq!(first.source.port, 3);
    assert_eq!(first.source.timeout, Duration::from_hours(1));
    assert_eq!(first.destination.timeout, Duration::from_mins(2));
    assert_eq!(first.rules.folders.empty, mailferry::rule::policy::Empty::Skip);
    assert_eq!(first.rules.folders.missing, mailferry::rule::policy::Missing::Skip);
    assert_eq!(first.errors.settle, Duration::from_mins(5));
    let env = World { env: &["MAILFERRY__SOURCE__PORT=4"], ..world.clone() };
    assert_eq!(env.migration().source.port, 4);
    let set = World { set: &["source.port=5", "source.port=6"], ..env.clone() };
    assert_eq!(set.migration().source.port, 6);
    // A profile may be named by any layer.
    let other = World { set: &["source.profile=base"], ..env };
    assert_eq!(other.migration().source.timeout, Duration::from_hours(1));
}

#[test]
fn built_in_profiles_are_sound_and_every_value_has_its_fact() {
    for builtin in mailferry::profile::BUILTIN {
        let manifest =
            MINIMAL.replace("host = ", &format!("profile = \"{}@1\"\nhost = ", builtin.name));
        World { manifest: &manifest, ..World::default() }.migration();
        let table: toml::Table = builtin.text.parse().unwrap();
        let mut values = Vec::new();
        for side in ["server", "as-source", "as-destination"] {
            if let Some(value) = table.get(side) {
                leaves(side, value, &mut values);
            }
        }
        let facts: Vec<&str> = table["facts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fact| {
                assert!(!fact["source"].as_str().unwrap().is_empty());
                fact["key"].as_str().unwrap()
            })
            .collect();
        assert_eq!(facts, values, "{}", builtin.name);
    }
}

fn leaves(path: &str, value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                leaves(&format!("{path}.{key}"), value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn what_is_known_of_a_server_holds_on_its_side_only() {
    let manifest = MINIMAL.replace("host = ", "profile = \"cyrus\"\nhost = ");
    let migration = World { manifest: &manifest, ..World::default() }.migration();
    assert_eq!(migration.destination.quirks, [Quirk::RefusesEmptyAppend]);
    assert_eq!(migration.destination.refusals, ["Over quota"]);
    assert!(migration.source.quirks.is_empty() && migration.source.refusals.is_empty());
    assert_eq!(migration.rules.destination.quirks, [Quirk::RefusesEmptyAppend]);
}

#[test]
fn a_file_may_not_take_the_name_of_a_built_in_profile() {
    let manifest = MINIMAL.replace("host = \"old\"", "profile = \"dovecot\"\nhost = \"old\"");
    let world = World {
        manifest: &manifest,
        files: &[("profiles/dovecot.toml", "version = 1")],
        ..World::default()
    };
    assert_eq!(
        world.messages(),
        ["conf/profiles/dovecot.toml: `dovecot` is the name of a built-in profile"]
    );
}

#[test]
fn a_secret_is_taken_whole_from_the_last_layer_that_has_one() {
    let manifest =
        MINIMAL.replace("user = \"anna\"", "user = \"anna\"\npassword = { file = \"s/a\" }");
    let world = World { manifest: &manifest, ..World::default() };
    let file = SecretSource::File(PathBuf::from("conf/s/a"));
    assert_eq!(world.migration().source.password, Some(file));
    let env = World { env: &["MAILFERRY__SOURCE__PASSWORD__ENV=X"], ..world.clone() };
    assert_eq!(env.migration().source.password, Some(SecretSource::Env("X".to_owned())));
    let two = World {
        env: &["MAILFERRY__SOURCE__PASSWORD__ENV=X", "MAILFERRY__SOURCE__PASSWORD__FILE=y"],
        ..world
    };
    assert_eq!(two.messages().len(), 1);
}

#[test]
fn values_from_outside_are_told_and_those_about_secrets_are_not_shown() {
    let world = World {
        manifest: MINIMAL,
        env: &["MAILFERRY__SOURCE__PORT=1993", "MAILFERRY__SOURCE__PASSWORD__ENV=PW"],
        set: &["folders.exclude=['a', 'b']", "messages.since=2024-01-01"],
        ..World::default()
    };
    let value = |key: &str, from: &str, value: Option<&str>| ForeignValue {
        key: key.to_owned(),
        from: from.to_owned(),
        value: value.map(str::to_owned),
    };
    let loaded = world.load().unwrap();
    assert_eq!(
        loaded.foreign_values,
        [
            value("folders.exclude", "--set", Some("[\"a\", \"b\"]")),
            value("messages.since", "--set", Some("\"2024-01-01\"")),
            value("source.password.env", "MAILFERRY__SOURCE__PASSWORD__ENV", None),
            value("source.port", "MAILFERRY__SOURCE__PORT", Some("1993")),
        ]
    );
    let said = render::valid(&loaded, Colour::Never);
    assert!(said.contains("source.port = 1993, from MAILFERRY__SOURCE__PORT\n"), "{said}");
    assert!(!said.contains("PW"), "{said}");
}

#[test]
fn a_manifest_that_is_valid_says_so_and_what_is_next() {
    let loaded = World { manifest: MINIMAL, ..World::default() }.load().unwrap();
    assert_eq!(
        render::valid(&loaded, Colour::Never),
        "conf/mailferry.toml is valid: 1 account, anna -> anna@new, mode migrate.\n\
         Deletes nothing. Next: mailferry plan conf/mailferry.toml -o FILE\n"
    );
}

#[test]
fn a_name_in_a_servers_form_gets_a_hint() {
    let hints =
        |more: &str| World { manifest: &with(more), ..World::default() }.load().unwrap().hints;
    assert_eq!(
        hints("[folders]\nexclude = [\"INBOX.Sent.2012\", \"Caf&AOk-\", \"A & B\", \"INBOX/x\"]\n"),
        [
            "exclude, line 9: `INBOX.Sent.2012` looks like a server's form; names here have the form `Sent/2012`",
            "exclude, line 9: `Caf&AOk-` looks like a server's form; names here have the form `Café`",
        ]
    );
    assert_eq!(hints("[folders.map]\n\"Lists/*\" = \"L\"\n").len(), 1);
}

#[test]
fn the_digest_holds_what_decides_actions_and_nothing_else() {
    let plain = migration("").digest;
    let same = |more: &str| assert_eq!(migration(more).digest, plain, "{more}");
    same("[errors]\nretries = 9\nsettle = \"1 s\"\nallow-empty-source = true\nmax-items = 1\n");
    same("[state]\ndir = \"elsewhere\"\n");
    same("[folders]\nfirst = [\"INBOX\"]\n[flags]\non-existing = \"merge\"\n");
    for (what, other) in [
        ("host = \"old\"", "host = \"other\""),
        ("host = \"old\"", "host = \"old\"\nport = 1"),
        ("host = \"old\"", "host = \"old\"\npassword.env = \"A\""),
        ("host = \"old\"", "host = \"old\"\ntls.verify = false"),
        ("host = \"old\"", "host = \"old\"\ntimeout = \"1 h\""),
        ("host = \"old\"", "host = \"old\"\nrefusals = [\"x\"]"),
    ] {
        let manifest = MINIMAL.replace(what, other);
        let digest = World { manifest: &manifest, ..World::default() }.migration().digest;
        assert_eq!(digest, plain, "{other}");
    }
    let mut digests = vec![plain];
    for more in [
        "[folders]\nexclude = [\"a\"]\n",
        "[folders]\ninclude = [\"a\"]\n",
        "[folders]\nfirst = [\"a\"]\n",
        "[folders]\nlast = [\"a\"]\n",
        "[folders]\nempty = \"skip\"\n",
        "[folders]\nmissing = \"skip\"\n",
        "[folders]\nsubscribe = \"all\"\n",
        "[folders]\nonly-subscribed = true\n",
        "[folders.map]\na = \"b\"\n",
        "[messages]\nnewer-than = \"1 d\"\n",
        "[messages]\nolder-than = \"1 d\"\n",
        "[messages]\nsince = 2024-01-01\n",
        "[messages]\nbefore = 2024-01-01\n",
        "[messages]\nlarger-than = \"1 B\"\n",
        "[messages]\nsmaller-than = \"1 KB\"\n",
        "[messages]\nsearch = \"SEEN\"\n",
        "[messages]\ndeleted = \"keep\"\n",
        "[messages]\nduplicates = \"first\"\n",
        "[flags]\non-existing = \"add\"\n",
    ] {
        digests.push(migration(more).digest);
    }
    for key in [
        "user = \"x\"",
        "root = \"x\"",
        "prefix = \"x\"",
        "delimiter = \"x\"",
        "quirks = [\"sizes-lie\"]",
    ] {
        for end in ["[source]", "[destination]"] {
            let manifest = MINIMAL.replace(end, &format!("{end}\n{key}"));
            let manifest = match key {
                "user = \"x\"" if end == "[source]" => manifest.replace("user = \"anna\"\n", ""),
                "user = \"x\"" => manifest.replace("user = \"anna@new\"\n", ""),
                _ => manifest,
            };
            digests.push(World { manifest: &manifest, ..World::default() }.migration().digest);
        }
    }
    let count = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), count);
    assert!(digests.iter().all(|digest| digest.len() == 64));
}

#[test]
fn an_age_counts_from_now_and_stands_in_the_digest_as_written() {
    let manifest = with("[messages]\nnewer-than = \"2 d\"\n");
    let at = |now| World { manifest: &manifest, now, ..World::default() }.migration();
    let (first, second) = (at(1_000_000), at(2_000_000));
    let limit = |migration: &Migration| migration.rules.messages.newer_than.unwrap().seconds();
    assert_eq!((limit(&first), limit(&second)), (827_200, 1_827_200));
    assert_eq!(first.digest, second.digest);
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_fault() {
    let manifest = format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n"));
    World { manifest: &manifest, ..World::default() }.migration();
    let manifest = manifest.replace("host = \"old\"", "hots = \"old\"");
    let faults = World { manifest: &manifest, ..World::default() }.load().unwrap_err();
    assert!(faults.to_string().contains("\n3 | hots = \"old\"\n"), "{faults}");
}

#[test]
fn a_manifest_that_is_not_there_is_one_fault() {
    let request = LoadRequest {
        path: PathBuf::from("no-such-folder/mailferry.toml"),
        env: Vec::new(),
        set: Vec::new(),
        now: Timestamp::from_seconds(0),
    };
    let faults = mailferry::manifest::load(&request).map(|_| ()).unwrap_err().to_string();
    assert!(
        faults.starts_with("error: the file cannot be read: there is no such file\n --> no-such")
    );
    assert!(faults.ends_with("mailferry.toml: 1 fault. Nothing was contacted.\n"), "{faults}");
}

#[test]
fn colour_adds_nothing_to_the_text() {
    let manifest = with("[folders]\nexlude = []\n");
    let faults = World { manifest: &manifest, ..World::default() }.load().unwrap_err();
    let coloured = render::faults(&faults, Colour::Always);
    assert!(coloured.contains('\u{1b}'));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    assert_eq!(plain, render::faults(&faults, Colour::Never));
}

/// The nearest place at or before `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap()
}

/// A manifest with everything, cut and pasted at random, and then a secret in a line of its own.
fn mangled() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "\"",
        "'",
        "\\",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "#",
        ".",
        ",",
        "\u{0}",
        "é",
        "[[source]]\n",
        "{name}",
        "\"\"\"",
        "'''",
        "-1",
        "1e9",
        "nan",
        "2024-02-30",
        "99999999999999999999",
        "= {",
    ];
    let whole = include_str!("../manifests/valid/everything.toml");
    let edit = (0..whole.len(), 0..40_usize, prop::sample::select(PIECES));
    (prop::collection::vec(edit, 1..6), 0..whole.len()).prop_map(move |(edits, secret)| {
        let mut text = whole.to_owned();
        for (at, cut, piece) in edits {
            let (start, end) = (boundary(&text, at), boundary(&text, at + cut));
            text.replace_range(start..end, piece);
        }
        text.insert_str(boundary(&text, secret), "\npassword = \"hunter2\"\n");
        text
    })
}

proptest! {
    #[test]
    fn no_text_panics_the_loader_and_no_fault_shows_a_secret(text in mangled()) {
        let world = World { manifest: &text, files: &[("profiles/x.toml", "version = 1")], ..World::default() };
        match world.load() {
            Ok(loaded) => {
                prop_assert!(!loaded.resolved_toml().is_empty());
                prop_assert_eq!(loaded.migrations.len(), 1);
            }
            Err(faults) => {
                prop_assert!(!faults.faults.is_empty());
                let shows_a_control = faults.to_string().contains('\u{0}');
                prop_assert!(!shows_a_control);
                prop_assert!(!faults.to_string().contains("hunter2"), "{faults}\n{text}");
            }
        }
    }

    #[test]
    fn any_text_at_all_is_a_manifest_or_faults(text in "(\\PC|[\"'\\\\#{}\\[\\]=.\n]){0,60}", profile in "\\PC{0,20}") {
        let _ = World { manifest: &text, ..World::default() }.load().map(|_| ());
        let own = format!("{MINIMAL}[profiles.own]\n{text}");
        let _ = World { manifest: &own, ..World::default() }.load().map(|_| ());
        let set = format!("source.profile={profile}");
        let _ = World { manifest: MINIMAL, set: &[&set], ..World::default() }.load().map(|_| ());
    }
}

#[test]
fn a_key_of_endless_levels_is_a_fault_and_no_crash() {
    let levels = vec!["a"; 200_000].join(".");
    for manifest in [
        format!("{MINIMAL}{levels} = 1\n"),
        format!("{MINIMAL}[{levels}]\n"),
        format!("{MINIMAL}x = {{ {levels} = 1 }}\n"),
        format!("{MINIMAL}x = {}\n", "[".repeat(100_000)),
        format!("{MINIMAL}x = {}\n", "{a=".repeat(100_000)),
    ] {
        World { manifest: &manifest, ..World::default() }.load().map(|_| ()).unwrap_err();
    }
    let set = format!("{levels}=1");
    World { manifest: MINIMAL, set: &[&set], ..World::default() }.load().map(|_| ()).unwrap_err();
    let value = format!("source={{ {levels} = 1 }}");
    World { manifest: MINIMAL, set: &[&value], ..World::default() }.load().map(|_| ()).unwrap_err();
    let env = format!("MAILFERRY__{}=1", vec!["A"; 200_000].join("__"));
    World { manifest: MINIMAL, env: &[&env], ..World::default() }.load().map(|_| ()).unwrap_err();
}

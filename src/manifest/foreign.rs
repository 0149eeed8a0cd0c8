//! Layers that are no files: environment variables and `--set`.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::manifest::document::plain;
use crate::manifest::fault::At;
use crate::manifest::fault::Draft;
use crate::manifest::layer::Layer;
use crate::manifest::layer::Origin;
use crate::manifest::layer::Path;
use crate::manifest::scan::DEPTH_MAX;
use crate::manifest::scan::Finding;
use crate::manifest::scan::scan;
use crate::manifest::schema::MANIFEST;
use crate::manifest::schema::Shape;
use crate::manifest::schema::TextKind;
use crate::manifest::walk::Walk;

/// What all variables of the manifest begin with.
pub(crate) const PREFIX: &str = "MAILFERRY__";

/// Reads the variables that are keys of the manifest, in the order of their names.
pub(crate) fn variables(environment: &[(String, String)], faults: &mut Vec<Draft>) -> Vec<Layer> {
    let mut variables: Vec<_> =
        environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    let layers = variables.into_iter().filter_map(|(name, value)| {
        let at = At::Variable(plain(name));
        let steps = name.strip_prefix(PREFIX).unwrap_or_default().split("__");
        let path: Path = steps.map(|step| step.to_lowercase().replace('_', "-")).collect();
        if path.iter().any(String::is_empty) || path.len() > DEPTH_MAX {
            faults.push(
                Draft::new(at, "the name of this variable is no key of the manifest")
                    .hint("such as MAILFERRY__SOURCE__PORT for source.port"),
            );
            return None;
        }
        layer(Origin::Variable(plain(name)), &path, value, faults)
    });
    layers.collect()
}

/// Reads the values of `--set`, in the order in which they were given.
pub(crate) fn settings(settings: &[String], faults: &mut Vec<Draft>) -> Vec<Layer> {
    let layers = settings.iter().filter_map(|setting| {
        // A quoted key may hold a sign of equality; the first one outside of quotes counts.
        let split = split_setting(setting);
        let path = split.and_then(|(key, _)| key_path(key));
        let (Some((key, value)), Some(path)) = (split, path) else {
            let key = setting.split('=').next().unwrap_or_default();
            let fault = Draft::new(At::Set(plain(key.trim())), "not a key and a value");
            faults.push(fault.hint("write --set source.port=993"));
            return None;
        };
        layer(Origin::Set(plain(key.trim())), &path, value, faults)
    });
    layers.collect()
}

fn split_setting(setting: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in setting.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '=') => return Some((setting.get(..at)?, setting.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Reads a dotted key by TOML's own rules.
fn key_path(key: &str) -> Option<Path> {
    let line = format!("{} = 0", key.trim());
    if line.contains(['\n', '\r', '#']) || is_deep(&line) {
        return None;
    }
    let tree = DeTable::parse(&line).ok()?;
    let mut path = Path::new();
    let mut table = tree.get_ref();
    loop {
        let (key, value) = table.iter().next()?;
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Integer(_) => return Some(path),
            _ => return None,
        }
    }
}

fn layer(origin: Origin, path: &Path, value: &str, faults: &mut Vec<Draft>) -> Option<Layer> {
    if path.first().is_some_and(|first| first == "profiles") {
        let fault = Draft::new(origin.whole(), "a profile stands in a file only");
        faults.push(fault.hint("write [profiles.NAME] in the manifest, or profiles/NAME.toml"));
        return None;
    }
    let shape = shape_at(path);
    let mut tree = typed(value, shape);
    for step in path.iter().rev() {
        let mut table = DeTable::new();
        let key = Spanned::new(0..0, Cow::Borrowed(step.as_str()));
        table.insert(key, Spanned::new(0..0, tree));
        tree = DeValue::Table(table);
    }
    let DeValue::Table(tree) = tree else { return None };
    let mut walk = Walk::new(&origin, None);
    let table = walk.root(&tree, &MANIFEST);
    let sound = walk.faults.is_empty();
    faults.append(&mut walk.faults);
    sound.then_some(Layer { origin, table })
}

fn shape_at(path: &Path) -> Option<&'static Shape> {
    let mut shape: Option<&'static Shape> = None;
    let mut table = Some(&*MANIFEST);
    for step in path {
        let within = table?;
        shape = within.keys.get(step).or(within.others.as_deref());
        table = match shape? {
            Shape::Table(inner) => Some(inner),
            _ => None,
        };
    }
    shape
}

/// Tells whether a text has more levels than may be given to the parser.
fn is_deep(text: &str) -> bool {
    matches!(scan(text).last(), Some(Finding::Deep(_)))
}

/// Reads a value as the type that the schema gives. What cannot be read so stays a string, and the
/// walk says what is wrong with it.
fn typed<'a>(value: &'a str, shape: Option<&Shape>) -> DeValue<'a> {
    let is_text = match shape {
        None | Some(Shape::Choice { .. }) => true,
        Some(Shape::Text(kind)) => !matches!(kind, TextKind::Day | TextKind::Rate),
        Some(_) => false,
    };
    if is_text || is_deep(value) {
        return DeValue::String(Cow::Borrowed(value));
    }
    match DeValue::parse(value) {
        Ok(parsed) => parsed.into_inner(),
        Err(_) => DeValue::String(Cow::Borrowed(value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::layer::Item;

    fn variable(name: &str, value: &str) -> (Vec<String>, Vec<Draft>) {
        let mut faults = Vec::new();
        let layers = variables(&[(name.to_owned(), value.to_owned())], &mut faults);
        (shown(&layers), faults)
    }

    fn shown(layers: &[Layer]) -> Vec<String> {
        let entry = |(key, item): (&String, &Item)| format!("{key} = {}", item.value.shown());
        layers.iter().flat_map(|layer| layer.table.iter().map(entry)).collect()
    }

    #[test]
    fn a_value_is_read_as_the_type_of_the_schema() {
        let read = |name, value| variable(name, value).0;
        assert_eq!(read("MAILFERRY__SOURCE__PORT", "993"), ["source = { port = 993 }"]);
        assert_eq!(read("MAILFERRY__SOURCE__USER", "993"), ["source = { user = \"993\" }"]);
        assert_eq!(
            read("MAILFERRY__FOLDERS__ONLY_SUBSCRIBED", "true"),
            ["folders = { only-subscribed = true }"]
        );
        assert_eq!(
            read("MAILFERRY__FOLDERS__EXCLUDE", "['a', \"b\"]"),
            ["folders = { exclude = [\"a\", \"b\"] }"]
        );
        assert_eq!(read("MAILFERRY__MESSAGES__SINCE", "2024-01-01").len(), 1);
        assert_eq!(read("MAILFERRY_LOG", "debug").len(), 0);
    }

    #[test]
    fn a_fault_names_the_variable_and_never_the_value() {
        for (name, value) in [
            ("MAILFERRY__SOURCE__PORT", "hunter2"),
            ("MAILFERRY__SOURCE__PASSWORD", "hunter2"),
            ("MAILFERRY__SOURCE__PASSWORD", "'hunter2'"),
            ("MAILFERRY__SOURCE__PASSWORD__VALUE", "hunter2"),
            ("MAILFERRY__SOURCE__TIMEOUT", "hunter2"),
            ("MAILFERRY__MESSAGES__DELETED", "hunter2"),
            ("MAILFERRY__MESSAGES__SINCE", "hunter2"),
            ("MAILFERRY__MESSAGES__NEWER_THAN", "4711"),
            ("MAILFERRY__MODE", "mirror"),
            ("MAILFERRY__DELETE__DESTINATION__MESSAGES", "true"),
            ("MAILFERRY__SOURCE__", "hunter2"),
        ] {
            let (layers, faults) = variable(name, value);
            assert_eq!(layers.len(), 0, "{name}");
            let [fault] = faults.as_slice() else { panic!("{name}: {faults:?}") };
            assert_eq!(fault.at, At::Variable(name.to_owned()));
            let text = format!("{fault:?}");
            assert!(!text.contains("hunter2") && !text.contains("4711"), "{text}");
        }
    }

    #[test]
    fn a_key_of_set_may_be_quoted() {
        let read = |setting: &str| shown(&settings(&[setting.to_owned()], &mut Vec::new()));
        assert_eq!(read("folders.map.\"a.b=c\"=d"), ["folders = { map = { a.b=c = \"d\" } }"]);
        assert_eq!(read("source.user=a=b"), ["source = { user = \"a=b\" }"]);
        assert!(read("source.user").is_empty());
        assert!(read("=x").is_empty());
    }

    proptest! {
        #[test]
        fn any_variable_and_any_setting_is_a_layer_or_a_fault(
            name in "[A-Z_]{0,12}", value in "\\PC{0,12}", setting in "\\PC{0,20}",
        ) {
            let mut faults = Vec::new();
            let layers = variables(&[(format!("{PREFIX}{name}"), value)], &mut faults);
            prop_assert_eq!(layers.len() + usize::from(!faults.is_empty()), 1);
            faults.clear();
            let layers = settings(&[setting], &mut faults);
            prop_assert_eq!(layers.len() + usize::from(!faults.is_empty()), 1);
        }
    }
}

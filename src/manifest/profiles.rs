//! Profiles as layers: where they are found, and how one becomes part of a manifest.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::mail::Side;
use crate::manifest::document::plain;
use crate::manifest::fault::At;
use crate::manifest::fault::Draft;
use crate::manifest::layer::Item;
use crate::manifest::layer::Layer;
use crate::manifest::layer::Origin;
use crate::manifest::layer::Table;
use crate::manifest::layer::Value;
use crate::manifest::suggest::nearest;
use crate::profile::BUILTIN;
use crate::profile::ChainFault;
use crate::profile::Head;
use crate::profile::Reference;
use crate::profile::Why;
use crate::profile::builtin;

/// A profile that was found.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) origin: Origin,
    pub(crate) table: Table,
}

impl Known {
    /// What of it decides which others are taken.
    pub(crate) fn head(&self) -> Head {
        let revision = match self.table.get("revision").map(|item| &item.value) {
            Some(Value::Number(number)) => u32::try_from(*number).unwrap_or(1),
            _ => 1,
        };
        let extends = self.table.get("extends").map(|item| {
            let names = item.value.items().iter().filter_map(|item| item.value.text());
            names.map(str::to_owned).collect()
        });
        Head { revision, extends }
    }

    /// The layers that it makes where it stands for a side: `server` first, then what holds for this
    /// side alone.
    pub(crate) fn layers(&self, side: Side) -> Vec<Layer> {
        let table = |key: &str| self.table.get(key);
        let own = match side {
            Side::Source => "as-source",
            Side::Destination => "as-destination",
        };
        let mut both = Table::new();
        if let Some(server) = table("server") {
            both.insert(side.as_str().to_owned(), server.clone());
        }
        let mut alone = Table::new();
        for (key, item) in table(own).and_then(|item| item.value.table()).into_iter().flatten() {
            let key = if key == "server" { side.as_str() } else { key };
            alone.insert(key.to_owned(), item.clone());
        }
        [both, alone]
            .into_iter()
            .filter(|table| !table.is_empty())
            .map(|table| Layer { origin: self.origin.clone(), table })
            .collect()
    }
}

/// Takes the profiles out of a manifest, so that what is left is a layer.
pub(crate) fn take_own(manifest: &mut Table, faults: &mut Vec<Draft>) -> BTreeMap<String, Known> {
    let mut own = BTreeMap::new();
    let Some(Item { value: Value::Table(table), .. }) = manifest.remove("profiles") else {
        return own;
    };
    for (name, item) in table {
        let at = Origin::Manifest.at(&item.key);
        if builtin(&name).is_some() {
            faults.push(taken(Draft::new(at, taken_message(&name)), &name));
            continue;
        }
        let is_name = Reference::parse(&name).is_some_and(|reference| reference.revision.is_none());
        if !is_name {
            let fault = Draft::new(at, format!("not the name of a profile: {}", plain(&name)));
            faults.push(fault.label("letters, digits, `-` and `_`"));
            continue;
        }
        if let Value::Table(table) = item.value {
            let origin = Origin::Profile { name: name.clone(), document: 0 };
            own.insert(name, Known { origin, table });
        }
    }
    own
}

fn taken_message(name: &str) -> String {
    format!("`{}` is the name of a built-in profile", plain(name))
}

fn taken(fault: Draft, name: &str) -> Draft {
    fault
        .label("give it another name")
        .hint(format!("a profile of your own may stand on it: extends = [\"{}\"]", plain(name)))
}

/// The fault of a file that takes the name of a built-in profile.
pub(crate) fn taken_by_file(document: usize, name: &str) -> Draft {
    taken(Draft::new(At::whole(document), taken_message(name)), name)
}

/// The fault of a chain of profiles, at the place that names the profile.
pub(crate) fn of_chain(
    fault: &ChainFault,
    named_by: Option<(&Origin, &Item)>,
    known: &BTreeMap<String, Known>,
    absent: &BTreeSet<String>,
) -> Option<Draft> {
    let at = match &fault.by {
        None => named_by.map(|(origin, item)| origin.at(&item.span))?,
        Some((name, position)) => {
            let profile = known.get(name)?;
            let extends = profile.table.get("extends")?;
            profile.origin.at(&extends.value.items().get(*position)?.span)
        }
    };
    Some(match &fault.why {
        Why::Unknown(name) => {
            let candidates = known.keys().map(String::as_str);
            let builtin = BUILTIN.iter().map(|builtin| builtin.name);
            let near = nearest(name, builtin.chain(candidates));
            // A name that came from a variable is not shown: it may not have been meant for us.
            let fault = Draft::new(at, "no such profile");
            let fault = if let Some(near) = near {
                fault.label(format!("did you mean \"{near}\"?"))
            } else {
                let names: Vec<&str> = BUILTIN.iter().map(|builtin| builtin.name).collect();
                fault.label(format!("built in are {}", names.join(", ")))
            };
            if absent.contains(name) {
                fault.hint_with_value(format!(
                    "looked for in [profiles.{name}] and in profiles/{name}.toml beside the manifest"
                ))
            } else {
                fault
            }
        }
        Why::NotName => Draft::new(at, "not the name of a profile")
            .label("such as \"dovecot\", or \"dovecot@1\" for exactly that revision"),
        Why::Cycle(steps) => Draft::new(at, "a profile stands on itself").label(steps.join(" -> ")),
        Why::Deep => Draft::new(at, "too many profiles stand on each other"),
        Why::Revision { name, has } => {
            Draft::new(at, format!("the profile `{name}` has another revision"))
                .label(format!("it has revision {has}"))
        }
    })
}

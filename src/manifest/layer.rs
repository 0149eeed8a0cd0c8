//! Layers: trees of values that the walk has passed, put one above the other by figment.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use figment::Figment;
use figment::Metadata;
use figment::Profile;
use figment::Provider;
use figment::value::Dict;

use crate::mail::Side;
use crate::manifest::fault::At;

/// A way down the tables, keys and positions.
pub(crate) type Path = Vec<String>;

/// Where the values of one layer came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The manifest file.
    Manifest,
    /// A profile, in the document of this number.
    Profile { name: String, document: usize },
    /// One environment variable.
    Variable(String),
    /// One `--set`.
    Set(String),
}

impl Origin {
    /// The place of a span of this layer.
    pub(crate) fn at(&self, span: &Range<usize>) -> At {
        match self {
            Self::Manifest => At::span(0, span),
            Self::Profile { document, .. } => At::span(*document, span),
            Self::Variable(name) => At::Variable(name.clone()),
            Self::Set(key) => At::Set(key.clone()),
        }
    }

    /// The place of what is not there.
    pub(crate) fn whole(&self) -> At {
        match self {
            Self::Manifest => At::whole(0),
            Self::Profile { document, .. } => At::whole(*document),
            Self::Variable(_) | Self::Set(_) => self.at(&(0..0)),
        }
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: Range<usize>,
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

/// A value that has the shape that the schema asks for.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    List { items: Vec<Item>, adds: bool },
    Table(Table),
}

/// A table of values.
pub(crate) type Table = BTreeMap<String, Item>;

impl Value {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The table, if it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// The entries, if it is a list.
    pub(crate) fn items(&self) -> &[Item] {
        if let Self::List { items, .. } = self { items } else { &[] }
    }

    /// As TOML would have it, on one line.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) => toml::Value::String(text.clone()).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::List { items, .. } => {
                let items: Vec<String> = items.iter().map(|item| item.value.shown()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Table(table) => {
                let entries: Vec<String> = table
                    .iter()
                    .map(|(key, item)| format!("{key} = {}", item.value.shown()))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

/// Values that came from one place, in the form of a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) origin: Origin,
    pub(crate) table: Table,
}

/// Where a value of the whole came from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Position of its layer.
    pub(crate) layer: usize,
    pub(crate) key: Range<usize>,
    pub(crate) span: Range<usize>,
    /// Present unless the value is a table.
    pub(crate) shown: Option<String>,
}

/// All layers in one.
pub(crate) struct Stack {
    pub(crate) figment: Figment,
    /// Where each value is from. Entries of lists have their position as last step.
    pub(crate) sources: BTreeMap<Path, Source>,
}

/// Puts layers one above the other; later ones win. Tables merge, scalars and choice lists replace,
/// rule lists add up.
pub(crate) fn stack(layers: &[Layer]) -> Stack {
    let mut building = Building::default();
    let mut figment = Figment::new();
    let overridden = overridden_secrets(layers);
    for (position, layer) in layers.iter().enumerate() {
        building.layer = position;
        let hidden: Vec<&Path> =
            overridden.iter().filter(|(at, _)| *at == position).map(|(_, path)| path).collect();
        let dict = building.table(&layer.table, &mut Vec::new(), &hidden);
        figment = figment.merge(Provided { name: format!("layer {position}"), dict });
    }
    Stack { figment, sources: building.sources }
}

/// A secret is taken from one kind of layer whole: half of one and half of another would be no
/// secret. Gives those that a later kind has as well.
fn overridden_secrets(layers: &[Layer]) -> BTreeSet<(usize, Path)> {
    let mut hidden = BTreeSet::new();
    for side in [Side::Source, Side::Destination] {
        let has_one = |layer: &Layer| {
            let table = layer.table.get(side.as_str()).and_then(|item| item.value.table());
            table.is_some_and(|table| table.contains_key("password"))
        };
        let Some(last) = layers.iter().rev().find(|layer| has_one(layer)) else { continue };
        // Two variables that name one secret by two keys are one fault, and not an override.
        let kind = std::mem::discriminant(&last.origin);
        for (position, layer) in layers.iter().enumerate() {
            if std::mem::discriminant(&layer.origin) != kind {
                hidden.insert((position, vec![side.as_str().to_owned(), "password".to_owned()]));
            }
        }
    }
    hidden
}

/// The joined lists and the places, while layers are gone through.
#[derive(Default)]
struct Building {
    layer: usize,
    joined: BTreeMap<Path, Vec<(usize, Item)>>,
    sources: BTreeMap<Path, Source>,
}

impl Building {
    fn table(&mut self, table: &Table, path: &mut Path, hidden: &[&Path]) -> Dict {
        let mut dict = Dict::new();
        for (key, item) in table {
            path.push(key.clone());
            if !hidden.contains(&&*path) {
                let value = self.value(item, path, hidden);
                dict.insert(key.clone(), value);
            }
            path.pop();
        }
        dict
    }

    fn value(&mut self, item: &Item, path: &mut Path, hidden: &[&Path]) -> figment::value::Value {
        let is_table = item.value.table().is_some();
        if !is_table {
            self.forget_below(path);
        }
        self.note(path.clone(), self.layer, item, !is_table);
        match &item.value {
            Value::Text(text) => text.clone().into(),
            Value::Number(number) => (*number).into(),
            Value::Truth(truth) => (*truth).into(),
            Value::Table(table) => self.table(table, path, hidden).into(),
            Value::List { items, adds } => {
                let entries = self.entries(items, *adds, path);
                let values: Vec<figment::value::Value> = entries
                    .into_iter()
                    .enumerate()
                    .map(|(position, (layer, entry))| {
                        path.push(position.to_string());
                        self.note(path.clone(), layer, &entry, true);
                        path.pop();
                        match entry.value {
                            Value::Text(text) => text.into(),
                            Value::Number(number) => number.into(),
                            Value::Truth(truth) => truth.into(),
                            // Lists of lists and of tables are in no key that layers have.
                            Value::List { .. } | Value::Table(_) => Dict::new().into(),
                        }
                    })
                    .collect();
                values.into()
            }
        }
    }

    /// The entries of a list with those of earlier layers before them; each once.
    fn entries(&mut self, items: &[Item], adds: bool, path: &Path) -> Vec<(usize, Item)> {
        let mut entries = if adds { self.joined.remove(path).unwrap_or_default() } else { vec![] };
        for item in items {
            let known =
                adds && entries.iter().any(|(_, entry)| entry.value.shown() == item.value.shown());
            if !known {
                entries.push((self.layer, item.clone()));
            }
        }
        if adds {
            self.joined.insert(path.clone(), entries.clone());
        }
        entries
    }

    fn note(&mut self, path: Path, layer: usize, item: &Item, with_value: bool) {
        let shown = with_value.then(|| item.value.shown());
        let source = Source { layer, key: item.key.clone(), span: item.span.clone(), shown };
        self.sources.insert(path, source);
    }

    fn forget_below(&mut self, path: &Path) {
        let depth = path.len();
        let below: Vec<Path> = self
            .sources
            .range(path.clone()..)
            .map(|(known, _)| known)
            .take_while(|known| known.starts_with(path))
            .filter(|known| known.len() > depth)
            .cloned()
            .collect();
        for known in below {
            self.sources.remove(&known);
        }
    }
}

/// One layer as figment takes it.
struct Provided {
    name: String,
    dict: Dict,
}

impl Provider for Provided {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<figment::value::Map<Profile, Dict>, figment::Error> {
        Ok(Profile::default().collect(self.dict.clone()))
    }
}

//! The JSON Schema of a manifest, made from the types, and the shape that the walk reads out of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Map, Value};

use crate::manifest::model::{Manifest, ProfileTable};

/// The JSON Schema of a manifest file (draft 2020-12).
///
/// Describes one file: what is required of the layers together is not in it.
#[must_use]
pub fn schema() -> Schema {
    generate::<Manifest>()
}

fn generate<T: schemars::JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    // TOML has no null: an optional key is absent.
    RecursiveTransform(without_null).transform(&mut schema);
    schema
}

fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let null = Value::from("null");
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| *kind != null);
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type") != Some(&null));
        if let [Value::Object(only)] = options.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

/// What a value has to be.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A table with keys of its own, or of the author's.
    Table(TableShape),
    /// A list; rule lists add up over the layers.
    List {
        /// What each entry has to be.
        items: Box<Shape>,
        /// Adds to the lists of earlier layers.
        adds: bool,
    },
    /// A string.
    Text(TextKind),
    /// One of some strings.
    Choice {
        /// The name in the schema.
        definition: String,
        /// The strings.
        words: Vec<String>,
    },
    /// A whole number.
    Number {
        /// At least.
        min: i128,
        /// At most.
        max: i128,
    },
    /// `true` or `false`.
    Truth,
}

/// What a table may hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableShape {
    /// The name in the schema.
    pub(crate) definition: String,
    /// Keys that are known.
    pub(crate) keys: BTreeMap<String, Shape>,
    /// What all other keys hold, where the author chooses the keys.
    pub(crate) others: Option<Box<Shape>>,
    /// Keys that have to be there.
    pub(crate) required: Vec<String>,
}

/// What a string has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextKind {
    /// Text without control characters.
    Line,
    /// Any text.
    Any,
    /// A folder pattern.
    Pattern,
    /// An age.
    Age,
    /// A period.
    Period,
    /// A size.
    Size,
    /// A TOML date.
    Day,
    /// A number that may have a fraction.
    Rate,
}

/// The shape of a manifest.
pub(crate) static MANIFEST: LazyLock<TableShape> = LazyLock::new(shape_of::<Manifest>);

/// The shape of a profile in a file of its own.
pub(crate) static PROFILE: LazyLock<TableShape> = LazyLock::new(shape_of::<ProfileTable>);

fn shape_of<T: schemars::JsonSchema>() -> TableShape {
    let schema = generate::<T>().to_value();
    let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let root = schema.as_object().cloned().unwrap_or_default();
    table(&T::schema_name(), &root, &definitions)
}

fn shape(name: &str, schema: &Value, definitions: &Map<String, Value>) -> Shape {
    let empty = Map::new();
    let own = schema.as_object().unwrap_or(&empty);
    let referred = own.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    if let Some(referred) = referred {
        let target = definitions.get(referred).unwrap_or(&Value::Null);
        return shape(referred, target, definitions);
    }
    let words = words(own);
    if !words.is_empty() {
        return Shape::Choice { definition: name.to_owned(), words };
    }
    match own.get("type").and_then(Value::as_str) {
        Some("object") => Shape::Table(table(name, own, definitions)),
        Some("array") => Shape::List {
            items: Box::new(match own.get("x-items").and_then(Value::as_str) {
                Some(word) => Shape::Text(kind(Some(word))),
                None => shape(name, own.get("items").unwrap_or(&Value::Null), definitions),
            }),
            adds: own.get("x-adds").and_then(Value::as_bool).unwrap_or(false),
        },
        Some("boolean") => Shape::Truth,
        Some("integer") => Shape::Number {
            min: bound(own.get("minimum")).unwrap_or(i128::from(i64::MIN)),
            max: bound(own.get("maximum")).unwrap_or(i128::from(i64::MAX)),
        },
        _ => Shape::Text(kind(own.get("x-kind").and_then(Value::as_str))),
    }
}

fn kind(word: Option<&str>) -> TextKind {
    match word {
        Some("any") => TextKind::Any,
        Some("pattern") => TextKind::Pattern,
        Some("age") => TextKind::Age,
        Some("period") => TextKind::Period,
        Some("size") => TextKind::Size,
        Some("day") => TextKind::Day,
        Some("rate") => TextKind::Rate,
        _ => TextKind::Line,
    }
}

fn bound(value: Option<&Value>) -> Option<i128> {
    value.and_then(Value::as_i64).map(i128::from)
}

/// Enumerations are `enum` where no variant is described, else `oneOf` of `const`.
fn words(schema: &Map<String, Value>) -> Vec<String> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|variant| variant.get("const"));
    listed.chain(described).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn table(name: &str, schema: &Map<String, Value>, definitions: &Map<String, Value>) -> TableShape {
    let keys = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    TableShape {
        definition: name.to_owned(),
        keys: keys.map(|(key, value)| (key.clone(), shape(key, value, definitions))).collect(),
        others: others.map(|others| Box::new(shape(name, others, definitions))),
        required: required.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

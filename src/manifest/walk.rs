//! One walk over the tree of a layer, against the schema: every fault is found, and what is left has
//! the shape of the types.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

use crate::manifest::document::plain;
use crate::manifest::fault::At;
use crate::manifest::fault::Draft;
use crate::manifest::layer::Item;
use crate::manifest::layer::Origin;
use crate::manifest::layer::Table;
use crate::manifest::layer::Value;
use crate::manifest::schema::MANIFEST;
use crate::manifest::schema::Shape;
use crate::manifest::schema::TableShape;
use crate::manifest::suggest::nearest;
use crate::manifest::text;
use crate::manifest::unbuilt;

/// The schema's name of a secret.
const SECRET: &str = "SecretTable";

/// Where the walk stands.
struct Here<'a> {
    /// The key.
    name: &'a str,
    /// All keys from the top, with dots; empty at the top.
    path: String,
    /// The key's own place, where it has one.
    header: Option<Range<usize>>,
    /// The user that the table names, to make a hint of.
    user: Option<&'a str>,
    /// An entry of the list at `name`, and not `name` itself.
    is_entry: bool,
}

impl Here<'_> {
    /// What is at fault, in a message.
    fn subject(&self) -> String {
        let name = plain(self.name);
        if self.is_entry { format!("an entry of `{name}`") } else { format!("`{name}`") }
    }
}

/// Goes through one layer.
pub(crate) struct Walk<'a> {
    origin: &'a Origin,
    /// The text of the layer, if it is one.
    text: Option<&'a str>,
    /// What was found.
    pub(crate) faults: Vec<Draft>,
    /// Literal secrets, which no excerpt may show.
    pub(crate) masks: Vec<Range<usize>>,
    /// Keys that were written and are not in the result: by their table, and the key that was meant.
    pub(crate) dropped: BTreeSet<(String, String)>,
}

impl<'a> Walk<'a> {
    pub(crate) const fn new(origin: &'a Origin, text: Option<&'a str>) -> Self {
        Self { origin, text, faults: Vec::new(), masks: Vec::new(), dropped: BTreeSet::new() }
    }

    /// Goes through the whole layer.
    pub(crate) fn root(&mut self, table: &DeTable<'_>, shape: &TableShape) -> Table {
        table.iter().for_each(|(key, value)| self.mask_if_telling(key.get_ref(), value));
        let top = Here { name: "", path: String::new(), header: None, user: None, is_entry: false };
        self.table(table, shape, &top)
    }

    fn table(&mut self, table: &DeTable<'_>, shape: &TableShape, here: &Here<'_>) -> Table {
        let user = table.iter().find(|(key, _)| key.get_ref() == "user");
        let user = user.and_then(|(_, value)| value.get_ref().as_str());
        let mut walked = Table::new();
        for (key, value) in table {
            let known = shape.keys.get(key.get_ref().as_ref()).or(shape.others.as_deref());
            let Some(known) = known else {
                self.unknown(key, value, shape, here);
                continue;
            };
            if self.is_forbidden(key, shape) {
                continue;
            }
            let within = Here {
                name: key.get_ref(),
                path: join(&here.path, key.get_ref()),
                header: Some(key.span()),
                user,
                is_entry: false,
            };
            if let Some(checked) = self.value(value, known, &within) {
                let item = Item { key: key.span(), span: value.span(), value: checked };
                walked.insert(key.get_ref().to_string(), item);
            } else {
                self.dropped.insert((here.path.clone(), key.get_ref().to_string()));
            }
        }
        let is_file = self.text.is_some();
        for required in shape.required.iter().filter(|_| is_file) {
            let is_elsewhere = self.dropped.contains(&(here.path.clone(), required.clone()));
            if !is_elsewhere && !table.iter().any(|(key, _)| key.get_ref() == required) {
                self.missing(required, here);
            }
        }
        walked
    }

    fn missing(&mut self, key: &str, here: &Here<'_>) {
        let at =
            here.header.as_ref().map_or_else(|| self.origin.whole(), |key| self.origin.at(key));
        let fault = if here.name.is_empty() {
            let fault = Draft::new(at, format!("`{key}` is missing"));
            if key == "version" { fault.hint("write version = 1 in the first line") } else { fault }
        } else {
            Draft::new(at, format!("[{}] needs `{key}`", plain(&here.path)))
        };
        self.faults.push(fault);
    }

    /// `mode` is known and may stand in a manifest only, since it can switch deletion on.
    fn is_forbidden(&mut self, key: &Spanned<toml::de::DeString<'_>>, shape: &TableShape) -> bool {
        let forbidden = shape.definition == "Manifest"
            && key.get_ref() == "mode"
            && *self.origin != Origin::Manifest;
        if forbidden {
            self.deletion(key, shape);
        }
        forbidden
    }

    fn deletion(&mut self, key: &Spanned<toml::de::DeString<'_>>, shape: &TableShape) {
        let at = self.origin.at(&key.span());
        let name = key.get_ref();
        let message = if shape.definition == "Manifest" {
            format!("`{name}` may stand in the manifest file only")
        } else {
            format!("`{name}` may not stand in a profile")
        };
        let label = "deletion is switched on in the manifest and nowhere else";
        self.faults.push(Draft::new(at, message).label(label));
    }

    fn unknown(
        &mut self,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        shape: &TableShape,
        here: &Here<'_>,
    ) {
        let name = key.get_ref().as_ref();
        let at = self.origin.at(&key.span());
        let unbuilt = unbuilt::keys(&shape.definition);
        let candidates = shape.keys.keys().map(String::as_str).chain(unbuilt.iter().copied());
        let near = nearest(name, candidates);
        self.dropped.insert((here.path.clone(), near.unwrap_or(name).to_owned()));
        if shape.definition == SECRET || near.is_some_and(sounds_secret) {
            self.mask(value);
        }
        let is_profile =
            shape.definition == "ProfileTable" || shape.definition.ends_with("SideTable");
        let is_foreign = shape.definition == "Manifest" && *self.origin != Origin::Manifest;
        if matches!(name, "mode" | "delete") && (is_profile || is_foreign) {
            return self.deletion(key, shape);
        }
        if unbuilt.contains(&name) {
            self.misplaced_below(value, name, &key.span());
            let fault = Draft::new(at, format!("`{name}` is not supported yet"));
            return self.faults.push(fault.label("this version does not have the key"));
        }
        let is_top = !here.name.is_empty() && MANIFEST.keys.contains_key(name);
        let is_scalar = !value.get_ref().is_table();
        if is_top && is_scalar && *self.origin == Origin::Manifest {
            return self.misplaced(key, &here.path, here.header.as_ref());
        }
        let table = if here.path.is_empty() {
            "at the top level".to_owned()
        } else {
            format!("in [{}]", plain(&here.path))
        };
        let fault = Draft::new(at, format!("no such key {table}: {}", plain(name)));
        let fault = match near {
            Some(near) => fault.label(format!("did you mean `{near}`?")),
            None if shape.definition == "ServerTable"
                && matches!(name, "user" | "password" | "root") =>
            {
                fault.label("a profile holds no login")
            }
            None => known_keys(shape).into_iter().fold(fault, Draft::hint),
        };
        self.faults.push(fault);
    }

    /// A key of the top level in a table that is refused as a whole.
    fn misplaced_below(&mut self, value: &Spanned<DeValue<'_>>, name: &str, header: &Range<usize>) {
        let DeValue::Table(table) = value.get_ref() else { return };
        for (key, inner) in table {
            let is_top = matches!(key.get_ref().as_ref(), "version" | "mode");
            if is_top && !inner.get_ref().is_table() && *self.origin == Origin::Manifest {
                self.misplaced(key, name, Some(header));
            }
        }
    }

    fn misplaced(
        &mut self,
        key: &Spanned<toml::de::DeString<'_>>,
        table: &str,
        header: Option<&Range<usize>>,
    ) {
        let name = key.get_ref();
        let at = self.origin.at(&key.span());
        self.dropped.insert((String::new(), name.to_string()));
        let line = header.zip(self.text).map(|(header, text)| {
            text.get(..header.start).unwrap_or_default().matches('\n').count() + 1
        });
        let begins = line.map(|line| format!(", which begins in line {line}")).unwrap_or_default();
        let hint = if name == "version" { "" } else { ", below `version`" };
        self.faults.push(
            Draft::new(at, format!("`{name}` belongs above the first table"))
                .label(format!("here it is a key of [{}]{begins}", plain(table)))
                .hint(format!("move the line to the top{hint}")),
        );
    }

    fn value(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        shape: &Shape,
        here: &Here<'_>,
    ) -> Option<Value> {
        let at = self.origin.at(&value.span());
        match (shape, value.get_ref()) {
            (Shape::Table(shape), DeValue::Table(table)) => {
                let secret = shape.definition == SECRET;
                let table = self.table(table, shape, here);
                // A secret of which nothing is left was said to be wrong already.
                (!secret || !table.is_empty()).then_some(Value::Table(table))
            }
            (Shape::Table(shape), _) if shape.definition == SECRET => {
                self.literal_secret(value, here);
                None
            }
            (Shape::List { items, adds }, DeValue::Array(array)) => {
                let walked = array.iter().filter_map(|entry| {
                    let value = self.value(entry, items, &entry_of(here))?;
                    Some(Item { key: entry.span(), span: entry.span(), value })
                });
                Some(Value::List { items: walked.collect(), adds: *adds })
            }
            (Shape::Text(kind), _) => {
                match text::check(*kind, &here.subject(), value, &at, self.text) {
                    Ok(text) => Some(Value::Text(text)),
                    Err(fault) => {
                        self.faults.push(*fault);
                        None
                    }
                }
            }
            (Shape::Choice { definition, words }, DeValue::String(text)) => {
                self.choice(text, definition, words, here, at).map(Value::Text)
            }
            (Shape::Number { min, max }, DeValue::Integer(number)) => {
                let number = i128::from_str_radix(number.as_str(), number.radix()).ok();
                let number = number.filter(|number| (min..=max).contains(&number));
                let number = number.and_then(|number| i64::try_from(number).ok());
                if number.is_none() {
                    self.faults.push(out_of_range(here, *min, *max, at));
                }
                number.map(Value::Number)
            }
            (Shape::Truth, DeValue::Boolean(truth)) => Some(Value::Truth(*truth)),
            (shape, found) => {
                self.faults.push(wrong_type(&here.subject(), shape, found, at));
                None
            }
        }
    }

    fn choice(
        &mut self,
        text: &str,
        definition: &str,
        words: &[String],
        here: &Here<'_>,
        at: At,
    ) -> Option<String> {
        if words.iter().any(|word| word == text) {
            return Some(text.to_owned());
        }
        let name = here.subject();
        let unbuilt = unbuilt::values(definition);
        let fault = if let Some(word) = unbuilt.iter().find(|word| **word == text) {
            Draft::new(at, format!("this value of {name} is not supported yet"))
                .label_with_value(format!("this version does not have \"{word}\""))
        } else {
            let candidates = words.iter().map(String::as_str).chain(unbuilt.iter().copied());
            let fault = Draft::new(at, format!("no such value of {name}"));
            match nearest(text, candidates) {
                Some(near) => fault.label(format!("did you mean \"{near}\"?")),
                None => fault.label(format!("one of {}", quoted(words))),
            }
        };
        self.faults.push(fault);
        None
    }

    fn literal_secret(&mut self, value: &Spanned<DeValue<'_>>, here: &Here<'_>) {
        self.mask(value);
        let at = self.origin.at(&value.span());
        let is_file = matches!(at, At::File { .. });
        let fault = if is_file {
            let file = here.user.and_then(|user| user.split('@').next()).unwrap_or_default();
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let plain = !file.is_empty() && !file.starts_with('.') && file.chars().all(fits);
            let file = if plain { file } else { "password" };
            Draft::new(at, "a password cannot stand in the manifest")
                .label("not shown")
                .hint(format!(
                    "leave the line out to be asked, or write {{ file = \"secrets/{file}\" }}"
                ))
                .hint("if this file was ever committed or shared, change the password")
        } else {
            Draft::new(at, "a password cannot stand here").hint(
                "name a variable, a file or a command instead: password.env, .file or .command",
            )
        };
        self.faults.push(fault);
    }

    fn mask(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => table.values().for_each(|inner| self.mask(inner)),
            DeValue::Array(array) => array.iter().for_each(|inner| self.mask(inner)),
            _ => self.masks.push(value.span()),
        }
    }

    /// Hides what stands under a telling key, wherever it is.
    fn mask_if_telling(&mut self, key: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => {
                table.iter().for_each(|(key, inner)| self.mask_if_telling(key.get_ref(), inner));
            }
            DeValue::Array(array) => {
                array.iter().for_each(|inner| self.mask_if_telling(key, inner));
            }
            _ if sounds_secret(key) => self.masks.push(value.span()),
            _ => {}
        }
    }
}

/// Whether a key is likely to stand before a secret.
pub(crate) fn sounds_secret(key: &str) -> bool {
    telling_word(key).is_some()
}

/// Where the first word is that is likely to stand before a secret.
pub(crate) fn telling_word(text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    ["pass", "secret", "token", "proxy"].iter().filter_map(|word| text.find(word)).min()
}

/// The keys of a table, in lines that fit a terminal.
fn known_keys(shape: &TableShape) -> Vec<String> {
    const COLUMNS: usize = 70;
    let mut lines = Vec::new();
    let mut line = "keys of this table:".to_owned();
    for key in shape.keys.keys() {
        if line.len() + key.len() > COLUMNS {
            lines.push(std::mem::take(&mut line));
        }
        line.push(' ');
        line.push_str(key);
    }
    lines.push(line.trim_start().to_owned());
    lines
}

fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn entry_of<'a>(here: &Here<'a>) -> Here<'a> {
    Here { path: here.path.clone(), header: here.header.clone(), is_entry: true, ..*here }
}

fn out_of_range(here: &Here<'_>, min: i128, max: i128, at: At) -> Draft {
    if here.name == "version" {
        return Draft::new(at, "not a version that this program reads").label("write 1");
    }
    let fault = Draft::new(at, format!("{} is out of range", here.subject()));
    if max >= i128::from(i64::MAX) {
        fault.label(format!("at least {min}"))
    } else {
        fault.label(format!("from {min} to {max}"))
    }
}

/// The fault of a value that is of another type than `shape`.
pub(crate) fn wrong_type(subject: &str, shape: &Shape, found: &DeValue<'_>, at: At) -> Draft {
    let (wanted, example) = match shape {
        Shape::Table(_) if found.is_array() => {
            ("a table", "a table of one is in single brackets".to_owned())
        }
        Shape::Table(_) => ("a table", "write it in braces: { … }".to_owned()),
        Shape::List { .. } => ("a list", "write it in brackets: [\"…\"]".to_owned()),
        Shape::Text(_) | Shape::Choice { .. } => ("a string", "write it in quotes".to_owned()),
        Shape::Number { .. } => ("a whole number", "write it without quotes".to_owned()),
        Shape::Truth => ("true or false", "write true or false, without quotes".to_owned()),
    };
    let helps = match shape {
        Shape::Number { .. } => found.is_str(),
        _ => !found.is_array() && !found.is_table(),
    };
    let is = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let fault = Draft::new(at, format!("{subject} takes {wanted}, and this is {is}"));
    match shape {
        Shape::List { .. } | Shape::Table(_) => fault.label(example),
        _ if helps => fault.label_with_value(example),
        _ => fault,
    }
}

//! Loads a manifest: files, profiles, variables and `--set` into migrations, or every fault at once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

use crate::mail::Side;
use crate::mail::Timestamp;
use crate::manifest::document::Document;
use crate::manifest::document::plain;
use crate::manifest::fault::At;
use crate::manifest::fault::Draft;
use crate::manifest::fault::Faults;
use crate::manifest::foreign;
use crate::manifest::foreign::PREFIX;
use crate::manifest::layer;
use crate::manifest::layer::Item;
use crate::manifest::layer::Layer;
use crate::manifest::layer::Origin;
use crate::manifest::layer::Stack;
use crate::manifest::model::Manifest;
use crate::manifest::profiles;
use crate::manifest::profiles::Known;
use crate::manifest::schema::MANIFEST;
use crate::manifest::schema::PROFILE;
use crate::manifest::syntax;
use crate::profile;
use crate::profile::BUILTIN;
use crate::profile::GENERIC;
use crate::profile::Reference;
use crate::profile::Why;
use crate::resolve;
use crate::resolve::ForeignValue;
use crate::resolve::Given;
use crate::resolve::Migration;
use crate::resolve::On;
use crate::resolve::RuleFault;

/// No manifest is longer; a file that is was named by mistake.
const OCTETS_MAX: u64 = 4 << 20;

/// What to load.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// The manifest; profiles and relative paths are beside it.
    pub path: PathBuf,
    /// The environment. Only what begins with `MAILFERRY__` is looked at.
    pub env: Vec<(String, String)>,
    /// The values of `--set`, each `key=value`.
    pub set: Vec<String>,
    /// The time that ages count from.
    pub now: Timestamp,
}

impl LoadRequest {
    /// A request with the environment of this process.
    #[must_use]
    pub fn from_environment(path: PathBuf, set: Vec<String>, now: Timestamp) -> Self {
        // A value that is not text is no value of any key; the walk says so, without showing it.
        let env = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self { path, env: env.collect(), set, now }
    }
}

/// A manifest without faults.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The manifest as the request named it.
    pub name: String,
    /// One for each account pair; at first exactly one.
    pub migrations: Vec<Migration>,
    /// What is allowed and most likely not meant, for people.
    pub hints: Vec<String>,
    /// Values that did not come from a file.
    pub foreign_values: Vec<ForeignValue>,
    manifest: Manifest,
}

impl Loaded {
    /// The manifest with every default and profile filled in, as TOML that is a manifest itself: it
    /// loads to the same digest.
    #[must_use]
    pub fn resolved_toml(&self) -> String {
        let mut filled = self.manifest.clone();
        let mut text =
            format!("# {}, with every default and profile filled in.\n", plain(&self.name));
        for (side, endpoint) in
            [(Side::Source, &mut filled.source), (Side::Destination, &mut filled.destination)]
        {
            // What the profile says stands in the keys; an own profile might not be found again.
            let profile = endpoint.as_mut().and_then(|endpoint| endpoint.profile.as_mut());
            if let Some(profile) = profile.filter(|profile| *profile != GENERIC) {
                let _ = writeln!(text, "# [{side}] is filled in from profile {}.", plain(profile));
                GENERIC.clone_into(profile);
            }
        }
        // Every value came from TOML and goes back there.
        text.push_str(&toml::to_string(&filled).unwrap_or_default());
        text
    }
}

/// Loads a manifest from files.
///
/// # Errors
///
/// [`Faults`] with everything that is wrong in the manifest, its profiles, variables and `--set`.
pub fn load(request: &LoadRequest) -> Result<Loaded, Faults> {
    load_with(request, &read_file)
}

/// As [`load`], with another way to read a file.
///
/// # Errors
///
/// As [`load`].
pub fn load_with(
    request: &LoadRequest,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, Faults> {
    let mut loading = Loading {
        folder: request.path.parent().unwrap_or(Path::new("")).to_owned(),
        read,
        documents: Vec::new(),
        faults: Vec::new(),
        dropped: BTreeSet::new(),
        broken: BTreeMap::new(),
        hides_keys: false,
        profiles: BTreeMap::new(),
        absent: BTreeSet::new(),
    };
    let loaded = loading.run(request);
    match loaded {
        Some(loaded) if loading.faults.is_empty() => Ok(loaded),
        _ => Err(Faults::new(loading.faults, &loading.documents)),
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut octets = Vec::new();
    File::open(path)?.take(OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > OCTETS_MAX {
        return Err(io::Error::other("longer than any manifest"));
    }
    String::from_utf8(octets).map_err(|_| io::Error::other("not a text in UTF-8"))
}

struct Loading<'a> {
    folder: PathBuf,
    read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The manifest first, then profiles as they are needed.
    documents: Vec<Document>,
    faults: Vec<Draft>,
    dropped: BTreeSet<(String, String)>,
    /// Where documents are not TOML.
    broken: BTreeMap<usize, Vec<Range<usize>>>,
    /// What seems missing may only be unreadable.
    hides_keys: bool,
    profiles: BTreeMap<String, Known>,
    /// Names of profiles that have no file.
    absent: BTreeSet<String>,
}

impl Loading<'_> {
    fn run(&mut self, request: &LoadRequest) -> Option<Loaded> {
        let name = shown_path(&request.path);
        match (self.read)(&request.path) {
            Ok(text) => self.documents.push(Document::new(&name, text)),
            Err(fault) => {
                self.documents.push(Document::new(&name, ""));
                self.faults.push(unreadable(0, &fault).hint(
                    "a manifest is a file of TOML, by default mailferry.toml in this folder",
                ));
                return None;
            }
        }
        let mut table = self.parse(0, &Origin::Manifest);
        for builtin in BUILTIN {
            let name = format!("profile {}, built in", builtin.name);
            self.documents.push(Document::new(name, builtin.text));
            self.profile(builtin.name, self.documents.len() - 1);
        }
        self.profiles.extend(profiles::take_own(&mut table, &mut self.faults));
        let manifest = Layer { origin: Origin::Manifest, table };
        let variables = foreign::variables(&request.env, &mut self.faults);
        let settings = foreign::settings(&request.set, &mut self.faults);
        let named: Vec<Layer> =
            std::iter::once(manifest).chain(variables).chain(settings).collect();
        let source = self.side_layers(Side::Source, &named);
        let mut layers = self.side_layers(Side::Destination, &named);
        // The source's profile lies above the destination's.
        layers.extend(source);
        layers.extend(named);
        self.join(&name, &layers, request.now)
    }

    fn parse(&mut self, document: usize, origin: &Origin) -> layer::Table {
        let shape = if document == 0 { &*MANIFEST } else { &*PROFILE };
        let Some(text) = self.documents.get_mut(document) else { return layer::Table::new() };
        let parsed = syntax::parse(text, origin, shape);
        self.faults.extend(parsed.faults);
        self.dropped.extend(parsed.dropped);
        self.broken.insert(document, parsed.broken);
        self.hides_keys |= parsed.hides_keys;
        parsed.table
    }

    fn profile(&mut self, name: &str, document: usize) {
        let origin = Origin::Profile { name: name.to_owned(), document };
        let table = self.parse(document, &origin);
        self.profiles.insert(name.to_owned(), Known { origin, table });
    }

    /// Reads `profiles/NAME.toml` beside the manifest; tells whether there is one.
    fn find_file(&mut self, name: &str) -> bool {
        let path = self.folder.join("profiles").join(format!("{name}.toml"));
        let document = self.documents.len();
        match (self.read)(&path) {
            Ok(text) => {
                self.documents.push(Document::new(shown_path(&path), text));
                if profile::builtin(name).is_some() {
                    self.faults.push(profiles::taken_by_file(document, name));
                    return true;
                }
                let before = self.faults.len();
                self.profile(name, document);
                let known = self.profiles.get(name);
                let lacks = known.is_some_and(|known| !known.table.contains_key("version"));
                if lacks && self.faults.len() == before {
                    let fault = Draft::new(At::whole(document), "`version` is missing");
                    self.faults.push(fault.hint("write version = 1 in the first line"));
                }
                true
            }
            Err(fault)
                if matches!(
                    fault.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                self.absent.insert(name.to_owned());
                false
            }
            Err(fault) => {
                self.documents.push(Document::new(shown_path(&path), ""));
                self.faults.push(unreadable(document, &fault));
                // Known from here on, as an empty one: the fault is said.
                let origin = Origin::Profile { name: name.to_owned(), document };
                self.profiles.insert(name.to_owned(), Known { origin, table: layer::Table::new() });
                true
            }
        }
    }

    /// The layers that the profile of a side makes.
    fn side_layers(&mut self, side: Side, named: &[Layer]) -> Vec<Layer> {
        let by = named.iter().rev().find_map(|layer| {
            let item = layer.table.get(side.as_str())?.value.table()?.get("profile")?;
            Some((&layer.origin, item))
        });
        let reference = by.and_then(|(_, item)| item.value.text()).unwrap_or(GENERIC);
        if let Some(reference) = Reference::parse(reference) {
            let is_builtin = profile::builtin(&reference.name).is_some();
            let file = Path::new("profiles").join(format!("{}.toml", reference.name));
            let is_read = self
                .documents
                .iter()
                .any(|document| Path::new(&document.name) == self.folder.join(&file));
            if is_builtin && !is_read {
                self.find_file(&reference.name);
            }
        }
        match self.chain(reference, by) {
            Some(chain) => chain
                .iter()
                .filter_map(|name| self.profiles.get(name))
                .flat_map(|known| known.layers(side))
                .collect(),
            None => Vec::new(),
        }
    }

    fn chain(&mut self, reference: &str, by: Option<(&Origin, &Item)>) -> Option<Vec<String>> {
        loop {
            let heads =
                self.profiles.iter().map(|(name, known)| (name.clone(), known.head())).collect();
            match profile::chain(reference, &heads) {
                Ok(names) => return Some(names),
                Err(fault) => {
                    if let Why::Unknown(name) = &fault.why
                        && !self.absent.contains(name)
                        && self.find_file(name)
                    {
                        continue;
                    }
                    let draft = profiles::of_chain(&fault, by, &self.profiles, &self.absent);
                    self.faults.extend(draft);
                    return None;
                }
            }
        }
    }

    /// Puts the layers together and looks across keys.
    fn join(&mut self, name: &str, layers: &[Layer], now: Timestamp) -> Option<Loaded> {
        let stack = layer::stack(layers);
        let manifest = match stack.figment.extract::<Manifest>() {
            Ok(manifest) => resolve::with_defaults(&manifest),
            Err(fault) => {
                // The walk lets nothing through that the types refuse; if it did, say where.
                let message = format!("not readable: {}", plain(&fault.path.join(".")));
                self.faults.push(Draft::new(At::whole(0), message));
                return None;
            }
        };
        let foreign_values = foreign_values(&stack, layers);
        let resolution = resolve::resolve(Given {
            manifest: &manifest,
            places: &self.places(&stack, layers),
            foreign_values: &foreign_values,
            folder: &self.folder,
            now,
        });
        for fault in resolution.faults {
            let at = place(&fault, &stack, layers);
            if !self.is_known(&fault) && !self.is_unreadable(&at) {
                let mut draft = Draft::new(at, fault.message);
                if let Some(label) = fault.label {
                    draft = draft.label_with_value(label);
                }
                self.faults.push(Draft { hints: fault.hints, ..draft });
            }
        }
        let migrations = resolution.migrations;
        let hints = resolution.hints;
        Some(Loaded { name: name.to_owned(), migrations, hints, foreign_values, manifest })
    }

    /// Tells whether what is missing was written, and refused with a fault of its own.
    fn is_known(&self, fault: &RuleFault) -> bool {
        if fault.on != On::Missing {
            return false;
        }
        let (table, key) = match fault.path.as_slice() {
            [key] => ("", key),
            [table, key] => (table.as_str(), key),
            _ => return false,
        };
        let has = |known: &(String, String)| {
            known.1 == *key
                && (known.0 == table || (!table.is_empty() && known.0.ends_with("server")))
        };
        self.hides_keys || self.dropped.iter().any(has)
    }

    fn is_unreadable(&self, at: &At) -> bool {
        match at {
            At::File { document, .. } => {
                self.broken.get(document).is_some_and(|broken| at.is_within(broken))
            }
            At::Variable(_) | At::Set(_) => false,
        }
    }

    /// For people: where each value is from.
    fn places(&self, stack: &Stack, layers: &[Layer]) -> BTreeMap<Vec<String>, String> {
        let place = |source: &layer::Source| match &layers.get(source.layer)?.origin {
            Origin::Manifest => {
                let document = self.documents.first()?;
                Some(format!("line {}", document.position(source.span.start).0))
            }
            Origin::Profile { name, .. } => Some(format!("profile {name}")),
            Origin::Variable(name) => Some(name.clone()),
            Origin::Set(_) => Some("--set".to_owned()),
        };
        let entries = stack.sources.iter();
        entries.filter_map(|(path, source)| Some((path.clone(), place(source)?))).collect()
    }
}

/// The place of a fault across keys: that of the value, or of the nearest table above it.
fn place(fault: &RuleFault, stack: &Stack, layers: &[Layer]) -> At {
    let mut path = fault.path.clone();
    let whole = path.len();
    while !path.is_empty() {
        let source = stack.sources.get(&path);
        let origin = source.and_then(|source| layers.get(source.layer)).map(|layer| &layer.origin);
        if let Some((source, origin)) = source.zip(origin) {
            let on_key = fault.on == On::Key || path.len() < whole;
            return origin.at(if on_key { &source.key } else { &source.span });
        }
        path.pop();
    }
    At::whole(0)
}

fn foreign_values(stack: &Stack, layers: &[Layer]) -> Vec<ForeignValue> {
    let mut values = Vec::new();
    for (path, source) in &stack.sources {
        let Some(shown) = &source.shown else { continue };
        let from = match layers.get(source.layer).map(|layer| &layer.origin) {
            Some(Origin::Variable(name)) => name.clone(),
            Some(Origin::Set(_)) => "--set".to_owned(),
            _ => continue,
        };
        // An entry of a list is shown with its list, unless the list began in a file.
        let list = path.split_last().and_then(|(_, above)| stack.sources.get(above));
        if list.is_some_and(|list| list.shown.is_some() && list.layer == source.layer) {
            continue;
        }
        let is_secret = path.iter().any(|step| step == "password");
        let key = path.join(".");
        values.push(ForeignValue { key, from, value: (!is_secret).then(|| shown.clone()) });
    }
    values
}

fn unreadable(document: usize, fault: &io::Error) -> Draft {
    let why = match fault.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => fault.to_string(),
    };
    Draft::new(At::whole(document), format!("the file cannot be read: {}", plain(&why)))
}

fn shown_path(path: &Path) -> String {
    path.display().to_string()
}

//! The `[folders]` table: patterns and mappings, compiled.

use crate::mail::FolderName;
use crate::mail::Role;
use crate::mail::WireName;
use crate::resolve::fault::On;
use crate::resolve::fault::RuleFault;
use crate::resolve::migration::Given;
use crate::rule::FolderPattern;
use crate::rule::FolderRules;
use crate::rule::MapFrom;
use crate::rule::Mapping;
use crate::rule::PatternFault;
use crate::rule::Ruled;

/// Compiles the table; what does not compile is a fault and is left out.
pub(crate) fn resolve(
    given: Given<'_>,
    faults: &mut Vec<RuleFault>,
    hints: &mut Vec<String>,
) -> FolderRules {
    let table = given.manifest.folders.clone().unwrap_or_default();
    let mut lists = Lists { given, faults, hints };
    let include = table.include.as_ref().map(|include| lists.patterns("include", include));
    let exclude = lists.patterns("exclude", &table.exclude.unwrap_or_default());
    let first = lists.patterns("first", &table.first.unwrap_or_default());
    let last = lists.patterns("last", &table.last.unwrap_or_default());
    let mut map: Vec<Ruled<Mapping>> = Vec::new();
    for (from, to) in table.map.iter().flatten() {
        if let Some(mapping) = lists.mapping(from, to, &map) {
            map.push(mapping);
        }
    }
    if table.include.is_some_and(|include| include.is_empty()) {
        faults.push(
            RuleFault::new(&["folders", "include"], "`include` takes no folder")
                .label("leave the line out to take all folders"),
        );
    }
    FolderRules {
        include,
        exclude,
        only_subscribed: table.only_subscribed.unwrap_or_default(),
        missing: table.missing.unwrap_or_default(),
        map,
        empty: table.empty.unwrap_or_default(),
        first,
        last,
        subscribe: table.subscribe.unwrap_or_default(),
    }
}

struct Lists<'a, 'b> {
    given: Given<'a>,
    faults: &'b mut Vec<RuleFault>,
    hints: &'b mut Vec<String>,
}

impl Lists<'_, '_> {
    fn patterns(&mut self, key: &str, list: &[String]) -> Vec<Ruled<FolderPattern>> {
        let mut compiled = Vec::new();
        for (position, text) in list.iter().enumerate() {
            let path = ["folders", key, &position.to_string()];
            match FolderPattern::parse(text) {
                Ok(value) => {
                    let place = self.place(key, &path);
                    if !matches!(value, FolderPattern::Regex(_)) {
                        self.hint_at_server_form(text, &place);
                    }
                    compiled.push(Ruled { value, place });
                }
                Err(fault) => self.faults.push(pattern_fault(&path, &fault)),
            }
        }
        compiled
    }

    fn mapping(
        &mut self,
        from: &str,
        to: &str,
        before: &[Ruled<Mapping>],
    ) -> Option<Ruled<Mapping>> {
        let path = ["folders", "map", from];
        let source = match from.strip_prefix("role:") {
            Some(word) => Role::from_word(word).map(MapFrom::Role),
            None => FolderName::parse(from).map(MapFrom::Name),
        };
        let target = FolderName::parse(to).filter(|_| !to.starts_with("role:"));
        if source.is_none() {
            let fault = if from.starts_with("role:") {
                pattern_fault(&path, &PatternFault::NoRole)
            } else {
                name_fault(&path, "what is mapped is not the name of a folder")
            };
            self.faults.push(fault.on(On::Key));
        }
        if target.is_none() {
            self.faults.push(name_fault(&path, "a folder is mapped to what is no name"));
        }
        let mapping = Mapping { from: source?, to: target? };
        let place = self.place("map", &path);
        if let Some(earlier) = before.iter().find(|earlier| earlier.value.from == mapping.from) {
            self.faults.push(
                RuleFault::new(&path, "one folder is mapped twice")
                    .on(On::Key)
                    .label(format!("the same folder as in {}", earlier.place)),
            );
            return None;
        }
        if from.contains(['*', '?']) || from.starts_with("re:") {
            self.hints.push(format!("{place}: `map` takes names and roles; a star is a star here"));
        }
        self.hint_at_server_form(from, &place);
        self.hint_at_server_form(to, &place);
        Some(Ruled { value: mapping, place })
    }

    fn place(&self, key: &str, path: &[&str]) -> String {
        let path: Vec<String> = path.iter().map(|&step| step.to_owned()).collect();
        match self.given.places.get(&path) {
            Some(place) => format!("{key}, {place}"),
            None => key.to_owned(),
        }
    }

    /// Server forms are never written by hand; a name that looks like one most likely was.
    fn hint_at_server_form(&mut self, text: &str, place: &str) {
        let below_inbox = text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("INBOX."));
        let written = if below_inbox {
            text.get(6..).map(|rest| rest.replace('.', "/"))
        } else if text.contains('&') {
            WireName::new(text.as_bytes()).decode().filter(|decoded| decoded != text)
        } else {
            None
        };
        let plain = |text: &String| !text.is_empty() && !text.chars().any(char::is_control);
        if let Some(written) = written.filter(plain) {
            self.hints.push(format!(
                "{place}: `{text}` looks like a server's form; names here have the form `{written}`"
            ));
        }
    }
}

fn name_fault(path: &[&str], message: &str) -> RuleFault {
    RuleFault::new(path, message)
        .hint("`/` stands between levels; a slash in a name is `\\/`, a backslash `\\\\`")
}

fn pattern_fault(path: &[&str], fault: &PatternFault) -> RuleFault {
    match fault {
        PatternFault::NoRole => {
            let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
            RuleFault::new(path, "no such role").hint(format!("roles: {}", roles.join(", ")))
        }
        PatternFault::Regex(why) => RuleFault::new(path, "not a regular expression").label(why),
        PatternFault::Glob(why) => RuleFault::new(path, "not a pattern").label(why),
        PatternFault::NotName => name_fault(path, "not the name of a folder"),
    }
}

//! One server and the login there.

use std::path::Path;

use crate::mail::FolderName;
use crate::mail::Side;
use crate::manifest::model::EndpointTable;
use crate::manifest::model::Period;
use crate::manifest::model::SecretTable;
use crate::resolve::fault::On;
use crate::resolve::fault::RuleFault;
use crate::resolve::limits;
use crate::resolve::migration::Endpoint;
use crate::resolve::migration::Given;
use crate::resolve::migration::SecretSource;
use crate::resolve::migration::Tls;
use crate::resolve::migration::missing;
use crate::rule::NameRules;

/// Reads one side; nothing where what cannot be left out is missing.
pub(crate) fn resolve(
    given: Given<'_>,
    side: Side,
    faults: &mut Vec<RuleFault>,
    hints: &mut Vec<String>,
) -> Option<(Endpoint, NameRules)> {
    let table = match side {
        Side::Source => given.manifest.source.as_ref(),
        Side::Destination => given.manifest.destination.as_ref(),
    };
    let Some(table) = table else {
        faults.push(
            missing(&[side.as_str()], format!("`[{side}]` is missing"))
                .hint(format!("write [{side}] with host and user")),
        );
        return None;
    };
    let names = names(table, side, faults);
    let host = required(table.host.as_ref(), side, "host", faults);
    let user = required(table.user.as_ref(), side, "user", faults);
    if let Some(host) = &host {
        check_host(host, side, faults);
    }
    let user = user.map(|user| placeholders(&user, side, "user", faults));
    let password = table.password.as_ref();
    let password = password.and_then(|secret| password_source(secret, given.folder, side, faults));
    let timeout = table.timeout.map(Period::duration).unwrap_or_default();
    if timeout.is_zero() {
        let fault = RuleFault::new(&[side.as_str(), "timeout"], "`timeout` cannot be 0");
        faults.push(fault.label("such as \"2 min\""));
    }
    let limits = limits::of_endpoint(table.limits.as_ref(), side, faults, hints);
    for (position, refusal) in table.refusals.iter().flatten().enumerate() {
        if refusal.trim().is_empty() {
            let path = [side.as_str(), "refusals", &position.to_string()];
            // It would be found in every NO, and a message stored all the same would come twice.
            faults.push(RuleFault::new(&path, "an empty refusal would match every answer"));
        }
    }
    let endpoint = Endpoint {
        profile: table.profile.clone().unwrap_or_default(),
        host: host?,
        port: table.port.unwrap_or_default(),
        user: user?,
        password,
        timeout,
        compress: table.compress.unwrap_or_default(),
        tls: tls(table, given.folder, side, faults),
        quirks: table.quirks.clone().unwrap_or_default(),
        refusals: table.refusals.clone().unwrap_or_default(),
        limits,
    };
    Some((endpoint, names))
}

fn required(
    value: Option<&String>,
    side: Side,
    key: &str,
    faults: &mut Vec<RuleFault>,
) -> Option<String> {
    let path = [side.as_str(), key];
    match value {
        None => faults.push(missing(&path, format!("[{side}] needs `{key}`"))),
        Some(value) if value.trim().is_empty() => {
            faults.push(RuleFault::new(&path, format!("`{key}` is empty")));
        }
        Some(value) => return Some(value.clone()),
    }
    None
}

fn check_host(host: &str, side: Side, faults: &mut Vec<RuleFault>) {
    let path = [side.as_str(), "host"];
    if let Some((_, rest)) = host.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let fault = RuleFault::new(&path, "`host` is a name or an address, and not a URL");
        faults.push(fault.label(format!("write \"{host}\"")));
    } else if let Some((name, port)) = host.rsplit_once(':').filter(|(name, port)| {
        // An IPv6 address has more colons than one.
        !name.contains(':') && port.chars().all(|c| c.is_ascii_digit())
    }) {
        let fault = RuleFault::new(&path, "`host` holds a port");
        faults.push(fault.label(format!("write host = \"{name}\" and port = {port}")));
    } else if host.chars().any(|c| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']')) {
        faults.push(RuleFault::new(&path, "`host` is no name and no address"));
    }
}

/// Braces are kept for placeholders; doubled ones are themselves.
fn placeholders(text: &str, side: Side, key: &str, faults: &mut Vec<RuleFault>) -> String {
    let plain = text.replace("{{", "\u{0}").replace("}}", "\u{1}");
    if plain.contains(['{', '}']) {
        let path = [side.as_str(), key];
        faults.push(
            RuleFault::new(&path, "placeholders in braces are not supported yet")
                .hint("a brace that is meant is written twice: {{"),
        );
    }
    plain.replace('\u{0}', "{").replace('\u{1}', "}")
}

fn names(table: &EndpointTable, side: Side, faults: &mut Vec<RuleFault>) -> NameRules {
    let root = table.root.as_ref().map(|root| placeholders(root, side, "root", faults));
    let root_name = root.as_deref().and_then(FolderName::parse);
    if root.is_some() && root_name.is_none() {
        let path = [side.as_str(), "root"];
        let fault = RuleFault::new(&path, "`root` is not the name of a folder");
        faults.push(fault.label("such as \"Backup/info\", without a slash at either end"));
    }
    let delimiter = table.delimiter.as_ref().and_then(|text| {
        let mut characters = text.chars();
        let only = characters.next().filter(|c| c.is_ascii_graphic() || *c == ' ');
        let only = only.filter(|_| characters.next().is_none());
        if only.is_none() {
            let path = [side.as_str(), "delimiter"];
            let fault = RuleFault::new(&path, "`delimiter` is one character of ASCII");
            faults.push(fault.label("such as \".\" or \"/\""));
        }
        only
    });
    NameRules {
        root: root_name,
        prefix: table.prefix.clone(),
        delimiter,
        quirks: table.quirks.clone().unwrap_or_default(),
    }
}

fn password_source(
    secret: &SecretTable,
    folder: &Path,
    side: Side,
    faults: &mut Vec<RuleFault>,
) -> Option<SecretSource> {
    let path = [side.as_str(), "password"];
    let empty = |faults: &mut Vec<RuleFault>, key: &str| {
        faults.push(RuleFault::new(&[side.as_str(), "password", key], format!("`{key}` is empty")));
        None
    };
    match (&secret.env, &secret.file, &secret.command) {
        (Some(name), None, None) if name.is_empty() || name.contains('=') => empty(faults, "env"),
        (Some(name), None, None) => Some(SecretSource::Env(name.clone())),
        (None, Some(file), None) if file.is_empty() => empty(faults, "file"),
        (None, Some(file), None) => Some(SecretSource::File(folder.join(file))),
        (None, None, Some(argv)) if argv.first().is_none_or(String::is_empty) => {
            empty(faults, "command")
        }
        (None, None, Some(argv)) => {
            Some(SecretSource::Command { argv: argv.clone(), folder: folder.to_owned() })
        }
        _ => {
            let fault = RuleFault::new(&path, "a password is in exactly one place").on(On::Key);
            faults.push(fault.label("one of `env`, `file`, `command`"));
            None
        }
    }
}

fn tls(table: &EndpointTable, folder: &Path, side: Side, faults: &mut Vec<RuleFault>) -> Tls {
    let tls = table.tls.clone().unwrap_or_default();
    for (key, value) in [("ca", &tls.ca), ("server-name", &tls.server_name)] {
        if value.as_ref().is_some_and(|value| value.trim().is_empty()) {
            faults.push(RuleFault::new(&[side.as_str(), "tls", key], format!("`{key}` is empty")));
        }
    }
    Tls {
        mode: tls.mode.unwrap_or_default(),
        verify: tls.verify.unwrap_or(true),
        ca: tls.ca.map(|ca| folder.join(ca)),
        server_name: tls.server_name,
    }
}

//! The defaults, in the one place where "not said" becomes something.

use crate::manifest::model::EndpointTable;
use crate::manifest::model::Manifest;
use crate::manifest::model::Period;
use crate::manifest::model::Size;
use crate::manifest::model::TlsMode;
use crate::profile::GENERIC;

/// Fills in every default. What has none stays absent.
#[must_use]
pub fn with_defaults(manifest: &Manifest) -> Manifest {
    let mut filled = manifest.clone();
    filled.version.get_or_insert(1);
    filled.mode.get_or_insert_default();
    // A side that is missing as a whole is a fault, and a default would hide it.
    for endpoint in [&mut filled.source, &mut filled.destination].into_iter().flatten() {
        fill_endpoint(endpoint);
    }
    let folders = filled.folders.get_or_insert_default();
    folders.exclude.get_or_insert_default();
    folders.only_subscribed.get_or_insert_default();
    folders.missing.get_or_insert_default();
    folders.empty.get_or_insert_default();
    folders.first.get_or_insert_default();
    folders.last.get_or_insert_default();
    folders.subscribe.get_or_insert_default();
    folders.map.get_or_insert_default();
    let messages = filled.messages.get_or_insert_default();
    messages.deleted.get_or_insert_default();
    messages.duplicates.get_or_insert_default();
    filled.flags.get_or_insert_default().on_existing.get_or_insert_default();
    filled.limits.get_or_insert_default().memory.get_or_insert(Size::of_mebibytes(32));
    let errors = filled.errors.get_or_insert_default();
    errors.retries.get_or_insert(3);
    errors.allow_empty_source.get_or_insert_default();
    errors.settle.get_or_insert(Period::of_seconds(60));
    errors.reconnect_for.get_or_insert(Period::of_minutes(15));
    filled.state.get_or_insert_default().dir.get_or_insert_with(|| ".mailferry".to_owned());
    filled
}

fn fill_endpoint(endpoint: &mut EndpointTable) {
    endpoint.profile.get_or_insert_with(|| GENERIC.to_owned());
    let tls = endpoint.tls.get_or_insert_default();
    let mode = *tls.mode.get_or_insert_default();
    tls.verify.get_or_insert(true);
    endpoint.port.get_or_insert(match mode {
        TlsMode::Implicit => 993,
        TlsMode::None => 143,
    });
    endpoint.timeout.get_or_insert(Period::of_minutes(2));
    endpoint.compress.get_or_insert_default();
    endpoint.refusals.get_or_insert_default();
    endpoint.quirks.get_or_insert_default();
}

//! Wiring: passwords and connectors for both ends.

use std::io;
use std::io::IsTerminal as _;

use secrecy::SecretString;

use crate::cli::exit::ExitStatus;
use crate::cli::failed::Failed;
use crate::cli::limits;
use crate::cli::output::Output;
use crate::cli::signals::Interrupts;
use crate::imap::{Compress, Connector, EmptyAppend, Server, TlsMode, Trust};
use crate::limit::Limits;
use crate::mail::Side;
use crate::manifest::model;
use crate::manifest::secret;
use crate::manifest::secret::SecretFault;
use crate::report::Problem;
use crate::resolve::{Endpoint, Migration};
use crate::rule::policy::Quirk;

/// The connectors of one migration.
#[derive(Clone)]
pub(super) struct Connectors {
    pub source: Connector,
    pub destination: Connector,
    pub limits: Limits,
}

impl Connectors {
    /// As these, and clones of them hand sessions on: what plans to what applies.
    pub(super) fn handing_on(self) -> Self {
        let Self { source, destination, limits } = self;
        Self { source: source.handing_on(), destination: destination.handing_on(), limits }
    }
}

/// Reads or asks for both passwords and makes both connectors, each behind its gate. Nothing is
/// sent yet.
pub(super) fn connectors(
    migration: &Migration,
    interrupts: &Interrupts,
    output: &Output,
) -> Result<Connectors, Failed> {
    let gates = limits::gates(migration, interrupts, output.stderr_screen())?;
    let source = connector(Side::Source, &migration.source, interrupts)?;
    let destination = connector(Side::Destination, &migration.destination, interrupts)?;
    Ok(Connectors {
        source: source.with_gate(gates.source),
        destination: destination.with_gate(gates.destination),
        limits: gates.limits,
    })
}

fn connector(side: Side, end: &Endpoint, interrupts: &Interrupts) -> Result<Connector, Failed> {
    let password = password(side, end, interrupts)?;
    Ok(Connector::new(server(end), side, password))
}

fn password(side: Side, end: &Endpoint, interrupts: &Interrupts) -> Result<SecretString, Failed> {
    let mut ask = || {
        if !io::stdin().is_terminal() {
            let text = "there is no terminal to ask for it";
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        }
        let prompt = format!("Password for {} on {}: ", end.user, end.host);
        interrupts.while_asking(|| rpassword::prompt_password(prompt)).map(SecretString::from)
    };
    secret::read(end.password.as_ref(), &mut ask).map_err(|fault| {
        // The prompt reads Ctrl-C as a key.
        if matches!(&fault, SecretFault::NotAnswered(why) if why.kind() == io::ErrorKind::Interrupted)
        {
            let problem = Problem::new("stopped at the question for a password");
            return Failed { problem, status: ExitStatus::Interrupted };
        }
        let problem = Problem::new(format!("there is no password for the {side}"))
            .detail("login", &end.user)
            .detail("fault", fault.to_string());
        let problem = match fault.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        Failed { problem, status: ExitStatus::ManifestInvalid }
    })
}

fn server(end: &Endpoint) -> Server {
    let tls = match end.tls.mode {
        model::TlsMode::None => TlsMode::None,
        model::TlsMode::Implicit => {
            let trust = match (&end.tls.ca, end.tls.verify) {
                (_, false) => Trust::Anything,
                (Some(issuers), true) => Trust::Issuers(issuers.clone()),
                (None, true) => Trust::Platform,
            };
            TlsMode::Implicit { trust, server_name: end.tls.server_name.clone() }
        }
    };
    let refuses = end.quirks.contains(&Quirk::RefusesEmptyAppend);
    Server {
        host: end.host.clone(),
        port: end.port,
        tls,
        user: end.user.clone(),
        timeout: end.timeout,
        refusals: end.refusals.clone(),
        compress: match end.compress {
            model::Compress::Auto => Compress::Auto,
            model::Compress::On => Compress::On,
            model::Compress::Off => Compress::Off,
        },
        empty_append: if refuses { EmptyAppend::Refused } else { EmptyAppend::Unknown },
    }
}

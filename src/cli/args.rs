//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The manifest that is meant when none is named.
pub(super) const MANIFEST: &str = "mailferry.toml";

const AFTER: &str = "\
A first migration, with a manifest in mailferry.toml:
  mailferry validate                  is the manifest right? Contacts nobody
  mailferry plan -o FILE              what is to be done? Changes nothing
  mailferry show FILE --detail messages
                                      read the plan before it is carried out
  mailferry apply FILE                do exactly that; again if interrupted
  mailferry verify                    is every message there, octet for octet?

Exit codes: 0 equal or nothing to do, 2 not equal, 3 some items are open,
4 differences, 64 wrong command line, 78 wrong manifest; the table is in
docs/reference/exit-codes.md.";

const AFTER_VALIDATE: &str = "\
Examples:
  mailferry validate
  mailferry validate office.toml --resolved
  mailferry validate --set source.port=1993

Ends with 0, or with 78 where the manifest has faults; all of them are told.";

const AFTER_SCHEMA: &str = "\
Examples:
  mailferry schema > manifest.schema.json
  mailferry schema report";

const AFTER_PLAN: &str = "\
Examples:
  mailferry plan                      look, and save nothing
  mailferry plan -o tonight.plan
  mailferry plan office.toml -o office.plan --set messages.newer-than='30 d'

Folders are opened read-only; neither side is changed. Ends with 0, or under
--detailed-exitcode with 2 where there is anything to do.";

const AFTER_SHOW: &str = "\
Examples:
  mailferry show tonight.plan
  mailferry show tonight.plan --detail messages
  mailferry show tonight.plan --check

Contacts nobody. Ends with 0, or with 6 where the plan is cut or altered.";

const AFTER_APPLY: &str = "\
Examples:
  mailferry apply tonight.plan        exactly that plan, without a question
  mailferry apply tonight.plan --manifest office.toml
  mailferry apply                     plan from mailferry.toml, show it, ask
  mailferry apply --yes --json        the same for a script

Ctrl-C finishes what is in flight and stops; twice stops at once. Both are safe:
apply the same plan again and it goes on. Ends with 0, 2 where the source moved
on, or 3 where items need a decision.";

const AFTER_VERIFY: &str = "\
Examples:
  mailferry verify
  mailferry verify office.toml --level counts

Nothing is changed and no earlier run is trusted. Ends with 0 where all is
equal, 3 where open items explain every difference, 4 where they do not.";

/// Moves mailboxes between IMAP servers: one way, without loss, without duplicates.
///
/// A manifest says what is to be where. `plan` looks at both sides and writes down every action,
/// `apply` carries out exactly that, again and again until both sides are equal, `verify` proves it.
#[derive(Debug, Parser)]
#[command(
    name = "mailferry",
    version,
    propagate_version = true,
    max_term_width = 80,
    after_help = AFTER
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Tell more on stderr: -v what is done, -vv every command to a server; never a password or mail
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a manifest, all faults at once
    ///
    /// Check a manifest: all faults at once, with file, line and column. Contacts nobody.
    #[command(after_help = AFTER_VALIDATE)]
    Validate(Validate),
    /// Print a JSON Schema
    ///
    /// Print a JSON Schema: of the manifest, of a line of a plan, or of what --json prints.
    #[command(after_help = AFTER_SCHEMA)]
    Schema(Schema),
    /// Look at both sides and write down every action
    ///
    /// Look at both sides, change nothing, and write down every action with its reason.
    #[command(after_help = AFTER_PLAN)]
    Plan(Plan),
    /// Show a saved plan
    #[command(after_help = AFTER_SHOW)]
    Show(Show),
    /// Carry out a plan, as often as it takes
    ///
    /// Carry out a plan: exactly what it says, as often as it takes. From a manifest: plan, show the
    /// plan, ask, and carry it out.
    #[command(after_help = AFTER_APPLY)]
    Apply(Apply),
    /// Prove that both sides are equal
    ///
    /// List and match both sides afresh and prove that they are equal, or list every difference.
    #[command(after_help = AFTER_VERIFY)]
    Verify(Verify),
}

/// Values that do not come from the manifest's file.
#[derive(Debug, Args)]
pub(super) struct Values {
    /// Set a key of the manifest for this run; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The manifest
    #[arg(default_value = MANIFEST)]
    pub manifest: PathBuf,

    #[command(flatten)]
    pub values: Values,

    /// Print the manifest with every default and profile filled in
    #[arg(long)]
    pub resolved: bool,
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Whose schema
    #[arg(default_value = "manifest")]
    pub of: SchemaOf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SchemaOf {
    /// What an author writes
    Manifest,
    /// A line of a plan file
    Plan,
    /// What --json prints
    Report,
}

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The manifest
    #[arg(default_value = MANIFEST)]
    pub manifest: PathBuf,

    #[command(flatten)]
    pub values: Values,

    /// Save the plan here, readable by you only
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// End with 2 where there is anything to do
    #[arg(long)]
    pub detailed_exitcode: bool,

    /// Print one JSON document instead
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The plan
    pub plan: PathBuf,

    /// How much
    #[arg(long, default_value = "summary")]
    pub detail: Detail,

    /// Only check that the file is whole: footer, format and hash
    #[arg(long, conflicts_with_all = ["json", "detail"])]
    pub check: bool,

    /// Print one JSON document instead; with --detail messages, with every action
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Detail {
    /// A table, what is not copied, and totals
    Summary,
    /// What is done in each folder
    Folders,
    /// Every action, with sets of UIDs
    Messages,
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// A plan, or a manifest to plan from first
    #[arg(default_value = MANIFEST, value_name = "PLAN|MANIFEST")]
    pub what: PathBuf,

    /// Where a plan's logins and limits are taken from
    #[arg(long, default_value = MANIFEST, value_name = "FILE")]
    pub manifest: PathBuf,

    #[command(flatten)]
    pub values: Values,

    /// Carry out only these sections of the plan
    #[arg(long, value_name = "SECTIONS")]
    pub only: Option<OnlyArg>,

    /// Do not ask; skips the question and no guard
    #[arg(long)]
    pub yes: bool,

    /// Print one JSON document instead of the summary
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnlyArg {
    /// Create and subscribe to folders
    Folders,
    /// Create folders and copy messages
    Copies,
    /// Change flags
    Flags,
}

impl OnlyArg {
    /// The word on the command line.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Folders => "folders",
            Self::Copies => "copies",
            Self::Flags => "flags",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The manifest
    #[arg(default_value = MANIFEST)]
    pub manifest: PathBuf,

    #[command(flatten)]
    pub values: Values,

    /// How deep to look
    #[arg(long, default_value = "content")]
    pub level: LevelArg,

    /// Print one JSON document instead
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LevelArg {
    /// Count the messages of each folder
    Counts,
    /// Read every message on both sides and compare it octet for octet
    Content,
}

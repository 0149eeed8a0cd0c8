//! How a command ended, for the shell.

use std::process::ExitCode;

/// How a command ended.
///
/// The numbers are a promise to scripts: they stand in `docs/reference/exit-codes.md` and never get
/// another meaning. Codes that are not listed are failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done, or nothing to do.
    Done = 0,
    /// A fault of the program.
    Fault = 1,
    /// No error, but not equal.
    NotEqual = 2,
    /// Some items failed or are blocked.
    Partial = 3,
    /// Verification found differences that no open item explains.
    Differs = 4,
    /// A guard stopped a deletion.
    Guard = 5,
    /// The plan is stale, cut or altered.
    Stale = 6,
    /// Locked by another run, or somebody else is copying there.
    Locked = 7,
    /// Authentication refused.
    LoginRefused = 8,
    /// Connection, TLS or server unavailable, or a mailbox that cannot be used.
    Unavailable = 9,
    /// A limit of the destination.
    DestinationFull = 10,
    /// Stopped cleanly at a limit of our own.
    Limit = 11,
    /// A login leads to another account than the plan names, or both ends are one mailbox.
    WrongAccount = 12,
    /// The command line is wrong.
    Usage = 64,
    /// The manifest is invalid.
    ManifestInvalid = 78,
    /// Ended by SIGINT or SIGHUP.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl ExitStatus {
    /// All codes, ascending.
    pub const ALL: [Self; 17] = [
        Self::Done,
        Self::Fault,
        Self::NotEqual,
        Self::Partial,
        Self::Differs,
        Self::Guard,
        Self::Stale,
        Self::Locked,
        Self::LoginRefused,
        Self::Unavailable,
        Self::DestinationFull,
        Self::Limit,
        Self::WrongAccount,
        Self::Usage,
        Self::ManifestInvalid,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Of several, the first of these is the code of the run. 78 and 64 end a run before it works
    /// and never meet another.
    pub const ORDER: [Self; 17] = [
        Self::Interrupted,
        Self::Terminated,
        Self::Fault,
        Self::WrongAccount,
        Self::Guard,
        Self::Differs,
        Self::LoginRefused,
        Self::Unavailable,
        Self::Stale,
        Self::Locked,
        Self::DestinationFull,
        Self::Partial,
        Self::Limit,
        Self::NotEqual,
        Self::ManifestInvalid,
        Self::Usage,
        Self::Done,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Fault => 1,
            Self::NotEqual => 2,
            Self::Partial => 3,
            Self::Differs => 4,
            Self::Guard => 5,
            Self::Stale => 6,
            Self::Locked => 7,
            Self::LoginRefused => 8,
            Self::Unavailable => 9,
            Self::DestinationFull => 10,
            Self::Limit => 11,
            Self::WrongAccount => 12,
            Self::Usage => 64,
            Self::ManifestInvalid => 78,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What the number means, as the documentation has it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => {
                "done: source and destination are equal under the manifest, or there was nothing to do"
            }
            Self::Fault => "a fault of the program; no more was changed than is written down",
            Self::NotEqual => {
                "no error, but not equal: `plan --detailed-exitcode` found changes; of `apply`, the source moved on, flags changed at the destination meanwhile were left alone, `--only` left work, or the answer was not yes"
            }
            Self::Partial => {
                "partial: some items failed or are blocked; they are listed, and the same plan may be applied again. Of `verify`: open items explain every difference"
            }
            Self::Differs => "verification found differences that no open item explains",
            Self::Guard => "a guard stopped a deletion",
            Self::Stale => "the plan, or a folder of it, is stale, cut or altered",
            Self::Locked => "locked by another run, or somebody else is copying there",
            Self::LoginRefused => "authentication refused",
            Self::Unavailable => {
                "connection, TLS or server unavailable, or a mailbox that cannot be used"
            }
            Self::DestinationFull => "a limit of the destination, such as its quota",
            Self::Limit => "stopped cleanly at a limit: bytes or deadline",
            Self::WrongAccount => {
                "wrong account: a login leads to another account than the plan names, or both ends are one mailbox"
            }
            Self::Usage => "the command line is wrong",
            Self::ManifestInvalid => "the manifest is invalid",
            Self::Interrupted => "ended by Ctrl-C (SIGINT) or SIGHUP",
            Self::Terminated => "ended by SIGTERM",
        }
    }

    /// The code of a run that ended in several ways; [`Done`](Self::Done) for none.
    #[must_use]
    pub fn worst_of(all: impl IntoIterator<Item = Self>) -> Self {
        let rank = |status: &Self| Self::ORDER.iter().position(|other| other == status);
        all.into_iter().min_by_key(rank).unwrap_or(Self::Done)
    }

    /// The status of that number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    fn page() -> String {
        let mut page = String::from(
            "# Exit codes\n\nA promise to scripts: a number never gets another meaning. Codes that are not listed are\nfailures. This page is made from the program by a test.\n\n| Code | Meaning |\n|---|---|\n",
        );
        for status in ExitStatus::ALL {
            writeln!(page, "| {} | {} |", status.code(), status.meaning()).unwrap();
        }
        page.push_str("\nOf several, the code of the run is the first in this order:\n");
        let order: Vec<String> =
            ExitStatus::ORDER.iter().map(|status| status.code().to_string()).collect();
        writeln!(page, "{}.", order.join(", ")).unwrap();
        page.push_str(
            "78, 64 and the lock's 7 end a run before it works. `--json` has the code of each account.\n\n`plan` with blocked messages ends with 0, or with 2 under `--detailed-exitcode`.\n",
        );
        page
    }

    #[test]
    fn the_page_of_exit_codes_is_that_of_the_program() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/exit-codes.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, page(), "run `BLESS=1 cargo test exit` and commit the page");
    }

    #[test]
    fn every_code_has_one_place_in_the_order() {
        let numbers: BTreeSet<u8> = ExitStatus::ORDER.into_iter().map(ExitStatus::code).collect();
        let all: Vec<u8> = ExitStatus::ALL.into_iter().map(ExitStatus::code).collect();
        assert!(numbers.iter().copied().eq(all), "{numbers:?}");
        assert!(
            ExitStatus::ALL
                .into_iter()
                .all(|status| ExitStatus::from_code(status.code()) == Some(status))
        );
    }

    #[test]
    fn of_several_the_first_in_the_order_counts() {
        use ExitStatus::{Done, Fault, Interrupted, LoginRefused, NotEqual, Partial, Stale};
        assert_eq!(ExitStatus::worst_of([Done, NotEqual, Partial]), Partial);
        assert_eq!(ExitStatus::worst_of([Stale, LoginRefused, Partial]), LoginRefused);
        assert_eq!(ExitStatus::worst_of([Fault, Interrupted]), Interrupted);
        assert_eq!(ExitStatus::worst_of([]), Done);
    }
}

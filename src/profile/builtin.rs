//! The profiles inside the binary.

/// The profile that every other one stands on.
pub const GENERIC: &str = "generic";

/// A profile inside the binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its name, which no other profile may take.
    pub name: &'static str,
    /// Its text, in TOML.
    pub text: &'static str,
}

/// All profiles inside the binary.
pub const BUILTIN: [Builtin; 3] = [
    Builtin { name: GENERIC, text: include_str!("builtin/generic.toml") },
    Builtin { name: "cyrus", text: include_str!("builtin/cyrus.toml") },
    Builtin { name: "dovecot", text: include_str!("builtin/dovecot.toml") },
];

/// The profile of this name inside the binary.
#[must_use]
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|builtin| builtin.name == name)
}

//! The next step that a screen names: a command that exists, with the files of this run.

use crate::report::text::escape;

/// The manifest that commands take when none is named.
const MANIFEST: &str = "mailferry.toml";

/// The files of a run, as its reader named them.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    /// The manifest.
    pub manifest: &'a str,
    /// The saved plan; nothing where none was saved.
    pub plan: Option<&'a str>,
}

impl Next<'_> {
    pub(super) fn plan(&self) -> String {
        format!("mailferry plan {}-o FILE", self.manifest_first())
    }

    pub(super) fn verify(&self) -> String {
        format!("mailferry verify {}", self.manifest_first()).trim_end().to_owned()
    }

    pub(super) fn apply(&self) -> String {
        let Some(plan) = self.plan else {
            return format!("mailferry apply {}", self.manifest_first()).trim_end().to_owned();
        };
        let plan = argument(plan);
        match self.manifest {
            MANIFEST => format!("mailferry apply {plan}"),
            other => format!("mailferry apply {plan} --manifest {}", argument(other)),
        }
    }

    fn manifest_first(&self) -> String {
        match self.manifest {
            MANIFEST => String::new(),
            other => argument(other) + " ",
        }
    }
}

/// A path as one argument of a shell's command line.
fn argument(path: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"._-/+,:@%".contains(&octet);
    if !path.is_empty() && !path.starts_with('-') && path.bytes().all(plain) {
        return path.to_owned();
    }
    // A file may be called like an option.
    let here = if path.starts_with('-') { "./" } else { "" };
    format!("'{here}{}'", escape(path).replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_manifest_is_not_named() {
        let next = Next { manifest: MANIFEST, plan: Some("a.plan") };
        assert_eq!(next.plan(), "mailferry plan -o FILE");
        assert_eq!(next.apply(), "mailferry apply a.plan");
        assert_eq!(next.verify(), "mailferry verify");
    }

    #[test]
    fn another_manifest_is_named_wherever_it_is_needed() {
        let next = Next { manifest: "my office.toml", plan: Some("-a.plan") };
        assert_eq!(next.plan(), "mailferry plan 'my office.toml' -o FILE");
        assert_eq!(next.apply(), "mailferry apply './-a.plan' --manifest 'my office.toml'");
        assert_eq!(next.verify(), "mailferry verify 'my office.toml'");
        assert_eq!(Next { plan: None, ..next }.apply(), "mailferry apply 'my office.toml'");
    }
}

//! Faults across keys, by the path of the key.

/// Whether the key or its value is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The key.
    Key,
    /// The value.
    Value,
    /// The key is not there.
    Missing,
}

/// A fault that shows only when all layers are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    /// The way to the key, position in a list last.
    pub path: Vec<String>,
    /// What of it.
    pub on: On,
    /// A sentence without a full stop; holds no value.
    pub message: String,
    /// Stands beside the carets; may hold what the value is.
    pub label: Option<String>,
    /// What to do.
    pub hints: Vec<String>,
}

impl RuleFault {
    /// A fault of the value at `path`.
    pub(crate) fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&step| step.to_owned()).collect(),
            on: On::Value,
            message: message.into(),
            label: None,
            hints: Vec::new(),
        }
    }

    pub(crate) fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

//! What is wrong, where, and what to write instead. How it is shown is [`mod@crate::render`]'s and [`crate::json`]'s.

use crate::Position;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The graph would be wrong: `bis check` fails.
    Error,
    /// The graph is right, but probably not what was meant.
    Warning,
}

impl Severity {
    /// The word in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code, such as `BIS0022`; [`crate::codes::explain`] has its page.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where. `None` only for what concerns no file.
    pub position: Option<Position>,
    /// What is at the position, shown under its carets. May be empty.
    pub label: String,
    /// Other places that belong to it.
    pub labels: Vec<Label>,
    /// What to write instead.
    pub help: Option<String>,
}

/// Another place of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub position: Position,
    /// What is there.
    pub message: String,
}

impl Diagnostic {
    /// An error without other places.
    pub fn error(
        code: &'static str,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, code, position.into(), message.into())
    }

    /// A warning without other places.
    pub fn warning(
        code: &'static str,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warning, code, position.into(), message.into())
    }

    fn new(severity: Severity, code: &'static str, position: Option<Position>, message: String) -> Self {
        Self { code, severity, message, position, label: String::new(), labels: Vec::new(), help: None }
    }

    /// With a text under the carets.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With another place.
    pub fn and(mut self, position: Position, message: impl Into<String>) -> Self {
        self.labels.push(Label { position, message: message.into() });
        self
    }

    /// With what to write instead.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Sorts findings by their position in the source, and drops duplicates.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (&a.position, a.severity, a.code, &a.message).cmp(&(&b.position, b.severity, b.code, &b.message))
    });
    diagnostics.dedup();
}

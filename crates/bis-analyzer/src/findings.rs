//! Diagnostics on their way: ranges of one file become positions, mistakes in the grammar get their codes.

use std::sync::Arc;

use bis_graph::{Diagnostic, Position, codes};
use bis_syntax::ErrorKind;

use crate::summary::{Mistake, Range};

/// The position of a range in a file.
pub(crate) fn position(file: &Arc<str>, range: Range) -> Position {
    Position {
        file: Arc::clone(file),
        line: range.line,
        column: range.column,
        end_line: range.end_line,
        end_column: range.end_column,
    }
}

/// The code of a kind of mistake.
pub(crate) fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Syntax => codes::ARGUMENTS,
        ErrorKind::Option => codes::UNKNOWN_OPTION,
        ErrorKind::Name => codes::INVALID_NAME,
        ErrorKind::Duration => codes::INVALID_DURATION,
        ErrorKind::Value => codes::INVALID_VALUE,
        ErrorKind::Handler => codes::HANDLER,
        ErrorKind::Route => codes::ROUTE,
        ErrorKind::PathParameters => codes::PATH_PARAMETERS,
        ErrorKind::Event => codes::EVENT_ATTRIBUTE,
    }
}

/// Mistakes of one file as diagnostics.
pub(crate) fn mistakes(file: &Arc<str>, mistakes: &[Mistake]) -> impl Iterator<Item = Diagnostic> {
    mistakes.iter().map(move |mistake| {
        let diagnostic =
            Diagnostic::error(code(mistake.kind), position(file, mistake.range), mistake.message.clone());
        match &mistake.help {
            Some(help) => diagnostic.help(help.clone()),
            None => diagnostic,
        }
    })
}

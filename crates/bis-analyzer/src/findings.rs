//! Where diagnostics begin: a range of a file as a position, and what the grammar finds, which knows neither codes nor files.

use std::sync::Arc;

use bis_graph::{Diagnostic, Position, codes};
use bis_syntax::{ErrorKind, Errors};

use crate::summary::Range;

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
fn code(kind: ErrorKind) -> &'static str {
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
        ErrorKind::Access => codes::PUBLIC_USER,
    }
}

/// What the grammar finds wrong in a file. What has no tokens to point at is put at `fallback`.
pub(crate) fn mistakes(file: &Arc<str>, errors: Errors, fallback: Range) -> Vec<Diagnostic> {
    let diagnostic = |error: bis_syntax::Error| {
        let (first, last) = error.span;
        let range = Range::between(first, last);
        // A call-site span has no place in the fallback implementation: line 1, column 0, empty.
        let is_nowhere = (range.line, range.column) == (range.end_line, range.end_column);
        let place = position(file, if is_nowhere { fallback } else { range });
        Diagnostic { help: error.help, ..Diagnostic::error(code(error.kind), place, error.message) }
    };
    errors.into_vec().into_iter().map(diagnostic).collect()
}

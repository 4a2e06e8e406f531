//! Turns a source text into its [`FileSummary`]. It knows one file, what is in the build, and the names and macros that other files
//! give; it resolves nothing.

mod body;
mod calls;
mod constants;
mod constraints;
mod declares;
mod derives;
mod docs;
mod extractor;
mod handlers;
mod imports;
mod includes;
mod items;
mod macros;
mod real_time;
mod recover;
mod select;
mod statuses;
mod syntax;
mod types;
mod vocabulary;

use extractor::Extractor;

pub(crate) use extractor::Context;

use std::sync::Arc;

use bis_graph::{Diagnostic, Position, codes};

use crate::{
    findings::position,
    nesting,
    summary::{FileSummary, Range},
};

/// Summarises a file's text.
pub(crate) fn file(text: &str, context: &Context<'_>) -> FileSummary {
    if let Some((line, column)) = nesting::too_deep(text) {
        let place = Position::point(Arc::clone(context.file), line, column);
        let message =
            "this file is nested too deeply to be read, so what it declares is missing from the graph";
        return unread(
            Diagnostic::warning(codes::TOO_DEEP, place, message)
                .help("move what is nested into functions or modules of its own"),
        );
    }
    let error = match syn::parse_file(text) {
        Ok(file) => return summary(context, &file),
        Err(error) => error,
    };
    match recover::file(text, context.cfg.is_2015) {
        Some(file) => summary(context, &file),
        None => unread(
            Diagnostic::warning(
                codes::SYNTAX_ERROR,
                position(context.file, Range::of(error.span())),
                "a bracket, quote or comment is not closed, or closes what is not open",
            )
            .help("the rest of the app is analysed without this file; cargo says more about it"),
        ),
    }
}

fn unread(reason: Diagnostic) -> FileSummary {
    FileSummary { is_broken: true, unread: vec![reason], ..FileSummary::default() }
}

fn summary(context: &Context<'_>, file: &syn::File) -> FileSummary {
    let extractor = Extractor::new(context, file);
    let module = items::root(&extractor, file);
    extractor.into_summary(module)
}

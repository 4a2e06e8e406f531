//! A source text to its [`FileSummary`]. It knows one file, what is in the build, and the names and macros that other files
//! give; it resolves nothing.

mod body;
mod calls;
mod constants;
mod declares;
mod derives;
mod extractor;
mod handlers;
mod imports;
mod includes;
mod items;
mod macros;
mod recover;
mod select;
mod syntax;
mod types;
mod vocabulary;

use extractor::Extractor;

pub(crate) use extractor::Context;

use crate::{
    nesting,
    summary::{Failure, FileSummary, Mistake, Range},
};

/// Summarises a file's text.
pub(crate) fn file(text: &str, context: &Context<'_>) -> FileSummary {
    let failed = |failure| FileSummary { failure: Some(failure), ..FileSummary::default() };
    if let Some((line, column)) = nesting::too_deep(text) {
        let (line, column) =
            (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX));
        return failed(Failure::TooDeep(Range { line, column, end_line: line, end_column: column + 1 }));
    }
    let error = match syn::parse_file(text) {
        Ok(file) => return summary(context, &file),
        Err(error) => error,
    };
    match recover::file(text, context.cfg.is_2015) {
        Some(file) => summary(context, &file),
        None => failed(Failure::Lexical(
            "a bracket, quote or comment is not closed, or closes what is not open".to_owned(),
            Range::of(error.span()),
        )),
    }
}

fn summary(context: &Context<'_>, file: &syn::File) -> FileSummary {
    let extractor = Extractor::new(context, file);
    let module = items::root(&extractor, file);
    extractor.into_summary(module)
}

/// The mistakes of a store. What has no tokens to point at is put at `fallback`.
pub(crate) fn mistakes(errors: bis_syntax::Errors, fallback: Range) -> Vec<Mistake> {
    errors
        .into_vec()
        .into_iter()
        .map(|error| {
            let (first, last) = error.span;
            let range = Range::between(first, last);
            // A call-site span has no place in the fallback implementation: line 1, column 0, empty.
            let nowhere = (range.line, range.column) == (range.end_line, range.end_column);
            Mistake {
                kind: error.kind,
                range: if nowhere { fallback } else { range },
                message: error.message,
                help: error.help,
            }
        })
        .collect()
}

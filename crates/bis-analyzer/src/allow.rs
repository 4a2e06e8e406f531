//! Warnings that the source or `bis.toml` lets pass. Errors always stay.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bis_graph::{Diagnostic, Position, Sources, codes};
use toml::Value;

use crate::{source, summary::Allow};

/// What passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed {
    /// Everywhere.
    all: Vec<String>,
    /// The `bis.toml` that was read.
    pub(crate) file: Option<PathBuf>,
    /// Within a region of a file.
    regions: Vec<(Arc<str>, Allow)>,
}

impl Allowed {
    /// Reads the codes that a `bis.toml` allows for the whole app, if there is one.
    pub(crate) fn read(
        &mut self,
        dir: &Path,
        shown_from: &Path,
        found: &mut Vec<Diagnostic>,
        sources: &mut Sources,
    ) -> bool {
        let path = dir.join("bis.toml");
        let Ok(text) = std::fs::read_to_string(&path) else { return false };
        let file = source::relative(shown_from, &path);
        let whole = Position::point(Arc::clone(&file), 1, 1);
        let report = |found: &mut Vec<Diagnostic>, position: Position, message: String| {
            found.push(
                Diagnostic::warning(codes::ALLOWANCE, position, message)
                    .help("write `[check]` and `allow = [\"BIS0034\"]` under it"),
            );
        };
        match toml::from_str::<toml::Table>(&text) {
            Err(error) => {
                let position = source::position_of_bytes(&file, &text, error.span().unwrap_or(0..0));
                let message = format!("`bis.toml` cannot be read: {}", error.message().replace('\n', " "));
                report(found, position, message);
            }
            Ok(table) => {
                let list = table.get("check").and_then(|check| check.get("allow"));
                match list.map(Value::as_array) {
                    None => {}
                    Some(None) => report(found, whole, "`check.allow` is not a list of codes".to_owned()),
                    Some(Some(list)) => {
                        let names = list.iter().map(|code| code.as_str().unwrap_or("?").to_owned());
                        self.all.extend(names);
                        for code in self.all.iter().filter(|code| !is_code(code)) {
                            let at = text.find(code.as_str()).unwrap_or_default();
                            let position = source::position_of_bytes(&file, &text, at..at + code.len());
                            found.push(unknown(code, position));
                        }
                    }
                }
            }
        }
        sources.insert(file, text);
        self.file = Some(path);
        true
    }

    /// Takes what a file allows.
    pub(crate) fn add(&mut self, file: &Arc<str>, allows: &[Allow], found: &mut Vec<Diagnostic>) {
        for allow in allows {
            for (code, range) in allow.codes.iter().filter(|(code, _)| !is_code(code)) {
                found.push(unknown(code, crate::findings::position(file, *range)));
            }
            self.regions.push((Arc::clone(file), allow.clone()));
        }
    }

    /// Whether a finding is a warning that may pass.
    pub(crate) fn lets_pass(&self, diagnostic: &Diagnostic) -> bool {
        let in_region = |position: &Position| {
            self.regions.iter().any(|(file, allow)| {
                let (begin, end) =
                    ((allow.range.line, allow.range.column), (allow.range.end_line, allow.range.end_column));
                *file == position.file
                    && (begin..end).contains(&(position.line, position.column))
                    && allow.codes.iter().any(|(code, _)| code == diagnostic.code)
            })
        };
        !diagnostic.is_error()
            && (self.all.iter().any(|code| code == diagnostic.code)
                || diagnostic.position.as_ref().is_some_and(in_region))
    }
}

fn is_code(code: &str) -> bool {
    codes::ALL.contains(&code)
}

fn unknown(code: &str, position: Position) -> Diagnostic {
    let help = match bis_syntax::closest(code, codes::ALL.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write a code as a warning shows it, such as `BIS0034`".to_owned(),
    };
    Diagnostic::warning(codes::ALLOWANCE, position, format!("`{code}` is not the code of a warning"))
        .help(help)
}

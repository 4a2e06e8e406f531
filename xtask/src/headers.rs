//! Every Rust file opens with `//!`: what it owns, and what it must never do.

use crate::{Finding, sources::Source};

/// Files that open with something else.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let headless = sources.iter().filter(|source| !source.text.starts_with("//! "));
    headless
        .map(|source| Finding::new(&source.path, "does not open with `//! `: say what the file owns"))
        .collect()
}

//! Every Rust file opens with `//!`: what it owns, and what it must never do.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::output;

/// Programs that stand for a user's own: their text is the test.
const FIXTURES: [&str; 3] = ["tests/ui/", "tests/fixtures/", "/templates/"];

/// Files that open with anything else.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let tracked = output(root, "git", &["ls-files", "*.rs"])?;
    let mut findings = Vec::new();
    for file in tracked.lines().filter(|file| !FIXTURES.iter().any(|part| file.contains(part))) {
        let path = root.join(file);
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("read {file}"))?;
        if !text.starts_with("//! ") {
            findings.push(format!("{file} does not open with `//! `: say what the file owns"));
        }
    }
    Ok(findings)
}

//! Files that ARCHITECTURE.md names exist.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::Finding;

/// Files that the page names and the project lacks. Paths are from `crates/`.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let gone = files(&page).into_iter().filter(|file| !root.join("crates").join(file).exists());
    Ok(gone
        .map(|file| Finding::new("ARCHITECTURE.md", format!("names `{file}`, which is not there")))
        .collect())
}

/// Texts in backticks that end like the path of a source file.
fn files(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.ends_with(".rs") && text.contains('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_backticks() {
        assert_eq!(files("see `a/src/b.rs`, `state.rs` and `main`; c/src/d.rs"), ["a/src/b.rs"]);
    }
}

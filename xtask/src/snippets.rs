//! Rust snippets on a page that no doctest compiles appear word for word in an example or in the template of `bis new`.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{Finding, output};

/// The sources that pages quote. Each is compiled and tested elsewhere.
const QUOTED: [&str; 3] =
    ["examples/*.rs", "crates/bis-cli/template/src/*.rs", "crates/bis-cli/template/tests/*.rs"];

/// The pages, and the fence of a snippet that no doctest compiles.
const PAGES: [(&str, &str); 2] = [("README.md", "```rust,ignore\n"), ("docs/*.md", "```rust\n")];

/// Snippets of the pages that appear in none of the sources.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let read = |file: &str| fs::read_to_string(root.join(file)).with_context(|| format!("read {file}"));
    let mut sources = Vec::new();
    for pattern in QUOTED {
        for file in output(root, "git", &["ls-files", pattern])?.lines() {
            sources.push(read(file)?);
        }
    }
    let mut findings = Vec::new();
    for (pattern, fence) in PAGES {
        for page in
            output(root, "git", &["ls-files", pattern])?.lines().filter(|page| root.join(page).exists())
        {
            findings.extend(uncovered(page, &read(page)?, fence, &sources));
        }
    }
    Ok(findings)
}

fn uncovered(page: &str, text: &str, fence: &str, sources: &[String]) -> Vec<Finding> {
    let snippets = text.split(fence).skip(1).filter_map(|rest| rest.split("```").next());
    let missing = snippets.filter(|snippet| !sources.iter().any(|source| source.contains(snippet)));
    missing.map(|snippet| Finding::new(page, format!("shows what no example has:\n{snippet}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_that_no_example_has_is_found() {
        let page = "```rust,ignore\nfn a() {}\n```\ntext\n```rust,ignore\nfn b() {}\n```\n";
        let examples = ["fn a() {}\n".to_owned()];
        let found = uncovered("page", page, "```rust,ignore\n", &examples);
        let found: Vec<String> = found.into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, ["shows what no example has:\nfn b() {}\n"]);
    }
}

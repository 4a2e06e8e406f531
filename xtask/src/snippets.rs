//! What a page shows and does not compile by itself stands in an example, word for word.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{Finding, output};

/// The fence of a snippet that no doctest compiles.
const FENCE: &str = "```rust,ignore\n";

/// Snippets of README.md that no example has.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let page = fs::read_to_string(root.join("README.md")).context("read README.md")?;
    let tracked = output(root, "git", &["ls-files", "examples/*.rs"])?;
    let examples = tracked
        .lines()
        .map(|file| fs::read_to_string(root.join(file)).with_context(|| format!("read {file}")));
    let examples: Vec<String> = examples.collect::<Result<_>>()?;
    Ok(uncovered(&page, &examples))
}

fn uncovered(page: &str, examples: &[String]) -> Vec<Finding> {
    let snippets = page.split(FENCE).skip(1).filter_map(|rest| rest.split("```").next());
    let missing = snippets.filter(|snippet| !examples.iter().any(|example| example.contains(snippet)));
    missing
        .map(|snippet| Finding::new("README.md", format!("shows what no example has:\n{snippet}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_that_no_example_has_is_found() {
        let page = "```rust,ignore\nfn a() {}\n```\ntext\n```rust,ignore\nfn b() {}\n```\n";
        let examples = ["fn a() {}\n".to_owned()];
        let found: Vec<String> = uncovered(page, &examples).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, ["shows what no example has:\nfn b() {}\n"]);
    }
}

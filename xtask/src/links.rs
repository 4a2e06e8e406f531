//! Links between the pages of this repository lead to a file, and to a heading of it, that exist.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

use crate::{Finding, output};

/// Relative links of every tracked page that lead nowhere.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let tracked = output(root, "git", &["ls-files", "*.md"])?;
    let mut findings = Vec::new();
    for page in tracked.lines().filter(|page| root.join(page).exists()) {
        let text = fs::read_to_string(root.join(page)).with_context(|| format!("read {page}"))?;
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        for target in links(&text) {
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { root.join(page) } else { root.join(folder).join(file) };
            if !path.exists() {
                findings.push(Finding::new(page, format!("links to `{target}`, which does not exist")));
            } else if !heading.is_empty() {
                let other = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                if !anchors(&other).contains(heading) {
                    let what = format!("links to `{target}`, but there is no such heading");
                    findings.push(Finding::new(page, what));
                }
            }
        }
    }
    Ok(findings)
}

/// The text of a page outside fenced blocks, line by line.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    })
}

/// The targets of a page's links within the repository.
fn links(page: &str) -> Vec<String> {
    // Backticks make it text, not a link.
    let prose = prose(page).map(|line| line.split('`').step_by(2).collect::<String>());
    let is_ours = |target: &String| !target.contains("://") && !target.starts_with("mailto:");
    let of_line = |line: String| {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.map(str::to_owned).collect::<Vec<_>>()
    };
    prose.flat_map(of_line).filter(is_ours).collect()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|one| one.is_alphanumeric() || " -_".contains(*one))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_those_of_the_prose() {
        let page =
            "[`a`](b.md) and [c](d.md#e) [web](https://x.y) `[T](name)`\n```\n[no](no.md)\n```\n[f](#g)\n";
        assert_eq!(links(page), ["b.md", "d.md#e", "#g"]);
    }

    #[test]
    fn anchors_are_made_as_github_makes_them() {
        let page = "# Why did my event do nothing?\n## From `bis run` to NSQ\n```\n# a comment\n```\n";
        let expected = ["from-bis-run-to-nsq", "why-did-my-event-do-nothing"].map(str::to_owned);
        assert_eq!(anchors(page), BTreeSet::from(expected));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let folder = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        output(&folder, "git", &["init", "-q"]).unwrap();
        fs::write(folder.join("a.md"), "# A\n[b](b.md) [here](#a) [gone](#b) [a](a.md#c)\n").unwrap();
        output(&folder, "git", &["add", "a.md"]).unwrap();
        let found: Vec<String> = check(&folder).unwrap().into_iter().map(|finding| finding.what).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            found,
            [
                "links to `b.md`, which does not exist",
                "links to `#b`, but there is no such heading",
                "links to `a.md#c`, but there is no such heading"
            ]
        );
    }
}

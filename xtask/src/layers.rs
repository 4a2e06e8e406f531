//! Crates depend on each other only as ARCHITECTURE.md lists it, and it lists nothing that is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::output;

/// The arrows, by the crate that they start from.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Arrows that only one of page and manifests has.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let metadata = output(root, "cargo", &["metadata", "--no-deps", "--format-version", "1", "--offline"])?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("read cargo metadata")?;
    Ok(compare(&listed(&page)?, &actual(&metadata)))
}

fn compare(listed: &Arrows, actual: &Arrows) -> Vec<String> {
    let none = BTreeSet::new();
    let crates: BTreeSet<&String> = listed.keys().chain(actual.keys()).collect();
    let mut findings = Vec::new();
    for from in crates {
        let (listed, actual) = (listed.get(from).unwrap_or(&none), actual.get(from).unwrap_or(&none));
        for to in actual.difference(listed) {
            findings.push(format!("{from} depends on {to}, which ARCHITECTURE.md does not allow"));
        }
        for to in listed.difference(actual) {
            findings.push(format!("ARCHITECTURE.md lists {from} -> {to}, which is gone"));
        }
    }
    findings
}

/// Reads the page's block that is fenced as `arrows`: `from -> to, to` on each line.
fn listed(page: &str) -> Result<Arrows> {
    let (_, rest) =
        page.split_once("```arrows\n").context("ARCHITECTURE.md has no block fenced as `arrows`")?;
    let (block, _) = rest.split_once("```").context("the block of arrows in ARCHITECTURE.md does not end")?;
    block
        .lines()
        .map(|line| {
            let (from, to) = line.split_once("->").with_context(|| format!("`{line}` is no arrow"))?;
            Ok((from.trim().to_owned(), to.split(',').map(|name| name.trim().to_owned()).collect()))
        })
        .collect()
}

/// The arrows between this workspace's own crates, tests' dependencies left out.
fn actual(metadata: &Metadata) -> Arrows {
    let ours: BTreeSet<&String> = metadata.packages.iter().map(|package| &package.name).collect();
    metadata
        .packages
        .iter()
        .filter(|package| !package.manifest_path.contains("/examples/"))
        .map(|package| {
            let to = package.dependencies.iter().filter(|dependency| dependency.kind.is_none());
            let to = to.map(|dependency| &dependency.name).filter(|name| ours.contains(name));
            (package.name.clone(), to.cloned().collect::<BTreeSet<String>>())
        })
        .filter(|(_, to)| !to.is_empty())
        .collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_only_one_side_has_is_found() {
        let page = "text\n```arrows\na -> b, c\nb -> c\n```\n";
        let mut arrows = listed(page).unwrap();
        assert_eq!(compare(&listed(page).unwrap(), &arrows), Vec::<String>::new());
        arrows.get_mut("b").unwrap().clear();
        arrows.get_mut("b").unwrap().insert("a".into());
        assert_eq!(
            compare(&listed(page).unwrap(), &arrows),
            [
                "b depends on a, which ARCHITECTURE.md does not allow",
                "ARCHITECTURE.md lists b -> c, which is gone"
            ]
        );
    }
}

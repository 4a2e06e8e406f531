//! Crates depend on each other only as listed in ARCHITECTURE.md; the list has no outdated entries, and no manifest
//! has a dependency that the crate's code never names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use serde::Deserialize;

use crate::{Finding, output, sources::Source};

/// The arrows, by the crate that they start from.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Folders of packages that nothing depends on, and that may use whatever they demonstrate or measure.
const OUTSIDE: [&str; 2] = ["/examples/", "/bench/"];

/// Arrows that appear in only one of page and manifests, and those that no code uses.
pub fn check(root: &Path, sources: &[Source]) -> Result<Vec<Finding>> {
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let metadata = output(root, "cargo", &["metadata", "--no-deps", "--format-version", "1", "--offline"])?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("read cargo metadata")?;
    let actual = actual(&metadata);
    let mut findings = compare(&listed(&page)?, &actual);
    findings.extend(unused(&actual, sources));
    Ok(findings)
}

fn compare(listed: &Arrows, actual: &Arrows) -> Vec<Finding> {
    let none = BTreeSet::new();
    let crates: BTreeSet<&String> = listed.keys().chain(actual.keys()).collect();
    let mut findings = Vec::new();
    for from in crates {
        let (listed, actual) = (listed.get(from).unwrap_or(&none), actual.get(from).unwrap_or(&none));
        let new = actual.difference(listed);
        findings.extend(
            new.map(|to| arrow(from, to, "is in the manifest, and ARCHITECTURE.md does not allow it")),
        );
        let gone = listed.difference(actual);
        findings.extend(
            gone.map(|to| arrow(from, to, "is listed in ARCHITECTURE.md, and the manifest lacks it")),
        );
    }
    findings
}

/// Arrows whose target the crate's code never names.
fn unused(actual: &Arrows, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (from, ends) in actual {
        let folders = [format!("crates/{from}/src/"), format!("{from}/src/")];
        let own =
            sources.iter().filter(|source| folders.iter().any(|folder| source.path.starts_with(folder)));
        let own: Vec<TokenStream> = own.map(|source| source.syntax.to_token_stream()).collect();
        let is_used = |to: &str| own.iter().any(|tokens| names(tokens.clone(), &to.replace('-', "_")));
        let unused = ends.iter().filter(|to| !is_used(to));
        findings.extend(unused.map(|to| arrow(from, to, "is in the manifest, and no code uses it")));
    }
    findings
}

fn arrow(from: &str, to: &str, what: &str) -> Finding {
    Finding::new(format!("{from} -> {to}"), what)
}

/// Whether a word is among the tokens.
fn names(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => names(group.stream(), word),
        _ => false,
    })
}

/// Reads the page's block that is fenced as `arrows`: `from -> to, to` on each line.
fn listed(page: &str) -> Result<Arrows> {
    let (_, rest) =
        page.split_once("```arrows\n").context("ARCHITECTURE.md has no block fenced as `arrows`")?;
    let (block, _) = rest.split_once("```").context("the block of arrows in ARCHITECTURE.md does not end")?;
    block
        .lines()
        .map(|line| {
            let (from, to) = line.split_once("->").with_context(|| format!("`{line}` is not an arrow"))?;
            Ok((from.trim().to_owned(), to.split(',').map(|name| name.trim().to_owned()).collect()))
        })
        .collect()
}

/// The arrows between this workspace's own crates, without dev-dependencies.
fn actual(metadata: &Metadata) -> Arrows {
    let ours: BTreeSet<&String> = metadata.packages.iter().map(|package| &package.name).collect();
    metadata
        .packages
        .iter()
        .filter(|package| !OUTSIDE.iter().any(|folder| package.manifest_path.contains(folder)))
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

    fn at(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.at).collect()
    }

    #[test]
    fn an_arrow_that_only_one_side_has_is_found() {
        let page = "text\n```arrows\na -> b, c\nb -> c\n```\n";
        let mut arrows = listed(page).unwrap();
        assert_eq!(at(compare(&listed(page).unwrap(), &arrows)), Vec::<String>::new());
        arrows.get_mut("b").unwrap().clear();
        arrows.get_mut("b").unwrap().insert("a".into());
        assert_eq!(at(compare(&listed(page).unwrap(), &arrows)), ["b -> a", "b -> c"]);
    }

    #[test]
    fn an_arrow_that_no_code_uses_is_found() {
        let arrows = listed("```arrows\na -> b-c, d\n```\n").unwrap();
        let text = "//! Uses b_c and not d.\nfn f() { g!(b_c::h()) }\n";
        let source = Source::parse("crates/a/src/lib.rs", text.into()).unwrap();
        assert_eq!(at(unused(&arrows, &[source])), ["a -> d"]);
    }
}

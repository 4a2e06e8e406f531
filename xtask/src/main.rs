//! `cargo xtask tidy`: project rules that rustc and clippy do not check. The same checks run as a test.

mod allows;
mod exceptions;
mod headers;
mod layers;
mod links;
mod map;
mod modules;
mod sizes;
mod snippets;
mod sources;
mod uses;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

/// A violation of a rule.
struct Finding {
    /// Where: a file, and the place in it. An exception names it the same way.
    at: String,
    /// What is wrong, and what to do about it.
    what: String,
}

impl Finding {
    fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("tidy") {
        eprintln!("usage: cargo xtask tidy");
        return ExitCode::from(2);
    }
    match tidy() {
        Ok(findings) => {
            findings.iter().for_each(|finding| eprintln!("{finding}"));
            if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every check and returns one line for each finding that has no exception.
fn tidy() -> Result<Vec<String>> {
    let root = root();
    let sources = sources::read(&root)?;
    let checks = [
        ("layers", layers::check(&root, &sources)?),
        ("map", map::check(&root)?),
        ("modules", modules::check(&root, &sources)?),
        ("headers", headers::check(&sources)),
        ("sizes", sizes::check(&sources)),
        ("allows", allows::check(&sources)),
        ("snippets", snippets::check(&root)?),
        ("links", links::check(&root)?),
    ];
    let findings =
        checks.into_iter().flat_map(|(check, found)| found.into_iter().map(move |one| (check, one)));
    let mut findings: Vec<(&str, Finding)> = findings.collect();
    let wrong_exceptions = exceptions::check(&findings);
    findings.retain(|(check, finding)| !exceptions::covers(check, &finding.at));
    findings.extend(wrong_exceptions.into_iter().map(|finding| ("exceptions", finding)));
    Ok(findings.iter().map(|(check, finding)| format!("{check}: {}: {}", finding.at, finding.what)).collect())
}

/// The workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What `program` prints when run in `root`.
fn output(root: &Path, program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(root)
        .output()
        .with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_is_tidy() {
        assert_eq!(super::tidy().unwrap(), Vec::<String>::new());
    }
}

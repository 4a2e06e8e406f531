//! `cargo xtask tidy`: checks of the house that rustc and clippy do not make. The same checks run as tests.

mod headers;
mod layers;
mod snippets;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, ensure};

/// A check: what it is called, and what it finds wrong, one line each.
type Check = (&'static str, fn(&Path) -> Result<Vec<String>>);

const CHECKS: [Check; 3] =
    [("layers", layers::check), ("headers", headers::check), ("snippets", snippets::check)];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("tidy") {
        eprintln!("usage: cargo xtask tidy");
        return ExitCode::from(2);
    }
    match tidy() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every check, prints what each finds, and returns how many findings there are.
fn tidy() -> Result<usize> {
    let root = root();
    let mut count = 0;
    for (name, check) in CHECKS {
        for finding in check(&root)? {
            eprintln!("{name}: {finding}");
            count += 1;
        }
    }
    Ok(count)
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
    use super::*;

    #[test]
    fn crates_depend_on_each_other_as_architecture_says() {
        assert_eq!(layers::check(&root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn every_file_says_what_it_owns() {
        assert_eq!(headers::check(&root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_the_readme_shows_is_compiled() {
        assert_eq!(snippets::check(&root()).unwrap(), Vec::<String>::new());
    }
}

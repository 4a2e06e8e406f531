//! Every Rust file of the project, read and parsed once for all checks. Decides nothing.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::output;

/// Programs that represent a user's own: their text is the test.
const FIXTURES: [&str; 3] = ["tests/ui/", "tests/fixtures/", "bis-cli/template/"];

/// One source file.
pub struct Source {
    /// Its path within the project, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The parsed text.
    pub syntax: syn::File,
}

impl Source {
    /// A file with this text.
    pub fn parse(path: &str, text: String) -> Result<Self> {
        let syntax = syn::parse_file(&text).with_context(|| format!("parse {path}"))?;
        Ok(Self { path: path.to_owned(), text, syntax })
    }

    /// The crate's folder and the modules from its root to the file, for a file under a crate's `src`.
    pub fn module(&self) -> Option<(&str, Vec<&str>)> {
        let (folder, file) = self.path.split_once("/src/")?;
        let mut modules: Vec<&str> = file.strip_suffix(".rs")?.split('/').collect();
        modules.pop_if(|last| matches!(*last, "lib" | "main" | "mod"));
        Some((folder, modules))
    }
}

/// Reads every file that git knows or could add, fixtures left out.
pub fn read(root: &Path) -> Result<Vec<Source>> {
    let listed = output(root, "git", &["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])?;
    listed
        .lines()
        .filter(|file| !FIXTURES.iter().any(|part| file.contains(part)) && root.join(file).exists())
        .map(|file| {
            let text = fs::read_to_string(root.join(file)).with_context(|| format!("read {file}"))?;
            Source::parse(file, text)
        })
        .collect()
}

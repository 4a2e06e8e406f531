//! The folder of the package that a command works on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::exit;
use crate::failure::Failure;
use crate::print;

/// The package that a command works on.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    folder: PathBuf,
}

impl Project {
    /// The package in `folder`, or in the nearest folder above it, as cargo finds it. In a workspace without a root
    /// package, it is the member that is an app, if there is one.
    pub(crate) fn find(folder: &Path) -> Result<Self> {
        let start = folder.canonicalize().map_err(|error| {
            Failure::new(exit::NOT_FOUND, format!("cannot open the folder `{}`: {error}", folder.display()))
                .help("give the folder of an app, or make one with `bis new NAME`")
        })?;
        let found = start.ancestors().find(|ancestor| ancestor.join("Cargo.toml").is_file());
        match found {
            Some(found) if is_workspace_alone(found) => Ok(Self { folder: app_of(found)? }),
            Some(found) => Ok(Self { folder: found.to_path_buf() }),
            None => Err(Failure::new(
                exit::NOT_FOUND,
                format!("there is no `Cargo.toml` in `{}` or above it", folder.display()),
            )
            .help("give the folder of an app, or make one with `bis new NAME`")
            .into()),
        }
    }

    /// The package's folder, absolute.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The package's manifest, absolute.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }
}

fn is_workspace_alone(folder: &Path) -> bool {
    // A manifest that cannot be read is reported by the analyser, with its position.
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    let has = |table: &str| manifest.lines().any(|line| line.trim().starts_with(table));
    has("[workspace") && !has("[package]")
}

fn app_of(workspace: &Path) -> Result<PathBuf> {
    let analysis = bis_analyzer::analyze(workspace, &bis_analyzer::Options::default());
    let several = analysis.diagnostics.iter().filter(|found| found.code == bis_graph::codes::MANY_APPS);
    let places = several
        .flat_map(|found| found.position.iter().chain(found.labels.iter().map(|label| &label.position)));
    let folder_of = |file: &str| {
        let file = workspace.join(file);
        file.ancestors().find(|folder| folder.join("Cargo.toml").is_file()).map(print::path)
    };
    let candidates: BTreeSet<String> = places.filter_map(|place| folder_of(&place.file)).collect();
    let Some(first) = candidates.first() else { return Ok(analysis.package_dir) };
    let folders = candidates.iter().map(|folder| format!("`{folder}`")).collect::<Vec<_>>().join(", ");
    Err(Failure::new(exit::USAGE, format!("the workspace has several apps: {folders}"))
        .help(format!("name the folder of the one that you mean, such as `{first}`; `bis topic` and `bis dead` take it as `--app`"))
        .into())
}

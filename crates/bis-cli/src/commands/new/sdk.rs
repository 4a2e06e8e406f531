//! Where a new app gets the crate `bis` from. The crates are not in a registry yet, where other crates may have
//! their names, so it is a local folder or the repository.

use std::env;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use crate::exit;
use crate::failure::Failure;

/// The crate's folder within a checkout.
const WITHIN_CHECKOUT: &str = "crates/bis";

/// The source of the crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sdk {
    /// A folder, as written in the manifest: relative to the app where both can be moved together.
    Folder(PathBuf),
    /// The repository.
    Repository,
}

impl Sdk {
    /// The crate that the user names, otherwise that of the nearest checkout: around the app, around this program,
    /// or the one that this program was built in, if it still exists.
    pub(super) fn find(app: &Path, given: Option<&Path>) -> Result<Self> {
        let app = absolute(app)?;
        if let Some(given) = given {
            let sdk = absolute(given)?;
            let within = sdk.join(WITHIN_CHECKOUT);
            let Some(sdk) = [within, sdk].into_iter().find(|folder| is_sdk(folder)) else {
                let message = format!("`{}` is not a checkout of Bis", given.display());
                let help = format!("give the folder that holds `{WITHIN_CHECKOUT}/Cargo.toml`");
                return Err(Failure::new(exit::USAGE, message).help(help).into());
            };
            return Ok(Self::Folder(match given.is_absolute() {
                true => sdk,
                false => relative(&app, &sdk),
            }));
        }
        let program = env::current_exe().ok().and_then(|program| program.canonicalize().ok());
        let around = [Some(app.as_path()), program.as_deref()].into_iter().flatten();
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let found = around
            .flat_map(Path::ancestors)
            .chain(built_in)
            .find(|folder| is_sdk(&folder.join(WITHIN_CHECKOUT)));
        Ok(match found {
            None => Self::Repository,
            Some(checkout) if is_beside(&app, checkout) => {
                Self::Folder(relative(&app, &checkout.join(WITHIN_CHECKOUT)))
            }
            Some(checkout) => Self::Folder(checkout.join(WITHIN_CHECKOUT)),
        })
    }

    /// The source of `bis` in the manifest's dependencies.
    pub(super) fn dependency(&self) -> String {
        match self {
            Self::Folder(path) => format!("path = {path:?}"),
            Self::Repository => format!("git = {:?}", env!("CARGO_PKG_REPOSITORY")),
        }
    }

    /// The lock file of the checkout: the versions that it was tested with. Cargo removes what the app does not
    /// need.
    pub(super) fn lock(&self, app: &Path) -> Option<String> {
        let Self::Folder(path) = self else { return None };
        let checkout = app.join(path).ancestors().nth(2)?.to_owned();
        fs::read_to_string(checkout.join("Cargo.lock")).ok()
    }
}

fn is_sdk(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.lines().any(|line| line.trim() == "name = \"bis\""))
}

/// Whether the app is in the checkout or beside it.
fn is_beside(app: &Path, checkout: &Path) -> bool {
    let parent = checkout.parent().filter(|parent| parent.parent().is_some());
    app.starts_with(parent.unwrap_or(checkout))
}

/// A path without symbolic links; its last parts do not have to exist.
fn absolute(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| format!("cannot use `{}`", path.display()))?;
    let mut rest: Vec<Component<'_>> = Vec::new();
    let mut existing = path.as_path();
    loop {
        if let Ok(resolved) = existing.canonicalize() {
            return Ok(rest.iter().rev().fold(resolved, |path, part| path.join(part)));
        }
        let (Some(parent), Some(last)) = (existing.parent(), existing.components().next_back()) else {
            return Ok(path);
        };
        rest.push(last);
        existing = parent;
    }
}

/// The relative path from one folder to another, both absolute.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkout named `bis` in a temporary folder.
    fn checkout() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let checkout = folder.path().canonicalize().unwrap().join("src/bis");
        fs::create_dir_all(checkout.join(WITHIN_CHECKOUT)).unwrap();
        fs::write(checkout.join("crates/bis/Cargo.toml"), "[package]\nname = \"bis\"\n").unwrap();
        fs::write(checkout.join("Cargo.lock"), "# locked").unwrap();
        (folder, checkout)
    }

    #[track_caller]
    fn check(app: &Path, given: Option<&Path>, expected: &Path) {
        let sdk = Sdk::find(app, given).unwrap();
        fs::create_dir_all(app).unwrap();
        assert_eq!(sdk, Sdk::Folder(expected.to_owned()));
        assert_eq!(sdk.lock(app).as_deref(), Some("# locked"), "{app:?}");
    }

    #[test]
    fn an_application_in_a_checkout_names_it_relatively() {
        let (_folder, checkout) = checkout();
        check(&checkout.join("my-app"), None, Path::new("../crates/bis"));
        check(&checkout.join("apps/my-app"), None, Path::new("../../crates/bis"));
    }

    #[test]
    fn a_folder_that_is_given_comes_first() {
        let (_folder, checkout) = checkout();
        let app = checkout.join("../my-app");
        check(&app, Some(&checkout), &checkout.join("crates/bis"));
        check(&app, Some(&checkout.join("crates/bis")), &checkout.join("crates/bis"));
        let error = Sdk::find(&app, Some(&checkout.join("crates"))).unwrap_err().to_string();
        assert!(error.contains("is not a checkout of Bis"), "{error}");
    }

    #[test]
    fn only_what_can_move_together_is_relative() {
        let checkout = Path::new("/home/ann/src/bis");
        assert!(is_beside(Path::new("/home/ann/src/my-app"), checkout));
        assert!(!is_beside(Path::new("/home/ann/my-app"), checkout));
        assert!(!is_beside(Path::new("/tmp/my-app"), Path::new("/bis")));
        let way = relative(Path::new("/home/ann/src/my-app"), &checkout.join(WITHIN_CHECKOUT));
        assert_eq!(way, Path::new("../bis/crates/bis"));
    }

    #[test]
    fn this_program_knows_the_checkout_that_it_was_built_in() {
        let elsewhere = tempfile::tempdir().unwrap();
        let Sdk::Folder(found) = Sdk::find(&elsewhere.path().join("my-app"), None).unwrap() else {
            panic!("the tests run in a checkout");
        };
        assert!(is_sdk(&elsewhere.path().join("my-app").join(found)));
    }
}

//! Where foreign programs are, and what happens when they are missing.

use std::env;
use std::path::PathBuf;

use bis_conformance::{Missing, skip_missing};

/// Runs `test`, or says that it was skipped because a peer is missing, or fails when `BIS_REQUIRE_PEERS=1`.
pub(crate) fn with_peers(name: &str, test: impl FnOnce() -> Result<(), Missing>) {
    if let Err(missing) = test() {
        skip_missing("foreign", name, &missing);
    }
}

/// A program on the `PATH`, or where `go install` puts it.
pub(crate) fn find(program: &str) -> Result<PathBuf, Missing> {
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin"));
    env::split_paths(&path)
        .chain(home)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| Missing(format!("`{program}`")))
}

//! A package's library and binaries, as cargo finds them: what the manifest declares, and what lies in `src/bin`. It reads
//! no source.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A crate's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As cargo calls it.
    pub(crate) name: String,
    /// As `module_path!()` begins.
    pub(crate) crate_name: String,
    pub(crate) root: PathBuf,
}

impl Target {
    fn new(name: &str, root: PathBuf) -> Self {
        Self { name: name.to_owned(), crate_name: underscored(name), root }
    }
}

/// The library.
pub(crate) fn lib(dir: &Path, package: &str, table: &Table) -> Option<Target> {
    let lib = table.get("lib").and_then(Value::as_table);
    let get = |key: &str| lib.and_then(|lib| lib.get(key)).and_then(Value::as_str);
    let root = dir.join(get("path").unwrap_or("src/lib.rs"));
    let is_automatic = setting(table, "autolib");
    let exists = get("path").is_some() || ((lib.is_some() || is_automatic) && root.is_file());
    exists.then(|| Target::new(get("name").unwrap_or(package), root))
}

/// The binaries: those of `[[bin]]` first, then those that cargo finds.
pub(crate) fn bins(dir: &Path, package: &str, table: &Table) -> Vec<Target> {
    let declared = table.get("bin").and_then(Value::as_array).into_iter().flatten();
    let mut bins: Vec<Target> = declared
        .filter_map(Value::as_table)
        .filter_map(|bin| {
            let name = bin.get("name").and_then(Value::as_str)?;
            let root = match bin.get("path").and_then(Value::as_str) {
                Some(path) => dir.join(path),
                None => places(dir, package, name),
            };
            Some(Target::new(name, root))
        })
        .collect();
    if setting(table, "autobins") {
        for found in found(dir, package) {
            if bins.iter().all(|bin| bin.name != found.name && bin.root != found.root) {
                bins.push(found);
            }
        }
    }
    bins
}

/// Where a declared binary without a path is: the first of cargo's places that has a file.
fn places(dir: &Path, package: &str, name: &str) -> PathBuf {
    let folder = dir.join("src/bin");
    let mut places = vec![folder.join(format!("{name}.rs")), folder.join(name).join("main.rs")];
    if name == package {
        places.insert(0, dir.join("src/main.rs"));
    }
    places.iter().find(|place| place.is_file()).unwrap_or(&places[0]).clone()
}

fn found(dir: &Path, package: &str) -> Vec<Target> {
    let mut found = Vec::new();
    let main = dir.join("src/main.rs");
    if main.is_file() {
        found.push(Target::new(package, main));
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir.join("src/bin"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    entries.sort();
    for path in entries {
        let Some(name) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
        if path.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Target::new(&name, path));
        } else if path.join("main.rs").is_file() {
            let name = path.file_name().map_or(name, |name| name.to_string_lossy().into_owned());
            found.push(Target::new(&name, path.join("main.rs")));
        }
    }
    found
}

/// A switch of `[package]` that is on by default.
fn setting(table: &Table, key: &str) -> bool {
    let package = table.get("package").and_then(|package| package.get(key));
    package.and_then(Value::as_bool).unwrap_or(true)
}

/// A package's name as the source writes it.
pub(crate) fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

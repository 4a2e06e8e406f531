//! One `Cargo.toml`: package, targets, dependencies and features. It follows no dependency and reads no source.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

/// A manifest that was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    /// `[package]`, when it has one.
    pub(crate) package: Option<Package>,
    /// `[workspace]`, when it has one.
    pub(crate) workspace: Option<WorkspaceTable>,
}

/// `[package]` with its targets.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) lib: Option<Target>,
    pub(crate) bin: Option<Target>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// A crate's root.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// As `module_path!()` begins.
    pub(crate) crate_name: String,
    pub(crate) root: PathBuf,
}

/// A dependency of a package.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    /// The name that the source uses.
    pub(crate) extern_name: String,
    /// The key in the manifest, which features use.
    pub(crate) key: String,
    /// The package's own name.
    pub(crate) package: String,
    /// Its folder, when it is a path dependency.
    pub(crate) path: Option<PathBuf>,
    pub(crate) features: Vec<String>,
    pub(crate) default_features: bool,
    pub(crate) optional: bool,
    /// `workspace = true`: the rest stands in the workspace's manifest.
    pub(crate) inherited: bool,
}

/// `[workspace]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkspaceTable {
    pub(crate) members: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Why a manifest could not be read, and where in its text.
#[derive(Debug)]
pub(crate) struct ManifestError {
    pub(crate) message: String,
    pub(crate) bytes: Option<std::ops::Range<usize>>,
}

impl Manifest {
    /// Reads the text of the manifest in `dir`.
    pub(crate) fn parse(dir: &Path, text: &str) -> Result<Self, ManifestError> {
        let table: Table = toml::from_str(text)
            .map_err(|error| ManifestError { message: error.message().to_owned(), bytes: error.span() })?;
        let missing = |what: &str| ManifestError { message: format!("`{what}` is missing"), bytes: None };
        let package = match table.get("package").and_then(Value::as_table) {
            Some(package) => {
                let name =
                    package.get("name").and_then(Value::as_str).ok_or_else(|| missing("package.name"))?;
                Some(self::package(dir, name, &table))
            }
            None => None,
        };
        let workspace = table.get("workspace").and_then(Value::as_table).map(|workspace| WorkspaceTable {
            members: strings(workspace.get("members")),
            exclude: strings(workspace.get("exclude")),
            dependencies: dependencies(dir, workspace.get("dependencies")),
        });
        if package.is_none() && workspace.is_none() {
            return Err(missing("[package]"));
        }
        Ok(Self { package, workspace })
    }
}

fn package(dir: &Path, name: &str, table: &Table) -> Package {
    let mut all = dependencies(dir, table.get("dependencies"));
    if let Some(targets) = table.get("target").and_then(Value::as_table) {
        for target in targets.values().filter_map(Value::as_table) {
            all.extend(dependencies(dir, target.get("dependencies")));
        }
    }
    let features = table
        .get("features")
        .and_then(Value::as_table)
        .map(|features| features.iter().map(|(name, list)| (name.clone(), strings(Some(list)))).collect())
        .unwrap_or_default();
    Package {
        name: name.to_owned(),
        dir: dir.to_owned(),
        lib: lib(dir, name, table),
        bin: bin(dir, name, table),
        dependencies: all,
        features,
    }
}

fn lib(dir: &Path, package: &str, table: &Table) -> Option<Target> {
    let lib = table.get("lib").and_then(Value::as_table);
    let get = |key: &str| lib.and_then(|lib| lib.get(key)).and_then(Value::as_str);
    let root = dir.join(get("path").unwrap_or("src/lib.rs"));
    let exists = get("path").is_some() || root.is_file();
    exists.then(|| Target { crate_name: underscored(get("name").unwrap_or(package)), root })
}

/// The binary that is the app's: the one of the package's name, else the only one.
fn bin(dir: &Path, package: &str, table: &Table) -> Option<Target> {
    let explicit: Vec<Target> = table
        .get("bin")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table)
        .filter_map(|bin| {
            let name = bin.get("name").and_then(Value::as_str)?;
            let root = match bin.get("path").and_then(Value::as_str) {
                Some(path) => dir.join(path),
                None if name == package => dir.join("src/main.rs"),
                None => dir.join("src/bin").join(format!("{name}.rs")),
            };
            Some(Target { crate_name: underscored(name), root })
        })
        .collect();
    let name = underscored(package);
    let main = dir.join("src/main.rs");
    match explicit.iter().find(|bin| bin.crate_name == name || bin.root == main) {
        Some(bin) => Some(bin.clone()),
        None if main.is_file() => Some(Target { crate_name: name, root: main }),
        None if explicit.len() == 1 => explicit.into_iter().next(),
        None => None,
    }
}

fn dependencies(dir: &Path, value: Option<&Value>) -> Vec<Dependency> {
    let Some(table) = value.and_then(Value::as_table) else { return Vec::new() };
    table
        .iter()
        .map(|(key, value)| {
            let get = |name: &str| value.as_table().and_then(|table| table.get(name));
            Dependency {
                extern_name: underscored(key),
                key: key.clone(),
                package: get("package").and_then(Value::as_str).unwrap_or(key).to_owned(),
                path: get("path").and_then(Value::as_str).map(|path| dir.join(path)),
                features: strings(get("features")),
                default_features: get("default-features").and_then(Value::as_bool).unwrap_or(true),
                optional: get("optional").and_then(Value::as_bool).unwrap_or(false),
                inherited: get("workspace").and_then(Value::as_bool).unwrap_or(false),
            }
        })
        .collect()
}

impl Dependency {
    /// What it is after the workspace's entry of the same key is applied.
    pub(crate) fn inherit(&self, workspace: &[Dependency]) -> Dependency {
        let Some(entry) = workspace.iter().find(|entry| self.inherited && entry.key == self.key) else {
            return self.clone();
        };
        let mut features = entry.features.clone();
        features.extend(self.features.iter().cloned());
        Dependency {
            package: entry.package.clone(),
            path: entry.path.clone(),
            features,
            default_features: entry.default_features,
            ..self.clone()
        }
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let array = value.and_then(Value::as_array);
    array.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

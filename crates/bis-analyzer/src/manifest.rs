//! One `Cargo.toml`: package, dependencies and features. It follows no dependency and reads no source.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bis_graph::{Diagnostic, codes};
use toml::{Table, Value};

use crate::{
    source,
    targets::{self, Target, underscored},
};

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
    pub(crate) edition: Edition,
    /// Whether something runs before it is compiled, which may set cfgs and make files.
    pub(crate) has_build_script: bool,
    pub(crate) lib: Option<Target>,
    pub(crate) bins: Vec<Target>,
    /// The binary that `cargo run` runs.
    pub(crate) default_run: Option<String>,
    /// `package.workspace`: the folder of the workspace, when that is not above.
    pub(crate) workspace: Option<PathBuf>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// A package's edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edition {
    /// As it is written.
    Year(String),
    /// `edition.workspace = true`
    Inherited,
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
    /// `[target.PLATFORM.dependencies]`: only there.
    pub(crate) platform: Option<String>,
    pub(crate) features: Vec<String>,
    pub(crate) default_features: bool,
    pub(crate) optional: bool,
    /// `workspace = true`: the rest is in the workspace's manifest.
    pub(crate) inherited: bool,
}

/// `[workspace]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkspaceTable {
    pub(crate) members: Vec<String>,
    pub(crate) default_members: Vec<String>,
    pub(crate) exclude: Vec<String>,
    /// `[workspace.package]`
    pub(crate) edition: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

impl Manifest {
    /// Reads the text of the manifest in `dir`, which diagnostics name as `file`.
    pub(crate) fn parse(dir: &Path, file: &Arc<str>, text: &str) -> Result<Self, Box<Diagnostic>> {
        let error = |message: &str, bytes: Option<std::ops::Range<usize>>| {
            let position = source::position_of_bytes(file, text, bytes.unwrap_or(0..0));
            let message = format!("`{file}` is not a valid manifest: {}", message.replace('\n', " "));
            let error = Diagnostic::error(codes::MANIFEST, position, message);
            Box::new(error.help("run `cargo metadata` for what cargo says about it"))
        };
        let table: Table = toml::from_str(text).map_err(|wrong| error(wrong.message(), wrong.span()))?;
        let missing = |what: &str| error(&format!("`{what}` is missing"), None);
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
            default_members: strings(workspace.get("default-members")),
            exclude: strings(workspace.get("exclude")),
            edition: workspace
                .get("package")
                .and_then(|package| package.get("edition"))
                .and_then(Value::as_str)
                .map(str::to_owned),
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
        for (platform, target) in targets {
            let of_target = dependencies(dir, target.get("dependencies"));
            all.extend(
                of_target
                    .into_iter()
                    .map(|dependency| Dependency { platform: Some(platform.clone()), ..dependency }),
            );
        }
    }
    let features = table
        .get("features")
        .and_then(Value::as_table)
        .map(|features| features.iter().map(|(name, list)| (name.clone(), strings(Some(list)))).collect())
        .unwrap_or_default();
    let get = |key: &str| table.get("package").and_then(|package| package.get(key));
    let text = |key: &str| get(key).and_then(Value::as_str);
    Package {
        name: name.to_owned(),
        dir: dir.to_owned(),
        edition: match get("edition") {
            Some(Value::Table(_)) => Edition::Inherited,
            edition => Edition::Year(edition.and_then(Value::as_str).unwrap_or("2015").to_owned()),
        },
        has_build_script: match get("build") {
            Some(build) => build.as_bool() != Some(false),
            None => dir.join("build.rs").is_file(),
        },
        lib: targets::lib(dir, name, table),
        bins: targets::bins(dir, name, table),
        default_run: text("default-run").map(str::to_owned),
        workspace: text("workspace").map(|path| dir.join(path)),
        dependencies: all,
        features,
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
                platform: None,
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

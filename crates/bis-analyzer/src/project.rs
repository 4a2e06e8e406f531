//! The packages that an analysis reads: the one in the folder, or a workspace's members, and what they depend on by
//! path; with the features that are on. It reads manifests only.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use bis_graph::{Diagnostic, Position, Sources, codes};

use crate::{
    cfg::{Cfg, Target, Truth},
    manifest::{Dependency, Edition, Manifest, Package, WorkspaceTable},
    options::Options,
    rustflags::{self, Rustflags},
    source, targets,
};

/// Packages, crates and what went wrong while reading them.
#[derive(Debug, Default)]
pub(crate) struct Project {
    /// Positions are relative to it.
    pub(crate) dir: PathBuf,
    pub(crate) packages: Vec<ProjectPackage>,
    /// The packages in which the app is looked for, in groups: the first group that has one decides.
    pub(crate) candidates: Vec<Vec<usize>>,
    pub(crate) manifests: Vec<PathBuf>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) sources: Sources,
}

/// A package whose source is read.
#[derive(Debug)]
pub(crate) struct ProjectPackage {
    pub(crate) package: Package,
    /// Names in the source, and the package that each leads to; what is not here is foreign.
    pub(crate) externs: HashMap<String, Extern>,
    /// What is in its build.
    pub(crate) cfg: Cfg,
    /// The binaries whose source is read: the one that runs, or all when that is not decided.
    pub(crate) bins: Vec<targets::Target>,
    /// Whether it, or what it depends on by path, depends on Bis: others declare nothing.
    pub(crate) uses_bis: bool,
}

/// Where a crate's name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extern {
    /// Bis itself.
    Bis,
    /// A package of the project, by index.
    Package(usize),
    /// A crate whose source is not read, by its package's name.
    Foreign(String),
}

impl Project {
    /// Reads the manifests from `dir`, or the nearest folder above it that has one.
    pub(crate) fn load(dir: &Path, options: &Options) -> Self {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        let mut project = Self { dir: dir.clone(), ..Self::default() };
        let Some(home) = dir.ancestors().find(|dir| dir.join("Cargo.toml").is_file()).map(Path::to_owned)
        else {
            project.diagnostics.push(
                Diagnostic::error(
                    codes::MANIFEST,
                    None,
                    format!("`{}` has no Cargo.toml, nor has a folder above it", dir.display()),
                )
                .help("run it in the folder of an app, or make one with `bis new NAME`"),
            );
            return project;
        };
        project.dir = home.clone();
        let flags = rustflags::read(&home);
        project.manifests.extend(flags.files.iter().cloned());
        let target = Arc::new(match &options.target {
            Some(target) => Target::from_rustc(target.triple.clone(), &target.cfg),
            None => Target::of_this_program(),
        });
        let mut reader = Reader {
            project,
            target,
            flags,
            read: HashMap::new(),
            workspaces: HashMap::new(),
            manifests: HashMap::new(),
        };
        let Some(manifest) = reader.manifest(&home) else { return reader.project };
        let mut groups = Vec::new();
        let read = |reader: &mut Reader, folders: Vec<PathBuf>| -> Vec<usize> {
            folders.iter().filter_map(|folder| reader.package(folder)).collect()
        };
        if manifest.package.is_some() {
            groups.push(read(&mut reader, vec![home.clone()]));
        }
        if let Some(workspace) = &manifest.workspace {
            let own = members(&home, &workspace.default_members, &[]);
            groups.insert(0, read(&mut reader, own));
            groups.push(read(&mut reader, members(&home, &workspace.members, &workspace.exclude)));
        }
        groups.retain(|group| !group.is_empty());
        reader.project.candidates = groups;
        reader.project.enable_features(options);
        reader.project.choose_bins(options);
        reader.project.find_users_of_bis();
        reader.project
    }

    /// Whether the app may be in a package.
    pub(crate) fn is_candidate(&self, package: usize) -> bool {
        self.candidates.iter().flatten().any(|candidate| *candidate == package)
    }

    /// Which binaries are read: of the candidates, the one that `--bin` or `default-run` names, or the only one.
    fn choose_bins(&mut self, options: &Options) {
        for index in 0..self.packages.len() {
            if !self.is_candidate(index) {
                continue;
            }
            let package = &mut self.packages[index];
            let all = &package.package.bins;
            let wanted = options.bin.as_ref().or(package.package.default_run.as_ref());
            let chosen = all.iter().find(|bin| Some(&bin.name) == wanted);
            package.bins = chosen.map_or_else(|| all.clone(), |bin| vec![bin.clone()]);
        }
    }

    fn find_users_of_bis(&mut self) {
        loop {
            let mut changed = false;
            for index in 0..self.packages.len() {
                let uses = self.packages[index].externs.values().any(|target| match target {
                    Extern::Bis => true,
                    Extern::Package(package) => self.packages[*package].uses_bis,
                    Extern::Foreign(_) => false,
                });
                changed |= uses && !self.packages[index].uses_bis;
                self.packages[index].uses_bis |= uses;
            }
            if !changed {
                return;
            }
        }
    }

    fn enable_features(&mut self, options: &Options) {
        let mut wanted: Vec<(usize, String)> = Vec::new();
        for &candidate in self.candidates.iter().flatten() {
            if !options.no_default_features {
                wanted.push((candidate, "default".to_owned()));
            }
            wanted.extend(options.features.iter().map(|feature| (candidate, feature.clone())));
            if options.all_features {
                let package = &self.packages[candidate].package;
                let optional = package.dependencies.iter().filter(|dependency| dependency.optional);
                let names = package.features.keys().chain(optional.map(|dependency| &dependency.key));
                wanted.extend(names.map(|feature| (candidate, feature.clone())));
            }
        }
        for package in &self.packages {
            for dependency in package.package.dependencies.iter().filter(|one| package.is_for_target(one)) {
                let Some(target) = package.target(dependency) else { continue };
                if dependency.default_features {
                    wanted.push((target, "default".to_owned()));
                }
                wanted.extend(dependency.features.iter().map(|feature| (target, feature.clone())));
            }
        }
        while let Some((package, feature)) = wanted.pop() {
            if !self.packages[package].cfg.features.insert(feature.clone()) {
                continue;
            }
            let ProjectPackage { package, externs, .. } = &self.packages[package];
            let index = self.packages.iter().position(|other| std::ptr::eq(&other.package, package));
            for entry in package.features.get(&feature).into_iter().flatten() {
                if entry.starts_with("dep:") {
                } else if let Some((dependency, feature)) = entry.split_once('/') {
                    let key = dependency.trim_end_matches('?').replace('-', "_");
                    if let Some(Extern::Package(target)) = externs.get(&key) {
                        wanted.push((*target, feature.to_owned()));
                    }
                } else if let Some(index) = index {
                    wanted.push((index, entry.clone()));
                }
            }
        }
    }

    /// The packages that `from` links, itself included.
    pub(crate) fn reachable(&self, from: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut queue = vec![from];
        while let Some(package) = queue.pop() {
            if seen.insert(package) {
                let package = &self.packages[package];
                let linked =
                    package.package.dependencies.iter().filter(|dependency| package.links(dependency));
                queue.extend(linked.filter_map(|dependency| package.target(dependency)));
            }
        }
        seen
    }
}

impl ProjectPackage {
    /// The package of the project that a dependency leads to.
    fn target(&self, dependency: &Dependency) -> Option<usize> {
        match self.externs.get(&dependency.extern_name)? {
            Extern::Package(package) => Some(*package),
            _ => None,
        }
    }

    /// Whether a dependency is in the build: it is not optional, or a feature that is on asks for it.
    fn links(&self, dependency: &Dependency) -> bool {
        let asks = |entry: &String| {
            entry.strip_prefix("dep:") == Some(&dependency.key)
                || *entry == dependency.key
                || entry.split_once('/').is_some_and(|(key, _)| key == dependency.key)
        };
        let features = &self.cfg.features;
        let is_on = !dependency.optional
            || features.contains(&dependency.key)
            || features.iter().filter_map(|name| self.package.features.get(name)).flatten().any(asks);
        is_on && self.is_for_target(dependency)
    }

    /// Whether a dependency may be one on the target.
    fn is_for_target(&self, dependency: &Dependency) -> bool {
        let platform = dependency.platform.as_ref();
        platform
            .is_none_or(|platform| self.cfg.target.is_named(platform, self.cfg.has_open_target) != Truth::Off)
    }
}

struct Reader {
    project: Project,
    target: Arc<Target>,
    flags: Rustflags,
    /// Packages by folder; `None` when the manifest is broken.
    read: HashMap<PathBuf, Option<usize>>,
    /// The `[workspace]` tables, by folder.
    workspaces: HashMap<PathBuf, WorkspaceTable>,
    /// The manifests, by folder; `None` when they cannot be read.
    manifests: HashMap<PathBuf, Option<Rc<Manifest>>>,
}

impl Reader {
    /// The manifest in a folder, which is read once; `None` when it cannot be read, which is reported.
    fn manifest(&mut self, dir: &Path) -> Option<Rc<Manifest>> {
        if let Some(known) = self.manifests.get(dir) {
            return known.clone();
        }
        let manifest = self.read_manifest(dir).map(Rc::new);
        self.manifests.insert(dir.to_owned(), manifest.clone());
        manifest
    }

    fn read_manifest(&mut self, dir: &Path) -> Option<Manifest> {
        let path = dir.join("Cargo.toml");
        self.project.manifests.push(path.clone());
        let file = source::relative(&self.project.dir, &path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("`{file}` cannot be read: {error}");
                self.project.diagnostics.push(
                    Diagnostic::error(codes::MANIFEST, None, message)
                        .help("check the path of the dependency or workspace member that leads here"),
                );
                return None;
            }
        };
        let manifest = Manifest::parse(dir, &file, &text);
        self.project.sources.insert(file, text);
        manifest.map_err(|error| self.project.diagnostics.push(*error)).ok()
    }

    fn package(&mut self, dir: &Path) -> Option<usize> {
        let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        if let Some(known) = self.read.get(&dir) {
            return *known;
        }
        let Some(package) = self.manifest(&dir).and_then(|manifest| manifest.package.clone()) else {
            self.read.insert(dir, None);
            return None;
        };
        let index = self.project.packages.len();
        self.read.insert(dir.clone(), Some(index));
        let inherited = self.workspace(&dir, package.workspace.as_deref());
        let mut externs: HashMap<String, Extern> = HashMap::new();
        let mut dependencies: Vec<Dependency> = package
            .dependencies
            .iter()
            .map(|dependency| dependency.inherit(&inherited.dependencies))
            .collect();
        let edition = match &package.edition {
            Edition::Year(year) => Some(year.as_str()),
            Edition::Inherited => inherited.edition.as_deref(),
        };
        let cfg = Cfg {
            features: BTreeSet::new(),
            target: Arc::clone(&self.target),
            is_open: package.has_build_script || self.flags.sets_cfgs,
            has_open_target: self.flags.sets_target,
            is_2015: edition == Some("2015"),
        };
        self.project.packages.push(ProjectPackage {
            package: Package { dependencies: Vec::new(), ..package },
            externs: HashMap::new(),
            cfg,
            bins: Vec::new(),
            uses_bis: false,
        });
        for dependency in &mut dependencies {
            let is_elsewhere = !self.project.packages[index].is_for_target(dependency);
            let target = match &dependency.path {
                _ if dependency.package == "bis" => Extern::Bis,
                Some(path) if !is_elsewhere => match self.package(path) {
                    Some(package) => Extern::Package(package),
                    None => Extern::Foreign(dependency.package.clone()),
                },
                _ => Extern::Foreign(dependency.package.clone()),
            };
            let lib_name = match &target {
                Extern::Package(package) if dependency.key == dependency.package => {
                    self.project.packages[*package].package.lib.as_ref().map(|lib| lib.crate_name.clone())
                }
                _ => None,
            };
            if let Some(lib_name) = lib_name {
                dependency.extern_name = lib_name;
            }
            if !is_elsewhere {
                externs.insert(dependency.extern_name.clone(), target);
            }
        }
        self.project.packages[index].package.dependencies = dependencies;
        self.project.packages[index].externs = externs;
        Some(index)
    }

    /// The `[workspace]` that the package in `dir` belongs to: the one that it names, or the nearest above.
    fn workspace(&mut self, dir: &Path, named: Option<&Path>) -> WorkspaceTable {
        for folder in named.map_or_else(|| dir.ancestors(), |named| named.ancestors()) {
            if let Some(known) = self.workspaces.get(folder) {
                return known.clone();
            }
            if !folder.join("Cargo.toml").is_file() {
                continue;
            }
            // Cargo reads it as well while it looks for the workspace: a broken one above breaks the build.
            let manifest = self.manifest(folder);
            let Some(workspace) = manifest.as_ref().and_then(|manifest| manifest.workspace.as_ref()) else {
                continue;
            };
            self.workspaces.insert(folder.to_owned(), workspace.clone());
            return workspace.clone();
        }
        WorkspaceTable::default()
    }
}

/// The folders of a workspace's members; `*` stands for letters of one folder's name, `**` for folders.
fn members(root: &Path, patterns: &[String], exclude: &[String]) -> Vec<PathBuf> {
    let mut found: BTreeMap<PathBuf, ()> = BTreeMap::new();
    for pattern in patterns {
        let mut folders = vec![root.to_owned()];
        for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
            folders = folders.iter().flat_map(|folder| matching(folder, part)).collect();
        }
        found.extend(folders.into_iter().map(|folder| (folder, ())));
    }
    let excluded: Vec<PathBuf> = exclude.iter().map(|path| root.join(path)).collect();
    found
        .into_keys()
        .filter(|folder| {
            folder.join("Cargo.toml").is_file() && !excluded.iter().any(|path| folder.starts_with(path))
        })
        .collect()
}

fn matching(folder: &Path, part: &str) -> Vec<PathBuf> {
    if part == "**" {
        let below = matching(folder, "*");
        let deeper = below.iter().flat_map(|folder| matching(folder, "**"));
        return std::iter::once(folder.to_owned()).chain(deeper).collect();
    }
    let Some((before, after)) = part.split_once('*') else { return vec![folder.join(part)] };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        })
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

/// A position in a manifest, for what has no better place.
pub(crate) fn manifest_position(project: &Project, package: &Package) -> Position {
    Position::point(source::relative(&project.dir, &package.dir.join("Cargo.toml")), 1, 1)
}

//! Analysing again and again: what was extracted from a file is kept until the file changes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bis_core::Capabilities;
use bis_graph::{Diagnostic, Graph, Label, Severity, Sources, codes, diagnostic, rules};

use crate::{
    allow::Allowed,
    analysis::Analysis,
    assemble,
    cfg::Cfg,
    load::Files,
    options::Options,
    project::{Project, manifest_position},
    resolve::Resolver,
    source, tree,
};

/// How many more uses of a type are shown.
const MAX_USES: usize = 4;

/// A package or workspace that is analysed repeatedly.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    options: Options,
    files: Files,
    /// The packages in their order when `files` was filled: keys of files hold indexes into it.
    packages: Vec<(PathBuf, Cfg)>,
}

impl Workspace {
    /// A workspace of which nothing is read yet.
    pub fn open(dir: &Path, options: Options) -> Self {
        Self { dir: dir.to_owned(), options, files: Files::default(), packages: Vec::new() }
    }

    /// Uses other options from now on. What was read is kept, as far as it is the same with these options.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Analyses what is on disk now. Files whose times and length have not changed since the last call are not read.
    pub fn analyze(&mut self) -> Analysis {
        let mut project = Project::load(&self.dir, &self.options);
        let packages: Vec<(PathBuf, Cfg)> = project
            .packages
            .iter()
            .map(|package| (package.package.dir.clone(), package.cfg.clone()))
            .collect();
        if packages != self.packages {
            self.files = Files::default();
            self.packages = packages;
        }
        self.load(&project);

        let (tree, broken) = tree::build(&project, &self.files);
        let resolver = Resolver::new(&tree);
        let app = assemble::find_app(&resolver);
        let mut diagnostics = app.diagnostics;
        let linked = app.call.map(|call| project.reachable(tree.crates[call.krate].package));
        let mut is_broken = !broken.is_empty() || !project.diagnostics.is_empty();
        diagnostics.extend(
            broken
                .into_iter()
                .filter(|(package, _)| linked.as_ref().is_none_or(|linked| linked.contains(package)))
                .map(|(_, diagnostic)| diagnostic),
        );
        let package = app.call.map(|call| &project.packages[tree.crates[call.krate].package]);
        let graph = match app.call {
            Some(call) => {
                let (graph, found) = assemble::graph(&resolver, call);
                is_broken |= found.iter().any(is_gap);
                diagnostics.extend(found);
                // What seems absent may be in the part that could not be read.
                let broken_rules = rules::check(&graph).into_iter();
                diagnostics.extend(broken_rules.filter(|diagnostic| !is_broken || diagnostic.is_error()));
                if let Some(broker) = self.options.broker {
                    diagnostics.extend(rules::check_broker(&graph, &Capabilities::of(broker)));
                }
                graph
            }
            None => Graph::empty(project.packages.first().map_or("app", |package| &package.package.name)),
        };
        if app.call.is_none()
            && project.diagnostics.is_empty()
            && !diagnostics.iter().any(Diagnostic::is_error)
        {
            diagnostics.push(no_app(&project, !diagnostics.is_empty()));
        }
        let chosen = package.or(project.packages.first());
        let package_dir = package.map_or(&project.dir, |package| &package.package.dir).clone();
        let binary = match chosen.map(|package| &package.bins[..]) {
            Some([only]) => Some(only.name.clone()),
            _ => None,
        };
        let binaries = chosen.map_or_else(Vec::new, |package| {
            package.package.bins.iter().map(|bin| bin.name.clone()).collect()
        });
        let package = chosen.map(|package| package.package.name.clone());
        diagnostics.extend(project.diagnostics.iter().cloned());
        let mut sources = std::mem::take(&mut project.sources);
        let allowed = self.allowed(&project, &package_dir, &mut diagnostics, &mut sources);
        diagnostics.retain(|diagnostic| !allowed.lets_pass(diagnostic));
        diagnostic::sort(&mut diagnostics);
        drop_repeated_keys(&mut diagnostics);
        once_per_type(&mut diagnostics);
        let files = self.watched(&project, allowed.file.as_deref());
        for (file, text) in self.files.texts() {
            sources.insert(Arc::clone(file), Arc::clone(text));
        }
        Analysis { graph, diagnostics, sources, package_dir, package, binaries, binary, files, allowed }
    }

    /// Every file that was read, sorted.
    fn watched(&self, project: &Project, allows: Option<&Path>) -> Vec<PathBuf> {
        let sources = self.files.paths().map(Path::to_owned);
        let others = project.manifests.iter().cloned().chain(allows.map(Path::to_owned));
        let mut files: Vec<PathBuf> = sources.chain(others).collect();
        files.sort();
        files.dedup();
        files
    }

    fn load(&mut self, project: &Project) {
        let mut roots = Vec::new();
        for (index, package) in project.packages.iter().enumerate() {
            roots.extend(package.package.lib.iter().map(|lib| (lib.root.clone(), index)));
            roots.extend(package.bins.iter().map(|bin| (bin.root.clone(), index)));
        }
        self.files.load(&roots, project);
    }

    /// What the source and `bis.toml`, of the app's folder or of the project's, let pass.
    fn allowed(
        &self,
        project: &Project,
        package_dir: &Path,
        found: &mut Vec<Diagnostic>,
        sources: &mut Sources,
    ) -> Allowed {
        let mut allowed = Allowed::default();
        if !allowed.read(package_dir, &project.dir, found, sources) {
            allowed.read(&project.dir, &project.dir, found, sources);
        }
        for (path, allows) in self.files.allows() {
            allowed.add(&source::relative(&project.dir, path), allows, found);
        }
        allowed
    }
}

/// A key that the grammar refuses is not refused a second time by its schema.
fn drop_repeated_keys(diagnostics: &mut Vec<Diagnostic>) {
    let file = |diagnostic: &Diagnostic| diagnostic.position.as_ref().map(|position| position.file.clone());
    let refused: Vec<_> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.code == codes::EVENT_ATTRIBUTE)
        .map(&file)
        .collect();
    diagnostics.retain(|diagnostic| {
        diagnostic.code != codes::KEY_NOT_SCALAR || !refused.contains(&file(diagnostic))
    });
}

/// Reports once for each type that its JSON cannot be seen, with the other places where it is used.
fn once_per_type(diagnostics: &mut Vec<Diagnostic>) {
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics.drain(..) {
        let is_same = |other: &&mut Diagnostic| {
            [codes::OPAQUE_TYPE, codes::UNSEEN_INTERFACE].contains(&diagnostic.code)
                && (other.code, &other.message) == (diagnostic.code, &diagnostic.message)
        };
        match (kept.iter_mut().find(is_same), &diagnostic.position) {
            (Some(first), position) if first.position == *position => {}
            (Some(first), Some(position)) if first.labels.len() < MAX_USES => {
                first.labels.push(Label { position: position.clone(), message: "and here".to_owned() });
            }
            (Some(_), _) => {}
            (None, _) => kept.push(diagnostic),
        }
    }
    *diagnostics = kept;
}

/// There is no app. That is a warning only where it may be in what could not be read.
fn no_app(project: &Project, is_broken: bool) -> Diagnostic {
    let position = project.packages.first().map(|package| manifest_position(project, &package.package));
    let mut no_app = assemble::no_app(position);
    if is_broken {
        no_app.severity = Severity::Warning;
    }
    no_app
}

/// Whether a finding says that something may be missing from the graph.
fn is_gap(diagnostic: &Diagnostic) -> bool {
    let codes = [codes::UNREAD_MACRO, codes::UNRESOLVED, codes::NOT_CONSTANT, codes::NOT_A_SERVICE];
    !diagnostic.is_error() && codes.contains(&diagnostic.code)
}

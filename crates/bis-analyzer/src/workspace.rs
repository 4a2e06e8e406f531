//! Analysing again and again: what was extracted from a file is kept until the file changes.

use std::path::{Path, PathBuf};

use bis_core::Capabilities;
use bis_graph::{Diagnostic, Graph, Sources, diagnostic, rules};

use crate::{
    Analysis, Options, assemble,
    load::Files,
    project::{Project, manifest_position},
    resolve::Resolver,
    tree,
};

/// A package or workspace that is analysed repeatedly.
#[derive(Debug)]
pub struct Workspace {
    dir: PathBuf,
    options: Options,
    files: Files,
    /// The packages in their order when `files` was filled: keys of files hold indexes into it.
    packages: Vec<(PathBuf, Vec<String>)>,
}

impl Workspace {
    /// A workspace of which nothing is read yet.
    pub fn open(dir: &Path, options: Options) -> Self {
        Self { dir: dir.to_owned(), options, files: Files::default(), packages: Vec::new() }
    }

    /// Analyses what is on disk now. Files whose time and length have not changed since the last call are not read.
    pub fn analyze(&mut self) -> Analysis {
        let mut project = Project::load(&self.dir, &self.options);
        let packages: Vec<(PathBuf, Vec<String>)> = project
            .packages
            .iter()
            .map(|package| (package.package.dir.clone(), package.features.iter().cloned().collect()))
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
        let is_broken = !broken.is_empty() || !project.diagnostics.is_empty();
        diagnostics.extend(
            broken
                .into_iter()
                .filter(|(package, _)| linked.as_ref().is_none_or(|linked| linked.contains(package)))
                .map(|(_, diagnostic)| diagnostic),
        );
        let package = app.call.map(|call| &project.packages[tree.crates[call.krate].package].package);
        let graph = match app.call {
            Some(call) => {
                let (graph, found) = assemble::graph(&resolver, call);
                diagnostics.extend(found);
                diagnostics.extend(rules::check(&graph).into_iter().filter(|diagnostic| {
                    // What is silent may speak in the part that could not be read.
                    !is_broken || diagnostic.is_error()
                }));
                if let Some(broker) = self.options.broker {
                    diagnostics.extend(rules::check_broker(&graph, &Capabilities::of(broker)));
                }
                graph
            }
            None => Graph::empty(project.packages.first().map_or("app", |package| &package.package.name)),
        };
        if app.call.is_none() && diagnostics.is_empty() && project.diagnostics.is_empty() {
            let position =
                project.packages.first().map(|package| manifest_position(&project, &package.package));
            diagnostics.push(assemble::no_app(position));
        }
        let (package_dir, package) = match package {
            Some(package) => (package.dir.clone(), Some(package.name.clone())),
            None => {
                (project.dir.clone(), project.packages.first().map(|package| package.package.name.clone()))
            }
        };
        diagnostics.append(&mut project.diagnostics);
        diagnostic::sort(&mut diagnostics);
        let mut files: Vec<PathBuf> = self.files.paths().map(Path::to_owned).collect();
        files.append(&mut project.manifests);
        files.sort();
        files.dedup();
        let sources = sources(&project.dir, project.sources, &diagnostics);
        Analysis { graph, diagnostics, sources, package_dir, package, files }
    }

    fn load(&mut self, project: &Project) {
        let mut roots = Vec::new();
        for (index, package) in project.packages.iter().enumerate() {
            roots.extend(package.package.lib.iter().map(|lib| (lib.root.clone(), index)));
            if project.candidates.contains(&index) {
                roots.extend(package.package.bin.iter().map(|bin| (bin.root.clone(), index)));
            }
        }
        let features: Vec<_> = project.packages.iter().map(|package| &package.features).collect();
        self.files.load(&roots, &features);
    }
}

/// The texts of the files that diagnostics point at.
fn sources(dir: &Path, mut sources: Sources, diagnostics: &[Diagnostic]) -> Sources {
    for diagnostic in diagnostics {
        let places = diagnostic.position.iter().chain(diagnostic.labels.iter().map(|label| &label.position));
        for place in places {
            if sources.text(&place.file).is_none()
                && let Ok(text) = std::fs::read_to_string(dir.join(&*place.file))
            {
                sources.insert(place.file.clone(), text);
            }
        }
    }
    sources
}

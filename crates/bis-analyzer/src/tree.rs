//! The module tree of all crates: which module is where, and what it holds. It resolves no path.

use std::{path::Path, sync::Arc};

use bis_graph::{Diagnostic, codes};

use crate::{
    findings::position,
    load::{Files, MAX_DEPTH, ModuleFile, Outcome, Place},
    project::{Extern, Project},
    source,
    summary::{Condition, Include, Module, ModuleItem, PACKAGE, Range},
};

/// An index into [`Tree::modules`].
pub(crate) type ModuleId = usize;

/// All crates.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) project: &'a Project,
    pub(crate) modules: Vec<Node<'a>>,
    pub(crate) crates: Vec<Crate>,
}

/// A crate.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) package: usize,
    pub(crate) root: ModuleId,
    pub(crate) is_bin: bool,
}

/// A module.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// As `module_path!()` gives it.
    pub(crate) path: String,
    pub(crate) krate: usize,
    pub(crate) parent: Option<ModuleId>,
    pub(crate) file: Arc<str>,
    pub(crate) module: &'a Module,
    pub(crate) children: Vec<(&'a str, ModuleId)>,
    /// Whether its file does not parse or is missing, so that what it holds is not known.
    pub(crate) broken: bool,
    /// Files that `include!` puts into it: nodes of their own, which stand for this one.
    pub(crate) parts: Vec<ModuleId>,
    /// The module that it is a part of.
    pub(crate) whole: Option<ModuleId>,
    /// The `cfg` around it of which it is unknown whether it holds, with its file.
    pub(crate) condition: Option<(Arc<str>, Condition)>,
}

/// Builds the tree, with what is wrong with files, by package.
pub(crate) fn build<'a>(project: &'a Project, files: &'a Files) -> (Tree<'a>, Vec<(usize, Diagnostic)>) {
    let tree = Tree { project, modules: Vec::new(), crates: Vec::new() };
    let mut builder = Builder { tree, files, found: Vec::new(), package: 0 };
    for (index, package) in project.packages.iter().enumerate() {
        let bins = package.bins.iter().map(|bin| (bin, true));
        for (target, is_bin) in package.package.lib.iter().map(|lib| (lib, false)).chain(bins) {
            let id = builder.tree.crates.len();
            builder.package = index;
            builder.tree.crates.push(Crate {
                name: target.crate_name.clone(),
                package: index,
                root: builder.tree.modules.len(),
                is_bin,
            });
            builder.root(id, &target.crate_name, &target.root);
        }
    }
    (builder.tree, builder.found)
}

struct Builder<'a> {
    tree: Tree<'a>,
    files: &'a Files,
    found: Vec<(usize, Diagnostic)>,
    package: usize,
}

/// A module without anything, for files that are not there.
static NOTHING: std::sync::LazyLock<Module> = std::sync::LazyLock::new(Module::default);

/// Where a new module belongs.
struct Spot {
    krate: usize,
    parent: Option<ModuleId>,
    whole: Option<ModuleId>,
    path: String,
    condition: Option<(Arc<str>, Condition)>,
    depth: usize,
}

impl<'a> Builder<'a> {
    fn root(&mut self, krate: usize, name: &str, root: &Path) {
        let file = ModuleFile::root(root);
        if self.files.get(root, self.package).is_none() {
            let shown = source::relative(&self.tree.project.dir, root);
            let message = format!("`{shown}` does not exist");
            let help = "make the file, or change the target's `path` in Cargo.toml";
            let diagnostic = self.missing_file(None, message).help(help);
            self.report(diagnostic);
        }
        let path = name.to_owned();
        self.file(&file, Spot { krate, parent: None, whole: None, path, condition: None, depth: 0 });
    }

    /// Notes a finding. In a package that does not use Bis, nothing is missing from the graph.
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.tree.project.packages[self.package].uses_bis || diagnostic.is_error() {
            self.found.push((self.package, diagnostic));
        }
    }

    fn file(&mut self, file: &ModuleFile, spot: Spot) -> ModuleId {
        let shown = source::relative(&self.tree.project.dir, &file.path);
        let files = self.files;
        let (module, is_broken) = match files.get(&file.path, self.package) {
            Some(Outcome::Summary(summary)) => {
                summary.unread.iter().for_each(|reason| self.report(reason.clone()));
                (&summary.module, summary.is_broken)
            }
            Some(Outcome::Unreadable(reason)) => {
                let message = format!("`{shown}` cannot be read: {reason}");
                let whole = Range { line: 1, column: 1, end_line: 1, end_column: 2 };
                let place = position(&shown, whole);
                self.report(match spot.condition {
                    None => Diagnostic::error(codes::UNREADABLE_FILE, place, message),
                    Some(_) => Diagnostic::warning(codes::UNREADABLE_FILE, place, message),
                });
                (&*NOTHING, true)
            }
            None => (&*NOTHING, true),
        };
        let depth = spot.depth;
        let id = self.node(spot, &shown, module, is_broken);
        self.children(id, file, &file.place, module, depth);
        id
    }

    fn node(&mut self, spot: Spot, file: &Arc<str>, module: &'a Module, broken: bool) -> ModuleId {
        let Spot { krate, parent, whole, path, condition, .. } = spot;
        let id = self.tree.modules.len();
        self.tree.modules.push(Node {
            path,
            krate,
            parent,
            file: Arc::clone(file),
            module,
            children: Vec::new(),
            broken,
            parts: Vec::new(),
            whole,
            condition,
        });
        id
    }

    fn children(
        &mut self,
        parent: ModuleId,
        file: &ModuleFile,
        place: &Place,
        module: &'a Module,
        depth: usize,
    ) {
        for item in &module.modules {
            let condition = self.condition(parent, item.condition.as_ref());
            let owner = self.tree.modules[parent].whole.unwrap_or(parent);
            let Node { path, krate, file: shown, .. } = &self.tree.modules[parent];
            let (krate, shown) = (*krate, Arc::clone(shown));
            let path = format!("{path}::{}", item.name);
            if depth >= MAX_DEPTH {
                self.too_many(&shown, item.range);
                continue;
            }
            let spot = Spot { krate, parent: Some(owner), whole: None, path, condition, depth: depth + 1 };
            let child = match &item.inline {
                Some(body) => {
                    let child = self.node(spot, &shown, body, false);
                    let place = place.inline(&item.name, item.path.as_deref());
                    self.children(child, file, &place, body, depth + 1);
                    child
                }
                None => self.out_of_line(&shown, item, place, spot),
            };
            self.tree.modules[owner].children.push((&item.name, child));
        }
        for include in &module.includes {
            self.include(parent, file, include, depth);
        }
    }

    fn out_of_line(&mut self, shown: &Arc<str>, item: &ModuleItem, place: &Place, spot: Spot) -> ModuleId {
        let candidates = place.candidates(&item.name, item.path.as_deref());
        let found = candidates.iter().find(|file| self.files.get(&file.path, self.package).is_some());
        if found.is_none() {
            let places: Vec<String> = candidates
                .iter()
                .map(|file| format!("`{}`", source::relative(&self.tree.project.dir, &file.path)))
                .collect();
            let message = format!("the module `{}` has no file", item.name);
            let mut diagnostic = self.missing_file(Some(position(shown, item.range)), message);
            if spot.condition.is_some() {
                diagnostic.severity = bis_graph::Severity::Warning;
            }
            let help = match diagnostic.is_error() {
                true => format!("make {}", places.join(" or ")),
                false => format!(
                    "make {}; if the build makes it, run `bis check` again after it",
                    places.join(" or ")
                ),
            };
            self.report(diagnostic.help(help));
        }
        self.file(found.unwrap_or(&candidates[0]), spot)
    }

    /// A file that is not there. A build script may be about to make it.
    fn missing_file(&self, position: Option<bis_graph::Position>, message: String) -> Diagnostic {
        match self.tree.project.packages[self.package].package.has_build_script {
            true => Diagnostic::warning(codes::MISSING_MODULE, position, message),
            false => Diagnostic::error(codes::MISSING_MODULE, position, message),
        }
    }

    /// Puts a file's items into the module that includes it.
    fn include(&mut self, parent: ModuleId, file: &ModuleFile, include: &Include, depth: usize) {
        let condition = self.condition(parent, include.condition.as_ref());
        let whole = self.tree.modules[parent].whole.unwrap_or(parent);
        let Node { path, krate, file: shown, parent: above, .. } = &self.tree.modules[parent];
        let (path, krate, shown, above) = (path.clone(), *krate, Arc::clone(shown), *above);
        let package = &self.tree.project.packages[self.package];
        let target = file.included(include, package);
        let target = target.filter(|target| self.files.get(&target.path, self.package).is_some());
        if depth >= MAX_DEPTH {
            self.too_many(&shown, include.range);
            return;
        }
        match target {
            Some(target) => {
                let spot =
                    Spot { krate, parent: above, whole: Some(whole), path, condition, depth: depth + 1 };
                let part = self.file(&target, spot);
                self.tree.modules[whole].parts.push(part);
            }
            None => {
                self.tree.modules[whole].broken = true;
                let message = "what is included here is not known before the build, so what it declares is missing from the graph";
                self.report(
                    Diagnostic::warning(codes::UNREAD_INCLUDE, position(&shown, include.range), message)
                        .help("include a file of the package by a literal path; if nothing of Bis is in it, write `#[bis::allow(BIS0052)]` on the module around it, or allow the code in `bis.toml`"),
                );
            }
        }
    }

    fn too_many(&mut self, file: &Arc<str>, range: Range) {
        let message = format!(
            "modules and included files nest deeper than {MAX_DEPTH} here, so the rest is missing from the graph"
        );
        self.report(
            Diagnostic::warning(codes::TOO_DEEP, position(file, range), message).help("nest fewer modules"),
        );
    }

    fn condition(&self, parent: ModuleId, own: Option<&Condition>) -> Option<(Arc<str>, Condition)> {
        let node = &self.tree.modules[parent];
        node.condition.clone().or_else(|| own.map(|own| (Arc::clone(&node.file), own.clone())))
    }
}

impl Tree<'_> {
    /// Whether a binary runs the app of this crate: it is that crate, or the package's only one.
    pub(crate) fn is_bin_of(&self, bin: &Crate, app: usize) -> bool {
        let app = &self.crates[app];
        let package = &self.project.packages[app.package];
        bin.package == app.package && if app.is_bin { bin.root == app.root } else { package.bins.len() == 1 }
    }

    /// Where a crate's name leads, seen from a crate: a package of the project, or foreign.
    pub(crate) fn extern_crate(&self, krate: usize, name: &str) -> Option<ExternCrate> {
        let Crate { package, is_bin, .. } = self.crates[krate];
        let own_lib = |crate_: &Crate| crate_.package == package && !crate_.is_bin && crate_.name == name;
        if is_bin && let Some(lib) = self.crates.iter().find(|crate_| own_lib(crate_)) {
            return Some(ExternCrate::Module(lib.root));
        }
        let index = name.strip_prefix(PACKAGE);
        if let Some(target) = index.and_then(|index| index.parse::<usize>().ok()) {
            let lib = self.crates.iter().find(|crate_| crate_.package == target && !crate_.is_bin);
            return lib.map(|lib| ExternCrate::Module(lib.root));
        }
        match self.project.packages[package].externs.get(name) {
            Some(Extern::Bis) => Some(ExternCrate::Bis),
            Some(Extern::Foreign(package)) => Some(ExternCrate::Foreign(package.clone())),
            Some(Extern::Package(target)) => {
                let lib = self.crates.iter().find(|crate_| crate_.package == *target && !crate_.is_bin);
                lib.map(|lib| ExternCrate::Module(lib.root))
            }
            None => matches!(name, "std" | "core" | "alloc").then(|| ExternCrate::Foreign("std".to_owned())),
        }
    }
}

/// Where a crate's name leads.
#[derive(Debug, Clone)]
pub(crate) enum ExternCrate {
    Bis,
    Module(ModuleId),
    Foreign(String),
}

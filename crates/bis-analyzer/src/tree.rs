//! The module tree of all crates: which module is where, and what it holds. It resolves no path.

use std::{path::Path, sync::Arc};

use bis_graph::{Diagnostic, codes};

use crate::{
    findings::position,
    load::{Files, ModuleFile, Outcome},
    project::{Extern, Project},
    source,
    summary::{Module, Range},
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
}

/// How deep modules may nest; a cycle of `#[path]`s ends here.
const MAX_DEPTH: usize = 64;

/// Builds the tree, with what is wrong with files, by package.
pub(crate) fn build<'a>(project: &'a Project, files: &'a Files) -> (Tree<'a>, Vec<(usize, Diagnostic)>) {
    let tree = Tree { project, modules: Vec::new(), crates: Vec::new() };
    let mut builder = Builder { tree, files, found: Vec::new(), package: 0 };
    for (index, package) in project.packages.iter().enumerate() {
        let bin = package.package.bin.as_ref().filter(|_| project.candidates.contains(&index));
        for (target, is_bin) in
            package.package.lib.iter().map(|lib| (lib, false)).chain(bin.map(|bin| (bin, true)))
        {
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

impl<'a> Builder<'a> {
    fn root(&mut self, krate: usize, name: &str, root: &Path) {
        let file = ModuleFile::root(root);
        if self.files.get(root, self.package).is_none() {
            let shown = source::relative(&self.tree.project.dir, root);
            self.report(
                Diagnostic::error(codes::MISSING_MODULE, None, format!("`{shown}` does not exist"))
                    .help("make the file, or change the target's `path` in Cargo.toml"),
            );
        }
        self.file(&file, krate, None, name.to_owned(), 0);
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push((self.package, diagnostic));
    }

    fn file(
        &mut self,
        file: &ModuleFile,
        krate: usize,
        parent: Option<ModuleId>,
        path: String,
        depth: usize,
    ) -> ModuleId {
        let shown = source::relative(&self.tree.project.dir, &file.path);
        let whole = Range { line: 1, column: 1, end_line: 1, end_column: 2 };
        let mut broken = false;
        let module = match self.files.get(&file.path, self.package) {
            Some(Outcome::Summary(summary)) => {
                if let Some((message, range)) = &summary.failure {
                    broken = true;
                    self.report(
                        Diagnostic::error(codes::SYNTAX_ERROR, position(&shown, *range), message.clone())
                            .help("the rest of the app is analysed without this file"),
                    );
                }
                &summary.module
            }
            Some(Outcome::Unreadable(reason)) => {
                broken = true;
                let message = format!("`{shown}` cannot be read: {reason}");
                self.report(Diagnostic::error(codes::UNREADABLE_FILE, position(&shown, whole), message));
                &NOTHING
            }
            None => {
                broken = true;
                &NOTHING
            }
        };
        let id = self.node(krate, parent, path, &shown, module, broken);
        self.children(id, file, &mut Vec::new(), module, depth);
        id
    }

    fn node(
        &mut self,
        krate: usize,
        parent: Option<ModuleId>,
        path: String,
        file: &Arc<str>,
        module: &'a Module,
        broken: bool,
    ) -> ModuleId {
        let file = Arc::clone(file);
        self.tree.modules.push(Node { path, krate, parent, file, module, children: Vec::new(), broken });
        self.tree.modules.len() - 1
    }

    fn children(
        &mut self,
        parent: ModuleId,
        file: &ModuleFile,
        inline: &mut Vec<&'a str>,
        module: &'a Module,
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        for item in &module.modules {
            let Node { path, krate, file: shown, .. } = &self.tree.modules[parent];
            let (path, krate, shown) = (format!("{path}::{}", item.name), *krate, Arc::clone(shown));
            let child = match &item.inline {
                Some(body) => {
                    let child = self.node(krate, Some(parent), path, &shown, body, false);
                    inline.push(&item.name);
                    self.children(child, file, inline, body, depth + 1);
                    inline.pop();
                    child
                }
                None => {
                    let candidates = file.candidates(inline, &item.name, item.path.as_deref());
                    let found = candidates
                        .iter()
                        .find(|candidate| self.files.get(&candidate.path, self.package).is_some());
                    if found.is_none() {
                        self.missing(&shown, item.range, &item.name, &candidates);
                    }
                    let target = found.unwrap_or(&candidates[0]);
                    self.file(target, krate, Some(parent), path, depth + 1)
                }
            };
            self.tree.modules[parent].children.push((&item.name, child));
        }
    }

    fn missing(&mut self, file: &Arc<str>, range: Range, name: &str, candidates: &[ModuleFile]) {
        let places: Vec<String> = candidates
            .iter()
            .map(|candidate| format!("`{}`", source::relative(&self.tree.project.dir, &candidate.path)))
            .collect();
        self.report(
            Diagnostic::error(
                codes::MISSING_MODULE,
                position(file, range),
                format!("the module `{name}` has no file"),
            )
            .help(format!("make {}", places.join(" or "))),
        );
    }
}

impl Tree<'_> {
    /// Where a crate's name leads, seen from a crate: a package of the project, or foreign.
    pub(crate) fn extern_crate(&self, krate: usize, name: &str) -> Option<ExternCrate> {
        let Crate { package, is_bin, .. } = self.crates[krate];
        let own_lib = |crate_: &Crate| crate_.package == package && !crate_.is_bin && crate_.name == name;
        if is_bin && let Some(lib) = self.crates.iter().find(|crate_| own_lib(crate_)) {
            return Some(ExternCrate::Module(lib.root));
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

//! Paths to what they lead to: own items, `use` with aliases, globs and re-exports, `crate`, `self` and `super`, other
//! crates. rustc checks visibility.

use std::{cell::RefCell, collections::HashMap};

use bis_syntax::Declaration;

use crate::{
    summary::{AliasItem, ConstItem, HandlerItem, HandlerKind, PathRef, StaticItem, TypeItem, Use, UseKind},
    tree::{ExternCrate, ModuleId, Tree},
};

/// Which of Rust's kinds of names is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespace {
    Type,
    Value,
    Macro,
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub(crate) enum Target<'a> {
    Module(ModuleId),
    Type(ModuleId, &'a TypeItem),
    Alias(ModuleId, &'a AliasItem),
    Static(ModuleId, &'a StaticItem),
    Const(ModuleId, &'a ConstItem),
    Endpoint(ModuleId, &'a HandlerItem),
    /// An item of Bis, by its last segment.
    Bis(String),
    /// An item of another crate, whose source is not read: the crate, then the rest.
    Foreign(Vec<String>),
    /// A name that is in the arguments of a macro among the items of the module.
    Generated(String),
    /// It goes through a file that does not parse or is missing.
    Unknown,
}

/// What a glob import of `bis::prelude` brings beside the types of resources, as far as the graph is concerned.
const BIS_NAMES: [&str; 18] = [
    "subscription",
    "api",
    "mount",
    "on_start",
    "on_stop",
    "background",
    "service",
    "app",
    "test",
    "Event",
    "Delivery",
    "Result",
    "Error",
    "EventId",
    "TestApp",
    "Json",
    "Path",
    "Query",
];

/// The resolver over a tree.
pub(crate) struct Resolver<'t, 'a> {
    pub(crate) tree: &'t Tree<'a>,
    /// Names that are being looked up, so that a cycle of imports ends.
    active: RefCell<Vec<(ModuleId, String, Namespace)>>,
    /// What was resolved outside of functions' own imports; thousands of handlers name the same few paths.
    known: RefCell<HashMap<ModuleId, Vec<Known<'a>>>>,
}

/// A path of a module, and what it leads to.
type Known<'a> = (&'a PathRef, Namespace, Option<Target<'a>>);

impl<'t, 'a> Resolver<'t, 'a> {
    pub(crate) fn new(tree: &'t Tree<'a>) -> Self {
        Self { tree, active: RefCell::new(Vec::new()), known: RefCell::default() }
    }

    /// What `path` leads to when written in `module`; `scope` are the imports of the function around it.
    pub(crate) fn resolve(
        &self,
        module: ModuleId,
        path: &PathRef,
        namespace: Namespace,
        scope: &[Use],
    ) -> Option<Target<'a>> {
        let (first, mut rest) = path.segments.split_first()?;
        let in_first = if rest.is_empty() { namespace } else { Namespace::Type };
        let krate = self.tree.modules[module].krate;
        let module = self.tree.modules[module].whole.unwrap_or(module);
        let mut target = match &**first {
            _ if path.global => self.global(krate, first, in_first)?,
            "crate" => Target::Module(self.tree.crates[krate].root),
            "self" => Target::Module(module),
            "super" => {
                let mut parent = self.tree.modules[module].parent?;
                while rest.first().is_some_and(|next| &**next == "super") {
                    parent = self.tree.modules[parent].parent?;
                    rest = &rest[1..];
                }
                Target::Module(parent)
            }
            name => match self
                .in_scope(module, name, in_first, scope)
                .or_else(|| self.name(module, name, in_first))
            {
                // What cannot be read seldom has the name of a crate.
                hidden @ (None | Some(Target::Unknown | Target::Generated(_))) => {
                    self.extern_target(krate, name).or(hidden)?
                }
                Some(found) => found,
            },
        };
        for (index, segment) in rest.iter().enumerate() {
            let namespace = if index + 1 == rest.len() { namespace } else { Namespace::Type };
            target = match target {
                Target::Module(inner) => self.name(inner, segment, namespace)?,
                Target::Bis(_) => Target::Bis(segment.to_string()),
                Target::Foreign(mut segments) => {
                    segments.push(segment.to_string());
                    Target::Foreign(segments)
                }
                Target::Unknown | Target::Generated(_) => return Some(target),
                // An associated item: no resource.
                _ => return None,
            };
        }
        Some(target)
    }

    /// `::name`: a crate; in the edition 2015, an item of the crate's root or a crate.
    fn global(&self, krate: usize, name: &str, namespace: Namespace) -> Option<Target<'a>> {
        let is_2015 = self.tree.project.packages[self.tree.crates[krate].package].cfg.is_2015;
        let of_root = is_2015.then(|| self.name(self.tree.crates[krate].root, name, namespace)).flatten();
        of_root.or_else(|| self.extern_target(krate, name))
    }

    fn extern_target(&self, krate: usize, name: &str) -> Option<Target<'a>> {
        Some(match self.tree.extern_crate(krate, name)? {
            ExternCrate::Bis => Target::Bis(String::new()),
            ExternCrate::Module(root) => Target::Module(root),
            ExternCrate::Foreign(package) => Target::Foreign(vec![package]),
        })
    }

    fn in_scope(
        &self,
        module: ModuleId,
        name: &str,
        namespace: Namespace,
        scope: &[Use],
    ) -> Option<Target<'a>> {
        if scope.is_empty() {
            return None;
        }
        self.guarded(module, name, namespace, || self.imported(module, name, namespace, scope))
    }

    /// What a name means in a module.
    fn name(&self, module: ModuleId, name: &str, namespace: Namespace) -> Option<Target<'a>> {
        let node = &self.tree.modules[module];
        let all = || std::iter::once(&module).chain(&node.parts).copied();
        all()
            .find_map(|part| self.own(part, name, namespace))
            .or_else(|| {
                self.guarded(module, name, namespace, || {
                    all().find_map(|part| {
                        self.imported(part, name, namespace, &self.tree.modules[part].module.uses)
                    })
                })
            })
            .or_else(|| all().any(|part| self.is_hidden(part)).then_some(Target::Unknown))
            .or_else(|| {
                let mut calls = all().flat_map(|part| &self.tree.modules[part].module.opaque);
                let call = calls.find(|call| call.words.contains(name))?;
                (namespace != Namespace::Macro).then(|| Target::Generated(call.path.text()))
            })
    }

    /// Whether a module may hold names that cannot be seen.
    fn is_hidden(&self, module: ModuleId) -> bool {
        self.tree.modules[module].broken || self.tree.modules[module].module.is_open
    }

    /// An item in a module, or in a file that is a part of one.
    fn own(&self, module: ModuleId, name: &str, namespace: Namespace) -> Option<Target<'a>> {
        let node = &self.tree.modules[module];
        match namespace {
            Namespace::Type => {
                let child = node.children.iter().find(|(child, _)| *child == name);
                let items = node.module;
                child
                    .map(|(_, id)| Target::Module(*id))
                    .or_else(|| {
                        let item = items.types.iter().find(|item| &*item.name == name);
                        item.map(|item| Target::Type(module, item))
                    })
                    .or_else(|| {
                        let item = items.aliases.iter().find(|item| &*item.name == name);
                        item.map(|item| Target::Alias(module, item))
                    })
            }
            Namespace::Value => {
                let item = node.module.statics.iter().find(|item| &*item.name == name);
                item.map(|item| Target::Static(module, item))
                    .or_else(|| {
                        let item = node.module.consts.iter().find(|item| &*item.name == name);
                        item.map(|item| Target::Const(module, item))
                    })
                    .or_else(|| {
                        let is_endpoint = |item: &&HandlerItem| {
                            &*item.name == name && matches!(item.kind, HandlerKind::Api { .. })
                        };
                        let item = node.module.handlers.iter().find(is_endpoint);
                        item.map(|item| Target::Endpoint(module, item))
                    })
            }
            Namespace::Macro => None,
        }
    }

    /// Whether a path that leads nowhere may lead to what other crates or macros make: then it may be right.
    pub(crate) fn may_be_elsewhere(&self, module: ModuleId, path: &PathRef) -> bool {
        let [before @ .., _] = &path.segments[..] else { return false };
        let home = match before {
            [] => Some(Target::Module(self.tree.modules[module].whole.unwrap_or(module))),
            before => {
                let before = PathRef { global: path.global, segments: before.to_vec() };
                self.resolve(module, &before, Namespace::Type, &[])
            }
        };
        let Some(Target::Module(home)) = home else {
            return !before.is_empty() && matches!(home, None | Some(Target::Foreign(_) | Target::Unknown));
        };
        let parts = std::iter::once(&home).chain(&self.tree.modules[home].parts);
        parts.into_iter().any(|part| {
            let items = self.tree.modules[*part].module;
            let is_open_glob = |import: &Use| {
                matches!(import.kind, UseKind::Glob)
                    && !matches!(
                        self.resolve(*part, &import.path, Namespace::Type, &[]),
                        Some(Target::Module(_) | Target::Bis(_) | Target::Type(..))
                    )
            };
            !items.opaque.is_empty() || items.uses.iter().any(is_open_glob)
        })
    }

    fn guarded(
        &self,
        module: ModuleId,
        name: &str,
        namespace: Namespace,
        look: impl FnOnce() -> Option<Target<'a>>,
    ) -> Option<Target<'a>> {
        let looking =
            |(m, n, s): &(ModuleId, String, Namespace)| (*m, n.as_str(), *s) == (module, name, namespace);
        if self.active.borrow().iter().any(looking) {
            return None;
        }
        self.active.borrow_mut().push((module, name.to_owned(), namespace));
        let found = look();
        self.active.borrow_mut().pop();
        found
    }

    fn imported(
        &self,
        module: ModuleId,
        name: &str,
        namespace: Namespace,
        uses: &[Use],
    ) -> Option<Target<'a>> {
        for import in uses {
            if let UseKind::Name(alias) = &import.kind
                && &**alias == name
                && let Some(target) = self.resolve(module, &import.path, namespace, &[])
            {
                return Some(target);
            }
        }
        let mut unknown = None;
        for import in uses.iter().filter(|import| matches!(import.kind, UseKind::Glob)) {
            match self.resolve(module, &import.path, Namespace::Type, &[]) {
                Some(Target::Module(inner)) => match self.name(inner, name, namespace) {
                    Some(Target::Unknown) => unknown = Some(Target::Unknown),
                    Some(target) => return Some(target),
                    None => {}
                },
                Some(Target::Bis(_)) if BIS_NAMES.contains(&name) || Declaration::of_type(name).is_some() => {
                    return Some(Target::Bis(name.to_owned()));
                }
                Some(Target::Unknown) => unknown = Some(Target::Unknown),
                _ => {}
            }
        }
        unknown
    }

    /// Like [`Self::resolve`] for a path of a summary outside of functions' own imports, remembered.
    pub(crate) fn remembered(
        &self,
        module: ModuleId,
        path: &'a PathRef,
        namespace: Namespace,
    ) -> Option<Target<'a>> {
        let same = |(known, space, _): &&Known<'a>| *space == namespace && *known == path;
        if let Some(known) = self.known.borrow().get(&module)
            && let Some((_, _, target)) = known.iter().find(same)
        {
            return target.clone();
        }
        let target = self.resolve(module, path, namespace, &[]);
        self.known.borrow_mut().entry(module).or_default().push((path, namespace, target.clone()));
        target
    }

    /// Whether a path names Bis's `word`: it leads to Bis, or to nothing that is known.
    pub(crate) fn is_bis(&self, module: ModuleId, path: &'a PathRef, scope: &[Use]) -> bool {
        let target = match scope {
            [] => self.remembered(module, path, Namespace::Macro),
            scope => self.resolve(module, path, Namespace::Macro, scope),
        };
        matches!(target, None | Some(Target::Bis(_) | Target::Unknown | Target::Generated(_)))
    }
}

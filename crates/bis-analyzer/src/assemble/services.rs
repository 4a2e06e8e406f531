//! The services, which of them `app!` lists, and to which of them each module belongs.

use bis_graph::{Diagnostic, Position, Service, codes};

use super::{AppRef, Assembly, comes_from};
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    summary::{AppCall, PathRef, Range},
    tree::ModuleId,
};

/// A service of a linked crate.
pub(crate) struct ServiceRef {
    pub(crate) name: String,
    pub(crate) module: ModuleId,
    pub(crate) listed: bool,
    pub(crate) layers: Vec<String>,
    pub(crate) condition: Option<String>,
    pub(crate) position: Position,
}

impl Assembly<'_, '_, '_> {
    pub(super) fn find_services(&mut self, app: AppRef) {
        for module in self.modules() {
            self.services_of(module);
        }
        self.own_modules();
        let tree = self.resolver.tree;
        let node = &tree.modules[app.part];
        let call = &node.module.apps[app.index];
        let app_position = position(&node.file, call.range);
        if call.readable && call.services.is_empty() {
            self.found.push(
                Diagnostic::error(codes::EMPTY_APP, app_position.clone(), "the app has no service")
                    .help("list the modules or crates that call `bis::service!`, as in `services: [orders]`"),
            );
        } else {
            self.found.extend(call.mistakes.iter().cloned());
        }
        self.graph.layers.clone_from(&call.layers);
        for (path, range) in &call.services {
            self.list(app.module, path, *range);
        }
        if call.readable && !call.services.is_empty() {
            self.report_unlisted(app, call, &app_position);
        }
        for service in self.services.iter().filter(|service| service.listed) {
            self.graph.services.push(Service {
                name: service.name.clone(),
                module: tree.modules[service.module].path.clone(),
                description: self.module_docs(service.module),
                layers: service.layers.clone(),
                condition: service.condition.clone(),
                position: service.position.clone(),
            });
        }
    }

    /// The comment of a module: inside it, or else above its declaration.
    fn module_docs(&self, module: ModuleId) -> Option<String> {
        let node = &self.resolver.tree.modules[module];
        let parts = std::iter::once(&module).chain(&node.parts);
        let mut inner = parts.filter_map(|part| self.resolver.tree.modules[*part].module.docs.as_ref());
        let above = || {
            let parent = &self.resolver.tree.modules[node.parent?];
            let name = node.path.rsplit("::").next()?;
            parent.module.modules.iter().find(|item| &*item.name == name)?.docs.as_ref()
        };
        inner.next().or_else(above).map(ToString::to_string)
    }

    fn services_of(&mut self, module: ModuleId) {
        let node = &self.resolver.tree.modules[module];
        let whole = node.whole.unwrap_or(module);
        for call in &node.module.services {
            if !self.resolver.is_bis(module, &call.call, &[]) {
                continue;
            }
            self.found.extend(call.mistakes.iter().cloned());
            let here = position(&node.file, call.range);
            let condition = self.condition(module, call.condition.as_ref());
            let Some(first) = self.services.iter().find(|service| service.module == whole) else {
                let name = call.name.clone().unwrap_or_default();
                let layers = call.layers.clone();
                let service =
                    ServiceRef { name, module: whole, listed: false, layers, condition, position: here };
                self.services.push(service);
                continue;
            };
            if first.condition.is_none() && condition.is_none() {
                self.found.push(
                    Diagnostic::error(
                        codes::TWO_SERVICES_IN_MODULE,
                        here,
                        format!("the module `{}` has two services", node.path),
                    )
                    .labelled("the second one")
                    .and(first.position.clone(), "the first one")
                    .help("move one of them into a module of its own"),
                );
            }
        }
    }

    /// A module belongs to the service of the nearest module above it, itself included. Parents come first in the tree.
    fn own_modules(&mut self) {
        for (index, service) in self.services.iter().enumerate() {
            self.owner[service.module] = Some(index);
        }
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            if self.owner[module].is_none()
                && let Some(above) = node.whole.or(node.parent)
            {
                self.owner[module] = self.owner[above];
            }
        }
    }

    fn list(&mut self, module: ModuleId, path: &PathRef, range: Range) {
        let tree = self.resolver.tree;
        let here = position(&tree.modules[module].file, range);
        let report = |message: String, help: &str| {
            Diagnostic::error(codes::NOT_A_SERVICE, here.clone(), message).help(help)
        };
        let unread = |message: String, help: &str| {
            Diagnostic::warning(codes::NOT_A_SERVICE, here.clone(), message).help(help)
        };
        let text = path.text();
        match self.resolver.resolve(module, path, Namespace::Type, &[]) {
            Some(Target::Module(listed)) => {
                let service = self.services.iter_mut().find(|service| service.module == listed);
                match service {
                    Some(service) => service.listed = true,
                    None if tree.modules[listed].broken => {}
                    None => {
                        let name = bis_syntax::kebab_case(path.last());
                        let diagnostic = report(
                            format!("`{text}` is not a service"),
                            &format!("call `bis::service!(\"{name}\")` in it, or take it off the list"),
                        );
                        let file = &tree.modules[listed].file;
                        let there = Position::point(file.clone(), 1, 1);
                        let diagnostic = diagnostic.and(there, "this module does not call `bis::service!`");
                        self.found.push(self.without_service(listed, diagnostic));
                        self.not_services.push(listed);
                    }
                }
            }
            Some(Target::Foreign(_)) => self.found.push(unread(
                format!(
                    "the source of `{text}` is not in this workspace, so its part of the graph is missing"
                ),
                "depend on it by path",
            )),
            Some(Target::Unknown) => {}
            Some(Target::Generated(name)) => self.found.push(unread(
                format!("`{text}` {}, so its part of the graph is missing", comes_from(&name)),
                "write the module out",
            )),
            None if self.resolver.may_be_elsewhere(module, path) => self.found.push(unread(
                format!("`{text}` leads to nothing that can be read, so its part of the graph is missing"),
                "write its `mod` or its import out",
            )),
            _ => self.found.push(report(
                format!("`{text}` is not a module or a crate"),
                "check the path, and that its `mod` or dependency is there",
            )),
        }
    }

    fn report_unlisted(&mut self, app: AppRef, call: &AppCall, position: &Position) {
        for service in self.services.iter().filter(|service| !service.listed) {
            let path = self.path_from(app, service.module);
            let mut list: Vec<String> = call.services.iter().map(|(path, _)| path.source()).collect();
            list.push(path);
            self.found.push(
                Diagnostic::warning(
                    codes::UNLISTED_SERVICE,
                    service.position.clone(),
                    format!("the service `{}` is not listed in `app!`, so nothing hosts it", service.name),
                )
                .and(position.clone(), "the list")
                .help(format!("write `bis::app!(services: [{}])`", list.join(", "))),
            );
        }
    }

    /// How a module is written where `app!` is: from there on when it is below, else from the root of its crate.
    fn path_from(&self, app: AppRef, module: ModuleId) -> String {
        let tree = self.resolver.tree;
        let mut names: Vec<&str> = Vec::new();
        let mut current = module;
        while let Some(parent) = tree.modules[current].parent {
            if current == app.module {
                break;
            }
            let own = tree.modules[parent].children.iter().find(|(_, child)| *child == current);
            names.extend(own.map(|(name, _)| *name));
            current = parent;
        }
        names.reverse();
        let path = PathRef { global: false, segments: names.into_iter().map(Into::into).collect() }.source();
        let krate = &tree.crates[tree.modules[module].krate];
        match (current == app.module, tree.modules[module].krate == app.krate) {
            (true, _) => path,
            (false, true) => format!("crate::{path}"),
            (false, false) if path.is_empty() => krate.name.clone(),
            (false, false) => format!("{}::{path}", krate.name),
        }
    }
}

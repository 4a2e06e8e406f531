//! The services, which of them `app!` lists, and to which of them each module belongs.

use bis_graph::{Diagnostic, Position, Service, codes};

use super::{AppRef, Assembly};
use crate::{
    findings::{self, position},
    resolve::{Namespace, Target},
    summary::{AppCall, PathRef, Range},
    tree::ModuleId,
};

/// A service of a linked crate.
pub(crate) struct ServiceRef {
    pub(crate) name: String,
    pub(crate) module: ModuleId,
    pub(crate) listed: bool,
    pub(crate) position: Position,
}

impl Assembly<'_, '_, '_> {
    pub(super) fn find_services(&mut self, app: AppRef) {
        for module in self.modules() {
            self.services_of(module);
        }
        self.own_modules();
        let tree = self.resolver.tree;
        let node = &tree.modules[app.module];
        let call = &node.module.apps[app.index];
        let app_position = position(&node.file, call.range);
        if call.readable && call.services.is_empty() {
            self.found.push(
                Diagnostic::error(codes::EMPTY_APP, app_position.clone(), "the app has no service")
                    .help("list the modules or crates that call `bis::service!`, as in `services: [orders]`"),
            );
        } else {
            self.found.extend(findings::mistakes(&node.file, &call.mistakes));
        }
        for (path, range) in &call.services {
            self.list(app.module, path, *range);
        }
        if call.readable && !call.services.is_empty() {
            self.report_unlisted(call, &app_position);
        }
        for service in self.services.iter().filter(|service| service.listed) {
            self.graph.services.push(Service {
                name: service.name.clone(),
                module: tree.modules[service.module].path.clone(),
                position: service.position.clone(),
            });
        }
    }

    fn services_of(&mut self, module: ModuleId) {
        let node = &self.resolver.tree.modules[module];
        let mut first: Option<Position> = None;
        for call in &node.module.services {
            if !self.resolver.is_bis(module, &call.call, &[]) {
                continue;
            }
            self.found.extend(findings::mistakes(&node.file, &call.mistakes));
            let here = position(&node.file, call.range);
            if let Some(first) = &first {
                self.found.push(
                    Diagnostic::error(
                        codes::TWO_SERVICES_IN_MODULE,
                        here,
                        format!("the module `{}` has two services", node.path),
                    )
                    .labelled("the second one")
                    .and(first.clone(), "the first one")
                    .help("move one of them into a module of its own"),
                );
                continue;
            }
            first = Some(here.clone());
            let name = call.name.clone().unwrap_or_default();
            self.services.push(ServiceRef { name, module, listed: false, position: here });
        }
    }

    /// A module belongs to the service of the nearest module above it, itself included. Parents come first in the tree.
    fn own_modules(&mut self) {
        for (index, service) in self.services.iter().enumerate() {
            self.owner[service.module] = Some(index);
        }
        for module in self.modules() {
            if self.owner[module].is_none()
                && let Some(parent) = self.resolver.tree.modules[module].parent
            {
                self.owner[module] = self.owner[parent];
            }
        }
    }

    fn list(&mut self, module: ModuleId, path: &PathRef, range: Range) {
        let tree = self.resolver.tree;
        let here = position(&tree.modules[module].file, range);
        let report = |message: String, help: &str| {
            Diagnostic::error(codes::NOT_A_SERVICE, here.clone(), message).help(help)
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
                            format!("`{text}` is no service"),
                            &format!("call `bis::service!(\"{name}\")` in it, or take it off the list"),
                        );
                        let file = &tree.modules[listed].file;
                        let there = Position::point(file.clone(), 1, 1);
                        self.found.push(diagnostic.and(there, "this module does not call `bis::service!`"));
                    }
                }
            }
            Some(Target::Foreign(_)) => self.found.push(report(
                format!("the source of `{text}` is not in this workspace"),
                "depend on it by path, so that its part of the graph can be read",
            )),
            Some(Target::Unknown) => {}
            Some(Target::Generated(name)) => self.found.push(report(
                format!("`{text}` comes out of `{name}!`, which cannot be read"),
                "write the module out",
            )),
            _ => self.found.push(report(
                format!("`{text}` is no module or crate"),
                "check the path, and that its `mod` or dependency is there",
            )),
        }
    }

    fn report_unlisted(&mut self, call: &AppCall, app: &Position) {
        for service in self.services.iter().filter(|service| !service.listed) {
            let path = &self.resolver.tree.modules[service.module].path;
            let shown = path.split_once("::").map_or(path.as_str(), |(_, rest)| rest);
            let mut list: Vec<String> = call.services.iter().map(|(path, _)| path.text()).collect();
            list.push(shown.to_owned());
            self.found.push(
                Diagnostic::warning(
                    codes::UNLISTED_SERVICE,
                    service.position.clone(),
                    format!("the service `{}` is not listed in `app!`, so nothing hosts it", service.name),
                )
                .and(app.clone(), "the list")
                .help(format!("write `bis::app!(services: [{}])`", list.join(", "))),
            );
        }
    }
}

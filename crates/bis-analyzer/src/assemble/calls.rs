//! Calls between services: a function of one service mentions an endpoint of another by its path.

use std::collections::HashSet;

use bis_graph::{Call, FunctionCall};

use super::Assembly;
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    summary::UseKind,
};

impl Assembly<'_, '_, '_> {
    pub(super) fn find_calls(&mut self) {
        let names = self.endpoint_names();
        let (mut calls, mut by_functions) = (Vec::new(), Vec::new());
        for module in self.modules() {
            let Some(from) = self.hosted(module) else { continue };
            let node = &self.resolver.tree.modules[module];
            for mention in node.module.calls.iter().filter(|mention| names.contains(mention.path.last())) {
                let scope = mention.scope.map_or(&[][..], |scope| &node.module.scopes[scope as usize]);
                let target = self.resolver.resolve(module, &mention.path, Namespace::Value, scope);
                let Some(Target::Endpoint(home, item)) = target else { continue };
                let Some(to) = self.hosted(home).filter(|to| to.module != from.module) else { continue };
                let (service, endpoint) = (to.name.clone(), item.name.to_string());
                calls.push(Call {
                    from: from.name.clone(),
                    to: service.clone(),
                    endpoint: endpoint.clone(),
                    position: position(&node.file, mention.range),
                });
                by_functions.push((module, mention.range, FunctionCall { service, endpoint }));
            }
        }
        for (module, range, call) in by_functions {
            self.called_by_function(module, range, call);
        }
        self.graph.calls = calls;
    }

    /// The names under which endpoints may be mentioned: their functions', and what imports call them.
    fn endpoint_names(&self) -> HashSet<String> {
        let modules = || self.resolver.tree.modules.iter().map(|node| node.module);
        let mut names: HashSet<String> =
            modules().flat_map(|module| &module.handlers).map(|item| item.name.to_string()).collect();
        let imports = modules().flat_map(|module| module.uses.iter().chain(module.scopes.iter().flatten()));
        let renames: Vec<_> = imports
            .filter_map(|import| match &import.kind {
                UseKind::Name(alias)
                    if &**alias != import.path.last() && names.contains(import.path.last()) =>
                {
                    Some(alias.to_string())
                }
                _ => None,
            })
            .collect();
        names.extend(renames);
        names
    }
}

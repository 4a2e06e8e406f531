//! Who uses which resource, and how: every mention of a resource's path, with the service whose module it is in.

use std::collections::{HashMap, HashSet};

use bis_graph::{Diagnostic, FunctionUse, codes};
use bis_syntax::Declaration;

use super::{Assembly, comes_from, resources::ResourceRef};
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    summary::{How, Invocation, Mention, UseKind},
    tree::{ModuleId, Node},
};

impl<'a> Assembly<'_, '_, 'a> {
    pub(super) fn find_uses(&mut self) {
        let names = self.resource_names();
        let macros = self.macros_with_resources(&names);
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            for mention in &node.module.mentions {
                self.mention(module, mention, &names);
            }
            for invocation in &node.module.invocations {
                self.misplaced_call(module, invocation);
                for mention in macros.get(&*invocation.name).into_iter().flatten() {
                    let home = if mention.path.segments.first().is_some_and(|first| &**first == "crate") {
                        // `$crate` is the crate of the rule; the mention carries its module.
                        self.rule_home(&invocation.name).unwrap_or(module)
                    } else {
                        module
                    };
                    let target = self.resolver.resolve(home, &mention.path, Namespace::Value, &[]);
                    if let Some(Target::Static(home, item)) = target
                        && let Some(resource) = self.resource_at(home, &item.name)
                    {
                        let here = Mention { range: invocation.range, ..mention.clone() };
                        self.used(module, resource, &here);
                    }
                }
            }
        }
    }

    /// A call in a function of a macro that declares something: as a module's items, it would be read.
    fn misplaced_call(&mut self, module: ModuleId, invocation: &Invocation) {
        let modules = &self.resolver.tree.modules;
        let declares = |node: &Node<'_>| {
            node.module.macros.iter().any(|item| item.name == invocation.name && item.declares)
        };
        if modules.iter().any(declares) {
            let name = &invocation.name;
            let message =
                format!("`{name}!` may declare something inside a function, so it is missing from the graph");
            let here = position(&modules[module].file, invocation.range);
            self.found.push(
                Diagnostic::warning(codes::UNREAD_MACRO, here, message)
                    .help("call it among the items of the module"),
            );
        }
    }

    /// The names under which resources may be mentioned: their statics', and what imports call them.
    fn resource_names(&self) -> HashSet<String> {
        let mut names: HashSet<String> =
            self.resources.iter().map(|resource| resource.static_name.clone()).collect();
        let modules = self.resolver.tree.modules.iter().map(|node| node.module);
        let renames: Vec<(&str, &str)> = modules
            .flat_map(|module| module.uses.iter().chain(module.scopes.iter().flatten()))
            .filter_map(|import| match &import.kind {
                UseKind::Name(alias) if &**alias != import.path.last() => {
                    Some((import.path.last(), &**alias))
                }
                _ => None,
            })
            .collect();
        loop {
            let before = names.len();
            for (name, alias) in &renames {
                if names.contains(*name) {
                    names.insert((*alias).to_owned());
                }
            }
            if names.len() == before {
                return names;
            }
        }
    }

    /// Macros of the project whose rules mention resources, by name.
    fn macros_with_resources(&self, names: &HashSet<String>) -> HashMap<String, Vec<Mention>> {
        let mut macros: HashMap<String, Vec<Mention>> = HashMap::new();
        for node in &self.resolver.tree.modules {
            for item in &node.module.macros {
                let mentions = item.mentions.iter().filter(|mention| names.contains(mention.path.last()));
                let mentions: Vec<Mention> = mentions.cloned().collect();
                if !mentions.is_empty() {
                    macros.entry(item.name.to_string()).or_default().extend(mentions);
                }
            }
        }
        macros
    }

    fn rule_home(&self, name: &str) -> Option<ModuleId> {
        let mut modules = self.resolver.tree.modules.iter();
        modules.position(|node| node.module.macros.iter().any(|item| &*item.name == name))
    }

    fn mention(&mut self, module: ModuleId, mention: &'a Mention, names: &HashSet<String>) {
        // What is certainly done with a resource, by its method, even when the resource is not found.
        let action = match &mention.how {
            How::Method(method) => Declaration::of_action(method).map(|declaration| (declaration, method)),
            _ => None,
        };
        if !names.contains(mention.path.last()) && action.is_none() {
            return;
        }
        let node = &self.resolver.tree.modules[module];
        let scope = mention.scope.map_or(&[][..], |scope| &node.module.scopes[scope as usize]);
        let target = match scope {
            [] => self.resolver.remembered(module, &mention.path, Namespace::Value),
            scope => self.resolver.resolve(module, &mention.path, Namespace::Value, scope),
        };
        match target {
            Some(Target::Static(home, item)) => {
                if let Some(resource) = self.resource_at(home, &item.name) {
                    self.used(module, resource, mention);
                }
            }
            Some(Target::Generated(call)) => {
                if let Some((declaration, method)) = action
                    && !self.is_reported(&call)
                    && self.makes(declaration, module, &call, mention.path.last())
                {
                    let message = format!(
                        "`{}` {}, so this {method} is missing from the graph",
                        mention.path.text(),
                        comes_from(&call)
                    );
                    let help = format!(
                        "write the {}'s static out, so that the graph can be read from the source",
                        declaration.kind
                    );
                    let here = position(&node.file, mention.range);
                    self.found.push(Diagnostic::warning(codes::UNRESOLVED, here, message).help(help));
                }
            }
            None => {
                if let Some((declaration, _)) = action
                    && !self.is_local(module, mention)
                    && !self.resolver.may_be_elsewhere(module, &mention.path)
                {
                    self.report_unresolved(module, mention, declaration);
                }
            }
            _ => {}
        }
    }

    fn report_unresolved(&mut self, module: ModuleId, mention: &Mention, declaration: &Declaration) {
        let names = self.static_names(declaration.kind);
        let help = match bis_syntax::closest(mention.path.last(), names) {
            Some(near) if near != mention.path.last() => {
                format!("did you mean `{near}`? check the path and the imports")
            }
            _ => "check the path and the imports".to_owned(),
        };
        let here = position(&self.resolver.tree.modules[module].file, mention.range);
        let message = format!("`{}` leads to no {}", mention.path.text(), declaration.kind);
        self.found.push(Diagnostic::error(codes::UNRESOLVED, here, message).help(help));
    }

    /// Whether a path may be something that is not an item of a module: an associated constant, or a function's own static.
    fn is_local(&self, module: ModuleId, mention: &Mention) -> bool {
        let node = &self.resolver.tree.modules[module];
        let own = |misplaced: &crate::summary::Misplaced| match &misplaced.kind {
            crate::summary::MisplacedKind::Static(name, _) => &**name == mention.path.last(),
            crate::summary::MisplacedKind::Handler(..) | crate::summary::MisplacedKind::Value(_) => false,
        };
        node.module.misplaced.iter().any(own)
            || matches!(&mention.path.segments[..], [.., owner, _] if owner.starts_with(char::is_uppercase))
            || node.module.uses.iter().any(|import| {
                matches!(import.kind, UseKind::Glob)
                    && matches!(
                        self.resolver.resolve(module, &import.path, Namespace::Type, &[]),
                        Some(Target::Foreign(_))
                    )
            })
    }

    /// Whether a macro call that holds the name seems to declare a resource of a kind.
    fn makes(&self, declaration: &Declaration, module: ModuleId, call: &str, name: &str) -> bool {
        let modules =
            std::iter::successors(Some(module), |module| self.resolver.tree.modules[*module].parent);
        let mut calls = modules.flat_map(|module| &self.resolver.tree.modules[module].module.opaque);
        calls.any(|opaque| {
            opaque.path.text() == call
                && opaque.words.contains(name)
                && opaque.words.contains(declaration.type_name)
        })
    }

    fn used(&mut self, module: ModuleId, resource: usize, mention: &Mention) {
        let node = &self.resolver.tree.modules[module];
        let here = position(&node.file, mention.range);
        let ResourceRef { kind, name, position: declared, .. } = &self.resources[resource];
        let (declared, the_kind) = (declared.clone(), format!("the {kind}"));
        if let How::Returned | How::Stored = mention.how {
            let done = if mention.how == How::Returned { "returned" } else { "stored" };
            self.found.push(
                Diagnostic::error(
                    codes::REFERENCE_ESCAPES,
                    here,
                    format!("a reference to {the_kind} `{name}` is {done}, so nobody can see who uses it"),
                )
                .and(declared, the_kind)
                .help(format!("name `{}` where it is used", mention.path.last())),
            );
            return;
        }
        let method = match &mention.how {
            How::Method(method) => Some(method.to_string()),
            _ => None,
        };
        let one = FunctionUse { kind: *kind, resource: name.clone(), method: method.clone() };
        let Some(service) = self.owner[module] else {
            self.used_outside(module, resource, mention, &one, here);
            return;
        };
        let service = &self.services[service];
        if !service.listed {
            return;
        }
        let service = service.name.clone();
        self.check_home(module, resource, mention);
        self.note_delay(resource, module, mention, &service);
        self.used_by_function(module, mention.range, &one);
        self.resources[resource].uses.entry((service, method)).or_insert(here);
    }
}

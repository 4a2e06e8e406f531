//! From the module tree to the graph: which services the app lists, what they declare, and what they use.

mod app;
mod auth;
mod calls;
mod endpoints;
mod handlers;
mod lifecycle;
mod path_types;
mod resources;
mod services;
mod state;
mod topics;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use bis_graph::{Diagnostic, EventType, Graph, Severity, codes};

pub(crate) use app::{AppRef, find as find_app, no_app};

use crate::{
    findings::position,
    resolve::Resolver,
    schema, sensitive,
    summary::{Condition, Text, TypeItem},
    tree::ModuleId,
};

/// What the parts of the assembly share.
pub(crate) struct Assembly<'r, 't, 'a> {
    resolver: &'r Resolver<'t, 'a>,
    /// Crates that the app links.
    linked: BTreeSet<usize>,
    /// The service of each module, by nearest module above; an index into `services`.
    owner: Vec<Option<usize>>,
    services: Vec<services::ServiceRef>,
    /// Modules that the app lists although they are not services: reported as such.
    not_services: Vec<ModuleId>,
    resources: Vec<resources::ResourceRef>,
    functions: Vec<lifecycle::FunctionRef>,
    events: BTreeMap<String, (ModuleId, &'a TypeItem)>,
    /// The functions of the graph's endpoints, in the same order.
    endpoints: Vec<endpoints::EndpointRef<'a>>,
    graph: Graph,
    found: Vec<Diagnostic>,
}

/// Assembles the graph of the app, with everything that is wrong with what it links.
pub(crate) fn graph(resolver: &Resolver<'_, '_>, app: AppRef) -> (Graph, Vec<Diagnostic>) {
    let tree = resolver.tree;
    let package = tree.crates[app.krate].package;
    let packages = tree.project.reachable(package);
    let linked = (0..tree.crates.len())
        .filter(|krate| {
            let krate = &tree.crates[*krate];
            packages.contains(&krate.package) && (!krate.is_bin || tree.is_bin_of(krate, app.krate))
        })
        .collect();
    let name = bis_syntax::app_name(&tree.project.packages[package].package.name);
    let mut assembly = Assembly {
        resolver,
        linked,
        owner: vec![None; tree.modules.len()],
        services: Vec::new(),
        not_services: Vec::new(),
        resources: Vec::new(),
        functions: Vec::new(),
        events: BTreeMap::new(),
        endpoints: Vec::new(),
        graph: Graph::empty(name),
        found: Vec::new(),
    };
    assembly.find_services(app);
    assembly.find_resources();
    assembly.find_handlers(app);
    assembly.find_uses();
    assembly.find_calls();
    assembly.report_unread();
    assembly.report_no_auth();
    assembly.keep_resources();
    assembly.describe_events();
    assembly.describe_endpoints();
    assembly.graph.sort();
    (assembly.graph, assembly.found)
}

impl<'a> Assembly<'_, '_, 'a> {
    /// The modules of the linked crates.
    fn modules(&self) -> Vec<ModuleId> {
        let modules = self.resolver.tree.modules.iter().enumerate();
        modules.filter(|(_, node)| self.linked.contains(&node.krate)).map(|(id, _)| id).collect()
    }

    /// The listed service that a module belongs to.
    fn hosted(&self, module: ModuleId) -> Option<&services::ServiceRef> {
        self.owner[module].map(|service| &self.services[service]).filter(|service| service.listed)
    }

    /// The `cfg` around an item when it is unknown whether it holds. That the item may be missing is reported at the `cfg`.
    fn condition(&mut self, module: ModuleId, own: Option<&Condition>) -> Option<String> {
        let node = &self.resolver.tree.modules[module];
        let around = node.condition.as_ref().map(|(file, condition)| (file, condition));
        let (file, condition) = around.or_else(|| own.map(|own| (&node.file, own)))?;
        let predicate = &condition.predicate;
        let unknown = Diagnostic::warning(
            codes::UNKNOWN_CFG,
            position(file, condition.range),
            format!("only the build knows whether `{predicate}` holds"),
        )
        .labelled("in the graph as if it held")
        .help("use a feature instead of what a build script or rustflags set");
        if !self.found.contains(&unknown) {
            self.found.push(unknown);
        }
        Some(predicate.clone())
    }

    /// Warns about macro calls in hosted or shared code that may declare something.
    fn report_unread(&mut self) {
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            if !self.resolver.tree.project.packages[self.resolver.tree.crates[node.krate].package].uses_bis {
                continue;
            }
            for unread in &node.module.unread {
                let name = &unread.name;
                let message = format!(
                    "`{name}!` may declare something here that cannot be read, so it is missing from the graph"
                );
                self.found.push(
                    Diagnostic::warning(codes::UNREAD_MACRO, position(&node.file, unread.range), message)
                        .help("write the declaration out, or put it into a `macro_rules!` of this workspace"),
                );
            }
        }
    }

    /// A finding about a service that was not found: a warning where a file or macro that cannot be read may name one.
    fn without_service(&self, module: ModuleId, diagnostic: Diagnostic) -> Diagnostic {
        let modules = &self.resolver.tree.modules;
        let above =
            std::iter::successors(Some(module), |module| modules[*module].whole.or(modules[*module].parent));
        let mut parts =
            above.flat_map(|module| std::iter::once(module).chain(modules[module].parts.iter().copied()));
        let may_name_one = parts.any(|part| {
            let node = &modules[part];
            node.broken || node.module.is_open || !node.module.unread.is_empty()
        });
        match may_name_one {
            true => Diagnostic { severity: Severity::Warning, ..diagnostic },
            false => diagnostic,
        }
    }

    /// Whether a macro's calls are warned about where they are, so that the names in them need no further report.
    fn is_reported(&self, call: &str) -> bool {
        let mut modules = self.modules().into_iter().map(|module| self.resolver.tree.modules[module].module);
        modules.any(|module| module.unread.iter().any(|unread| unread.name == call))
    }

    /// Notes a type as an event's, and gives its path.
    fn event(&mut self, module: ModuleId, item: &'a TypeItem) -> String {
        let path = schema::type_path(self.resolver, module, item);
        self.events.insert(path.clone(), (module, item));
        path
    }

    fn describe_events(&mut self) {
        for (path, (module, item)) in std::mem::take(&mut self.events) {
            let node = &self.resolver.tree.modules[module];
            let (schema, gaps) = schema::event(self.resolver, module, item);
            self.found.extend(gaps);
            let summary = item.serde.as_ref().and_then(|serde| serde.event.as_ref());
            if summary.is_some_and(|event| event.key.is_none()) {
                self.report_keyless(&path, module, item);
            }
            if let Some(serde) = &item.serde {
                self.found.extend(serde.mistakes.iter().cloned());
            }
            self.graph.events.push(EventType {
                name: item.name.to_string(),
                path,
                description: item.serde.as_ref().and_then(|serde| text(&serde.docs.text)),
                key: summary.and_then(|event| event.key.clone()),
                attributes: summary.map_or_else(Vec::new, |event| event.attributes.clone()),
                sensitive: sensitive::of(self.resolver, module, item),
                identity: summary.is_some_and(|event| event.identity),
                schema,
                position: position(&node.file, item.range),
            });
        }
    }

    /// Reports each ordered topic of an event without a key: it cannot be ordered.
    fn report_keyless(&mut self, path: &str, module: ModuleId, item: &TypeItem) {
        let event = position(&self.resolver.tree.modules[module].file, item.range);
        let ordered = self.graph.topics.iter().filter(|topic| topic.ordered && topic.event_path == path);
        self.found.extend(ordered.map(|topic| {
            Diagnostic::error(
                codes::ORDER_WITHOUT_KEY,
                topic.position.clone(),
                format!("the topic `{}` is ordered, but `{}` has no key to order by", topic.name, item.name),
            )
            .and(event.clone(), "no field is marked as the key")
            .help(
                "mark the field that tells what belongs together with `#[event(key)]`, or drop `.ordered()`",
            )
        }));
    }
}

/// A comment in the graph's form.
fn text(docs: &Option<Text>) -> Option<String> {
    docs.as_deref().map(str::to_owned)
}

/// Where something is that is not read, after its path: in a macro's call, or in an item that does not parse.
fn comes_from(call: &str) -> String {
    match call {
        "" => "is in an item that does not parse".to_owned(),
        call => format!("comes out of `{call}!`, which cannot be read"),
    }
}

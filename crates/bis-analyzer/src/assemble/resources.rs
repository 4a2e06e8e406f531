//! The resources: statics whose type is one of Bis's, whatever its kind. What a kind has of its own is in a file of its own.

use std::collections::{BTreeMap, BTreeSet};

use bis_graph::{Diagnostic, Position, ResourceKind, Severity, State, Topic, Use, codes};
use bis_syntax::{Declaration, declaration};

use super::Assembly;
use crate::{
    constant,
    findings::position,
    resolve::{Namespace, Target},
    summary::{Chain, MisplacedKind, PathRef, Range, StaticItem, StaticValue, Ty, Use as Import, Value},
    tree::ModuleId,
};

/// A resource, with who uses it.
pub(crate) struct ResourceRef {
    pub(crate) kind: ResourceKind,
    pub(crate) module: ModuleId,
    pub(crate) static_name: String,
    pub(crate) name: String,
    pub(crate) position: Position,
    pub(crate) entry: Entry,
    /// Services, each with the methods that it calls, and where it first does.
    pub(crate) uses: BTreeMap<(String, Option<String>), Position>,
    /// Whether an attribute of a listed service names it, such as a subscription's.
    pub(crate) is_named: bool,
}

/// How a resource appears in the graph.
pub(crate) enum Entry {
    Topic(Box<Topic>),
    State(Box<State>),
}

impl Entry {
    pub(super) fn topic(&mut self) -> Option<&mut Topic> {
        match self {
            Self::Topic(topic) => Some(topic),
            Self::State(_) => None,
        }
    }
}

/// A static's type that is a resource's.
pub(super) struct ResourceType {
    kind: ResourceKind,
    /// Where its arguments are written.
    pub(super) home: ModuleId,
    pub(super) arguments: Vec<Ty>,
}

/// What every kind's entry begins with.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) service: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) static_path: String,
    pub(super) position: Position,
}

impl Assembly<'_, '_, '_> {
    pub(super) fn find_resources(&mut self) {
        for module in self.modules() {
            let node = &self.resolver.tree.modules[module];
            for item in &node.module.statics {
                if let Some(found) = self.resource_type(module, &item.ty, &[]) {
                    self.resource(module, item, &found);
                }
            }
            for item in &node.module.consts {
                if let Some(found) = self.resource_type(module, &item.ty, &[]) {
                    let why = "a `const` is copied at each use";
                    self.found.push(self.not_a_static(module, item.range, found.kind, &item.name, why));
                }
            }
            self.find_misplaced(module);
        }
    }

    /// The kind of a static's type, when that is a resource's. Aliases are followed.
    fn resource_type(&self, module: ModuleId, ty: &Ty, scope: &[Import]) -> Option<ResourceType> {
        let (mut module, mut ty) = (module, ty.clone());
        for _ in 0..8 {
            let Ty::Path(path, arguments) = ty else { return None };
            match self.resolver.resolve(module, &path, Namespace::Type, scope) {
                Some(Target::Bis(name)) => {
                    let kind = Declaration::of_type(&name)?.kind;
                    return Some(ResourceType { kind, home: module, arguments });
                }
                // A name that leads nowhere may come out of a glob of a crate that is not read.
                None if !arguments.is_empty() => {
                    let kind = Declaration::of_type(path.last())?.kind;
                    return Some(ResourceType { kind, home: module, arguments });
                }
                Some(Target::Alias(home, alias)) => {
                    let argument = arguments.first();
                    ty = substitute(&alias.ty, alias.generics.first().map(|name| &**name), argument);
                    // An argument is written where the alias is used; a plain path resolves there first.
                    if argument.is_none() {
                        module = home;
                    }
                }
                _ => return None,
            }
        }
        None
    }

    fn resource(&mut self, module: ModuleId, item: &StaticItem, found: &ResourceType) {
        match (found.kind, &item.value) {
            (_, StaticValue::Indirect) => {}
            (ResourceKind::Topic, StaticValue::Chain(chain)) => {
                self.check_options(module, found.kind, chain);
                let Some(name) = self.resource_name(module, found.kind, chain) else { return };
                let head = self.head(module, item, name);
                let entry = Entry::Topic(Box::new(self.topic(module, chain, found, head.clone())));
                self.add(module, item, found.kind, head, entry);
            }
            (ResourceKind::Topic, StaticValue::Macro(_, range, _) | StaticValue::Other(range)) => {
                let message = format!(
                    "a {}'s static must be built in place, so that the graph can be read from the source",
                    found.kind
                );
                let here = position(&self.resolver.tree.modules[module].file, *range);
                self.found.push(
                    Diagnostic::warning(codes::NOT_CONSTANT, here, message)
                        .help(format!("write {}", declaration(found.kind).example)),
                );
            }
            (ResourceKind::State, value) => {
                self.check_made_by(module, item, value);
                let head = self.head(module, item, self.static_path(module, item));
                let entry = Entry::State(Box::new(self.state(found, head.clone())));
                self.add(module, item, found.kind, head, entry);
            }
        }
    }

    fn check_options(&mut self, module: ModuleId, kind: ResourceKind, chain: &Chain) {
        for call in &chain.calls {
            if let Some((message, help)) = declaration(kind).option_mistake(&call.method) {
                let here = position(&self.resolver.tree.modules[module].file, call.range);
                self.found.push(Diagnostic::error(codes::UNKNOWN_OPTION, here, message).help(help));
            }
        }
    }

    fn static_path(&self, module: ModuleId, item: &StaticItem) -> String {
        format!("{}::{}", self.resolver.tree.modules[module].path, item.name)
    }

    fn head(&mut self, module: ModuleId, item: &StaticItem, name: String) -> Head {
        let node = &self.resolver.tree.modules[module];
        let is_hosted = self.owner[module].is_none() || self.hosted(module).is_some();
        Head {
            name,
            description: super::text(&item.docs),
            service: self.hosted(module).map(|service| service.name.clone()),
            condition: if is_hosted { self.condition(module, item.condition.as_ref()) } else { None },
            static_path: self.static_path(module, item),
            position: position(&node.file, item.range),
        }
    }

    fn add(&mut self, module: ModuleId, item: &StaticItem, kind: ResourceKind, head: Head, entry: Entry) {
        let Head { name, position, .. } = head;
        let (uses, static_name) = (BTreeMap::new(), item.name.to_string());
        self.resources.push(ResourceRef {
            kind,
            module,
            static_name,
            name,
            position,
            entry,
            uses,
            is_named: false,
        });
    }

    fn resource_name(&mut self, module: ModuleId, kind: ResourceKind, chain: &Chain) -> Option<String> {
        let argument = chain.arguments.first()?;
        let here = position(&self.resolver.tree.modules[module].file, argument.range);
        let Some(Value::Text(name)) = constant::value(self.resolver, module, &argument.value) else {
            let message =
                format!("the {kind}'s name is not a constant text, so the {kind} is missing from the graph");
            self.found.push(
                Diagnostic::warning(codes::NOT_CONSTANT, here, message)
                    .help("write a literal, or a `const` of this workspace"),
            );
            return None;
        };
        if let Some(reason) = kind.name_error(&name) {
            let proposal = bis_syntax::kebab_case(&name);
            let help = match kind.name_error(&proposal) {
                None => format!("{reason}; write `\"{proposal}\"`"),
                Some(_) => reason.to_owned(),
            };
            let message = format!("`{name}` is not a valid {kind} name");
            self.found.push(Diagnostic::error(codes::INVALID_NAME, here, message).help(help));
        }
        Some(name)
    }

    fn find_misplaced(&mut self, module: ModuleId) {
        let node = &self.resolver.tree.modules[module];
        for misplaced in &node.module.misplaced {
            let scope = misplaced.scope.map_or(&[][..], |scope| &node.module.scopes[scope as usize]);
            match &misplaced.kind {
                MisplacedKind::Static(name, ty) => {
                    let Some(found) = self.resource_type(module, ty, scope) else { continue };
                    let why = "it is inside a function";
                    let diagnostic = self.not_a_static(module, misplaced.range, found.kind, name, why);
                    // It works, but belongs to nothing that the graph could show.
                    self.found.push(Diagnostic { severity: Severity::Warning, ..diagnostic });
                }
                MisplacedKind::Value(path) => {
                    let target = self.resolver.resolve(module, path, Namespace::Type, scope);
                    let Some(Target::Bis(name)) = target else { continue };
                    let Some(declaration) = Declaration::of_type(&name) else { continue };
                    let (kind, ty) = (declaration.kind, declaration.type_text);
                    let message = format!(
                        "a {kind} is made here that is not itself a static of a module, so it is missing from the graph"
                    );
                    let here = position(&node.file, misplaced.range);
                    self.found.push(Diagnostic::warning(codes::NOT_A_MODULE_STATIC, here, message).help(
                        format!("declare `static NAME: {ty}` in the module, and name it where it is used"),
                    ));
                }
                MisplacedKind::Handler(name, attribute, place)
                    if self.resolver.is_bis(module, attribute, scope) =>
                {
                    let here = position(&node.file, misplaced.range);
                    let message = format!("the handler `{name}` is declared {place}");
                    // In functions, `impl`s and traits the compiler refuses it too.
                    let diagnostic = match *place {
                        "inside a constant" => Diagnostic::warning(codes::NOT_A_MODULE_STATIC, here, message),
                        _ => Diagnostic::error(codes::NOT_A_MODULE_STATIC, here, message),
                    };
                    self.found.push(diagnostic.help("move it into the module"));
                }
                _ => {}
            }
        }
    }

    fn not_a_static(
        &self,
        module: ModuleId,
        range: Range,
        kind: ResourceKind,
        name: &str,
        why: &str,
    ) -> Diagnostic {
        let here = position(&self.resolver.tree.modules[module].file, range);
        let message = format!("the {kind} `{name}` is not a static of a module");
        let ty = declaration(kind).type_text;
        Diagnostic::error(codes::NOT_A_MODULE_STATIC, here, message)
            .labelled(why)
            .help(format!("declare `static {name}: {ty}` in the module, outside of functions"))
    }

    /// The resource that a path leads to, as its index.
    pub(super) fn resource_at(&self, home: ModuleId, name: &str) -> Option<usize> {
        self.resources.iter().position(|one| one.module == home && one.static_name == name)
    }

    /// The names of the statics of a kind.
    pub(super) fn static_names(&self, kind: ResourceKind) -> BTreeSet<&str> {
        let of_kind = self.resources.iter().filter(|resource| resource.kind == kind);
        of_kind.map(|resource| &*resource.static_name).collect()
    }

    /// Moves the resources into the graph: those of listed services and of shared modules, and those that a listed service
    /// uses.
    pub(super) fn keep_resources(&mut self) {
        for resource in std::mem::take(&mut self.resources) {
            let is_used = resource.is_named || !resource.uses.is_empty();
            let is_shared = self.owner[resource.module].is_none();
            if !is_used && !is_shared && self.hosted(resource.module).is_none() {
                continue;
            }
            let ResourceRef { kind, name, .. } = resource;
            let uses = resource.uses.into_iter().map(|((service, method), position)| Use {
                kind,
                resource: name.clone(),
                service,
                method,
                position,
            });
            let uses: Vec<Use> = uses.collect();
            match resource.entry {
                Entry::Topic(topic) => self.keep_topic(*topic, &uses),
                Entry::State(state) => self.keep_state(*state, &uses),
            }
            self.graph.uses.extend(uses);
        }
        self.keep_carried_events();
    }
}

fn substitute(ty: &Ty, parameter: Option<&str>, argument: Option<&Ty>) -> Ty {
    match (ty, parameter, argument) {
        (Ty::Path(PathRef { segments, .. }, _), Some(parameter), Some(argument))
            if segments.len() == 1 && &*segments[0] == parameter =>
        {
            argument.clone()
        }
        (Ty::Path(path, arguments), ..) => Ty::Path(
            path.clone(),
            arguments.iter().map(|inner| substitute(inner, parameter, argument)).collect(),
        ),
        _ => ty.clone(),
    }
}

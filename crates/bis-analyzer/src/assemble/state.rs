//! What a `Resource<T>` has beside what every resource has: the type of its value, the macro that makes it, and the service with
//! which it is created.

use std::collections::BTreeSet;

use bis_graph::{Diagnostic, FunctionUse, Position, ResourceKind, State, Use, codes};
use bis_syntax::declaration;

use super::{
    Assembly,
    lifecycle::Place,
    resources::{Head, ResourceRef, ResourceType},
};
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    summary::{Mention, StaticItem, StaticValue},
    tree::ModuleId,
};

impl Assembly<'_, '_, '_> {
    pub(super) fn state(&self, ty: &ResourceType, head: Head) -> State {
        let (type_name, type_path) = match ty.arguments.first() {
            Some(value) => self.user_type(ty.home, value),
            None => (String::new(), String::new()),
        };
        let Head { name, description, service, condition, static_path, position } = head;
        let users = Vec::new();
        State { name, type_name, type_path, description, users, service, condition, static_path, position }
    }

    /// Reports a value that is not a call of the macro that makes resources.
    pub(super) fn check_made_by(&mut self, module: ModuleId, item: &StaticItem, value: &StaticValue) {
        let declaration = declaration(ResourceKind::State);
        let range = match value {
            StaticValue::Macro(path, range, mistakes) => {
                let made_by = match self.resolver.resolve(module, path, Namespace::Macro, &[]) {
                    Some(Target::Bis(name)) => Some(name.to_string()),
                    // What leads nowhere may come out of a glob of a crate that is not read.
                    None | Some(Target::Unknown | Target::Generated(_)) => Some(path.last().to_owned()),
                    Some(_) => None,
                };
                if made_by.as_deref() == declaration.made_by {
                    self.found.extend(mistakes.iter().cloned());
                    return;
                }
                *range
            }
            StaticValue::Other(range) => *range,
            StaticValue::Chain(_) | StaticValue::Indirect => item.range,
        };
        let here = position(&self.resolver.tree.modules[module].file, range);
        let message = format!("`resource!` does not make the resource `{}`, so no app creates it", item.name);
        self.found.push(
            Diagnostic::error(codes::NOT_BY_RESOURCE, here, message)
                .help(format!("write {}", declaration.example)),
        );
    }

    /// Warns about a use by a service other than the one with which the resource is created.
    pub(super) fn check_home(&mut self, module: ModuleId, resource: usize, mention: &Mention) {
        let ResourceRef { kind: ResourceKind::State, module: home, name, position: declared, .. } =
            &self.resources[resource]
        else {
            return;
        };
        let (Some(home), user) = (self.owner[*home], self.owner[module]) else { return };
        if user == Some(home) {
            return;
        }
        let home = &self.services[home].name;
        let (user, remedy) = match user {
            Some(user) => {
                let user = &self.services[user].name;
                (format!("the service `{user}`"), format!("declare one in `{user}` too"))
            }
            None => ("code outside every service".to_owned(), format!("move the use into `{home}`")),
        };
        let here = position(&self.resolver.tree.modules[module].file, mention.range);
        let message = format!("{user} uses the resource `{name}` of the service `{home}`");
        self.found.push(
            Diagnostic::warning(codes::OTHER_SERVICES_RESOURCE, here, message)
                .labelled(format!("not there in a process without `{home}`"))
                .and(declared.clone(), "the resource")
                .help(format!("move the resource to a module outside every service, or {remedy}")),
        );
    }

    /// A use by code that belongs to no service. Functions under `#[auth]` run in every process, and so there is a resource that
    /// belongs to no service either; anything else needs a service to be seen in the graph.
    pub(super) fn used_outside(
        &mut self,
        module: ModuleId,
        resource: usize,
        mention: &Mention,
        one: &FunctionUse,
        here: Position,
    ) {
        let is_in_auth = matches!(self.function_at(module, mention.range), Some(Place::Auth(_)));
        self.used_by_function(module, mention.range, one);
        self.resources[resource].is_named |= is_in_auth;
        let ResourceRef { kind, name, position: declared, .. } = &self.resources[resource];
        if *kind == ResourceKind::State {
            self.check_home(module, resource, mention);
        } else if !is_in_auth {
            let diagnostic = Diagnostic::error(
                codes::USE_OUTSIDE_SERVICE,
                here,
                format!("the {kind} `{name}` is used outside every service"),
            )
            .and(declared.clone(), format!("the {kind}"))
            .help("move the use below a module that calls `bis::service!`");
            self.found.push(self.without_service(module, diagnostic));
        }
    }

    pub(super) fn keep_state(&mut self, mut state: State, uses: &[Use]) {
        let users: BTreeSet<&String> = uses.iter().map(|one| &one.service).collect();
        state.users = users.into_iter().cloned().collect();
        self.graph.state.push(state);
    }
}

//! Functions at the start, at the stop and in the background, each with its service, and what each function of the graph uses
//! itself.

use bis_graph::{Background, FunctionCall, FunctionUse, Hook, HookRole, Position};
use bis_syntax::RestartPolicy;

use super::Assembly;
use crate::{
    summary::{HandlerItem, HandlerKind, Range},
    tree::ModuleId,
};

/// Where a function of the graph is.
pub(super) struct FunctionRef {
    module: ModuleId,
    body: Range,
    place: Place,
}

/// Where it is in the graph, an index into its list.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Subscription(usize),
    Auth(usize),
    Endpoint(usize),
    Hook(usize),
    Background(usize),
}

/// What the two have in common.
pub(super) struct Common {
    pub(super) service: String,
    pub(super) handler: String,
    pub(super) description: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) position: Position,
}

impl Assembly<'_, '_, '_> {
    pub(super) fn lifecycle_function(&mut self, module: ModuleId, item: &HandlerItem, common: Common) {
        match item.kind {
            HandlerKind::Hook(hook) => self.hook(module, item.body, hook, common),
            HandlerKind::Background(restart) => self.background(module, item.body, restart, common),
            _ => {}
        }
    }

    fn hook(&mut self, module: ModuleId, body: Range, hook: bis_syntax::Hook, common: Common) {
        let Common { service, handler, description, condition, position } = common;
        let role = match hook {
            bis_syntax::Hook::OnStart => HookRole::OnStart,
            bis_syntax::Hook::OnStop => HookRole::OnStop,
        };
        self.function(module, body, Place::Hook(self.graph.hooks.len()));
        let (uses, calls) = (Vec::new(), Vec::new());
        self.graph.hooks.push(Hook { service, role, handler, description, uses, calls, condition, position });
    }

    fn background(&mut self, module: ModuleId, body: Range, restart: RestartPolicy, common: Common) {
        let Common { service, handler, description, condition, position } = common;
        self.function(module, body, Place::Background(self.graph.background.len()));
        let (restart, uses, calls) = (restart.into(), Vec::new(), Vec::new());
        self.graph.background.push(Background {
            service,
            handler,
            description,
            restart,
            uses,
            calls,
            condition,
            position,
        });
    }

    /// Notes where a function is that is about to be in the graph.
    pub(super) fn function(&mut self, module: ModuleId, body: Range, place: Place) {
        self.functions.push(FunctionRef { module, body, place });
    }

    /// Notes a use at its function, when it is in one.
    pub(super) fn used_by_function(&mut self, module: ModuleId, range: Range, one: &FunctionUse) {
        let Some(place) = self.function_at(module, range) else { return };
        let uses = match place {
            Place::Subscription(index) => &mut self.graph.subscriptions[index].uses,
            Place::Auth(index) => &mut self.graph.auth[index].uses,
            Place::Endpoint(index) => &mut self.graph.endpoints[index].uses,
            Place::Hook(index) => &mut self.graph.hooks[index].uses,
            Place::Background(index) => &mut self.graph.background[index].uses,
        };
        if !uses.contains(one) {
            uses.push(one.clone());
        }
    }

    /// Notes a call at its function, when it is in one of the app's own.
    pub(super) fn called_by_function(&mut self, module: ModuleId, range: Range, call: FunctionCall) {
        let calls = match self.function_at(module, range) {
            Some(Place::Hook(index)) => &mut self.graph.hooks[index].calls,
            Some(Place::Background(index)) => &mut self.graph.background[index].calls,
            Some(Place::Subscription(_) | Place::Auth(_) | Place::Endpoint(_)) | None => return,
        };
        if !calls.contains(&call) {
            calls.push(call);
        }
    }

    /// The function of the graph that a place is in.
    pub(super) fn function_at(&self, module: ModuleId, range: Range) -> Option<Place> {
        let mut functions = self.functions.iter();
        functions.find(|one| one.module == module && one.body.holds(range)).map(|one| one.place)
    }
}

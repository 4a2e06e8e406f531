//! Functions at the start, at the stop and in the background, each with its service and what it uses itself.

use bis_graph::{Background, FunctionCall, FunctionUse, Hook, HookRole, Position};
use bis_syntax::RestartPolicy;

use super::Assembly;
use crate::{
    summary::{HandlerItem, HandlerKind, Range},
    tree::ModuleId,
};

/// Where the function of a hook or a background function is.
pub(super) struct FunctionRef {
    module: ModuleId,
    body: Range,
    place: Place,
}

/// Where it is in the graph, an index into its list.
#[derive(Clone, Copy)]
enum Place {
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
        self.lifecycle.push(FunctionRef { module, body, place: Place::Hook(self.graph.hooks.len()) });
        let (uses, calls) = (Vec::new(), Vec::new());
        self.graph.hooks.push(Hook { service, role, handler, description, uses, calls, condition, position });
    }

    fn background(&mut self, module: ModuleId, body: Range, restart: RestartPolicy, common: Common) {
        let Common { service, handler, description, condition, position } = common;
        let place = Place::Background(self.graph.background.len());
        self.lifecycle.push(FunctionRef { module, body, place });
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

    /// Notes a use at its function, when it is in one.
    pub(super) fn used_by_function(&mut self, module: ModuleId, range: Range, one: &FunctionUse) {
        if let Some((uses, _)) = self.function_at(module, range)
            && !uses.contains(one)
        {
            uses.push(one.clone());
        }
    }

    /// Notes a call at its function, when it is in one.
    pub(super) fn called_by_function(&mut self, module: ModuleId, range: Range, call: FunctionCall) {
        if let Some((_, calls)) = self.function_at(module, range)
            && !calls.contains(&call)
        {
            calls.push(call);
        }
    }

    fn function_at(
        &mut self,
        module: ModuleId,
        range: Range,
    ) -> Option<(&mut Vec<FunctionUse>, &mut Vec<FunctionCall>)> {
        let mut functions = self.lifecycle.iter();
        let function = functions.find(|one| one.module == module && one.body.holds(range))?;
        Some(match function.place {
            Place::Hook(index) => {
                let Hook { uses, calls, .. } = &mut self.graph.hooks[index];
                (uses, calls)
            }
            Place::Background(index) => {
                let Background { uses, calls, .. } = &mut self.graph.background[index];
                (uses, calls)
            }
        })
    }
}

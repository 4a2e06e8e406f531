//! What this room contributes about an app's declarations: which functions call what, and what is linked.

use bis_core::prometheus::Page;

use super::entry::{self, Role};
use crate::{
    error::Result,
    instance::{Caller, Declarations, Instance, Section, Services, Subsystem, function_path},
};

/// Functions at the start, at the stop and in the background.
pub(crate) struct Lifecycle;

impl Subsystem for Lifecycle {
    fn callers(&self, services: &Services) -> Vec<Caller> {
        let functions = entry::functions(services).into_iter();
        let caller = |(entry, service): entry::Owned| Caller {
            module: entry.module,
            function: entry.function,
            service: service.name,
            calls: entry.calls,
        };
        functions.map(caller).collect()
    }

    fn check(&self, _: &Declarations<'_>) -> Result<()> {
        Ok(())
    }

    fn describe(&self, services: &Services) -> Vec<Section> {
        let mut hooks = Vec::new();
        let mut background = Vec::new();
        for (entry, service) in entry::functions(services) {
            let handler = function_path(entry.module, entry.function);
            let mut item = vec![("service", service.name.into()), ("handler", handler.into())];
            match entry.role {
                Role::OnStart | Role::OnStop => {
                    item.push(("role", entry.role.as_str().into()));
                    hooks.push(item);
                }
                Role::Background(_) => background.push(item),
            }
        }
        // As the graph has them.
        hooks.sort_by_key(|item| sort_key(item));
        background.sort_by_key(|item| sort_key(item));
        vec![Section { name: "hooks", items: hooks }, Section { name: "background", items: background }]
    }

    fn measure(&self, _: &Instance, _: &mut Page) {}
}

fn sort_key(item: &[(&'static str, serde_json::Value)]) -> Vec<String> {
    item.iter().map(|(_, value)| value.to_string()).collect()
}

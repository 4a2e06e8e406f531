//! What HTTP contributes about an app's declarations: whether every service that is called can be found, and what is linked.

use std::collections::BTreeSet;

use bis_core::{ServiceName, codes, prometheus::Page};

use super::{
    Authentication,
    auth::{self, AuthEntry, Guard},
    entry,
    metrics::Metrics,
};
use crate::{
    error::Result,
    instance::{Caller, Declarations, Instance, Section, Services, Subsystem, function_path},
};

/// Endpoints, mounts, and calls between services.
pub(crate) struct Http;

/// Why a service cannot be called.
#[derive(Debug, thiserror::Error)]
enum CalleeError {
    /// The configuration says where to call a service that the app does not list.
    #[error(
        "`internal.services` names `{name}`, which this app does not have; it has {known} [{}]",
        codes::UNKNOWN_SERVICE
    )]
    Unknown {
        /// The name.
        name: ServiceName,
        /// Those that there are.
        known: String,
    },
    /// A function of this process calls a service that it does not know where to find.
    #[error(
        "`{caller}` calls `{callee}` of the service `{service}`, which this process neither hosts nor finds: set its address in `internal.services.{service}`, or add it to `app.services` [{}]",
        codes::NO_ADDRESS
    )]
    NoAddress {
        /// The function that calls.
        caller: String,
        /// The function that is called.
        callee: String,
        /// Its service.
        service: &'static str,
    },
}

impl Subsystem for Http {
    fn callers(&self, services: &Services) -> Vec<Caller> {
        let endpoints = entry::endpoints(services).into_iter();
        let caller = |(entry, service): entry::Owned<entry::EndpointEntry>| Caller {
            module: entry.module,
            function: entry.function,
            service: service.name,
            calls: entry.calls,
        };
        let mut callers: Vec<_> = endpoints.map(caller).collect();
        callers.extend(authentication(services));
        callers
    }

    fn check(&self, declared: &Declarations<'_>) -> Result<()> {
        let services = declared.services;
        for name in declared.config.internal.services.keys() {
            if !services.has(name.as_str()) {
                return Err(CalleeError::Unknown { name: name.clone(), known: services.names() }.into());
            }
        }
        auth::check(services)?;
        Ok(calls(declared)?)
    }

    fn describe(&self, services: &Services) -> Vec<Section> {
        let endpoints = entry::endpoints(services).into_iter().map(|(entry, service)| {
            vec![
                ("service", service.name.into()),
                ("name", entry.function.trim_start_matches("r#").into()),
                ("method", entry.method.into()),
                ("path", entry.path.into()),
                ("access", entry.access.as_str().into()),
            ]
        });
        let mounts = entry::mounts(services)
            .into_iter()
            .map(|(entry, service)| vec![("service", service.name.into()), ("path", entry.path.into())]);
        let auth = Authentication::of(services).entry().map(|entry| {
            vec![
                ("function", function_path(entry.module, entry.function).into()),
                ("user", entry.user.name().into()),
            ]
        });
        vec![
            Section { name: "auth", items: auth.into_iter().collect() },
            Section { name: "endpoints", items: endpoints.collect() },
            Section { name: "mounts", items: mounts.collect() },
        ]
    }

    fn measure(&self, instance: &Instance, page: &mut Page) {
        instance.extension::<Metrics>().write(page);
    }
}

/// The `#[auth]` function as each service calls it that has an endpoint under its guard.
fn authentication(services: &Services) -> Vec<Caller> {
    let Some(AuthEntry { module, function, calls, .. }) = Authentication::of(services).entry() else {
        return Vec::new();
    };
    let guarded = entry::endpoints(services).into_iter().filter(|(entry, _)| Guard::of(entry) != Guard::Open);
    let services: BTreeSet<&str> = guarded.map(|(_, service)| service.name).collect();
    services.into_iter().map(|service| Caller { module, function, service, calls }).collect()
}

/// Every service that a function of this process calls is hosted here or has an address. A call that the function's source does
/// not show, as in a function that it uses, is an error when it is made.
fn calls(Declarations { services, config, callers }: &Declarations<'_>) -> Result<(), CalleeError> {
    let Some(hosted) = &config.app.services else { return Ok(()) };
    let is_hosted = |service: &str| hosted.iter().any(|name| name.as_str() == service);
    let has_address = |service: &str| config.internal.services.keys().any(|name| name.as_str() == service);
    let paths: Vec<_> = entry::endpoints(services)
        .into_iter()
        .map(|(entry, service)| (function_path(entry.module, entry.function), service))
        .collect();
    for Caller { module, function, calls, .. } in callers.iter().filter(|caller| is_hosted(caller.service)) {
        for call in *calls {
            let called: Vec<_> =
                paths.iter().filter(|(path, callee)| leads_to(call, module, path, callee.module)).collect();
            // Where the path may belong to several, it may belong to one that is there.
            let is_there = |service: &str| is_hosted(service) || has_address(service);
            if let Some((callee, service)) = called.first()
                && called.iter().all(|(_, service)| !is_there(service.name))
            {
                let (caller, callee) = (function_path(module, function), callee.clone());
                return Err(CalleeError::NoAddress { caller, callee, service: service.name });
            }
        }
    }
    Ok(())
}

/// Whether `call`, written in `module`, can be the function at `path`, which belongs to the service of the module `service`.
fn leads_to(call: &str, module: &str, path: &str, service: &str) -> bool {
    let module = module.replace("r#", "");
    let mut base: Vec<&str> = module.split("::").collect();
    let mut words = call.split("::").peekable();
    let mut is_relative = true;
    match words.peek() {
        Some(&"crate") => base.truncate(1),
        Some(&"self" | &"super") => {}
        _ => is_relative = false,
    }
    while let Some(word) = words.next_if(|word| matches!(*word, "crate" | "self" | "super")) {
        if word == "super" {
            base.pop();
        }
    }
    let rest: Vec<&str> = words.collect();
    let path: Vec<&str> = path.split("::").collect();
    match is_relative {
        true => path == [base, rest].concat(),
        // The beginning is a name that the module imports, or a module of its own. Only one that names the service, too, is
        // taken for the service's.
        false => path.ends_with(&rest) && path.len() - rest.len() < service.split("::").count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_leads_to_the_function_that_its_path_names() {
        for (call, module, is_right) in [
            ("crate::cart::total", "shop::checkout", true),
            ("super::cart::total", "shop::checkout", true),
            ("super::super::cart::total", "shop::checkout::inner", true),
            ("cart::total", "shop::checkout", true),
            ("shop::cart::total", "other", true),
            ("super::cart::total", "shop::checkout::inner", false),
            ("crate::cart::total", "other::checkout", false),
            ("cart::totals", "shop::checkout", false),
            ("other::total", "shop::checkout", false),
        ] {
            let right = leads_to(call, module, "shop::cart::total", "shop::cart");
            assert_eq!(right, is_right, "{call} in {module}");
        }
        // A module of its own that happens to have the name of one within a service.
        for (call, is_right) in [("prices::total", false), ("cart::prices::total", true)] {
            assert_eq!(
                leads_to(call, "shop::checkout", "shop::cart::prices::total", "shop::cart"),
                is_right,
                "{call}"
            );
        }
    }
}

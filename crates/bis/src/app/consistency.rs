//! Whether what an app declares can live in one app, and fits its configuration. `bis check` finds most of it in the source; a
//! plain `cargo run` finds it here, before anything is opened.

use std::collections::HashMap;

use super::{App, Declared, StartError};
use crate::{
    config::Config,
    events::TopicInfo,
    instance::{ServiceEntry, function_path},
};

pub(super) fn check(app: &App, config: &Config) -> Result<(), StartError> {
    services(app)?;
    app.hosted(config)?;
    for name in config.internal.services.keys() {
        if app.services.iter().all(|service| service.name != name.as_str()) {
            return Err(StartError::UnknownCallee { name: name.clone(), known: app.known_services() });
        }
    }
    let mut subscriptions = app.subscriptions();
    // In the order of the source, which the registry does not have.
    subscriptions.sort_by_key(|declared| {
        let topic = declared.subscribed.topic.position;
        (topic.file(), topic.line(), topic.column(), declared.entry.position)
    });
    topics(&subscriptions)?;
    names(&subscriptions)?;
    calls(app, config, &subscriptions)
}

/// Every service that a handler of this process calls is hosted here or has an address. A call that the source of the handler
/// does not show, as in a function that it uses, is an error when it is made.
fn calls(app: &App, config: &Config, subscriptions: &[Declared]) -> Result<(), StartError> {
    let Some(hosted) = &config.app.services else { return Ok(()) };
    let is_hosted = |service: &str| hosted.iter().any(|name| name.as_str() == service);
    let has_address = |service: &str| config.internal.services.keys().any(|name| name.as_str() == service);
    let endpoints = app.endpoints();
    let paths: Vec<_> = endpoints
        .iter()
        .map(|(entry, service)| (function_path(entry.module, entry.function), *service))
        .collect();
    let handlers = subscriptions.iter().map(|declared| {
        let entry = declared.entry;
        (entry.module, entry.function, declared.service.name, entry.calls)
    });
    let functions =
        endpoints.iter().map(|(entry, service)| (entry.module, entry.function, service.name, entry.calls));
    for (module, function, _, calls) in handlers.chain(functions).filter(|caller| is_hosted(caller.2)) {
        for call in calls {
            let called: Vec<_> =
                paths.iter().filter(|(path, callee)| leads_to(call, module, path, callee.module)).collect();
            // Where the path may be of several, it may be of one that is there.
            let is_there = |service: &str| is_hosted(service) || has_address(service);
            if let Some((callee, service)) = called.first()
                && called.iter().all(|(_, service)| !is_there(service.name))
            {
                let (caller, callee) = (function_path(module, function), callee.clone());
                return Err(StartError::UnknownAddress { caller, callee, service: service.name });
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

fn services(app: &App) -> Result<(), StartError> {
    let mut by_name: HashMap<&str, &ServiceEntry> = HashMap::new();
    for service in &app.services {
        // One that is listed twice is the same one.
        if let Some(first) = by_name.insert(service.name, service)
            && first.module != service.module
        {
            let (first, second) = (first.position, service.position);
            return Err(StartError::SameService { name: service.name, first, second });
        }
    }
    Ok(())
}

fn topics(subscriptions: &[Declared]) -> Result<(), StartError> {
    let mut by_name: HashMap<&str, TopicInfo> = HashMap::new();
    for declared in subscriptions {
        let topic = declared.subscribed.topic;
        if let Some(first) = by_name.insert(topic.name, topic)
            && let Some(difference) = difference(&first, &topic)
        {
            let (first, second) = (first.position, topic.position);
            return Err(StartError::SameTopic { name: topic.name, first, second, difference });
        }
    }
    Ok(())
}

/// In what two topics of one name differ, so that they cannot be the same one.
fn difference(first: &TopicInfo, second: &TopicInfo) -> Option<String> {
    if first.type_name != second.type_name {
        return Some(format!("the first carries `{}`, the second `{}`", first.type_name, second.type_name));
    }
    if first.ordered != second.ordered {
        return Some("only one of them is ordered".to_owned());
    }
    (first.retention != second.retention).then(|| "their retention differs".to_owned())
}

fn names(subscriptions: &[Declared]) -> Result<(), StartError> {
    let mut by_name = HashMap::new();
    for declared in subscriptions {
        let (topic, name) = (declared.subscribed.topic.name, declared.entry.name);
        if let Some(first) = by_name.insert((topic, name), declared.entry.position) {
            let second = declared.entry.position;
            return Err(StartError::SameSubscription { topic, name, first, second });
        }
    }
    Ok(())
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

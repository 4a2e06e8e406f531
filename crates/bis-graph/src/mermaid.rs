//! The graph as a Mermaid flowchart: services, topics between them, endpoints that lead in, and the functions that
//! each service runs by itself.

use std::{collections::BTreeSet, fmt::Write};

use bis_core::ResourceKind;

use crate::{Access, Graph, Resource, resource::last_two};

/// The flowchart, as Mermaid's text.
pub fn graph(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut line = |text: String| {
        writeln!(out, "    {text}").expect("writing to a string does not fail");
    };
    for service in &graph.services {
        line(format!("{}[\"{}\"]", id("service", &service.name), service.name));
    }
    for resource in graph.resources() {
        let (id, name) = (resource_id(resource), resource.name());
        line(match resource.kind() {
            ResourceKind::Topic => format!("{id}([\"{name}\"])"),
            ResourceKind::State => format!("{id}[(\"{}\")]", last_two(name)),
        });
    }
    for (index, endpoint) in graph.endpoints.iter().enumerate() {
        let access = match endpoint.access {
            Access::Public => "",
            Access::Auth => " (auth)",
            Access::Private => " (private)",
        };
        line(format!("endpoint_{index}>\"{} {}{access}\"]", endpoint.method, escape(&endpoint.path)));
    }
    for (index, auth) in graph.auth.iter().enumerate() {
        line(format!("auth_{index}{{{{\"{}: {}\"}}}}", last(&auth.function), auth.user));
    }
    for (index, mount) in graph.mounts.iter().enumerate() {
        line(format!("mount_{index}>\"{}/*\"]", escape(mount.path.trim_end_matches('/'))));
    }
    for Function { id, label, .. } in functions(graph) {
        line(format!("{id}[/\"{label}\"/]"));
    }
    for (index, endpoint) in graph.endpoints.iter().enumerate() {
        line(format!("endpoint_{index} --> {}", id("service", &endpoint.service)));
    }
    for (auth, endpoint) in guarded(graph) {
        line(format!("auth_{auth} -. admits .-> endpoint_{endpoint}"));
    }
    for (index, mount) in graph.mounts.iter().enumerate() {
        line(format!("mount_{index} --> {}", id("service", &mount.service)));
    }
    for function in functions(graph) {
        line(format!("{} --- {}", function.id, id("service", function.service)));
    }
    topic_edges(graph).for_each(&mut line);
    for subscription in &graph.subscriptions {
        line(format!(
            "{} -- \"{}\" --> {}",
            id("topic", &subscription.topic),
            subscription.name,
            id("service", &subscription.service)
        ));
    }
    state_edges(graph).for_each(&mut line);
    let calls: BTreeSet<(&str, &str)> =
        graph.calls.iter().map(|call| (call.from.as_str(), call.to.as_str())).collect();
    for (from, to) in calls {
        line(format!("{} -. calls .-> {}", id("service", from), id("service", to)));
    }
    out
}

/// Who publishes to topics, then who listens to them.
fn topic_edges(graph: &Graph) -> impl Iterator<Item = String> {
    let publishers = graph.topics.iter().flat_map(|topic| {
        let to = id("topic", &topic.name);
        topic.publishers.iter().map(move |publisher| format!("{} --> {to}", id("service", publisher)))
    });
    let listeners = graph.topics.iter().flat_map(|topic| {
        let from = id("topic", &topic.name);
        topic
            .listeners
            .iter()
            .map(move |listener| format!("{from} -. listens .-> {}", id("service", listener)))
    });
    publishers.chain(listeners)
}

/// Who uses resources that an app creates.
fn state_edges(graph: &Graph) -> impl Iterator<Item = String> {
    graph.state.iter().flat_map(|state| {
        let to = resource_id(state);
        state.users.iter().map(move |user| format!("{} -. uses .-> {to}", id("service", user)))
    })
}

/// Which function identifies the callers of which endpoint, by index.
fn guarded(graph: &Graph) -> impl Iterator<Item = (usize, usize)> {
    let endpoints = graph.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.asks_who_calls());
    endpoints.flat_map(|(endpoint, _)| (0..graph.auth.len()).map(move |auth| (auth, endpoint)))
}

/// A function that a service runs by itself.
struct Function<'a> {
    id: String,
    label: String,
    service: &'a str,
}

fn functions(graph: &Graph) -> impl Iterator<Item = Function<'_>> {
    let hooks = graph.hooks.iter().enumerate().map(|(index, hook)| Function {
        id: format!("hook_{index}"),
        label: format!("{} {}", hook.role.as_str(), last(&hook.handler)),
        service: &hook.service,
    });
    let background = graph.background.iter().enumerate().map(|(index, background)| Function {
        id: format!("background_{index}"),
        label: format!("background {}", last(&background.handler)),
        service: &background.service,
    });
    hooks.chain(background)
}

/// The last segment of a path.
fn last(path: &str) -> &str {
    path.rsplit_once("::").map_or(path, |(_, last)| last)
}

fn resource_id(resource: &dyn Resource) -> String {
    id(resource.kind().as_str(), resource.name())
}

/// An identifier without hyphens, which Mermaid would read as arrows.
fn id(kind: &str, name: &str) -> String {
    format!("{kind}_{}", name.replace("::", "_").replace(['-', '.'], "_"))
}

/// Mermaid reads braces as shapes, even in some quoted texts.
fn escape(path: &str) -> String {
    path.replace('{', "#123;").replace('}', "#125;").replace('"', "#quot;")
}

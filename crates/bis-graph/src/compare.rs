//! Compares the graph with the built program's description of itself: lists what only one of them has. It reads both and
//! changes nothing.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{Diagnostic, Graph, Position, codes};

/// What only the graph or only the program has; `description` is what the program prints under `BIS_DESCRIBE=1`. What
/// is under a `cfg` that only the build knows may be missing from the program.
pub fn compare(graph: &Graph, description: &Value) -> Vec<Diagnostic> {
    let analysed: Vec<Entry> = entries(graph);
    let built = built(description);
    let names: BTreeSet<&str> = analysed.iter().map(|entry| &*entry.name).collect();
    let mut found = Vec::new();
    for entry in analysed.iter().filter(|entry| !entry.is_conditional && !built.contains(&entry.name)) {
        found.push(
            Diagnostic::warning(
                codes::OTHER_PROGRAM,
                entry.position.clone(),
                format!("the {} is in the graph, but not in the program", entry.name),
            )
            .help("the build leaves it out: look at the `cfg`s and macros around it"),
        );
    }
    for name in built.iter().filter(|name| !names.contains(&***name)) {
        found.push(
            Diagnostic::warning(
                codes::OTHER_PROGRAM,
                None,
                format!("the {name} is in the program, but not in the graph"),
            )
            .help(
                "a macro, a build script or a file that is not read declares it: write it out in the source",
            ),
        );
    }
    found
}

/// Something that both sides can have, by a name that tells it apart.
struct Entry {
    name: String,
    position: Position,
    is_conditional: bool,
}

fn entries(graph: &Graph) -> Vec<Entry> {
    let entry = |name: String, position: &Position, condition: &Option<String>| Entry {
        name,
        position: position.clone(),
        is_conditional: condition.is_some(),
    };
    let services = graph
        .services
        .iter()
        .map(|service| entry(self::service(&service.name), &service.position, &service.condition));
    let resources = graph.state.iter().map(|one| entry(resource(&one.name), &one.position, &one.condition));
    let subscriptions = graph
        .subscriptions
        .iter()
        .map(|one| entry(subscription(&one.topic, &one.name, &one.service), &one.position, &one.condition));
    let endpoints = graph
        .endpoints
        .iter()
        .map(|one| entry(endpoint(&one.method, &one.path, &one.service), &one.position, &one.condition));
    let auth =
        graph.auth.iter().map(|one| entry(auth(&one.function, &one.user), &one.position, &one.condition));
    let mounts =
        graph.mounts.iter().map(|one| entry(mount(&one.path, &one.service), &one.position, &one.condition));
    let hooks = graph
        .hooks
        .iter()
        .map(|one| entry(hook(one.role.as_str(), &one.handler), &one.position, &one.condition));
    let background = graph
        .background
        .iter()
        .map(|one| entry(self::background(&one.handler), &one.position, &one.condition));
    services
        .chain(resources)
        .chain(subscriptions)
        .chain(auth)
        .chain(endpoints)
        .chain(mounts)
        .chain(hooks)
        .chain(background)
        .collect()
}

fn built(description: &Value) -> BTreeSet<String> {
    let list = |key: &str| description[key].as_array().into_iter().flatten();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let services = list("services").map(|one| service(&text(one, "name")));
    let resources = list("resources").map(|one| resource(&text(one, "static")));
    let subscriptions = list("subscriptions")
        .map(|one| subscription(&text(one, "topic"), &text(one, "name"), &text(one, "service")));
    let endpoints = list("endpoints")
        .map(|one| endpoint(&text(one, "method"), &text(one, "path"), &text(one, "service")));
    let auth = list("auth").map(|one| auth(&text(one, "function"), &text(one, "user")));
    let mounts = list("mounts").map(|one| mount(&text(one, "path"), &text(one, "service")));
    let hooks = list("hooks").map(|one| hook(&text(one, "role"), &text(one, "handler")));
    let background = list("background").map(|one| self::background(&text(one, "handler")));
    services
        .chain(resources)
        .chain(subscriptions)
        .chain(auth)
        .chain(endpoints)
        .chain(mounts)
        .chain(hooks)
        .chain(background)
        .collect()
}

fn service(name: &str) -> String {
    format!("service `{name}`")
}

fn resource(path: &str) -> String {
    format!("resource `{path}`")
}

fn subscription(topic: &str, name: &str, service: &str) -> String {
    format!("subscription `{name}` of the topic `{topic}`, in the service `{service}`,")
}

fn auth(function: &str, user: &str) -> String {
    format!("`#[auth]` function `{function}` with the user type `{user}`")
}

fn endpoint(method: &str, path: &str, service: &str) -> String {
    format!("endpoint `{method} {path}` of the service `{service}`")
}

fn mount(path: &str, service: &str) -> String {
    format!("mount `{path}` of the service `{service}`")
}

fn hook(role: &str, handler: &str) -> String {
    format!("`{role}` function `{handler}`")
}

fn background(handler: &str) -> String {
    format!("`background` function `{handler}`")
}

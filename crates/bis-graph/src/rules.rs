//! The rules on a graph. Pure: what cannot be seen in the graph alone is the analyser's to report.

mod auth;
mod broker;

use std::collections::BTreeMap;

pub use broker::check as check_broker;

use serde_json::{Value, json};

use bis_core::route::{RouteConflict, Routes};

use crate::{
    Access, Diagnostic, Endpoint, Graph, Mount, Position, Resource, ResourceKind, Service, Subscription,
    Topic, codes, resource::last_two,
};

/// Applies every rule.
pub fn check(graph: &Graph) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    duplicate_services(graph, &mut found);
    duplicate_resources(graph, &mut found);
    duplicate_subscriptions(graph, &mut found);
    duplicate_endpoints(graph, &mut found);
    conflicting_routes(graph, &mut found);
    silent_topics(graph, &mut found);
    handler_types(graph, &mut found);
    keys(graph, &mut found);
    auth::check(graph, &mut found);
    found
}

/// Items under a key, each with its place, in the order in which they came.
fn duplicates<T>(items: &[T], key: impl Fn(&T) -> String) -> Vec<(String, Vec<&T>)> {
    let mut by_key: BTreeMap<String, Vec<&T>> = BTreeMap::new();
    for item in items {
        by_key.entry(key(item)).or_default().push(item);
    }
    by_key.into_iter().filter(|(_, items)| items.len() > 1).collect()
}

/// What two of can collide.
trait Declared {
    fn position(&self) -> &Position;
    /// The `cfg` around it: of two that may not both be in the build, none is wrong.
    fn condition(&self) -> Option<&str>;
}

macro_rules! declared {
    ($($Type:ty)*) => {
        $(impl Declared for $Type {
            fn position(&self) -> &Position {
                &self.position
            }

            fn condition(&self) -> Option<&str> {
                self.condition.as_deref()
            }
        })*
    };
}

declared!(Service Subscription Endpoint Mount);

impl Declared for &dyn Resource {
    fn position(&self) -> &Position {
        Resource::position(*self)
    }

    fn condition(&self) -> Option<&str> {
        Resource::condition(*self)
    }
}

/// One diagnostic for each item after the first, which it points to.
fn report<T: Declared>(
    found: &mut Vec<Diagnostic>,
    mut items: Vec<&T>,
    diagnostic: impl Fn(&T) -> Diagnostic,
) {
    items.retain(|item| item.condition().is_none());
    if items.is_empty() {
        return;
    }
    items.sort_by_key(|item| item.position().clone());
    let first = items[0];
    for item in &items[1..] {
        found.push(diagnostic(item).and(first.position().clone(), "first declared here"));
    }
}

fn duplicate_services(graph: &Graph, found: &mut Vec<Diagnostic>) {
    for (name, services) in duplicates(&graph.services, |service| service.name.clone()) {
        report(found, services, |service| {
            Diagnostic::error(
                codes::DUPLICATE_SERVICE,
                service.position.clone(),
                format!("the service `{name}` is declared twice"),
            )
            .labelled("declared again here")
            .help("give one of them another name")
        });
    }
}

fn duplicate_resources(graph: &Graph, found: &mut Vec<Diagnostic>) {
    let resources: Vec<&dyn Resource> = graph.resources().collect();
    let key = |resource: &&dyn Resource| format!("{} {}", resource.kind(), resource.name());
    for (_, resources) in duplicates(&resources, key) {
        report(found, resources, |resource| {
            let (kind, name) = (resource.kind(), resource.name());
            Diagnostic::error(
                codes::DUPLICATE_RESOURCE,
                Resource::position(*resource).clone(),
                format!("the {kind} `{name}` is declared twice"),
            )
            .labelled("declared again here")
            .help(format!("use the first static where you need the {kind}, or give this one another name"))
        });
    }
}

fn duplicate_subscriptions(graph: &Graph, found: &mut Vec<Diagnostic>) {
    let key = |subscription: &Subscription| format!("{}/{}", subscription.topic, subscription.name);
    for (_, subscriptions) in duplicates(&graph.subscriptions, key) {
        report(found, subscriptions, |subscription| {
            Diagnostic::error(
                codes::DUPLICATE_SUBSCRIPTION,
                subscription.position.clone(),
                format!(
                    "the topic `{}` has two subscriptions named `{}`",
                    subscription.topic, subscription.name
                ),
            )
            .labelled("the second one")
            .help("give one of them another name, as in `name = \"..\"`; each event would reach only one of the two")
        });
    }
}

/// Public and private endpoints have listeners of their own.
fn duplicate_endpoints(graph: &Graph, found: &mut Vec<Diagnostic>) {
    let same_request = |endpoint: &Endpoint| {
        let is_private = endpoint.access == Access::Private;
        format!("{is_private} {} {}", endpoint.method, without_names(&endpoint.path))
    };
    for (_, endpoints) in duplicates(&graph.endpoints, same_request) {
        report(found, endpoints, |endpoint| {
            Diagnostic::error(
                codes::DUPLICATE_ENDPOINT,
                endpoint.position.clone(),
                format!("two endpoints answer `{} {}`", endpoint.method, endpoint.path),
            )
            .labelled("the second one")
            .help("change the method or the path of one of them; parameters' names do not tell paths apart")
        });
    }
    for (path, mounts) in duplicates(&graph.mounts, |mount| mount.path.clone()) {
        report(found, mounts, |mount| {
            Diagnostic::error(
                codes::DUPLICATE_ENDPOINT,
                mount.position.clone(),
                format!("two routers are mounted at `{path}`"),
            )
            .labelled("the second one")
            .help("mount one of them elsewhere")
        });
    }
}

/// The part of the graph that a path belongs to.
#[derive(Clone, Copy)]
enum Routed<'g> {
    Endpoint(&'g Endpoint),
    Mount(&'g Mount),
}

impl<'g> Routed<'g> {
    fn position(self) -> &'g Position {
        match self {
            Self::Endpoint(endpoint) => &endpoint.position,
            Self::Mount(mount) => &mount.position,
        }
    }

    fn path(self) -> &'g str {
        match self {
            Self::Endpoint(endpoint) => &endpoint.path,
            Self::Mount(mount) => &mount.path,
        }
    }

    /// Whether it is reported as doubled already.
    fn doubles(self, other: Self) -> bool {
        match (self, other) {
            (Self::Endpoint(a), Self::Endpoint(b)) => {
                a.method == b.method && without_names(&a.path) == without_names(&b.path)
            }
            (Self::Mount(a), Self::Mount(b)) => a.path == b.path,
            _ => false,
        }
    }
}

/// Paths that the matcher cannot tell apart, added in the order in which a starting app adds them.
fn conflicting_routes(graph: &Graph, found: &mut Vec<Diagnostic>) {
    for is_private in [false, true] {
        let mut endpoints: Vec<_> = graph
            .endpoints
            .iter()
            .filter(|endpoint| {
                (endpoint.access == Access::Private) == is_private && endpoint.condition.is_none()
            })
            .collect();
        endpoints.sort_by_key(|endpoint| (&endpoint.path, &endpoint.method, &endpoint.position));
        let mut mounts: Vec<_> =
            graph.mounts.iter().filter(|mount| !is_private && mount.condition.is_none()).collect();
        mounts.sort_by_key(|mount| (&mount.path, &mount.position));
        let mut routes = Routes::default();
        for endpoint in endpoints {
            let routed = Routed::Endpoint(endpoint);
            beside(routed, routes.endpoint(&endpoint.method, &endpoint.path, routed), found);
        }
        for mount in mounts {
            let routed = Routed::Mount(mount);
            beside(routed, routes.mount(&mount.path, routed), found);
        }
    }
}

fn beside<'g>(routed: Routed<'g>, added: Result<(), RouteConflict<Routed<'g>>>, found: &mut Vec<Diagnostic>) {
    // What is there twice is reported as such, and a path that is not valid where it is written.
    let Err(RouteConflict::Beside { first, .. }) = added else { return };
    if routed.doubles(first) {
        return;
    }
    let (first, second) = match first.position() <= routed.position() {
        true => (first, routed),
        false => (routed, first),
    };
    let (is_alike, help) = match without_names(first.path()) == without_names(second.path()) {
        true => (true, "give their parameters the same names, as the router cannot tell the paths apart"),
        false => (false, "change one of the paths: a request could be for either"),
    };
    let code = if is_alike { codes::DUPLICATE_ENDPOINT } else { codes::ROUTE_CONFLICT };
    found.push(
        Diagnostic::error(
            code,
            second.position().clone(),
            format!("the path `{}` cannot be served beside `{}`", second.path(), first.path()),
        )
        .and(first.position().clone(), "the other path")
        .help(help),
    );
}

/// A path with every parameter's name blanked, as a router compares paths.
fn without_names(path: &str) -> String {
    path.split('/')
        .map(|segment| match segment.strip_prefix('{') {
            Some(rest) if rest.starts_with('*') => "{*}",
            Some(_) => "{}",
            None => segment,
        })
        .collect::<Vec<_>>()
        .join("/")
}

fn silent_topics(graph: &Graph, found: &mut Vec<Diagnostic>) {
    for topic in &graph.topics {
        if graph.is_unheard(topic) {
            found.push(
                Diagnostic::warning(
                    codes::UNHEARD_TOPIC,
                    topic.position.clone(),
                    format!("nobody subscribes to the topic `{}`", topic.name),
                )
                .help(format!("add a handler under `#[subscription({})]`", last_two(&topic.static_path))),
            );
        }
        // Of two statics with one name, which is an error of its own, either may publish.
        let mut same = graph.topics.iter().filter(|other| other.name == topic.name);
        if same.all(|other| other.publishers.is_empty()) && !is_used_by_auth(graph, topic) {
            found.push(
                Diagnostic::warning(
                    codes::UNPUBLISHED_TOPIC,
                    topic.position.clone(),
                    format!("nobody publishes to the topic `{}`", topic.name),
                )
                .help(format!("publish with `{}.publish(..)`", last_two(&topic.static_path))),
            );
        }
    }
}

/// Whether an `#[auth]` function uses a topic; it may be outside every service.
fn is_used_by_auth(graph: &Graph, topic: &Topic) -> bool {
    let mut uses = graph.auth.iter().flat_map(|auth| &auth.uses);
    uses.any(|one| one.kind == ResourceKind::Topic && one.resource == topic.name)
}

fn handler_types(graph: &Graph, found: &mut Vec<Diagnostic>) {
    for subscription in &graph.subscriptions {
        let Some(topic) = graph.topic(&subscription.topic) else { continue };
        // An empty path says that the type could not be resolved: then rustc is the judge.
        let (wanted, taken) = (&topic.event_path, &subscription.event_path);
        let is_conditional = topic.condition.is_some() || subscription.condition.is_some();
        if wanted == taken || wanted.is_empty() || taken.is_empty() || is_conditional {
            continue;
        }
        let (wanted, taken) = match topic.event == subscription.event {
            true => (wanted, taken),
            false => (&topic.event, &subscription.event),
        };
        found.push(
            Diagnostic::error(
                codes::HANDLER_TYPE,
                subscription.event_position.clone(),
                format!("the topic `{}` carries `{wanted}`, but its handler takes `{taken}`", topic.name),
            )
            .labelled(format!("takes `{taken}`"))
            .and(topic.position.clone(), format!("carries `{wanted}`"))
            .help(format!("take `{wanted}`, or subscribe to a topic that carries `{taken}`")),
        );
    }
}

/// Keys and attributes go to the broker as text, which a list or an object has no form for.
fn keys(graph: &Graph, found: &mut Vec<Diagnostic>) {
    for event in &graph.events {
        let key = event.key.iter().map(|field| (field, "key"));
        for (field, what) in key.chain(event.attributes.iter().map(|field| (field, "attribute"))) {
            let Some(form) = compound(&event.schema, &event.schema["properties"][field], 0) else { continue };
            found.push(
                Diagnostic::error(
                    codes::KEY_NOT_SCALAR,
                    event.position.clone(),
                    format!("`{field}` is the {what} of `{}`, but {form} in JSON", event.name),
                )
                .help("use a field that holds a string, a number or a boolean"),
            );
        }
    }
}

/// How deep references in a schema are followed.
const MAX_REFERENCES: usize = 16;

/// What a schema asks for when that is not a scalar for sure.
fn compound(root: &Value, schema: &Value, depth: usize) -> Option<&'static str> {
    if depth > MAX_REFERENCES {
        return None;
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.strip_prefix('#')?)?;
        return compound(root, target, depth + 1);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(forms) = schema[key].as_array() {
            let mut forms = forms.iter().filter(|form| form["type"] != "null");
            let first = compound(root, forms.next()?, depth + 1)?;
            return forms.all(|form| compound(root, form, depth + 1).is_some()).then_some(first);
        }
    }
    let is = |name: &str| schema["type"] == name || schema["type"] == json!([name, "null"]);
    if is("object") { Some("an object") } else { is("array").then_some("a list") }
}

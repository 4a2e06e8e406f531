//! The model: services, topics, subscriptions, endpoints, mounts, functions that an app calls by itself, and event types. Plain data, sorted by name, versioned.
//!
//! What is in the graph is what the app hosts: a service that `app!` does not list is not here.

mod lifecycle;
mod state;

use std::{collections::BTreeMap, time::Duration};

use bis_core::{BatchPolicy, ResourceKind, RetryPolicy};
use serde::{Deserialize, Serialize};

pub use lifecycle::{Background, FunctionCall, FunctionUse, Hook, HookRole, Restart};
pub use state::State;

use crate::{Parameter, Position, RequestBody, Response};

/// The version of the graph's JSON. Fields are only added within a version.
pub const VERSION: u32 = 1;

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// [`VERSION`] when it was written.
    pub version: u32,
    /// The app's name.
    pub app: String,
    /// The layers around everything that is public, as they are written, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub layers: Vec<String>,
    /// The services that `app!` lists, by name.
    pub services: Vec<Service>,
    /// The topics, by name.
    pub topics: Vec<Topic>,
    /// The resources of the type `Resource<T>`, by name.
    #[serde(rename = "resources", skip_serializing_if = "Vec::is_empty", default)]
    pub state: Vec<State>,
    /// The subscriptions, by topic and name.
    pub subscriptions: Vec<Subscription>,
    /// The `#[auth]` functions, by path: one, where the app asks who calls.
    #[serde(default)]
    pub auth: Vec<AuthFunction>,
    /// The endpoints, by path and method.
    pub endpoints: Vec<Endpoint>,
    /// The mounted routers, by path.
    pub mounts: Vec<Mount>,
    /// The functions at the start and at the stop, by service and position.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// The background functions, by service and position.
    #[serde(default)]
    pub background: Vec<Background>,
    /// The types of events, by path.
    pub events: Vec<EventType>,
    /// The JSON Schemas (draft 2020-12) of the types that endpoints take and answer with, by name. Endpoints and these
    /// schemas refer to one as `#/schemas/NAME`. A type that is not read as it is written has two, of which the one
    /// that is read is called `NAME-Input`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub schemas: BTreeMap<String, serde_json::Value>,
    /// Calls of one service's endpoints by another, by position.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// How services use resources, by resource, service and method.
    #[serde(default)]
    pub uses: Vec<Use>,
}

/// A service: a module or crate that `bis::service!` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The path of its module, such as `shop::orders`.
    pub module: String,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The layers around its endpoints and mounts, as they are written, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub layers: Vec<String>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where `service!` is.
    pub position: Position,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The name of its event type.
    pub event: String,
    /// The path of its event type; empty when the type's own source could not be found.
    pub event_path: String,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// Whether events of one key stay in order.
    pub ordered: bool,
    /// How long handled events are kept for replay, where it differs from the default.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retention: Option<Retention>,
    /// The services that publish, by name.
    pub publishers: Vec<String>,
    /// The services that listen to it live, without a subscription, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub listeners: Vec<String>,
    /// The services that mention it without subscribing, by name: those that publish or listen, and those that only ask it
    /// something.
    pub users: Vec<String>,
    /// The delays of publishes that are constants in the source, by position.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub delays: Vec<PublishDelay>,
    /// The service whose module holds the static; `None` for a shared crate or module.
    pub service: Option<String>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// The path of its static.
    #[serde(rename = "static")]
    pub static_path: String,
    /// Where the static is.
    pub position: Position,
}

/// A topic's retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The oldest event that is kept, in milliseconds.
    pub max_age_ms: u64,
    /// The most that is kept, in bytes.
    pub max_bytes: u64,
}

/// The delay of one publish: `TOPIC.publish(&event).delay(..)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishDelay {
    /// The service that publishes.
    pub service: String,
    /// How long the broker is to keep the event back, in milliseconds.
    pub delay_ms: u64,
    /// Where the duration is.
    pub position: Position,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The topic's name.
    pub topic: String,
    /// Its name.
    pub name: String,
    /// The service that hosts its handler.
    pub service: String,
    /// The path of its handler.
    pub handler: String,
    /// The name of the event type that the handler takes.
    pub event: String,
    /// The path of that type; empty when the type's own source could not be found.
    pub event_path: String,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// How it is retried.
    pub retry: Retry,
    /// How long the handler may run, in milliseconds.
    pub timeout_ms: u64,
    /// How many deliveries a process handles at once.
    pub concurrency: u64,
    /// How batches are made, for a handler that takes them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch: Option<Batch>,
    /// The resources that its function uses itself.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uses: Vec<FunctionUse>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where the handler's name is.
    pub position: Position,
    /// Where the type that the handler takes is.
    pub event_position: Position,
}

/// A subscription's retry policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often an event is attempted in all.
    pub max_attempts: u32,
    /// The wait after the first attempt, in milliseconds.
    pub min_backoff_ms: u64,
    /// The longest wait, in milliseconds.
    pub max_backoff_ms: u64,
}

/// How a subscription makes batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The most events in one.
    pub max: u64,
    /// How long to wait for more, in milliseconds.
    pub wait_ms: u64,
}

impl From<RetryPolicy> for Retry {
    fn from(policy: RetryPolicy) -> Self {
        Self {
            max_attempts: policy.max_attempts,
            min_backoff_ms: millis(policy.min_backoff),
            max_backoff_ms: millis(policy.max_backoff),
        }
    }
}

impl From<BatchPolicy> for Batch {
    fn from(policy: BatchPolicy) -> Self {
        Self { max: policy.max as u64, wait_ms: millis(policy.wait) }
    }
}

impl From<bis_core::Retention> for Retention {
    fn from(retention: bis_core::Retention) -> Self {
        Self { max_age_ms: millis(retention.max_age), max_bytes: retention.max_bytes }
    }
}

/// A duration as the graph has it.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The service that hosts it.
    pub service: String,
    /// The name of its function.
    pub name: String,
    /// Its HTTP method.
    pub method: String,
    /// Its path, with parameters as `{id}`.
    pub path: String,
    /// Who may call it.
    pub access: Access,
    /// Its own layers, as they are written, the outermost first; those of the app and of its service are around them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub layers: Vec<String>,
    /// The largest body that it takes, in bytes, where it states one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body_limit_bytes: Option<u64>,
    /// How long it may take until its answer begins, in milliseconds, where it states so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeout_ms: Option<u64>,
    /// What its parameters ask of the app's user: `Auth<User>`, `Option<Auth<User>>`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub users: Vec<AskedUser>,
    /// The path of its function.
    pub handler: String,
    /// The first paragraph of its comment in the source, in one line of Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub summary: Option<String>,
    /// The rest of its comment, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// Whether it is marked as `#[deprecated]`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub deprecated: bool,
    /// What it takes beside the body: the parameters of the path in their order there, then those of the query and the
    /// headers.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The body that it takes; `None` when it takes none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<RequestBody>,
    /// How it answers where nothing fails, by status. What fails is answered alike by all endpoints.
    #[serde(default)]
    pub responses: Vec<Response>,
    /// The resources that its function uses itself.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uses: Vec<FunctionUse>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where the function's name is.
    pub position: Position,
}

/// A function that identifies the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthFunction {
    /// Its path.
    pub function: String,
    /// The service that it is in; `None` outside every service.
    pub service: Option<String>,
    /// The name of the app's user type, which it returns.
    pub user: String,
    /// The path of that type; empty when the type's own source could not be found.
    pub user_path: String,
    /// The resources that it uses itself.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uses: Vec<FunctionUse>,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where the function's name is.
    pub position: Position,
}

/// What a parameter asks of the app's user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedUser {
    /// The name of the type.
    pub name: String,
    /// Its path; empty when the type's own source could not be found.
    pub path: String,
    /// Whether there may be none.
    #[serde(rename = "optional")]
    pub is_optional: bool,
    /// Where the parameter's type is.
    pub position: Position,
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone whom the app's `#[auth]` function accepts.
    Auth,
    /// The app's own services.
    Private,
}

/// A router that is mounted as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The service that hosts it.
    pub service: String,
    /// Where it is mounted.
    pub path: String,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The path of its function.
    pub handler: String,
    /// The `cfg` around it, when only the build knows whether it holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub condition: Option<String>,
    /// Where the function's name is.
    pub position: Position,
}

/// A service calls another's endpoint as a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The service that calls.
    pub from: String,
    /// The service that is called.
    pub to: String,
    /// The name of the endpoint's function.
    pub endpoint: String,
    /// Where it is called.
    pub position: Position,
}

/// A service uses a resource. Attributes that name one, such as a subscription's, are not uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Use {
    /// The resource's kind.
    pub kind: ResourceKind,
    /// The resource's name.
    pub resource: String,
    /// The service.
    pub service: String,
    /// The method that is called on it; `None` where it is passed on, so that what is done with it cannot be seen.
    pub method: Option<String>,
    /// Where it is first used in this way.
    pub position: Position,
}

/// A type of event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventType {
    /// Its last path segment.
    pub name: String,
    /// Its whole path.
    pub path: String,
    /// What its comment in the source says, as Markdown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The field whose value orders events, as it is in JSON.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// The fields that are also broker attributes.
    pub attributes: Vec<String>,
    /// The fields that are redacted.
    pub sensitive: Vec<String>,
    /// Whether its events carry the identity of the user who caused them.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub identity: bool,
    /// Its JSON Schema (draft 2020-12).
    pub schema: serde_json::Value,
    /// Where its name is.
    pub position: Position,
}

impl Graph {
    /// The graph of an app that declares nothing.
    pub fn empty(app: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            app: app.into(),
            layers: Vec::new(),
            services: Vec::new(),
            topics: Vec::new(),
            state: Vec::new(),
            subscriptions: Vec::new(),
            auth: Vec::new(),
            endpoints: Vec::new(),
            mounts: Vec::new(),
            hooks: Vec::new(),
            background: Vec::new(),
            events: Vec::new(),
            schemas: BTreeMap::new(),
            calls: Vec::new(),
            uses: Vec::new(),
        }
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name == name)
    }

    /// The event type of this path.
    pub fn event(&self, path: &str) -> Option<&EventType> {
        self.events.iter().find(|event| event.path == path)
    }

    /// The subscriptions of a topic.
    pub fn subscriptions_of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Subscription> {
        self.subscriptions.iter().filter(move |subscription| subscription.topic == topic)
    }

    /// Whether nobody subscribes to a topic, or listens to it.
    pub fn is_unheard(&self, topic: &Topic) -> bool {
        topic.listeners.is_empty() && self.subscriptions_of(&topic.name).next().is_none()
    }

    /// Puts everything into the order that the fields' docs promise.
    pub fn sort(&mut self) {
        self.services.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.module.cmp(&b.module)));
        self.topics.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.static_path.cmp(&b.static_path)));
        self.state.sort_by(|a, b| (&a.name, &a.position).cmp(&(&b.name, &b.position)));
        self.subscriptions
            .sort_by(|a, b| (&a.topic, &a.name, &a.handler).cmp(&(&b.topic, &b.name, &b.handler)));
        self.auth.sort_by(|a, b| (&a.function, &a.position).cmp(&(&b.function, &b.position)));
        self.endpoints
            .sort_by(|a, b| (&a.path, &a.method, &a.handler).cmp(&(&b.path, &b.method, &b.handler)));
        self.mounts.sort_by(|a, b| (&a.path, &a.handler).cmp(&(&b.path, &b.handler)));
        self.hooks.sort_by(|a, b| (&a.service, &a.position).cmp(&(&b.service, &b.position)));
        self.background.sort_by(|a, b| (&a.service, &a.position).cmp(&(&b.service, &b.position)));
        self.events.sort_by(|a, b| a.path.cmp(&b.path));
        self.uses.sort();
        self.calls.sort_by(|a, b| (&a.position, &a.from, &a.to).cmp(&(&b.position, &b.from, &b.to)));
    }
}

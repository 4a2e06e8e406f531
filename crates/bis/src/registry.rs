//! What the macros register: services, subscriptions, endpoints and mounts, found again by the app that lists their
//! service. Nothing here is for people to name: expansions reach it through `bis::__private`. It holds plain data and
//! function pointers, decides nothing and runs nothing.

mod handler;
pub mod place;

use std::{future::Future, panic::Location, pin::Pin, sync::Arc, time::Duration};

use axum::routing::MethodRouter;
use bis_core::{Envelope, Retention, RetryPolicy, redaction::Sensitive};

pub use handler::{batch, one, takes, takes_batch, topic};

use crate::{
    Error, NotScalar, Result,
    http::{EndpointContext, RemoteHandler},
};

/// What a handler returns, boxed.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Where something is written: what `file!`, `line!` and `column!` say there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The path as the compiler was given it.
    pub file: &'static str,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A service, as `service!` declares it.
#[derive(Debug)]
pub struct ServiceEntry {
    /// Its name, kebab-case.
    pub name: &'static str,
    /// The path of the module that holds the declaration, its crate first.
    pub module: &'static str,
    /// Where.
    pub position: Position,
}

/// A handler of events, as `#[subscription]` declares it.
pub struct SubscriptionEntry {
    /// The path of the module that holds the handler, its crate first.
    pub module: &'static str,
    /// The handler's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The subscription's name within its topic, kebab-case.
    pub name: &'static str,
    /// How deliveries are retried.
    pub retry: RetryPolicy,
    /// How long the handler may run on one delivery or batch.
    pub timeout: Duration,
    /// How many handlers of this subscription run at once in a process.
    pub concurrency: usize,
    /// The topic and the handler; made once per app.
    pub subscribed: fn() -> Subscribed,
    /// The paths that the handler calls, as it writes them.
    pub calls: &'static [&'static str],
}

/// A handler with its topic, neither with its types.
pub struct Subscribed {
    /// What the topic says of itself.
    pub topic: TopicInfo,
    /// The handler.
    pub handler: ErasedHandler,
}

/// A topic's declaration without its type. `Topic::<T>::info` makes it.
#[derive(Debug, Clone, Copy)]
pub struct TopicInfo {
    /// Its name in the app, kebab-case.
    pub name: &'static str,
    /// The name of the event's type.
    pub event: &'static str,
    /// What of the event no error text may show.
    pub sensitive: fn() -> Sensitive,
    /// Whether events of one key are handled one at a time and in order.
    pub ordered: bool,
    /// How long what was handled is kept.
    pub retention: Retention,
    /// Where the topic is declared.
    pub position: &'static Location<'static>,
    /// The whole path of the event's type, as `std::any::type_name` gives it.
    pub type_name: &'static str,
    /// Whether the types of the event's key and attributes can be scalars.
    pub check_scalars: fn() -> Result<(), NotScalar>,
}

/// One delivery before its data is decoded.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// The broker's count of deliveries, from 1.
    pub attempt: u32,
}

/// A handler that takes undecoded deliveries.
#[derive(Clone)]
pub enum ErasedHandler {
    /// For one delivery. The outer error is that the data did not decode: the handler has not been called.
    One(Arc<dyn Fn(Incoming) -> Result<HandlerFuture> + Send + Sync>),
    /// For a batch.
    Batch {
        /// The most deliveries in one batch.
        max: usize,
        /// How long the first delivery waits for others.
        wait: Duration,
        /// Calls the handler with those deliveries that decode.
        call: Arc<dyn Fn(Vec<Incoming>) -> BatchCall + Send + Sync>,
    },
}

/// A batch that was decoded.
pub struct BatchCall {
    /// The handler on what decoded; `None` when nothing did.
    pub future: Option<HandlerFuture>,
    /// What did not decode: its index in the batch, and why.
    pub undecodable: Vec<(usize, Error)>,
}

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone who reaches the app's public listener.
    Public,
    /// Only this app's own processes.
    Private,
}

impl Access {
    /// The word in the attribute and in the graph.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Public => "public",
            Access::Private => "private",
        }
    }
}

/// An HTTP endpoint, as `#[api]` declares it.
pub struct EndpointEntry {
    /// The path of the module that holds the function, its crate first.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The HTTP method, upper-case.
    pub method: &'static str,
    /// The path in axum's notation, as in `/orders/{id}`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The function behind its extractors.
    pub route: fn(EndpointContext) -> MethodRouter,
    /// The function behind a call from another process of the app.
    pub remote: RemoteHandler,
    /// The paths that the function calls, as it writes them.
    pub calls: &'static [&'static str],
}

/// A router that is served as it is, as `#[mount]` declares it.
pub struct MountEntry {
    /// The path of the module that holds the function, its crate first.
    pub module: &'static str,
    /// The function's name.
    pub function: &'static str,
    /// Where.
    pub position: Position,
    /// The path under which the router is served.
    pub path: &'static str,
    /// Makes the router.
    pub router: fn() -> axum::Router,
}

inventory::collect!(ServiceEntry);
inventory::collect!(SubscriptionEntry);
inventory::collect!(EndpointEntry);
inventory::collect!(MountEntry);

/// The path of a function as people write it and as it travels: a raw identifier such as `r#try` is its plain word.
pub(crate) fn function_path(module: &str, function: &str) -> String {
    format!("{module}::{function}").replace("r#", "")
}

/// The service that an item in `module` belongs to: the one whose module is the longest prefix of it.
pub fn service_of(module: &str) -> Option<&'static ServiceEntry> {
    inventory::iter::<ServiceEntry>
        .into_iter()
        .filter(|service| is_within(module, service.module))
        .max_by_key(|service| service.module.len())
}

/// Whether `module` is `ancestor` or lies under it.
fn is_within(module: &str, ancestor: &str) -> bool {
    module.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

//! The running app that statics belong to: one for each tokio runtime. It ties clock, broker and names together, and
//! decides nothing about deliveries.

mod clock;
pub mod place;
mod scope;
mod service;
mod task;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use bis_broker::{Broker, Outgoing, PublishError};
use bis_core::TopicName;
use tokio::runtime::{Handle, Id};

use crate::{config::Config, events::TopicInfo, http};

pub(crate) use clock::{Activity, Clock, Outstanding, Patience, Purpose, Step, VirtualClock};
pub(crate) use scope::{Scope, Span};
pub use service::{Position, ServiceEntry};
pub(crate) use service::{function_path, service_of};
pub use task::spawn;

/// The code runs outside a running app. `{:?}` shows the same text as `{}`, for those who meet it through `unwrap`.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoApp {
    /// There is no tokio runtime on this thread.
    #[error(
        "a topic was used on a thread without the app's runtime; take `tokio::runtime::Handle::current()` in a handler and `block_on` or `spawn` with it here"
    )]
    NoRuntime,
    /// There is a runtime, and no app was started.
    #[error(
        "a topic was used before its app was started; start the app with `app().main()` in `main`, or write the test with `#[bis::test(app = ..)]` in place of `#[tokio::test]`"
    )]
    NotStarted,
}

impl fmt::Debug for NoApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One running app.
pub(crate) struct Instance {
    /// What was configured.
    pub(crate) config: Config,
    /// The app's time.
    pub(crate) clock: Clock,
    /// What carries its events.
    pub(crate) broker: Arc<dyn Broker>,
    /// The connections for calls of services in other processes.
    pub(crate) calls: http::Client,
    /// The source of events that no service's handler publishes: `/app`.
    source: String,
    /// The whole path of the type that subscriptions take, by topic. Empty in tests, which may play another build of the app.
    taken: OnceLock<HashMap<&'static str, &'static str>>,
}

impl Instance {
    pub(crate) fn new(app: &str, config: Config, clock: Clock, broker: Arc<dyn Broker>) -> Self {
        Self {
            config,
            clock,
            broker,
            calls: http::Client::default(),
            source: format!("/{app}"),
            taken: OnceLock::new(),
        }
    }

    /// Notes which type the subscriptions of each topic take.
    pub(crate) fn note_taken(&self, topics: impl Iterator<Item = TopicInfo>) {
        // They are noted once, before the app starts.
        self.taken.get_or_init(|| topics.map(|topic| (topic.name, topic.type_name)).collect());
    }

    /// The whole path of the type that the subscriptions of a topic take.
    pub(crate) fn taken(&self, topic: &TopicName) -> Option<&'static str> {
        self.taken.get()?.get(topic.as_str()).copied()
    }

    /// Where an event comes from: `/app/service`, or `/app` outside every service.
    pub(crate) fn source_of(&self, service: Option<&str>) -> String {
        match service {
            None => self.source.clone(),
            Some(service) => [&self.source, "/", service].concat(),
        }
    }

    /// Hands events to the broker. Every event of the app goes through here, dead letters too.
    pub(crate) async fn send(
        &self,
        topic: &TopicName,
        events: Vec<Outgoing>,
    ) -> Vec<Result<(), PublishError>> {
        self.broker.publish(topic, events).await
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Every running app of this process.
struct Running {
    by_runtime: Option<HashMap<Id, Arc<Instance>>>,
    default: Option<Arc<Instance>>,
}

static RUNNING: RwLock<Running> = RwLock::new(Running { by_runtime: None, default: None });

/// The app of the runtime that the calling code runs in, or else the one that `App::main` runs.
pub(crate) fn current() -> Result<Arc<Instance>, NoApp> {
    let runtime = Handle::try_current().map_err(|_| NoApp::NoRuntime)?.id();
    let running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    let own = running.by_runtime.as_ref().and_then(|map| map.get(&runtime));
    own.or(running.default.as_ref()).cloned().ok_or(NoApp::NotStarted)
}

/// Keeps an instance findable until it is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    runtime: Id,
    is_default: bool,
}

/// Makes `instance` the app of the current runtime.
///
/// # Panics
/// Outside a runtime.
pub(crate) fn register(instance: Arc<Instance>, reach: Reach) -> Registered {
    let runtime = Handle::current().id();
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    let is_default = reach == Reach::Process;
    if is_default {
        running.default = Some(instance.clone());
    }
    running.by_runtime.get_or_insert_default().insert(runtime, instance);
    Registered { runtime, is_default }
}

/// Whose code finds an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What runs in its runtime.
    Runtime,
    /// What runs in any runtime that has no app of its own.
    Process,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = &mut running.by_runtime {
            map.remove(&self.runtime);
        }
        if self.is_default {
            running.default = None;
        }
    }
}

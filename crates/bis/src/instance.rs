//! The running app that statics belong to: one for each tokio runtime. It ties together the app's services, its clock and
//! what its subsystems keep, and knows none of the subsystems.

mod clock;
mod extensions;

mod part;
pub mod place;
mod scope;
mod service;
mod stopping;
mod subsystem;
mod task;
pub(crate) mod threads;

use std::{
    any::{Any, type_name},
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bis_config::Config;
use bis_core::{ShortText, codes};
use tokio::runtime::{Handle, Id};

pub(crate) use clock::{Activity, Clock, Purpose};
#[cfg(feature = "testing")]
pub(crate) use clock::{Outstanding, Patience, Step, VirtualClock};
pub(crate) use extensions::Extensions;
pub(crate) use part::{Host, Part, Stop};
pub(crate) use scope::{Scope, Span};
pub use service::{Position, ServiceEntry};
pub(crate) use service::{Services, function_path, service_of};
pub(crate) use stopping::Stopping;
pub use stopping::stopping;
pub(crate) use subsystem::{Caller, Declarations, Section, Subsystem};
pub use task::spawn;

/// The code runs outside a running app. `{:?}` shows the same text as `{}`, for those who meet it through `unwrap`.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoApp {
    /// There is no tokio runtime on this thread.
    #[error(
        "a topic was used on a thread without the app's runtime; take `tokio::runtime::Handle::current()` in a handler and `block_on` or `spawn` with it here [{}]",
        codes::NO_RUNTIME
    )]
    NoRuntime,
    /// There is a runtime, and no app was started.
    #[error(
        "a topic was used before its app was started; start the app with `app().main()` in `main`, or write the test with `#[bis::test(app = ..)]` in place of `#[tokio::test]` [{}]",
        codes::NOT_STARTED
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
    /// Whether it stops.
    pub(crate) stopping: Stopping,
    /// What the subsystems keep for it.
    extensions: Extensions,
    /// The source of events that no service's handler publishes: `/app`.
    source: String,
}

impl Instance {
    pub(crate) fn new(app: &str, config: Config, clock: Clock, extensions: Extensions) -> Self {
        Self { config, clock, stopping: Stopping::default(), extensions, source: format!("/{app}") }
    }

    /// What a subsystem keeps for this app.
    ///
    /// # Panics
    /// When the app was started without it.
    pub(crate) fn extension<T: Any>(&self) -> &T {
        let extension = self.extensions.get();
        extension.unwrap_or_else(|| panic!("the app was started without its `{}`", type_name::<T>()))
    }

    /// Where an event comes from: `/app/service`, or `/app` outside every service.
    pub(crate) fn source_of(&self, service: Option<&str>) -> ShortText {
        match service {
            None => ShortText::from(&self.source),
            Some(service) => ShortText::concat([&self.source, "/", service]),
        }
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
    #[cfg(feature = "testing")]
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

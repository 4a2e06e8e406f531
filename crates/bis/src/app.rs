//! An app: the services that `app!` lists, with everything that they registered, and its life as a process. What runs
//! inside is started here and stopped here, in order; nothing here handles an event or a request.

mod consistency;
pub(crate) mod describe;
mod process;
mod ready;
mod start;
mod test_run;

use std::{fmt, process::ExitCode, sync::Arc};

use bis_core::{InvalidName, ServiceName, SubscriptionName, TopicName};

use crate::{
    config::Config,
    events::{Subscribed, SubscriptionEntry, runtime::Subscription},
    http::{EndpointEntry, MountEntry},
    instance::{ServiceEntry, service_of},
};

pub(crate) use start::{Parts, StartError};
pub use test_run::{PATIENCE, TestChaos, TestOutcome, run_chaos_test, run_test};

/// The services that one `app!` lists. Made by the function that `app!` makes.
#[derive(Clone)]
pub struct App {
    name: &'static str,
    services: Vec<&'static ServiceEntry>,
}

impl App {
    /// The app with these services.
    pub(crate) fn new(name: &'static str, services: &[&'static ServiceEntry]) -> Self {
        Self { name, services: services.to_vec() }
    }

    /// The app's name: that of its package.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the app until SIGTERM or SIGINT, and returns the process's exit code: 0 after a stop in order, 1 when the app
    /// could not start or broke, 130 at once after a second signal.
    ///
    /// Reads the configuration that `BIS_CONFIG` names; without one, events go through memory and the HTTP endpoints listen
    /// on `127.0.0.1:4000`. Logs go to stderr, filtered by `BIS_LOG`, else `RUST_LOG`, else `info`. With `BIS_DESCRIBE=1` it
    /// prints what is linked as JSON and starts nothing.
    ///
    /// It makes the tokio runtime itself, so `main` is an ordinary function, without `#[tokio::main]`.
    ///
    /// On a signal no more deliveries and requests are taken; handlers and requests have `app.stop_within` (30 s) to finish;
    /// then everything settled is flushed to the broker.
    #[must_use = "return it from `main`: `fn main() -> std::process::ExitCode { shop::app().main() }`"]
    pub fn main(self) -> ExitCode {
        if std::env::var_os("BIS_DESCRIBE").is_some_and(|value| value == "1") {
            return describe::print(&self);
        }
        process::run(&self)
    }

    pub(crate) fn services(&self) -> &[&'static ServiceEntry] {
        &self.services
    }

    /// The services of this process: those that the configuration names, or all.
    pub(crate) fn hosted(&self, config: &Config) -> Result<Vec<&'static ServiceEntry>, StartError> {
        if self.services.is_empty() {
            return Err(StartError::NoService);
        }
        let Some(names) = &config.app.services else { return Ok(self.services.clone()) };
        let find = |name: &ServiceName| {
            let service = self.services.iter().find(|service| service.name == name.as_str());
            service.copied().ok_or_else(|| StartError::UnknownService {
                name: name.clone(),
                known: self.known_services(),
            })
        };
        names.iter().map(find).collect()
    }

    /// The names of the services, for an error.
    fn known_services(&self) -> String {
        self.services.iter().map(|service| format!("`{}`", service.name)).collect::<Vec<_>>().join(", ")
    }

    /// The service of this app that an item in `module` belongs to.
    pub(crate) fn service_of(&self, module: &str) -> Option<&'static ServiceEntry> {
        let service = service_of(module)?;
        self.services.iter().find(|listed| listed.module == service.module).copied()
    }

    /// Every subscription of the app with its declaration, in a stable order.
    pub(crate) fn subscriptions(&self) -> Vec<Declared> {
        let mut declared: Vec<Declared> = inventory::iter::<SubscriptionEntry>
            .into_iter()
            .filter_map(|entry| {
                let service = self.service_of(entry.module)?;
                Some(Declared { entry, service, subscribed: (entry.subscribed)() })
            })
            .collect();
        declared.sort_by_key(|declared| (declared.subscribed.topic.name, declared.entry.name));
        declared
    }

    /// Every endpoint of the app with its service, in a stable order.
    pub(crate) fn endpoints(&self) -> Vec<(&'static EndpointEntry, &'static ServiceEntry)> {
        let all = inventory::iter::<EndpointEntry>.into_iter();
        let mut own: Vec<_> = all.filter_map(|entry| Some((entry, self.service_of(entry.module)?))).collect();
        own.sort_by_key(|(entry, service)| (service.name, entry.path, entry.method));
        own
    }

    /// Every mount of the app with its service, in a stable order.
    pub(crate) fn mounts(&self) -> Vec<(&'static MountEntry, &'static ServiceEntry)> {
        let all = inventory::iter::<MountEntry>.into_iter();
        let mut own: Vec<_> = all.filter_map(|entry| Some((entry, self.service_of(entry.module)?))).collect();
        own.sort_by_key(|(entry, service)| (service.name, entry.path));
        own
    }
}

/// A subscription as it was declared.
pub(crate) struct Declared {
    pub(crate) entry: &'static SubscriptionEntry,
    pub(crate) service: &'static ServiceEntry,
    pub(crate) subscribed: Subscribed,
}

impl Declared {
    /// What the runtime delivers to.
    pub(crate) fn into_subscription(self) -> Result<Arc<Subscription>, InvalidName> {
        let Self { entry, service, subscribed } = self;
        Ok(Arc::new(Subscription {
            topic: TopicName::parse(subscribed.topic.name)?,
            name: SubscriptionName::parse(entry.name)?,
            service: service.name,
            retry: entry.retry,
            timeout: entry.timeout,
            concurrency: entry.concurrency,
            declared: subscribed.topic,
            handler: subscribed.handler,
        }))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(|service| service.name).collect();
        f.debug_struct("App").field("name", &self.name).field("services", &services).finish()
    }
}

//! The app of a test's runtime: started here, whether the test's attribute or the test itself names
//! it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bis_broker::Broker;
use bis_config::Config;
use tokio::{runtime::Handle, sync::Notify};

use crate::{
    app::{App, parts, running::Running},
    error::{Error, Result},
    events::in_process::InProcess,
    http::Routers,
    instance::{self, Clock, Host, Instance, Reach, Registered, VirtualClock},
    state::Replaced,
    testing::{
        TestApp,
        chaos::{Chaos, ChaosBroker, Faults},
        keeper::{Idle, Keeper},
        recorder::{Recorded, Recorder},
    },
};

tokio::task_local! {
    static HERE: Arc<Bed>;
}

/// Where a test starts its app.
pub(super) struct Bed {
    pub(super) idle: Arc<Idle>,
    patience: Duration,
    chaos: Option<Chaos>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    app: Option<Started>,
    chaos: Option<Arc<ChaosBroker>>,
}

/// An app that a test has started. In the order in which it is dropped.
pub(super) struct Started {
    running: Running,
    registered: Registered,
    host: Host,
}

impl Bed {
    pub(super) fn new(patience: Duration, chaos: Option<Chaos>) -> Arc<Self> {
        Arc::new(Self { idle: Arc::default(), patience, chaos, inside: Mutex::default() })
    }

    /// The test bed of the running test.
    pub(super) fn here() -> Result<Arc<Self>> {
        HERE.try_get().map_err(|_| {
            Error::msg("`TestApp::builder` starts an app in a test under `#[bis::test]`, and in its own task")
        })
    }

    /// Runs a test in it.
    pub(super) async fn run<F: Future>(self: Arc<Self>, test: F) -> F::Output {
        HERE.scope(self, test).await
    }

    /// Starts the app.
    ///
    /// # Errors
    /// When the app cannot start, and when the test has an app.
    pub(super) async fn start(&self, app: &App, replaced: Replaced) -> Result<TestApp> {
        if self.inside().app.is_some() {
            return Err(Error::msg("a test has one app at a time, and this one has an app already"));
        }
        let time = Arc::new(VirtualClock::new(SystemTime::now(), self.patience));
        let clock = Clock::Virtual(time.clone());
        let recorder = Arc::new(Recorder::default());
        let memory = Arc::new(InProcess::with_clock(clock.clone()));
        let recorded = Arc::new(Recorded::new(memory.clone(), recorder.clone()));
        let chaos =
            self.chaos.map(|chaos| Arc::new(ChaosBroker::with_clock(recorded.clone(), chaos, clock.clone())));
        self.inside().chaos.clone_from(&chaos);
        let broker: Arc<dyn Broker> = match &chaos {
            Some(chaos) => chaos.clone(),
            None => recorded,
        };
        let extensions = parts::test_extensions(&app.services, replaced, broker);
        let instance = Arc::new(Instance::new(app.name(), Config::default(), clock, extensions));
        let registered = instance::register(instance.clone(), Reach::Runtime);
        let settled = Arc::new(Notify::new());
        let (idle, broker) = (self.idle.clone(), memory.clone());
        tokio::spawn(Keeper { clock: time.clone(), broker, idle, settled: settled.clone() }.keep());
        let host = Host { instance, handlers: Handle::current() };
        let mut running = Running::default();
        let routers = start(app, &mut running, &host).await?;
        self.inside().app = Some(Started { running, registered, host });
        Ok(TestApp::new(routers, recorder, time, memory, settled, chaos))
    }

    /// Tells the app, if there is one, that it stops.
    pub(super) fn begin_stop(&self) {
        if let Some(started) = &self.inside().app {
            started.host.instance.stopping.begin();
        }
    }

    /// Stops the app, if there is one.
    pub(super) fn stop(&self) {
        let started = self.inside().app.take();
        if let Some(Started { running, registered, host }) = started {
            host.instance.stopping.begin();
            drop(running);
            drop(registered);
        }
    }

    /// What was injected so far.
    pub(super) fn faults(&self) -> Faults {
        self.inside().chaos.as_ref().map(|chaos| chaos.faults()).unwrap_or_default()
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the app's parts. Its endpoints are called without a socket.
async fn start(app: &App, running: &mut Running, host: &Host) -> Result<Routers> {
    parts::check(&app.services, &host.instance.config)?;
    running.start(parts::of_test(&app.services)?, host).await?;
    Routers::check(&app.services)?;
    Ok(Routers::new(&app.services, None, app.layers)?)
}

//! What `#[bis::test]` expands to: builds the runtime, starts the app in it, runs the test.

mod seeds;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bis_broker::Broker;
use bis_config::Config;
use tokio::sync::Notify;

use super::{App, parts, running::Running};
use crate::{
    error::{Error, Result},
    events::in_process::InProcess,
    http::Routers,
    instance::{self, Clock, Host, Instance, Reach, Scope, VirtualClock},
    telemetry,
    testing::{
        TestApp,
        keeper::{Idle, Keeper},
        recorder::{Recorded, Recorder},
    },
};

pub use seeds::{TestChaos, run_chaos_test};

use seeds::ChaosRun;

/// How long, of real time, handlers of a test may wait for something other than the app's time, unless the test says
/// otherwise with `patience = ".."`.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How many turns of the runtime the app's code has to end by itself when its test has.
const TURNS: u32 = 10;

/// What a test may return.
#[diagnostic::on_unimplemented(
    message = "a test returns `()` or `bis::Result<()>`, not `{Self}`",
    label = "not what a test returns",
    note = "write `-> Result<()>`, or leave the result out"
)]
pub trait TestOutcome {
    /// The error, if the test failed.
    fn failure(self) -> Option<Error>;
}

impl TestOutcome for () {
    fn failure(self) -> Option<Error> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<E: Into<Error>> TestOutcome for Result<(), E> {
    fn failure(self) -> Option<Error> {
        self.err().map(Into::into)
    }
}

/// Runs a test of an app that is started for it alone.
///
/// # Panics
/// When the app cannot start or the test returns an error.
pub fn run_test<F>(app: impl FnOnce() -> App, test: impl FnOnce(TestApp) -> F, patience: Duration)
where
    F: Future<Output: TestOutcome>,
{
    run(app, test, patience, None);
}

/// Runs a test of an app that is started for it alone, with chaos before its broker if there is any.
fn run<F>(
    app: impl FnOnce() -> App,
    test: impl FnOnce(TestApp) -> F,
    patience: Duration,
    chaos: Option<&mut ChaosRun<'_>>,
) where
    F: Future<Output: TestOutcome>,
{
    telemetry::init_for_tests(Scope::write_place);
    let idle = Arc::new(Idle::default());
    let parking = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parking.parking())
        .build()
        .expect("the system gives a test a runtime");
    let failure = runtime.block_on(async {
        let app = app();
        let time = Arc::new(VirtualClock::new(SystemTime::now(), patience));
        let clock = Clock::Virtual(time.clone());
        let recorder = Arc::new(Recorder::default());
        let memory = Arc::new(InProcess::with_clock(clock.clone()));
        let recorded = Arc::new(Recorded::new(memory.clone(), recorder.clone()));
        let chaos = chaos.map(|chaos| chaos.before(recorded.clone(), &clock));
        let broker: Arc<dyn Broker> = match &chaos {
            Some(chaos) => chaos.clone(),
            None => recorded,
        };
        let extensions = parts::test_extensions(broker);
        let instance = Arc::new(Instance::new(app.name(), Config::default(), clock, extensions));
        let registered = instance::register(instance.clone(), Reach::Runtime);
        let settled = Arc::new(Notify::new());
        let keeper = Keeper { clock: time.clone(), broker: memory.clone(), idle, settled: settled.clone() };
        tokio::spawn(keeper.keep());
        let host = Host { instance, handlers: tokio::runtime::Handle::current() };
        let mut running = Running::default();
        let outcome = match start(&app, &mut running, &host).await {
            Ok(routers) => {
                test(TestApp::new(routers, recorder, time, memory, settled, chaos)).await.failure()
            }
            Err(error) => Some(error.context("the app did not start")),
        };
        host.instance.stopping.begin();
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        drop(running);
        drop(registered);
        outcome
    });
    drop(runtime);
    if let Some(error) = failure {
        panic!("the test failed: {error:?}");
    }
}

/// Starts the app's parts. Its endpoints are called without a socket.
async fn start(app: &App, running: &mut Running, host: &Host) -> Result<Routers> {
    parts::check(&app.services, &host.instance.config)?;
    running.start(parts::of_test(&app.services)?, host).await?;
    Routers::check(&app.services)?;
    Ok(Routers::new(&app.services, None, app.layers)?)
}

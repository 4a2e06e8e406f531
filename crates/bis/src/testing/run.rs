//! What `#[bis::test]` expands to: builds the runtime, starts the app in it, runs the test.

use std::{future::Future, sync::Arc, time::SystemTime};

use bis_broker::Broker;
use tokio::sync::Notify;

use super::{
    Recorded, Recorder, TestApp,
    chaos::ChaosRun,
    keeper::{self, Idle},
};
use crate::{
    App, Error,
    app::Parts,
    config::Config,
    drivers::in_process::InProcess,
    instance::{self, Instance, Reach},
    logging,
    time::{Clock, VirtualClock},
};

/// What a test may return.
#[diagnostic::on_unimplemented(
    message = "a test returns `()` or `bis::Result<()>`, and not `{Self}`",
    label = "not what a test returns"
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

impl<E: Into<Error>> TestOutcome for Result<(), E> {
    fn failure(self) -> Option<Error> {
        self.err().map(Into::into)
    }
}

/// Runs a test of an app that is started for it alone.
///
/// # Panics
/// When the app cannot start or the test returns an error.
pub fn run_test<F>(app: impl FnOnce() -> App, test: impl FnOnce(TestApp) -> F)
where
    F: Future<Output: TestOutcome>,
{
    run(app, test, None);
}

/// Runs a test of an app that is started for it alone, with chaos before its broker if there is any.
pub(super) fn run<F>(
    app: impl FnOnce() -> App,
    test: impl FnOnce(TestApp) -> F,
    chaos: Option<&mut ChaosRun<'_>>,
) where
    F: Future<Output: TestOutcome>,
{
    logging::init_for_tests();
    let idle = Arc::new(Idle::default());
    let parking = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parking.parking())
        .build()
        .expect("the system gives a test a runtime");
    let failure = runtime.block_on(async {
        let app = app();
        let time = Arc::new(VirtualClock::new(SystemTime::now()));
        let clock = Clock::Virtual(time.clone());
        let recorder = Arc::new(Recorder::default());
        let broker = Arc::new(InProcess::with_clock(clock.clone()));
        let recorded = Arc::new(Recorded::new(broker, recorder.clone()));
        let chaos = chaos.map(|chaos| chaos.before(recorded.clone(), &clock));
        let broker: Arc<dyn Broker> = match &chaos {
            Some(chaos) => chaos.clone(),
            None => recorded,
        };
        let instance = Arc::new(Instance::new(app.name(), Config::default(), clock, broker));
        let registered = instance::register(instance.clone(), Reach::Runtime);
        let settled = Arc::new(Notify::new());
        tokio::spawn(keeper::keep(time.clone(), idle, settled.clone()));
        let outcome = match Parts::start(&app, &instance).await {
            Ok(parts) => {
                let test_app = TestApp::new(parts.routers, recorder, time, settled, chaos);
                let outcome = test(test_app).await.failure();
                drop(parts.workers);
                outcome
            }
            Err(error) => Some(Error::new(error).context("the app did not start")),
        };
        drop(registered);
        outcome
    });
    drop(runtime);
    if let Some(error) = failure {
        panic!("the test failed: {error:?}");
    }
}

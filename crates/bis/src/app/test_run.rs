//! What `#[bis::test]` expands to: builds the runtime, starts the app in it, runs the test.

mod bed;
mod builder;
mod seeds;

use std::{future::Future, sync::Arc, time::Duration};

use super::App;
use crate::{
    error::{Error, Result},
    instance::Scope,
    state::Replaced,
    telemetry,
    testing::TestApp,
};

pub use builder::TestAppBuilder;
pub use seeds::{TestChaos, run_chaos_test, run_chaos_test_with, run_own_chaos_test};

use bed::Bed;

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
    run_test_with(app, |_| (), test, patience);
}

/// As [`run_test`], with values in the places of resources.
///
/// # Panics
/// When the app cannot start or the test returns an error.
pub fn run_test_with<F>(
    app: impl FnOnce() -> App,
    replace: impl FnOnce(&mut Replaced),
    test: impl FnOnce(TestApp) -> F,
    patience: Duration,
) where
    F: Future<Output: TestOutcome>,
{
    run(Bed::new(patience, None), app, replace, test);
}

/// Runs a test that starts its app itself.
///
/// # Panics
/// When the test returns an error.
pub fn run_own_test<F>(test: impl FnOnce() -> F, patience: Duration)
where
    F: Future<Output: TestOutcome>,
{
    let test = async { test().await.failure() };
    run_in(Bed::new(patience, None), test);
}

/// Runs a test of an app that is started for it alone.
fn run<F>(
    bed: Arc<Bed>,
    app: impl FnOnce() -> App,
    replace: impl FnOnce(&mut Replaced),
    test: impl FnOnce(TestApp) -> F,
) where
    F: Future<Output: TestOutcome>,
{
    let within = bed.clone();
    run_in(bed, async move {
        let app = app();
        let mut replaced = Replaced::default();
        replace(&mut replaced);
        match within.start(&app, replaced).await {
            Ok(started) => test(started).await.failure(),
            Err(error) => Some(error.context("the app did not start")),
        }
    });
}

/// Runs a test to its end, and then stops its app.
fn run_in(bed: Arc<Bed>, test: impl Future<Output = Option<Error>>) {
    telemetry::init_for_tests(Scope::write_place);
    let idle = bed.idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || idle.parking())
        .build()
        .expect("the system gives a test a runtime");
    let failure = runtime.block_on(async {
        let _stops = Stops(&bed);
        let failure = bed.clone().run(test).await;
        bed.begin_stop();
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        failure
    });
    drop(runtime);
    if let Some(error) = failure {
        panic!("the test failed: {error:?}");
    }
}

/// Stops the app when the test ends, and when it panics.
struct Stops<'b>(&'b Bed);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

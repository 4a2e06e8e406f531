//! Tests with chaos: the same test with one seed or many, and what a failure says about the seed.

use std::{
    future::Future,
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use bis_broker::Broker;

use super::{TestOutcome, run};
use crate::{
    app::App,
    instance::Clock,
    testing::{
        TestApp,
        chaos::{self, Chaos, ChaosBroker},
    },
};

/// What may stand after `chaos =` in `#[bis::test]`: a seed, a range of seeds, or [`Chaos`].
#[diagnostic::on_unimplemented(
    message = "chaos is a seed, a range of seeds, or `Chaos::seeded(42)`, and not `{Self}`",
    label = "not what chaos is"
)]
pub trait TestChaos {
    /// One after the other.
    fn runs(self) -> impl Iterator<Item = Chaos>;
}

impl TestChaos for u64 {
    fn runs(self) -> impl Iterator<Item = Chaos> {
        std::iter::once(Chaos::seeded(self))
    }
}

impl TestChaos for Range<u64> {
    fn runs(self) -> impl Iterator<Item = Chaos> {
        self.map(Chaos::seeded)
    }
}

impl TestChaos for RangeInclusive<u64> {
    fn runs(self) -> impl Iterator<Item = Chaos> {
        self.map(Chaos::seeded)
    }
}

impl TestChaos for Chaos {
    fn runs(self) -> impl Iterator<Item = Chaos> {
        std::iter::once(self)
    }
}

/// Runs a test once for each seed, each with an app of its own, up to the first failure. With `BIS_CHAOS` it runs once,
/// with that seed.
///
/// # Panics
/// As [`run_test`](super::run_test); what is printed then names the seed. When `BIS_CHAOS` is no seed, and when there is
/// no seed at all.
pub fn run_chaos_test<F>(
    name: &str,
    app: impl Fn() -> App,
    test: impl Fn(TestApp) -> F,
    patience: Duration,
    chaos: impl TestChaos,
) where
    F: Future<Output: TestOutcome>,
{
    let mut runs = chaos.runs().peekable();
    let Some(&first) = runs.peek() else { panic!("`chaos` names no seed: the range is empty") };
    match chaos::from_env() {
        Ok(None) => runs.for_each(|settings| run_one(name, &app, &test, patience, settings)),
        Ok(Some(wanted)) if wanted == Chaos::seeded(wanted.seed()) => {
            run_one(name, &app, &test, patience, first.with_seed(wanted.seed()));
        }
        Ok(Some(wanted)) => run_one(name, &app, &test, patience, wanted),
        Err(error) => panic!("`{}`: {error}", chaos::VARIABLE),
    }
}

fn run_one<F>(
    name: &str,
    app: &impl Fn() -> App,
    test: &impl Fn(TestApp) -> F,
    patience: Duration,
    settings: Chaos,
) where
    F: Future<Output: TestOutcome>,
{
    // The jitter of retries; the test has its thread for itself.
    fastrand::seed(settings.seed());
    let mut chaos = ChaosRun { name, settings, broker: None };
    run(app, test, patience, Some(&mut chaos));
}

/// One run with chaos, which names its seed when it fails.
pub(super) struct ChaosRun<'n> {
    name: &'n str,
    settings: Chaos,
    broker: Option<Arc<ChaosBroker>>,
}

impl ChaosRun<'_> {
    /// Puts chaos before the app's broker.
    pub(super) fn before(&mut self, broker: Arc<dyn Broker>, clock: &Clock) -> Arc<ChaosBroker> {
        let chaos = Arc::new(ChaosBroker::with_clock(broker, self.settings, clock.clone()));
        self.broker = Some(chaos.clone());
        chaos
    }
}

impl Drop for ChaosRun<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Self { name, settings, broker } = self;
        let faults = broker.as_ref().map(|broker| broker.faults()).unwrap_or_default();
        eprintln!("chaos: the test failed with the seed {}, after {faults}", settings.seed());
        eprintln!("chaos: run it alone with `{}={settings} cargo test {name}`", chaos::VARIABLE);
        eprintln!("chaos: each fault is logged at debug: `BIS_LOG=warn,bis::testing=debug`");
    }
}

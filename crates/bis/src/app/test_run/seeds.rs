//! Tests with chaos: the same test with one seed or many, and what a failure says about the seed.

use std::{
    future::Future,
    ops::{Range, RangeInclusive},
    sync::Arc,
    time::Duration,
};

use super::{TestOutcome, bed::Bed, run, run_in};
use crate::{
    app::App,
    state::Replaced,
    testing::{
        TestApp,
        chaos::{self, Chaos},
    },
};

/// What may follow `chaos =` in `#[bis::test]`: a seed, a range of seeds, or [`Chaos`].
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
/// As [`run_test`](super::run_test); what is printed then names the seed. When `BIS_CHAOS` is not a seed, and when there is
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
    run_chaos_test_with(name, app, |_| (), test, patience, chaos);
}

/// As [`run_chaos_test`], with values in the places of resources.
///
/// # Panics
/// As [`run_chaos_test`].
pub fn run_chaos_test_with<F>(
    name: &str,
    app: impl Fn() -> App,
    replace: impl Fn(&mut Replaced),
    test: impl Fn(TestApp) -> F,
    patience: Duration,
    chaos: impl TestChaos,
) where
    F: Future<Output: TestOutcome>,
{
    run_each(name, patience, chaos, |bed| run(bed, &app, &replace, &test));
}

/// As [`run_chaos_test`], for a test that starts its app itself.
///
/// # Panics
/// As [`run_chaos_test`].
pub fn run_own_chaos_test<F>(name: &str, test: impl Fn() -> F, patience: Duration, chaos: impl TestChaos)
where
    F: Future<Output: TestOutcome>,
{
    run_each(name, patience, chaos, |bed| run_in(bed, async { test().await.failure() }));
}

fn run_each(name: &str, patience: Duration, chaos: impl TestChaos, run: impl Fn(Arc<Bed>)) {
    let one = |settings: Chaos| {
        // The jitter of retries; the test has its thread to itself.
        fastrand::seed(settings.seed());
        let bed = Bed::new(patience, Some(settings));
        let _named = ChaosRun { name, settings, bed: bed.clone() };
        run(bed);
    };
    let mut runs = chaos.runs().peekable();
    let Some(&first) = runs.peek() else { panic!("`chaos` names no seed: the range is empty") };
    match chaos::from_env() {
        Ok(None) => runs.for_each(one),
        Ok(Some(wanted)) if wanted == Chaos::seeded(wanted.seed()) => one(first.with_seed(wanted.seed())),
        Ok(Some(wanted)) => one(wanted),
        Err(error) => panic!("`{}`: {error}", chaos::VARIABLE),
    }
}

/// One run with chaos, which names its seed when it fails.
struct ChaosRun<'n> {
    name: &'n str,
    settings: Chaos,
    bed: Arc<Bed>,
}

impl Drop for ChaosRun<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Self { name, settings, bed } = self;
        let faults = bed.faults();
        eprintln!("chaos: the test failed with the seed {}, after {faults}", settings.seed());
        eprintln!("chaos: run it alone with `{}={settings} cargo test {name}`", chaos::VARIABLE);
        eprintln!("chaos: each fault is logged at debug: `BIS_LOG=warn,bis::testing=debug`");
    }
}

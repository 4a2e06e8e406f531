//! Runs one case: a runtime, a broker, a bound on its time.

use std::{future::Future, time::Duration};

use bis_broker::BoxFuture;

use crate::{Case, Context, Missing, Peer, skipped::note_skip};

/// No case takes longer; a broker that hangs fails its case.
const LIMIT: Duration = Duration::from_secs(90);

/// What starts a broker, or says what is missing for it.
pub type Start = fn() -> BoxFuture<'static, Result<Box<dyn Peer>, Missing>>;

/// A kind of broker that the suite runs on.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in the names of tests.
    pub name: &'static str,
    /// Starts one.
    pub start: Start,
}

/// Runs `case` against a broker of this kind. A missing broker skips the case with a line that says so, or fails it
/// when `BIS_REQUIRE_PEERS=1`.
///
/// # Panics
/// When the case fails or takes too long.
pub fn run(kind: Kind, case: &Case) {
    bounded(case.name, async {
        let peer = match (kind.start)().await {
            Ok(peer) => peer,
            Err(missing) => return skip_missing(kind.name, case.name, &missing),
        };
        let context = Context::new(peer, kind.name, case.name);
        (case.run)(&context).await;
        context.close().await;
    });
}

/// Runs a future on a runtime of its own, for a bounded time.
///
/// # Panics
/// When the future does, or takes too long.
pub fn bounded(name: &str, work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the machine has threads for a test");
    let finished = runtime.block_on(async { tokio::time::timeout(LIMIT, work).await });
    runtime.shutdown_timeout(Duration::from_secs(1));
    assert!(finished.is_ok(), "case `{name}` did not finish within {LIMIT:?}");
}

/// Says that a case did not run, because its broker is not on this machine.
///
/// # Panics
/// When `BIS_REQUIRE_PEERS=1`: then a broker that is missing is a failure.
pub fn skip_missing(broker: &str, case: &str, Missing(what): &Missing) {
    let required = std::env::var_os("BIS_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{what} not found, and `BIS_REQUIRE_PEERS=1` asks for it");
    note_skip(broker, case, format!("{what} not found"));
}

//! Runs one case: a runtime, a broker, a bound on its time.

use std::{future::Future, pin::Pin, time::Duration};

use crate::{Context, Missing, Peer};

/// No case takes longer; a broker that hangs fails its case.
const LIMIT: Duration = Duration::from_secs(90);

/// A future of a case, borrowing its context.
type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs `case` against the broker that `start` starts. A missing broker skips the case with a line that says so, or
/// fails it when `BIS_REQUIRE_PEERS=1`.
///
/// # Panics
/// When the case fails or takes too long.
pub fn run<Start>(
    name: &str,
    start: impl FnOnce() -> Pin<Box<Start>>,
    case: impl for<'a> FnOnce(&'a Context) -> CaseFuture<'a>,
) where
    Start: Future<Output = Result<Box<dyn Peer>, Missing>> + ?Sized,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("the machine has threads for a test");
    let limited = async {
        let context = match start().await {
            Ok(peer) => Context::new(peer),
            Err(missing) => return skip_missing(name, &missing),
        };
        case(&context).await;
        context.close().await;
    };
    let finished = runtime.block_on(async { tokio::time::timeout(LIMIT, limited).await });
    runtime.shutdown_timeout(Duration::from_secs(1));
    assert!(finished.is_ok(), "case `{name}` did not finish within {LIMIT:?}");
}

/// Says that a case did not run, because its broker is not on this machine.
///
/// # Panics
/// When `BIS_REQUIRE_PEERS=1`: then a broker that is missing is a failure.
pub fn skip_missing(name: &str, Missing(what): &Missing) {
    let required = std::env::var_os("BIS_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{what} not found, and `BIS_REQUIRE_PEERS=1` asks for it");
    println!("skipped: {what} not found; case `{name}` did not run");
}

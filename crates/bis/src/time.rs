//! The app's time: the system's, or in tests a virtual one that jumps to the next deadline when nothing is left to do.
//! An app's own waits should use this module; sockets and other processes keep to real time.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use crate::instance::{self, Clock, Purpose, Scope};

/// The time of the app that the code runs in; outside an app, the system's.
pub fn now() -> SystemTime {
    clock().now()
}

/// Waits on the app's time. Needs a tokio runtime.
pub async fn sleep(duration: Duration) {
    let clock = clock();
    let purpose = Scope::with(|scope| match scope {
        Some(scope) if scope.is_background => Purpose::Background,
        scope => Purpose::Wait(scope.and_then(|scope| scope.activity)),
    });
    clock.sleep(duration, purpose).await;
}

/// Runs a future for at most `limit` of the app's time.
///
/// # Errors
/// [`Elapsed`] when the time is over; the future is dropped then.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let clock = clock();
    tokio::select! {
        biased;
        output = future => Ok(output),
        () = clock.sleep(limit, Purpose::Guard) => Err(Elapsed(())),
    }
}

/// The time that [`timeout`] allowed is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed(());

fn clock() -> Clock {
    instance::current().map_or(Clock::System, |instance| instance.clock.clone())
}

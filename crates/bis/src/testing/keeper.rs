//! Moves a test's time: whenever the test's runtime has nothing left to run and somebody waits for time. It uses the
//! runtime's own word for having nothing to do, so no task escapes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::time::{Patience, Step, VirtualClock};

/// How long, of real time, a handler may wait for something other than time before time moves on regardless. So a handler
/// that talks to a real server does not run into its timeout at once, and one that hangs does in the end.
const GRACE: Duration = Duration::from_secs(1);

/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(1);

/// Tells when a runtime of one thread has nothing to run.
#[derive(Debug, Default)]
pub(super) struct Idle {
    armed: AtomicBool,
    reached: Notify,
}

impl Idle {
    /// To be called when the runtime's thread is about to park.
    pub(super) fn parking(&self) {
        if self.armed.swap(false, Ordering::AcqRel) {
            self.reached.notify_one();
        }
    }

    async fn wait(&self) {
        self.armed.store(true, Ordering::Release);
        self.reached.notified().await;
    }
}

/// Keeps a test's time, for ever. Rings `settled` whenever nothing is left to do for a test that settles.
pub(super) async fn keep(clock: Arc<VirtualClock>, idle: Arc<Idle>, settled: Arc<Notify>) {
    let mut seen = clock.progress();
    let mut since = Instant::now();
    loop {
        clock.wanted().await;
        // The thread also parks for a moment before the test's own future runs; the second time it has run.
        idle.wait().await;
        idle.wait().await;
        let progress = clock.progress();
        if progress != seen {
            (seen, since) = (progress, Instant::now());
        }
        let patience = if since.elapsed() < GRACE { Patience::Left } else { Patience::Over };
        match clock.step(patience) {
            Step::Jumped | Step::Unwanted => {}
            Step::Quiet => settled.notify_waiters(),
            Step::Stalled => tokio::time::sleep(PAUSE).await,
        }
    }
}

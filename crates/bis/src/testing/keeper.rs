//! Moves a test's time: whenever the test's runtime has nothing left to run and somebody waits for time. Whether anything is
//! left to do is counted and never guessed: by the clock, which knows what runs, and by the broker, which knows each event.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    events::in_process::InProcess,
    instance::{Patience, Step, VirtualClock},
};

/// How often something that hangs is checked, in real time.
const PAUSE: Duration = Duration::from_millis(1);

/// A pause that took longer counts as this long: the thread was busy, and nothing could have made a step.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Tells when a runtime of one thread has nothing to run.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    armed: AtomicBool,
    reached: Notify,
}

impl Idle {
    /// To be called when the runtime's thread is about to park.
    pub(crate) fn parking(&self) {
        if self.armed.swap(false, Ordering::AcqRel) {
            self.reached.notify_one();
        }
    }

    async fn wait(&self) {
        self.armed.store(true, Ordering::Release);
        self.reached.notified().await;
    }
}

/// What keeps a test's time.
pub(crate) struct Keeper {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) broker: Arc<InProcess>,
    pub(crate) idle: Arc<Idle>,
    /// Rung when nothing is left to do for a test that settles.
    pub(crate) settled: Arc<Notify>,
}

impl Keeper {
    /// Keeps the time, forever.
    pub(crate) async fn keep(self) {
        let mut seen = self.clock.progress();
        // Added up from pauses, so that a blocked thread or a busy machine does not use it up.
        let mut waited = Duration::ZERO;
        loop {
            self.clock.wanted().await;
            // The thread also parks for a moment before the test's own future runs; the second time it has run.
            self.idle.wait().await;
            self.idle.wait().await;
            let progress = self.clock.progress();
            if progress != seen {
                (seen, waited) = (progress, Duration::ZERO);
            }
            let patience = if waited < self.clock.patience() { Patience::Left } else { Patience::Over };
            match self.clock.step(&self.broker.outstanding(), patience) {
                Step::Jumped | Step::Unwanted => {}
                Step::Quiet => self.settled.notify_waiters(),
                Step::Stalled => {
                    let since = Instant::now();
                    tokio::time::sleep(PAUSE).await;
                    waited += since.elapsed().min(LONGEST_PAUSE);
                }
            }
        }
    }
}

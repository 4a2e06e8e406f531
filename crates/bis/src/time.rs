//! The app's time: the system's, or in tests a virtual one that jumps to the next deadline when nothing is left to do.
//! Whatever an app waits for by itself, it should wait for here; sockets and other processes keep to real time.

mod virtual_clock;

use std::{
    future::Future,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

pub(crate) use virtual_clock::{Activity, Patience, Step, VirtualClock};

use crate::{instance, scope::Scope};

/// The time of the app that the code runs in; outside an app, the system's.
pub fn now() -> SystemTime {
    clock().now()
}

/// Waits on the app's time. Needs a tokio runtime.
pub async fn sleep(duration: Duration) {
    let clock = clock();
    let owner = Scope::with(|scope| scope.and_then(|scope| scope.activity));
    clock.sleep(duration, Purpose::Wait(owner)).await;
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

/// What a wait is for, which decides whether virtual time moves for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A program's own wait, with the run that it belongs to. Time moves for it.
    Wait(Option<u64>),
    /// An event that is due later, or a batch that may grow. Time moves for it when a test settles.
    Event,
    /// A limit on something else: a timeout, a lease. Time does not move for it unless everything hangs.
    Guard,
}

/// Where an app's time comes from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The system.
    System,
    /// A test.
    Virtual(std::sync::Arc<VirtualClock>),
}

impl Clock {
    /// The date, which may jump.
    pub(crate) fn now(&self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            Self::Virtual(clock) => clock.now(),
        }
    }

    /// What has passed since some moment before. Unlike the date, it never jumps; it stands still while the machine is
    /// suspended.
    pub(crate) fn elapsed(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        match self {
            Self::System => BEGIN.elapsed(),
            Self::Virtual(clock) => clock.elapsed(),
        }
    }

    /// Completes after `duration`. Nothing is registered before the first poll.
    pub(crate) async fn sleep(&self, duration: Duration, purpose: Purpose) {
        match self {
            Self::System => tokio::time::sleep(duration).await,
            Self::Virtual(clock) => VirtualClock::sleep(clock, duration, purpose).await,
        }
    }

    /// The patience of a test with what hangs, if the present is a time that came only because it was over.
    pub(crate) fn ended_patience(&self) -> Option<Duration> {
        match self {
            Self::System => None,
            Self::Virtual(clock) => clock.was_forced().then(|| clock.patience()),
        }
    }

    /// Says that something runs which time must wait for, until the guard is dropped. `None` on the system's time, which
    /// waits for nobody.
    pub(crate) fn begin(&self, what: impl FnOnce() -> String) -> Option<Activity> {
        match self {
            Self::System => None,
            Self::Virtual(clock) => Some(VirtualClock::begin(clock, what())),
        }
    }
}

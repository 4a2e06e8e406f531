//! Where an app's time comes from: the system, or in a test a clock that jumps to the next deadline.

#[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only the time of tests is virtual"))]
mod virtual_clock;

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

pub(crate) use virtual_clock::{Activity, Settling, VirtualClock};
#[cfg(feature = "testing")]
pub(crate) use virtual_clock::{Outstanding, Patience, Step};

/// What a wait is for, which decides whether virtual time moves for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A program's own wait, with the run that it belongs to. Time moves for it.
    Wait(Option<u64>),
    /// An event that is due later, or a batch that may grow. Time moves for it when a test settles.
    Event,
    /// What a background function waits for. Time does not move for it; it comes when time passes for others.
    Background,
    /// A limit on something else: a timeout, a lease. Time does not move for it unless everything hangs.
    Guard,
}

/// Where an app's time comes from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    /// The system.
    System,
    /// A test.
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only the time of tests is virtual"))]
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

    /// Lets time move for whatever waits until the guard is dropped. `None` on the system's time, which moves by itself.
    pub(crate) fn drive(&self) -> Option<Settling> {
        match self {
            Self::System => None,
            Self::Virtual(clock) => Some(VirtualClock::settle(clock)),
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

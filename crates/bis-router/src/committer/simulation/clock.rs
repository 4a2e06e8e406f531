//! A clock that goes where it is told to, backwards too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bis_broker::channel::Time;

use crate::clock::Clock;

/// The time it is first, in nanoseconds since 1970.
const START: u64 = 1_700_000_000_000_000_000;

#[derive(Debug)]
pub(super) struct SimulatedClock(AtomicU64);

impl SimulatedClock {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(START))
    }

    pub(super) fn forwards(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    pub(super) fn backwards(&self, time: Duration) {
        self.0.fetch_sub(u64::try_from(time.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::Relaxed))
    }
}

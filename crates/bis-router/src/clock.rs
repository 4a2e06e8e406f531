//! The router's clock, behind a trait so that a simulated run decides what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use bis_broker::channel::Time;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Nanoseconds since 1970.
    fn now(&self) -> Time;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

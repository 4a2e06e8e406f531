//! A point in time as the channel sees it: a number that the caller passes in.
//!
//! Nothing here reads a clock, so that tests and replays decide what time it is.

use std::time::Duration;

/// Nanoseconds since the Unix epoch, or since anything else that the caller keeps to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// The earliest time; as a due time it means "at once".
    pub const ZERO: Time = Time(0);

    /// This time plus a duration; stops at the largest time instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Time {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }

    /// How long it is from `earlier` to this time; zero when it is not later.
    #[must_use]
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

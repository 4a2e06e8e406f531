//! The journal's clock, behind a trait so that a simulated run decides what time it is.
//!
//! It uses three clocks of the machine:
//! - What a message is stamped with, and how old the journal is, is the date: the wall clock, which can be set.
//! - What runs out or comes due (leases, retries, delays) keeps to a time that begins with the date of the start and then
//!   only goes on, whatever happens to the date. A machine that is suspended goes on too: a delay of an hour is over after an
//!   hour. Due times in the journal are of this time; a start reads them by the date that it begins with.
//! - A lease covers a consumer's work, and nothing works on a suspended machine: leases are prolonged by as much.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bis_broker::channel::Time;
use rustix::time::{ClockId, clock_gettime};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// What leases, retries and delays keep to: the date of the start and what has passed since. Never goes back.
    fn now(&self) -> Time;

    /// The date, in nanoseconds since 1970. May jump in both directions.
    fn date(&self) -> Time;

    /// For how long the machine was suspended since the start.
    fn suspended(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Time,
    /// What the clocks showed then.
    passed: Duration,
    awake: Duration,
}

impl SystemClock {
    /// A clock that begins with the current date.
    #[must_use]
    pub fn start() -> Self {
        Self { start: date(), passed: passed(), awake: awake() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        self.start.plus(passed().saturating_sub(self.passed))
    }

    fn date(&self) -> Time {
        date()
    }

    fn suspended(&self) -> Duration {
        let (awake, passed) = (awake().saturating_sub(self.awake), passed().saturating_sub(self.passed));
        passed.saturating_sub(awake)
    }
}

pub(crate) fn date() -> Time {
    Time::ZERO.plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// What has passed since the machine's start, suspended or not.
fn passed() -> Duration {
    // Elsewhere the monotonic clock goes on while the machine is suspended, or there is none that does.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const PASSED: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const PASSED: ClockId = ClockId::Monotonic;
    read(PASSED)
}

/// What has passed while the machine was not suspended.
fn awake() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_date_and_goes_on() {
        let clock = SystemClock::start();
        let (first, date) = (clock.now(), clock.date());
        let apart = first.since(date).max(date.since(first));
        assert!(apart < Duration::from_secs(60), "{apart:?}");
        assert!(clock.now() >= first);
        assert!(clock.suspended() < Duration::from_secs(1));
    }
}

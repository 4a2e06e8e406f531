//! What may be declared about a topic, a subscription or a background function, with the defaults that hold on every broker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most deliveries of one subscription that a process may be told to handle at once.
pub const MAX_CONCURRENCY: usize = 65_535;

/// The most events that a batch may be told to hold.
pub const MAX_BATCH: usize = 10_000;

/// How the deliveries of a subscription are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionPolicy {
    /// How deliveries are retried.
    pub retry: RetryPolicy,
    /// How long a handler may run on one delivery.
    pub timeout: Duration,
    /// How many deliveries a process handles at once.
    pub concurrency: usize,
    /// How batches are made, for a handler that takes them.
    pub batch: BatchPolicy,
}

impl SubscriptionPolicy {
    /// The default of each part; 30 s, 100 deliveries at once.
    pub const DEFAULT: SubscriptionPolicy = SubscriptionPolicy {
        retry: RetryPolicy::DEFAULT,
        timeout: Duration::from_secs(30),
        concurrency: 100,
        batch: BatchPolicy::DEFAULT,
    };
}

impl Default for SubscriptionPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How a subscription makes batches of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPolicy {
    /// The most events in one.
    pub max: usize,
    /// How long to wait for more.
    pub wait: Duration,
}

impl BatchPolicy {
    /// 100 events, 100 ms.
    pub const DEFAULT: BatchPolicy = BatchPolicy { max: 100, wait: Duration::from_millis(100) };
}

impl Default for BatchPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The fewest and the most crashes of a process that an event is blamed for before it becomes a dead letter. A first one may be
/// a coincidence; and no process is to be killed as often as a handler may fail.
const CRASHES: (u32, u32) = (2, 10);

/// How the deliveries of a subscription are retried after an ordinary error.
///
/// The wait starts at `min_backoff` and doubles with each attempt up to `max_backoff`; a random quarter is added, so that
/// events which failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How often an event is attempted in all, the first time included, before it becomes a dead letter.
    pub max_attempts: u32,
    /// The wait after the first attempt.
    pub min_backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
}

impl RetryPolicy {
    /// 100 attempts, from 10 s doubling to 10 min.
    pub const DEFAULT: RetryPolicy = RetryPolicy {
        max_attempts: 100,
        min_backoff: Duration::from_secs(10),
        max_backoff: Duration::from_secs(600),
    };

    /// Whether an event that failed on its `attempt`th attempt (counted from 1) is no longer retried.
    pub fn is_exhausted(&self, attempt: u32) -> bool {
        attempt >= self.max_attempts
    }

    /// Whether an event that is blamed for this many crashes of its process is no longer retried: the limit is the number of
    /// attempts, but between 2 and 10.
    pub fn is_deadly(&self, crashes: u32) -> bool {
        let (least, most) = CRASHES;
        crashes >= self.max_attempts.clamp(least, most)
    }

    /// How long to wait after the `attempt`th attempt (counted from 1) failed. `jitter` is a random number in `0.0..1.0`.
    pub fn backoff(&self, attempt: u32, jitter: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let wait = self.min_backoff.saturating_mul(1 << doublings);
        let room_for_jitter = self.max_backoff.mul_f64(0.8).max(self.min_backoff);
        wait.min(room_for_jitter).mul_f64(1.0 + jitter / 4.0).min(self.max_backoff.max(self.min_backoff))
    }
}

impl RetryPolicy {
    /// How long to wait when a failure itself says when to retry: that long, and up to a quarter longer, within the bounds of the
    /// policy. `jitter` is a random number in `0.0..1.0`.
    pub fn wait_of(&self, asked: Duration, jitter: f64) -> Duration {
        // Nothing overflows below the longest wait.
        let asked = asked.clamp(self.min_backoff, self.max_backoff.max(self.min_backoff));
        asked.mul_f64(1.0 + jitter / 4.0).min(self.max_backoff.max(self.min_backoff))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// When a background function runs again after it has ended.
///
/// The wait starts at `min_backoff` and doubles with each end up to `max_backoff`; a random quarter is added. It starts
/// again from the first after a run of at least [`STEADY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// The wait after the first end.
    pub min_backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
}

/// A background function that ran for this long counts as healthy: its waits start again from the first.
pub const STEADY: Duration = Duration::from_secs(60);

impl RestartPolicy {
    /// From 1 s doubling to 1 min.
    pub const DEFAULT: RestartPolicy =
        RestartPolicy { min_backoff: Duration::from_secs(1), max_backoff: Duration::from_secs(60) };

    /// How long to wait after the `end`th end (counted from 1). `jitter` is a random number in `0.0..1.0`.
    pub fn backoff(&self, end: u32, jitter: f64) -> Duration {
        let Self { min_backoff, max_backoff } = *self;
        RetryPolicy { max_attempts: u32::MAX, min_backoff, max_backoff }.backoff(end, jitter)
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long a topic keeps what every subscription has handled, for replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The oldest that is kept.
    pub max_age: Duration,
    /// The most that is kept, in bytes.
    pub max_bytes: u64,
}

impl Retention {
    /// 7 days or 10 GB.
    pub const DEFAULT: Retention =
        Retention { max_age: Duration::from_secs(7 * 24 * 60 * 60), max_bytes: 10_000_000_000 };
}

impl Default for Retention {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_within_its_bounds() {
        let policy = RetryPolicy::DEFAULT;
        let waits: Vec<u64> = [1, 2, 3, 6, 7, 50].map(|n| policy.backoff(n, 0.0).as_secs()).to_vec();
        assert_eq!(waits, [10, 20, 40, 320, 480, 480]);
        for attempt in 1..200 {
            for jitter in [0.0, 0.5, 0.999] {
                let wait = policy.backoff(attempt, jitter);
                assert!(
                    (policy.min_backoff..=policy.max_backoff).contains(&wait),
                    "{attempt} {jitter} {wait:?}"
                );
            }
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_stays_within_the_bounds() {
        let policy = RetryPolicy::DEFAULT;
        let wait = |seconds, jitter| policy.wait_of(Duration::from_secs(seconds), jitter).as_secs();
        assert_eq!([wait(1, 0.0), wait(60, 0.0), wait(60, 1.0), wait(590, 1.0)], [10, 60, 75, 600]);
        assert_eq!(policy.wait_of(Duration::MAX, 0.5), policy.max_backoff);
    }

    #[test]
    fn crashes_have_bounds_of_their_own() {
        let deadly = |max_attempts| {
            let policy = RetryPolicy { max_attempts, ..RetryPolicy::DEFAULT };
            (1..100).find(|crashes| policy.is_deadly(*crashes)).unwrap()
        };
        assert_eq!([1, 2, 5, 100].map(deadly), [2, 2, 5, 10]);
    }

    #[test]
    fn the_last_attempt_is_the_maximum() {
        let policy = RetryPolicy { max_attempts: 5, ..RetryPolicy::DEFAULT };
        assert!(!policy.is_exhausted(4));
        assert!(policy.is_exhausted(5));
    }
}

//! When a background function runs again, and which of its ends are worth a line in the log. It runs nothing and reads no clock.

use std::time::Duration;

use bis_core::policy::{RestartPolicy, STEADY};

/// This many ends in a row each have a line of their own.
const LINES: u32 = 10;

/// After that there is a line for each such time, which counts the ends since the one before.
const PAUSE: Duration = Duration::from_secs(60);

/// The ends of a function.
#[derive(Debug)]
pub(super) struct Restarts {
    policy: RestartPolicy,
    /// Those in a row.
    ends: u32,
    /// When there was a line in the log.
    told: Option<Duration>,
    /// Since then.
    untold: u64,
}

/// What an end means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Restart {
    /// How long to wait.
    pub(super) wait: Duration,
    /// How many ends a line in the log is of; `None` when there is no need for one.
    pub(super) tell: Option<u64>,
}

impl Restarts {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self { policy, ends: 0, told: None, untold: 0 }
    }

    /// It ended at `now`, after a run of this length. `jitter` is a random number in `0.0..1.0`.
    pub(super) fn ended(&mut self, now: Duration, ran: Duration, jitter: f64) -> Restart {
        if ran >= STEADY {
            self.ends = 0;
        }
        self.ends = self.ends.saturating_add(1);
        self.untold += 1;
        let is_due = self.told.is_none_or(|told| now.saturating_sub(told) >= PAUSE);
        let tell = (self.ends <= LINES || is_due).then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.untold)
        });
        Restart { wait: self.policy.backoff(self.ends, jitter), tell }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Duration = Duration::ZERO;

    fn waits(restarts: &mut Restarts, runs: &[u64]) -> Vec<u64> {
        let ended = |ran: &u64| restarts.ended(NOTHING, Duration::from_secs(*ran), 0.0).wait.as_secs();
        runs.iter().map(ended).collect()
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_starts_anew_after_a_minute() {
        let mut restarts = Restarts::new(RestartPolicy::DEFAULT);
        assert_eq!(waits(&mut restarts, &[0, 0, 59, 0, 0, 0, 0, 0]), [1, 2, 4, 8, 16, 32, 48, 48]);
        assert_eq!(waits(&mut restarts, &[60, 0]), [1, 2]);
        let full = Restarts::new(RestartPolicy::DEFAULT).ended(NOTHING, NOTHING, 1.0).wait;
        assert_eq!(full, Duration::from_millis(1250));
    }

    #[test]
    fn one_that_ends_at_once_for_ever_has_a_line_a_minute() {
        let wait = Duration::from_millis(1);
        let mut restarts = Restarts::new(RestartPolicy { min_backoff: wait, max_backoff: wait });
        let (mut lines, mut counted) = (0, 0);
        for end in 0..1_000_000 {
            if let Some(count) = restarts.ended(wait * end, NOTHING, 0.0).tell {
                lines += 1;
                counted += count;
            }
        }
        // 1,000 s.
        assert_eq!(lines, 10 + 16);
        assert!(counted > 900_000, "{counted}");
    }
}

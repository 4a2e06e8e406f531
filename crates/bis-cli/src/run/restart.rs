//! When an app that died is restarted: soon at first, then later each time.

use std::time::Duration;

/// The first wait; each one after it is twice as long, ..
const FIRST: Duration = Duration::from_secs(1);
/// .. up to this.
const LONGEST: Duration = Duration::from_secs(30);
/// A process that lived this long was healthy: the next wait is the first one again.
const WELL: Duration = Duration::from_secs(60);

/// The waits between a death and the restart.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// How long to wait after a process died that had lived for this long.
    pub(crate) fn after_death(&mut self, lived: Duration) -> Duration {
        if lived >= WELL {
            self.deaths = 0;
        }
        let wait = FIRST.saturating_mul(2_u32.saturating_pow(self.deaths)).min(LONGEST);
        self.deaths = self.deaths.saturating_add(1);
        wait
    }

    /// Starts over for a new program.
    pub(crate) fn reset(&mut self) {
        self.deaths = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..7).map(|_| backoff.after_death(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.after_death(WELL), FIRST);
        assert_eq!(backoff.after_death(Duration::ZERO), FIRST * 2);
        backoff.reset();
        assert_eq!(backoff.after_death(Duration::ZERO), FIRST);
    }
}

//! The waits between attempts to connect: doubling, with jitter, up to a bound.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Counts failures in a row and says how long to wait after each.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: between half and all of the doubled time.
    pub(super) fn next(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        longest.mul_f64(0.5 + 0.5 * random_fraction())
    }

    /// Whether the failure just counted should be logged: the first one, then less and less often.
    pub(super) fn is_worth_a_line(&self) -> bool {
        self.failures.is_power_of_two()
    }

    /// A connection was made.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// About `time`: between three quarters and five quarters of it.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.75 + 0.5 * random_fraction())
}

/// A number in `0.0..1.0`, from the standard library's randomly keyed hasher.
fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let mut backoff = Backoff::default();
        let mut most = FIRST;
        for _ in 0..40 {
            let wait = backoff.next();
            assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
            most = (most * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}

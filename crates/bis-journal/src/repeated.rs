//! A line of the log that something may cause again and again: it is written once, and then from time to time with how often
//! it was due. It writes nothing itself.

use std::time::{Duration, Instant};

/// The least time between two lines.
const PAUSE: Duration = Duration::from_secs(30);

/// One kind of line.
#[derive(Debug, Default)]
pub struct Repeated {
    last: Option<Instant>,
    left_out: u64,
}

impl Repeated {
    /// It happened. Returns, when a line is to be written, how often it happened since the last line.
    pub fn is_due(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.left_out))
    }

    /// It no longer happens. Returns whether it did since the last end.
    pub fn end(&mut self) -> bool {
        self.left_out = 0;
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_and_again_is_one_line_and_a_count() {
        let mut repeated = Repeated::default();
        assert_eq!(repeated.is_due(), Some(0));
        assert!((0..1000).all(|_| repeated.is_due().is_none()));
        repeated.last = Instant::now().checked_sub(PAUSE);
        assert_eq!(repeated.is_due(), Some(1000));
        assert!(repeated.end() && !repeated.end());
        assert_eq!(repeated.is_due(), Some(0));
    }
}

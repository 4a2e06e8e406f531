//! How often each fault was injected.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// The faults that were injected so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// Acks that were lost, so that the event came again.
    pub duplicates: u64,
    /// Deliveries and published events that were late.
    pub delays: u64,
    /// Arrivals whose deliveries were handed out in another order.
    pub reorderings: u64,
    /// Published events that failed.
    pub publish_errors: u64,
    /// Restarts of the broker.
    pub restarts: u64,
}

impl Faults {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.duplicates + self.delays + self.reorderings + self.publish_errors + self.restarts
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.duplicates, "ack lost", "acks lost"),
            (self.delays, "event late", "events late"),
            (self.reorderings, "arrival reordered", "arrivals reordered"),
            (self.publish_errors, "publish failed", "publishes failed"),
            (self.restarts, "restart of the broker", "restarts of the broker"),
        ];
        let mut any = false;
        for (count, one, many) in named.into_iter().filter(|(count, ..)| *count > 0) {
            write!(f, "{}{count} {}", if any { ", " } else { "" }, if count == 1 { one } else { many })?;
            any = true;
        }
        if any { Ok(()) } else { f.write_str("no fault") }
    }
}

/// Counts faults as they happen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) duplicates: AtomicU64,
    pub(super) delays: AtomicU64,
    pub(super) reorderings: AtomicU64,
    pub(super) publish_errors: AtomicU64,
    pub(super) restarts: AtomicU64,
}

impl Tally {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn faults(&self) -> Faults {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Faults {
            duplicates: read(&self.duplicates),
            delays: read(&self.delays),
            reorderings: read(&self.reorderings),
            publish_errors: read(&self.publish_errors),
            restarts: read(&self.restarts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_named() {
        assert_eq!(Faults::default().to_string(), "no fault");
        let faults = Faults { duplicates: 1, restarts: 2, ..Faults::default() };
        assert_eq!(faults.to_string(), "1 ack lost, 2 restarts of the broker");
    }
}

//! What the committer has done since the start, for statistics. It only counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets for a sync's time, in microseconds.
pub const SYNC_BUCKETS: [u64; 13] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000];

/// Counters of the journal.
#[derive(Debug, Default)]
pub(crate) struct JournalMetrics {
    commits: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    /// How many syncs took no longer than each bound and longer than the one before.
    buckets: [AtomicU64; SYNC_BUCKETS.len()],
}

/// One look at the counters.
#[derive(Debug, Clone, Copy)]
pub struct JournalCounts {
    /// Batches that are in the journal.
    pub commits: u64,
    /// Batches that are not, because writing them failed.
    pub failures: u64,
    /// Bytes in these batches.
    pub bytes: u64,
    /// Syncs.
    pub syncs: u64,
    /// How long all syncs took together, in seconds.
    pub sync_seconds: f64,
    /// How many syncs took no longer than each bound of [`SYNC_BUCKETS`].
    pub within: [u64; SYNC_BUCKETS.len()],
}

impl JournalMetrics {
    /// A batch of this many bytes is in the journal.
    pub(crate) fn committed(&self, bytes: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A batch is not in the journal.
    pub(crate) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// A sync took this long.
    pub(crate) fn synced(&self, time: Duration) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let bucket = SYNC_BUCKETS.iter().position(|bound| time <= Duration::from_micros(*bound));
        if let Some(bucket) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters now.
    pub(crate) fn read(&self) -> JournalCounts {
        let mut within = [0; SYNC_BUCKETS.len()];
        let mut sum = 0;
        for (within, bucket) in within.iter_mut().zip(&self.buckets) {
            sum += bucket.load(Ordering::Relaxed);
            *within = sum;
        }
        JournalCounts {
            commits: self.commits.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            // A sync may end between two of these lines; a bucket never has more than all of them.
            syncs: self.syncs.load(Ordering::Relaxed).max(sum),
            sync_seconds: Duration::from_nanos(self.sync_nanos.load(Ordering::Relaxed)).as_secs_f64(),
            within,
        }
    }
}

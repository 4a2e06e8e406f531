//! What an app counts and times, and how a room keeps it: numbers that many threads add to without a lock, found by what they
//! belong to. It knows nothing of what is measured.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bis_core::prometheus::{Distribution, Labels};

/// The upper bounds of a [`Timing`]'s buckets, in seconds: from a publish in memory to an event that waited for an hour.
const BOUNDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    3600.0,
];

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    /// How many fell into each bucket and not into an earlier one; the last has no bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Timing {
    /// It took this long.
    pub(crate) fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What was added.
    pub(crate) fn distribution(&self) -> Distribution {
        let mut count = 0;
        let mut within = Vec::with_capacity(BOUNDS.len());
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            within.extend(BOUNDS.get(index).map(|bound| (*bound, count)));
        }
        let sum = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        Distribution { within, count, sum }
    }

    fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Ordering::Relaxed) == 0)
    }
}

/// Timings by how it ended: one for each outcome, whose word is its label.
#[derive(Debug)]
pub(crate) struct Outcomes<const N: usize> {
    words: [&'static str; N],
    timings: [Timing; N],
}

impl<const N: usize> Outcomes<N> {
    /// Empty, for these outcomes.
    pub(crate) fn new(words: [&'static str; N]) -> Self {
        Self { words, timings: std::array::from_fn(|_| Timing::default()) }
    }

    /// It ended in this way, and took this long.
    ///
    /// # Panics
    /// When it is not one of the outcomes.
    pub(crate) fn add(&self, word: &str, took: Duration) {
        let index = self.words.iter().position(|known| *known == word);
        self.timings[index.expect("every outcome has a timing")].add(took);
    }

    /// Those that there were, with the label `outcome` after `labels`.
    pub(crate) fn distributions(&self, labels: &Labels) -> Vec<(Labels, Distribution)> {
        let used = self.words.iter().zip(&self.timings).filter(|(_, timing)| !timing.is_empty());
        let labelled = |(word, timing): (&&'static str, &Timing)| {
            let mut labels = labels.clone();
            labels.push(("outcome", (*word).to_owned()));
            (labels, timing.distribution())
        };
        used.map(labelled).collect()
    }
}

/// The same numbers of many things.
#[derive(Debug)]
pub(crate) struct Family<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Family<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Hash + Eq + Ord + Clone, V> Family<K, V> {
    /// The numbers of this one, which `make` makes at the first time.
    pub(crate) fn of<Q>(&self, key: &Q, make: impl FnOnce() -> V) -> Arc<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return known.clone();
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(key.to_owned()).or_insert_with(|| Arc::new(make())).clone()
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> Vec<(K, Arc<V>)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = all.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_every_bucket_that_holds_it() {
        let timing = Timing::default();
        for millis in [1, 7, 4_000_000] {
            timing.add(Duration::from_millis(millis));
        }
        let Distribution { within, count, sum } = timing.distribution();
        assert_eq!((count, sum), (3, 4000.008));
        let at_most = |bound: f64| within.iter().find(|(known, _)| *known == bound).map(|(_, count)| *count);
        assert_eq!([0.0005, 0.001, 0.005, 0.01, 3600.0].map(at_most), [0, 1, 1, 2, 2].map(Some));
    }

    #[test]
    fn each_key_has_its_own_numbers() {
        let family = Family::<String, Count>::default();
        family.of("b", Count::default).add_one();
        family.of("b", Count::default).add_one();
        family.of("a", Count::default);
        let counts: Vec<_> = family.all().into_iter().map(|(key, count)| (key, count.get())).collect();
        assert_eq!(counts, [("a".to_owned(), 0), ("b".to_owned(), 2)]);
    }
}

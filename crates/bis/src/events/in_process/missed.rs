//! Events that reached no subscription: counted by topic, logged when that begins, and once more with their number at the end. It
//! keeps no event.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bis_core::TopicName;

/// The counts of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Published while nobody subscribed.
    pub(crate) unrouted: u64,
    /// Published again under an id that is known.
    pub(crate) duplicates: u64,
}

/// By topic; as many as an app has.
#[derive(Default)]
pub(super) struct Missed(Mutex<BTreeMap<TopicName, Counts>>);

impl Missed {
    pub(super) fn add(&self, topic: &TopicName, more: Counts) {
        let before = self.count(topic, more);
        if before.unrouted == 0 && more.unrouted > 0 {
            tracing::info!(%topic, "nobody subscribes to the topic: its events reach nobody");
        }
        if before.duplicates == 0 && more.duplicates > 0 {
            tracing::info!(%topic, "an event is published again under its id, and delivered once");
        }
    }

    #[cfg(test)]
    pub(super) fn of(&self, topic: &TopicName) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied().unwrap_or_default()
    }

    /// Logs the numbers.
    pub(super) fn tell(&self) {
        for (topic, Counts { unrouted, duplicates }) in
            &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
        {
            tracing::info!(%topic, unrouted, duplicates, "events reached no subscription");
        }
    }

    /// What it was before.
    fn count(&self, topic: &TopicName, more: Counts) -> Counts {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = topics.entry(topic.clone()).or_default();
        let before = *counts;
        counts.unrouted += more.unrouted;
        counts.duplicates += more.duplicates;
        before
    }
}

//! What was published while a test ran. It sees what the broker took, and nothing else.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bis_core::{Envelope, TopicName};
use tokio::sync::Notify;

/// Every event that was published, in order.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<(TopicName, Arc<Envelope>)>>,
    /// How many events may still come before [`Recorder::overflow`] rings; 0 is without a bound.
    allowed: AtomicU64,
    overflow: Notify,
}

impl Recorder {
    pub(crate) fn record(&self, topic: &TopicName, envelope: Arc<Envelope>) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((topic.clone(), envelope));
        let left = self.allowed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if left == Ok(1) {
            self.overflow.notify_one();
        }
    }

    /// Allows so many more events.
    pub(super) fn allow(&self, events: u64) {
        self.allowed.store(events, Ordering::Release);
    }

    /// Waits until more events came than were allowed.
    pub(super) async fn overflow(&self) {
        self.overflow.notified().await;
    }

    /// The events of a topic, in order.
    pub(super) fn of(&self, topic: &TopicName) -> Vec<Arc<Envelope>> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter(|(name, _)| name == topic).map(|(_, envelope)| envelope.clone()).collect()
    }

    /// The topics and publishers of the latest events, each once.
    pub(super) fn latest(&self, count: usize) -> Vec<String> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let mut latest: Vec<String> = events
            .iter()
            .rev()
            .take(count)
            .map(|(topic, envelope)| format!("`{topic}` by `{}`", envelope.source))
            .collect();
        latest.sort_unstable();
        latest.dedup();
        latest
    }
}

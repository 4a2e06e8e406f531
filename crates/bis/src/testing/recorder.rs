//! What was published while a test ran. It sees what the broker took, and nothing else.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bis_broker::{
    BoxFuture, Broker, ConsumeError, Consumer, EnsureError, InquiryError, Outgoing, Page, PublishError,
    Receipt, ReplayFrom, Replayed, SubscriptionSpec, TopicSpec, Topology,
};
use bis_core::{Capabilities, Envelope, TopicName};
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
    fn record(&self, topic: &TopicName, envelope: Arc<Envelope>) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push((topic.clone(), envelope));
        let left = self.allowed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        if left == Ok(1) {
            self.overflow.notify_one();
        }
    }

    /// Allows this many more events.
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

/// A broker whose publishes are recorded.
pub(crate) struct Recorded {
    inner: Arc<dyn Broker>,
    recorder: Arc<Recorder>,
}

impl Recorded {
    pub(crate) fn new(inner: Arc<dyn Broker>, recorder: Arc<Recorder>) -> Self {
        Self { inner, recorder }
    }
}

impl Broker for Recorded {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>> {
        self.inner.ensure(topology)
    }

    fn publish<'a>(
        &'a self,
        topic: &'a TopicSpec,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<Receipt, PublishError>>> {
        Box::pin(async move {
            let envelopes: Vec<_> = events.iter().map(|event| event.envelope.clone()).collect();
            let results = self.inner.publish(topic, events).await;
            for (envelope, result) in envelopes.into_iter().zip(&results) {
                if result.as_ref().is_ok_and(|receipt| !receipt.duplicate) {
                    self.recorder.record(&topic.name, envelope);
                }
            }
            results
        })
    }

    fn subscribe<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        self.inner.subscribe(subscription)
    }

    fn listen<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        self.inner.listen(topic)
    }

    fn peek<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
        after: Option<u64>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'a, Result<Page, InquiryError>> {
        self.inner.peek(subscription, after, limit)
    }

    fn replay<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
        from: ReplayFrom,
    ) -> BoxFuture<'a, Result<Replayed, InquiryError>> {
        self.inner.replay(subscription, from)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

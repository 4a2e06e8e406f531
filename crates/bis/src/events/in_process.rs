//! The in-process broker: the channel state machine over memory. It keeps every promise of the contract but durability,
//! and reads no clock other than the app's.

mod consumer;
mod listener;
mod log;
mod missed;
mod peek;
mod replay;
mod settle;
mod subscription;
#[cfg(test)]
mod tests;
mod topic;

use std::{
    collections::HashMap,
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bis_broker::{
    BoxFuture, Broker, ConsumeError, Consumer, EnsureError, InquiryError, Outgoing, Page, PublishError,
    Receipt, ReplayFrom, Replayed, SubscriptionSpec, TopicSpec, Topology,
    channel::{ConsumerId, Time},
};
use bis_core::{BrokerKind, Capabilities, TopicName};

use consumer::InProcessConsumer;
use listener::Listener;
use missed::{Counts, Missed};
use topic::Topic;

use crate::instance::Clock;
#[cfg(feature = "testing")]
use crate::instance::Outstanding;

/// The most events that a topic keeps for its subscriptions. A publish beyond is refused.
pub const MAX_BACKLOG: usize = 1_000_000;

const CAPABILITIES: Capabilities = Capabilities::of(BrokerKind::InProcess);

/// A broker in the memory of this process.
pub struct InProcess {
    shared: Arc<Shared>,
}

struct Shared {
    capabilities: Capabilities,
    clock: Clock,
    topics: RwLock<HashMap<TopicName, Arc<Mutex<Topic>>>>,
    next_consumer: AtomicU64,
    closed: AtomicBool,
    missed: Missed,
}

impl InProcess {
    /// An empty broker on the system's time.
    pub fn new() -> Self {
        Self::with_clock(Clock::System)
    }

    pub(crate) fn with_clock(clock: Clock) -> Self {
        let shared = Shared {
            capabilities: CAPABILITIES,
            clock,
            topics: RwLock::default(),
            next_consumer: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            missed: Missed::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// What the consumers of all subscriptions have yet to do. Subscriptions without a consumer do not count.
    #[cfg(feature = "testing")]
    pub(crate) fn outstanding(&self) -> Outstanding {
        let mut outstanding = Outstanding::default();
        let topics = self.shared.topics.read().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in &*topics {
            let topic = lock(topic);
            for subscription in topic.subscriptions.iter().filter(|subscription| subscription.is_consumed()) {
                if subscription.unfinished() > 0 {
                    outstanding.unfinished.push(format!("{name}/{}", subscription.name()));
                }
                outstanding.arriving |= subscription.is_arriving();
            }
        }
        outstanding
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl Shared {
    /// What retries and delays keep to, whatever happens to the date.
    fn now(&self) -> Time {
        Time::ZERO.plus(self.clock.elapsed())
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn topic(&self, name: &TopicName) -> Option<Arc<Mutex<Topic>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn topic_or_new(&self, name: &TopicName) -> Arc<Mutex<Topic>> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.entry(name.clone()).or_default().clone()
    }

    fn publish(&self, topic: &TopicSpec, events: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        if self.is_closed() {
            return events.iter().map(|_| Err(PublishError::Closed)).collect();
        }
        let store = |topic: &mut Topic, now| {
            events.into_iter().map(|event| self.store(topic, event, now)).collect::<Vec<_>>()
        };
        self.store_with(topic, store, |results| {
            let receipts = || results.iter().flatten();
            (receipts().count(), receipts().filter(|receipt| receipt.duplicate).count())
        })
    }

    fn publish_one(&self, topic: &TopicSpec, event: Outgoing) -> Result<Receipt, PublishError> {
        if self.is_closed() {
            return Err(PublishError::Closed);
        }
        let store = |topic: &mut Topic, now| self.store(topic, event, now);
        self.store_with(topic, store, |result| {
            let is_duplicate = result.as_ref().is_ok_and(|receipt| receipt.duplicate);
            (usize::from(result.is_ok()), usize::from(is_duplicate))
        })
    }

    /// Stores something in the topic, shows it to the subscriptions, and notes what reaches none of them. `count` says how many
    /// events were taken, and how many of those were known.
    fn store_with<R>(
        &self,
        topic: &TopicSpec,
        store: impl FnOnce(&mut Topic, Time) -> R,
        count: impl FnOnce(&R) -> (usize, usize),
    ) -> R {
        let name = &topic.name;
        let topic = self.topic(name).unwrap_or_else(|| self.topic_or_new(name));
        let now = self.now();
        let mut topic = lock(&topic);
        let stored = store(&mut topic, now);
        let is_unrouted = topic.subscriptions.is_empty();
        topic.hand_over(now);
        drop(topic);
        let (taken, duplicates) = count(&stored);
        let unrouted = if is_unrouted { taken - duplicates } else { 0 };
        if duplicates + unrouted > 0 {
            self.missed.add(name, Counts { unrouted: unrouted as u64, duplicates: duplicates as u64 });
        }
        stored
    }

    fn store(&self, topic: &mut Topic, event: Outgoing, now: Time) -> Result<Receipt, PublishError> {
        topic.store(event, self.clock.now(), now)
    }
}

fn lock(topic: &Mutex<Topic>) -> MutexGuard<'_, Topic> {
    topic.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker for InProcess {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>> {
        Box::pin(async move {
            if self.shared.is_closed() {
                return Err(EnsureError::Closed);
            }
            for spec in &topology.topics {
                lock(&self.shared.topic_or_new(&spec.name)).log.retention = spec.retention;
            }
            for spec in &topology.subscriptions {
                lock(&self.shared.topic_or_new(&spec.topic)).ensure(spec);
            }
            Ok(())
        })
    }

    fn publish<'a>(
        &'a self,
        topic: &'a TopicSpec,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<Receipt, PublishError>>> {
        Box::pin(std::future::ready(self.shared.publish(topic, events)))
    }

    fn publish_at_once(
        &self,
        topic: &TopicSpec,
        event: Outgoing,
    ) -> Result<Result<Receipt, PublishError>, Outgoing> {
        Ok(self.shared.publish_one(topic, event))
    }

    fn subscribe<'a>(
        &'a self,
        spec: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async move {
            if self.shared.is_closed() {
                return Err(ConsumeError::Closed);
            }
            let topic = self.shared.topic_or_new(&spec.topic);
            let id = ConsumerId(self.shared.next_consumer.fetch_add(1, Ordering::Relaxed));
            let consumer = InProcessConsumer::new(self.shared.clone(), topic, spec, id);
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn listen<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async move {
            if self.shared.is_closed() {
                return Err(ConsumeError::Closed);
            }
            let mailbox = lock(&self.shared.topic_or_new(topic)).listeners.add();
            Ok(Box::new(Listener::new(self.shared.clone(), mailbox)) as Box<dyn Consumer>)
        })
    }

    fn peek<'a>(
        &'a self,
        spec: &'a SubscriptionSpec,
        after: Option<u64>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'a, Result<Page, InquiryError>> {
        Box::pin(std::future::ready(self.shared.peek(spec, after, limit)))
    }

    fn replay<'a>(
        &'a self,
        spec: &'a SubscriptionSpec,
        from: ReplayFrom,
    ) -> BoxFuture<'a, Result<Replayed, InquiryError>> {
        Box::pin(std::future::ready(self.shared.replay(spec, from)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        if !self.shared.closed.swap(true, Ordering::AcqRel) {
            self.shared.missed.tell();
        }
        let topics = self.shared.topics.read().unwrap_or_else(PoisonError::into_inner);
        for (name, topic) in &*topics {
            let topic = lock(topic);
            topic.listeners.wake_all();
            for subscription in &topic.subscriptions {
                subscription.wake_all();
                let forgotten = subscription.unfinished();
                if forgotten > 0 {
                    tracing::warn!(topic = %name, subscription = %subscription.name(), forgotten, "events are forgotten with the process; a router keeps them");
                }
            }
        }
        Box::pin(std::future::ready(()))
    }
}

//! The in-process broker: the channel state machine over memory. It keeps every promise of the contract but durability,
//! and reads no clock other than the app's.

mod log;
mod missed;
mod peek;
mod replay;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bis_broker::{
    BoxFuture, Broker, ConsumeError, Consumer, Delivery, EnsureError, EventWindow, Extender, History,
    InquiryError, LeaseToken, Outgoing, Page, PublishError, Receipt, ReplayFrom, Replayed, Settle,
    SettleError, SubscriptionSpec, TopicSpec, Topology,
    channel::{Channel, ConsumerId, Facts, Limits, Parting, Source, Suspects, Taker, Time, Vanishing},
};
use bis_core::{BrokerKind, Capabilities, Deduplication, SubscriptionName, TopicName};
use tokio::sync::Notify;

#[cfg(feature = "testing")]
use crate::instance::Outstanding;
use crate::instance::{Clock, Purpose};
use log::{Log, Stored};
use missed::{Counts, Missed};

/// The most events that a topic keeps for its subscriptions. A publish beyond is refused.
pub const MAX_BACKLOG: usize = 1_000_000;

const CAPABILITIES: Capabilities = Capabilities::of(BrokerKind::InProcess);
const NEVER: Time = Time(u64::MAX);

/// A broker in the memory of this process.
pub struct InProcess {
    shared: Arc<Shared>,
}

struct Shared {
    capabilities: Capabilities,
    clock: Clock,
    topics: RwLock<HashMap<TopicName, Arc<Topic>>>,
    next_consumer: AtomicU64,
    closed: AtomicBool,
    hasher: RandomState,
    missed: Missed,
}

/// One topic with its subscriptions.
struct Topic {
    state: Mutex<TopicState>,
}

struct TopicState {
    log: Log,
    channels: Vec<Subscribed>,
    /// The latest events with their places: one that is published again under its id is not stored a second time.
    known: EventWindow<u64>,
}

impl Default for TopicState {
    fn default() -> Self {
        let latest = match CAPABILITIES.deduplication {
            Deduplication::Latest(latest) => latest,
            Deduplication::None | Deduplication::Within(_) => 0,
        };
        let known = EventWindow::new(latest);
        Self { log: Log::default(), channels: Vec::new(), known }
    }
}

/// One subscription.
struct Subscribed {
    name: SubscriptionName,
    ordered: bool,
    channel: Channel,
    /// Wakes a consumer that waits, see [`Subscribed::ring`].
    arrived: Arc<Notify>,
    /// There may be something to receive, and no consumer has looked since.
    rung: bool,
    consumers: usize,
    /// How many of the consumers wait for something to receive.
    waiting: usize,
}

impl Subscribed {
    /// Says that there may be something to receive.
    fn ring(&mut self) {
        self.rung = true;
        self.arrived.notify_one();
    }
}

/// The log as one subscription sees it: without keys when nobody asked for order.
struct View<'a> {
    log: &'a Log,
    ordered: bool,
}

impl Source for View<'_> {
    type Error = Infallible;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Infallible> {
        let facts = |stored: &Stored| Facts { due: stored.due, key: stored.key.filter(|_| self.ordered) };
        Ok(self.log.get(sequence).map(facts))
    }
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
            hasher: RandomState::new(),
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
            let state = topic.lock();
            for subscribed in state.channels.iter().filter(|subscribed| subscribed.consumers > 0) {
                if subscribed.channel.unfinished() > 0 {
                    outstanding.unfinished.push(format!("{name}/{}", subscribed.name));
                }
                outstanding.arriving |= subscribed.rung && subscribed.waiting > 0;
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
    /// What retries and delays keep to, whatever becomes of the date.
    fn now(&self) -> Time {
        Time::ZERO.plus(self.clock.elapsed())
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn topic_or_new(&self, name: &TopicName) -> Arc<Topic> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.entry(name.clone()).or_insert_with(|| Arc::new(Topic { state: Mutex::default() })).clone()
    }

    fn publish(&self, topic: &TopicSpec, events: Vec<Outgoing>) -> Vec<Result<Receipt, PublishError>> {
        if self.is_closed() {
            return events.iter().map(|_| Err(PublishError::Closed)).collect();
        }
        let store = |state: &mut TopicState, now| {
            events.into_iter().map(|event| self.store(state, event, now)).collect::<Vec<_>>()
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
        let store = |state: &mut TopicState, now| self.store(state, event, now);
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
        store: impl FnOnce(&mut TopicState, Time) -> R,
        count: impl FnOnce(&R) -> (usize, usize),
    ) -> R {
        let name = &topic.name;
        let topic = self.topic(name).unwrap_or_else(|| self.topic_or_new(name));
        let now = self.now();
        let mut state = topic.lock();
        let stored = store(&mut state, now);
        let is_unrouted = state.channels.is_empty();
        state.hand_over(now);
        drop(state);
        let (taken, duplicates) = count(&stored);
        let unrouted = if is_unrouted { taken - duplicates } else { 0 };
        if duplicates + unrouted > 0 {
            self.missed.add(name, Counts { unrouted: unrouted as u64, duplicates: duplicates as u64 });
        }
        stored
    }

    fn check_size(&self, event: &Outgoing) -> Result<(), PublishError> {
        let limit = self.capabilities.max_event_bytes;
        match event.envelope.bytes_over(limit) {
            Some(bytes) => Err(PublishError::TooLarge { bytes, limit }),
            None => Ok(()),
        }
    }

    fn store(&self, state: &mut TopicState, event: Outgoing, now: Time) -> Result<Receipt, PublishError> {
        self.check_size(&event)?;
        if state.log.unhandled() >= MAX_BACKLOG {
            let text =
                format!("the topic holds {MAX_BACKLOG} events that are not handled yet; publish later");
            return Err(PublishError::Unavailable(text));
        }
        if let Some(id) = event.envelope.identity() {
            if let Some(position) = state.known.get(&(0, id)) {
                return Ok(Receipt { position: Some(*position), duplicate: true });
            }
            state.known.note((0, id), state.log.end());
        }
        let position = Some(state.log.end());
        let due = if event.delay.is_zero() { Time::ZERO } else { now.plus(event.delay) };
        let key = event.envelope.key.as_ref().map(|key| self.hasher.hash_one(key));
        let published = self.clock.now();
        state.log.push(Stored { envelope: event.envelope, due, key, published, stored: now });
        Ok(Receipt { position, duplicate: false })
    }
}

impl Topic {
    fn lock(&self) -> MutexGuard<'_, TopicState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TopicState {
    /// Shows every subscription what was stored.
    fn hand_over(&mut self, now: Time) {
        let end = self.log.end();
        for subscribed in &mut self.channels {
            subscribed.channel.extend(end);
            subscribed.ring();
        }
        if self.channels.is_empty() {
            self.forget_finished(now);
        }
    }

    /// Drops what every subscription has finished, and nothing keeps.
    fn forget_finished(&mut self, now: Time) {
        let end = self.log.end();
        let floor = self.channels.iter().map(|subscribed| subscribed.channel.floor()).min().unwrap_or(end);
        self.log.handle_below(floor, now);
    }
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
                self.shared.topic_or_new(&spec.name).lock().log.retention = spec.retention;
            }
            for spec in &topology.subscriptions {
                self.shared.topic_or_new(&spec.topic).lock().ensure(spec);
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
            let mut state = topic.lock();
            let index = state.ensure(spec);
            state.channels[index].consumers += 1;
            let arrived = state.channels[index].arrived.clone();
            drop(state);
            let id = ConsumerId(self.shared.next_consumer.fetch_add(1, Ordering::Relaxed));
            let held = Held { shared: self.shared.clone(), topic, index, id };
            Ok(Box::new(InProcessConsumer { held, arrived, stopped: false }) as Box<dyn Consumer>)
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
            for subscribed in &topic.lock().channels {
                subscribed.arrived.notify_waiters();
                let forgotten = subscribed.channel.unfinished();
                if forgotten > 0 {
                    tracing::warn!(topic = %name, subscription = %subscribed.name, forgotten, "events are forgotten with the process; a router keeps them");
                }
            }
        }
        Box::pin(std::future::ready(()))
    }
}

impl TopicState {
    /// Makes the subscription if it is not there; events from now on are kept for it. Returns its index.
    fn ensure(&mut self, spec: &SubscriptionSpec) -> usize {
        if let Some(index) = self.channels.iter().position(|subscribed| subscribed.name == spec.name) {
            return index;
        }
        self.channels.push(Subscribed {
            name: spec.name.clone(),
            ordered: spec.ordered,
            channel: Channel::new(self.log.end(), Limits { held: MAX_BACKLOG, ..Limits::default() }),
            arrived: Arc::new(Notify::new()),
            rung: false,
            consumers: 0,
            waiting: 0,
        });
        self.channels.len() - 1
    }
}

/// A place in a channel from which deliveries are taken and settled.
#[derive(Clone)]
struct Held {
    shared: Arc<Shared>,
    topic: Arc<Topic>,
    index: usize,
    id: ConsumerId,
}

struct InProcessConsumer {
    held: Held,
    arrived: Arc<Notify>,
    stopped: bool,
}

impl InProcessConsumer {
    /// What can be handed out now, and else when to look again.
    fn take(&self, max: NonZeroUsize) -> Result<Vec<Delivery>, Option<Duration>> {
        let now = self.held.shared.now();
        let mut state = self.held.topic.lock();
        let TopicState { log, channels, .. } = &mut *state;
        let subscribed = &mut channels[self.held.index];
        let mut deliveries = Vec::new();
        while deliveries.len() < max.get() {
            let mut view = View { log, ordered: subscribed.ordered };
            // What vanishes with the process takes this broker with it.
            let taker = Taker {
                consumer: self.held.id,
                until: NEVER,
                vanishing: Vanishing::Counts,
                suspects: Suspects::Allowed,
            };
            let Ok(handout) = subscribed.channel.next(&mut view, taker, now);
            let Some(handout) = handout else {
                if subscribed.channel.is_looking() {
                    continue;
                }
                break;
            };
            let stored = log.get(handout.sequence).expect("a channel hands out what the log holds");
            deliveries.push(Delivery {
                envelope: stored.envelope.clone(),
                attempt: handout.attempt,
                history: History { generation: handout.generation, ..History::default() },
                lease: None,
                settle: Box::new(InProcessSettle {
                    held: self.held.clone(),
                    sequence: handout.sequence,
                    settled: false,
                }),
            });
        }
        if deliveries.is_empty() {
            subscribed.rung = false;
            let deadline = subscribed.channel.next_deadline().filter(|deadline| *deadline != NEVER);
            return Err(deadline.map(|deadline| deadline.since(now)));
        }
        if subscribed.channel.depth() > 0 {
            // Another consumer of the subscription may have room.
            subscribed.ring();
        }
        Ok(deliveries)
    }
}

impl Consumer for InProcessConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> BoxFuture<'_, Result<Vec<Delivery>, ConsumeError>> {
        Box::pin(async move {
            loop {
                if self.stopped || self.held.shared.is_closed() {
                    return Err(ConsumeError::Closed);
                }
                let again_in = match self.take(max) {
                    Ok(deliveries) => return Ok(deliveries),
                    Err(again_in) => again_in,
                };
                let _waiting = Waiting::begin(&self.held);
                match again_in {
                    None => self.arrived.notified().await,
                    Some(wait) => tokio::select! {
                        () = self.arrived.notified() => {}
                        () = self.held.shared.clock.sleep(wait, Purpose::Event) => {}
                    },
                }
            }
        })
    }

    fn extender(&self) -> Option<Arc<dyn Extender>> {
        None
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.stopped = true;
        Box::pin(std::future::ready(()))
    }
}

/// A consumer that waits for something to receive, until this is dropped.
struct Waiting<'h>(&'h Held);

impl<'h> Waiting<'h> {
    fn begin(held: &'h Held) -> Self {
        held.topic.lock().channels[held.index].waiting += 1;
        Self(held)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.topic.lock().channels[self.0.index].waiting -= 1;
    }
}

impl Drop for InProcessConsumer {
    fn drop(&mut self) {
        let mut state = self.held.topic.lock();
        let subscribed = &mut state.channels[self.held.index];
        subscribed.consumers -= 1;
        if !subscribed.channel.disconnect(self.held.id, Parting::Vanished).is_empty() {
            subscribed.ring();
        }
    }
}

/// Whether a delivery was an attempt.
#[derive(Clone, Copy)]
enum Counted {
    Yes,
    No,
}

struct InProcessSettle {
    held: Held,
    sequence: u64,
    settled: bool,
}

impl InProcessSettle {
    fn settle<E>(
        &mut self,
        decide: impl FnOnce(&mut Channel, u64, ConsumerId) -> Result<(), E>,
    ) -> Result<(), SettleError> {
        self.settled = true;
        let mut state = self.held.topic.lock();
        let subscribed = &mut state.channels[self.held.index];
        let before = subscribed.channel.floor();
        decide(&mut subscribed.channel, self.sequence, self.held.id).map_err(|_| SettleError::Lost)?;
        if subscribed.channel.depth() > 0 {
            subscribed.ring();
        }
        if subscribed.channel.floor() != before {
            let now = self.held.shared.now();
            state.forget_finished(now);
        }
        Ok(())
    }

    fn again_in(&mut self, wait: Duration, counted: Counted) -> Result<(), SettleError> {
        let now = self.held.shared.now();
        let due = now.plus(wait);
        self.settle(|channel, sequence, id| match counted {
            Counted::Yes => channel.retry(sequence, id, due, now),
            Counted::No => channel.postpone(sequence, id, due, now),
        })?;
        // The consumer may be waiting without knowing of this deadline.
        self.held.topic.lock().channels[self.held.index].ring();
        Ok(())
    }
}

impl Settle for InProcessSettle {
    fn ack(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(std::future::ready(self.settle(|channel, sequence, id| channel.finish(sequence, id))))
    }

    fn retry(mut self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(std::future::ready(self.again_in(wait, Counted::Yes)))
    }

    fn postpone(mut self: Box<Self>, wait: Duration) -> BoxFuture<'static, Result<(), SettleError>> {
        Box::pin(std::future::ready(self.again_in(wait, Counted::No)))
    }

    fn release(mut self: Box<Self>) -> BoxFuture<'static, Result<(), SettleError>> {
        let released = self.settle(|channel, sequence, id| channel.release(sequence, id));
        Box::pin(std::future::ready(released))
    }

    fn lease(&self) -> Option<LeaseToken> {
        None
    }
}

impl Drop for InProcessSettle {
    fn drop(&mut self) {
        if !self.settled {
            // Nobody decided: it comes again. Where the consumer is gone, it did so already.
            let _ = self.again_in(Duration::ZERO, Counted::Yes);
        }
    }
}

//! The vocabulary that cases are written in: events, subscriptions, and an inbox that waits for bounded times only.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use bis_broker::{
    Broker, Consumer, Delivery, Outgoing, PublishError, Receipt, SettleError, SubscriptionSpec, TopicSpec,
    Topology,
};
use bis_core::{Envelope, EventId, SubscriptionName, TopicName};
use bytes::Bytes;
use tokio::time::timeout;

use crate::{Peer, Process, skipped::note_skip};

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The one topic of a case. Each case has a broker of its own.
pub const TOPIC: TopicName = TopicName::from_static("order-placed");

/// What a case works with.
pub struct Context {
    peer: Arc<dyn Peer>,
    kind: &'static str,
    case: &'static str,
    opened: Mutex<Vec<Arc<dyn Broker>>>,
}

impl Context {
    pub(crate) fn new(peer: Box<dyn Peer>, kind: &'static str, case: &'static str) -> Self {
        Self { peer: peer.into(), kind, case, opened: Mutex::new(Vec::new()) }
    }

    /// Says that the case does not apply.
    pub fn skip(&self, why: &str) {
        note_skip(self.kind, self.case, why);
    }

    pub(crate) async fn close(self) {
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        for broker in opened {
            broker.close().await;
        }
    }

    /// One more client, as of another process.
    pub async fn client(&self) -> Arc<dyn Broker> {
        let broker = self.peer.client().await;
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(broker.clone());
        broker
    }

    /// A client that has made the topic with these subscriptions.
    pub async fn ready_client(&self, subscriptions: &[&'static str]) -> Arc<dyn Broker> {
        let broker = self.client().await;
        ensure(&*broker, subscriptions).await;
        broker
    }

    /// How much later than its time an event may come.
    pub fn slack(&self) -> Duration {
        self.peer.slack()
    }

    /// One more client takes `count` deliveries of `subscription`, holds them, and crashes: its runtime is torn down
    /// with all connections, and nothing gets the chance to close it properly.
    pub async fn crash_while_holding(&self, subscription: &'static str, count: usize) {
        let peer = self.peer.clone();
        let crashing = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the machine has room for one more runtime");
            let held = runtime.block_on(async {
                let broker = peer.client().await;
                let mut inbox = Inbox::open(&*broker, subscription).await;
                let deliveries = inbox.take(count).await;
                (broker, inbox, deliveries)
            });
            // Nothing runs any more; what is dropped afterwards cannot talk to the broker.
            drop(runtime);
            drop(held);
        });
        crashing.await.expect("the client crashes as planned");
    }

    /// The broker's process; a case that needs one and gets `None` says so with [`Context::skip`].
    pub fn process(&self) -> Option<&dyn Process> {
        self.peer.process()
    }
}

/// Makes [`TOPIC`] with these subscriptions.
pub async fn ensure(broker: &dyn Broker, subscriptions: &[&'static str]) {
    let topology = topology(subscriptions, false);
    timeout(PATIENCE, broker.ensure(&topology)).await.expect("ensure takes bounded time").expect("ensured");
}

/// [`TOPIC`] with these subscriptions, ordered by key or not.
pub fn topology(subscriptions: &[&'static str], ordered: bool) -> Topology {
    Topology {
        topics: vec![topic(ordered)],
        subscriptions: subscriptions.iter().map(|name| spec(name, ordered)).collect(),
    }
}

/// [`TOPIC`] with its settings.
pub fn topic(ordered: bool) -> TopicSpec {
    TopicSpec { ordered, ..TopicSpec::new(TOPIC) }
}

/// The subscription of [`TOPIC`] of this name.
pub fn spec(name: &'static str, ordered: bool) -> SubscriptionSpec {
    SubscriptionSpec { topic: TOPIC, name: SubscriptionName::from_static(name), ordered }
}

/// An event with this data.
pub fn event(data: impl Into<Bytes>) -> Envelope {
    let now = SystemTime::now();
    Envelope::new(EventId::generate(), "/shop/orders", "OrderPlaced", now, data.into())
}

/// The event on its way, at once.
pub fn at_once(envelope: Envelope) -> Outgoing {
    Outgoing { envelope: Arc::new(envelope), delay: Duration::ZERO }
}

/// Publishes one event, which must be taken.
pub async fn publish(broker: &dyn Broker, data: impl Into<Bytes>) -> EventId {
    let event = event(data);
    let id = event.id.clone();
    try_publish(broker, at_once(event)).await.expect("published");
    id
}

/// Publishes one event on [`TOPIC`].
pub async fn try_publish(broker: &dyn Broker, event: Outgoing) -> Result<Receipt, PublishError> {
    let mut results = timeout(PATIENCE, broker.publish(&topic(false), vec![event]))
        .await
        .expect("a publish resolves in bounded time, taken or not");
    assert_eq!(results.len(), 1, "one result per event");
    results.remove(0)
}

/// The answer to an inquiry, which comes in bounded time.
pub async fn bounded_inquiry<T>(inquiry: impl Future<Output = T>) -> T {
    timeout(PATIENCE, inquiry).await.expect("an inquiry is answered in bounded time")
}

/// Publishes `count` events with their number as data.
pub async fn publish_numbers(broker: &dyn Broker, count: usize) {
    let events = (0..count).map(|number| at_once(event(number.to_string()))).collect();
    let results = timeout(PATIENCE, broker.publish(&topic(false), events)).await.expect("bounded time");
    assert_eq!((results.len(), results.iter().find(|result| result.is_err())), (count, None));
}

/// One consumer, with bounds on every wait.
pub struct Inbox {
    consumer: Box<dyn Consumer>,
    /// How many deliveries the broker gives at once at most.
    most: usize,
}

impl Inbox {
    /// Consumes `subscription` of [`TOPIC`].
    pub async fn open(broker: &dyn Broker, subscription: &'static str) -> Self {
        Self::open_spec(broker, &spec(subscription, false)).await
    }

    /// Consumes an ordered `subscription` of [`TOPIC`].
    pub async fn open_ordered(broker: &dyn Broker, subscription: &'static str) -> Self {
        Self::open_spec(broker, &spec(subscription, true)).await
    }

    /// Listens to [`TOPIC`].
    pub async fn listen(broker: &dyn Broker) -> Self {
        let consumer = timeout(PATIENCE, broker.listen(&TOPIC)).await.expect("bounded time");
        let most = broker.capabilities().batch.receive.unwrap_or(usize::MAX);
        Self { consumer: consumer.expect("it listens"), most }
    }

    async fn open_spec(broker: &dyn Broker, spec: &SubscriptionSpec) -> Self {
        let consumer = timeout(PATIENCE, broker.subscribe(spec)).await.expect("bounded time");
        let most = broker.capabilities().batch.receive.unwrap_or(usize::MAX);
        Self { consumer: consumer.expect("subscribed"), most }
    }

    /// At least one delivery and at most `max`.
    pub async fn receive(&mut self, max: usize) -> Vec<Delivery> {
        self.receive_within(max, PATIENCE).await.expect("a delivery comes")
    }

    /// Like [`Inbox::receive`]; `None` when nothing comes within `wait`.
    pub async fn receive_within(&mut self, max: usize, wait: Duration) -> Option<Vec<Delivery>> {
        let room = NonZeroUsize::new(max).expect("a case asks for at least one");
        let received = timeout(wait, self.consumer.receive(room)).await.ok()?.expect("the consumer is alive");
        assert!(!received.is_empty(), "`receive` returns at least one");
        assert!(received.len() <= max.min(self.most), "asked for {max}, got {}", received.len());
        Some(received.into_vec())
    }

    /// The next delivery.
    pub async fn one(&mut self) -> Delivery {
        self.receive(1).await.remove(0)
    }

    /// `count` deliveries, none of them settled.
    pub async fn take(&mut self, count: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.extend(self.receive(count - taken.len()).await);
        }
        taken
    }

    /// Acks deliveries until each of `ids` came at least once; extra copies are fine.
    pub async fn ack_until_all(&mut self, mut missing: std::collections::BTreeSet<EventId>) {
        let deadline = Instant::now() + 2 * PATIENCE;
        while !missing.is_empty() {
            let wait = deadline.saturating_duration_since(Instant::now());
            let Some(received) = self.receive_within(100, wait).await else {
                panic!("{} events never came: {missing:?}", missing.len());
            };
            for delivery in received {
                missing.remove(&delivery.envelope.id);
                // Lost with a connection that broke meanwhile, it comes once more.
                let _ = delivery.settle.ack().await;
            }
        }
    }

    /// Extends the leases of deliveries in one call; one result for each that has a lease.
    pub async fn extend(&self, deliveries: &[&Delivery]) -> Vec<Result<(), SettleError>> {
        let leases: Vec<_> = deliveries.iter().filter_map(|delivery| delivery.settle.lease()).collect();
        match self.consumer.extender() {
            Some(extender) => timeout(PATIENCE, extender.extend(leases)).await.expect("bounded time"),
            None => Vec::new(),
        }
    }

    /// Nothing comes for `quiet`.
    pub async fn expect_nothing(&mut self, quiet: Duration) {
        if let Some(received) = self.receive_within(10, quiet).await {
            panic!("nothing should come, but {received:?} came");
        }
    }

    /// Asks for no more.
    pub async fn stop(&mut self) {
        timeout(PATIENCE, self.consumer.stop()).await.expect("stopping takes bounded time");
    }
}

/// Acks, which must be taken on.
pub async fn ack(delivery: Delivery) {
    delivery.settle.ack().await.expect("acked");
}

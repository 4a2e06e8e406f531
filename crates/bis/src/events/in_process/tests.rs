//! Somebody sets the date while events wait: they come when they are due. And what reaches nobody is counted.

use std::{
    future::poll_fn,
    pin::Pin,
    task::Poll,
    time::{Duration, SystemTime},
};

use bis_broker::Delivery;
use bis_core::{Envelope, EventId, Retention, SubscriptionName};
use bytes::Bytes;

use super::{log::Stored, *};
use crate::instance::{Patience, VirtualClock};

/// A subscription of the topic `orders`.
pub(super) fn spec(name: &'static str, ordered: bool) -> SubscriptionSpec {
    let (topic, name) = (TopicName::from_static("orders"), SubscriptionName::from_static(name));
    SubscriptionSpec { topic, name, ordered }
}

/// An event without data.
pub(super) fn envelope(id: EventId) -> Arc<Envelope> {
    Arc::new(Envelope::new(id, "/shop", "T", SystemTime::UNIX_EPOCH, Bytes::new()))
}

/// An event in a log, due at once.
pub(super) fn stored(id: &str, key: Option<u64>) -> Stored {
    let envelope = envelope(EventId::from(id));
    Stored { envelope, due: Time::ZERO, key, published: SystemTime::UNIX_EPOCH, stored: Time::ZERO }
}

const HOUR: Duration = Duration::from_secs(3600);
const WAIT: Duration = Duration::from_secs(2);
/// A ring must be heard within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with one event that was published with a delay, and its consumer.
async fn broker(clock: &Arc<VirtualClock>, delay: Duration) -> (InProcess, Box<dyn Consumer>) {
    let broker = InProcess::with_clock(Clock::Virtual(clock.clone()));
    let spec = spec("ship", false);
    let topic = TopicSpec::new(spec.topic.clone());
    let topology = Topology { topics: vec![topic.clone()], subscriptions: vec![spec.clone()] };
    broker.ensure(&topology).await.unwrap();
    let envelope = Envelope::new(EventId::from("e1"), "/shop", "T", clock.now(), Bytes::new());
    let outgoing = Outgoing { envelope: Arc::new(envelope), delay };
    broker.publish(&topic, vec![outgoing]).await.remove(0).unwrap();
    let consumer = broker.subscribe(&spec).await.unwrap();
    (broker, consumer)
}

/// The next event once time has moved to when something is due, and how long that was.
async fn after_a_jump(
    clock: &Arc<VirtualClock>,
    (broker, consumer): &mut (InProcess, Box<dyn Consumer>),
) -> (Delivery, Duration) {
    let before = clock.elapsed();
    let mut receiving = consumer.receive(NonZeroUsize::MIN);
    let is_early = tokio::select! {
        biased;
        _ = &mut receiving => true,
        () = tokio::task::yield_now() => false,
    };
    assert!(!is_early, "it is not due yet");
    let settling = VirtualClock::settle(clock);
    clock.step(&broker.outstanding(), Patience::Left);
    drop(settling);
    let delivery = receiving.await.unwrap().remove(0);
    (delivery, clock.elapsed() - before)
}

#[tokio::test]
async fn what_is_due_comes_after_its_wait_whatever_the_date() {
    for date in [SystemTime::UNIX_EPOCH + HOUR, SystemTime::UNIX_EPOCH + 3 * HOUR] {
        let clock = Arc::new(VirtualClock::new(SystemTime::UNIX_EPOCH + 2 * HOUR, HOUR));
        let mut broker = broker(&clock, WAIT).await;
        clock.set_start(date);
        let (delivery, waited) = after_a_jump(&clock, &mut broker).await;
        assert_eq!(waited, WAIT, "a delay");
        clock.set_start(SystemTime::UNIX_EPOCH + 2 * HOUR);
        delivery.settle.retry(WAIT).await.unwrap();
        clock.set_start(date);
        let (delivery, waited) = after_a_jump(&clock, &mut broker).await;
        assert_eq!((waited, delivery.attempt), (WAIT, 2), "a retry");
    }
}

#[tokio::test]
async fn what_reaches_nobody_is_counted() {
    let broker = InProcess::new();
    let placed = TopicName::from_static("placed");
    let topic = TopicSpec { name: placed.clone(), ordered: false, retention: Retention::DEFAULT };
    let publish = async |count: usize| {
        let envelope = || Envelope::new(EventId::generate(), "/shop", "T", SystemTime::now(), Bytes::new());
        let events: Vec<_> =
            (0..count).map(|_| Outgoing { envelope: Arc::new(envelope()), delay: Duration::ZERO }).collect();
        let twice = events.last().cloned();
        broker.publish(&topic, events).await;
        twice.unwrap()
    };
    publish(2).await;
    assert_eq!(broker.shared.missed.of(&placed), Counts { unrouted: 2, duplicates: 0 });
    let ship = SubscriptionName::from_static("ship");
    let spec = SubscriptionSpec { topic: placed.clone(), name: ship, ordered: false };
    let topology = Topology { subscriptions: vec![spec], ..Topology::default() };
    broker.ensure(&topology).await.unwrap();
    let event = publish(3).await;
    broker.publish(&topic, vec![event]).await;
    assert_eq!(broker.shared.missed.of(&placed), Counts { unrouted: 2, duplicates: 1 });
}

#[tokio::test]
async fn a_ring_that_a_consumer_did_not_wait_for_is_for_another_one() {
    let (broker, spec) = (InProcess::new(), spec("ship", false));
    let topic = TopicSpec::new(spec.topic.clone());
    let mut consumers = [broker.subscribe(&spec).await.unwrap(), broker.subscribe(&spec).await.unwrap()];
    let [mut first, mut second] = consumers.each_mut().map(|consumer| consumer.receive(NonZeroUsize::MIN));
    for waiting in [&mut first, &mut second] {
        let is_pending = poll_fn(|context| Poll::Ready(Pin::new(&mut *waiting).poll(context).is_pending()));
        assert!(is_pending.await);
    }
    let outgoing = Outgoing { envelope: envelope(EventId::from("e1")), delay: Duration::ZERO };
    broker.publish(&topic, vec![outgoing]).await.remove(0).unwrap();
    // The first was rung for.
    drop(first);
    let received = tokio::time::timeout(PATIENCE, second).await.expect("nobody rings for the second");
    assert_eq!(received.unwrap().len(), 1);
}

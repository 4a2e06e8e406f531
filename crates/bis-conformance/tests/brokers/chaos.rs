//! Chaos keeps the contract: a broker behind it loses nothing that was taken, invents nothing, and keeps the order of
//! keys; and with every rate at 0 its presence is not observable.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bis::{Chaos, chaos::ChaosBroker, drivers::in_process::InProcess};
use bis_broker::{BoxFuture, Broker, Outgoing, PublishError, SubscriptionSpec, TopicSpec, Topology};
use bis_conformance::{Kind, Peer, Process, bounded};
use bis_core::{Envelope, EventId, Retention, SubscriptionName, TopicName};
use bis_drivers::nsq::{Nsq, NsqOptions};
use libtest_mimic::Trial;
use tokio::sync::watch;

use crate::trial;

/// Nothing that chaos holds back arrives later than this.
const QUIET: Duration = Duration::from_millis(1500);
const EVENTS: usize = 150;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// Without faults the whole suite passes.
pub(crate) const KIND: Kind = Kind {
    name: "chaos_without_faults",
    start: || Box::pin(async { Ok(Box::new(Quiet::new()) as Box<dyn Peer>) }),
};

/// With faults the contract is kept.
pub(crate) fn trials() -> Vec<Trial> {
    let name = "in_process_keeps_the_contract";
    let in_process = trial("chaos", name, || bounded(name, in_process_keeps_the_contract()));
    let name = "the_router_keeps_the_contract";
    let router = trial("chaos", name, || bounded(name, the_router_keeps_the_contract()));
    vec![in_process, router]
}

struct Quiet(Arc<ChaosBroker>);

impl Quiet {
    fn new() -> Self {
        Self(Arc::new(ChaosBroker::new(Arc::new(InProcess::new()), Chaos::only(1))))
    }
}

impl Peer for Quiet {
    fn client(&self) -> BoxFuture<'_, Arc<dyn Broker>> {
        Box::pin(async { self.0.clone() as Arc<dyn Broker> })
    }

    fn process(&self) -> Option<&dyn Process> {
        None
    }
}

async fn in_process_keeps_the_contract() {
    for seed in 0..4 {
        keeps_the_contract(Arc::new(InProcess::new()), seed).await;
    }
}

async fn the_router_keeps_the_contract() {
    for seed in 0..4 {
        let data = tempfile::tempdir().expect("a folder for the router's data");
        let mut options = bis_router::Options::new(data.path());
        options.tcp_address.set_port(0);
        options.http_address.set_port(0);
        let router = bis_router::Router::start(options).await.expect("the router starts");
        let broker = Arc::new(Nsq::start(NsqOptions::new(router.tcp_address().to_string())));
        keeps_the_contract(broker, seed).await;
        router.shutdown().await.expect("the router stops cleanly");
    }
}

/// The results of publishes.
#[derive(Default)]
struct Published {
    taken: BTreeSet<EventId>,
    refused: BTreeSet<EventId>,
}

async fn keeps_the_contract(broker: Arc<dyn Broker>, seed: u64) {
    let settings = Chaos::seeded(seed).requests_too().longest_delay(Duration::from_millis(100));
    let chaos = Arc::new(ChaosBroker::new(broker, settings));
    let topic = TopicName::from_static("order-placed");
    let spec =
        SubscriptionSpec { topic: topic.clone(), name: SubscriptionName::from_static("ship"), ordered: true };
    let topology = Topology {
        topics: vec![TopicSpec { name: topic.clone(), ordered: true, retention: Retention::DEFAULT }],
        subscriptions: vec![spec.clone()],
    };
    chaos.ensure(&topology).await.expect("ensured");
    let (done, is_done) = watch::channel(false);
    let handling = tokio::spawn(handle(chaos.clone(), spec, is_done));
    let published = publish(&*chaos, &topic).await;
    done.send_replace(true);
    let handled = handling.await.expect("the handler does not panic");

    let seen: BTreeSet<EventId> = handled.iter().map(|(id, ..)| id.clone()).collect();
    let missing: Vec<_> = published.taken.difference(&seen).collect();
    assert!(missing.is_empty(), "seed {seed}: taken and never delivered: {missing:?}");
    let invented: Vec<_> = published.refused.intersection(&seen).collect();
    assert!(invented.is_empty(), "seed {seed}: refused and delivered: {invented:?}");
    check_order(seed, &handled);
    assert!(chaos.faults().total() > 20, "seed {seed}: {}", chaos.faults());
    chaos.close().await;
}

async fn publish(broker: &dyn Broker, topic: &TopicName) -> Published {
    let mut published = Published::default();
    for number in 0..EVENTS {
        let data = number.to_string().into_bytes().into();
        let id = EventId::generate();
        let mut envelope = Envelope::new(id.clone(), "/shop", "OrderPlaced", SystemTime::now(), data);
        envelope.key = Some(KEYS[number % KEYS.len()].to_owned());
        let event = Outgoing { envelope: Arc::new(envelope), delay: Duration::ZERO };
        // A restart lasts up to 100 ms, and must not affect all events.
        tokio::time::sleep(Duration::from_millis(5)).await;
        match broker
            .publish(&TopicSpec { ordered: true, ..TopicSpec::new(topic.clone()) }, vec![event])
            .await
            .remove(0)
        {
            Ok(_) => _ = published.taken.insert(id),
            Err(PublishError::Unreachable { .. }) => _ = published.refused.insert(id),
            Err(PublishError::Unanswered { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    published
}

/// Acks whatever comes, until all is published and nothing more comes; returns id, number and attempt of each delivery in
/// order.
async fn handle(
    broker: Arc<dyn Broker>,
    spec: SubscriptionSpec,
    is_done: watch::Receiver<bool>,
) -> Vec<(EventId, usize, u32)> {
    let mut consumer = broker.subscribe(&spec).await.expect("subscribed");
    let most = NonZeroUsize::new(10).expect("not zero");
    let mut handled = Vec::new();
    loop {
        let was_done = *is_done.borrow();
        let Ok(received) = tokio::time::timeout(QUIET, consumer.receive(most)).await else {
            if was_done {
                break;
            }
            continue;
        };
        for delivery in received.expect("the consumer lives") {
            let text = std::str::from_utf8(&delivery.envelope.data).expect("bytes are unchanged");
            let number = text.parse().expect("bytes are unchanged");
            assert_eq!(delivery.envelope.key.as_deref(), Some(KEYS[number % KEYS.len()]));
            handled.push((delivery.envelope.id.clone(), number, delivery.attempt));
            // One that is lost comes again.
            let _ = delivery.settle.ack().await;
        }
    }
    consumer.stop().await;
    handled
}

/// For each key: one after the other, again only while it is the latest, and as one more attempt. From the second on an attempt
/// may stay as it is: chaos gives those back uncounted, so that no event loses more than one.
fn check_order(seed: u64, handled: &[(EventId, usize, u32)]) {
    let mut latest: BTreeMap<usize, (usize, u32)> = BTreeMap::new();
    for (_, number, attempt) in handled {
        let before = latest.insert(number % KEYS.len(), (*number, *attempt));
        match before {
            Some((last, attempts)) if last == *number => {
                assert!(
                    *attempt > attempts || (attempts > 1 && *attempt == attempts),
                    "seed {seed}: {handled:?}"
                )
            }
            Some((last, _)) => assert!(*number > last, "seed {seed}: {number} after {last}: {handled:?}"),
            None => {}
        }
    }
}

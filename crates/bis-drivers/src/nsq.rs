//! The NSQ driver: Bis's router or a real nsqd, over protocol V2.
//!
//! Owns the mapping between the broker contract and NSQ: names, envelopes as message bodies, leases as message
//! timeouts, waits as `REQ`, keys, ids and delays as the headers of `HPUB`. It must never decide about retries, timeouts of handlers or dead
//! letters, and never report a publish as done before the broker's own answer to it.
//!
//! There may be several servers: named, or found through nsqlookupd. Events are consumed from each that has their topic,
//! and published to each in turn; every topic and channel is made on a server before anything is published to it, so
//! that nothing is lost before a subscription's first consumer. Several servers keep no order between them.
//!
//! What the broker can do is learned from its first answer: the router says what it offers, and a server that offers
//! nothing is an nsqd.
//!
//! Order by key is the subscription's: every event carries its key, and the router keeps order for those who subscribe
//! to an ordered topic. So a process that only publishes, or replays, does not need to know how a topic was declared,
//! and a key on an unordered topic holds nobody up.

mod capabilities;
mod cluster;
mod consumer;
mod delivery;
mod inquiry;
mod options;
mod publishing;
mod shares;
mod wait;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use bis_broker::{
    BoxFuture, Broker, ConsumeError, Consumer, EnsureError, InquiryError, Outgoing, Page, PublishError,
    Receipt, ReplayFrom, Replayed, SubscriptionSpec, TopicSpec, Topology,
};
use bis_core::{
    BrokerKind, Capabilities, Deduplication, EventId, NameRules, Namespace, OrderScope, PhysicalName,
    Retention, SubscriptionName, TopicName,
};
use bis_nsq::{Command, Headers, IdentifyReply, Name, client::Order};

pub use consumer::envelope;
pub use options::NsqOptions;

use capabilities::capabilities;
use cluster::Cluster;
use consumer::{Handles, NsqConsumer, Source};

/// How long a listener waits for the servers besides the first one: what is published on any of them from then on is for it.
const OTHERS_WAIT: Duration = Duration::from_secs(2);

/// How long closing waits for the broker to answer what is in progress.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How much older than the beginning of a listener an event may be, by the clocks of server and process, to be delivered. A
/// topic without channels keeps what is published for its first one, possibly a listener's, perhaps hours later.
const KEPT_MARGIN: Duration = Duration::from_secs(5);

/// A broker that speaks NSQ.
#[derive(Debug)]
pub struct Nsq {
    cluster: Arc<Cluster>,
    capabilities: OnceLock<Capabilities>,
    consumers: Handles,
}

/// The name that a topic of an app has on NSQ servers.
pub fn topic_on_nsq(namespace: Option<&Namespace>, topic: &str) -> String {
    PhysicalName { owner: None, namespace, parts: &[topic] }.under(&NameRules::NSQ)
}

impl Nsq {
    /// Starts to connect in the background; a broker that is not there is retried until it is. Must be called
    /// within a tokio runtime.
    pub fn start(options: NsqOptions) -> Self {
        let consumers = Arc::new(Mutex::new(Some(Vec::new())));
        Self { cluster: Cluster::start(options), capabilities: OnceLock::new(), consumers }
    }

    fn topic(&self, name: &TopicName) -> Name {
        Name::new(topic_on_nsq(self.cluster.options.namespace.as_ref(), name.as_str()))
            .expect("a physical name has only characters that NSQ allows, and at most 64")
    }

    fn channel(name: &SubscriptionName) -> Name {
        Name::new(name.as_str()).expect("NSQ allows every kebab-case name")
    }

    /// A channel that no other listener has, and that the server removes with its last connection.
    fn listener() -> Name {
        Name::new(format!("listener-{}#ephemeral", EventId::generate()))
            .expect("an id has only characters that NSQ allows, and 36 of them")
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Consumer>, ConsumeError> {
        let consumer = NsqConsumer::open(source, self.cluster.servers(), self.consumers.clone()).await?;
        Ok(Box::new(consumer))
    }

    /// What can be done with the servers, according to the reply of one of them.
    fn learn(&self, server: &IdentifyReply) -> &Capabilities {
        self.capabilities.get_or_init(|| {
            let one = capabilities(server);
            if !self.cluster.is_many() {
                return one;
            }
            // What a server does, it does for itself alone.
            Capabilities {
                order: OrderScope::None,
                peek: false,
                deduplication: Deduplication::None,
                replay: false,
                ..one
            }
        })
    }

    /// Whether the servers can do what the topic asks for.
    fn check(&self, topic: &TopicSpec, can: &Capabilities) -> Result<(), EnsureError> {
        let name = &topic.name;
        if topic.retention != Retention::DEFAULT && !can.replay {
            return Err(Self::no_retention(name));
        }
        if topic.ordered && !can.order.keeps_keys_in_order() {
            let what = if self.cluster.is_many() {
                "events of one key in order (one router can keep it, several servers cannot)"
            } else {
                "events of one key in order"
            };
            return Err(EnsureError::Unsupported { topic: name.clone(), what });
        }
        Ok(())
    }

    fn no_retention(topic: &TopicName) -> EnsureError {
        let what = "a retention of its own (one router keeps what was handled, for replay)";
        EnsureError::Unsupported { topic: topic.clone(), what }
    }

    /// The command that publishes, or why there is none.
    fn command(&self, topic: &Name, event: &Outgoing) -> Result<Command, PublishError> {
        let can = self.capabilities();
        let body = event.envelope.to_json();
        if body.len() > can.max_event_bytes {
            return Err(PublishError::TooLarge { bytes: body.len(), limit: can.max_event_bytes });
        }
        if let Some(limit) = can.max_publish_delay.filter(|limit| event.delay > *limit) {
            return Err(PublishError::DelayTooLong { delay: event.delay, limit });
        }
        let headers = Headers {
            event: event.envelope.identity(),
            key: event.envelope.key.as_ref().map(|key| key.clone().into()),
            delay: event.delay,
            is_from_handler: event.envelope.cause.is_some(),
            wants_receipt: true,
        };
        // To a server that offers no headers, the publisher sends it without.
        Ok(Command::HeadedPublish { topic: topic.clone(), headers, body: body.into() })
    }
}

impl Broker for Nsq {
    /// The router's or nsqd's, once one has answered; before that nsqd's, which every NSQ server can do.
    fn capabilities(&self) -> &Capabilities {
        const LEAST: Capabilities = Capabilities::of(BrokerKind::Nsqd);
        if let Some(known) = self.capabilities.get() {
            return known;
        }
        self.cluster.server().map_or(&LEAST, |server| self.learn(&server))
    }

    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>> {
        Box::pin(async move {
            let subscriptions = topology.subscriptions.iter();
            let channels = subscriptions.map(|spec| (self.topic(&spec.topic), Self::channel(&spec.name)));
            let server = self.cluster.ensure(channels.collect()).await?;
            let can = self.learn(&server);
            for topic in &topology.topics {
                self.check(topic, can)?;
            }
            let kept = topology.topics.iter().filter(|topic| topic.retention != Retention::DEFAULT);
            for topic in kept {
                self.retain(topic).await?;
            }
            Ok(())
        })
    }

    fn publish<'a>(
        &'a self,
        topic: &'a TopicSpec,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<Receipt, PublishError>>> {
        Box::pin(async move {
            let topic = self.topic(&topic.name);
            let commands = events.iter().map(|event| self.command(&topic, event)).collect();
            let mut results = self.cluster.publish(&topic, commands).await;
            if self.cluster.is_many() {
                // Each server counts for itself.
                results.iter_mut().flatten().for_each(|receipt| receipt.position = None);
            }
            results
        })
    }

    fn subscribe<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async move {
            let source = Source {
                options: self.cluster.options.client.clone(),
                topic: self.topic(&subscription.topic),
                channel: Self::channel(&subscription.name),
                order: if subscription.ordered { Order::ByKey } else { Order::Any },
                since: SystemTime::UNIX_EPOCH,
                wait_for_others: Duration::ZERO,
            };
            self.consume(source).await
        })
    }

    fn listen<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async move {
            self.consume(Source {
                options: self.cluster.options.client.clone(),
                topic: self.topic(topic),
                channel: Self::listener(),
                order: Order::Any,
                since: SystemTime::now() - KEPT_MARGIN,
                wait_for_others: OTHERS_WAIT,
            })
            .await
        })
    }

    fn peek<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
        after: Option<u64>,
        limit: NonZeroUsize,
    ) -> BoxFuture<'a, Result<Page, InquiryError>> {
        Box::pin(self.peek_page(subscription, after, limit))
    }

    fn replay<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
        from: ReplayFrom,
    ) -> BoxFuture<'a, Result<Replayed, InquiryError>> {
        Box::pin(self.replay_from(subscription, from))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner).take();
            let closing = async {
                for consumer in consumers.into_iter().flatten() {
                    consumer.close().await;
                }
                self.cluster.close().await;
            };
            if tokio::time::timeout(CLOSE_WAIT, closing).await.is_err() {
                tracing::warn!(
                    address = self.cluster.place(),
                    "the broker did not answer everything before this process stopped"
                );
            }
        })
    }
}

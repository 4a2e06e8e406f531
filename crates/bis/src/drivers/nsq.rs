//! The NSQ driver: Bis's router or a real nsqd, over protocol V2.
//!
//! Owns the mapping between the broker contract and NSQ: names, envelopes as message bodies, leases as message
//! timeouts, waits as `REQ`, keys, ids and delays as the headers of `HPUB`. It must never decide about retries, timeouts of handlers or dead
//! letters, and never report a publish as done before the broker's own answer to it.
//!
//! What the broker can do is learned from its first answer: the router says what it offers, and whoever offers
//! nothing is an nsqd.
//!
//! Order by key is the subscription's: every event carries its key, and the router keeps order for those who subscribe
//! to an ordered topic. So a process that only publishes, or replays, needs not know how a topic was declared, and a
//! key on an unordered topic holds nobody up.

mod capabilities;
mod consumer;
mod delivery;

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bis_broker::{
    BoxFuture, Broker, ConsumeError, Consumer, EnsureError, Outgoing, PublishError, SubscriptionSpec,
    Topology,
};
use bis_core::{BrokerKind, Capabilities, Namespace, SubscriptionName, TopicName, physical_name};
use bis_nsq::{
    Command, Headers, MAX_NAME_BYTES, Name,
    client::{self, ConsumerHandle, Order, Publisher},
};

use capabilities::capabilities;
use consumer::NsqConsumer;

/// How long closing waits for the broker to answer what is under way.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// How to reach the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NsqOptions {
    /// The connection's settings, the address among them.
    pub client: client::Options,
    /// What goes in front of topic names on the broker.
    pub namespace: Option<Namespace>,
}

impl NsqOptions {
    /// The defaults for the broker at `address` (`host:port` of its TCP listener).
    pub fn new(address: impl Into<String>) -> Self {
        Self { client: client::Options::new(address), namespace: None }
    }
}

/// A broker that speaks NSQ.
#[derive(Debug)]
pub struct Nsq {
    options: NsqOptions,
    publisher: Publisher,
    capabilities: OnceLock<Capabilities>,
    consumers: Mutex<Option<Vec<ConsumerHandle>>>,
}

impl Nsq {
    /// Starts to connect in the background; a broker that is not there is looked for until it is. Must be called
    /// within a tokio runtime.
    pub fn start(options: NsqOptions) -> Self {
        let publisher = Publisher::start(options.client.clone());
        Self { options, publisher, capabilities: OnceLock::new(), consumers: Mutex::new(Some(Vec::new())) }
    }

    fn topic(&self, name: &TopicName) -> Name {
        let physical = physical_name(self.options.namespace.as_ref(), name.as_str(), MAX_NAME_BYTES);
        Name::new(physical).expect("a physical name has only characters that NSQ allows, and at most 64")
    }

    fn channel(name: &SubscriptionName) -> Name {
        Name::new(name.as_str()).expect("NSQ allows every kebab-case name")
    }

    fn is_closed(&self) -> bool {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Makes one channel, trying until the broker is there.
    async fn create(&self, topic: &Name, channel: &Name) -> Result<(), EnsureError> {
        let mut failures = 0_u32;
        loop {
            if self.is_closed() {
                return Err(EnsureError::Closed);
            }
            let error = match client::create_channel(&self.options.client, topic, channel).await {
                Ok(server) => {
                    self.capabilities.get_or_init(|| capabilities(&server));
                    return Ok(());
                }
                Err(client::ConnectError::Refused(refusal)) if refusal.is_fatal() => {
                    return Err(EnsureError::Refused(refusal.to_string()));
                }
                Err(error) => error,
            };
            failures += 1;
            if failures.is_power_of_two() {
                let address = &self.options.client.address;
                tracing::warn!(
                    %address,
                    %error,
                    "waiting for the broker (is it running? start one with `bis router`)"
                );
            }
            tokio::time::sleep(Duration::from_millis(50).saturating_mul(failures).min(RETRY_WAIT)).await;
        }
    }

    /// The bytes to publish, or why they cannot be.
    fn command(&self, topic: &Name, event: &Outgoing) -> Result<Command, PublishError> {
        let can = self.capabilities();
        let body = event.envelope.to_json();
        if body.len() > can.max_event_bytes {
            return Err(PublishError::TooLarge { bytes: body.len(), limit: can.max_event_bytes });
        }
        if let Some(limit) = can.max_delay.filter(|limit| event.delay > *limit) {
            return Err(PublishError::DelayTooLong { delay: event.delay, limit });
        }
        let headers = Headers {
            event: event.envelope.id.uuid_bytes(),
            key: event.envelope.key.as_ref().map(|key| key.clone().into()),
            delay: event.delay,
        };
        // To a server that offers no headers, the publisher sends it without.
        Ok(Command::HeadedPublish { topic: topic.clone(), headers, body: body.into() })
    }

    fn publish_error(&self, error: client::PublishError) -> PublishError {
        let address = self.options.client.address.clone();
        match error {
            client::PublishError::Unreachable { reason } => PublishError::Unreachable { address, reason },
            client::PublishError::Unanswered => PublishError::Unanswered { address },
            client::PublishError::Refused(refusal) => PublishError::Refused(refusal.to_string()),
            client::PublishError::Closed => PublishError::Closed,
        }
    }
}

/// The longest wait between two attempts to reach the broker.
const RETRY_WAIT: Duration = Duration::from_secs(2);

impl Broker for Nsq {
    /// The router's or nsqd's, once one has answered; before that nsqd's, which every NSQ server can do.
    fn capabilities(&self) -> &Capabilities {
        const LEAST: Capabilities = Capabilities::of(BrokerKind::Nsqd);
        if let Some(known) = self.capabilities.get() {
            return known;
        }
        match self.publisher.server() {
            Some(server) => self.capabilities.get_or_init(|| capabilities(&server)),
            None => &LEAST,
        }
    }

    fn ensure<'a>(&'a self, topology: &'a Topology) -> BoxFuture<'a, Result<(), EnsureError>> {
        Box::pin(async move {
            for subscription in &topology.subscriptions {
                self.create(&self.topic(&subscription.topic), &Self::channel(&subscription.name)).await?;
            }
            if topology.subscriptions.is_empty() {
                self.publisher.connected().await.map_err(|_| EnsureError::Closed)?;
            }
            let unsupported =
                topology.topics.iter().find(|topic| topic.ordered && !self.capabilities().ordering);
            match unsupported {
                Some(topic) => {
                    let what = "events of one key in order";
                    Err(EnsureError::Unsupported { topic: topic.name.clone(), what })
                }
                None => Ok(()),
            }
        })
    }

    fn publish<'a>(
        &'a self,
        topic: &'a TopicName,
        events: Vec<Outgoing>,
    ) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let topic = self.topic(topic);
            let mut receipts = Vec::with_capacity(events.len());
            for event in &events {
                receipts.push(match self.command(&topic, event) {
                    Ok(command) => {
                        self.publisher.send(command).await.map_err(|error| self.publish_error(error))
                    }
                    Err(error) => Err(error),
                });
            }
            let mut results = Vec::with_capacity(receipts.len());
            for receipt in receipts {
                results.push(match receipt {
                    Ok(receipt) => receipt.answer().await.map_err(|error| self.publish_error(error)),
                    Err(error) => Err(error),
                });
            }
            results
        })
    }

    fn subscribe<'a>(
        &'a self,
        subscription: &'a SubscriptionSpec,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>, ConsumeError>> {
        Box::pin(async move {
            let mut consumer = client::Consumer::start_in_order(
                self.options.client.clone(),
                self.topic(&subscription.topic),
                Self::channel(&subscription.name),
                if subscription.ordered { Order::ByKey } else { Order::Any },
            );
            match &mut *self.consumers.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(consumers) => {
                    consumers.retain(|handle| !handle.is_closed());
                    consumers.push(consumer.handle());
                }
                None => return Err(ConsumeError::Closed),
            }
            consumer.subscribed().await.map_err(consumer::consume_error)?;
            Ok(Box::new(NsqConsumer::new(consumer, subscription.clone())) as Box<dyn Consumer>)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner).take();
            let closing = async {
                for consumer in consumers.into_iter().flatten() {
                    consumer.close().await;
                }
                self.publisher.close().await;
            };
            if tokio::time::timeout(CLOSE_WAIT, closing).await.is_err() {
                tracing::warn!(address = %self.options.client.address, "the broker did not answer everything before this process stopped");
            }
        })
    }
}

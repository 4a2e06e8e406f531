//! Topics and subscriptions on the broker: list, publish, replay, inspect, remove.

use std::num::NonZeroUsize;

use bis_broker::{
    ConsumeError, InquiryError, Outgoing, PublishError, Receipt, ReplayFrom, Replayed, TopicSpec, Waiting,
};
use bis_core::{Envelope, SubscriptionName, TopicName};
use serde::Serialize;

use crate::{
    admin::{Admin, spec},
    api::{ChannelStats, RouterError, TopicStats},
};

/// How many events one inspection request asks for.
const PAGE: NonZeroUsize = NonZeroUsize::new(100).expect("a hundred is not zero");

/// A topic with its subscriptions and counts of waiting events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// Its name on the broker.
    pub name: String,
    /// Events that reached no subscription yet: the topic has none, or is paused.
    #[serde(rename = "depth")]
    pub waiting: u64,
    /// Events published so far.
    pub messages: u64,
    /// Whether the topic is paused, so that its subscriptions get no events.
    pub paused: bool,
    /// Its subscriptions, by name.
    pub subscriptions: Vec<Subscription>,
}

/// A subscription with its counts of waiting events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// Its name within the topic.
    pub name: String,
    /// Events that wait for a consumer.
    #[serde(rename = "depth")]
    pub waiting: u64,
    /// Events in flight to a consumer.
    pub in_flight: u64,
    /// Events that wait for their delay to pass.
    pub deferred: u64,
    /// How often events were requeued.
    pub requeued: u64,
    /// Connections that consume it.
    pub consumers: u64,
    /// Whether it is paused, so that its consumers get no events.
    pub paused: bool,
}

/// Why an operation on a topic failed.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// There is no topic with this name.
    #[error("there is no topic `{topic}`")]
    NoTopic {
        /// The name.
        topic: String,
        /// The existing names.
        known: Vec<String>,
    },
    /// The topic has no subscription with this name.
    #[error("`{topic}` has no subscription `{subscription}`")]
    NoSubscription {
        /// The topic.
        topic: String,
        /// The name.
        subscription: String,
        /// The existing names.
        known: Vec<String>,
    },
    /// Following a topic without subscriptions would take the events that it keeps for its first one.
    #[error("`{topic}` keeps {events} {} for its first subscription, and following would take them", if *.events == 1 { "event" } else { "events" })]
    WouldTake {
        /// The topic.
        topic: String,
        /// How many events it keeps.
        events: u64,
    },
    /// The topic may not be changed by hand.
    #[error("`{topic}` keeps the dead letters, which are removed one by one")]
    Reserved {
        /// The topic.
        topic: String,
    },
    /// The name is not valid on a broker.
    #[error(transparent)]
    Name(#[from] bis_nsq::NameError),
    /// The request to the router failed.
    #[error(transparent)]
    Router(#[from] RouterError),
    /// The event was not published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The subscription could not be inspected or moved.
    #[error(transparent)]
    Inquiry(#[from] InquiryError),
    /// The topic cannot be followed.
    #[error(transparent)]
    Consume(#[from] ConsumeError),
}

impl Topic {
    /// The subscription with this name.
    pub fn subscription(&self, name: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.name == name)
    }

    /// How many events are lost with the topic: the largest backlog of its subscriptions, or the events that none has seen.
    pub fn unfinished(&self) -> u64 {
        self.subscriptions.iter().map(Subscription::unfinished).max().unwrap_or(0) + self.waiting
    }
}

impl Subscription {
    /// How many events are not finished yet.
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.in_flight + self.deferred
    }

    /// Whether it disappears with its consumers.
    pub fn is_temporary(&self) -> bool {
        self.name.ends_with("#ephemeral")
    }
}

impl From<TopicStats> for Topic {
    fn from(stats: TopicStats) -> Self {
        let mut subscriptions: Vec<Subscription> =
            stats.channels.into_iter().map(Subscription::from).collect();
        subscriptions.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            name: stats.topic_name,
            waiting: stats.depth,
            messages: stats.message_count,
            paused: stats.paused,
            subscriptions,
        }
    }
}

impl From<ChannelStats> for Subscription {
    fn from(stats: ChannelStats) -> Self {
        Self {
            name: stats.channel_name,
            waiting: stats.depth,
            in_flight: stats.in_flight_count,
            deferred: stats.deferred_count,
            requeued: stats.requeue_count,
            consumers: stats.client_count,
            paused: stats.paused,
        }
    }
}

impl Admin {
    /// All topics, by name.
    ///
    /// # Errors
    /// When the router does not answer.
    pub async fn topics(&self) -> Result<Vec<Topic>, RouterError> {
        let mut topics: Vec<Topic> = self.api.stats().await?.into_iter().map(Topic::from).collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// The topic with this name.
    ///
    /// # Errors
    /// When there is no such topic, or the router does not answer.
    pub async fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        let mut topics = self.topics().await?;
        match topics.iter().position(|topic| topic.name == name) {
            Some(at) => Ok(topics.swap_remove(at)),
            None => {
                let known = topics.into_iter().map(|topic| topic.name).collect();
                Err(TopicError::NoTopic { topic: name.to_owned(), known })
            }
        }
    }

    /// The topic with this name, provided that it has the subscription.
    async fn topic_with(&self, name: &str, subscription: &str) -> Result<Topic, TopicError> {
        let topic = self.topic(name).await?;
        if topic.subscription(subscription).is_some() {
            return Ok(topic);
        }
        Err(TopicError::NoSubscription {
            topic: topic.name,
            subscription: subscription.to_owned(),
            known: topic.subscriptions.into_iter().map(|one| one.name).collect(),
        })
    }

    /// How many events would be lost by removing a topic, or one subscription of it.
    ///
    /// # Errors
    /// When it does not exist or may not be removed, or the router does not answer.
    pub async fn removable(&self, topic: &str, subscription: Option<&str>) -> Result<u64, TopicError> {
        if topic == TopicName::DEAD.as_str() {
            return Err(TopicError::Reserved { topic: topic.to_owned() });
        }
        Ok(match subscription {
            None => self.topic(topic).await?.unfinished(),
            Some(name) => {
                let topic = self.topic_with(topic, name).await?;
                topic.subscription(name).map_or(0, Subscription::unfinished)
            }
        })
    }

    /// Removes a topic, or one subscription of it, with all waiting events. `false` when it was gone already.
    ///
    /// # Errors
    /// When the router does not answer or does not support it.
    pub async fn remove(&self, topic: &str, subscription: Option<&str>) -> Result<bool, RouterError> {
        self.api.delete(topic, subscription).await
    }

    /// Publishes one event, and returns the broker's receipt once it has the event.
    ///
    /// # Errors
    /// When the broker refuses it.
    pub async fn publish(&self, topic: &TopicName, event: Envelope) -> Result<Receipt, TopicError> {
        let events = vec![Outgoing { envelope: event.into(), delay: std::time::Duration::ZERO }];
        let results = self.broker().await?.publish(&TopicSpec::new(topic.clone()), events).await;
        let unanswered = || Err(PublishError::Refused("the driver gave no answer".into()));
        Ok(results.into_iter().next().unwrap_or_else(unanswered)?)
    }

    /// Publishes raw bytes without an envelope, like programs that know nothing about Bis.
    ///
    /// # Errors
    /// When the router refuses them.
    pub async fn publish_bytes(&self, topic: &TopicName, body: &[u8]) -> Result<(), RouterError> {
        self.api.publish(topic.as_str(), body).await
    }

    /// Moves a subscription: everything from a position or time on is delivered (again), as far as the broker keeps it.
    /// Other subscriptions are not affected.
    ///
    /// # Errors
    /// When it does not exist, or the broker does not support it.
    pub async fn replay(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        from: ReplayFrom,
    ) -> Result<Replayed, TopicError> {
        self.topic_with(topic.as_str(), subscription.as_str()).await?;
        Ok(self.broker().await?.replay(&spec(topic, subscription), from).await?)
    }

    /// Everything that a subscription has not finished, oldest first. Removes nothing.
    ///
    /// # Errors
    /// When it does not exist, or the broker does not support it.
    pub async fn waiting(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
    ) -> Result<Vec<Waiting>, TopicError> {
        self.topic_with(topic.as_str(), subscription.as_str()).await?;
        let mut events = Vec::new();
        self.look(topic, subscription, |page| {
            events.extend(page);
            None::<()>
        })
        .await?;
        Ok(events)
    }

    /// Inspects a subscription page by page, until `look` has found what it wants.
    pub(crate) async fn look<T>(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        mut look: impl FnMut(Vec<Waiting>) -> Option<T>,
    ) -> Result<Option<T>, TopicError> {
        let (broker, spec) = (self.broker().await?, spec(topic, subscription));
        let mut after = None;
        loop {
            let page = broker.peek(&spec, after, PAGE).await?;
            after = page.events.last().map(|last| last.position);
            let found = look(page.events);
            if found.is_some() || !page.more || after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Whether the event at this position of the topic waits for the subscription.
    pub(crate) async fn is_waiting(
        &self,
        topic: &TopicName,
        subscription: &SubscriptionName,
        position: u64,
    ) -> Result<bool, TopicError> {
        let (broker, spec) = (self.broker().await?, spec(topic, subscription));
        let page = broker.peek(&spec, position.checked_sub(1), NonZeroUsize::MIN).await?;
        Ok(page.events.iter().any(|event| event.position == position))
    }
}

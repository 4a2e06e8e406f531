//! What a broker must have before an app is ready.

use bis_core::{Retention, SubscriptionName, TopicName};

/// Every topic and subscription that an app knows of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// The topics.
    pub topics: Vec<TopicSpec>,
    /// The subscriptions. Each one's topic is among `topics`.
    pub subscriptions: Vec<SubscriptionSpec>,
}

/// A topic as the broker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name in the app.
    pub name: TopicName,
    /// Whether events of one key are to be handled one at a time and in order.
    pub ordered: bool,
    /// How long what was handled is kept.
    pub retention: Retention,
}

impl TopicSpec {
    /// An unordered topic that keeps what was handled for as long as usual.
    pub const fn new(name: TopicName) -> Self {
        Self { name, ordered: false, retention: Retention::DEFAULT }
    }

    /// The reserved topic of dead letters.
    pub const DEAD: Self = Self::new(TopicName::DEAD);
}

/// A subscription as the broker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// The topic.
    pub topic: TopicName,
    /// Its name within the topic.
    pub name: SubscriptionName,
    /// Whether events of one key are delivered one at a time and in order.
    pub ordered: bool,
}

//! What carries an app's events: the extension that this room brings to an instance. Every event of the app leaves through it,
//! dead letters too.

use std::{collections::HashMap, fmt, sync::Arc};

use bis_broker::Broker;
use bis_core::{Capabilities, TopicName};

use super::{entry, listen::Listening, metrics::Metrics};
use crate::instance::{Instance, Services};

/// The broker of one app, and what its subscriptions take.
pub(crate) struct Bus {
    broker: Arc<dyn Broker>,
    /// The whole path of the type that subscriptions take, by topic.
    taken: HashMap<&'static str, &'static str>,
    metrics: Metrics,
    listening: Listening,
}

impl Bus {
    /// Takes events of any type, as a test does that plays another build of the app.
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        let (metrics, listening) = (Metrics::default(), Listening::default());
        Self { broker, taken: HashMap::new(), metrics, listening }
    }

    /// Knows which type the subscriptions of each topic take.
    pub(crate) fn with_types(mut self, services: &Services) -> Self {
        let declared = entry::subscriptions(services).into_iter().map(|declared| declared.subscribed.topic);
        self.taken = declared.map(|topic| (topic.name, topic.type_name)).collect();
        self
    }

    /// The bus of an app.
    pub(crate) fn of(instance: &Instance) -> &Self {
        instance.extension()
    }

    /// The broker.
    pub(crate) fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    /// Who listens to topics.
    pub(crate) fn listening(&self) -> &Listening {
        &self.listening
    }

    /// What the broker can do.
    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.broker.capabilities()
    }

    /// What is counted and timed.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The whole path of the type that the subscriptions of a topic take, where that is known.
    pub(crate) fn taken(&self, topic: &TopicName) -> Option<&'static str> {
        self.taken.get(topic.as_str()).copied()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("taken", &self.taken).finish_non_exhaustive()
    }
}

//! Delivery: from what a broker hands over to how it is settled, the same on every broker. It owns the bound on handlers,
//! timeouts, leases, retries, panics and dead letters; it knows nothing of what a broker does on the wire.
//!
//! Nothing is ever acked that was not handled, kept as a dead letter, or meant for another subscription.

mod attempt;
mod batch;
mod dead_letter;
mod leases;
mod memory;
mod settle;
mod worker;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use bis_broker::{ConsumeError, Consumer, EnsureError, SubscriptionSpec, TopicSpec, Topology};
use bis_core::{InvalidName, RetryPolicy, SubscriptionName, TopicName, codes, format_duration};
use tokio::{runtime::Handle, sync::watch, task::JoinHandle, time::Instant};

use leases::Leases;

use super::{bus::Bus, entry::ErasedHandler, topic::TopicInfo};
use crate::instance::Instance;

/// The subscription that keeps dead letters. Nobody consumes it: tools peek.
pub(crate) const DEAD_STORE: &str = "store";

/// A subscription with its handler and everything that was declared about it.
pub(crate) struct Subscription {
    pub(crate) topic: TopicName,
    pub(crate) name: SubscriptionName,
    pub(crate) service: &'static str,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Duration,
    pub(crate) concurrency: usize,
    pub(crate) declared: TopicInfo,
    pub(crate) handler: ErasedHandler,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// The longest that an event is held: until its batch is gathered, and then until the handler's timeout.
    fn held_for(&self) -> Duration {
        match &self.handler {
            ErasedHandler::One(_) => self.timeout,
            ErasedHandler::Batch { wait, .. } => self.timeout.saturating_add(*wait),
        }
    }

    fn spec(&self) -> SubscriptionSpec {
        SubscriptionSpec {
            topic: self.topic.clone(),
            name: self.name.clone(),
            ordered: self.declared.ordered,
        }
    }
}

/// Why deliveries could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A name in the registry is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Two subscriptions of one topic share a name.
    #[error(
        "topic `{topic}` has two subscriptions named `{name}`; give one another name [{}]",
        codes::SAME_SUBSCRIPTION
    )]
    Duplicate {
        /// The topic.
        topic: TopicName,
        /// The name.
        name: SubscriptionName,
    },
    /// The broker does not have what the app needs.
    #[error("the broker is not ready for the app: {0}")]
    Ensure(#[from] EnsureError),
    /// A subscription cannot be consumed.
    #[error("subscription `{name}` of topic `{topic}` cannot be consumed: {source}")]
    Consume {
        /// The topic.
        topic: TopicName,
        /// The subscription.
        name: SubscriptionName,
        /// Why.
        source: ConsumeError,
    },
}

/// The workers of an app's subscriptions.
pub(crate) struct Workers {
    stop: watch::Sender<bool>,
    leases: Arc<Leases>,
    /// Those that are not told to run yet.
    waiting: Vec<Waiting>,
    running: Vec<JoinHandle<()>>,
}

/// A worker with what it will receive from.
type Waiting = (worker::Worker, Box<dyn Consumer>);

/// Everything that the broker must have for these subscriptions, the dead letters included.
fn topology(subscriptions: &[Arc<Subscription>]) -> Result<Topology, StartError> {
    let mut topology = Topology::default();
    let store = SubscriptionName::from_static(DEAD_STORE);
    topology.topics.push(TopicSpec::DEAD);
    topology.subscriptions.push(SubscriptionSpec { topic: TopicName::DEAD, name: store, ordered: false });
    for subscription in subscriptions {
        let (topic, name) = (&subscription.topic, &subscription.name);
        if topology.subscriptions.iter().any(|other| other.topic == *topic && other.name == *name) {
            return Err(StartError::Duplicate { topic: topic.clone(), name: name.clone() });
        }
        if !topology.topics.iter().any(|spec| spec.name == *topic) {
            let TopicInfo { ordered, retention, .. } = subscription.declared;
            topology.topics.push(TopicSpec { name: topic.clone(), ordered, retention });
        }
        topology.subscriptions.push(subscription.spec());
    }
    Ok(topology)
}

/// Makes sure that the broker has `all` subscriptions of the app, so that it keeps for each what is published from now on.
pub(crate) async fn ensure(instance: &Instance, all: &[Arc<Subscription>]) -> Result<(), StartError> {
    Ok(Bus::of(instance).broker().ensure(&topology(all)?).await?)
}

/// Subscribes to those that are `hosted` here, which the broker has. Nothing is delivered yet. Leases are extended by the current runtime, which handlers cannot block if they run on another.
pub(crate) async fn subscribe(
    instance: &Arc<Instance>,
    hosted: &[Arc<Subscription>],
) -> Result<Workers, StartError> {
    let bus = Bus::of(instance);
    let leases = Leases::start();
    let mut waiting = Vec::with_capacity(hosted.len());
    for subscription in hosted {
        if let Some(longest) = bus.capabilities().max_lease
            && subscription.held_for() > longest
        {
            let (held_for, longest) = (format_duration(subscription.held_for()), format_duration(longest));
            tracing::warn!(%subscription, held_for, longest, "the broker takes an event back before a batch is gathered and the handler's timeout is over; such a run happens twice");
        }
        let consumer = bus.broker().subscribe(&subscription.spec()).await.map_err(|source| {
            StartError::Consume { topic: subscription.topic.clone(), name: subscription.name.clone(), source }
        })?;
        let worker =
            worker::Worker::new(instance.clone(), subscription.clone(), leases.clone(), consumer.extender());
        waiting.push((worker, consumer));
    }
    Ok(Workers { stop: watch::Sender::new(false), leases, waiting, running: Vec::new() })
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Every handler finished.
    Drained,
    /// Some handlers outlived the limit; their events come again.
    CutOff,
}

impl Workers {
    /// Delivers from now on. Handlers run on the runtime `handlers`.
    pub(crate) fn run(&mut self, handlers: &Handle) {
        let stopped = &self.stop;
        let run = |(worker, consumer): Waiting| handlers.spawn(worker.run(consumer, stopped.subscribe()));
        self.running.extend(self.waiting.drain(..).map(run));
    }

    /// Takes no more deliveries.
    pub(crate) fn drain(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the handlers that run, until `deadline`.
    pub(crate) async fn stop(self, deadline: Instant) -> Stopped {
        self.drain();
        drop(self.waiting);
        let all = async {
            for worker in self.running {
                // A worker that panicked has nothing left to wait for.
                worker.await.ok();
            }
        };
        match tokio::time::timeout_at(deadline, all).await {
            Ok(()) => Stopped::Drained,
            Err(_) => {
                self.leases.release_unstarted();
                Stopped::CutOff
            }
        }
    }
}

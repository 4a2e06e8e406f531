//! What is counted and timed of an app's events: publishes by topic, deliveries by subscription.

use std::{sync::Arc, time::Duration};

use bis_core::{
    DeadReason, SubscriptionName, TopicName,
    prometheus::{COUNTER, GAUGE, Labels, Page},
};

use crate::telemetry::metrics::{Count, Family, Outcomes, Timing};

/// How publishes end.
const PUBLISHED: [&str; 2] = ["published", "failed"];

/// What happens to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Handled, or meant for another subscription.
    Acked,
    /// It comes again, and an attempt was used up.
    Retried,
    /// It comes again, and no attempt was used up.
    Postponed,
    /// It is a dead letter.
    Dead,
}

impl Settled {
    const ALL: [Self; 4] = [Self::Acked, Self::Retried, Self::Postponed, Self::Dead];

    fn as_str(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Retried => "retried",
            Self::Postponed => "postponed",
            Self::Dead => "dead",
        }
    }
}

/// The numbers of one app.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    topics: Family<TopicName, Outcomes<{ PUBLISHED.len() }>>,
    subscriptions: Family<(TopicName, SubscriptionName), Subscribed>,
}

/// The numbers of one subscription.
#[derive(Debug)]
pub(crate) struct Subscribed {
    /// How long runs of the handler took, by how they ended.
    runs: Outcomes<{ RUNS.len() }>,
    /// How old events were when their handler began with them for the first time.
    lag: Timing,
    /// Deliveries, by outcome.
    settled: [Count; Settled::ALL.len()],
    /// Dead letters, by why.
    dead: [Count; DeadReason::ALL.len()],
    /// Runs that have begun and those that have ended: their difference runs now.
    begun: Count,
    ended: Count,
}

/// How runs of a handler end.
const RUNS: [&str; 5] = ["handled", "failed", "timed_out", "panicked", "undecodable"];

impl Metrics {
    /// Events were handed to the broker, together.
    pub(crate) fn published(&self, topic: &TopicName, took: Duration, is_published: bool) {
        let [published, failed] = PUBLISHED;
        let outcomes = self.topics.of(topic, || Outcomes::new(PUBLISHED));
        outcomes.add(if is_published { published } else { failed }, took);
    }

    /// The numbers of a subscription.
    pub(crate) fn subscription(&self, topic: &TopicName, name: &SubscriptionName) -> Arc<Subscribed> {
        self.subscriptions.of(&(topic.clone(), name.clone()), Subscribed::default)
    }

    /// Writes all of them.
    pub(crate) fn write(&self, page: &mut Page) {
        let topics = self.topics.all();
        let published =
            topics.iter().flat_map(|(topic, one)| one.distributions(&vec![("topic", topic.to_string())]));
        let help = "How long the broker took to answer a publish, of one event or of several together.";
        page.histogram("bis_publish_duration_seconds", help, published);
        let all = self.subscriptions.all();
        let all: Vec<_> = all.iter().map(|((topic, name), one)| (labels(topic, name), one)).collect();
        let help = "How old an event was when a handler began with it for the first time.";
        let lag = all.iter().map(|(labels, one)| (labels.clone(), one.lag.distribution()));
        page.histogram("bis_delivery_lag_seconds", help, lag);
        let help = "How long a handler ran, once for each attempt or batch.";
        let runs = all.iter().flat_map(|(labels, one)| one.runs.distributions(labels));
        page.histogram("bis_attempt_duration_seconds", help, runs);
        let help = "Runs of handlers that have not ended yet.";
        let running = all.iter().map(|(labels, one)| (labels.clone(), one.running() as f64));
        page.family("bis_attempts_running", GAUGE, help, running);
        let help = "Deliveries, by what became of them.";
        let settled = all.iter().flat_map(|(labels, one)| {
            Settled::ALL.iter().zip(&one.settled).map(|(settled, count)| {
                (with(labels, "outcome", settled.as_str().to_owned()), count.get() as f64)
            })
        });
        page.family("bis_deliveries_total", COUNTER, help, settled);
        let help = "Dead letters, by why.";
        let dead = all.iter().flat_map(|(labels, one)| {
            DeadReason::ALL.iter().zip(&one.dead).map(|(reason, count)| {
                (with(labels, "reason", reason.as_str().to_owned()), count.get() as f64)
            })
        });
        page.family("bis_dead_letters_total", COUNTER, help, dead);
    }
}

impl Default for Subscribed {
    fn default() -> Self {
        Self {
            runs: Outcomes::new(RUNS),
            lag: Timing::default(),
            settled: Default::default(),
            dead: Default::default(),
            begun: Count::default(),
            ended: Count::default(),
        }
    }
}

impl Subscribed {
    /// A run began.
    pub(crate) fn begin(&self) {
        self.begun.add_one();
    }

    /// A run ended, with the word for its outcome.
    pub(crate) fn end(&self, outcome: &str, took: Duration) {
        self.ended.add_one();
        self.runs.add(outcome, took);
    }

    /// An event of this age met a handler for the first time.
    pub(crate) fn met(&self, age: Duration) {
        self.lag.add(age);
    }

    /// A delivery was settled.
    pub(crate) fn settled(&self, settled: Settled) {
        self.settled[settled as usize].add_one();
    }

    /// An event died.
    pub(crate) fn died(&self, reason: DeadReason) {
        self.settled(Settled::Dead);
        self.dead[reason as usize].add_one();
    }

    fn running(&self) -> u64 {
        // Read in this order, a run that ends meanwhile cannot make it negative.
        let ended = self.ended.get();
        self.begun.get().saturating_sub(ended)
    }
}

fn labels(topic: &TopicName, name: &SubscriptionName) -> Labels {
    vec![("topic", topic.to_string()), ("subscription", name.to_string())]
}

fn with(labels: &Labels, name: &'static str, value: String) -> Labels {
    let mut labels = labels.clone();
    labels.push((name, value));
    labels
}

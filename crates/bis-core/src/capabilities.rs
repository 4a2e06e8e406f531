//! What each broker can and cannot do, as data: drivers adhere to it, the conformance suite tests it (what is missing
//! must be refused), and the graph's rules explain it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A kind of broker that carries an app's events. Displays as it is called in a sentence: `the router`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// Memory of the app's own process.
    InProcess,
    /// Bis's own router.
    Router,
    /// A real nsqd.
    Nsqd,
}

impl fmt::Display for BrokerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProcess => "the in-process broker",
            Self::Router => "the router",
            Self::Nsqd => "nsqd",
        })
    }
}

/// What one broker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Which broker.
    pub broker: BrokerKind,
    /// Whether an accepted event survives a kill of the broker.
    pub durable: bool,
    /// Whether several processes share a subscription.
    pub multi_process: bool,
    /// Within which scope events of an ordered topic are handled one at a time, in the order in which they were published.
    pub order: OrderScope,
    /// Whether a delivery can be taken back without counting as an attempt.
    pub uncounted_release: bool,
    /// Whether deliveries report how often their event crashed its process. Where they do not, the count of attempts is
    /// used.
    pub crash_count: bool,
    /// Whether waiting events can be inspected without consuming them.
    pub peek: bool,
    /// Which events are recognized when they are published again under the same id, and not delivered again.
    pub deduplication: Deduplication,
    /// Whether a subscription can be moved back to events that it has handled.
    pub replay: bool,
    /// The longest delay of a publish, beyond which it is refused; `None` means no limit, and zero means that
    /// delays are not supported.
    pub max_publish_delay: Option<Duration>,
    /// The longest wait for a retry, to which a longer one is shortened; `None` is no limit.
    pub max_retry_delay: Option<Duration>,
    /// Whether delayed events survive a restart of the broker.
    pub durable_delay: bool,
    /// How long a delivery may stay with one handler however often it is extended; `None` is no limit.
    pub max_lease: Option<Duration>,
    /// The largest event on the wire, in bytes.
    pub max_event_bytes: usize,
    /// How many events one call carries.
    pub batch: BatchSize,
    /// What an event's attributes may be so that the broker carries them beside its data, where filters see them; `None`:
    /// they are in the message's body alone. The others travel packed in one attribute, or in the body.
    pub attributes: Option<AttributeLimits>,
}

/// Within which scope a broker keeps events in order. With every scope but the first, events with the same key are in
/// order; they differ in what else waits for an event that is being handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderScope {
    /// No order at all.
    None,
    /// Events of the same key, as with groups of SQS FIFO and ordering keys of Pub/Sub.
    Key,
    /// Events of all keys that share a partition, as in Kafka.
    Partition,
    /// Every event of the subscription, as in JetStream with one message in flight.
    Subscription,
}

impl OrderScope {
    /// Whether events with the same key are handled one at a time and in order.
    pub const fn keeps_keys_in_order(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Which events a broker recognizes when they are published again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deduplication {
    /// None.
    None,
    /// This many of the latest.
    Latest(usize),
    /// Those within this time.
    Within(Duration),
}

/// How many events one call of a broker carries at most; `None` means no limit. A driver splits larger batches into
/// several calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BatchSize {
    /// One publish.
    pub publish: Option<usize>,
    /// One receive.
    pub receive: Option<usize>,
}

impl BatchSize {
    /// No limit.
    pub const UNLIMITED: Self = Self { publish: None, receive: None };
}

/// Which attributes a broker carries beside an event's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AttributeLimits {
    /// How many, including those of the envelope.
    pub count: usize,
    /// The longest name, in bytes.
    pub name_bytes: usize,
    /// The longest value, in bytes.
    pub value_bytes: usize,
}

impl AttributeLimits {
    /// No limit.
    pub const UNLIMITED: Self = Self { count: usize::MAX, name_bytes: usize::MAX, value_bytes: usize::MAX };
}

impl Capabilities {
    /// What `broker` can do with its default settings.
    pub const fn of(broker: BrokerKind) -> Capabilities {
        match broker {
            BrokerKind::InProcess => IN_PROCESS,
            BrokerKind::Router => ROUTER,
            BrokerKind::Nsqd => NSQD,
        }
    }
}

/// How many of the latest events Bis's own brokers recognize by default.
const DEDUPLICATION: usize = 100_000;

const IN_PROCESS: Capabilities = Capabilities {
    broker: BrokerKind::InProcess,
    durable: false,
    multi_process: false,
    order: OrderScope::Key,
    uncounted_release: true,
    crash_count: true,
    peek: true,
    deduplication: Deduplication::Latest(DEDUPLICATION),
    replay: true,
    max_publish_delay: None,
    max_retry_delay: None,
    durable_delay: false,
    max_lease: None,
    max_event_bytes: 1024 * 1024,
    batch: BatchSize::UNLIMITED,
    attributes: Some(AttributeLimits::UNLIMITED),
};

/// Defaults of the router: `max_requeue_delay`, `max_message_timeout`, `max_message_bytes`.
const ROUTER: Capabilities = Capabilities {
    broker: BrokerKind::Router,
    durable: true,
    multi_process: true,
    order: OrderScope::Key,
    uncounted_release: true,
    crash_count: true,
    peek: true,
    deduplication: Deduplication::Latest(DEDUPLICATION),
    replay: true,
    max_publish_delay: Some(Duration::from_secs(30 * 24 * 60 * 60)),
    max_retry_delay: Some(Duration::from_secs(30 * 24 * 60 * 60)),
    durable_delay: true,
    max_lease: Some(Duration::from_secs(15 * 60)),
    max_event_bytes: 1024 * 1024,
    batch: BatchSize::UNLIMITED,
    attributes: None,
};

/// Defaults of nsqd 1.3.0: `--max-req-timeout`, `--max-msg-timeout`, `--max-msg-size`.
const NSQD: Capabilities = Capabilities {
    broker: BrokerKind::Nsqd,
    durable: false,
    multi_process: true,
    order: OrderScope::None,
    uncounted_release: false,
    crash_count: false,
    peek: false,
    deduplication: Deduplication::None,
    replay: false,
    max_publish_delay: Some(Duration::from_secs(60 * 60)),
    max_retry_delay: Some(Duration::from_secs(60 * 60)),
    durable_delay: false,
    max_lease: Some(Duration::from_secs(15 * 60)),
    max_event_bytes: 1024 * 1024,
    batch: BatchSize::UNLIMITED,
    attributes: None,
};

//! What each broker can and cannot do, as data: drivers keep it, the conformance suite tests it (what is not there must
//! be refused), and the graph's rules explain it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A kind of broker that carries an app's events. Displays as a sentence calls it: `the router`.
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
    /// Whether an event that was taken survives a kill of the broker.
    pub durable: bool,
    /// Whether several processes share a subscription.
    pub multi_process: bool,
    /// Whether events of one key are handled one at a time, in the order in which they were published.
    pub ordering: bool,
    /// Whether a delivery can be taken back without counting as an attempt.
    pub uncounted_release: bool,
    /// Whether events that wait can be looked at without consuming them.
    pub peek: bool,
    /// Among how many of the latest events one that is published again under the same id is known and not delivered
    /// again; `None` is not at all.
    pub deduplication: Option<usize>,
    /// Whether a subscription can be moved back to events that it has handled.
    pub replay: bool,
    /// The longest delay of a publish and the longest wait for a retry; `None` is no limit.
    pub max_delay: Option<Duration>,
    /// Whether events that wait for their time survive a restart of the broker.
    pub durable_delay: bool,
    /// How long a delivery may stay with one handler however often it is extended; `None` is no limit.
    pub max_lease: Option<Duration>,
    /// The largest event on the wire, in bytes.
    pub max_event_bytes: usize,
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

/// Among how many of the latest events Bis's own brokers recognize one, unless told otherwise.
const DEDUPLICATION: usize = 100_000;

const IN_PROCESS: Capabilities = Capabilities {
    broker: BrokerKind::InProcess,
    durable: false,
    multi_process: false,
    ordering: true,
    uncounted_release: true,
    peek: true,
    deduplication: Some(DEDUPLICATION),
    replay: true,
    max_delay: None,
    durable_delay: false,
    max_lease: None,
    max_event_bytes: 1024 * 1024,
};

/// Defaults of the router: `max_requeue_delay`, `max_message_timeout`, `max_message_bytes`.
const ROUTER: Capabilities = Capabilities {
    broker: BrokerKind::Router,
    durable: true,
    multi_process: true,
    ordering: true,
    uncounted_release: true,
    peek: true,
    deduplication: Some(DEDUPLICATION),
    replay: true,
    max_delay: Some(Duration::from_secs(30 * 24 * 60 * 60)),
    durable_delay: true,
    max_lease: Some(Duration::from_secs(15 * 60)),
    max_event_bytes: 1024 * 1024,
};

/// Defaults of nsqd 1.3.0: `--max-req-timeout`, `--max-msg-timeout`, `--max-msg-size`.
const NSQD: Capabilities = Capabilities {
    broker: BrokerKind::Nsqd,
    durable: false,
    multi_process: true,
    ordering: false,
    uncounted_release: false,
    peek: false,
    deduplication: None,
    replay: false,
    max_delay: Some(Duration::from_secs(60 * 60)),
    durable_delay: false,
    max_lease: Some(Duration::from_secs(15 * 60)),
    max_event_bytes: 1024 * 1024,
};

//! Which clients are connected, and what each has published. Statistics read it; it decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bis_nsq::Name;
use serde::Serialize;

use super::stats::ClientStats;
use crate::state::topic::ClientInfo;

/// All clients that are connected.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    open: Mutex<BTreeMap<u64, Arc<Mutex<Client>>>>,
    accepted: AtomicU64,
}

#[derive(Debug)]
struct Client {
    info: Arc<ClientInfo>,
    published: BTreeMap<Name, Arc<AtomicU64>>,
}

/// One client's entry, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    clients: Arc<Clients>,
    number: u64,
    client: Arc<Mutex<Client>>,
    /// The topic it published to last, which most often is the next one too.
    last: Option<(Name, Arc<AtomicU64>)>,
}

impl Clients {
    /// Notes a client that connected.
    pub(crate) fn enter(self: &Arc<Self>, info: Arc<ClientInfo>) -> Presence {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Mutex::new(Client { info, published: BTreeMap::new() }));
        locked(&self.open).insert(number, Arc::clone(&client));
        Presence { clients: Arc::clone(self), number, client, last: None }
    }

    /// How many clients are connected.
    pub(crate) fn count(&self) -> usize {
        locked(&self.open).len()
    }

    /// How many clients have connected since the start.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Those that have published, with their counts for one topic or for all.
    pub(super) fn producers(&self, topic: Option<&str>) -> Vec<ProducerStats> {
        let open: Vec<_> = locked(&self.open).values().cloned().collect();
        open.iter().filter_map(|client| locked(client).producer(topic)).collect()
    }
}

impl Client {
    fn producer(&self, topic: Option<&str>) -> Option<ProducerStats> {
        let is_asked = |name: &Name| topic.is_none_or(|topic| name.as_str() == topic);
        let counts = self.published.iter().filter(|(name, _)| is_asked(name)).map(|(name, count)| PubCount {
            topic: name.as_str().to_owned(),
            count: count.load(Ordering::Relaxed),
        });
        let producer = ProducerStats { client: ClientStats::new(&self.info), pub_counts: counts.collect() };
        (!self.published.is_empty()).then_some(producer)
    }
}

impl Presence {
    /// The client said who it is.
    pub(crate) fn identified(&self, info: Arc<ClientInfo>) {
        locked(&self.client).info = info;
    }

    /// The client published so many messages.
    pub(crate) fn published(&mut self, topic: &Name, messages: usize) {
        if let Some((last, count)) = &self.last
            && last == topic
        {
            count.fetch_add(messages as u64, Ordering::Relaxed);
            return;
        }
        // The name's own bytes are part of a buffer that must not be kept.
        let Ok(topic) = Name::new(topic.as_bytes()) else { return };
        let count = Arc::clone(locked(&self.client).published.entry(topic.clone()).or_default());
        count.fetch_add(messages as u64, Ordering::Relaxed);
        self.last = Some((topic, count));
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        locked(&self.clients.open).remove(&self.number);
    }
}

/// A client that has published, as nsqd shows it.
#[derive(Debug, Serialize)]
pub(super) struct ProducerStats {
    #[serde(flatten)]
    client: ClientStats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub_counts: Vec<PubCount>,
}

#[derive(Debug, Serialize)]
struct PubCount {
    topic: String,
    count: u64,
}

impl fmt::Display for ProducerStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.pub_counts.iter().map(|one| one.count).sum();
        let topics: Vec<String> =
            self.pub_counts.iter().map(|one| format!("{}={}", one.topic, one.count)).collect();
        let (id, topics, connected) = (self.client.id(), topics.join(","), self.client.connected());
        write!(out, "[V2 {id:<21}] msgs: {total:<8} topics: {topics} connected: {connected}s")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers and names are whole at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

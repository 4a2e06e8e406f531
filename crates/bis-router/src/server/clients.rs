//! Which clients are connected, and what each has published. Statistics read it; it decides nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bis_broker::NumberMap;
use bis_nsq::Name;

use super::stats::{ClientStats, PubCount};
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
    /// By the topic's number: its name, and how many messages. A topic that was made anew has another number.
    published: NumberMap<u32, (Name, u64)>,
}

/// One client's entry, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    clients: Arc<Clients>,
    number: u64,
    client: Arc<Mutex<Client>>,
    /// What was published to one topic and is not yet added up: most often it is the only one.
    latest: Option<(u32, Name, u64)>,
}

impl Clients {
    /// Notes a client that connected.
    pub(crate) fn enter(self: &Arc<Self>, info: Arc<ClientInfo>) -> Presence {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Mutex::new(Client { info, published: NumberMap::default() }));
        locked(&self.open).insert(number, Arc::clone(&client));
        Presence { clients: Arc::clone(self), number, client, latest: None }
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
    pub(super) fn producers(&self, topic: Option<&str>) -> Vec<ClientStats> {
        let open: Vec<_> = locked(&self.open).values().cloned().collect();
        open.iter().filter_map(|client| locked(client).producer(topic)).collect()
    }
}

impl Client {
    fn add(&mut self, topic: u32, name: &Name, messages: u64) {
        if let Some((_, count)) = self.published.get_mut(&topic) {
            *count += messages;
        } else {
            self.published.insert(topic, (name.detached(), messages));
        }
    }

    fn producer(&self, topic: Option<&str>) -> Option<ClientStats> {
        let is_asked = |name: &Name| topic.is_none_or(|topic| name.as_str() == topic);
        let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, count) in self.published.values().filter(|(name, _)| is_asked(name)) {
            *by_name.entry(name.as_str()).or_default() += count;
        }
        let counts = by_name.into_iter().map(|(topic, count)| PubCount { topic: topic.to_owned(), count });
        let mut producer = ClientStats::new(&self.info);
        producer.pub_counts = counts.collect();
        (!self.published.is_empty()).then_some(producer)
    }
}

impl Presence {
    /// The client said who it is.
    pub(crate) fn identified(&self, info: Arc<ClientInfo>) {
        locked(&self.client).info = info;
    }

    /// The client published so many messages to the topic of this number. They show in statistics after
    /// [`Presence::settle`].
    pub(crate) fn published(&mut self, topic: u32, name: &Name, messages: u64) {
        match &mut self.latest {
            Some((latest, _, count)) if *latest == topic => *count += messages,
            Some(_) => locked(&self.client).add(topic, name, messages),
            None => self.latest = Some((topic, name.clone(), messages)),
        }
    }

    /// Adds up what was published.
    pub(crate) fn settle(&mut self) {
        if let Some((topic, name, messages)) = self.latest.take() {
            locked(&self.client).add(topic, &name, messages);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        locked(&self.clients.open).remove(&self.number);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers and names are whole at every step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

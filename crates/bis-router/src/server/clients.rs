//! Which clients are connected, and what each has published. Statistics read it; it decides nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bis_broker::NumberMap;
use bis_broker::channel::ConsumerId;
use bis_journal::State;

use super::client::ClientInfo;
use super::stats::{ClientStats, PubCount};

/// All clients that are connected.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    open: Mutex<BTreeMap<u64, Arc<Mutex<Client>>>>,
    accepted: AtomicU64,
}

#[derive(Debug)]
struct Client {
    info: Arc<ClientInfo>,
    /// Its consumer, once it has subscribed, and what was known about it then.
    consumer: Option<(ConsumerId, Arc<ClientInfo>)>,
    /// How many messages, by the topics' numbers.
    published: NumberMap<u32, u64>,
}

/// One client's entry, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    clients: Arc<Clients>,
    number: u64,
    client: Arc<Mutex<Client>>,
    /// What was published and is not yet added up, at most what one turn carries out: topics' numbers and counts.
    unsettled: Vec<(u32, u64)>,
}

impl Clients {
    /// Notes a client that connected.
    pub(super) fn enter(self: &Arc<Self>, info: Arc<ClientInfo>) -> Presence {
        let number = self.accepted.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Mutex::new(Client { info, consumer: None, published: NumberMap::default() }));
        locked(&self.open).insert(number, Arc::clone(&client));
        Presence { clients: Arc::clone(self), number, client, unsettled: Vec::new() }
    }

    /// How many clients are connected.
    pub(crate) fn count(&self) -> usize {
        locked(&self.open).len()
    }

    /// How many clients have connected since the start.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Those that have subscribed, by their consumers.
    pub(super) fn consumers(&self) -> BTreeMap<ConsumerId, Arc<ClientInfo>> {
        let open: Vec<_> = locked(&self.open).values().cloned().collect();
        open.iter().filter_map(|client| locked(client).consumer.clone()).collect()
    }

    /// Those that have published, with their counts for one topic or for all that are there.
    pub(super) fn producers(&self, state: &State, topic: Option<&str>) -> Vec<ClientStats> {
        let open: Vec<_> = locked(&self.open).values().cloned().collect();
        open.iter().filter_map(|client| locked(client).producer(state, topic)).collect()
    }
}

impl Client {
    fn producer(&self, state: &State, topic: Option<&str>) -> Option<ClientStats> {
        let named = |(number, count): (&u32, &u64)| Some((state.topic(*number)?.name().as_str(), *count));
        let is_asked = |(name, _): &(&str, u64)| topic.is_none_or(|topic| *name == topic);
        let mut counts: Vec<_> = self.published.iter().filter_map(named).filter(is_asked).collect();
        counts.sort_unstable();
        let counts = counts.into_iter().map(|(topic, count)| PubCount { topic: topic.to_owned(), count });
        let mut producer = ClientStats::new(&self.info);
        producer.pub_counts = counts.collect();
        (!self.published.is_empty()).then_some(producer)
    }
}

impl Presence {
    /// The client's number, unlike any other's.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The client said who it is.
    pub(super) fn identified(&self, info: Arc<ClientInfo>) {
        locked(&self.client).info = info;
    }

    /// The client has subscribed, as this consumer.
    pub(super) fn subscribed(&self, consumer: ConsumerId) {
        let mut client = locked(&self.client);
        client.consumer = Some((consumer, Arc::clone(&client.info)));
    }

    /// The client published this many messages to the topic of this number. They show in statistics after
    /// [`Presence::settle`].
    pub(crate) fn published(&mut self, topic: u32, messages: u64) {
        match self.unsettled.last_mut() {
            Some((latest, count)) if *latest == topic => *count += messages,
            _ => self.unsettled.push((topic, messages)),
        }
    }

    /// Adds up what was published.
    pub(crate) fn settle(&mut self) {
        if !self.unsettled.is_empty() {
            let published = &mut locked(&self.client).published;
            for (topic, messages) in self.unsettled.drain(..) {
                *published.entry(topic).or_default() += messages;
            }
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

//! Statistics in nsqd's shape, as JSON and as text. It only reads, and holds the state's lock for a copy of the numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bis_broker::channel::ConsumerId;
use bis_journal::{ChannelState, Consumer, State, Topic};
use jiff::Timestamp;
use serde::Serialize;

use super::client::ClientInfo;
use super::{Server, VERSION, process, unix_seconds};

/// nsqd's number for a client that has subscribed.
const SUBSCRIBED: u8 = 3;
/// And for one that sent `CLS`.
const CLOSING: u8 = 4;

/// What is asked for; `None` is all.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    pub(super) topic: Option<&'a str>,
    pub(super) channel: Option<&'a str>,
    pub(super) clients: bool,
    pub(super) memory: bool,
}

/// `/stats`.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    version: &'static str,
    health: String,
    start_time: u64,
    /// `None` when the topic that was asked for is not there.
    topics: Option<Vec<TopicStats>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryStats>,
    /// `None` when there is none, or none was asked for.
    producers: Option<Vec<ClientStats>>,
    bis: OwnStats,
}

/// What nsqd does not have.
#[derive(Debug, Serialize)]
struct OwnStats {
    connections: usize,
    connections_accepted: u64,
    damaged_records: u64,
    read_errors: u64,
    sealed_bytes: u64,
    /// Bytes in sealed segments with something unhandled.
    backlog_bytes: u64,
    /// Unhandled messages that were dropped.
    dropped: u64,
    /// Publishes that were recognized as the event that was published before.
    duplicates: u64,
}

/// nsqd's names. Here there is no garbage collector: what belongs to it is zero.
#[derive(Debug, Default, Serialize)]
struct MemoryStats {
    heap_objects: u64,
    heap_idle_bytes: u64,
    /// Memory of the process that no file backs.
    heap_in_use_bytes: u64,
    heap_released_bytes: u64,
    gc_pause_usec_100: u64,
    gc_pause_usec_99: u64,
    gc_pause_usec_95: u64,
    next_gc_bytes: u64,
    gc_total_runs: u64,
}

#[derive(Debug, Serialize)]
struct TopicStats {
    topic_name: String,
    channels: Vec<ChannelStats>,
    depth: u64,
    backend_depth: u64,
    message_count: u64,
    message_bytes: u64,
    paused: bool,
    e2e_processing_latency: Latency,
}

#[derive(Debug, Serialize)]
struct ChannelStats {
    channel_name: String,
    depth: u64,
    backend_depth: u64,
    in_flight_count: usize,
    deferred_count: usize,
    message_count: u64,
    requeue_count: u64,
    timeout_count: u64,
    client_count: usize,
    clients: Option<Vec<ClientStats>>,
    paused: bool,
    e2e_processing_latency: Latency,
}

/// Not measured here, as on an nsqd that was not told to.
#[derive(Debug, Default, Serialize)]
struct Latency {
    count: u64,
    percentiles: Option<()>,
}

/// A client, as nsqd shows one.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ClientStats {
    client_id: String,
    hostname: String,
    version: &'static str,
    remote_address: String,
    state: u8,
    ready_count: u32,
    in_flight_count: usize,
    message_count: u64,
    finish_count: u64,
    requeue_count: u64,
    connect_ts: u64,
    sample_rate: u32,
    deflate: bool,
    snappy: bool,
    user_agent: String,
    #[serde(skip_serializing_if = "is_false")]
    authed: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    auth_identity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    auth_identity_url: String,
    /// What it has published, by topic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pub_counts: Vec<PubCount>,
    tls: bool,
    tls_cipher_suite: String,
    tls_version: String,
    tls_negotiated_protocol: String,
    tls_negotiated_protocol_is_mutual: bool,
}

/// How many messages a client has published to a topic.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PubCount {
    pub(super) topic: String,
    pub(super) count: u64,
}

/// Clients that have published, by their addresses.
type Producers = BTreeMap<String, ClientStats>;
/// Clients that have subscribed, by their consumers.
type Consumers = BTreeMap<ConsumerId, Arc<ClientInfo>>;

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Gathers what is asked for.
pub(super) fn gather(server: &Server, filter: &Filter<'_>) -> Stats {
    let state = server.journal.lock();
    let clients = if filter.clients { Known::now(server, &state, filter.topic) } else { Known::default() };
    let topics = topics(&state, filter, &clients);
    let totals = state.totals();
    let own = OwnStats {
        connections: server.clients.count(),
        connections_accepted: server.clients.accepted(),
        damaged_records: totals.damaged,
        read_errors: totals.read_errors,
        sealed_bytes: totals.sealed_bytes,
        backlog_bytes: totals.backlog_bytes,
        dropped: totals.dropped,
        duplicates: totals.duplicates,
    };
    let health = health(&state);
    drop(state);
    let producers: Vec<_> = clients.producers.into_values().filter(|_| topics.is_some()).collect();
    let memory = filter.memory.then(|| MemoryStats {
        heap_in_use_bytes: process::read().anonymous_bytes,
        ..MemoryStats::default()
    });
    Stats {
        version: VERSION,
        health,
        start_time: server.started,
        topics,
        memory,
        producers: Some(producers).filter(|producers| !producers.is_empty()),
        bis: own,
    }
}

/// `OK`, or why not.
pub(super) fn health(state: &State) -> String {
    state.failure().map_or_else(|| "OK".to_owned(), |reason| format!("NOK - {reason}"))
}

/// The topics by name; one without the channel that is asked for is left out.
fn topics(state: &State, filter: &Filter<'_>, clients: &Known) -> Option<Vec<TopicStats>> {
    let topics: Vec<&Topic> = match filter.topic {
        Some(name) => vec![state.topic(state.number_of(name)?)?],
        None => state.topics_by_name(),
    };
    let has_channel = |topic: &&Topic| filter.channel.is_none_or(|name| topic.channel(name).is_some());
    Some(topics.into_iter().filter(has_channel).map(|topic| topic_stats(topic, filter, clients)).collect())
}

/// What is known of clients.
#[derive(Default)]
struct Known {
    producers: Producers,
    consumers: Consumers,
}

impl Known {
    /// The clients that are connected; those that have published with what they are as consumers too.
    fn now(server: &Server, state: &State, topic: Option<&str>) -> Self {
        let consumers = server.clients.consumers();
        let all = server.clients.producers(state, topic).into_iter();
        let mut producers: Producers = all.map(|client| (client.remote_address.clone(), client)).collect();
        for (_, channel) in state.topics_by_name().into_iter().flat_map(Topic::channels) {
            for (id, consumer) in channel.consumers() {
                let Some(info) = consumers.get(&id) else { continue };
                if let Some(client) = producers.get_mut(&info.remote_address) {
                    let pub_counts = std::mem::take(&mut client.pub_counts);
                    *client =
                        ClientStats { pub_counts, ..ClientStats::consumer(channel, id, consumer, info) };
                }
            }
        }
        Self { producers, consumers }
    }

    /// One consumer of a channel.
    fn consumer(&self, channel: &ChannelState, id: ConsumerId, consumer: &Consumer) -> Option<ClientStats> {
        let info = self.consumers.get(&id)?;
        let producer = self.producers.get(&info.remote_address).cloned();
        Some(producer.unwrap_or_else(|| ClientStats::consumer(channel, id, consumer, info)))
    }
}

fn topic_stats(topic: &Topic, filter: &Filter<'_>, clients: &Known) -> TopicStats {
    let channels = topic
        .channels()
        .filter(|(name, _)| filter.channel.is_none_or(|wanted| name.as_str() == wanted))
        .map(|(name, channel)| channel_stats(name.as_str(), channel, filter.clients, clients))
        .collect();
    TopicStats {
        topic_name: topic.name().as_str().to_owned(),
        channels,
        depth: topic.depth(),
        backend_depth: topic.depth(),
        message_count: topic.message_count(),
        message_bytes: topic.message_bytes(),
        paused: topic.is_paused(),
        e2e_processing_latency: Latency::default(),
    }
}

fn channel_stats(name: &str, channel: &ChannelState, with_clients: bool, clients: &Known) -> ChannelStats {
    let machine = channel.machine();
    let counters = machine.counters();
    let clients = channel.consumers().filter_map(|(id, consumer)| clients.consumer(channel, id, consumer));
    ChannelStats {
        channel_name: name.to_owned(),
        depth: machine.depth(),
        backend_depth: machine.depth(),
        in_flight_count: machine.in_flight(),
        deferred_count: machine.deferred(),
        message_count: channel.message_count(),
        requeue_count: counters.requeued,
        timeout_count: counters.expired,
        client_count: channel.consumers().len(),
        clients: with_clients.then(|| clients.collect()),
        paused: machine.is_paused(),
        e2e_processing_latency: Latency::default(),
    }
}

impl ClientStats {
    /// A client, before what it does is known.
    pub(super) fn new(client: &ClientInfo) -> Self {
        let identity = client.identity.clone();
        let (auth_identity, auth_identity_url) =
            identity.map_or_else(Default::default, |identity| (identity.name, identity.url));
        let tls = client.tls.clone();
        let (tls_version, tls_cipher_suite) =
            tls.map_or_else(Default::default, |tls| (tls.version, tls.cipher_suite));
        Self {
            client_id: client.client_id.clone(),
            hostname: client.hostname.clone(),
            version: "V2",
            remote_address: client.remote_address.clone(),
            connect_ts: client.connected,
            user_agent: client.user_agent.clone(),
            sample_rate: client.sample_rate,
            deflate: client.deflate,
            snappy: client.snappy,
            authed: client.identity.is_some(),
            auth_identity,
            auth_identity_url,
            tls: client.tls.is_some(),
            tls_version,
            tls_cipher_suite,
            // As Go has told nsqd for years, whatever was negotiated.
            tls_negotiated_protocol_is_mutual: client.tls.is_some(),
            ..Self::default()
        }
    }

    fn consumer(channel: &ChannelState, id: ConsumerId, consumer: &Consumer, client: &ClientInfo) -> Self {
        Self {
            in_flight_count: channel.machine().in_flight_with(id),
            state: if consumer.is_closing { CLOSING } else { SUBSCRIBED },
            ready_count: consumer.ready,
            message_count: consumer.delivered,
            finish_count: consumer.finished,
            requeue_count: consumer.requeued,
            ..Self::new(client)
        }
    }

    /// Host, port and program, as nsqd's text has them.
    fn id(&self) -> String {
        let port = self.remote_address.rsplit_once(':').map_or("", |(_, port)| port);
        format!("{}:{port} {}", self.hostname, self.user_agent)
    }

    /// How long it has been connected.
    fn connected(&self) -> String {
        since(self.connect_ts)
    }
}

/// The time since then, in seconds since 1970, as Go writes a duration.
fn since(then: u64) -> String {
    let seconds = unix_seconds().saturating_sub(then);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

impl fmt::Display for Stats {
    /// `/stats` for people, line by line as nsqd writes it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "nsqd v{} (bis router)", self.version)?;
        let started = i64::try_from(self.start_time).unwrap_or(i64::MAX);
        writeln!(out, "start_time {}", Timestamp::from_second(started).unwrap_or_default())?;
        writeln!(out, "uptime {}\n", since(self.start_time))?;
        writeln!(out, "Health: {}", self.health)?;
        if let Some(memory) = &self.memory {
            writeln!(out, "\nMemory:\n   {:<25}\t{}", "heap_in_use_bytes", memory.heap_in_use_bytes)?;
        }
        match self.topics.as_deref() {
            None | Some([]) => writeln!(out, "\nTopics: None")?,
            Some(topics) => {
                write!(out, "\nTopics:")?;
                topics.iter().try_for_each(|topic| write!(out, "{topic}"))?;
            }
        }
        let Some(producers) = &self.producers else { return writeln!(out, "\nProducers: None") };
        writeln!(out, "\nProducers:")?;
        producers.iter().try_for_each(|producer| writeln!(out, "   {producer}"))
    }
}

impl fmt::Display for TopicStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic_name, depth, backend_depth, message_count, .. } = self;
        let paused = if self.paused { "*P " } else { "   " };
        writeln!(
            out,
            "\n{paused}[{topic_name:<15}] depth: {depth:<5} be-depth: {backend_depth:<5} msgs: {message_count:<8} e2e%: "
        )?;
        self.channels.iter().try_for_each(|channel| write!(out, "{channel}"))
    }
}

impl fmt::Display for ChannelStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channel_name, depth, backend_depth, in_flight_count, deferred_count, .. } = self;
        let Self { requeue_count, timeout_count, message_count, .. } = self;
        let paused = if self.paused { "   *P " } else { "      " };
        writeln!(
            out,
            "{paused}[{channel_name:<25}] depth: {depth:<5} be-depth: {backend_depth:<5} inflt: {in_flight_count:<4} \
             def: {deferred_count:<4} re-q: {requeue_count:<5} timeout: {timeout_count:<5} msgs: {message_count:<8} e2e%: "
        )?;
        self.clients.iter().flatten().try_for_each(|client| writeln!(out, "        {client}"))
    }
}

/// What a client says of itself, on one line: it may have said anything.
fn printable(text: &str) -> String {
    text.replace(|character: char| character.is_control(), "\u{fffd}")
}

impl fmt::Display for ClientStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, state, in_flight_count, ready_count, finish_count, .. } = self;
        let (id, requeued, messages, connected) =
            (printable(&self.id()), self.requeue_count, self.message_count, self.connected());
        if !self.pub_counts.is_empty() {
            let total: u64 = self.pub_counts.iter().map(|one| one.count).sum();
            let topics = self.pub_counts.iter().map(|one| format!("{}={}", one.topic, one.count));
            let topics = topics.collect::<Vec<_>>().join(",");
            return write!(
                out,
                "[{version} {id:<21}] msgs: {total:<8} topics: {topics} connected: {connected}"
            );
        }
        write!(
            out,
            "[{version} {id:<21}] state: {state} inflt: {in_flight_count:<4} rdy: {ready_count:<4} fin: {finish_count:<8} \
             re-q: {requeued:<8} msgs: {messages:<8} connected: {connected}"
        )
    }
}

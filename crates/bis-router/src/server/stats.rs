//! Statistics in nsqd's shape, as JSON and as text. It only reads, and holds the state's lock for a copy of the numbers.

mod client;
mod shape;
mod text;

use bis_journal::{ChannelState, State, Topic};

use self::client::Known;
pub(super) use self::client::{ClientStats, PubCount};
use self::shape::{ChannelStats, Latency, MemoryStats, OwnStats, Stats, TopicStats};
use super::{Server, VERSION, process};

/// What is asked for; `None` is all.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    pub(super) topic: Option<&'a str>,
    pub(super) channel: Option<&'a str>,
    pub(super) clients: bool,
    pub(super) memory: bool,
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

//! Statistics in nsqd's shape, as JSON and as text. It only reads.

use serde_json::{Value, json};

use super::{Server, VERSION};
use crate::state::State;
use crate::state::topic::{ChannelState, Topic};

/// Which topic and channel are asked for; `None` is all.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    pub(super) topic: Option<&'a str>,
    pub(super) channel: Option<&'a str>,
    pub(super) clients: bool,
}

/// `/stats?format=json`.
pub(super) fn stats(server: &Server, state: &State, filter: &Filter<'_>) -> Value {
    let topics: Vec<Value> = state
        .topics
        .values()
        .filter(|topic| filter.topic.is_none_or(|name| topic.name == *name))
        .map(|topic| topic_stats(topic, filter))
        .collect();
    json!({
        "version": VERSION,
        "health": health(state),
        "start_time": server.started,
        "topics": topics,
        "memory": null,
        "producers": [],
        "bis": {
            "damaged_records": state.log.damaged(),
            "read_errors": state.log.read_errors(),
            "sealed_bytes": state.log.sealed_bytes(),
        },
    })
}

/// `OK`, or why not.
pub(super) fn health(state: &State) -> String {
    state.failure.as_ref().map_or_else(|| "OK".to_owned(), |reason| format!("NOK - {reason}"))
}

/// `/stats` for people.
pub(super) fn text(state: &State) -> String {
    let mut text = format!("nsqd v{VERSION}\nHealth: {}\n\nTopics:\n", health(state));
    for topic in state.topics.values() {
        let (depth, count) = (topic.depth(), topic.message_count);
        text.push_str(&format!("   [{:15}] depth: {depth} msgs: {count}\n", topic.name.as_str()));
        for (name, channel) in &topic.channels {
            let machine = &channel.machine;
            let counters = machine.counters();
            text.push_str(&format!(
                "      [{:25}] depth: {} inflt: {} def: {} re-q: {} timeout: {} msgs: {}\n",
                name.as_str(),
                machine.depth(),
                machine.in_flight(),
                machine.deferred(),
                counters.requeued,
                counters.expired,
                channel.message_count,
            ));
        }
    }
    text
}

fn topic_stats(topic: &Topic, filter: &Filter<'_>) -> Value {
    let channels: Vec<Value> = topic
        .channels
        .iter()
        .filter(|(name, _)| filter.channel.is_none_or(|wanted| name.as_str() == wanted))
        .map(|(name, channel)| channel_stats(name.as_str(), channel, filter.clients))
        .collect();
    json!({
        "topic_name": topic.name.as_str(),
        "channels": channels,
        "depth": topic.depth(),
        "backend_depth": topic.depth(),
        "message_count": topic.message_count,
        "message_bytes": topic.message_bytes,
        "paused": topic.paused,
        "e2e_processing_latency": {"count": 0, "percentiles": null},
    })
}

fn channel_stats(name: &str, channel: &ChannelState, with_clients: bool) -> Value {
    let machine = &channel.machine;
    let counters = machine.counters();
    let clients: Vec<Value> = channel
        .consumers
        .iter()
        .filter(|_| with_clients)
        .map(|(id, consumer)| {
            json!({
                "client_id": consumer.client.client_id,
                "hostname": consumer.client.hostname,
                "version": "V2",
                "remote_address": consumer.client.remote_address,
                "state": 3,
                "ready_count": consumer.ready,
                "in_flight_count": machine.in_flight_with(*id),
                "message_count": consumer.delivered,
                "finish_count": consumer.finished,
                "requeue_count": consumer.requeued,
                "connect_ts": consumer.client.connected,
                "sample_rate": 0,
                "deflate": false,
                "snappy": false,
                "user_agent": consumer.client.user_agent,
                "tls": false,
            })
        })
        .collect();
    json!({
        "channel_name": name,
        "depth": machine.depth(),
        "backend_depth": machine.depth(),
        "in_flight_count": machine.in_flight(),
        "deferred_count": machine.deferred(),
        "message_count": channel.message_count,
        "requeue_count": counters.requeued,
        "timeout_count": counters.expired,
        "client_count": channel.consumers.len(),
        "clients": clients,
        "paused": machine.is_paused(),
        "e2e_processing_latency": {"count": 0, "percentiles": null},
    })
}

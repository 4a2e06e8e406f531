//! The shape of statistics, as nsqd has it: plain data that is written as JSON.

use serde::Serialize;

use super::client::ClientStats;

/// `/stats`.
#[derive(Debug, Serialize)]
pub(in crate::server) struct Stats {
    pub(super) version: &'static str,
    pub(super) health: String,
    pub(super) start_time: u64,
    /// `None` when the topic that was asked for is not there.
    pub(super) topics: Option<Vec<TopicStats>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<MemoryStats>,
    /// `None` when there is none, or none was asked for.
    pub(super) producers: Option<Vec<ClientStats>>,
    pub(super) bis: OwnStats,
}

/// What nsqd does not have.
#[derive(Debug, Serialize)]
pub(super) struct OwnStats {
    pub(super) connections: usize,
    pub(super) connections_accepted: u64,
    pub(super) damaged_records: u64,
    pub(super) read_errors: u64,
    pub(super) sealed_bytes: u64,
    /// Bytes in sealed segments with something unhandled.
    pub(super) backlog_bytes: u64,
    /// Unhandled messages that were dropped.
    pub(super) dropped: u64,
    /// Publishes that were recognized as the event that was published before.
    pub(super) duplicates: u64,
}

/// nsqd's names. Here there is no garbage collector: what belongs to it is zero.
#[derive(Debug, Default, Serialize)]
pub(super) struct MemoryStats {
    pub(super) heap_objects: u64,
    pub(super) heap_idle_bytes: u64,
    /// Memory of the process that no file backs.
    pub(super) heap_in_use_bytes: u64,
    pub(super) heap_released_bytes: u64,
    pub(super) gc_pause_usec_100: u64,
    pub(super) gc_pause_usec_99: u64,
    pub(super) gc_pause_usec_95: u64,
    pub(super) next_gc_bytes: u64,
    pub(super) gc_total_runs: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct TopicStats {
    pub(super) topic_name: String,
    pub(super) channels: Vec<ChannelStats>,
    pub(super) depth: u64,
    pub(super) backend_depth: u64,
    pub(super) message_count: u64,
    pub(super) message_bytes: u64,
    pub(super) paused: bool,
    pub(super) e2e_processing_latency: Latency,
}

#[derive(Debug, Serialize)]
pub(super) struct ChannelStats {
    pub(super) channel_name: String,
    pub(super) depth: u64,
    pub(super) backend_depth: u64,
    pub(super) in_flight_count: usize,
    pub(super) deferred_count: usize,
    pub(super) message_count: u64,
    pub(super) requeue_count: u64,
    pub(super) timeout_count: u64,
    pub(super) client_count: usize,
    pub(super) clients: Option<Vec<ClientStats>>,
    pub(super) paused: bool,
    pub(super) e2e_processing_latency: Latency,
}

/// Not measured here, as on an nsqd that was not told to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) percentiles: Option<()>,
}

//! `/stats` for people, line by line as nsqd writes it.

use std::fmt;

use jiff::Timestamp;

use super::client::ClientStats;
use super::shape::{ChannelStats, Stats, TopicStats};
use crate::server::unix_seconds;

impl ClientStats {
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

/// What a client says about itself, on one line: it may have said anything.
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

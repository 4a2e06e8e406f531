//! Messages of a topic that reached no consumer, and why: counts since the start of the process, and a log line when it begins.
//! What a channel drops is counted by the channel.

use crate::name::Name;

/// How many, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// Published while the topic had no channel: they wait for the first one.
    pub unrouted: u64,
    /// Published once more under an event id that is known: stored once.
    pub duplicates: u64,
    /// Unfinished when their channel was deleted.
    pub deleted: u64,
}

impl Missed {
    /// Messages came while nobody subscribes.
    pub(crate) fn unrouted(&mut self, topic: &Name, count: u64) {
        if self.unrouted == 0 {
            tracing::info!(
                topic = topic.as_str(),
                "the topic has no channel: its messages wait for the first one"
            );
        }
        self.unrouted += count;
    }

    /// An event was published again.
    pub(crate) fn duplicate(&mut self, topic: &Name) {
        if self.duplicates == 0 {
            tracing::info!(
                topic = topic.as_str(),
                "an event is published again under its id, and stored once"
            );
        }
        self.duplicates += 1;
    }

    /// A channel goes, and what it has not finished with it.
    pub(crate) fn deleted(&mut self, topic: &Name, channel: &str, count: u64) {
        if count > 0 {
            tracing::info!(
                topic = topic.as_str(),
                channel,
                count,
                "a channel is deleted, and unfinished messages with it"
            );
        }
        self.deleted += count;
    }
}

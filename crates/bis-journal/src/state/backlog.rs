//! The bound on what channels have not handled: when it is reached, publishes are refused or the oldest messages dropped.
//!
//! It counts sealed segments, so it is looked at when one is sealed, and before a publish is refused.

use std::sync::Arc;

use crate::name::Name;

use super::State;
use crate::options::{Backlog, BacklogPolicy};

/// The bound, and whether it is reached.
#[derive(Debug, Default)]
pub(crate) struct BacklogBound {
    pub(crate) limit: Backlog,
    /// The length at which segments are sealed: the backlog grows by this much at once.
    pub(crate) segment_bytes: u64,
    is_full: bool,
}

impl BacklogBound {
    /// Whether publishes are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }
}

impl State {
    /// Bytes in sealed segments with something that a channel has not handled.
    pub(crate) fn backlog_bytes(&self) -> u64 {
        self.unhandled_segments().map(|(_, bytes)| bytes).sum()
    }

    /// Unfinished messages that were dropped since the start, over all channels.
    pub(crate) fn dropped(&self) -> u64 {
        let channels = self.topics.values().flat_map(|topic| topic.channels.values());
        channels.map(|channel| channel.dropped).sum()
    }

    /// A segment was sealed: keeps the bound by dropping, or notes that it is reached.
    pub(crate) fn bound_backlog(&mut self) {
        let Some(limit) = self.backlog.limit.bytes else { return };
        if self.backlog.limit.policy == BacklogPolicy::DropOldest {
            while self.backlog_bytes() > limit {
                let Some((oldest, _)) = self.unhandled_segments().next() else { break };
                self.drop_segment(oldest);
            }
        }
        let is_full = self.backlog_bytes() > limit;
        if is_full && !self.backlog.is_full {
            tracing::warn!(
                limit,
                "the backlog is full; publishes are refused until consumers have caught up"
            );
        }
        self.backlog.is_full = is_full;
    }

    /// Refuses when the backlog is full, with what to do. What settles other messages has as much room again, and a segment at
    /// least.
    pub(super) fn check_backlog(&mut self, settles: bool) -> Result<(), Arc<str>> {
        if self.backlog.is_full {
            self.bound_backlog();
        }
        let Some(limit) = self.backlog.limit.bytes.filter(|_| self.backlog.is_full) else { return Ok(()) };
        let reserve = limit.max(self.backlog.segment_bytes);
        if settles && self.backlog_bytes() <= limit.saturating_add(reserve) {
            return Ok(());
        }
        Err(format!("backlog over {limit} bytes; let consumers catch up, or raise the bound").into())
    }

    /// The oldest first.
    fn unhandled_segments(&self) -> impl Iterator<Item = (u64, u64)> {
        let unhandled = self.log.sealed().filter(|(segment, sealed)| !self.is_handled(*segment, sealed));
        unhandled.map(|(segment, sealed)| (segment, sealed.bytes))
    }

    /// Forgets a segment's messages, and those of the same topics before it, in every channel.
    fn drop_segment(&mut self, segment: u64) {
        let Some(sealed) = self.log.sealed_one(segment) else { return };
        let published = sealed.topics.iter().map(|(topic, (_, end))| (*topic, *end));
        let copies = self.log.moved().in_segment(segment).map(|(topic, sequence)| (topic, sequence + 1));
        let ends: Vec<(u32, u64)> = copies.chain(published).collect();
        for (id, end) in ends {
            let Some(topic) = self.topics.get_mut(&id) else { continue };
            let waits = topic.base < end;
            topic.base = topic.base.max(end);
            let mut dirty: Vec<Name> = Vec::new();
            for (name, channel) in &mut topic.channels {
                let dropped = channel.pass_over(end) + channel.machine.forget_below(end);
                if dropped > 0 {
                    channel.dropped += dropped;
                    channel.operations.forgot(end);
                    channel.wake(1);
                    let topic = topic.name.as_str();
                    tracing::warn!(
                        topic,
                        channel = name.as_str(),
                        dropped,
                        "the backlog is full; its oldest messages are dropped"
                    );
                    dirty.push(name.clone());
                }
            }
            for name in dirty {
                self.mark_dirty(id, &name);
            }
            if waits {
                self.note_topic(id);
            }
        }
    }
}

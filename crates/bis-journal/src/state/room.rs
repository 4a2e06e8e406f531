//! Who may publish when there is little room, on the disk or below the backlog's bound. What settles other messages always
//! comes first: dead letters, and what handlers publish, have a reserve of both, so that what waits is handled and frees its
//! room. Everybody else is refused, with the reason.

use std::sync::Arc;

use bis_core::TopicName;

use super::{Batch, State};
use crate::files::batch::BATCH_HEADER;
use crate::files::record::{self, Kind};

/// Whether a topic holds dead letters, in whatever namespace.
pub(super) fn is_for_dead_letters(topic: &str) -> bool {
    let dead = TopicName::DEAD;
    let before = topic.strip_suffix(dead.as_str());
    before.is_some_and(|namespace| namespace.is_empty() || namespace.ends_with('_'))
}

impl State {
    /// Refuses when the disk or the backlog is full. What settles others may take of the reserve what can be lent.
    pub(super) fn check_room(&mut self, settles: bool) -> Result<(), Arc<str>> {
        self.check_backlog(settles)?;
        match &self.no_room {
            Some(reason) if !settles || self.lendable == 0 => Err(Arc::clone(reason)),
            _ => Ok(()),
        }
    }

    /// So many bytes of records were taken.
    pub(super) fn lend(&mut self, bytes: usize) {
        self.lendable = self.lendable.saturating_sub(bytes as u64);
    }

    /// The disk is full. Handlers may publish so many bytes all the same.
    pub(crate) fn run_out_of_room(&mut self, lendable: u64) {
        self.no_room = Some(self.lack_of_room());
        self.lendable = lendable;
    }

    /// Why there is no room, and what to do.
    pub(crate) fn lack_of_room(&self) -> Arc<str> {
        let waiting = self.topics.values().flat_map(|topic| {
            let channels = topic.channels.iter().map(|(name, channel)| {
                let unhandled = channel.machine.unfinished() + (topic.end - channel.reached);
                (unhandled, format!("channel `{name}` of topic `{}`", topic.name))
            });
            let unseen = topic
                .channels
                .is_empty()
                .then(|| (topic.depth(), format!("topic `{}`, which has no channel,", topic.name)));
            channels.chain(unseen)
        });
        let most = waiting.max_by_key(|(unhandled, _)| *unhandled).filter(|(unhandled, _)| *unhandled > 0);
        let held = most.map_or_else(String::new, |(unhandled, place)| {
            format!("; {place} holds {unhandled} unhandled messages")
        });
        format!("the disk is full{held}; make room on it, or let consumers catch up").into()
    }
}

impl Batch {
    /// The batch without its messages; `None` when there is nothing else.
    pub(crate) fn without_messages(&self) -> Option<Vec<u8>> {
        let mut rest = vec![0; BATCH_HEADER];
        let mut at = BATCH_HEADER;
        while let Some(length) = record::length_at(&self.buffer[at..]) {
            let bytes = &self.buffer[at..at + length];
            let kind = record::header(bytes).map(|header| header.kind);
            if !matches!(kind, Some(Kind::Message | Kind::Moved) | None) {
                rest.extend_from_slice(bytes);
            }
            at += length;
        }
        (rest.len() > BATCH_HEADER).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_are_known_in_every_namespace() {
        let is_dead = is_for_dead_letters;
        assert!(is_dead("bis.dead") && is_dead("shop-staging_bis.dead"));
        assert!(!is_dead("bis.dead-not") && !is_dead("xbis.dead") && !is_dead("orders"));
    }
}

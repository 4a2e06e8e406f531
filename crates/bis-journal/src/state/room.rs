//! A disk without room: what is reported about it. Who may publish then is up to [`Admission`](super::admission::Admission).

use std::sync::Arc;

use super::State;

impl State {
    /// The disk is full. Handlers may still publish this many bytes.
    pub(crate) fn run_out_of_room(&mut self, lendable: u64) {
        let reason = self.lack_of_room();
        self.admission.run_out_of_room(reason, lendable);
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

//! What a start gives up because segments, or the ends of such, are gone: counted and told channel by channel, and never passed over in silence.

use crate::name::Name;

use super::State;

impl State {
    /// The journal is damaged: drops what channels had not finished of the messages that are nowhere, and tells how many these
    /// are, at most. Sequences that were never given to a message count too, when they lie between segments.
    pub(super) fn drop_lost(&mut self) {
        let mut dirty: Vec<(u32, Name)> = Vec::new();
        for topic in self.topics.values_mut() {
            let gaps = gaps(&self.log.kept(topic.id), topic.end);
            let name = topic.name.as_str();
            if topic.channels.is_empty() {
                let beyond = gaps.iter().map(|(from, to)| to.saturating_sub(topic.base.max(*from)));
                let lost: u64 = beyond.sum();
                if lost > 0 {
                    tracing::error!(topic = name, lost, "messages that waited for a channel are gone");
                }
            }
            for (channel_name, channel) in &mut topic.channels {
                let (before, mut is_noted) = (channel.dropped, false);
                for &(from, to) in &gaps {
                    let shown = to.min(channel.reached);
                    let dropped = if from < shown { channel.machine.skip(from, shown) } else { 0 };
                    if dropped > 0 {
                        channel.operations.skipped(from, shown);
                        is_noted = true;
                    }
                    // What a paused topic holds back is not there to be dropped, but it is lost.
                    channel.dropped += dropped + to.saturating_sub(channel.reached.max(from));
                }
                let dropped = channel.dropped - before;
                if dropped > 0 {
                    let channel = channel_name.as_str();
                    tracing::error!(
                        topic = name,
                        channel,
                        dropped,
                        "unfinished messages are gone; they are dropped"
                    );
                }
                if is_noted {
                    dirty.push((topic.id, channel_name.clone()));
                }
            }
        }
        for (topic, channel) in dirty {
            self.mark_dirty(topic, &channel);
        }
    }
}

/// What of the sequences below `end` is in none of these pieces, which are in order.
fn gaps(kept: &[(u64, u64)], end: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut at = 0;
    for (first, next) in kept.iter().copied().chain([(end, end)]) {
        if at < first {
            gaps.push((at, first));
        }
        at = at.max(next);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::gaps;

    #[test]
    fn gaps_lie_before_between_and_after() {
        assert_eq!(gaps(&[], 3), [(0, 3)]);
        assert_eq!(gaps(&[(0, 3)], 3), []);
        assert_eq!(gaps(&[(2, 5), (3, 4), (5, 6), (8, 9)], 11), [(0, 2), (6, 8), (9, 11)]);
    }
}

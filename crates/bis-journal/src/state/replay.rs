//! Moving a channel to another place of its topic, among the messages that are kept. The change is an operation for the
//! journal like any other.

use bis_broker::channel::Rewound;

use super::State;
use crate::name::Name;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Where the channel goes on.
    pub from: u64,
    /// How many messages come from there on, those in flight included.
    pub messages: u64,
}

impl State {
    /// Moves a channel to the message `to`, or to the nearest one that is kept: everything from there on comes (again),
    /// as [`Channel::rewind`](bis_broker::channel::Channel::rewind) has it. What is no longer kept is passed over. `None`
    /// when there is no such channel. Of what was handed out, nothing below `oldest` comes again.
    pub(crate) fn replay(&mut self, topic: u32, channel: &str, to: u64, oldest: u64) -> Option<Replayed> {
        let kept = self.log.kept(topic);
        let state = self.channel(topic, channel)?;
        let first = kept.first().map_or(state.reached, |(first, _)| *first);
        // What has its first turn yet to come waits however old it is.
        let to = to.max(oldest.min(state.machine.cursor()));
        let from = to.max(first).min(state.reached);
        match state.machine.rewind(from) {
            Rewound::Forward { from, to, dropped } => {
                state.operations.skipped(from, to);
                state.dropped += dropped;
            }
            Rewound::Back { to, end } => {
                state.operations.reopened(to, end);
                let mut end = first;
                for (start, next_end) in kept {
                    let (gap, gap_end) = (end.max(to), start.min(state.reached));
                    if gap < gap_end {
                        let lost = state.machine.skip(gap, gap_end);
                        state.dropped += lost;
                        tracing::warn!(
                            channel,
                            from = gap,
                            to = gap_end,
                            lost,
                            "a replay passes over messages that are not kept"
                        );
                        state.operations.skipped(gap, gap_end);
                    }
                    end = next_end.max(end);
                }
                // What is in flight keeps its count, also after a restart.
                for (sequence, _) in state.machine.leases().filter(|(sequence, _)| *sequence >= to) {
                    state.machine.recalled(sequence).iter().for_each(|at| state.operations.recalled(at));
                }
            }
        }
        state.wake_all();
        let messages = state.machine.unfinished_from(from);
        self.mark_dirty(topic, &Name::new(channel));
        Some(Replayed { from, messages })
    }
}

//! Moving a subscription to another place of its topic, among the events that are kept.

use bis_broker::{InquiryError, ReplayFrom, Replayed, SubscriptionSpec};

use super::{Shared, TopicState};

impl Shared {
    pub(super) fn replay(&self, spec: &SubscriptionSpec, from: ReplayFrom) -> Result<Replayed, InquiryError> {
        if self.is_closed() {
            return Err(InquiryError::Closed);
        }
        let unknown = || InquiryError::Refused(format!("there is no subscription `{}`", spec.name));
        let topic = self.topic(&spec.topic).ok_or_else(unknown)?;
        let mut state = topic.lock();
        state.forget_finished(self.now());
        let TopicState { log, channels, .. } = &mut *state;
        let subscribed = channels.iter_mut().find(|subscribed| subscribed.name == spec.name);
        let subscribed = subscribed.ok_or_else(unknown)?;
        let to = match from {
            ReplayFrom::Position(position) => position,
            ReplayFrom::Time(time) => log.first_at(time),
        };
        let from = to.clamp(log.first(), log.end());
        subscribed.channel.rewind(from);
        subscribed.ring();
        let events = subscribed.channel.unfinished_from(from);
        state.forget_finished(self.now());
        Ok(Replayed { from, events })
    }
}

//! Moving a subscription to another place of its topic, among the events that are kept.

use bis_broker::{InquiryError, ReplayFrom, Replayed, SubscriptionSpec};

use super::{Shared, lock, topic::Topic};

impl Shared {
    pub(super) fn replay(&self, spec: &SubscriptionSpec, from: ReplayFrom) -> Result<Replayed, InquiryError> {
        if self.is_closed() {
            return Err(InquiryError::Closed);
        }
        let unknown = || InquiryError::Refused(format!("there is no subscription `{}`", spec.name));
        let topic = self.topic(&spec.topic).ok_or_else(unknown)?;
        let mut topic = lock(&topic);
        topic.forget_finished(self.now());
        let Topic { log, subscriptions, .. } = &mut *topic;
        let subscription = subscriptions.iter_mut().find(|subscription| *subscription.name() == spec.name);
        let subscription = subscription.ok_or_else(unknown)?;
        let to = match from {
            ReplayFrom::Position(position) => position,
            ReplayFrom::Time(time) => log.first_at(time),
        };
        let from = to.clamp(log.first(), log.end());
        let events = subscription.replay(from);
        topic.forget_finished(self.now());
        Ok(Replayed { from, events })
    }
}

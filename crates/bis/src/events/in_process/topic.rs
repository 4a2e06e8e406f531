//! One topic: its log, its subscriptions, and the ids of its latest events. It reads no clock.

use std::{
    hash::{BuildHasher, RandomState},
    time::SystemTime,
};

use bis_broker::{EventWindow, Outgoing, PublishError, Receipt, SubscriptionSpec, channel::Time};
use bis_core::Deduplication;

use super::{
    CAPABILITIES, MAX_BACKLOG,
    listener::Listeners,
    log::{Log, Stored},
    subscription::Subscription,
};

/// One topic.
pub(super) struct Topic {
    pub(super) log: Log,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) listeners: Listeners,
    /// The latest events with their places: one that is published again under its id is not stored a second time.
    known: EventWindow<u64>,
    /// Of ordering keys.
    hasher: RandomState,
}

impl Default for Topic {
    fn default() -> Self {
        let latest = match CAPABILITIES.deduplication {
            Deduplication::Latest(latest) => latest,
            Deduplication::None | Deduplication::Within(_) => 0,
        };
        let (known, hasher) = (EventWindow::new(latest), RandomState::new());
        let (log, subscriptions, listeners) = (Log::default(), Vec::new(), Listeners::default());
        Self { log, subscriptions, listeners, known, hasher }
    }
}

impl Topic {
    /// Keeps an event that is published now, which is `date` by the calendar. Subscriptions see it with [`Topic::hand_over`].
    pub(super) fn store(
        &mut self,
        event: Outgoing,
        date: SystemTime,
        now: Time,
    ) -> Result<Receipt, PublishError> {
        let limit = CAPABILITIES.max_event_bytes;
        if let Some(bytes) = event.envelope.bytes_over(limit) {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        if self.log.unhandled() >= MAX_BACKLOG {
            let text =
                format!("the topic holds {MAX_BACKLOG} events that are not handled yet; publish later");
            return Err(PublishError::Unavailable(text));
        }
        let position = self.log.end();
        if let Some(id) = event.envelope.identity() {
            if let Some(position) = self.known.get(&(0, id)) {
                return Ok(Receipt { position: Some(*position), duplicate: true });
            }
            self.known.note((0, id), position);
        }
        let due = if event.delay.is_zero() { Time::ZERO } else { now.plus(event.delay) };
        self.listeners.offer(&event.envelope, due);
        let key = event.envelope.key.as_ref().map(|key| self.hasher.hash_one(key));
        self.log.push(Stored { envelope: event.envelope, due, key, published: date, stored: now });
        Ok(Receipt { position: Some(position), duplicate: false })
    }

    /// Shows every subscription what was stored.
    pub(super) fn hand_over(&mut self, now: Time) {
        let end = self.log.end();
        for subscription in &mut self.subscriptions {
            subscription.extend(end);
        }
        if self.subscriptions.is_empty() {
            self.forget_finished(now);
        }
    }

    /// Drops what every subscription has finished, and nothing keeps.
    pub(super) fn forget_finished(&mut self, now: Time) {
        let floor = self.subscriptions.iter().map(Subscription::floor).min();
        self.log.handle_below(floor.unwrap_or(self.log.end()), now);
    }

    /// Makes the subscription if it is not there; events from now on are kept for it. Returns its index.
    pub(super) fn ensure(&mut self, spec: &SubscriptionSpec) -> usize {
        let found = self.subscriptions.iter().position(|subscription| *subscription.name() == spec.name);
        found.unwrap_or_else(|| {
            self.subscriptions.push(Subscription::new(spec, self.log.end()));
            self.subscriptions.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, time::Duration};

    use bis_broker::channel::{ConsumerId, Handout};
    use bis_core::EventId;

    use super::*;
    use crate::events::in_process::tests::{envelope, spec};

    fn store(topic: &mut Topic, id: EventId) -> Receipt {
        let event = Outgoing { envelope: envelope(id), delay: Duration::ZERO };
        topic.store(event, SystemTime::UNIX_EPOCH, Time::ZERO).unwrap()
    }

    #[test]
    fn an_event_that_comes_again_is_recognized_and_not_stored() {
        let mut topic = Topic::default();
        topic.ensure(&spec("ship", false));
        let id = EventId::generate();
        assert_eq!(store(&mut topic, id.clone()), Receipt { position: Some(0), duplicate: false });
        assert_eq!(store(&mut topic, EventId::generate()), Receipt { position: Some(1), duplicate: false });
        assert_eq!(store(&mut topic, id), Receipt { position: Some(0), duplicate: true });
        assert_eq!(topic.log.end(), 2);
    }

    #[test]
    fn an_event_waits_for_the_slowest_subscription_and_for_nobody_else() {
        let mut topic = Topic::default();
        store(&mut topic, EventId::generate());
        topic.hand_over(Time::ZERO);
        assert_eq!(topic.log.unhandled(), 0, "nobody subscribes");
        let (slow, fast) = (topic.ensure(&spec("slow", false)), topic.ensure(&spec("fast", false)));
        assert_eq!(topic.ensure(&spec("slow", false)), slow);
        store(&mut topic, EventId::generate());
        topic.hand_over(Time::ZERO);
        for (index, left) in [(fast, 1), (slow, 0)] {
            let Topic { log, subscriptions, .. } = &mut topic;
            let consumer = ConsumerId(1);
            let sequence = |handout: &Handout| handout.sequence;
            let subscription = &mut subscriptions[index];
            let taken: Vec<u64> =
                subscription.take(log, consumer, NonZeroUsize::MIN, Time::ZERO, sequence).unwrap();
            subscription.settle(|channel| channel.finish(taken[0], consumer)).unwrap();
            topic.forget_finished(Time::ZERO);
            assert_eq!(topic.log.unhandled(), left);
        }
    }
}

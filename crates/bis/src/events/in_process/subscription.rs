//! One subscription of a topic: its channel, and who of its consumers waits. It never keeps an event itself.

use std::{convert::Infallible, num::NonZeroUsize, sync::Arc};

use bis_broker::{
    SettleError, SubscriptionSpec,
    channel::{
        Channel, ConsumerId, Facts, Handout, Limits, Parting, Peeked, Source, Suspects, Taker, Time,
        Vanishing,
    },
};
use bis_core::SubscriptionName;
use tokio::sync::Notify;

use super::{
    MAX_BACKLOG,
    log::{Log, Stored},
};

/// When the hold on what was handed out ends: never, since what vanishes with the process takes this broker with it.
const NEVER: Time = Time(u64::MAX);

/// One subscription.
pub(super) struct Subscription {
    name: SubscriptionName,
    ordered: bool,
    channel: Channel,
    /// Wakes a consumer that waits, see [`Subscription::ring`].
    arrived: Arc<Notify>,
    /// There may be something to receive, and no consumer has looked since.
    rung: bool,
    consumers: usize,
    /// How many of the consumers wait for something to receive.
    waiting: usize,
}

/// How a settled event changed its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    /// Its oldest unfinished event is another one.
    Moved,
    /// It is the same one.
    Kept,
}

impl Subscription {
    /// One that begins with the event of sequence `begin`.
    pub(super) fn new(spec: &SubscriptionSpec, begin: u64) -> Self {
        Self {
            name: spec.name.clone(),
            ordered: spec.ordered,
            channel: Channel::new(begin, Limits { held: MAX_BACKLOG, ..Limits::default() }),
            arrived: Arc::new(Notify::new()),
            rung: false,
            consumers: 0,
            waiting: 0,
        }
    }

    pub(super) fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// The oldest event that is not finished.
    pub(super) fn floor(&self) -> u64 {
        self.channel.floor()
    }

    /// How many events are not finished.
    pub(super) fn unfinished(&self) -> u64 {
        self.channel.unfinished()
    }

    /// Whether a consumer is there.
    #[cfg(feature = "testing")]
    pub(super) fn is_consumed(&self) -> bool {
        self.consumers > 0
    }

    /// Whether a consumer with room has yet to look at what arrived for it.
    #[cfg(feature = "testing")]
    pub(super) fn is_arriving(&self) -> bool {
        self.rung && self.waiting > 0
    }

    /// Says that there may be something to receive.
    pub(super) fn ring(&mut self) {
        self.rung = true;
        self.arrived.notify_one();
    }

    /// Wakes every consumer that waits, as the broker closes.
    pub(super) fn wake_all(&self) {
        self.arrived.notify_waiters();
    }

    /// Shows it every event before `end`.
    pub(super) fn extend(&mut self, end: u64) {
        self.channel.extend(end);
        self.ring();
    }

    /// Takes a consumer on, and returns what wakes it.
    pub(super) fn connect(&mut self) -> Arc<Notify> {
        self.consumers += 1;
        self.arrived.clone()
    }

    /// Gives what a consumer held to the others.
    pub(super) fn disconnect(&mut self, consumer: ConsumerId) {
        self.consumers -= 1;
        if !self.channel.disconnect(consumer, Parting::Vanished).is_empty() {
            self.ring();
        }
    }

    /// A consumer begins to wait for something to receive.
    pub(super) fn begin_waiting(&mut self) {
        self.waiting += 1;
    }

    /// A consumer no longer waits.
    pub(super) fn end_waiting(&mut self) {
        self.waiting -= 1;
    }

    /// What can be handed to a consumer now, each made into a delivery, and else when to look again.
    pub(super) fn take<D, L: Default + Extend<D>>(
        &mut self,
        log: &Log,
        consumer: ConsumerId,
        max: NonZeroUsize,
        now: Time,
        deliver: impl Fn(&Handout) -> D,
    ) -> Result<L, Option<Time>> {
        let (mut deliveries, mut count) = (L::default(), 0);
        while count < max.get() {
            let mut view = View { log, ordered: self.ordered };
            let taker =
                Taker { consumer, until: NEVER, vanishing: Vanishing::Counts, suspects: Suspects::Allowed };
            let Ok(handout) = self.channel.next(&mut view, taker, now);
            match handout {
                Some(handout) => {
                    deliveries.extend([deliver(&handout)]);
                    count += 1;
                }
                None if self.channel.is_looking() => {}
                None => break,
            }
        }
        if count == 0 {
            self.rung = false;
            return Err(self.channel.next_deadline().filter(|deadline| *deadline != NEVER));
        }
        if self.channel.depth() > 0 {
            // Another consumer of the subscription may have room.
            self.ring();
        }
        Ok(deliveries)
    }

    /// Lets `decide` tell the channel what happens to an event.
    pub(super) fn settle<E>(
        &mut self,
        decide: impl FnOnce(&mut Channel) -> Result<(), E>,
    ) -> Result<Floor, SettleError> {
        let before = self.channel.floor();
        decide(&mut self.channel).map_err(|_| SettleError::Lost)?;
        if self.channel.depth() > 0 {
            self.ring();
        }
        Ok(if self.channel.floor() == before { Floor::Kept } else { Floor::Moved })
    }

    /// Moves it to the event of sequence `from`. Returns how many events are to be handled from there on.
    pub(super) fn replay(&mut self, from: u64) -> u64 {
        self.channel.rewind(from);
        self.ring();
        self.channel.unfinished_from(from)
    }

    /// What waits, at most `most` after `after`.
    pub(super) fn peek(&self, log: &Log, after: Option<u64>, most: usize, now: Time) -> Vec<Peeked> {
        let Ok(peeked) = self.channel.peek(&mut View { log, ordered: self.ordered }, after, most, now);
        peeked
    }
}

/// The log as one subscription sees it: without keys when nobody asked for order.
struct View<'a> {
    log: &'a Log,
    ordered: bool,
}

impl Source for View<'_> {
    type Error = Infallible;

    fn facts(&mut self, sequence: u64) -> Result<Option<Facts>, Infallible> {
        let facts = |stored: &Stored| Facts { due: stored.due, key: stored.key.filter(|_| self.ordered) };
        Ok(self.log.get(sequence).map(facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::in_process::tests::{spec, stored};

    const CONSUMER: ConsumerId = ConsumerId(1);

    fn taken(subscription: &mut Subscription, log: &Log) -> Vec<u64> {
        let sequence = |handout: &Handout| handout.sequence;
        subscription.take(log, CONSUMER, NonZeroUsize::MAX, Time::ZERO, sequence).unwrap_or_default()
    }

    #[test]
    fn of_one_key_one_event_is_out_at_a_time_where_order_was_asked_for() {
        let mut log = Log::default();
        for id in ["a", "b"] {
            log.push(stored(id, Some(7)));
        }
        for (ordered, first) in [(true, vec![0]), (false, vec![0, 1])] {
            let mut subscription = Subscription::new(&spec("ship", ordered), 0);
            subscription.extend(log.end());
            assert_eq!(taken(&mut subscription, &log), first);
        }
    }

    #[test]
    fn a_bell_rings_until_a_consumer_has_looked() {
        let mut log = Log::default();
        let mut subscription = Subscription::new(&spec("ship", false), 0);
        subscription.connect();
        subscription.begin_waiting();
        assert!(!subscription.is_arriving());
        log.push(stored("a", None));
        subscription.extend(log.end());
        assert!(subscription.is_arriving());
        assert_eq!(taken(&mut subscription, &log), [0]);
        assert!(taken(&mut subscription, &log).is_empty());
        assert!(!subscription.is_arriving());
        // What its consumer held when it went is for another one.
        subscription.disconnect(CONSUMER);
        assert!(subscription.is_arriving() && !subscription.is_consumed());
    }

    #[test]
    fn the_floor_moves_with_the_oldest_unfinished_event() {
        let mut log = Log::default();
        for id in ["a", "b"] {
            log.push(stored(id, None));
        }
        let mut subscription = Subscription::new(&spec("ship", false), 0);
        subscription.extend(log.end());
        taken(&mut subscription, &log);
        let mut finish = |sequence| subscription.settle(|channel| channel.finish(sequence, CONSUMER));
        assert_eq!(
            [finish(1), finish(0), finish(0)],
            [Ok(Floor::Kept), Ok(Floor::Moved), Err(SettleError::Lost)]
        );
        assert_eq!((subscription.floor(), subscription.unfinished()), (2, 0));
    }

    #[test]
    fn a_replay_hands_out_again_what_was_finished_and_wakes_a_consumer() {
        let mut log = Log::default();
        for id in ["a", "b", "c"] {
            log.push(stored(id, None));
        }
        let mut subscription = Subscription::new(&spec("ship", false), 0);
        subscription.extend(log.end());
        for sequence in taken(&mut subscription, &log) {
            subscription.settle(|channel| channel.finish(sequence, CONSUMER)).unwrap();
        }
        assert!(taken(&mut subscription, &log).is_empty());
        subscription.begin_waiting();
        assert_eq!(subscription.replay(1), 2);
        assert!(subscription.is_arriving());
        assert_eq!((subscription.floor(), taken(&mut subscription, &log)), (1, vec![1, 2]));
    }
}

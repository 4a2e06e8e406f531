//! Deliveries under chaos: late, in another order, and not at all while the broker is down.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bis_broker::{
    Answer, BoxFuture, ConsumeError, Consumer, Deliveries, Delivery, Extender, SubscriptionSpec,
};

use super::{broker::Shared, dice::Fault, faults::Tally, in_flight::settlement};
use crate::instance::Purpose;

/// A consumer whose deliveries suffer faults.
pub(super) struct ChaosConsumer {
    shared: Arc<Shared>,
    inner: Box<dyn Consumer>,
    /// `topic/subscription`.
    place: Arc<str>,
    /// What arrived and is not handed out yet, with the time from which on it is. A connection of the broker holds it
    /// here, so it counts against what may be asked for.
    late: Vec<(Duration, Delivery)>,
}

impl ChaosConsumer {
    pub(super) fn new(shared: Arc<Shared>, inner: Box<dyn Consumer>, spec: &SubscriptionSpec) -> Self {
        let place = format!("{}/{}", spec.topic, spec.name).into();
        Self { shared, inner, place, late: Vec::new() }
    }

    /// What may be handed out by now, at most `max`, the longest due first.
    fn due(&mut self, max: NonZeroUsize) -> Deliveries {
        let now = self.shared.clock.elapsed();
        self.late.sort_by_key(|(due, _)| *due);
        let due = self.late.iter().take_while(|(due, _)| *due <= now).count().min(max.get());
        self.late.drain(..due).map(|(_, delivery)| delivery).collect()
    }

    /// Decides about what the broker delivered: each one when, and all of it in which order.
    fn arrived(&mut self, mut deliveries: Deliveries) {
        let Shared { dice, settings, tally, clock, .. } = &*self.shared;
        if deliveries.len() > 1
            && let Some(mut random) = dice.roll(Fault::Reordering, &self.place, settings.reordering)
        {
            // Of one key on an ordered topic there is never more than one.
            random.shuffle(&mut deliveries);
            Tally::count(&tally.reorderings);
            let count = deliveries.len();
            tracing::debug!(subscription = &*self.place, count, "chaos: deliveries change places");
        }
        let now = clock.elapsed();
        for delivery in deliveries {
            let mut due = now;
            if let Some(mut random) = dice.roll(Fault::LateDelivery, &self.place, settings.delays) {
                let most = delivery.lease.map(|lease| lease / 2);
                let wait = self.shared.some_time(&mut random);
                let wait = most.map_or(wait, |most| wait.min(most));
                due = now.saturating_add(wait);
                Tally::count(&tally.delays);
                tracing::debug!(subscription = &*self.place, event = %delivery.envelope.id, ?wait, "chaos: a delivery is late");
            }
            self.late.push((due, delivery));
        }
    }

    fn hand_out(&self, delivery: Delivery) -> Delivery {
        let settle = settlement(&self.shared, &self.place, delivery.attempt, delivery.settle);
        Delivery { settle, ..delivery }
    }
}

impl Consumer for ChaosConsumer {
    fn receive(&mut self, max: NonZeroUsize) -> Answer<'_, Result<Deliveries, ConsumeError>> {
        Answer::boxed(async move {
            loop {
                self.shared.up(Purpose::Event).await;
                let due = self.due(max);
                if !due.is_empty() {
                    return Ok(due.into_iter().map(|delivery| self.hand_out(delivery)).collect());
                }
                let now = self.shared.clock.elapsed();
                let next = self.late.iter().map(|(due, _)| *due).min();
                let wait = next.map(|due| due.saturating_sub(now));
                let room = NonZeroUsize::new(max.get().saturating_sub(self.late.len()));
                let clock = self.shared.clock.clone();
                // What arrives is kept in `self` before anything else is waited for, so a dropped future loses nothing.
                let arrived = match (room, wait) {
                    (Some(room), None) => Some(self.inner.receive(room).await?),
                    (Some(room), Some(wait)) => tokio::select! {
                        biased;
                        arrived = self.inner.receive(room) => Some(arrived?),
                        () = clock.sleep(wait, Purpose::Event) => None,
                    },
                    (None, wait) => {
                        clock.sleep(wait.unwrap_or_default(), Purpose::Event).await;
                        None
                    }
                };
                if let Some(deliveries) = arrived {
                    self.arrived(deliveries);
                }
            }
        })
    }

    fn extender(&self) -> Option<Arc<dyn Extender>> {
        self.inner.extender()
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for (_, delivery) in self.late.drain(..) {
                // It comes again in either case: if not now, because its lease ends.
                let _ = delivery.settle.release().await;
            }
            self.inner.stop().await;
        })
    }
}

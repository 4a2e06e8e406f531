//! Deliveries that were no attempts, on a broker that counts every one: as long as this process lives, it takes them off.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bis_broker::Delivery;
use bis_core::EventId;

/// The most events of a subscription that are remembered; what comes beyond is counted as the broker does.
const MAX_EVENTS: usize = 10_000;

/// How many deliveries of each event were no attempts.
#[derive(Default)]
pub(super) struct Forgiven(Mutex<HashMap<EventId, u32>>);

impl Forgiven {
    /// Counts what is left.
    pub(super) fn correct(&self, delivery: &mut Delivery) {
        let forgiven = self.counts().get(&delivery.envelope.id).copied().unwrap_or(0);
        delivery.attempt = delivery.attempt.saturating_sub(forgiven).max(1);
    }

    /// The delivery of this event was no attempt.
    pub(super) fn forgive(&self, event: &EventId) {
        let mut counts = self.counts();
        if counts.len() < MAX_EVENTS || counts.contains_key(event) {
            *counts.entry(event.clone()).or_default() += 1;
        }
    }

    /// The event comes no more.
    pub(super) fn forget(&self, event: &EventId) {
        self.counts().remove(event);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<EventId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What this process remembers of events that come again, as long as it lives: deliveries that were no attempts, on a broker
//! that counts every one, and events that are to be handled alone. It decides nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bis_broker::Delivery;
use bis_core::EventId;

/// The most events of a subscription that are remembered.
const MAX_EVENTS: usize = 10_000;

/// By event.
#[derive(Default)]
pub(super) struct Memory(Mutex<HashMap<EventId, Remembered>>);

#[derive(Default)]
struct Remembered {
    /// How many deliveries were no attempts, and were counted.
    forgiven: u32,
    /// A batch failed that had it: alone, it shows whether it was the reason.
    alone: bool,
}

/// There is no room to remember one more event.
#[derive(Debug)]
pub(super) struct Full;

impl Memory {
    /// Counts what is left of a delivery's attempts. Whether it is to be handled alone.
    pub(super) fn recall(&self, delivery: &mut Delivery) -> bool {
        let events = self.events();
        let Some(remembered) = events.get(&delivery.envelope.id) else { return false };
        delivery.attempt = delivery.attempt.saturating_sub(remembered.forgiven).max(1);
        remembered.alone
    }

    /// The delivery of this event was counted, and was no attempt. Beyond the bound it stays counted.
    pub(super) fn forgive(&self, event: &EventId) {
        if let Ok(mut events) = self.with_room(event) {
            events.entry(event.clone()).or_default().forgiven += 1;
        }
    }

    /// From now on the event is handled alone.
    pub(super) fn set_apart(&self, event: &EventId) -> Result<(), Full> {
        self.with_room(event)?.entry(event.clone()).or_default().alone = true;
        Ok(())
    }

    /// The event does not come again.
    pub(super) fn forget(&self, event: &EventId) {
        self.events().remove(event);
    }

    fn with_room(&self, event: &EventId) -> Result<MutexGuard<'_, HashMap<EventId, Remembered>>, Full> {
        let events = self.events();
        if events.len() < MAX_EVENTS || events.contains_key(event) { Ok(events) } else { Err(Full) }
    }

    fn events(&self) -> MutexGuard<'_, HashMap<EventId, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

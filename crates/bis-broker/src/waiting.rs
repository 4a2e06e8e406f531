//! What waits for a subscription, and where a subscription is moved to.

use std::{sync::Arc, time::SystemTime};

use bis_core::Envelope;

/// Events that a subscription has not finished, in the order of their topic.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The events.
    pub events: Vec<Waiting>,
    /// Whether further ones follow the last.
    pub more: bool,
}

/// One event that a subscription has not finished.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its place in the topic on this broker: later events have higher ones.
    pub position: u64,
    /// The event.
    pub envelope: Arc<Envelope>,
    /// How often it was delivered.
    pub attempts: u32,
    /// Where it is.
    pub state: WaitingState,
}

/// Where an event that waits is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingState {
    /// Waits for a consumer, or for an earlier event with its key.
    Ready,
    /// Waits for its time.
    Deferred,
    /// With a consumer.
    InFlight,
}

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFrom {
    /// At this place in the topic; see [`Waiting::position`]. Of what is not kept any more, at the next that is.
    Position(u64),
    /// At the first event that was published at this time or later, by the broker's clock.
    Time(SystemTime),
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Where the subscription goes on.
    pub from: u64,
    /// How many events come from there on, those in flight included.
    pub events: u64,
}

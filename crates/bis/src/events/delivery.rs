//! An event as a handler can take it when it wants more than the event: with id, attempt and what else travelled along.

use std::{ops::Deref, sync::Arc, time::SystemTime};

use bis_core::{Attributes, Envelope, EventId};

use crate::instance::Identity;

/// One delivery before its data is decoded.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// The broker's count of deliveries, from 1.
    pub attempt: u32,
    /// How often the subscription was moved back over the event.
    pub generation: u32,
}

impl Incoming {
    pub(crate) fn of(delivery: &bis_broker::Delivery) -> Self {
        let (envelope, attempt) = (delivery.envelope.clone(), delivery.attempt);
        Self { envelope, attempt, generation: delivery.history.generation }
    }
}

/// One delivery of an event. Dereferences to the event.
#[derive(Debug, Clone)]
pub struct Delivery<T> {
    event: T,
    envelope: Arc<Envelope>,
    attempt: u32,
    generation: u32,
}

impl<T> Delivery<T> {
    pub(crate) fn new(event: T, incoming: Incoming) -> Self {
        let Incoming { envelope, attempt, generation } = incoming;
        Self { event, envelope, attempt, generation }
    }

    /// The event.
    pub fn event(&self) -> &T {
        &self.event
    }

    /// The event alone.
    pub fn into_event(self) -> T {
        self.event
    }

    /// The event's id: the same in every attempt, every subscription and every replay.
    pub fn id(&self) -> &EventId {
        &self.envelope.id
    }

    /// Which attempt at this event this is for this subscription, from 1. On nsqd, a delivery that no handler saw may count
    /// too.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the event was published, on the publisher's clock.
    pub fn published_at(&self) -> SystemTime {
        self.envelope.time
    }

    /// The event's attributes by name.
    pub fn attributes(&self) -> &Attributes {
        &self.envelope.attributes
    }

    /// The ordering key.
    pub fn key(&self) -> Option<&str> {
        self.envelope.key.as_deref()
    }

    /// The event whose handler published this one.
    pub fn cause(&self) -> Option<&EventId> {
        self.envelope.cause.as_ref()
    }

    /// The user who caused the event, where its type is under `#[event(identity)]` and there was one. In a handler of
    /// single events, [`Auth::current`](crate::Auth::current) says the same.
    ///
    /// `None` too where `U` is not the app's user type.
    pub fn identity<U: Identity>(&self) -> Option<U> {
        serde_json::from_str(self.envelope.identity.as_deref()?).ok()
    }

    /// How often the event was replayed, by sending it again or by moving the subscription back over it; 0 for the first time.
    /// An event that comes again under the same number is a duplicate.
    pub fn replay(&self) -> u32 {
        self.envelope.replay.saturating_add(self.generation)
    }
}

impl<T> Deref for Delivery<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.event
    }
}

//! The record of an event that a subscription could not handle, the same on every broker.

mod message;
mod store;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{
    Envelope, SubscriptionName, TopicName,
    envelope::{format_time, parse_time},
    name::short_hash,
    text::shortened,
};

pub use store::{Kept, Store};

/// The longest error text that a dead letter or a log line holds, in bytes.
pub const MAX_ERROR_BYTES: usize = 8 * 1024;

/// Why an event is no longer retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadReason {
    /// The handler reported an error that no retry can fix.
    Permanent,
    /// The data is not what the subscription's event type decodes from.
    Undecodable,
    /// The last attempt that the retry policy allows has failed.
    Exhausted,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Permanent, Self::Undecodable, Self::Exhausted];

    /// The word for it, in kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Undecodable => "undecodable",
            Self::Exhausted => "exhausted",
        }
    }
}

/// One event that one subscription gave up on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// A short name of the letter for people, made of everything that [`DeadLetter::is_same_death`] compares.
    pub id: String,
    /// The topic that the event came from.
    pub topic: TopicName,
    /// The subscription that gave up on it.
    pub subscription: SubscriptionName,
    /// Why.
    pub reason: DeadReason,
    /// The error of the last attempt, at most [`MAX_ERROR_BYTES`] of it.
    pub error: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// How often the subscription had been moved back past the event.
    #[serde(default, skip_serializing_if = "is_original")]
    pub generation: u32,
    /// When the subscription gave up on it.
    #[serde(with = "time")]
    pub at: SystemTime,
    /// The event as it was delivered.
    pub event: Envelope,
}

fn is_original(generation: &u32) -> bool {
    *generation == 0
}

impl DeadLetter {
    /// The letter of an event that was never replayed; a long error is cut.
    pub fn new(
        topic: TopicName,
        subscription: SubscriptionName,
        event: Envelope,
        reason: DeadReason,
        error: &str,
        attempts: u32,
        at: SystemTime,
    ) -> Self {
        let id = Self::id_of(&topic, &subscription, &event, 0);
        let error = shortened(error, MAX_ERROR_BYTES).into_owned();
        Self { id, topic, subscription, reason, error, attempts, generation: 0, at, event }
    }

    /// The same for an event past which the subscription had been moved back this many times.
    #[must_use]
    pub fn of_generation(mut self, generation: u32) -> Self {
        self.generation = generation;
        self.id = Self::id_of(&self.topic, &self.subscription, &self.event, generation);
        self
    }

    /// The id of the letter that a subscription makes for an event of this generation.
    pub fn id_of(
        topic: &TopicName,
        subscription: &SubscriptionName,
        event: &Envelope,
        generation: u32,
    ) -> String {
        let mut bytes = event.to_json();
        bytes.extend_from_slice(format!(" {topic} {subscription}").as_bytes());
        if generation > 0 {
            bytes.extend_from_slice(format!(" {generation}").as_bytes());
        }
        short_hash(&bytes)
    }

    /// Whether both record the same failure: the same event, with its source, id and all that it holds, of the same generation
    /// and topic, and the same subscription. A crash between storing a letter and acking its event makes a second letter for the
    /// same failure; an event that is replayed and fails again makes a letter for another one. Ids alone do not decide: other
    /// systems use the same ones for different events.
    pub fn is_same_death(&self, other: &Self) -> bool {
        let place = |letter: &Self| (letter.topic.clone(), letter.subscription.clone(), letter.generation);
        place(self) == place(other) && self.event == other.event
    }
}

/// Serde of a time as RFC 3339 text.
mod time {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&super::format_time(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        super::parse_time(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

//! What is kept of an event that a subscription could not handle, the same on every broker.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{
    Envelope, SubscriptionName, TopicName,
    envelope::{format_time, parse_time},
};

/// Why an event is tried no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadReason {
    /// The handler said that no retry can help.
    Permanent,
    /// The data is not what the subscription's event type decodes from.
    Undecodable,
    /// The last attempt that the retry policy allows has failed.
    Exhausted,
}

/// One event that one subscription gave up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Event, subscription and replay generation: a crash between keeping the letter and acking the event makes the
    /// same letter again, which shows once.
    pub id: String,
    /// The topic that the event came from.
    pub topic: TopicName,
    /// The subscription that gave it up.
    pub subscription: SubscriptionName,
    /// Why.
    pub reason: DeadReason,
    /// What the last attempt failed with.
    pub error: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was given up.
    #[serde(with = "time")]
    pub at: SystemTime,
    /// The event as it was delivered.
    pub event: Envelope,
}

impl DeadLetter {
    /// The id of the letter that `subscription` of `event` makes.
    pub fn id_of(event: &Envelope, subscription: &SubscriptionName) -> String {
        format!("{}/{subscription}/{}", event.id, event.replay)
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

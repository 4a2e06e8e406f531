//! A letter as messages of the reserved topic, none larger than a broker takes: one that holds it all, or the event in
//! parts and, last, the letter without it. So a letter can be kept however large its event is.

use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{DeadLetter, DeadReason};
use crate::{Envelope, EventId, SubscriptionName, TopicName, TraceContext, text::shortened};

/// The event type of letters.
const LETTER: &str = "bis.dead-letter";
/// The event type of parts of a letter's event.
const PART: &str = "bis.dead-letter-part";
/// The attribute of a part that has the letter's id.
const OF_LETTER: &str = "letter";
/// The attribute of a part that says which byte of the event it begins with.
const OFFSET: &str = "offset";
/// The room for what a part has beside its bytes: names of at most 63 bytes, an id, a time, numbers.
const PART_OVERHEAD: usize = 768;
/// The smallest part, in bytes before base64, whatever the limit.
const MIN_PART: usize = 192;

/// A letter whose event is in parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) topic: TopicName,
    pub(super) subscription: SubscriptionName,
    pub(super) reason: DeadReason,
    pub(super) error: String,
    pub(super) attempts: u32,
    #[serde(default, skip_serializing_if = "super::is_original")]
    pub(super) generation: u32,
    #[serde(with = "super::time")]
    pub(super) at: SystemTime,
    /// How many bytes the event's JSON has.
    pub(super) event_bytes: usize,
}

/// What one message of the reserved topic holds.
#[derive(Debug)]
pub(super) enum Content {
    Whole(Box<DeadLetter>),
    Head(Head),
    /// Some bytes of the JSON of a letter's event.
    Part {
        letter: String,
        offset: usize,
        bytes: Bytes,
    },
}

impl Content {
    /// `None` when it was not written by a runtime.
    pub(super) fn read(message: &Envelope) -> Option<Self> {
        if message.event_type == PART {
            let offset = message.attributes.get(OFFSET)?.parse().ok()?;
            let letter = message.attributes.get(OF_LETTER)?.clone();
            return Some(Self::Part { letter, offset, bytes: message.data.clone() });
        }
        match serde_json::from_slice::<DeadLetter>(&message.data) {
            Ok(mut letter) => {
                // Earlier versions made other ids, which two letters could share.
                let DeadLetter { topic, subscription, event, generation, .. } = &letter;
                letter.id = DeadLetter::id_of(topic, subscription, event, *generation);
                Some(Self::Whole(Box::new(letter)))
            }
            Err(_) => serde_json::from_slice(&message.data).ok().map(Self::Head),
        }
    }
}

impl DeadLetter {
    /// The messages that hold the letter, in the order in which `source` is to publish them, none larger than `limit` bytes:
    /// one, unless the event is too large for that. All of them must be kept.
    pub fn to_messages(&self, source: &str, trace: Option<TraceContext>, limit: usize) -> Vec<Envelope> {
        let data = serde_json::to_vec(self).expect("a dead letter has text keys and no failing value");
        let mut whole = self.message(source, LETTER, data.into());
        whole.cause = Some(self.event.id.clone());
        whole.trace = trace;
        if whole.bytes_over(limit).is_none() {
            return vec![whole];
        }
        let event = Bytes::from(self.event.to_json());
        // Base64 makes four bytes of three.
        let size = (limit.saturating_sub(PART_OVERHEAD) / 4 * 3).max(MIN_PART);
        let part = |offset: usize| {
            let bytes = event.slice(offset..event.len().min(offset + size));
            let mut message = self.message(source, PART, bytes);
            message.attributes.insert(OF_LETTER.to_owned(), self.id.clone());
            message.attributes.insert(OFFSET.to_owned(), offset.to_string());
            message
        };
        let parts = (0..event.len()).step_by(size).map(part);
        parts.chain([self.head(source, event.len(), limit)]).collect()
    }

    /// The letter without its event. Its text is cut where a broker's limit is very low.
    fn head(&self, source: &str, event_bytes: usize, limit: usize) -> Envelope {
        let mut max = self.error.len();
        loop {
            let head = Head {
                id: self.id.clone(),
                topic: self.topic.clone(),
                subscription: self.subscription.clone(),
                reason: self.reason,
                error: shortened(&self.error, max).into_owned(),
                attempts: self.attempts,
                generation: self.generation,
                at: self.at,
                event_bytes,
            };
            let data = serde_json::to_vec(&head).expect("a dead letter has text keys and no failing value");
            let message = self.message(source, LETTER, data.into());
            if max == 0 || message.to_json().len() <= limit {
                return message;
            }
            max /= 2;
        }
    }

    fn message(&self, source: &str, event_type: &str, data: Bytes) -> Envelope {
        // Each message has an id of its own: a broker that recognizes events must keep every one of them.
        Envelope::new(EventId::generate(), source, event_type, self.at, data)
    }
}

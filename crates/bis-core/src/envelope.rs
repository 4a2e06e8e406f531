//! The event as it travels: CloudEvents 1.0, with our own facts in extension attributes.
//!
//! On a broker without headers the envelope is one JSON object in CloudEvents' structured mode
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>). The data stays the very bytes
//! that were published: JSON is embedded as it is, anything else goes into `data_base64`. On a broker with headers it may
//! be in the binary mode, as [`BinaryEvent`]: all but the data in headers, and the data as it is.
//!
//! | Extension | Holds |
//! |---|---|
//! | `partitionkey` | the ordering key |
//! | `traceparent`, `tracestate` | the W3C trace context of the publish |
//! | `bisattributes` | the event's attributes, a JSON object as text, since their names may hold what CloudEvents forbids. In the binary mode only those that cannot be headers of their own |
//! | `biscause` | the id of the event whose handler published this one |
//! | `bisidentity` | the user whose request caused this event: the app's user type as JSON, where the event's type asks for it |
//! | `bissubscription` | the one subscription that this copy is meant for, in a replay |
//! | `bisreplay` | how often the event was replayed, when it was |
//! | `bismalformed` | why the data, which is meant as a CloudEvent, cannot be read as one |

mod binary;
mod json;

use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;

pub use binary::BinaryEvent;

use crate::{EventId, ShortText, SubscriptionName};

/// The content type of one event in CloudEvents' structured JSON mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The source of events that do not name one.
const FOREIGN_SOURCE: &str = "/";

/// An event's attributes by name; values are JSON scalars as text.
pub type Attributes = BTreeMap<String, String>;

/// The W3C trace context (<https://www.w3.org/TR/trace-context/>) in which an event was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The header `traceparent`, as it is.
    pub traceparent: ShortText,
    /// The header `tracestate`, as it is.
    pub tracestate: Option<String>,
}

/// One event with everything that travels along.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Given by the producer; stays the same through retries and replays.
    pub id: EventId,
    /// Where the event was published: `/app/service`.
    pub source: ShortText,
    /// The name of the event's type.
    pub event_type: ShortText,
    /// When it was published, on the producer's clock.
    pub time: SystemTime,
    /// The media type of `data`; `None` means JSON.
    pub content_type: Option<String>,
    /// The ordering key.
    pub key: Option<String>,
    /// Copies of fields for filters, and what the publisher added.
    pub attributes: Attributes,
    /// The trace in which it was published.
    pub trace: Option<TraceContext>,
    /// The event whose handler published this one.
    pub cause: Option<EventId>,
    /// The user whose request caused this event: the app's user type as JSON.
    pub identity: Option<String>,
    /// The only subscription that this copy is for, when it is a replay for one.
    pub target: Option<SubscriptionName>,
    /// How often the event was replayed before this copy.
    pub replay: u32,
    /// Why the received body, which is now the data, is not the CloudEvent that it claims to be. The event is then
    /// undecodable.
    pub malformed: Option<String>,
    /// The very bytes that were published.
    pub data: Bytes,
}

/// Why a message is not read as a CloudEvent of version 1.0.
#[derive(Debug, thiserror::Error)]
pub enum NotAnEnvelope {
    /// It is another system's, to be taken as bare data: it is not an object with `specversion`, or has no such header.
    #[error("not a CloudEvent: {0}")]
    Foreign(serde_json::Error),
    /// It has `specversion`, so it is meant as a CloudEvent, but breaks the specification.
    #[error("not a valid CloudEvent: {0}")]
    Malformed(serde_json::Error),
}

impl Envelope {
    /// A new event with nothing but its data.
    pub fn new(
        id: EventId,
        source: impl Into<ShortText>,
        event_type: impl Into<ShortText>,
        time: SystemTime,
        data: Bytes,
    ) -> Self {
        Self {
            id,
            source: source.into(),
            event_type: event_type.into(),
            time,
            content_type: None,
            key: None,
            attributes: Attributes::new(),
            trace: None,
            cause: None,
            identity: None,
            target: None,
            replay: 0,
            malformed: None,
            data,
        }
    }

    /// An event from a client that knows nothing about CloudEvents: the body is the data, id and time are the broker's.
    pub fn foreign(id: EventId, time: SystemTime, body: Bytes) -> Self {
        Self::new(id, FOREIGN_SOURCE, "", time, body)
    }

    /// Whether its body was another system's, with no envelope of its own.
    pub fn is_foreign(&self) -> bool {
        self.source == FOREIGN_SOURCE && self.event_type.is_empty()
    }

    /// One JSON object in CloudEvents' structured mode.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope has text keys and no failing value")
    }

    /// Reads one JSON object in CloudEvents' structured mode. JSON data stays a view into `body`.
    pub fn from_json(body: Bytes) -> Result<Self, NotAnEnvelope> {
        json::decode(body.clone()).map_err(|error| match json::is_meant_as_cloudevent(&body) {
            true => NotAnEnvelope::Malformed(error),
            false => NotAnEnvelope::Foreign(error),
        })
    }

    /// The event in CloudEvents' binary mode.
    pub fn to_binary(&self) -> BinaryEvent {
        binary::encode(self)
    }

    /// Reads an event in CloudEvents' binary mode.
    pub fn from_binary(event: BinaryEvent) -> Result<Self, NotAnEnvelope> {
        binary::decode(event)
    }

    /// The event in a message: a CloudEvent, else the whole body as the data of an event with an id of the broker's and the
    /// time at which the broker got it. What is meant as a CloudEvent and is not a valid one is marked as malformed.
    pub fn from_body(body: Bytes, id: impl FnOnce() -> EventId, received: SystemTime) -> Self {
        match Self::from_json(body.clone()) {
            Ok(envelope) => envelope,
            Err(NotAnEnvelope::Foreign(_)) => Self::foreign(id(), received, body),
            Err(NotAnEnvelope::Malformed(reason)) => {
                Self { malformed: Some(reason.to_string()), ..Self::foreign(id(), received, body) }
            }
        }
    }

    /// How many bytes it has as JSON, if those are more than `limit`. Serializes only what is near the limit.
    pub fn bytes_over(&self, limit: usize) -> Option<usize> {
        // Base64 adds a third; the rest is small unless someone keeps data in attributes.
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        let identity = self.identity.as_ref().map_or(0, String::len);
        let roughly = self.data.len() + attributes + identity;
        if roughly.saturating_mul(3) < limit.saturating_sub(4096) {
            return None;
        }
        Some(self.to_json().len()).filter(|bytes| *bytes > limit)
    }

    /// By what brokers recognize it when it is published again; see [`EventId::identity`]. `None` for a replay, which is to be
    /// delivered although its event is known, and for the UUID of zeros, which identifies no event.
    pub fn identity(&self) -> Option<[u8; 16]> {
        let identity = (self.replay == 0).then(|| self.id.identity(&self.source));
        identity.filter(|bytes| *bytes != [0; 16])
    }

    /// Whether this copy is for `subscription`: unless it is a replay for another one.
    pub fn is_for(&self, subscription: &SubscriptionName) -> bool {
        self.target.as_ref().is_none_or(|target| target == subscription)
    }
}

/// A time as RFC 3339 text in UTC.
pub fn format_time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Reads an RFC 3339 text. A time before 1970 is read as 1970.
pub fn parse_time(text: &str) -> Result<SystemTime, jiff::Error> {
    let timestamp: jiff::Timestamp = text.parse()?;
    Ok(SystemTime::from(timestamp).max(SystemTime::UNIX_EPOCH))
}

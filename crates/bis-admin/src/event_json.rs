//! The JSON form of events, for people and tools.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bis_core::envelope::format_time;
use bis_core::{Attributes, Envelope};
use serde::Serialize;
use serde_json::value::RawValue;

/// An event with everything that travels along; absent fields are left out.
#[derive(Debug, Serialize)]
pub struct EventJson<'a> {
    id: &'a str,
    time: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: &'a Attributes,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    replay: u32,
    data: Data<'a>,
}

/// An event's data: JSON as it is, other text as a JSON string, and bytes that are not text as `{"base64":".."}`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Data<'a> {
    /// JSON, unchanged.
    Json(&'a RawValue),
    /// Other text.
    Text(&'a str),
    /// Bytes that are not text.
    Bytes {
        /// The bytes.
        base64: String,
    },
}

impl<'a> EventJson<'a> {
    /// The JSON form of the event.
    pub fn new(envelope: &'a Envelope) -> Self {
        Self {
            id: envelope.id.as_str(),
            time: format_time(envelope.time),
            source: &envelope.source,
            event_type: &envelope.event_type,
            key: envelope.key.as_deref(),
            attributes: &envelope.attributes,
            content_type: envelope.content_type.as_deref(),
            traceparent: envelope.trace.as_ref().map(|trace| trace.traceparent.as_str()),
            cause: envelope.cause.as_ref().map(bis_core::EventId::as_str),
            target: envelope.target.as_ref().map(bis_core::SubscriptionName::as_str),
            replay: envelope.replay,
            data: Data::of(envelope),
        }
    }
}

impl<'a> Data<'a> {
    /// The data of an event.
    pub fn of(envelope: &'a Envelope) -> Self {
        if let Ok(raw) = serde_json::from_slice(&envelope.data) {
            return Self::Json(raw);
        }
        match std::str::from_utf8(&envelope.data) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Bytes { base64: STANDARD.encode(&envelope.data) },
        }
    }

    /// The data on one line, as it was published.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The data over several lines.
    pub fn lines(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&serde_json::to_value(self)?)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

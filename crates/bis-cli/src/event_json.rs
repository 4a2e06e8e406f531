//! Events as the commands' JSON output shows them.

use bis_core::Envelope;
use bis_core::envelope::format_time;
use serde_json::{Value, json};

/// An event with all that travels along; what is not there is left out.
pub(crate) fn event(envelope: &Envelope) -> Value {
    let mut value = json!({
        "id": envelope.id.as_str(),
        "time": format_time(envelope.time),
        "source": envelope.source,
        "type": envelope.event_type,
        "data": data(envelope),
    });
    let mut add = |name: &str, text: Option<&str>| {
        if let Some(text) = text {
            value[name] = json!(text);
        }
    };
    add("key", envelope.key.as_deref());
    add("content_type", envelope.content_type.as_deref());
    add("traceparent", envelope.trace.as_ref().map(|trace| trace.traceparent.as_str()));
    add("cause", envelope.cause.as_ref().map(bis_core::EventId::as_str));
    add("target", envelope.target.as_ref().map(bis_core::SubscriptionName::as_str));
    if !envelope.attributes.is_empty() {
        value["attributes"] = json!(envelope.attributes);
    }
    if envelope.replay > 0 {
        value["replay"] = json!(envelope.replay);
    }
    value
}

/// An event's data: JSON as it is, other text as a JSON string, and bytes that are no text as `{"base64": ".."}`.
pub(crate) fn data(envelope: &Envelope) -> Value {
    if let Ok(value) = serde_json::from_slice(&envelope.data) {
        return value;
    }
    match std::str::from_utf8(&envelope.data) {
        Ok(text) => json!(text),
        Err(_) => {
            json!({ "base64": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &envelope.data) })
        }
    }
}

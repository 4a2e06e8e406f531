//! The envelope as CloudEvents' structured JSON. Written by hand because serde's `flatten` cannot keep raw data.

use std::{borrow::Cow, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Value, value::RawValue};

use super::{Attributes, Envelope, TraceContext, format_time, parse_time};
use crate::{EventId, SubscriptionName};

const SPEC_VERSION: &str = "1.0";
const JSON: &str = "application/json";

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", SPEC_VERSION)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", &self.event_type)?;
        map.serialize_entry("time", &format_time(self.time))?;
        map.serialize_entry("datacontenttype", self.content_type.as_deref().unwrap_or(JSON))?;
        if let Some(key) = &self.key {
            map.serialize_entry("partitionkey", key)?;
        }
        if !self.attributes.is_empty() {
            let text = serde_json::to_string(&self.attributes).map_err(serde::ser::Error::custom)?;
            map.serialize_entry("bisattributes", &text)?;
        }
        if let Some(trace) = &self.trace {
            map.serialize_entry("traceparent", &trace.traceparent)?;
            if let Some(state) = &trace.tracestate {
                map.serialize_entry("tracestate", state)?;
            }
        }
        if let Some(cause) = &self.cause {
            map.serialize_entry("biscause", cause)?;
        }
        if let Some(target) = &self.target {
            map.serialize_entry("bissubscription", target)?;
        }
        if self.replay > 0 {
            map.serialize_entry("bisreplay", &self.replay)?;
        }
        match embeddable_json(&self.data) {
            Some(raw) => map.serialize_entry("data", raw)?,
            None => map.serialize_entry("data_base64", &STANDARD.encode(&self.data))?,
        }
        map.end()
    }
}

/// The data as JSON, when embedding it and taking it out again gives the same bytes.
fn embeddable_json(data: &Bytes) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_slice(data).ok()?;
    (raw.get().len() == data.len()).then_some(raw)
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Parsed { mut envelope, data } = Parsed::deserialize(deserializer)?;
        if let Some(raw) = data {
            envelope.data = Bytes::copy_from_slice(raw.get().as_bytes());
        }
        Ok(envelope)
    }
}

/// Reads an envelope whose JSON data stays a view into `body`.
pub(super) fn decode(body: Bytes) -> Result<Envelope, serde_json::Error> {
    let Parsed { mut envelope, data } = serde_json::from_slice(&body)?;
    if let Some(raw) = data {
        envelope.data = body.slice_ref(raw.get().as_bytes());
    }
    Ok(envelope)
}

/// An envelope whose JSON data, if it has such, still borrows from the input.
struct Parsed<'de> {
    envelope: Envelope,
    data: Option<&'de RawValue>,
}

impl<'de> Deserialize<'de> for Parsed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParsedVisitor)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Parsed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudEvents object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            fields.read(&key, &mut map)?;
        }
        fields.finish()
    }
}

#[derive(Default)]
struct Fields<'de> {
    version: Option<String>,
    id: Option<EventId>,
    source: Option<String>,
    event_type: Option<String>,
    time: Option<String>,
    content_type: Option<String>,
    key: Option<String>,
    attributes: Attributes,
    traceparent: Option<String>,
    tracestate: Option<String>,
    cause: Option<EventId>,
    target: Option<SubscriptionName>,
    replay: Option<u32>,
    data: Option<&'de RawValue>,
    data_base64: Option<String>,
}

impl<'de> Fields<'de> {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "specversion" => self.version = Some(map.next_value()?),
            "id" => self.id = Some(map.next_value()?),
            "source" => self.source = Some(map.next_value()?),
            "type" => self.event_type = Some(map.next_value()?),
            "time" => self.time = map.next_value()?,
            "datacontenttype" => self.content_type = map.next_value()?,
            "partitionkey" => self.key = map.next_value()?,
            "bisattributes" => {
                let text: String = map.next_value()?;
                let attributes: Attributes = serde_json::from_str(&text).map_err(de::Error::custom)?;
                self.attributes.extend(attributes);
            }
            "traceparent" => self.traceparent = map.next_value()?,
            "tracestate" => self.tracestate = map.next_value()?,
            "biscause" => self.cause = map.next_value()?,
            "bissubscription" => self.target = map.next_value()?,
            "bisreplay" => self.replay = map.next_value()?,
            "data" => self.data = Some(map.next_value()?),
            "data_base64" => self.data_base64 = map.next_value()?,
            _ => self.read_foreign_extension(key, map.next_value()?),
        }
        Ok(())
    }

    /// Another producer's extension attribute becomes an attribute of the event.
    fn read_foreign_extension(&mut self, name: &str, value: Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => text,
            scalar_or_stranger => scalar_or_stranger.to_string(),
        };
        self.attributes.entry(name.to_owned()).or_insert(text);
    }

    fn finish<E: de::Error>(self) -> Result<Parsed<'de>, E> {
        let version = self.version.ok_or_else(|| E::missing_field("specversion"))?;
        if version != SPEC_VERSION {
            return Err(E::custom(format_args!("`specversion` is `{version}` and not `{SPEC_VERSION}`")));
        }
        let data = match self.data_base64 {
            Some(text) => STANDARD.decode(text).map_err(E::custom)?.into(),
            None => Bytes::new(),
        };
        let time = match self.time {
            Some(text) => parse_time(&text).map_err(E::custom)?,
            None => std::time::SystemTime::UNIX_EPOCH,
        };
        let envelope = Envelope {
            id: self.id.ok_or_else(|| E::missing_field("id"))?,
            source: self.source.ok_or_else(|| E::missing_field("source"))?,
            event_type: self.event_type.ok_or_else(|| E::missing_field("type"))?,
            time,
            content_type: self.content_type.filter(|media_type| media_type != JSON),
            key: self.key,
            attributes: self.attributes,
            trace: self
                .traceparent
                .map(|traceparent| TraceContext { traceparent, tracestate: self.tracestate }),
            cause: self.cause,
            target: self.target,
            replay: self.replay.unwrap_or(0),
            data,
        };
        Ok(Parsed { envelope, data: self.data })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn envelope(data: &'static [u8]) -> Envelope {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        Envelope::new(EventId::from("e1"), "/shop/orders", "OrderPlaced", time, Bytes::from_static(data))
    }

    #[track_caller]
    fn check_round_trip(envelope: &Envelope) {
        let read = Envelope::from_json(envelope.to_json().into()).unwrap();
        assert_eq!(&read, envelope);
    }

    #[test]
    fn data_stays_the_very_bytes() {
        for data in [
            &b"{\"a\": 1.50,\n \"b\":\"\\u00e9\"}"[..],
            b"null",
            b"0",
            b"",
            b" {} ",
            b"{\"a\":",
            b"\xff\x00\xfe",
            b"\"\\ud800\"",
        ] {
            check_round_trip(&envelope(data));
        }
    }

    #[test]
    fn everything_that_travels_along_is_read_back() {
        check_round_trip(&Envelope {
            content_type: Some("text/plain".into()),
            key: Some("k".into()),
            attributes: [("region_name".into(), "eu \"west\"".into())].into(),
            trace: Some(TraceContext { traceparent: "00-aa-bb-01".into(), tracestate: Some("v=1".into()) }),
            cause: Some(EventId::from("e0")),
            target: Some(SubscriptionName::from_static("ship")),
            replay: 2,
            ..envelope(b"plain")
        });
    }

    #[test]
    fn json_looks_as_cloudevents_says() {
        let text = String::from_utf8(envelope(b"{\"order\":1}").to_json()).unwrap();
        assert_eq!(
            text,
            r#"{"specversion":"1.0","id":"e1","source":"/shop/orders","type":"OrderPlaced","time":"2023-11-14T22:13:20.123456789Z","datacontenttype":"application/json","data":{"order":1}}"#
        );
    }

    #[test]
    fn another_producers_extensions_become_attributes() {
        let body = br#"{"specversion":"1.0","id":"x","source":"s","type":"t","myext":7,"other":"o","time":"2023-01-01T02:00:00+02:00"}"#;
        let read = Envelope::from_json(Bytes::from_static(body)).unwrap();
        assert_eq!(read.attributes, [("myext".into(), "7".into()), ("other".into(), "o".into())].into());
        assert_eq!(format_time(read.time), "2023-01-01T00:00:00Z");
        assert_eq!(read.data, Bytes::new());
    }

    #[test]
    fn what_is_no_cloudevent_is_refused() {
        for body in [
            &b""[..],
            b"hello",
            b"[]",
            b"{}",
            b"\xff",
            br#"{"specversion":"0.3","id":"x","source":"s","type":"t"}"#,
        ] {
            assert!(Envelope::from_json(Bytes::from_static(body)).is_err(), "{body:?}");
        }
    }
}

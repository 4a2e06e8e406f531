//! The envelope in CloudEvents' binary mode: all but the data in headers. It decides about the headers' names and values
//! alone; a prefix such as `ce-`, and how a protocol encodes a value, is the driver's.

use bytes::Bytes;
use serde::de::Error;
use serde_json::Value;

use super::{
    Attributes, Envelope, NotAnEnvelope, format_time,
    json::{self, FOREIGN_TYPE, JSON, SPEC_VERSION},
};

/// The longest name of an attribute that every system must be able to read
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#naming-conventions>).
const MAX_NAME_BYTES: usize = 20;

/// Names with a meaning in the envelope: no attribute of an event becomes a header of this name.
const OWN: [&str; 16] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "datacontenttype",
    "partitionkey",
    "traceparent",
    "tracestate",
    "bisattributes",
    "biscause",
    "bisidentity",
    "bissubscription",
    "bisreplay",
    "bismalformed",
    "data",
];

/// An event in CloudEvents' binary mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryEvent {
    /// CloudEvents' attributes by name, without a protocol's prefix.
    pub headers: Attributes,
    /// The data, as it was published.
    pub data: Bytes,
}

pub(super) fn encode(envelope: &Envelope) -> BinaryEvent {
    let (own, packed): (Attributes, Attributes) =
        envelope.attributes.clone().into_iter().partition(|(name, value)| is_header(name, value));
    let mut headers = own;
    let mut put = |name: &str, value: &str| drop(headers.insert(name.to_owned(), value.to_owned()));
    put("specversion", SPEC_VERSION);
    put("id", envelope.id.as_str());
    put("source", &envelope.source);
    put("type", if envelope.event_type.is_empty() { FOREIGN_TYPE } else { &envelope.event_type });
    put("time", &format_time(envelope.time));
    put("datacontenttype", envelope.content_type.as_deref().unwrap_or(JSON));
    let trace = envelope.trace.as_ref();
    let optional = [
        ("partitionkey", envelope.key.as_deref()),
        ("traceparent", trace.map(|trace| &*trace.traceparent)),
        ("tracestate", trace.and_then(|trace| trace.tracestate.as_deref())),
        ("biscause", envelope.cause.as_ref().map(|cause| cause.as_str())),
        ("bisidentity", envelope.identity.as_deref()),
        ("bissubscription", envelope.target.as_ref().map(|target| target.as_str())),
        ("bismalformed", envelope.malformed.as_deref()),
    ];
    for (name, value) in optional {
        value.into_iter().for_each(|value| put(name, value));
    }
    if envelope.replay > 0 {
        put("bisreplay", &envelope.replay.to_string());
    }
    if !packed.is_empty() {
        put("bisattributes", &serde_json::to_string(&packed).expect("names and values are text"));
    }
    BinaryEvent { headers, data: envelope.data.clone() }
}

pub(super) fn decode(event: BinaryEvent) -> Result<Envelope, NotAnEnvelope> {
    let BinaryEvent { headers, data } = event;
    if !headers.contains_key("specversion") {
        return Err(NotAnEnvelope::Foreign(serde_json::Error::missing_field("specversion")));
    }
    // These two are members of the structured mode, and no attributes.
    let (strange, known): (Attributes, Attributes) =
        headers.into_iter().partition(|(name, _)| matches!(&**name, "data" | "data_base64"));
    let members = known.iter().map(|(name, text)| (&**name, value(name, text)));
    let mut envelope = json::decode_members(members).map_err(NotAnEnvelope::Malformed)?;
    for (name, text) in strange {
        envelope.attributes.entry(name).or_insert(text);
    }
    Ok(Envelope { data, ..envelope })
}

/// Headers are text; one of ours is a number.
fn value(name: &str, text: &str) -> Value {
    match text.parse::<u32>() {
        Ok(number) if name == "bisreplay" => number.into(),
        _ => text.into(),
    }
}

/// Whether an attribute of an event can be an attribute of CloudEvents, and its value a header on every protocol: some
/// refuse empty ones, CloudEvents itself refuses control characters.
fn is_header(name: &str, value: &str) -> bool {
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
        && !OWN.contains(&name);
    is_name && !value.is_empty() && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{EventId, SubscriptionName, TraceContext};

    fn envelope() -> Envelope {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let data = Bytes::from_static(b"{\"order\": 1}");
        Envelope::new(EventId::from("e1"), "/shop/orders", "OrderPlaced", time, data)
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: &Envelope) {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let event = BinaryEvent { headers, data: expected.data.clone() };
        assert_eq!(expected.to_binary(), event);
        assert_eq!(&Envelope::from_binary(event).unwrap(), expected);
    }

    const LEAST: [(&str, &str); 6] = [
        ("datacontenttype", "application/json"),
        ("id", "e1"),
        ("source", "/shop/orders"),
        ("specversion", "1.0"),
        ("time", "2023-11-14T22:13:20Z"),
        ("type", "OrderPlaced"),
    ];

    #[test]
    fn headers_are_cloudevents_attributes() {
        check(&LEAST, &envelope());
        let rest = [
            ("partitionkey", "k"),
            ("traceparent", "00-aa-bb-01"),
            ("tracestate", "v=1"),
            ("biscause", "e0"),
            ("bisidentity", r#"{"id":7}"#),
            ("bissubscription", "ship"),
            ("bisreplay", "2"),
            ("bismalformed", "no id"),
            ("region", "eu"),
        ];
        let whole = Envelope {
            key: Some("k".into()),
            attributes: [("region".into(), "eu".into())].into(),
            trace: Some(TraceContext { traceparent: "00-aa-bb-01".into(), tracestate: Some("v=1".into()) }),
            cause: Some(EventId::from("e0")),
            identity: Some(r#"{"id":7}"#.into()),
            target: Some(SubscriptionName::from_static("ship")),
            replay: 2,
            malformed: Some("no id".into()),
            ..envelope()
        };
        check(&[&LEAST[..], &rest].concat(), &whole);
    }

    #[test]
    fn what_cannot_be_a_header_is_packed() {
        let names = ["region_name", "id", "data", "Region", "", "empty", "control", "abcdefghijklmnopqrstu"];
        let value = |name| match name {
            "empty" => "",
            "control" => "a\nb",
            _ => "é",
        };
        let attributes: Attributes =
            names.into_iter().map(|name| (name.into(), value(name).into())).collect();
        let text = serde_json::to_string(&attributes).unwrap();
        check(&[&LEAST[..], &[("bisattributes", &text)]].concat(), &Envelope { attributes, ..envelope() });
    }

    #[test]
    fn what_is_wrong_is_said_and_what_is_foreign_is_left() {
        let read = |change: &[(&str, &str)], without: &str| {
            let mut headers = envelope().to_binary().headers;
            headers.extend(change.iter().map(|(name, value)| ((*name).into(), (*value).into())));
            headers.remove(without);
            Envelope::from_binary(BinaryEvent { headers, data: Bytes::from_static(b"x") })
        };
        assert!(matches!(read(&[], "specversion"), Err(NotAnEnvelope::Foreign(_))));
        for (change, without, reason) in [
            (("specversion", "0.3"), "", "`specversion` is `0.3`"),
            (("id", ""), "", "must not be empty"),
            (("time", "yesterday"), "", "`time` is not an RFC 3339 time"),
            (("bisreplay", "often"), "", "often"),
            (("x", "y"), "source", "source"),
        ] {
            let Err(NotAnEnvelope::Malformed(error)) = read(&[change], without) else { panic!("{change:?}") };
            assert!(error.to_string().contains(reason), "{error}");
        }
        let read = read(&[("data", "a"), ("data_base64", "b"), ("subject", "c")], "time").unwrap();
        let attributes = [("data", "a"), ("data_base64", "b"), ("subject", "c")];
        assert_eq!(read.attributes, attributes.map(|(name, value)| (name.into(), value.into())).into());
        assert_eq!((read.time, &*read.data), (SystemTime::UNIX_EPOCH, &b"x"[..]));
    }
}

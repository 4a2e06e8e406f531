//! The envelope as CloudEvents' structured JSON. Written by hand because serde's `flatten` cannot keep raw data. What each
//! member means is decided here for the binary mode too.

use std::{borrow::Cow, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapDeserializer},
    ser::SerializeMap,
};
use serde_json::{Value, value::RawValue};

use super::{Attributes, Envelope, TraceContext, format_time, parse_time};
use crate::{EventId, ShortText, SubscriptionName, short_text::Borrowed};

pub(super) const SPEC_VERSION: &str = "1.0";
pub(super) const JSON: &str = "application/json";
/// The type of a foreign event, which has none of its own: CloudEvents allows no empty one.
pub(super) const FOREIGN_TYPE: &str = "bis.foreign";

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", SPEC_VERSION)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        let event_type = if self.event_type.is_empty() { FOREIGN_TYPE } else { &self.event_type };
        map.serialize_entry("type", event_type)?;
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
        if let Some(identity) = &self.identity {
            map.serialize_entry("bisidentity", identity)?;
        }
        if let Some(target) = &self.target {
            map.serialize_entry("bissubscription", target)?;
        }
        if self.replay > 0 {
            map.serialize_entry("bisreplay", &self.replay)?;
        }
        if let Some(reason) = &self.malformed {
            map.serialize_entry("bismalformed", reason)?;
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
    check_identified(&envelope)?;
    if let Some(raw) = data {
        envelope.data = body.slice_ref(raw.get().as_bytes());
    }
    Ok(envelope)
}

/// Reads an envelope without data from its members.
pub(super) fn decode_members<'de>(
    members: impl Iterator<Item = (&'de str, Value)>,
) -> Result<Envelope, serde_json::Error> {
    let Parsed { envelope, .. } = ParsedVisitor.visit_map(MapDeserializer::new(members))?;
    check_identified(&envelope)?;
    Ok(envelope)
}

fn check_identified(envelope: &Envelope) -> Result<(), serde_json::Error> {
    match envelope.id.as_str().is_empty() || envelope.source.is_empty() {
        true => Err(de::Error::custom("`id` and `source` must not be empty")),
        false => Ok(()),
    }
}

/// Whether a body is an object that has `specversion`: meant as a CloudEvent, whatever else is wrong with it.
pub(super) fn is_meant_as_cloudevent(body: &[u8]) -> bool {
    struct Meant(bool);

    impl<'de> Visitor<'de> for &mut Meant {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(Borrowed(key)) = map.next_key()? {
                self.0 |= key == "specversion";
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }

    let mut meant = Meant(false);
    // What follows the attribute may be broken; the attribute was there.
    let _ = serde_json::Deserializer::from_slice(body).deserialize_map(&mut meant);
    meant.0
}

/// An envelope whose JSON data, if any, still borrows from the input.
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
        while let Some(Borrowed(key)) = map.next_key()? {
            fields.read(&key, &mut map)?;
        }
        fields.finish()
    }
}

/// An attribute that CloudEvents defines as text, when it is there.
type Text<'de> = Option<Cow<'de, str>>;

#[derive(Default)]
struct Fields<'de> {
    version: Text<'de>,
    id: Text<'de>,
    source: Text<'de>,
    event_type: Text<'de>,
    time: Text<'de>,
    content_type: Text<'de>,
    key: Text<'de>,
    attributes: Attributes,
    traceparent: Text<'de>,
    tracestate: Text<'de>,
    cause: Text<'de>,
    identity: Text<'de>,
    target: Option<SubscriptionName>,
    replay: Option<u32>,
    malformed: Text<'de>,
    data: Option<&'de RawValue>,
    data_base64: Text<'de>,
}

impl<'de> Fields<'de> {
    fn read<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let text = match key {
            "specversion" => &mut self.version,
            "id" => &mut self.id,
            "source" => &mut self.source,
            "type" => &mut self.event_type,
            "time" => &mut self.time,
            "datacontenttype" => &mut self.content_type,
            "partitionkey" => &mut self.key,
            "traceparent" => &mut self.traceparent,
            "tracestate" => &mut self.tracestate,
            "biscause" => &mut self.cause,
            "bisidentity" => &mut self.identity,
            "bismalformed" => &mut self.malformed,
            "data_base64" => &mut self.data_base64,
            other => return self.read_other(other, map),
        };
        *text = map.next_value_seed(ReadText(key))?;
        Ok(())
    }

    fn read_other<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "bisattributes" => {
                if let Some(text) = map.next_value_seed(ReadText(key))? {
                    let attributes: Attributes = serde_json::from_str(&text).map_err(de::Error::custom)?;
                    self.attributes.extend(attributes);
                }
            }
            "bissubscription" => self.target = map.next_value()?,
            "bisreplay" => self.replay = map.next_value()?,
            "data" => self.data = Some(map.next_value()?),
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

    /// The data that is not embedded as JSON.
    fn binary_data<E: de::Error>(&self) -> Result<Bytes, E> {
        let Some(text) = &self.data_base64 else { return Ok(Bytes::new()) };
        // As for every member, null is the same as not there.
        if self.data.is_some_and(|data| data.get() != "null") {
            return Err(E::custom("it has both `data` and `data_base64`"));
        }
        let data =
            STANDARD.decode(&**text).map_err(|error| wrong("data_base64", "base64 with padding", error))?;
        Ok(data.into())
    }

    fn finish<E: de::Error>(mut self) -> Result<Parsed<'de>, E> {
        let version = self.version.take().ok_or_else(|| E::missing_field("specversion"))?;
        if version != SPEC_VERSION {
            return Err(E::custom(format_args!("`specversion` is `{version}` and not `{SPEC_VERSION}`")));
        }
        let data = self.binary_data()?;
        let time = match &self.time {
            Some(text) => parse_time(text).map_err(|error| wrong("time", "an RFC 3339 time", error))?,
            None => std::time::SystemTime::UNIX_EPOCH,
        };
        let event_type = self.event_type.ok_or_else(|| E::missing_field("type"))?;
        let envelope = Envelope {
            id: EventId::from(&*self.id.ok_or_else(|| E::missing_field("id"))?),
            source: ShortText::from(&*self.source.ok_or_else(|| E::missing_field("source"))?),
            event_type: if event_type == FOREIGN_TYPE { ShortText::default() } else { (&*event_type).into() },
            time,
            content_type: self.content_type.filter(|media_type| media_type != JSON).map(Cow::into_owned),
            key: self.key.map(Cow::into_owned),
            attributes: self.attributes,
            trace: self.traceparent.map(|traceparent| TraceContext {
                traceparent: (&*traceparent).into(),
                tracestate: self.tracestate.map(Cow::into_owned),
            }),
            cause: self.cause.map(|cause| EventId::from(&*cause)),
            identity: self.identity.map(Cow::into_owned),
            target: self.target,
            replay: self.replay.unwrap_or(0),
            malformed: self.malformed.map(Cow::into_owned),
            data,
        };
        // Data in both forms: the embedded one is null, and so not there.
        let data = if self.data_base64.is_some() { None } else { self.data };
        Ok(Parsed { envelope, data })
    }
}

/// Reads the value of an attribute of this name that CloudEvents defines as text; null is the same as not there.
struct ReadText<'n>(&'n str);

impl ReadText<'_> {
    fn refuse<T, E: de::Error>(&self, kind: &str) -> Result<T, E> {
        Err(E::custom(format_args!("`{}` is {kind} and not text", self.0)))
    }
}

impl<'de> DeserializeSeed<'de> for ReadText<'_> {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadText<'_> {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Some(Cow::Owned(text)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text<'de>, E> {
        Ok(None)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Text<'de>, E> {
        self.refuse("a boolean")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Text<'de>, E> {
        self.refuse("a number")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Text<'de>, E> {
        self.refuse("a number")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Text<'de>, E> {
        self.refuse("a number")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Text<'de>, A::Error> {
        self.refuse("an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Text<'de>, A::Error> {
        self.refuse("an object")
    }
}

fn wrong<E: de::Error>(name: &str, expected: &str, reason: impl fmt::Display) -> E {
    E::custom(format_args!("`{name}` is not {expected}: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{super::NotAnEnvelope, *};

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
            identity: Some("{\"name\":\"Zoë\"}".into()),
            target: Some(SubscriptionName::from_static("ship")),
            replay: 2,
            malformed: Some("no id".into()),
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

    const WHOLE: &str = r#""specversion":"1.0","id":"x","source":"s","type":"t""#;

    /// What is wrong with the object of these members.
    #[track_caller]
    fn check_malformed(members: &str, reason: &str) {
        let body = Bytes::from(format!("{{{members}}}"));
        let NotAnEnvelope::Malformed(error) = Envelope::from_json(body.clone()).unwrap_err() else {
            panic!("`{members}` is taken for bare data")
        };
        assert!(error.to_string().contains(reason), "{members}: {error}");
        let read = Envelope::from_body(body.clone(), || EventId::from("broker's"), SystemTime::UNIX_EPOCH);
        assert!(read.malformed.unwrap().contains(reason), "{members}");
        assert_eq!((read.id.as_str(), read.data), ("broker's", body), "{members}");
    }

    #[test]
    fn what_is_meant_as_a_cloudevent_and_is_none_says_what_is_wrong() {
        for name in ["specversion", "id", "source", "type"] {
            if name != "specversion" {
                check_malformed(&WHOLE.replace(&format!(r#""{name}":"#), r#""other":"#), name);
            }
            for wrong in ["7", "true", "[]", "{}", "null", "1.5"] {
                let value = format!(r#""{name}":{wrong},"last":1"#);
                check_malformed(&format!("{WHOLE},{value}"), &format!("`{name}`"));
            }
        }
        for name in ["time", "datacontenttype", "partitionkey", "traceparent", "data_base64", "bisattributes"]
        {
            for wrong in ["7", "true", "[]", "{}"] {
                check_malformed(&format!(r#"{WHOLE},"{name}":{wrong}"#), &format!("`{name}` is a"));
            }
        }
        for (members, reason) in [
            (r#""time":"2026-01-31T09:00:00""#, "`time` is not an RFC 3339 time"),
            (r#""time":"yesterday""#, "`time` is not"),
            (r#""time":"""#, "`time` is not"),
            (r#""data_base64":"YQ""#, "`data_base64` is not base64 with padding"),
            (r#""data_base64":"Y Q==""#, "`data_base64` is not"),
            (r#""data":1,"data_base64":"YQ==""#, "both `data` and `data_base64`"),
            (r#""id":"""#, "must not be empty"),
            (r#""source":"""#, "must not be empty"),
            (r#""specversion":"0.3""#, "`specversion` is `0.3`"),
            (r#""specversion":"1.0.2""#, "`specversion` is `1.0.2`"),
            (r#""bisreplay":-1"#, "-1"),
        ] {
            check_malformed(&format!("{WHOLE},{members}"), reason);
        }
        check_malformed(r#""specversion":null"#, "specversion");
        check_malformed(&format!("{WHOLE},"), "trailing comma");
        check_malformed(&format!(r#"{WHOLE},"data":{{"#), "EOF");
    }

    #[test]
    fn null_is_the_same_as_not_there_and_extensions_are_of_any_type() {
        let members = r#""time":null,"partitionkey":null,"data_base64":null,"bisattributes":null,"bisreplay":null,
            "traceparent":null,"a":1,"b":true,"c":{"d":[1.5]},"e":null,"data":{"x":1}"#;
        let read = Envelope::from_json(Bytes::from(format!("{{{WHOLE},{members}}}"))).unwrap();
        let attributes = [("a", "1"), ("b", "true"), ("c", r#"{"d":[1.5]}"#)];
        assert_eq!(read.attributes, attributes.map(|(name, value)| (name.into(), value.into())).into());
        assert_eq!((read.key, &*read.data), (None, &br#"{"x":1}"#[..]));
        let read =
            Envelope::from_json(Bytes::from(format!(r#"{{{WHOLE},"data_base64":"YQ==","data":null}}"#)));
        assert_eq!(read.unwrap().data, "a");
        for time in ["2026-01-31T09:00:00z", "2026-01-31t10:00:00.000+01:00", "2026-01-31 09:00:00Z"] {
            let read = Envelope::from_json(Bytes::from(format!(r#"{{{WHOLE},"time":"{time}"}}"#))).unwrap();
            assert_eq!(format_time(read.time), "2026-01-31T09:00:00Z");
        }
    }

    #[test]
    fn a_foreign_event_is_read_back_from_its_own_json() {
        let foreign = Envelope::foreign(EventId::from("7"), SystemTime::UNIX_EPOCH, Bytes::from_static(b"x"));
        check_round_trip(&foreign);
        let json = String::from_utf8(foreign.to_json()).unwrap();
        let old: Envelope = serde_json::from_str(&json.replace(FOREIGN_TYPE, "")).unwrap();
        assert_eq!(old, foreign);
    }

    #[test]
    fn what_is_no_cloudevent_is_bare_data() {
        for body in [
            &b""[..],
            b"hello",
            b"[]",
            b"{}",
            b"\xff",
            br#"{"data":{"specversion":"1.0"},"id":7}"#,
            br#"[{"specversion":"1.0"}]"#,
            br#""specversion""#,
        ] {
            let body = Bytes::from_static(body);
            assert!(matches!(Envelope::from_json(body.clone()), Err(NotAnEnvelope::Foreign(_))), "{body:?}");
            let read = Envelope::from_body(body.clone(), || EventId::from("7"), SystemTime::UNIX_EPOCH);
            assert_eq!(read, Envelope::foreign(EventId::from("7"), SystemTime::UNIX_EPOCH, body));
        }
    }
}

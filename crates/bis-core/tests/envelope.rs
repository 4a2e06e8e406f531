//! Every envelope is read back as it was from both of CloudEvents' modes, and whatever is read can be written again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use bis_core::{Attributes, Envelope, EventId, SubscriptionName, TraceContext, envelope::BinaryEvent};
use bytes::Bytes;
use proptest::{collection, option, prelude::*};

/// The last second that RFC 3339 can write.
const LAST_SECOND: u64 = 253_402_207_200;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z]{0,24}", "bis[a-z]{0,12}"]
}

/// Names that mean something in an envelope too.
fn attribute_name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 8] =
        ["id", "data", "data_base64", "specversion", "bisattributes", "bisreplay", "time", "traceparent"];
    prop_oneof![text(), proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned)]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let json =
        text().prop_map(|text| serde_json::json!({ "text": text, "data": null }).to_string().into_bytes());
    let spaced = text().prop_map(|text| format!(" {{\"a\": 1.50,\n{text:?}: null}}").into_bytes());
    prop_oneof![collection::vec(any::<u8>(), 0..64), json, spaced, Just(b"null".to_vec())]
}

prop_compose! {
    fn travelling()(
        key in option::of(text()),
        attributes in collection::btree_map(attribute_name(), text(), 0..6),
        trace in option::of((text(), option::of(text()))),
        cause in option::of(text()),
        target in option::of("[a-z][a-z0-9]{0,30}"),
        replay in prop_oneof![Just(0), any::<u32>()],
        malformed in option::of(text()),
    ) -> Envelope {
        Envelope {
            key,
            attributes,
            trace: trace.map(|(traceparent, tracestate)| TraceContext { traceparent: traceparent.into(), tracestate }),
            cause: cause.map(EventId::from),
            target: target.map(|name| SubscriptionName::parse(name).unwrap()),
            replay,
            malformed,
            ..Envelope::foreign(EventId::from("x"), SystemTime::UNIX_EPOCH, Bytes::new())
        }
    }
}

prop_compose! {
    fn envelope()(
        travelling in travelling(),
        id in text().prop_filter("an id is not empty", |id| !id.is_empty()),
        source in text().prop_filter("a source is not empty", |source| !source.is_empty()),
        event_type in text(),
        seconds in 0..LAST_SECOND,
        nanos in 0..1_000_000_000u32,
        content_type in option::of(text()),
        data in data(),
    ) -> Envelope {
        Envelope {
            id: EventId::from(id),
            source: source.into(),
            event_type: event_type.into(),
            time: SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos),
            content_type,
            data: data.into(),
            ..travelling
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_modes_give_every_envelope_back(envelope in envelope()) {
        prop_assert_eq!(&Envelope::from_json(envelope.to_json().into()).unwrap(), &envelope);
        prop_assert_eq!(&Envelope::from_binary(envelope.to_binary()).unwrap(), &envelope);
    }

    /// Another producer's headers: what can be read means the same when we pass it on, in either mode.
    #[test]
    fn what_was_read_can_be_passed_on(
        headers in collection::btree_map(attribute_name(), text(), 0..8),
        data in data(),
    ) {
        let least = [("specversion", "1.0"), ("id", "e1"), ("source", "/"), ("type", "t")];
        let mut whole: Attributes = least.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (name, value) in headers {
            whole.entry(name).or_insert(value);
        }
        if let Ok(read) = Envelope::from_binary(BinaryEvent { headers: whole, data: data.into() }) {
            prop_assert_eq!(&Envelope::from_binary(read.to_binary()).unwrap(), &read);
            prop_assert_eq!(&Envelope::from_json(read.to_json().into()).unwrap(), &read);
        }
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in collection::vec(any::<u8>(), 0..64)) {
        let body = Bytes::from(body);
        let read = Envelope::from_body(body.clone(), || EventId::from("7"), SystemTime::UNIX_EPOCH);
        prop_assert!(read.data == body || read.malformed.is_none());
    }
}

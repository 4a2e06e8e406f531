//! Reading an envelope as it comes from a broker without headers.

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use bis_core::{Envelope, EventId, TraceContext};
use bytes::Bytes;

pub fn run(count: usize) -> Result<()> {
    let body = Bytes::from(sample().to_json());
    for _ in 0..count {
        black_box(Envelope::from_json(black_box(body.clone()))?);
    }
    Ok(())
}

/// An event as an app's handler publishes it.
fn sample() -> Envelope {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_123);
    let data = r#"{"number":17,"text":"a text of some forty bytes, as events have"}"#;
    let id = EventId::from("0198c0de-7a3b-7c11-9a52-6f0a1b2c3d4e");
    let mut envelope = Envelope::new(id, "/shop/orders", "OrderPlaced", time, data.into());
    envelope.key = Some("4711".to_owned());
    envelope.attributes.insert("country".to_owned(), "de".to_owned());
    envelope.trace = Some(TraceContext {
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
        tracestate: None,
    });
    envelope
}

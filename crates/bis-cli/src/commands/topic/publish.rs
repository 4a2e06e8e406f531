//! `bis topic publish`: one event, in the envelope that the app's own publishers use.

use std::io::Read;
use std::time::SystemTime;

use anyhow::{Context, Result};
use bis_admin::TopicError;
use bis_core::{Envelope, EventId, TopicName};
use bis_graph::Graph;
use serde_json::{Value, json};

use crate::arguments::Where;
use crate::declared;
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD_GREEN};
use crate::target;

/// The publisher's name in the envelope's `source`.
const SOURCE: &str = "/bis/cli";

/// What to publish.
#[derive(Debug)]
pub(crate) struct Event {
    /// The topic's name.
    pub(crate) topic: String,
    /// The event's data, or `-` for stdin.
    pub(crate) text: String,
    /// Without an envelope.
    pub(crate) raw: bool,
    /// The ordering key, instead of the one that the event's type declares.
    pub(crate) key: Option<String>,
    /// Whether to skip the check against the schema of the topic's events.
    pub(crate) force: bool,
}

/// Publishes one event, and returns when the router has it.
pub(crate) fn run(event: &Event, place: &Where, format: Format) -> Result<()> {
    let topic = TopicName::parse(event.topic.clone()).map_err(|invalid| {
        Failure::new(exit::USAGE, format!("`{}` is not a valid topic name: {}", event.topic, invalid.reason))
    })?;
    let data = data(&event.text)?;
    let envelope = if event.raw { None } else { Some(envelope(event, data.clone(), place)?) };
    let id = envelope.as_ref().map(|envelope| envelope.id.to_string());
    let bytes = envelope.as_ref().map_or(data.len(), |envelope| envelope.to_json().len());
    target::with(place, async |admin| match envelope {
        Some(envelope) => Ok(admin.publish(&topic, envelope).await.map(drop)?),
        None => Ok(admin.publish_bytes(&topic, &data).await?),
    })?;
    match format {
        Format::Json => print::json_line(&json!({ "topic": topic.as_str(), "id": id, "bytes": bytes }))?,
        Format::Text => {
            let what = id.unwrap_or_else(|| format!("{bytes} bytes as they are"));
            anstream::eprintln!("{BOLD_GREEN}published{BOLD_GREEN:#} {what} on `{topic}`");
        }
    }
    Ok(())
}

fn data(text: &str) -> Result<Vec<u8>> {
    if text != "-" {
        return Ok(text.as_bytes().to_vec());
    }
    let mut data = Vec::new();
    std::io::stdin().read_to_end(&mut data).context("cannot read stdin")?;
    Ok(data)
}

fn envelope(event: &Event, data: Vec<u8>, place: &Where) -> Result<Envelope> {
    let value: Value = match serde_json::from_slice(&data) {
        Ok(value) => value,
        Err(_) if event.force => Value::Null,
        Err(error) => {
            let failure = Failure::new(exit::USAGE, format!("the event is not JSON: {error}"));
            let help =
                "quote it as one argument, such as '{\"order_id\":1}', or send other bytes with `--raw`";
            return Err(failure.help(help).into());
        }
    };
    let graph = declared::graph(place)?;
    let is_named = place.router_http.is_some();
    let is_declared = graph.as_ref().is_some_and(|graph| graph.topic(&event.topic).is_some());
    // A router that was named may belong to another app, about which nothing is known here.
    if !event.force && (is_declared || !is_named) {
        declared::refuse_mismatch(graph.as_ref(), &event.topic, &data)?;
    }
    let mut envelope =
        Envelope::new(EventId::generate(), SOURCE, event.topic.clone(), SystemTime::now(), data.into());
    if let Some(graph) = graph.filter(|_| !is_named) {
        describe(&mut envelope, &event.topic, &value, &graph)?;
    }
    if let Some(key) = &event.key {
        envelope.key = Some(key.clone());
    }
    Ok(envelope)
}

/// Adds what the app's own publishers would add: the type's name, the ordering key and the attributes.
fn describe(envelope: &mut Envelope, topic: &str, value: &Value, graph: &Graph) -> Result<()> {
    let Some(declared) = graph.topic(topic) else {
        let known = graph.topics.iter().map(|topic| topic.name.clone()).collect();
        return Err(TopicError::NoTopic { topic: topic.to_owned(), known }.into());
    };
    envelope.event_type = (&declared.event).into();
    // The topic declares its type's name; when several types share the name, none is guessed.
    let mut events = graph.events.iter().filter(|event| event.name == declared.event);
    let (Some(event), None) = (events.next(), events.next()) else { return Ok(()) };
    envelope.key = event.key.as_ref().and_then(|field| scalar(&value[field.as_str()]));
    for field in &event.attributes {
        if let Some(text) = scalar(&value[field.as_str()]) {
            envelope.attributes.insert(field.clone(), text);
        }
    }
    Ok(())
}

/// A JSON scalar as the text of a key or attribute.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

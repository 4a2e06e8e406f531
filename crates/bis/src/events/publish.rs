//! Publishing: a builder that is awaited, and what can go wrong. An event counts as published when the broker says so,
//! never before.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bis_broker::{Outgoing, Receipt, TopicSpec};
use bis_core::{Envelope, EventId, TopicName, codes, text::OneLine};
#[cfg(feature = "testing")]
use bytes::Bytes;
use tracing::Instrument;

use super::{
    bus::Bus,
    event::{Codec, EncodeError},
};
use crate::{
    error::{Error, FieldError},
    instance::{self, AnyIdentity, Clock, Instance, NoApp, Scope, Span},
};

/// Why an event was not published.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The code does not run in an app.
    #[error(transparent)]
    NoApp(#[from] NoApp),
    /// The event does not serialize to JSON that can be read back, or its key or an attribute not to a JSON scalar; or the id
    /// that it was given is not a valid one.
    #[error("the `{event}` cannot be published: {reason} [{}]", codes::NOT_ENCODED)]
    Encode {
        /// The event's type.
        event: &'static str,
        /// The field and what is wrong with it.
        reason: String,
    },
    /// The event is not valid by the rules that `#[event(validate)]` on its type asks.
    #[error("the `{event}` cannot be published: it is not valid: {text} [{}]", codes::NOT_VALID)]
    Invalid {
        /// The event's type.
        event: &'static str,
        /// Which of its fields are wrong, the first 100 of them.
        fields: Vec<FieldError>,
        /// All of them in a line. No value of a sensitive field is in it.
        text: String,
    },
    /// Another topic has the same name, and its subscriptions take another type.
    #[error(
        "the `{event}` cannot be published: the subscriptions of the topic `{topic}` take `{taken}`; give the topic that you publish on another name [{}]",
        codes::SAME_TOPIC
    )]
    OtherTopic {
        /// The name.
        topic: TopicName,
        /// The event's type.
        event: &'static str,
        /// The whole path of the type that the subscriptions take.
        taken: &'static str,
    },
    /// The broker does not have it, or may not.
    #[error("not published on `{topic}`: {source}")]
    Broker {
        /// The topic.
        topic: TopicName,
        /// What the broker's driver reports.
        source: bis_broker::PublishError,
    },
}

impl PublishError {
    /// Whether nothing is wrong with the event: the broker was away or had no room. A handler that fails with this error,
    /// wrapped or not, runs again later, and no attempt is used up.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Broker { source, .. } if source.is_outage())
    }
}

impl Error {
    /// Whether it comes from a publish of an event that is not valid, which no retry makes so.
    pub(crate) fn is_invalid_event(&self) -> bool {
        self.find::<PublishError>().is_some_and(|error| matches!(error, PublishError::Invalid { .. }))
    }

    /// Whether it comes from a publish that failed because the broker was away or had no room, however it was wrapped. Such
    /// an error uses up no attempt.
    pub fn is_outage(&self) -> bool {
        self.find::<bis_broker::PublishError>().is_some_and(bis_broker::PublishError::is_outage)
            || self.find::<PublishError>().is_some_and(PublishError::is_outage)
    }
}

/// An event that the broker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The event's id.
    pub id: EventId,
    /// Its place in the topic, where the broker says it: later events have higher ones.
    pub position: Option<u64>,
    /// Whether the broker had an event of this id already, so that this one is not delivered a second time. Brokers recognize
    /// the latest events, some none.
    pub duplicate: bool,
}

impl Published {
    fn new(id: EventId, receipt: Receipt) -> Self {
        Self { id, position: receipt.position, duplicate: receipt.duplicate }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.id, f)
    }
}

impl From<Published> for EventId {
    fn from(published: Published) -> Self {
        published.id
    }
}

/// An event on its way: set what you need, then await it.
///
/// Resolves with what the broker reports about the event once it has it.
#[must_use = "an event is published when this is awaited"]
#[derive(Debug)]
pub struct Publish<'a> {
    topic: &'a TopicSpec,
    /// The name of the event's type.
    event: &'static str,
    prepared: Result<Prepared, PublishError>,
    delay: Duration,
}

#[derive(Debug)]
struct Prepared {
    instance: Arc<Instance>,
    envelope: Envelope,
}

impl Publish<'_> {
    /// The broker keeps the event back for this long. Brokers bound it; a longer delay than the broker's longest is
    /// refused.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The event's id, in place of a new one: not empty, at most [`MAX_EVENT_ID_BYTES`](bis_core::MAX_EVENT_ID_BYTES) long and
    /// without control characters.
    ///
    /// An event that is published again under its id, because nobody saw the answer, is delivered once where the broker
    /// recognizes it. A UUID names one event of a topic. Any other id, such as `order-7`, names one event of the service that
    /// publishes it.
    pub fn id(mut self, id: impl Into<EventId>) -> Self {
        if let Ok(prepared) = &mut self.prepared {
            let id = id.into();
            match id.error() {
                None => prepared.envelope.id = id,
                Some(reason) => {
                    let reason = format!("`{}` is not a valid id: {reason}", OneLine(&id.shown()));
                    self.prepared = Err(PublishError::Encode { event: self.event, reason });
                }
            }
        }
        self
    }

    /// The ordering key, in place of the event's own.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        if let Ok(prepared) = &mut self.prepared {
            prepared.envelope.key = Some(key.into());
        }
        self
    }

    /// One more attribute, or another value for one of the event's own.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Ok(prepared) = &mut self.prepared {
            prepared.envelope.attributes.insert(name.into(), value.into());
        }
        self
    }
}

impl<'a> Publish<'a> {
    /// Publishes it where the broker answers at once, or begins to.
    fn send(self) -> Result<Result<Published, PublishError>, Sending<'a>> {
        let Self { topic, prepared, delay, .. } = self;
        let Prepared { instance, envelope } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        let id = envelope.id.clone();
        let outgoing = Outgoing { envelope: Arc::new(envelope), delay };
        let span = span(topic, std::slice::from_ref(&outgoing));
        let began = instance.clock.elapsed();
        let answer = span.in_scope(|| Bus::of(&instance).broker().publish_at_once(topic, outgoing));
        let published = |result: Result<Receipt, bis_broker::PublishError>, id| match result {
            Ok(receipt) => Ok(Published::new(id, receipt)),
            Err(source) => Err(PublishError::Broker { topic: topic.name.clone(), source }),
        };
        match answer {
            Ok(result) => {
                measure(&instance, topic, began, result.is_ok());
                Ok(published(result, id))
            }
            Err(outgoing) => Err(Box::pin(async move {
                let results =
                    Bus::of(&instance).broker().publish(topic, vec![outgoing]).instrument(span).await;
                measure(&instance, topic, began, results.iter().all(Result::is_ok));
                one(topic, results).map(|receipt| Published::new(id, receipt))
            })),
        }
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Published, PublishError>;
    type IntoFuture = Publishing<'a>;

    fn into_future(self) -> Publishing<'a> {
        Publishing { prepared: Some(self), sending: None }
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Published, PublishError>> + Send + 'a>>;

/// An event that is being published: what [`Publish`] becomes when it is awaited.
#[must_use = "an event is published when this is awaited"]
pub struct Publishing<'a> {
    /// Until it is polled.
    prepared: Option<Publish<'a>>,
    /// Where the broker must be waited for.
    sending: Option<Sending<'a>>,
}

impl fmt::Debug for Publishing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").field("prepared", &self.prepared).finish_non_exhaustive()
    }
}

impl Future for Publishing<'_> {
    type Output = Result<Published, PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(publish) = self.prepared.take() {
            match publish.send() {
                Ok(result) => return Poll::Ready(result),
                Err(sending) => self.sending = Some(sending),
            }
        }
        let sending = self.sending.as_mut().expect("it is not polled again after it has ended");
        sending.as_mut().poll(context)
    }
}

/// Encodes one event for the app that the code runs in.
pub(crate) fn prepare<'a, T>(topic: &'a TopicSpec, codec: &Codec<T>, event: &T) -> Publish<'a> {
    let prepared = instance::current().map_err(PublishError::from).and_then(|instance| {
        check_type(&instance, &topic.name, codec)?;
        let envelope = envelope_of(&instance, codec, event)?;
        Ok(Prepared { instance, envelope })
    });
    Publish { topic, event: codec.name, prepared, delay: Duration::ZERO }
}

/// Refuses an event of another type than the subscriptions of the topic take: then there are two topics of this name. The start
/// finds two that are subscribed to; one that is only published on shows here.
fn check_type<T>(instance: &Instance, topic: &TopicName, codec: &Codec<T>) -> Result<(), PublishError> {
    match Bus::of(instance).taken(topic) {
        Some(taken) if taken != std::any::type_name::<T>() => {
            Err(PublishError::OtherTopic { topic: topic.clone(), event: codec.name, taken })
        }
        _ => Ok(()),
    }
}

/// Publishes several events in their order.
pub(crate) async fn all<T>(
    topic: &TopicSpec,
    codec: &Codec<T>,
    events: &[T],
) -> Vec<Result<Published, PublishError>> {
    let instance = match instance::current() {
        Ok(instance) => instance,
        Err(error) => return events.iter().map(|_| Err(error.clone().into())).collect(),
    };
    if let Err(error) = check_type(&instance, &topic.name, codec) {
        return events.iter().map(|_| Err(error.clone())).collect();
    }
    let envelopes: Vec<_> =
        events.iter().map(|event| envelope_of(&instance, codec, event).map(Arc::new)).collect();
    let outgoing: Vec<Outgoing> = envelopes
        .iter()
        .flatten()
        .map(|envelope| Outgoing { envelope: envelope.clone(), delay: Duration::ZERO })
        .collect();
    let mut sent = match outgoing.is_empty() {
        true => Vec::new(),
        false => send(&instance, topic, outgoing).await,
    }
    .into_iter();
    let finish = |envelope: Result<Arc<Envelope>, PublishError>| {
        let envelope = envelope?;
        let receipt = one(topic, sent.next().into_iter().collect())?;
        Ok(Published::new(envelope.id.clone(), receipt))
    };
    envelopes.into_iter().map(finish).collect()
}

/// Hands events to the broker within a span of their own.
pub(crate) async fn send(
    instance: &Instance,
    topic: &TopicSpec,
    events: Vec<Outgoing>,
) -> Vec<Result<Receipt, bis_broker::PublishError>> {
    let span = span(topic, &events);
    let began = instance.clock.elapsed();
    let results = Bus::of(instance).broker().publish(topic, events).instrument(span).await;
    measure(instance, topic, began, results.iter().all(Result::is_ok));
    results
}

fn measure(instance: &Instance, topic: &TopicSpec, began: Duration, is_published: bool) {
    let took = instance.clock.elapsed().saturating_sub(began);
    Bus::of(instance).metrics().published(&topic.name, took, is_published);
}

fn span(topic: &TopicSpec, events: &[Outgoing]) -> tracing::Span {
    tracing::debug_span!(
        "publish",
        "otel.kind" = "producer",
        "messaging.system" = "bis",
        "messaging.operation.type" = "send",
        "messaging.operation.name" = "publish",
        "messaging.destination.name" = topic.name.as_str(),
        "messaging.message.id" = events.first().map(|event| event.envelope.id.as_str()),
        "messaging.batch.message_count" = (events.len() > 1).then_some(events.len()),
        "bis.traceparent" =
            events.first().and_then(|event| event.envelope.trace.as_ref()).map(|trace| &*trace.traceparent),
    )
}

/// Publishes a body as it is, with nothing around it. A CloudEvent is read as one.
#[cfg(feature = "testing")]
pub(crate) async fn bytes(topic: &TopicSpec, data: Bytes) -> Result<Published, PublishError> {
    let instance = instance::current()?;
    let envelope = Envelope::from_body(data, EventId::generate, instance.clock.now());
    let id = envelope.id.clone();
    let outgoing = Outgoing { envelope: Arc::new(envelope), delay: Duration::ZERO };
    one(topic, send(&instance, topic, vec![outgoing]).await).map(|receipt| Published::new(id, receipt))
}

fn one(
    topic: &TopicSpec,
    results: Vec<Result<Receipt, bis_broker::PublishError>>,
) -> Result<Receipt, PublishError> {
    let unanswered = || Err(bis_broker::PublishError::Refused("the driver gave no answer".into()));
    let result = results.into_iter().next().unwrap_or_else(unanswered);
    result.map_err(|source| PublishError::Broker { topic: topic.name.clone(), source })
}

/// Whether an event is decoded right after it was encoded: where a mistake in its type can still be mended, and the time that
/// it takes does not matter.
fn reads_back(instance: &Instance) -> bool {
    cfg!(debug_assertions) || matches!(instance.clock, Clock::Virtual(_))
}

/// The error of an event that is not valid, without what is sensitive in it.
fn invalid<T>(codec: &Codec<T>, fields: Vec<FieldError>, data: &[u8]) -> PublishError {
    let sensitive = (codec.sensitive)();
    let told = fields.into_iter().map(|FieldError { path, message }| FieldError {
        path: sensitive.hide_in_text(path, data),
        message: sensitive.hide_in_text(message, data),
    });
    let (fields, text) = FieldError::list(told);
    PublishError::Invalid { event: codec.name, fields, text }
}

fn envelope_of<T>(instance: &Instance, codec: &Codec<T>, event: &T) -> Result<Envelope, PublishError> {
    let refused = |reason: String| PublishError::Encode { event: codec.name, reason };
    let encoded = (codec.encode)(event).map_err(|error| match error {
        EncodeError::Invalid { fields, data } => invalid(codec, fields, &data),
        error => refused(error.to_string()),
    })?;
    if reads_back(instance)
        && let Err(error) = (codec.decode)(&encoded.data)
    {
        let error = (codec.sensitive)().hide_in_text(error.to_string(), &encoded.data);
        return Err(refused(format!(
            "what serde writes of it cannot be read back: {error}; make both sides of the type agree, as with `#[serde(default)]` on a field that is not always written"
        )));
    }
    let (trace, cause, service, identity) = Scope::with(|scope| match scope {
        None => (Scope::continuing(None).trace_context(), None, None, None),
        Some(scope) => {
            let mut context = scope.trace_context();
            context.traceparent = Span::child(scope.span).traceparent();
            let identity = scope.identity.as_ref().filter(|_| codec.identity).map(AnyIdentity::to_text);
            (context, scope.cause.clone(), scope.service, identity)
        }
    });
    let source = instance.source_of(service);
    let now = instance.clock.now();
    let mut envelope = Envelope::new(EventId::generate(), source, codec.name, now, encoded.data);
    envelope.key = encoded.key;
    envelope.attributes = encoded.attributes;
    envelope.trace = Some(trace);
    envelope.cause = cause;
    envelope.identity = identity.transpose().map_err(|error| refused(error.to_string()))?;
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_known_however_it_is_wrapped() {
        use bis_broker::PublishError as BrokerError;

        #[derive(Debug, thiserror::Error)]
        enum Own {
            #[error("nobody is told: {0}")]
            Wrapped(#[from] PublishError),
            #[error(transparent)]
            Transparent(PublishError),
        }
        let failed = |source| PublishError::Broker { topic: bis_core::TopicName::DEAD, source };
        let full = || failed(BrokerError::Unavailable("no room".into()));
        let away = failed(BrokerError::Unreachable { address: "a:1".into(), reason: "refused".into() });
        assert!(Error::from(full()).is_outage() && Error::from(away).is_outage());
        assert!(Error::from(full()).context("tell the shop").context("ship").is_outage());
        assert!(Error::from(Own::from(full())).is_outage());
        assert!(Error::from(Own::Transparent(full())).is_outage());
        assert!(Error::new(Box::new(full())).is_outage(), "boxed");
        assert!(!Error::from(failed(BrokerError::Refused("no".into()))).is_outage());
        assert!(!Error::msg("no room").is_outage());
    }
}

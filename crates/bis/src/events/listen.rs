//! `TOPIC.listen()`: what is published on a topic, live, for this process alone. It is no subscription: nothing is kept for
//! it, and nothing waits for it.

mod hub;
mod ring;

use std::{
    fmt,
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bis_broker::ConsumeError;
use bis_core::TopicName;
use futures_core::Stream;

pub(crate) use hub::Listening;
use hub::Seat;
use ring::Heard;

use super::{bus::Bus, delivery::Delivery, topic::Topic};
use crate::{
    error::Error,
    instance::{self, NoApp},
};

/// How many events wait for a listener unless it says otherwise.
const DEFAULT_BUFFER: usize = 1024;

/// Why a topic cannot be listened to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ListenError {
    /// The code does not run in an app.
    #[error(transparent)]
    NoApp(#[from] NoApp),
    /// The broker does not let it listen, or the app stops.
    #[error("cannot listen to `{topic}`: {source}")]
    Broker {
        /// The topic.
        topic: TopicName,
        /// Why.
        source: ConsumeError,
    },
}

/// A listener fell behind and has missed this many events, the oldest of those that waited for it. It goes on with the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed: they came faster than they were taken")]
pub struct Lagged(pub u64);

/// Begins to listen when it is awaited: what [`Topic::listen`] returns.
#[must_use = "nothing is heard before this is awaited"]
pub struct Listen<T: 'static> {
    topic: &'static Topic<T>,
    buffer: usize,
}

impl<T> Listen<T> {
    pub(super) fn new(topic: &'static Topic<T>) -> Self {
        Self { topic, buffer: DEFAULT_BUFFER }
    }

    /// How many events wait for the listener before it misses the oldest: 1,024 unless set, and at least one. They are shared
    /// with the other listeners of the topic, so that each costs a listener a few bytes.
    pub fn buffer(mut self, events: usize) -> Self {
        self.buffer = events.max(1);
        self
    }
}

impl<T> fmt::Debug for Listen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listen")
            .field("topic", self.topic.name())
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}

impl<T: Send> IntoFuture for Listen<T> {
    type Output = Result<Listener<T>, ListenError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { topic, buffer } = self;
            let instance = instance::current()?;
            let name = topic.name();
            let seat = Bus::of(&instance).listening().join(&instance, name, buffer);
            let heard = match seat.begun().await {
                // It ends at once, as one that had begun before would: a stream that it feeds ends in order, and its client comes
                // again to the process that goes on.
                Err(ConsumeError::Closed) if instance.stopping.has_begun() => Ok(()),
                heard => heard,
            };
            heard.map_err(|source| ListenError::Broker { topic: name.clone(), source })?;
            Ok(Listener { topic, seat })
        })
    }
}

/// The events that are published on a topic from now on: a [`Stream`], or [`Listener::next`] in a loop. See [`Topic::listen`].
///
/// An item is an event, or that the listener has missed some: [`Lagged`]. It ends when the app stops or hands over.
pub struct Listener<T: 'static> {
    topic: &'static Topic<T>,
    seat: Seat,
}

impl<T> Listener<T> {
    /// The next event; `None` when the app stops or hands over, or the broker no longer lets it listen. Cancel safe.
    ///
    /// # Errors
    /// [`Lagged`] when it was not called often enough; it can be called again.
    pub async fn next(&mut self) -> Option<Result<Delivery<T>, Lagged>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Delivery<T>, Lagged>>> {
        loop {
            let heard = match std::task::ready!(self.seat.poll(context)) {
                None => return Poll::Ready(None),
                Some(Err(lagged)) => return Poll::Ready(Some(Err(lagged))),
                Some(Ok(heard)) => heard,
            };
            match self.topic.decode(heard.incoming.clone()) {
                Ok(delivery) => return Poll::Ready(Some(Ok(delivery))),
                Err(error) => self.tell(&heard, &error),
            }
        }
    }

    /// Logs that an event is skipped, once for all listeners, without what is sensitive.
    fn tell(&self, heard: &Arc<Heard>, error: &Error) {
        if heard.is_first_to_tell() {
            let envelope = &heard.incoming.envelope;
            let sensitive = self.topic.sensitive();
            let error = sensitive.of(envelope).hide_in_text(format!("{error:#}"), &envelope.data);
            tracing::warn!(topic = %self.topic.name(), event = %envelope.id.shown(), %error, "listeners skip an event");
        }
    }
}

impl<T> Stream for Listener<T> {
    type Item = Result<Delivery<T>, Lagged>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("topic", self.topic.name()).finish_non_exhaustive()
    }
}

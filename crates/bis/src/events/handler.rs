//! From an undecoded delivery to a handler's own parameter. The bounds here are what a wrong handler fails, so each has
//! its own text; none asks for `Event`, so that an event type without the derive is one error, at its topic.

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    delivery::{Delivery, Incoming},
    entry::{BatchCall, ErasedHandler, HandlerFuture, Subscribed},
    topic::Topic,
};
use crate::error::{Error, Result};

/// What a subscription names first.
#[diagnostic::on_unimplemented(
    message = "`#[subscription]` names a `{Self}`, which is not a topic",
    label = "not a topic",
    note = "name the static that `Topic::new` declares: `pub static PLACED: Topic<OrderPlaced> = Topic::new(\"order-placed\");`"
)]
pub trait IsTopic {
    /// What its events are.
    type Event;

    /// The topic.
    fn topic(&'static self) -> &'static Topic<Self::Event>;
}

#[diagnostic::do_not_recommend]
impl<E> IsTopic for Topic<E> {
    type Event = E;

    fn topic(&'static self) -> &'static Self {
        self
    }
}

/// Checks that a subscription names a topic.
pub fn topic<T: IsTopic>(topic: &'static T) -> &'static Topic<T::Event> {
    topic.topic()
}

/// What a handler of one event of type `E` takes: `E` or [`Delivery<E>`](crate::Delivery).
#[diagnostic::on_unimplemented(
    message = "the handler takes `{Self}`, but its topic carries `{E}`",
    label = "not what the topic carries",
    note = "a handler takes `{E}`, `Delivery<{E}>`, `Vec<{E}>` or `Vec<Delivery<{E}>>`"
)]
pub trait HandlerInput<E> {
    /// Takes out what the handler wants.
    fn from_delivery(delivery: Delivery<E>) -> Self;
}

impl<E> HandlerInput<E> for E {
    fn from_delivery(delivery: Delivery<E>) -> Self {
        delivery.into_event()
    }
}

impl<E> HandlerInput<E> for Delivery<E> {
    fn from_delivery(delivery: Delivery<E>) -> Self {
        delivery
    }
}

/// What a handler of batches of events of type `E` takes: a `Vec` of `E` or of [`Delivery<E>`](crate::Delivery).
#[diagnostic::on_unimplemented(
    message = "the handler takes `{Self}`, but its topic carries `{E}`",
    label = "not what the topic carries",
    note = "a handler takes `{E}`, `Delivery<{E}>`, `Vec<{E}>` or `Vec<Delivery<{E}>>`"
)]
pub trait BatchInput<E> {
    /// Takes out what the handler wants.
    fn from_deliveries(deliveries: Vec<Delivery<E>>) -> Self;
}

impl<E> BatchInput<E> for Vec<E> {
    fn from_deliveries(deliveries: Vec<Delivery<E>>) -> Self {
        deliveries.into_iter().map(Delivery::into_event).collect()
    }
}

impl<E> BatchInput<E> for Vec<Delivery<E>> {
    fn from_deliveries(deliveries: Vec<Delivery<E>>) -> Self {
        deliveries
    }
}

/// What a handler returns: a result whose error is, or becomes, [`bis::Error`](crate::Error).
#[diagnostic::on_unimplemented(
    message = "the handler returns `{Self}`, which cannot say whether the event is handled",
    label = "not a `bis::Result<()>`",
    note = "return `bis::Result<()>`: `Ok(())` acknowledges the event, an error has it retried",
    note = "an error of another type must become a `bis::Error`: derive `thiserror::Error` for it"
)]
pub trait HandlerOutput {
    /// Whether the event is handled.
    fn into_result(self) -> Result<()>;
}

#[diagnostic::do_not_recommend]
impl<F: Into<Error>> HandlerOutput for std::result::Result<(), F> {
    fn into_result(self) -> Result<()> {
        self.map_err(Into::into)
    }
}

/// A topic with a handler whose parameter fits it, and how what was delivered (`D`) becomes the parameter. So the bound is
/// asked for once, and a mistake is one error.
pub struct Takes<E: 'static, D, I, F> {
    topic: &'static Topic<E>,
    convert: fn(D) -> I,
    handler: fn(I) -> F,
}

/// Checks that a handler takes the topic's events.
pub fn takes<E, I: HandlerInput<E>, F>(
    topic: &'static Topic<E>,
    handler: fn(I) -> F,
) -> Takes<E, Delivery<E>, I, F> {
    Takes { topic, convert: I::from_delivery, handler }
}

/// Checks that a handler takes batches of the topic's events.
pub fn takes_batch<E, I: BatchInput<E>, F>(
    topic: &'static Topic<E>,
    handler: fn(I) -> F,
) -> Takes<E, Vec<Delivery<E>>, I, F> {
    Takes { topic, convert: I::from_deliveries, handler }
}

/// A handler of one delivery at a time.
pub fn one<E, I, F>(takes: Takes<E, Delivery<E>, I, F>) -> Subscribed
where
    I: 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let Takes { topic, convert, handler } = takes;
    let call = move |incoming| {
        let delivery = topic.decode(incoming)?;
        Ok(run(handler(convert(delivery))))
    };
    Subscribed { topic: topic.info(), handler: ErasedHandler::One(Arc::new(call)) }
}

/// A handler of batches of at most `max` deliveries, the first of which waits for at most `wait`.
pub fn batch<E, I, F>(takes: Takes<E, Vec<Delivery<E>>, I, F>, max: usize, wait: Duration) -> Subscribed
where
    I: 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let Takes { topic, convert, handler } = takes;
    let call = move |batch: Vec<Incoming>| {
        let mut deliveries = Vec::with_capacity(batch.len());
        let mut undecodable = Vec::new();
        for (index, incoming) in batch.into_iter().enumerate() {
            match topic.decode(incoming) {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => undecodable.push((index, error)),
            }
        }
        let future = (!deliveries.is_empty()).then(|| run(handler(convert(deliveries))));
        BatchCall { future, undecodable }
    };
    Subscribed { topic: topic.info(), handler: ErasedHandler::Batch { max, wait, call: Arc::new(call) } }
}

fn run<F>(future: F) -> HandlerFuture
where
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    Box::pin(async move { future.await.into_result() })
}

/// Represents a handler in the wrong place, so that its place is its only error.
pub async fn nested_handler<E>(_: Delivery<E>) -> Result<()> {
    Ok(())
}

/// Represents a handler of batches in the wrong place.
pub async fn nested_batch<E>(_: Vec<Delivery<E>>) -> Result<()> {
    Ok(())
}

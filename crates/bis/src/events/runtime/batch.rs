//! Batches: how deliveries are collected for a handler that takes several, and how its one result becomes that of each.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bis_broker::{ConsumeError, Consumer, Deliveries, Delivery};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::{
    attempt,
    leases::Received,
    settle::{self, Outcome},
    worker::Shared,
};
use crate::{
    error::Error,
    events::{
        delivery::Incoming,
        entry::{BatchCall, ErasedHandler},
    },
    instance::{Activity, Purpose},
};

/// When a batch is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// With this many deliveries.
    pub(super) max: NonZeroUsize,
    /// Or this long after the first one.
    pub(super) wait: Duration,
}

/// What was received, to be handled.
#[derive(Default)]
pub(super) struct Collected {
    /// As one batch.
    pub(super) together: Vec<Received>,
    /// Each as a batch of its own: a neighbour would share its failure, or its crash.
    pub(super) alone: Vec<Received>,
}

impl Collected {
    fn add(&mut self, deliveries: Deliveries, shared: &Shared) {
        for delivery in deliveries {
            let (received, is_apart) = shared.hold(delivery);
            if is_apart { &mut self.alone } else { &mut self.together }.push(received);
        }
    }
}

/// Waits for a batch, while the leases of what was collected are extended. What is to be handled alone does not wait. Dropping
/// the future gives everything back.
pub(super) async fn collect(
    consumer: &mut dyn Consumer,
    size: Size,
    shared: &Shared,
) -> Result<Collected, ConsumeError> {
    let mut batch = Collected::default();
    batch.add(consumer.receive(size.max).await?, shared);
    let full = async {
        while batch.alone.is_empty()
            && let Some(room) = NonZeroUsize::new(size.max.get().saturating_sub(batch.together.len()))
        {
            batch.add(consumer.receive(room).await?, shared);
        }
        Ok(())
    };
    tokio::select! {
        biased;
        result = full => result?,
        () = shared.instance.clock.sleep(size.wait, Purpose::Event) => {}
    }
    Ok(batch)
}

/// Handles a batch and settles each of its deliveries.
pub(super) async fn run(shared: Arc<Shared>, received: Vec<Received>, slot: OwnedSemaphorePermit) {
    let deliveries: Vec<Delivery> = received.into_iter().filter_map(|one| shared.start(one)).collect();
    let Shared { instance, subscription, .. } = &*shared;
    let activity = instance.clock.begin(|| subscription.to_string());
    let scope = attempt::scope(subscription, deliveries.first(), activity.as_ref());
    let span = attempt::span(subscription, &scope, Some(deliveries.len()));
    let handled = scope.run(handle(&shared, deliveries)).instrument(span);
    Activity::follow(activity.as_ref(), handled).await;
    drop((activity, slot));
}

async fn handle(shared: &Shared, deliveries: Vec<Delivery>) {
    let Shared { instance, subscription, .. } = shared;
    let mut mine = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let outcome = if !delivery.envelope.is_for(&subscription.name) {
            Outcome::Skipped
        } else if let Some(outcome) = settle::overdue(instance, subscription, &delivery) {
            outcome
        } else if let Err(error) = attempt::identity(instance, subscription, &delivery) {
            Outcome::Undecodable(error.into())
        } else {
            mine.push(delivery);
            continue;
        };
        settle::settle(shared, delivery, &outcome).await;
    }
    if mine.is_empty() {
        return;
    }
    let mut undecodable = Vec::new();
    let batch = mine.iter().map(Incoming::of).collect();
    let call = || {
        let ErasedHandler::Batch { call, .. } = &subscription.handler else {
            return Err(Error::msg("the handler takes no batches"));
        };
        let BatchCall { future, undecodable: failed } = call(batch);
        undecodable = failed;
        Ok(future.unwrap_or_else(|| Box::pin(std::future::ready(Ok(())))))
    };
    let outcome = attempt::limited(shared, call).await;
    // The handler was called with those that decode.
    let outcome = if mine.len() - undecodable.len() > 1 { outcome.of_several() } else { outcome };
    for (index, delivery) in mine.into_iter().enumerate() {
        let own = undecodable.iter().position(|(at, _)| *at == index);
        let own = own.map(|at| Outcome::Undecodable(undecodable.swap_remove(at).1));
        settle::settle(shared, delivery, own.as_ref().unwrap_or(&outcome)).await;
    }
}

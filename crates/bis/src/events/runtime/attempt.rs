//! One run of a handler: its scope and span, the limit on its time, and the end of its panics.
//! It decides nothing about what the outcome means for the event.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bis_broker::Delivery;
use bis_core::{codes, format_duration};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, Span};

use super::{
    Subscription,
    leases::Received,
    settle::{self, Outcome},
    worker::Shared,
};
use crate::{
    error::Error,
    events::{
        delivery::Incoming,
        entry::{ErasedHandler, HandlerFuture},
    },
    instance::{Activity, AnyIdentity, IdentityError, Instance, Purpose, Scope, Users, threads},
    panics::{self, Caught},
};

/// Handles one delivery and settles it. The slot is free again afterwards.
pub(super) async fn run(shared: Arc<Shared>, received: Received, slot: Option<OwnedSemaphorePermit>) {
    let Some(delivery) = shared.start(received) else { return };
    let Shared { instance, subscription, .. } = &*shared;
    let activity = instance.clock.begin(|| subscription.to_string());
    let mut scope = scope(subscription, Some(&delivery), activity.as_ref());
    let identity = identity(instance, subscription, &delivery);
    if let Ok(identity) = &identity {
        scope.identity.clone_from(identity);
    }
    let span = span(subscription, &scope, None);
    let handled = async {
        let outcome = if !delivery.envelope.is_for(&subscription.name) {
            Outcome::Skipped
        } else if let Some(outcome) = settle::overdue(instance, subscription, &delivery) {
            outcome
        } else if let Err(error) = identity {
            Outcome::Undecodable(error.into())
        } else {
            let incoming = Incoming::of(&delivery);
            let call = || call(&subscription.handler, incoming);
            limited(&shared, call).await
        };
        settle::settle(&shared, delivery, &outcome).await;
    };
    Activity::follow(activity.as_ref(), scope.run(handled).instrument(span)).await;
    drop((activity, slot));
}

/// Who asked for what caused the event, where its type carries that.
pub(super) fn identity(
    instance: &Instance,
    subscription: &Subscription,
    delivery: &Delivery,
) -> Result<Option<AnyIdentity>, IdentityError> {
    let text = delivery.envelope.identity.as_deref().filter(|_| subscription.declared.identity);
    text.map(|text| instance.extension::<Users>().read(text)).transpose()
}

/// What surrounds a run that `first` began: a batch continues the trace of its first event, and has no identity.
pub(super) fn scope(
    subscription: &Subscription,
    first: Option<&Delivery>,
    activity: Option<&Activity>,
) -> Scope {
    let attempt = first.map(|delivery| delivery.attempt);
    let first = first.map(|delivery| &*delivery.envelope);
    Scope {
        cause: first.map(|envelope| envelope.id.clone()),
        attempt,
        service: Some(subscription.service),
        activity: activity.map(Activity::id),
        ..Scope::continuing(first.and_then(|envelope| envelope.trace.as_ref()))
    }
}

fn call(handler: &ErasedHandler, incoming: Incoming) -> Result<HandlerFuture, Error> {
    match handler {
        ErasedHandler::One(handler) => handler(incoming),
        ErasedHandler::Batch { call, .. } => {
            let mut batch = call(vec![incoming]);
            match batch.undecodable.pop() {
                Some((_, error)) => Err(error),
                None => batch.future.ok_or_else(|| Error::msg("the handler was not called")),
            }
        }
    }
}

/// The span of a run, with the names of OpenTelemetry's messaging conventions
/// (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>). `batch` is how many deliveries it is of.
pub(super) fn span(subscription: &Subscription, scope: &Scope, batch: Option<usize>) -> Span {
    let span = tracing::debug_span!(
        "deliver",
        "otel.kind" = "consumer",
        "messaging.system" = "bis",
        "messaging.operation.type" = "process",
        "messaging.operation.name" = "deliver",
        "messaging.destination.name" = subscription.topic.as_str(),
        "messaging.destination.subscription.name" = subscription.name.as_str(),
        "messaging.message.id" = tracing::field::Empty,
        "messaging.batch.message_count" = batch,
        attempt = scope.attempt,
        service = subscription.service,
        trace_id = tracing::field::Empty,
    );
    if !span.is_disabled() {
        span.record("trace_id", format_args!("{:032x}", scope.span.trace));
        if let Some(event) = scope.cause.as_ref().filter(|_| batch.is_none()) {
            span.record("messaging.message.id", &*event.shown());
        }
    }
    span
}

/// Calls a handler and waits for it, at most for its timeout. The handler is dropped when it runs out of time.
pub(super) async fn limited(shared: &Shared, call: impl FnOnce() -> Result<HandlerFuture, Error>) -> Outcome {
    let Shared { instance, metrics, .. } = shared;
    metrics.begin();
    let began = instance.clock.elapsed();
    let outcome = within_timeout(shared, call).await;
    metrics.end(outcome.as_str(), instance.clock.elapsed().saturating_sub(began));
    outcome
}

async fn within_timeout(
    Shared { instance, subscription, .. }: &Shared,
    call: impl FnOnce() -> Result<HandlerFuture, Error>,
) -> Outcome {
    let future = {
        let _entered = threads::enter(subscription.clone());
        match panics::catch(call) {
            Ok(Ok(future)) => future,
            Ok(Err(error)) => return Outcome::Undecodable(error),
            Err(panic) => return Outcome::Panicked(panic.into_text()),
        }
    };
    let (clock, timeout) = (&instance.clock, subscription.timeout);
    // What is ready at once never costs a timer.
    tokio::select! {
        biased;
        result = Caught::new(subscription, Entering { subscription, future }) => match result {
            Ok(Ok(())) => Outcome::Handled,
            Ok(Err(error)) => Outcome::Failed(error),
            Err(panic) => Outcome::Panicked(panic.into_text()),
        },
        () = clock.sleep(timeout, Purpose::Guard) => {
            Outcome::TimedOut { timeout, patience: clock.ended_patience() }
        }
    }
}

/// A handler that is known to have its thread while it runs.
struct Entering<'a> {
    subscription: &'a Arc<Subscription>,
    future: HandlerFuture,
}

impl Future for Entering<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let _entered = threads::enter(self.subscription.clone());
        self.future.as_mut().poll(context)
    }
}

/// What a run that timed out is reported with. `patience` is that of a test, if time only moved because it was over.
pub(super) fn timeout_text(timeout: Duration, patience: Option<Duration>) -> String {
    let mut text =
        format!("the handler did not finish within {} and was cancelled", format_duration(timeout));
    if let Some(patience) = patience {
        let patience = format_duration(patience);
        text += &format!(
            "; it waited {patience} of real time for something other than the app's time, the longest that `patience` in `#[bis::test]` allows"
        );
    }
    text += &format!(" [{}]", codes::TIMED_OUT);
    text
}

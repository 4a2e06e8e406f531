//! One run of a handler: its scope and span, the limit on its time, and the end of its panics.
//! It decides nothing about what the outcome means for the event.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
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
    threads,
    worker::Shared,
};
use crate::{
    error::Error,
    events::{
        delivery::Incoming,
        entry::{ErasedHandler, HandlerFuture},
    },
    instance::{Activity, Purpose, Scope},
};

/// Handles one delivery and settles it. The slot is free again afterwards.
pub(super) async fn run(shared: Arc<Shared>, received: Received, slot: Option<OwnedSemaphorePermit>) {
    let Some(delivery) = shared.start(received) else { return };
    let Shared { instance, subscription, .. } = &*shared;
    let activity = instance.clock.begin(|| subscription.to_string());
    let scope = scope(subscription, Some(&delivery), activity.as_ref());
    let span = span(subscription, &scope, None);
    let handled = async {
        let outcome = if !delivery.envelope.is_for(&subscription.name) {
            Outcome::Skipped
        } else if let Some(outcome) = settle::overdue(instance, subscription, &delivery) {
            outcome
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

/// What surrounds a run that `first` began: a batch continues the trace of its first event.
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
pub(super) async fn limited(
    Shared { instance, subscription, .. }: &Shared,
    call: impl FnOnce() -> Result<HandlerFuture, Error>,
) -> Outcome {
    let future = {
        let _entered = threads::enter(subscription);
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(future)) => future,
            Ok(Err(error)) => return Outcome::Undecodable(error),
            Err(panic) => return Outcome::Panicked(panic_text(&*panic)),
        }
    };
    let (clock, timeout) = (&instance.clock, subscription.timeout);
    // What is ready at once never costs a timer.
    tokio::select! {
        biased;
        outcome = Caught { subscription, future: Some(future) } => outcome,
        () = clock.sleep(timeout, Purpose::Guard) => {
            Outcome::TimedOut { timeout, patience: clock.ended_patience() }
        }
    }
}

/// A handler whose panics are outcomes.
struct Caught<'a> {
    subscription: &'a Arc<Subscription>,
    /// Until it has ended.
    future: Option<HandlerFuture>,
}

impl Future for Caught<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let _entered = threads::enter(self.subscription);
        let future = self.future.as_mut().expect("it is not polled again after it has ended");
        // The future is not polled again after it panicked, so nobody sees what it left half done.
        let outcome = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => Outcome::Handled,
            Ok(Poll::Ready(Err(error))) => Outcome::Failed(error),
            Err(panic) => Outcome::Panicked(panic_text(&*panic)),
        };
        self.end();
        Poll::Ready(outcome)
    }
}

impl Caught<'_> {
    /// Drops what is left of the handler. What it returned, or that it ran out of time, stays true when a destructor panics.
    fn end(&mut self) {
        let future = self.future.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            let (subscription, panic) = (self.subscription, panic_text(&*panic));
            tracing::error!(%subscription, panic, "a destructor panicked when the handler had ended");
        }
    }
}

impl Drop for Caught<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is not text").to_owned()
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

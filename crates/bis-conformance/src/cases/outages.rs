//! The broker goes away and comes back, politely or not. Only for brokers that are a process of their own.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bis_broker::{Broker, Outgoing, PublishError};
use bis_core::EventId;

use crate::{
    Context, Inbox, Process,
    context::{at_once, event, publish, try_publish},
};

/// How long a publish may take to say that the broker is gone.
const UNREACHABLE_WITHIN: Duration = Duration::from_secs(12);

/// How long clients may take to find a broker that came back.
const RECONNECT_WITHIN: Duration = Duration::from_secs(20);

fn process(context: &Context) -> Option<&dyn Process> {
    let process = context.process();
    if process.is_none() {
        context.skip("it lives and dies with the app's process");
    }
    process
}

/// Nothing is reported as published that no broker has taken; and the wait is bounded.
pub async fn publishing_fails_when_the_broker_is_gone(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let Some(process) = process(context) else { return };
    publish(&*broker, "before").await;
    process.kill().await;
    let started = Instant::now();
    for _ in 0..2 {
        let error = try_publish(&*broker, at_once(event("gone"))).await.expect_err("nobody took it");
        assert!(
            matches!(error, PublishError::Unreachable { .. } | PublishError::Unanswered { .. }),
            "{error:?}"
        );
    }
    assert!(started.elapsed() < UNREACHABLE_WITHIN, "{:?}", started.elapsed());
}

/// Consumers and publishers find the broker again by themselves, and what was there before still is.
pub async fn everyone_reconnects_after_a_restart(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let Some(process) = process(context) else { return };
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let first = publish(&*broker, "first").await;
    let held = inbox.one().await;
    assert_eq!(held.envelope.id, first);
    let second = publish(&*broker, "second").await;
    process.stop().await;
    // Its connection is gone: the ack may fail, the event comes again.
    let _ = held.settle.ack().await;
    process.start().await;
    let third = publish_until_taken(&*broker, "third").await;
    inbox.ack_until_all([second, third].into()).await;
}

/// Durable means what the capability says: taken before the kill, there after it.
pub async fn what_was_published_survives_a_kill(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let Some(process) = process(context) else { return };
    if !broker.capabilities().durable {
        return context.skip("what it has taken does not survive a kill");
    }
    let mut ids = BTreeSet::new();
    for number in 0..50 {
        ids.insert(publish(&*broker, number.to_string()).await);
    }
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let held = inbox.take(5).await;
    process.kill().await;
    process.start().await;
    drop(held);
    inbox.ack_until_all(ids).await;
}

/// An event that is delayed and one that waits to be tried again come after a kill, at their time, where delays are
/// durable; elsewhere they may be gone, which the capability says.
pub async fn what_waits_for_its_time_survives_a_kill(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let Some(process) = process(context) else { return };
    if !broker.capabilities().durable_delay {
        return context.skip("what waits for its time does not survive a kill");
    }
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let retried = publish(&*broker, "retried").await;
    let delivery = inbox.one().await;
    let wait = Duration::from_secs(2);
    let retried_at = Instant::now();
    delivery.settle.retry(wait).await.expect("retried");
    // Settlements are written with the next commit; let it be that of the publish below.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let delayed = event("delayed");
    let id = delayed.id.clone();
    try_publish(&*broker, Outgoing { delay: wait, ..at_once(delayed) }).await.expect("published");
    process.kill().await;
    process.start().await;
    inbox.expect_nothing(wait.saturating_sub(retried_at.elapsed() + Duration::from_millis(200))).await;
    for delivery in inbox.take(2).await {
        assert!(
            retried_at.elapsed() + Duration::from_millis(1) >= wait,
            "came after {:?}",
            retried_at.elapsed()
        );
        let attempt = if delivery.envelope.id == retried { 2 } else { 1 };
        assert!(delivery.envelope.id == retried || delivery.envelope.id == id);
        assert_eq!(delivery.attempt, attempt, "{}", delivery.envelope.id);
        delivery.settle.ack().await.expect("acked");
    }
}

/// The broker is killed again and again at arbitrary points of publishing, delivering and acking: whatever a publish
/// reported as taken is delivered.
pub async fn nothing_is_lost_when_the_broker_dies_between_any_two_steps(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let Some(process) = process(context) else { return };
    if !broker.capabilities().durable {
        return context.skip("what it has taken does not survive a kill");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let publisher = tokio::spawn(publish_all_the_time(broker.clone(), stop.clone()));
    let handler = tokio::spawn(handle_all_the_time(broker.clone(), stop.clone()));
    for round in 0_u64..6 {
        tokio::time::sleep(Duration::from_millis(60 + 37 * round)).await;
        process.kill().await;
        process.start().await;
    }
    publish_until_taken(&*broker, "last").await;
    stop.store(true, Ordering::Release);
    let taken = publisher.await.expect("the publisher does not panic");
    let handled = handler.await.expect("the handler does not panic");
    assert!(taken.len() > 10, "only {} events were taken: the case tests nothing", taken.len());
    let missing: BTreeSet<_> = taken.difference(&handled).cloned().collect();
    let mut inbox = Inbox::open(&*broker, "ship").await;
    inbox.ack_until_all(missing).await;
}

/// Publishes until told to stop; returns what was taken.
async fn publish_all_the_time(broker: Arc<dyn Broker>, stop: Arc<AtomicBool>) -> BTreeSet<EventId> {
    let mut taken = BTreeSet::new();
    while !stop.load(Ordering::Acquire) {
        let event = event("x");
        let id = event.id.clone();
        if try_publish(&*broker, at_once(event)).await.is_ok() {
            taken.insert(id);
        }
    }
    taken
}

/// Acks until told to stop; returns what came.
async fn handle_all_the_time(broker: Arc<dyn Broker>, stop: Arc<AtomicBool>) -> BTreeSet<EventId> {
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let mut handled = BTreeSet::new();
    while !stop.load(Ordering::Acquire) {
        for delivery in inbox.receive_within(10, Duration::from_millis(50)).await.unwrap_or_default() {
            handled.insert(delivery.envelope.id.clone());
            let _ = delivery.settle.ack().await;
        }
    }
    inbox.stop().await;
    handled
}

async fn publish_until_taken(broker: &dyn Broker, data: &'static str) -> EventId {
    let deadline = Instant::now() + RECONNECT_WITHIN;
    loop {
        let event = event(data);
        let id = event.id.clone();
        match try_publish(broker, at_once(event)).await {
            Ok(_) => return id,
            Err(error) => {
                assert!(Instant::now() < deadline, "the client does not find the broker again: {error}")
            }
        }
    }
}

//! What happens to a delivery: acked, retried, released, dropped, or held for long.

use std::time::{Duration, Instant};

use crate::{
    Context, Inbox, Peer,
    context::{ack, publish, publish_numbers},
};

/// The broker's count of deliveries is the attempt.
pub async fn attempts_are_counted(context: &Context) {
    let broker = context.ready_client(&["ship", "email"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish(&*broker, "1").await;
    for attempt in 1..=5 {
        let delivery = inbox.one().await;
        assert_eq!(delivery.attempt, attempt);
        delivery.settle.retry(Duration::ZERO).await.expect("retried");
    }
    ack(inbox.one().await).await;
    let mut other = Inbox::open(&*broker, "email").await;
    let delivery = other.one().await;
    assert_eq!(delivery.attempt, 1, "each subscription counts for itself");
    ack(delivery).await;
}

/// A retry comes no earlier than asked, and not much later.
pub async fn a_retry_waits_as_asked(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish(&*broker, "1").await;
    for wait in [300, 1200].map(Duration::from_millis) {
        let delivery = inbox.one().await;
        let retried = Instant::now();
        delivery.settle.retry(wait).await.expect("retried");
        let again = inbox.one().await;
        let waited = retried.elapsed();
        // A broker counts in whole milliseconds.
        assert!(waited + Duration::from_millis(1) >= wait, "came after {waited:?}, asked for {wait:?}");
        assert!(waited <= wait + context.slack(), "came after {waited:?}, asked for {wait:?}");
        again.settle.retry(Duration::ZERO).await.expect("retried");
    }
    ack(inbox.one().await).await;
}

/// An event that was never started comes again, and costs no attempt where the broker says so.
pub async fn a_released_event_comes_again_uncounted_where_offered(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish(&*broker, "1").await;
    for _ in 0..3 {
        inbox.one().await.settle.release().await.expect("released");
    }
    let delivery = inbox.one().await;
    let counted = if broker.capabilities().uncounted_release { 1 } else { 4 };
    assert_eq!(delivery.attempt, counted);
    ack(delivery).await;
}

/// An event that could not be handled for a reason of the broker's waits, and costs no attempt where the broker says so.
pub async fn a_postponed_event_waits_uncounted_where_offered(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish(&*broker, "1").await;
    let wait = Duration::from_millis(300);
    for _ in 0..3 {
        let delivery = inbox.one().await;
        let postponed = Instant::now();
        delivery.settle.postpone(wait).await.expect("postponed");
        let again = inbox.one().await;
        let waited = postponed.elapsed();
        assert!(waited + Duration::from_millis(1) >= wait, "came after {waited:?}, asked for {wait:?}");
        again.settle.postpone(Duration::ZERO).await.expect("postponed");
    }
    let delivery = inbox.one().await;
    let counted = if broker.capabilities().uncounted_release { 1 } else { 7 };
    assert_eq!(delivery.attempt, counted);
    ack(delivery).await;
}

/// A handler that silently disappears loses nothing.
pub async fn a_dropped_delivery_comes_again(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let id = publish(&*broker, "1").await;
    drop(inbox.one().await);
    let again = inbox.one().await;
    assert_eq!(again.envelope.id, id);
    assert_eq!(again.attempt, 2, "it was started, so it counts");
    ack(again).await;
}

/// Extended in one call, deliveries stay for several leases, and are still this consumer's to ack; one that was settled before
/// stays settled.
pub async fn a_lease_that_is_extended_holds(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    publish_numbers(&*broker, 20).await;
    let deliveries = inbox.take(20).await;
    let lease = deliveries[0].lease.unwrap_or(<dyn Peer>::LEASE);
    let started = Instant::now();
    while started.elapsed() < lease + context.slack() {
        let extended = inbox.extend(&deliveries.iter().collect::<Vec<_>>()).await;
        let count = if deliveries[0].lease.is_some() { deliveries.len() } else { 0 };
        assert_eq!(extended, vec![Ok(()); count], "one result per lease");
        inbox.expect_nothing(lease / 3).await;
    }
    for delivery in deliveries {
        ack(delivery).await;
    }
    inbox.expect_nothing(lease + context.slack()).await;
}

/// Without an extension, a handler that hangs does not keep the event forever.
pub async fn a_lease_that_ends_gives_the_event_back(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let id = publish(&*broker, "1").await;
    let hanging = inbox.one().await;
    let Some(lease) = hanging.lease else {
        context.skip("a delivery stays until its consumer is gone");
        return ack(hanging).await;
    };
    let again = inbox.receive_within(1, lease + context.slack()).await.expect("it comes again").remove(0);
    // A broker that takes deliveries back uncounted does not know yet that it was this event's fault.
    let attempt = if broker.capabilities().uncounted_release { 1 } else { 2 };
    assert_eq!((&again.envelope.id, again.attempt), (&id, attempt));
    ack(again).await;
    // Too late, which is no error to stop for: the event is at most handled twice.
    let _ = hanging.settle.ack().await;
    inbox.expect_nothing(lease + context.slack()).await;
}

/// Closing includes what was settled before.
pub async fn acks_before_closing_hold(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    publish_numbers(&*broker, 200).await;
    let first = context.client().await;
    if !broker.capabilities().multi_process {
        return context.skip("the broker ends with its one client");
    }
    let mut inbox = Inbox::open(&*first, "ship").await;
    for delivery in inbox.take(200).await {
        ack(delivery).await;
    }
    inbox.stop().await;
    first.close().await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    inbox.expect_nothing(<dyn Peer>::LEASE + context.slack()).await;
}

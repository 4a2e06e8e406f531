//! What a publish promises, and what is refused.

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use bis_broker::{ConsumeError, EnsureError, Outgoing, PublishError, Receipt};
use bis_core::{Deduplication, EventId};

use crate::{
    Context, Inbox,
    context::{
        ack, at_once, bounded_inquiry, ensure, event, publish, publish_numbers, topic, topology, try_publish,
    },
};

/// A delay is kept, and does not hold up other events.
pub async fn a_delayed_event_comes_after_its_delay(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let delay = Duration::from_millis(800);
    let published = Instant::now();
    let late = Outgoing { delay, ..at_once(event("late")) };
    try_publish(&*broker, late).await.expect("published");
    publish(&*broker, "now").await;
    let first = inbox.one().await;
    assert_eq!(first.envelope.data, "now");
    ack(first).await;
    let second = inbox.one().await;
    let waited = published.elapsed();
    assert_eq!((second.envelope.data.as_ref(), second.attempt), (&b"late"[..], 1));
    assert!(
        waited + Duration::from_millis(1) >= delay && waited <= delay + context.slack(),
        "came after {waited:?}"
    );
    ack(second).await;
}

/// No delay is silently shortened.
pub async fn a_delay_beyond_the_limit_is_refused(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let result = try_publish(&*broker, Outgoing { delay: year, ..at_once(event("1")) }).await;
    match broker.capabilities().max_publish_delay {
        Some(limit) => {
            let refused = PublishError::DelayTooLong { delay: year, limit };
            assert!(refused.to_string().ends_with(" [BIS0042]"), "{refused}");
            assert_eq!(result, Err(refused));
        }
        None => assert_eq!(result.map(drop), Ok(())),
    }
    let mut inbox = Inbox::open(&*broker, "ship").await;
    inbox.expect_nothing(Duration::from_millis(300)).await;
}

/// One event over the limit fails with its size, and its neighbours are taken.
pub async fn an_event_that_is_too_large_is_refused_alone(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let limit = broker.capabilities().max_event_bytes;
    let events = vec![at_once(event("a")), at_once(event(vec![b'x'; limit])), at_once(event("b"))];
    let results = broker.publish(&topic(false), events).await;
    assert_eq!((results[0].is_ok(), results[2].is_ok()), (true, true), "{results:?}");
    assert!(
        matches!(results[1], Err(PublishError::TooLarge { bytes, limit: told }) if bytes > limit && told == limit),
        "{:?}",
        results[1]
    );
    assert!(results[1].clone().expect_err("it is too large").to_string().ends_with(" [BIS1031]"));
    let mut inbox = Inbox::open(&*broker, "ship").await;
    for expected in ["a", "b"] {
        let delivery = inbox.one().await;
        assert_eq!(delivery.envelope.data, expected);
        ack(delivery).await;
    }
    inbox.expect_nothing(Duration::from_millis(300)).await;
}

/// After closing, everything fails as closed.
pub async fn a_closed_broker_refuses(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    inbox.stop().await;
    broker.close().await;
    assert_eq!(try_publish(&*broker, at_once(event("1"))).await, Err(PublishError::Closed));
    assert_eq!(broker.ensure(&topology(&["ship"], false)).await, Err(EnsureError::Closed));
    let again = broker.subscribe(&topology(&["ship"], false).subscriptions[0]).await;
    assert_eq!(again.err(), Some(ConsumeError::Closed));
}

/// What exists stays as it is.
pub async fn ensuring_twice_changes_nothing(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    publish_numbers(&*broker, 3).await;
    ensure(&*broker, &["ship"]).await;
    let other = context.ready_client(&["ship", "email"]).await;
    let id: EventId = publish(&*other, "new").await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    for delivery in inbox.take(4).await {
        ack(delivery).await;
    }
    let mut inbox = Inbox::open(&*other, "email").await;
    inbox.ack_until_all([id].into()).await;
}

/// An event whose publish was not answered is published again under its id: where the broker knows it among its latest,
/// it is taken and delivered once; elsewhere twice, and nothing is refused.
pub async fn the_same_event_again_is_kept_once_where_offered(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let twice = event("twice");
    for _ in 0..2 {
        try_publish(&*broker, at_once(twice.clone())).await.expect("taken, or known");
    }
    let copies = if broker.capabilities().deduplication == Deduplication::None { 2 } else { 1 };
    for delivery in inbox.take(copies).await {
        assert_eq!((&delivery.envelope.id, delivery.attempt), (&twice.id, 1));
        ack(delivery).await;
    }
    inbox.expect_nothing(Duration::from_millis(300)).await;
    // Also once it is handled, and in one call.
    let results = broker.publish(&topic(false), vec![at_once(twice.clone()), at_once(event("other"))]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let mut data: Vec<_> = Vec::new();
    for delivery in inbox.take(copies).await {
        data.push(delivery.envelope.data.clone());
        ack(delivery).await;
    }
    data.sort();
    assert_eq!(data, ["other", "twice"][..copies]);
    inbox.expect_nothing(Duration::from_millis(300)).await;
}

/// More events than one call of the broker's carries are taken in one publish, and none is lost between its calls.
pub async fn more_events_than_a_call_carries_are_all_taken(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let count = 3 * broker.capabilities().batch.publish.unwrap_or(100) + 1;
    let events: Vec<Outgoing> = (0..count).map(|number| at_once(event(number.to_string()))).collect();
    let ids: BTreeSet<EventId> = events.iter().map(|event| event.envelope.id.clone()).collect();
    let receipts = taken(broker.publish(&topic(false), events).await);
    assert_eq!(receipts.len(), count);
    assert!(receipts.is_sorted_by(|first, next| first.position.is_none() || first.position < next.position));
    Inbox::open(&*broker, "ship").await.ack_until_all(ids).await;
}

/// An app that only publishes on a topic knows no subscription to it: the topic is made before its first event, and
/// events of a subscription that comes later are not lost.
pub async fn a_topic_that_nobody_ensured_takes_events(context: &Context) {
    let broker = context.client().await;
    for data in ["1", "2"] {
        try_publish(&*broker, at_once(event(data))).await.expect("taken");
    }
    ensure(&*broker, &["ship"]).await;
    let id = publish(&*broker, "3").await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    inbox.ack_until_all([id].into()).await;
}

/// A receipt has the event's place, as peeking shows it, and says where a known event was before. An id of any
/// form will do: one that is not a UUID counts within its source. Brokers that offer neither say nothing.
pub async fn a_receipt_says_where_the_event_is_and_whether_it_was_known(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let (peeks, knows) = {
        let can = broker.capabilities();
        (can.peek, can.deduplication != Deduplication::None)
    };
    let named = |id: &str, source: &str| {
        let mut event = event(id.to_owned());
        (event.id, event.source) = (EventId::from(id), source.into());
        at_once(event)
    };
    let uuid = EventId::generate();
    let ids = [uuid.as_str(), "order 7/é", &"x".repeat(200)];
    let first = ids.map(|id| named(id, "/shop/orders")).to_vec();
    let receipts = taken(broker.publish(&topic(false), first.clone()).await);
    assert!(receipts.iter().all(|receipt| !receipt.duplicate), "{receipts:?}");
    let positions: Vec<u64> = receipts.iter().filter_map(|receipt| receipt.position).collect();
    assert_eq!(positions.len(), if peeks { 3 } else { 0 });
    if peeks {
        let spec = &topology(&["ship"], false).subscriptions[0];
        let ten = NonZeroUsize::new(10).expect("ten");
        let page = bounded_inquiry(broker.peek(spec, None, ten)).await.expect("shown");
        assert_eq!(positions, page.events.iter().map(|waiting| waiting.position).collect::<Vec<_>>());
    }
    // Known in a call of its own, and within one; another source's is another event unless its id is a UUID.
    let again = taken(broker.publish(&topic(false), first).await);
    let expected = receipts.iter().map(|first| Receipt { duplicate: knows, ..*first });
    if knows {
        assert_eq!(again, expected.collect::<Vec<_>>());
    }
    let twice = vec![named("twice", "/shop/orders"), named("twice", "/shop/orders"), named("twice", "/shop")];
    let receipts = taken(broker.publish(&topic(false), twice).await);
    let known: Vec<bool> = receipts.iter().map(|receipt| receipt.duplicate).collect();
    assert_eq!(known, [false, knows, false]);
    let distinct = usize::from(knows);
    let positions: BTreeSet<u64> = receipts.iter().filter_map(|receipt| receipt.position).collect();
    assert_eq!(positions.len(), if peeks { 3 - distinct } else { 0 });
    let mut inbox = Inbox::open(&*broker, "ship").await;
    for delivery in inbox.take(if knows { 5 } else { 9 }).await {
        ack(delivery).await;
    }
    inbox.expect_nothing(Duration::from_millis(300)).await;
}

/// The receipts of events that must be taken.
fn taken(results: Vec<Result<Receipt, PublishError>>) -> Vec<Receipt> {
    results.into_iter().map(|result| result.expect("taken")).collect()
}

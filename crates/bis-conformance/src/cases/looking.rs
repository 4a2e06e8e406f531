//! Looking at what waits without taking it, and letting what was handled come again.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant, SystemTime},
};

use bis_broker::{Broker, EnsureError, InquiryError, Outgoing, Page, ReplayFrom, Replayed, WaitingState};
use bis_core::Retention;
use tokio::time::sleep;

use crate::{
    Context, Inbox, Peer,
    context::{ack, at_once, bounded_inquiry, event, publish, publish_numbers, spec, topology, try_publish},
};

async fn peek(broker: &dyn Broker, after: Option<u64>, limit: usize) -> Result<Page, InquiryError> {
    let limit = NonZeroUsize::new(limit).expect("a case asks for at least one");
    bounded_inquiry(broker.peek(&spec("ship", false), after, limit)).await
}

async fn replay(broker: &dyn Broker, from: ReplayFrom) -> Result<Replayed, InquiryError> {
    bounded_inquiry(broker.replay(&spec("ship", false), from)).await
}

/// Data, attempts and state of each event.
fn seen(page: &Page) -> Vec<(String, u32, WaitingState)> {
    let seen = page.events.iter().map(|waiting| {
        let data = String::from_utf8_lossy(&waiting.envelope.data).into_owned();
        (data, waiting.attempts, waiting.state)
    });
    seen.collect()
}

/// What waits is shown as it is, page by page, and is delivered all the same.
pub async fn what_waits_is_shown_or_peeking_is_refused(context: &Context) {
    let broker = context.ready_client(&["ship", "email"]).await;
    if !broker.capabilities().peek {
        let refused = peek(&*broker, None, 10).await.expect_err("it has no means to");
        return assert_eq!(refused, InquiryError::NO_PEEK);
    }
    assert!(peek(&*broker, None, 10).await.expect("shown").events.is_empty());
    publish_numbers(&*broker, 4).await;
    let later = Outgoing { delay: Duration::from_secs(600), ..at_once(event("later")) };
    try_publish(&*broker, later).await.expect("published");
    let mut inbox = Inbox::open(&*broker, "ship").await;
    ack(inbox.one().await).await;
    let held = inbox.one().await;

    let first = loop {
        // An ack is under way when it is taken on.
        let page = peek(&*broker, None, 3).await.expect("shown");
        if page.events[0].envelope.data == "1" {
            break page;
        }
        sleep(Duration::from_millis(10)).await;
    };
    let expected =
        [("1", 1, WaitingState::InFlight), ("2", 0, WaitingState::Ready), ("3", 0, WaitingState::Ready)];
    assert_eq!(seen(&first), expected.map(|(data, attempts, state)| (data.to_owned(), attempts, state)));
    assert!(first.more);
    let rest = peek(&*broker, Some(first.events[2].position), 3).await.expect("shown");
    assert_eq!(seen(&rest), [("later".to_owned(), 0, WaitingState::Deferred)]);
    assert!(!rest.more);
    assert!(rest.events[0].position > first.events[2].position);

    ack(held).await;
    let delivery = inbox.one().await;
    assert_eq!((&delivery.envelope.data[..], delivery.attempt), (&b"2"[..], 1), "peeking counts nothing");
    ack(delivery).await;
    let mut other = Inbox::open(&*broker, "email").await;
    assert_eq!(other.take(4).await.len(), 4, "another subscription has a progress of its own");
}

/// What was handled comes again from a place or a time on, for one subscription alone.
pub async fn what_was_handled_comes_again_or_replaying_is_refused(context: &Context) {
    let broker = context.ready_client(&["ship", "email"]).await;
    if !broker.capabilities().replay {
        let refused = replay(&*broker, ReplayFrom::Position(0)).await.expect_err("it has no means to");
        return assert_eq!(refused, InquiryError::NO_REPLAY);
    }
    publish_numbers(&*broker, 3).await;
    sleep(Duration::from_millis(20)).await;
    let between = SystemTime::now();
    sleep(Duration::from_millis(20)).await;
    let last = publish(&*broker, "last").await;
    let page = peek(&*broker, None, 10).await.expect("shown");
    let third = page.events[2].position;
    let mut other = Inbox::open(&*broker, "email").await;
    other.ack_until_all(page.events.iter().map(|waiting| waiting.envelope.id.clone()).collect()).await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    inbox.ack_until_all(page.events.iter().map(|waiting| waiting.envelope.id.clone()).collect()).await;

    let replayed = replay(&*broker, ReplayFrom::Position(third)).await.expect("replayed");
    assert_eq!(replayed, Replayed { from: third, events: 2 });
    for waiting in &page.events[2..] {
        let delivery = inbox.one().await;
        assert_eq!((&delivery.envelope.id, delivery.attempt), (&waiting.envelope.id, 1));
        assert_eq!(delivery.history.generation, 1, "a replay is told from a duplicate");
        ack(delivery).await;
    }
    let replayed = replay(&*broker, ReplayFrom::Time(between)).await.expect("replayed");
    assert_eq!(replayed.events, 1);
    let handled = inbox.one().await;
    assert_eq!((&handled.envelope.id, handled.history.generation), (&last, 2));
    // It is with a handler already, and not given out a second time.
    let again = replay(&*broker, ReplayFrom::Time(SystemTime::UNIX_EPOCH)).await.expect("replayed");
    assert_eq!(again.events, 4);
    for waiting in &page.events[..3] {
        inbox.extend(&[&handled]).await.into_iter().for_each(|result| result.expect("extended"));
        let delivery = inbox.one().await;
        assert_eq!(delivery.envelope.id, waiting.envelope.id);
        ack(delivery).await;
    }
    inbox.expect_nothing(handled.lease.unwrap_or(<dyn Peer>::LEASE) / 3).await;
    ack(handled).await;
    inbox.expect_nothing(context.slack()).await;
    other.expect_nothing(context.slack()).await;
}

/// What is older than a topic keeps does not come again; a broker that keeps nothing says so before the app is ready.
pub async fn a_retention_is_kept_or_refused(context: &Context) {
    let broker = context.client().await;
    let mut topology = topology(&["ship"], false);
    let max_age = Duration::from_secs(2);
    topology.topics[0].retention = Retention { max_age, ..Retention::DEFAULT };
    let ensured = broker.ensure(&topology).await;
    if !broker.capabilities().replay {
        return assert!(matches!(ensured, Err(EnsureError::Unsupported { .. })), "{ensured:?}");
    }
    assert_eq!(ensured, Ok(()));
    let mut inbox = Inbox::open(&*broker, "ship").await;
    let published = Instant::now();
    publish(&*broker, "1").await;
    ack(inbox.one().await).await;
    let again = loop {
        // An ack is under way when it is taken on; what is in flight does not come a second time.
        let replayed = replay(&*broker, ReplayFrom::Position(0)).await.expect("replayed");
        match inbox.receive_within(1, Duration::from_millis(100)).await {
            Some(mut again) => break Some(again.remove(0)),
            None if replayed.events == 0 && published.elapsed() < max_age => panic!("it is not kept"),
            None if published.elapsed() >= max_age => break None,
            None => {}
        }
    };
    if let Some(again) = again {
        ack(again).await;
    }
    sleep(max_age).await;
    // Only a settlement makes handled events age.
    publish(&*broker, "2").await;
    ack(inbox.one().await).await;
    inbox.expect_nothing(context.slack()).await;
    replay(&*broker, ReplayFrom::Position(0)).await.expect("replayed");
    if let Some(again) = inbox.receive_within(9, context.slack()).await {
        let data: Vec<_> = again.iter().map(|delivery| delivery.envelope.data.clone()).collect();
        assert_eq!(data, ["2"], "what is too old came again");
        for delivery in again {
            ack(delivery).await;
        }
    }
}

/// A replay that was answered is durable.
pub async fn a_replay_survives_a_kill(context: &Context) {
    let broker = context.ready_client(&["ship"]).await;
    let Some(process) = context.process() else {
        return context.skip("it lives and dies with the app's process");
    };
    if !broker.capabilities().replay {
        return context.skip("it cannot replay");
    }
    let id = publish(&*broker, "1").await;
    let mut inbox = Inbox::open(&*broker, "ship").await;
    ack(inbox.one().await).await;
    inbox.expect_nothing(context.slack()).await;
    let replayed = replay(&*broker, ReplayFrom::Position(0)).await.expect("replayed");
    process.kill().await;
    assert_eq!(replayed, Replayed { from: 0, events: 1 });
    process.start().await;
    inbox.ack_until_all([id].into()).await;
}
